"""§3.4, rows for supervised fine-tuning: TRL's conversational form, with all that is needed to verify them again."""

from collections.abc import Iterable, Iterator

from autoif.datasets.rows import JudgedConstraint, SftRow, Turn, constraint_of
from autoif.records import Response


def sft_rows(responses: Iterable[Response]) -> Iterator[SftRow]:
    """Yield one row for each response that passed its functions and its quality verification."""
    for response in responses:
        prompt = response.prompt
        asked = constraint_of(prompt.instruction, prompt.functions)
        yield SftRow(
            messages=(Turn(role="user", content=prompt.text), Turn(role="assistant", content=response.text)),
            constraints=(JudgedConstraint(**dict(asked), verdicts=response.verdicts),),
            pass_rate=response.pass_rate,
            quality=response.quality.mean if response.quality else None,
            query=prompt.query.text,
            query_id=prompt.query.id,
            response_id=response.id,
        )
