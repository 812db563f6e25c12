"""What cross-validation makes of generations that others recorded: docs/method.md holds the tables that this prints.

    AUTOIF_DATA=FOLDER python benchmarks/recorded_generations.py            all sets (minutes)
    AUTOIF_DATA=FOLDER python benchmarks/recorded_generations.py --small    those that take seconds

Formats are converted here, never in the product. The released rules (`released_rules.py`) run inside the sandbox.
"""

import argparse
import asyncio
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoif.config import load_config
from autoif.instructions.answers import read_function_answer
from autoif.instructions.recorded import Filtered, Generations, filter_generations
from autoif.records import Draft, Instruction, Matrix, Verdict
from autoif.sandbox import Limits, Sandbox
from recordings import find_recordings

HERE = Path(__file__).parent
_NO_ROWS = "ROWS: list[list[str]] = []"
_CHUNKS = 1_500
_CHUNK_TEXT = "RuntimeError: "
_SPLIT = (
    "import copy, json, os, random, re, time\n_L = {{}}\nexec({source!r}, globals(), _L)\nevaluate = _L['evaluate']"
)
"""A source run as the released code does, in a script that has imported these modules and nothing else."""


Letters = dict[tuple[int, int], str]
"""{(checksum of the source, checksum of the input): "T", "F" or "-"}."""

# ---- the sets


def read_qwen() -> list[Generations]:
    """The released code's own sample: instructions with eight answers each, in the form that the CLI takes."""
    rows = _lines(find_recordings("verifiers") / "autoif_qwen_sample_data" / "eval_func_rft.jsonl")
    return [_generations(row["instruction"], row["gpt-answer"]) for row in rows]


def read_deepseek() -> list[Generations]:
    """DeepSeek-R1's five answers to one instruction: the only raw ones, as the files of requests hold no answer."""
    row = json.loads(
        (find_recordings("verifiers") / "autoif_wheresmyhair" / "output" / "single_generated.json").read_text(
            encoding="utf-8"
        )
    )
    instruction = _between(row["prompt"][0]["content"], "Here is the instruction: ", "\nPlease write")
    return [_generations(instruction, [turn["content"] for [turn] in row["responses"]])]


def read_flywheel() -> list[Generations]:
    """GPT-4o-mini's answers as the API returned them: [request, completion, metadata] a line."""
    rows = _lines(find_recordings("verifiers") / "autoif_flywheel_example" / "2_eval_func_rft_prompts_results.jsonl")
    found = []
    for request, completion, *_ in rows:
        instruction = _between(request["messages"][0]["content"], "Here is the instruction: ", "\nPlease write")
        found.append(_generations(instruction, [choice["message"]["content"] for choice in completion["choices"]]))
    return found


def read_llama() -> list[Generations]:
    """Llama-3.1-8B's functions, and the cases that it wrote after each of them, put into the answer's form.

    The model wrote bare Python, then one {"response", "result"} a line. Each pair becomes one fenced answer: the source
    as it is, and the lines that are such JSON with their keys renamed; other lines are left out, for both sides alike.
    Of instructions with the same text the first one counts.
    """
    rows = _lines(find_recordings("verifiers") / "autoif_llama3_jwrobins94" / "verifiers.jsonl")
    found = []
    for row in {row["instruction"].strip(): row for row in reversed(rows)}.values():
        answers = [
            "```json\n" + json.dumps({"func": source, "cases": list(_llama_cases(cases))}) + "\n```"
            for source, cases in zip(row["verifiers"], row["testcases"], strict=True)
        ]
        found.append(_generations(row["instruction"], answers))
    return found[::-1]


def _llama_cases(text: str) -> Iterator[dict[str, object]]:
    for line in text.splitlines():
        try:
            case = json.loads(line)
        except ValueError:
            continue
        if isinstance(case, dict) and isinstance(case.get("response"), str) and isinstance(case.get("result"), bool):
            yield {"input": case["response"], "output": case["result"]}


