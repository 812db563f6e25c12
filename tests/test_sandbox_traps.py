"""METHOD §7.1 to 7.4: what the released loop gets wrong, shown on a rewrite of that loop, and right here.

`run_naively` is the shape of that loop: everything in one process, `exec` with separate globals and locals, SIGALRM,
and a time-out that counts as whatever the function's own `except` says.
"""

import json
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASS, FAIL, ERROR, TIMEOUT, MEMORY, CRASH = Verdict

NAIVE = """
import json, signal, sys

def expire(number, frame):
    raise TimeoutError("too slow")

def run_naively(sources, inputs):
    signal.signal(signal.SIGALRM, expire)
    table = []
    for source in sources:
        names, values = {}, []
        try:
            exec(source, globals(), names)
        except Exception as error:
            table.append(["does not load"])
            continue
        for text in inputs:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            try:
                values.append(names["evaluate"](text))
            except Exception as error:
                values.append(type(error).__name__)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        table.append(values)
    return table

print(json.dumps(run_naively(*json.loads(sys.argv[1]))))
"""


def run_naively(*sources: str, inputs: tuple[str, ...] = ("b a",), patience_s: float = 20.0) -> object:
    """Return what the naive loop gives for the functions, or its exit status, or None if it doesn't end."""
    command = [sys.executable, "-c", NAIVE, json.dumps([sources, inputs])]
    try:
        process = subprocess.run(command, capture_output=True, timeout=patience_s, env={"SECRET": "1"})
    except subprocess.TimeoutExpired:
        return None
    return json.loads(process.stdout) if process.stdout else process.returncode


def dedent(source: str) -> str:
    return textwrap.dedent(source).strip()


SORTED = "def evaluate(response):\n    return sorted(response.split()) == ['a', 'b']"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Limits(timeout_s=1.0), workers=1) as entered:
        yield entered


async def judge(sandbox: Sandbox, *sources: str, inputs: tuple[str, ...] = ("b a",)) -> list[list[Verdict]]:
    return [[outcome.verdict for outcome in await sandbox.run(source, inputs)] for source in sources]


async def test_a_hard_exit_does_not_end_the_job_and_look_like_success(sandbox: Sandbox) -> None:
    leaves = "def evaluate(response):\n    import os\n    os._exit(0)"
    assert run_naively(leaves, SORTED) == 0
    assert await judge(sandbox, leaves, SORTED) == [[CRASH], [PASS]]


async def test_a_function_can_not_replace_builtins_for_the_rest_of_the_run(sandbox: Sandbox) -> None:
    replaces = "def evaluate(response):\n    import builtins\n    builtins.sorted = lambda words: []\n    return True"
    assert run_naively(SORTED, replaces, SORTED) == [[True], [True], [False]]
    assert await judge(sandbox, SORTED, replaces, SORTED) == [[PASS], [PASS], [PASS]]


async def test_environment_and_files_are_closed(sandbox: Sandbox) -> None:
    reads = f"def evaluate(response): return open({__file__!r}).read() != ''"
    looks = "def evaluate(response):\n    import os\n    return 'SECRET' in os.environ"
    assert run_naively(reads, looks) == [[True], [True]]
    assert await judge(sandbox, reads, looks) == [[ERROR], [FAIL]]


async def test_a_time_out_is_not_turned_into_a_pass(sandbox: Sandbox) -> None:
    catches = dedent("""
        def evaluate(response):
            try:
                while True:
                    pass
            except Exception:
                return True
    """)
    assert run_naively(catches) == [[True]]
    assert await judge(sandbox, catches) == [[TIMEOUT]]


async def test_a_loop_in_c_is_interrupted(sandbox: Sandbox) -> None:
    counts = "def evaluate(response): return sum(range(10 ** 12)) > 0"
    assert run_naively(counts, patience_s=1.0) is None
    assert await judge(sandbox, counts, SORTED) == [[TIMEOUT], [PASS]]


async def test_top_level_imports_and_helpers_are_seen_by_evaluate(sandbox: Sandbox) -> None:
    uses_both = dedent("""
        import re
        LONGEST = 3

        def find_words(response):
            return re.findall("[a-z]+", response)

        def evaluate(response):
            return len(find_words(response)) <= LONGEST
    """)
    assert run_naively(uses_both) == [["NameError"]]
    assert await judge(sandbox, uses_both) == [[PASS]]


async def test_helpers_do_not_leak_into_other_functions(sandbox: Sandbox) -> None:
    defines = "global helper\ndef helper(text): return True\ndef evaluate(response): return True"
    borrows = "def evaluate(response): return helper(response)"
    assert run_naively(borrows) == [["NameError"]]
    assert run_naively(defines, borrows) == [[True], [True]]
    assert await judge(sandbox, defines, borrows) == [[PASS], [ERROR]]


async def test_a_verdict_that_is_no_bool_is_an_error_and_not_a_number(sandbox: Sandbox) -> None:
    counts = "def evaluate(response): return 7"
    assert run_naively(counts, SORTED) == [[7], [True]]  # an average of 4 where 1 is the most there can be
    assert await judge(sandbox, counts, SORTED) == [[ERROR], [PASS]]


async def test_a_function_can_not_change_a_module_for_the_next(sandbox: Sandbox) -> None:
    changes = "import re\nre.findall = None\ndef evaluate(response): return True"
    needs = "def evaluate(response):\n    import re\n    return re.findall('[ab]', response) == ['b', 'a']"
    assert run_naively(changes, needs) == [[True], ["TypeError"]]
    assert await judge(sandbox, changes, needs) == [[PASS], [PASS]]
