"""The layers one by one: what is in force, what is refused without them, and who may run the sandbox."""

import errno
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoif.sandbox import Layer, Sandbox, inspect_layers
from autoif.sandbox.cpython import describe_layers, find_missing
from autoif.sandbox.inside import kernel, landlock, seccomp

REQUIRED = ["rlimits", "no_new_privs", "capabilities", "landlock", "seccomp"]
NAMESPACES = ["user namespace", "pid namespace", "net namespace", "ipc namespace"]

PROBE = """
import asyncio, errno, json, os, sys
from autoif.errors import SandboxError
from autoif.sandbox import Limits, Sandbox, inspect_layers
from autoif.sandbox.inside import kernel, seccomp

def refuse(names):
    machine = os.uname().machine
    program = [(0x20, 0, 0, 0)]
    for name in names:
        number = kernel.NUMBERS[name][kernel.MACHINES.index(machine)]
        program += [(0x15, 0, 1, number), (6, 0, 0, 0x50000 | errno.EPERM)]
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.assemble([*program, (6, 0, 0, 0x7FFF0000)]).install()

SOURCES = {
    "honest": "def evaluate(response): return response == 'x'",
    "read": "def evaluate(response): return open('/etc/passwd').read() != ''",
    "fork": "import os\\ndef evaluate(response): return os.fork() >= 0",
    "signal": f"import os\\ndef evaluate(response): os.kill({os.getpid()}, 0); return True",
    "connect": "import socket\\ndef evaluate(response): return socket.socket() is not None",
    "hang": "while True: pass",
    "package": "import os\\ndef evaluate(r): open(os.path.dirname(os.__file__) + '/site-packages/autoif/errors.py')",
    "exit": "import os\\ndef evaluate(response): os._exit(0)",
}

async def main():
    answer = {"layers": [[layer.name, layer.enforced] for layer in inspect_layers()]}
    try:
        async with Sandbox(Limits(timeout_s=0.5), backend="cpython", workers=1) as sandbox:
            answer["describe"] = sandbox.describe()
            for name, source in SOURCES.items():
                answer[name] = (await sandbox.run(source, ["x"]))[0].verdict
            call = asyncio.create_task(sandbox.run("import time\\ndef evaluate(r): time.sleep(0.4)", ["x"]))
            await asyncio.sleep(0.1)
            call.cancel()
    except SandboxError as error:
        answer["error"] = str(error)
    answer["left"] = [pid for pid in os.listdir("/proc") if pid.isdigit() and parent_of(pid) == os.getpid()]
    print(json.dumps(answer))

def parent_of(pid):
    try:
        return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    except OSError:
        return None

refuse(json.loads(sys.argv[1]))
asyncio.run(main())
"""

CONTAINED = {
    "honest": "pass",
    "read": "error",
    "fork": "error",
    "signal": "error",
    "connect": "error",
    "hang": "timeout",
    "exit": "crash",
    "package": "error",
}


def probe(*refused: str, interpreter: str = sys.executable, **options: object) -> dict[str, object]:
    """Run the probe in an interpreter to which the kernel refuses some system calls; return what it printed."""
    command = [interpreter, "-W", "error", "-B", "-c", PROBE, json.dumps(refused)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload]
    assert process.returncode == 0, process.stderr
    answer: dict[str, object] = json.loads(process.stdout)
    return answer


def test_the_doctor_finds_every_required_layer_enforced() -> None:
    layers = inspect_layers()
    assert [layer.name for layer in layers] == REQUIRED + NAMESPACES
    assert [layer.name for layer in layers if layer.required] == REQUIRED
    assert not find_missing(layers)
    assert all(layer.detail for layer in layers)


async def test_the_doctor_can_be_asked_while_an_event_loop_runs() -> None:
    assert not find_missing(inspect_layers())


async def test_the_sandbox_says_what_holds() -> None:
    async with Sandbox(workers=1) as sandbox:
        assert sandbox.describe().startswith(f"cpython: landlock v{landlock.query_abi()}, seccomp, rlimits, ")


def test_layers_are_described_in_one_line() -> None:
    held = [Layer(name, True, True, "v7") for name in REQUIRED] + [Layer(name, True, False, "") for name in NAMESPACES]
    assert describe_layers(held) == "landlock v7, seccomp, rlimits, user+pid+net+ipc namespaces"
    assert describe_layers([]) == "no namespaces"
    lost = [Layer("seccomp", False, True, ""), Layer("pid namespace", False, False, "")]
    assert find_missing(lost) == lost[:1]


@pytest.mark.parametrize(
    ("call", "layer"),
    [
        ("landlock_create_ruleset", "landlock"),
        ("landlock_restrict_self", "landlock"),
        ("seccomp", "seccomp"),
        ("capset", "capabilities"),
    ],
)
def test_without_a_required_layer_nothing_runs(call: str, layer: str) -> None:
    # The filter that plays the old kernel stands in the way of no other call but the one it is to refuse.
    answer = probe(call)
    assert [layer, False] in answer["layers"]  # type: ignore[operator]
    assert f"{layer}: the kernel refused it" in str(answer["error"])
    assert "honest" not in answer
    assert answer["left"] == []


