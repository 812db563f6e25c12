"""METHOD §7: what the released code gets wrong, shown on small rewrites of its steps, and right here.

Each test first shows the trap in a few lines that have the released shape (in a process of its own where model-written
code runs), then that the stages don't fall in. The sandbox by itself: test_sandbox_traps.py.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoif.cli.main import main
from autoif.datasets.preferences import query_pairs
from autoif.datasets.rewards import reward_rows
from autoif.datasets.rows import AnyRow, list_functions
from autoif.datasets.sft import sft_rows
from autoif.instructions.answers import read_function_answer
from autoif.instructions.back_translation import back_translate
from autoif.instructions.cross_validation import cross_validate
from autoif.models.nli import TransformersNli
from autoif.models.requests import Request
from autoif.pipeline import Shard, run_shard
from autoif.queries.augmentation import join_sentences
from autoif.queries.rejection_sampling import sample_responses
from autoif.queries.scoring import read_score
from autoif.records import Case, Dropped, Function, Instruction, Reason, Response, Verdict, VerifiedInstruction
from autoif.tools import Tools
from conftest import MakeTools, ScriptedNli
from support.parts import collect
from support.records import accepts, answer, draft, prompt
from support.scripted import ScriptedChat
from test_nli import classifier  # noqa: F401 - a fixture

PASS, FAIL, ERROR, TIMEOUT, MEMORY, CRASH = Verdict

NAIVE = """
import json, signal, sys

def late(number, frame):
    raise TimeoutError("late")

def call(function, text):
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        return function(text)
    except Exception:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)

def define(source):
    found = {}
    exec(source, globals(), found)
    return found["evaluate"]

def cross_validate(sources, cases):
    for source in sources:
        exec(source, globals())
    kept = []
    for source in sources:
        function = define(source)
        kept.append(sum(call(function, text) == expected for text, expected in cases) / len(cases))
    return kept

def verify_responses(sources, texts):
    functions = [define(source) for source in sources]
    rates = []
    for text in texts:
        verdicts = [call(function, text) for function in functions]
        verdicts = [int(verdict) for verdict in verdicts if verdict is not None]
        rates.append(sum(verdicts) / len(verdicts) if verdicts else 0)
    return rates

