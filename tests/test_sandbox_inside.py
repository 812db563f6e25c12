"""The parts that run inside: messages, the result buffer, details, and the lines that only a locked process reaches."""

import asyncio
import contextlib
import mmap
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.errors import SandboxError
from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox, cpython, inspect_layers
from autoif.sandbox.inside import locks, result_buffer, wire
from autoif.sandbox.inside.wire import Texts, pack_texts
from autoif.sandbox.outcomes import DetailCleaner

ANY_TEXT = st.text(st.characters(codec=None))


WORD = st.integers(0, 2**64 - 1)
INDEX = st.integers(0, 2**32 - 1)


@given(st.builds(wire.Request, WORD, INDEX, WORD, WORD, WORD, WORD, st.booleans()))
def test_a_request_arrives_as_it_was_sent(sent: wire.Request) -> None:
    message = wire.pack_request(sent)
    assert wire.LENGTH.unpack_from(message)[0] == len(message) - wire.LENGTH.size
    assert wire.unpack_request(message[wire.LENGTH.size :]) == sent


@given(st.lists(ANY_TEXT, max_size=20), st.integers(0, 9))
def test_texts_lie_where_their_places_say(inputs: list[str], unused: int) -> None:
    texts = Texts(pack_texts(inputs) + b"x" * unused)
    laid = [texts.memory[texts.places[index] : texts.places[index + 1]] for index in range(len(inputs))]
    assert [str(each, "utf-8", "surrogatepass") for each in laid] == inputs


LOST = st.builds(wire.Lost, INDEX, INDEX, st.integers(0, 255), st.floats(0, 1e9), st.binary(max_size=40))
REPLIES = st.builds(wire.Reply, WORD, st.booleans(), st.floats(0, 1e9), st.lists(LOST, max_size=9))


@given(REPLIES)
def test_a_reply_arrives_as_it_was_sent(reply: wire.Reply) -> None:
    message = wire.pack_reply(reply)
    assert wire.unpack_reply(message[wire.LENGTH.size :]) == reply


@given(REPLIES, st.integers(1, 200))
def test_a_reply_cut_short_is_refused(reply: wire.Reply, cut: int) -> None:
    payload = wire.pack_reply(reply)[wire.LENGTH.size :]
    with pytest.raises(ValueError, match="reply"):
        wire.unpack_reply(payload[: max(0, len(payload) - cut)])


def test_messages_come_in_pieces_and_end_with_the_other_side() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(struct.pack("<Q", 5) + b"he")
        ours.sendall(b"llo" + b"\0\0\0")
        ours.shutdown(socket.SHUT_WR)
        assert wire.read_message(theirs.fileno()) == b"hello"
        assert wire.read_message(theirs.fileno()) is None
        wire.write_all(theirs.fileno(), b"answer")
        assert ours.recv(100) == b"answer"


@contextlib.contextmanager
def blank_buffer(detail_bytes: int) -> Iterator[result_buffer.ResultBuffer]:
    with mmap.mmap(-1, result_buffer.measure(0)) as memory:
        results = result_buffer.ResultBuffer(memory, detail_bytes)
        yield results
        results.close()


@given(st.binary(min_size=200, max_size=400), st.integers(1, 8))
def test_whatever_is_in_a_result_buffer_it_reads_as_verdicts(garbage: bytes, count: int) -> None:
    with blank_buffer(64) as results:
        for name in ("header", "spans", "seconds", "verdicts"):
            with getattr(results, name).cast("B") as view:
                part = view[: min(len(view), 200)]
                part[:] = garbage[: len(part)]
                part.release()
        for index in range(count):
            verdict, seconds, detail = results.read(index, 5.0)
            assert verdict in result_buffer.FROM_CHILD | {result_buffer.CRASH}
            assert 0 <= seconds <= 5.0
            assert len(detail) <= 64


def test_a_result_buffer_keeps_what_was_written() -> None:
    with blank_buffer(4) as results:
        results.write(0, result_buffer.ERROR, b"one")
        results.write(1, result_buffer.ERROR, b"one")
        results.write(2, result_buffer.ERROR, b"longer")
        assert [results.read(index, 1.0) for index in range(3)] == [
            (3, 0.0, b"one"),
            (3, 0.0, b"one"),
            (3, 0.0, b"long"),
        ]
        assert results.header[3] == 7


