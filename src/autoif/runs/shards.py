"""The shards of a run: which ones its folder has, which are still to be run, and where their results go.

A shard is a group of `execution.shard_size` consecutive records of a step. It is finished when the files of all its
stages are in the run folder; these files are checked by their digests, not parsed. Other shards are read when an engine
has room and let go when their files are written, so memory doesn't depend on their number.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice

from autoif.engines import Engine
from autoif.pipeline import STAGES, Input, Shard, ShardResult, Step
from autoif.records import Dropped, Record, VerifiedInstruction
from autoif.report.progress import Progress
from autoif.runs import store
from autoif.runs.events import Events
from autoif.runs.run_folder import RunFolder
from autoif.runs.slices import Slice
from autoif.telemetry import Telemetry
from autoif.tools import ToolSettings


@dataclass(frozen=True, slots=True)
class OpenRun:
    """An open run: where results go, what workers need, what runs the shards, and what shows and records progress."""

    folder: RunFolder
    tools: ToolSettings
    engine: Engine
    progress: Progress
    part: Slice | None
    """The shards to run; None for all."""
    events: Events
    times: dict[str, float]
    """Seconds that the run has taken, by stage."""
    telemetry: Telemetry


@contextmanager
def timing(job: OpenRun) -> Iterator[dict[str, float]]:
    """Divide the elapsed time of the block among stages, which work at the same time.

    The block adds what each stage took to the yielded mapping, by folder; the shares are in proportion to that.
    """
    started = time.monotonic()
    spent = defaultdict[str, float](float)
    try:
        yield spent
    finally:
        passed, whole = time.monotonic() - started, sum(spent.values()) or 1.0
        for folder, part in spent.items():
            stage = folder.partition("_")[2]
            job.times[stage] = job.times.get(stage, 0.0) + passed * part / whole


async def run_steps(first: Step, records: Callable[[], Iterable[Input]], total: int, job: OpenRun, until: Step) -> None:
    """Run all shards that the folder lacks, from step `first` to step `until`.

    `records` reads the records that enter the first step, `total` of them. The second step of a shard comes before the
    first step of waiting shards, so that rows come early.
    """

    def follow(result: ShardResult) -> list[Shard]:
        return _make_next(result.step, result.index, result.stages[-1].kept) if until == "queries" else []

    def watch(folder: str, kept: Sequence[Record], dropped: Sequence[Dropped], entered: int) -> None:
        job.progress.watch(folder, kept, dropped, entered)
        job.telemetry.count_records(folder, len(kept), dropped)

    size, part = job.tools.config.execution.shard_size, job.part
    sizes = {at: min(size, total - at * size) for at in range(-(-total // size)) if part is None or part.has(at)}
    if part and not sizes:
        job.progress.say(f"{part} has nothing to do: the run has {-(-total // size):,} shards (execution.shard_size)")
    steps: tuple[Step, ...] = (first,) if first == until else ("instructions", "queries")
    job.progress.begin(tuple(stage.folder for step in steps for stage in STAGES[step]), total=sum(sizes.values()))
    missing = _find_missing(first, records, sizes, job, until)
    results = job.engine.run(missing, job.tools, watch, follow)
    with timing(job) as spent:
        try:
            async for result in results:
                await asyncio.to_thread(_write_result, job, result)
                for folder, outcome in zip(result.folders, result.stages, strict=True):
                    spent[folder] += outcome.seconds
                del result, outcome
        except BaseException as error:
            with suppress(type(error)):
                await results.athrow(error)  # so that the engine shuts down now, as after an error of its own
            raise


def _write_result(job: OpenRun, result: ShardResult) -> None:
    for name, outcome in zip(result.folders, result.stages, strict=True):
        job.folder.write_shard(name, result.index, outcome.kept, outcome.dropped)
    job.events.add("shard", step=result.step, index=result.index)


def _make_next(step: Step, index: int, kept: Sequence[Record]) -> list[Shard]:
    """Return the shard of the second step that follows a shard of the first step; none if no instruction was kept."""
    verified = tuple(record for record in kept if isinstance(record, VerifiedInstruction))
    return [Shard("queries", index, verified)] if step == "instructions" and verified else []


async def _find_missing(
    first: Step, records: Callable[[], Iterable[Input]], sizes: Mapping[int, int], job: OpenRun, until: Step
) -> AsyncIterator[Shard]:
    """Yield the shards that are still to be run, as they are asked for; second steps of finished shards come first."""
    finished = {index for index in sizes if _is_finished(first, index, job.folder)}
    for index in sorted(finished):
        left = await asyncio.to_thread(_count_finished, first, index, sizes[index], job)
        if first == "queries" or until == "instructions" or not left:
            continue
        if _is_finished("queries", index, job.folder):
            await asyncio.to_thread(_count_finished, "queries", index, left, job)
            continue
        kept = await asyncio.to_thread(job.folder.read_kept, store.BACK_TRANSLATION, index, VerifiedInstruction)
        for shard in _make_next(first, index, kept):
            yield shard
    if len(finished) < len(sizes):
        parts, index = _cut(records(), job.tools.config.execution.shard_size), 0
        while part := await asyncio.to_thread(next, parts, ()):
            if index in sizes and index not in finished:
                yield Shard(first, index, part)
            index += 1


def _is_finished(step: Step, index: int, folder: RunFolder) -> bool:
    return all(folder.has_shard(stage.folder, index) for stage in STAGES[step])


def _count_finished(step: Step, index: int, entered: int, job: OpenRun) -> int:
    """Report a finished shard, which `entered` records entered, to the progress display; return how many it kept."""
    for stage in STAGES[step]:
        kept, dropped = job.folder.count_shard(stage.folder, index)
        job.progress.count(stage.folder, kept, dropped, entered)
        entered = kept
    return entered


def _cut(records: Iterable[Input], size: int) -> Iterator[tuple[Input, ...]]:
    left = iter(records)
    while part := tuple(islice(left, size)):
        yield part
