"""Servers that are down, wrong, busy or broken: what is tried again, and what the error says to do."""

import asyncio
import gzip
import json
import re
import resource
import ssl
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard
from aiohttp import web

from autoif.errors import ModelError
from autoif.models import bodies, transport
from autoif.models.endpoint import Endpoint
from autoif.models.fleet import Call, Fleet
from autoif.models.replies import find_remedy, proxy_for, read_complaint, read_model_names
from autoif.models.transport import Rejected, Transport, Unanswered
from support.processes import Served, model_server
from support.stub_server import Reply, StubServer, broken_off, ok, raw, reset, says, status

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
CALL: Call[Any] = Call("/chat/completions", BODY, lambda: None, lambda answer: answer)


async def post(server: StubServer | Served, count: int = 1, **fields: Any) -> tuple[list[Any], Fleet]:
    """Send some requests at once; return their answers and what carried them."""
    endpoint = Endpoint(base_url=server.url, **{"model": "m", "api_key_env": "", "retry_wait_s": 0.01, **fields})
    fleet = Fleet(endpoint)
    await fleet.open()
    try:
        return await asyncio.gather(*(post_and_probe(fleet) for _ in range(count))), fleet
    finally:
        await fleet.close()


async def post_and_probe(fleet: Fleet) -> Any:
    """Send a request, and where that is given up another one, as `Server` does."""
    try:
        return await fleet.post(CALL)
    except Unanswered as failure:
        return await fleet.post(CALL, after=failure)


