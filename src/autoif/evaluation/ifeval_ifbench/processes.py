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
from functools import partial
from itertools import chain
from multiprocessing.connection import Connection
from queue import SimpleQueue

from pydantic import JsonValue

from autoif.errors import ConfigError
from autoif.evaluation.ifeval_ifbench.checkers import NEWEST, Checkers, Revision, Suite, Unjudgeable, Verdicts
from autoif.evaluation.ifeval_ifbench.data import Question, Questions
from autoif.evaluation.ifeval_ifbench.fork_server import CHECKER_PACKAGES, Ended, Work, fork_process
from autoif.evaluation.ifeval_ifbench.tokenizer_data import PUNKT, STOPWORDS, find_data

Job = tuple[Question, str]
Run = Callable[[Sequence[Job]], list[Verdicts | str]]
"""Returns verdicts in order; a text where the data lacks what they need."""
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
    questions: Questions, responses: int, workers: int | None = None, *, revision: Revision = NEWEST
) -> Iterator[Run]:
    """Start what judges: so many processes, or as many as there are cores if there is enough for them to do.

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


def check_installed(questions: Questions) -> list[str]:
    """Return the folders of tokenizer data, if all that judges is there. Raises ConfigError."""
    for package in CHECKER_PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"the checkers need {package}: pip install 'autoif[eval]'")
    return find_data(_list_needed(questions))


def _list_needed(questions: Questions) -> list[str]:
    asked = {name for row in questions.rows for name in row.instruction_id_list}
    needed = [PUNKT]
    if "ratio:stop_words" in asked:
        needed.append(STOPWORDS)
    return needed


class CheckerProcess:
    """A process with the checkers of a benchmark; another takes its place when a response has cost it its life."""

    def __init__(self, suite: Suite, revision: Revision, data_folders: Sequence[str]) -> None:
        """Start it."""
        self._pipe = fork_process(_load, suite, revision, data_folders, CHECK_S)

    def judge(self, prompt: str, asked: _Asked, response: str) -> Verdicts | str:
        """Return the verdicts, or why there are none. Raises ConfigError: the process was ended from outside."""
        try:
            self._pipe.send((prompt, list(asked), response))
            found: Verdicts | str | Ended = self._pipe.recv()
        except (EOFError, ConnectionError):
            found = Ended(-signal.SIGKILL)
        if not isinstance(found, Ended):
            return found
        if found.exit_code != -signal.SIGVTALRM:
            raise ConfigError("a process that scores was ended from outside, perhaps for memory")
        return _ENDED if len(asked) == 1 else _join_verdicts([self.judge(prompt, [each], response) for each in asked])

    def close(self) -> None:
        """End it."""
        self._pipe.close()


def _join_verdicts(parts: Sequence[Verdicts | str]) -> Verdicts | str:
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


def _load(suite: Suite, revision: Revision, folders: Sequence[str], seconds: float) -> Work:
    logging.disable(logging.ERROR)  # the checkers log each text whose language they can't tell
    return partial(_judge_all, Checkers(suite, folders, revision), seconds)


def _judge_all(checkers: Checkers, seconds: float, pipe: Connection) -> None:
    """Judge what comes, until the other end is closed; what takes too long ends the process."""
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
