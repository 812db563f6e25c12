"""Forms that speak of kinds of characters: only letters and digits, a capital at the start of each line, no other mark.

A table for forms.py: phrases, and makers of their texts. Where people differ about what belongs to a kind, neither text
has it: "only capital letters" says nothing about spaces, so both texts are one word.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from autoif.faults.form_texts import Maker, Pair, cross
from autoif.faults.texts import SENTENCES, choose_sentences, join_parts
from autoif.faults.wording import ANSWER, END, LEAD, MARKS, MUST, NAMED, NONE_OF, NOT, OF_ANSWER

_SMALL: Final = [f"{sentence[0].lower()}{sentence[1:]}" for sentence in SENTENCES]
_CAPITAL: Final = r"(?:capital|upper[- ]?case)(?: letters?)?"
_LOWER: Final = r"(?:small|lower[- ]?case)(?: letters?)?"
_KINDS: Final = {
    "capital": (_CAPITAL, SENTENCES, _SMALL, "Rain Hit Small Farms / Rain Hit small Farms"),
    "small": (_LOWER, _SMALL, SENTENCES, "rain fell on farms / rain fell On farms"),
    "number": (
        r"(?:numbers?|digits?|numerals?)",
        ("1 cow stood by.", "2 dogs slept.", "3 men cut wood."),
        ("Cows stood by 1 gate.", "Dogs slept by 2 gates.", "Men cut wood for 3 days."),
        "",
    ),
    "vowel": (
        "vowels?",
        ("Old dogs slept.", "All cows stood by.", "Each man cut wood."),
        ("Rain fell on all farms.", "Dogs slept by an old gate.", "Men cut wood for us."),
        "old aunts eat eggs / old aunts see eggs",
    ),
    "consonant": (
        "consonants?",
        ("Rain fell on all farms.", "Dogs slept by an old gate.", "Men cut wood for us."),
        ("Old dogs slept.", "All cows stood by.", "Each man cut wood."),
        "big dogs see cows / big dogs eat cows",
    ),
}
"""How each kind is written; sentences that start with it; some that don't; words that all do / one doesn't."""
_KIND: Final = "|".join(f"(?P<{name}>{form})" for name, (form, *_) in _KINDS.items())
_EACH: Final = rf"(?:each|every|all(?: of)?(?: the)?) (?P<unit>line|sentence|paragraph|bullet point|word)s?{OF_ANSWER}"
_NTH: Final = {"second": 1, "third": 2, "fourth": 3, "fifth": 4}
_STARTS: Final = "(?:start|begin)s?"
_MARKS_ALONE: Final = {"periods": ".", "full stops": ".", "commas": ","}
_ONLY_OF: Final = (
    r"(?:(?:capital|upper[- ]?case|small|lower[- ]?case)(?: letters)?|(?:alphabetic(?:al)? )?letters|digits|numbers"
    r"|a number|numerals|spaces|punctuation(?: marks)?)"
)
_TOKENS: Final = {"capital": "RAIN", "small": "rain", "digit": "27"}
_STYLES: Final = {
    "bold": "**{}**", "italics": "*{}*", "quotation marks": '"{}"', "double quotation marks": '"{}"',
    "backticks": "`{}`", "parentheses": "({})", "square brackets": "[{}]",
}  # fmt: skip
_CAPS: Final = r"(?:all )?(?:capital letters|capitals|upper[- ]?case(?: letters)?|caps)"


def _make_started(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    """Yield texts in which each part starts with a kind, beside texts in which one doesn't."""
    groups = {name: text for name, text in match.groupdict().items() if text}
    unit = groups.get("unit", "").lower()
    kind = next(name for name in _KINDS if name in groups)
    if unit == "bullet point" and kind == "number":  # such may be a numbered list
        return
    _, good, bad, words = _KINDS[kind]
    if kind == "capital" and groups[kind].lower() == "first word":  # all of whose letters may have to be capitals
        good, bad = ("A cat hid.", "I saw hay.", "A dog ran."), ("a cat hid.", "i saw hay.")
    if unit == "word":
        right, _, wrong = words.partition(" / ")
        obeying, breaking = [right], [wrong] if wrong else []
    elif not unit:
        obeying, breaking = [f"{good[0]} {good[1]}", good[1]], [f"{bad[0]} {bad[1]}", bad[1]]
    else:
        obeying, breaking = [join_parts(unit, good[:3])], [join_parts(unit, [bad[0], good[1]])]
        if unit != "sentence" or kind not in {"capital", "small"}:  # "it. then" may be one sentence
            breaking.append(join_parts(unit, [good[0], bad[1]]))
    if breaking:
        yield from cross(obeying, breaking, f"a text that starts with a {kind}", "one that doesn't")


