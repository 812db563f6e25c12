"""The sandbox's contract: which verdict for what, in what order, and what is left when it is cancelled or killed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import autoif
from autoif.errors import ConfigError, SandboxError
from autoif.records import Verdict
from autoif.sandbox import Limits, Outcome, Sandbox, inspect_layers
from support.process_tree import is_there, list_descendants, list_parents

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASS, FAIL, ERROR, TIMEOUT, MEMORY, CRASH = Verdict
LENGTH = "def evaluate(response):\n    return len(response) > 3"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Limits(timeout_s=1.0, memory_mb=64), workers=2) as entered:
        yield entered


def verdicts(outcomes: list[Outcome]) -> list[Verdict]:
    return [outcome.verdict for outcome in outcomes]


async def wait_until_gone(processes: set[int]) -> None:
    """Wait, 30 seconds at most, until none of the processes is left."""
    deadline = time.monotonic() + 30
    while any(is_there(pid) for pid in processes):
        assert time.monotonic() < deadline, "processes are left"
        await asyncio.sleep(0.01)


VERDICTS = {
    "true": ("def evaluate(response): return True", PASS, ""),
    "false": ("def evaluate(response): return False", FAIL, ""),
    "any_parameter_name": ("def evaluate(text: str) -> bool: return text == 'x'", PASS, ""),
    "a_lambda": ("evaluate = lambda response: True", PASS, ""),
    "a_number": ("def evaluate(response): return 7", ERROR, "returned int: 7"),
    "one": ("def evaluate(response): return 1", ERROR, "returned int: 1"),
    "the_word_true": ("def evaluate(response): return 'True'", ERROR, "returned str: 'True'"),
    "nothing": ("def evaluate(response): pass", ERROR, "returned NoneType: None"),
    "a_list": ("def evaluate(response): return [True]", ERROR, "returned list"),
    "a_huge_number": ("def evaluate(response): return 10 ** 5000", ERROR, "returned int: a number of too many digits"),
    "a_match": ("import re\ndef evaluate(response): return re.match('x', response)", ERROR, "returned re.Match"),
    "a_coroutine": ("async def evaluate(response): return True", ERROR, "returned a coroutine"),
    "a_generator": ("def evaluate(response): yield True", ERROR, "returned a generator"),
    "an_async_generator": ("async def evaluate(response): yield True", ERROR, "returned a async_generator"),
    "two_parameters": ("def evaluate(response, other): return True", ERROR, "TypeError: evaluate() missing 1"),
    "an_exception": ("def evaluate(response): return response[9]", ERROR, "IndexError: string index out of range"),
    "a_silent_exception": ("def evaluate(response): raise ValueError", ERROR, "ValueError"),
    "a_missing_module": ("import nltk\ndef evaluate(response): return True", ERROR, "missing module: nltk"),
    "a_missing_submodule": ("def evaluate(response): import os.nothing", ERROR, "missing module: os.nothing"),
    "a_missing_name": ("def evaluate(response): from json import nothing", ERROR, "ImportError: cannot import name"),
    "an_installed_package": ("import pydantic\ndef evaluate(response): return True", ERROR, "missing module: pydantic"),
    "a_syntax_error": ("def evaluate(response) return", ERROR, "does not load: SyntaxError"),
    "an_error_while_loading": ("1 / 0", ERROR, "does not load: ZeroDivisionError: division by zero"),
    "an_exit_while_loading": ("raise SystemExit(3)", ERROR, "does not load: SystemExit: 3"),
    "no_source": ("", ERROR, "has no evaluate"),
    "another_function": ("def check(response): return True", ERROR, "has no evaluate"),
    "no_function": ("evaluate = True", ERROR, "evaluate is not a function"),
    "a_nul_in_the_source": ("def evaluate(response): return '\0'", ERROR, "does not load: "),
    "a_surrogate_in_the_source": (
        "def evaluate(response): return '\ud800'",
        ERROR,
        "does not load: UnicodeEncodeError",
    ),
    "prose": ("Here is the function you asked for:", ERROR, "does not load: SyntaxError"),
    "an_exit": ("import sys\ndef evaluate(response): sys.exit(1)", ERROR, "SystemExit: 1"),
    "an_interrupt": ("def evaluate(response): raise KeyboardInterrupt", ERROR, "KeyboardInterrupt"),
    "a_hard_exit": ("import os\ndef evaluate(response): os._exit(0)", CRASH, "exited with status 0"),
    "a_hard_exit_while_loading": ("import os\nos._exit(3)", CRASH, "while loading: exited with status 3"),
    "a_segmentation_fault": ("import ctypes\ndef evaluate(r): ctypes.string_at(0)", CRASH, "killed by SIGSEGV"),
    "recursion": ("def evaluate(response): return evaluate(response)", ERROR, "RecursionError: recursion too deep"),
    "deep_nesting": ("x = " + "(" * 5000, ERROR, "does not load: "),
    "a_memory_error": ("def evaluate(response): raise MemoryError", MEMORY, ""),
    "memory": ("def evaluate(response): return bytearray(10 ** 9)", MEMORY, ""),
    "memory_while_loading": ("x = bytearray(10 ** 9)", MEMORY, "while loading"),
    "a_hang": ("def evaluate(response):\n    while True: pass", TIMEOUT, "did not return in time"),
    "input_from_the_terminal": ("def evaluate(response): return input() == ''", ERROR, "EOFError"),
    "a_main_block": ("def evaluate(response): return True\nif __name__ == '__main__': 1 / 0", PASS, ""),
    "a_dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass Text:\n    text: 'str'\n"
        "def evaluate(response): return Text(response).text == response",
        PASS,
        "",
    ),
    "a_local_time": ("import time\ndef evaluate(response): return time.localtime(0).tm_hour == 0", PASS, ""),
    "an_environment": ("import os\ndef evaluate(response): return len(os.environ) == 0", PASS, ""),
    "an_output": ("def evaluate(response):\n    print(response, flush=True)\n    return True", PASS, ""),
}


@pytest.mark.parametrize(("source", "verdict", "detail"), VERDICTS.values(), ids=VERDICTS.keys())
async def test_each_way_to_end_has_its_verdict(source: str, verdict: Verdict, detail: str, sandbox: Sandbox) -> None:
    (outcome,) = await sandbox.run(source, ["x"])
    assert outcome.verdict is verdict, outcome
    assert outcome.detail.startswith(detail)
    assert bool(outcome.detail) or not detail
    assert 0 <= outcome.seconds < 10


MODULES = ("collections", "csv", "datetime", "decimal", "difflib", "email", "hashlib", "html.parser", "statistics",
           "textwrap", "typing", "unicodedata", "urllib.parse", "uuid", "xml.etree.ElementTree", "zlib")  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
async def test_modules_that_text_checks_use_can_be_imported(module: str, sandbox: Sandbox) -> None:
    (outcome,) = await sandbox.run(f"import {module}\ndef evaluate(response): return True", ["x"])
    assert outcome.verdict is PASS, outcome


async def test_no_descriptor_is_open_but_the_null_device() -> None:
    source = """
