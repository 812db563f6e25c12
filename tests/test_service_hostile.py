"""`autoif serve` among clients that say nothing, say too much or do not listen: it stays up, small and quick."""

import asyncio
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from serving import TRUE, Serving, serving

DESCRIPTORS = 1024
IDLE = 1040
HEALTHY_S = 0.1

_ATTACKER = """
import json, socket, sys, threading, time

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


def _ask_health(server: Serving) -> float:
    """Return the seconds until `/healthz` has answered, on a connection of its own."""
    parts = urlsplit(server.url)
    began = time.monotonic()
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200"), "hung up on"
    return time.monotonic() - began


def _watch_health(server: Serving) -> list[float]:
    """Ask for eight seconds; return how long each answer took."""
    took, until = [], time.monotonic() + 8
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
        assert sorted(took)[-2] < HEALTHY_S, sorted(took)[-10:]  # one may have met other work of this machine
        assert (await server.verify([TRUE], ["a"])).words == [["pass"]]
        assert _resident_mb(server.process.pid) < 600
    assert server.log.stat().st_size < 10_000
