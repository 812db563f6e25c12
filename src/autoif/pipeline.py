"""The stages in the paper's order, and the one loop that sends records through them, whatever the engine.

    §3.2  self_instruct ─► │ verification ─► cross_validation ─► back_translation │ ─► instructions.jsonl
    §3.3                   │ augmentation ─► rejection_sampling ─► scoring        │ ─► sft, preferences, rewards

A step (between the bars) runs shard by shard; the rest needs all records and runs once (`runs/orchestration.py`).
The second step of a shard begins when its first is done, without waiting for other shards.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from autoif.instructions.back_translation import back_translate
from autoif.instructions.cross_validation import cross_validate
from autoif.instructions.settling import write_settled_functions
from autoif.models.requests import ASKED_FOR
from autoif.queries.augmentation import augment
from autoif.queries.rejection_sampling import sample_responses
from autoif.queries.scoring import score
from autoif.records import Draft, Dropped, Instruction, Prompt, Record, Response, VerifiedInstruction
from autoif.runs import store
from autoif.tools import Tools

_BEGUN_AT_ONCE = 8
"""How many records enter a stage before other tasks get a turn on the event loop."""

Step = Literal["instructions", "queries"]
Watch = Callable[[str, Sequence[Record], Sequence[Dropped], int], None]
"""Called with a stage's folder, the records that it just kept and dropped, and how many records they came from."""
Enter = Callable[[str], AbstractContextManager[None]]
"""Called with a stage's folder; requests made within the block are attributed to that stage."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One box of the paper's Figure 2: its folder in the run, its function, and what it makes."""

    folder: str
    apply: Callable[[Any, Tools], Awaitable[list[Any]] | AsyncGenerator[list[Any]]]
    """Makes the results of a record: all at once, or in parts that each continue to the next stage at once."""
    makes: type[Record]
    together: bool = False
    """Whether `apply` gets all results of one record as a tuple; by default it gets each alone."""


STAGES: dict[Step, tuple[Stage, ...]] = {
    "instructions": (
        Stage(store.VERIFICATION, write_settled_functions, Draft),
        Stage(store.CROSS_VALIDATION, cross_validate, VerifiedInstruction),
        Stage(store.BACK_TRANSLATION, back_translate, VerifiedInstruction),
    ),
    "queries": (
        Stage(store.AUGMENTATION, augment, Prompt),
        Stage(store.REJECTION_SAMPLING, sample_responses, Response, together=True),
        Stage(store.SCORING, score, Response),
    ),
}

Input = Instruction | VerifiedInstruction


@dataclass(frozen=True, slots=True)
class Shard:
    """Some of a step's input records: the unit of distribution, of resuming and of retry."""

    step: Step
    index: int
    records: tuple[Input, ...]

    @property
    def stages(self) -> tuple["Stage", ...]:
        """The stages that the records go through."""
        return STAGES[self.step]

    @property
    def name(self) -> str:
        return f"{self.step}-{self.index:04d}"


@dataclass(slots=True)
class StageResult:
    """What one stage kept and dropped, in the order of its input."""

    kept: list[Record] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    entered: int = 0
    """How many records came in."""
    seconds: float = 0.0
    """Seconds that records spent in the stage, summed over records that were in it at the same time."""


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What became of a shard: one `StageResult` for each stage of its step."""

    step: Step
    index: int
    stages: tuple[StageResult, ...]

    @property
    def folders(self) -> tuple[str, ...]:
        """The folder of each stage's result in the run."""
        return tuple(stage.folder for stage in STAGES[self.step])


async def run_shard(shard: Shard, tools: Tools, watch: Watch = lambda *event: None) -> ShardResult:
    """Send a shard's records through the stages of its step, many at once; the result is in input order.

    A record continues as soon as a stage is done with it. If a record fails, those in progress are finished first, so
    that their answers are stored; then the first error is raised.
    """
    ASKED_FOR.set(shard.name)
    stages = shard.stages
    tools = replace(tools, partners=tuple(each for each in shard.records if isinstance(each, VerifiedInstruction)))
    slots = asyncio.Semaphore(tools.config.execution.records_in_flight)

    async def flow(record: Input) -> list[StageResult]:
        async with slots:
            return await _flow(record, stages, tools, (watch, enter))

    with tools.telemetry.shard(shard.step, shard.index) as enter:
        flows = await _finish(flow(record) for record in shard.records)
    return ShardResult(shard.step, shard.index, tuple(_merge(flows, len(stages))))


async def _flow(
    entering: Record | tuple[Record, ...], stages: Sequence[Stage], tools: Tools, watched: tuple[Watch, Enter]
) -> list[StageResult]:
    """Send one record, or several that stay together, and then their results, through the stages."""
    if not stages:
        return []
    stage, *rest = stages
    watch, enter = watched
    began = time.monotonic()
    kept, dropped, next_flows = list[Record](), list[Dropped](), list[asyncio.Task[list[StageResult]]]()
    entered = unreported = len(entering) if isinstance(entering, tuple) else 1
    try:
        with enter(stage.folder):
            async for part in _parts(stage.apply(entering, tools)):
                part_kept = [result for result in part if not isinstance(result, Dropped)]
                part_dropped = [result for result in part if isinstance(result, Dropped)]
                watch(stage.folder, part_kept, part_dropped, unreported)
                unreported = 0
                kept += part_kept
                dropped += part_dropped
                entrants = [tuple(part_kept)] if part_kept and rest and rest[0].together else part_kept
                for each in entrants:
                    next_flows.append(asyncio.create_task(_flow(each, rest, tools, watched)))
                    if len(next_flows) % _BEGUN_AT_ONCE == 0:
                        await asyncio.sleep(0)
        seconds = time.monotonic() - began
    except asyncio.CancelledError:
        for task in next_flows:
            task.cancel()
        raise
    finally:
        branches = await _finish(next_flows)
    return [StageResult(kept, dropped, entered, seconds), *_merge(branches, len(rest))]


async def _parts(results: Awaitable[list[Any]] | AsyncGenerator[list[Any]]) -> AsyncGenerator[list[Any]]:
    if isinstance(results, AsyncGenerator):
        async for part in results:
            yield part
    else:
        yield await results


async def _finish(flows: Any) -> list[list[StageResult]]:
    """Await all of them, then raise the first error, if any."""
    results = []
    for outcome in await asyncio.gather(*flows, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results


def _merge(flows: Sequence[Sequence[StageResult]], stages: int) -> list[StageResult]:
    """Join the results of several records, stage by stage, in their order."""
    return [
        StageResult(
            kept=[record for flow in flows for record in flow[stage].kept],
            dropped=[record for flow in flows for record in flow[stage].dropped],
            entered=sum(flow[stage].entered for flow in flows),
            seconds=sum(flow[stage].seconds for flow in flows),
        )
        for stage in range(stages)
    ]
