"""Several servers of one model: who is asked, what happens when one is gone, and that each answer comes once."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from autoif.config import identity, load_config
from autoif.errors import BudgetExhausted, ModelError
from autoif.models.client import ChatClient
from autoif.models.endpoint import Budget, Endpoint
from autoif.models.requests import Request
from support.answers import ReadAnswers
from support.stub_server import Body, Reply, StubServer, broken_off, ok, reset, status


class FlakyServer(StubServer):
    """A server that can go away, and come back at the same address; `answered` counts its whole answers by prompt."""

    def __init__(self, *replies: Reply, default: Reply | None = None, wait_s: float = 0.0) -> None:
        super().__init__(*replies, default=default or ok(wait_s=wait_s))
        self.answered: Counter[str] = Counter()
        self._port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._count)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}/v1"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _count(self, request: web.Request) -> web.StreamResponse:
        body: Body = await request.json()
        response = await self._serve(request)
        if response.status == 200:
            self.answered[body["messages"][-1]["content"]] += 1
        return response


@asynccontextmanager
async def serving(*servers: FlakyServer) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for server in servers:
            await server.start()
            stack.push_async_callback(server.stop)
        yield


def at(*servers: FlakyServer, **fields: Any) -> Endpoint:
    urls = tuple(each.url for each in servers)
    return Endpoint(base_url=urls, model="m", **{"api_key_env": "", "retry_wait_s": 0.02, "concurrency": 4, **fields})


async def ask_all(client: ChatClient, count: int, first: int = 0) -> None:
    """Ask so many different questions at once; each must get the answer that belongs to it."""

    async def ask(number: int) -> None:
        [completion] = await client.sample(
            Request("writer", "verification", messages=(("user", f"q{number}"),), seed=number)
        )
        assert completion.text == f"q{number} s{number} c0"

    await asyncio.gather(*(ask(number) for number in range(first, first + count)))


def answers_of(*servers: FlakyServer) -> Counter[str]:
    return sum((each.answered for each in servers), Counter())


async def test_requests_are_dealt_over_all_servers_and_each_is_answered_once(cache: ReadAnswers) -> None:
    servers = [FlakyServer(wait_s=0.01) for _ in range(3)]
    async with serving(*servers), ChatClient({"writer": at(*servers)}, cache) as client:
        await ask_all(client, 60)
    assert answers_of(*servers) == Counter(f"q{number}" for number in range(60))
    assert min(each.answered.total() for each in servers) >= 10
    assert cache.total().requests == 60


async def test_each_server_has_its_own_limit(cache: ReadAnswers) -> None:
    servers = [FlakyServer(wait_s=0.02) for _ in range(2)]
    async with serving(*servers), ChatClient({"writer": at(*servers, concurrency=(5, 2))}, cache) as client:
        await ask_all(client, 30)
    assert [each.most_in_flight for each in servers] == [5, 2]


async def test_a_slow_server_gets_less(cache: ReadAnswers) -> None:
    slow, fast = FlakyServer(wait_s=1.5), FlakyServer(wait_s=0.005)
    async with serving(slow, fast), ChatClient({"writer": at(slow, fast)}, cache) as client:
        await ask_all(client, 60)
    assert slow.answered.total() * 2 < fast.answered.total()


async def test_a_server_that_dies_in_the_middle_and_comes_back_loses_no_answer(cache: ReadAnswers) -> None:
    dying, other = FlakyServer(wait_s=0.02), FlakyServer(wait_s=0.02)
    async with serving(dying, other), ChatClient({"writer": at(dying, other)}, cache) as client:
        asking = asyncio.create_task(ask_all(client, 40))
        await asyncio.sleep(0.05)
        await dying.stop()
        before = dying.answered.total()
        await asking
        await ask_all(client, 20, first=40)
        assert dying.answered.total() == before
        await dying.start()
        await asyncio.sleep(0.7)
        await ask_all(client, 40, first=60)
        assert dying.answered.total() > before + 10
    assert set(answers_of(dying, other)) == {f"q{number}" for number in range(100)}
    assert answers_of(dying, other).total() <= 100 + 4  # those that were in flight when it died
    assert cache.total().requests == 100
    said = [note.replace(dying.url, "URL") for note in cache.notes()]
    assert said[0].startswith("URL doesn't answer (")
    assert said[1:] == ["URL didn't answer for a while, and is back"]


async def test_the_only_server_may_be_gone_for_a_while(cache: ReadAnswers) -> None:
    server = FlakyServer(wait_s=0.01)
    async with serving(server), ChatClient({"writer": at(server, retries=2)}, cache) as client:
        await ask_all(client, 5)
        await server.stop()
        asking = asyncio.create_task(ask_all(client, 30, first=5))
        await asyncio.sleep(0.5)  # a minute, where the first wait is two seconds
        assert client.describe_bound() == f"waiting for {server.url} to come back"
        await server.start()
        await asking
        assert client.in_flight == 0
        assert len(cache.notes()) == 2
    assert server.answered == Counter(f"q{number}" for number in range(35))


@pytest.mark.parametrize("failure", [status(500), status(502), broken_off(), reset()])
async def test_a_server_that_breaks_for_a_while_is_outlasted(cache: ReadAnswers, failure: Reply) -> None:
    until = time.monotonic() + 0.5

    async def breaks(request: web.Request, body: Body) -> web.StreamResponse:
        return await (ok() if time.monotonic() > until else failure)(request, body)

    server = FlakyServer(ok(), default=breaks)
    async with serving(server), ChatClient({"writer": at(server, retries=2)}, cache) as client:
        await ask_all(client, 1)
        await ask_all(client, 20, first=1)
    assert cache.total().requests == 21
    assert len(server.bodies) < 21 + 40  # it wasn't stormed


POISON = Request("writer", "verification", messages=(("user", "poison"),))


def failing_at_poison(failure: Reply) -> FlakyServer:
    async def poisoned(request: web.Request, body: Body) -> web.StreamResponse:
        return await (failure if body["messages"][-1]["content"] == "poison" else ok(wait_s=0.02))(request, body)

    return FlakyServer(default=poisoned)


@pytest.mark.parametrize(
    "failure", [status(500), status(502), status(503), broken_off(), reset(), status(409), ok(wait_s=9)]
)
@pytest.mark.parametrize("others", [0, 30])
async def test_a_prompt_at_which_the_server_always_fails_is_refused_and_ends_nothing(
    cache: ReadAnswers, failure: Reply, others: int
) -> None:
    server = failing_at_poison(failure)
    quick = {"retries": 2, "timeout_s": 0.5, "retry_wait_s": 0.005}
    async with serving(server), ChatClient({"writer": at(server, **quick)}, cache) as client:
        await ask_all(client, 1)
        asked = asyncio.create_task(client.sample(POISON))
        await ask_all(client, others, first=1)
        [completion] = await asyncio.wait_for(asked, 20)
        assert completion.finish_reason == "refused"
        assert completion.detail.startswith("it failed again and again, last with: ")
        await ask_all(client, 3, first=1 + others)
    assert cache.total().requests == 1 + others + 1 + 3


@pytest.mark.parametrize("failure", [status(500), broken_off(), status(409), status(429)])
@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("retries", [0, 2])
async def test_such_a_prompt_is_refused_if_it_is_the_first_or_the_only_one_that_is_asked(
    cache: ReadAnswers, failure: Reply, servers: int, retries: int
) -> None:
    failing = [failing_at_poison(failure) for _ in range(servers)]
    async with (
        serving(*failing),
        ChatClient({"writer": at(*failing, retries=retries, retry_wait_s=0.003)}, cache) as client,
    ):
        [completion] = await asyncio.wait_for(client.sample(POISON), 20)
        assert completion.finish_reason == "refused"
        await ask_all(client, 3)


@pytest.mark.parametrize("servers", [1, 2])
async def test_a_server_that_only_ends_what_it_has_begun_is_away_and_what_it_turns_away_is_not_refused(
    cache: ReadAnswers, servers: int
) -> None:
    began = time.monotonic()

    async def drains(request: web.Request, body: Body) -> web.StreamResponse:
        since = time.monotonic() - began
        if since < 0.3:
            return await ok(wait_s=0.2 + 0.15 * int(body["messages"][-1]["content"][1:]))(request, body)
        return await (status(502) if since < 3.0 else ok())(request, body)

    draining = [FlakyServer(default=drains) for _ in range(servers)]
    async with (
        serving(*draining),
        ChatClient({"writer": at(*draining, retries=2, concurrency=16)}, cache) as client,
    ):
        await ask_all(client, 40)


async def test_a_server_that_breaks_again_as_soon_as_it_is_back_is_not_taken_for_one_that_fails_at_a_prompt(
    cache: ReadAnswers,
) -> None:
    down_until, downs = 0.0, 0

    async def flaps(request: web.Request, body: Body) -> web.StreamResponse:
        nonlocal down_until, downs
        if time.monotonic() < down_until:
            return await status(502)(request, body)
        if downs < 3:
            downs, down_until = downs + 1, time.monotonic() + 1.0
        return await ok()(request, body)

    server = FlakyServer(default=flaps)
    async with serving(server), ChatClient({"writer": at(server, retries=2)}, cache) as client:
        await ask_all(client, 1)
        await ask_all(client, 1, first=1)


async def test_what_is_asked_while_the_only_server_is_broken_is_not_taken_for_what_breaks_it(
    cache: ReadAnswers,
) -> None:
    until = time.monotonic() + 3.0  # longer than all retries of a request take

    async def breaks(request: web.Request, body: Body) -> web.StreamResponse:
        return await (ok() if time.monotonic() > until else status(502))(request, body)

    server = FlakyServer(ok(), default=breaks)
    async with serving(server), ChatClient({"writer": at(server, retries=1)}, cache) as client:
        await ask_all(client, 1)
        await ask_all(client, 20, first=1)
    assert len(server.bodies) < 21 + 60


@pytest.mark.parametrize("failure", [broken_off(), reset(), status(500), status(429), status(503)])
async def test_a_server_that_always_fails_costs_the_others_a_few_attempts(cache: ReadAnswers, failure: Reply) -> None:
    bad, good = FlakyServer(default=failure), FlakyServer(wait_s=0.005)
    async with serving(bad, good), ChatClient({"writer": at(bad, good)}, cache) as client:
        await asyncio.wait_for(ask_all(client, 60), 20)
    assert good.answered == Counter(f"q{number}" for number in range(60))
    assert len(bad.bodies) < 30


async def test_a_storm_of_429_everywhere_loses_nothing(cache: ReadAnswers) -> None:
    servers = [FlakyServer(*[status(429)] * 12, wait_s=0.005) for _ in range(3)]
    async with serving(*servers), ChatClient({"writer": at(*servers, retries=3, concurrency=8)}, cache) as client:
        await ask_all(client, 60)
    assert answers_of(*servers) == Counter(f"q{number}" for number in range(60))
    assert client.retries == 36
    assert cache.notes() == []


async def test_a_server_that_asks_to_wait_is_left_alone_while_the_others_work(cache: ReadAnswers) -> None:
    busy, other = FlakyServer(status(429, headers={"Retry-After": "60"})), FlakyServer(wait_s=0.002)
    async with serving(busy, other), ChatClient({"writer": at(busy, other, concurrency=1)}, cache) as client:
        await ask_all(client, 20)
    assert len(busy.bodies) == 1
    assert other.answered.total() == 20


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (status(401), "no key (HTTP 401)"),
        (status(402, "Insufficient Balance"), "add credit"),
        (status(429, headers={"Retry-After": "86400"}), "asks to wait 86,400 s"),
    ],
)
async def test_a_server_that_cannot_be_used_is_left_out_and_that_is_said(
    cache: ReadAnswers, failure: Reply, said: str
) -> None:
    bad, good = FlakyServer(default=failure), FlakyServer()
    async with serving(bad, good), ChatClient({"writer": at(bad, good)}, cache) as client:
        await ask_all(client, 20)
    assert good.answered.total() == 20
    assert len(bad.bodies) <= 4
    [note] = cache.notes()
    assert note.startswith(f"{bad.url} is left out: ")
    assert said in note


async def test_an_address_that_comes_later_takes_over_from_one_that_is_gone(cache: ReadAnswers) -> None:
    gone, new = FlakyServer(), FlakyServer()
    async with serving(gone, new):
        served = at(gone).model_copy(update={"serve": "vllm serve {model} --port {port}", "serve_start_s": 20.0})
        await gone.stop()
        async with ChatClient({"writer": served}, cache) as client:
            asking = asyncio.create_task(ask_all(client, 8))
            await asyncio.sleep(0.3)
            assert not asking.done()  # others are being started, so nobody gives up
            for _ in range(2):
                await client.add_address("writer", new.url)  # known the second time
            await asyncio.wait_for(asking, 10)
    assert sum(new.answered.values()) == 8


async def test_servers_that_nobody_brings_back_are_given_up_after_what_a_start_may_take(cache: ReadAnswers) -> None:
    gone = FlakyServer()
    async with serving(gone):
        served = at(gone, retries=1).model_copy(update={"serve": "serve --port {port}", "serve_start_s": 0.2})
        await gone.stop()
        async with ChatClient({"writer": served}, cache) as client:
            with pytest.raises(ModelError, match="times in a row"):
                await ask_all(client, 1)


async def test_when_the_last_server_cannot_be_used_one_line_says_why_of_each(cache: ReadAnswers) -> None:
    servers = [FlakyServer(default=status(401)), FlakyServer(default=status(402, "pay"))]
    async with serving(*servers), ChatClient({"writer": at(*servers)}, cache) as client:
        with pytest.raises(ModelError, match=r"^no server is left: .*no key .*pay: add credit") as caught:
            await ask_all(client, 20)
    assert "\n" not in str(caught.value)


async def test_when_nobody_has_ever_answered_the_run_ends_at_once(cache: ReadAnswers) -> None:
    servers = [FlakyServer(), FlakyServer()]
    async with serving(*servers):
        pass
    async with ChatClient({"writer": at(*servers)}, cache) as client:
        with pytest.raises(
            ModelError, match=r"^no server at .* start it, or correct base_url \(.*none of them answers"
        ):
            await asyncio.wait_for(ask_all(client, 4), 2)


async def test_when_all_servers_stay_gone_one_line_names_them(cache: ReadAnswers) -> None:
    servers = [FlakyServer(), FlakyServer()]
    async with serving(*servers):
        endpoint = at(*servers, retry_wait_s=0.002, retries=1)
        client = await ChatClient({"writer": endpoint}, cache).__aenter__()
        await ask_all(client, 10)
    with pytest.raises(ModelError, match=r"failed [0-9]+ times in a row, last with: no connection") as caught:
        await asyncio.wait_for(ask_all(client, 4, first=10), 20)
    assert all(each.url in str(caught.value) for each in servers)
    await client.__aexit__(None, None, None)


@pytest.mark.parametrize(("after_s", "stuck_s"), [(0.0, 0.3), (0.2, 60.0)])
async def test_a_straggler_is_asked_elsewhere_only_where_that_is_wanted(
    cache: ReadAnswers, after_s: float, stuck_s: float
) -> None:
    servers = [FlakyServer(ok(wait_s=stuck_s)), FlakyServer()]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(*servers))
        endpoint = at(*servers, ask_elsewhere_after_s=after_s)
        client = await stack.enter_async_context(ChatClient({"writer": endpoint}, cache))
        await asyncio.wait_for(ask_all(client, 20), 20)
        assert client.in_flight == 0
    asked = sum(len(each.bodies) for each in servers)
    assert asked > 20 if after_s else asked == 20
    assert cache.total().requests == 20


async def test_the_budget_counts_over_all_servers(cache: ReadAnswers) -> None:
    servers = [FlakyServer(), FlakyServer()]
    async with serving(*servers), ChatClient({"writer": at(*servers)}, cache, budget=Budget(tokens=70)) as client:
        with pytest.raises(BudgetExhausted):
            for number in range(10):
                await ask_all(client, 1, first=number)
    assert cache.total().tokens == 70


async def test_what_one_server_refuses_is_sent_to_none(cache: ReadAnswers) -> None:
    async def without_seed(request: web.Request, body: Body) -> web.StreamResponse:
        fine = "seed" not in body
        return await (ok() if fine else status(400, "seed is not supported"))(request, body)

    servers = [FlakyServer(default=without_seed), FlakyServer(default=without_seed)]
    async with serving(*servers), ChatClient({"writer": at(*servers)}, cache) as client:
        [completion] = await client.sample(Request("writer", "verification", messages=(("user", "q"),)))
        assert completion.text == "q s- c0"
        for number in range(6):
            await client.sample(Request("writer", "verification", messages=(("user", f"q{number}"),)))
    assert sum("seed" in body for each in servers for body in each.bodies) == 1


def test_where_is_asked_is_no_part_of_a_run() -> None:
    one = load_config("quickstart", ["models.all.base_url=http://a/v1", "models.all.model=m"])
    urls = 'models.all.base_url=["http://a/v1", "http://b/v1"]'
    settings = ["models.all.concurrency=[3, 4]", "models.all.slow_s=9", "models.all.ask_elsewhere_after_s=5"]
    two = load_config("quickstart", ["models.all.model=m", urls, *settings])
    assert identity(one) == identity(two)
    assert one.models.writer.identity == two.models.writer.identity
    assert [each.concurrency for each in two.models.writer.spread()] == [3, 4]
