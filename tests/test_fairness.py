"""Turns at the workers go round fairly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from autoif.service.turns import Share, Turns


@asynccontextmanager
async def held(turns: Turns, *shares: Share) -> AsyncIterator[None]:
    """Have a turn for each of these shares."""
    async with AsyncExitStack() as stack:
        for share in shares:
            await stack.enter_async_context(turns.take(share))
        yield


async def order(turns: Turns, *shares: Share) -> list[int]:
    """Let shares ask for a turn, in this order, while none is free; return in which order they had it."""
    had: list[int] = []

    async def ask(index: int, share: Share) -> None:
        async with turns.take(share):
            had.append(index)
            await asyncio.sleep(0)

    async with held(turns, *(Share() for _ in range(turns.width))):
        asking = [asyncio.create_task(ask(index, share)) for index, share in enumerate(shares)]
        await asyncio.sleep(0)
        assert not had
    await asyncio.gather(*asking)
    return had


async def test_among_small_requests_the_first_come_is_served_first():
    early, late = Share(used_s=0.05), Share()
    assert await order(Turns(1), late, early) == [1, 0]
    assert await order(Turns(1), early, late, early, late) == [0, 2, 1, 3]


@pytest.mark.parametrize(("used_s", "goes_first"), [(0.09, True), (0.11, False), (5.0, False)])
async def test_a_request_that_has_used_much_waits_for_those_that_have_not(used_s, goes_first):
    heavy, fresh = Share(used_s=used_s), Share()
    assert await order(Turns(1), heavy, fresh) == ([0, 1] if goes_first else [1, 0])


async def test_a_turn_that_goes_on_counts_already():
    turns = Turns(2)
    hanging, fresh = Share(), Share()
    async with held(turns, hanging, Share()):
        await asyncio.sleep(0.15)
        assert hanging.rank(asyncio.get_running_loop().time()) > fresh.rank(0)


async def test_requests_that_time_out_never_hold_all_workers():
    turns = Turns(3)
    slow = [Share(timed_out=True) for _ in range(4)]
    async with held(turns, slow[0], slow[1]):
        third = asyncio.create_task(_pass_through(turns, slow[2]))
        await asyncio.sleep(0.01)
        assert not third.done()
        await asyncio.wait_for(_pass_through(turns, Share()), 1)
        assert not third.done()
    await asyncio.wait_for(third, 1)


async def test_with_one_worker_they_have_their_turn_as_well():
    assert await order(Turns(1), Share(timed_out=True), Share(timed_out=True)) == [0, 1]


async def _pass_through(turns: Turns, share: Share) -> None:
    async with turns.take(share):
        pass


@pytest.mark.parametrize("after_the_grant", [False, True])
async def test_a_cancelled_wait_takes_no_turn_with_it(after_the_grant):
    turns, share = Turns(1), Share()
    async with held(turns, Share()):
        waiting = asyncio.create_task(_pass_through(turns, share))
        await asyncio.sleep(0)
        if not after_the_grant:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
    waiting.cancel()  # the turn has come, but the task has not yet woken up
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    assert not share.turns
    await asyncio.wait_for(_pass_through(turns, Share()), 1)


async def test_a_wait_that_is_cancelled_while_turns_are_handed_out_is_passed_over():
    turns, share, other = Turns(1), Share(), Share()
    async with held(turns, Share()):
        waiting = asyncio.create_task(_pass_through(turns, share))
        next_one = asyncio.create_task(_pass_through(turns, other))
        await asyncio.sleep(0)
        waiting.cancel()  # and the turn is free before it has run
    await asyncio.wait_for(next_one, 1)
    assert waiting.cancelled()


async def test_the_first_turn_of_a_request_is_told_from_the_others():
    turns, share = Turns(1), Share()
    firsts = []
    for _ in range(3):
        async with turns.take(share) as first:
            firsts.append(first)
    assert firsts == [True, False, False]


async def test_a_turn_that_fails_is_given_back_and_counted():
    turns, share = Turns(1), Share()
    with pytest.raises(ZeroDivisionError):
        async with turns.take(share):
            await asyncio.sleep(0.01)
            raise ZeroDivisionError
    assert share.used_s >= 0.009
    await asyncio.wait_for(_pass_through(turns, share), 1)
