"""§3.4, prompts with their functions as reward, for online training."""

from collections.abc import Callable, Iterable, Iterator

from autoif.datasets.rows import Constraint, RewardRow, Turn, constraint_of
from autoif.records import Prompt, VerifiedInstruction


def reward_rows(
    prompts: Iterable[Prompt], describe: Callable[[VerifiedInstruction], Constraint] = constraint_of
) -> Iterator[RewardRow]:
    """Yield a row for each prompt; `describe` makes a row's constraints."""
    for prompt in prompts:
        yield RewardRow(
            prompt=(Turn(role="user", content=prompt.text),),
            constraints=tuple(map(describe, prompt.constraints)),
            query=prompt.query.text,
            query_id=prompt.query.id,
        )
