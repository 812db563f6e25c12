"""Whether the sandbox's two backends agree: the verdicts of both on all recorded functions, every difference named.

The functions are those that models wrote in four runs of the method (an 8B model's before and after its filter, one of
DeepSeek's, and the paper's own sample), each on its recorded test cases and completions.

    python benchmarks/backend_agreement.py [FOLDER OF VERIFIERS]
"""

import asyncio
import gzip
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from autoif.records import Verdict
from autoif.sandbox import Limits, Outcome, Sandbox
from recordings import find_recordings

LIMITS: Final = Limits(timeout_s=1.0)
AT_ONCE: Final = 64
_RAW_CASE: Final = re.compile(r'"response"\s*:\s*("(?:[^"\\]|\\.)*")')
_RAW_ANSWER: Final = re.compile(r"\{.*\}", re.DOTALL)

Work = dict[str, list[str]]
"""Functions by source, each with its texts, both without repetition and in the order of the recording."""


def read_work(folder: Path) -> dict[str, Work]:
    """Return the functions of every recording."""
    llama = folder / "autoif_llama3_jwrobins94"
    return {
        "Llama-3.1-8B, raw": _merge(
            (row["verifiers"], _find_raw_cases(row["testcases"])) for row in _read_rows(llama / "verifiers.jsonl")
        ),
        "Llama-3.1-8B, filtered": _merge(
            (row["verifiers"], [text for text, _ in row["test_cases"]])
            for row in _read_rows(llama / "filtered_verifiers.jsonl")
        ),
        "Llama-3.1-8B, on completions": _merge(
            (row["verifiers"], row["completions"]) for row in _read_rows(llama / "completions.jsonl.gz")
        ),
        "DeepSeek-R1": _merge(
            ([source for source, _ in row["eval_func"]], [text for text, _ in row["cases"]])
            for row in _read_rows(folder / "autoif_wheresmyhair/output/cross_validation.jsonl")
        ),
        "paper's sample": _merge(
            [
                *(_read_answer(text) for row in _read_rows(folder / "autoif_qwen_sample_data/eval_func_rft.jsonl")
                  for text in row["gpt-answer"]),
                *(([source for source, _ in row["eval_func"]], [text for text, _ in row["cases"]])
                  for row in _read_rows(folder / "autoif_qwen_sample_data/back_trans.jsonl")),
            ]
        ),
    }  # fmt: skip


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _merge(groups: Iterable[tuple[Iterable[str], Iterable[str]]]) -> Work:
    work: dict[str, dict[str, None]] = {}
    for sources, texts in groups:
        kept = [text for text in texts if isinstance(text, str)]
        for source in sources:
            work.setdefault(source, {}).update(dict.fromkeys(kept))
    return {source: list(texts) for source, texts in work.items()}


def _find_raw_cases(answers: Iterable[str]) -> list[str]:
    """Return the texts of test cases as the model wrote them, one JSON object a line, the last often cut off."""
    found = []
    for quoted in (match[1] for answer in answers for match in _RAW_CASE.finditer(answer)):
        try:
            found.append(json.loads(quoted, strict=False))
        except ValueError:
            continue
    return found


def _read_answer(answer: str) -> tuple[list[str], list[str]]:
    """Return the function and the test cases of an answer in JSON; nothing if it is none."""
    found = _RAW_ANSWER.search(answer)
    try:
        content = json.loads(found[0]) if found else {}
        return [content["func"]], [str(case["input"]) for case in content["cases"]]
    except (ValueError, KeyError, TypeError):
        return [], []


async def judge(backend: str, work: Work) -> tuple[dict[str, list[Outcome]], float]:
    """Return the outcomes of every function on its texts, and the seconds it took. One process at a time."""
    started = time.perf_counter()
    outcomes: dict[str, list[Outcome]] = {}
    async with Sandbox(LIMITS, backend=backend, workers=1) as sandbox:
        jobs = list(work.items())
        for start in range(0, len(jobs), AT_ONCE):
            part = jobs[start : start + AT_ONCE]
            judged = await asyncio.gather(*(sandbox.run(source, texts or [""]) for source, texts in part))
            outcomes |= {source: of_source for (source, _), of_source in zip(part, judged, strict=True)}
    return outcomes, time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class Difference:
    """A function and a text on which the backends don't agree."""

    source: str
    text: str
    cpython: Outcome
    monty: Outcome


