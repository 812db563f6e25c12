"""Verification functions and cases (§3.2): K answers become one draft, or a counted loss."""

from typing import cast

import pytest

from autoif.config import load_config
from autoif.errors import ConfigError
from autoif.instructions.verification import answer_schema, read_function_answers, write_functions
from autoif.models.requests import Completion
from autoif.records import Case, Draft, Dropped, Reason
from autoif.vocabulary import carry, describe_vocabulary, fold
from conftest import MakeTools
from support.records import ACCEPT, REFUSE, accepts, answer, instruction
from support.scripted import ScriptedChat


def completions(*texts: str, finish_reason: str = "stop") -> list[Completion]:
    return [Completion(text=text, finish_reason=finish_reason) for text in texts]


async def test_k_answers_become_one_draft(make_tools: MakeTools) -> None:
    chat = ScriptedChat(lambda request, index: answer(accepts(f"{index}"), (f"{index}", True), ("x", False)))
    tools = make_tools("verification.functions_per_instruction=3", chat=chat)
    [draft] = await write_functions(instruction(), tools)
    assert isinstance(draft, Draft)
    assert [function.source for function in draft.matrix.functions] == [accepts("0"), accepts("1"), accepts("2")]
    assert [case.input for case in draft.matrix.cases] == ["0", "x", "1", "2"]
    assert [entry.index for entry in draft.answers] == [0, 1, 2]
    assert draft.matrix.verdicts == ()


async def test_the_request_is_the_papers(make_tools: MakeTools) -> None:
    chat = ScriptedChat(("", [answer(ACCEPT, ("a", True))]))
    await write_functions(instruction("Use the word 'tea'."), make_tools(chat=chat))
    [request] = chat.requests
    assert (request.role, request.stage, request.samples, request.temperature) == ("writer", "verification", 8, 0.8)
    prompt = make_tools().config.prompts.verification
    assert request.messages == prompt.fill(instruction="Use the word 'tea'.", instruction_for_quotes="", cases=3)
    assert "Use the word 'tea'." in request.messages[-1][1]
    assert "3 " in request.messages[-1][1]
    assert request.json_schema == answer_schema(3)


async def test_the_seed_belongs_to_the_instruction_and_the_run(make_tools: MakeTools) -> None:
    chat = ScriptedChat(("", [answer(ACCEPT, ("a", True))]))
    for text, seed in (("Use tea.", 0), ("Use tea.", 0), ("Use milk.", 0), ("Use tea.", 1)):
        await write_functions(instruction(text), make_tools(f"seed={seed}", chat=chat))
    seeds = [request.seed for request in chat.requests]
    assert seeds[0] == seeds[1]
    assert len(set(seeds)) == 3


async def test_an_instruction_with_braces_and_quotes_can_be_asked_for(make_tools: MakeTools) -> None:
    chat = ScriptedChat(("{name}", [answer(ACCEPT, ("a", True))]))
    text = 'Wrap it in {name} and "quotes".'
    [draft] = await write_functions(instruction(text), make_tools(chat=chat))
    assert isinstance(draft, Draft)
    assert text in chat.requests[0].messages[-1][1]


async def test_only_quickstart_writes_double_quotation_marks_as_single_ones(make_tools: MakeTools) -> None:
    chat = ScriptedChat(("", [answer(ACCEPT, ("a", True))]))
    await write_functions(instruction('Use "tea".'), make_tools(preset="quickstart", chat=chat))
    assert "Rule: \"Use 'tea'.\"" in chat.requests[0].messages[-1][1]


def test_identical_functions_and_cases_count_once() -> None:
    text = answer(ACCEPT, ("a", True), ("a", True), ("a", False))
    draft = read_function_answers(instruction(), completions(text, text, answer(REFUSE, ("a", False), ("b", True))))
    assert isinstance(draft, Draft)
    assert [function.source for function in draft.matrix.functions] == [ACCEPT, REFUSE]
    assert draft.matrix.cases == (
        Case(input="a", expected=True),
        Case(input="a", expected=False),
        Case(input="b", expected=True),
    )


def test_repairs_and_losses_are_noted_answer_by_answer() -> None:
    fenced = f"```json\n{answer(ACCEPT, ('a', True))}\n```"
    odd_case = answer(REFUSE, ("a", True)).replace("true", "null")
    draft = read_function_answers(instruction(), completions(fenced, "no", "", odd_case))
    assert isinstance(draft, Draft)
    assert [entry.repairs for entry in draft.answers] == [("surrounding_text",), (), (), ()]
    assert [entry.loss for entry in draft.answers] == [None, "no_json", "empty", None]
    assert [entry.cases_lost for entry in draft.answers] == [0, 0, 0, 1]


