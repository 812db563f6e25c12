"""Starting `autoif` and the test model server as the processes they are."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path

from support import forked
from support.command import run_here
from support.model_server import be
from support.process_tree import list_descendants

SUPPORT = Path(__file__).parent
SHORT_REPLAY = ("run", "quickstart", "--recorded", "--set", "self_instruct.max_instructions=3")
"""The recorded run with few of its instructions: a third of the work, where a test is about what is around a run."""
DATA_FILES = ("instructions.jsonl", "queries.jsonl", "sft.jsonl", "preferences.jsonl", "rewards.jsonl")


@dataclass(frozen=True)
class Served:
    """A running model server and its log."""

    url: str
    log: Path

    def events(self) -> list[tuple[str, str, float]]:
        """Return ("asked" or "answered", request, time) in order."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [(event, key, float(when)) for event, key, when in (line.split() for line in lines)]

    def asked(self) -> list[str]:
        """Return the requests in order, one that came again as often."""
        return [key for event, key, _ in self.events() if event == "asked"]

    def hold(self, answered: int = 0) -> None:
        """Answer only so many different requests, and the rest after `release`."""
        self.held.write_text(str(answered))

    def release(self) -> None:
        self.held.unlink()

    @property
    def held(self) -> Path:
        return self.log.with_name(f"{self.log.name}.hold")

    def asked_again(self, began: float, killed: float) -> set[str]:
        """Return the requests that a client alive between these times made and had an answer to, and that came again.

        Of a client killed before, the server may still answer requests meanwhile: those don't count.
        """
        events = self.events()
        asked, answered = (
            {key for event, key, at in events if event == kind and began < at <= killed}
            for kind in ("asked", "answered")
        )
        return asked & answered & {key for event, key, at in events if event == "asked" and at > killed}


@contextmanager
def model_server(folder: Path) -> Iterator[Served]:
    """Run tests/support/model_server.py on a free port."""
    log = folder / "requests.log"
    ours, theirs = Pipe(duplex=False)
    process = forked.start(be, log, theirs, daemon=True)
    theirs.close()
    try:
        with ours:
            port = ours.recv()
        yield Served(f"http://127.0.0.1:{port}/v1", log)
    finally:
        process.terminate()
        process.join()


def quickstart(server: Served, output: str | Path, *more: str | Path) -> list[str]:
    """Return the words of a run of quickstart with this model."""
    return ["run", "quickstart", "--base-url", server.url, "--model", "test", "-o", *map(str, (output, *more))]


def make_plain_run(folder: Path, *options: str) -> tuple[Path, int]:
    """Run quickstart from beginning to end in one process; return the run, and how much its model was asked."""
    with model_server(folder) as server:
        done = run_here(*quickstart(server, folder / "run", *options), cwd=folder)
        assert done.returncode == 0, done.stderr
        asked = server.asked()
    assert len(set(asked)) == len(asked)
    return folder / "run", len(asked)


def fork_autoif(*arguments: str | Path, cwd: Path) -> forked.Forked:
    """Start the command line in a session of its own, to be killed; without what takes a process a second to import."""
    return forked.Forked(arguments, {}, cwd=cwd)


def start_autoif(*arguments: str | Path, cwd: Path, background: bool = False) -> "subprocess.Popen[str]":
    """Start the command line as it is typed, else like `fork_autoif`; as a script's job in the background on request.

    For what says how it was typed, or has a hash seed of its own.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "autoif", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=_ignore_ctrl_c if background else _hear_ctrl_c,  # noqa: PLW1509 - one thread
    )


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _hear_ctrl_c() -> None:
    """Take SIGINT again, which a shell makes its background jobs (a CI's, perhaps) ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def find_processes(name: str) -> set[int]:
    """Return the descendants of this process whose command line has this word in it."""
    found = set()
    for pid in list_descendants(os.getpid()):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            found |= {pid} if name in command else set()
    return found


def data_of(run: Path) -> dict[str, bytes]:
    """Return the data files of a run, byte for byte."""
    return {name: (run / name).read_bytes() for name in DATA_FILES}


def stages_of(run: Path) -> dict[str, bytes]:
    """Return the shard files of a run, byte for byte."""
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.glob("0*/*.jsonl"))}