async def error_of(server: StubServer, **fields: Any) -> str:
    """Send a request that must fail; return what the error says, which must be one line."""
    async with server:
        with pytest.raises(ModelError) as caught:
            await post(server, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(server.url, "URL")


@contextmanager
def few_descriptors(more: int) -> Iterator[None]:
    """Let this process open so many more files, and more if it asks for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len([*Path("/proc/self/fd").iterdir()]) + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_more_requests_are_under_way_than_a_system_lets_open_files_who_does_not_ask():
    async with StubServer(default=ok(wait_s=1.0)) as server:
        with few_descriptors(60):
            answers, _ = await post(server, count=100, concurrency=100)
    assert len(answers) == server.most_in_flight == 100


async def test_fewer_requests_are_sent_at_once_where_no_more_files_may_be_open(tmp_path, monkeypatch):
    monkeypatch.setattr(transport, "raise_descriptors", lambda wanted: 0)
    with model_server(tmp_path) as server, few_descriptors(30):
        answers, _ = await post(server, count=100, concurrency=100)
    assert len(answers) == 100


# what passes


@pytest.mark.parametrize(
    "failure",
    [
        broken_off(),
        reset(),
        raw(b'{"choices": [{"message"'),
        raw(b""),
        status(500, "oops"),
        status(502),
        status(503),
        status(429),
        status(408),
        raw(b"<html>Bad gateway</html>", code=502, content_type="text/html"),
        says({"error": {"message": "upstream is overloaded"}}),
    ],
    ids=lambda reply: reply.__qualname__.split(".")[0],
)
async def test_a_failure_that_may_pass_is_tried_again(failure: Reply) -> None:
    async with StubServer(failure, failure) as server:
        [answer], fleet = await post(server)
    assert answer["choices"][0]["message"]["content"] == "hello s- c0"
    assert (len(server.bodies), fleet.retries) == (3, 2)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (status(500, "oops"), "HTTP 500: oops"),
        (broken_off(), "the connection broke"),
        (raw(b'{"choices": ['), "half an answer (13 bytes that are no JSON)"),
        (raw(b" \n"), "an answer without a body;"),
        (raw(b"<html></html>", code=502, content_type="text/html"), "HTTP 502: a web page"),
        (raw(b"", code=503), "HTTP 503: no explanation"),
    ],
)
async def test_a_failure_that_stays_is_an_error_in_the_end(failure: Reply, said: str) -> None:
    said_at_last = await error_of(StubServer(default=failure), retries=2)
    assert re.match(
        rf"URL failed {'[0-9]+' if '503' in said else 4} times in a row, last with: {re.escape(said)}", said_at_last
    )
    assert said_at_last.endswith("run the same command again when it works")


async def test_an_answer_that_takes_too_long_is_asked_for_again() -> None:
    async with StubServer(ok(wait_s=5)) as server:
        _, fleet = await post(server, timeout_s=0.2)
    assert fleet.retries == 1


async def test_the_error_of_a_slow_server_names_the_setting() -> None:
    said = await error_of(StubServer(default=ok(wait_s=5)), timeout_s=0.1, retries=1)
    assert "last with: no answer within timeout_s = 0.1 s" in said


async def test_waits_grow_and_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def note(self: object, wait_s: float) -> None:
        waits.append(wait_s)

    monkeypatch.setattr("autoif.models.dealing.Dealer.pause", note)
    await error_of(StubServer(default=status(500)), retries=8, retry_wait_s=1.0)
    assert len(waits) == 8
    for wait_s, middle in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60], strict=True):
        assert middle * 0.5 <= wait_s <= middle * 1.5
    assert len({round(wait_s / middle, 6) for wait_s, middle in zip(waits, [1, 2, 4, 8], strict=False)}) > 1


# busy servers


def in_a_moment() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


@pytest.mark.parametrize("when", [lambda: "0.3", in_a_moment], ids=["seconds", "date"])
async def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(when: Callable[[], str]) -> None:
    loop = asyncio.get_running_loop()
    async with StubServer(status(429, headers={"Retry-After": when()})) as server:
        start = loop.time()
        await post(server)
        assert loop.time() - start >= 0.3


async def test_nothing_at_all_is_sent_to_a_server_that_asked_to_wait() -> None:
    loop = asyncio.get_running_loop()
    arrivals: list[float] = []

    async def note(request: Any, body: Any) -> Any:
        arrivals.append(loop.time())
        return await ok()(request, body)

    async with StubServer(status(429, headers={"Retry-After": "0.3"}), default=note) as server:
        start = loop.time()
        await post(server, count=5, concurrency=1)
    assert len(arrivals) == 5
    assert min(arrivals) - start >= 0.3


async def test_a_wait_that_is_too_long_is_an_error_that_names_it() -> None:
    said = await error_of(StubServer(default=status(429, headers={"Retry-After": "86400"})))
    assert said == "URL asks to wait 86,400 s (HTTP 429): run the same command again after that"


async def test_fewer_requests_are_sent_to_a_busy_server_and_more_again_later() -> None:
    async with StubServer(*[status(429)] * 8) as server:
        _, fleet = await post(server, count=40, concurrency=16)
    assert fleet.answered == 40
    assert 8 <= fleet.transports[0].pace.window < 16


async def test_a_busy_server_that_answers_others_is_worth_waiting_for() -> None:
    async with StubServer(*[status(429), ok()] * 20, default=ok()) as server:
        _, fleet = await post(server, count=20, concurrency=2, retries=1, retry_wait_s=0.001)
    assert fleet.retries >= 10


async def test_no_credit_is_an_error_at_once() -> None:
    server = StubServer(default=status(429, "You exceeded your quota.", code="insufficient_quota"))
    assert "You exceeded your quota. (insufficient_quota): add credit" in await error_of(server)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, {"message": "Your credit balance is too low to access the API. Go to billing."}),
        (402, {"message": "Insufficient Balance"}),
        (403, {"message": "Arrearage: account overdue-payment"}),
        (429, {"message": "You exceeded your current quota, please check your plan and billing details."}),
        (429, {"message": "您的账户余额不足"}),
        (400, {"message": "Access denied, make sure your account is in good standing.", "code": "Arrearage"}),
        (403, {"message": "Your team has used all available credits or reached its monthly spending limit."}),
        (200, {"message": "insufficient credits", "code": 402}),
    ],
)
async def test_an_account_without_money_stops_at_once_with_the_servers_words(code: int, error: dict[str, Any]) -> None:
    server = StubServer(default=raw(json.dumps({"error": error}).encode(), code=code))
    said = await error_of(server)
    assert error["message"] in said
    assert said.endswith("add credit, then run the same command again")
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 requests per day"},
        {"message": "slow", "metadata": {"headers": {"X-RateLimit-Reset": "99999999999999"}}},
    ],
)
async def test_a_quota_that_comes_back_tomorrow_stops_at_once(error: dict[str, Any]) -> None:
    server = StubServer(default=raw(json.dumps({"error": error}).encode(), code=429))
    assert (await error_of(server)).endswith("run the same command again after that")
    assert len(server.bodies) == 1


async def test_a_quota_of_the_day_that_is_named_deep_within_a_complaint_stops_at_once() -> None:
    quota = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
    said = {"code": 429, "message": "You exceeded your current quota.", "details": [quota, {"retryDelay": "3s"}]}

    async def reply(request: web.Request, body: object) -> web.Response:
        return web.json_response([{"error": said}], status=429)

    assert "asks to wait 3 s (HTTP 429) (You exceeded your current quota" in await error_of(StubServer(default=reply))


async def test_a_window_without_a_word_is_outlasted() -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def window(request: Any, body: Any) -> Any:
        return await (ok() if loop.time() - start > 1.5 else status(429))(request, body)

    async with StubServer(default=window) as server:
        await post(server, retries=2, retry_wait_s=0.02)


async def test_a_server_that_loads_its_model_is_waited_for_longer_than_a_busy_one_and_that_is_said_once() -> None:
    began, notes = time.monotonic(), list[str]()

    async def load(request: Any, body: Any) -> Any:
        loading = time.monotonic() - began < 0.9  # a busy server is given up after 0.3 s here
        return await (status(503, "Loading model", code=503, type="unavailable_error") if loading else ok())(
            request, body
        )

    async with StubServer(default=load) as server:
        fleet = Fleet(Endpoint(base_url=server.url, api_key_env="", retry_wait_s=0.001, retries=2), notes.append)
        await fleet.open()
        await fleet.post(CALL)
        await fleet.close()
    assert set(notes) == {f"{server.url} is loading its model: waiting for it"}


async def test_no_more_requests_are_in_flight_than_allowed() -> None:
    async with StubServer(default=ok(wait_s=0.02)) as server:
        await post(server, count=20, concurrency=4)
    assert server.most_in_flight == 4


# what needs a hand


async def test_a_server_that_is_down_is_named() -> None:
    async with StubServer() as server:
        pass
    said = await error_of_endpoint(Endpoint(base_url=server.url))
    assert said.startswith(f"no server at {server.url} (")
    assert said.endswith("start it, or correct base_url")


async def error_of_endpoint(endpoint: Endpoint) -> str:
    fleet = Fleet(endpoint)
    await fleet.open()
    try:
        with pytest.raises(ModelError) as caught:
            await post_and_probe(fleet)
        return str(caught.value)
    finally:
        await fleet.close()


async def test_a_server_that_goes_down_in_between_is_waited_for() -> None:
    server = StubServer()
    async with server:
        fleet = Fleet(Endpoint(base_url=server.url, api_key_env="", retry_wait_s=0.01, retries=2))
        await fleet.open()
        await fleet.post(CALL)
    with pytest.raises(ModelError, match=r"failed [0-9]+ times in a row, last with: no connection"):
        await post_and_probe(fleet)
    await fleet.close()


@pytest.mark.parametrize("code", [401, 403])
async def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    said = await error_of(StubServer(default=status(code)), api_key_env="MY_KEY")
    assert said == f"URL: no key (HTTP {code}) (no): set $MY_KEY to a valid one"


async def test_a_wrong_key_is_named_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " sk-secret\n")
    server = StubServer(default=status(401, "wrong key sk-secret"))
    assert await error_of(server, api_key_env="MY_KEY") == (
        "URL: the key in $MY_KEY is refused (HTTP 401) (wrong key ***): set $MY_KEY to a valid one"
    )
    assert server.headers[0]["Authorization"] == "Bearer sk-secret"


async def test_a_key_that_the_server_quotes_is_struck_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    server = StubServer(default=status(402, "no credit on sk-secret"))
    assert (
        await error_of(server, api_key_env="MY_KEY")
        == "URL: no credit on ***: add credit, then run the same command again"
    )


def test_a_key_with_strange_characters_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-ü\x07")
    with pytest.raises(ModelError, match=r"the key in \$MY_KEY holds characters that no key has") as caught:
        Transport(Endpoint(api_key_env="MY_KEY"))
    assert "sk-" not in str(caught.value)


async def test_an_unknown_model_is_named_with_those_there_are() -> None:
    server = StubServer(default=status(404, "model not found"), models=["b", "a"])
    assert await error_of(server) == "URL has no model 'm'; it offers: a, b"


async def test_whoever_names_no_model_is_told_how_to() -> None:
    server = StubServer(default=status(404, "model not found"), models=["b"])
    said = await error_of(server, model=Endpoint().model)
    assert said.endswith("it offers: b; name one of its models (--model, models.ROLE.model)")


async def test_a_server_without_models_says_so() -> None:
    assert await error_of(StubServer(default=status(404), models=[])) == "URL has no model 'm'; it offers: none"


async def test_a_known_model_that_cannot_do_this_is_told_in_the_servers_words() -> None:
    server = StubServer(default=status(404, "This is a chat model"), models=["m"])
    assert await error_of(server) == "URL can't do this with the model 'm': This is a chat model"


@pytest.mark.parametrize(
    "words",
    [
        "Model Not Exist",
        "模型不存在，请检查模型代码。",
        "The model `m` has been decommissioned and is no longer supported.",
    ],
)
async def test_a_model_that_is_missing_with_status_400_is_named(words: str) -> None:
    server = StubServer(ok(), default=status(400, words))
    assert await error_of(StubServer(default=status(400, words), models=["b"])) == "URL has no model 'm'; it offers: b"
    async with server:
        await post(server)
        with pytest.raises(ModelError, match=r"has no model 'm' \(HTTP 400\): "):
            await post(server)


@pytest.mark.parametrize(
    "words",
    [
        "The model returned the following errors: `temperature` is deprecated for this model.",
        "For this model temperature is deprecated",
        "model m: the parameter seed is no longer supported",
        "InternalError.Algo.InvalidParameter: Range of top_p should be (0.0, 1.0)",
    ],
)
async def test_what_is_about_a_field_of_a_model_is_no_missing_model_and_no_failure(words: str) -> None:
    async with StubServer(default=status(400, words)) as server:
        with pytest.raises(Rejected):
            await post(server)


async def test_a_server_that_lists_no_models_says_itself_which_it_lacks() -> None:
    words = "model 'm' not found, try pulling it first"
    assert await error_of(StubServer(default=status(404, words))) == f"URL has no model 'm' (HTTP 404): {words}"


@pytest.mark.parametrize(
    "words",
    [
        "No endpoints found matching your data policy (Free model publication).",
        "This model is only supported in v1/responses and not in v1/chat/completions.",
    ],
)
async def test_a_404_that_is_no_missing_page_is_told_in_the_servers_words(words: str) -> None:
    assert await error_of(StubServer(default=status(404, words))) == f"URL can't do this (HTTP 404): {words}"


@pytest.mark.parametrize("words", ["no Route matched with those values", "Cannot POST /chat/completions", "Not Found"])
async def test_a_page_that_is_missing_is_told_from_what_the_api_says(words: str) -> None:
    assert "has no such page (HTTP 404)" in await error_of(StubServer(default=status(404, words)))


@pytest.mark.parametrize("code", [404, 405])
async def test_a_wrong_path_is_told_from_an_unknown_model(code: int) -> None:
    said = await error_of(StubServer(default=status(code)))
    assert said == f"URL has no such page (HTTP {code}): base_url should be the API's and end in /v1"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (raw(b"<!doctype html><p>Welcome</p>", content_type="text/html"), "answers with a web page"),
        (raw(b" <html>"), "answers with a web page"),
        (says(["hello"]), 'answers with JSON that is no object (["hello"])'),
        (says({"status": "no gpu"}), 'answers with JSON that has no choices ({"status": "no gpu"})'),
        (raw(b"", code=308, Location="https://elsewhere.example/"), "redirects to https://elsewhere.example/"),
    ],
)
async def test_something_that_is_no_model_server_is_recognised(reply: Reply, said: str) -> None:
    server = StubServer(default=reply)
    expected = f"URL {said}: this is not an OpenAI-compatible endpoint, base_url should end in /v1"
    assert await error_of(server) == expected
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "between",
    [
        raw(b"<html>Just a moment", content_type="text/html"),
        raw(b"<html>Just a moment", code=403, content_type="text/html"),
        raw(b"default backend - 404", code=404),
        raw(b"Not Acceptable!", code=406),
        status(421, "Misdirected request"),
        status(423, "Locked"),
        says([]),
        says({"id": "x"}),
        says({"code": 50500, "message": "", "data": None}),
        raw(b"", code=302, Location="/maintenance"),
    ],
)
async def test_what_stands_before_a_server_that_has_answered_may_pass(between: Reply) -> None:
    async with StubServer(ok(), between, default=ok()) as server:
        endpoint = Endpoint(base_url=server.url, model="m", api_key_env="", retry_wait_s=0.01)
        fleet = Fleet(endpoint)
        await fleet.open()
        assert [(await fleet.post(CALL))["choices"][0]["finish_reason"] for _ in range(2)] == ["stop"] * 2
        assert fleet.retries == 1
        await fleet.close()


@pytest.mark.parametrize("code", [403, 404, 410])
async def test_what_a_server_that_has_answered_says_in_its_own_form_stands(code: int) -> None:
    async with StubServer(ok(), default=status(code, "The model m is gone")) as server:
        fleet = Fleet(Endpoint(base_url=server.url, model="m", api_key_env="", retry_wait_s=0.01))
        await fleet.open()
        await fleet.post(CALL)
        with pytest.raises(ModelError, match="The model m is gone"):
            await fleet.post(CALL)
        await fleet.close()


async def test_a_redirect_to_the_same_page_says_where_to_ask() -> None:
    moved = raw(b"", code=301, Location="https://elsewhere.example/v1/chat/completions")
    assert (await error_of(StubServer(default=moved))).endswith(
        "write https://elsewhere.example/v1 as base_url, if it is yours"
    )


@pytest.mark.parametrize(
    ("listing", "names"),
    [
        ({"data": [{"id": "a"}, {"id": [1]}, "b"]}, ["a", "b"]),
        ([{"id": "a"}], ["a"]),
        ({"models": [{"name": "models/a"}]}, ["a"]),
        ({"data": None}, None),
        ("a", None),
    ],
)
def test_the_list_of_models_is_read_in_every_form(listing: object, names: list[str] | None) -> None:
    assert read_model_names(listing) == names


@pytest.mark.parametrize("code", [400, 413, 422])
async def test_a_request_that_is_refused_by_itself_is_no_error_yet(code: int) -> None:
    async with StubServer(default=status(code, "too long")) as server:
        with pytest.raises(Rejected, match="too long"):
            await post(server)


async def test_a_long_complaint_is_cut() -> None:
    said = await error_of(StubServer(default=status(402, "x" * 10_000)))
    assert len(said) < 500


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (403, "Your input was flagged by moderation"),
        (403, "You are not allowed to request logprobs from this model"),
        (400, "The response was filtered due to the prompt triggering the content management policy."),
        (500, "The number of tokens to keep from the initial prompt is greater than the context length."),
        (413, "prompt is too long"),
    ],
)
async def test_what_is_about_one_prompt_is_that_prompts_refusal(code: int, message: str) -> None:
    async with StubServer(default=status(code, message)) as server:
        with pytest.raises(Rejected, match=message):
            await post(server)
    assert len(server.bodies) == 1


ANSWER = {"choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}]}
MINIMAX = {"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (MINIMAX, "insufficient balance: add credit"),
        (
            {"base_resp": {"status_code": 2056, "status_msg": "5-hour usage limit reached"}},
            "asks for no more (HTTP 429)",
        ),
        ({"error_code": 17, "error_msg": "Open api daily request limit reached"}, "Open api daily request limit"),
        ({"code": "InvalidApiKey", "message": "Invalid API-key provided."}, "no key (HTTP 401) (Invalid API-key"),
        ({"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]}, "Authentication error"),
        ({"error": "Unexpected endpoint or method. (POST /completions)"}, "no such page (HTTP 404)"),
        ({"detail": "Not Found"}, "no such page (HTTP 404)"),
        ({**ANSWER, "error": {"message": "User not found.", "code": 401}}, "User not found."),
    ],
    ids=["MiniMax", "MiniMax's plans", "Baidu", "DashScope", "Cloudflare", "LM Studio", "FastAPI", "beside choices"],
)
async def test_an_error_that_comes_as_an_answer_is_told_in_the_servers_words(body: object, said: str) -> None:
    assert said in await error_of(StubServer(default=says(body)), retries=0)


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 9 tokens",
        {"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}, "choices": None},
        {"error": {"message": "Invalid parameter: seed"}},
        {"promptFeedback": {"blockReason": "OTHER"}},
        {"choices": [], "prompt_feedback": {"block_reason": "PROHIBITED_CONTENT"}},
    ],
)
async def test_an_error_about_one_request_that_comes_as_an_answer_is_its_refusal(words: Any) -> None:
    body = {"error": {"message": words}} if isinstance(words, str) else words
    async with StubServer(default=says(body)) as server:
        with pytest.raises(Rejected):
            await post(server)


@pytest.mark.parametrize(
    "more",
    [
        {"error": None}, {"error": {}}, {"error": {"code": 0, "message": "ok"}}, {"errors": []}, {"error_code": 0},
        {"error": {"message": "", "type": None}}, {"base_resp": {"status_code": 0, "status_msg": "success"}},
        {"message": "hello"}, {"detail": "x"},
    ],
)  # fmt: skip
async def test_an_answer_that_says_there_was_no_error_is_one(more: dict[str, Any]) -> None:
    async with StubServer(says({**ANSWER, **more})) as server:
        [answer], fleet = await post(server)
    assert (answer["choices"], fleet.retries) == (ANSWER["choices"], 0)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (400, "ThrottlingException: Too many requests, please wait before trying again"),
        (403, "Quota: requests were throttled"),
        (500, "litellm.RateLimitError: rate limit exceeded"),
        (424, "Request failed during generation"),
        (498, "Flex tier capacity exceeded"),
        (499, "client closed request"),
        (400, "The model has crashed without additional information. (Exit code: 6)"),
        (400, "Model unloaded."),
        (400, "请求过于频繁，请稍后再试"),
        (403, "您当前使用该API的并发数过高，请降低并发"),
        (400, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
        (400, "litellm.APIConnectionError: Connection error."),
        (400, "CUDA out of memory"),
        (422, "The request was aborted"),
        (400, "server busy, please try again. maximum pending requests exceeded"),
        (400, "您的账户已达到速率限制，请您控制请求频率"),
        (400, "该模型当前访问量过大，请您稍后再试"),
        (400, "Trop de requêtes"),
        (400, "Слишком много запросов"),
        (400, "リクエストが多すぎます"),
        (403, "Concurrent request limit exceeded"),
        (400, "no healthy upstream"),
        (400, "socket hang up"),
        (400, "fetch failed"),
        (400, "Internal server error"),
        (400, "EngineCore encountered an issue. See stack trace for the root cause."),
        (400, "llama runner process has terminated: exit status 2"),
        (400, "upstream error: do request failed"),
        (400, "Model reloaded."),
    ],
)
async def test_a_passing_failure_is_one_whatever_status_a_gateway_gives_it(code: int, message: str) -> None:
    async with StubServer(status(code, message)) as server:
        [answer], fleet = await post(server)
    assert (answer["choices"][0]["message"]["content"], fleet.retries) == ("hello s- c0", 1)


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (400, "API key not valid. Please pass a valid API key.", "the key in $MY_KEY is refused (HTTP 400)"),
        (400, "Incorrect API key provided", "the key in $MY_KEY is refused (HTTP 400)"),
        (400, "Budget has been exceeded! Current cost: 1.2, Max budget: 1.0", "add credit"),
        (403, "Sorry, your account balance is insufficient", "add credit"),
        (429, "You exceeded your token quota, please check your account balance", "add credit"),
        (403, "用户额度不足, 剩余额度: 0.00", "add credit"),
        (401, "该令牌额度已用尽", "add credit"),
        (403, "The free tier of the model has been exhausted", "add credit"),
        (403, "Your team doesn't have any credits or licenses yet", "add credit"),
        (403, "Your subscription has expired", "add credit"),
        (400, "This organization's monthly spend limit has been reached.", "add credit"),
        (403, "user quota is not enough (insufficient_user_quota)", "add credit"),
        (400, "Guthaben aufgebraucht", "add credit"),
        (400, "Недостаточно средств на балансе", "add credit"),
        (400, "残高が不足しています", "add credit"),
        (400, "You have reached your specified API usage limits. You will regain access on 2026-12-01.", "after that"),
        (
            429,
            "Usage limit reached for 5 hour. Your limit will reset at 02:30",
            "run the same command again after that",
        ),
        (400, "无效的令牌", "the key in $MY_KEY is refused (HTTP 400)"),
        (400, "No auth credentials found", "the key in $MY_KEY is refused (HTTP 400)"),
        (400, "The security token included in the request is expired", "the key in $MY_KEY is refused (HTTP 400)"),
        (403, "Your API key has been blocked due to suspicious activity", "forbids this (HTTP 403): Your API key"),
        (429, "You have reached your monthly usage limit", "run the same command again after that"),
        (429, "Tokens per hour limit exceeded", "run the same command again after that"),
        (429, "该API已达今日调用次数限额", "run the same command again after that"),
        (400, "User location is not supported for the API use.", "ask from where it is supported"),
        (407, "Proxy Authentication Required", "write the proxy's user and password"),
    ],
)
async def test_what_no_prompt_is_to_blame_for_ends_the_run_at_once(
    monkeypatch: pytest.MonkeyPatch, code: int, message: str, said: str
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    server = StubServer(default=status(code, message))
    assert said in await error_of(server, api_key_env="MY_KEY")
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (413, "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7000, please reduce "
              "your message size. Upgrade today at https://console.groq.com/settings/billing"),
        (403, "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"),
        (403, "Prompt injection detected"),
        (403, "Ihre Anfrage verstößt gegen unsere Richtlinien"),
        (403, "コンテンツポリシーに違反しています"),
        (403, "prompt token count of 9000 exceeds the limit of 8192"),
        (403, "The decoder prompt (length 9000) is longer than the maximum model length of 8192."),
        (400, "litellm.ContentPolicyViolationError: refused"),
        (400, "Content Exists Risk"),
        (451, "Unavailable for legal reasons"),
        (413, "Request body too large for gpt-4o model. Max size: 8000 tokens."),
        (429, "Request too large for m on tokens per min (TPM): Limit 30000, Requested 35000."),
        (500, "Error rendering prompt with jinja template: Conversation roles must alternate"),
    ],
)  # fmt: skip
async def test_one_prompts_refusal_is_told_from_what_concerns_all(code: int, message: str) -> None:
    async with StubServer(default=status(code, message)) as server:
        with pytest.raises(Rejected):
            await post(server)
    assert len(server.bodies) == 1


@pytest.mark.parametrize("key", ["", "sk-secret"])
@pytest.mark.parametrize(
    "words",
    [
        "Country, region, or territory not supported",
        "Not available in your region",
        "unsupported_country_region_territory",
    ],
)
async def test_a_refusal_of_a_place_does_not_blame_the_key(
    monkeypatch: pytest.MonkeyPatch, key: str, words: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    said = await error_of(StubServer(default=status(403, words)), api_key_env="MY_KEY")
    assert said == f"URL forbids this (HTTP 403): {words}: ask from where it is supported, or take another endpoint"


@pytest.mark.parametrize(
    "refusal",
    [
        status(400, "The plain HTTP request was sent to HTTPS port"),
        raw(b"Client sent an HTTP request to an HTTPS server.", code=400),
    ],
)
async def test_a_server_of_tls_that_says_so_is_to_be_asked_with_https(refusal: Reply) -> None:
    assert (await error_of(StubServer(default=refusal))).endswith("write https:// in base_url")


AZURE = "https://mine.openai.azure.com/openai/deployments/gpt"


@pytest.mark.parametrize(
    ("url", "code", "words", "has_remedy"),
    [
        (AZURE, 404, "Resource not found", True),
        (AZURE, 400, "Missing required query parameter: api-version", True),
        ("https://gateway.example/deployments/gpt", 404, "no", True),
        (f"{AZURE}?api-version=2024-10-21", 404, "Resource not found", False),
        (AZURE, 400, "max_tokens is too large", False),
        ("https://models.example/v1", 404, "Resource not found", False),
        ("https://mine.openai.azure.com/openai/v1", 404, "Resource not found", False),
    ],
)
def test_an_address_of_azure_without_a_version_says_how_to_write_it(
    url: str, code: int, words: str, has_remedy: bool
) -> None:
    assert ("?api-version=…" in find_remedy(url, code, words)) == has_remedy


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a new key with a certificate that nobody trusts."""
    made = tmp_path / "made.pem"
    new = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {made} -out {tmp_path / 'cert.pem'}"
    subprocess.run(new.split(), check=True, capture_output=True)
    made.write_bytes(made.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    return made


async def test_plain_http_to_a_port_of_tls_says_to_write_https(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    secure = StubServer()
    secure.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        with pytest.raises(ModelError, match="speaks TLS there: write https:// in base_url"):
            await post(secure)


async def test_a_certificate_that_nobody_trusts_is_named_with_the_remedy(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        said = await error_of_endpoint(Endpoint(base_url=url, api_key_env=""))
    assert said.startswith(f"{url}: its TLS certificate is not trusted (")
    assert "SSL_CERT_FILE" in said
    assert "\n" not in said


EVENTS = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "hel"}}]},
    {"choices": [{"index": 0, "delta": {"content": "lo", "reasoning_content": "hm"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}},
]


@pytest.mark.parametrize(
    "content",
    [
        b"\n" * 50 + json.dumps(ANSWER).encode(),
        b"\xef\xbb\xbf" + json.dumps(ANSWER).encode(),
        b": keep-alive\n\n"
        + b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in EVENTS)
        + b"data: [DONE]\n\n",
        b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + json.dumps(ANSWER).encode(),
    ],
    ids=["blank lines", "byte order mark", "events", "comments"],
)
async def test_an_answer_is_read_in_whatever_wrapping(content: bytes) -> None:
    async with StubServer(default=raw(content, content_type="text/event-stream")) as server:
        [answer], _ = await post(server)
    assert answer["choices"][0]["message"]["content"] == "hello"
    assert answer["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        ("café…".encode(), "application/json; charset=iso-8859-1"),
        ("caf\xe9\x85".encode("latin-1"), "application/json; charset=cp1252"),
        ("café…".encode(), "application/json; charset=utf8mb4"),
    ],
)
async def test_text_is_in_utf_8_whatever_the_header_says_unless_it_cannot_be(content: bytes, content_type: str) -> None:
    whole = json.dumps(ANSWER).encode().replace(b"hello", content)

    async def reply(request: web.Request, body: object) -> web.Response:
        return web.Response(body=whole, headers={"Content-Type": content_type})

    async with StubServer(reply) as server:
        [answer], _ = await post(server)
    assert answer["choices"][0]["message"]["content"] == "café…"