def test_an_answer_that_the_server_cut_off_is_read_as_such() -> None:
    half = answer(ACCEPT, ("a", True))[:-30]
    draft = read_function_answers(instruction(), completions(half, "It is", finish_reason="length"))
    assert isinstance(draft, Draft)
    assert [entry.loss for entry in draft.answers] == [None, "truncated"]


@pytest.mark.parametrize(
    ("texts", "detail"),
    [
        (("x" * 100_000,), "none of 1 answers gave a function: too_long"),
        (("\x00\x01" * 40,), "none of 1 answers gave a function: not_text"),
        (("对不起，我不会写。", "Nein, das geht nicht."), "none of 2 answers gave a function: no_json"),
        (("", "no", '{"func": ""}'), "none of 3 answers gave a function: an empty answer, no_function, no_json"),
    ],
)
def test_an_instruction_without_a_function_is_dropped_with_what_was_lost(texts: tuple[str, ...], detail: str) -> None:
    dropped = read_function_answers(instruction(), completions(*texts))
    assert isinstance(dropped, Dropped)
    assert (dropped.stage, dropped.reason) == ("verification", Reason.NO_READABLE_ANSWER)
    assert dropped.detail == detail
    assert dropped.record_id == instruction().id
    assert len(dropped.record.answers) == len(texts)


THOUGHT = Completion("", "stop", reasoning="Let me see.")
REFUSED = Completion("", "refused", detail="the prompt was filtered")
CUT = Completion("", "length", reasoning="Let me")


def test_answers_that_were_refused_or_only_thought_are_losses_of_their_own() -> None:
    whole = completions(answer(ACCEPT, ("a", True)))
    draft = read_function_answers(instruction(), [REFUSED, THOUGHT, CUT, *completions(""), *whole])
    assert isinstance(draft, Draft)
    assert [entry.loss for entry in draft.answers] == ["refused", "only_reasoning", "truncated", "empty", None]


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        (REFUSED, Reason.REFUSED_BY_MODEL, "the prompt was filtered"),
        (THOUGHT, Reason.ONLY_REASONING, "a thought of 11 characters, and no answer after it"),
        (CUT, Reason.TRUNCATED, "cut off at max_tokens, in its thought"),
        (Completion(" ", "stop"), Reason.EMPTY, "an empty answer"),
    ],
)
def test_where_all_answers_have_one_fault_it_is_the_reason(fault: Completion, reason: Reason, words: str) -> None:
    dropped = read_function_answers(instruction(), [fault, fault])
    assert isinstance(dropped, Dropped)
    assert (dropped.reason, dropped.detail) == (reason, f"none of 2 answers gave a function: {words}")
    mixed = read_function_answers(instruction(), [fault, *completions("no")])
    assert isinstance(mixed, Dropped)
    assert mixed.reason is Reason.NO_READABLE_ANSWER
    assert words in mixed.detail


def test_the_draft_is_named_by_its_functions() -> None:
    first = read_function_answers(instruction(), completions(answer(ACCEPT, ("a", True))))
    again = read_function_answers(instruction(), completions(answer(ACCEPT, ("b", True))))
    other = read_function_answers(instruction(), completions(answer(REFUSE, ("a", True))))
    assert isinstance(first, Draft)
    assert isinstance(again, Draft)
    assert isinstance(other, Draft)
    assert first.id == again.id != other.id


def test_a_functions_share_of_verdicts_is_one_however_often_the_model_wrote_it() -> None:
    """Deviation: the released code makes a set of the functions too; the paper doesn't say."""
    texts = [answer(ACCEPT, ("a", True))] * 7 + [answer(REFUSE, ("a", False))]
    draft = read_function_answers(instruction(), completions(*texts))
    assert isinstance(draft, Draft)
    assert len(draft.matrix.functions) == 2
    assert len(draft.answers) == 8


# A vocabulary, and thinking first

TOLD = ("verification.vocabulary=true", "prompts.verification=recommended")
SHORT = "def evaluate(response):\n    return len(get_words(response)) == 2"


async def test_a_writer_with_a_vocabulary_is_told_of_it_and_its_functions_carry_what_they_call(
    make_tools: MakeTools,
) -> None:
    chat = ScriptedChat(("", [answer(SHORT, ("Hello, world!", True))]))
    [draft] = await write_functions(instruction(), make_tools(*TOLD, chat=chat))
    assert isinstance(draft, Draft)
    [function] = draft.matrix.functions
    assert function.source == carry(SHORT) != SHORT
    assert describe_vocabulary() in chat.requests[0].messages[0][1]


