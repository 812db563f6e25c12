"""Response sampling and verification (§3.3): the pass rate at its boundary, and what is dropped before that."""

import asyncio
from collections.abc import Callable

import pytest

from autoif.config import presets
from autoif.errors import ModelError
from autoif.models.requests import Completion, Request
from autoif.pipeline import Shard, run_shard
from autoif.queries.rejection_sampling import sample_responses, verify_responses
from autoif.records import Dropped, Prompt, Reason, Response, Verdict
from conftest import MakeTools
from support.parts import collect
from support.records import ACCEPT, RAISE, REFUSE, accepts, prompt, verified
from support.scripted import ScriptedChat


async def sample(
    make_tools: MakeTools,
    asked: Prompt,
    *answers: str | Completion,
    preset: str = "paper",
    settings: tuple[str, ...] = (),
) -> list[Response | Dropped]:
    chat = ScriptedChat(lambda request, index: answers[index])
    count = f"rejection_sampling.responses_per_prompt={len(answers)}"
    return await collect(sample_responses([asked], make_tools(count, *settings, preset=preset, chat=chat)))


@pytest.mark.parametrize(
    ("preset", "passing", "functions", "kept"),
    [
        ("paper", 1, 2, False),
        ("paper", 2, 3, True),
        ("paper", 1, 1, True),
        ("paper", 0, 1, False),
        ("released", 1, 8, True),
        ("released", 0, 8, False),
    ],
)
async def test_a_response_is_kept_if_enough_functions_accept_it(
    make_tools: MakeTools, preset: str, passing: int, functions: int, kept: bool
) -> None:
    sources = [f"{ACCEPT}  # {number}" for number in range(passing)]
    sources += [f"{REFUSE}  # {number}" for number in range(functions - passing)]
    [result] = await sample(make_tools, prompt(sources), "Tea.", preset=preset)
    assert isinstance(result, Response) is kept


async def test_every_verdict_is_kept_and_the_pass_rate_is_their_share(make_tools: MakeTools) -> None:
    asked = prompt([accepts("tea"), accepts("milk"), RAISE, ACCEPT])
    [both, none] = await sample(make_tools, asked, "tea with milk", "water")
    assert isinstance(both, Response)
    assert both.verdicts == (Verdict.PASS, Verdict.PASS, Verdict.ERROR, Verdict.PASS)
    assert both.pass_rate == 0.75
    assert isinstance(none, Dropped)
    assert (none.stage, none.reason, none.detail) == ("rejection_sampling", Reason.FAILED_FUNCTIONS, "1 of 4 functions")
    refused = none.record
    assert refused.verdicts == (Verdict.FAIL, Verdict.FAIL, Verdict.ERROR, Verdict.PASS)
    assert (refused.pass_rate, none.record_id) == (0.25, refused.id)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", Reason.EMPTY),
        (" \n ", Reason.EMPTY),
        (Completion("Tea is", "length"), Reason.TRUNCATED),
        (Completion("", "length"), Reason.TRUNCATED),
        (Completion("", "refused"), Reason.REFUSED_BY_MODEL),
        (Completion("I can't help.", "refused"), Reason.REFUSED_BY_MODEL),
        (Completion("", "stop", reasoning="Tea?"), Reason.ONLY_REASONING),
        (Completion("", "length", reasoning="Tea?"), Reason.TRUNCATED),
        ("tea " * 25_000, Reason.TOO_LONG),
        ("\x00\x01 tea", Reason.NOT_TEXT),
        ("茶是一种饮料。", Reason.WRONG_LANGUAGE),
        ("Чай — это напиток.", Reason.WRONG_LANGUAGE),
    ],
)
async def test_what_is_no_answer_is_dropped_before_any_function_sees_it(
    make_tools: MakeTools, answer: str | Completion, reason: Reason
) -> None:
    [result] = await sample(make_tools, prompt([ACCEPT]), answer)
    assert isinstance(result, Dropped)
    assert result.reason is reason
    assert result.record.verdicts == ()


async def test_a_refusal_keeps_the_servers_words(make_tools: MakeTools) -> None:
    [result] = await sample(make_tools, prompt([ACCEPT]), Completion("", "refused", detail="tea is not allowed"))
    assert isinstance(result, Dropped)
    assert result.detail == "tea is not allowed"


async def test_a_copy_of_an_earlier_response_is_dropped(make_tools: MakeTools) -> None:
    results = await sample(make_tools, prompt([ACCEPT]), "Tea.", "Milk.", " Tea.\n", "Milk.")
    assert [getattr(result, "reason", None) for result in results] == [
        None,
        None,
        Reason.DUPLICATE_RESPONSE,
        Reason.DUPLICATE_RESPONSE,
    ]