async def test_line_ends_within_texts_are_read_in_bodies_and_in_streams() -> None:
    event = {"choices": [{"index": 0, "delta": {"content": "a\u2028b\x85c"}, "finish_reason": "stop"}]}
    for content in (
        json.dumps(ANSWER).encode().replace(b"hello", b"a\nb\tc\x01"),
        b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\ndata: [DONE]\n\n",
    ):
        async with StubServer(raw(content)) as server:
            [answer], fleet = await post(server)
        assert answer["choices"][0]["message"]["content"] in {"a\nb\tc\x01", "a\u2028b\x85c"}
        assert fleet.retries == 0


async def test_a_stream_that_ends_in_an_error_is_asked_again_and_parts_are_put_together() -> None:
    failed = [EVENTS[0], {"error": {"message": "Provider disconnected", "code": 502}, "choices": []}]
    parts = [
        {"choices": [{"delta": {"content": [{"type": "thinking", "thinking": word}]}} for _ in range(2)]}
        for word in ("a", "b")
    ] + [{"choices": [{"delta": {"content": "hel"}}, {"delta": {"content": "lo"}, "finish_reason": "stop"}]}]
    streams = [
        b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events) + b"data: [DONE]\n\n"
        for events in (failed, parts)
    ]
    async with StubServer(*map(raw, streams)) as server:
        [answer], fleet = await post(server)
    said = [choice["message"]["content"] for choice in answer["choices"]]
    thoughts = [{"type": "thinking", "thinking": word} for word in ("a", "b")]
    assert (said, fleet.retries) == ([[*thoughts, "hel"], [*thoughts, "lo"]], 1)


