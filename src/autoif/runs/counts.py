"""counts.jsonl: how many rows each file of a run has, and why they were dropped, noted when the file is written.

So the funnel, and starting a finished run again, take no longer the more rows there are: files are compared by their
digests, and not parsed. A file without a note that fits is read.
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
    """What is noted of a file."""

    file: str
    sha256: str = ""
    made_of: str = ""
    """Names what a data set was made of; "" of other files."""
    counted: Counter[str] = field(default_factory=Counter)
    """Rows, under ""; those that were dropped by their reason, too."""
    refusals: Counter[str] = field(default_factory=Counter)
    """What servers said when they refused."""

    @property
    def rows(self) -> int:
        return self.counted[""]

    @property
    def reasons(self) -> Counter[str]:
        return Counter({name: count for name, count in self.counted.items() if name})

    def add(self, row: object) -> None:
        self.counted[""] += 1
        if isinstance(row, Dropped):
            row = {"reason": row.reason.value, "detail": row.detail}
        if isinstance(row, Mapping) and isinstance(reason := row.get("reason"), str):
            self.counted[reason] += 1
            if reason == Reason.REFUSED_BY_MODEL:
                self.refusals[str(row["detail"])] += 1

    def of(self, file: str, sha256: str) -> "FileCount":
        """Return the same of a file with this name and digest."""
        return replace(self, file=file, sha256=sha256)

    def to_line(self) -> str:
        line: dict[str, Any] = {"file": self.file, "sha256": self.sha256, "rows": self.rows}
        more: dict[str, Any] = {"reasons": dict(self.reasons), "refusals": dict(self.refusals), "made_of": self.made_of}
        return to_line({**line, **{name: value for name, value in more.items() if value}})


@dataclass(frozen=True, slots=True)
class Notes:
    """What a run notes of its files, by their names."""

    digests: Mapping[str, str]
    counts: Mapping[str, FileCount]


def read_notes(run: Path) -> Notes:
    """Return what a run notes of its files. Who counts several stages reads it once: it has a line for each file."""
    return Notes(read_digests(run), read_counts(run))


def read_counts(run: Path) -> dict[str, FileCount]:
    """Return what is noted of the files of a run; a line that a kill has cut is none.
    Raises StoreError: it can't be read."""
    path = run / COUNTS
    with reading_errors(path):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ()
    return {count.file: count for line in lines if (count := parse_count(line))}


def parse_count(line: str) -> FileCount | None:
    """Return what a line of counts.jsonl says; None if it is damaged."""
    try:
        noted = parse_json(line)
        counted = Counter({"": int(noted["rows"]), **noted.get("reasons", {})})
        refusals = Counter(noted.get("refusals", {}))
        return FileCount(noted["file"], noted["sha256"], noted.get("made_of", ""), counted, refusals)
    except (ValueError, KeyError, TypeError):
        return None


def count_rows(run: Path, names: Iterable[str]) -> dict[str, int]:
    """Return how many rows those of these files of a run have that are there: they are counted, and not parsed."""
    return {name: _count_lines(run / name) for name in names if (run / name).is_file()}


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def count_stage(run: Path, stage: str, kind: Literal["kept", "dropped"], notes: Notes | None = None) -> FileCount:
    """Return what all shards of a stage kept or dropped.
    Raises StoreError: a file can't be read, or was changed after it was written."""
    noted = notes or read_notes(run)
    total = FileCount(stage)
    for path in list_shards(run, stage, kind):
        name = f"{stage}/{path.name}"
        digest, count = check_digest(path, noted.digests.get(name)), noted.counts.get(name)
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
