"""`autoif serve` among clients that say nothing, say too much or do not listen: it stays up, small and quick."""

import asyncio
import gzip
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from autoif.service.telemetry import FewOfAKind
from support.service_process import HANG, TRUE, Answer, Serving, serving

DESCRIPTORS = 1024
IDLE = 1040
HEALTHY_S = 0.1

_ATTACKER = """
import json, os, socket, sys, threading, time

os.nice(19)  # it stands for other machines, and should not take the server's processors
host, port = sys.argv[1], int(sys.argv[2])
where = (host, port)
kept = []


def head(length):
    return (
        f"POST /v1/verify HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nContent-Type: application/json\\r\\n"
        f"Content-Length: {length}\\r\\n\\r\\n"
    ).encode()


def say_nothing():
    kept.append(socket.create_connection(where))


def send_no_body(length):
    silent = socket.create_connection(where)
    silent.sendall(head(length))
    kept.append(silent)


def send_brackets():
    body = b"[" + b"[]," * ((16 << 20) // 3 - 2) + b"[]]"
    while True:
        try:
            with socket.create_connection(where) as loud:
                loud.sendall(head(len(body)) + body)
                loud.recv(1000)
        except OSError:
            time.sleep(0.05)


def not_read(number):
    # A small request with a large answer: every verdict has a long detail.
    long = "def evaluate(response):\\n    raise ValueError('x' * 290)\\n"
    functions = [f"{long}#{number} {index}" for index in range(200)]
    body = json.dumps({"functions": functions, "responses": ["a"] * 400}).encode()
    while True:
        try:
            deaf = socket.socket()
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(where)
            deaf.sendall(head(len(body)) + body)
            time.sleep(6)
            deaf.close()
        except OSError:
            time.sleep(0.05)
"""


def _attack(server: Serving, act: str) -> "subprocess.Popen[str]":
    """Start a process that attacks the server; return when it says that it has begun."""
    parts = urlsplit(server.url)
    program = _ATTACKER + textwrap.dedent(act) + "\nprint('begun', flush=True)\ntime.sleep(600)\n"
    attacker = subprocess.Popen(
        [sys.executable, "-c", program, str(parts.hostname), str(parts.port)], stdout=subprocess.PIPE, text=True
    )
    assert attacker.stdout
    assert attacker.stdout.readline() == "begun\n"
    return attacker


@asynccontextmanager
async def attacked(server: Serving, *acts: str) -> AsyncIterator[None]:
    attackers = [await asyncio.to_thread(_attack, server, act) for act in acts]
    try:
        yield
        assert all(attacker.poll() is None for attacker in attackers)
    finally:
        for attacker in attackers:
            attacker.kill()
            attacker.wait()
            assert attacker.stdout
            attacker.stdout.close()


def _waited_s(thread: str) -> float:
    """Return the seconds that a thread has waited for a processor so far, as other work had it."""
    return int(Path(f"/proc/{thread}/schedstat").read_text().split()[1]) / 1e9


def _ask_health(server: Serving) -> float:
    """Return the seconds until `/healthz` has answered, on a connection of its own, waits for a processor left out."""
    parts = urlsplit(server.url)
    threads = (f"{server.process.pid}/task/{server.process.pid}", "thread-self")
    waited = sum(map(_waited_s, threads))
    began = time.monotonic()
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200"), "hung up on"
    return time.monotonic() - began - (sum(map(_waited_s, threads)) - waited)


def _watch_health(server: Serving) -> list[float]:
    """Ask for some seconds; return how long each answer took."""
    took, until = [], time.monotonic() + 2.5
    while time.monotonic() < until:
        took.append(_ask_health(server))
        time.sleep(0.05)
    return took


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1000


IDLE_CLIENTS = f"for _ in range({IDLE}): say_nothing()"
SILENT_BODIES = "for _ in range(300): send_no_body(16 << 20)"
BRACKETS = "for _ in range(2): threading.Thread(target=send_brackets, daemon=True).start()"
DEAF_CLIENTS = "for n in range(8): threading.Thread(target=not_read, args=(n,), daemon=True).start()"


