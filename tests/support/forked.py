"""Starting `autoif` and a model's server in forks of a process that has imported what they need.

They are processes like any other, and there a second sooner.

What is the same in every process, such as the hash seed, is that of the first: who tests it starts `autoif` as it is
typed (`processes.start_autoif`).
"""

import atexit
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [__name__, "autoif.api", "autoif.cli.serve", "autoif.cli.show", "autoif.service.server"]
)


def prepare() -> None:
    """Start the process of which others are forked, so that it isn't taken for one that a test has left."""
    forkserver.ensure_running()


def start(act: Callable[..., None], *given: object, daemon: bool = False) -> BaseProcess:
    """Do this in a process, which ends at the latest with this one if it is a daemon."""
    process = _CONTEXT.Process(target=act, args=given, daemon=daemon)
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")  # pytest's, which each process would import else
    try:
        process.start()
    finally:
        sys.modules["__main__"] = main
    return process


class Forked:
    """A process that runs `autoif` in a session of its own; a part of what subprocess.Popen is."""

    def __init__(
        self,
        arguments: Sequence[object],
        environment: Mapping[str, str],
        *,
        cwd: Path | None = None,
        errors: Path | None = None,
        descriptors: int = 0,
    ) -> None:
        """Start it, with these variables beside ours.

        Args:
            arguments: of the command.
            environment: more of it, or other values.
            cwd: the folder to start it in, if it is another.
            errors: the file for what it says on stderr, which else goes where stdout does.
            descriptors: how many it may have at most; 0 is as many as we.
        """
        ours, theirs = _CONTEXT.Pipe(duplex=False)
        given = {**os.environ, **environment}
        assert given.get("PYTHONHASHSEED") == os.environ.get("PYTHONHASHSEED")
        words = [str(each) for each in arguments]
        self._process = start(_run, theirs, errors, words, given, str(cwd or Path.cwd()), descriptors)
        theirs.close()
        self.stdout = os.fdopen(os.dup(ours.fileno()), encoding="utf-8")
        ours.close()
        assert self._process.pid
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("autoif", timeout or 0)
        return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait for the end, and return what it said, which must be less than a pipe holds."""
        self.wait(timeout)
        with self.stdout:
            return self.stdout.read(), None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(
    output: Connection,
    errors: Path | None,
    arguments: list[str],
    environment: dict[str, str],
    cwd: str,
    descriptors: int,
) -> None:
    from autoif.cli.main import main

    os.setsid()
    os.chdir(cwd)
    os.dup2(output.fileno(), 1)
    output.close()
    if errors:
        with errors.open("w") as log:
            os.dup2(log.fileno(), 2)
    else:
        os.dup2(1, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", encoding="utf-8"), os.fdopen(2, "w", encoding="utf-8", buffering=1)
    os.environ.clear()
    os.environ.update(environment)
    if descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    sys.argv = ["autoif", *arguments]
    try:
        main()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
