"""Lines, sentences, lists and marks of a text, for functions to ask for (as `words`, whose rules hold here, too).

    line        one that isn't blank, without the spaces around it
    paragraph   lines in a row; a blank line or a divider (---, ***) ends it
    sentence    ends with . ! ? … or their like in other scripts, or with its paragraph or list item; an abbreviation
                (Dr., e.g.) or an initial (J. Smith) ends none; a heading is none
    list item   a line that begins with a bullet (-, *, +, •) or a number (1., 2), (3), 1.1.), also in a quotation (>);
                a divider is none

Headings, list items and emphasis are those of Markdown, outside code blocks.
"""

import json
import re

from autoif.vocabulary.words import _plain

_DIVIDER = "[-*_=~# ]*"
_BULLET = (
    "[\\s>]*(?:[-*+\u2013]\\s+|[\u2022\u2023\u25e6\u25aa\u25ab\u25cf\u25cb\u25a0\u25a1\u00b7\u2043\u25b6\u25b8\u25ba\u25c6\u25c7\u27a2\u27a4"
    "\u2713\u2714]\ufe0f?\\s*)(\\S.*)"
)
_NUMBER = "[\\s>]*\\*{0,2}\\(?(?:\\d{1,3}\\.){0,3}\\d{1,3}(?:[.)]{1,2}\\*{0,2}\\s+|[\u3001\uff0e\uff09]\\s*)(\\S.*)"
_HEADING = "\\s{0,3}#{1,6}\\s+(\\S.*)"
_STOPS = ".!?\u2026\u061f\u06d4\u0589\u1362"
_WIDE_STOPS = "\u3002\uff01\uff1f\uff61\u0964\u0965\u104b\u17d4"
_BOLD = "\\*\\*(?=\\S)((?:[^*\\n]|\\*(?!\\*))+?)(?<=\\S)\\*\\*"
_CLOSERS = "\"'\u201d\u2019\u00bb\u300d\u300f\uff09)\\]*_"
_ABBREVIATIONS = (
    "mr mrs ms dr prof st sr vs mt lt col gen capt sgt rev hon e.g i.e cf approx dept "
    "mme mlle sra dra z.b d.h u.a bzw hr"
).split()
_BEFORE_NUMBERS = (
    "no p pp nr ca fig figs eq vol ch sec est art jan feb mar apr jun jul aug sep sept oct nov dec"
).split()
_PAIRS = {"[": "]", "(": ")", "{": "}", "<": ">", "\uff08": "\uff09", "\u3010": "\u3011", "\u300a": "\u300b"}


