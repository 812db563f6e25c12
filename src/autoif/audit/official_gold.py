"""Gold from IFEval and IFBench: official checkers judge recorded responses for instructions in official wording.

The wording of an instruction determines its checker and arguments (`benchmark_wordings.py`). The checker judges
recorded responses to prompts with the same instruction, with the same type, and with others. Near misses of those that
follow, the run's own responses and its cases are groups of their own.

Verdicts that depend on a known fault of a checker (`corrections.py`) or on chance, and texts on which a checker raises,
are left out and counted.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autoif.audit.gold import RESPONSES, Gold, GoldRow
from autoif.audit.material import Material, WrittenInstruction
from autoif.benchmark_wordings import TITLES, Suite, Wording, find_wording
from autoif.errors import ConfigError
from autoif.evaluation.ifeval_ifbench.checkers import Verdicts
from autoif.evaluation.ifeval_ifbench.data import Question, Questions, plain_arguments
from autoif.evaluation.ifeval_ifbench.processes import open_checkers
from autoif.evaluation.responses import RecordedRow
from autoif.probes import make_near_misses
from autoif.reading.json_text import parse_json
from autoif.reading.jsonl import read_json_lines
from autoif.records import content_id

NEAR_MISSES = "near-misses"
OWN_RESPONSES, OWN_CASES = "the run's responses", "the run's cases"
MOST_OF_SAME, MOST_OF_KIND, MOST = 120, 210, 300
"""Most recorded responses to the same instruction; to these and the same type; to these and all others."""
_EDITED = 12
"""How many responses near misses are made from."""
_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.xz", ".jsonl.bz2")
Asked = tuple[str, str]
"""A type of instruction and its arguments, as canonical JSON."""


@dataclass(slots=True)
class RecordedResponses:
    """Recorded responses to a benchmark's prompts, and what these ask for."""

    by_prompt: dict[str, set[Asked]] = field(default_factory=dict)
    """What each prompt asks for, by its text and by its key."""
    responses: dict[str, set[str]] = field(default_factory=dict)
    """For each response text, the prompts that it answers, by text or key."""

    def find_asked(self, response: str) -> set[Asked]:
        """Return what the prompts of a response ask for."""
        return {asked for prompt in self.responses[response] for asked in self.by_prompt.get(prompt, ())}


@dataclass(frozen=True, slots=True)
class _Question:
    """One instruction of the run that a checker can judge."""

    written: WrittenInstruction
    wording: Wording
    row: Question


def make_official_gold(benchmark: Suite, folder: Path, material: Material) -> Gold:
    """Return the verdicts of the official checkers, for those instructions of a run that are in official wording.

    Args:
        benchmark: whose checkers to use.
        folder: recorded responses and the prompts that they answer; or a folder with a subfolder of these that is named
            after the benchmark.
        material: the run.

    Raises:
        ConfigError: no instruction is in official wording, or the folder or the checkers lack what is needed.
    """
    asked = list(_list_questions(benchmark, material))
    if not asked:
        raise ConfigError(
            f"none of the run's {len(material.instructions):,} instructions is in the official words of "
            f"{TITLES[benchmark]}, as its checkers describe them"
        )
    recorded = read_recorded(folder / benchmark if (folder / benchmark).is_dir() else folder)
    named = [(content_id("gold", text), text) for text in recorded.responses]
    gold, lost = Gold(TITLES[benchmark]), Counter[str]()
    questions = Questions(benchmark, tuple(each.row for each in asked))
    with open_checkers(questions, len(asked) * (MOST + 200)) as run:
        for each in asked:
            texts = _choose(each, recorded, named)
            follows = _judge(run, each, texts, lost)
            _add(gold, each, follows, RESPONSES)
            chosen = islice((text for text, followed in follows.items() if followed), _EDITED)
            edited = dict.fromkeys(near for text in chosen for near in make_near_misses(text) if near not in follows)
            near = _judge(run, each, edited, lost)
            _add(gold, each, {text: False for text, followed in near.items() if not followed}, NEAR_MISSES)
            for group, own in _list_own(each.written):
                known = follows | near
                _add(gold, each, _judge(run, each, (text for text in own if text not in known), lost), group)
    gold.notes += [f"{count:,} responses are left out of gold: {why}" for why, count in sorted(lost.items())]
    return gold


def _list_questions(benchmark: Suite, material: Material) -> Iterator[_Question]:
    for written in material.instructions:
        wording = find_wording(written.instruction.text)
        if wording and wording.benchmark == benchmark:
            name, arguments = wording.type, dict(wording.arguments)
            key, text = written.instruction.id, written.instruction.text
            row = Question(key=key, prompt=text, instruction_id_list=(name,), kwargs=(arguments,))
            yield _Question(written, wording, row)


