"""A model's server that benchmarks ask: in a process of its own, with an answer for each request, a delay and slots.

It speaks as much HTTP as it must and does as little as it can, so that the time of a benchmark is that of its client.
"""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

Answer = Callable[[dict[str, Any]], list[str]]
"""Returns the choices for a request's body. A function of a module, as the process of the server imports it."""

FUNCTIONS = (
    "def evaluate(response):\n    return {word!r} in response\n",
    "def evaluate(response):\n    return response.count({word!r}) >= 1\n",
    "import re\ndef evaluate(response):\n    return re.search({word!r}, response) is not None\n",
    "def evaluate(response):\n    return any({word!r} in part for part in response.split())\n",
)
_FILLER = "The answer takes a few sentences, as most do, and says what it has to say without any haste. " * 5


def write_instruction(number: int) -> str:
    """Return an instruction with a word of its own, which `answer_instruction` understands."""
    return f'Use the word "{make_word(number)}" in your reply.'


def make_word(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number * 7919 % 10**9:09}")


def answer_instruction(body: dict[str, Any]) -> list[str]:
    """Return functions for the word of an instruction, or responses of which half have it."""
    asked = body["messages"][-1]["content"]
    word = asked.rpartition('the word "')[2].partition('"')[0]
    if "evaluate(response)" in asked:
        cases = [{"input": f"We met {word} there.", "output": True}, {"input": "We met nobody.", "output": False}]
        return [json.dumps({"func": each.format(word=word), "cases": cases}) for each in FUNCTIONS]
    first, said = body["seed"], asked[:40]
    return [
        f"{said} {number} {word if number % 2 else ''} {_FILLER}" for number in range(first, first + body.get("n", 1))
    ]


def answer_once(body: dict[str, Any]) -> list[str]:
    """Return one of these, whatever `n` asks for, as many servers do."""
    choices = answer_instruction(body)
    return [choices[body["seed"] % len(choices)]]


@dataclass(slots=True)
class _Load:
    """What all connections share."""

    answer: Answer
    latency_s: float
    slots: asyncio.Semaphore
    asked: int = 0
    first: float = 0.0
    last: float = 0.0
    """When the first request came since somebody looked, and when the last answer went."""


class _Caller(asyncio.Protocol):
    """One connection: reads its requests one after the other."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._buffer = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or len(rest) + 1)
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._load.asked += 1
        self._load.first = self._load.first or time.time()
        if not self._load.latency_s:
            self._transport.write(_write_answer(self._load.answer, rest[:length]))
            return
        task = asyncio.get_running_loop().create_task(self._take_time(rest[:length]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_time(self, asked: bytes) -> None:
        loop = asyncio.get_running_loop()
        async with self._load.slots:
            until = loop.time() + self._load.latency_s
            answer = _write_answer(self._load.answer, asked)
            await asyncio.sleep(until - loop.time())
        self._transport.write(answer)
        self._load.last = time.time()


def _write_answer(answer: Answer, asked: bytes) -> bytes:
    choices = [
        {"index": index, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        for index, text in enumerate(answer(json.loads(asked)))
    ]
    usage = {"prompt_tokens": 100, "completion_tokens": 100 * len(choices), "total_tokens": 100 + 100 * len(choices)}
    content = json.dumps({"choices": choices, "usage": usage}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
    return head + content


def _serve(pipe: Connection, answer: Answer, latency_s: float, slots: int) -> None:
    """Run the server: send its port, then what has come of requests whenever something comes."""

    async def forever() -> None:
        loop = asyncio.get_running_loop()
        load = _Load(answer, latency_s, asyncio.Semaphore(slots))
        server = await loop.create_server(lambda: _Caller(load), "127.0.0.1", 0, backlog=1024)

        def report() -> None:
            pipe.recv()
            pipe.send((load.asked, load.first, load.last))
            load.first = 0.0

        loop.add_reader(pipe.fileno(), report)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


@dataclass(slots=True)
class StubServer:
    """A server that runs."""

    url: str
    _pipe: Connection
    _counted: int = 0

    def count_new(self) -> int:
        """Return how many requests have come since this was asked last."""
        self._pipe.send(0)
        before, self._counted = self._counted, self._pipe.recv()[0]
        return self._counted - before

    def read_times(self) -> tuple[float, float]:
        """Return when the first request came since this was asked last, and when the last late answer went."""
        self._pipe.send(0)
        _, first, last = self._pipe.recv()
        return first, last


@contextmanager
def running_stub(answer: Answer, *, latency_s: float = 0.0, slots: int = 1024) -> Iterator[StubServer]:
    """Start a server that takes `latency_s` for an answer, and `slots` requests at a time."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, answer, latency_s, slots), daemon=True)
    process.start()
    try:
        yield StubServer(f"http://127.0.0.1:{here.recv()}/v1", here)
    finally:
        process.terminate()
        process.join()