@pytest.mark.parametrize(
    "acts",
    [
        [IDLE_CLIENTS],
        [SILENT_BODIES],
        [BRACKETS],
        [DEAF_CLIENTS],
        [IDLE_CLIENTS, SILENT_BODIES, BRACKETS, DEAF_CLIENTS],
    ],
    ids=["idle connections", "silent bodies", "16 MB of brackets", "answers that nobody reads", "all at once"],
)
async def test_health_is_told_within_a_tenth_of_a_second_whatever_clients_do(acts, tmp_path):
    async with serving(tmp_path, "--workers", 2, descriptors=DESCRIPTORS) as server:
        await asyncio.to_thread(_ask_health, server)
        async with attacked(server, *acts):
            took = await asyncio.to_thread(_watch_health, server)
        # Half of them; the others may take longer, as what else runs on this machine shares its memory as well.
        assert sorted(took)[len(took) // 2] < HEALTHY_S, sorted(took)
        assert sorted(took)[len(took) * 19 // 20] < 3 * HEALTHY_S, sorted(took)[-10:]
        assert max(took) < 10 * HEALTHY_S
        assert (await server.verify([TRUE], ["a"])).words == [["pass"]]
        assert _resident_mb(server.process.pid) < 600
    assert server.log.stat().st_size < 10_000


def _connect(server: Serving) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def _head(length: int) -> bytes:
    return (
        "POST /v1/verify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def _read_all(connection: socket.socket) -> bytes:
    """Return what comes until the server hangs up."""
    said = b""
    with suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            said += part
    return said


async def test_a_client_without_a_request_is_hung_up_on(tmp_path):
    async with serving(tmp_path, "--patience", 0.5) as server:
        for said in (b"", b"GET /healthz HTTP/1.1\r\nHost"):
            with _connect(server) as silent:
                silent.sendall(said)
                began = time.monotonic()
                assert await asyncio.to_thread(_read_all, silent) == b""
                assert 0.3 < time.monotonic() - began < 5


async def test_a_head_that_drips_in_ends_as_well(tmp_path):
    def drip(connection: socket.socket) -> None:
        with suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"X")
                time.sleep(0.1)

    async with serving(tmp_path, "--patience", 0.5) as server:
        with _connect(server) as dripping:
            began = time.monotonic()
            await asyncio.to_thread(drip, dripping)
            assert time.monotonic() - began < 5


@pytest.mark.parametrize("before", [b"", b"\r\n\r\n"], ids=["at once", "after empty lines"])
async def test_a_head_without_end_is_hung_up_on(before, tmp_path):
    async with serving(tmp_path) as server:
        with _connect(server) as endless:
            with suppress(ConnectionError):
                endless.sendall(before + b"GET / HTTP/1.1\r\n")
                for number in range(60):
                    endless.sendall(f"X-{number}: {'x' * 4000}\r\n".encode())
                endless.sendall(b"Host: 127.0.0.1\r\n\r\n")
            assert await asyncio.to_thread(_read_all, endless) == b""


async def test_a_body_that_stops_coming_is_refused_long_before_the_deadline(tmp_path):
    async with serving(tmp_path, "--patience", 0.5) as server:
        for begun in (b"", b'{"functions":'):
            with _connect(server) as silent:
                silent.sendall(_head(1000) + begun)
                began = time.monotonic()
                said = await asyncio.to_thread(silent.recv, 1000)
                assert said.startswith(b"HTTP/1.1 408")
                assert b"nothing of the body arrived for 0.5 s" in said
                assert time.monotonic() - began < 5
        assert await server.metric("autoif_requests_rejected_total", code="slow_body") == 2


async def test_who_sends_no_body_takes_nobody_else_s_place(tmp_path):
    async with serving(tmp_path, "--queue", 2, "--queue-mb", 16) as server:
        with ExitStack() as stack:
            for _ in range(40):
                stack.enter_context(_connect(server)).sendall(_head(16 << 20))
            await server.wait_for_metric("autoif_requests_queued", 0)
            assert (await server.verify([TRUE], ["a"])).words == [["pass"]]


def _drip(server: Serving, stack: ExitStack, count: int) -> list[socket.socket]:
    """Begin bodies of 8 MB, and leave each a little short of its end; return the connections."""
    dripping = [stack.enter_context(_connect(server)) for _ in range(count)]
    for each in dripping:
        each.sendall(_head(8 << 20) + b"[" * (5 << 20))
    return dripping


async def test_bodies_that_drip_give_way_to_those_that_come(tmp_path):
    async with serving(tmp_path, "--queue-mb", 16, "--body-mb", 8) as server:
        with ExitStack() as stack:
            dripping = _drip(server, stack, 3)
            until = time.monotonic() + 8
            while time.monotonic() < until:
                for each in dripping:
                    with suppress(ConnectionError):
                        each.sendall(b"[")
                await asyncio.sleep(0.2)
            large = "x" * 1_900_000
            answer = await server.verify([TRUE], [large, large, large])
            assert (answer.status, answer.words) == (200, [["pass"] * 3])
            said = [each.recv(1000) for each in dripping if await _has_answer(each)]
            assert said
            assert all(each.startswith(b"HTTP/1.1 408") and b"its room was needed" in each for each in said)


async def _has_answer(connection: socket.socket) -> bool:
    connection.settimeout(0.5)
    try:
        return bool(await asyncio.to_thread(connection.recv, 1, socket.MSG_PEEK))
    except TimeoutError:
        return False


async def test_a_body_that_drips_has_its_room_while_nobody_needs_it(tmp_path):
    async with serving(tmp_path, "--queue-mb", 16, "--body-mb", 8) as server:
        with _connect(server) as dripping:
            body = json.dumps({"functions": [TRUE], "responses": ["a"]}).encode()
            dripping.sendall(_head(len(body)))
            for byte in body[:12]:
                dripping.sendall(bytes([byte]))
                await asyncio.sleep(0.3)
            dripping.sendall(body[12:])
            assert (await asyncio.to_thread(dripping.recv, 1000)).startswith(b"HTTP/1.1 200")


_SAYS_MUCH = """def evaluate(response):
    raise ValueError(chr(0x10000) * 290)
"""


@pytest.mark.parametrize(
    "functions", [[_SAYS_MUCH] * 200, [f"{_SAYS_MUCH}# {n}" for n in range(200)]], ids=["one", "all"]
)
async def test_the_details_of_a_large_answer_are_all_shortened_and_none_dropped(functions, tmp_path):
    async with serving(tmp_path, "--workers", 2) as server:
        answer = await server.verify(functions, ["a"] * 400)
        details = {each["detail"] for row in answer.json()["verdicts"] for each in row}
        assert details == {"ValueError: " + chr(0x10000) * (4 * 1024 * 1024 // 80_000 - 13) + "…"}
        assert len(answer.body) < 25_000_000
        few = (await server.verify(functions[:1], ["a"])).json()["verdicts"][0][0]["detail"]
        assert len(few) == 300


async def test_an_answer_that_nobody_takes_gives_its_place_back(tmp_path):
    body = json.dumps({"functions": [_SAYS_MUCH], "responses": ["a"] * 4000}).encode()
    async with serving(tmp_path, "--patience", 0.5, "--queue", 1) as server:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            parts = urlsplit(server.url)
            deaf.connect((parts.hostname, parts.port))
            deaf.sendall(_head(len(body)) + body)
            refused = await _wait_for(server, 429)
            assert refused.code == "queue_full"
            assert (await _wait_for(server, 200)).words == [["pass"]]
        assert await server.metric("autoif_requests_total", route="/v1/verify", status="499") == 1


async def _wait_for(server: Serving, status: int) -> Answer:
    async with asyncio.timeout(30):
        while True:
            if (answer := await server.verify([TRUE], ["a"])).status == status:
                return answer
            await asyncio.sleep(0.05)


def _hang() -> bytes:
    body = json.dumps({"functions": [HANG], "responses": ["a"] * 20}).encode()
    return _head(len(body)) + body


@pytest.mark.parametrize(
    "ahead",
    [_hang() * 40, _head(3 << 20) + b"[" * (3 << 20), b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 1000],
    ids=["many requests", "a large body", "many small ones"],
)
async def test_a_client_that_sends_ahead_and_leaves_keeps_no_worker(ahead, tmp_path):
    async with serving(tmp_path, "--timeout", 10) as server:
        with _connect(server) as hasty, suppress(ConnectionError):
            await asyncio.to_thread(hasty.sendall, _hang() + ahead)
            await server.wait_for_metric("autoif_requests_in_flight", 0)
        began = time.monotonic()
        assert (await server.verify([TRUE], ["a"])).words == [["pass"]]
        assert time.monotonic() - began < 5


async def test_a_client_that_is_still_sending_reads_why_it_is_refused(tmp_path):
    async with serving(tmp_path) as server:
        parts = urlsplit(server.url)

        def post(size: int, kind: str) -> int:
            with closing(HTTPConnection(str(parts.hostname), parts.port, timeout=20)) as client:
                client.request("POST", "/v1/verify", bytes(size), {"Content-Type": kind})
                return client.getresponse().status

        for size, kind, status in ((10 << 20, "text/plain", 415), (20 << 20, "application/json", 413)):
            assert await asyncio.to_thread(post, size, kind) == status


@pytest.mark.parametrize("before", ["", "Content-Encoding: identity\r\n"], ids=["packed", "packed and said not to be"])
async def test_a_packed_body_is_refused_and_not_unpacked(before, tmp_path):
    bomb = gzip.compress(bytes(200 << 20), 1)
    head = _head(len(bomb)).replace(b"\r\n\r\n", f"\r\n{before}Content-Encoding: gzip\r\n\r\n".encode())
    async with serving(tmp_path) as server:
        await asyncio.to_thread(_ask_health, server)
        used_s = _used_s(server)
        with _connect(server) as packed:
            packed.sendall(head + bomb)
            assert (await asyncio.to_thread(packed.recv, 1000)).startswith(b"HTTP/1.1 415")
            await asyncio.to_thread(_ask_health, server)
        assert _used_s(server) - used_s < 0.2


def _used_s(server: Serving) -> float:
    """Return the processor time that the server has used."""
    used = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


async def test_a_client_that_is_served_is_not_hung_up_on_for_the_many_that_say_nothing(tmp_path):
    async with serving(tmp_path, "--timeout", 3, "--queue", 8, descriptors=200) as server:
        served = asyncio.create_task(server.verify([HANG], ["a"]))
        await asyncio.sleep(0.5)
        async with attacked(server, "for _ in range(400): say_nothing()"):
            assert (await served).words == [["timeout"]]


async def test_too_few_descriptors_for_the_queue_are_said_in_one_line(tmp_path):
    command = [sys.executable, "-m", "autoif", "serve", "--port", "0"]
    ended = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", 'ulimit -n 300 && exec "$@"', "sh", *command], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "ulimit -n" in ended.stderr.splitlines()[-1]


async def test_large_bodies_are_read_apart_and_a_reader_that_is_killed_is_replaced(tmp_path):
    async with serving(tmp_path, "--queue-mb", 1) as server:
        large = "x" * 100_000
        assert (await server.verify([f"def evaluate(r): return r == {large!r}"[:60_000], TRUE], [large])).status == 200
        [reader] = [pid for pid in _children(server.process.pid) if "autoif.service.reader" in _command_of(pid)]
        os.kill(reader, signal.SIGKILL)
        assert (await server.verify([TRUE], [large])).status in {200, 500}
        assert (await server.verify([TRUE], [large])).words == [["pass"]]
        assert (await server.ask("POST", "/v1/verify", data="[" * 100_000)).code == "bad_json"
        assert (await server.post("/v1/verify", {"functions": [large], "responses": ["a"]})).code == "invalid"
        assert (await server.verify([TRUE], [large, "\ud800\0"])).words == [["pass", "pass"]]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_the_log_has_few_lines_of_a_kind_and_says_how_many_it_left_out(caplog):
    logger = logging.getLogger("autoif.service")
    few = FewOfAKind(few=2, period_s=0.2)
    logger.addFilter(few)
    try:
        for number in range(6):
            if number == 5:
                logger.error("another kind")
                time.sleep(0.25)
            logger.error("one kind: %d", number)
    finally:
        logger.removeFilter(few)
    assert [record.getMessage() for record in caplog.records] == [
        "one kind: 0",
        "one kind: 1",
        "another kind",
        "one kind: 5 (and 3 more like this were left out)",
    ]
