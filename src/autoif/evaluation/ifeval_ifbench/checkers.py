"""The official checkers of IFEval and IFBench (`official`), made deterministic.

* Language detection is seeded; the official program's verdicts change from run to run.
* An argument of 0 stays 0, and none is dropped; the official checkers replace a missing argument by a random one.
* Anything that a checker still draws at random comes from a fixed seed, and is reported.
* If a checker raises, that is reported, and its verdict is "not followed". Nothing is downloaded.

`processes.py` ends checkers that take too long.
"""

import importlib
from collections.abc import Mapping, Sequence
from operator import ne
from typing import Any, Literal, NamedTuple

from pydantic import JsonValue

from autoif.benchmark_wordings import Suite
from autoif.evaluation.ifeval_ifbench.corrections import CORRECTIONS
from autoif.evaluation.ifeval_ifbench.tokenizer_data import TAGGER, has_data
from autoif.evaluation.official.surroundings import DRAWS

Revision = Literal["2026", "2025"]
REVISIONS: dict[Revision, str] = {
    "2026": "allenai/IFBench, commit db69a6f of August 2026",
    "2025": "if-verifiable 0.1.2, IFBench before the fixes of 2026",
}
"""Revisions of the official checkers, the newest first. IFEval's are the same in both."""
NEWEST: Revision = "2026"


class Unjudgeable(Exception):
    """The data lacks an argument, or has one of a wrong type: the official program would draw one or fail."""


class Verdicts(NamedTuple):
    """The verdicts on one response, one for each instruction of the prompt."""

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]
    corrected_strict: tuple[bool, ...]
    """Without the checkers' known faults (`corrections`)."""
    corrected_loose: tuple[bool, ...]
    drawn: tuple[bool, ...]
    """Whether the verdict depends on something random in the official program."""
    raised: tuple[bool, ...]
    """Whether the checker raised, or took too long."""

    @property
    def faulty_strict(self) -> tuple[bool, ...]:
        """Whether a known fault of the checker decided the verdict."""
        return tuple(map(ne, self.strict, self.corrected_strict))

    @property
    def faulty_loose(self) -> tuple[bool, ...]:
        return tuple(map(ne, self.loose, self.corrected_loose))


class Checkers:
    """The checkers of a benchmark, loaded into this process."""

    def __init__(self, suite: Suite, data_folders: Sequence[str], revision: Revision = NEWEST) -> None:
        """Load them."""
        self._checkers = _load_registry(suite, revision, data_folders)
        self._has_tagger = has_data(data_folders, TAGGER)

    def judge(
        self, prompt: str, instructions: Sequence[tuple[str, Mapping[str, JsonValue]]], response: str
    ) -> Verdicts:
        """Return the verdicts on a response to a prompt with these instructions and arguments.
        Raises Unjudgeable: an instruction lacks an argument, or has one that its checker can't read."""
        variants = make_variants(response)
        judged = [self._judge_one(prompt, name, arguments, variants) for name, arguments in instructions]
        return Verdicts(*zip(*judged, strict=True))

    def _judge_one(
        self, prompt: str, name: str, arguments: Mapping[str, JsonValue], variants: Sequence[str]
    ) -> tuple[bool, bool, bool, bool, bool, bool]:
        """Return the verdicts of one checker in the order of `Verdicts`."""
        checker, drawn = self.build(name, arguments, prompt)
        correction = CORRECTIONS.get(name)
        verdicts, raised = _check_all(checker, variants, first=correction is None)
        corrected = verdicts
        if correction:
            try:
                corrected = [
                    bool(text.strip()) and correction.check(arguments, text, verdict)
                    for text, verdict in zip(variants, verdicts, strict=True)
                ]
            except Exception as error:  # noqa: BLE001  # arguments of a wrong type, as in `build`
                raise Unjudgeable(f"{name} can't read its arguments ({type(error).__name__})") from None
        return verdicts[0], any(verdicts), corrected[0], any(corrected), drawn, raised

    def build(self, name: str, arguments: Mapping[str, JsonValue], prompt: str) -> tuple[Any, bool]:
        """Return the checker of an instruction, and whether it drew something at random.
        Raises Unjudgeable: an argument is missing or can't be read."""
        if name == "words:start_verb" and not self._has_tagger:
            raise Unjudgeable(f"{name} needs {TAGGER}, which `autoif eval fetch` gets where NLTK's site can be reached")
        DRAWS.restart()
        checker = self._checkers[name](name)
        given = {key: value for key, value in arguments.items() if value is not None}
        try:
            checker.build_description(**given)
            if "prompt" in (checker.get_instruction_args() or {}):
                checker.build_description(prompt=prompt)
        except (ValueError, TypeError) as error:
            raise Unjudgeable(f"{name}: {error}") from None
        except Exception as error:  # noqa: BLE001  # raised by official code on arguments of a wrong type
            raise Unjudgeable(f"{name} can't read its arguments ({type(error).__name__})") from None
        drawn = DRAWS.count > 0
        if drawn:
            lacking = [key for key in checker.get_instruction_args_keys() if key not in given]
            if lacking:
                raise Unjudgeable(f"{name} lacks {', '.join(lacking)}")
            zeros = [key for key, value in given.items() if value == 0]
            for key in zeros:
                setattr(checker, f"_{key}", given[key])
            drawn = DRAWS.count > len(zeros)
        return checker, drawn


def make_variants(response: str) -> list[str]:
    """Return the texts for a loose verdict: the response, without first or last line or both; each also without `*`."""
    lines = response.split("\n")
    cut = ["\n".join(some).strip() for some in (lines[1:], lines[:-1], lines[1:-1])]
    whole = [response, *cut]
    return [*whole, *(text.replace("*", "") for text in whole)]


def _check_all(checker: Any, variants: Sequence[str], *, first: bool) -> tuple[list[bool], bool]:
    """Return the verdict on each variant (with `first`, only up to the first that passes), and whether any raised.

    A blank variant doesn't pass.
    """
    verdicts, raised, known = [], False, dict[str, bool]()
    for text in variants:
        if text not in known:
            try:
                known[text] = bool(text.strip()) and bool(checker.check_following(text))
            except Exception:  # noqa: BLE001  # raised by official code, which would end the official program
                known[text], raised = False, True
        verdicts.append(known[text])
        if first and known[text]:
            break
    return verdicts, raised


def _load_registry(suite: Suite, revision: Revision, data_folders: Sequence[str]) -> dict[str, Any]:
    """Return the checkers' classes by type of instruction."""
    import langdetect
    import nltk

    langdetect.DetectorFactory.seed = 0
    nltk.data.path[:] = data_folders
    folder = f"ifbench_{NEWEST if suite == 'ifeval' else revision}"
    registry = importlib.import_module(f"autoif.evaluation.official.{folder}.instructions_registry")
    found: dict[str, Any] = registry.INSTRUCTION_DICT  # the newest has both benchmarks
    return {
        name: checker
        for name, checker in found.items()
        if checker.__module__.endswith(".classic_instructions") == (suite == "ifeval")
    }
