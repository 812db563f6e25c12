"""A run in slices: one for each task of a batch system, in a folder that all tasks see (`autoif run --shards 3/100`).

    RUN/slices/plan.json        how many slices there are
    RUN/slices/claim-0001 …     which process works on the run as a whole: on its instructions first, on its data last
    RUN/slices/003-of-100/      a run folder of its own: every 100th shard from the third on, and its answers
    RUN/…                       the merged run, once the slices are complete

Shards keep the numbers that they have in the whole run, so merging is copying.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from autoif.errors import ConfigError, StoreError
from autoif.models.cache import CompletionCache
from autoif.models.journal import MERGED, MERGING, import_journals, list_journals
from autoif.pipeline import Step
from autoif.reading.json_text import parse_json
from autoif.runs.counts import FileCount, read_counts
from autoif.runs.manifest import list_changes, read_identity
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import SLICES, read_digests, read_manifest, reading_errors
from autoif.runs.whole_files import write_json

_PLAN = "plan.json"
_MOST = 9_999


@dataclass(frozen=True, slots=True)
class Slice:
    """Every `total`-th shard of a run, beginning with shard `number` - 1."""

    number: int
    """From 1; 0 has no shards, and stands for the work that comes before them."""
    total: int

    @classmethod
    def parse(cls, text: str) -> "Slice":
        """Parse a slice such as "3/100". Raises ConfigError: it is not of this form."""
        found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text.strip(), re.ASCII)
        number, total = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= number <= total <= _MOST:
            raise ConfigError(
                f"--shards {text!r}: give the slice and how many there are, as in 3/100: from 1/100 to 100/100, and at "
                f"most {_MOST:,}"
            )
        return cls(number, total)

    def has(self, shard: int) -> bool:
        return self.number > 0 and shard % self.total == self.number - 1

    def folder(self, run: Path) -> Path:
        return run / SLICES / f"{self.number:03d}-of-{self.total:03d}"

    @property
    def whole(self) -> list["Slice"]:
        """All slices of the same run."""
        return [replace(self, number=number) for number in range(1, self.total + 1)]

    def __str__(self) -> str:
        return f"slice {self.number}/{self.total}"


def read_total(run: Path) -> int | None:
    """Return the number of slices of a run; None if there is no plan yet. Raises StoreError: the plan is damaged."""
    path = run / SLICES / _PLAN
    try:
        with reading_errors(path):
            return Slice.parse(f"1/{parse_json(path.read_text(encoding='utf-8'))['slices']}").total
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, ConfigError):
        raise StoreError(f"{path} is damaged: delete it; the next slice writes it anew") from None


def write_plan(run: Path, total: int, leave_out: Collection[str]) -> None:
    """Write the number of slices, which is final, and what the run had spent before they began.

    Each slice begins with copies of the run's answers so far, except those of the stages in `leave_out`.
    """
    stages = cast("dict[str, dict[str, int]]", read_manifest(run).get("usage", {}))
    inherited = _add_up(spent for name, spent in stages.items() if name not in leave_out)
    write_json(run / SLICES / _PLAN, {"slices": total, "spent": _add_up(stages.values()), "inherited": inherited})


def read_spent(run: Path) -> tuple[Counter[str], Counter[str]]:
    """Return what a run had spent before its slices began, and the part of this that each slice counts as its own."""
    try:
        plan = parse_json((run / SLICES / _PLAN).read_text(encoding="utf-8"))
        return Counter(plan["spent"]), Counter(plan["inherited"])
    except (OSError, ValueError, TypeError, KeyError):  # `read_total` reports damage
        return Counter(), Counter()


def _add_up(stages: Iterable[Mapping[str, int]]) -> dict[str, JsonValue]:
    total = Counter[str]()
    for spent in stages:
        total.update(spent)
    return {**total}


def find_slices(run: Path) -> list[Slice]:
    """Return all slices of a run; an empty list if it isn't divided."""
    total = read_total(run)
    return Slice(1, total).whole if total else []


def is_complete(run: Path, part: Slice, until: Step) -> bool:
    """Tell whether a slice is complete up to step `until`, with the settings that the run has now."""
    found = read_manifest(part.folder(run))
    noted = found.get("slice")
    ended = found.get("status") == "complete" and isinstance(noted, dict) and noted.get("until") in {until, "queries"}
    return ended and have_same_settings(found, read_manifest(run))


def have_same_settings(one: Mapping[str, JsonValue], other: Mapping[str, JsonValue]) -> bool:
    return not list_changes(read_identity(one), read_identity(other))


def adopt_slices(folder: RunFolder, cache: CompletionCache, record: Mapping[str, JsonValue]) -> None:
    """Copy all answers of a run's slices into its folder, and the finished shards of slices with the same settings."""
    slices = [each.folder(folder.path) for each in find_slices(folder.path)]
    journals = {str(path.relative_to(folder.path)): path for each in slices for path in list_journals(each)}
    sizes: dict[str, JsonValue] = {name: path.stat().st_size for name, path in journals.items()}
    if not slices or (_read_merged(folder.path) == sizes and cache.total().completions):
        return
    import_journals(journals.values(), cache)
    for each in slices:
        if have_same_settings(read_manifest(each), record):
            for count in _list_shards(each):
                folder.copy(count, each / count.file)
    write_json(folder.path / SLICES / MERGING, sizes)


def _list_shards(slice_: Path) -> Iterator[FileCount]:
    """Yield the counts of the stage files that a slice has written; within a stage, those of kept records come last."""
    digests, counts = read_digests(slice_), read_counts(slice_)
    for name in sorted(name for name in digests if re.match(r"\d\d_\w+/(?:kept|dropped)-", name)):
        if name in counts and counts[name].sha256 == digests[name]:
            yield counts[name]


def _read_merged(run: Path) -> JsonValue:
    """Return the sizes of the slices' journals when they were last merged; None if they never were."""
    try:
        sizes: JsonValue = parse_json((run / SLICES / MERGED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return sizes
