"""One run, or one of its instructions, for reading in a terminal: `autoif show RUN [ID]`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autoif.config import load_config
from autoif.errors import StoreError
from autoif.prompts import Prompts
from autoif.records import Draft, Dropped, Matrix, Response, VerifiedInstruction
from autoif.report.funnel import describe_formats, funnel_table, read_formats, read_funnel, read_lines
from autoif.store import read_manifest
from autoif.thresholds import share

_MARKS = {"pass": "[green]T[/]", "fail": "[red]F[/]", "error": "[yellow]E[/]", "timeout": "[yellow]t[/]"}


def show_run(run: Path, console: Console) -> None:
    """Print the funnel of a run and its instructions with their ids."""
    console.print(funnel_table(read_funnel(run)))
    console.print(describe_formats(read_formats(run)), style="dim")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "functions", "cases", "instruction"):
        table.add_column(column, overflow="fold")
    for verified in _verified(run):
        kept = f"{len(verified.functions)}/{len(verified.matrix.functions)}"
        cases = f"{len(verified.cases)}/{len(verified.matrix.cases)}"
        table.add_row(verified.instruction.id, kept, cases, escape(verified.instruction.text))
    console.print("\nverified instructions:")
    console.print(table)


def show_instruction(run: Path, wanted: str, console: Console) -> None:
    """Print one instruction: its functions x cases matrix, its back-translations and its samples.

    Args:
        run: the run folder.
        wanted: the instruction's id or the beginning of it; instructions that were dropped are found, too.
        console: where to print.

    Raises:
        StoreError: no instruction of the run has this id, or several have.
    """
    read_funnel(run)
    found = {
        record.instruction.id: (record, reason)
        for record, reason in _all(run)
        if record.instruction.id.startswith(wanted)
    }
    if len(found) != 1:
        raise StoreError(
            f"{len(found) or 'no'} instructions of {run} have an id that begins with {wanted}: "
            f"`autoif show {run}` lists them"
        )
    [(record, reason)] = found.values()
    console.print(f"[bold]{escape(record.instruction.text)}[/]  ({record.instruction.origin})")
    if reason:
        console.print(f"dropped: {escape(reason)}", style="yellow")
    if record.matrix:
        kept = {function.id for function in record.functions} if isinstance(record, VerifiedInstruction) else set()
        _print_matrix(record.matrix, kept, console)
    if isinstance(record, VerifiedInstruction):
        _print_back_translations(record, console)
        _print_samples(run, record.instruction.id, console)


def show_prompts(source: str, console: Console) -> None:
    """Print the prompts of a run folder, a preset or a TOML file, each in the form of a prompt file.

    Raises:
        ConfigError, StoreError: the source can't be read, or is a run folder that holds no prompts.
    """
    prompts = _read_prompts(Path(source)) if Path(source).is_dir() else load_config(source).prompts
    for name, prompt in prompts.files().items():
        console.print(f"[bold]# {name}[/]: {escape(prompt.source)}, {prompt.digest}")
        console.print(f"\n{prompt.text}\n", markup=False, highlight=False, soft_wrap=True)


def _read_prompts(run: Path) -> Prompts:
    manifest = read_manifest(run)
    if not manifest:
        raise StoreError(f"{run} is no run folder (it has no run.json): name one that `autoif run` made")
    config: Any = manifest.get("config")
    try:
        return Prompts.model_validate(config["prompts"])
    except (KeyError, TypeError, ValueError):
        raise StoreError(f"{run / 'run.json'} holds no prompts: an earlier version of autoif made it") from None


def print_samples(responses: list[Response], console: Console) -> None:
    """Print prompts with their responses, verdicts and quality."""
    for response in responses:
        quality = f", quality {response.quality.mean:g}" if response.quality else ""
        passed = sum(verdict == "pass" for verdict in response.verdicts)
        console.print(f"\n[bold]user[/]       {escape(response.prompt.text)}")
        console.print(f"[bold]assistant[/]  {escape(response.text)}")
        console.print(f"            {passed} of {len(response.verdicts)} functions pass{quality}", style="dim")


def _print_matrix(matrix: Matrix, kept: set[str], console: Console) -> None:
    console.print("\nfunctions x cases (T: returned True, F: False, E: error; a case's wanted verdict is in brackets)")
    for number, case in enumerate(matrix.cases):
        console.print(f"  c{number} \\[{'T' if case.expected else 'F'}] {escape(json.dumps(case.input)[:110])}")
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for number in range(len(matrix.cases)):
        table.add_column(f"c{number}")
    table.add_column("agrees")
    for number, (function, row) in enumerate(zip(matrix.functions, matrix.verdicts, strict=True)):
        wanted = ["pass" if case.expected else "fail" for case in matrix.cases]
        agreed = float(share(sum(a == b for a, b in zip(row, wanted, strict=True)), len(row)))
        mark = "[green]kept[/]" if function.id in kept else "dropped"
        table.add_row(f"f{number}", *(_MARKS.get(verdict, "[yellow]?[/]") for verdict in row), f"{agreed:.0%} {mark}")
    console.print(table)
    for number, function in enumerate(matrix.functions):
        console.print(f"\nf{number} {function.id}", style="bold")
        console.print(function.source, markup=False, highlight=False)
        if matrix.details and matrix.details[number]:
            console.print(f"  {matrix.details[number]}", style="yellow", markup=False)


def _print_back_translations(verified: VerifiedInstruction, console: Console) -> None:
    console.print("\nback-translations")
    for back in verified.back_translations:
        console.print(f"  {back.label} {back.score:.2f}  {escape(back.text)}")


def _print_samples(run: Path, instruction_id: str, console: Console) -> None:
    responses = [
        response
        for row in read_lines(run / "07_scoring", "kept")
        if (response := Response.model_validate(row)).prompt.instruction.id == instruction_id
    ]
    console.print(f"\n{len(responses)} samples kept")
    print_samples(responses, console)


def _verified(run: Path) -> Iterator[VerifiedInstruction]:
    for row in read_lines(run / "04_back_translation", "kept"):
        yield VerifiedInstruction.model_validate(row)


def _all(run: Path) -> Iterator[tuple[Draft | VerifiedInstruction, str]]:
    """Yield every instruction that got as far as verification, with the reason if it was dropped."""
    for folder, kind in (
        ("02_verification", Draft),
        ("03_cross_validation", Draft),
        ("04_back_translation", VerifiedInstruction),
    ):
        for row in read_lines(run / folder, "dropped"):
            dropped = Dropped.model_validate(row)
            yield kind.model_validate(dropped.record), f"{dropped.stage}: {dropped.reason} ({dropped.detail})"
    for verified in _verified(run):
        yield verified, ""
