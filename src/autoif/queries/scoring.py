"""§3.3, quality verification: does the response really answer its query?

Instruction and query can contradict each other, and NLI can't see that; so the judge scores each response 0 to 10, with
an analysis first and the score last.

In:      a Response that passed its functions.
Out:     the same with its Quality, if the mean of its scores is at least 8 (released code: above 8). With
         `enabled = false` the same, unscored.
Dropped: `low_quality`, and `no_score` where the judge wrote none that can be read.

# Deviation: the judge sees query and response, but not the instruction: shown it, a small judge grades obedience, which
# the functions have checked (docs/method.md#scoring).
# Deviation: analysis and score are asked for as JSON; a last line `Score: N`, as the paper has it, is read as well
# (docs/method.md#scoring).
# Deviation: a score that can't be read is no score; in the released code it is 0 (docs/method.md#scoring).
"""

from pydantic import JsonValue

from autoif.models.requests import Request, sampling_seed
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
    scores = tuple(found for found in map(read_score, analyses) if found is not None)
    if not scores:
        return [Dropped.of(STAGE, Reason.NO_SCORE, response, analyses[0][-200:])]
    mean = round(sum(scores) / len(scores), 4)
    scored = response.model_copy(update={"quality": Quality(scores=scores, mean=mean, analyses=analyses)})
    if meets(mean, settings.mean):
        return [scored]
    return [Dropped.of(STAGE, Reason.LOW_QUALITY, scored, f"mean {mean:g} of {len(scores)} scores")]
