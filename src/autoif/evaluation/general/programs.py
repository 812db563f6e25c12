"""HumanEval's programs, run in the sandbox: prompt and completion, then the tests, as one program.

Passed is what returns from all tests. To raise, to exit, to hang, to print or to crash is not to pass. The tests run in
the interpreter that has run the completion, as the official program does it, so a completion that looks for its judges
(frames, the objects of the interpreter) could deceive them; the machine it can't touch. What it could do by accident is
kept from it: tests are compiled and builtins kept before it runs, and each completion has a process of its own.
"""

import re
from collections.abc import Sequence

from autoif.evaluation.general.data import GeneralQuestion
from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox

LIMITS = Limits(timeout_s=3.0, memory_mb=1024)
"""Seconds as in the official program; memory for what one program of it takes."""
_SOURCE = """
import builtins

def evaluate(response, run=exec, compile=compile, keep=dict, kept=builtins.__dict__):
    code = compile(response, "program", "exec")
    tests = compile({tests!r}, "tests", "exec")
    before = keep(kept)
    names = {{"__name__": "program"}}
    run(code, names)
    candidate = names[{entry_point!r}]
    kept.update(before)
    names.pop("__builtins__", None)
    run(tests, names)
    names["check"](candidate)
    return True
"""
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


def join_completion(question: GeneralQuestion, completion: str, *, chat: bool) -> str:
    """Return the program that a completion makes of its question. In a chat it was begun inside a code block, so that
    what follows the end of the block is talk.
    """
    return f"{question.row['prompt']}{completion.split('```', maxsplit=1)[0] if chat else completion}"


def read_program(question: GeneralQuestion, answer: str) -> str:
    """Return the program of a whole answer: of its first code block or, where there is none, of all of it.

    The prompt stands before it: the answer may leave out the imports, or write the body alone.
    """
    found = _FENCE.search(answer)
    return f"{question.row['prompt']}\n{found.group(1) if found else answer}"


def run_programs(programs: Sequence[tuple[GeneralQuestion, str]], sandbox: Sandbox) -> list[str]:
    """Run each program with the tests of its question; return in order why it did not pass, "" if it did.

    Raises SandboxError: the sandbox can't be used; never for what a program does.
    """
    jobs = [
        (_SOURCE.format(tests=each.row["test"], entry_point=each.row["entry_point"]), [program])
        for each, program in programs
    ]
    return [
        "" if outcome.verdict == Verdict.PASS else f"{outcome.verdict}: {outcome.detail}".rstrip(": ")
        for [outcome] in sandbox.run_many_sync(jobs)
    ]
