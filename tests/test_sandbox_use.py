"""The sandbox in programs of others: with and without an event loop, from threads, in worker processes of any kind."""

import asyncio
import errno
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy
import pandas
import pytest

from autoif import Limits, Sandbox, SandboxError, Verdict
from autoif.sandbox.owner_loop import LoopThread, OwnerLoop
from autoif.sandbox.sandbox import TEXTS_AT_ONCE
from support.process_tree import list_descendants, wait_until_gone

ROOT = Path(__file__).parent.parent
LENGTH = "def evaluate(response):\n    return len(response) > 3"
HANG = "def evaluate(response):\n    while True: pass"
PASS, FAIL = Verdict.PASS, Verdict.FAIL


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=2) as entered:
        yield entered


def verdicts_of(outcomes):
    return [outcome.verdict for outcome in outcomes]


def run_program(source: str, *arguments: str) -> str:
    """Run a program to its end, warnings as errors; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source, *arguments], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


# Examples


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sandbox_sync.py", ["pass ", "fail "]),
        ("sandbox_async.py", ["['pass', 'fail']", "['timeout', 'timeout']"]),
    ],
)
def test_the_examples_run_and_are_short(name, said):
    example = ROOT / "examples" / name
    assert run_program(example.read_text(encoding="utf-8")).splitlines() == said
    assert len(shown_lines(example)) <= 10


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_the_pages_on_python_and_rewards_show_code_of_the_examples(example):
    pages = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("python.md", "rewards.md"))
    blocks = re.findall(r"```py(?:thon)?\n(.*?)```", pages, re.DOTALL)
    text = example.read_text(encoding="utf-8")
    assert any(block in text for block in blocks)


def shown_lines(example: Path) -> list[str]:
    """Return the lines of code, without the docstring and what is empty."""
    return [line for line in example.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]


# Without an event loop


def test_without_an_event_loop_the_outcomes_are_the_same(sandbox):
    source = "def evaluate(response):\n    return {'yes': True, 'no': False, 'odd': 7}[response]"
    texts = ["yes", "no", "odd", "other"]
    blocking = sandbox.run_sync(source, texts)

    async def wait() -> list:
        async with Sandbox(workers=1) as asynchronous:
            return await asynchronous.run(source, texts)

    assert [outcome[:2] for outcome in blocking] == [outcome[:2] for outcome in asyncio.run(wait())]
    assert verdicts_of(blocking) == [PASS, FAIL, Verdict.ERROR, Verdict.ERROR]
    assert sandbox.run_sync(source, []) == []
    with pytest.raises(TypeError):
        sandbox.run_sync(source, "yes")


def test_many_functions_run_at_once_and_come_back_in_order(sandbox):
    sleep = "import time\ndef evaluate(response):\n    time.sleep(0.4)\n    return True"
    jobs = [(sleep, ["a"]), (sleep, ["a"]), (LENGTH, ["no", "long"]), (LENGTH, [])]
    began = time.monotonic()
    assert verdicts_of(sandbox.run_sync(sleep, ["a"])) == [PASS]
    alone_s = time.monotonic() - began
    began, before = time.monotonic(), sandbox.verdicts
    assert [verdicts_of(outcomes) for outcomes in sandbox.run_many_sync(jobs)] == [[PASS], [PASS], [FAIL, PASS], []]
    assert time.monotonic() - began < 2 * alone_s, "one after the other"
    assert sandbox.verdicts == before + 4
    with pytest.raises(TypeError, match="not one text"):
        sandbox.run_many_sync([(LENGTH, ["a"]), (LENGTH, "long")])


@pytest.mark.parametrize(("source", "inputs"), [(LENGTH.encode(), ["a"]), (LENGTH, ["a", None]), (LENGTH, [b"a"])])
@pytest.mark.parametrize("until_timeout", [False, True])
def test_what_is_no_text_is_refused_before_a_worker_has_it(sandbox, source, inputs, until_timeout):
    with pytest.raises(TypeError, match="a source and its inputs are texts"):
        sandbox.run_many_sync([(source, inputs)], until_timeout=until_timeout)


@pytest.mark.parametrize(
    "into", [numpy.array, pandas.Series, iter, dict.fromkeys, lambda texts: (text for text in texts)]
)
def test_inputs_and_jobs_may_be_whatever_yields_them(sandbox, into):
    texts = ["no", "long"]
    assert verdicts_of(sandbox.run_sync(LENGTH, into(texts))) == [FAIL, PASS]
    for until_timeout in (False, True):
        jobs = ((LENGTH, into(texts)) for _ in range(2))
        judged = sandbox.run_many_sync(jobs, until_timeout=until_timeout)
        assert list(map(verdicts_of, judged)) == [[FAIL, PASS]] * 2


def test_what_is_no_list_of_texts_or_no_job_is_refused_in_words(sandbox):
    for inputs in (None, 3):
        with pytest.raises(TypeError, match=r"inputs is a list of texts, not (NoneType|int)"):
            sandbox.run_sync(LENGTH, inputs)
    for jobs in ({LENGTH: ["long"]}, [LENGTH], [(LENGTH,)], [(LENGTH, "a", "b")], "ab"):
        with pytest.raises(TypeError, match="a job is a pair of a source and its inputs, not "):
            sandbox.run_many_sync(jobs)


def test_leaving_ends_every_process_and_the_thread_whatever_happened_inside():
    others, threads = list_descendants(os.getpid()), threading.active_count()
    with pytest.raises(ZeroDivisionError), Sandbox(workers=2) as sandbox:
        sandbox.run_many_sync([(LENGTH, ["long"])] * 4)  # at once, so that both workers are needed
        started = list_descendants(os.getpid()) - others
        assert len(started) >= 4
        raise ZeroDivisionError
    assert not started & list_descendants(os.getpid())
    assert threading.active_count() == threads
    wait_until_gone(started)


def test_outside_of_its_block_a_sandbox_says_what_to_do():
    sandbox = Sandbox(workers=1)
    with pytest.raises(SandboxError, match="not running: use `with Sandbox"):
        sandbox.run_sync(LENGTH, ["long"])
    with sandbox:
        assert verdicts_of(sandbox.run_sync(LENGTH, ["long"])) == [PASS]
        with pytest.raises(SandboxError, match="entered before: make another"), sandbox:
            pass
        assert verdicts_of(sandbox.run_sync(LENGTH, ["long"])) == [PASS]
    with pytest.raises(SandboxError, match="not running: use `with Sandbox"):
        sandbox.run_sync(LENGTH, ["long"])
    with pytest.raises(SandboxError, match="entered before: make another"), sandbox:
        pass


@pytest.mark.parametrize("backend", ["cpython", "monty"])
@pytest.mark.parametrize("program", [None, ""])
def test_in_a_program_that_embeds_python_it_says_what_is_missing(monkeypatch, backend, program):
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(SandboxError, match=r"has to set sys\.executable to a Python 3"), Sandbox(backend=backend):
        pass


def test_a_start_that_fails_leaves_no_thread(monkeypatch):
    threads = threading.active_count()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SandboxError, match="does not come up"), Sandbox(backend="cpython", workers=2):
        pass
    assert threading.active_count() == threads


def test_an_event_loop_is_made_where_ctrl_c_can_not_leave_it_half_made(monkeypatch):
    make, makers = asyncio.new_event_loop, []
    monkeypatch.setattr(asyncio, "new_event_loop", lambda: makers.append(threading.current_thread()) or make())
    with Sandbox(workers=1) as sandbox:
        assert sandbox.run_sync("def evaluate(response): return True", ["x"])[0].verdict is PASS
    assert makers
    assert threading.main_thread() not in makers


def test_a_loop_that_can_not_be_made_is_an_error_of_who_enters(monkeypatch):
    def fail():
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio, "new_event_loop", fail)
    with pytest.raises(OSError, match="Too many open files"), Sandbox(workers=1):
        pass


INTERRUPTED = """
import signal
from autoif import Limits, Sandbox

