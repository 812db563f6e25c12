"""§3.4, rows for supervised fine-tuning: TRL's conversational form, with all that is needed to verify them again."""

from collections.abc import Iterable, Iterator

from pydantic import JsonValue

from autoif.records import Response

Row = dict[str, JsonValue]


def sft_rows(responses: Iterable[Response]) -> Iterator[Row]:
    """Yield one row for each response that passed its functions and its quality verification."""
    for response in responses:
        prompt = response.prompt
        yield {
            "messages": [
                {"role": "user", "content": prompt.text},
                {"role": "assistant", "content": response.text},
            ],
            "instruction_id": prompt.instruction.id,
            "query_id": prompt.query.id,
            "response_id": response.id,
            "instruction": prompt.instruction.text,
            "query": prompt.query.text,
            "functions": [function.source for function in prompt.functions],
            "verdicts": [verdict.value for verdict in response.verdicts],
            "pass_rate": response.pass_rate,
            "quality": response.quality.mean if response.quality else None,
        }
