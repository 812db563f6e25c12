"""Reading the score, 0 to 10, out of what a judge wrote.

The first of these forms that is there counts, and of several in that form the last:

    | form                         | examples                                                                 |
    |------------------------------|--------------------------------------------------------------------------|
    | a key of JSON                | `"score": 9`, `'rating': "8.5"`                                          |
    | a line that gives a score    | `**Score:** 7`, `Score (0-10): 9`, `评分：8`; `8` or `8/10` by themselves |
    | a score within a sentence    | `I would give it a score of 7 out of 10.`                                |
    | a line with a grade, "note"  | `Note : 8/10`, but not `Note: 2 claims are unsupported`                  |

A number is out of 10 unless it says out of what. A number outside of its scale is no score.
"""

import re
from collections.abc import Iterator

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
_BARE = re.compile(rf"(?:\\boxed)?[ \[({{>]*{_NUMBER} ?[\])}}/ ]*{_UNIT}[. ]*", re.IGNORECASE)
_NOTE = re.compile(rf"(?:note|nota)(?: \w{{1,12}})? ?[:=] ?{_NUMBER}\)? ?{_UNIT}[. ]*", re.IGNORECASE)
_SCALE = re.compile(
    r"(?:\b[01] ?(?:-|–|—|to|bis|a|à|~) ?|(?:out of|max(?:imum)?[.:]?|/) ?)(?P<top>\d{1,3})(?![\d.])", re.I
)
_ASIDE = re.compile(r" ?[(\[](?! ?\d{1,3}(?:[.,]\d{1,2})?(?: ?/ ?\d{1,3})? ?[)\]])[^()\[\]]{0,60}[)\]]")
_TAIL_CHARS = 120
_GAP_CHARS = 24
"""From a name to its number, asides and scales not counted: farther off, a number is about something else."""
_LINE_CHARS = 40
"""A line that is only a score is not longer."""
_FULLWIDTH = {0xFEE0 + code: code for code in range(0x21, 0x7F)} | {ord("“"): '"', ord("”"): '"'}
_MARKUP = str.maketrans("*_`#|", "     ")


def read_score(text: str, *, complete: bool = True) -> float | None:
    """Return the score of a judge's answer, or None.

    Args:
        text: what the judge wrote, without its thought.
        complete: False if the answer was cut off: its last line may lack digits, and a sentence its end, so that only a
            key or a whole line that gives the score is read.
    """
    text = text.translate(_FULLWIDTH)
    if keys := list(_KEY.finditer(text)):
        number = _FOUND.match(text, keys[-1].end())
        return _scale(number) if number and (complete or number.end() < len(text)) else None
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
    """Yield (whether the line is there to give it, score) for each name of a score that has a number behind it."""
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
    """Return a number as one out of 10, or None if it is outside of its scale."""
    top = "100" if number["percent"] else number["whole"] or (scale["top"] if scale else "10")
    value, whole = float(number["value"].replace(",", ".")), float(top)
    return round(value * 10 / whole, 4) if 0 < whole <= 100 and value <= whole else None