signal.signal(signal.SIGINT, signal.default_int_handler)  # who starts this may have it ignored
print("starting", flush=True)
with Sandbox(Limits(timeout_s=60), workers=2) as sandbox:
    print("waiting", flush=True)
    sandbox.run_sync("def evaluate(response):\\n    while True: pass", ["x"] * 3)
"""


@pytest.mark.parametrize("when", ["starting", "waiting"])
def test_ctrl_c_ends_a_waiting_call_and_every_process(when):
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        lines = iter(program.stdout.readline, b"")
        assert f"{when}\n".encode() in lines
        time.sleep(0.3 if when == "waiting" else 0.02)
        started = list_descendants(program.pid)
        began = time.monotonic()
        program.send_signal(signal.SIGINT)
        said = program.communicate(timeout=20)[1]
    assert said.endswith(b"KeyboardInterrupt\n")
    assert time.monotonic() - began < 10
    wait_until_gone(started)


NEVER_LEFT = """
import contextlib, os, pathlib
from autoif import Sandbox

sandbox = Sandbox(workers=1).__enter__()
print(sandbox.run_sync("def evaluate(response): return True", ["x"])[0].verdict)
for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
    with contextlib.suppress(OSError):  # of another program, and gone
        if path.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
            print(path.parent.name)
