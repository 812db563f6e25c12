"""§3.3, quality verification: does the response really answer its query?

Instruction and query can contradict each other, which NLI can't see; so the judge writes an analysis and a score of 0
to 10. With `answer = "yes_no"`, for small judges, it is asked whether the response answers the query, and the score is
ten times the probability of "yes".

In:      a Response that passed its functions.
Out:     the same with its Quality, if the mean of its scores is at least 8 (released code: above 8). With
         `enabled = false` the same, unscored.
Dropped: `low_quality`, and `no_score` where no score of the judge can be read, or the fault of an answer of the judge
         that has one (`refused_by_model`, `only_reasoning`, `truncated`, `empty`).

# Deviation: a score that can't be read is no score; in the released code it is 0 (docs/method.md#scoring).
"""

import math
import re
from collections.abc import Iterator

from pydantic import JsonValue

from autoif.models.requests import Completion, Request, sampling_seed, write_schema
from autoif.records import Dropped, Quality, Reason, Response
from autoif.settings import Scoring
from autoif.thresholds import meets
from autoif.tools import Tools

STAGE = "scoring"
_ALTERNATIVES = 5
"""Enough for "yes" and "no" in their spellings; some servers give no more."""
_ENOUGH = 0.5
"""Least probability that the first token is "yes" or "no". Below it, their shares don't tell what the judge means."""


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
                query=prompt.query.text, response=response.text, instruction=prompt.instruction, prompt=prompt.text
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
    read = read_yes_or_no if settings.answer == "yes_no" else _read_answer
    scores = tuple(found for completion in completions if (found := read(completion)) is not None)
    if not scores:
        return [_drop_unscored(response, completions)]
    mean = round(sum(scores) / len(scores), 4)
    scored = response.model_copy(update={"quality": Quality(scores=scores, mean=mean, analyses=analyses)})
    return [judge_quality(scored, settings)]


def judge_quality(scored: Response, settings: Scoring) -> Response | Dropped:
    """Drop a scored response if the mean of its scores is too low."""
    quality = scored.quality
    assert quality
    if meets(quality.mean, settings.mean):
        return scored
    return Dropped.of(STAGE, Reason.LOW_QUALITY, scored, f"mean {quality.mean:g} of {len(quality.scores)} scores")


def answer_schema(max_analysis_chars: int) -> dict[str, JsonValue]:
    """Return the JSON schema of an answer; 0 sets no limit on the analysis."""
    limit: dict[str, JsonValue] = {"maxLength": max_analysis_chars} if max_analysis_chars else {}
    return write_schema(analysis={"type": "string", **limit}, score={"type": "integer", "minimum": 0, "maximum": 10})


