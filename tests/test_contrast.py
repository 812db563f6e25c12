"""Contrast: functions are chosen by what they say of answers, with their instruction and without it."""

from collections.abc import Callable, Sequence

import pytest

from autoif.instructions.contrast import choose_functions
from autoif.instructions.cross_validation import cross_validate
from autoif.models.cache import request_key
from autoif.models.requests import Completion, Request
from autoif.probes import load_probes
from autoif.queries.augmentation import augment
from autoif.queries.rejection_sampling import sample_responses
from autoif.records import Dropped, Reason, Verdict, VerifiedInstruction
from autoif.settings import ContrastSettings
from conftest import MakeTools
from support.parts import collect
from support.records import ACCEPT, BROKEN, REFUSE, accepts, draft
from support.scripted import ScriptedChat

QUERIES = ("How do I rest?", "What is rice?", "Who grows salt?", "Why is milk white?", "Where do cats sleep?")
TEA = accepts("tea")
NO_TEA = "def evaluate(response):\n    return 'tea' not in response"
NOT_BLANK = "def evaluate(response):\n    return bool(response.strip())"
CASES = [("tea", True), ("milk", False)]


def is_asked(request: Request) -> bool:
    """Tell whether the instruction of all drafts here is in a prompt."""
    return "Use the word 'tea'." in request.text


def obey(request: Request, index: int) -> str:
    return f"tea {index}" if is_asked(request) else f"milk {index}"


async def choose(
    make_tools: MakeTools,
    functions: Sequence[str],
    *settings: str,
    cases: Sequence[tuple[str, bool]] = CASES,
    answer: Callable[[Request, int], str | Completion] = obey,
) -> tuple[VerifiedInstruction | Dropped, ScriptedChat]:
    chat = ScriptedChat(answer)
    tools = make_tools("contrast.enabled=true", "contrast.queries=5", *settings, chat=chat, queries=QUERIES)
    [result] = await cross_validate(draft(functions, cases), tools)
    return result, chat


async def test_functions_are_kept_for_accepting_what_was_asked_for_and_refusing_what_was_not(
    make_tools: MakeTools,
) -> None:
    functions = [NOT_BLANK, TEA, NO_TEA, ACCEPT, BROKEN, accepts("te")]
    result, _ = await choose(make_tools, functions)
    assert isinstance(result, VerifiedInstruction)
    assert result.kept_functions == (1, 5)
    assert result.contrast is not None
    assert result.contrast.lifts == (0, 1, -1, 0, 0, 1)
    assert result.contrast.chosen_by == "lift"


async def test_cases_that_are_wrong_keep_no_right_function_out(make_tools: MakeTools) -> None:
    result, _ = await choose(make_tools, [TEA, NO_TEA], cases=[("tea", False), ("milk", True), ("no tea", False)])
    assert isinstance(result, VerifiedInstruction)
    assert (result.kept_functions, result.kept_cases) == ((0,), ())


async def test_cases_that_most_of_the_kept_functions_agree_with_are_kept(make_tools: MakeTools) -> None:
    cases = [("tea", True), ("tern", False), ("tea", False)]
    result, _ = await choose(make_tools, [TEA, accepts("te")], "contrast.one_behaviour=false", cases=cases)
    assert isinstance(result, VerifiedInstruction)
    assert result.kept_cases == (0,)


@pytest.mark.parametrize(
    ("settings", "obeying", "kept"),
    [
        (["contrast.lift=>= 0.2"], 1, True),
        (["contrast.lift=> 0.2"], 1, False),
        (["contrast.lift=> 0.2"], 2, True),
    ],
)
async def test_a_function_needs_so_much_lift(
    make_tools: MakeTools, settings: list[str], obeying: int, kept: bool
) -> None:
    result, _ = await choose(
        make_tools,
        [TEA],
        *settings,
        answer=lambda request, index: (
            "tea" if is_asked(request) and any(query in request.text for query in QUERIES[:obeying]) else "milk"
        ),
    )
    assert isinstance(result, VerifiedInstruction) is kept
    if isinstance(result, Dropped):
        assert (result.stage, result.reason, result.detail) == (
            "cross_validation",
            Reason.NO_LIFT,
            "+0.20 at best, of 1 functions",
        )


