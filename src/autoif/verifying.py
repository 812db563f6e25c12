"""`autoif verify`: runs functions on responses, and verifies data sets by the functions in their rows."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from pydantic import StrictInt

from autoif.datasets.rows import AnyRow, PreferenceRow, SftRow, Turn, find_kind, list_functions
from autoif.errors import ConfigError
from autoif.judging import compute_least_rate, judge, split_verdicts
from autoif.messages import Say
from autoif.reading.jsonl import read_jsonl
from autoif.records import ForeignRow
from autoif.runs.store import SFT, find_rows
from autoif.runs.whole_files import storage_errors
from autoif.sandbox import Outcome, Sandbox

_FUNCTIONS_AT_ONCE = 64


class FunctionRow(ForeignRow):
    """One line of FUNCTIONS."""

    id: str | StrictInt
    source: str


class ResponseRow(ForeignRow):
    """One line of RESPONSES."""

    id: str | StrictInt
    text: str


class Check(NamedTuple):
    """A text, and its pass rate when its row was written."""

    row: SftRow | PreferenceRow
    text: str
    recorded: float
    """Share, 0 to 1."""
    name: str
    """For messages, such as "row 3, chosen"."""


class VerifiedDataset(NamedTuple):
    """The result of verifying a data set."""

    changed: list[tuple[Check, float]]
    """Texts whose pass rate isn't the recorded one, with the rate that was found."""
    rows: int


async def verify_pairs(functions: Path, responses: Path, output: Path | None, sandbox: Sandbox, say: Say) -> None:
    """Write a row for every pair of function and response, function by function, to a file or standard output.

    Raises:
        ConfigError: a file can't be read, or has no rows.
        SandboxError: functions can't be contained here.
    """
    sources, answers = read_jsonl(functions, FunctionRow, exact=True), read_jsonl(responses, ResponseRow, exact=True)
    for path, rows in ((functions, sources), (responses, answers)):
        if not rows:
            raise ConfigError(f"{path} has no rows")
    texts = tuple(response.text for response in answers)
    names = [json.dumps(response.id) for response in answers]
    async with sandbox:
        say(f"sandbox: {sandbox.describe()}")  # verdicts may differ between backends
        with _open_output(output) as out:  # not before: where there is no sandbox, an earlier file stays
            async with aclosing(_run_in_order(sources, texts, sandbox)) as judged:
                async for function, outcomes in judged:
                    out.write(_show_rows(json.dumps(function.id), names, outcomes))
                    out.flush()


@contextmanager
def _open_output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout  # whose reader may have gone: no matter of storage
    else:
        with storage_errors(path), path.open("w", encoding="utf-8") as file:
            yield file


async def _run_in_order(
    functions: list[FunctionRow], texts: tuple[str, ...], sandbox: Sandbox
) -> AsyncGenerator[tuple[FunctionRow, list[Outcome]]]:
    """Yield each function with its outcomes, in order, while later functions already run."""
    begun = deque[asyncio.Task[list[Outcome]]]()
    try:
        for number, function in enumerate(functions):
            while len(begun) < _FUNCTIONS_AT_ONCE and number + len(begun) < len(functions):
                begun.append(asyncio.create_task(sandbox.run(functions[number + len(begun)].source, texts)))
            yield function, await begun.popleft()
    finally:
        for call in begun:
            call.cancel()
        await asyncio.gather(*begun, return_exceptions=True)


def _show_rows(function: str, responses: list[str], outcomes: list[Outcome]) -> str:
    # Put together by hand: at some hundred thousand rows a second, an encoder would take longer than the sandbox.
    return "".join(
        [
            f'{{"function": {function}, "response": {response}, "verdict": "{outcome.verdict.value}", '
            f'"detail": {json.dumps(outcome.detail)}, "seconds": {outcome.seconds:.6f}}}\n'
            for response, outcome in zip(responses, outcomes, strict=True)
        ]
    )


def verify_dataset(path: Path, sandbox: Sandbox, say: Say) -> VerifiedDataset:
    """Run the functions of each row on its answers. Raises as `verify_pairs` does."""
    checks = list(_read_dataset(find_rows(path, SFT)))
    with sandbox:
        say(f"sandbox: {sandbox.describe()}")
        judged = judge([(list_functions(check.row), check.text) for check in checks], sandbox)
    rates = [
        round(float(compute_least_rate(split_verdicts(verdicts, check.row.constraints))), 4)
        for check, verdicts in zip(checks, judged, strict=True)
    ]
    # rows of others may have all digits
    changed = [(check, rate) for check, rate in zip(checks, rates, strict=True) if rate != round(check.recorded, 4)]
    return VerifiedDataset(changed, len({check.name.partition(",")[0] for check in checks}))


def _read_dataset(path: Path) -> Iterator[Check]:
    """Yield the checks of each row: the answer of an SFT row, both answers of a pair."""
    rows = read_jsonl(path, find_kind(path), exact=True, check=_check_row)
    for number, row in enumerate(rows, 1):
        match row:
            case SftRow(pass_rate=float(rate)):
                yield Check(row, row.answer, rate, f"row {number}")
            case PreferenceRow(chosen_pass_rate=float(chosen), rejected_pass_rate=float(rejected)):
                yield Check(row, row.chosen[-1].content, chosen, f"row {number}, chosen")
                yield Check(row, row.rejected[-1].content, rejected, f"row {number}, rejected")
    if not rows:
        raise ConfigError(f"{path} has no rows")


def _check_row(row: AnyRow) -> None:
    answers: tuple[Turn, ...] = ()
    match row:
        case SftRow(pass_rate=float()):
            answers = row.messages[-1:]
        case PreferenceRow(chosen_pass_rate=float(), rejected_pass_rate=float()):
            answers = row.chosen[-1], row.rejected[-1]
    if not row.constraints or not answers:
        raise ValueError(
            "no row of an sft.jsonl or a preferences.jsonl (it needs answers, constraints and the recorded pass rate)"
        )
    if any(turn.role != "assistant" for turn in answers):
        raise ValueError("its last turn is not the assistant's: there is no answer to verify")