async def test_the_results_are_in_the_order_of_the_samples(make_tools: MakeTools) -> None:
    results = await sample(make_tools, prompt([accepts("tea")]), "", "tea", "milk", "tea", "more tea")
    reasons = [None if isinstance(result, Response) else result.reason for result in results]
    assert reasons == [Reason.EMPTY, None, Reason.FAILED_FUNCTIONS, Reason.DUPLICATE_RESPONSE, None]
    assert [result.index for result in results if isinstance(result, Response)] == [1, 4]


@pytest.mark.parametrize(
    "query",
    [
        "How do I say tea in Chinese?",
        "Translate 'tea', please.",
        "Was heißt Tee?",
        "什么是茶？",
        "Write π as a formula.",
    ],
)
async def test_another_script_is_no_fault_where_the_prompt_may_want_it(make_tools: MakeTools, query: str) -> None:
    [result] = await sample(make_tools, prompt([ACCEPT], query), "茶是一种饮料。")
    assert isinstance(result, Response)


@pytest.mark.parametrize(
    ("query", "answer", "kept"),
    [
        ("Что такое чай?", "Чай — это напиток.", True),
        ("Что такое чай?", "Tea is a drink.", True),
        ("Что такое чай?", "茶是一种饮料。", False),
        ("Как будет чай по-китайски?", "茶", True),
        ("什么是茶？", "Чай — это напиток.", False),
        ("用日语怎么说茶？", "お茶です。", True),
        ("Is tea “good” for me 🙂?", "茶是一种饮料。", False),
    ],
)
async def test_a_response_may_use_the_scripts_of_its_prompt(
    make_tools: MakeTools, query: str, answer: str, kept: bool
) -> None:
    [result] = await sample(make_tools, prompt([ACCEPT], query), answer)
    assert isinstance(result, Response) is kept
    assert kept or result.reason is Reason.WRONG_LANGUAGE


@pytest.mark.parametrize(("length", "kept"), [(50, True), (51, False)])
async def test_a_response_may_have_max_chars(make_tools: MakeTools, length: int, kept: bool) -> None:
    [result] = await sample(make_tools, prompt([ACCEPT]), "x" * length, settings=("rejection_sampling.max_chars=50",))
    assert isinstance(result, Response) is kept


async def test_the_responder_sees_the_prompt_and_is_told_to_follow_the_rule(make_tools: MakeTools) -> None:
    chat = ScriptedChat(("", ["Tea."]))
    asked = prompt([ACCEPT])
    await collect(sample_responses([asked], make_tools(chat=chat)))
    [request] = chat.requests
    assert (request.role, request.stage, request.samples, request.temperature) == (
        "responder",
        "rejection_sampling",
        8,
        0.8,
    )
    assert request.messages == make_tools().config.prompts.responder.fill(prompt=asked.text)
    assert "strictly" in request.messages[0][1]
    assert request.messages[1] == ("user", asked.text)


@pytest.mark.parametrize("preset", presets())
async def test_only_quickstart_asks_for_a_short_answer(make_tools: MakeTools, preset: str) -> None:
    chat = ScriptedChat(("", ["Tea."]))
    await collect(sample_responses([prompt([ACCEPT])], make_tools(preset=preset, chat=chat)))
    assert ("Keep the answer short" in chat.requests[0].text) is (preset == "quickstart")


async def test_a_response_is_named_by_its_prompt_its_place_and_its_text(make_tools: MakeTools) -> None:
    first = await sample(make_tools, prompt([ACCEPT]), "Tea.", "Milk.")
    again = await sample(make_tools, prompt([ACCEPT]), "Tea.", "Milk.")
    other = await sample(make_tools, prompt([ACCEPT], "What is tea made of?"), "Tea.")
    ids = [result.id for result in (*first, *other) if isinstance(result, Response)]
    assert first == again
    assert len(set(ids)) == 3


async def test_a_function_that_hangs_costs_its_own_verdicts_only(make_tools: MakeTools) -> None:
    hangs = "import time\ndef evaluate(response):\n    return response != 'tea' or time.sleep(60)"
    [tea, milk] = await sample(make_tools, prompt([ACCEPT, hangs, f"{ACCEPT}  # 2"]), "tea", "milk")
    assert isinstance(tea, Response)
    assert isinstance(milk, Response)
    assert tea.verdicts == (Verdict.PASS, Verdict.TIMEOUT, Verdict.PASS)
    assert milk.verdicts == (Verdict.PASS,) * 3


