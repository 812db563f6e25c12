"""Cross-validation of generations that were recorded elsewhere (§3.2): old AutoIF data, filtered again."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoif.config import Config
from autoif.errors import ConfigError
from autoif.instructions.contrast import STAGE
from autoif.instructions.cross_validation import cross_validate
from autoif.instructions.verification import read_function_answers
from autoif.messages import list_counts
from autoif.models.recorded import find_choices
from autoif.models.wire import read_choice, read_text
from autoif.reading.json_text import load_json
from autoif.reading.row_files import SourceRow, read_rows
from autoif.records import Draft, Dropped, Instruction, Reason, VerifiedInstruction
from autoif.tools import NoModel, Tools

_KEYS = ("generations", "gpt-answer")
_MAX_LINE_BYTES = 64_000_000
"""Hundreds of long answers to one instruction."""


@dataclass(frozen=True, slots=True)
class Generations:
    """What a model wrote for one instruction: K answers, each with a function and cases."""

    instruction: Instruction
    answers: tuple[str, ...]
    rows: int = 1
    """How many rows of the file they come from."""


@dataclass(slots=True)
class Filtered:
    """What was kept and dropped, and how the answers were read."""

    rows: int = 0
    """How many were read."""
    kept: list[VerifiedInstruction] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)

    def describe(self) -> list[str]:
        """Return the counts as lines for reading; the parts of each line add up to what was read."""
        answers = [answer for draft in self.drafts for answer in draft.answers]
        repairs = Counter(repair for answer in answers if not answer.loss for repair in answer.repairs)
        losses = Counter(answer.loss for answer in answers if answer.loss)
        reasons = Counter(dropped.reason.value for dropped in self.dropped)
        repaired = sum(bool(answer.repairs) for answer in answers if not answer.loss)
        read = len(answers) - losses.total()
        functions = sum(len(draft.matrix.functions) for draft in self.drafts)
        functions_kept = sum(len(verified.functions) for verified in self.kept)
        cases = sum(len(draft.matrix.cases) for draft in self.drafts)
        cases_kept = sum(len(verified.cases) for verified in self.kept)
        cases_lost = sum(answer.cases_lost for answer in answers)
        return [
            f"rows: {self.rows}, of {len(self.drafts)} instructions",
            f"instructions: {len(self.kept)} of {len(self.drafts)} kept, "
            f"with {functions_kept} functions and {cases_kept} cases",
            f"dropped: {list_counts(reasons)}",
            f"answers: {len(answers)}, {read} of them read, {repaired} only after a repair ({list_counts(repairs)})",
            f"lost to format: {losses.total()} answers ({list_counts(losses)})",
            f"functions: {read} read, {read - functions} of them the same as another, {functions_kept} kept, "
            f"{functions - functions_kept} not",
            f"cases: {cases} different ones read, {cases_kept} kept, {cases - cases_kept} not; "
            f"{cases_lost} could not be read",
        ]


def read_generations(path: Path) -> list[Generations]:
    """Read rows {"instruction", "generations": [text, ...]}, or with the released code's key `gpt-answer`.

    Rows of one instruction become one, at the place of the first; a row with an empty instruction stays by itself. An
    answer that is an object, as it was parsed before, is read as its JSON.

    Raises:
        ConfigError: the file can't be read, or a row has another form; its line is named.
    """
    merged: dict[str, Generations] = {}
    for number, row in enumerate(read_rows(path, "generations", max_line_bytes=_MAX_LINE_BYTES)):
        found = _read_row(path, row)
        name = found.instruction.text or f" {number}"
        earlier = merged.get(name)
        if earlier:
            found = Generations(found.instruction, earlier.answers + found.answers, earlier.rows + 1)
        merged[name] = found
    if not merged:
        raise ConfigError(f"generations file {path}: no rows in it; write one JSON object a line")
    return list(merged.values())


async def filter_generations(rows: Sequence[Generations], config: Config) -> Filtered:
    """Read the answers and cross-validate them by the config's thresholds, in input order.
    Raises ConfigError: functions are to be chosen by contrast, which needs answers that no recording here has."""
    if config.contrast.enabled:
        raise ConfigError(
            "contrast chooses functions by a model's answers, and none is asked here: --set contrast.enabled=false"
        )
    filtered = Filtered(rows=sum(row.rows for row in rows))
    async with config.sandbox.make_sandbox() as sandbox:
        tools = Tools(config=config, chat=NoModel(), nli=NoModel(), sandbox=sandbox)
        results = await asyncio.gather(*(_filter(row, tools) for row in rows))
    for draft, result in results:
        filtered.drafts.append(draft)
        if isinstance(result, Dropped):
            filtered.dropped.append(result)
        else:
            filtered.kept.append(result)
    return filtered


async def _filter(row: Generations, tools: Tools) -> tuple[Draft, VerifiedInstruction | Dropped]:
    completions = [read_text(answer) for answer in row.answers]
    vocabulary, counted = tools.config.verification.vocabulary, tools.config.cross_validation.choose_by != "cases"
    read = await asyncio.to_thread(read_function_answers, row.instruction, completions, vocabulary, counted=counted)
    draft = read.record if isinstance(read, Dropped) else read
    assert isinstance(draft, Draft)
    if not row.instruction.text:
        return draft, Dropped.of(STAGE, Reason.EMPTY, draft, "the instruction is empty")
    if isinstance(read, Dropped):
        return draft, read
    [result] = await cross_validate(draft, tools)
    return draft, result


def _read_row(path: Path, row: SourceRow) -> Generations:
    found = row.value if isinstance(row.value, dict) else {}
    instruction = found.get("instruction")
    key = next((key for key in _KEYS if key in found), None)
    if key is None or not isinstance(instruction, str):
        raise ConfigError(
            f'generations file {path}, {row.place}: no row {{"instruction", "generations": [text, ...]}} '
            '(or "gpt-answer")'
        )
    answers = found[key] if isinstance(found[key], list) else [found[key]]
    read = tuple(text for answer in answers for text in _read_answers(answer))
    return Generations(Instruction.of(instruction.strip(), "seed"), read)


def _read_answers(answer: object) -> list[str]:
    """Return the texts of an answer: a string itself, or the elements of a JSON list in it; what a server's response
    says; the JSON of anything else."""
    if isinstance(answer, str):
        return _read_list(answer) or [answer]
    if answer is None:
        return [""]
    choices = find_choices(answer)
    return [read_choice(choice).text for choice in choices] if choices else [json.dumps(answer)]


def _read_list(text: str) -> list[str]:
    """Return the strings of a JSON list, as a cell of a table holds it; [] for any other text."""
    if not text.lstrip().startswith('["'):
        return []
    try:
        listed = load_json(text)
    except ValueError:
        return []
    return listed if isinstance(listed, list) and all(isinstance(each, str) for each in listed) else []
