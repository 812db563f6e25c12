"""The answers by which contrast chooses functions: some that were asked to obey an instruction, some not.

    | answers                           | where from                                                                 |
    |-----------------------------------|----------------------------------------------------------------------------|
    | with the instruction (`asked`)    | `contrast.answers`, a file of better models'; else the model of            |
    |                                   | `contrast.role`, which may be made to revise each (`revisions`)            |
    | without it (`plain`)              | answers to other instructions of that file; else the same model's answers  |
    |                                   | to the same queries alone                                                  |

The better the answers, the better the choice. With fewer than four answers in the file, the model is asked as well.

For a revision the model gets the instruction and its answer; it lists what is asked, checks the answer and rewrites it.
No function takes part. If the revision can't be read or is incomplete, the answer stays as it was.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from autoif.instructions.discrimination import quote
from autoif.instructions.json_reading import find_json
from autoif.models.requests import Completion, Request, sampling_seed, write_schema
from autoif.queries.augmentation import choose_queries, join_queries
from autoif.queries.rejection_sampling import ask_responder
from autoif.records import (
    Answered,
    Dropped,
    Instruction,
    Matrix,
    Prompt,
    Query,
    Response,
    VerifiedInstruction,
    content_id,
)
from autoif.tools import Tools

ASKING = "contrast"
"""The stage under which answers and revisions are accounted."""
_ENOUGH = 4
"""With this many answers to an instruction in the file, the model isn't asked as well."""
_MOST_GIVEN = 64


@dataclass(frozen=True, slots=True)
class ContrastAnswers:
    """The answers of both kinds, with their texts."""

    asked: tuple[Answered, ...]
    plain: tuple[Answered, ...]
    faulty: tuple[Dropped, ...]
    """If a kind has no answer: what was dropped of it, with reasons."""


async def gather_answers(instruction: Instruction, tools: Tools) -> ContrastAnswers:
    """Return the answers of both kinds; answers that are stored already cost nothing."""
    settings, seed = tools.config.contrast, tools.config.seed
    given = tools.answers.of(instruction.text)[:_MOST_GIVEN]
    others = tools.answers.of_others(instruction.text, max(len(given), settings.queries), seed) if given else ()
    bare = _without_functions(instruction)
    prompts = join_queries(bare, choose_queries(bare, tools.queries, settings.queries, seed), seed)
    (asked, faulty), (plain, plain_faulty) = await asyncio.gather(
        _ask(prompts if len(given) < _ENOUGH else [], tools),
        _ask([] if others else [_ask_alone(prompt.query) for prompt in prompts], tools),
    )
    revised = await asyncio.gather(*(revise(response, instruction, tools) for response in asked))
    answers = (*_record_given(given), *revised)
    return ContrastAnswers(
        asked=answers,
        plain=(*_record_given(others), *(_record(response) for response in plain)),
        faulty=tuple(plain_faulty if answers else faulty),
    )


async def ask_for_answers(instruction: Instruction, tools: Tools) -> list[str]:
    """Return the texts of the answers by which functions will be chosen; contrast later finds them in the store."""
    answers = await gather_answers(instruction, tools)
    return [each.text for each in (*answers.asked, *answers.plain)]


async def _ask(prompts: Sequence[Prompt], tools: Tools) -> tuple[list[Response], list[Dropped]]:
    """Return the usable answers to these prompts, and the others with the reasons why they were dropped."""
    settings = tools.config.contrast
    count, role = settings.responses_per_query, settings.role
    read = await ask_responder(prompts, count, tools, role=role, stage=ASKING)
    return [each for responses, _ in read for each in responses], [each for _, dropped in read for each in dropped]


def _without_functions(instruction: Instruction) -> VerifiedInstruction:
    """Return an instruction without functions, to join queries with."""
    return VerifiedInstruction(
        id=content_id("contrast", instruction.id),
        instruction=instruction,
        matrix=Matrix(functions=(), cases=()),
        kept_functions=(),
        kept_cases=(),
    )


def _ask_alone(query: Query) -> Prompt:
    """Return the query alone as a prompt, which is the same for all instructions."""
    return Prompt(id=content_id("plain", query.id), constraints=(), query=query, text=query.text)


def _record_given(texts: Sequence[str]) -> list[Answered]:
    return [Answered(query_id="", index=index, text=text) for index, text in enumerate(texts)]


def _record(response: Response, text: str = "", revised: int = 0) -> Answered:
    return Answered(
        query_id=response.prompt.query.id, index=response.index, text=text or response.text, revised=revised
    )


async def revise(response: Response, instruction: Instruction, tools: Tools) -> Answered:
    """Ask the model to revise its answer as often as the settings say; return the last usable version."""
    text, revised = response.text, 0
    for turn in range(1, tools.config.contrast.revisions + 1):
        request = _make_request(response, text, instruction, turn, tools)
        [completion] = await tools.chat.sample(request)
        # In a thread, as an odd answer takes seconds to read.
        made = await asyncio.to_thread(read_revision, completion)
        if made == text or not 0 < len(made) <= tools.config.rejection_sampling.max_chars:
            break
        text, revised = made, turn
    return _record(response, text, revised)


def _make_request(response: Response, text: str, instruction: Instruction, turn: int, tools: Tools) -> Request:
    settings = tools.config.rejection_sampling
    return Request(
        role=tools.config.contrast.role,
        stage=ASKING,
        messages=tools.config.prompts.revision.fill(
            prompt=response.prompt.text,
            query=response.prompt.query.text,
            instruction=instruction.text,
            response=quote(text),
        ),
        max_tokens=2 * settings.max_tokens,
        seed=sampling_seed(
            tools.config.seed, "revision", instruction.id, response.prompt.query.id, response.index, turn
        ),
        json_schema=write_schema(asked={"type": "string"}, check={"type": "string"}, answer={"type": "string"}),
    )


def read_revision(completion: Completion) -> str:
    """Return the rewritten answer; "" if none can be read."""
    if completion.fault:
        return ""
    found = find_json(completion.text, lambda value: isinstance(value, dict) and isinstance(value.get("answer"), str))
    return str(found[0]["answer"]).strip() if found else ""