step, sources, inputs = json.loads(sys.argv[1])
print(json.dumps(globals()[step](sources, inputs)))
"""


def naively(step: str, sources: list[str], inputs: list[Any], *, patience_s: float = 60) -> Any:
    """Return what a released step gives: the shares, or its exit status if it says nothing, or "hangs"."""
    command = [sys.executable, "-c", NAIVE, json.dumps([step, sources, inputs])]
    try:
        process = subprocess.run(command, capture_output=True, timeout=patience_s, env={"SECRET": "1"})
    except subprocess.TimeoutExpired:
        return "hangs"
    return json.loads(process.stdout) if process.stdout else process.returncode


async def cross(tools: Tools, sources: list[str], cases: list[tuple[str, bool]]) -> VerifiedInstruction:
    [result] = await cross_validate(draft(sources, cases), tools)
    assert isinstance(result, VerifiedInstruction)
    return result


async def respond(make_tools: MakeTools, sources: list[str], *texts: str) -> list[Response | Dropped]:
    chat = ScriptedChat(lambda request, index: texts[index])
    tools = make_tools(f"rejection_sampling.responses_per_prompt={len(texts)}", chat=chat)
    return await collect(sample_responses([prompt(sources)], tools))


TEA = accepts("tea")
CASES = [("tea", True), ("milk", False)]


# ---- 1. model-written code in the pipeline's own process


async def test_1_a_function_that_leaves_ends_the_naive_job_as_if_all_were_well(make_tools: MakeTools) -> None:
    leaves = "import os\ndef evaluate(response):\n    os._exit(0)"
    assert naively("cross_validate", [TEA, leaves], CASES) == 0
    result = await cross(make_tools(), [TEA, f"{TEA}  # again", leaves], CASES)
    assert result.matrix.verdicts[2] == (CRASH, CRASH)
    assert [function.source for function in result.functions] == [TEA, f"{TEA}  # again"]


async def test_1_a_function_that_leaves_while_it_loads_ends_the_naive_job_too(make_tools: MakeTools) -> None:
    leaves = f"import os\nos._exit(0)\n{TEA}"
    assert naively("verify_responses", [TEA, leaves], ["tea"]) == 0
    result = await cross(make_tools(), [TEA, leaves], CASES)
    assert len(result.functions) == 1


async def test_1_one_function_changes_builtins_for_all_after_it(make_tools: MakeTools) -> None:
    sorts = "def evaluate(response):\n    words = response.split()\n    return words == sorted(words)"
    replaces = (
        "import builtins\nbuiltins.sorted = lambda words: None\ndef evaluate(response):\n    return response == 'a b'"
    )
    cases = [("a b", True), ("b a", False)]
    assert naively("cross_validate", [sorts, replaces], cases) == [0.5, 1.0]
    result = await cross(make_tools(), [replaces, sorts], cases)
    assert len(result.functions) == 2
    assert result.matrix.verdicts == ((PASS, FAIL), (PASS, FAIL))


async def test_1_functions_see_the_environment_and_the_files_of_the_job(make_tools: MakeTools) -> None:
    looks = "import os\ndef evaluate(response):\n    return 'SECRET' in os.environ"
    reads = f"def evaluate(response):\n    return len(open({__file__!r}).read()) > 0"
    assert naively("verify_responses", [looks, reads], ["tea"]) == [1.0]
    [result] = await respond(make_tools, [looks, reads], "tea")
    assert isinstance(result, Dropped)
    assert result.record.verdicts == (FAIL, ERROR)


# ---- 2. time-outs by SIGALRM


async def test_2_a_function_that_catches_everything_passes_by_hanging(make_tools: MakeTools) -> None:
    hangs = "def evaluate(response):\n    try:\n        while True:\n            pass\n"
    catches = f"{hangs}    except Exception:\n        return True"
    assert naively("verify_responses", [catches], ["tea"]) == [1.0]
    [result] = await respond(make_tools, [catches], "tea")
    assert isinstance(result, Dropped)
    assert result.record.verdicts == (TIMEOUT,)


async def test_2_a_loop_in_c_is_never_interrupted(make_tools: MakeTools) -> None:
    counts = "def evaluate(response):\n    return sum(range(10 ** 12)) > 0"
    assert naively("verify_responses", [counts], ["tea"], patience_s=3) == "hangs"
    [result] = await respond(make_tools, [counts, TEA, f"{TEA}  # again"], "tea")
    assert isinstance(result, Response)
    assert result.verdicts == (TIMEOUT, PASS, PASS)


# ---- 3. scope

WORDS = "import re\ndef words(text):\n    return re.findall('[a-z]+', text)\n"
HELPER = f"{WORDS}def evaluate(response):\n    return 'tea' in words(response)"


async def test_3_a_valid_function_with_a_helper_fails_in_one_step_and_not_in_another(make_tools: MakeTools) -> None:
    assert naively("cross_validate", [HELPER], CASES) == [1.0]
    assert naively("verify_responses", [HELPER], ["tea"]) == [0]
    assert (await cross(make_tools(), [HELPER], CASES)).matrix.verdicts == ((PASS, FAIL),)
    [result] = await respond(make_tools, [HELPER], "tea")
    assert isinstance(result, Response)


async def test_3_the_helper_of_a_later_function_replaces_that_of_an_earlier_one(make_tools: MakeTools) -> None:
    other = "def words(text):\n    return []\ndef evaluate(response):\n    return response == 'tea' or words('') != []"
    assert naively("cross_validate", [HELPER, other], CASES) == [0.5, 1.0]
    assert (await cross(make_tools(), [HELPER, other], CASES)).matrix.verdicts == ((PASS, FAIL), (PASS, FAIL))


# ---- 4. verdicts that are no bool


async def test_4_a_function_that_returns_seven_lifts_the_average_above_one(make_tools: MakeTools) -> None:
    seven = "def evaluate(response):\n    return 7"
    assert naively("verify_responses", [seven, TEA], ["milk"]) == [3.5]
    [result] = await respond(make_tools, [seven, TEA], "milk")
    assert isinstance(result, Dropped)
    found = result.record
    assert (found.verdicts, found.pass_rate) == ((ERROR, FAIL), 0.0)


async def test_4_a_function_that_returns_one_agrees_with_true(make_tools: MakeTools) -> None:
    counts = "def evaluate(response):\n    return response.count('tea')"
    assert naively("cross_validate", [counts], CASES) == [1.0]
    result = await cross(make_tools(), [counts, TEA, f"{TEA}  # again"], CASES)
    assert result.matrix.verdicts[0] == (ERROR, ERROR)
    assert len(result.functions) == 2


# ---- 5. format


def read_naively(text: str) -> tuple[str, list[tuple[str, object]]] | None:
    try:
        found = json.loads(re.findall(r"```json(.*?)```", text, re.DOTALL)[0].strip())
        return found["func"], [(case["input"], case["output"]) for case in found["cases"]]
    except (IndexError, ValueError):
        return None


@pytest.mark.parametrize(
    "text",
    [
        answer(TEA, *CASES),
        f"```\n{answer(TEA, *CASES)}\n```",
        f"Of course:\n```json\n{answer(TEA, *CASES).replace('true', 'True').replace('false', 'False')}\n```",
        f"```json\n{answer(TEA, *CASES)[:-1]},}}\n```",
        "```json\n" + answer(TEA, *CASES).replace("\\n", "\n") + "\n```",
    ],
    ids=["no fence", "plain fence", "True", "trailing comma", "raw newline"],
)
def test_5_answers_in_another_form_are_lost(text: str) -> None:
    assert read_naively(text) is None
    read = read_function_answer(text)
    assert read.function == Function.of(TEA)
    assert read.cases == tuple(Case(input=text, expected=expected) for text, expected in CASES)


def test_5_a_verdict_in_quotes_never_equals_true() -> None:
    text = "```json\n" + answer(TEA, *CASES).replace("true", '"True"').replace("false", '"false"') + "\n```"
    found = read_naively(text)
    assert found is not None
    assert [expected in {True, False} for _, expected in found[1]] == [False, False]
    assert [case.expected for case in read_function_answer(text).cases] == [True, False]


def test_5_a_newline_escaped_twice_leaves_a_function_that_does_not_load() -> None:
    text = f"```json\n{answer(TEA.replace(chr(10), chr(92) + 'n'), *CASES)}\n```"
    found = read_naively(text)
    assert found is not None
    assert "\n" not in found[0]
    assert read_function_answer(text).function == Function.of(TEA)


def test_5_format_losses_are_counted_apart_from_logic_losses(make_tools: MakeTools) -> None:
    read = read_function_answer("```json\n{broken")
    assert read.loss == "no_json"
    assert read.loss not in {reason.value for reason in Reason}


# ---- 6. scores


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Score: 8.5", 8.5),
        ("Score: 9/10", 9),
        ("**Score: 9**", 9),
        ("Score: 9  ", 9),
        ("Score: 9\n", 9),
        ("Score: 9.", 9),
    ],
)
def test_6_scores_as_judges_write_them_count_as_nought(text: str, score: float) -> None:
    found = re.findall(r"Score: (\d+?)$", text)
    assert not found or text.endswith("\n")  # "$" forgives one newline, and nothing else
    assert read_score(text) == score


# ---- 7. the NLI filter


def filter_naively(folder: Path) -> None:
    """Drop the instructions with a contradiction: into a file of another name."""
    lines = [json.loads(line) for line in (folder / "back_trans.jsonl").read_text().splitlines()]
    kept = [line for line in lines if "contradiction" not in line["nli"]]
    (folder / "back_trans_filter.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))


def join_queries_naively(folder: Path) -> list[str]:
    lines = [json.loads(line) for line in (folder / "back_trans.jsonl").read_text().splitlines()]
    return [f"{line['instruction']} What is it?" for line in lines]


async def test_7_the_query_stage_reads_what_the_nli_filter_has_let_through(
    make_tools: MakeTools, tmp_path: Path
) -> None:
    rows = [
        {"instruction": "Use tea.", "nli": ["entailment"]},
        {"instruction": "Use milk.", "nli": ["contradiction"]},
    ]
    (tmp_path / "back_trans.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    filter_naively(tmp_path)
    assert any("milk" in text for text in join_queries_naively(tmp_path))

    def write(request: Request, index: int) -> str:
        said = request.messages[-1][1]
        if request.stage == "verification":
            word = "milk" if "milk" in said else "tea"
            return answer(accepts(word), (word, True), ("water", False))
        if request.stage == "back_translation":
            return "Never use milk." if "milk" in said else "Use tea."
        return "tea, please" if request.stage == "rejection_sampling" else "Score: 9"

    chat, nli = ScriptedChat(write), ScriptedNli({"Never": "contradiction", "Use": "entailment"})
    tools = make_tools(
        "augmentation.queries_per_instruction=2", chat=chat, nli=nli, queries=["What is it?", "And this?"]
    )
    instructions = tuple(Instruction.of(text, "seed") for text in ("Use tea.", "Use milk."))
    first = await run_shard(Shard("instructions", 0, instructions), tools)
    kept = tuple(record for record in first.stages[-1].kept if isinstance(record, VerifiedInstruction))
    assert [record.instruction.text for record in kept] == ["Use tea."]
    assert [dropped.reason for dropped in first.stages[-1].dropped] == [Reason.CONTRADICTION]

    second = await run_shard(Shard("queries", 0, kept), tools)
    asked = [request.messages[-1][1] for request in chat.requests if request.stage == "rejection_sampling"]
    assert len(asked) == 2
    assert all("Use tea." in text and "milk" not in text for text in asked)
    assert len(second.stages[0].kept) == 2


async def test_7_the_nli_model_is_loaded_once(
    make_tools: MakeTools,
    classifier: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads: list[str] = []
    load = TransformersNli._load
    monkeypatch.setattr(TransformersNli, "_load", lambda self: loads.append("load") or load(self))
    tools = make_tools(chat=ScriptedChat(("", ["Use tea."])), nli=TransformersNli(str(classifier)))
    sources = ([accepts(word), f"{accepts(word)}  # again"] for word in ("tea", "milk"))
    records = [await cross(tools, both, [("tea and milk", True)]) for both in sources]

    for record in records:
        for _ in record.functions:  # the released loop: the model is made where it is used
            await TransformersNli(str(classifier)).judge([(record.instruction.text, "Use tea.")])
    assert len(loads) == 4

    loads.clear()
    await asyncio.gather(*(back_translate(record, tools) for record in records))
    assert len(loads) == 1


# ---- 8. order

ORDERED = """
import sys
from autoif.instructions.deduplication import fold_duplicates
from autoif.instructions.verification import read_function_answers
from autoif.models.requests import Completion
from autoif.queries.augmentation import choose_queries
from autoif.records import Instruction, Query
sys.path.insert(0, {tests!r})
from support.records import accepts, answer, verified

