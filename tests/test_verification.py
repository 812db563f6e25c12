"""Verification functions and cases (§3.2): K answers become one draft, or a counted loss."""

import pytest

from autoif.instructions.verification import answer_schema, read_function_answers, write_functions
from autoif.models.requests import Completion
from autoif.models.scripted import ScriptedChat
from autoif.records import Case, Draft, Dropped, Reason
from conftest import MakeTools
from support.records import ACCEPT, REFUSE, accepts, answer, instruction


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
