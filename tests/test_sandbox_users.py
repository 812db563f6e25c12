"""The hostile suite where less protects: as an ordinary user, without namespaces, in what a container leaves.

`benchmarks/hostile.py` runs in each situation; it fails if an attack gets through or an honest verdict is wrong.
"""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from attacks import CLASSES
from attacks.kernel import CALLS, PRIVILEGED_CALLS
from attacks.record import describe_outside
from test_sandbox_layers import at_home, interpreter  # noqa: F401 - a fixture

ROOT = Path(__file__).parent.parent
MACHINE = ("x86_64", "aarch64").index(os.uname().machine)
UNSHARE, CLONE3 = (272, 97)[MACHINE], 435

SELECTED = (
    "files",
    "/dev/shm, /tmp, System V",
    "network",
    "processes and threads",
    "orphans",
    "signals and timers",
    "descriptors",
    "environment and /proc",
    "kernel interfaces",
)
"""The classes that aim at the machine; the others end inside the interpreter, whoever runs it."""

IN_A_SITUATION = """
import ctypes, json, runpy, sys
refused, capabilities = json.loads(sys.argv.pop(1))
from autoif.sandbox.inside import kernel, seccomp
if capabilities is not None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)(capabilities, capabilities, 0, 0, 0, 0)
    kernel.call("capset", ctypes.byref(header), ctypes.byref(sets))
program = [(0x20, 0, 0, 0)]
for number, answer in refused:
    program += [(0x15, 0, 1, number), (6, 0, 0, 0x50000 | answer)]
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.assemble([*program, (6, 0, 0, 0x7FFF0000)]).install()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

DENIED_IN_CONTAINERS = (
    "load_a_kernel_program", "make_a_request_ring", "make_a_user_namespace", "enter_another_namespace",
    "mount_a_file_system", "open_a_file_system", "reach_the_session_keys", "add_a_key", "ask_for_a_key",
    "handle_its_page_faults", "count_the_processor_s_events", "change_its_personality", "move_its_pages",
    "choose_its_memory", "ask_about_a_quota", *PRIVILEGED_CALLS,
)  # fmt: skip
"""What Docker's default profile refuses with EPERM; clone3 it refuses with ENOSYS."""

DOCKER_CAPABILITIES = sum(1 << number for number in (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31))


def deny_as_containers_do() -> list[tuple[int, int]]:
    """Return (system call, errno) of what a container's default profile refuses."""
    numbers = {name: (x86_64, aarch64) for name, (x86_64, aarch64, _) in (CALLS | PRIVILEGED_CALLS).items()}
    return [(numbers[name][MACHINE], errno.EPERM) for name in DENIED_IN_CONTAINERS] + [(CLONE3, errno.ENOSYS)]


@pytest.fixture(scope="module")
def suite() -> Iterator[Path]:
    """A copy of the hostile suite that every user can read."""
    with tempfile.TemporaryDirectory(prefix="autoif-suite-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "benchmarks").mkdir()
        shutil.copytree(ROOT / "tests" / "attacks", folder / "tests" / "attacks")
        yield Path(shutil.copy2(ROOT / "benchmarks" / "hostile.py", folder / "benchmarks"))


def run_suite(
    suite: Path,
    program: str | Path,
    refused: Sequence[tuple[int, int]] = (),
    capabilities: int | None = None,
    **options: Any,
) -> tuple[str, Mapping[str, list[str]]]:
    """Run the selected classes; return what the sandbox says of itself, and the cells of each row after its name."""
    classes = [word for name in SELECTED for word in ("--class", name)]
    command = [str(program), "-B", "-c", IN_A_SITUATION, json.dumps([refused, capabilities]), str(suite), *classes]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=suite.parent, **options)
    assert process.returncode == 0, process.stderr
    rows = re.findall(r"^\| (.+) \|$", process.stdout, re.MULTILINE)
    table = {name: cells for name, *cells in (row.split(" | ") for row in rows)}
    return process.stdout.partition("\n")[0], table


def check_table(table: Mapping[str, list[str]]) -> None:
    """Outside every attack does as this user, and in this situation, what it does anywhere, and inside nothing."""
    for name in SELECTED:
        attacks, outside, contained, _, honest = table[name]
        number = len(CLASSES[name])
        assert (attacks, contained, honest) == (str(number), str(number), f"{2 * number} of {2 * number}")
        found = {words: int(count) for count, words in (cell.split(" ", 1) for cell in outside.split(", "))}
        wanted = Counter(describe_outside(attack.outside[0]) for attack in CLASSES[name])
        assert found == wanted or name == "kernel interfaces", name


@pytest.mark.parametrize("refused", [(), ((UNSHARE, errno.EPERM),)], ids=["with_namespaces", "without"])
def test_attacks_of_an_ordinary_user_are_contained(
    refused: Sequence[tuple[int, int]],
    interpreter: Path,  # noqa: F811 - the fixture
    suite: Path,
) -> None:
    become: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    described, table = run_suite(suite, interpreter, refused, env=at_home(interpreter), **become)
    assert ("no namespaces" in described) or not refused
    check_table(table)


def test_attacks_in_what_a_container_leaves_are_contained(suite: Path) -> None:
    status = Path("/proc/self/status").read_text().split()
    held = int(status[status.index("CapPrm:") + 1], 16)
    described, table = run_suite(suite, sys.executable, deny_as_containers_do(), held & DOCKER_CAPABILITIES)
    assert described.endswith("no namespaces")
    check_table(table)