@pytest.mark.parametrize(("within", "kept"), [("0.2", (0, 1)), ("0.19", (0,))])
async def test_a_function_may_have_so_much_less_lift_than_the_best(
    make_tools: MakeTools, within: str, kept: tuple[int, ...]
) -> None:
    def answer(request: Request, index: int) -> str:
        return obey(request, index) + (" with rice" if "rice" not in request.text else "")

    result, _ = await choose(
        make_tools,
        [TEA, "def evaluate(response):\n    return 'tea' in response and 'rice' in response"],
        f"contrast.within={within}",
        "contrast.one_behaviour=false",
        answer=answer,
    )
    assert isinstance(result, VerifiedInstruction)
    assert result.kept_functions == kept


async def test_a_rule_that_nearly_every_answer_obeys_is_judged_by_its_cases(make_tools: MakeTools) -> None:
    """None of the functions has lift; all accept every answer, and only one knows what breaks the rule."""
    cases = [("milk", True), ("coffee", True), ("tea", False)]
    result, _ = await choose(
        make_tools, [NOT_BLANK, NO_TEA], cases=cases, answer=lambda request, index: f"milk {index}"
    )
    assert isinstance(result, VerifiedInstruction)
    assert (result.kept_functions, result.kept_cases) == ((1,), (0, 1, 2))
    assert result.contrast is not None
    assert result.contrast.chosen_by == "cases"


@pytest.mark.parametrize(("obeying", "kept"), [(2, False), (3, True)])
async def test_without_lift_cases_speak_only_where_enough_answers_obey_unasked(
    make_tools: MakeTools, obeying: int, kept: bool
) -> None:
    result, _ = await choose(
        make_tools,
        [NO_TEA],
        cases=[("milk", True), ("tea", False)],
        answer=lambda request, index: "milk" if any(query in request.text for query in QUERIES[:obeying]) else "tea",
    )
    assert isinstance(result, VerifiedInstruction) is kept


@pytest.mark.parametrize(("obeying", "kept"), [(2, False), (3, True)])
async def test_what_refuses_most_answers_to_its_own_instruction_is_not_kept_for_its_cases(
    make_tools: MakeTools, obeying: int, kept: bool
) -> None:
    """All answers without the instruction obey it, and so many of the five with it."""

    def answer(request: Request, index: int) -> str:
        obeys = any(query in request.text for query in QUERIES[:obeying])
        return "milk" if obeys or not is_asked(request) else "tea"

    result, _ = await choose(make_tools, [NO_TEA], cases=[("milk", True), ("tea", False)], answer=answer)
    assert isinstance(result, VerifiedInstruction) is kept


@pytest.mark.parametrize(("wrong", "kept"), [(1, True), (2, False)])
async def test_without_lift_nearly_all_cases_must_vouch_for_a_function(
    make_tools: MakeTools, wrong: int, kept: bool
) -> None:
    cases = [("tea", False), *((f"milk {number}", True) for number in range(5 - wrong - 1))]
    cases += [(f"salt {number}", False) for number in range(wrong)]
    result, _ = await choose(make_tools, [NO_TEA], cases=cases, answer=lambda request, index: f"milk {index}")
    assert isinstance(result, VerifiedInstruction) is kept


async def test_of_functions_with_lift_that_differ_the_behaviour_that_cases_speak_for_is_kept(
    make_tools: MakeTools,
) -> None:
    """Three functions have all the lift there is: two accept tears for tea, and the cases know better."""
    functions = [accepts("te"), accepts("t"), accepts("tea ")]
    cases = [("tea please", True), ("tears", False), ("tent", False), ("ten", False)]
    result, _ = await choose(make_tools, functions, cases=cases)
    assert isinstance(result, VerifiedInstruction)
    assert result.kept_functions == (2,)
    every, _ = await choose(make_tools, functions, "contrast.one_behaviour=false", cases=cases)
    assert isinstance(every, VerifiedInstruction)
    assert every.kept_functions == (0, 1, 2)