async def test_a_header_may_be_long() -> None:
    async with StubServer(raw(json.dumps(ANSWER).encode(), **{"Content-Security-Policy": "x" * 20_000})) as server:
        assert (await post(server))[0] == [ANSWER]


@pytest.mark.parametrize("pieces", [["The keeper", "The keeper trims", "The keeper trims the lamp."],
                                    ["The keeper ", "trims the lamp.", "The keeper trims the lamp."]])  # fmt: skip
async def test_a_stream_that_repeats_what_came_before_is_read_once(pieces: list[str]) -> None:
    ends = [*[""] * (len(pieces) - 1), "stop"]
    events = [
        {"choices": [{"delta": {"content": piece}, "finish_reason": end}]}
        for piece, end in zip(pieces, ends, strict=True)
    ]
    content = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)
    async with StubServer(raw(content, content_type="text/event-stream")) as server:
        [answer], fleet = await post(server)
    assert (answer["choices"][0]["message"]["content"], fleet.retries) == ("The keeper trims the lamp.", 0)


async def test_an_event_may_be_in_several_lines() -> None:
    content = "".join(f"data: {line}\n" for line in json.dumps(ANSWER, indent=1).split("\n")) + "\ndata: [DONE]\n\n"
    async with StubServer(raw(content.encode(), content_type="text/event-stream")) as server:
        [answer], _ = await post(server)
    assert answer["choices"][0]["message"]["content"] == "hello"