def test_without_namespaces_the_other_layers_still_contain() -> None:
    answer = probe("unshare")
    assert answer["describe"] == f"cpython: landlock v{landlock.query_abi()}, seccomp, rlimits, no namespaces"
    assert {name: answer[name] for name in CONTAINED} == CONTAINED
    assert answer["left"] == []


@pytest.fixture(scope="module")
def interpreter() -> Iterator[Path]:
    """A copy of this interpreter, of autoif and of what it needs here, which every user can read."""
    folder = Path(tempfile.mkdtemp(prefix="autoif-interpreter-"))
    try:
        folder.chmod(0o755)
        library = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix, "installed_base": sys.base_prefix}))
        prefix = Path(sys.base_prefix)
        left_out = ("site-packages", "dist-packages", "test", "tests", "config-*", "idlelib", "tkinter", "ensurepip",
                    "lib2to3", "turtledemo", "pydoc_data", "*.a")  # fmt: skip
        shutil.copytree(library, folder / library.relative_to(prefix), ignore=shutil.ignore_patterns(*left_out))
        (folder / "bin").mkdir()
        program = Path(sys.executable).resolve()
        shutil.copy2(program, folder / "bin" / program.name)
        for shared in (prefix / "lib").glob("libpython*.so*"):
            shutil.copy2(shared, folder / "lib" / shared.name)
        copy = folder / "bin" / program.name
        # Debian's Python looks in dist-packages.
        list_places = "import site; print(site.getsitepackages()[-1])"
        place = subprocess.run([copy, "-c", list_places], capture_output=True, text=True, check=True, env=at_home(copy))
        copy_packages(Path(place.stdout.strip()))
        yield copy
    finally:
        shutil.rmtree(folder)


def at_home(interpreter: Path) -> dict[str, str]:
    """Return the environment in which a copied interpreter finds its library."""
    return {"LD_LIBRARY_PATH": str(interpreter.parent.parent / "lib")}


def copy_packages(destination: Path) -> None:
    """Copy what importing the sandbox loads from outside the standard library, and the record of its version."""
    loaded = subprocess.run([sys.executable, "-c", LIST_LOADED], capture_output=True, text=True, check=True)
    destination.mkdir(exist_ok=True)
    for name in loaded.stdout.split():
        source = Path(name)
        if source.is_dir():
            shutil.copytree(source, destination / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, destination)


LIST_LOADED = """
import importlib.metadata, sys
from pathlib import Path
import autoif.errors, autoif.sandbox
standard = set(sys.stdlib_module_names)
for name, module in list(sys.modules.items()):
    if "." not in name and name not in standard and getattr(module, "__file__", None):
        path = Path(module.__file__)
        print(path.parent if path.name == "__init__.py" else path)
print(importlib.metadata.distribution("autoif")._path)
"""


@pytest.mark.parametrize("refused", [(), ("unshare",)], ids=["with_namespaces", "without"])
def test_an_ordinary_user_is_as_safe_as_root(interpreter: Path, refused: tuple[str, ...]) -> None:
    become = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    answer = probe(*refused, interpreter=str(interpreter), cwd="/", env=at_home(interpreter), **become)
    assert [name for name, held in answer["layers"] if held and name in REQUIRED] == REQUIRED  # type: ignore[attr-defined]
    assert {name: answer[name] for name in CONTAINED} == CONTAINED
    assert answer["left"] == []


# The filters, run in a simulator of the kernel's: so the other machine's table is tested as well.


