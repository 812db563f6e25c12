"""The score as judges write it: a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.queries.scoring import read_score
from support.proportion import assert_proportional


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Score: 8", 8),
        ("Score: 8  \n\n", 8),
        ("Score: 8.", 8),
        ("Score: 8.5", 8.5),
        ("Score: eight", 8),
        ("**Score: Eight out of ten.**", 8),
        ("The score is ten.", 10),
        ("Fine.\n$\\boxed{8}$", 8),
        ("Its score depends on one", None),
        ("Score one of them", None),
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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Score (out of 10): 3", 3),
        ("Score (0-10): 9", 9),
        ("Score (0–10): **9**", 9),
        ("Score [0-10]: 8", 8),
        ("Score (out of 5): 4", 8),
        ("Score (0-100): 85", 8.5),
        ("Score (0 = useless, 10 = perfect): 7", 7),
        ("Score: 0–10 scale: 6", 6),
        ("Score on a scale from 0 to 10: 7", 7),
        ("Score out of 10: 7", 7),
        ("Score /10: 7", 7),
        ("Score: (out of 10) 8", 8),
        ("Final score: 7 (out of 10)", 7),
        ("Score: 4 (out of 5)", 8),
        ("Score (9)", 9),
        ("Score (4/5)", 8),
        ("Rating: 4 out of 5", 8),
        ("Rating: ★★★★☆ (4/5)", 8),
        ("Score: 85%", 8.5),
        ("| Score | 9 |", 9),
        ("**Score**: 7", 7),
        ("__Final Score:__ 7/10", 7),
        ("Score – 7", 7),
        ("Score: 10.", 10),
        ("Score: 8.333", 8.333),
        ("[[8]]", 8),
        ("\\boxed{8}", 8),
        ("评分：8", 8),
        ("评分（满分10分）：８", 8),
        ("得分: 8分", 8),
        ("最终评分为 7.5 分", 7.5),
        ("スコア：9", 9),
        ("Оценка: 7 из 10", 7),
        ("Punktzahl: 7 von 10", 7),
        ("Score: 9\nNote: 2 claims are unsupported", 9),
        ("Score: 9\nNote: 2", 9),
        ("Score: 9\nA score of 10 would need a source.", 9),
        ("Score: 9\nThis score is well deserved.", 9),
        ("Score: 3 for accuracy\n8", 8),
        ("Note: 8", 8),
        ("Note : 8/10", 8),
        ("Note finale : 8,5 / 10", 8.5),
        ("Nota: 7 punti", 7),
        ("Note: 2 claims are unsupported", None),
        ("Note: 2 of 3 claims are right", None),
        ("Note 1: the tea is cold", None),
        ("Please note 3 things", None),
        ("Score:-3", None),
        ("Score: −3", None),
        ("Score: 7-8", None),
        ("Score: 0-10", None),
        ("Score: 11/10", None),
        ("Score (out of 5): 7", None),
        ("Score: 1,000", None),
        ("Score: 3rd of them", None),
        ("underscore 3", None),
        ("The score depends on how you count the planets, of which 3 are named.", None),
        ('{"score": "9"}', 9),
        ('{"Score": 9.0}', 9),
        ('{"final_score": 9}', 9),
        ('{"rating": 9}', 9),
        ('{"score": [9]}', 9),
        ('{"analysis": "...", "score": -3}', None),
        ('{"analysis": "a score of 9", "score": null}', None),
        ('{"analysis": "a score of 9", "score": 11}', None),
        ("“score”：9", 9),
    ],
)
def test_a_score_is_read_whatever_scale_and_language_it_is_in(text: str, value: float | None) -> None:
    assert read_score(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A score of 9 would be", None),
        ("It answers.\nScore: 1", None),
        ("A score of 9 is too much.\nIt is wro", None),
        ("Score: 9\nIt answers the questi", 9),
        ('{"score": 9, "analysis": "It ans', 9),
        ('{"analysis": "It answers", "score": 1', None),
        ('{"analysis": "A score of 9 would be', None),
    ],
)
def test_of_an_answer_that_was_cut_off_only_a_whole_line_or_key_is_read(text: str, value: float | None) -> None:
    assert read_score(text, complete=False) == value


@pytest.mark.parametrize(
    "part",
    [
        "score ",
        "score (",
        "Score: 0-10 ",
        "score: 1/",
        "8.",
        "8 ",
        "[",
        "*",
        "_",
        "1",
        "'score'",
        "'score':",
        "note: ",
        "\n8",
        "(0-10)",
        "e\u0301\u0327",
    ],
)
def test_reading_takes_linear_time(part: str) -> None:
    assert_proportional(lambda size: read_score(part * (size // len(part))), 100_000)
