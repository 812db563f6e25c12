"""Small records that many tests begin with."""

import json
from collections.abc import Sequence

from autoif.records import (
    Case,
    Draft,
    Function,
    Instruction,
    Matrix,
    Prompt,
    Quality,
    Query,
    Response,
    Verdict,
    VerifiedInstruction,
    content_id,
)

ACCEPT = "def evaluate(response):\n    return True"
REFUSE = "def evaluate(response):\n    return False"
RAISE = "def evaluate(response):\n    raise ValueError('no')"
BROKEN = "def evaluate(response) return True"


def accepts(part: str) -> str:
    """Return the source of a function that accepts texts with this part in them."""
    return f"def evaluate(response):\n    return {part!r} in response"


def answer(source: str, *cases: tuple[str, bool]) -> str:
    """Return the JSON that the writer is asked for."""
    return json.dumps({"func": source, "cases": [{"input": text, "output": expected} for text, expected in cases]})


def instruction(text: str = "Use the word 'tea'.") -> Instruction:
    return Instruction.of(text, "seed")


def draft(functions: Sequence[str], cases: Sequence[tuple[str, bool]]) -> Draft:
    """Return a draft of these sources and (input, expected) cases."""
    return Draft(
        id=content_id("draft", *functions),
        instruction=instruction(),
        matrix=Matrix(
            functions=tuple(map(Function.of, functions)),
            cases=tuple(Case(input=text, expected=expected) for text, expected in cases),
        ),
        answers=(),
    )


def verified(
    functions: Sequence[str], verdicts: Sequence[Sequence[Verdict]] = (), cases: Sequence[tuple[str, bool]] = ()
) -> VerifiedInstruction:
    """Return a verified instruction all of whose functions were kept."""
    kept = draft(functions, cases)
    return VerifiedInstruction(
        id=content_id("verified", *functions),
        instruction=kept.instruction,
        matrix=kept.matrix.model_copy(update={"verdicts": tuple(map(tuple, verdicts)) or ((),) * len(functions)}),
        kept_functions=tuple(range(len(functions))),
        kept_cases=tuple(range(len(cases))),
    )


def prompt(functions: Sequence[str] = (ACCEPT,), query: str = "How do I make tea for two?") -> Prompt:
    asked = Query.of(query)
    return Prompt(
        id=content_id("prompt", *functions, query),
        constraints=(verified(functions),),
        query=asked,
        text=f"{query} Use the word 'tea'.",
    )


def response(
    text: str, verdicts: Sequence[Verdict] = (Verdict.PASS,), quality: float | None = None, index: int = 0
) -> Response:
    """Return a response with these verdicts and, if given, the mean of its scores."""
    asked = prompt([accepts(f"{number}") for number in range(len(verdicts))])
    return Response(
        id=content_id("response", text, index),
        prompt=asked,
        index=index,
        text=text,
        verdicts=tuple(verdicts),
        pass_rate=round(list(verdicts).count(Verdict.PASS) / len(verdicts), 4) if verdicts else 0.0,
        quality=None if quality is None else Quality(scores=(quality,), mean=quality, analyses=(f"Score: {quality}",)),
    )