import os
def evaluate(response):
    null = os.stat("/dev/null").st_rdev
    opened = []
    for descriptor in range(2000):
        try:
            opened.append((descriptor, os.fstat(descriptor).st_rdev == null))
        except OSError:
            pass
    return opened == [(0, True), (1, True), (2, True)]
"""
    held = [os.dup(0) for _ in range(300)]
    try:
        async with Sandbox(workers=1) as sandbox:
            assert verdicts(await sandbox.run(source, ["x"])) == [PASS]
    finally:
        for descriptor in held:
            os.close(descriptor)


async def test_a_lost_input_costs_no_other(sandbox: Sandbox) -> None:
    source = """
import ctypes, os, sys
def evaluate(response):
    if response == "hang":
        while True: pass
    if response == "crash": ctypes.string_at(0)
    if response == "exit": os._exit(0)
    if response == "memory": return len(bytearray(10 ** 9))
    if response == "raise": raise ValueError("no")
    return response == "yes"
"""
    inputs = ["yes", "crash", "yes", "hang", "no", "exit", "exit", "memory", "yes", "raise", "yes", "crash"]
    wanted = [PASS, CRASH, PASS, TIMEOUT, FAIL, CRASH, CRASH, MEMORY, PASS, ERROR, PASS, CRASH]
    assert verdicts(await sandbox.run(source, inputs)) == wanted


async def test_a_text_that_needs_too_much_memory_takes_no_time_from_the_next(sandbox: Sandbox) -> None:
    source = "import time\ndef evaluate(response):\n    time.sleep(0.4)\n    raise MemoryError"
    outcomes = await sandbox.run(source, ["x"] * 4)
    assert verdicts(outcomes) == [MEMORY] * 4
    assert all(0.4 <= outcome.seconds < 1 for outcome in outcomes)


async def test_many_inputs_keep_their_order(sandbox: Sandbox) -> None:
    outcomes = await sandbox.run("def evaluate(response): return int(response) % 3 == 0", [str(n) for n in range(3000)])
    assert verdicts(outcomes) == [PASS if n % 3 == 0 else FAIL for n in range(3000)]


async def test_one_function_on_very_many_texts_uses_every_worker_and_is_the_same_with_any_number() -> None:
    source = """