def _fences(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the code blocks between fences as (language, code), and the lines outside them; Markdown is no code."""
    blocks: list[tuple[str, str]] = []
    outside: list[str] = []
    block: list[str] = []
    fence = language = ""
    for line in _plain(text).split("\n"):
        opening = re.match("\\s*(`{3,}|~{3,})([^`]*)\\Z", line)
        if fence and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            blocks += [(language, "\n".join(block))] if block else []
            fence = ""
        elif fence:
            (outside if language in ("markdown", "md") else block).append(line)
        elif opening:
            fence, language, block = opening[1], "".join(opening[2].lower().split()[:1]), []
        else:
            outside.append(line)
    return ([*blocks, (language, "\n".join(block))] if fence and block else blocks), outside


def _items(text: str, *patterns: str) -> list[str]:
    """Return what the lines outside code blocks hold that match one of the patterns."""
    found: list[str] = []
    for line in _fences(text)[1]:
        matches = [match for each in patterns if (match := re.match(each, line))]
        if matches and not re.fullmatch(_DIVIDER, line):
            found.append(matches[0][1].strip())
    return found


def get_lines(text: str) -> list[str]:
    """Lines that are not blank: get_lines("a\\n\\n b") == ["a", "b"]."""
    return [line.strip() for line in _plain(text).split("\n") if line.strip()]


def get_paragraphs(text: str) -> list[str]:
    """Blocks between blank lines: get_paragraphs("One.\\nTwo.\\n\\nThree.") == ["One.\\nTwo.", "Three."]."""
    blocks: list[list[str]] = [[]]
    for line in _plain(text).split("\n"):
        if re.fullmatch(_DIVIDER, line.strip()):
            blocks.append([])
        else:
            blocks[-1].append(line.strip())
    return ["\n".join(block) for block in blocks if block]


def _units(text: str) -> list[str]:
    """Return the stretches of a text that a sentence can't cross: paragraphs and list items, without headings."""
    units: list[list[str]] = []
    for paragraph in get_paragraphs("\n".join(_fences(text)[1])):
        begins = True
        for line in paragraph.split("\n"):
            item = re.match(_BULLET, line) or re.match(_NUMBER, line)
            if re.match(_HEADING, line):
                begins = True
            elif item or begins:
                units.append([item[1] if item else line.lstrip("> ")])
                begins = False
            else:
                units[-1].append(line.lstrip("> "))
    return [" ".join(unit) for unit in units]


def _is_end(word: str, following: str, cased: bool) -> bool:
    """Tell whether a sentence ends with a word, punctuation included, before the following one."""
    said = re.sub("(?:\\[\\d{1,3}\\]|[\u00b9\u00b2\u00b3\u2070-\u2079])+\\Z", "", word).rstrip(_CLOSERS)
    if said[-1:] in _WIDE_STOPS:
        return bool(said)
    if re.search("[\u0370-\u03ff\u1f00-\u1fff];\\Z", said):  # the question mark of Greek
        return True
    if said[-1:] not in _STOPS or not said:
        return False
    stem = said.rstrip(_STOPS).lstrip("\"'([{*_\u201c\u2018\u00ab")
    if said.endswith(".") and not said.endswith(".."):
        initial = stem.split(".")[-1]
        if stem.lower() in _ABBREVIATIONS or (len(initial) == 1 and initial.isupper() and stem != "I"):
            return False
        if len(stem) == 1 and re.match("[^\\W\\d_]\\.", following):
            return False
    first = re.search("[^\\W_]", following)
    if stem.lower() in _BEFORE_NUMBERS and said.endswith(".") and first and first[0].isdecimal():
        return False
    return not (cased and first and first[0].islower() and following == following.lower())


def _cut_sentences(unit: str) -> list[str]:
    """Return the sentences of a stretch of text; signs by themselves belong to the word before them."""
    groups: list[list[str]] = []
    for word in re.sub(f"([{_WIDE_STOPS}]+[{_CLOSERS}]*)", "\\1 ", unit).split():
        if groups and not any(each.isalnum() for each in word):
            groups[-1].append(word)
        else:
            groups.append([word])
    cased = unit != unit.lower()
    sentences: list[str] = []
    sentence: list[str] = []
    for group, following in zip(groups, [*groups, [""]][1:], strict=True):
        sentence += group
        if following == [""] or any(_is_end(word, following[0], cased) for word in group):
            sentences.append(" ".join(sentence))
            sentence = []
    return [each for each in sentences if any(sign.isalnum() for sign in each)]


def get_sentences(text: str) -> list[str]:
    """Sentences: get_sentences("Dr. Ray paid 3.50. Why? No idea") == ["Dr. Ray paid 3.50.", "Why?", "No idea"]."""
    return [sentence for unit in _units(text) for sentence in _cut_sentences(unit)]


def get_bullets(text: str) -> list[str]:
    """Items of bullet lists: get_bullets("Buy:\\n- tea\\n* milk\\n1. no") == ["tea", "milk"]."""
    return _items(text, _BULLET)


def get_numbered(text: str) -> list[str]:
    """Items of numbered lists: get_numbered("1. tea\\n2) milk\\n- no") == ["tea", "milk"]."""
    return _items(text, _NUMBER)


def get_list_items(text: str) -> list[str]:
    """Items of bullet and numbered lists: get_list_items("- tea\\n1. milk\\nno") == ["tea", "milk"]."""
    return _items(text, _BULLET, _NUMBER)


def get_headings(text: str) -> list[str]:
    """Markdown headings: get_headings("# Tea\\nHot.\\n## Milk") == ["Tea", "Milk"]."""
    found = _items(text, _HEADING)
    return [each.rstrip("#").rstrip() if each.rstrip("#").endswith(" ") else each for each in found]


def get_bold(text: str) -> list[str]:
    """What stands between ** and **: get_bold("**Tea** is *hot*") == ["Tea"]."""
    return [each.strip("*") for each in re.findall(_BOLD, "\n".join(_fences(text)[1]))]


def get_highlighted(text: str) -> list[str]:
    """What stands between * and *, or ** and **: get_highlighted("**Tea** is *hot*") == ["Tea", "hot"]."""
    found = re.findall(f"{_BOLD}|\\*(?![\\s*])([^*\\n]+?)(?<=\\S)\\*", "\n".join(_fences(text)[1]))
    return [(strong or light).strip("*") for strong, light in found]


def get_quotes(text: str) -> list[str]:
    """What stands in double quotation marks: get_quotes('He said "Go on" to me.') == ["Go on"]."""
    pairs = (
        '""', "\u201c\u201d", "\u201e\u201c\u201d", "\u201d\u201d",
        "\u00ab\u00bb", "\u00bb\u00ab", "\u300c\u300d", "\u300e\u300f",
    )  # fmt: skip
    found = re.findall("|".join(f"{pair[0]}([^{pair}]*)[{pair[1:]}]" for pair in pairs), text)
    return [said for groups in found if (said := "".join(groups).strip())]


def get_bracketed(text: str, opening: str = "[") -> list[str]:
    """What stands in brackets, [ if no other is named: get_bracketed("(a) [b] <<c>>", "<<") == ["c"]."""
    half = opening[: len(opening) // 2]
    if half and opening == half + "".join(_PAIRS.get(each, each) for each in reversed(half)) and half[0] in _PAIRS:
        opening = half
    closing = "".join(_PAIRS.get(each, each) for each in reversed(opening))
    inside = "[^" + "".join(re.escape(each) for each in opening + closing) + "]*"
    found = re.findall(f"{re.escape(opening)}({inside}){re.escape(closing)}", _plain(text)) if opening else []
    return [each.strip() for each in found if each.strip()]


def split_by(text: str, separator: str) -> list[str]:
    """Parts between separators, none of them blank: split_by("a *** b", "***") == ["a", "b"]."""
    text, separator = _plain(text), _plain(separator)
    separator = separator.strip() or separator
    parts = text.split(separator) if separator else [text]
    return [part.strip() for part in parts if part.strip()]


def get_code_blocks(text: str, language: str = "") -> list[str]:
    """Fenced code blocks, of one language if named: get_code_blocks("```py\\nx = 1\\n```", "py") == ["x = 1"]."""
    wanted = language.lower()
    return [code for name, code in _fences(text)[0] if not wanted or name == wanted]


def read_json(text: str) -> dict[str, object] | list[object] | None:
    """The JSON object or list that the whole text is, or None: read_json('{"a": 1}') == {"a": 1}."""
    text = text.strip("\ufeff \t\r\n")
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].strip().removeprefix("json").removeprefix("JSON")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def is_json(text: str) -> bool:
    """Whether the whole text is a JSON object or list: is_json("[1, 2]") == True."""
    return read_json(text) is not None
