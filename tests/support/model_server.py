"""An OpenAI-compatible server for tests, in a process of its own: deterministic answers, and a log of what it answered.

    python tests/support/model_server.py LOG [PORT [HOST]]

It plays a writer, a responder and a judge that are often right and sometimes wrong, deterministically by prompt, seed
and sample. Each line of LOG is "asked KEY TIME" or "answered KEY TIME": who counts can tell a request made twice from
one that was in flight when the client died. While LOG.hold exists, only as many different requests are answered as it
says, none if it is empty: a run that must not end before it is killed doesn't, however fast the machine.
"""

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web

WORDS = ("alpha", "bravo", "cedar", "delta", "ember", "flint", "grove", "haven", "inlet", "jolly", "karma", "lemon")


def pick(*parts: object) -> int:
    """Return a number that belongs to these parts."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16)


def answer(system: str, user: str, seed: int) -> str:
    """Return what the model says to a system prompt and the last user turn."""
    number = pick(user, seed)
    if "invent rules" in system:
        chosen = [WORDS[pick(user, seed, line) % len(WORDS)] for line in range(6)]
        return "\n".join(f'{line + 1}. Use the word "{word}" at least once.' for line, word in enumerate(chosen))
    if "write Python functions" in system:
        word = user.split("'")[1] if user.count("'") > 1 else "the"
        words = "[each.strip('.,;:!?') for each in response.lower().split()]"
        body = f"return {words}.count({word.lower()!r}) > {0 if number % 5 else 1}"
        cases = [
            {"input": f"We saw the {word.lower()} {number % 7} times.", "output": True},
            {"input": "Nothing of it here, but a stone.", "output": False},
            {"input": f"{word.upper()}!", "output": number % 3 == 0},
        ]
        text = json.dumps({"func": f"def evaluate(response):\n    {body}", "cases": cases})
        return f"Here you are:\n```json\n{text}\n```" if number % 4 == 0 else text
    if "read a Python function" in system:
        return f"Use this word: {user.split('return ')[1][:30]}"
    if "grade" in system:
        return f"It answers the question.\nScore: {6 + number % 5}"
    word = user.split('"')[1] if user.count('"') > 1 and number % 3 else WORDS[number % len(WORDS)]
    return f"One would say {word}, {WORDS[number % 11]} and the {WORDS[number % 7]} of {number % 50}."


class ModelServer:
    """Answers after a short, varying delay and logs both ends of each request."""

    def __init__(self, log: Path) -> None:
        self._hold = log.with_name(f"{log.name}.hold")
        self._log = log.open("a", encoding="utf-8")
        self._answered: set[str] = set()

    def note(self, event: str, key: str) -> None:
        self._log.write(f"{event} {key} {time.time()}\n")
        self._log.flush()

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": [{"id": "test", "object": "model"}]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        turns = {turn["role"]: turn["content"] for turn in body["messages"]}
        texts = [
            answer(turns.get("system", ""), turns["user"], body.get("seed", 0) + index)
            for index in range(body.get("n", 1))
        ]
        choices = [
            {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for index, text in enumerate(texts)
        ]
        return await self._reply(request, body, choices, sum(len(text.split()) for text in texts))

    async def complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        opposite = pick(body["prompt"]) % 9 == 0
        first = {" opposite": -0.2, " same": -2.0} if opposite else {" same": -0.1, " different": -2.5}
        choice = {
            "index": 0,
            "text": next(iter(first)),
            "finish_reason": "length",
            "logprobs": {"tokens": [next(iter(first))], "top_logprobs": [first]},
        }
        return await self._reply(request, body, [choice], 1)

    def _is_held(self) -> bool:
        try:
            return len(self._answered) >= int(self._hold.read_text() or 0)
        except FileNotFoundError:
            return False

    async def _reply(self, request: web.Request, body: dict, choices: list[dict], tokens: int) -> web.StreamResponse:
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
        self.note("asked", key)
        await asyncio.sleep(0.005 + pick(key) % 30 / 1000)
        while key not in self._answered and self._is_held():  # noqa: ASYNC110 - another process removes it
            await asyncio.sleep(0.02)
        self._answered.add(key)
        usage = {"prompt_tokens": 50, "completion_tokens": tokens, "total_tokens": 50 + tokens}
        content = json.dumps({"object": "chat.completion", "choices": choices, "usage": usage}).encode()
        response = web.Response(body=content, content_type="application/json")
        with suppress(ConnectionError):  # the client has been killed
            await response.prepare(request)
            await response.write_eof()
            self.note("answered", key)
        return response


def say(port: int) -> None:
    print(port, flush=True)


async def serve(log: Path, port: str = "0", host: str = "127.0.0.1", tell: Callable[[int], None] = say) -> None:
    server = ModelServer(log)
    app = web.Application(client_max_size=1 << 24)
    app.router.add_get("/v1/models", server.list_models)
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_post("/v1/completions", server.complete)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, host, int(port))
    await site.start()
    tell(runner.addresses[0][1])
    await asyncio.Event().wait()


def be(log: Path, pipe: Connection) -> None:
    """Be the server, and tell its port."""
    asyncio.run(serve(log, tell=pipe.send))


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), *sys.argv[2:]))