SMALL = {
    "released sample (GPT-4)": read_qwen,
    "DeepSeek-R1": read_deepseek,
    "flywheel (GPT-4o-mini)": read_flywheel,
}
SETS = {**SMALL, "Llama-3.1-8B": read_llama}


# ---- the released rules


@dataclass(frozen=True)
class Released:
    """What the released rules made of each instruction."""

    rows: list[dict[str, Any]]

    @property
    def kept(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if not row["reason"]]

    @property
    def read(self) -> list[bool]:
        return [read for row in self.rows for read in row["read"]]


async def filter_as_released(rows: Sequence[Generations]) -> Released:
    """Run the released rules on all rows inside the sandbox and unpack what they hand out chunk by chunk."""
    answers = json.dumps([row.answers for row in rows])
    program = (HERE / "released_rules.py").read_text(encoding="utf-8")
    source = program.replace(_NO_ROWS, f"ROWS = json.loads({answers!r})")
    async with Sandbox(Limits(timeout_s=500, memory_mb=2048), workers=1) as sandbox:
        outcomes = await sandbox.run(source, [str(number) for number in range(_CHUNKS)])
    chunks = [outcome.detail for outcome in outcomes if outcome.verdict is Verdict.ERROR]
    if not all(chunk.startswith(_CHUNK_TEXT) for chunk in chunks) or outcomes[-1].verdict is not Verdict.FAIL:
        raise RuntimeError(f"the released rules came to an end of their own: {outcomes[0]}")
    packed = b"".join(bytes.fromhex(chunk.removeprefix(_CHUNK_TEXT)) for chunk in chunks)
    return Released(json.loads(zlib.decompress(packed)))


async def verdicts_in_locals(result: Filtered, sandbox: Sandbox) -> int:
    """Count the functions that fail somewhere only because `exec` put what they need into locals they can't see."""
    lost = 0
    for draft in result.drafts:
        inputs = [case.input for case in draft.matrix.cases] or [""]
        for function in draft.matrix.functions:
            whole = await sandbox.run(function.source, inputs)
            split = await sandbox.run(_SPLIT.format(source=function.source), inputs)
            lost += any(
                one.verdict in {Verdict.PASS, Verdict.FAIL} and other.detail.startswith("NameError")
                for one, other in zip(whole, split, strict=True)
            )
    return lost


# ---- tables

PAPER = "`paper`"
WAYS: dict[str, tuple[str, list[str]]] = {
    "`released`": ("released", []),
    PAPER: ("paper", []),
    "`paper`, `both_outcomes`": ("paper", ["cross_validation.both_outcomes=true"]),
}
"""How autoif filters: name, preset and settings."""


@dataclass(frozen=True)
class Measured:
    """One set, filtered by the released rules and by ours."""

    name: str
    rows: list[Generations]
    released: Released
    ours: dict[str, Filtered]
    in_locals: int
    matrices: list[Letters]


async def measure(name: str, rows: list[Generations]) -> Measured:
    """Filter a set by the released rules and by both presets."""
    ours = {way: await filter_generations(rows, load_config(preset, extra)) for way, (preset, extra) in WAYS.items()}
    async with Sandbox(Limits(), workers=1) as sandbox:
        in_locals = await verdicts_in_locals(ours[PAPER], sandbox)
    released = await filter_as_released(rows)
    return Measured(name, rows, released, ours, in_locals, _matrices(ours[PAPER]))