async def test_a_small_model_is_told_of_the_helpers_briefly(make_tools: MakeTools) -> None:
    chat = ScriptedChat(("", [answer(SHORT, ("Hello, world!", True))]))
    told = ("verification.vocabulary=true", "prompts.verification=quickstart_vocabulary")
    await write_functions(instruction(), make_tools(*told, preset="quickstart", chat=chat))
    system = chat.requests[0].messages[0][1]
    assert "\nget_words(text): Words without punctuation\nget_first_word(text): " in system
    assert len(describe_vocabulary(examples=False)) < 0.6 * len(describe_vocabulary())


@pytest.mark.parametrize("prompts", ["paper", "recommended", "quickstart_vocabulary"])
async def test_without_the_setting_no_helper_is_told_of_and_none_is_carried(
    make_tools: MakeTools, prompts: str
) -> None:
    chat = ScriptedChat(("", [answer(SHORT, ("Hello, world!", True))]))
    [draft] = await write_functions(instruction(), make_tools(f"prompts.verification={prompts}", chat=chat))
    assert isinstance(draft, Draft)
    assert draft.matrix.functions[0].source == SHORT
    assert "get_lines(text)" not in chat.requests[0].messages[0][1]


@pytest.mark.parametrize("prompts", ["recommended", "quickstart_vocabulary"])
@pytest.mark.parametrize("analysis", ["none", "field", "text"])
async def test_the_prompt_and_the_schema_ask_for_the_same(make_tools: MakeTools, prompts: str, analysis: str) -> None:
    chat = ScriptedChat(("", [answer(ACCEPT, ("a", True))]))
    settings = (f"verification.analysis={analysis}", "verification.max_analysis_chars=90")
    await write_functions(instruction(), make_tools(f"prompts.verification={prompts}", *settings, chat=chat))
    [request] = chat.requests
    system = request.messages[0][1]
    assert ('{"analysis": "<' in system) == (analysis == "field")
    assert ("After that write one JSON object" in system) == (analysis == "text")
    match analysis:
        case "none":
            assert request.json_schema == answer_schema(3)
        case "field":
            assert request.json_schema is not None
            assert list(cast(dict[str, object], request.json_schema["properties"])) == ["analysis", "func", "cases"]
            assert request.json_schema == answer_schema(3, analysis={"type": "string", "maxLength": 90})
        case "text":
            assert request.json_schema is None


THOUGHTS = [
    answer(ACCEPT, ("a", True)).replace('{"func"', '{"analysis": "Braces { and \\"func\\": in it.", "func"', 1),
    f"A word is what get_words gives, so {{word}} isn't one.\n\n{answer(ACCEPT, ('a', True))}",
    f"Think:\n```python\ndef evaluate(r): return False\n```\nSo:\n```json\n{answer(ACCEPT, ('a', True))}\n```",
]


@pytest.mark.parametrize("text", THOUGHTS)
def test_an_analysis_before_the_object_or_in_it_is_read_over(text: str) -> None:
    draft = read_function_answers(instruction(), completions(text))
    assert isinstance(draft, Draft)
    assert [function.source for function in draft.matrix.functions] == [ACCEPT]
    assert draft.matrix.cases == (Case(input="a", expected=True),)


@pytest.mark.parametrize(
    ("setting", "key"), [("verification.vocabulary=true", "vocabulary"), ("verification.analysis=text", "analysis")]
)
def test_a_prompt_that_says_nothing_of_what_a_setting_asks_for_is_refused(setting: str, key: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"verification\.{key} needs a prompt .* set prompts\.verification=recommended"
    ):
        load_config("paper", [setting])


def test_functions_of_a_vocabulary_are_told_apart_by_the_function_and_not_by_what_they_carry() -> None:
    other = SHORT.replace("2", "3")
    draft = read_function_answers(
        instruction(), completions(answer(SHORT), answer(other), answer(SHORT)), vocabulary=True
    )
    assert isinstance(draft, Draft)
    assert [fold(function.source).splitlines()[-1].strip() for function in draft.matrix.functions] == [
        "return len(get_words(response)) == 2",
        "return len(get_words(response)) == 3",
    ]


async def test_a_helper_that_is_not_there_is_an_error_as_ever(make_tools: MakeTools) -> None:
    source = "def evaluate(response):\n    return bool(get_words(response)) and get_rhymes(response) == []"
    chat = ScriptedChat(("", [answer(source, ("a", True))]))
    async with make_tools(*TOLD).config.sandbox.make_sandbox() as sandbox:
        [draft] = await write_functions(instruction(), make_tools(*TOLD, chat=chat))
        assert isinstance(draft, Draft)
        [outcome] = await sandbox.run(draft.matrix.functions[0].source, ["a"])
    assert outcome.detail == "NameError: name 'get_rhymes' is not defined"