"""


def test_a_program_that_never_leaves_ends_all_the_same_and_its_workers_too():
    verdict, *children = run_program(NEVER_LEFT).split()
    assert verdict == "pass"
    assert children
    wait_until_gone(set(map(int, children)))


IGNORING = '''
import signal

for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:  # the C library keeps some for itself
        pass
from autoif import Limits, Sandbox

FUNCTION = """
import os

def evaluate(response):
    while response == "hang":
        pass
    return response != "die" or os.abort()
"""
with Sandbox(Limits(timeout_s=0.5), backend="cpython", workers=1) as sandbox:
    print(*(outcome.verdict for outcome in sandbox.run_sync(FUNCTION, ["a", "hang", "die", "b"])))
'''


def test_it_works_in_a_program_that_ignores_signals():
    assert run_program(IGNORING).split() == ["pass", "timeout", "crash", "pass"]


# Threads and event loops


def test_many_threads_get_their_own_answers(sandbox):
    def ask(number: int) -> list[str]:
        source = f"def evaluate(response): raise ValueError({number}, response)"
        return [outcome.detail for outcome in sandbox.run_sync(source, [str(number), "x"])]

    with ThreadPoolExecutor(16) as threads:
        for number, details in enumerate(threads.map(ask, range(200))):
            assert details == [f"ValueError: ({number}, '{text}')" for text in (number, "x")]


async def test_inside_a_running_event_loop_both_forms_work():
    with Sandbox(workers=1) as sandbox:
        assert verdicts_of(sandbox.run_sync(LENGTH, ["no", "long"])) == [FAIL, PASS]
        assert verdicts_of(await sandbox.run(LENGTH, ["no", "long"])) == [FAIL, PASS]
        assert list(map(verdicts_of, await sandbox.run_many([(LENGTH, ["no", "long"])]))) == [[FAIL, PASS]]


async def test_a_call_that_would_wait_for_itself_is_refused():
    async with Sandbox(workers=1) as sandbox:
        with pytest.raises(SandboxError, match=r"use `await sandbox\.run"):
            sandbox.run_sync(LENGTH, ["long"])
        assert verdicts_of(await sandbox.run(LENGTH, ["long"])) == [PASS]


async def test_a_sandbox_of_one_event_loop_serves_other_loops_and_threads():
    async with Sandbox(workers=1) as sandbox:

        def ask() -> list:
            return verdicts_of(sandbox.run_sync(LENGTH, ["no"])) + verdicts_of(
                asyncio.run(sandbox.run(LENGTH, ["long"]))
            )

        assert await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(8))) == [[FAIL, PASS]] * 8


async def test_it_is_left_where_it_was_entered():
    async with Sandbox(workers=1) as sandbox:
        with pytest.raises(SandboxError, match="leave the sandbox on the event loop"):
            await asyncio.to_thread(asyncio.run, sandbox.__aexit__(None, None, None))
        assert verdicts_of(await sandbox.run(LENGTH, ["long"])) == [PASS]


def test_a_loop_that_stands_still_is_an_error_and_no_endless_wait():
    loop = asyncio.new_event_loop()
    sandbox = Sandbox(workers=1)
    loop.run_until_complete(sandbox.__aenter__())
    with pytest.raises(SandboxError, match="event loop that the sandbox was entered in is not running"):
        sandbox.run_sync(LENGTH, ["long"])
    with pytest.raises(SandboxError, match="event loop that the sandbox was entered in is not running"):
        asyncio.run(sandbox.run(LENGTH, ["long"]))
    loop.run_until_complete(sandbox.__aexit__(None, None, None))
    loop.close()


async def test_a_call_cancelled_on_another_loop_gives_its_worker_back():
    with Sandbox(Limits(timeout_s=60), workers=1) as sandbox:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await sandbox.run(HANG, ["x"])
        began = time.monotonic()
        assert verdicts_of(await sandbox.run(LENGTH, ["long"])) == [PASS]
        assert time.monotonic() - began < 20


def test_calls_under_way_when_it_is_left_are_told():
    with ThreadPoolExecutor(5) as threads:
        with Sandbox(Limits(timeout_s=60), workers=1) as sandbox:
            calls = [threads.submit(sandbox.run_sync, HANG, ["x"]) for _ in range(4)]
            calls.append(threads.submit(asyncio.run, sandbox.run(HANG, ["x"])))
            time.sleep(0.3)
        for call in calls:
            with pytest.raises(SandboxError, match="closed while functions were still to run"):
                call.result(timeout=10)


def test_a_loop_that_ends_without_leaving_tells_the_calls_from_elsewhere():
    sandbox = Sandbox(Limits(timeout_s=60), workers=1)
    called = ThreadPoolExecutor(2)

    async def enter_and_go() -> list:
        await sandbox.__aenter__()
        calls = [called.submit(sandbox.run_sync, HANG, ["x"])]
        calls.append(called.submit(asyncio.run, sandbox.run(HANG, ["x"])))
        await asyncio.sleep(0.3)
        return calls

    loop = asyncio.new_event_loop()
    calls = loop.run_until_complete(enter_and_go())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0.1))
    for call in calls:
        with pytest.raises(SandboxError, match="closed while functions were still to run"):
            call.result(timeout=10)
    called.shutdown()
    loop.run_until_complete(sandbox.__aexit__(None, None, None))
    loop.close()


async def test_whoever_still_calls_while_it_is_left_is_told():
    owner = OwnerLoop()
    waiting = asyncio.create_task(asyncio.to_thread(owner.run_sync, partial(asyncio.sleep, 60)))
    await asyncio.sleep(0.2)
    owner.refuse_calls()
    with pytest.raises(SandboxError, match="closed while functions were still to run"):
        await asyncio.to_thread(owner.run_sync, partial(asyncio.sleep, 60))
    assert not waiting.done()
    owner.drop_calls()
    with pytest.raises(SandboxError, match="closed while functions were still to run"):
        await waiting


def test_its_thread_ends_after_the_last_task_and_leaves_again_what_that_task_entered():
    events: list[str] = []

    async def enter_slowly() -> None:
        await asyncio.sleep(0.2)
        events.append("entered")

    async def leave() -> None:
        events.append("left")

    thread = LoopThread(leave)
    with ThreadPoolExecutor(1) as caller:
        call = caller.submit(thread.run_sync, enter_slowly)
        time.sleep(0.1)
        thread.end()
        assert call.result(timeout=10) is None
    assert events == ["left", "entered", "left"]


# Processes


def test_pickled_it_is_its_settings(sandbox):
    settings = Sandbox(Limits(timeout_s=0.25), backend="monty", workers=3)
    for copied in (
        pickle.loads(pickle.dumps(settings)),
        pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(settings)))),
    ):
        assert copied.__reduce__()[0].args == (Limits(timeout_s=0.25),)
        assert copied.__reduce__()[0].keywords == {"backend": "monty", "workers": 3}
    copied = pickle.loads(pickle.dumps(sandbox))
    with pytest.raises(SandboxError, match="not running"):
        copied.run_sync(LENGTH, ["long"])
    with copied:
        assert verdicts_of(copied.run_sync(LENGTH, ["long"])) == [PASS]
    assert verdicts_of(sandbox.run_sync(LENGTH, ["long"])) == [PASS]


FORKED = """
import multiprocessing, os, sys, threading
from autoif import Sandbox, SandboxError

