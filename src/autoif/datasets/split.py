"""Holds instructions out of training, and checks that a model is measured only on those that it never saw.

    write_split            divides verified instructions in two, before any training data is made of them
    find_overlap           finds what evaluation rows share with training rows

An instruction's side follows from its content and a seed, so adding or removing other instructions doesn't move it.
Instructions that have a function in common ask for much the same, so they are kept on one side.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoif.datasets.reviewing import iterate_instructions
from autoif.datasets.rows import AnyRow, PreferenceRow, find_data_sets, find_kind, list_functions
from autoif.errors import ConfigError
from autoif.messages import list_some
from autoif.models.requests import sampling_seed
from autoif.reading.jsonl import read_jsonl
from autoif.records import VerifiedInstruction
from autoif.runs.store import DATA_SETS
from autoif.runs.whole_files import digest_file, replace_file, write_jsonl

TRAIN, HELD_OUT, RECORD = "train.jsonl", "held_out.jsonl", "split.json"
_SEEDS = 1 << 31


def split_instructions(
    instructions: Sequence[VerifiedInstruction], share: float, seed: int
) -> tuple[list[VerifiedInstruction], list[VerifiedInstruction]]:
    """Return (train, held out), each in the given order; about `share` of the instructions are held out.
    Raises ConfigError: the share is not between 0 and 1, or one side would be empty."""
    if not 0 < share < 1:
        raise ConfigError(f"the share to hold out is more than 0 and less than 1, not {share:g}")
    sides: tuple[list[VerifiedInstruction], list[VerifiedInstruction]] = ([], [])
    for verified, group in zip(instructions, _groups(instructions), strict=True):
        sides[sampling_seed(seed, "held out", group) < share * _SEEDS].append(verified)
    if not all(sides):
        raise ConfigError(
            f"{len(instructions)} instructions with --held-out {share:g} and --seed {seed} give {len(sides[0])} to "
            f"train and {len(sides[1])} to hold out: make more instructions, or choose another share"
        )
    return sides


def write_split(source: Path, share: float, seed: int, folder: Path) -> dict[Path, int]:
    """Split the instructions of a file as `split_instructions` does; return the number of rows of each file written.

    Raises:
        ConfigError: as `split_instructions` does; or the folder holds another split, or files with these names.
        StoreError: the file can't be read, or the folder can't be written.
    """
    sides = split_instructions([*iterate_instructions(source)], share, seed)
    counts = {"train": len(sides[0]), "held_out": len(sides[1])}
    record = {"sha256": digest_file(source), "share": share, "seed": seed, **counts}
    written = {folder / TRAIN: sides[0], folder / HELD_OUT: sides[1]}
    if source.resolve() in {path.resolve() for path in written}:
        raise ConfigError(f"{source} would be replaced by a part of itself: choose another --output")
    _claim(folder / RECORD, record)
    for path, rows in written.items():
        write_jsonl(path, rows)
    return {path: len(rows) for path, rows in written.items()}


def _claim(path: Path, record: dict[str, Any]) -> None:
    """Write the record of what the split is made of. Raises ConfigError: a split of something else is there."""
    text = json.dumps(record, indent=2) + "\n"
    sides = [side for name in (TRAIN, HELD_OUT) if (side := path.with_name(name)).exists()]
    if sides and not path.exists():
        raise ConfigError(f"{sides[0]} is there and is of no split, so it isn't replaced: choose another --output")
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
        raise ConfigError(
            f"{path.parent} holds a split of other instructions, share or seed; what was trained on it is known by it: "
            "choose another --output"
        )
    replace_file(path, [text])


def _groups(instructions: Sequence[VerifiedInstruction]) -> list[str]:
    """Return for each instruction the name of its group: the smallest id among those that share functions with it,
    directly or through others."""
    leader = {verified.instruction.id: verified.instruction.id for verified in instructions}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    owner: dict[str, str] = {}
    for verified in instructions:
        for function in verified.functions:
            first, second = sorted((find(owner.setdefault(function.id, verified.instruction.id)),
                                    find(verified.instruction.id)))  # fmt: skip
            leader[second] = first
    return [find(verified.instruction.id) for verified in instructions]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row of a data set comes from."""

    instruction_ids: tuple[str, ...]
    query_id: str
    """"" for a pair at the instruction level, which has no query."""
    functions: tuple[str, ...]


def source_of(row: AnyRow) -> Source:
    """Return where a row comes from. Raises ValueError: it lacks ids that tell."""
    instructions = tuple(each.instruction_id for each in row.constraints)
    alone = isinstance(row, PreferenceRow) and row.level == "instruction"
    if not instructions or not all(instructions) or not (row.query_id or alone):
        raise ValueError("it doesn't tell where it comes from (constraints with an instruction_id, and a query_id)")
    return Source(instructions, row.query_id, list_functions(row))


@dataclass(frozen=True, slots=True)
class Overlap:
    """What training and evaluation rows have in common, sorted; empty if the evaluation rows were held out."""

    instructions: tuple[str, ...] = ()
    """Their ids."""
    queries: tuple[str, ...] = ()
    """Their ids."""
    functions: int = 0
    """Number of function sources."""

    def __bool__(self) -> bool:
        return bool(self.instructions or self.queries or self.functions)

    def describe(self) -> str:
        """Return the counts in words, with the first ids."""
        return (
            f"{len(self.instructions)} instructions{_first(self.instructions)}, "
            f"{len(self.queries)} queries{_first(self.queries)} and {self.functions} functions"
        )


def find_overlap(trained: Iterable[Source], measured: Iterable[Source]) -> Overlap:
    """Return what training rows and evaluation rows have in common."""
    known, asked = list(trained), list(measured)
    instructions = {each for row in known for each in row.instruction_ids} & {
        each for row in asked for each in row.instruction_ids
    }
    queries = {row.query_id for row in known if row.query_id} & {row.query_id for row in asked}
    functions = {source for row in known for source in row.functions} & {
        source for row in asked for source in row.functions
    }
    return Overlap(tuple(sorted(instructions)), tuple(sorted(queries)), len(functions))


def refuse_overlap(unseen_by: Iterable[Path], asked: Sequence[Source]) -> None:
    """Raise ConfigError if training data, in files or run folders, shares anything with prompts to be asked."""
    for data in unseen_by:
        if overlap := find_overlap(read_sources(data), asked):
            raise ConfigError(f"{data} was trained on and shares {overlap.describe()} with the prompts")


def read_sources(path: Path) -> list[Source]:
    """Read where the rows of a data set come from: one file, or all data sets of a run folder.

    Raises:
        ConfigError: the folder has none, or there are no rows.
        StoreError: a file can't be read, or a row doesn't tell where it comes from; file and line are named.
    """
    sources = list[Source]()
    for file in find_data_sets(path):
        read_jsonl(file, find_kind(file), check=lambda row: sources.append(source_of(row)))
    if not sources:
        raise ConfigError(f"{path} has no rows of {', '.join(DATA_SETS)}: name a run folder or one of these files")
    return sources


def _first(ids: Sequence[str]) -> str:
    return f" ({list_some(ids, 3)})" if ids else ""