async def test_what_is_dropped_for_want_of_lift_keeps_its_answers_and_verdicts(make_tools: MakeTools) -> None:
    result, _ = await choose(make_tools, [NO_TEA])
    assert isinstance(result, Dropped)
    record = Dropped.model_validate_json(result.model_dump_json()).record
    assert isinstance(record, VerifiedInstruction)
    assert record.kept_functions == ()
    assert record.contrast is not None
    assert [answer.text for answer in record.contrast.asked] == ["tea 0"] * 5
    assert [answer.text for answer in record.contrast.plain] == [""] * 5
    assert record.contrast.asked_verdicts == ((Verdict.FAIL,) * 5,)
    assert record.contrast.plain_verdicts == ((Verdict.PASS,) * 5,)
    assert result.record_id == record.instruction.id


async def test_functions_that_say_the_same_of_every_text_are_dropped_for_that(make_tools: MakeTools) -> None:
    result, _ = await choose(make_tools, [ACCEPT, REFUSE])
    assert isinstance(result, Dropped)
    assert (result.stage, result.reason) == ("cross_validation", Reason.ONE_SIDED_FUNCTIONS)


@pytest.mark.parametrize("cut", [True, False])
async def test_without_a_whole_answer_of_a_kind_there_is_nothing_to_choose_by(make_tools: MakeTools, cut: bool) -> None:
    """All answers of one kind are cut, and the first of the other kind is empty."""

    def answer(request: Request, index: int) -> str | Completion:
        if is_asked(request) is cut:
            return Completion("tea", "length")
        return "" if "rest" in request.text else "milk"

    result, _ = await choose(make_tools, [TEA], answer=answer)
    assert isinstance(result, Dropped)
    assert (result.reason, result.detail) == (
        Reason.TRUNCATED,
        "no answer to choose functions by: cut off at max_tokens",
    )


async def test_another_threshold_can_be_tried_on_what_was_stored(make_tools: MakeTools) -> None:
    dropped, _ = await choose(
        make_tools,
        [TEA, NO_TEA],
        "contrast.lift=> 0.2",
        answer=lambda request, index: "tea" if is_asked(request) and "rice" in request.text else "milk",
    )
    assert isinstance(dropped, Dropped)
    assert dropped.reason is Reason.NO_LIFT
    stored = Dropped.model_validate_json(dropped.model_dump_json()).record
    assert isinstance(stored, VerifiedInstruction)
    assert stored.contrast is not None
    chosen = choose_functions(stored.matrix, (0, 1), stored.contrast, ContrastSettings(lift=">= 0.2"))
    assert (chosen.functions, chosen.by) == ((0,), "lift")


async def test_answers_that_are_not_whole_have_no_say(make_tools: MakeTools) -> None:
    def answer(request: Request, index: int) -> str | Completion:
        return Completion("te", "length") if "rice" in request.text else obey(request, index)

    result, _ = await choose(make_tools, [TEA], answer=answer)
    assert isinstance(result, VerifiedInstruction)
    assert result.contrast is not None
    assert (len(result.contrast.asked), len(result.contrast.plain)) == (4, 4)


async def test_the_answers_asked_for_are_the_first_of_rejection_sampling(make_tools: MakeTools) -> None:
    """The same requests, so that the run's completions answer them the second time."""
    result, chat = await choose(make_tools, [TEA])
    assert isinstance(result, VerifiedInstruction)
    keys = {request_key(request, "model"): request for request in chat.requests}
    sampling = ScriptedChat(obey)
    tools = make_tools(
        "contrast.enabled=true", "augmentation.queries_per_instruction=5", chat=sampling, queries=QUERIES
    )
    await collect(sample_responses(await augment(result, tools), tools))  # type: ignore[arg-type]
    later = {request_key(request, "model"): request for request in sampling.requests}
    assert len(later) == 5
    assert later.keys() <= keys.keys()
    assert {key for key, request in keys.items() if is_asked(request)} == later.keys()
    assert {request.samples for request in later.values()} == {8}
    assert {request.samples for request in keys.values()} == {1}
    assert {request.stage for request in keys.values()} == {"contrast"}


