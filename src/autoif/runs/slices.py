"""A run in slices: one for each task of a batch system, in a folder that all tasks see (`autoif run --shards 3/100`).

    RUN/slices/plan.json        how many slices there are
    RUN/slices/claim-0001 …     who works on the run as a whole: its instructions first, its data sets last
    RUN/slices/003-of-100/      a run folder of its own: every 100th shard from the third on, and its answers
    RUN/…                       the run, once the slices are complete

Shards keep the numbers that they have in the whole run, so that merging is copying.
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
    """Some of a run's shards."""

    number: int
    """From 1; 0 for no shard at all: what comes before them."""
    total: int

    @classmethod
    def parse(cls, text: str) -> "Slice":
        """Return the slice that "3/100" names. Raises ConfigError."""
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
        return [replace(self, number=number) for number in range(1, self.total + 1)]

    def __str__(self) -> str:
        return f"slice {self.number}/{self.total}"


def read_total(run: Path) -> int | None:
    """Return in how many slices a run is; None as long as none has begun. Raises StoreError: the plan is damaged."""
    path = run / SLICES / _PLAN
    try:
        with reading_errors(path):
            return Slice.parse(f"1/{parse_json(path.read_text(encoding='utf-8'))['slices']}").total
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, ConfigError):
        raise StoreError(f"{path} is damaged: delete it; the next slice writes it anew") from None


def write_plan(run: Path, total: int, leave_out: Collection[str]) -> None:
    """Note for good in how many slices a run is, and what it spent before; slices don't get the answers `leave_out`."""
    stages = cast("dict[str, dict[str, int]]", read_manifest(run).get("usage", {}))
    inherited = _add_up(spent for name, spent in stages.items() if name not in leave_out)
    write_json(run / SLICES / _PLAN, {"slices": total, "spent": _add_up(stages.values()), "inherited": inherited})


def read_spent(run: Path) -> tuple[Counter[str], Counter[str]]:
    """Return what a run had spent before its slices began, and what of it each slice counts as its own."""
    try:
        plan = parse_json((run / SLICES / _PLAN).read_text(encoding="utf-8"))
        return Counter(plan["spent"]), Counter(plan["inherited"])
    except (OSError, ValueError, TypeError, KeyError):  # `read_total` tells of damage
        return Counter(), Counter()


def _add_up(stages: Iterable[Mapping[str, int]]) -> dict[str, JsonValue]:
    total = Counter[str]()
    for spent in stages:
        total.update(spent)
    return {**total}


def find_slices(run: Path) -> list[Slice]:
    """Return the slices of a run; none if it has none."""
    total = read_total(run)
    return Slice(1, total).whole if total else []


def is_complete(run: Path, part: Slice, until: Step) -> bool:
    """Tell whether a slice has come to the end of a step, with the settings that the run has now."""
    found = read_manifest(part.folder(run))
    noted = found.get("slice")
    ended = found.get("status") == "complete" and isinstance(noted, dict) and noted.get("until") in {until, "queries"}
    return ended and have_same_settings(found, read_manifest(run))


def have_same_settings(one: Mapping[str, JsonValue], other: Mapping[str, JsonValue]) -> bool:
    return not list_changes(read_identity(one), read_identity(other))


def adopt_slices(folder: RunFolder, cache: CompletionCache, record: Mapping[str, JsonValue]) -> None:
    """Copy what the slices of a run have finished, with its settings, and all their answers into its folder."""
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
    """Yield what is noted of the files of the stages that a slice has finished; of the kept ones last."""
    noted, counts = read_digests(slice_), read_counts(slice_)
    for name in sorted(name for name in noted if re.match(r"\d\d_\w+/(?:kept|dropped)-", name)):
        if name in counts and counts[name].sha256 == noted[name]:
            yield counts[name]


def _read_merged(run: Path) -> JsonValue:
    try:
        sizes: JsonValue = parse_json((run / SLICES / MERGED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return sizes
