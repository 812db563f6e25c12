"""The hostile suite: each attack is first shown to work outside, then contained, with honest functions in between.

The attacks are in `attacks/`, by class. After all of them no process, file or shared memory may be left.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from attacks import ATTACKS, CLASSES
from attacks.leftovers import HARNESS, LEFTOVERS, Leftover
from attacks.record import SUCCEEDS, Attack, is_intact, prepare_target, run_outside, run_plainly
from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox
from autoif.sandbox.inside import kernel
from support import forked
from support.process_tree import list_children, list_descendants
from support.service_process import Serving, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASS, FAIL, ERROR, TIMEOUT, MEMORY, CRASH = Verdict

HONEST = (
    (
        "import re\ndef evaluate(response):\n    return sorted(re.findall('[a-z]+', response)) == ['a', 'b']",
        "b a",
        "b c",
    ),
    ("import json\ndef evaluate(response):\n    return json.loads(response)['n'] == 5", '{"n": 5}', '{"n": 6}'),
    ("def evaluate(response):\n    return len(response.split()) < 3 and print(response) is None", "a b", "a b c"),
    ("import string\nevaluate = lambda text: all(each in string.ascii_letters for each in text)", "e", "é"),
    ("import decimal\ndef evaluate(text): return decimal.Decimal(text) / 3 > decimal.Decimal('0.333333')", "1", "0.9"),
)
"""Functions with a text that they pass and one that they fail: they use what attacks tamper with."""

SHARED_PLACES = (Path("/dev/shm"), Path(tempfile.gettempdir()), Path("/var/tmp"))


def name_process(pid: int) -> str:
    with suppress(OSError):
        return f"{pid} {(Path('/proc') / str(pid) / 'cmdline').read_bytes().replace(bytes(1), b' ')[:200]!r}"
    return f"{pid}, which has ended"


def reap(processes: set[int]) -> None:
    """Take in those that have ended."""
    for pid in processes:
        os.waitpid(pid, os.WNOHANG)


def list_shared() -> set[str]:
    """Return what attacks leave where every process could: this user's System V objects and files by their names."""
    objects = set()
    for kind, name in (("shm", "shmid"), ("sem", "semid"), ("msg", "msqid")):
        head, *lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()
        rows = [dict(zip(head.split(), line.split(), strict=True)) for line in lines]
        objects |= {f"{kind} {row['key']} {row[name]}" for row in rows
                    if int(row["cuid"]) == os.geteuid()}  # fmt: skip
    return objects | {str(path) for place in SHARED_PLACES for path in place.glob("*autoif-attack*")}


async def see_end(processes: set[int], deadline: float) -> None:
    """Wait until there are no descendants but these."""
    while left := list_descendants(os.getpid()) - processes:
        reap(left & list_children())
        assert asyncio.get_running_loop().time() < deadline, f"left: {[name_process(pid) for pid in left]}"
        await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nothing_is_left(others: set[int]) -> AsyncIterator[None]:
    """Check, once the sandboxes are closed, that neither the attacks inside nor those outside left anything."""
    forked.prepare()
    # What loses its parent becomes a child of this process, where it can be seen and waited for.
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    shared, processes = list_shared(), list_descendants(os.getpid())
    yield
    deadline = asyncio.get_running_loop().time() + 5
    try:
        await see_end(processes, deadline)
    finally:
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 0)
    # Other tests attack at the same time, and for a moment there is what they make outside of a sandbox.
    while left_behind := list_shared() - shared:
        assert asyncio.get_running_loop().time() < deadline, left_behind
        await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(nothing_is_left: None) -> AsyncIterator[Sandbox]:
    """With time enough for attacks that end otherwise, on a machine that does other things, too."""
    async with Sandbox(Limits(timeout_s=4.0, memory_mb=64), workers=1) as entered:
        yield entered


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def impatient(nothing_is_left: None) -> AsyncIterator[Sandbox]:
    """For attacks that only end by the clock."""
    async with Sandbox(Limits(timeout_s=0.5, memory_mb=64), workers=1) as entered:
        yield entered


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    """The response that tells an attack what to attack."""
    with prepare_target(tmp_path) as response:
        yield response


async def check_honest(sandbox: Sandbox) -> None:
    """Run one honest function after the other, with each use the next one."""
    source, good, bad = HONEST[sandbox.verdicts % len(HONEST)]
    assert [each.verdict for each in await sandbox.run(source, [good, bad])] == [PASS, FAIL], source


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_an_attack_that_works_outside_is_contained(
    attack: Attack, sandbox: Sandbox, impatient: Sandbox, others: set[int], target: str, tmp_path: Path
) -> None:
    used = impatient if TIMEOUT in attack.inside else sandbox
    before = list_children() - others
    (outcome,) = await used.run(attack.source, [target])
    assert outcome.verdict in attack.inside, outcome
    assert len(outcome.detail) <= 300
    assert is_intact(tmp_path)
    await check_honest(used)
    assert list_children() - others == before, "the worker did not outlive the attack"
    assert run_outside(attack, target) in attack.outside