async def test_other_functions_ask_for_the_same_answers(make_tools: MakeTools) -> None:
    _, one = await choose(make_tools, [TEA])
    _, other = await choose(make_tools, [NOT_BLANK, accepts("te")])
    assert one.requests == other.requests


async def test_answers_without_the_instruction_are_shared_by_all_instructions(make_tools: MakeTools) -> None:
    _, chat = await choose(make_tools, [TEA])
    plain = [request for request in chat.requests if not is_asked(request)]
    assert sorted(request.messages[-1][1] for request in plain) == sorted(QUERIES)
    tools = make_tools(
        "contrast.enabled=true", "contrast.queries=5", chat=(second := ScriptedChat(obey)), queries=QUERIES
    )
    other = draft([TEA], CASES)
    renamed = other.instruction.model_copy(update={"id": "another", "text": "Use the word 'tea'. Twice."})
    await cross_validate(other.model_copy(update={"instruction": renamed}), tools)
    again = [request for request in second.requests if not is_asked(request)]
    assert {request_key(each, "model") for each in again} == {request_key(each, "model") for each in plain}


async def test_another_role_may_answer(make_tools: MakeTools) -> None:
    _, chat = await choose(make_tools, [TEA], "contrast.role=writer", "contrast.responses_per_query=2")
    assert {(request.role, request.samples) for request in chat.requests} == {("writer", 2)}


async def test_without_contrast_no_answer_is_asked_and_no_row_speaks_of_it(make_tools: MakeTools) -> None:
    result, chat = await choose(make_tools, [TEA], "contrast.enabled=false")
    assert isinstance(result, VerifiedInstruction)
    assert chat.requests == []
    assert "contrast" not in result.model_dump()


async def test_two_sided_functions_need_no_two_sided_cases(make_tools: MakeTools) -> None:
    """The writer's cases all obey; probes tell the function that looks from those that say the same of every text."""
    functions, cases = [accepts("e"), ACCEPT, REFUSE], [("tea", True), ("tree", True)]
    settings = ["contrast.enabled=false", "cross_validation.two_sided=true"]
    result, _ = await choose(make_tools, functions, *settings, cases=cases)
    assert isinstance(result, VerifiedInstruction)
    assert result.kept_functions == (0,)
    dropped, _ = await choose(make_tools, functions[1:], *settings, cases=cases)
    assert isinstance(dropped, Dropped)
    assert dropped.reason is Reason.ONE_SIDED_FUNCTIONS
    old, _ = await choose(make_tools, functions, *settings, "cross_validation.both_outcomes=true", cases=cases)
    assert isinstance(old, Dropped)
    assert old.reason is Reason.ONE_SIDED_CASES


async def test_probes_run_only_on_functions_that_cases_do_not_show_to_be_two_sided(make_tools: MakeTools) -> None:
    settings = ["contrast.enabled=false", "cross_validation.two_sided=true"]
    tools = make_tools(*settings)
    before = tools.sandbox.verdicts
    await cross_validate(draft([TEA, NOT_BLANK], CASES), tools)
    assert tools.sandbox.verdicts - before == 2 * len(CASES) + len(load_probes())


async def test_a_function_that_hangs_on_a_case_gets_no_probe(make_tools: MakeTools) -> None:
    """Two seconds for each of some 500 probes would be a quarter of an hour a function."""
    tools = make_tools("contrast.enabled=false", "cross_validation.two_sided=true")
    before = tools.sandbox.verdicts
    hanging = "import time\ndef evaluate(response): time.sleep(60)"
    await cross_validate(draft([hanging], [("tea", True)]), tools)
    assert tools.sandbox.verdicts - before == 1
