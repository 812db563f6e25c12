"""§3.4, rows for supervised fine-tuning: TRL's conversational form, with everything needed to verify them again."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from autoif.datasets.rows import Constraint, JudgedConstraint, SftRow, Turn, constraint_of
from autoif.datasets.strictness import Strictness
from autoif.judging import split_verdicts
from autoif.records import Response, Verdict


def sft_rows(
    responses: Iterable[Response], strictness: Strictness | None = None, rows_per_prompt: int = 0
) -> Iterator[SftRow]:
    """Yield one row for each response that passed its functions and its quality verification, in the given order.

    With `rows_per_prompt`, only the best of each prompt, that many at most, make rows. With `strictness`, only those
    that it accepts.
    """
    chosen = [
        response
        for response in responses
        if not strictness or strictness.accepts(response.prompt.constraints, response.verdicts)
    ]
    asked: dict[str, tuple[Turn, list[Constraint]]] = {}
    judged: dict[tuple[str, tuple[Verdict, ...]], tuple[JudgedConstraint, ...]] = {}
    for response in _take_best(chosen, rows_per_prompt) if rows_per_prompt else chosen:
        prompt, verdicts = response.prompt, response.verdicts
        if prompt.id not in asked:
            asked[prompt.id] = (Turn(role="user", content=prompt.text), [*map(constraint_of, prompt.constraints)])
        turn, constraints = asked[prompt.id]
        if (prompt.id, verdicts) not in judged:  # most responses to a prompt have the same verdicts
            judged[prompt.id, verdicts] = tuple(
                JudgedConstraint(**dict(each), verdicts=its)
                for each, its in zip(constraints, split_verdicts(verdicts, constraints), strict=True)
            )
        yield SftRow(
            messages=(turn, Turn(role="assistant", content=response.text)),
            constraints=judged[prompt.id, verdicts],
            pass_rate=response.pass_rate,
            quality=response.quality.mean if response.quality else None,
            query=prompt.query.text,
            query_id=prompt.query.id,
            response_id=response.id,
        )


def _take_best(responses: Sequence[Response], most: int) -> list[Response]:
    """Return at most `most` responses of each prompt: the best by quality, then by pass rate, then by order."""

    def rank(response: Response) -> tuple[float, float]:
        return (response.quality.mean if response.quality else -1.0, response.pass_rate)

    by_prompt: dict[str, list[Response]] = defaultdict(list)
    for response in responses:
        by_prompt[response.prompt.id].append(response)
    best = {
        response.id for several in by_prompt.values() for response in sorted(several, key=rank, reverse=True)[:most]
    }
    return [response for response in responses if response.id in best]
