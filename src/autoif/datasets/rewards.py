"""§3.4, prompts with their functions, for online training: the functions are the reward."""

from collections.abc import Iterable, Iterator

from pydantic import JsonValue

from autoif.records import Prompt

Row = dict[str, JsonValue]


def reward_rows(prompts: Iterable[Prompt]) -> Iterator[Row]:
    """Yield one row for each prompt, whether or not a response to it was kept."""
    for prompt in prompts:
        yield {
            "prompt": [{"role": "user", "content": prompt.text}],
            "instruction_id": prompt.instruction.id,
            "query_id": prompt.query.id,
            "instruction": prompt.instruction.text,
            "query": prompt.query.text,
            "functions": [function.source for function in prompt.functions],
        }