async def test_every_class_of_attacks_has_some_and_each_has_a_name_of_its_own() -> None:
    assert all(len(group) >= 3 for group in CLASSES.values())
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 200


@pytest.mark.parametrize("leftover", LEFTOVERS, ids=lambda leftover: leftover.name)
async def test_what_a_function_leaves_is_not_seen_by_another(
    leftover: Leftover, sandbox: Sandbox, tmp_path: Path
) -> None:
    folder = str(tmp_path)
    await sandbox.run(leftover.leaving, [folder])
    (seen,) = await sandbox.run(leftover.seeing, [folder])
    assert seen.verdict in (FAIL, ERROR), "the next function saw it"
    died, seen = await sandbox.run(leftover.both, [folder, folder + "/."])
    assert died.verdict is CRASH
    assert seen.verdict in (FAIL, ERROR), "the next text saw it, although its process is another"
    await check_honest(sandbox)
    assert run_plainly(HARNESS, [leftover.leaving, leftover.seeing, folder]) == SUCCEEDS


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
    await check_honest(sandbox)


FIND_THE_RESULTS = """
import sys
def evaluate(response):
    if response == "honest":
        return False
    frame = sys._getframe()
    while "results" not in frame.f_locals:
        frame = frame.f_back
    results = frame.f_locals["results"]
    {act}
    return False
"""

GARBLINGS = {
    "a_verdict_that_there_is_not": "results.verdicts[2] = 77; results.header[0] = 3; import os; os._exit(0)",
    "a_verdict_only_the_zygote_gives": "results.verdicts[2] = 7; results.header[0] = 3; import os; os._exit(0)",
    "time_that_is_no_number": "results.seconds[2] = float('nan'); results.header[0] = 3; import os; os._exit(0)",
    "more_time_than_there_was": "results.seconds[2] = 1e6; results.header[0] = 3; import os; os._exit(0)",
    "a_detail_beyond_the_end": "results.verdicts[2] = 3; results.spans[4] = 2 ** 32 - 1; results.spans[5] = 99; "
    "results.header[0] = 3; import os; os._exit(0)",
    "more_verdicts_than_inputs": "results.verdicts[2] = 0; results.header[0] = 2 ** 60; import os; os._exit(0)",
    "fewer_than_there_were": "results.header[0] = 0; import os; os._exit(0)",
}


@pytest.mark.parametrize("act", GARBLINGS.values(), ids=GARBLINGS.keys())
async def test_a_garbled_result_is_a_crash_and_nothing_more(act: str, sandbox: Sandbox, others: set[int]) -> None:
    before = list_children() - others
    outcomes = await sandbox.run(FIND_THE_RESULTS.format(act=act), ["honest", "honest", "evil"])
    assert outcomes[2].verdict is CRASH
    await check_honest(sandbox)
    assert list_children() - others == before


async def test_a_dying_function_can_not_forge_its_seconds(sandbox: Sandbox) -> None:
    for forged in ("float('nan')", "float('inf')", "-float('inf')"):
        act = f"results.started[0] = {forged}; import os; os._exit(0)"
        (outcome,) = await sandbox.run(FIND_THE_RESULTS.format(act=act), ["evil"])
        assert outcome.verdict is CRASH
        assert 0 <= outcome.seconds < 10


async def test_time_can_not_be_stretched_by_lying_about_it(sandbox: Sandbox) -> None:
    act = "import time\n    while True: results.started[0] = time.monotonic() + 1000"
    (outcome,) = await sandbox.run(FIND_THE_RESULTS.format(act=act), ["evil"])
    assert outcome.verdict is TIMEOUT


LEAVE_HAVING_CLAIMED_A_TEXT = """
import os, sys, time
def evaluate(response):
    if response == "claims":
        frame = sys._getframe()
        while "results" not in frame.f_locals:
            frame = frame.f_back
        results = frame.f_locals["results"]
        results.verdicts[0] = 1
        results.header[2] = 1
        results.header[0] = 1
        time.sleep(0.7)
        results.started[0] = time.monotonic()
        {leave}
    time.sleep(0.7)
    return True
"""


