"""Inside the `monty` backend: the worker in this process, and the harness in this interpreter."""

import asyncio
import os
import tempfile

import pydantic_monty
import pytest

from autoif.sandbox.monty_inside import harness, worker
from autoif.sandbox.monty_inside.wire import Result, Settings, read_message, write_message

HANG = "def evaluate(response):\n    while response == 'hang': pass\n    return True"


async def test_the_worker_answers_until_its_parent_hangs_up() -> None:
    requests_out, requests_in = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    replies_out, replies_in = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    with requests_out, requests_in, replies_out, replies_in:
        serving = asyncio.create_task(worker.serve(requests_out, replies_in, Settings(1.0, 60.0, 64 << 20, 12)))
        assert await asyncio.to_thread(read_message, replies_out) == [pydantic_monty.__version__, ""]
        write_message(requests_in, ["def evaluate(response): return int(response)", ["7", "\ud800"]])
        first, second = await asyncio.to_thread(read_message, replies_out)
        assert first[:2] == ["error", "returned int"]
        assert second[:2] == ["error", "the input ca"]
        write_message(requests_in, [HANG, ["hang"]])
        await asyncio.sleep(0.2)
        requests_in.close()
        await asyncio.wait_for(serving, 0.8)  # it does not wait for the input's end


async def run_in_process(source: str, inputs: list[str], timeout_s: float = 0.4) -> list[Result]:
    settings = Settings(timeout_s, 60.0, 64 << 20, 2048)
    async with worker.open_pool(settings) as pool:
        return await worker.Runner(pool, settings).run(source, inputs)


async def test_the_worker_says_how_each_input_ended() -> None:
    source = """
import time
def evaluate(response):
    if response == "hang":
        while True: pass
    if response == "big": return len("x" * 10 ** 9) > 0
    if response == "fault": raise ValueError("a", "b")
    if response == "ask":
        while True:
            try: open("x")
            except OSError: pass
    time.sleep(0.25 if response == "sleep" else 0)
    return response == "yes"
"""
    results = await run_in_process(source, ["yes", "hang", "big", "no", "fault", "ask", "sleep", "sleep", "\ud800"])
    assert [result.verdict for result in results] == (
        ["pass", "timeout", "memory", "fail", "error", "timeout", "fail", "fail", "error"]
    )
    assert all(result.loaded for result in results)


@pytest.mark.parametrize(
    ("source", "verdict", "detail"),
    [
        ("while True: pass", "timeout", "while loading: did not return in time"),
        ("x = 'y' * 10 ** 9", "memory", "while loading"),
        ("import nltk", "error", "missing module: nltk"),
        ("x = '\ud800'", "error", "does not load: UnicodeEncodeError: monty has no lone surrogates"),
        (r"x = '\ud800'", "error", "does not load: monty has no lone surrogates"),
        (r"x = '\U0000DFFF'", "error", "does not load: monty has no lone surrogates"),
    ],
)
async def test_what_does_not_load_is_not_loaded_for_each_input(source: str, verdict: str, detail: str) -> None:
    first, second = await run_in_process(source, ["a", "b"])
    assert (first.verdict, first.detail, first.loaded) == (verdict, detail, False)
    assert second == first._replace(seconds=0.0)


async def test_slow_loading_and_a_slow_input_are_too_slow_together() -> None:
    source = "import time\ntime.sleep(0.3)\ndef evaluate(response):\n    time.sleep(0.3)\n    return True"
    # Each is within the limit, and so is the sleep of the second input alone.
    verdict, *_ = await run_in_process(source, ["x"])
    assert verdict.verdict == "timeout"


@pytest.mark.parametrize("answer", [None, "pass", ["pass"], ["pass", 1, ""], ["crash", 0.1, ""], ["pass", 0.1, "", ""]])
def test_an_answer_that_is_none_is_a_crash(answer: object) -> None:
    with pytest.raises(worker.Lost, match="garbled") as lost:
        worker.read_answer(answer, 1.0)
    assert lost.value.verdict == "crash"


