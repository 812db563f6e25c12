"""The rules of the released code, written anew, for comparison only: cross-validation as careless as it is there.

Never imported: `recorded_generations.py` runs this text inside the sandbox, whole, with the answers put in as `ROWS`.
What it keeps of the original: one fence pattern, one `exec` in the script's own namespace and others in a namespace of
locals, verdicts compared by `==`, an exception in the middle of a function that is late, and the thresholds. An alarm
can't ring in the sandbox, so that exception comes from a trace function.
"""

import copy
import json
import os
import random
import re
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any

ROWS: list[list[str]] = []
"""The texts of the answers, for each instruction."""
LIMIT_S = 2.0
CHUNK_BYTES = 120

Cases = list[tuple[Any, Any]]

SCRIPT: dict[str, Any] = {"copy": copy, "json": json, "os": os, "random": random, "re": re, "time": time}
"""The script's namespace: what it has imported, every function finds, whether or not it imports it itself."""


def read(text: str) -> tuple[str, Cases] | None:
    """Return (source, cases) of an answer: a ```json fence or nothing, strict JSON or nothing."""
    try:
        answer = json.loads(re.findall(r"```json(.*?)```", text, re.DOTALL)[0].strip())
        lines = answer["func"].strip().split("\n")
        cases = [(case["input"], case["output"]) for case in answer["cases"]]
    except (IndexError, KeyError, TypeError, AttributeError, ValueError):
        return None
    return "\n".join(line for line in lines if "download" not in line and "requests" not in line), cases


def loads(source: str) -> bool:
    """Run a source in the script's namespace, where all that it defines stays."""
    try:
        exec(source, SCRIPT)
    except Exception:  # noqa: BLE001 - as in the released code
        return False
    return True


def define(source: str) -> Callable[[Any], object] | None:
    """Return the function of a source, its helpers and imports in locals that it can't see."""
    found: dict[str, Any] = {}
    try:
        exec(source, SCRIPT, found)
    except Exception:  # noqa: BLE001 - as in the released code
        return None
    evaluate = found.get("evaluate")
    return evaluate if callable(evaluate) else None


def call(function: Callable[[Any], object] | None, text: Any) -> object:
    """Call a function; None if it raises or is late."""
    deadline = time.monotonic() + LIMIT_S

    def watch(frame: object, event: str, argument: object) -> Any:
        if time.monotonic() > deadline:
            raise TimeoutError("late")
        return watch

    if function is None:
        return None
    sys.settrace(watch)
    try:
        return function(text)
    except Exception:  # noqa: BLE001 - as in the released code
        return None
    finally:
        sys.settrace(None)


def agrees(verdict: object, expected: object) -> bool:
    try:
        return verdict is not None and bool(verdict == expected)
    except Exception:  # noqa: BLE001 - a verdict may be anything
        return False


def letter(verdict: object) -> str:
    return "T" if verdict is True else "F" if verdict is False else "-"


def checksum(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def filter_row(texts: list[str]) -> dict[str, Any]:
    """Return what the rules make of one instruction's answers."""
    answers = [read(text) for text in texts]
    loaded = [answer for answer in answers if answer and loads(answer[0])]
    sources = list(dict.fromkeys(source for source, _ in loaded))
    cases = list({json.dumps(case): case for _, cases in loaded for case in cases}.values())
    functions = [define(source) for source in sources]
    verdicts = [[call(function, text) for text, _ in cases] for function in functions]

    agreement = [[agrees(row[c], cases[c][1]) for c in range(len(cases))] for row in verdicts]
    kept_cases = [c for c in range(len(cases)) if any(row[c] for row in agreement)]
    kept = [
        f for f, row in enumerate(agreement) if kept_cases and sum(row[c] for c in kept_cases) / len(kept_cases) >= 0.8
    ]
    reason = (
        "too few functions"
        if len(sources) < 3
        else "too few cases"
        if len(cases) < 10
        else "no case agreed"
        if not kept_cases
        else ""
        if kept
        else "no function agreed"
    )
    return {
        "read": [answer is not None for answer in answers],
        "functions": [checksum(source) for source in sources],
        "inputs": [checksum(str(text)) for text, _ in cases],
        "verdicts": ["".join(map(letter, row)) for row in verdicts],
        "kept_functions": len(kept),
        "kept_cases": len(kept_cases),
        "reason": reason,
    }


PACKED = b""


def evaluate(response: str) -> bool:
    """Raise with chunk number `response` of the packed results in the message; return False after the last chunk."""
    global PACKED  # noqa: PLW0603 - the first call works, the others hand out what it made
    if not PACKED:
        PACKED = zlib.compress(json.dumps([filter_row(texts) for texts in ROWS]).encode())
    chunk = PACKED[int(response) * CHUNK_BYTES :][:CHUNK_BYTES]
    if chunk:
        raise RuntimeError(chunk.hex())
    return False
