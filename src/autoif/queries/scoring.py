"""§3.3, quality verification: does the response really answer its query?

Instruction and query can contradict each other, and NLI can't see that; so the judge scores each response 0 to 10, with
an analysis first and the score last.

In:      a Response that passed its functions.
Out:     the same with its Quality, if the mean of its scores is at least 8 (released code: above 8). With
         `enabled = false` the same, unscored.
Dropped: `low_quality`, and `no_score` where the judge wrote none that can be read; if an answer of the judge was no
         whole one, its fault (`refused_by_model`, `only_reasoning`, `truncated`, `empty`).

# Deviation: a score that can't be read is no score; in the released code it is 0 (docs/method.md#scoring).
"""

from pydantic import JsonValue

from autoif.models.requests import Completion, Request, sampling_seed
from autoif.queries.score_reading import read_score
from autoif.records import Dropped, Quality, Reason, Response
from autoif.settings import Scoring
from autoif.thresholds import meets
from autoif.tools import Tools

STAGE = "scoring"


async def score(response: Response, tools: Tools) -> list[Response | Dropped]:
    """Ask the judge for scores and keep the response if their mean is high enough."""
    settings = tools.config.scoring
    if not settings.enabled:
        return [response]
    prompt = response.prompt
    completions = await tools.chat.sample(
        Request(
            role="judge",
            stage=STAGE,
            messages=tools.config.prompts.scoring.fill(
                query=prompt.query.text,
                response=response.text,
                instruction=prompt.instruction,
                prompt=prompt.text,
            ),
            samples=settings.samples,
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            seed=sampling_seed(tools.config.seed, STAGE, response.id),
            json_schema=answer_schema(settings.max_analysis_chars) if settings.answer == "json" else None,
        )
    )
    analyses = tuple(completion.text.strip() for completion in completions)
    scores = tuple(found for completion in completions if (found := _read_score(completion)) is not None)
    if not scores:
        return [_drop_unscored(response, completions)]
    mean = round(sum(scores) / len(scores), 4)
    scored = response.model_copy(update={"quality": Quality(scores=scores, mean=mean, analyses=analyses)})
    return [judge_quality(scored, settings)]


def judge_quality(scored: Response, settings: Scoring) -> Response | Dropped:
    """Drop a response that has its scores if their mean is too low."""
    quality = scored.quality
    assert quality
    if meets(quality.mean, settings.mean):
        return scored
    return Dropped.of(STAGE, Reason.LOW_QUALITY, scored, f"mean {quality.mean:g} of {len(quality.scores)} scores")


def answer_schema(max_analysis_chars: int) -> dict[str, JsonValue]:
    """Return the JSON schema of an answer; 0 leaves the analysis as long as it gets."""
    limit: dict[str, JsonValue] = {"maxLength": max_analysis_chars} if max_analysis_chars else {}
    return {
        "type": "object",
        "properties": {
            "analysis": {"type": "string", **limit},
            "score": {"type": "integer", "minimum": 0, "maximum": 10},
        },
        "required": ["analysis", "score"],
        "additionalProperties": False,
    }


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
