"""Quality verification (§3.3): the score as judges write it, and the mean at its boundary in both presets."""

import math

import pytest

from autoif.config import presets
from autoif.models.requests import Completion
from autoif.queries.scoring import answer_schema, read_yes_or_no, score
from autoif.records import Dropped, Reason, Response
from conftest import MakeTools
from support.records import response
from support.scripted import ScriptedChat


async def judge(make_tools: MakeTools, *answers: str | Completion, preset: str = "paper") -> Response | Dropped:
    chat = ScriptedChat(lambda request, index: answers[index])
    [result] = await score(
        response("A pot of tea."), make_tools(f"scoring.samples={len(answers)}", preset=preset, chat=chat)
    )
    return result


@pytest.mark.parametrize(
    ("preset", "answers", "kept"),
    [
        ("paper", ("Score: 8",), True),
        ("paper", ("Score: 7.9",), False),
        ("paper", ("Score: 9", "Score: 7"), True),
        ("paper", ("Score: 9", "Score: 6"), False),
        ("released", ("Score: 8",), False),
        ("released", ("Score: 8.1",), True),
        ("released", ("Score: 9", "Score: 7"), False),
        ("released", ("Score: 9", "Score: 8"), True),
    ],
)
async def test_the_mean_of_the_scores_decides(
    make_tools: MakeTools, preset: str, answers: tuple[str, ...], kept: bool
) -> None:
    result = await judge(make_tools, *answers, preset=preset)
    assert isinstance(result, Response) is kept


async def test_what_is_kept_has_its_scores_and_what_the_judge_wrote(make_tools: MakeTools) -> None:
    result = await judge(make_tools, "Good.\nScore: 9 ", "So-so.\nScore: 8")
    assert isinstance(result, Response)
    assert result.quality is not None
    assert (result.quality.scores, result.quality.mean) == ((9, 8), 8.5)
    assert result.quality.analyses == ("Good.\nScore: 9", "So-so.\nScore: 8")


async def test_a_score_that_cannot_be_read_does_not_count_as_nought(make_tools: MakeTools) -> None:
    result = await judge(make_tools, "Score: 9", "I can't say.", "Score: 9")
    assert isinstance(result, Response)
    assert result.quality is not None
    assert (result.quality.scores, len(result.quality.analyses)) == ((9, 9), 3)


async def test_low_quality_is_dropped_with_its_mean(make_tools: MakeTools) -> None:
    result = await judge(make_tools, "Score: 7", "Score: 8")
    assert isinstance(result, Dropped)
    assert (result.stage, result.reason, result.detail) == ("scoring", Reason.LOW_QUALITY, "mean 7.5 of 2 scores")
    kept = result.record
    assert kept.quality is not None


@pytest.mark.parametrize("answer", ["x" * 100_000, "\x00\x01", "很好。"])
async def test_an_answer_without_a_score_is_dropped_as_such(make_tools: MakeTools, answer: str | Completion) -> None:
    result = await judge(make_tools, answer)
    assert isinstance(result, Dropped)
    assert result.reason is Reason.NO_SCORE
    assert len(result.detail) <= 200


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (Completion("", "refused", detail="no medical advice"), Reason.REFUSED_BY_MODEL, "no medical advice"),
        (Completion("Score: 9", "refused"), Reason.REFUSED_BY_MODEL, "refused without a reason"),
        (Completion("A score of 9 would be", "length"), Reason.TRUNCATED, "cut off at max_tokens"),
        (Completion("", "length", reasoning="Score: 9"), Reason.TRUNCATED, "in its thought"),
        (Completion("", "stop", reasoning="Score: 9"), Reason.ONLY_REASONING, "a thought of 8 characters"),
        ("", Reason.EMPTY, "an empty answer"),
    ],
)
async def test_the_fault_of_a_judges_answer_is_the_reason_and_no_score_is_read_from_it(
    make_tools: MakeTools, answer: str | Completion, reason: Reason, words: str
) -> None:
    for answers in ((answer,), ("I can't say.", answer)):
        result = await judge(make_tools, *answers)
        assert isinstance(result, Dropped)
        assert result.reason is reason
        assert words in result.detail