@pytest.mark.parametrize("count", [0, 1, 256, 257, 2_048, 30_000])
def test_a_result_buffer_of_the_measured_size_has_room_for_each_input(count: int) -> None:
    with mmap.mmap(-1, result_buffer.measure(count)) as memory:
        results = result_buffer.ResultBuffer(memory, 64)
        assert len(results.verdicts) == len(results.seconds) >= count
        results.write(max(0, count - 1), result_buffer.ERROR, b"last")
        assert results.read(max(0, count - 1), 1.0) == (result_buffer.ERROR, 0.0, b"last")
        assert len(results.heap) >= count * result_buffer.LONGEST_DETAIL
        results.close()


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"", ""),
        (b"two\n  lines\tand \x1b[0m", "two lines and \ufffd[0m"),
        (b"<object at 0x7f0102030405>", "<object at 0x\u2026>"),
        (b"0x1F is short", "0x1F is short"),
        (b"/usr/lib/python3/json/x.py and /usr/lib/y", "\u2026/json/x.py and \u2026/y"),
        (b"\xff", "\ufffd"),
        (b"a" * 301, "a" * 299 + "\u2026"),
        (b"a" * 300, "a" * 300),
    ],
)
def test_details_are_made_fit_for_records(raw: bytes, kept: str) -> None:
    assert DetailCleaner(["/usr/lib", "/usr/lib/python3/", "/"])(raw) == kept


def test_without_hidden_folders_nothing_is_hidden() -> None:
    assert DetailCleaner([])(b"/usr") == "/usr"


PATCHED = """
import os, sys
sys.path.insert(0, sys.argv.pop(1))
{before}
from inside import locks, wire, zygote
pack, serve = wire.pack_reply, zygote.Zygote.serve
def serve_badly(self, *descriptors):
    {patch}
    serve(self, *descriptors)
zygote.Zygote.serve = serve_badly
from inside.start import main
del sys.path[0]
main()
"""


async def run_in_patched_worker(
    monkeypatch: pytest.MonkeyPatch, patch: str, source: str = "def evaluate(response): return True"
) -> Verdict:
    monkeypatch.setattr(cpython, "_PROGRAM", PATCHED.format(before="", patch=patch))
    async with Sandbox(workers=1) as sandbox:
        (outcome,) = await sandbox.run(source, ["x"])
        return outcome.verdict


async def test_a_child_that_can_not_be_locked_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxError, match="could not be locked in"):
        await run_in_patched_worker(monkeypatch, "self._locks = [None]")


MISBEHAVIOURS = {
    "answers_another_call": "wire.pack_reply = lambda reply: pack(reply._replace(call=reply.call + 1))",
    "loses_too_much": "wire.pack_reply = lambda reply: pack(reply._replace(lost=[wire.Lost(0, 9, 6, 0, b'')]))",
    "answers_nonsense": "wire.pack_reply = lambda reply: wire.LENGTH.pack(3) + b'odd'",
    "hangs_up": "os._exit(0)",
}


@pytest.mark.parametrize("patch", MISBEHAVIOURS.values(), ids=MISBEHAVIOURS.keys())
async def test_a_worker_that_misbehaves_is_not_believed(patch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await run_in_patched_worker(monkeypatch, patch) is Verdict.CRASH


async def test_a_worker_that_fails_of_itself_is_the_sandbox_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxError, match="failed twice"):
        await run_in_patched_worker(monkeypatch, "wire.pack_reply = None")


async def test_a_worker_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpython, "_CALL_GRACE_S", -2.5)
    assert await run_in_patched_worker(monkeypatch, "import time; time.sleep(60)") is Verdict.CRASH


async def test_a_pause_right_after_a_child_was_forked_is_not_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pause = "(lambda fork: lambda: (pid := fork()) and (time.sleep(3) or pid))(self._fork)"
    patch = f"import time; self._settings = self._settings._replace(timeout_s=2.0); self._fork = {pause}"
    source = "import time\ndef evaluate(response):\n    time.sleep(3.3)\n    return True"
    assert await run_in_patched_worker(monkeypatch, patch, source) is Verdict.PASS


async def test_a_worker_that_does_not_go_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpython, "_END_TIMEOUT_S", 0.2)
    started = await cpython.CPythonWorker.start(Limits())
    started._process.send_signal(signal.SIGSTOP)
    await started.end()
    assert started._process.returncode == -signal.SIGKILL


async def test_a_worker_that_does_not_greet_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpython, "_START_TIMEOUT_S", 0.2)
    monkeypatch.setattr(cpython, "_PROGRAM", "import time; time.sleep(60)")
    with pytest.raises(SandboxError, match="does not come up \\(it said nothing\\)"):
        async with Sandbox(backend="cpython", workers=1):
            pass
    assert [layer.name for layer in inspect_layers()] == ["worker"]


BROKEN_TESTS = {
    "landlock": "def evaluate(act): return act != 'landlock'",
    "seccomp": "def evaluate(act): return act != 'seccomp'",
    "rlimits": "def evaluate(act): return act != 'rlimits'",
    "rlimits ": "def evaluate(act): return True",
}


