"""Runs HumanEval's programs in the sandbox: prompt and completion, then the tests, as one program.

A program passes if it returns from all tests. One that raises, exits, hangs, prints or crashes doesn't pass. The tests
run in the interpreter that ran the completion, as in the official program, so a completion that searches for the tests
(through frames or the interpreter's objects) could deceive them, but can't touch the machine. Accidents are prevented:
tests are compiled and builtins saved before the completion runs, and each completion has a process of its own.
"""

import re
from collections.abc import Sequence

from autoif.evaluation.general.data import GeneralQuestion
from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox

LIMITS = Limits(timeout_s=3.0, memory_mb=1024)
"""The time is the official program's; the memory is what one of the benchmark's programs needs."""
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
    """Return the program from a question and its completion.

    In a chat the completion begins inside a code block, and what follows the block is dropped.
    """
    return f"{question.row['prompt']}{completion.split('```', maxsplit=1)[0] if chat else completion}"


def read_program(question: GeneralQuestion, answer: str) -> str:
    """Return the program in a whole answer: its first code block, or all of it if there is none.

    The prompt is put before it, as the answer may leave out the imports or consist of the body only.
    """
    found = _FENCE.search(answer)
    return f"{question.row['prompt']}\n{found.group(1) if found else answer}"


def run_programs(programs: Sequence[tuple[GeneralQuestion, str]], sandbox: Sandbox) -> list[str]:
    """Run each program with the tests of its question; return in order why it did not pass, or "" if it did.

    Raises:
        SandboxError: the sandbox can't be used. Nothing that a program does raises it.
    """
    jobs = [
        (_SOURCE.format(tests=each.row["test"], entry_point=each.row["entry_point"]), [program])
        for each, program in programs
    ]
    return [
        "" if outcome.verdict == Verdict.PASS else f"{outcome.verdict}: {outcome.detail}".rstrip(": ")
        for [outcome] in sandbox.run_many_sync(jobs)
    ]
