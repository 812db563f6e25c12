"""§3.2, verification functions and cases.

In:      an Instruction.
Out:     a Draft: the functions and cases that the writer wrote for it in K answers, each once, not trusted yet.
Dropped: an instruction for which no answer gave a function (`no_readable_answer`). Answers that can't be read are
         format losses; the Draft counts them one by one.
"""

from pydantic import JsonValue

from autoif.instructions import prompts
from autoif.instructions.answers import read_answer
from autoif.models.requests import Completion, Request, sampling_seed
from autoif.records import Answer, Case, Draft, Dropped, Function, Instruction, Reason, content_id
from autoif.tools import Tools

STAGE = "verification"


async def write_functions(instruction: Instruction, tools: Tools) -> list[Draft | Dropped]:
    """Ask the writer K times for a function and its cases."""
    settings = tools.config.verification
    completions = await tools.chat.sample(
        Request(
            role="writer",
            stage=STAGE,
            messages=_messages(instruction.text, settings.cases_per_function),
            samples=settings.functions_per_instruction,
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            seed=sampling_seed(tools.config.seed, STAGE, instruction.id),
            json_schema=answer_schema(settings.cases_per_function),
        )
    )
    return [read_answers(instruction, completions)]


def read_answers(instruction: Instruction, completions: list[Completion]) -> Draft | Dropped:
    """Gather the functions and cases of all answers, each once, in the order in which they were written."""
    functions: dict[Function, None] = {}
    cases: dict[Case, None] = {}
    answers = []
    for index, completion in enumerate(completions):
        answer = read_answer(completion.text, complete=completion.finish_reason != "length")
        if answer.function:
            functions[answer.function] = None
        cases.update(dict.fromkeys(answer.cases))
        answers.append(
            Answer(index=index, repairs=answer.repairs, loss=answer.loss, cases_lost=answer.cases_lost),
        )
    draft = Draft(
        id=content_id("draft", instruction.id, [function.id for function in functions]),
        instruction=instruction,
        functions=tuple(functions),
        cases=tuple(cases),
        answers=tuple(answers),
    )
    if functions:
        return draft
    losses = sorted({answer.loss for answer in answers if answer.loss})
    return Dropped(
        stage=STAGE,
        reason=Reason.NO_READABLE_ANSWER,
        record_id=instruction.id,
        detail=f"none of {len(answers)} answers gave a function: {', '.join(losses)}",
        record=draft.model_dump(mode="json"),
    )


def answer_schema(cases: int) -> dict[str, JsonValue]:
    """Return the JSON schema of one answer."""
    case: dict[str, JsonValue] = {
        "type": "object",
        "properties": {"input": {"type": "string"}, "output": {"type": "boolean"}},
        "required": ["input", "output"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "func": {"type": "string"},
            "cases": {"type": "array", "items": case, "minItems": cases, "maxItems": cases},
        },
        "required": ["func", "cases"],
        "additionalProperties": False,
    }


def _messages(instruction: str, cases: int) -> tuple[tuple[str, str], ...]:
    user = prompts.VERIFICATION_USER.format(instruction=instruction.replace('"', "'"), cases=cases)
    return (("system", prompts.VERIFICATION_SYSTEM), ("user", user))
