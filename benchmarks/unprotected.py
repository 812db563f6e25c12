"""Calls of model-written functions without protection, for `verification.py`: one process, started small.

    python unprotected.py WAY WORK

WORK holds, one after the other, (sources, texts) as `marshal` writes them: each source runs on all of the texts. The
process gives up all files, prints "ready", begins when its input is closed, and prints "done". It imports no more than
a fork server would: what a fork costs depends on how large the process is.
"""

import contextlib
import marshal
import os
import signal
import sys
from collections.abc import Callable, Iterator

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../src/autoif/sandbox"))

from inside import kernel, landlock


def read_jobs(descriptor: int) -> Iterator[tuple[list[str], list[str]]]:
    """Read one job at a time: what lies in memory is copied, page table by page table, with every fork."""
    with open(descriptor, "rb") as file:
        while True:
            try:
                yield marshal.load(file)
            except EOFError:
                return


def run_every(source: str, texts: list[str]) -> None:
    """The released cross-validation: `exec` of the source for every call, and a clock around it."""
    for text in texts:
        run_once(source, [text])


def run_once(source: str, texts: list[str]) -> None:
    """The released stage that sees responses: `exec` of the source once, and a clock around every call."""
    names: dict[str, Callable[[str], object]] = {}
    try:
        exec(source, globals(), names)
        evaluate = names["evaluate"]
    except Exception:  # noqa: BLE001 - as the released loop does
        return
    for text in texts:
        signal.setitimer(signal.ITIMER_REAL, 2.0)
        try:
            evaluate(text)
        except Exception:  # noqa: BLE001 - as the released loop does
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def expire(number: int, frame: object) -> None:
    raise TimeoutError


def run_bare(source: str, texts: list[str]) -> None:
    """Compiled once, called in a loop."""
    evaluate = load(source)
    for text in texts:
        with contextlib.suppress(Exception):
            evaluate(text)


def load(source: str) -> Callable[[str], object]:
    names: dict[str, Callable[[str], object]] = {}
    try:
        exec(source, names)
        return names["evaluate"]
    except Exception:  # noqa: BLE001 - what does not load has no verdict here
        return bool


def run_forked(source: str, texts: list[str]) -> None:
    """A process for the function, as the sandbox makes one, with nothing locked and no verdict sent."""
    pid = os.fork()
    if pid == 0:
        run_bare(source, texts)
        os._exit(0)
    os.waitpid(pid, 0)


def run_processes(source: str, texts: list[str]) -> None:
    """A process for every call."""
    for text in texts:
        run_forked(source, [text])


WAYS = {
    "every": run_every,
    "once": run_once,
    "bare": run_bare,
    "forked": run_forked,
    "processes": run_processes,
}


def main() -> None:
    way, work = WAYS[sys.argv[1]], os.open(sys.argv[2], os.O_RDONLY)
    with open(os.devnull, "w") as null:
        answer = os.dup(1)
        os.dup2(null.fileno(), 1)
        os.dup2(null.fileno(), 2)
    import re  # noqa: F401 - what the functions import most

    signal.signal(signal.SIGALRM, expire)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict([folder for folder in sys.path if "python" in folder and os.path.isdir(folder)])
    os.write(answer, b"ready\n")
    os.read(0, 1)
    for sources, texts in read_jobs(work):
        for source in sources:
            way(source, texts)
    os.write(answer, b"done\n")


if __name__ == "__main__":
    main()
