"""What many tests share: the real sandbox, started once; scripted models at the two edges; tools around them."""

import compileall
import gc
import os
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

from autoif.config import load_config
from autoif.models.nli import Label, NliJudgement
from autoif.models.requests import Chat
from autoif.records import Query
from autoif.sandbox import Limits, Sandbox, inside
from autoif.tools import Tools
from support.answers import ReadAnswers
from support.command import autoif, run_here
from support.process_tree import list_children
from support.scripted import ScriptedChat
from support.small_world import make_small_world

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MakeTools = Callable[..., Tools]

# Two of them run at the same time, and threads of both that wait for each other by spinning take each other's time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A collection of garbage while tests are collected finds nothing in a million objects, a second of each process's time.
gc.disable()

# No test loses power: what the kernel has been told is there for every process, killed or not.
os.fsync = lambda _: None

# A sandbox's process keeps no compiled code, and would compile itself anew at each start: a fifth of its time.
compileall.compile_dir(*inside.__path__, quiet=2)

# The same examples in every run, however slow and busy the machine.
settings.register_profile("autoif", deadline=None, derandomize=True)
settings.load_profile("autoif")


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[ReadAnswers]:
    """The completions of one run, for a client in the test's own loop."""
    async with ReadAnswers(tmp_path / "completions.sqlite") as answers:
        yield answers


_REAL_MODELS = {"smollm2", "one_core"}
"""Fixtures of the tests that load one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that load a real model or have a time limit of their own: those take long.

    `make test` gives its processes a module at a time in this order. So none is left with a long one at the end, and
    those that compute (real models) run beside those that wait (Ray, stores that fail).
    """
    long = {
        item.path
        for item in items
        if item.get_closest_marker("timeout") or _REAL_MODELS.intersection(getattr(item, "fixturenames", ()))
    }
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """Keep what is loaded by now, in all of a million objects, out of each collection of garbage in each test."""
    gc.collect()
    gc.freeze()
    gc.enable()


class ScriptedNli:
    """Labels a hypothesis by the first part of it that is in the script; a hypothesis that none fits is an error."""

    def __init__(self, labels: Mapping[str, Label] | None = None, source: str = "script") -> None:
        self.pairs: list[tuple[str, str]] = []
        self._labels = labels or {}
        self._source = source

    async def judge(self, pairs: Sequence[tuple[str, str]], *, seed: int = 0) -> list[NliJudgement]:
        self.pairs += pairs
        return [NliJudgement(self._label(hypothesis), 0.9, self._source) for _, hypothesis in pairs]

    def _label(self, hypothesis: str) -> Label:
        for part, label in self._labels.items():
            if part in hypothesis:
                return label
        raise LookupError(f"the script has no label for {hypothesis!r}")


@pytest.fixture(scope="module")
def others() -> set[int]:
    """Children of this process that are none of this module's: what earlier tests started may end at any time."""
    return list_children()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The real sandbox, with a second for an input, on a loop of its own: tests with loops of theirs share it."""
    with Sandbox(Limits(timeout_s=1.0), workers=1) as entered:
        yield entered


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Chromium, started once."""
    from support.browser import open_browser  # here, since only `make browser` needs playwright

    with open_browser() as opened:
        yield opened


@pytest.fixture
def one_core() -> Iterator[None]:
    """Leave this process and those it starts one core, so that llama.cpp, too, takes one thread."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before) if os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0" else min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread: for models of some thousand weights more of them only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return a function that makes a folder of this name once for all processes of a test run: nobody changes it."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared

    def make(name: str, write: Callable[[Path], object]) -> Path:
        folder, done = shared / "once" / name, shared / "once" / f"{name}.done"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not done.exists():
                write(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def smollm2(make_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """SmolLM2-135M as a folder that transformers loads."""

    def fetch(folder: Path) -> None:
        with warnings.catch_warnings(action="ignore"):  # of transformers
            done = run_here("models", "fetch", "smollm2-135m", "--weights", folder, cwd=folder.parent)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[-1] == str(folder)

    return make_once("smollm2", fetch)


@pytest.fixture(scope="session")
def replayed(make_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The folder of the recorded quickstart, made by the command; beside it lie report.txt and seconds.txt."""

    def replay(folder: Path) -> None:
        folder.mkdir()
        began = time.monotonic()
        done = autoif("run", "quickstart", "--recorded", "--quiet", "-o", "run", cwd=folder)
        assert done.returncode == 0, done.stderr
        (folder / "seconds.txt").write_text(str(time.monotonic() - began), encoding="utf-8")
        (folder / "report.txt").write_text(done.stdout, encoding="utf-8")

    return make_once("quickstart", replay) / "run"


@pytest.fixture(scope="session")
def small_world(make_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The folder that `make_small_world` makes."""
    return make_once("small_world", make_small_world)


@pytest.fixture
def make_tools(sandbox: Sandbox) -> MakeTools:
    """Return a function that makes Tools of a preset, settings, scripts for chat and NLI, and queries."""

    def make(
        *settings: str,
        preset: str = "paper",
        chat: Chat | None = None,
        nli: ScriptedNli | None = None,
        queries: Sequence[str] = (),
    ) -> Tools:
        return Tools(
            config=load_config(preset, settings),
            chat=chat or ScriptedChat(),
            nli=nli or ScriptedNli(),
            sandbox=sandbox,
            queries=tuple(Query.of(text) for text in queries),
        )

    return make