LENGTH = "def evaluate(response):\\n    return len(response) > 3"
show = lambda outcomes: " ".join(outcome.verdict for outcome in outcomes)

def use_both(sandbox, answers):
    try:
        sandbox.run_sync(LENGTH, ["long"])
    except SandboxError as error:
        answers.put(str(error).replace(str(os.getpid()), "PID"))
    with Sandbox(workers=1) as own:
        answers.put(show(own.run_sync(LENGTH, ["no", "long"])))

context = multiprocessing.get_context("fork")
answers = context.Queue()
with Sandbox(workers=1) as sandbox:
    sandbox.run_sync(LENGTH, ["long"])
    busy = threading.Thread(target=lambda: [sandbox.run_sync(LENGTH, ["long"]) for _ in range(200)])
    busy.start()
    child = context.Process(target=use_both, args=(sandbox, answers))
    child.start()
    print(answers.get())
    print(answers.get())
    child.join()
    busy.join()
    print(child.exitcode, show(sandbox.run_sync(LENGTH, ["no", "long"])))
    sys.stdout.flush()
    if (pid := os.fork()) == 0:
        sys.exit(7)  # through the end of the block, and the end of an interpreter
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), show(sandbox.run_sync(LENGTH, ["no", "long"])))
"""


def test_after_a_fork_the_sandbox_stays_with_the_parent_and_the_child_makes_its_own():
    assert run_program(FORKED).splitlines() == [
        "this sandbox belongs to another process: process PID was forked from it, and needs a sandbox of its own",
        "fail pass",
        "0 fail pass",
        "7 fail pass",
    ]


OUTLIVED = """
import os, signal, sys, time
from autoif import Limits, Sandbox