async def test_no_responses_and_no_functions_are_no_error(make_tools: MakeTools) -> None:
    assert await verify_responses([], make_tools()) == []
    [result] = await sample(make_tools, prompt([]), "Tea.")
    assert isinstance(result, Dropped)
    assert (result.reason, result.detail) == (Reason.FAILED_FUNCTIONS, "0 of 0 functions")


@pytest.mark.parametrize(("preset", "kept"), [("paper", 24 - 8), ("quickstart", 0)])
async def test_a_function_gets_the_responses_to_all_prompts_of_an_instruction_in_one_call(
    make_tools: MakeTools, preset: str, kept: int
) -> None:
    """The function counts what it sees in a call; in quickstart that is the four responses to one prompt."""
    counts = "seen = []\ndef evaluate(response):\n    seen.append(response)\n    return len(seen) > 8"
    tools = make_tools(
        "rejection_sampling.responses_per_prompt=4",
        "augmentation.queries_per_instruction=6",
        preset=preset,
        chat=ScriptedChat(lambda request, index: f"Tea {index}"),
        queries=[f"What is {name}?" for name in ("tea", "rice", "salt", "milk", "bread", "soup")],
    )
    prompts, sampled, _ = (await run_shard(Shard("queries", 0, (verified([counts]),)), tools)).stages
    assert (len(sampled.kept), len(sampled.dropped), sampled.entered) == (kept, 24 - kept, 6)
    order = [prompt.id for prompt in prompts.kept]
    assert [(order.index(each.prompt.id), each.index) for each in sampled.kept] == [
        divmod(number, 4) for number in range(24 - kept, 24) if kept
    ]


QUERIES = ("How do I make tea?", "What is rice?", "Who grows salt?", "Why is milk white?")


async def stop_early(
    make_tools: MakeTools, answers: Callable[[Request, int], str], *settings: str
) -> tuple[list[Response | Dropped], ScriptedChat]:
    """Sample two responses to each of four prompts of an instruction that wants tea."""
    chat = ScriptedChat(answers)
    tools = make_tools("rejection_sampling.responses_per_prompt=2", *settings, chat=chat)
    return await collect(sample_responses([prompt([accepts("tea")], query) for query in QUERIES], tools)), chat


async def test_with_early_stop_an_instruction_none_of_whose_first_responses_passes_asks_for_no_more(
    make_tools: MakeTools,
) -> None:
    results, chat = await stop_early(
        make_tools, lambda request, index: f"Water {index}.", "rejection_sampling.stop_after_prompts=3"
    )
    assert [request.samples for request in chat.requests] == [1, 1, 1]
    tried, unasked = Reason.FAILED_FUNCTIONS, Reason.NO_RESPONSE_PASSES
    assert [result.reason for result in results if isinstance(result, Dropped)] == [
        *(tried, unasked), *(tried, unasked), *(tried, unasked), *(unasked, unasked),
    ]  # fmt: skip
    assert len({result.record_id for result in results if isinstance(result, Dropped)}) == len(QUERIES) * 2
    said = "not asked for: none of the first 3 responses to the instruction passes (failed functions 3)"
    assert results[1].detail == said


@pytest.mark.parametrize(("refused", "stops"), [(2, True), (3, False), (4, False)])
async def test_what_a_server_refuses_or_cuts_says_nothing_of_the_functions_and_stops_no_instruction(
    make_tools: MakeTools, refused: int, stops: bool
) -> None:
    chat = ScriptedChat(
        lambda request, index: (
            Completion("", "refused", detail="no")
            if any(query in request.text for query in QUERIES[:refused])
            else f"Water {index}."
        )
    )
    tools = make_tools(
        "rejection_sampling.responses_per_prompt=2", "rejection_sampling.stop_after_prompts=4", chat=chat
    )
    results = await collect(sample_responses([prompt([accepts("tea")], query) for query in QUERIES], tools))
    reasons = [result.reason for result in results if isinstance(result, Dropped)]
    assert (Reason.NO_RESPONSE_PASSES in reasons) is stops
    assert len(reasons) == 8