@pytest.mark.parametrize("leave", ["os._exit(0)", "while True: pass"])
async def test_a_text_has_one_time_limit_however_many_processes_begin_it(leave: str) -> None:
    async with Sandbox(Limits(timeout_s=1.0), backend="cpython", workers=1) as sandbox:
        began = asyncio.get_running_loop().time()
        outcomes = await sandbox.run(LEAVE_HAVING_CLAIMED_A_TEXT.format(leave=leave), ["claims", "pays"])
        assert asyncio.get_running_loop().time() - began < 1.6
    assert [each.verdict for each in outcomes] == [PASS, TIMEOUT]
    assert outcomes[1].seconds >= 1.0


async def test_what_a_text_took_is_what_the_clock_outside_says() -> None:
    act = "import time\n    time.sleep(0.9); results.started[0] = time.monotonic(); time.sleep(9)"
    async with Sandbox(Limits(timeout_s=1.0), backend="cpython", workers=1) as sandbox:
        (outcome,) = await sandbox.run(FIND_THE_RESULTS.format(act=act), ["evil"])
    assert outcome.verdict is TIMEOUT
    assert 1.0 <= outcome.seconds < 2.0


async def test_a_child_can_not_pass_for_one_that_is_not_locked(sandbox: Sandbox) -> None:
    source = "import os, signal\ndef evaluate(response):\n    os.kill(os.getpid(), signal.SIGUSR2)"
    (outcome,) = await sandbox.run(source, ["x"])
    assert outcome.verdict is ERROR


KILL_ITS_PARENT = "import os, signal\ndef evaluate(response):\n    os.kill(os.getppid(), signal.SIGKILL)"


async def test_a_function_that_kills_its_parent_kills_nobody(sandbox: Sandbox, others: set[int]) -> None:
    victim = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {KILL_ITS_PARENT!r} + '\\nevaluate(0)'])"
    plain = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", victim)
    assert await plain.wait() == -signal.SIGKILL
    before = list_children() - others
    (outcome,) = await sandbox.run(KILL_ITS_PARENT, ["x"])
    assert outcome.verdict is ERROR
    assert list_children() - others == before


CHANGE_THE_TEXTS = """
import ctypes, gc
def evaluate(response):
    libc, view = ctypes.CDLL(None), (ctypes.c_void_p * 16)()
    # What is this large and can only be read is the memory that the texts lie in, seen in one way or another.
    views = [each for each in gc.get_objects() if type(each) is memoryview]
    shared = [each for each in views if each.readonly and each.nbytes >= 1 << 15]
    changed = 0
    for memory in shared:
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(memory), ctypes.byref(view), 0x18)  # whatever its format
        page = ctypes.c_long(view[0] & ~0xfff)
        if libc.mprotect(page, 4096, 3) == 0:
            changed += ctypes.memset(view[0] + 64, 65, 1) > 0
        changed += libc.madvise(page, 4096, 9) == 0
    if not shared:
        raise LookupError("nothing to attack")
    return changed > 0
"""


SHARE_CARELESSLY = """
import json, mmap, os, sys
(source,) = json.load(sys.stdin)
descriptor = os.memfd_create("texts")
os.ftruncate(descriptor, 1 << 16)
texts = memoryview(mmap.mmap(descriptor, 1 << 16, prot=mmap.PROT_READ))
exec(source)
print("\\nANSWER", evaluate(""))
"""
"""The texts are mapped to be read only, but through a descriptor by which they could be written."""


async def test_no_function_can_change_the_texts_of_the_next(sandbox: Sandbox) -> None:
    assert run_plainly(SHARE_CARELESSLY, [CHANGE_THE_TEXTS]) == SUCCEEDS
    source = "def evaluate(response): return response == 'as it was'"
    texts = ["as it was", "another"]
    for function, wanted in ((source, [PASS, FAIL]), (CHANGE_THE_TEXTS, [FAIL, FAIL]), (source, [PASS, FAIL])):
        assert [each.verdict for each in await sandbox.run(function, texts)] == wanted


async def test_time_can_not_be_stretched_by_counting(sandbox: Sandbox) -> None:
    act = "import time\n    while True: results.header[0] += 1; results.started[0] = time.monotonic(); time.sleep(0.01)"
    (outcome,) = await asyncio.wait_for(sandbox.run(FIND_THE_RESULTS.format(act=act), ["evil"]), 10)
    assert outcome.verdict in (TIMEOUT, CRASH)


FIND_REMAINS = """
import ctypes
def evaluate(response):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.malloc.restype = ctypes.c_void_p
    own = ctypes.addressof(ctypes.c_char.in_dll(libc, "environ"))
    places = {id(object()), id(evaluate), libc.malloc(100), libc.malloc(1 << 20), own}
    pages = {at for place in places for at in range((place & ~4095) - (1 << 25), (place & ~4095) + (1 << 25), 4096)}
    found = 0
    for at in pages:
        # rt_sigprocmask of x86-64: it says whether a page can be read.
        if libc.syscall(14, 7, ctypes.c_void_p(at), None, 8) == 0 or ctypes.get_errno() != 14:
            page = ctypes.string_at(at, 4096)[::-1]  # so that the search itself leaves nothing to be found
            found += page.count(b"REHTONA-FO-")
    return found > 0
"""


