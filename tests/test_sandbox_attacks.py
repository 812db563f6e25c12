"""Attacks by class: each is first shown to work outside, then to be contained, with honest functions in between.

An attack returns True if it got what it was after, so a sandbox that let it through would answer `pass`.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASS, FAIL, ERROR, TIMEOUT, MEMORY, CRASH = Verdict
SUCCEEDS, HANGS = "returns True", "does not end"

HONEST = "import re\ndef evaluate(response):\n    return sorted(re.findall('[a-z]+', response)) == ['a', 'b']"
PLAIN_RUN = "import sys; exec(sys.argv[1]); print('\\nANSWER', evaluate(sys.argv[2]) is True)"


@dataclass(frozen=True)
class Attack:
    name: str
    body: str
    """The body of `evaluate(response)`, where `at` holds a folder, a port, a process and a package to attack."""
    inside: tuple[Verdict, ...]
    outside: str | int | tuple[int, ...] = SUCCEEDS
    """What a plain interpreter does: SUCCEEDS, HANGS, or the status, or one of the statuses, that it ends with."""

    @property
    def source(self) -> str:
        body = textwrap.indent(textwrap.dedent(self.body).strip(), "    ")
        return f"def evaluate(response):\n    import json, os\n    at = json.loads(response)\n{body}\n"


FILES = [
    Attack("read_a_file", "return open(at['folder'] + '/canary').read() == 'secret'", (ERROR,)),
    Attack("write_a_file", "return open(at['folder'] + '/new', 'w').write('x') == 1", (ERROR,)),
    Attack("append_to_a_file", "return open(at['folder'] + '/canary', 'a').write('') == 0", (ERROR,)),
    Attack("delete_a_file", "os.unlink(at['folder'] + '/victim'); return True", (ERROR,)),
    Attack("rename_a_file", "os.rename(at['folder'] + '/victim', at['folder'] + '/gone'); return True", (ERROR,)),
    Attack("truncate_a_file", "os.truncate(at['folder'] + '/victim', 0); return True", (ERROR,)),
    Attack("change_a_mode", "os.chmod(at['folder'] + '/canary', 0o600); return True", (ERROR,)),
    Attack("list_a_folder", "return 'canary' in os.listdir(at['folder'])", (ERROR,)),
    Attack("make_a_folder", "os.mkdir(at['folder'] + '/new'); return True", (ERROR,)),
    Attack("make_a_link", "os.symlink('/etc', at['folder'] + '/link'); return True", (ERROR,)),
    Attack("make_a_temporary_file", "import tempfile; return tempfile.TemporaryFile().write(b'x') == 1", (ERROR,)),
    Attack(
        "write_to_shared_memory",
        "name = f'/dev/shm/autoif-{os.getpid()}'; open(name, 'w').close(); os.unlink(name); return True",
        (ERROR,),
    ),
    Attack("read_an_installed_package", "return 'import' in open(at['package']).read()", (ERROR,)),
    Attack("read_a_device", "return open('/dev/zero', 'rb').read(1) == bytes(1)", (ERROR,)),
]

NETWORK = [
    Attack(
        "connect_over_tcp",
        "import socket; socket.create_connection(('127.0.0.1', at['port']), 1).close(); return True",
        (ERROR,),
    ),
    Attack(
        "send_over_udp",
        "import socket; return socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9)) == 1",
        (ERROR,),
    ),
    Attack("listen", "import socket; socket.create_server(('127.0.0.1', 0)).close(); return True", (ERROR,)),
    Attack("talk_to_itself", "import socket; a, b = socket.socketpair(); return a.send(b'x') == 1", (ERROR,)),
]

PROCESSES = [
    Attack(
        "fork",
        """
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        return os.waitpid(pid, 0)[1] == 0
        """,
        (ERROR,),
    ),
    Attack(
        "clone_by_number",
        """
        import ctypes
        pid = ctypes.CDLL(None).syscall({"x86_64": 56, "aarch64": 220}[os.uname().machine], 17, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        return pid > 0
        """,
        (FAIL,),
    ),
    Attack(
        "run_a_program",
        "import subprocess; return subprocess.run(['/bin/sh', '-c', 'exit 7']).returncode == 7",
        (ERROR,),
    ),
    Attack("become_another_program", "os.execv('/bin/sh', ['sh', '-c', 'exit 7'])", (ERROR,), 7),
    Attack(
        "start_a_thread",
        """
        import threading
        seen = []
        thread = threading.Thread(target=seen.append, args=(1,))
        thread.start()
        thread.join()
        return seen == [1]
        """,
        (ERROR,),
    ),
    Attack(
        "leave_a_thread_behind",
        "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); return True",
        (ERROR,),
        HANGS,
    ),
    Attack(
        "leave_a_process_behind",
        """
        import time
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        return True
        """,
        (ERROR,),
        HANGS,
    ),
]

SIGNALS = [
    Attack("signal_another_process", "os.kill(at['pid'], 18); return True", (ERROR,)),
    Attack("signal_its_group", "os.kill(0, 18); return True", (ERROR,)),
    Attack(
        "signal_through_a_handle",
        "import signal; signal.pidfd_send_signal(os.pidfd_open(at['pid']), 18); return True",
        (ERROR,),
    ),
    Attack("stop_itself", "os.kill(os.getpid(), 19)", (ERROR,), HANGS),
    Attack(
        "cancel_timers_and_ignore_signals",
        """
        import signal
        signal.alarm(0)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            pass
        """,
        (TIMEOUT,),
        HANGS,
    ),
]

RESOURCES = [
    Attack("take_memory_at_once", "return len(bytearray(1 << 29)) > 0", (MEMORY,)),
    Attack("take_memory_in_steps", "return len([bytes(1 << 20) for _ in range(300)]) == 300", (MEMORY,)),
    Attack("take_memory_past_python", "import mmap; return len(mmap.mmap(-1, 1 << 29)) > 0", (ERROR,)),
    Attack(
        "unpack_a_bomb",
        "import zlib; return len(zlib.decompress(zlib.compress(bytes(1 << 22)) , bufsize=1 << 28)) > 0",
        (MEMORY,),
    ),
    Attack("compute_a_big_power", "return (7 ** 7 ** 9) % 10 == 3", (TIMEOUT,), HANGS),
    Attack("sum_in_c", "return sum(range(10 ** 12)) > 0", (TIMEOUT,), HANGS),
    Attack(
        "match_a_slow_expression", "import re; return re.match('(a+)+$', 'a' * 64 + 'b') is None", (TIMEOUT,), HANGS
    ),
    Attack("sleep", "import time; time.sleep(3600)", (TIMEOUT,), HANGS),
    Attack(
        "open_everything",
        "return len([os.open(os.path.dirname(os.__file__), os.O_RDONLY) for _ in range(200)]) == 200",
        (ERROR,),
    ),
]

DEATHS = [
    Attack("exit_with_success", "os._exit(0)", (CRASH,), 0),
    Attack("leave_by_exception", "import sys; sys.exit(0)", (ERROR,), 0),
    Attack("interrupt", "raise KeyboardInterrupt", (ERROR,), -signal.SIGINT),
    Attack("abort", "os.abort()", (CRASH,), -signal.SIGABRT),
    Attack("read_address_zero", "import ctypes; return ctypes.string_at(0) == b''", (CRASH,), -signal.SIGSEGV),
    Attack(
        "overflow_the_stack_of_c",
        """
        import ctypes, mmap
        code = mmap.mmap(-1, 4096, prot=7)
        # On x86-64 a call of itself; on ARM64 the same after saving the return address.
        code.write(bytes.fromhex("e8fbffffff" if os.uname().machine == "x86_64" else "fd7bbfa9ffffff97"))
        start = ctypes.addressof(ctypes.c_char.from_buffer(code))
        return ctypes.CFUNCTYPE(ctypes.c_int)(start)() > 0
        """,
        (CRASH,),
        -signal.SIGSEGV,
    ),
    Attack("leave_a_last_act", "import atexit; atexit.register(os._exit, 5); return False", (FAIL,), 5),
    Attack(
        "run_forged_byte_code",
        "exec((lambda: 0).__code__.replace(co_code=bytes([100, 255]) * 99, co_consts=())); return True",
        (CRASH,),
        (-signal.SIGSEGV, -signal.SIGABRT),
    ),
]

DESCRIPTORS = [
    Attack("close_all_descriptors", "os.closerange(0, 256); return False", (FAIL,), 120),
    Attack(
        "flood_the_output",
        """
        for _ in range(2000):
            print("x" * 10000)
            os.write(2, bytes(10000))
        return False
        """,
        (FAIL,),
        0,
    ),
    Attack(
        "forge_an_answer_on_every_descriptor",
        """
        for descriptor in range(256):
            try:
                os.write(descriptor, b"\\nANSWER True\\n" + bytes(range(8)) * 4096)
            except OSError:
                pass
        return False
        """,
        (FAIL,),
    ),
    Attack(
        "read_from_every_descriptor",
        """
        import stat
        return any(not stat.S_ISCHR(os.fstat(each).st_mode) for each in range(3))
        """,
        (FAIL,),
    ),
]

SURROUNDINGS = [
    Attack("read_the_environment", "return os.environ.get('AUTOIF_TEST_SECRET') == 'secret'", (FAIL,)),
    Attack("read_another_environment", "return len(open(f'/proc/{at[\"pid\"]}/environ').read()) > 0", (ERROR,)),
    Attack("read_its_memory_map", "return 'python' in open('/proc/self/maps').read()", (ERROR,)),
    Attack("find_its_program", "return len(os.readlink('/proc/self/exe')) > 0", (ERROR,)),
    Attack("see_other_processes", "return any(name.isdigit() for name in os.listdir('/proc'))", (ERROR,)),
]

CALLS = {
    # what for: (number on x86_64, on aarch64, arguments)
    "trace_itself": (101, 117, "0, 0, 0, 0"),
    "make_a_user_namespace": (272, 97, "0x10000000"),
    "make_a_file_in_memory": (319, 279, "b'x', 0"),
    "reach_the_session_keys": (250, 219, "0, -3, 0"),
    "handle_its_page_faults": (323, 282, "1"),
    "make_a_request_ring": (425, 425, "4, ctypes.create_string_buffer(256)"),
    "read_process_memory": (310, 270, "os.getpid(), 0, 0, 0, 0, 0"),
    "compare_processes": (312, 272, "os.getpid(), os.getpid(), 0, 0, 0"),
    "watch_files": (294, 26, "0"),
    "change_its_personality": (135, 92, "-1"),
    "set_a_timer": (222, 107, "1, 0, ctypes.create_string_buffer(64)"),
    "change_its_name": (157, 167, "15, b'harmless', 0, 0, 0"),
    "make_a_pipe": (293, 59, "ctypes.create_string_buffer(8), 0"),
    "change_its_limits": (302, 261, "0, 4, ctypes.create_string_buffer(16), 0"),
    "add_a_filter": (317, 277, "2, 0, ctypes.byref(ctypes.c_uint32(0x7fff0000))"),
}

KERNEL = [
    Attack(
        name,
        f"""
        import ctypes
        number = {x86_64} if os.uname().machine == "x86_64" else {aarch64}
        words = [ctypes.c_long(each) if isinstance(each, int) else each for each in (number, {arguments})]
        return ctypes.CDLL(None).syscall(*words) >= 0
        """,
        (FAIL,),
    )
    for name, (x86_64, aarch64, arguments) in CALLS.items()
]

if os.uname().machine == "x86_64":
    KERNEL.append(
        Attack(
            "call_through_the_32_bit_gate",
            """
            import ctypes, mmap
            code = mmap.mmap(-1, 4096, prot=7)
            code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, getpid; int 0x80; ret
            start = ctypes.addressof(ctypes.c_char.from_buffer(code))
            return ctypes.CFUNCTYPE(ctypes.c_int)(start)() == os.getpid()
            """,
            (CRASH,),
        )
    )

ATTACKS = [*FILES, *NETWORK, *PROCESSES, *SIGNALS, *RESOURCES, *DEATHS, *DESCRIPTORS, *SURROUNDINGS, *KERNEL]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Limits(timeout_s=1.0, memory_mb=128), workers=1) as entered:
        yield entered


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    """The response that tells an attack what to attack."""
    (tmp_path / "canary").write_text("secret")
    (tmp_path / "victim").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        yield json.dumps({"folder": str(tmp_path), "port": port, "pid": os.getpid(), "package": pytest.__file__})


def run_outside(attack: Attack, response: str) -> str | int:
    """Run an attack in a plain interpreter; return what it came to, in the terms of `Attack.outside`."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", PLAIN_RUN, attack.source, response],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={"AUTOIF_TEST_SECRET": "secret"},
    )
    try:
        output, _ = process.communicate(timeout=0.5 if attack.outside == HANGS else 20.0)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return HANGS
    return SUCCEEDS if b"ANSWER True" in output else process.returncode


