"""Quality verification (§3.3): the score as judges write it, and the mean at its boundary in both presets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.models.requests import Completion
from autoif.models.scripted import ScriptedChat
from autoif.queries.scoring import SCHEMA, SYSTEM, read_score, score
from autoif.records import Dropped, Reason, Response
from conftest import MakeTools
from examples import response


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Score: 8", 8),
        ("Score: 8  \n\n", 8),
        ("Score: 8.", 8),
        ("Score: 8.5", 8.5),
        ("Score: 8,5", 8.5),
        ("Score:10", 10),
        ("Score: 0", 0),
        ("score - 7", 7),
        ("SCORE = 7", 7),
        ("**Score: 9**", 9),
        ("**Score:** 9", 9),
        ("## Score: 9", 9),
        ("`Score: 9`", 9),
        ("Score: [9]", 9),
        ("Score: 9/10", 9),
        ("Score: 9 / 10", 9),
        ("Score: 9.0/10.0", 9),
        ("Score: 7 out of 10", 7),
        ("I would give it a score of 7 out of 10.", 7),
        ("The score is 7.", 7),
        ("Final rating: 6", 6),
        ("Grade: 6", 6),
        ("Score: 85/100", 8.5),
        ("Score: 4/5", 8),
        ("8", 8),
        ("It answers.\n8/10", 8),
        ("It answers.\n**8**", 8),
        ("It answers.\n8 points", 8),
        ('{"analysis": "It answers the question.", "score": 9}', 9),
        ('{"analysis": "A score of 3 goals.",\n "score": 9\n}', 9),
        ('{"score": 9, "analysis": "It has a rating of 2 stars."}', 9),
        ('{"analysis": "Good.", "score": "9/10"}', 9),
        ("{'analysis': 'Good.', 'score': 8.5}", 8.5),
        ('{"analysis": "Good.", "score": 90}', None),
        ("Score: 3\nOn reflection:\nScore: 7", 7),
        ("The score could be 3, but my score is 7", 7),
        ("It has 3 errors.\nScore: 7\nThank you.", 7),
        ("", None),
        ("Good.", None),
        ("It lists 3 of 10 planets.", None),
        ("Score: high", None),
        ("Score: 11", None),
        ("Score: 85", None),
        ("Score: -3", None),
        ("Score: 12/10", None),
        ("Score: 5/0", None),
        ("Score: 1234", None),
        ("2024-05-06", None),
        ("第一，回答很好。", None),
    ],
)
def test_the_score_is_read_as_models_write_it(text: str, value: float | None) -> None:
    assert read_score(text) == value


@given(st.text())
def test_no_text_raises_and_every_score_is_in_range(text: str) -> None:
    found = read_score(text)
    assert found is None or 0 <= found <= 10


@given(st.integers(0, 100), st.text(st.characters(exclude_categories=["N", "C"]), max_size=40))
def test_a_score_on_the_last_line_is_read_whatever_the_analysis(tenths: int, analysis: str) -> None:
    assert read_score(f"{analysis}\nScore: {tenths / 10:g}") == tenths / 10


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
    kept = Response.model_validate(result.record)
    assert kept.quality is not None


@pytest.mark.parametrize("answer", ["", "x" * 100_000, "\x00\x01", "很好。", Completion("", "refused")])
async def test_an_answer_without_a_score_is_dropped_as_such(make_tools: MakeTools, answer: str | Completion) -> None:
    result = await judge(make_tools, answer)
    assert isinstance(result, Dropped)
    assert result.reason is Reason.NO_SCORE
    assert len(result.detail) <= 200


async def test_the_judge_sees_query_and_response_but_not_the_instruction(make_tools: MakeTools) -> None:
    chat = ScriptedChat(("A {pot} of tea", ["Score: 9"]))
    await score(response("A {pot} of tea."), make_tools(chat=chat))
    [request] = chat.requests
    assert (request.role, request.stage, request.samples, request.temperature) == ("judge", "scoring", 1, 0)
    assert request.messages[0] == ("system", SYSTEM)
    assert "How do I make tea for two?" in request.messages[1][1]
    assert "Use the word 'tea'." not in request.messages[1][1]
    assert request.json_schema == SCHEMA


async def test_switched_off_it_asks_nobody_and_passes_everything_on(make_tools: MakeTools) -> None:
    passed = response("A pot of tea.")
    assert await score(passed, make_tools("scoring.enabled=false", chat=ScriptedChat())) == [passed]
    assert passed.quality is None
