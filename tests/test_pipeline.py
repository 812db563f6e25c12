"""The one loop: order, counts, and what happens to the others when one record fails."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from autoif import pipeline
from autoif.engines.local import LocalEngine
from autoif.errors import ModelError
from autoif.pipeline import Shard, Stage, run_shard
from autoif.records import Dropped, Instruction, Reason

RECORDS = tuple(Instruction.of(f"Use {count} words.", "seed") for count in range(6))


async def double(record, _tools):
    """Make two of each record, the later ones first to finish."""
    await asyncio.sleep(0.02 / (1 + int(record.text.split()[1])))
    return [record, Instruction.of(record.text + " Twice.", "seed")]


async def drop_odd(record, _tools):
    if int(record.text.split()[1]) % 2:
        return [Dropped(stage="test", reason=Reason.EMPTY, record_id=record.id, detail="odd")]
    return [record]


@pytest.fixture
def stages(monkeypatch):
    def install(*functions):
        made = tuple(Stage(f"0{n}_test", function, Instruction) for n, function in enumerate(functions))
        monkeypatch.setitem(pipeline.STAGES, "instructions", made)

    return install


async def test_results_are_in_input_order_whichever_record_is_done_first(stages, make_tools):
    stages(double, drop_odd)
    result = await run_shard(Shard("instructions", 3, RECORDS), make_tools())
    first, second = result.stages
    assert [record.text for record in first.kept] == [
        text for count in range(6) for text in (f"Use {count} words.", f"Use {count} words. Twice.")
    ]
    assert [record.text.split()[1] for record in second.kept] == ["0", "0", "2", "2", "4", "4"]
    assert len(second.dropped) == 6
    assert (result.step, result.index, result.folders) == ("instructions", 3, ("00_test", "01_test"))


async def test_progress_hears_of_every_record_at_every_stage(stages, make_tools):
    stages(double, drop_odd)
    heard = []
    await run_shard(Shard("instructions", 0, RECORDS), make_tools(), lambda *event: heard.append(event))
    assert sum(len(kept) for folder, kept, *_ in heard if folder == "00_test") == 12
    assert sum(len(dropped) for folder, _, dropped, _ in heard if folder == "01_test") == 6


async def test_records_of_one_record_go_together_into_a_stage_that_wants_it_and_leave_in_order(monkeypatch, make_tools):
    groups = []

    async def answer(records, tools):
        groups.append([record.text for record in records])
        return [*records]

    doubling = Stage("00_test", double, Instruction)
    answering = Stage("01_test", answer, Instruction, together=lambda config: 2)
    monkeypatch.setitem(pipeline.STAGES, "instructions", (doubling, doubling, answering))
    heard = []
    result = await run_shard(Shard("instructions", 0, RECORDS[:2]), make_tools(), lambda *event: heard.append(event))
    assert result.stages[2].kept == result.stages[1].kept
    assert [len(group) for group in groups] == [2] * 4
    assert {group[0].removesuffix(" Twice.") for group in groups} == {record.text for record in RECORDS[:2]}
    assert [stage.entered for stage in result.stages] == [2, 4, 8]
    assert sum(entered for folder, _, _, entered in heard if folder == "01_test") == 8


async def test_a_second_step_begins_before_the_first_step_of_the_shards_that_wait(stages, make_tools, monkeypatch):
    stages(double)
    monkeypatch.setitem(pipeline.STAGES, "queries", (Stage("05_test", double, Instruction),))

    class Settings:
        @asynccontextmanager
        async def open(self):
            yield make_tools()

    def follow(result):
        return [Shard("queries", result.index, RECORDS[:1])] if result.step == "instructions" else []

    shards = [Shard("instructions", index, RECORDS[:1]) for index in range(3)]
    engine = LocalEngine(workers=1)

    async def deal():
        for shard in shards:
            yield shard

    results = engine.run(deal(), Settings(), lambda *event: None, follow)
    assert [(result.step, result.index) async for result in results] == [
        (step, index) for index in range(3) for step in ("instructions", "queries")
    ]


async def test_when_a_record_fails_the_others_are_finished_before_the_error_is_raised(stages, make_tools):
    finished = []

    async def fail_first(record, _tools):
        if record == RECORDS[0]:
            raise ModelError("the server is down")
        await asyncio.sleep(0.02)
        finished.append(record)
        return [record]

    stages(fail_first)
    with pytest.raises(ModelError, match="the server is down"):
        await run_shard(Shard("instructions", 0, RECORDS), make_tools())
    assert len(finished) == 5


async def test_no_more_records_are_in_flight_than_the_config_says(stages, make_tools):
    running, most = 0, 0

    async def count(record, _tools):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return [record]

    stages(count)
    await run_shard(Shard("instructions", 0, RECORDS), make_tools("execution.records_in_flight=2"))
    assert most == 2
