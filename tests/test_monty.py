"""The `monty` backend: its processes, what is left when they die, where it runs, and when `auto` takes it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pydantic_monty
import pytest
import pytest_asyncio

from autoif.errors import SandboxError
from autoif.records import Verdict
from autoif.sandbox import Limits, Outcome, Sandbox, inspect_monty, monty
from support.command import run_here
from support.processes import data_of, find_processes

PASS, FAIL, ERROR, TIMEOUT, MEMORY, CRASH = Verdict
LENGTH = "def evaluate(response):\n    return len(response) > 3"
HANG = "def evaluate(response):\n    while response == 'hang': pass\n    return True"


def verdicts(outcomes: list[Outcome]) -> list[Verdict]:
    return [outcome.verdict for outcome in outcomes]


def look_into(pid: int) -> tuple[bytes, set[str]]:
    """Return the environment of a process and the kinds of its open descriptors."""
    process = Path(f"/proc/{pid}")
    opened = {str(path.readlink()).partition(":")[0] for path in (process / "fd").iterdir()}
    return (process / "environ").read_bytes(), opened


async def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it does not come to it"
        await asyncio.sleep(0.02)


def interpreters() -> set[int]:
    return find_processes("monty subprocess")


def workers() -> set[int]:
    return find_processes("monty_inside")


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Limits(timeout_s=30, memory_mb=64), backend="monty", workers=1) as entered:
        yield entered


async def kill_interpreter(sandbox: Sandbox, number: int) -> list[Outcome]:
    """Send a signal to what runs the first of three texts; return what becomes of them."""
    call = asyncio.create_task(sandbox.run(HANG, ["hang", "a", "b"]))
    await wait_for(interpreters)
    await asyncio.sleep(0.2)
    for pid in interpreters():
        os.kill(pid, number)
    return await call


@pytest.mark.parametrize(
    ("number", "verdict", "detail"),
    [
        (signal.SIGILL, CRASH, "killed by SIGILL"),
        (signal.SIGABRT, CRASH, "killed by SIGABRT"),
        (signal.SIGKILL, MEMORY, "ended by the kernel"),
    ],
)
async def test_an_interpreter_that_dies_costs_that_input_and_nothing_more(
    sandbox: Sandbox, number: int, verdict: Verdict, detail: str
) -> None:
    outcomes = await kill_interpreter(sandbox, number)
    assert verdicts(outcomes) == [verdict, PASS, PASS]
    assert outcomes[0].detail == detail
    assert verdicts(await sandbox.run(LENGTH, ["no", "long"])) == [FAIL, PASS]


async def test_an_interpreter_that_stops_is_killed_from_outside() -> None:
    async with Sandbox(Limits(timeout_s=0.5), backend="monty", workers=1) as sandbox:
        call = asyncio.create_task(sandbox.run(HANG, ["a", "hang", "b"]))
        await wait_for(interpreters)
        stopped = interpreters()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        assert TIMEOUT in verdicts(await call)
        await wait_for(lambda: not stopped & interpreters())


async def test_a_worker_that_is_killed_is_replaced_and_asked_again() -> None:
    source = "import time\ndef evaluate(response):\n    time.sleep(0.5)\n    return True"
    async with Sandbox(Limits(timeout_s=2), backend="monty", workers=1) as sandbox:
        call = asyncio.create_task(sandbox.run(source, ["x"]))
        await asyncio.sleep(0.2)
        (killed,) = workers()
        os.kill(killed, signal.SIGKILL)
        assert verdicts(await call) == [PASS]
        assert killed not in workers()


async def test_a_function_whose_worker_dies_twice_is_a_crash(sandbox: Sandbox) -> None:
    call = asyncio.create_task(sandbox.run(HANG, ["hang", "hang"]))
    killed = set[monty.MontyWorker]()
    for _ in range(2):
        await wait_for(lambda: sandbox._backend._alive - killed)  # a fresh one has said that it is there
        killed.update(sandbox._backend._alive)
        for pid in workers():
            os.kill(pid, signal.SIGKILL)
    outcomes = await call
    assert verdicts(outcomes) == [CRASH, CRASH]
    assert outcomes[0].detail == "ended the worker it ran in, twice"
    assert verdicts(await sandbox.run(LENGTH, ["long"])) == [PASS]


async def test_a_worker_that_says_nothing_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monty, "_CALL_GRACE_S", 0.2)
    monkeypatch.setattr(monty, "_LOST_S", 0.1)
    monkeypatch.setattr(monty, "_END_TIMEOUT_S", 0.2)
    async with Sandbox(Limits(timeout_s=0.2), backend="monty", workers=1) as sandbox:
        for pid in workers():
            os.kill(pid, signal.SIGSTOP)
        call = asyncio.create_task(sandbox.run(LENGTH, ["long"]))
        assert verdicts(await call) == [PASS]


async def test_a_cancelled_call_leaves_no_answer_and_no_process_behind(sandbox: Sandbox) -> None:
    call = asyncio.create_task(sandbox.run(HANG, ["hang"] * 3))
    await asyncio.sleep(0.3)
    hanging = interpreters() | workers()
    assert len(hanging) == 2
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert verdicts(await sandbox.run(LENGTH, ["no", "long"])) == [FAIL, PASS]
    assert not hanging & (interpreters() | workers())


async def test_leaving_ends_every_process_and_every_call() -> None:
    async with Sandbox(Limits(timeout_s=60), backend="monty", workers=2) as sandbox:
        calls = [asyncio.create_task(sandbox.run("while True: pass", ["x"])) for _ in range(4)]
        await asyncio.sleep(0.3)
        assert len(workers()) == 2
    for call in calls:
        with pytest.raises(SandboxError, match="closed"):
            await call
    assert not interpreters() | workers()


async def test_every_function_has_a_process_of_its_own(sandbox: Sandbox) -> None:
    source = "import time\ndef evaluate(response):\n    time.sleep(1.0)\n    return True"
    seen = set[int]()
    for _ in range(2):
        call = asyncio.create_task(sandbox.run(source, ["x"]))
        await wait_for(lambda: interpreters() - seen)
        seen.update(interpreters())
        assert verdicts(await call) == [PASS]


async def test_an_interpreter_has_no_environment_and_none_of_our_descriptors(sandbox: Sandbox) -> None:
    call = asyncio.create_task(sandbox.run("import time\ndef evaluate(r): return time.sleep(0.4)", ["x"]))
    await asyncio.sleep(0.2)
    (pid,) = interpreters()
    environment, opened = look_into(pid)
    assert environment == b""
    assert opened <= {"pipe", "/dev/null", "anon_inode"}
    await call


async def test_sleep_is_counted_by_input() -> None:
    async with Sandbox(Limits(timeout_s=0.5), backend="monty", workers=1) as sandbox:
        source = "import time\ndef evaluate(response):\n    time.sleep(float(response))\n    return True"
        outcomes = await sandbox.run(source, ["0.3", "0.3", "0.3", "0.6", "0.1"])
        assert verdicts(outcomes) == [PASS, PASS, PASS, TIMEOUT, PASS]


async def test_loading_counts_as_the_first_input_s_time() -> None:
    async with Sandbox(Limits(timeout_s=0.5), backend="monty", workers=1) as sandbox:
        source = (
            "import time\ntime.sleep(0.3)\n" + "def evaluate(response):\n" + "    for _ in range(int(response)): pass\n"
        )
        source += "    return True"
        slow = "1000000000"
        (alone,) = await sandbox.run(source, [slow])
        assert alone.verdict is TIMEOUT
        first, second = await sandbox.run(source, ["1", "1"])
        assert first.seconds >= 0.3 > second.seconds


async def test_more_details_than_are_wanted_are_cut() -> None:
    async with Sandbox(Limits(output_bytes=20), backend="monty", workers=1) as sandbox:
        (outcome,) = await sandbox.run("def evaluate(r): raise ValueError('y' * 1000)", ["x"])
        assert outcome.detail == "ValueError: yyyyyyyy"


async def test_it_says_which_interpreter_it_is(sandbox: Sandbox) -> None:
    assert sandbox.describe() == (
        f"monty: pydantic-monty {pydantic_monty.__version__}, no host to reach, a process for each function"
    )


@pytest.mark.parametrize("binary", ["/nowhere/monty", "/bin/true"])
async def test_an_interpreter_that_does_not_start_is_a_sandbox_error(
    binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONTY_BIN", binary)
    with pytest.raises(SandboxError, match=r"the monty interpreter can't be used \(.*\): install pydantic-monty again"):
        async with Sandbox(backend="monty", workers=2):
            pass
    assert not inspect_monty().enforced
    assert not workers()


async def test_a_worker_that_can_not_be_started_is_a_sandbox_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(SandboxError, match="can't start /nowhere/python"):
        async with Sandbox(backend="monty", workers=1):
            pass
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SandboxError, match="hung up"):
        async with Sandbox(backend="monty", workers=1):
            pass


async def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    with pytest.raises(SandboxError, match=r"^the monty sandbox is not installed: pip install 'autoif\[monty\]'$"):
        Sandbox(backend="monty")
    assert not inspect_monty().enforced


async def test_a_start_that_is_cancelled_leaves_no_process_behind() -> None:
    sandbox = Sandbox(backend="monty", workers=2)
    entering = asyncio.create_task(sandbox.__aenter__())
    await wait_for(workers)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not workers()


ELSEWHERE = """
import asyncio, json, os, sys
forbidden = json.loads(sys.argv[1])
for name in forbidden["modules"]:
    sys.modules[name] = None
