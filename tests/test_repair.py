"""Functions and cases put back to their writer (§3.2): what it is told, and what becomes of its answer."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from autoif.instructions.feedback import are_alike
from autoif.instructions.settling import write_settled_functions
from autoif.models.requests import Completion, Request
from autoif.records import Draft, Function, FunctionFault, RepairOutcome
from autoif.sandbox import Limits, Sandbox
from autoif.vocabulary import carry, fold
from conftest import MakeTools
from support.records import BROKEN, accepts, answer, instruction
from support.scripted import ScriptedChat

CASES = (("tea please", True), ("wine", False))
TEA = accepts("tea")
FIRST = "def evaluate(response):\n    words = response.split()\n    return 'tea' == words[0] or 'tea' in words[9]"
ALIKE = (TEA, f"{TEA}  # again")
HERE = (str(Path.cwd()), str(Path.home()))


def repaired(source: str | None, explanation: str = "It was wrong.") -> str:
    return json.dumps({"explanation": explanation, "func": source})


def script(written: Sequence[str], *mended: str, ruled: bool | None = None) -> ScriptedChat:
    """Return a model that writes these functions, mends with these answers in turn, and rules on every case alike."""
    given = iter(mended)

    def reply(request: Request, index: int) -> str | None:
        if request.stage == "verification":
            return answer(written[index], *CASES)
        if "follows" in json.dumps(request.json_schema):
            return None if ruled is None else json.dumps({"explanation": "I see.", "follows": ruled})
        return next(given, None)

    return ScriptedChat(reply)


async def settle(make_tools: MakeTools, chat: ScriptedChat, functions: int, *settings: str, repairs: int = 2) -> Draft:
    tools = make_tools(
        f"verification.functions_per_instruction={functions}", f"verification.repairs={repairs}", *settings, chat=chat
    )
    [draft] = await write_settled_functions(instruction(), tools)
    assert isinstance(draft, Draft)
    return draft


def asked(chat: ScriptedChat) -> list[str]:
    """Return what the writer was told about functions, request by request."""
    return [request.messages[-1][1] for request in chat.requests if request.stage == "repair"]


@pytest.mark.parametrize(
    ("source", "fault", "told"),
    [
        (BROKEN, FunctionFault.DOES_NOT_LOAD, "line 1: def evaluate(response) return True"),
        ("import nltk\ndef evaluate(response):\n    return True", FunctionFault.DOES_NOT_LOAD, "missing module: nltk"),
        (
            "def check(response):\n    return True\n\ndef test(response):\n    return True",
            FunctionFault.DOES_NOT_LOAD,
            "has no evaluate",
        ),
        (
            FIRST,
            FunctionFault.RAISES,
            "IndexError: list index out of range\n  line 3: return 'tea' == words[0] or 'tea' in words[9]",
        ),
        (f"\n\n{FIRST}", FunctionFault.RAISES, "IndexError: list index out of range\n  line 3: return 'tea' =="),
        (FIRST, FunctionFault.RAISES, '- For "wine": IndexError'),
        ("def evaluate(response):\n    return len(response)", FunctionFault.RAISES, "returned int: 4"),
        (
            "def test(text):\n    return missing\n\ndef evaluate(response):\n    return test(response)",
            FunctionFault.RAISES,
            "NameError: name 'missing' is not defined\n  line 2: return missing",
        ),
        ("import os\ndef evaluate(response):\n    os._exit(3)", FunctionFault.RAISES, "it ends its process"),
        (
            "def evaluate(response):\n    return 'wine' in response",
            FunctionFault.STANDS_ALONE,
            'It returns True for "wine"',
        ),
        (
            "def evaluate(response):\n    return 'wine' in response",
            FunctionFault.STANDS_ALONE,
            "the opposite for these texts",
        ),
    ],
)
async def test_a_function_with_a_fault_is_put_back_with_what_is_wrong_and_mended(
    make_tools: MakeTools, source: str, fault: FunctionFault, told: str
) -> None:
    chat = script([*ALIKE, source], repaired(f"{TEA}  # mended"))
    draft = await settle(make_tools, chat, 3)
    [question] = asked(chat)
    assert told in question
    assert source.strip() in question
    assert "Use the word 'tea'." in question
    [repair] = draft.repairs
    assert (repair.fault, repair.outcome, repair.round) == (fault, RepairOutcome.REPAIRED, 1)
    assert repair.explanation == "It was wrong."
    assert [each.source for each in draft.matrix.functions] == [*ALIKE, f"{TEA}  # mended"]
    assert draft.settled


@pytest.mark.parametrize(
    ("answers", "outcomes", "left"),
    [
        ([repaired(BROKEN), repaired(f"{BROKEN} ")], ["unchanged"], BROKEN),
        (["I can't.", repaired("def other(): pass")], ["lost", "no_better"], BROKEN),
        (["", repaired(TEA)], ["lost", "repaired"], None),
        ([repaired(f"{BROKEN}  # 1"), repaired(f"{BROKEN}  # 2")], ["no_better", "no_better"], BROKEN),
        ([repaired(FIRST), repaired(TEA)], ["repaired", "repaired"], None),
        ([repaired(FIRST), repaired(BROKEN)], ["repaired", "no_better"], FIRST),
    ],
)
async def test_it_is_put_back_at_most_twice_and_only_what_is_better_takes_its_place(
    make_tools: MakeTools, answers: Sequence[str], outcomes: list[str], left: str | None
) -> None:
    chat = script([*ALIKE, BROKEN], *answers)
    draft = await settle(make_tools, chat, 3)
    assert [str(repair.outcome) for repair in draft.repairs] == outcomes
    assert [repair.round for repair in draft.repairs] == list(range(1, len(outcomes) + 1))
    assert [each.source for each in draft.matrix.functions] == [*ALIKE, *([left] if left else [])]
    seeds = [request.seed for request in chat.requests if request.stage == "repair"]
    assert len(set(seeds)) == len(seeds)


async def test_a_repaired_function_keeps_its_votes(make_tools: MakeTools) -> None:
    """Three answers that gave a broken function are three answers for what it becomes."""
    chat = script([BROKEN, BROKEN, BROKEN, TEA], repaired(f"{TEA} "))
    draft = await settle(make_tools, chat, 4, repairs=1)
    assert draft.settled
    assert len(draft.answers) == 4
    assert len(asked(chat)) == 1


async def test_two_functions_that_differ_are_left_alone(make_tools: MakeTools) -> None:
    chat = script([TEA, accepts("wine")])
    draft = await settle(make_tools, chat, 2)
    assert not draft.repairs
    assert not draft.settled


@pytest.mark.parametrize(("answered", "turned"), [(False, True), (True, False)])
async def test_a_case_that_most_functions_contradict_is_put_back(
    make_tools: MakeTools, answered: bool, turned: bool
) -> None:
    """All functions refuse the first case, which the writer expected to be accepted."""
    chat = script([accepts("please tea"), f"{accepts('please tea')}  #"], ruled=answered)
    draft = await settle(make_tools, chat, 2, "verification.case_repairs=2", repairs=0)
    questions = [request for request in chat.requests if request.stage == "repair"]
    assert [(each.role, each.samples) for each in questions] == [("writer", 1), ("writer", 2)][: 1 + turned]
    assert all("tea please" in each.text for each in questions)
    assert [case.expected for case in draft.matrix.cases] == [not turned, False]
    [ruling] = draft.rulings
    assert (ruling.by, ruling.source, ruling.answers) == ("writer", "case", (answered,) * len(questions))


async def test_a_case_stays_where_the_writer_is_not_sure(make_tools: MakeTools) -> None:
    def reply(request: Request, index: int) -> str:
        written = answer(accepts("please tea") + "#" * index, *CASES)
        return written if request.stage == "verification" else ("no", "yes")[index]

    draft = await settle(make_tools, ScriptedChat(reply), 2, "verification.case_repairs=2", repairs=0)
    assert [case.expected for case in draft.matrix.cases] == [True, False]
    assert draft.rulings[0].answers == (False, True)


async def test_an_answer_that_the_server_refused_or_cut_repairs_nothing(make_tools: MakeTools) -> None:
    faults = iter([Completion("", "refused", detail="filtered"), Completion('{"explanation": "It', "length")])

    def reply(request: Request, index: int) -> str | Completion:
        return answer([*ALIKE, BROKEN][index], *CASES) if request.stage == "verification" else next(faults)

    draft = await settle(make_tools, ScriptedChat(reply), 3)
    assert [(each.outcome.value, each.answer.loss) for each in draft.repairs] == [
        ("lost", "refused"),
        ("lost", "truncated"),
    ]


@pytest.mark.parametrize(
    "shown",
    [
        "__import__('json').__file__",
        "__import__('sys').executable",
        "__import__('os').getcwd()",
        "__import__('sys').path",
    ],
)
async def test_what_the_writer_is_told_holds_no_path_of_this_machine(make_tools: MakeTools, shown: str) -> None:
    raising = f"def evaluate(response):\n    raise ValueError({shown})"
    loading = f"raise ValueError({shown})\ndef evaluate(response):\n    return True"
    chat = script([*ALIKE, raising, loading], repaired(None), repaired(None))
    await settle(make_tools, chat, 4, repairs=1)
    assert len(asked(chat)) == 2
    for question in asked(chat):
        feedback = question.partition("What happened:")[2]
        assert "ValueError" in feedback
        for path in (sys.prefix, sys.base_prefix, sys.executable, *HERE, "/usr", "/lib"):
            assert path not in feedback.replace(shown, "")


async def test_a_function_that_names_a_wrong_line_or_writes_a_book_is_told_little(make_tools: MakeTools) -> None:
    lies = 'def evaluate(response):\n    raise RuntimeError("line 999: " + "x" * 100_000)'
    chat = script([*ALIKE, lies], repaired(TEA))
    await settle(make_tools, chat, 3)
    [question] = asked(chat)
    assert len(question) < 3000
    assert question.count("x" * 400) == 0


async def test_long_texts_are_shown_by_their_ends(make_tools: MakeTools) -> None:
    text = "wine " * 2000
    chat = ScriptedChat(
        lambda request, index: (
            answer([*ALIKE, FIRST.replace("words[9]", "words[9999]")][index], (text, False))
            if request.stage == "verification"
            else repaired(TEA)
        )
    )
    await settle(make_tools, chat, 3)
    [question] = asked(chat)
    assert "(10,000 characters)" in question
    assert len(question) < 2500


async def test_a_function_that_hangs_is_put_back_with_that(make_tools: MakeTools) -> None:
    hangs = "def evaluate(response):\n    while response == 'wine':\n        pass\n    return 'tea' in response"
    chat = script([*ALIKE, hangs], repaired(TEA))
    draft = await settle(make_tools, chat, 3, repairs=1)
    assert "it takes too long" in asked(chat)[0]
    assert draft.repairs[0].outcome is RepairOutcome.REPAIRED


async def test_without_a_line_the_error_alone_is_told(make_tools: MakeTools) -> None:
    """The other backend tells no lines of what functions raise."""
    chat = script([*ALIKE, FIRST], repaired(TEA))
    async with Sandbox(Limits(timeout_s=1.0), backend="monty", workers=1) as monty:
        settings = ("verification.functions_per_instruction=3", "verification.repairs=1")
        tools = dataclasses.replace(make_tools(*settings, chat=chat), sandbox=monty)
        [draft] = await write_settled_functions(instruction(), tools)
    assert isinstance(draft, Draft)
    assert draft.repairs[0].outcome is RepairOutcome.REPAIRED
    assert '- For "wine": IndexError: list index out of range' in asked(chat)[0]


VOCABULARY = ("verification.vocabulary=true", "prompts.verification=recommended")
RAISES = "def evaluate(response):\n    return get_words(response)[9] == 'tea'"


@pytest.mark.parametrize("prompt", ["paper", "recommended", "quickstart_vocabulary"])
async def test_a_function_with_a_vocabulary_is_shown_without_the_helpers_that_it_carries(
    make_tools: MakeTools, prompt: str
) -> None:
    mended = "def evaluate(response):\n    return has_word(response, 'tea')"
    chat = script([*ALIKE, RAISES], repaired(mended))
    draft = await settle(make_tools, chat, 3, *VOCABULARY, f"prompts.repair={prompt}", repairs=1)
    [question] = asked(chat)
    assert RAISES in question
    assert "import unicodedata" not in question
    assert "IndexError: list index out of range\n  line 3: return get_words(response)[9] == 'tea'" in question
    assert draft.matrix.functions[-1].source == carry(mended)


async def test_an_error_in_a_helper_is_called_that(make_tools: MakeTools) -> None:
    chat = script([*ALIKE, "def evaluate(response):\n    return get_words(7)"], repaired(TEA))
    await settle(make_tools, chat, 3, *VOCABULARY)
    assert "Error: " in asked(chat)[0]
    assert "\n  in a helper: text =" in asked(chat)[0]


def test_functions_that_differ_in_comments_alone_are_alike() -> None:
    one, same, other = map(Function.of, [TEA, f"\n# Right as it is.\n{TEA}\n", f"{TEA} or False"])
    assert are_alike(one, same)
    assert not are_alike(one, other)
    carried = carry(RAISES)
    assert are_alike(Function.of(carried), Function.of(carry(fold(carried))))
