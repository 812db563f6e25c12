"""§3.3, quality verification: does the response really answer its query?

Instruction and query can contradict each other, and NLI can't see that; so the judge scores each response 0 to 10, with
an analysis first and the score last.

In:      a Response that passed its functions.
Out:     the same with its Quality, if the mean of its scores is at least 8 (released code: above 8). With
         `enabled = false` the same, unscored.
Dropped: `low_quality`, and `no_score` where the judge wrote none that can be read; if an answer of the judge was no
         whole one, its fault (`refused_by_model`, `only_reasoning`, `truncated`, `empty`).

# Deviation: the judge sees query and response, but not the instruction: shown it, a small judge grades obedience, which
# the functions have checked (docs/method.md#scoring).
# Deviation: analysis and score are asked for as JSON; a last line `Score: N`, as the paper has it, is read as well
# (docs/method.md#scoring).
# Deviation: a score that can't be read is no score; in the released code it is 0 (docs/method.md#scoring).
"""

from pydantic import JsonValue

from autoif.models.requests import Completion, Request, sampling_seed
from autoif.queries.score_reading import read_score
from autoif.records import Dropped, Quality, Reason, Response
from autoif.thresholds import meets
from autoif.tools import Tools

STAGE = "scoring"

SYSTEM = """\
You grade whether an answer responds to a question: 10 if it is helpful and about the question, 0 if it has nothing \
to do with it. The answer had to obey a rule of form, so it may be short or odd: that costs no points. Reply with one \
JSON object: {"analysis": "<what the answer says about the question>", "score": N}."""

USER = """\
Question: {query}

Answer: {response}

How well does the answer respond to the question?"""

SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {
        "analysis": {"type": "string", "maxLength": 160},
        "score": {"type": "integer", "minimum": 0, "maximum": 10},
    },
    "required": ["analysis", "score"],
    "additionalProperties": False,
}


async def score(response: Response, tools: Tools) -> list[Response | Dropped]:
    """Ask the judge for scores and keep the response if their mean is high enough."""
    settings = tools.config.scoring
    if not settings.enabled:
        return [response]
    user = USER.format(query=response.prompt.query.text, response=response.text)
    completions = await tools.chat.sample(
        Request(
            role="judge",
            stage=STAGE,
            messages=(("system", SYSTEM), ("user", user)),
            samples=settings.samples,
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            seed=sampling_seed(tools.config.seed, STAGE, response.id),
            json_schema=SCHEMA,
        )
    )
    analyses = tuple(completion.text.strip() for completion in completions)
    scores = tuple(found for completion in completions if (found := _read_score(completion)) is not None)
    if not scores:
        return [_drop_unscored(response, completions)]
    mean = round(sum(scores) / len(scores), 4)
    scored = response.model_copy(update={"quality": Quality(scores=scores, mean=mean, analyses=analyses)})
    if meets(mean, settings.mean):
        return [scored]
    return [Dropped.of(STAGE, Reason.LOW_QUALITY, scored, f"mean {mean:g} of {len(scores)} scores")]


def _read_score(completion: Completion) -> float | None:
    """Read the score of an answer: of one that was refused none, of one that was cut only what is surely whole."""
    if completion.fault is Reason.REFUSED_BY_MODEL:
        return None
    return read_score(completion.text, complete=completion.fault is not Reason.TRUNCATED)


def _drop_unscored(response: Response, completions: list[Completion]) -> Dropped:
    faulty = next((completion for completion in completions if completion.fault), None)
    if faulty and faulty.fault:
        return Dropped.of(STAGE, faulty.fault, response, f"the judge: {faulty.fault_detail}")
    return Dropped.of(STAGE, Reason.NO_SCORE, response, completions[0].text.strip()[-200:])
