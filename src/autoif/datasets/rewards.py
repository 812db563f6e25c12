"""§3.4, prompts with their functions, for online training: the functions are the reward."""

from collections.abc import Iterable, Iterator

from autoif.datasets.rows import RewardRow, Turn, constraint_of
from autoif.records import Prompt


def reward_rows(prompts: Iterable[Prompt]) -> Iterator[RewardRow]:
    """Yield one row for each prompt, whether or not a response to it was kept."""
    for prompt in prompts:
        yield RewardRow(
            prompt=(Turn(role="user", content=prompt.text),),
            constraints=tuple(map(constraint_of, prompt.constraints)),
            query=prompt.query.text,
            query_id=prompt.query.id,
        )