def read_recorded(folder: Path) -> RecordedResponses:
    """Read all prompts and responses in a folder: JSON lines in the benchmarks' own format, packed or not.

    A prompt has `prompt`, `instruction_id_list` and `kwargs`; a response has `response`, and `prompt` or the prompt's
    `key`.

    Raises:
        ConfigError: there are no prompts or no responses.
    """
    found = RecordedResponses()
    for path in sorted(path for path in folder.rglob("*") if path.name.endswith(_SUFFIXES)):
        for _, line in read_json_lines(path):
            try:
                row = parse_json(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                _read_row(row, found)
    if not found.by_prompt or not found.responses:
        lacking = "prompts" if not found.by_prompt else "responses"
        raise ConfigError(
            f"{folder} has no recorded {lacking}: name a folder by --data, or by the variable AUTOIF_DATA, with rows "
            '{"prompt", "instruction_id_list", "kwargs"} and {"prompt", "response"} as JSON lines'
        )
    return found


def _read_row(row: Mapping[str, Any], found: RecordedResponses) -> None:
    """Add a row that is a prompt or a response; ignore any other."""
    try:
        if "kwargs" in row:
            question = Question.model_validate(row)
            names = [name.removeprefix("en:") for name in question.instruction_id_list]
            asked = {make_asked(name, each) for name, each in zip(names, question.kwargs, strict=True)}
            for prompt in (question.prompt, question.key):
                found.by_prompt.setdefault(prompt, set()).update(asked)
        elif "response" in row and ("prompt" in row or "key" in row):
            prompt = str(row.get("prompt", row.get("key")))
            for response in RecordedRow.model_validate({**row, "prompt": prompt}).read():
                if response.text.strip():
                    found.responses.setdefault(response.text, set()).add(prompt)
    except ValidationError:
        return


def make_asked(name: str, arguments: Mapping[str, Any]) -> Asked:
    """Return a type and its arguments in canonical form: some releases have 5.0 for 5, and checkers sort keywords."""
    plain = {
        key: sorted(map(str, value)) if isinstance(value, list) else value
        for key, value in plain_arguments(arguments).items()
        if value is not None
    }
    return name, json.dumps(plain, sort_keys=True)


def _choose(asked: _Question, recorded: RecordedResponses, named: Sequence[tuple[str, str]]) -> list[str]:
    """Return the recorded responses for a checker, those to the same instruction first.

    `named` has an id for each text; the ids make the choice random but reproducible.
    """
    wanted = make_asked(asked.wording.type, asked.wording.arguments)
    same, kind, others = list[str](), list[str](), list[str]()
    for _, text in sorted(named, key=lambda each: content_id(*wanted, each[0])):
        found = recorded.find_asked(text)
        (same if wanted in found else kind if wanted[0] in {name for name, _ in found} else others).append(text)
    chosen = same[:MOST_OF_SAME]
    chosen += kind[: MOST_OF_KIND - len(chosen)]
    return chosen + others[: MOST - len(chosen)]


def _judge(run: Any, asked: _Question, texts: Iterable[str], lost: Counter[str]) -> dict[str, bool]:
    """Return whether each text follows; count in `lost` those on which the checker isn't reliable."""
    listed = list(dict.fromkeys(texts))
    found = {}
    verdicts: Sequence[Verdicts | str] = run([(asked.row, text) for text in listed])
    for text, verdict in zip(listed, verdicts, strict=True):
        if isinstance(verdict, str):
            lost[f"the words of {asked.wording.type} don't tell its checker all ({verdict})"] += 1
        elif verdict.raised[0]:
            lost["a checker gave up"] += 1
        elif verdict.drawn[0] or verdict.strict != verdict.corrected_strict:
            lost["chance or a known fault of a checker decides"] += 1
        else:
            found[text] = verdict.strict[0]
    return found


def _list_own(written: WrittenInstruction) -> list[tuple[str, list[str]]]:
    """Return the run's own texts for an instruction by group; blank responses are left out."""
    responses = [each.text for each in written.responses if len(each.prompt.constraints) == 1]
    cases = [case.input for case in written.matrix.cases if case.input not in responses]
    return [(OWN_RESPONSES, [text for text in responses if text.strip()]), (OWN_CASES, cases)]


def _add(gold: Gold, asked: _Question, follows: Mapping[str, bool], group: str) -> None:
    for text, followed in follows.items():
        gold.add(GoldRow(instruction=asked.written.instruction.text, response=text, followed=followed, group=group))