for name in forbidden["functions"]:
    delattr(os, name)
from autoif import Limits, Sandbox
sys.platform = "darwin"

async def main():
    async with Sandbox(Limits(timeout_s=0.5), workers=1) as sandbox:
        source = "def evaluate(response):\\n    while response == 'hang': pass\\n    return response == 'yes'"
        outcomes = await sandbox.run(source, ["yes", "hang", "no"])
        print(json.dumps([sandbox.describe(), [outcome.verdict for outcome in outcomes]]))

asyncio.run(main())
"""


def test_it_needs_nothing_that_only_linux_has() -> None:
    forbidden = {
        "modules": ["fcntl", "resource", "pwd", "grp", "termios"],
        "functions": ["fork", "forkpty", "sched_getaffinity", "pidfd_open", "memfd_create", "eventfd", "splice"],
    }
    command = [sys.executable, "-W", "error", "-c", ELSEWHERE, json.dumps(forbidden)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stderr
    described, judged = json.loads(process.stdout)
    assert described.startswith("monty: ")
    assert described.endswith(
        "; not cpython: the cpython sandbox needs Linux: run autoif in a Linux machine or container"
    )
    assert judged == ["pass", "timeout", "fail"]


REFUSED = """
import errno, os, sys
from autoif.cli.main import main
from autoif.sandbox.inside import kernel, seccomp

