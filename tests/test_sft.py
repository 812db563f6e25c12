"""SFT rows (§3.4)."""

import pytest
from datasets import Dataset

from autoif.datasets.sft import sft_rows
from autoif.records import Verdict
from support.records import response


def test_a_row_is_a_conversation_with_all_that_is_needed_to_verify_it_again() -> None:
    kept = response("A pot of tea.", [Verdict.PASS, Verdict.ERROR], quality=8.5)
    [row] = sft_rows([kept])
    assert row.columns() == {
        "messages": [
            {"role": "user", "content": "How do I make tea for two? Use the word 'tea'."},
            {"role": "assistant", "content": "A pot of tea."},
        ],
        "constraints": [
            {
                "instruction_id": kept.prompt.constraints[0].instruction.id,
                "instruction": "Use the word 'tea'.",
                "functions": [function.source for function in kept.prompt.functions],
                "verdicts": ["pass", "error"],
            }
        ],
        "pass_rate": 0.5,
        "quality": 8.5,
        "query": "How do I make tea for two?",
        "query_id": kept.prompt.query.id,
        "response_id": kept.id,
    }


def test_rows_are_in_the_order_of_the_responses_and_an_unscored_one_has_no_quality() -> None:
    rows = list(sft_rows([response("a"), response("b", quality=9)]))
    assert [row.quality for row in rows] == [None, 9]
    assert list(sft_rows([])) == []


def test_rows_load_as_a_data_set_with_conversations() -> None:
    rows = list(sft_rows([response("a", quality=8), response("b", quality=9)]))
    loaded = Dataset.from_list([row.columns() for row in rows])
    assert loaded.num_rows == 2
    assert loaded[0]["messages"][1] == {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(("most", "kept"), [(0, "abcd"), (1, "d"), (2, "bd"), (3, "abd"), (9, "abcd")])
def test_a_prompt_gives_so_many_rows_the_best_by_quality_then_by_pass_rate_then_by_order(most: int, kept: str) -> None:
    passed, failed = Verdict.PASS, Verdict.FAIL
    scored = [
        response("a", [passed, failed], quality=8),
        response("b", [passed, passed], quality=8),
        response("c", [passed, failed], quality=8),
        response("d", [passed, failed], quality=9),
    ]
    assert "".join(row.messages[1].content for row in sft_rows(scored, None, most)) == kept


def test_rows_of_other_prompts_are_counted_by_themselves() -> None:
    scored = [response("a", [Verdict.PASS]), response("b", [Verdict.PASS] * 2), response("c", [Verdict.PASS])]
    assert [row.messages[1].content for row in sft_rows(scored, None, 1)] == ["a", "b"]
