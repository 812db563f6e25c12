"""Running `autoif` as it is typed: in a process of its own, or in this one, which is quicker."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autoif.cli.main import main


def autoif(*arguments: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "autoif", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "160", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


def fails(*arguments: str | Path, cwd: Path) -> str:
    """Run a command that must fail, and return the one line that it prints."""
    done = autoif(*arguments, cwd=cwd)
    return _read_failure(done.returncode, done.stderr)


def run_here(*arguments: object, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line to its end in this process: a second quicker than a process of its own, and else the same.

    The main thread must call it, as `autoif run` takes signals.
    """
    printed, said = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = 0
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(cwd):
        for name, value in {"COLUMNS": "160", **environment}.items():
            patch.setenv(name, value)
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            try:
                autoif_here(*arguments)
            except SystemExit as stop:
                code = stop.code or 0
    assert isinstance(code, int)
    texts = [stream.buffer.getvalue().decode("utf-8") for stream in (printed, said)]  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(["autoif", *map(str, arguments)], code, *texts)


def autoif_here(*arguments: object) -> None:
    """Run the command line in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["autoif", *map(str, arguments)])
        main()


def fails_here(*arguments: object, cwd: Path | None = None) -> str:
    """Run a command that must fail in this process, and return the one line that it prints, after notes of progress."""
    said = io.StringIO()
    place = contextlib.chdir(cwd) if cwd else contextlib.nullcontext()
    with place, contextlib.redirect_stderr(said), pytest.raises(SystemExit) as stop:
        autoif_here(*arguments)
    return _read_failure(stop.value.code, said.getvalue())


def stopped_here(*arguments: object, when: Callable[[], bool]) -> str:
    """Run the command line in this process until SIGTERM comes to it, when this is so; return what it said on stderr.

    For what takes ten seconds to load, and is loaded here: else a process of its own is stopped (`processes`).
    """
    said, over = io.StringIO(), threading.Event()

    def stop() -> None:
        deadline = time.monotonic() + 150
        while not when() and time.monotonic() < deadline:
            if over.wait(0.05):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    stopping, before = threading.Thread(target=stop), signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stopping.start()
    try:
        with contextlib.redirect_stderr(said), pytest.raises(SystemExit) as end:
            autoif_here(*arguments)
    finally:
        over.set()
        stopping.join()
        signal.signal(signal.SIGTERM, before)
    assert end.value.code == 128 + signal.SIGTERM, said.getvalue()
    return said.getvalue()


def _read_failure(code: object, said: str) -> str:
    """Return the last line, which is the only one that is an error: ours, or click's after how the command is used."""
    assert code == 2, said
    errors = [line for line in said.splitlines() if line.startswith(("autoif: ", "Error: "))]
    assert said.splitlines()[-1:] == errors, said
    return errors[0]