def simulate(program: list[seccomp.Instruction], machine: str, number: int, arguments: tuple[int, ...] = ()) -> int:
    """Return the answer of a filter to a system call."""
    words = [number, {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine], 0, 0]
    for argument in (*arguments, *(0,) * (6 - len(arguments))):
        words += [argument & 0xFFFFFFFF, argument >> 32]
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, constant = program[at]
        at += 1
        if code == 0x06:
            return constant
        if code == 0x20:
            accumulator = words[constant // 4]
        else:
            holds = {0x15: accumulator == constant, 0x35: accumulator >= constant, 0x45: bool(accumulator & constant)}
            at += if_true if holds[code] else if_false


ALLOW, KILL = 0x7FFF0000, 0x80000000


def fail(code: int) -> int:
    return 0x00050000 | code


@pytest.mark.parametrize("machine", kernel.MACHINES)
def test_the_filters_allow_what_is_listed_and_nothing_else(machine: str) -> None:
    zygote, child = seccomp.zygote_program(machine), seccomp.child_program(machine)
    column = kernel.MACHINES.index(machine)
    listed = {kernel.NUMBERS[name][column] for name in seccomp.ALLOWED}
    forking = {kernel.NUMBERS[name][column] for name in seccomp.ZYGOTE_ONLY}
    by_argument = {kernel.NUMBERS[name][column] for name in seccomp.BY_ARGUMENT}
    for number in range(kernel.NEWEST_NUMBER + 1):
        if number not in by_argument:
            assert simulate(zygote, machine, number) == (ALLOW if number in listed | forking else fail(errno.EPERM))
        assert simulate(child, machine, number) == (fail(errno.EPERM) if number in forking else ALLOW)
    assert simulate(zygote, machine, kernel.NEWEST_NUMBER + 1) == fail(errno.ENOSYS)


@pytest.mark.parametrize("machine", kernel.MACHINES)
def test_the_filters_look_at_arguments(machine: str) -> None:
    zygote, child = seccomp.zygote_program(machine), seccomp.child_program(machine)
    numbers = {name: each[kernel.MACHINES.index(machine)] for name, each in kernel.NUMBERS.items()}
    answers = [
        (zygote, "openat", (0, 0, os.O_RDONLY | os.O_CLOEXEC), ALLOW),
        (zygote, "openat", (0, 0, os.O_RDONLY | os.O_DIRECTORY), ALLOW),
        (zygote, "openat", (0, 0, os.O_WRONLY), fail(errno.EACCES)),
        (zygote, "openat", (0, 0, os.O_RDWR), fail(errno.EACCES)),
        (zygote, "openat", (0, 0, os.O_RDONLY | os.O_CREAT), fail(errno.EACCES)),
        (zygote, "openat", (0, 0, os.O_TMPFILE), fail(errno.EACCES)),
        (zygote, "fcntl", (0, 1), ALLOW),
        (zygote, "fcntl", (0, 1024), fail(errno.EPERM)),  # F_SETLEASE
        (zygote, "fcntl", (0, 8), fail(errno.EPERM)),  # F_SETOWN
        (zygote, "ioctl", (0, 0x5401), ALLOW),
        (zygote, "ioctl", (0, 0x5412), fail(errno.ENOTTY)),  # TIOCSTI
        (zygote, "prlimit64", (0, 7, 1), ALLOW),
        (zygote, "prlimit64", (1, 7, 0), fail(errno.EPERM)),
        (zygote, "sched_getaffinity", (0, 8), ALLOW),
        (zygote, "sched_getaffinity", (1, 8), fail(errno.EPERM)),
        (zygote, "madvise", (0, 0, 4), ALLOW),  # MADV_DONTNEED
        (zygote, "madvise", (0, 0, 12), fail(errno.EPERM)),  # MADV_MERGEABLE
        (zygote, "madvise", (0, 0, 21), fail(errno.EPERM)),  # MADV_PAGEOUT
        (zygote, "futex", (0, 9 | 0x180), ALLOW),  # WAIT_BITSET, private, by the wall clock
        (zygote, "futex", (0, 1), ALLOW),
        *((zygote, "futex", (0, command), fail(errno.EPERM)) for command in (2, 6, 7, 8, 11, 12, 13, 0x86)),
        (zygote, "clock_gettime", (1,), ALLOW),
        (zygote, "clock_gettime", (3,), ALLOW),
        (zygote, "clock_gettime", ((1 << 32) - 6,), fail(errno.EPERM)),  # the processor clock of a process
        (zygote, "clock_getres", (16,), fail(errno.EPERM)),
        (zygote, "clock_nanosleep", ((1 << 64) - 6,), fail(errno.EPERM)),
        (child, "prlimit64", (0, 7, 0), ALLOW),
        (child, "prlimit64", (0, 7, 1), fail(errno.EPERM)),
        (child, "prlimit64", (0, 7, 1 << 32), fail(errno.EPERM)),
    ]
    for program, name, arguments, wanted in answers:
        assert simulate(program, machine, numbers[name], arguments) == wanted, (name, arguments)


@pytest.mark.parametrize("machine", kernel.MACHINES)
def test_a_foreign_architecture_kills(machine: str) -> None:
    other = "aarch64" if machine == "x86_64" else "x86_64"
    for program in (seccomp.zygote_program(machine), seccomp.child_program(machine)):
        assert simulate(program, other, 0) == KILL
        if machine == "x86_64":
            assert simulate(program, machine, 0x40000000) == KILL


def test_each_landlock_version_denies_what_it_knows() -> None:
    rights = {abi: landlock.handled(abi) for abi in range(1, 9)}
    assert rights[1] == ((1 << 13) - 1, 0, 0)
    assert rights[2] == ((1 << 14) - 1, 0, 0)
    assert rights[3] == ((1 << 15) - 1, 0, 0)
    assert rights[4] == ((1 << 15) - 1, 3, 0)
    assert rights[5] == ((1 << 16) - 1, 3, 0)
    assert rights[6] == rights[7] == rights[8] == ((1 << 16) - 1, 3, 3)


def test_an_unknown_machine_has_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", "riscv64")))
    with pytest.raises(OSError, match="no system call table for riscv64: use x86_64 or aarch64"):
        kernel.number("read")


def test_a_refused_call_says_which_and_why() -> None:
    with pytest.raises(OSError, match="pidfd_open: ") as caught:
        kernel.call("pidfd_open", -1, 0)
    assert caught.value.errno == errno.EINVAL