import os, time
seen = []
def evaluate(response):
    time.sleep(float(response))
    seen.append(response)
    return len(seen) <= 2048
"""
    texts = ["1", *["0"] * 2047, "1", *["0"] * 2047]
    taken: list[float] = []
    for workers in (1, 2):
        async with Sandbox(Limits(timeout_s=10), workers=workers) as sandbox:
            started = time.monotonic()
            outcomes = await sandbox.run(source, texts)
            taken.append(time.monotonic() - started)
            assert verdicts(outcomes) == [PASS] * 4096
            assert [outcome.seconds > 0.5 for outcome in (outcomes[0], outcomes[2047], outcomes[2048])] == [1, 0, 1]
    assert taken[1] < taken[0], "the second worker did nothing"


async def test_every_error_of_many_has_its_own_detail(sandbox: Sandbox) -> None:
    outcomes = await sandbox.run("def evaluate(response): raise ValueError(response)", [str(n) for n in range(500)])
    assert [outcome.detail for outcome in outcomes] == [f"ValueError: {n}" for n in range(500)]


async def test_more_details_than_there_is_room_for_are_cut_and_cost_no_verdict(sandbox: Sandbox) -> None:
    outcomes = await sandbox.run(
        "def evaluate(response): raise ValueError(response * 2000)", [chr(n) for n in range(200, 600)]
    )
    assert set(verdicts(outcomes)) == {ERROR}
    assert outcomes[0].detail.startswith("ValueError: \xc8\xc8")


TEXTS = [
    "",
    "\0",
    "a\0b",
    "\ud800",
    "\udfff\ud800",
    "\ud83d\ude00",
    "😀",
    "e\u0301",
    "\u2028",
    "\r\n",
    "\ufeff",
    "x" * 2**20,
    "é" * 2**19,
]


async def test_any_text_arrives_as_it_was(sandbox: Sandbox) -> None:
    for text in TEXTS:
        (outcome,) = await sandbox.run(f"def evaluate(response): return response == {text!a}", [text])
        assert outcome.verdict is PASS, ascii(text[:20])


async def test_no_inputs_give_no_outcomes(sandbox: Sandbox) -> None:
    assert await sandbox.run(LENGTH, []) == []


async def test_details_hold_no_addresses_folders_or_line_breaks(sandbox: Sandbox) -> None:
    source = """
import json, sys
def evaluate(response):
    harness = sys._getframe(1).f_code.co_filename
    raise ValueError(object(), hex(id(response)), json.__file__, harness, sys.executable, "a\\nb\\x1b[0m")