async def test_a_score_before_the_cut_counts(make_tools: MakeTools) -> None:
    result = await judge(make_tools, Completion("Score: 9\nIt answers the questi", "length"))
    assert isinstance(result, Response)


@pytest.mark.parametrize("preset", presets())
async def test_only_quickstarts_judge_says_yes_or_no_and_sees_no_instruction(
    make_tools: MakeTools, preset: str
) -> None:
    chat = ScriptedChat(("A {pot} of tea", ["Score: 9"]))
    await score(response("A {pot} of tea."), make_tools(preset=preset, chat=chat))
    [request] = chat.requests
    assert (request.role, request.stage, request.samples, request.temperature) == ("judge", "scoring", 1, 0)
    assert "How do I make tea for two?" in request.messages[1][1]
    assert ("Instruction: Use the word 'tea'." in request.messages[1][1]) is (preset != "quickstart")
    assert request.json_schema is None
    assert (request.top_logprobs, request.max_tokens) == ((5, 100) if preset == "quickstart" else (0, 1024))


def log(**probabilities: float) -> tuple[tuple[str, float], ...]:
    """Write the probabilities of first tokens as a server does; a word in capitals is one after a blank."""
    return tuple(
        (f" {token.capitalize()}" if token.isupper() else token, math.log(share))
        for token, share in probabilities.items()
    )


@pytest.mark.parametrize(
    ("completion", "found"),
    [
        (Completion("Yes", "stop", logprobs=log(yes=0.6, YES=0.3, no=0.1)), 9.0),
        (Completion("Yes", "length", logprobs=log(yes=0.6, no=0.2, maybe=0.2)), 7.5),
        (Completion("No", "stop", logprobs=log(no=0.99)), 0.0),
        (Completion("yes", "stop", reasoning="Hm.", logprobs=log(think=0.98, no=0.001)), 10.0),
        (Completion("**No**, it doesn't.", "stop"), 0.0),
        (Completion("Yes, and no.", "length"), 10.0),
        (Completion('{"analysis": "It answers.", "score": 9}', "stop"), 9),
        (Completion("Nobody knows.", "stop"), None),
        (Completion("Yesterday", "stop"), None),
        (Completion("yes", "refused", logprobs=log(yes=1.0)), None),
    ],
)
def test_how_sure_the_judge_is_of_yes_is_the_score_or_else_what_it_says(
    completion: Completion, found: float | None
) -> None:
    assert read_yes_or_no(completion) == found


@pytest.mark.parametrize(("share", "kept"), [(0.9, True), (0.8989, False)])
async def test_quickstart_keeps_what_its_judge_says_yes_to_with_nine_tenths(
    make_tools: MakeTools, share: float, kept: bool
) -> None:
    completion = Completion("yes", "stop", logprobs=log(yes=share, no=1 - share))
    result = await judge(make_tools, completion, preset="quickstart")
    assert isinstance(result, Response) is kept


async def test_an_answer_in_json_is_held_to_its_form(make_tools: MakeTools) -> None:
    chat = ScriptedChat(("A pot of tea", ["Score: 9"]))
    limits = ("scoring.answer=json", "scoring.max_analysis_chars=160")
    await score(response("A pot of tea."), make_tools(*limits, chat=chat))
    assert chat.requests[0].json_schema == answer_schema(160)


def test_an_analysis_is_as_long_as_it_gets_unless_it_is_limited() -> None:
    assert "maxLength" not in str(answer_schema(0))
    assert "'maxLength': 160" in str(answer_schema(160))


async def test_switched_off_it_asks_nobody_and_passes_everything_on(make_tools: MakeTools) -> None:
    passed = response("A pot of tea.")
    assert await score(passed, make_tools("scoring.enabled=false", chat=ScriptedChat())) == [passed]
    assert passed.quality is None
