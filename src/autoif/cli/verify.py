"""`autoif verify`: run functions on responses, or an exported data set on the functions that it carries."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

import click
from pydantic import ConfigDict

from autoif.cli.options import LocalPath, OutputPath
from autoif.cli.sandbox_options import sandbox_options
from autoif.datasets.rows import AnyRow, PreferenceRow, SftRow, Turn, find_kind, list_functions
from autoif.errors import ConfigError
from autoif.judging import compute_pass_rate, judge
from autoif.reading.jsonl import read_jsonl
from autoif.records import Record
from autoif.runs.store import SFT, find_rows
from autoif.runs.whole_files import storage_errors
from autoif.sandbox import Outcome, Sandbox, SandboxSettings

_FUNCTIONS_AT_ONCE = 64


class FunctionRow(Record):
    """One line of FUNCTIONS. What else it holds is not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str | int
    source: str


class ResponseRow(Record):
    """One line of RESPONSES. What else it holds is not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str | int
    text: str


class Check(NamedTuple):
    """A text, and how many of the functions it passed when its row was written."""

    functions: list[str]
    text: str
    recorded: float
    """Share, 0 to 1."""
    name: str
    """As in "row 3, chosen"."""


@click.command()
@click.argument("functions", type=LocalPath(), required=False)
@click.argument("responses", type=LocalPath(), required=False)
@click.option("-o", "--output", type=OutputPath(), help="File to write, without --dataset. [default: standard output]")
@click.option(
    "--dataset",
    type=LocalPath(),
    help="Verify rows by their own functions: a run folder (its sft.jsonl), an sft.jsonl or a preferences.jsonl.",
)
@sandbox_options()
def verify(
    functions: Path | None,
    responses: Path | None,
    output: Path | None,
    dataset: Path | None,
    sandbox: SandboxSettings,
) -> None:
    """Run every function of FUNCTIONS on every response of RESPONSES in the sandbox.

    FUNCTIONS has rows {"id", "source"}, RESPONSES rows {"id", "text"}. The output has a row for each pair: {"function",
    "response", "verdict", "detail", "seconds"}. Verdicts: pass, fail, error, timeout, memory, crash.

    With --dataset, prints the rows that their functions no longer accept as recorded; then the exit code is 1.
    """
    if dataset and not functions:
        if output:
            raise click.UsageError("--output goes with FUNCTIONS.jsonl and RESPONSES.jsonl: --dataset only prints")
        sys.exit(_verify_dataset(dataset, sandbox.make_sandbox()))
    if dataset or not (functions and responses):
        raise click.UsageError("name FUNCTIONS.jsonl and RESPONSES.jsonl, or --dataset FILE")
    sources, texts = read_jsonl(functions, FunctionRow, exact=True), read_jsonl(responses, ResponseRow, exact=True)
    for path, rows in ((functions, sources), (responses, texts)):
        if not rows:
            raise ConfigError(f"{path} has no rows")
    asyncio.run(_verify_pairs(sources, texts, output, sandbox.make_sandbox()))


async def _verify_pairs(
    functions: list[FunctionRow], responses: list[ResponseRow], output: Path | None, sandbox: Sandbox
) -> None:
    texts = tuple(response.text for response in responses)
    names = [json.dumps(response.id) for response in responses]
    with _open_output(output) as out:
        async with sandbox:
            _say_which(sandbox)
            async with aclosing(_run_in_order(functions, texts, sandbox)) as judged:
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
    """Yield each function with its outcomes, in order, while those after it already run."""
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


def _say_which(sandbox: Sandbox) -> None:
    """Say what runs the functions, as verdicts may differ between backends; not among the verdicts."""
    click.echo(f"sandbox: {sandbox.describe()}", err=True)


def _verify_dataset(path: Path, sandbox: Sandbox) -> int:
    """Print the rows whose functions give other verdicts than recorded; return 1 if there are any."""
    rows = list(_read_dataset(find_rows(path, SFT)))
    changed = set[str]()
    with sandbox:
        _say_which(sandbox)
        verdicts = judge([(row.functions, row.text) for row in rows], sandbox)
    for (*_, recorded, name), given in zip(rows, verdicts, strict=True):
        rate = round(float(compute_pass_rate(given)), 4)
        if rate != round(recorded, 4):  # rows of others may have all digits
            changed.add(name.partition(",")[0])
            click.echo(f"{name}: pass rate {rate:g}, recorded {recorded:g}")
    count = len({name.partition(",")[0] for *_, name in rows})
    click.echo(f"{count - len(changed)} of {count} rows hold")
    return 1 if changed else 0


def _read_dataset(path: Path) -> Iterator[Check]:
    """Yield what is to be checked of each row: of SFT rows the answer, of pairs both answers."""
    rows = read_jsonl(path, find_kind(path), exact=True, check=_check_row)
    for number, row in enumerate(rows, 1):
        functions = list(list_functions(row))
        match row:
            case SftRow(pass_rate=float(rate)):
                yield Check(functions, row.answer, rate, f"row {number}")
            case PreferenceRow(chosen_pass_rate=float(chosen), rejected_pass_rate=float(rejected)):
                yield Check(functions, row.chosen[-1].content, chosen, f"row {number}, chosen")
                yield Check(functions, row.rejected[-1].content, rejected, f"row {number}, rejected")
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
