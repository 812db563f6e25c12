"""What many tests share: the real sandbox, started once; scripted models at the two edges; tools around them."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import settings

from autoif.config import load_config
from autoif.models.nli import Judgement, Label
from autoif.models.requests import Chat
from autoif.models.scripted import ScriptedChat
from autoif.records import Query
from autoif.sandbox import Limits, Sandbox
from autoif.sandbox.outcomes import Outcome
from autoif.tools import Tools

MakeTools = Callable[..., Tools]

# The same examples in every run, however slow and busy the machine.
settings.register_profile("autoif", deadline=None, derandomize=True)
settings.load_profile("autoif")


class SharedSandbox:
    """The real sandbox on a loop of its own, so that tests with loops of their own can share it."""

    def __init__(self, sandbox: Sandbox, loop: asyncio.AbstractEventLoop) -> None:
        self._sandbox = sandbox
        self._loop = loop

    @property
    def verdicts(self) -> int:
        return self._sandbox.verdicts

    async def run(self, source: str, inputs: Sequence[str]) -> list[Outcome]:
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(self._sandbox.run(source, inputs), self._loop)
        )


class ScriptedNli:
    """Labels a hypothesis by the first part of it that is in the script; a hypothesis that none fits is an error."""

    def __init__(self, labels: Mapping[str, Label] | None = None) -> None:
        self.pairs: list[tuple[str, str]] = []
        self._labels = labels or {}

    async def judge(self, pairs: Sequence[tuple[str, str]], *, seed: int = 0) -> list[Judgement]:
        self.pairs += pairs
        return [Judgement(self._label(hypothesis), 0.9, "script") for _, hypothesis in pairs]

    def _label(self, hypothesis: str) -> Label:
        for part, label in self._labels.items():
            if part in hypothesis:
                return label
        raise LookupError(f"the script has no label for {hypothesis!r}")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SharedSandbox]:
    """The real sandbox, with a second for an input."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def call(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=120)

    sandbox = Sandbox(Limits(timeout_s=1.0), workers=1)
    call(sandbox.__aenter__())
    yield SharedSandbox(sandbox, loop)
    call(sandbox.__aexit__(None, None, None))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def make_tools(sandbox: SharedSandbox) -> MakeTools:
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