def _make_numbered(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    """Yield texts in which each part has a number, beside texts in which one has none."""
    good, bad = ("Rain fell on 7 farms.", "Dogs slept for 2 days.", "We saw 3 cows."), SENTENCES
    unit = match["unit"].lower()
    if unit == "word":
        return
    breaking = [join_parts(unit, parts) for parts in ((good[0], bad[1]), (bad[0], good[1], good[2]))]
    yield from cross([join_parts(unit, good)], breaking, f"a number in each {unit}", f"a {unit} without one")


def _make_only(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    """Yield texts of the kinds that are allowed, beside the same with something else."""
    allowed = match["kinds"].lower()
    if " or " in allowed:  # both, or one of them
        return
    kinds = {name for name, form in (("capital", _CAPITAL), ("small", _LOWER)) if re.search(form, allowed)}
    kinds |= {"capital", "small"} if "letters" in re.sub(f"{_CAPITAL}|{_LOWER}", "", allowed) else set()
    kinds |= {"digit"} if re.search("digit|num", allowed) else set()
    spaces, marks = "space" in allowed, "punct" in allowed
    if not kinds or (spaces and allowed == "spaces"):
        return
    tokens = [token for kind, token in _TOKENS.items() if kind in kinds]
    joint = " " if spaces else ""
    right = joint.join([*tokens, *reversed(tokens)]) + ("." if marks else "")
    others = [token for kind, token in _TOKENS.items() if kind not in kinds]
    if "digit" not in kinds and not spaces and kinds != {"capital", "small"}:
        others.remove(_TOKENS["digit"])  # not spoken of
    breaking = [joint.join([tokens[0], other, tokens[-1]]) for other in others]
    if spaces and not marks:
        breaking.append(f"{right}, {tokens[0]}")
    elif not breaking and not marks:
        breaking.append(f"{tokens[0]}#{tokens[-1]}")
    yield from cross([right], breaking, "what is allowed", "what isn't")


def _make_only_mark(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    if _MARKS_ALONE[match["mark"].lower()] == ".":
        obeying, breaking = [" ".join(SENTENCES[:2])], ["Rain fell, and old dogs slept.", "Rain fell! Old dogs slept."]
    else:
        obeying, breaking = ["Rain fell, and old dogs slept"], ["Rain fell, and old dogs slept.", "Rain fell, no! Dogs"]
    yield from cross(obeying, breaking, "no other mark", "another")


def _make_not_at(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    """Yield texts without what they must not start, or end, with, beside texts that do."""
    groups = match.groupdict("")
    if not groups["mark"] and len(texts) != 1:
        return
    asked = MARKS[groups["mark"].lower()] if groups["mark"] else texts[0].strip()
    one, other = choose_sentences(asked, 2)
    if match["verb"].lower() in {"start", "begin"}:
        obeying, breaking = [f"{one} {other}"], [f"{asked} {one.lower()} {other}"]
        if groups.get("noun", "").lower() not in {"letter", "character"}:
            obeying += [f"{one[:-1]} {asked}. {other}", *(["It is cold."] if asked == "I" else [])]
    elif asked[-1].isalnum():
        obeying, breaking = [f"{one} {other}"], [f"{one} {other[:-1]} {asked}"]
    else:
        gap, another = " " if asked[0].isalnum() else "", "." if asked[-1] != "." else "!"
        obeying, breaking = [f"{one[:-1]}{gap}{asked} {other[:-1]}{another}"], [f"{one} {other[:-1]}{gap}{asked}"]
    yield from cross(obeying, breaking, f'a text without "{asked}" there', "one with it")


def _make_styled(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    """Yield texts with a named word in bold, …, beside texts with the same word as it is."""
    if len(texts) != 1 or not re.fullmatch(r"[A-Za-z]+", texts[0]):
        return
    style = _STYLES.get(match["style"].lower())
    styled = style.format(texts[0]) if style else texts[0].upper()
    if styled != texts[0]:
        before, after = "We saw", "up on that hill."
        yield from cross([f"{before} {styled} {after}"], [f"{before} {texts[0]} {after}"], "it in this style", "not")


def _make_nth_word(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    place = _NTH[(match["nth"] or match["which"]).lower()]
    if len(texts) != 1 or not texts[0].isalpha():
        return
    words = [word for each in choose_sentences(texts[0], 3) for word in each.lower().strip(".").split()]
    right, wrong = (" ".join([*words[:at], texts[0], *words[at:]]).capitalize() for at in (place, place + 2))
    if texts[0].islower():
        yield from cross([f"{right}."], [f"{wrong}.", " ".join(words)], "the word in its place", "in another")


def _make_both_ends(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    """Yield a text with a named text at both ends, beside texts with it at one."""
    if len(texts) == 1 and texts[0].replace(" ", "").isalpha():
        text, (one, other) = texts[0], (each.lower().rstrip(".") for each in choose_sentences(texts[0], 2))
        breaking = [f"{text} {one} {other}", f"{one} {other} {text}", f"{one} {text} {other}"]
        yield from cross([f"{text} {one} {text}"], breaking, "it at both ends", "at one")


CHARACTER_FORMS: Final[tuple[tuple[str, Maker], ...]] = (
    (
        rf"^{LEAD}(?=.*\b(?:starts?|begins?|first)\b)(?:{_STARTS} )?(?:the first (?:letter|character) of )?"
        rf"{_EACH} (?:{MUST} )?(?:(?:{_STARTS} )?with|be) an? (?:{_KIND}){END}",
        _make_started,
    ),
    (
        r"\bcapitali[sz]e the (?P<capital>first (?:letter|word)) (?:of|in) (?:each|every) (?P<unit>line"
        rf"|sentence|paragraph|bullet point){END}",
        _make_started,
    ),
    (
        rf"^{LEAD}(?:(?:start|begin)(?: {ANSWER})? with|{ANSWER} {MUST} (?:start|begin) with"
        rf"|the first (?:letter|character){OF_ANSWER} {MUST} be) an? (?:{_KIND}){END}",
        _make_started,
    ),
    (rf"^{LEAD}{_EACH} {MUST} (?:contain|include) (?:a|at least 1) (?:number|digit){END}", _make_numbered),
    (rf"^{LEAD}(?:include|use|put) (?:a|at least 1) (?:number|digit) in {_EACH}{END}", _make_numbered),
    (
        rf"^(?=.*\bonly\b){LEAD}(?:only )?(?:(?:use|write|answer|respond|reply|contain|include)(?: {ANSWER})?"
        rf"|{ANSWER} {MUST} (?:only )?(?:use|contain|consist(?: only)? of|include|be))(?: only)?(?: (?:with|in|using"
        rf"|of))?(?: only)? (?P<kinds>{_ONLY_OF}(?:(?:,? and |,? or |, ){_ONLY_OF})*)(?: characters)?(?: only)?{END}",
        _make_only,
    ),
    (
        rf"^{LEAD}(?:use no(?: other)? punctuation(?: marks)?|{NONE_OF}(?: other)? punctuation(?: marks)?)"
        rf" (?:other than|except|besides|apart from)(?: for)? (?P<mark>{'|'.join(_MARKS_ALONE)}){END}",
        _make_only_mark,
    ),
    (
        rf"^{LEAD}(?:(?:use only|only use) (?P<mark>{'|'.join(_MARKS_ALONE)}) (?:as|for) punctuation){END}",
        _make_only_mark,
    ),
    (
        rf"^the only punctuation(?: marks?)?(?: (?:you (?:may|can|should) use|allowed|permitted){OF_ANSWER})? (?:is|are"
        rf"|{MUST} be) (?P<mark>{'|'.join(_MARKS_ALONE)}){END}",
        _make_only_mark,
    ),
    (
        rf"^{LEAD}{NOT} (?P<verb>start|begin|end|finish|conclude)(?: {ANSWER})? with(?: (?P<mark>{'|'.join(MARKS)})"
        rf"|{NAMED})(?=[.!]?$)",
        _make_not_at,
    ),
    (
        rf"^{LEAD}(?:start|begin) and end(?: {ANSWER})? with(?: the)?(?: same)?(?: word| phrase)? \0{END}",
        _make_both_ends,
    ),
    (
        rf"^{LEAD}(?:write|put|make|format|set|include|use) the (?:word|name|term) \0 in (?P<style>{'|'.join(_STYLES)}"
        rf"|{_CAPS}){END}",
        _make_styled,
    ),
    (
        rf"^{LEAD}(?:the (?P<nth>{'|'.join(_NTH)}) word{OF_ANSWER} (?:{MUST} be|is)(?: the word)? \0"
        rf"|(?:make|use) \0 (?:as )?(?:the|your) (?P<which>{'|'.join(_NTH)}) word){END}",
        _make_nth_word,
    ),
)