"""
    (outcome,) = await sandbox.run(source, ["x"])
    assert "0x…" in outcome.detail
    assert "json/__init__.py" in outcome.detail
    for part in (sys.prefix, sys.base_prefix, str(Path(autoif.__file__).parent), "\n", "\x1b"):
        assert part not in outcome.detail


async def test_details_are_cut(sandbox: Sandbox) -> None:
    (outcome,) = await sandbox.run("def evaluate(response): raise ValueError(response)", ["y" * 10**6])
    assert outcome.detail.startswith("ValueError: yyy")
    assert len(outcome.detail) == 300


async def test_results_do_not_depend_on_hash_seed_or_chance() -> None:
    source = "import random\ndef evaluate(response): raise ValueError(hash(response), random.random(), {*'abcdef'})"
    details = []
    for _ in range(2):
        async with Sandbox(workers=1) as sandbox:
            details += [outcome.detail for outcome in await sandbox.run(source, ["x"])]
            details += [outcome.detail for outcome in await sandbox.run(source, ["x"])]
    assert len(set(details)) == 1


async def test_concurrent_calls_get_their_own_answers(sandbox: Sandbox) -> None:
    before = sandbox.verdicts

    async def ask(number: int) -> None:
        source = f"def evaluate(response): raise ValueError({number}, response)"
        outcomes = await sandbox.run(source, [str(number), "x"])
        assert [outcome.detail for outcome in outcomes] == [f"ValueError: ({number}, '{t}')" for t in (number, "x")]

    await asyncio.gather(*(ask(number) for number in range(100)))
    assert sandbox.verdicts == before + 200


async def test_a_cancelled_call_leaves_no_answer_and_no_process_behind() -> None:
    others = list_descendants(os.getpid())
    async with Sandbox(Limits(timeout_s=60), workers=1) as sandbox:
        call = asyncio.create_task(sandbox.run("def evaluate(response):\n    while True: pass", ["x"] * 3))
        await asyncio.sleep(0.2)
        hanging = list_descendants(os.getpid()) - others
        assert len(hanging) == 3
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert verdicts(await sandbox.run(LENGTH, ["no", "long"])) == [FAIL, PASS]
        await wait_until_gone(hanging)


async def test_a_worker_that_is_killed_is_replaced() -> None:
    others = list_descendants(os.getpid())
    async with Sandbox(Limits(timeout_s=60), workers=1) as sandbox:
        call = asyncio.create_task(
            sandbox.run("import time\ndef evaluate(r):\n    time.sleep(0.5)\n    return True", ["x"])
        )
        await asyncio.sleep(0.2)
        killed = list_descendants(os.getpid()) - others
        os.kill(min(killed), signal.SIGKILL)
        assert verdicts(await call) == [PASS]
        await wait_until_gone(killed)


async def test_a_function_whose_worker_dies_twice_is_a_crash() -> None:
    others = list_descendants(os.getpid())
    async with Sandbox(Limits(timeout_s=60), workers=1) as sandbox:
        call = asyncio.create_task(sandbox.run("import time\ndef evaluate(r): time.sleep(60)", ["x", "y"]))
        killed = set[object]()
        while not call.done():
            await asyncio.sleep(0.2)
            if not (alive := sandbox._backend._chosen._alive - killed):  # a fresh one has not yet come up
                continue
            killed.update(alive)
            for pid in {pid for pid, parent in list_parents().items() if parent == os.getpid()} - others:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert verdicts(await call) == [CRASH, CRASH]
        assert verdicts(await sandbox.run(LENGTH, ["long"])) == [PASS]


async def test_leaving_ends_every_process_and_every_call() -> None:
    others = list_descendants(os.getpid())
    async with Sandbox(Limits(timeout_s=60), workers=2) as sandbox:
        calls = [asyncio.create_task(sandbox.run("while True: pass", ["x"])) for _ in range(4)]
        await asyncio.sleep(0.2)
        workers = list_descendants(os.getpid()) - others
    for call in calls:
        with pytest.raises(SandboxError, match="closed"):
            await call
    await wait_until_gone(workers)
    with pytest.raises(SandboxError, match="async with"):
        await sandbox.run(LENGTH, ["x"])


async def test_a_sandbox_that_is_cancelled_while_it_starts_leaves_nothing() -> None:
    others = list_descendants(os.getpid())
    cancelled = 0
    for delay_s in (0.0, 0.02, 0.05):
        entering = asyncio.create_task(Sandbox(workers=2).__aenter__())
        await asyncio.sleep(delay_s)
        started = list_descendants(os.getpid()) - others
        entering.cancel()
        try:
            entered = await entering
        except asyncio.CancelledError:
            cancelled += 1
        else:
            await entered.__aexit__(None, None, None)
        await wait_until_gone(started | list_descendants(os.getpid()) - others)
    assert cancelled


PARENT = """
import asyncio, signal
from autoif.sandbox import Limits, Sandbox

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell makes its background jobs ignore it

