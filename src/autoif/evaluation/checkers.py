"""The official checkers of IFEval and IFBench, held to one verdict for one response.

They come from a pinned package. Around them, here:

* language detection is seeded, for the official program's answers change from run to run;
* an argument of 0 is 0, and none is dropped: a checker that lacks one would draw it at random;
* what a checker draws nevertheless comes from a fixed seed, and is told;
* nothing is downloaded, and a checker that raises is told, with a verdict of not followed.
"""

import importlib
import importlib.util
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from pydantic import JsonValue

from autoif.evaluation.corrections import CORRECTIONS
from autoif.evaluation.tokenizer_data import TAGGER, has_data

Benchmark = Literal["ifeval", "ifbench"]
_PACKAGE = "if_verifiable"


class Unjudgeable(Exception):
    """The data lacks an argument, which the official program would draw at random or stop at; the text says which."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts on one response, an item an instruction of the prompt."""

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]
    corrected_strict: tuple[bool, ...]
    """As they would be without the faults of `corrections`."""
    corrected_loose: tuple[bool, ...]
    drawn: tuple[bool, ...]
    """Whether the official program decides by something random."""
    raised: tuple[bool, ...]
    """Whether the checker raised."""


class Checkers:
    """The checkers of a benchmark, loaded into this process."""

    def __init__(self, benchmark: Benchmark, data_folders: Sequence[str]) -> None:
        """Load them.

        Args:
            benchmark: which.
            data_folders: from `tokenizer_data.find_data`.
        """
        registry = _import_registry(benchmark, data_folders)
        self._checkers: dict[str, Any] = dict(registry.INSTRUCTION_DICT)
        self._has_tagger = has_data(data_folders, TAGGER)
        self._draws = _DRAWS
        modules: list[Any] = [importlib.import_module(f"{_PACKAGE}.{benchmark}.{name}") for name in _MODULES]
        for module in modules:
            module.random = self._draws  # theirs draws from the clock

    @property
    def names(self) -> frozenset[str]:
        """The instructions that can be checked."""
        return frozenset(self._checkers)

    def judge(self, prompt: str, instructions: Sequence[tuple[str, Mapping[str, JsonValue]]], response: str) -> Judged:
        """Return the verdicts on a response to a prompt with these instructions and arguments.

        Raises:
            Unjudgeable: an instruction lacks an argument.
        """
        variants = make_variants(response)
        strict, loose, right_strict, right_loose = list[bool](), list[bool](), list[bool](), list[bool]()
        drawn, raised = list[bool](), list[bool]()
        for name, arguments in instructions:
            checker, is_drawn = self.build(name, arguments, prompt)
            correction = CORRECTIONS.get(name)
            verdicts, failed = _check_all(checker, variants, first=correction is None)
            corrected = verdicts
            if correction:
                corrected = [
                    bool(text.strip()) and correction.check(arguments, text, verdict)
                    for text, verdict in zip(variants, verdicts, strict=True)
                ]
            strict.append(verdicts[0])
            loose.append(any(verdicts))
            right_strict.append(corrected[0])
            right_loose.append(any(corrected))
            drawn.append(is_drawn)
            raised.append(failed)
        return Judged(*map(tuple, (strict, loose, right_strict, right_loose, drawn, raised)))

    def build(self, name: str, arguments: Mapping[str, JsonValue], prompt: str) -> tuple[Any, bool]:
        """Return a checker of an instruction, and whether it drew something at random. Raises Unjudgeable."""
        if name == "words:start_verb" and not self._has_tagger:
            raise Unjudgeable(f"{name} needs {TAGGER}, which `autoif eval fetch` gets where NLTK's site can be reached")
        self._draws.restart()
        checker = self._checkers[name](name)
        given = {key: value for key, value in arguments.items() if value is not None}
        try:
            checker.build_description(**given)
            if "prompt" in (checker.get_instruction_args() or {}):
                checker.build_description(prompt=prompt)
        except (ValueError, TypeError) as error:
            raise Unjudgeable(f"{name}: {error}") from None
        drawn = self._draws.count > 0
        if drawn:
            lacking = [key for key in checker.get_instruction_args_keys() if key not in given]
            if lacking:
                raise Unjudgeable(f"{name} lacks {', '.join(lacking)}")
            zeros = [key for key, value in given.items() if value == 0]
            for key in zeros:
                setattr(checker, f"_{key}", given[key])
            drawn = self._draws.count > len(zeros)
        return checker, drawn


