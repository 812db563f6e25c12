"""Makes texts on both sides of what an instruction plainly asks, which a function has to tell apart.

    make_edges("Write at least 40 words.")    40 words obey, 39 don't
    make_edges('Do not use the word "the".')  a text without it obeys, one with it doesn't; "unthely" isn't that word

Made only where the instruction can be read (wording.py, counts.py, parts.py) and both sides are beyond dispute: plain
words between spaces, sentences that end with a full stop, blank lines between paragraphs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from autoif.faults import checks
from autoif.faults.combining import Clause, find_broken
from autoif.faults.counts import SIGNS, Count, read_count
from autoif.faults.forms import read_form
from autoif.faults.paraphrase import put_plainly
from autoif.faults.part_texts import make_part_pairs
from autoif.faults.parts import Sized, read_part
from autoif.faults.reasons import FindingReason
from autoif.faults.texts import SENTENCES, WORDS, choose_sentences
from autoif.faults.things import THINGS
from autoif.faults.variants import find_steps, make_counted, say_counted, vary_count
from autoif.faults.wording import (
    ANSWER,
    END,
    LAST_WORD,
    LEAD,
    NONE_OF,
    Term,
    TermRole,
    find_quoted,
    is_closing,
    is_english,
    read_terms,
)

_LETTER_CASE: Final = re.compile(
    r"^(?!(?:please )?use (?:upper|capital|caps))"
    r"(?:please )?(?:write|use|put|give|answer|respond|reply|make)?(?: in)?(?: your| the)?(?: entire| whole| full)?"
    r"(?: (?:answer|response|reply|text))?(?: (?:must|should) be)?(?: written)?(?: entirely)?(?: in)?(?: all)?"
    r" (?:(?P<lower>lower[- ]?case)|(?P<upper>upper[- ]?case|capital(?= letters)|caps))(?: letters)?[.!]?$",
    re.IGNORECASE,
)
_NO_CASE: Final = re.compile(
    rf"^{LEAD}{NONE_OF} (?:(?P<lower>capital|upper[- ]?case)|(?P<upper>small|lower[- ]?case)) letters{END}",
    re.IGNORECASE,
)
_JSON: Final = re.compile(
    rf"^{LEAD}(?:write|answer|respond|reply|give|format|output)(?: {ANSWER})?(?: only)?(?: with| in| as)?(?: an?)?"
    r"(?: valid)? json(?: object| (?P<array>array|list))?(?: format)?[.!]?$",
    re.IGNORECASE,
)
_LETTER: Final = frozenset({"letter", "character"})
_WHOLE: Final = frozenset({"word", "term"})
"""Nouns for texts that a longer word doesn't contain."""
_BULLETS: Final = re.compile(r"\bbullet[^*•+\n]{0,60}([*•+])(?=[ \"'`]|$)")
_LONGEST: Final = 1000
"""Characters. Longer instructions say more than can be read here."""
_ENOUGH: Final = 8
"""Fewest plain words for a text around a named one."""
_BRACKETS: Final = {"round": "()", "square": "[]", "curly": "{}", "parentheses": "()"}
_WRAPPED: Final = re.compile(
    r"(?:wrap|put|enclose|place) (?:your|the) (?:(?:entire|whole) (?:response|answer|reply|text)|response|reply|text)"
    r" (?:in|with|inside|within)"
    r" (?:(?P<bracket>round(?= brackets)|square(?= brackets)|curly(?= brackets)|parentheses)(?: brackets)?"
    r"|(?P<quotes>(?:double )?quot\w+(?: marks?)?))[.!]?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Edge:
    """Two texts that differ little, of which an instruction allows only one."""

    reason: FindingReason
    obeys: str | None
    """None where only what breaks is known."""
    breaks: str
    right: str
    """What the text that obeys has, as in "40 words"."""
    wrong: str
    """What the text that breaks has, as in "39 words"."""

    @property
    def sides(self) -> tuple[str, ...]:
        """The texts."""
        return (self.breaks,) if self.obeys is None else (self.obeys, self.breaks)


def make_edges(instruction: str) -> list[Edge]:
    """Return the pairs for an instruction; none if it can't be read."""
    if not is_english(instruction) or not all(map(str.strip, find_quoted(instruction))):
        return []
    if edges := list(_read(instruction).edges):
        return edges
    return list(_read_otherwise(instruction)) if len(instruction) <= _LONGEST else []


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read from an instruction that asks for one thing."""

    edges: tuple[Edge, ...] = ()
    check: checks.Check | None = None
    edit: checks.Edit = checks.edit_nothing
    unit: str = ""
    is_of_parts: bool = False


def _read(words: str) -> _Read:
    """Read words that say one thing plainly."""
    read = _Read()
    if count := read_count(words):
        unit = "" if count.text else count.unit.removesuffix("s")
        read = _Read(tuple(_step_over(count)), checks.check_count(count), unit=unit)
    elif terms := read_terms(words):
        edges = _name_letters(terms) if terms[0].noun in _LETTER else [*_name_texts(terms), *_name_line(terms[0])]
        read = _Read(tuple(edges), checks.check_terms(terms), checks.edit_terms(terms))
    elif part := read_part(words):
        reason = FindingReason.THRESHOLD if isinstance(part, Sized) else FindingReason.ASKED_TEXT
        edges = [Edge(reason, each.obeys, each.breaks, each.right, each.wrong) for each in make_part_pairs(part)]
        read = _Read(tuple(edges), checks.check_part(part), checks.edit_part(part), is_of_parts=True)
    framed = tuple(_frame(words))
    if framed and not read.edges and (match := _LETTER_CASE.match(words) or _NO_CASE.match(words)):
        read = _Read(check=checks.check_case(bool(match["lower"])), edit=checks.edit_case(bool(match["lower"])))
    edges = (edge for edge in (*read.edges, *framed) if edge.obeys != edge.breaks)
    return replace(read, edges=tuple(edges))


def _read_otherwise(instruction: str) -> Iterator[Edge]:
    """Yield the pairs for an instruction that is reworded, asks for a form, or asks for several things."""
    plain = put_plainly(instruction)
    read = _read(plain)
    if read.edges:
        sign = _BULLETS.search(instruction) if read.unit == "bullet point" else None
        for edge in read.edges:
            yield (
                edge
                if sign is None
                else replace(edge, obeys=_put_sign(edge.obeys or "", sign[1]), breaks=_put_sign(edge.breaks, sign[1]))
            )
        return
    edge_of = partial(Edge, FindingReason.ASKED_TEXT)
    if form := next(filter(None, map(read_form, (plain, instruction))), None):
        for pair in form.pairs:
            yield edge_of(pair.obeys, pair.breaks, pair.right, pair.wrong)
        return
    for text in find_broken(instruction, _read_clause) or find_broken(plain, _read_clause):
        yield edge_of(text.obeys, text.breaks, "a text that does all", "one that leaves out a part of it")


def _put_sign(text: str, sign: str) -> str:
    return re.sub(r"(?m)^- ", f"{sign} ", text)


def _read_clause(words: str) -> Clause | None:
    """Read a clause of an instruction, in its own words or in plainer ones."""
    for each in dict.fromkeys((words, put_plainly(words))):
        if edges := (read := _read(each)).edges:
            obeys = tuple(dict.fromkeys(edge.obeys for edge in edges if edge.obeys))
            breaks = tuple(dict.fromkeys(edge.breaks for edge in edges))
            return Clause(obeys, breaks, read.check, read.edit, read.unit, read.is_of_parts)
        if form := read_form(each):
            obeys, breaks = (
                tuple(dict.fromkeys(side)) for side in zip(*((p.obeys, p.breaks) for p in form.pairs), strict=True)
            )
            known = {**dict.fromkeys(obeys, True), **dict.fromkeys(breaks, False)}
            return Clause(obeys, breaks, form.check or known.get, checks.edit_nothing, is_sure=form.check is not None)
    return None


def _step_over(count: Count) -> Iterator[Edge]:
    """Yield pairs at each limit: numbers that obey beside the first that doesn't."""
    lowest = 0 if count.text or count.unit in SIGNS or count.unit in {"questions", *THINGS} else 1
    for wrong, last in find_steps(count):
        right = count.usual or last
        if wrong < lowest:
            continue
        for number in (right,) if count.usual else (right, 2 * right - wrong):
            if number >= lowest and count.allows(number):
                texts = make_counted(count, number), make_counted(count, wrong)
                yield Edge(FindingReason.THRESHOLD, *texts, say_counted(number, count), say_counted(wrong, count))
        for texts in vary_count(count, right, wrong):
            yield Edge(FindingReason.THRESHOLD, *texts, say_counted(right, count), say_counted(wrong, count))


def _name_texts(terms: Sequence[Term]) -> Iterator[Edge]:
    """Yield texts with the named texts beside texts without them, or with them in another place."""
    words = [word for word in WORDS if not any(word in term.text.casefold() or _is_in(term, word) for term in terms)]
    if len(words) < _ENOUGH:
        return
    other = next(
        (digit for digit in "935" if all(term.text.isdigit() and digit not in term.text for term in terms)), ""
    )
    before, after = " ".join(words[:6]).capitalize(), " ".join([*words[6:12], other]).strip()
    without = f"{before} {after}."
    all_of_them = " ".join(term.text.strip() for term in terms)
    edge = partial(Edge, FindingReason.ASKED_TEXT)
    for term in terms:
        asked, quoted = term.text.strip(), f'"{term.text}"'
        inside = f"{before} {asked} {after}."
        match term.role:
            case TermRole.USE:
                others = " ".join(other.text.strip() for other in terms if other != term)
                lacking = f"{before} {others} {after}." if others else without
                yield edge(f"{before} {all_of_them} {after}.", lacking, f"a text with {quoted}", "one without it")
            case TermRole.AVOID:
                yield edge(without, inside, f"a text without {quoted}", "one with it")
                if term.text.isalpha() and term.noun in _WHOLE:
                    longer = f"un{term.text.lower()}ly"
                    labels = f'a text with the word "{longer}"', f"one with {quoted}"
                    yield edge(f"{before} {longer} {after}.", inside, *labels)
            case TermRole.START:
                text = f"{asked} {before.lower()} {after}."
                yield edge(text, inside, f"a text that starts with {quoted}", "one that has it in the middle")
                if shorter := asked.rpartition(" ")[0]:
                    yield edge(text, f"{shorter} {before.lower()} {after}.", f"all of {quoted}", "its first words")
            case TermRole.END:
                yield from _name_end(term, before, without)


def _name_end(term: Term, before: str, without: str) -> Iterator[Edge]:
    """Yield a text that ends as asked beside one that goes on after it, or ends with only a part of it."""
    asked, quoted = term.text.strip(), f'"{term.text}"'
    edge = partial(Edge, FindingReason.ASKED_TEXT)
    if is_closing(asked):  # and a name may follow
        more = "\n".join([asked, *SENTENCES])
        yield edge(f"{without}\n\n{asked}", more, f"a text that closes with {quoted}", "one that goes on")
        return
    is_mark = term.noun == "mark"
    text = f"{before}{asked}" if is_mark else f"{without} {asked}"
    for more in (f"{text} {before}", f"{text}\n{before}"):
        yield edge(text, more, f"a text that ends with {quoted}", "one that goes on after it")
    if shorter := asked.partition(" ")[2]:
        yield edge(text, f"{without} {shorter}", f"all of {quoted}", "its last words")
    if term.noun == LAST_WORD and asked.isalnum():
        yield edge(f"{text}.", without, f"{quoted} and a full stop", "a text without it")
    if is_mark:
        another = f"{before}{'.' if asked in '!?' else '!'}"
        yield edge(text, another, f"a text that ends with {quoted}", "one that ends with another mark")


def _is_in(term: Term, word: str) -> bool:
    """Tell whether a word contains a named text and may count as it; within a longer word, a word to avoid doesn't."""
    return term.text.casefold() in word and not (term.role is TermRole.AVOID and term.noun in _WHOLE)


def _name_line(term: Term) -> Iterator[Edge]:
    """Yield a text whose right line starts with, or is, the named text, beside one where another line does."""
    asked, quoted = term.text.strip(), f'"{term.text}"'
    edge = partial(Edge, FindingReason.ASKED_TEXT)
    first, second = choose_sentences(asked, 2)
    match term.role:
        case TermRole.ANY_LINE:
            texts = f"{first}\n{asked} {second}", f"{first} {asked} {second}"
            yield edge(*texts, f"a text with a line that starts with {quoted}", "one that has it inside a line")
        case TermRole.FIRST_LINE:
            texts = f"{asked} {first}\n{second}", f"{first}\n{asked} {second}"
            yield edge(*texts, f"a text whose first line starts with {quoted}", "one whose second line does")
        case TermRole.LAST_LINE:
            texts = f"{first}\n{asked} {second}", f"{asked} {second}\n{first}"
            yield edge(*texts, f"a text whose last line starts with {quoted}", "one whose first line does")
        case TermRole.WHOLE_LAST_LINE:
            obeys, right = f"{first}\n{asked}", f"a text whose last line is {quoted}"
            yield edge(obeys, f"{first}\n{asked} {second}", right, "one that goes on after it")
            yield edge(obeys, f"{first} {asked}", right, "one whose last line says more before it")


def _name_letters(terms: Sequence[Term]) -> Iterator[Edge]:
    """Yield a text with a letter beside one without it."""
    letters = [term.text.casefold() for term in terms]
    if not all(len(each) == 1 and each.isalpha() for each in letters):
        return
    words = [word for word in WORDS if not any(each in word for each in letters)]
    before, after = " ".join(words[:5]), " ".join(words[5:10])
    for term in terms:
        asked = [f"b{each.text}b" for each in terms]
        labels = f'a text with the letter "{term.text}"', f'one without the letter "{term.text}"'
        edge = partial(Edge, FindingReason.ASKED_TEXT)
        match term.role:
            case TermRole.USE:
                lacking = [each for each in asked if term.text not in each]
                texts = f"{' '.join([before, *asked, after])}.", f"{' '.join([before, *lacking, after])}."
                yield edge(*texts, *labels)
            case TermRole.AVOID:
                yield edge(f"{before} {after}.", f"{before} b{term.text}b {after}.", *reversed(labels))
            case TermRole.START if len(terms) == 1:
                text = f"{term.text}bb {before} {after}."
                yield edge(text, f"{before} {term.text}bb {after}.", f"a text that starts with {term.text}", "another")
            case TermRole.END if len(terms) == 1:
                text = f"{before} {after} bb{term.text}"
                yield edge(text, f"{before} bb{term.text} {after}", f"a text that ends with {term.text}", "another")


def _frame(instruction: str) -> Iterator[Edge]:
    """Yield pairs for instructions that ask for one letter case, for JSON, or for brackets around the whole."""
    plain = " ".join(SENTENCES[:2])
    edge = partial(Edge, FindingReason.ASKED_TEXT)
    if match := _LETTER_CASE.match(instruction) or _NO_CASE.match(instruction):
        text = f"{plain} 3 cows stood by."
        if match["lower"]:
            yield edge(text.lower(), f"{text.lower()} Then rain.", "a text in lower case", "one with a capital letter")
        else:
            yield edge(
                text.upper(), f"{text.upper()} then rain.", "a text in capital letters", "one with small letters"
            )
    elif match := _JSON.match(instruction):
        text = '["rain", "hills"]' if match["array"] else '{"rain": "hills"}'
        for broken in (text.replace('"', ""), f"Here it is: {text}"):
            yield edge(text, broken, "JSON", "what is none")
    elif match := _WRAPPED.match(instruction):
        opening, closing = tuple(_BRACKETS[match["bracket"].lower()] if match["bracket"] else '""')
        whole = f"{opening}{plain}{closing}"
        for inner in (
            f"Rain fell {opening}on farms{closing} and hills.",
            f"{opening}Rain{closing} fell on farms.",
            f"Rain fell {opening}on farms.{closing}",
        ):
            yield edge(whole, inner, f"a text inside {opening}{closing}", "one with words around them")
