"""Processes that have the checkers loaded, each forked in milliseconds from one that has loaded them once.

Each process that judges needs one of its own, as some responses cost it its life, and loading the checkers takes
seconds. This process can't be the one that forks: it may hold threads of torch, which a fork copies in any state.
multiprocessing has such a server, which runs the caller's script once more in every process.

    this process ── a socket: the pipe of each process wanted ──► the server
         ▲                                                           └─ fork ─► a keeper ── fork ─► what judges
         └───────────────────── the pipe: requests, answers, what ended it ──────────────┴───────────────┘

A keeper loads what its process needs, and forks another when one was ended. All end when this process does.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Lock
from typing import Final

Work = Callable[[Connection], None]
"""What a process does with its pipe, until the other end is closed."""
CHECKER_PACKAGES: Final = ("emoji", "langdetect", "nltk", "syllapy")
"""What the server loads."""
_PROGRAM: Final = f"""\
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that uses this one
sys.path[:] = sys.argv[2:]
from {__name__} import serve
serve(int(sys.argv[1]))
"""
_asking = Lock()


@dataclass(frozen=True, slots=True)
class Ended:
    """What comes instead of an answer: the process has ended, by itself or (below zero) by this signal."""

    exit_code: int


def fork_process(load: Callable[..., Work], *arguments: object) -> Connection:
    """Return the pipe to a new process.

    Args:
        load: a function of a module, called with the arguments: it loads what is needed and returns the work.
        arguments: anything that can be pickled.
    """
    ours, theirs = Pipe()
    with _asking, theirs:
        server, place = _start_server()
        if server.poll() is not None:  # ended from outside, or another process's, of which this is a fork
            _start_server.cache_clear()
            server, place = _start_server()
        socket.send_fds(place, [b"."], [theirs.fileno()])
    ours.send((load, arguments))
    return ours


@cache
def _start_server() -> "tuple[subprocess.Popen[bytes], socket.socket]":
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), *sys.path]
        server = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    atexit.register(_end, server, ours)
    return server, ours


def _end(server: "subprocess.Popen[bytes]", place: socket.socket) -> None:
    place.close()
    server.wait()


def serve(descriptor: int) -> None:
    """Be the server: fork a keeper for every pipe that comes, until the socket's other end is closed."""
    for package in CHECKER_PACKAGES:
        with suppress(ImportError):  # whoever needs it says so
            import_module(package)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no keeper is waited for
    with socket.socket(fileno=descriptor) as place:
        while (received := socket.recv_fds(place, 1, 1))[0]:
            with Connection(received[1][0]) as pipe:
                _fork(_keep, pipe)


def _keep(pipe: Connection) -> None:
    """Have a process do the work, and another when it was ended, until one ends well."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    load, arguments = pipe.recv()
    work: Work = load(*arguments)
    while ended := os.waitstatus_to_exitcode(os.waitpid(_fork(work, pipe), 0)[1]):
        pipe.send(Ended(ended))


def _fork(act: Work, pipe: Connection) -> int:
    """Return the id of a process that does this and ends."""
    if child := os.fork():
        return child
    code = 1
    try:
        act(pipe)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(code)
