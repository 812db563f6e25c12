"""§3.2, seeds: the hand-written instructions that self-instruct starts from (paper: 36).

In:      a file of rows (row_files.py), or a run folder; the seeds of this package if there is none.
Out:     the seeds in their order, each once; numbering, bullets and marks around the whole are taken off.
Dropped: rows that ask about a text of their own (`needs_context`): a seed is a constraint that goes with any question;
         instructions of a run that its reviewers rejected (`rejected_by_reviewer`); repeated ones (`duplicate_exact`);
         layout and headings of lists (`not_an_instruction`); rows without a text (`empty`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from autoif.decisions import Review, read_review
from autoif.errors import ConfigError
from autoif.instructions.deduplication import STAGE
from autoif.messages import list_counts
from autoif.models.text import is_sound_text
from autoif.reading.lines import clean_line, is_layout
from autoif.reading.row_files import SourceRow, read_rows, split_column
from autoif.reading.row_texts import HOW_TO_NAME, RowText, list_columns, pick_text, read_line
from autoif.records import Dropped, Instruction, Reason
from autoif.runs.store import INSTRUCTIONS, MANIFEST, SELF_INSTRUCT, list_shards

MAX_CHARS = 300
"""A longer text is more than one atomic constraint."""
_BREAKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_HEADING_ENDS = (":", "：")
"""How a line above a list ends, as in "Here are three instructions:"."""
_TIERS = (
    ("seed", "seeds"),
    ("instruction", "instructions", "constraint", "constraints", "rule", "rules"),
    ("text", "texts", "query", "queries", "prompt", "prompts", "question", "questions", "content"),
)


@dataclass(frozen=True, slots=True)
class Seeds:
    """The seeds of a source, and what was dropped from it."""

    kept: list[Instruction] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)


def load_seeds(path: Path | None) -> Seeds:
    """Return the seeds of a file (FILE or FILE:COLUMN) or of a run folder; those of this package for None.

    Raises:
        ConfigError: the source can't be read, has a row over `MAX_CHARS` or one that is no text, or holds no seed.
        StoreError: a decision of the run's reviewers is damaged.
    """
    if path is None:
        with resources.as_file(resources.files("autoif.instructions") / "seeds.txt") as packaged:
            return load_seeds(packaged)
    seeds: dict[str, Instruction] = {}
    dropped: list[Dropped] = []
    folder, _ = split_column(str(path))
    review = read_review(folder) if folder.is_dir() else Review()
    for file, row, column in _open(path):
        where = f"seeds file {file}, {row.place}"
        found = _read_seed(row.value, column, where)
        seed = Instruction.of(found.text, "seed")
        if not found.text:
            dropped.append(Dropped.of(STAGE, Reason.EMPTY, seed, f"{row.place}: it has no text"))
            continue
        _check(found.text, where)
        if row.written and (is_layout(found.text) or found.text.endswith(_HEADING_ENDS)):
            dropped.append(Dropped.of(STAGE, Reason.NOT_AN_INSTRUCTION, seed, f"{row.place}: {found.text[:200]}"))
        elif found.context or found.unreadable:
            dropped.append(
                Dropped.of(STAGE, Reason.NEEDS_CONTEXT, seed, f"{row.place}: it comes with a text of its own")
            )
        elif review.rejects("instruction", name := _find_id(row.value)):
            why = review.standings["instruction", name].describe()
            dropped.append(Dropped.of(STAGE, Reason.REJECTED_BY_REVIEWER, seed, why))
        elif seed.text in seeds:
            dropped.append(
                Dropped.of(STAGE, Reason.DUPLICATE_EXACT, seed, f"{row.place}: a seed before it says the same")
            )
        else:
            seeds[seed.text] = seed
    if not seeds:
        lost = list_counts(Counter(each.reason for each in dropped))
        raise ConfigError(f"seeds file {path}: no instruction in it; {lost if dropped else 'write one a line'}")
    return Seeds(list(seeds.values()), dropped)


def _open(source: Path) -> Iterable[tuple[Path, SourceRow, str | None]]:
    """Yield (file, row, named column) for each row of a file, or of the instructions of a run."""
    path, column = split_column(str(source))
    files = [path]
    if path.is_dir():
        verified = [path / INSTRUCTIONS] if (path / INSTRUCTIONS).exists() else []
        files = verified or list_shards(path, SELF_INSTRUCT, "kept") or [path]
        if files == [path] and (path / MANIFEST).exists():
            raise ConfigError(f"seeds {path}: this run has written no instructions yet; finish it, or name a file")
    for file in files:
        for row in read_rows(file, "seeds"):
            yield file, row, column


def _read_seed(row: object, column: str | None, where: str) -> RowText:
    """Return what a row asks for, in one line and without the marks of a list; empty if it is blank."""
    if isinstance(row, str | None):
        found = RowText(read_line(row, column, where))
    elif isinstance(row, Mapping):
        found = pick_text(row, _TIERS, column, where)
    else:
        raise ConfigError(f"{where}: neither a text nor an object with one; write each instruction as a text")
    if isinstance(row, Mapping) and not found.text and not _is_blank(row, column):
        raise ConfigError(f"{where}: no instruction in it; columns found: {list_columns(row)}; name one {HOW_TO_NAME}")
    lines = map(str.strip, _BREAKS.split(clean_line(found.text)))
    text = clean_line(" ".join(filter(None, lines)))
    return RowText(text, found.context, found.unreadable)


def _find_id(row: object) -> str:
    found = row.get("instruction", row) if isinstance(row, Mapping) else row
    return str(found.get("id", "")) if isinstance(found, Mapping) else ""


def _is_blank(row: Mapping[str, object], column: str | None) -> bool:
    """Tell whether a row has a column for its text and it is empty, not missing or of another type."""
    names = {str(name).strip().casefold(): value for name, value in row.items()}
    wanted = [column.casefold()] if column else [name for tier in _TIERS for name in tier]
    values = [names[name] for name in wanted if name in names]
    return bool(values) and all(value is None or (isinstance(value, str) and not value.strip()) for value in values)


def _check(text: str, where: str) -> None:
    if len(text) > MAX_CHARS:
        raise ConfigError(f"{where}: {len(text):,} characters; an instruction has at most {MAX_CHARS}")
    if not is_sound_text(text):
        raise ConfigError(f"{where}: control or broken characters, or tokens of a chat template; a seed is plain text")
