"""§3.4, rows for supervised fine-tuning: TRL's conversational form, with all that is needed to verify them again."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from autoif.datasets.rows import Constraint, JudgedConstraint, SftRow, Turn, constraint_of, split_verdicts
from autoif.datasets.strictness import Strictness
from autoif.records import Response


def sft_rows(
    responses: Iterable[Response], strictness: Strictness | None = None, rows_per_prompt: int = 0
) -> Iterator[SftRow]:
    """Yield one row for each response that passed its functions and its quality verification, in their order; of a
    prompt the best `rows_per_prompt`, or all where that is 0.
    """
    chosen = [
        response
        for response in responses
        if not strictness or strictness.accepts(response.prompt.constraints, response.verdicts)
    ]
    constraints: dict[str, list[Constraint]] = {}
    for response in _take_best(chosen, rows_per_prompt) if rows_per_prompt else chosen:
        prompt = response.prompt
        if prompt.id not in constraints:
            constraints[prompt.id] = list(map(constraint_of, prompt.constraints))
        asked = constraints[prompt.id]
        yield SftRow(
            messages=(Turn(role="user", content=prompt.text), Turn(role="assistant", content=response.text)),
            constraints=tuple(
                JudgedConstraint(**dict(each), verdicts=verdicts)
                for each, verdicts in zip(asked, split_verdicts(response.verdicts, asked), strict=True)
            ),
            pass_rate=response.pass_rate,
            quality=response.quality.mean if response.quality else None,
            query=prompt.query.text,
            query_id=prompt.query.id,
            response_id=response.id,
        )


def _take_best(responses: Sequence[Response], most: int) -> list[Response]:
    """Return at most so many responses of each prompt: the best by quality, then by pass rate, then by order."""

    def rank(response: Response) -> tuple[float, float]:
        return (response.quality.mean if response.quality else -1.0, response.pass_rate)

    of_prompt: dict[str, list[Response]] = defaultdict(list)
    for response in responses:
        of_prompt[response.prompt.id].append(response)
    best = {
        response.id for several in of_prompt.values() for response in sorted(several, key=rank, reverse=True)[:most]
    }
    return [response for response in responses if response.id in best]