@pytest.mark.parametrize(
    ("events", "texts"),
    [
        (
            [
                {"choices": [{"delta": {"content": "no"}}]},
                {"choices": [{"message": {"content": "no"}, "finish_reason": "stop"}]},
            ],
            ["no"],
        ),
        ([{"choices": [{"message": {"content": "no"}, "finish_reason": "stop"}]}] * 2, ["no"]),
        (
            [{"choices": [{"index": 0, "delta": {"content": each}, "finish_reason": "stop"} for each in ("a", "b")]}],
            ["a", "b"],
        ),
    ],
    ids=["the whole at the end", "everything twice", "one number for all"],
)
def test_a_stream_holds_each_choice_once(events: list[Any], texts: list[str]) -> None:
    content = "".join(f"data: {json.dumps(each)}\n\n" for each in events) + "data: [done]\n\n"
    read = bodies.read_body(content.encode())
    assert [each["message"]["content"] for each in read["choices"]] == texts


@pytest.mark.parametrize("prefix", ["data: data: ", ""], ids=["a prefix twice", "lines without one"])
def test_a_stream_is_read_with_any_prefix(prefix: str) -> None:
    lines = [*(json.dumps(each) for each in EVENTS), "[DONE]"]
    read = bodies.read_body("\n".join(f"{prefix}{line}" for line in lines).encode())
    assert read["choices"][0]["message"]["content"] == "hello"