number = kernel.NUMBERS["landlock_create_ruleset"][kernel.MACHINES.index(os.uname().machine)]
refuse = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50000 | errno.EPERM), (6, 0, 0, 0x7FFF0000)]
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.assemble(refuse).install()
if sys.argv.pop(1) == "without":
    sys.modules["pydantic_monty"] = None
main()
"""


def run_without_landlock(monty: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the command line where the kernel refuses Landlock, "with" or "without" monty."""
    command = [sys.executable, "-c", REFUSED, monty, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "200"})


@pytest.fixture
def rows(tmp_path: Path) -> tuple[Path, Path]:
    functions, responses = tmp_path / "functions.jsonl", tmp_path / "responses.jsonl"
    functions.write_text(json.dumps({"id": 1, "source": LENGTH}) + "\n")
    responses.write_text(json.dumps({"id": 2, "text": "long"}) + "\n")
    return functions, responses


def test_where_the_kernel_does_not_enforce_cpython_auto_is_monty_and_says_so(rows: tuple[Path, Path]) -> None:
    done = run_without_landlock("with", "verify", *rows)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "pass"
    assert done.stderr.startswith("sandbox: monty: pydantic-monty ")
    assert "; not cpython: " in done.stderr
    assert "landlock" in done.stderr
    doctor = run_without_landlock("with", "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "backend auto: monty" in doctor.stdout


def test_with_neither_auto_refuses_and_says_why_of_each(rows: tuple[Path, Path]) -> None:
    done = run_without_landlock("without", "verify", *rows)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    for part in ("not cpython: ", "landlock", "not monty: ", "pip install 'autoif[monty]'"):
        assert part in done.stderr
    doctor = run_without_landlock("without", "doctor")
    assert doctor.returncode == 1
    assert "backend auto: none" in doctor.stdout


def test_where_cpython_holds_auto_is_cpython_and_verify_says_so(rows: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "autoif", "verify", *map(str, rows)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr.startswith("sandbox: cpython: landlock ")
    assert "monty" not in done.stderr


def test_a_recorded_run_gives_the_same_data_in_either_backend(tmp_path: Path) -> None:
    """Of three instructions, two of which are kept: a function that starts an interpreter takes tenths of a second."""
    for backend in ("cpython", "monty"):
        few = ("--set", "self_instruct.max_instructions=3", "--sandbox", backend)
        done = run_here("run", "quickstart", "--recorded", *few, "-o", backend, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"sandbox: {backend}: " in done.stdout
    assert data_of(tmp_path / "monty") == data_of(tmp_path / "cpython")
    assert all(data_of(tmp_path / "monty").values())


async def test_it_works_on_event_loops_that_tell_nothing_of_their_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.StreamWriter, "get_extra_info", lambda *_: None)  # as with uvloop
    async with Sandbox(backend="monty", workers=1) as sandbox:
        assert verdicts(await sandbox.run(LENGTH, ["no", "long"])) == [FAIL, PASS]