def kept_rows(measured: Measured) -> list[str]:
    """Return the lines of the first table: what each way keeps, and why it drops the rest."""
    total = len(measured.rows)
    released = measured.released
    reasons = Counter(row["reason"] for row in released.rows if row["reason"])
    functions = sum(row["kept_functions"] for row in released.kept)
    cases = sum(row["kept_cases"] for row in released.kept)
    lines = [
        _line(measured.name, "released code", f"{len(released.kept)} of {total}", functions, cases, _listed(reasons))
    ]
    for way, result in measured.ours.items():
        dropped = Counter(dropped.reason.value.replace("_", " ") for dropped in result.dropped)
        functions = sum(len(verified.functions) for verified in result.kept)
        cases = sum(len(verified.cases) for verified in result.kept)
        kept = f"{len(result.kept)} of {total}"
        lines.append(_line(measured.name, f"autoif {way}", kept, functions, cases, _listed(dropped)))
    return lines


def form_row(measured: Measured) -> str:
    """Return the line of the second table: what the form of the answers and the scope of functions cost."""
    answers = [read_function_answer(text) for row in measured.rows for text in row.answers]
    released = measured.released.read
    ours = sum(answer.function is not None for answer in answers)
    repairs = Counter(repair.value for answer in answers if not answer.loss for repair in answer.repairs)
    repairs.pop("surrounding_text", None)  # a fence is what the released prompt gets
    gained = sum(len(each.cases) for each, read in zip(answers, released, strict=True) if not read)
    mended = sum(len(each.cases) for each, read in zip(answers, released, strict=True)
                 if read and "string_verdict" in each.repairs)  # fmt: skip
    return _line(
        measured.name, len(answers), sum(released), ours, gained + mended, _listed(repairs), measured.in_locals,
        changed_by_scope(measured),
    )  # fmt: skip


def changed_by_scope(measured: Measured) -> str:
    """Return how many functions x cases verdicts differ between the released scope and ours, of how many."""
    differ = count = 0
    for ours, row in zip(measured.matrices, measured.released.rows, strict=True):
        for source, letters in zip(row["functions"], row["verdicts"], strict=True):
            for text, letter in zip(row["inputs"], letters, strict=True):
                if (source, text) in ours:
                    count += 1
                    differ += ours[source, text] != letter
    return f"{differ:,} of {count:,}"


def _matrices(result: Filtered) -> list[Letters]:
    """Return the verdicts of each instruction, kept or dropped, in input order."""
    found = {verified.instruction.id: verified.matrix for verified in result.kept}
    found |= {each.record_id: each.record.matrix for each in result.dropped if isinstance(each.record, Draft)}
    return [_letters(found[draft.instruction.id]) for draft in result.drafts]


def _letters(matrix: Matrix) -> Letters:
    if not matrix.verdicts:
        return {}
    letters = {Verdict.PASS: "T", Verdict.FAIL: "F"}
    return {
        (_checksum(function.source.strip()), _checksum(case.input)): letters.get(verdict, "-")
        for function, row in zip(matrix.functions, matrix.verdicts, strict=True)
        for case, verdict in zip(matrix.cases, row, strict=True)
    }


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


KEPT_HEAD = "| set | rules | instructions kept | functions | cases | dropped |\n|---|---|---|---|---|---|"
FORM_HEAD = (
    "| set | answers | read by the released parser | read by autoif | cases recovered | repairs "
    "| functions that need one namespace | verdicts that the scope changes |\n|---|---|---|---|---|---|---|---|"
)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="only the sets that take seconds")
    sets = SMALL if parser.parse_args().small else SETS
    measured = [await measure(name, read()) for name, read in sets.items()]
    print("\n".join([KEPT_HEAD, *(line for each in measured for line in kept_rows(each))]), end="\n\n")
    print("\n".join([FORM_HEAD, *map(form_row, measured)]))


def _generations(instruction: str, answers: Sequence[str]) -> Generations:
    return Generations(Instruction.of(instruction.strip(), "seed"), tuple(answers))


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _between(text: str, before: str, after: str) -> str:
    return text.split(before, 1)[1].split(after, 1)[0]


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "–"


def _line(*cells: object) -> str:
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |"


if __name__ == "__main__":
    asyncio.run(main())