async def main():
    async with Sandbox(Limits(timeout_s=60), workers=2) as sandbox:
        print("ready", flush=True)
        await asyncio.gather(*(sandbox.run("while True: pass", ["x"]) for _ in range(2)))

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_when_the_parent_dies_its_workers_die(number: signal.Signals) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"ready\n"
    await asyncio.sleep(0.2)
    workers = list_descendants(parent.pid)
    assert len(workers) >= 4
    parent.send_signal(number)
    await parent.wait()
    await wait_until_gone(workers)


async def test_what_can_not_be_built_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxError, match="no sandbox is called 'docker': choose auto, cpython"):
        Sandbox(backend="docker")
    with pytest.raises(SandboxError, match="at least one worker"):
        Sandbox(workers=0)
    with pytest.raises(SandboxError, match="above zero"):
        Sandbox(Limits(timeout_s=0))
    with pytest.raises(SandboxError, match="async with"):
        await Sandbox().run(LENGTH, ["x"])
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(SandboxError, match="can't start /nowhere/python"):
        async with Sandbox(workers=2):
            pass
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SandboxError, match="does not come up"):
        async with Sandbox(workers=2):
            pass
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="needs Linux"):
        Sandbox(backend="cpython")
    assert [layer.enforced for layer in inspect_layers()] == [False]


async def test_one_text_in_place_of_a_list_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(TypeError):
        await sandbox.run(LENGTH, "text")


@pytest.mark.parametrize(
    ("source", "loaded"),
    [
        ("def evaluate(response):\n    return True", True),
        ("def evaluate(response):\n    raise ValueError", True),
        ("def evaluate(response):\n    import no_such_module", True),
        ("def evaluate(response) return True", False),
        ("import no_such_module\ndef evaluate(response):\n    return True", False),
        ("def other(response):\n    return True", False),
        ("evaluate = 3", False),
        ("import os\nos._exit(0)", False),
        ("import os\ndef evaluate(response):\n    os._exit(0)", True),
        ("while True:\n    pass", False),
    ],
)
async def test_an_outcome_tells_whether_there_was_an_evaluate_to_call(source: str, loaded: bool) -> None:
    async with Sandbox(Limits(timeout_s=0.3), workers=1) as sandbox:
        outcomes = await sandbox.run(source, ["a", "b"])
        assert [outcome.loaded for outcome in outcomes] == [loaded, loaded]


@pytest.mark.parametrize(
    "limits",
    [
        Limits(timeout_s=0),
        Limits(timeout_s=float("nan")),
        Limits(timeout_s=float("inf")),
        Limits(memory_mb=0),
        Limits(output_bytes=-1),
    ],
)
async def test_limits_that_are_none_are_refused(limits: Limits) -> None:
    with pytest.raises(SandboxError, match="above zero, and finite"):
        Sandbox(limits)


@pytest.mark.parametrize(
    "wrong",
    [{"timeout_s": "1"}, {"memory_mb": float("nan")}, {"total_s": True}, {"packages": "nltk"}, {"packages": [7]}],
    ids=repr,
)
async def test_a_limit_of_another_type_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(wrong))} is "):
        Limits(**wrong)


@pytest.mark.parametrize("wrong", [{"limits": 2.0}, {"backend": None}, {"backend": ["cpython"]}, {"workers": 2.0}])
async def test_an_argument_of_another_type_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(wrong))} is .*: Input should be "):
        Sandbox(**wrong)
