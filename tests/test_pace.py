"""How many requests are in flight: the window, who waits, and what a cancelled waiter leaves behind."""

import asyncio

import pytest

from autoif.models.pace import Pace


async def test_the_window_halves_once_for_all_that_were_under_way() -> None:
    pace = Pace(8)
    starts = [await pace.enter() for _ in range(4)]
    for start in starts:
        pace.slow_down(start)
    assert pace.window == 4
    pace.slow_down(await pace.enter() if pace.in_flight < 4 else starts[-1])
    assert pace.window == 4
    pace.leave()
    pace.slow_down(await pace.enter())
    assert pace.window == 2


async def test_the_window_never_closes_and_never_opens_beyond_its_limit() -> None:
    pace = Pace(2)
    for _ in range(5):
        pace.slow_down(await pace.enter())
        pace.leave()
    assert pace.window == 1
    for _ in range(20):
        pace.speed_up()
    assert pace.window == 2


async def test_a_full_windows_answers_widen_it_by_one() -> None:
    pace = Pace(16)
    pace.slow_down(await pace.enter())
    for _ in range(9):
        pace.speed_up()
    assert pace.window == 9


async def test_those_who_wait_enter_in_order() -> None:
    pace = Pace(1)
    order: list[int] = []

    async def go(number: int) -> None:
        await pace.enter()
        order.append(number)
        await asyncio.sleep(0)
        pace.leave()

    await asyncio.gather(*(go(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]
    assert pace.in_flight == 0


@pytest.mark.parametrize("admitted", [False, True])
async def test_a_cancelled_waiter_gives_its_place_back(admitted: bool) -> None:
    pace = Pace(1)
    await pace.enter()
    waiter = asyncio.create_task(pace.enter())
    await asyncio.sleep(0)
    if admitted:
        pace.leave()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    if not admitted:
        pace.leave()
    assert pace.in_flight == 0
    await asyncio.wait_for(pace.enter(), 1)


async def test_one_who_is_cancelled_while_the_server_wants_rest_gives_its_place_back() -> None:
    pace = Pace(1)
    pace.slow_down(0, wait_s=60)
    resting = asyncio.create_task(pace.enter())
    await asyncio.sleep(0.01)
    resting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await resting
    assert pace.in_flight == 0


async def test_hurry_ends_every_wait() -> None:
    pace = Pace(1)
    pace.slow_down(0, wait_s=60)
    resting = asyncio.create_task(pace.enter())
    pausing = asyncio.create_task(pace.pause(60))
    await asyncio.sleep(0.01)
    pace.hurry()
    await asyncio.wait_for(asyncio.gather(resting, pausing), 1)
    pace.leave()
    await asyncio.wait_for(pace.enter(), 1)


async def test_of_those_that_wait_the_lowest_rank_goes_first_and_of_equals_the_first() -> None:
    pace = Pace(1)
    await pace.enter()
    order: list[str] = []

    async def pass_through(name: str, rank: int) -> None:
        await pace.enter(rank)
        order.append(name)
        pace.leave()

    waiting = [asyncio.create_task(pass_through(*each)) for each in (("a", 2), ("b", 0), ("c", 2), ("d", 0), ("e", 1))]
    await asyncio.sleep(0)
    pace.leave()
    await asyncio.gather(*waiting)
    assert order == ["b", "d", "e", "a", "c"]