def read_folder(target: str) -> dict[str, str]:
    return {path.name: path.read_text() for path in Path(json.loads(target)["folder"]).iterdir()}


def list_children(parent: int) -> set[int]:
    """Return the process ids of a process's children, zombies included."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.add(int(status.parent.name))
    return found


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_an_attack_that_works_outside_is_contained(attack: Attack, sandbox: Sandbox, target: str) -> None:
    before = list_children(os.getpid())
    (outcome,) = await sandbox.run(attack.source, [target])
    assert outcome.verdict in attack.inside, outcome
    assert read_folder(target) == {"canary": "secret", "victim": "secret"}
    honest = await sandbox.run(HONEST, ["b a", "b c"])
    assert [each.verdict for each in honest] == [PASS, FAIL]
    assert list_children(os.getpid()) == before, "the worker did not outlive the attack"
    assert run_outside(attack, target) in (attack.outside if isinstance(attack.outside, tuple) else (attack.outside,))


OBJECTS = {
    "is_true_when_asked": "class Evil:\n    def __bool__(self): return True",
    "equals_everything": "class Evil:\n    def __eq__(self, other): return True\n    __hash__ = None",
    "says_it_is_a_bool": "class Evil:\n    __class__ = bool",
    "exits_when_shown": "import os\nclass Evil:\n    def __repr__(self): os._exit(0)\n    __str__ = __repr__",
    "is_an_int": "class Evil(int):\n    def __repr__(self): return 'True'",
    "is_named_bool": "class bool(int): pass\nEvil = bool",
    "hides_its_type": "class M(type):\n    def __getattribute__(self, name): 1 / 0\nclass Evil(metaclass=M): pass",
}


@pytest.mark.parametrize("definition", OBJECTS.values(), ids=OBJECTS.keys())
async def test_an_object_that_plays_true_is_an_error(definition: str, sandbox: Sandbox) -> None:
    (outcome,) = await sandbox.run(f"{definition}\ndef evaluate(response):\n    return Evil()", ["x"])
    assert outcome.verdict is ERROR
    assert outcome.detail.startswith("returned ")


EXCEPTIONS = {
    "fails_to_be_shown": ("def __str__(self): 1 / 0", ERROR),
    "exits_when_shown": ("def __str__(self): import os; os._exit(0)", CRASH),
    "hangs_when_shown": ("def __str__(self):\n        while True: pass", TIMEOUT),
    "is_shown_as_a_megabyte": ("def __str__(self): return 'x' * 2 ** 20", ERROR),
    "is_shown_as_an_evil_text": (
        "def __str__(self):\n        class Text(str):\n            encode = None\n        return Text('x')",
        ERROR,
    ),
}


@pytest.mark.parametrize(("method", "verdict"), EXCEPTIONS.values(), ids=EXCEPTIONS.keys())
async def test_an_evil_exception_costs_only_its_own_verdict(method: str, verdict: Verdict, sandbox: Sandbox) -> None:
    source = (
        f"class Evil(Exception):\n    {method}\ndef evaluate(response):\n    if response: raise Evil\n    return True"
    )
    outcomes = await sandbox.run(source, ["", "x", ""])
    assert [outcome.verdict for outcome in outcomes] == [PASS, verdict, PASS]
    assert len(outcomes[1].detail) <= 300


TAMPER = """
import builtins, codecs, re, sys, time, os
def evaluate(response):
    for name in ("len", "type", "str", "repr", "sorted", "isinstance", "memoryview", "BaseException", "range", "min"):
        setattr(builtins, name, lambda *_: True)
    for module in list(sys.modules.values()):
        for name in ("monotonic", "findall", "_exit", "write", "kill", "fork"):
            if hasattr(module, name):
                setattr(module, name, lambda *_: ["a", "b"])
    return 7
