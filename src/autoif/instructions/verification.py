"""§3.2, verification functions and cases.

In:      an Instruction.
Out:     a Draft: the functions and cases that the writer wrote for it in K answers, each once, not trusted yet.
Dropped: an instruction for which no answer gave a function: `no_readable_answer`, or, if all answers have the same
         fault, that one (`refused_by_model`, `only_reasoning`, `truncated`, `empty`). Answers that can't be read are
         format losses; the Draft counts them one by one.
"""

import asyncio
from functools import partial

from pydantic import JsonValue

from autoif.config import Config
from autoif.instructions.answers import FormatLoss, ReadAnswer, read_function_answer
from autoif.models.requests import Completion, Request, sampling_seed, write_schema
from autoif.records import Answer, Case, Draft, Dropped, Function, Instruction, Matrix, Reason, content_id
from autoif.settings import Verification
from autoif.tools import Tools
from autoif.vocabulary import describe_vocabulary

STAGE = "verification"

_OBJECT = '"func": "<Python source>", "cases": [{"input": "<response>", "output": true or false}, ...]}'
_ANSWER_FORMS = {
    "none": f"Answer with one JSON object and nothing else: {{{_OBJECT}.",
    "field": (
        f'Answer with one JSON object and nothing else: {{"analysis": "<what exactly is asked, what counts and what '
        f"doesn't>\", {_OBJECT}."
    ),
    "text": (
        "First analyse in a few sentences what exactly is asked, what counts and what doesn't, and which responses are "
        f"on the edge. After that write one JSON object, and nothing after it: {{{_OBJECT}."
    ),
}
"""How the writer is to answer, by `verification.analysis`."""


async def write_functions(instruction: Instruction, tools: Tools) -> list[Draft | Dropped]:
    """Ask the writer K times for a function and its cases."""
    samples = tools.config.verification.functions_per_instruction
    completions = await tools.chat.sample(make_request(instruction, tools.config, samples))
    # In a thread, as an odd answer takes seconds to read.
    vocabulary, counted = tools.config.verification.vocabulary, tools.config.cross_validation.choose_by != "cases"
    read = partial(read_function_answers, instruction, completions, vocabulary, counted=counted)
    return [await asyncio.to_thread(read)]


def make_request(instruction: Instruction, config: Config, samples: int) -> Request:
    """Return the request to the writer. Its first answers are the same, however many it asks for."""
    settings = config.verification
    return Request(
        role="writer",
        stage=STAGE,
        messages=config.prompts.verification.fill(
            instruction=instruction.text,
            instruction_for_quotes=instruction.text.replace('"', "'"),
            cases=config.verification.cases_per_function,
            vocabulary=describe_means(config.verification),
            vocabulary_briefly=describe_means(config.verification, briefly=True),
            answer_form=_ANSWER_FORMS[config.verification.analysis],
        ),
        samples=samples,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        seed=sampling_seed(config.seed, STAGE, instruction.id),
        json_schema=make_schema(settings),
    )


def read_function_answers(
    instruction: Instruction, completions: list[Completion], vocabulary: bool = False, *, counted: bool = False
) -> Draft | Dropped:
    """Gather the functions and cases of all answers, each once, in the order in which they were written.

    With `vocabulary` a function carries the helpers that it calls. With `counted` each answer names its function, so
    that the answers that gave each function can be counted.
    """
    functions: dict[Function, None] = {}
    cases: dict[Case, None] = {}
    answers = []
    for index, completion in enumerate(completions):
        answer = _read(completion, vocabulary)
        if answer.function:
            functions[answer.function] = None
        cases.update(dict.fromkeys(answer.cases))
        function = answer.function.id if counted and answer.function else ""
        answers.append(
            Answer(
                index=index, repairs=answer.repairs, loss=answer.loss, cases_lost=answer.cases_lost, function=function
            )
        )
    draft = Draft(
        id=content_id("draft", instruction.id, [function.id for function in functions]),
        instruction=instruction,
        matrix=Matrix(functions=tuple(functions), cases=tuple(cases)),
        answers=tuple(answers),
    )
    if functions:
        return draft
    faults = {completion.fault for completion in completions}
    losses = sorted(
        {completion.fault_detail or str(answer.loss) for completion, answer in zip(completions, answers, strict=True)}
    )
    reason = (faults.pop() if len(faults) == 1 else None) or Reason.NO_READABLE_ANSWER
    return Dropped.of(STAGE, reason, draft, f"none of {len(answers)} answers gave a function: {', '.join(losses)}")


def _read(completion: Completion, vocabulary: bool) -> ReadAnswer:
    match completion.fault:
        case Reason.REFUSED_BY_MODEL:
            return ReadAnswer(None, loss=FormatLoss.REFUSED)
        case Reason.ONLY_REASONING:
            return ReadAnswer(None, loss=FormatLoss.ONLY_REASONING)
    complete = completion.finish_reason != "length"
    return read_function_answer(completion.text, complete=complete, vocabulary=vocabulary)


def make_schema(settings: Verification) -> dict[str, JsonValue] | None:
    """Return the JSON schema of one answer; None where text comes first."""
    match settings.analysis:
        case "none":
            return answer_schema(settings.cases_per_function)
        case "field":
            limit: dict[str, JsonValue] = (
                {"maxLength": settings.max_analysis_chars} if settings.max_analysis_chars else {}
            )
            return answer_schema(settings.cases_per_function, analysis={"type": "string", **limit})
    return None


def answer_schema(cases: int, **before: JsonValue) -> dict[str, JsonValue]:
    """Return the JSON schema of one answer, `before` being the properties that it begins with."""
    case = write_schema(input={"type": "string"}, output={"type": "boolean"})
    return write_schema(
        **before, func={"type": "string"}, cases={"type": "array", "items": case, "minItems": cases, "maxItems": cases}
    )


def describe_means(settings: Verification, *, briefly: bool = False) -> str:
    """Return the part of the prompt that says what functions may use; without examples if `briefly`."""
    if not settings.vocabulary:
        return "It uses nothing but Python's standard library."
    return (
        "It uses Python's standard library and these helpers. They are there already: call them; don't import or "
        f"define them.\n\n{describe_vocabulary(examples=not briefly)}"
    )
