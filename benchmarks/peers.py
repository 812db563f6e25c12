"""What share of a server's ideal time three peers reach, beside bare aiohttp and autoif's client, in one run.

A stub server takes 200 ms for an answer and 256 requests at a time, so N calls take at least N / 256 * 200 ms. Each
peer is installed once, by pip, in a virtual environment in the folder that you name, and asked in a process of its own
(`benchmarks/peers_asking.py`) with a fresh home, one after the other. Two times are taken: of the requests, by the
server, from the first request to the last answer, and of the whole call, which also prepares the requests and keeps the
answers. CPU is that of the whole call and of the processes that it starts, without imports and set-up.

A peer that can't be installed or fails gets a line with the reason, and one with fewer answers than prompts is told.

    python benchmarks/peers.py FOLDER [--calls 20000] [--rounds 1] [--ways NAME ...]
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

from client import LATENCY_S, SLOTS, make_request, measure_bare, measure_client
from stub_server import StubServer, running_stub

OURS = {"bare aiohttp": measure_bare, "autoif client": measure_client}
CURATOR = ("bespokelabs-curator==0.1.31", "aiohttp==3.13.5")
DATA_DESIGNER = ("data-designer==0.9.7", "httpx==0.28.1")
DISTILABEL = ("distilabel[openai]==1.5.3", "openai==3.57.0", "datasets==5.2.0", "requests==2.34.2")
"""It imports requests, which `datasets` no longer brings along."""
PEERS = {
    "curator": CURATOR,
    "DataDesigner": DATA_DESIGNER,
    "distilabel pipeline": DISTILABEL,
    "distilabel client": DISTILABEL,
}
"""What is installed for each way of asking: the peer, and what sends its requests."""
SETTINGS = {
    "TELEMETRY_ENABLED": "false",
    "NEMO_TELEMETRY_ENABLED": "false",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "TQDM_DISABLE": "1",
    "DISTILABEL_LOG_LEVEL": "WARNING",
}
PATIENCE_S, PATIENCE = 180, 40
"""A peer is stopped after so many seconds and so many times the ideal time."""


@dataclass(frozen=True)
class Asked:
    """All calls, made in one way. Times in seconds."""

    calls: int
    answers: int
    """Different ones: each prompt has its own."""
    requests_s: float
    whole_s: float
    cpu_s: float

    @property
    def shares(self) -> tuple[float, float]:
        """Of the ideal time: the requests', and the whole call's."""
        ideal_s = self.calls / SLOTS * LATENCY_S
        return ideal_s / self.requests_s, ideal_s / self.whole_s

    def write_row(self) -> str:
        missing = "" if self.answers == self.calls else f"  {self.answers:,} of {self.calls:,} answers"
        return f"{self.shares[0]:16.3f}{self.shares[1]:12.3f}{self.cpu_s / self.calls * 1e3:16.2f}{missing}"


def answer(body: dict[str, Any]) -> list[str]:
    """Return a response of some length that names the prompt's number."""
    number = re.search(r"Query \d+", str(body["messages"]))
    return [f"{number and number[0]}: {'word ' * 60}"]


def measure_ours(way: str, server: StubServer, calls: int) -> Asked:
    server.count_new()
    began, used = time.perf_counter(), time.process_time()
    asyncio.run(OURS[way](server.url, calls))
    whole_s, cpu_s = time.perf_counter() - began, time.process_time() - used
    first, last = server.read_times()
    return Asked(calls, server.count_new(), last - first, whole_s, cpu_s)


def measure_peer(way: str, server: StubServer, calls: int, environments: Path) -> Asked:
    """Ask in the peer's environment, which is made if it is not there.

    Raises:
        subprocess.CalledProcessError: pip or the peer failed, or took too long; `stderr` has what it said.
    """
    python = install(PEERS[way], environments)
    with tempfile.TemporaryDirectory() as home:
        prompts, errors = Path(home) / "prompts.json", Path(home) / "errors.txt"
        prompts.write_text(json.dumps([make_request(number).messages[0][1] for number in range(calls)]))
        with errors.open("w") as printed:
            process = subprocess.Popen(
                [python, Path(__file__).with_name("peers_asking.py"), way, server.url, prompts],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                text=True,
                cwd=home,
                env={"PATH": os.defpath, "HOME": home} | SETTINGS | find_token_tables(environments),
                start_new_session=True,
            )
        assert process.stdout
        patience_s = PATIENCE_S + PATIENCE * calls / SLOTS * LATENCY_S
        limit = Timer(patience_s, os.killpg, (process.pid, signal.SIGKILL))
        limit.start()
        try:
            process.stdout.readline()  # it is set up
            server.read_times()
            found = process.communicate("go\n")[0]
            first, last = server.read_times()
        finally:
            limit.cancel()
        if process.returncode or not found:
            stopped = process.returncode == -signal.SIGKILL
            said = f"stopped after {patience_s:.0f} s" if stopped else errors.read_text()
            raise subprocess.CalledProcessError(process.returncode, way, stderr=said)
        return Asked(calls=calls, requests_s=last - first, **json.loads(found))


def install(requirements: tuple[str, ...], environments: Path) -> Path:
    """Return the Python of an environment with these packages."""
    folder = environments / re.split(r"[=\[]", requirements[0])[0]
    python, done = folder / "bin" / "python", folder / "installed.txt"
    if not done.exists() or done.read_text().split() != list(requirements):
        print(f"installing {requirements[0]} in {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *requirements],
            check=True,
            stderr=subprocess.PIPE,
            text=True,
        )
        done.write_text("\n".join(requirements))
    return python


def find_token_tables(environments: Path) -> dict[str, str]:
    """Return the setting that spares curator and DataDesigner a download: curator's litellm has the file."""
    found = sorted(environments.glob("bespokelabs-curator/lib/*/site-packages/litellm/litellm_core_utils/tokenizers"))
    return {"TIKTOKEN_CACHE_DIR": str(found[0])} if found else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environments", type=Path, metavar="FOLDER", help="where the peers' environments are")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME", help=", ".join(PEERS))
    options = parser.parse_args()

    measured: dict[str, list[Asked]] = {name: [] for name in (*OURS, *options.ways)}
    failed = {}
    with running_stub(answer, latency_s=LATENCY_S, slots=SLOTS) as server:
        for _ in range(options.rounds):
            for way in [each for each in measured if each not in failed]:
                try:
                    if way in OURS:
                        measured[way].append(measure_ours(way, server, options.calls))
                    else:
                        measured[way].append(measure_peer(way, server, options.calls, options.environments.resolve()))
                except subprocess.CalledProcessError as error:
                    failed[way] = (error.stderr.strip() or str(error)).splitlines()[-1]

    print(f"{options.calls:,} calls, {LATENCY_S * 1e3:.0f} ms, {SLOTS} at a time; best of {options.rounds} rounds")
    print(f"{'share of ideal':20}{'requests':>16}{'whole call':>12}{'CPU ms a call':>16}")
    for way, each in measured.items():
        if way in failed:
            print(f"{way:20}  not measured: {failed[way]}")
            continue
        print(f"{way:20}{min(each, key=lambda one: one.whole_s).write_row()}")


if __name__ == "__main__":
    main()