def _is_silent(each: Difference) -> bool:
    """Return whether nothing says that the verdict is not CPython's."""
    return {each.cpython.verdict, each.monty.verdict} == {Verdict.PASS, Verdict.FAIL}


CAUSES: Final[tuple[tuple[str, Callable[[Difference], object]], ...]] = (
    (
        "a regular expression of exponential time, at the time limit",
        lambda each: Verdict.TIMEOUT in (each.cpython.verdict, each.monty.verdict) and "re." in each.source,
    ),
    ("no module `{0}`", lambda each: re.match("missing module: ([a-z]+)", each.monty.detail)),
    ("lone surrogates in the source: refused", lambda each: "lone surrogates" in each.monty.detail),
    ("no such syntax", lambda each: each.monty.detail.startswith("does not load: NotImplementedError")),
    ("methods of a type, as `str.isalpha`, are no functions", lambda each: "type object" in each.monty.detail),
    ("no such flag of `re`", lambda each: each.monty.detail.startswith("AttributeError: module 're'")),
    ("no attribute `{0}`", lambda each: re.match("AttributeError: .* attribute '(.*)'", each.monty.detail)),
    ("no builtin `{0}`", lambda each: re.match("NameError: name '(.*)'", each.monty.detail)),
    (
        "generator expressions are lists: `next` refuses them",
        lambda each: each.monty.detail == "TypeError: 'list' object is not an iterator",
    ),
    (
        "generator expressions are lists: `all` and `any` read them to the end",
        lambda each: each.monty.verdict is Verdict.ERROR and re.search(r"\b(?:all|any)\(", each.source),
    ),
    ("**silent:** `base64` refuses what CPython skips", lambda each: _is_silent(each) and "b64decode" in each.source),
    (
        "**silent:** `$` does not match before a last line break",
        lambda each: _is_silent(each) and each.text.endswith("\n") and re.search(r"\$['\"]", each.source),
    ),
)
"""Each cause, and whether it is that of a difference; the first that fits. Found by reading examples."""
UNEXPLAINED: Final = "unexplained"


def explain(each: Difference) -> str:
    """Return the cause of a difference."""
    for cause, fits in CAUSES:
        found = fits(each)
        if found:
            return cause.format(*found.groups()) if isinstance(found, re.Match) else cause
    return UNEXPLAINED


def compare(work: Work, cpython: dict[str, list[Outcome]], monty: dict[str, list[Outcome]]) -> Iterator[Difference]:
    """Return where the verdicts differ."""
    for source, texts in work.items():
        for text, mine, other in zip(texts or [""], cpython[source], monty[source], strict=True):
            if mine.verdict is not other.verdict:
                yield Difference(source, text, mine, other)


async def main() -> None:
    folder = find_recordings("verifiers")
    found: dict[tuple[str, str], Difference] = {}
    print("| recording | functions | verdicts | the same | share | cpython, s | monty, s |")
    print("|---|---|---|---|---|---|---|")
    for name, work in read_work(folder).items():
        cpython, cpython_s = await judge("cpython", work)
        monty, monty_s = await judge("monty", work)
        differences = list(compare(work, cpython, monty))
        found |= {(each.source, each.text): each for each in differences}
        count = sum(map(len, cpython.values()))
        same = count - len(differences)
        share = f"{same / count:.2%}"
        print(f"| {name} | {len(work):,} | {count:,} | {same:,} | {share} | {cpython_s:.1f} | {monty_s:.1f} |")
    _print_causes(found.values())


def _print_causes(differences: Iterable[Difference]) -> None:
    groups: dict[str, list[Difference]] = {}
    for each in differences:
        groups.setdefault(explain(each), []).append(each)
    print("\n| cause | verdicts | functions | cpython → monty |")
    print("|---|---|---|---|")
    for cause, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        ways = Counter(f"{each.cpython.verdict.value} → {each.monty.verdict.value}" for each in group)
        shown = ", ".join(f"{way} {count}" for way, count in ways.most_common())
        print(f"| {cause} | {len(group)} | {len({each.source for each in group})} | {shown} |")
    for each in groups.get(UNEXPLAINED, []):
        print(f"\n{each.source}\non {each.text[:200]!r}: {each.cpython} and {each.monty}")


if __name__ == "__main__":
    os.nice(10)
    asyncio.run(main())
