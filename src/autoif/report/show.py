"""Prints a run, or one of its instructions, in a terminal: `autoif show RUN [ID]`."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from autoif.config import load_config
from autoif.errors import StoreError
from autoif.prompts import Prompts
from autoif.records import Contrast, Draft, Matrix, Prompt, Response, VerifiedInstruction
from autoif.report.ending import describe_ending
from autoif.report.funnel import describe_formats, read_formats, read_funnel
from autoif.report.settling import describe_settling, print_settling, read_settling
from autoif.report.terminal import make_table, print_line, print_notes
from autoif.runs import store
from autoif.runs.contents import read_dropped, read_verified
from autoif.runs.counts import count_rows, count_stage
from autoif.thresholds import share
from autoif.vocabulary import fold

_MARKS = {"pass": "[green]T[/]", "fail": "[red]F[/]", "error": "[yellow]E[/]", "timeout": "[yellow]t[/]"}


def show_run(run: Path, console: Console) -> None:
    """Print the funnel of a run and its instructions with their ids."""
    console.print(read_funnel(run))
    console.print(describe_formats(read_formats(run)), style="dim")
    if settling := describe_settling(read_settling(run)):
        console.print(settling, style="dim")
    table = make_table("id", "functions", "cases", "instruction")
    for verified in read_verified(run):
        kept = f"{len(verified.functions)}/{len(verified.matrix.functions)}"
        cases = f"{len(verified.cases)}/{len(verified.matrix.cases)}"
        table.add_row(verified.instruction.id, kept, cases, escape(verified.instruction.text))
    console.print("\nverified instructions:")
    console.print(table)


def show_made(run: Path, console: Console) -> None:
    """Print what a run has made: the funnel, three samples, the files, and notes."""
    console.print(read_funnel(run))
    sandbox = store.read_manifest(run).get("sandbox", "not recorded")
    for line in (f"sandbox: {sandbox}", describe_formats(read_formats(run)), describe_settling(read_settling(run))):
        if line:
            print_line(line, console, "dim")
    total = count_stage(run, store.SCORING, "kept").rows
    print_samples(read_samples(run, places=range(0, total, max(1, total // 3))[:3]), console)
    console.print()
    for name, rows in count_rows(run, (store.INSTRUCTIONS, *store.DATA_SETS)).items():
        print_line(f"{rows:>7,} rows  {os.path.relpath(run / name)}", console)
    print_notes(describe_ending(run).lines, console)


def show_instruction(run: Path, wanted: str, console: Console) -> None:
    """Print the instruction, kept or dropped, whose id begins with `wanted`.

    Shows how it was settled, its functions x cases matrix, its back-translations and its samples.

    Raises:
        StoreError: no instruction of the run has such an id, or several have.
    """
    read_funnel(run)
    found = {
        record.instruction.id: (record, reason)
        for record, reason in _iterate_instructions(run)
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
    draft = _find_draft(run, record)
    print_settling(draft, console)
    if record.matrix.verdicts:
        kept = {function.id for function in record.functions} if isinstance(record, VerifiedInstruction) else set()
        _print_matrix(record.matrix, kept, console)
    if isinstance(record, VerifiedInstruction):
        if draft and (chosen_by := _find_chooser(run)) != "cases":
            console.print(_describe_votes(draft, record, chosen_by), highlight=False)
        if record.contrast:
            console.print(_describe_contrast(record.contrast))
        console.print("\nback-translations")
        for back in record.back_translations:
            console.print(f"  {back.label} {back.score:.2f}  {escape(back.text)}")
        samples = read_samples(run, record.instruction.id)
        console.print(f"\n{len(samples)} samples kept")
        print_samples(samples, console)


def _find_draft(run: Path, record: Draft | VerifiedInstruction) -> Draft | None:
    """Return an instruction as the verification stage left it; None if the run began with verified instructions."""
    if isinstance(record, Draft):
        return record
    rows = store.read_stage(run, store.VERIFICATION, "kept")
    found = next((row for row in rows if row["instruction"]["id"] == record.instruction.id), None)
    return Draft.model_validate(found) if found else None


def _find_chooser(run: Path) -> str:
    config: Any = store.read_run(run).get("config")
    rules = config.get("cross_validation") if isinstance(config, dict) else None
    return str(rules.get("choose_by", "cases")) if isinstance(rules, dict) else "cases"


def _describe_votes(draft: Draft, verified: VerifiedInstruction, chosen_by: str) -> str:
    from autoif.instructions.observation import count_votes  # imported here, as it loads the client of models

    votes = count_votes(draft)
    kept = {function.id for function in verified.functions}
    given = sum(count for function, count in zip(draft.matrix.functions, votes, strict=True) if function.id in kept)
    score = "" if verified.score is None else f", {verified.score:.2f}"
    return (
        f"\nchosen by {chosen_by}{score}: {given} of {sum(votes)} answers gave the kept functions; "
        "what cases expect decides nothing"
    )


def _describe_contrast(contrast: Contrast) -> str:
    lifts = ", ".join(f"f{number} {lift:+.2f}" for number, lift in enumerate(contrast.lifts))
    answers = f"{len(contrast.asked)} answers with the instruction and {len(contrast.plain)} without it"
    return f"\nlift over {answers}: {lifts}; chosen by {contrast.chosen_by}"


def show_prompts(source: str, console: Console) -> None:
    """Print the prompts of a run folder, a preset or a TOML file, each as its prompt file has it.

    Raises:
        ConfigError, StoreError: the source can't be read, or is a run folder without prompts.
    """
    prompts = _read_prompts(Path(source)) if Path(source).is_dir() else load_config(source).prompts
    for name, prompt in prompts.files().items():
        console.print(f"[bold]# {name}[/]: {escape(prompt.source)}, {prompt.digest}")
        print_line(f"\n{prompt.text}\n", console)


def _read_prompts(run: Path) -> Prompts:
    config: Any = store.read_run(run).get("config")
    try:
        return Prompts.model_validate(config["prompts"])
    except (KeyError, TypeError, ValueError):
        raise StoreError(f"{run / store.MANIFEST} holds no prompts: restore it") from None


def print_samples(responses: list[Response], console: Console) -> None:
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
    table = make_table("", *(f"c{number}" for number in range(len(matrix.cases))), "agrees")
    rows = zip(matrix.functions, matrix.verdicts, matrix.agreement, strict=True)
    for number, (function, row, agrees) in enumerate(rows):
        agreed = float(share(sum(agrees), len(row)))
        mark = "[green]kept[/]" if function.id in kept else "dropped"
        table.add_row(f"f{number}", *(_MARKS.get(verdict, "[yellow]?[/]") for verdict in row), f"{agreed:.0%} {mark}")
    console.print(table)
    for number, function in enumerate(matrix.functions):
        console.print(f"\nf{number} {function.id}", style="bold")
        console.print(fold(function.source), markup=False, highlight=False)
        if matrix.details and matrix.details[number]:
            console.print(f"  {matrix.details[number]}", style="yellow", markup=False)


def read_samples(run: Path, instruction_id: str = "", places: Sequence[int] | None = None) -> list[Response]:
    """Return the responses that a run kept to the end: to one instruction, at these places among all, or all."""
    prompts: Iterable[dict[str, Any]] = store.read_stage(run, store.AUGMENTATION, "kept")
    chosen, named = None, None
    if places is not None:
        chosen = [*store.read_stage(run, store.SCORING, "kept", places=places)]
        wanted = {row["prompt"] for row in chosen}
        prompts = [row for row in prompts if row["id"] in wanted]
        named = {name for row in prompts for name in row["constraints"]}
    known: dict[str, Any] = {
        verified.id: verified for verified in read_verified(run) if named is None or verified.id in named
    }
    asked = {name for name, each in known.items() if instruction_id in ("", each.instruction.id)}
    for row in prompts:
        if known.keys() >= {*row["constraints"]} and asked.intersection(row["constraints"]):
            known[row["id"]] = Prompt.model_validate(row, context=known)
    rows = store.read_stage(run, store.SCORING, "kept") if chosen is None else chosen
    return [Response.model_validate(row, context=known) for row in rows if row["prompt"] in known]


def _iterate_instructions(run: Path) -> Iterator[tuple[Draft | VerifiedInstruction, str]]:
    """Yield every instruction that reached verification, with the reason if it was dropped, else ""."""
    for folder in (store.VERIFICATION, store.CROSS_VALIDATION, store.BACK_TRANSLATION):
        for dropped in read_dropped(run, folder):
            if isinstance(dropped.record, Draft | VerifiedInstruction):
                yield dropped.record, f"{dropped.stage}: {dropped.reason} ({dropped.detail})"
    for verified in read_verified(run):
        yield verified, ""
