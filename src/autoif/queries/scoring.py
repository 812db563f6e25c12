"""§3.3, quality verification: does the response really answer its query?

Instruction and query can contradict each other, which NLI can't see; so the judge writes an analysis and a score of 0
to 10. With `answer = "yes_no"`, for small judges, it is asked whether the response answers the query, and the score is
ten times the probability of "yes".

In:      a Response that passed its functions.
Out:     the same with its Quality, if the mean of its scores is at least 8 (released code: above 8). With
         `enabled = false` the same, unscored.
Dropped: `low_quality`, and `no_score` where the judge wrote none that can be read; if an answer of the judge was no
         whole one, its fault (`refused_by_model`, `only_reasoning`, `truncated`, `empty`).

# Deviation: a score that can't be read is no score; in the released code it is 0 (docs/method.md#scoring).
"""

import math
import re

from pydantic import JsonValue

from autoif.models.requests import Completion, Request, sampling_seed, write_schema
from autoif.queries.score_reading import read_score
from autoif.records import Dropped, Quality, Reason, Response
from autoif.settings import Scoring
from autoif.thresholds import meets
from autoif.tools import Tools

STAGE = "scoring"
_ALTERNATIVES = 5
"""Enough for "yes" and "no" in their spellings; some servers give no more."""
_ENOUGH = 0.5
"""Probability that the first token is one of the two, from which their share says what the judge means."""


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
            top_logprobs=_ALTERNATIVES if settings.answer == "yes_no" else 0,
        )
    )
    analyses = tuple(completion.text.strip() for completion in completions)
    read = read_yes_or_no if settings.answer == "yes_no" else _read_score
    scores = tuple(found for completion in completions if (found := read(completion)) is not None)
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
    return write_schema(
        analysis={"type": "string", **limit},
        score={"type": "integer", "minimum": 0, "maximum": 10},
    )


def read_yes_or_no(completion: Completion) -> float | None:
    """Return ten times the probability of "yes" beside "no" as the answer's first token.

    Where these two are not what the model would begin with (it thinks first) or the server tells no probabilities, the
    answer's first word: 10 or 0; and where that is neither, the score that the judge wrote unasked, if any.
    """
    if completion.fault is Reason.REFUSED_BY_MODEL:
        return None
    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in completion.logprobs:
        if (word := token.strip().lower()) in mass:
            mass[word] += math.exp(min(logprob, 0.0))
    total = sum(mass.values())
    if total >= _ENOUGH:
        return round(10 * mass["yes"] / total, 2)
    named = re.match(r"\W*(yes|no)\b", completion.text.lower())
    return {"yes": 10.0, "no": 0.0}[named[1]] if named else _read_score(completion)


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
