"""The worker of the `monty` backend: runs the interpreter's client, enforces time limits, and can be killed.

It is a process of its own, so that a client that hangs or aborts costs a worker and nothing else.
"""

import asyncio
import json
import math
import os
import re
import string
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, NoReturn

import pydantic_monty

from .wire import Result, Settings, read_message, write_message

KILL_AFTER_S: Final = 1.0
"""How long past its time limit an interpreter may go on without checking the clock: in one native operation, or in
asking forever for what it can't have."""
NO_SURROGATES: Final = "monty has no lone surrogates"

_TOO_LATE: Final = "did not return in time"
_NO_TIME_LEFT: Final = "no time was left for it in this call"
_STRING: Final = pydantic_monty.ExternalModule(
    {name: value for name, value in vars(string).items() if type(value) is str and not name.startswith("_")}
)
"""The constants of `string`, of all modules that monty lacks the one that text checks use most; no functions."""
_MOST_REQUESTS: Final = 2**31 - 1
_SIGNAL: Final = re.compile(r"\((SIG[A-Z0-9]+)\)")
_SURROGATE_ESCAPE: Final = re.compile(r"\\(?:u|U0000)[dD][89a-fA-F][0-9a-fA-F]{2}")

SELF_TEST: Final = """
import os
acts = [lambda: open("/"), lambda: open("x", "w"), lambda: os.listdir("/"), lambda: os.environ["PATH"]]
def evaluate(response):
    if response == "memory":
        return len("x" * int(1e12)) > 0
    refused = 0
    for act in acts:
        try:
            act()
        except (OSError, RuntimeError):
            refused = refused + 1
    for module in ("socket", "subprocess", "ctypes", "threading"):
        try:
            exec("import " + module)
        except ImportError:
            refused = refused + 1
    return refused == 8
"""
"""Tries what must be refused: files, the environment, modules that reach the host; and, on request, too much memory."""


class Lost(Exception):
    """The interpreter can't be used any more; holds the result of the current input."""

    def __init__(self, verdict: str, detail: str = "") -> None:
        super().__init__(detail)
        self.verdict = verdict
        self.detail = detail


class Runner:
    """Runs functions, each in an interpreter of its own."""

    def __init__(self, pool: pydantic_monty.AsyncMonty, settings: Settings) -> None:
        self._pool = pool
        self._settings = settings
        self._harness = Path(__file__).with_name("harness.py").read_text(encoding="utf-8")

    async def run(self, source: str, inputs: Sequence[str], until_timeout: bool = False) -> list[Result]:
        """Return one result per input or, with `until_timeout`, for those up to the first that times out.

        A lost interpreter costs the current input only; a fresh one gets the rest.
        """
        problem = find_unreadable(source)
        if problem:
            return [Result("error", f"does not load: {problem}", 0.0, False)] * len(inputs)
        results: list[Result] = []
        deadline = time.monotonic() + self._settings.total_s
        while len(results) < len(inputs) and time.monotonic() < deadline:
            await self._run_in_one(source, inputs, results, deadline)
            if until_timeout and results and results[-1].verdict == "timeout":
                break
        else:
            results += [Result("timeout", _NO_TIME_LEFT, 0.0, True)] * (len(inputs) - len(results))
        loaded = any(result.loaded for result in results)
        return [result._replace(loaded=loaded) for result in results]

    async def _run_in_one(self, source: str, inputs: Sequence[str], results: list[Result], deadline: float) -> None:
        """Use one interpreter for as many inputs as it survives and as begin before `deadline`; add their results."""
        rest = inputs[len(results) :]
        async with self._checkout() as session:
            load_s = await self._load(session, source, len(rest), results)
            for number, text in enumerate(rest if load_s is not None else ()):
                began = time.monotonic()
                if began >= deadline:
                    return
                try:
                    result = await self._judge(session, text)
                except Lost as lost:
                    spent_s = time.monotonic() - began
                    if number and lost.verdict == "timeout" and spent_s < self._settings.timeout_s:
                        return  # the limit on sleep is for all inputs together: this one gets another interpreter
                    results.append(self._with_load(Result(lost.verdict, lost.detail, spent_s, True), number, load_s))
                    return
                results.append(self._with_load(result, number, load_s))

    async def _load(
        self, session: pydantic_monty.AsyncMontySession, source: str, count: int, results: list[Result]
    ) -> float | None:
        """Return the seconds that loading took, or add the reason why it failed as `count` results and return None."""
        began = time.monotonic()
        try:
            await session.feed_run(self._harness)
            verdict, detail, seconds = await self._ask(session, "load", source)
        except Lost as lost:
            verdict, seconds = lost.verdict, time.monotonic() - began
            detail = ": ".join(filter(None, ("while loading", lost.detail)))
        if not detail:
            return seconds
        results.append(Result(verdict, detail, seconds, False))
        results.extend([Result(verdict, detail, 0.0, False)] * (count - 1))
        return None

    async def _judge(self, session: pydantic_monty.AsyncMontySession, text: str) -> Result:
        try:
            text.encode()
        except UnicodeEncodeError:
            return Result("error", f"the input can't be given to the function: {NO_SURROGATES}", 0.0, True)
        return Result(*await self._ask(session, "judge", text), loaded=True)

    def _with_load(self, result: Result, number: int, load_s: float | None) -> Result:
        """Count loading as the first input's time."""
        if number or not load_s:
            return result
        seconds = result.seconds + load_s
        if seconds > self._settings.timeout_s:
            return Result("timeout", _TOO_LATE, seconds, True)
        return result._replace(seconds=seconds)

    async def _ask(self, session: pydantic_monty.AsyncMontySession, name: str, text: str) -> tuple[str, str, float]:
        """Call a function of the harness; return (verdict, detail, seconds). Raises Lost."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.timeout_s + KILL_AFTER_S):
                answer = await session.feed_run(f"{name}(text)", inputs={"text": text}, print_callback=_drop_output)
        except TimeoutError:
            raise Lost("timeout", _TOO_LATE) from None
        except pydantic_monty.MontyError as error:
            raise explain(error) from None
        return read_answer(answer, time.monotonic() - began)

    def _checkout(self) -> pydantic_monty.AsyncMontySession:
        return self._pool.checkout(
            limits={
                "max_feed_duration_secs": self._settings.timeout_s,
                "max_total_sleep_secs": self._settings.timeout_s,
                "max_memory": self._settings.memory_bytes,
                "max_suspensions": _MOST_REQUESTS,
            },
            os_policy={"random_start": {"seed": 0}, "sleep_system_max": math.inf},
            assert_message_annotations=False,
            external_modules={"string": _STRING},
        )


def find_unreadable(source: str) -> str:
    """Return, in words, what monty would misread in the source; "" if nothing.

    It silently reads a surrogate that is written as an escape as U+FFFD.
    """
    try:
        source.encode()
    except UnicodeEncodeError:
        return f"UnicodeEncodeError: {NO_SURROGATES}"
    return NO_SURROGATES if _SURROGATE_ESCAPE.search(source) else ""


def read_answer(answer: object, longest_s: float) -> tuple[str, str, float]:
    """Return (verdict, detail, seconds) of the harness's answer. Raises Lost if the answer is invalid."""
    match answer:
        case [("pass" | "fail" | "error" | "memory") as verdict, float(seconds), str(detail)]:
            # The interpreter uses the system clock, which may be set while it runs.
            return verdict, detail, min(max(seconds, 0.0), longest_s)
    raise Lost("crash", "gave a garbled result")