@pytest.mark.parametrize("layer", BROKEN_TESTS)
async def test_a_layer_whose_forbidden_act_succeeds_is_not_enforced(
    layer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    self_test = tmp_path / "self_test.py"
    self_test.write_text(BROKEN_TESTS[layer])
    before = f"from inside import self_test; self_test.__file__ = {str(self_test)!r}"
    monkeypatch.setattr(cpython, "_PROGRAM", PATCHED.format(before=before, patch="pass"))
    with pytest.raises(SandboxError, match=f"{layer.strip()}: what it forbids succeeded"):
        async with Sandbox(backend="cpython", workers=2):
            pass


def test_a_namespace_that_was_not_entered_is_not_proved() -> None:
    own = Path("/proc/self/ns/ipc").stat().st_ino
    assert locks.try_namespace("ipc", 0, own) == "shares the parent's"
    assert locks.try_namespace("ipc", 0, own + 1) == ""
    assert locks.try_namespace("pid", os.getpid(), own) == "what it forbids succeeded"
    assert "another reason" in locks.try_namespace("net", 0, own)


# Coverage can't look into a locked process: it may write no file. So a tracer marks each step from line to line in
# shared memory, and this process adds the marks to its own measurement.

TRACER = """
import mmap, sys
FILES, REACH = {files!r}, {reach}
with open({marks!r}, "r+b") as file:
    marks = mmap.mmap(file.fileno(), 0)
def trace(frame, event, argument):
    base = FILES.get(frame.f_code.co_filename)
    if base is None:
        return None
    last = -frame.f_code.co_firstlineno
    def mark(line):
        nonlocal last
        marks[(base * 2 * REACH + last + REACH) * 2 * REACH + line + REACH] = 1
        last = line
    def step(frame, event, argument):
        if event == "line":
            mark(frame.f_lineno)
        elif event == "return":
            mark(-frame.f_code.co_firstlineno)
        return step
    return step
sys.settrace(trace)
"""
REACH = 400
WORKLOAD = {
    "def evaluate(response): return response == 'x'": ["pass", "fail"],
    "def evaluate(response): return 7": ["error", "error"],
    "def evaluate(response): return 10 ** 5000": ["error", "error"],
    "def evaluate(response): return [response]": ["error", "error"],
    "import re\ndef evaluate(response): return re.match('', response)": ["error", "error"],
    "def evaluate(response): yield True": ["error", "error"],
    "def evaluate(response): raise ValueError(response)": ["error", "error"],
    "def evaluate(response): return evaluate(response)": ["error", "error"],
    "class E(Exception):\n    def __str__(self): 1 / 0\ndef evaluate(response): raise E": ["error", "error"],
    "def evaluate(response): raise ModuleNotFoundError(name=7)": ["error", "error"],
    "def evaluate(response): import nltk": ["error", "error"],
    "import nltk": ["error", "error"],
    "x =": ["error", "error"],
    "x = 1": ["error", "error"],
    "evaluate = 1": ["error", "error"],
    "x = bytearray(10 ** 10)": ["memory", "memory"],
    "def evaluate(response): return bytearray(10 ** 10)": ["memory", "memory"],
    "import ctypes\ndef evaluate(response): ctypes.string_at(0)": ["crash", "crash"],
    "import os\ndef evaluate(response): os._exit(0)": ["crash", "crash"],
    "import os\nos._exit(0)": ["crash", "crash"],
    "def evaluate(response):\n    while response: pass\n    return True": ["timeout", "pass"],
    "import resource, signal\nresource.setrlimit(resource.RLIMIT_CPU, (0, 1))": ["error", "error"],
}


REFUSE = """
import errno
from inside import kernel, seccomp
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
refuse = (6, 0, 0, 0x50000 | errno.EPERM)
seccomp.assemble([(0x20, 0, 0, 0), (0x15, 0, 1, kernel.number({call!r})), refuse, (6, 0, 0, 0x7FFF0000)]).install()
"""


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Make the workers that are started next mark each step from line to line; add the marks up at the end."""
    paths = sorted((Path(cpython.__file__).parent / "inside").glob("*.py"))
    files = {str(path): number for number, path in enumerate(paths)}
    marks = tmp_path / "marks"
    marks.write_bytes(bytes(len(files) * (2 * REACH) ** 2))
    tracer = TRACER.format(files=files, reach=REACH, marks=str(marks))

    def trace(before: str = "", patch: str = "pass") -> None:
        monkeypatch.setattr(cpython, "_PROGRAM", PATCHED.format(before=tracer + before, patch=patch))

    yield trace
    arcs = read_marks(marks.read_bytes(), {number: name for name, number in files.items()})
    reached = {Path(name).stem for name in arcs}
    assert {"start", "zygote", "child", "landlock", "seccomp", "locks", "result_buffer", "wire"} <= reached
    add_to_coverage(arcs)


@pytest.mark.parametrize("before", ["", REFUSE.format(call="unshare")], ids=["with_namespaces", "without"])
async def test_functions_get_the_same_verdicts_when_traced(before: str, traced: Callable[[str, str], None]) -> None:
    traced(before, "pass")
    async with Sandbox(Limits(timeout_s=1.0), workers=1) as sandbox:
        assert ("no namespaces" in sandbox.describe()) == bool(before)
        for source, verdicts in WORKLOAD.items():
            outcomes = await sandbox.run(source, ["x", ""])
            assert [outcome.verdict for outcome in outcomes] == verdicts, source


async def test_what_goes_wrong_inside_is_traced_too(traced: Callable[[str, str], None]) -> None:
    traced("", "self._locks = [None]")
    async with Sandbox(workers=1) as sandbox:
        with pytest.raises(SandboxError, match="could not be locked in"):
            await sandbox.run("def evaluate(response): return True", ["x"])
    traced(REFUSE.format(call="landlock_create_ruleset"), "pass")
    with pytest.raises(SandboxError, match="landlock: the kernel refused it"):
        async with Sandbox(backend="cpython", workers=1):
            pass
    traced("", "pass")
    async with Sandbox(Limits(timeout_s=60), workers=1) as sandbox:
        call = asyncio.create_task(sandbox.run("while True: pass", ["x"]))
        await asyncio.sleep(0.5)
        call.cancel()
        await asyncio.sleep(0.2)


async def test_the_time_limit_is_for_one_input(traced: Callable[[str, str], None]) -> None:
    traced("", "pass")
    source = "import time\ndef evaluate(response):\n    time.sleep(float(response))\n    return True"
    async with Sandbox(Limits(timeout_s=1.0), workers=1) as sandbox:
        outcomes = await sandbox.run(source, ["0.6", "0.6", "9", "0.6"])
        assert [outcome.verdict for outcome in outcomes] == ["pass", "pass", "timeout", "pass"]
        assert 1.0 <= outcomes[2].seconds < 5.0


async def test_memory_that_is_kept_costs_one_input_and_not_the_rest(traced: Callable[[str, str], None]) -> None:
    traced("", "pass")
    source = """
kept = []
def evaluate(response):
    if response == "fill":
        for size in (1 << 20, 1 << 12, 1 << 9, 1):
            try:
                while True:
                    kept.append(bytearray(size))
            except MemoryError:
                pass
    return True
"""
    async with Sandbox(Limits(memory_mb=32, timeout_s=20), workers=1) as sandbox:
        outcomes = await sandbox.run(source, ["x", "fill", "y" * 2**20, "z", "z"])
        assert [outcome.verdict for outcome in outcomes][2:] == ["memory", "pass", "pass"]


async def test_a_child_that_the_kernel_ends_is_out_of_memory(traced: Callable[[str, str], None]) -> None:
    traced("", "pass")
    others = list_processes()
    async with Sandbox(Limits(timeout_s=60), workers=1) as sandbox:
        call = asyncio.create_task(sandbox.run("import time\ndef evaluate(r): time.sleep(60)", ["x"]))
        await asyncio.sleep(0.5)
        os.kill(find_child(others), signal.SIGKILL)
        (outcome,) = await call
        assert (outcome.verdict, outcome.detail) == ("memory", "ended by the kernel")


def list_processes() -> set[str]:
    return {path.name for path in Path("/proc").glob("[0-9]*")}


def find_child(others: set[str]) -> int:
    """Return the youngest of the three new processes that form a line from this one: guard, zygote, child."""
    parent = str(os.getpid())
    for _ in range(3):
        for name in sorted(list_processes() - others):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1] == parent:
                    parent = name
                    break
    return int(parent)


def read_marks(marks: bytes, names: dict[int, str]) -> dict[str, set[tuple[int, int]]]:
    arcs: dict[str, set[tuple[int, int]]] = {}
    at = marks.find(1)
    while at >= 0:
        base, line = divmod(at, 2 * REACH)
        number, last = divmod(base, 2 * REACH)
        arcs.setdefault(names[number], set()).add((last - REACH, line - REACH))
        at = marks.find(1, at + 1)
    return arcs


def add_to_coverage(arcs: dict[str, set[tuple[int, int]]]) -> None:
    """Add what was reached inside to the coverage measurement of this process, if one is running."""
    coverage = sys.modules.get("coverage")
    measuring: Any = coverage.Coverage.current() if coverage is not None else None
    if measuring is not None:
        measuring.get_data().add_arcs({name: sorted(steps) for name, steps in arcs.items()})