@pytest.mark.parametrize("passing", [("What is rice?", 0), ("Who grows salt?", 1)])
async def test_one_passing_response_among_the_first_leaves_the_results_as_they_are_without_early_stop(
    make_tools: MakeTools, passing: tuple[str, int]
) -> None:
    def answer(request: Request, index: int) -> str:
        return f"tea {index}" if (request.messages[-1][1].split("?")[0] + "?", index) == passing else f"water {index}"

    plain, chat = await stop_early(make_tools, answer)
    stopped, again = await stop_early(
        make_tools,
        answer,
        "rejection_sampling.stop_after_prompts=3",
        f"rejection_sampling.stop_after_responses={passing[1] + 1}",
    )
    assert stopped == plain
    seeds = {(request.messages, request.seed) for request in chat.requests}
    assert {(request.messages, request.seed) for request in again.requests} == seeds


async def test_early_stop_sees_all_prompts_of_an_instruction_however_few_go_together(make_tools: MakeTools) -> None:
    """The only response that passes is the last but one; prompts of quickstart go one by one."""
    tools = make_tools(
        "augmentation.queries_per_instruction=4",
        "rejection_sampling.stop_after_prompts=4",
        "scoring.enabled=false",
        preset="quickstart",
        chat=ScriptedChat(lambda request, index: "tea" if "salt" in request.text else f"water {index}"),
        queries=QUERIES,
    )
    _, sampled, _ = (await run_shard(Shard("queries", 0, (verified([accepts("tea")]),)), tools)).stages
    assert (len(sampled.kept), len(sampled.dropped), sampled.entered) == (1, 15, 4)


@pytest.mark.parametrize("stops", [0, 2])
async def test_the_first_prompts_responses_are_judged_while_later_ones_are_being_written(
    make_tools: MakeTools, stops: int
) -> None:
    handed_on, asked = asyncio.Event(), list[str]()

    class Slow(ScriptedChat):
        async def sample(self, request: Request) -> list[Completion]:
            if request.role == "judge":
                handed_on.set()
            elif "salt" in request.text and request.samples > 1:
                await asyncio.wait_for(handed_on.wait(), 20)
            asked.append(request.role)
            return await super().sample(request)

    tools = make_tools(
        "augmentation.queries_per_instruction=4",
        f"rejection_sampling.stop_after_prompts={stops}",
        preset="quickstart",
        chat=Slow(lambda request, index: "yes" if request.role == "judge" else f"tea {index}"),
        queries=QUERIES,
    )
    _, sampled, scored = (await run_shard(Shard("queries", 0, (verified([accepts("tea")]),)), tools)).stages
    assert asked.index("judge") < len(asked) - 1 - asked[::-1].index("responder")
    assert len(sampled.kept) == 16 == len(scored.kept) + len(scored.dropped)


async def test_where_one_prompt_fails_the_answers_to_the_others_are_waited_for(make_tools: MakeTools) -> None:
    answered = list[str]()

    class Failing(ScriptedChat):
        async def sample(self, request: Request) -> list[Completion]:
            if QUERIES[0] in request.text:  # the first that is waited for
                raise ModelError("the server is gone")
            await asyncio.sleep(0.05)
            answered.append(request.text)
            return await super().sample(request)

    chat = Failing(lambda request, index: f"tea {index}")
    tools = make_tools("rejection_sampling.prompts_together=1", chat=chat)
    with pytest.raises(ModelError, match="gone"):
        await collect(sample_responses([prompt([accepts("tea")], query) for query in QUERIES], tools))
    assert len(answered) == len(QUERIES) - 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("!!!", Reason.EMPTY),
        ("How do I make tea for two? Use the word 'tea'.", Reason.COPIED),
        ("How do I make tea for two?", Reason.COPIED),
        ("tea and more tea " * 30, Reason.DEGENERATE),
        ("Boil water, and pour it over the leaves.", None),
    ],
)
async def test_with_the_gate_what_passes_without_an_answer_is_dropped_with_its_verdicts(
    make_tools: MakeTools, answer: str, reason: Reason | None
) -> None:
    [plain] = await sample(make_tools, prompt([ACCEPT]), answer)
    assert isinstance(plain, Response)
    [gated] = await sample(make_tools, prompt([ACCEPT]), answer, settings=("rejection_sampling.gate=true",))
    assert (gated.reason if isinstance(gated, Dropped) else None) is reason
    if isinstance(gated, Dropped):
        assert gated.record == plain


async def test_what_functions_refuse_stays_a_negative_whatever_the_gate_says(make_tools: MakeTools) -> None:
    [result] = await sample(make_tools, prompt([REFUSE]), "!!!", settings=("rejection_sampling.gate=true",))
    assert isinstance(result, Dropped)
    assert result.reason is Reason.FAILED_FUNCTIONS
