"""Training files without the rows that overlap with a benchmark: what stays is byte for byte as it was."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from autoif.errors import ConfigError
from autoif.evaluation.contamination.measure import Comparison
from autoif.store import storage_errors


def write_clean(comparison: Comparison, folder: Path) -> None:
    """Write each training file under its name, without the lines that overlap.

    Raises:
        ConfigError: a file is a JSON list, two have the same name, or would be written over itself.
        StoreError: the folder can't be written.
    """
    check_clean(comparison.data.files, folder)
    numbers = [set[int]() for _ in comparison.data.files]
    for row in comparison.data.shared:
        file, number = comparison.data.places[row]
        numbers[file].add(number)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path, lines in zip(comparison.data.files, numbers, strict=True):
            temporary = folder / f".{path.name}.tmp"
            with temporary.open("wb") as written:
                written.writelines(_keep(path, lines))
            temporary.replace(folder / path.name)


def check_clean(files: Sequence[Path], folder: Path) -> None:
    """Refuse, before any work, what can't be cleaned. Raises as `write_clean`."""
    for path in files:
        if path.suffix != ".jsonl":
            raise ConfigError(f"--clean takes rows out of .jsonl files, and {path} is none: write it a row a line")
        if [other.name for other in files].count(path.name) > 1:
            raise ConfigError(f"--clean would write {path.name} twice: clean one of these files at a time")
        if (folder / path.name).resolve() == path.resolve():
            raise ConfigError(f"--clean would write over {path}: name another folder")


def _keep(path: Path, without: set[int]) -> Iterator[bytes]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number not in without:
                yield line
