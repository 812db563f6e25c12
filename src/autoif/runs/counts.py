"""counts.jsonl: how many rows each file of a run has, and why rows were dropped, recorded when the file is written.

Thanks to these counts, showing the funnel or starting a finished run again only hashes files and parses none. A file
whose recorded count is missing, or has another digest, is read and counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from autoif.errors import StoreError
from autoif.reading.json_text import parse_json
from autoif.records import Dropped, Reason
from autoif.runs.store import COUNTS, check_digest, list_shards, read_digests, read_own_lines, reading_errors
from autoif.runs.whole_files import to_line


@dataclass(frozen=True, slots=True)
class FileCount:
    """The record of one file in counts.jsonl."""

    file: str
    sha256: str = ""
    made_of: str = ""
    """Id of what a data set was made of; "" for other files."""
    counted: Counter[str] = field(default_factory=Counter)
    """Number of all rows under "", and number of dropped rows under each reason."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Number of refusals by what the server said."""

    @property
    def rows(self) -> int:
        return self.counted[""]

    @property
    def reasons(self) -> Counter[str]:
        return Counter({name: count for name, count in self.counted.items() if name})

    def add(self, row: object) -> None:
        """Count a row: a record, a `Dropped`, or either as read from JSON."""
        self.counted[""] += 1
        if isinstance(row, Dropped):
            row = {"reason": row.reason.value, "detail": row.detail}
        if isinstance(row, Mapping) and isinstance(reason := row.get("reason"), str):
            self.counted[reason] += 1
            if reason == Reason.REFUSED_BY_MODEL:
                self.refusals[str(row["detail"])] += 1

    def of(self, file: str, sha256: str) -> "FileCount":
        """Return the same counts for a file with this name and digest."""
        return replace(self, file=file, sha256=sha256)

    def to_line(self) -> str:
        line: dict[str, Any] = {"file": self.file, "sha256": self.sha256, "rows": self.rows}
        more: dict[str, Any] = {"reasons": dict(self.reasons), "refusals": dict(self.refusals), "made_of": self.made_of}
        return to_line({**line, **{name: value for name, value in more.items() if value}})


@dataclass(frozen=True, slots=True)
class Notes:
    """The digests and counts that a run has recorded of its files, by file name."""

    digests: Mapping[str, str]
    counts: Mapping[str, FileCount]


def read_notes(run: Path) -> Notes:
    """Return the digests and counts of a run's files. Read them once to count several stages: each file has a line."""
    return Notes(read_digests(run), read_counts(run))


def read_counts(run: Path) -> dict[str, FileCount]:
    """Return the recorded counts of a run's files, by file name; a line that was cut off by a kill is ignored.
    Raises StoreError: counts.jsonl can't be read."""
    path = run / COUNTS
    with reading_errors(path):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ()
    return {count.file: count for line in lines if (count := parse_count(line))}


def parse_count(line: str) -> FileCount | None:
    """Parse a line of counts.jsonl; return None if it is damaged."""
    try:
        noted = parse_json(line)
        counted = Counter({"": int(noted["rows"]), **noted.get("reasons", {})})
        refusals = Counter(noted.get("refusals", {}))
        return FileCount(noted["file"], noted["sha256"], noted.get("made_of", ""), counted, refusals)
    except (ValueError, KeyError, TypeError):
        return None


def count_rows(run: Path, names: Iterable[str]) -> dict[str, int]:
    """Return the number of rows of these files of a run, without those that don't exist. Lines are not parsed."""
    return {name: _count_lines(run / name) for name in names if (run / name).is_file()}


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def count_stage(run: Path, stage: str, kind: Literal["kept", "dropped"], notes: Notes | None = None) -> FileCount:
    """Count what a stage kept or dropped in all shards; `notes` are the run's, if they were read already.
    Raises StoreError: a file can't be read, or was changed after it was written."""
    notes = notes or read_notes(run)
    total = FileCount(stage)
    for path in list_shards(run, stage, kind):
        name = f"{stage}/{path.name}"
        digest, count = check_digest(path, notes.digests.get(name)), notes.counts.get(name)
        if count is None or count.sha256 != digest:
            count = FileCount(name)
            for number, line in read_own_lines(path):
                try:
                    count.add(parse_json(line))
                except ValueError:
                    raise StoreError(
                        f"{path} is damaged in line {number}: run again with --resume-with-changes to make it anew"
                    ) from None
        total.counted.update(count.counted)
        total.refusals.update(count.refusals)
    return total