async def test_an_answer_or_an_error_alone_in_a_list_is_one() -> None:
    assert bodies.read_body(json.dumps([ANSWER]).encode()) == ANSWER
    assert "API key" in await error_of(StubServer(default=says([{"error": {"message": "API key not valid"}}])))


async def test_an_error_in_a_stream_is_told_in_the_servers_words() -> None:
    stream = raw(b'data: {"error": {"message": "The server is on fire", "code": 500}}\n\n')
    assert "last with: The server is on fire" in await error_of(StubServer(default=stream), retries=0)


async def test_a_key_that_an_answer_quotes_is_struck_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-0123456789abcdef")
    said = {**ANSWER, "warning": "the key sk-0123456789abcdef ends soon"}
    async with StubServer(default=says(said)) as server:
        [answer], _ = await post(server, api_key_env="MY_KEY")
    assert answer["warning"] == "the key *** ends soon"


@pytest.mark.parametrize("end", ["", "null"])
async def test_a_stream_that_breaks_off_after_ends_that_say_nothing_is_half_an_answer(end: str) -> None:
    half = {"choices": [{"delta": {"content": "hel"}, "finish_reason": end}]}
    async with StubServer(raw(b"data: " + json.dumps(half).encode() + b"\n\n")) as server:
        [answer], fleet = await post(server)
    assert (answer["choices"][0]["message"]["content"], fleet.retries) == ("hello s- c0", 1)


