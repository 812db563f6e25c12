"""Responses through the checkers, each in a process of its own that is ended where a checker takes too long.

The official checkers take seconds for 10 kB of a text made for it, and hours for 100. An exception thrown into this
process to end one could leave any lock or cache half done. So the kernel ends a process that has had its time, and
another takes its place. Results keep their order.
"""

import importlib.util
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import TYPE_CHECKING

from pydantic import JsonValue

from autoif.errors import ConfigError
from autoif.evaluation.ifeval_ifbench.checkers import NEWEST, Checkers, Revision, Suite, Unjudgeable, Verdicts
from autoif.evaluation.ifeval_ifbench.tokenizer_data import PUNKT, STOPWORDS, find_data

if TYPE_CHECKING:
    from autoif.evaluation.ifeval_ifbench.benchmark import Question, Questions

Job = tuple["Question", str]
Run = Callable[[Sequence[Job]], list[Verdicts | str]]
"""Returns verdicts in order; a text where the data lacks what they need."""
CHECKER_PACKAGES = ("emoji", "langdetect", "nltk", "syllapy")
CHECK_S = 20.0
"""Seconds of CPU time that a checker has for a response and its seven variants; a long honest one takes a few."""
_WORTH_A_PROCESS = 1_000
"""Responses: they take some 1.6 s, and a process about 1 s to start and to end."""
_CHUNK = 16
_Asked = Sequence[tuple[str, Mapping[str, JsonValue]]]
_ENDED = Verdicts((False,), (False,), (False,), (False,), drawn=(False,), raised=(True,))
"""What a checker says that was ended."""


@contextmanager
def open_checkers(
    questions: "Questions", responses: int, workers: int | None = None, *, revision: Revision = NEWEST
) -> Iterator[Run]:
    """Start what judges.

    Args:
        questions: what is asked; it decides which tokenizer data is needed.
        responses: about how many there will be.
        workers: processes; None is as many as there are cores, if there is enough for them to do.
        revision: of IFBench's checkers.

    Raises:
        ConfigError: the checkers or their data are not installed.
    """
    folders = check_installed(questions)
    count = workers or min(len(os.sched_getaffinity(0)), max(1, responses // _WORTH_A_PROCESS))
    idle = SimpleQueue[CheckerProcess]()

    def judge_part(jobs: Sequence[Job]) -> list[Verdicts | str]:
        process = idle.get()
        try:
            return [process.judge(row.prompt, row.instructions, text) for row, text in jobs]
        finally:
            idle.put(process)

    with ExitStack() as stack:
        for _ in range(count):
            process = CheckerProcess(questions.suite, revision, folders)
            stack.callback(process.close)
            idle.put(process)
        threads = stack.enter_context(ThreadPoolExecutor(count))
        yield lambda jobs: list(
            chain.from_iterable(
                threads.map(judge_part, [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)])
            )
        )


def check_installed(questions: "Questions") -> list[str]:
    """Return the folders of tokenizer data, if all that judges is there. Raises ConfigError."""
    for package in CHECKER_PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"the checkers need {package}: pip install 'autoif[eval]'")
    return find_data(_list_needed(questions))


def _list_needed(questions: "Questions") -> list[str]:
    asked = {name for row in questions.rows for name in row.instruction_id_list}
    needed = [PUNKT]
    if "ratio:stop_words" in asked:
        needed.append(STOPWORDS)
    return needed


class CheckerProcess:
    """A process with the checkers of a benchmark; started again whenever a response has cost it its life."""

    def __init__(self, suite: Suite, revision: Revision, data_folders: Sequence[str]) -> None:
        """Start it.

        Args:
            suite: whose checkers.
            revision: of IFBench's.
            data_folders: from `tokenizer_data.find_data`.
        """
        # Forked from a server that has loaded the checkers: this process may hold threads of torch, which a fork would
        # copy in any state, and a new interpreter takes a second each time.
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload([__name__, *CHECKER_PACKAGES])
        self._arguments = suite, revision, data_folders, CHECK_S
        self._start()

    def judge(self, prompt: str, asked: _Asked, response: str) -> Verdicts | str:
        """Return the verdicts, or why there are none. Raises ConfigError: the process was ended from outside."""
        try:
            self._pipe.send((prompt, list(asked), response))
            found: Verdicts | str = self._pipe.recv()
            return found
        except (EOFError, ConnectionError):
            self._process.join()
            if self._process.exitcode != -signal.SIGVTALRM:
                raise ConfigError("a process that scores was ended from outside, perhaps for memory") from None
            self._start()
        return _ENDED if len(asked) == 1 else _join([self.judge(prompt, [each], response) for each in asked])

    def close(self) -> None:
        """End it."""
        self._pipe.close()
        self._process.join()

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()


def _join(parts: Sequence[Verdicts | str]) -> Verdicts | str:
    verdicts = list[Verdicts]()
    for part in parts:
        if isinstance(part, str):
            return part
        verdicts.append(part)
    return Verdicts(
        *(
            tuple(chain.from_iterable(getattr(each, name) for each in verdicts))
            for name in ("strict", "loose", "corrected_strict", "corrected_loose", "drawn", "raised")
        )
    )


def _serve(pipe: Connection, suite: Suite, revision: Revision, folders: Sequence[str], seconds: float) -> None:
    """Judge what comes, until the other end is closed; what takes too long ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that closes this one
    logging.disable(logging.ERROR)  # the checkers log each text whose language they can't tell
    checkers = Checkers(suite, folders, revision)
    while True:
        try:
            prompt, asked, response = pipe.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_VIRTUAL, max(seconds * len(asked), 1e-3))  # nobody handles its signal
        try:
            found: Verdicts | str = checkers.judge(prompt, asked, response)
        except Unjudgeable as error:
            found = str(error)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        pipe.send(found)
