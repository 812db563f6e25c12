"""How many requests are in flight: the window, who waits, and what a cancelled waiter leaves behind."""

import asyncio
import time

import pytest

from autoif.errors import ModelError
from autoif.models.dealing import Dealer
from autoif.models.pace import Pace, Place


def test_the_window_halves_once_for_all_that_were_under_way() -> None:
    pace = Pace(8)
    starts = [pace.start() for _ in range(4)]
    for start in starts:
        pace.slow_down(start)
    assert pace.window == 4
    pace.slow_down(starts[-1])
    assert pace.window == 4
    pace.slow_down(pace.start())
    assert pace.window == 2


def test_the_window_never_closes_and_never_opens_beyond_its_limit() -> None:
    pace = Pace(2)
    for _ in range(5):
        pace.slow_down(pace.start())
    assert pace.window == 1
    for _ in range(20):
        pace.speed_up()
    assert pace.window == 2


def test_a_full_windows_answers_widen_it_by_one() -> None:
    pace = Pace(16)
    pace.slow_down(pace.start())
    for _ in range(9):
        pace.speed_up()
    assert pace.window == 9


@pytest.mark.parametrize(("slow_s", "window"), [(0.0, 16), (2.0, 16), (1.9, 8)])
def test_answers_that_take_longer_than_is_wanted_narrow_the_window(slow_s: float, window: int) -> None:
    pace = Pace(16, slow_s=slow_s)
    for start in [pace.start() for _ in range(3)]:
        pace.speed_up(start, seconds=2.0)
    assert pace.window == window


def test_an_address_is_gone_after_five_failures_in_a_row_or_a_sure_one() -> None:
    pace, sure = Pace(4), Pace(4)
    for _ in range(4):
        pace.fail()
    pace.respond()
    for number in range(5):
        assert pace.is_up, number
        pace.fail()
    sure.fail(surely=True)
    assert (pace.is_up, sure.is_up) == (False, False)


def test_what_is_gone_gets_one_request_at_a_time_ever_more_rarely_and_is_back_with_its_window() -> None:
    pace = Pace(4, retry_wait_s=100.0)
    pace.fail(surely=True)
    pace.fail(surely=True)  # two that fail together count once
    now, waits = time.monotonic(), []
    for _ in range(8):
        waits.append(pace.opens_at - now)
        assert not pace.has_room(pace.opens_at - 1)
        assert pace.has_room(pace.opens_at)
        start = pace.start()
        assert not pace.has_room(pace.opens_at)
        pace.leave(start)
        pace._probe_at = now = time.monotonic()
        pace.fail()
    assert [round(wait_s / 100) for wait_s in waits] == [1, 2, 4, 8, 16, 30, 30, 30]
    pace.speed_up()
    assert pace.is_up
    assert pace.has_room(now)
    assert pace.window == 4


async def enter(dealer: Dealer) -> Place:
    return await asyncio.wait_for(dealer.enter(), 1)


async def test_those_who_wait_enter_in_order() -> None:
    pace = Pace(1)
    dealer = Dealer([pace])
    order: list[int] = []

    async def go(number: int) -> None:
        place = await dealer.enter()
        order.append(number)
        await asyncio.sleep(0)
        dealer.leave(place)

    await asyncio.gather(*(go(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]
    assert pace.in_flight == 0


@pytest.mark.parametrize("admitted", [False, True])
async def test_a_cancelled_waiter_gives_its_place_back(admitted: bool) -> None:
    pace = Pace(1)
    dealer = Dealer([pace])
    place = await dealer.enter()
    waiter = asyncio.create_task(dealer.enter())
    await asyncio.sleep(0)
    if admitted:
        dealer.leave(place)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    if not admitted:
        dealer.leave(place)
    assert pace.in_flight == 0
    await enter(dealer)


async def test_one_who_waits_while_the_server_wants_rest_takes_no_place_and_enters_after_it() -> None:
    pace = Pace(1)
    dealer = Dealer([pace])
    pace.slow_down(0, wait_s=0.05)
    began = time.monotonic()
    resting = asyncio.create_task(dealer.enter())
    await asyncio.sleep(0)
    assert pace.in_flight == 0
    await asyncio.wait_for(resting, 5)
    assert time.monotonic() - began >= 0.05


async def test_closing_ends_every_wait() -> None:
    pace = Pace(1)
    dealer = Dealer([pace])
    pace.slow_down(0, wait_s=60)
    resting = asyncio.create_task(dealer.enter())
    pausing = asyncio.create_task(dealer.pause(60))
    await asyncio.sleep(0.01)
    dealer.close(ModelError("the end"))
    await asyncio.wait_for(pausing, 1)
    for waiting in (resting, dealer.enter()):
        with pytest.raises(ModelError, match="the end"):
            await asyncio.wait_for(waiting, 1)


async def test_of_those_that_wait_the_lowest_rank_goes_first_and_of_equals_the_first() -> None:
    dealer = Dealer([Pace(1)])
    taken = await dealer.enter()
    order: list[str] = []

    async def pass_through(name: str, rank: int) -> None:
        place = await dealer.enter(rank)
        order.append(name)
        dealer.leave(place)

    waiting = [asyncio.create_task(pass_through(*each)) for each in (("a", 2), ("b", 0), ("c", 2), ("d", 0), ("e", 1))]
    await asyncio.sleep(0)
    dealer.leave(taken)
    await asyncio.gather(*waiting)
    assert order == ["b", "d", "e", "a", "c"]


async def test_places_are_dealt_in_proportion_to_the_windows() -> None:
    paces = [Pace(8), Pace(4), Pace(4)]
    dealer = Dealer(paces)
    for _ in range(8):
        await enter(dealer)
    assert [each.in_flight for each in paces] == [4, 2, 2]


async def test_a_request_avoids_where_it_failed_unless_nothing_else_is_free() -> None:
    dealer = Dealer([Pace(2), Pace(1)])
    assert (await dealer.enter(avoid={0})).address == 1
    assert dealer.find({0}, strictly=True) is None
    assert (await dealer.enter(avoid={0})).address == 0


async def test_an_address_that_is_gone_is_tried_first_when_its_time_has_come() -> None:
    gone, other = Pace(2, retry_wait_s=0.02), Pace(2)
    gone.fail(surely=True)
    dealer = Dealer([gone, other])
    assert (await enter(dealer)).address == 1
    await asyncio.sleep(0.03)
    assert [(await enter(dealer)).address for _ in range(2)] == [0, 1]