def read_yes_or_no(completion: Completion) -> float | None:
    """Return ten times the probability of "yes", against "no", as the answer's first token.

    If the model begins otherwise (it thinks first) or the server gives no probabilities, the answer's first word
    counts, as 10 or 0. If that is neither "yes" nor "no", a score that the judge wrote unasked counts, if there is one.
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
    return {"yes": 10.0, "no": 0.0}[named[1]] if named else _read_answer(completion)


def _read_answer(completion: Completion) -> float | None:
    """Read the score of an answer: none of a refusal, and of an answer that was cut off only a complete one."""
    if completion.fault is Reason.REFUSED_BY_MODEL:
        return None
    return read_score(completion.text, complete=completion.fault is not Reason.TRUNCATED)


def _drop_unscored(response: Response, completions: list[Completion]) -> Dropped:
    faulty = next((completion for completion in completions if completion.fault), None)
    if faulty and faulty.fault:
        return Dropped.of(STAGE, faulty.fault, response, f"the judge: {faulty.fault_detail}")
    return Dropped.of(STAGE, Reason.NO_SCORE, response, completions[0].text.strip()[-200:])


_NAME = (
    r"(?:scor(?:e[sd]?|ing)|ratings?|rated|grade[sd]?|punktzahl|bewertung|puntuación|puntaje|calificación|pontuação"
    r"|punteggio|valutazione|оценка|балл|评分|評分|得分|分数|分數|打分|評価|スコア|点数|점수|평점)"
)
_OUT_OF = r"(?:/|out of|of|von|sur|de|su|из)"
_NUMBER = (
    r"(?<![A-Za-z\d.])(?<!\d,)(?P<value>\d{1,3}(?:\.\d{1,6}|,\d{1,2})?)(?!\d|[.,]\d|st\b|nd\b|rd\b|th\b)"
    rf"(?:\s?(?P<percent>%)|\s?\(?{_OUT_OF}\s?(?P<whole>\d{{1,3}})(?:\.0{{1,3}})?(?!\d))?"
)
_UNIT = r"(?:points?|pts|puntos|punti|分|点|점)?"
_FOUND = re.compile(_NUMBER, re.IGNORECASE)
_KEY = re.compile(rf"[\"'](?:\w{{1,20}}[ _])?{_NAME}[\"']\s{{0,9}}:\s{{0,9}}[\"'\[]?", re.IGNORECASE)
_NAMED = re.compile(rf"(?<![a-z]){_NAME}(?![a-z])", re.IGNORECASE)
_BARE = re.compile(rf"(?:\$?\\boxed)?[ \[({{>]*{_NUMBER} ?[\])}}/ ]*{_UNIT}[. $]*", re.IGNORECASE)
_NOTE = re.compile(rf"(?:note|nota)(?: \w{{1,12}})? ?[:=] ?{_NUMBER}\)? ?{_UNIT}[. ]*", re.IGNORECASE)
_SCALE = re.compile(
    r"(?:\b[01] ?(?:-|–|—|to|bis|a|à|~) ?|(?:out of|max(?:imum)?[.:]?|/) ?)(?P<top>\d{1,3})(?![\d.])", re.I
)
_ASIDE = re.compile(r" ?[(\[](?! ?\d{1,3}(?:[.,]\d{1,2})?(?: ?/ ?\d{1,3})? ?[)\]])[^()\[\]]{0,60}[)\]]")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SPELLED = re.compile(
    rf"({_NAME}(?: is| of)?[ :=*_]{{1,4}})({'|'.join(_WORDS)})(?: (?:out of|/) (?:ten|10))?(?=[ .!*_)]*(?:\n|\Z))",
    re.IGNORECASE,
)
"""A score in words, where the line ends with it."""
_TAIL_CHARS = 120
_GAP_CHARS = 24
"""Most characters between a name and its number, without asides and scales; farther off, it is another number."""
_LINE_CHARS = 40
"""A line that is only a score is not longer."""
_FULLWIDTH = {0xFEE0 + code: code for code in range(0x21, 0x7F)} | {ord("“"): '"', ord("”"): '"'}
_MARKUP = str.maketrans("*_`#|", "     ")


def read_score(text: str, *, complete: bool = True) -> float | None:
    """Return the score, 0 to 10, in a judge's answer without its reasoning; None if there is none.

    The first of these forms that occurs counts; if it occurs several times, the last one:

        | form                         | examples                                                                 |
        |------------------------------|--------------------------------------------------------------------------|
        | a key of JSON                | `"score": 9`, `'rating': "8.5"`                                          |
        | a line that gives a score    | `**Score:** 7`, `Score (0-10): 9`, `评分：8`; `8` or `8/10` by themselves |
        | a score within a sentence    | `I would give it a score of 7 out of 10.`                                |
        | a line with a grade, "note"  | `Note : 8/10`, but not `Note: 2 claims are unsupported`                  |

    A number is out of 10 unless it names its scale; outside of its scale it is no score. In an answer that is not
    `complete`, only a key or a whole line is read.
    """
    text = _SPELLED.sub(lambda found: f"{found[1]}{_WORDS.index(found[2].lower())}", text.translate(_FULLWIDTH))
    if keys := list(_KEY.finditer(text)):
        number = _FOUND.match(text, keys[-1].end())
        whole = number and (number.end() < len(text) or (complete and number["value"] != "1"))  # else a 10 that was cut
        return _scale(number) if number and whole else None
    lines = [" ".join(line.split()) for line in text.translate(_MARKUP).splitlines() if line.strip()]
    for read in (_read_given, _read_named, _read_note) if complete else (_read_given,):
        for line in reversed(lines if complete else lines[:-1]):
            if scores := read(line):
                return scores[-1]
    return None


def _read_given(line: str) -> list[float | None]:
    """Read a line that is a score, or a name, a colon and a score."""
    if len(line) <= _LINE_CHARS and (bare := _BARE.fullmatch(line)):
        return [_scale(bare)]
    return [score for given, score in _read_names(line) if given]


def _read_named(line: str) -> list[float | None]:
    return [score for _, score in _read_names(line)]


def _read_note(line: str) -> list[float | None]:
    note = _NOTE.fullmatch(line) if len(line) <= _LINE_CHARS else None
    return [_scale(note)] if note else []


def _read_names(line: str) -> Iterator[tuple[bool, float | None]]:
    """Yield (whether the line states it as the score, score) for each name of a score with a number after it."""
    names = list(_NAMED.finditer(line))
    leading = bool(names) and not line[: names[0].start()].strip(" >-•")
    ends = [*(name.start() for name in names[1:]), len(line)]
    for number_of_name, (name, end) in enumerate(zip(names, ends, strict=False)):  # no names have one end
        tail = line[name.end() : min(end, name.end() + _TAIL_CHARS)]
        aside = _ASIDE.match(tail)
        whole = _SCALE.search(aside[0]) if aside else None
        tail = tail[aside.end() :] if aside else tail
        number = _FOUND.search(tail)
        while (scale := _SCALE.search(tail)) and number and scale.start() <= number.start():
            whole = scale
            tail = tail[: scale.start()] + tail[scale.end() :]
            number = _FOUND.search(tail)
        if number is None or number.start() > _GAP_CHARS:
            continue
        gap = tail[: number.start()]
        given = (leading and number_of_name == 0) or re.search(r"[:=]| [-–—] ", gap) is not None
        yield given, None if _is_no_score(gap, tail[number.end() :]) else _scale(number, whole)


def _is_no_score(before: str, after: str) -> bool:
    """Tell whether the number between these is below zero, or a range such as 7-8."""
    return re.search(r"(?:^|[^\w])[-−–]$", before) is not None or re.match(r"[-–]\d", after) is not None


def _scale(number: re.Match[str], scale: re.Match[str] | None = None) -> float | None:
    """Return a number on the scale of 0 to 10; None if it is outside of its own scale."""
    top = "100" if number["percent"] else number["whole"] or (scale["top"] if scale else "10")
    value, whole = float(number["value"].replace(",", ".")), float(top)
    return round(value * 10 / whole, 4) if 0 < whole <= 100 and value <= whole else None