ON_X86_64 = pytest.mark.skipif(
    os.uname().machine != "x86_64", reason="the search makes a system call by its number on x86-64"
)
SIZES = (400, 500, 600, 800, 1100, 1600, 2500, 4000, 6000, 9000, 13_000, 18_000, 25_832, 65_000, 1_100_000)
"""Characters of a source: the C library keeps what it freed in places by size, and large messages came in pieces."""


def mark_source(characters: int) -> str:
    """Return a source of about that length, full of a mark that `FIND_REMAINS` finds in memory."""
    honest = "def evaluate(response): return len(response) == 1\n"
    return honest + "# X-OF-ANOTHER\n" * ((characters - len(honest)) // 15)


@ON_X86_64
async def test_a_source_is_gone_before_the_next_function_begins() -> None:
    async with Sandbox(Limits(timeout_s=20.0), backend="cpython", workers=1) as sandbox:
        for characters in SIZES:
            assert (await sandbox.run(mark_source(characters), ["x"]))[0].verdict is PASS
            assert (await sandbox.run(FIND_REMAINS, ["x"]))[0].verdict is FAIL, characters
            own = await sandbox.run(FIND_REMAINS + "# X-OF-ANOTHER\n", ["x"])
            assert own[0].verdict is PASS, "the search finds what is there"


@ON_X86_64
async def test_no_client_of_the_service_reads_the_source_of_another(tmp_path: Path) -> None:
    async with serving(tmp_path, "--timeout", 20) as one, aiohttp.ClientSession() as session:
        another = Serving(one.url, one.process, session, one.log)
        for characters in SIZES[:-1]:
            assert (await one.verify([mark_source(characters)], ["x"])).words == [["pass"]]
            assert (await another.verify([FIND_REMAINS], ["x"])).words == [["fail"]], characters


@ON_X86_64
async def test_nothing_of_an_earlier_call_is_found() -> None:
    earlier = """# X-OF-ANOTHER
def evaluate(response):
    if len(response) > 5: raise ValueError('X-OF-' + 'ANOTHER')
    return len(response) > 1
"""
    texts = ["x-OF-ANOTHER", "b" * 3000 + "-OF-ANOTHER", "no", "c" * 200_000 + "-OF-ANOTHER"]
    async with Sandbox(Limits(timeout_s=10.0), backend="cpython", workers=1) as sandbox:
        await sandbox.run(earlier, texts)
        (outcome,) = await sandbox.run(FIND_REMAINS, ["x"])
        assert outcome.verdict is FAIL
        (outcome,) = await sandbox.run(FIND_REMAINS, ["y-OF-ANOTHER"])
        assert outcome.verdict is PASS, "the search finds what is there"


@ON_X86_64
@pytest.mark.parametrize(("number", "verdicts"), [(335, {CRASH, FAIL}), (336, {FAIL})])
async def test_a_call_that_the_kernel_answers_past_the_filters_does_nothing(
    number: int, verdicts: set[Verdict], sandbox: Sandbox
) -> None:
    source = f"import ctypes\ndef evaluate(response): return ctypes.CDLL(None).syscall({number}, 0, 0, 0) != -1"
    (outcome,) = await sandbox.run(source, ["x"])
    assert outcome.verdict in verdicts, "older kernels know neither"
    assert [each.verdict for each in await sandbox.run("def evaluate(response): return True", ["x"])] == [PASS]


async def test_what_can_not_be_listed_can_be_imported(sandbox: Sandbox) -> None:
    source = """
import importlib, os
importlib.invalidate_caches()
def evaluate(response):
    import colorsys, xml.dom.minidom, unicodedata
    try:
        os.listdir(os.path.dirname(os.__file__))
    except PermissionError:
        return True
"""
    (outcome,) = await sandbox.run(source, ["x"])
    assert outcome.verdict is PASS, outcome


@pytest.mark.parametrize("seconds", ["float('nan')", "1e9", "-1.0", "float('inf')"])
async def test_a_pass_with_impossible_seconds_is_garbled(seconds: str, sandbox: Sandbox) -> None:
    act = f"results.verdicts[0] = 1; results.seconds[0] = {seconds}; "
    act += "results.header[0] = results.header[1] = 1; os._exit(0)"
    (outcome,) = await sandbox.run("import os\n" + FIND_THE_RESULTS.format(act=act), ["evil"])
    assert (outcome.verdict, outcome.detail) == (CRASH, "garbled result")
    assert 0 <= outcome.seconds < 10
