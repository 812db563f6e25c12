"""Prompts with their functions, for online training (§3.4)."""

from autoif.datasets.rewards import reward_rows
from support.records import ACCEPT, REFUSE, prompt


def test_a_row_is_a_prompt_with_its_functions() -> None:
    asked = prompt([ACCEPT, REFUSE])
    [row] = reward_rows([asked])
    assert row.columns() == {
        "prompt": [{"role": "user", "content": asked.text}],
        "constraints": [
            {
                "instruction_id": asked.constraints[0].instruction.id,
                "instruction": "Use the word 'tea'.",
                "functions": [ACCEPT, REFUSE],
            }
        ],
        "query": "How do I make tea for two?",
        "query_id": asked.query.id,
    }


def test_every_prompt_gives_a_row_in_order() -> None:
    prompts = [prompt([ACCEPT], f"What is the number {number}?") for number in range(3)]
    assert [row.query_id for row in reward_rows(prompts)] == [asked.query.id for asked in prompts]