async def test_a_stream_that_breaks_off_is_half_an_answer() -> None:
    half = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in EVENTS[:2])
    async with StubServer(raw(half, content_type="text/event-stream")) as server:
        [answer], fleet = await post(server)
    assert (answer["choices"][0]["message"]["content"], fleet.retries) == ("hello s- c0", 1)


PACKED = json.dumps(ANSWER).encode()


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (gzip.compress(PACKED), "gzip"),
        (zlib.compress(PACKED), "deflate"),
        (zlib.compress(PACKED)[2:-4], "deflate"),
        (gzip.compress(PACKED[:9]) + gzip.compress(PACKED[9:]), "gzip"),
        (gzip.compress(gzip.compress(PACKED)), "gzip, gzip"),
        (zstandard.compress(PACKED), "zstd"),
        (gzip.compress(PACKED), ""),
        (zstandard.compress(PACKED), ""),
        (gzip.compress(PACKED), "br"),
        (PACKED, "gzip"),
        (PACKED, "br"),
        (PACKED, "utf-8"),
    ],
    ids=["gzip", "deflate", "bare deflate", "members", "twice", "zstd", "gzip unsaid", "zstd unsaid", "gzip said br",
         "not gzip", "not br", "no encoding"],
)  # fmt: skip
async def test_an_answer_is_unpacked_whatever_its_header_says(content: bytes, encoding: str) -> None:
    async with StubServer(default=raw(content, **({"Content-Encoding": encoding} if encoding else {}))) as server:
        assert (await post(server))[0] == [ANSWER]