def test_an_answer_takes_no_longer_than_it_took() -> None:
    assert worker.read_answer(["pass", 3600.0, ""], 0.5) == ("pass", "", 0.5)
    assert worker.read_answer(["pass", -3600.0, ""], 0.5) == ("pass", "", 0.0)


async def test_an_interpreter_that_refuses_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SELF_TEST", "def evaluate(response): return False")
    settings = Settings(1.0, 60.0, 64 << 20, 2048)
    async with worker.open_pool(settings) as pool:
        assert "does not refuse what it must" in await worker.find_problem(worker.Runner(pool, settings))


HARNESS_VERDICTS = {
    "def evaluate(response): return True": ["pass", ""],
    "def evaluate(response): return False": ["fail", ""],
    "def evaluate(response): return 7": ["error", "returned int: 7"],
    "def evaluate(response): return 10 ** 5000": ["error", "returned int: a number of too many digits"],
    "def evaluate(response): return [7]": ["error", "returned list"],
    "def evaluate(response): raise KeyError": ["error", "KeyError"],
    "def evaluate(response): raise KeyError(1)": ["error", "KeyError: 1"],
    "def evaluate(response): raise MemoryError": ["memory", ""],
    "def evaluate(response): raise RecursionError": ["error", "RecursionError: recursion too deep"],
    "def evaluate(response): import nothing_of_this_name": ["error", "missing module: nothing_of_this_name"],
    "import re\ndef evaluate(response): return re.match('', '')": ["error", "returned re.Match"],
}


@pytest.mark.parametrize("source", HARNESS_VERDICTS)
def test_the_harness_is_plain_python(source: str) -> None:
    assert harness.load(source)[::2] == ["error", ""]
    assert harness.judge("x")[::2] == HARNESS_VERDICTS[source]


def test_the_harness_awaits_nothing(recwarn: pytest.WarningsRecorder) -> None:
    harness.load("async def evaluate(response): return True")
    assert harness.judge("x")[2] == "returned a coroutine: evaluate must be a plain function"


@pytest.mark.parametrize(
    ("source", "verdict", "detail"),
    [
        ("", "error", "has no evaluate"),
        ("evaluate = 7", "error", "evaluate is not a function"),
        ("import nothing_of_this_name", "error", "missing module: nothing_of_this_name"),
        ("1 / 0", "error", "does not load: ZeroDivisionError: division by zero"),
        ("raise MemoryError", "memory", "while loading"),
    ],
)
def test_the_harness_says_why_there_is_no_function(source: str, verdict: str, detail: str) -> None:
    assert harness.load(source)[::2] == [verdict, detail]


class Died(Exception):
    """Stands for the client's error of that kind, which can't be made from here."""

    def __init__(self, message: str, *, timed_out: bool = False, exit_status: int | None = None) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.exit_status = exit_status


@pytest.mark.parametrize(
    ("error", "verdict", "detail"),
    [
        (Died("killed after exceeding request timeout", timed_out=True), "timeout", "did not return in time"),
        (Died("crashed while waiting for a reply (signal: 11 (SIGSEGV))"), "crash", "killed by SIGSEGV"),
        (Died("crashed while waiting for a reply (signal: 9 (SIGKILL))"), "memory", "ended by the kernel"),
        (Died("crashed while waiting for a reply (exit status: 3)", exit_status=3), "crash", "exited with status 3"),
    ],
)
def test_each_death_of_an_interpreter_has_its_verdict(
    error: Died, verdict: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pydantic_monty, "MontyCrashedError", Died)
    lost = worker.explain(error)  # type: ignore[arg-type]
    assert (lost.verdict, lost.detail) == (verdict, detail)


@pytest.mark.parametrize("binary", ["/nowhere/monty", "/bin/true"])
async def test_what_is_wrong_with_an_interpreter_is_in_the_greeting(
    binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONTY_BIN", binary)
    with tempfile.TemporaryFile() as requests, tempfile.TemporaryFile() as replies:
        await worker.serve(requests, replies, Settings(1.0, 60.0, 64 << 20, 2048))
        replies.seek(0)
        version, problem = read_message(replies)
    assert problem.startswith("failed to spawn" if version == "" else "monty worker crashed")