def make_variants(response: str) -> list[str]:
    """Return what the loose verdict is over: the response, without its first or last line or both, and without `*`."""
    lines = response.split("\n")
    cut = ["\n".join(some).strip() for some in (lines[1:], lines[:-1], lines[1:-1])]
    whole = [response, *cut]
    return [*whole, *(text.replace("*", "") for text in whole)]


def _check_all(checker: Any, variants: Sequence[str], *, first: bool) -> tuple[list[bool], bool]:
    """Return a verdict for each variant, or up to the first that follows, and whether the checker raised on any.

    A variant of no text is not followed.
    """
    verdicts, raised, known = [], False, dict[str, bool]()
    for text in variants:
        if text not in known:
            try:
                known[text] = bool(text.strip()) and bool(checker.check_following(text))
            except Exception:  # noqa: BLE001  # of the package's code: the official program stops here
                known[text], raised = False, True
        verdicts.append(known[text])
        if first and known[text]:
            break
    return verdicts, raised


_MODULES = ("instructions", "instructions_util")


class _Draws(random.Random):
    """What the checkers' modules see as `random`: the same draws each time, and counted."""

    def __init__(self) -> None:
        super().__init__(0)
        self.count = 0

    def restart(self) -> None:
        self.seed(0)
        self.count = 0

    def randint(self, a: int, b: int) -> int:
        self.count += 1
        return super().randint(a, b)

    def choice(self, seq: Any) -> Any:
        self.count += 1
        return super().choice(seq)

    def sample(self, population: Any, k: int, *, counts: Any = None) -> Any:
        self.count += 1
        return super().sample(population, k, counts=counts)


_DRAWS = _Draws()
"""One for the process, as its modules are: a second `Checkers` would take the count from the first."""


def _import_registry(benchmark: Benchmark, data_folders: Sequence[str]) -> ModuleType:
    import langdetect
    import nltk

    langdetect.DetectorFactory.seed = 0
    nltk.data.path[:] = data_folders
    if _PACKAGE not in sys.modules:
        # Its own __init__ imports `datasets`, which takes seconds in each process and isn't needed to check.
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
        package = ModuleType(_PACKAGE)
        package.__spec__, package.__path__ = spec, list(spec.submodule_search_locations or ())
        sys.modules[_PACKAGE] = package
    with _without_downloads(nltk):
        registry = importlib.import_module(f"{_PACKAGE}.{benchmark}.instructions_registry")
    _set_tokenizer(importlib.import_module(f"{_PACKAGE}.{benchmark}.instructions_util"))
    return registry


@contextmanager
def _without_downloads(nltk: Any) -> Iterator[None]:
    """Keep a module from downloading as it is imported: it looks for a form of the data that nobody reads any more."""
    download, nltk.download = nltk.download, lambda *_, **__: False
    try:
        yield
    finally:
        nltk.download = download


def _set_tokenizer(util: Any) -> None:
    """Give the splitter of sentences its data in today's form, and the rules that the recorded scores were made with.

    The module asks for a pickle, which NLTK refuses by now. And later versions than 3.9.1 end sentences otherwise at
    typographic quotation marks, which changes the number of sentences, and with it verdicts of IFEval.
    """
    from nltk.tokenize.punkt import PunktLanguageVars, PunktTokenizer

    rules = {
        "re_boundary_realignment": re.compile(r"[\"')\]}]+?(?:\s+|(?=--)|$)", re.MULTILINE),
        "_re_non_word_chars": r"(?:[)\";}\]\*:@\'\({\[!?])",
    }
    tokenizer = PunktTokenizer("english")
    tokenizer._lang_vars = type("_Rules", (PunktLanguageVars,), rules)()
    util._get_sentence_tokenizer = lambda: tokenizer
