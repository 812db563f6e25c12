"""What honest functions import: time zones, locales, MIME types, libraries of the system, and packages if allowed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from autoif.errors import SandboxError
from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASS, ERROR = Verdict.PASS, Verdict.ERROR


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Limits(timeout_s=4.0), backend="cpython", workers=1) as entered:
        yield entered


HAS_TIME_ZONES = pytest.mark.skipif(
    not Path("/usr/share/zoneinfo/UTC").exists(), reason="needs the system's time zones"
)
HAS_UTF_8 = pytest.mark.skipif(
    not any(Path("/usr/lib/locale", name).exists() for name in ("C.utf8", "C.UTF-8")), reason="needs the locale C.UTF-8"
)


@pytest.mark.parametrize(
    "expression",
    [
        pytest.param("zoneinfo.ZoneInfo('UTC').key == 'UTC'", marks=HAS_TIME_ZONES),
        pytest.param(
            "datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Paris')).isoformat()[-6:] == '+02:00'",
            marks=HAS_TIME_ZONES,
        ),
        pytest.param("'Asia/Tokyo' in zoneinfo.available_timezones()", marks=HAS_TIME_ZONES),
        pytest.param("locale.setlocale(locale.LC_ALL, 'C.UTF-8') == 'C.UTF-8'", marks=HAS_UTF_8),
        "mimetypes.guess_type('page.html') == ('text/html', None)",
        "mimetypes.guess_type('x.autoif-test') == (None, None)",
    ],
)
async def test_the_standard_library_finds_what_it_needs(expression: str, sandbox: Sandbox) -> None:
    source = f"import datetime, locale, mimetypes, zoneinfo\ndef evaluate(response): return {expression}"
    (outcome,) = await sandbox.run(source, ["x"])
    assert outcome.verdict is PASS, outcome


@pytest.mark.parametrize(
    "act",
    [
        "open('/etc/passwd')",
        "os.listdir('/')",
        "open('/tmp/new', 'w')",
        "os.fork()",
        "ctypes.CDLL('libnone.so').x",
        "threading.Thread(target=print).start()",
        "signal.setitimer(signal.ITIMER_REAL, 1)",
        "socket.gethostbyname('localhost')",
        "tempfile.TemporaryFile()",
        "urllib.request.urlopen('http://127.0.0.1:9')",
        "urllib.request.urlopen('http://example.org')",
    ],
)
async def test_what_the_sandbox_refuses_is_said_to_be_its_doing(act: str, sandbox: Sandbox) -> None:
    modules = "ctypes, os, signal, socket, tempfile, threading, urllib.request"
    (outcome,) = await sandbox.run(f"import {modules}\ndef evaluate(response): return {act}", ["x"])
    assert outcome.verdict is ERROR
    assert outcome.detail.startswith("the sandbox forbids this: ") == ("libnone" not in act), outcome


@pytest.mark.parametrize("module", ["bz2", "lzma"])
async def test_a_library_of_the_system_is_there_or_its_lack_is_explained(module: str, sandbox: Sandbox) -> None:
    source = f"import {module}\ndef evaluate(response): return {module}.decompress({module}.compress(b'x')) == b'x'"
    (outcome,) = await sandbox.run(source, ["x"])
    assert outcome.verdict is PASS or outcome.detail.startswith(
        "does not load: the sandbox forbids this: ImportError: lib"
    )


async def test_an_error_that_a_function_makes_is_not_the_sandbox_s(sandbox: Sandbox) -> None:
    (outcome,) = await sandbox.run("def evaluate(response): raise PermissionError('not you')", ["x"])
    assert outcome.detail == "PermissionError: not you"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages and a module beside each other, as in `site-packages`."""
    for name in ("autoif_chosen", "autoif_other"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("from .inner import words\n")
        (tmp_path / name / "inner" / "__init__.py").write_text(
            "from pathlib import Path\nwords = Path(__file__).with_name('words').read_text().split()\n"
        )
        (tmp_path / name / "inner" / "words").write_text("yes no")
    (tmp_path / "autoif_single.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


PACKAGES = """
import autoif_chosen, autoif_single, bz2, os
def evaluate(response):
    folder = os.path.dirname(os.path.dirname(autoif_chosen.__file__))
    for act in (
        lambda: os.listdir(folder),
        lambda: open(os.path.join(folder, "autoif_other", "__init__.py")),
        lambda: open(autoif_chosen.__file__, "a"),
        lambda: __import__("autoif_other"),
    ):
        try:
            act()
        except (PermissionError, ModuleNotFoundError):
            continue
        return False
    return response in autoif_chosen.words and autoif_single.answer == 42 and not autoif_chosen.__file__.startswith("x")
"""


async def test_packages_that_are_allowed_can_be_imported_and_no_other(packages: Path) -> None:
    limits = Limits(timeout_s=4.0, packages=("autoif_chosen", "autoif_single"))
    async with Sandbox(limits, backend="cpython", workers=1) as sandbox:
        (outcome,) = await sandbox.run(PACKAGES, ["yes"])
        assert outcome.verdict is PASS, outcome
        (outcome,) = await sandbox.run("import autoif_chosen\nraise ValueError(autoif_chosen.__file__)", ["x"])
        assert outcome.detail == "does not load: ValueError: …/autoif_chosen/__init__.py"


async def test_no_package_is_allowed_by_default(packages: Path, sandbox: Sandbox) -> None:
    (outcome,) = await sandbox.run("import autoif_chosen", ["x"])
    assert outcome.detail == "missing module: autoif_chosen"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("autoif_missing", "not installed here"),
        ("json", "no package that can be allowed"),
        ("autoif_chosen.inner", "no package that can be allowed"),
        ("../etc", "no package that can be allowed"),
    ],
)
async def test_what_can_not_be_allowed_is_refused_at_the_start(name: str, said: str, packages: Path) -> None:
    with pytest.raises(SandboxError, match=said):
        async with Sandbox(Limits(packages=(name,)), backend="cpython", workers=1):
            pass
    assert len(asyncio.all_tasks()) == 1


async def test_monty_refuses_packages() -> None:
    with pytest.raises(SandboxError, match="monty can't import packages"):
        Sandbox(Limits(packages=("regex",)), backend="monty")


NUMPY = """
import numpy, os
def evaluate(response):
    try:
        os.listdir(os.path.dirname(os.path.dirname(numpy.__file__)))
    except PermissionError:
        # A product of matrices, which its library of linear algebra would share among threads.
        return bool((numpy.ones((300, 300)) @ numpy.ones((300, 300)))[0, 0] == 300) and response == "yes"
"""


async def test_a_package_with_libraries_of_its_own_and_threads_is_of_use() -> None:
    async with Sandbox(Limits(timeout_s=8.0, packages=("numpy",)), backend="cpython", workers=1) as sandbox:
        assert [each.verdict for each in await sandbox.run(NUMPY, ["yes", "no"])] == [PASS, Verdict.FAIL]
        assert [each.verdict for each in await sandbox.run(NUMPY, ["yes"])] == [PASS]
