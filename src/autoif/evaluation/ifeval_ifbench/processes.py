"""Runs checkers in processes of their own, so that one that takes too long can be killed.

Some official checkers take seconds for 10 kB of hostile text, and hours for 100 kB. An exception raised inside a
checker could leave locks and caches inconsistent, so the kernel kills its process, and a new one replaces it.

Loading the checkers takes seconds, so a server loads their packages once and forks the other processes in milliseconds.
The calling process can't fork, as it may hold threads of torch, and multiprocessing's own fork server would run the
caller's script again in every process.

    this process ── socket: a pipe for each process wanted ──► server
         ▲                                                       └─ fork ─► keeper ── fork ─► judge
         └──────────── pipe: requests, verdicts, exit codes of killed judges ──┴─────────────────┘

The keeper forks a new judge when one was killed. All of them end with this process.
"""

import atexit
import importlib.util
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Lock

from pydantic import JsonValue

from autoif.benchmark_wordings import Suite
from autoif.errors import ConfigError
from autoif.evaluation.ifeval_ifbench.checkers import NEWEST, Checkers, Revision, Unjudgeable, Verdicts
from autoif.evaluation.ifeval_ifbench.data import Question, Questions
from autoif.evaluation.ifeval_ifbench.tokenizer_data import PUNKT, STOPWORDS, find_data
from autoif.processors import count_processors

Job = tuple[Question, str]
Run = Callable[[Sequence[Job]], list[Verdicts | str]]
"""Returns the verdicts in order; a text in place of verdicts says what the data lacks."""
CHECKER_PACKAGES = ("emoji", "langdetect", "nltk", "syllapy")
CHECK_S = 20.0
"""Seconds of CPU time for a checker to judge a response and its seven variants; long ordinary ones take a few."""
_WORTH_A_PROCESS = 1_000
"""Responses that justify another process: they take about 1.6 s, and a process about 1 s to start and end."""
_CHUNK = 16
_Asked = Sequence[tuple[str, Mapping[str, JsonValue]]]
_ENDED = Verdicts((False,), (False,), (False,), (False,), drawn=(False,), raised=(True,))
"""The verdicts of a checker that was killed."""
_PROGRAM = f"""\
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # the calling process handles Ctrl-C
sys.path[:] = sys.argv[2:]
from {__name__} import serve
serve(int(sys.argv[1]))
"""
"""The server's program."""
_asking = Lock()


@dataclass(frozen=True, slots=True)
class _Ended:
    """Sent instead of verdicts if the judge has ended."""

    exit_code: int
    """Below zero, the negative number of the signal that killed it."""


@contextmanager
def open_checkers(
    questions: Questions, responses: int, workers: int | None = None, *, revision: Revision = NEWEST
) -> Iterator[Run]:
    """Start `workers` processes that judge; by default up to one a core, depending on the number of responses.
    Raises ConfigError: the checkers or their data are not installed."""
    folders = check_installed(questions)
    count = workers or min(count_processors(), max(1, responses // _WORTH_A_PROCESS))
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
    """Return the folders of tokenizer data. Raises ConfigError: a package or data of the checkers is missing."""
    for package in CHECKER_PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"the checkers need {package}: pip install 'autoif[eval]'")
    asked = {name for row in questions.rows for name in row.instruction_id_list}
    return find_data([PUNKT, STOPWORDS] if "ratio:stop_words" in asked else [PUNKT])


class CheckerProcess:
    """A process with the checkers of a benchmark, which is replaced when it is killed."""

    def __init__(self, suite: Suite, revision: Revision, data_folders: Sequence[str]) -> None:
        """Start it."""
        self._pipe, theirs = Pipe()
        with _asking, theirs:
            server, place = _start_server()
            if server.poll() is not None:  # it was killed, or belongs to the parent that this process was forked from
                _start_server.cache_clear()
                server, place = _start_server()
            socket.send_fds(place, [b"."], [theirs.fileno()])
        self._pipe.send((suite, data_folders, revision, CHECK_S))

    def judge(self, prompt: str, asked: _Asked, response: str) -> Verdicts | str:
        """Return the verdicts, or why there are none. Raises ConfigError: something else killed the process."""
        try:
            self._pipe.send((prompt, list(asked), response))
            found: Verdicts | str | _Ended = self._pipe.recv()
        except (EOFError, ConnectionError):
            found = _Ended(-signal.SIGKILL)
        if not isinstance(found, _Ended):
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
    return Verdicts(*(tuple(chain(*column)) for column in zip(*verdicts, strict=True)))


@cache
def _start_server() -> "tuple[subprocess.Popen[bytes], socket.socket]":
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno()), *sys.path]
        server = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    atexit.register(_end, server, ours)
    return server, ours


def _end(server: "subprocess.Popen[bytes]", place: socket.socket) -> None:
    place.close()
    server.wait()


def serve(descriptor: int) -> None:
    """Run the server: fork a keeper for every pipe received, until the other end of the socket is closed."""
    for package in CHECKER_PACKAGES:
        with suppress(ImportError):  # reported by the checker that needs it
            importlib.import_module(package)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that ended keepers don't stay as zombies
    with socket.socket(fileno=descriptor) as place:
        while (received := socket.recv_fds(place, 1, 1))[0]:
            with Connection(received[1][0]) as pipe:
                _fork(_keep, pipe)


def _keep(pipe: Connection) -> None:
    """Load the checkers and fork a judge, and another whenever it is killed, until one ends normally."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    logging.disable(logging.ERROR)  # the checkers log each text whose language they can't detect
    suite, data_folders, revision, seconds = pipe.recv()
    checkers = Checkers(suite, data_folders, revision)
    while ended := os.waitstatus_to_exitcode(os.waitpid(_fork(_judge_all, pipe, checkers, seconds), 0)[1]):
        pipe.send(_Ended(ended))


def _judge_all(pipe: Connection, checkers: Checkers, seconds: float) -> None:
    """Judge responses from the pipe until its other end is closed. A timer kills the process if one takes too long."""
    while True:
        try:
            prompt, asked, response = pipe.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_VIRTUAL, max(seconds * len(asked), 1e-3))  # SIGVTALRM kills
        try:
            found: Verdicts | str = checkers.judge(prompt, asked, response)
        except Unjudgeable as error:
            found = str(error)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        pipe.send(found)


def _fork(act: Callable[..., None], *arguments: object) -> int:
    """Fork a process that calls `act` and exits; return its id."""
    if child := os.fork():
        return child
    code = 1
    try:
        act(*arguments)
        code = 0
    except BaseException:  # whatever ends the child is told, as nobody above it does
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(code)
