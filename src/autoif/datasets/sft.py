"""§3.4, rows for supervised fine-tuning: TRL's conversational form, with all that is needed to verify them again."""

from collections.abc import Iterable, Iterator

from autoif.datasets.rows import JudgedConstraint, SftRow, Turn, constraint_of, split_verdicts
from autoif.datasets.strictness import Strictness
from autoif.records import Response


def sft_rows(responses: Iterable[Response], strictness: Strictness | None = None) -> Iterator[SftRow]:
    """Yield one row for each response that passed its functions and its quality verification.

    Args:
        responses: those that passed.
        strictness: what is asked of them besides (`sft.strict`); nothing by default.
    """
    for response in responses:
        prompt = response.prompt
        if strictness and not strictness.accepts(prompt.constraints, response.verdicts):
            continue
        asked = list(map(constraint_of, prompt.constraints))
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
