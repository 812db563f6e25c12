"""The rows of a run's JSONL file as a sequence that reads each row on demand.

    rows = Rows("runs/first/sft.jsonl")
    len(rows), rows[0]["messages"], rows[-3:]

The offsets of the rows are found at the first use, and again if the file changes; rows are never all in memory.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from autoif.errors import ConfigError, StoreError, needing_extra
from autoif.reading.json_text import parse_json
from autoif.reading.text_lines import expand_home
from autoif.runs.store import MANIFEST, is_made, reading_errors

if TYPE_CHECKING:
    import datasets

Row = dict[str, Any]


class Rows(Sequence[Row]):
    """The rows of a JSONL file, read on demand; blank lines are skipped."""

    def __init__(self, path: str | Path) -> None:
        self.path = expand_home(path).absolute()  # so that changing the working directory changes nothing
        self._starts: list[int] = []
        self._version: tuple[int, ...] | None = None
        """Identifies the file that `_starts` belongs to, as a run may still write or replace it."""

    def __iter__(self) -> Iterator[Row]:
        if self._is_there():
            with reading_errors(self.path), self.path.open("rb") as lines:
                for index, line in enumerate(lines):
                    if line.strip():
                        yield self._read(index, line)

    def __len__(self) -> int:
        return len(self._index())

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        starts = self._index()
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(starts)))]
        with reading_errors(self.path), self.path.open("rb") as file:
            file.seek(starts[index])
            return self._read(index, file.readline())

    def to_dataset(self) -> "datasets.Dataset":
        """Return the rows as a `datasets.Dataset`.

        Raises:
            ConfigError: there are no rows, or the package is not installed.
            StoreError: the file is damaged, or the package can't write its cache.
        """
        with needing_extra("datasets", "a Dataset"):
            import datasets
        if not self:
            raise ConfigError(f"{self.path} has no rows: a Dataset needs at least one")
        try:
            made = datasets.Dataset.from_json(str(self.path))
        except datasets.exceptions.DatasetGenerationError as error:
            raise StoreError(f"{self.path} is no data set ({error.__cause__ or error}); mend it") from None
        except OSError as error:
            raise StoreError(f"datasets can't keep its cache ({error}): set HF_HOME to a folder for it") from None
        # JSON has no timestamps: if `datasets` took a column of texts for timestamps, build it again from the rows.
        return datasets.Dataset.from_list(list(self)) if "timestamp" in str(made.features) else made

    def __repr__(self) -> str:
        try:
            return f"<{len(self):,} rows of {self.path}>"
        except StoreError as error:  # a log or a debugger shows it, too
            return f"<rows: {error}>"

    def _read(self, index: int, line: bytes) -> Row:
        try:
            row: Row = parse_json(line.decode("utf-8"))
        except ValueError as error:
            raise StoreError(f"{self.path}, line {index + 1}: broken JSON ({error}); mend or remove it") from None
        return row

    def _index(self) -> list[int]:
        """Return the offset of each row."""
        if not self._is_there():
            return []
        with reading_errors(self.path):
            found = self.path.stat()
            version = (found.st_ino, found.st_size, found.st_mtime_ns)
            if version != self._version:
                starts, place = [], 0
                with self.path.open("rb") as lines:
                    for line in lines:
                        if line.strip():
                            starts.append(place)
                        place += len(line)
                self._starts, self._version = starts, version
        return self._starts

    def _is_there(self) -> bool:
        """Tell whether the run has made the file yet. Raises StoreError: the folder is gone, or belongs to no run."""
        folder = self.path.parent
        if not folder.is_dir():
            raise StoreError(f"{folder} is gone: load the run from where it is now")
        if is_made(folder, self.path.name):
            return True
        if not (folder / MANIFEST).exists():
            raise StoreError(f"{self.path}: no such file, and its folder is of no run that would make it")
        return False
