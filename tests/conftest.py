"""What many tests share: the real sandbox, started once; scripted models at the two edges; tools around them."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from hypothesis import settings

from autoif.config import load_config
from autoif.models.nli import Judgement, Label
from autoif.models.requests import Chat
from autoif.models.scripted import ScriptedChat
from autoif.records import Query
from autoif.sandbox import Limits, Sandbox
from autoif.tools import Tools

MakeTools = Callable[..., Tools]

# The same examples in every run, however slow and busy the machine.
settings.register_profile("autoif", deadline=None, derandomize=True)
settings.load_profile("autoif")


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
def sandbox() -> Iterator[Sandbox]:
    """The real sandbox, with a second for an input, on a loop of its own: tests with loops of theirs share it."""
    with Sandbox(Limits(timeout_s=1.0), workers=1) as entered:
        yield entered


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
