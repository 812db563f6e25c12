"""Cross-validation of generations that were recorded elsewhere (§3.2): old AutoIF data, filtered again."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoif.config import Config
from autoif.errors import ConfigError
from autoif.instructions.cross_validation import cross_validate
from autoif.instructions.verification import read_answers
from autoif.models.nli import Judgement
from autoif.models.reasoning import split_reasoning
from autoif.models.requests import Completion, Request
from autoif.records import Draft, Dropped, Instruction, VerifiedInstruction
from autoif.sandbox import Limits, Sandbox
from autoif.text_lines import read_lines
from autoif.tools import Tools

_KEYS = ("generations", "gpt-answer")
_MAX_LINE_BYTES = 64_000_000
"""Hundreds of long answers to one instruction."""


@dataclass(frozen=True, slots=True)
class Generations:
    """What a model wrote for one instruction: K answers, each with a function and cases."""

    instruction: Instruction
    answers: tuple[str, ...]


@dataclass(slots=True)
class Filtered:
    """What was kept and dropped, and how the answers were read."""

    kept: list[VerifiedInstruction] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)

    def describe(self) -> list[str]:
        """Return the counts as lines for reading: kept, dropped by reason, repairs and format losses by kind."""
        answers = [answer for draft in self.drafts for answer in draft.answers]
        repairs = Counter(repair for answer in answers for repair in answer.repairs)
        losses = Counter(answer.loss for answer in answers if answer.loss)
        reasons = Counter(dropped.reason.value for dropped in self.dropped)
        functions = sum(len(verified.functions) for verified in self.kept)
        cases = sum(len(verified.cases) for verified in self.kept)
        return [
            f"instructions: {len(self.kept)} of {len(self.kept) + len(self.dropped)} kept, "
            f"with {functions} functions and {cases} cases",
            f"dropped: {_listed(reasons)}",
            f"answers: {len(answers)}, read only after a repair: "
            f"{sum(bool(answer.repairs) and not answer.loss for answer in answers)} ({_listed(repairs)})",
            f"lost to format: {losses.total()} ({_listed(losses)})",
        ]


class NoModel:
    """Stands where a model could be asked: cross-validation asks none."""

    async def sample(self, request: Request) -> list[Completion]:
        raise LookupError(f"stage {request.stage} asked a model")

    async def judge(self, pairs: Sequence[tuple[str, str]], *, seed: int = 0) -> list[Judgement]:
        raise LookupError(f"{len(pairs)} pairs were to be judged")


def read_generations(path: Path) -> list[Generations]:
    """Read rows {"instruction", "generations": [text, ...]}, or with the released code's key `gpt-answer`.

    An answer that somebody has parsed already, an object instead of a text, is read as its JSON.

    Raises:
        ConfigError: the file can't be read, or a line has another form; the line is named.
    """
    lines = read_lines(path, "generations", max_bytes=_MAX_LINE_BYTES)
    rows = [_read_row(path, number, line) for number, line in lines if line.strip()]
    if not rows:
        raise ConfigError(f"generations file {path}: no rows in it; write one JSON object a line")
    return rows


async def filter_generations(rows: Sequence[Generations], config: Config) -> Filtered:
    """Read the answers and cross-validate them by the config's thresholds, in input order."""
    filtered = Filtered()
    limits = Limits(timeout_s=config.sandbox.timeout_s, memory_mb=config.sandbox.memory_mb)
    async with Sandbox(limits, backend=config.sandbox.backend, workers=config.sandbox.workers or None) as sandbox:
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
    draft = read_answers(row.instruction, [_complete(answer) for answer in row.answers])
    if isinstance(draft, Dropped):
        return Draft.model_validate(draft.record), draft
    [result] = await cross_validate(draft, tools)
    return draft, result


def _complete(answer: str) -> Completion:
    thought = split_reasoning(answer)
    return Completion(thought.answer, "stop" if thought.closed else "length", reasoning=thought.reasoning)


def _read_row(path: Path, number: int, line: str) -> Generations:
    try:
        row = json.loads(line)
        answers = next(row[key] for key in _KEYS if key in row)
        answers = answers if isinstance(answers, list) else [answers]
        texts = tuple(answer if isinstance(answer, str) else json.dumps(answer) for answer in answers)
        return Generations(Instruction.of(row["instruction"].strip(), "seed"), texts)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError):
        raise ConfigError(
            f'generations file {path}, line {number}: no row {{"instruction", "generations": [text, ...]}} '
            '(or "gpt-answer")'
        ) from None


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "none"
