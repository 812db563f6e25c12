"""`autoif serve` as its clients meet it: a process, HTTP, and people who mean it well or not."""

import asyncio
import gzip
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from autoif.cli.serve import serve
from autoif.errors import ConfigError
from autoif.sandbox import Limits, Sandbox, SandboxSettings
from autoif.service.admission import Admission
from autoif.service.app import Service
from autoif.service.listening import listening
from autoif.service.schemas import MAX_FUNCTIONS, MAX_SOURCE_CHARS, MAX_TEXT_CHARS, MAX_TEXTS, Refusal
from autoif.service.settings import ServiceSettings
from support.command import autoif, fails_here
from support.process_tree import is_there, list_descendants
from support.service_process import BROKEN, FALSE, HANG, TRUE, UPPER, Serving, serving

TOKEN = "0123456789abcdef0123"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    """A server for the tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("serve")
    async with serving(folder, "--workers", 2, "--timeout", 0.5, "--body-mb", 4) as running:
        yield running


# Verdicts and rewards


async def test_every_function_judges_every_response_in_order(server):
    answer = await server.verify([UPPER, BROKEN, TRUE, UPPER, "x = 1"], ["YES", "no"])
    assert answer.status == 200
    assert answer.words == [["pass", "fail"], ["error"] * 2, ["pass"] * 2, ["pass", "fail"], ["error"] * 2]
    assert answer.json()["not_loaded"] == [1, 4]
    assert "SyntaxError" in answer.json()["verdicts"][1][1]["detail"]
    assert all(each["seconds"] >= 0 for row in answer.json()["verdicts"] for each in row)


@pytest.mark.parametrize(
    "text", ["''", r"'\ud800'", r"'\udfff\ud800'", r"'\0'", r"'a\0b\r\n'", r"'\u2028'", "'🙂'", "'x' * 1_000_000"]
)
async def test_any_text_that_json_can_hold_arrives_as_it_is(server, text):
    function = f"def evaluate(response):\n    return response == {text}"
    text = eval(text)
    answer = await server.verify([function, FALSE], [text, text + "!"])
    assert answer.words == [["pass", "fail"], ["fail", "fail"]]


async def test_raw_utf8_and_escapes_are_the_same_text(server):
    body = json.dumps({"functions": ["def evaluate(r): return r == '\\u00e9\\U0001f642'"], "responses": ["é🙂"]})
    raw = json.dumps(json.loads(body), ensure_ascii=False).encode()
    for data in (body.encode(), raw):
        assert (await server.ask("POST", "/v1/verify", data=data)).words == [["pass"]]


async def test_the_answer_is_json_for_strict_parsers_whatever_a_function_says(server):
    evil = "def evaluate(response):\n    raise ValueError('\\ud800 \\x00 \\u2028 \" \\\\ ' + 'y' * 100_000)"
    answer = await server.verify([evil], ["a"])
    detail = answer.json()["verdicts"][0][0]["detail"]
    assert detail.startswith("ValueError")
    assert len(detail) < 1000


async def test_rewards_are_binary_unless_fractions_are_asked_for(server):
    items = [
        {"completion": "YES", "functions": [UPPER, TRUE, FALSE]},
        {"completion": "no", "functions": [UPPER, TRUE]},
        {"completion": "no", "functions": [UPPER, UPPER, TRUE, BROKEN]},
    ]
    binary, fraction = [
        (await server.post("/v1/reward", {"items": items, **mode})).json() for mode in ({}, {"mode": "fraction"})
    ]
    assert binary["rewards"] == [1, 0, 0]
    assert fraction["rewards"] == [2 / 3, 0.5, 0.25]
    assert [[each["verdict"] for each in row] for row in fraction["verdicts"]] == [
        ["pass", "pass", "fail"],
        ["fail", "pass"],
        ["fail", "fail", "pass", "error"],
    ]


async def test_a_thought_is_not_rewarded_and_one_without_an_answer_says_so(server):
    said = ("<think>no</think>YES", "<think>YES", "<think>YES</think>")
    items = [{"completion": text, "functions": [UPPER]} for text in said] + [{"completion": "", "functions": [TRUE]}]
    found = (await server.post("/v1/reward", {"items": items})).json()
    assert found["rewards"] == [1, 0, 0, 1]
    assert found["faults"] == ["", "unfinished_reasoning", "only_reasoning", ""]
    metrics = (await server.get("/metrics")).body.decode()
    assert 'autoif_reward_faults_total{fault="only_reasoning"} 1.0' in metrics


async def test_a_source_runs_once_for_all_its_completions(server):
    counting = "calls = 0\ndef evaluate(response):\n    global calls\n    calls += 1\n    return str(calls) == response"
    items = [{"completion": str(number), "functions": [counting]} for number in (1, 2, 3)]
    assert (await server.post("/v1/reward", {"items": items})).json()["rewards"] == [1, 1, 1]


async def test_hundreds_of_responses_get_the_verdicts_they_would_get_alone(server):
    responses = ["A" if number % 3 else "a" for number in range(700)]
    odd = "def evaluate(response):\n    if response == 'a':\n        raise KeyError(response)\n    return True"
    answer = await server.verify([UPPER, odd], responses)
    assert answer.words[0] == ["pass" if text == "A" else "fail" for text in responses]
    assert answer.words[1] == ["pass" if text == "A" else "error" for text in responses]


async def test_a_function_that_hangs_now_and_then_loses_only_those_texts(server):
    responses = ["x"] * 30
    responses[10] = responses[20] = "hang"
    function = "def evaluate(response):\n    while response == 'hang':\n        pass\n    return True"
    answer = await server.verify([function], responses)
    assert answer.words == [["timeout" if text == "hang" else "pass" for text in responses]]


_COUNTING = """calls = 0
def evaluate(response):
    global calls
    calls += 1
    while response == "hang":
        pass
    if response == "leave":
        raise SystemExit
    if response == "die":
        import os
        os._exit(0)
    return calls % 11 > 0"""


@pytest.mark.parametrize(
    ("count", "odd"),
    [(200, {}), (2100, {}), (200, {3: "hang", 4: "hang", 130: "hang"}), (200, {9: "die", 70: "hang", 150: "leave"})],
    ids=["many texts", "more than one call", "hangs", "dies and hangs"],
)
async def test_a_function_with_state_gets_the_verdicts_that_the_sandbox_gives(server, count, odd):
    texts = [odd.get(index, "a") for index in range(count)]
    async with Sandbox(Limits(timeout_s=0.5), workers=1) as sandbox:
        wanted = [outcome.verdict.value for outcome in await sandbox.run(_COUNTING, texts)]
    assert len(set(wanted)) > 1
    assert (await server.verify([_COUNTING], texts)).words == [wanted]
    items = [{"completion": text, "functions": [_COUNTING]} for text in texts]
    rewarded = (await server.post("/v1/reward", {"items": items})).json()["verdicts"]
    assert [row[0]["verdict"] for row in rewarded] == wanted


async def test_a_slow_function_that_was_broken_off_begins_again_and_keeps_its_state(tmp_path):
    slow = "import time\n" + _COUNTING.replace("calls += 1", "calls += 1; time.sleep(0.05)")
    async with serving(tmp_path, "--timeout", 0.2) as server:
        waiting = asyncio.create_task(server.verify([slow], ["a"] * 60))
        await server.wait_for_metric("autoif_requests_in_flight", 1)
        assert (await server.verify([TRUE], ["a"])).words == [["pass"]]  # it waited for a turn that was broken off
        assert not waiting.done()
        assert (await waiting).words == [["fail" if number % 11 == 0 else "pass" for number in range(1, 61)]]


async def test_a_source_that_hangs_while_loading_costs_one_time_limit(server):
    began = time.monotonic()
    answer = await server.verify(["while True:\n    pass"], ["a"] * 100)
    assert answer.words == [["timeout"] * 100]
    assert answer.json()["not_loaded"] == [0]
    assert time.monotonic() - began < 25  # fifty, if each text cost one


# What is refused


def _verify(functions: object = (TRUE,), responses: object = ("a",), **more: object) -> str:
    return json.dumps({"functions": functions, "responses": responses, **more})


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("", 400, "bad_json"),
        ("{", 400, "bad_json"),
        (b"\xff{}", 400, "bad_json"),
        (b'{"functions": ["\xed\xa0\x80"], "responses": ["a"]}', 400, "bad_json"),
        ("[" * 100_000, 400, "bad_json"),
        (_verify(responses=[float("nan")]), 400, "bad_json"),
        ('{"functions": ["a"], "responses": ["b"], "responses": ["c"]}', 400, "bad_json"),
        (json.dumps({f"key{number}": 1 for number in range(100_000)}), 400, "bad_json"),
        ('{"functions": ' + "1" * 10_000 + "}", 400, "bad_json"),
        ("[]", 422, "invalid"),
        ("null", 422, "invalid"),
        ("{}", 422, "invalid"),
        (_verify(timeout=3), 422, "invalid"),
        (_verify(**{"\ud800\n": 3}), 422, "invalid"),
        (_verify(functions=[]), 422, "invalid"),
        (_verify(responses=[]), 422, "invalid"),
        (_verify(functions=TRUE), 422, "invalid"),
        (_verify(responses=[1]), 422, "invalid"),
        (_verify(responses=[1] * 1_000_000), 422, "invalid"),
        (_verify(responses=[None]), 422, "invalid"),
        (_verify(functions=["x" * (MAX_SOURCE_CHARS + 1)]), 422, "invalid"),
        (_verify(responses=["x" * (MAX_TEXT_CHARS + 1)]), 422, "invalid"),
        (_verify(functions=["x"] * (MAX_FUNCTIONS + 1)), 422, "invalid"),
        (_verify(responses=["x"] * (MAX_TEXTS + 1)), 422, "invalid"),
        (_verify(functions=["x"] * MAX_FUNCTIONS, responses=["x"] * MAX_TEXTS), 422, "invalid"),
    ],
    ids=range(25),
)
async def test_a_wrong_body_is_refused_with_one_line(server, body, status, code):
    answer = await server.ask("POST", "/v1/verify", data=body)
    assert (answer.status, answer.code) == (status, code)
    assert len(answer.body) < 400


@pytest.mark.parametrize(
    "body",
    [
        {"items": []},
        {"items": [{"completion": "a", "functions": []}]},
        {"items": [{"completion": "a"}]},
        {"items": [{"completion": "a", "functions": [TRUE], "id": 1}]},
        {"items": [{"completion": "a", "functions": [TRUE]}], "mode": "average"},
        {"items": [{"completion": "a", "functions": ["x"] * MAX_FUNCTIONS}] * 600},
    ],
    ids=range(6),
)
async def test_a_wrong_reward_request_is_refused_with_one_line(server, body):
    assert (await server.post("/v1/reward", body)).code == "invalid"


async def test_the_refusal_names_what_is_wrong(server):
    async def message(body: str) -> str:
        return (await server.ask("POST", "/v1/verify", data=body)).json()["error"]["message"]

    assert await message(_verify(timeout=3)) == 'unknown key "timeout"'
    assert (await message(_verify(responses=["a", 7]))).startswith("responses.1: ")
    assert "2,000,000" in await message(_verify(responses=["x" * (MAX_TEXT_CHARS + 1)]))
    assert "split the request" in await message(_verify(functions=["x"] * 200, responses=["x"] * 4000))


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
async def test_too_large_a_body_is_refused_before_it_has_all_come(server, announced):
    parts = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(_head(parts.netloc, 5 << 20 if announced else None))
    if not announced:
        chunk = b"10000\r\n" + b" " * (1 << 16) + b"\r\n"
        writer.write(chunk * 65)  # a little more than 4 MiB, and more seems to come
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_small_body_in_chunks_is_read(server):
    async def pieces() -> AsyncIterator[bytes]:
        for byte in _verify().encode():
            yield bytes([byte])

    assert (await server.ask("POST", "/v1/verify", data=pieces())).words == [["pass"]]


async def test_a_body_that_is_not_announced_as_json_is_refused(server):
    # A page in a browser may send text/plain to any server, without asking first.
    plain = await server.ask("POST", "/v1/verify", data=_verify(), headers={"Content-Type": "text/plain"})
    packed = await server.ask(
        "POST", "/v1/verify", data=gzip.compress(b" " * 1000), headers={"Content-Encoding": "gzip"}
    )
    assert (plain.status, plain.code) == (packed.status, packed.code) == (415, "not_json")


async def test_unknown_routes_and_methods_are_said_in_json(server):
    missing = await server.get("/v1/nothing")
    wrong = await server.get("/v1/verify")
    assert (missing.status, missing.code) == (404, "not_found")
    assert (wrong.status, wrong.code, wrong.headers["Allow"]) == (405, "method_not_allowed", "POST")


async def test_a_page_that_points_its_own_name_here_is_refused(server):
    port = urlsplit(server.url).port
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "", "[::1"):
        answer = await server.get("/healthz", headers={"Host": host})
        assert (answer.status, answer.code) == (421, "wrong_host")
    for host in ("localhost", f"LOCALHOST:{port}", "127.0.0.1", "[::1]:80", "127.8.9.10"):
        assert (await server.get("/healthz", headers={"Host": host})).status == 200


async def test_a_request_broken_off_half_way_harms_nobody(server):
    parts = urlsplit(server.url)
    for sent in (b"POST /v1/verify HTTP/1.1\r\n", b"\x00\xff\r\n\r\n", _head(parts.netloc, 1000) + b'{"functions":'):
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(sent)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(_head(parts.netloc, None) + b"zz\r\nno chunk\r\n\r\n")
        assert b" 400 " in connection.recv(1000).splitlines()[0]
    assert (await server.verify([TRUE], ["a"])).words == [["pass"]]
    await server.wait_for_metric("autoif_requests_queued", 0)


def _head(host: str, length: int | None) -> bytes:
    size = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    head = f"POST /v1/verify HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{size}\r\n\r\n"
    return head.encode()


# Health, figures, pages


async def test_health_says_ready_and_which_layers_hold(server):
    answer = await server.get("/healthz")
    assert answer.status == 200
    assert answer.json()["status"] == "ready"
    assert "seccomp" in answer.json()["sandbox"]


async def test_metrics_count_requests_and_verdicts(server):
    async def figures() -> list[float]:
        return [
            await server.metric("autoif_requests_total", route="/v1/verify", status="200"),
            await server.metric("autoif_requests_total", route="other", status="404"),
            await server.metric("autoif_requests_rejected_total", code="invalid"),
            await server.metric("autoif_verdicts_total", verdict="pass"),
            await server.metric("autoif_verdicts_total", verdict="crash"),
            await server.metric("autoif_request_seconds_count", route="/v1/verify"),
        ]

    before = await figures()
    await server.verify([TRUE, "import os\ndef evaluate(r): os._exit(0)"], ["a", "b"])
    await server.post("/v1/verify", {})
    await server.get("/anything")
    after = await figures()
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1, 2, 2, 2]


async def test_the_page_needs_nothing_from_elsewhere_and_shows_every_route(server):
    page = (await server.get("/docs")).body.decode()
    document = (await server.get("/openapi.json")).json()
    assert all(route in page for route in document["paths"])
    assert all(f'id="{name}"' in page for name in document["components"]["schemas"])
    assert not any(part in page for part in ("src=", "https://", "<script", "@import", "url("))
    assert "http://HOST:PORT/v1/verify" in page


async def test_the_example_of_the_page_works(server):
    schemas = (await server.get("/openapi.json")).json()["components"]["schemas"]
    verify = await server.post("/v1/verify", schemas["VerifyRequest"]["examples"][0])
    reward = await server.post("/v1/reward", schemas["RewardRequest"]["examples"][0])
    assert verify.words == [["pass", "fail"]]
    assert reward.json()["rewards"] == [1]


# Who may ask


@pytest.fixture
def no_log(monkeypatch):
    """Leave the log of this process as it is when `autoif serve` runs in it."""
    monkeypatch.setattr("autoif.service.telemetry.configure_log", lambda: None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
async def test_without_a_token_it_does_not_listen_beyond_loopback(host, tmp_path, no_log):
    assert "AUTOIF_SERVICE_TOKEN" in await asyncio.to_thread(fails_here, "serve", "--host", host, cwd=tmp_path)


@pytest.mark.parametrize("token", ["", "short", "with blanks in it 0123", "ümläut-0123456789"])
async def test_a_token_that_can_not_be_trusted_is_refused(token, tmp_path, no_log, monkeypatch):
    monkeypatch.setenv("AUTOIF_SERVICE_TOKEN", token)
    line = await asyncio.to_thread(fails_here, "serve", cwd=tmp_path)
    assert line.startswith("autoif: the token in AUTOIF_SERVICE_TOKEN must be")


async def test_with_a_token_only_who_shows_it_gets_verdicts(tmp_path):
    async with serving(tmp_path, "--host", "0.0.0.0", AUTOIF_SERVICE_TOKEN=TOKEN) as server:
        wrong = ["", TOKEN, "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \u00fc"]
        for shown in wrong:
            answer = await server.verify([TRUE], ["a"], headers={"Authorization": shown} if shown else {})
            assert (answer.status, answer.code) == (401, "no_token"), shown
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert (await server.get("/metrics")).status == (await server.get("/nothing")).status == 401
        for path in ("/healthz", "/openapi.json", "/docs"):
            assert (await server.get(path, headers={"Host": "a.name.of.ours"})).status == 200
        assert (await server.verify([TRUE], ["a"], headers=WITH_TOKEN)).words == [["pass"]]
        assert (await server.get("/metrics", headers={"Authorization": f"bearer {TOKEN}"})).status == 200
        assert "Bearer TOKEN" in (await server.get("/docs")).body.decode()
        assert TOKEN not in _read_command_line(server.process.pid)
    assert TOKEN not in server.log.read_text()


async def test_the_token_may_be_in_a_file_and_wins_over_the_environment(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    async with serving(tmp_path, "--token-file", file, AUTOIF_SERVICE_TOKEN="x" * 20) as server:
        assert (await server.get("/metrics", headers=WITH_TOKEN)).status == 200
        assert (await server.get("/metrics")).status == 401
    ended = await asyncio.to_thread(autoif, "serve", "--token-file", tmp_path / "none", cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)


async def test_it_listens_on_ipv6_as_well(tmp_path):
    async with serving(tmp_path, "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert (await server.verify([TRUE], ["a"])).words == [["pass"]]


async def test_a_port_that_is_taken_is_said_in_one_line(server, tmp_path):
    ended = await asyncio.to_thread(autoif, "serve", "--port", str(urlsplit(server.url).port), cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("autoif: can't listen on 127.0.0.1 port")


async def test_a_host_without_an_address_is_said_in_one_line(tmp_path):
    ended = await asyncio.to_thread(autoif, "serve", "--host", "no.such.host.invalid", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1


# Bounds


async def test_a_full_queue_is_said_with_the_time_to_wait(tmp_path):
    async with serving(tmp_path, "--queue", 2, "--timeout", 1.5) as server:
        busy = [asyncio.create_task(server.verify([HANG], ["a"])) for _ in range(2)]
        await server.wait_for_metric("autoif_requests_in_flight", 1)
        await server.wait_for_metric("autoif_requests_queued", 1)
        refused = await server.verify([TRUE], ["a"])
        assert (refused.status, refused.code) == (429, "queue_full")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await server.get("/healthz")).status == 200
        assert [answer.words for answer in await asyncio.gather(*busy)] == [[["timeout"]]] * 2
        assert (await server.verify([TRUE], ["a"])).words == [["pass"]]
        assert await server.metric("autoif_requests_rejected_total", code="queue_full") == 1


async def test_waiting_bodies_are_bounded_in_bytes(tmp_path):
    async with serving(tmp_path, "--queue-mb", 1, "--body-mb", 2, "--timeout", 1.5) as server:
        busy = asyncio.create_task(server.verify([HANG], ["a" * 900_000]))
        await server.wait_for_metric("autoif_requests_in_flight", 1)
        assert (await server.verify([TRUE], ["a" * 200_000])).code == "queue_full"
        small = await server.verify([TRUE], ["a"])
        assert (small.status, (await busy).status) == (200, 200)
        # Larger than the budget for all, but not than one body may be: alone it is taken.
        assert (await server.verify([TRUE], ["a" * 1_500_000])).words == [["pass"]]


@pytest.mark.parametrize("source", [HANG, "import time\ndef evaluate(response): time.sleep(0.8)"])
async def test_a_request_past_its_deadline_ends_and_leaves_a_healthy_sandbox(tmp_path, source):
    async with serving(tmp_path, "--deadline", 1.5, "--timeout", 1, "--workers", 1) as server:
        began = time.monotonic()
        late = await server.verify([source, TRUE], ["a"] * 1000)  # a quarter of an hour, were each text run
        assert (late.status, late.code) == (504, "deadline")
        assert time.monotonic() - began < 30
        assert (await server.verify([TRUE, UPPER], ["a"])).words == [["pass"], ["fail"]]
        assert await server.metric("autoif_requests_in_flight") == 0


async def test_a_body_that_trickles_in_ends_at_the_deadline(tmp_path):
    async with serving(tmp_path, "--deadline", 0.5) as server:
        parts = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(_head(parts.netloc, 1000) + b'{"functions":')
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_leaves_takes_its_work_with_it(tmp_path):
    async with serving(tmp_path, "--timeout", 20) as server:
        leaving = asyncio.create_task(server.verify([HANG], ["a"] * 10))
        await server.wait_for_metric("autoif_requests_in_flight", 1)
        leaving.cancel()
        began = time.monotonic()
        assert (await server.verify([TRUE], ["a"])).words == [["pass"]]
        assert time.monotonic() - began < 18
        assert await server.metric("autoif_requests_total", route="/v1/verify", status="499") == 1
        assert await server.metric("autoif_requests_in_flight") == 0


async def test_requests_that_hang_do_not_hold_up_the_others(tmp_path):
    async with serving(tmp_path, "--workers", 2, "--timeout", 0.5, "--deadline", 30) as server:
        hanging = [
            asyncio.create_task(server.verify([HANG] * 3 + [f"x = {n}\n{HANG}"], ["a"] * 1000)) for n in range(6)
        ]
        await server.wait_for_metric("autoif_requests_in_flight", 6)
        waits = []
        for _ in range(10):
            began = time.monotonic()
            assert (await server.verify([TRUE, UPPER], ["A"] * 40)).words == [["pass"] * 40] * 2
            waits.append(time.monotonic() - began)
        # Six requests of 4,000 hanging texts are 3.3 hours of work; an honest one waits for a worker's turn to end.
        assert max(waits) < 20
        assert sorted(waits)[5] < 5
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_function_that_needs_longer_than_a_turn_gets_through_however_many_others_wait(tmp_path):
    slow = "import time\ndef evaluate(response):\n    time.sleep(0.05)\n    return True"
    async with serving(tmp_path, "--timeout", 0.2, "--workers", 1) as server:
        waiting = asyncio.create_task(server.verify([slow], ["a"] * 60))

        async def keep_asking() -> None:
            while not waiting.done():
                await server.verify([TRUE], ["a"])

        await asyncio.wait_for(asyncio.gather(waiting, keep_asking(), keep_asking()), 40)
        assert waiting.result().words == [["pass"] * 60]


async def test_a_function_that_begins_to_hang_later_does_not_hold_its_worker(tmp_path):
    # Quick on the first texts, so that it is given a long turn; then it hangs on each of them.
    late = "def evaluate(response):\n    while int(response) > 3:\n        pass\n    return True"
    async with serving(tmp_path, "--timeout", 0.5) as server:
        hanging = asyncio.create_task(server.verify([late], [str(number) for number in range(60)]))
        await server.wait_for_metric("autoif_requests_in_flight", 1)
        await asyncio.sleep(0.2)
        began = time.monotonic()
        assert (await server.verify([TRUE], ["a"])).words == [["pass"]]
        assert time.monotonic() - began < 20
        assert not hanging.done()
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        # What the turn that was broken off had found is found again.
        assert (await server.verify([late], ["1", "2", "3", "0", "1", "9", "2"])).words == [
            ["pass"] * 5 + ["timeout"] + ["pass"]
        ]


# The end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_finishes_what_it_has_begun(number, tmp_path):
    async with serving(tmp_path, "--timeout", 1.5) as server:
        begun = asyncio.create_task(server.verify([HANG, TRUE], ["a"]))
        await server.wait_for_metric("autoif_requests_in_flight", 1)
        server.process.send_signal(number)
        health = await server.wait_until_draining()
        refused = await server.verify([TRUE], ["a"])
        assert health.json()["status"] == "draining"
        assert (refused.status, refused.code) == (503, "draining")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await begun).words == [["timeout"], ["pass"]]
        assert await server.ended() == 0
        with pytest.raises(aiohttp.ClientConnectionError):
            await server.get("/healthz")


async def test_with_nothing_to_do_it_stops_at_once(tmp_path):
    async with serving(tmp_path) as server:
        assert (await server.verify([TRUE], ["a"])).status == 200  # its connection stays open, idle
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("grace", ["0.3", "60"])
async def test_what_is_not_done_within_the_grace_is_refused_and_not_lost(grace, tmp_path):
    async with serving(tmp_path, "--timeout", 30, "--grace", grace) as server:
        begun = asyncio.create_task(server.verify([HANG], ["a"]))
        await server.wait_for_metric("autoif_requests_in_flight", 1)
        server.process.send_signal(signal.SIGTERM)
        if grace == "60":
            await server.wait_until_draining()
            server.process.send_signal(signal.SIGINT)  # somebody is in a hurry
        answer = await begun
        assert (answer.status, answer.code) == (503, "draining")
        assert await server.ended() == 0
        assert "1 requests are not done and will not be" in server.log.read_text()


async def test_nothing_is_left_of_its_workers(tmp_path):
    async with serving(tmp_path, "--workers", 2) as server:
        await server.verify([TRUE], ["a"])
        children = list_descendants(server.process.pid)
        assert children
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0
    assert not [child for child in children if is_there(child)]


def _read_command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.parametrize(
    ("sandbox", "status", "code", "said"),
    # A sandbox that was never entered raises the SandboxError that a broken one raises.
    [(Sandbox(workers=1), 503, "sandbox", "sandbox is not running"), (None, 500, "internal", "its log says why")],
)
async def test_a_failing_sandbox_and_a_failing_server_are_said_and_not_the_end(sandbox, status, code, said, caplog):
    settings = ServiceSettings(sandbox=SandboxSettings(workers=2), port=0)
    service = Service(settings, sandbox)
    async with listening(service, settings) as url, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.post(
                f"{url}/v1/verify", json={"functions": [TRUE, UPPER], "responses": ["a"]}
            ) as answer:
                error = (await answer.json())["error"]
                assert (answer.status, error["code"], said in error["message"]) == (status, code, True)
                assert (answer.headers.get("Retry-After") is not None) == (status == 503)
    assert len(caplog.records) == 2


async def test_without_its_extra_it_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "autoif.service.server", None)
    with pytest.raises(ConfigError, match=r"autoif\[service\]"):
        serve.main([], standalone_mode=False)


async def test_the_time_to_wait_follows_how_fast_requests_are_done():
    admission = Admission(requests=100, most_bytes=1)
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(admission.admit()).enter_queue()
        assert admission.estimate_wait_s() == 1  # nothing is known yet
        with pytest.raises(Refusal, match="100 requests"), admission.admit():
            pass
    assert admission.estimate_wait_s() == 1
    slow = Admission(requests=100, most_bytes=1)
    for _ in range(2):
        with slow.admit() as place:
            place.enter_queue()
        await asyncio.sleep(0.1)
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(slow.admit()).enter_queue()
        assert 5 <= slow.estimate_wait_s() <= 30