with Sandbox(Limits(timeout_s=60), backend=sys.argv[1], workers=1) as sandbox:
    if (child := os.fork()) == 0:
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
    if sys.argv[2] == "kill":
        sandbox.run_sync("def evaluate(response):\\n    while True: pass", ["x"])
    began = time.monotonic()
print(time.monotonic() - began, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("backend", ["cpython", "monty"])
@pytest.mark.parametrize("how", ["leave", "kill"])
def test_the_workers_end_with_the_parent_even_if_a_forked_child_lives_on(backend, how):
    with subprocess.Popen([sys.executable, "-c", OUTLIVED, backend, how], stdout=subprocess.PIPE) as program:
        child = int(program.stdout.readline())
        try:
            if how == "leave":
                assert float(program.stdout.readline()) < 4
                assert list_descendants(program.pid) == {child}
            else:
                time.sleep(0.5)
            workers = list_descendants(program.pid) - {child}
            assert how == "leave" or len(workers) >= 2
            program.kill()
            wait_until_gone(workers)
            assert Path(f"/proc/{child}").exists()
        finally:
            os.kill(child, signal.SIGKILL)


FORKED_ON_A_LOOP = """
import asyncio, os
from autoif import Sandbox, SandboxError

LENGTH = "def evaluate(response):\\n    return len(response) > 3"
show = lambda outcomes: " ".join(outcome.verdict for outcome in outcomes)

async def use_own():
    async with Sandbox(workers=1) as own:
        return show(await own.run(LENGTH, ["no", "long"]))

async def main():
    async with Sandbox(workers=1) as sandbox:
        await sandbox.run(LENGTH, ["long"])
        if (pid := os.fork()) == 0:
            try:
                await sandbox.run(LENGTH, ["long"])
            except SandboxError as error:
                print(str(error)[:42])
            await sandbox.__aexit__(None, None, None)
            print(asyncio.run(use_own()), flush=True)
            os._exit(0)
        await asyncio.to_thread(os.waitpid, pid, 0)
        print(show(await sandbox.run(LENGTH, ["no", "long"])))

asyncio.run(main())
"""


def test_after_a_fork_on_an_event_loop_too():
    assert run_program(FORKED_ON_A_LOOP).splitlines() == [
        "this sandbox belongs to another process: p",
        "fail pass",
        "fail pass",
    ]


POOLED = """
import asyncio, multiprocessing, sys
from autoif import Sandbox

LENGTH = "def evaluate(response):\\n    return len(response) > 3"

def work(text):
    assert multiprocessing.current_process().daemon
    with Sandbox(workers=1) as sandbox:
        return sandbox.run_sync(LENGTH, [text])[0].verdict, asyncio.run(wait(text))

async def wait(text):
    async with Sandbox(workers=1) as sandbox:
        return (await sandbox.run(LENGTH, [text]))[0].verdict

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        print(*(str(verdict) for both in pool.map(work, ["no", "long", "longer"]) for verdict in both))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_it_works_in_the_daemonic_workers_of_a_pool(method, tmp_path):
    program = tmp_path / "pooled.py"
    program.write_text(POOLED)
    command = [sys.executable, "-W", "error", str(program), method]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["fail", "fail", "pass", "pass", "pass", "pass"], done.stderr


@pytest.mark.parametrize("backend", ["cpython", "monty"])
def test_a_function_that_hangs_costs_the_time_of_one_text_where_that_is_enough(backend: str) -> None:
    hangs = "def evaluate(response):\n    while 'x' in response: pass\n    return True"
    texts = ["a", *["x"] * 40, "b"]
    with Sandbox(Limits(timeout_s=1.0), backend=backend, workers=1) as sandbox:
        late, quick = sandbox.run_many_sync([(hangs, texts), (LENGTH, texts)], until_timeout=True)
        run = sandbox.verdicts
    assert verdicts_of(late) == [PASS, *[Verdict.TIMEOUT] * 41]
    assert verdicts_of(quick) == [FAIL] * 42
    assert run == 2 + 42


def test_what_is_left_after_a_timeout_is_not_run_in_a_later_part_either(sandbox) -> None:
    hangs = "def evaluate(response):\n    while 'x' in response: pass\n    return True"
    texts = ["a", "x", *["b"] * TEXTS_AT_ONCE]
    [outcomes] = sandbox.run_many_sync([(hangs, texts)], until_timeout=True)
    assert verdicts_of(outcomes) == [PASS, *[Verdict.TIMEOUT] * (len(texts) - 1)]
    [outcomes] = sandbox.run_many_sync([(hangs, [*texts[2:], "a"])], until_timeout=True)
    assert verdicts_of(outcomes) == [PASS] * (TEXTS_AT_ONCE + 1)
    assert sandbox.run_many_sync([(hangs, [])], until_timeout=True) == [[]]
    with pytest.raises(TypeError, match="not one text"):
        sandbox.run_many_sync([(LENGTH, "long")], until_timeout=True)