async def test_an_answer_that_unpacks_without_end_is_refused_before_it_fills_the_memory() -> None:
    bomb = b" " * (bodies.MAX_BODY_BYTES + 1)
    for packed, encoding in ((gzip.compress(bomb, 1), "gzip"), (zstandard.compress(bomb), "zstd")):
        said = await error_of(StubServer(default=raw(packed, **{"Content-Encoding": encoding})))
        assert "sends an answer of more than 64,000,000 bytes: ask for fewer" in said


@pytest.mark.parametrize("body", [b"[" * 900 + b"]" * 900, b"[" * 100_000, b'{"choices": [%s]}' % (b"9" * 5_000)])
async def test_json_that_no_reader_takes_is_half_an_answer(body: bytes) -> None:
    assert "half an answer" in await error_of(StubServer(default=raw(body)), retries=0)


async def test_a_status_of_5000_digits_and_a_deep_name_of_a_model_are_no_traceback() -> None:
    assert read_complaint(b'{"error": {"message": "no", "code": "%s"}}' % (b"4" * 5_000)).code == 0
    deep = b'{"data": [{"id": %s}]}' % (b"[" * 900 + b"]" * 900)
    async with StubServer(default=raw(deep)) as server:
        transport = Transport(Endpoint(base_url=server.url, model="m", api_key_env=""))
        await transport.open()
        assert await transport.list_models() is None
        await transport.close()


async def test_a_compression_that_cannot_be_read_is_named() -> None:
    reply = raw(b"\x0b\x02\x80{}\x03", **{"Content-Encoding": "br"})
    assert "answers in a compression that can't be read" in await error_of(StubServer(default=reply))


async def test_a_query_of_the_base_url_goes_with_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    queries: list[str] = []

    async def note(request: Any, body: Any) -> Any:
        queries.append(str(request.rel_url))
        return await ok()(request, body)

    async with StubServer(default=note) as server:
        endpoint = Endpoint(base_url=f"{server.url}/?api-version=2024-10-21", api_key_env="MY_KEY")
        fleet = Fleet(endpoint)
        await fleet.open()
        await fleet.post(CALL)
        await fleet.close()
    assert queries == ["/v1/chat/completions?api-version=2024-10-21"]
    assert server.headers[0]["api-key"] == "secret"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://no-such-host.invalid/v1", "there is no host of this name"),
        ("https://127.0.0.1:PORT/v1", "speaks no TLS there"),
        ("http://127.0.0.1:9/v1", "start it, or correct base_url"),
    ],
)
async def test_what_is_wrong_with_a_connection_is_named_with_the_remedy(url: str, said: str) -> None:
    async with StubServer() as server:
        port = server.url.split(":")[2].split("/")[0]
        assert said in await error_of_endpoint(Endpoint(base_url=url.replace("PORT", port), api_key_env=""))


# the server's words


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"error": {"message": "no", "param": "seed", "code": None}}, "no (seed)"),
        ({"error": {"message": "no"}}, "no"),
        ({"error": "no"}, "no"),
        ({"message": "no"}, "no"),
        ({"detail": "no"}, "no"),
        (
            {"detail": [{"loc": ["body", "n"], "msg": "not known", "input": "response_format"}, "odd"]},
            "body.n: not known; odd",
        ),
        ({"other": 1}, '{"other": 1}'),
    ],
)
def test_the_servers_own_words_are_found(body: object, sentence: str) -> None:
    assert read_complaint(json.dumps(body).encode()).sentence == sentence


def test_this_machine_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert proxy_for("http://models.example/v1") == "http://proxy.example:3128"
    assert proxy_for("http://127.0.0.1:8000/v1") is None
    assert proxy_for("http://localhost:8000/v1") is None
    assert proxy_for("http://inside.example/v1") is None


async def test_a_proxy_that_does_not_answer_is_not_taken_for_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    server = StubServer()
    server.url = "http://models.example/v1"
    with pytest.raises(ModelError, match=r"is behind a proxy that does not answer .*: correct http_proxy, https_proxy"):
        await post(server, retries=1)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://:3128", "http://proxy:port", "nonsense"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ModelError, match="SOCKS is not supported; correct https_proxy"):
        proxy_for("https://models.example/v1")
