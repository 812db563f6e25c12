"""What a run makes of the habits of real servers: a small `autoif run quickstart` for each, and a table of the ends.

    python benchmarks/server_habits.py CASES_FOLDER [HABIT…] [--limit 600] [--write docs/models.md]

CASES_FOLDER holds a `world.py` that defines QUIRKS (habit: a function of request and body), STATE, and the handlers
`serve` and `models`; its functions may come from other files beside it. The habits of `tests/support/habits.py` follow
them. Each run is a process of its own against its own server on the loopback interface, two at a time. Exits with 1 if
a run ends in a traceback, is not over in time, or ends with exit code 0 and no row. With HABITs, `--write` renews their
rows of the page alone.
"""

import argparse
import asyncio
import json
import re
import runpy
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from autoif.records import Reason
from autoif.report.funnel import read_funnel

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.habit_server import QUERIES, HabitServer
from support.habits import HABITS

AT_ONCE = 2
LONGEST_MESSAGE = 600
BEGIN, END = "<!-- habits: begin -->", "<!-- habits: end -->"
SMALL = (
    "self_instruct.seed_limit=2",
    "self_instruct.max_instructions=4",
    "verification.functions_per_instruction=4",
    "verification.max_functions=0",
    "cross_validation.choose_by=cases",
    "cross_validation.min_score=0",
    "cross_validation.findings=[]",  # the servers' functions have nothing to do with what is asked
    "augmentation.queries_per_instruction=2",
    "rejection_sampling.stop_after_prompts=0",  # a prompt's four responses are asked for in one request
)
ASKED_WITH = {
    "judge404": ("--set", "models.judge.model=typo"),
}
"""What a habit needs on the command line to show at all."""
DOES = {
    "azure": "wants ?api-version= in the address",
    "bom": "a byte order mark before the JSON",
    "br_body": "Brotli, which nobody asked for",
    "cf524": "every fifth answer is a gateway's time-out, as a web page",
    "empty200": "status 200 and no body",
    "fine": "no habit, to compare with",
    "fr_abort": 'every response ends with "abort"',
    "fr_ctx": 'every response ends with "model_context_window_exceeded"',
    "fr_error": 'every response ends with "error"',
    "fr_insufficient": 'every response ends with "insufficient_system_resource"',
    "fr_model_length": 'every response ends with "model_length"',
    "fr_none": "no response says how it ended",
    "gz": "gzip",
    "gz_lie": "says gzip, and isn't",
    "html200": "a login page with status 200",
    "latin1": "ISO 8859-1, and says so; every text is the same word",
    "list_body": "the answer is in a list",
    "missing_message": "responses without a message",
    "n_ignored": "one choice, whatever n",
    "n_toomany": "three choices more than n",
    "nomodels_strict": "has chat completions, and nothing else",
    "r307": "redirects to another host",
    "retry_date": "every fourth request: 429, with a date to come back",
    "retry_weird": "429 with times to come back that are none",
    "rpm15_after": "15 requests in 20 s, says when to come back",
    "rpm15_none": "15 requests a minute, doesn't say when to come back",
    "rpm20_openrouter": "20 requests a minute, says in metadata when to come back",
    "showmodel": "shows what it was asked with",
    "strict_path": "knows the two paths of the API only",
    "surrogate": "half a character and NUL in responses",
    "usage_float": "token counts as a float and as a string",
    "usage_null": "usage is null",
    "zstd_body": "Zstandard, which nobody asked for",
    "wordy_finish": 'every answer ends with "end_turn"',
}
"""What habits do whose functions don't say it in a comment."""
UNCLEAN = re.compile(r"</?think>|PONDER|PAGE|<\|[a-z_]+\|>|[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""Thoughts, tokens of chat templates, control characters and halves of characters."""
OF_ALL = re.compile(r"tells no probabilities of tokens|as an answer to several prompts \(stage verification\)")
"""What the run says of every server of the cases, whatever its habit: none tells probabilities, and the one function
that they write is the same for each instruction."""
REPORT = re.compile(r" *[\d,]+ rows  |sandbox: |answers with functions: |stage +kept|\d\d_[a-z_]+ +[\d,]+")


@dataclass(frozen=True)
class Outcome:
    """How the run against one habit ended."""

    habit: str
    does: str
    code: int | None
    """None: it was not over in time."""
    rows: int
    dropped: str
    """Reasons and their counts over all stages."""
    message: str
    """What the run said last, apart from its report."""
    seconds: float
    traceback: bool
    unclean: str
    """The first thing in a response that belongs in no data set; empty if there is none."""

    @property
    def fault(self) -> str:
        """What no run should end in; empty if it didn't."""
        if self.code is None:
            return "not over in time"
        if self.traceback:
            return "a traceback"
        if self.unclean:
            return f"{self.unclean} in the data"
        return "exit code 0 and no row" if self.code == 0 and not self.rows else ""


async def main(arguments: argparse.Namespace) -> int:
    """Run the habits, print the table as Markdown, and write it where it is wanted."""
    began = time.monotonic()
    habits = arguments.habits or [*runpy.run_path(str(arguments.cases / "world.py"))["QUIRKS"], *HABITS]
    said = dict(read_descriptions(arguments.cases))
    places = asyncio.Semaphore(AT_ONCE)

    async def run_one(habit: str) -> Outcome:
        async with places:
            outcome = await run_habit(arguments.cases, habit, said.get(habit, ""), arguments.limit)
        print(f"{habit}: {outcome.fault or f'exit code {outcome.code}'}, {outcome.seconds:.0f} s", file=sys.stderr)
        return outcome

    outcomes = await asyncio.gather(*map(run_one, habits))
    table = write_table(outcomes)
    print(table)
    if arguments.write:
        replace_table(arguments.write, table, whole=not arguments.habits)
    faults = [f"{each.habit}: {each.fault}" for each in outcomes if each.fault]
    print(f"\n{len(outcomes)} habits in {time.monotonic() - began:.0f} s, {len(faults)} faults", *faults, sep="\n")
    return 1 if faults else 0


def read_descriptions(cases: Path) -> Iterator[tuple[str, str]]:
    """Yield each function and what it does: its first comment, what is known here, or the longest thing it says."""
    for path in sorted(cases.glob("*.py")):
        for function in re.split(r"^(?=(?:async )?def )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            body = re.split(r"^(?=[^\s)])", function.partition("\n")[2], flags=re.MULTILINE)[0]
            head = function.partition("\n")[0]
            name = head.partition("def ")[2].partition("(")[0]
            comment = re.search(r"#\s*(.+)", f"{head}\n{body}")
            words = re.findall(r'"((?:[^"\\\n]|\\.)*)"', head.partition(":")[2] + body)
            yield name, comment[1].strip() if comment else DOES.get(name) or f"says: {max(words, key=len, default='')}"


async def run_habit(cases: Path, habit: str, does: str, limit_s: float) -> Outcome:
    """Serve a model with this habit, run quickstart against it, and read what came out."""
    if habit in HABITS:
        with HabitServer() as server, tempfile.TemporaryDirectory() as folder:
            server.take_up(HABITS[habit].habit)
            queries = Path(folder) / "queries.txt"
            queries.write_text("\n".join(QUERIES))
            url = server.url.removesuffix("/v1")
            return await run_against(url, habit, HABITS[habit].does, ("--queries", str(queries)), limit_s)
    world = runpy.run_path(str(cases / "world.py"))
    world["STATE"].update(quirk=habit, t0=time.time(), n=0)
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/{tail:.*}", world["serve"])
    app.router.add_get("/v1/models", world["models"])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        return await run_against(url, habit, does, ASKED_WITH.get(habit, ()), limit_s)
    finally:
        await runner.cleanup()


async def run_against(url: str, habit: str, does: str, more: Sequence[str], limit_s: float) -> Outcome:
    """Run quickstart against a server with this habit, and read what came out."""
    with tempfile.TemporaryDirectory() as folder:
        run, began = Path(folder) / "run", time.monotonic()
        code, output = await call_autoif(run, f"{url}/v1", more, limit_s)
        shown = output.replace(url, "http://server").replace(str(run), "RUN")
        return Outcome(
            habit=habit,
            does=does,
            code=code,
            rows=len(responses := read_responses(run / "sft.jsonl")),
            dropped=describe_drops(run),
            message=last_message(shown),
            seconds=time.monotonic() - began,
            traceback="Traceback (most recent call last)" in output,
            unclean=next((repr(found[0]) for each in responses if (found := UNCLEAN.search(each))), ""),
        )


async def call_autoif(run: Path, url: str, more: Sequence[str], limit_s: float) -> tuple[int | None, str]:
    """Return the exit code (None: stopped at the limit) and everything that was printed, errors last."""
    settings = [part for setting in SMALL for part in ("--set", setting)]
    command = ["-m", "autoif", "run", "quickstart", "--quiet", "-o", str(run), "--base-url", url, "--model", "m"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, *settings, *more, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    finished = asyncio.create_task(process.communicate())
    over, _ = await asyncio.wait([finished], timeout=limit_s)
    if not over:
        process.kill()
    printed, errors = await finished
    return process.returncode if over else None, (printed + errors).decode("utf-8", "replace")


def read_responses(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    return [json.loads(line)["messages"][-1]["content"] for line in lines if line]


def describe_drops(run: Path) -> str:
    """Return "truncated 3, refused by model 1": what all stages dropped, but for what a limit left out."""
    if not (run / "run.json").exists():
        return ""
    return ", ".join(
        f"{row.folder.partition('_')[2]}: {reason.replace('_', ' ')} {count}"
        + (f" (“{row.refusals.most_common(1)[0][0]}”)" if reason == Reason.REFUSED_BY_MODEL else "")
        for row in read_funnel(run)
        for reason, count in row.reasons.items()
        if reason != Reason.OVER_LIMIT
    )


def last_message(output: str) -> str:
    """Return the last paragraph that is no part of the report: the error, or what the run has to say at its end."""
    lines = [line for line in output.splitlines() if line.strip()]
    report = max((number for number, line in enumerate(lines) if REPORT.match(line)), default=-1)
    said = [line for line in lines[report + 1 :] if not OF_ALL.search(line)]
    message = "; ".join(" ".join(line.removeprefix("note: ").split()) for line in said)
    return message if len(message) <= LONGEST_MESSAGE else f"… {message[-LONGEST_MESSAGE:]}"


def write_table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a Markdown table."""
    rows = [("habit", "what it does", "exit code", "SFT rows", "dropped", "message")]
    rows.append(("---", "---", "---:", "---:", "---", "---"))
    for each in outcomes:
        code = f"{each.code}" if not each.fault else f"{each.code} ({each.fault})"
        rows.append((f"`{each.habit}`", each.does, code, str(each.rows), each.dropped, each.message))
    return "\n".join(f"| {' | '.join(map(escape_cell, row))} |" for row in rows)


def escape_cell(text: str) -> str:
    """Keep a cell one cell, and its characters what they are."""
    return re.sub(r"([|<*])", r"\\\1", text) if not text.startswith("`") else text


def replace_table(page: Path, table: str, *, whole: bool) -> None:
    """Put the table between the markers of a page; if it isn't the whole one, its rows in the place of those there."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    there, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{page} lacks the markers {BEGIN} and {END}")
    if not whole:
        rows = {row.split(" | ")[0]: row for part in (there, table) for row in part.strip().splitlines()}
        table = "\n".join(rows.values())
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", type=Path)
    parser.add_argument("habits", nargs="*")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for one run")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    sys.exit(asyncio.run(main(parser.parse_args())))