def explain(error: pydantic_monty.MontyError) -> Lost:
    """Return the meaning of an error that the harness can't catch: a limit, a crash, a fault of the interpreter."""
    if isinstance(error, pydantic_monty.MontyCrashedError):
        if error.timed_out:
            return Lost("timeout", _TOO_LATE)
        name = _SIGNAL.search(str(error))
        if name and name[1] == "SIGKILL":
            return Lost("memory", "ended by the kernel")
        return Lost("crash", f"killed by {name[1]}" if name else f"exited with status {error.exit_status}")
    inner = error.exception()
    if isinstance(inner, TimeoutError):
        return Lost("timeout", _TOO_LATE)
    if isinstance(inner, MemoryError):
        return Lost("memory")
    return Lost("error", str(error))


def _drop_output(stream: str, text: str) -> None:
    """Discard what a function prints."""


def open_pool(settings: Settings) -> pydantic_monty.AsyncMonty:
    """Return a pool, not yet entered, of one process at a time, each used for one function."""
    return pydantic_monty.AsyncMonty(
        max_processes=1, max_checkouts_per_worker=1, request_timeout=settings.timeout_s + KILL_AFTER_S
    )


async def find_problem(runner: Runner) -> str:
    """Return, in words, what is wrong with the interpreter: it doesn't start, or doesn't refuse what it must. "" if
    nothing."""
    try:
        results = await runner.run(SELF_TEST, ["acts", "memory"])
    except pydantic_monty.MontyError as error:
        return str(error)
    if [result.verdict for result in results] == ["pass", "memory"]:
        return ""
    return f"it does not refuse what it must: {[result.detail or result.verdict for result in results]}"


async def serve(requests: IO[bytes], replies: IO[bytes], settings: Settings) -> None:
    """Send the version and what is wrong with the interpreter, then answer requests until the parent hangs up."""
    pool = open_pool(settings)
    try:
        await pool.__aenter__()
    except (OSError, RuntimeError, pydantic_monty.MontyError) as error:
        write_message(replies, ["", str(error)])
        return
    try:
        runner = Runner(pool, settings)
        write_message(replies, [pydantic_monty.__version__, await find_problem(runner)])
        await _answer(runner, requests, replies, settings)
    finally:
        await pool.__aexit__(None, None, None)


async def _answer(runner: Runner, requests: IO[bytes], replies: IO[bytes], settings: Settings) -> None:
    reading = asyncio.create_task(asyncio.to_thread(read_message, requests))
    while (request := await reading) is not None:
        reading = asyncio.create_task(asyncio.to_thread(read_message, requests))
        running = asyncio.create_task(runner.run(*request))
        await asyncio.wait({reading, running}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():  # the parent asks nothing before the answer: it has hung up
            running.cancel()
            await asyncio.wait({running})
            return
        results = await running
        write_message(replies, [result._replace(detail=result.detail[: settings.detail_bytes]) for result in results])


def main() -> None:
    """Serve on standard input and output; the settings are the first argument."""
    asyncio.run(_serve_and_leave(Settings(*json.loads(sys.argv[1]))))


async def _serve_and_leave(settings: Settings) -> NoReturn:
    try:
        await serve(sys.stdin.buffer, sys.stdout.buffer, settings)
    finally:
        # Skip the interpreter's own shutdown: it waits for the reader thread, and the client's threads may abort in it.
        os._exit(0)