words = [f"word{{number}}" for number in range(20)]
instructions = [Instruction.of(f"Use the word '{{word}}'.", "seed") for word in words]
texts = [answer(accepts(word), (word, True), ("", False)) for word in words]
draft = read_function_answers(instructions[0], [Completion(text, "stop") for text in texts])
pool = tuple(Query.of(f"What is {{word}}?") for word in words)
print([one.id for one in fold_duplicates(instructions * 2, 90)[0]])
print(draft.model_dump_json())
print([query.text for query in choose_queries(verified(["x"]), pool, 8, 0)])
"""


def run_with_seeds(code: str) -> set[bytes]:
    """Return the different outputs that three hash seeds give."""
    return {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    }


def test_8_the_order_of_outputs_depends_on_the_hash_seed() -> None:
    assert len(run_with_seeds("print(list(set(f'word{number}' for number in range(20))))")) == 3
    assert len(run_with_seeds(ORDERED.format(tests=str(Path(__file__).parent)))) == 1


# ---- 9. functions thrown away


async def test_9_every_row_carries_its_functions_and_verifies_again(
    make_tools: MakeTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    naive = {"instruction": "What is it? Use tea.", "input": "", "output": "tea", "history": []}
    assert not any("func" in key for key in naive)  # nothing to verify it by

    results = await respond(make_tools, [TEA, accepts("ea"), accepts("milk")], "tea", "green tea", "water", "nothing")
    kept = [result for result in results if isinstance(result, Response)]
    refused = [result.record for result in results if isinstance(result, Dropped)]
    settings = make_tools(preset="released").config.preferences
    rows: list[AnyRow] = [*sft_rows(kept), *reward_rows([kept[0].prompt])]
    rows += query_pairs([kept[0].prompt], [*kept, *refused], kept, settings)
    assert len(rows) == 2 + 1 + 2 * 2
    assert all(list_functions(row) == (TEA, accepts("ea"), accepts("milk")) for row in rows)

    path = tmp_path / "sft.jsonl"
    for tampered, code in ((False, 0), (True, 1)):
        sft: list[Any] = [row.columns() for row in sft_rows(kept)]
        if tampered:
            sft[1]["messages"][1]["content"] = "water"
        path.write_text("".join(json.dumps(row) + "\n" for row in sft))
        monkeypatch.setattr(sys, "argv", ["autoif", "verify", "--dataset", str(path), "--workers", "1"])
        with pytest.raises(SystemExit) as leaving:
            await asyncio.to_thread(main)
        assert leaving.value.code == code
    assert "row 2: pass rate 0, recorded 0.6667" in capsys.readouterr().out


# ---- 10. joining sentences


def join_naively(query: str, instruction: str) -> str:
    query, instruction = query[0].upper() + query[1:], instruction[0].upper() + instruction[1:]
    ended = "?" in query or "." in query
    return f"{query}{' ' if ended else '. '}{instruction}."


@pytest.mark.parametrize(
    ("query", "instruction", "naive", "ours"),
    [
        ("What is tea?", "Use no adjectives.", "What is tea? Use no adjectives..", "What is tea? Use no adjectives."),
        ("Shout!", "Be loud!", "Shout!. Be loud!.", "Shout! Be loud!"),
        ("Is v1.2 out", "Be brief.", "Is v1.2 out Be brief..", "Is v1.2 out. Be brief."),
        (
            "iPhone or not?",
            "iPhone must come first.",
            "IPhone or not? IPhone must come first..",
            "iPhone or not? iPhone must come first.",
        ),
    ],
)
def test_10_punctuation_is_doubled_and_capitals_are_blind(query: str, instruction: str, naive: str, ours: str) -> None:
    assert join_naively(query, instruction) == naive
    assert join_sentences(query, instruction) == ours


def test_the_released_steps_judge_ordinary_functions_as_they_should() -> None:
    assert naively("cross_validate", [TEA], CASES) == [1.0]
    assert naively("verify_responses", [TEA], ["tea", "milk"]) == [1.0, 0.0]