"""


async def test_tampering_with_builtins_ends_with_the_function(sandbox: Sandbox) -> None:
    (outcome,) = await sandbox.run(TAMPER, ["x"])
    assert outcome.verdict in (ERROR, CRASH)
    assert [each.verdict for each in await sandbox.run(HONEST, ["b a", "b c"])] == [PASS, FAIL]


FIND_THE_SHEET = """
import sys
def evaluate(response):
    if response == "honest":
        return False
    frame = sys._getframe()
    while "sheet" not in frame.f_locals:
        frame = frame.f_back
    sheet = frame.f_locals["sheet"]
    {act}
    return False
"""

GARBLINGS = {
    "a_verdict_that_there_is_not": "sheet.verdicts[2] = 77; sheet.header[0] = 3; import os; os._exit(0)",
    "a_verdict_only_the_zygote_gives": "sheet.verdicts[2] = 7; sheet.header[0] = 3; import os; os._exit(0)",
    "time_that_is_no_number": "sheet.seconds[2] = float('nan'); sheet.header[0] = 3; import os; os._exit(0)",
    "more_time_than_there_was": "sheet.seconds[2] = 1e6; sheet.header[0] = 3; import os; os._exit(0)",
    "a_detail_beyond_the_end": "sheet.verdicts[2] = 3; sheet.spans[4] = 2 ** 32 - 1; sheet.spans[5] = 99; "
    "sheet.header[0] = 3; import os; os._exit(0)",
    "more_verdicts_than_inputs": "sheet.verdicts[2] = 0; sheet.header[0] = 2 ** 60; import os; os._exit(0)",
    "fewer_than_there_were": "sheet.header[0] = 0; import os; os._exit(0)",
}


@pytest.mark.parametrize("act", GARBLINGS.values(), ids=GARBLINGS.keys())
async def test_a_garbled_result_is_a_crash_and_nothing_more(act: str, sandbox: Sandbox) -> None:
    before = list_children(os.getpid())
    outcomes = await sandbox.run(FIND_THE_SHEET.format(act=act), ["honest", "honest", "evil"])
    assert outcomes[2].verdict is CRASH
    assert [each.verdict for each in await sandbox.run(HONEST, ["b a", "b c"])] == [PASS, FAIL]
    assert list_children(os.getpid()) == before


async def test_a_dying_function_can_not_forge_its_seconds(sandbox: Sandbox) -> None:
    for forged in ("float('nan')", "float('inf')", "-float('inf')"):
        act = f"sheet.started[0] = {forged}; import os; os._exit(0)"
        (outcome,) = await sandbox.run(FIND_THE_SHEET.format(act=act), ["evil"])
        assert outcome.verdict is CRASH
        assert 0 <= outcome.seconds < 10


async def test_time_can_not_be_stretched_by_lying_about_it(sandbox: Sandbox) -> None:
    act = "import time\n    while True: sheet.started[0] = time.monotonic() + 1000"
    (outcome,) = await sandbox.run(FIND_THE_SHEET.format(act=act), ["evil"])
    assert outcome.verdict is TIMEOUT


async def test_a_child_can_not_pass_for_one_that_is_not_locked(sandbox: Sandbox) -> None:
    source = "import os, signal\ndef evaluate(response):\n    os.kill(os.getpid(), signal.SIGUSR2)"
    (outcome,) = await sandbox.run(source, ["x"])
    assert outcome.verdict is ERROR


KILL_ITS_PARENT = "import os, signal\ndef evaluate(response):\n    os.kill(os.getppid(), signal.SIGKILL)"


async def test_a_function_that_kills_its_parent_kills_nobody(sandbox: Sandbox) -> None:
    victim = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {KILL_ITS_PARENT!r} + '\\nevaluate(0)'])"
    plain = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", victim)
    assert await plain.wait() == -signal.SIGKILL
    before = list_children(os.getpid())
    (outcome,) = await sandbox.run(KILL_ITS_PARENT, ["x"])
    assert outcome.verdict is ERROR
    assert list_children(os.getpid()) == before
