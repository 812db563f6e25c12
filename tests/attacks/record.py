"""What an attack is, what it is pointed at, and how it is shown to work: in a plain interpreter."""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autoif.records import Verdict

PASS, FAIL, ERROR, TIMEOUT, MEMORY, CRASH = Verdict
SUCCEEDS, RETURNS, HANGS = "succeeds", "returns", "hangs"
Outside = str | int
"""What a plain interpreter does: SUCCEEDS, RETURNS (with nothing gained), HANGS, or the status that it ends with."""

SECRET: Final = "secret"
_NEEDED_TO_START: Final = ("LD_LIBRARY_PATH",)
_HANGS_AFTER_S: Final = 0.25
_LONGEST_S: Final = 30.0

_PLAIN_HARNESS: Final = """
import json, sys
source, response, judge = json.load(sys.stdin)
exec(source)
value = evaluate(response)
print("\\nANSWER", eval(judge))
"""


@dataclass(frozen=True)
class Attack:
    """A hostile function. `evaluate` returns True if it got what it was after, unless `judge` says otherwise."""

    name: str
    body: str = ""
    """The body of `evaluate(response)`, where `at` holds a folder, a port, a process and a package to attack."""
    inside: tuple[Verdict, ...] = (ERROR,)
    outside: tuple[Outside, ...] = (SUCCEEDS,)
    judge: str = "value is True"
    """How the plain harness reads the value: what the attack is made to fool."""
    whole: str = ""
    """The whole source, for an attack that is not a body of `evaluate`."""

    @property
    def source(self) -> str:
        if self.whole:
            return textwrap.dedent(self.whole).strip()
        body = textwrap.indent(textwrap.dedent(self.body).strip(), "    ")
        return f"def evaluate(response):\n    import json, os, sys\n    at = json.loads(response)\n{body}\n"


@contextlib.contextmanager
def prepare_target(folder: Path) -> Iterator[str]:
    """Put files to attack into `folder`, open a port; yield the response that tells an attack of both."""
    (folder / "canary").write_text(SECRET)
    (folder / "victim").write_text(SECRET)
    (folder / "payload.py").write_text("reached = True\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, package = server.getsockname()[1], importlib.util.find_spec("pydantic")
        assert package is not None
        yield json.dumps({"folder": str(folder), "port": port, "pid": os.getpid(), "package": package.origin})


def is_intact(folder: Path) -> bool:
    """Whether a target's folder is as `prepare_target` made it."""
    found = {path.name: path.read_text() for path in folder.iterdir()}
    modes = {path.stat().st_mode & 0o7777 for path in folder.iterdir()}
    return found == {"canary": SECRET, "victim": SECRET, "payload.py": "reached = True\n"} and len(modes) == 1


def run_outside(attack: Attack, response: str) -> Outside:
    """Run an attack in a plain interpreter; return what it came to."""
    patience_s = _HANGS_AFTER_S if HANGS in attack.outside else _LONGEST_S
    return run_plainly(_PLAIN_HARNESS, [attack.source, response, attack.judge], patience_s)


def run_plainly(harness: str, request: list[str], patience_s: float = _LONGEST_S) -> Outside:
    """Run a harness that prints "ANSWER True" when the attack in the request succeeded."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-B", "-c", harness],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={"AUTOIF_TEST_SECRET": SECRET}
        | {name: os.environ[name] for name in _NEEDED_TO_START if name in os.environ},
    )
    try:
        output, _ = process.communicate(json.dumps(request).encode(), timeout=patience_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return HANGS
    if b"ANSWER True" in output:
        return SUCCEEDS
    return RETURNS if b"ANSWER" in output and process.returncode == 0 else process.returncode


def describe_outside(outside: Outside) -> str:
    """Name what a plain interpreter did, in the plural."""
    if isinstance(outside, str):
        return {SUCCEEDS: "succeed", HANGS: "hang", RETURNS: "return"}[outside]
    return "kill the process" if outside < 0 else "end the process"
