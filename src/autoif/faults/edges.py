"""Texts on both sides of what an instruction plainly asks: what a function has to tell apart.

    make_edges("Write at least 40 words.")    40 words obey, 39 don't
    make_edges('Do not use the word "the".')  a text without it obeys, one with it doesn't; nor is "unthely" that word

Made only where the instruction can be read (wording.py, counts.py, parts.py) and both sides are beyond dispute: plain
words between spaces, sentences that end with a full stop, blank lines between paragraphs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from typing import Final

from autoif.faults import checks
from autoif.faults.combining import Clause, find_broken
from autoif.faults.counts import SIGNS, Count, read_count
from autoif.faults.forms import read_form
from autoif.faults.paraphrase import put_plainly
from autoif.faults.parts import JOINTS, Marked, Place, Sized, read_part
from autoif.faults.reasons import FindingReason
from autoif.faults.texts import SENTENCES, WORDS, choose_sentences, join_parts, make_text, repeat_text
from autoif.faults.things import THINGS
from autoif.faults.wording import ANSWER, END, LEAD, NONE_OF, Term, TermRole, find_quoted, is_english, read_terms

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
"""What a longer word isn't."""
_BULLETS: Final = re.compile(r"\bbullet[^*•+\n]{0,60}([*•+])(?=[ \"'`]|$)")
_LONGEST: Final = 1000
"""Characters: longer instructions say more than one can read here."""
_ENOUGH: Final = 8
"""Plain words for a text around what is named."""
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
    """Two texts that differ in little, of which an instruction allows one."""

    reason: FindingReason
    obeys: str | None
    """None where only what breaks is known."""
    breaks: str
    right: str
    """What obeys, in words, as in "40 words"."""
    wrong: str
    """What breaks, as in "39 words"."""

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
    """What was read of an instruction that asks for one thing."""

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
        edges = _size_parts(part) if isinstance(part, Sized) else _mark_parts(part)
        read = _Read(tuple(edges), checks.check_part(part), checks.edit_part(part), is_of_parts=True)
    framed = tuple(_frame(words))
    if framed and not read.edges and (match := _LETTER_CASE.match(words) or _NO_CASE.match(words)):
        read = _Read(check=checks.check_case(bool(match["lower"])), edit=checks.edit_case(bool(match["lower"])))
    edges = (edge for edge in (*read.edges, *framed) if edge.obeys != edge.breaks)
    return replace(read, edges=tuple(edges))


def _read_otherwise(instruction: str) -> Iterator[Edge]:
    """Yield the pairs for an instruction in other words, for a form, or for several things."""
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
    for text in find_broken(instruction, _read_clause):
        yield edge_of(text.obeys, text.breaks, "a text that does all", "one that leaves out a part of it")


def _put_sign(text: str, sign: str) -> str:
    return re.sub(r"(?m)^- ", f"{sign} ", text)


def _read_clause(words: str) -> Clause | None:
    """Read a part of an instruction, in its own words or in plainer ones."""
    for each in dict.fromkeys((words, put_plainly(words))):
        if edges := (read := _read(each)).edges:
            obeys = tuple(dict.fromkeys(edge.obeys for edge in edges if edge.obeys))
            breaks = tuple(dict.fromkeys(edge.breaks for edge in edges))
            return Clause(obeys, breaks, read.check, read.edit, read.unit, read.is_of_parts)
        if form := read_form(each):
            obeys, breaks = (
                tuple(dict.fromkeys(side)) for side in zip(*((p.obeys, p.breaks) for p in form.pairs), strict=True)
            )
            return Clause(obeys, breaks, form.check, checks.edit_nothing)
    return None


def _step_over(count: Count) -> Iterator[Edge]:
    """Yield the last numbers that obey beside the first that doesn't, below and above."""
    lowest = 0 if count.text or count.unit in SIGNS or count.unit in {"questions", *THINGS} else 1
    for wrong, last in _find_steps(count):
        right = count.usual or last
        if wrong < lowest:
            continue
        for number in (right,) if count.usual else (right, 2 * right - wrong):
            if number >= lowest and count.allows(number):
                texts = _make(count, number), _make(count, wrong)
                yield Edge(FindingReason.THRESHOLD, *texts, _say(number, count), _say(wrong, count))
        for texts in _vary(count, right, wrong):
            yield Edge(FindingReason.THRESHOLD, *texts, _say(right, count), _say(wrong, count))


def _find_steps(count: Count) -> Iterator[tuple[int, int]]:
    """Yield the first number beyond each limit, and the last within it."""
    if count.least is not None:
        yield count.least - 1, count.least
    if count.most is not None:
        yield count.most + 1, count.most


def _vary(count: Count, right: int, wrong: int) -> Iterator[tuple[str, str]]:
    """Yield texts of both numbers that are less plain: other ends of sentences, a longer word where one is too many."""
    if wrong == 0 and (thing := THINGS.get(count.unit)):
        for decoy in thing.make_decoys():
            yield _make(count, right), decoy
    elif count.unit == "sentences":
        yield _end_otherwise(_make(count, right)), _end_otherwise(_make(count, wrong))
    elif count.unit == "word" and count.text.isalpha() and len(count.text) > 1 and right < wrong:
        yield f"{_make(count, right)[:-1]} un{count.text.lower()}ly.", _make(count, wrong)
        if count.text.islower():
            yield _make(count, right), f"{_make(replace(count, text=count.text.capitalize()), wrong)[:-1]}, all day."


def _end_otherwise(sentences: str) -> str:
    """Return plain sentences that end with an exclamation mark or a question mark, by turns."""
    ends = cycle("!?")
    return re.sub(r"\.", lambda _: next(ends), sentences)


def _make(count: Count, number: int) -> str:
    return repeat_text(count, number) if count.text else make_text(count.unit, number)


def _say(number: int, count: Count) -> str:
    if count.text:
        return f'"{count.text}" {number} {"time" if number == 1 else "times"}'
    return f"{number} {count.unit.removesuffix('s') if number == 1 else count.unit}"


def _name_texts(terms: Sequence[Term]) -> Iterator[Edge]:
    """Yield a text with what is asked for, or forbidden, beside one without it or with it in another place."""
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
                    said = f'a text with the word "{longer}"', f"one with {quoted}"
                    yield edge(f"{before} {longer} {after}.", inside, *said)
            case TermRole.START:
                text = f"{asked} {before.lower()} {after}."
                yield edge(text, inside, f"a text that starts with {quoted}", "one that has it in the middle")
            case TermRole.END:
                text = f"{before}{asked}" if term.noun == "mark" else f"{without} {asked}"
                for more in (f"{text} {before}", f"{text}\n{before}"):
                    yield edge(text, more, f"a text that ends with {quoted}", "one that goes on after it")
                if term.noun == "mark":
                    another = f"{before}{'.' if asked in '!?' else '!'}"
                    yield edge(text, another, f"a text that ends with {quoted}", "one that ends with another mark")


def _is_in(term: Term, word: str) -> bool:
    """Tell whether a word has a named text in it, which may count as that text unless it is a word to avoid."""
    return term.text.casefold() in word and not (term.role is TermRole.AVOID and term.noun in _WHOLE)


def _name_line(term: Term) -> Iterator[Edge]:
    """Yield a text in which the right line starts with what is asked for, or is it, beside one where another does."""
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
            obeys, said = f"{first}\n{asked}", f"a text whose last line is {quoted}"
            yield edge(obeys, f"{first}\n{asked} {second}", said, "one that goes on after it")
            yield edge(obeys, f"{first} {asked}", said, "one whose last line says more before it")


def _name_letters(terms: Sequence[Term]) -> Iterator[Edge]:
    """Yield a text with a letter beside one without it."""
    letters = [term.text.casefold() for term in terms]
    if not all(len(each) == 1 and each.isalpha() for each in letters):
        return
    words = [word for word in WORDS if not any(each in word for each in letters)]
    before, after = " ".join(words[:5]), " ".join(words[5:10])
    for term in terms:
        asked = [f"b{each.text}b" for each in terms]
        said = f'a text with the letter "{term.text}"', f'one without the letter "{term.text}"'
        edge = partial(Edge, FindingReason.ASKED_TEXT)
        match term.role:
            case TermRole.USE:
                lacking = [each for each in asked if term.text not in each]
                texts = f"{' '.join([before, *asked, after])}.", f"{' '.join([before, *lacking, after])}."
                yield edge(*texts, *said)
            case TermRole.AVOID:
                yield edge(f"{before} {after}.", f"{before} b{term.text}b {after}.", *reversed(said))
            case TermRole.START if len(terms) == 1:
                text = f"{term.text}bb {before} {after}."
                yield edge(text, f"{before} {term.text}bb {after}.", f"a text that starts with {term.text}", "another")
            case TermRole.END if len(terms) == 1:
                text = f"{before} {after} bb{term.text}"
                yield edge(text, f"{before} bb{term.text} {after}", f"a text that ends with {term.text}", "another")


def _mark_parts(part: Marked) -> Iterator[Edge]:
    """Yield a text in which each part, or the right one, has what it is to have, beside one where another part has."""
    size = 2 if part.number < 2 else part.number + 1
    plain = choose_sentences(part.text, size)
    marked = [_mark(sentence, part) for sentence in plain]
    other = [_misplace(sentence, part) for sentence in plain]
    named = f'"{part.text}"'
    edge = partial(Edge, FindingReason.ASKED_TEXT)
    if part.number:
        place = part.number - 1 if part.number > 0 else size - 1
        right, wrong = (
            join_parts(part.unit, [marked[at] if at == chosen else other[at] for at in range(size)])
            for chosen in (place, (place + 1) % size)
        )
        yield edge(right, wrong, f"a text with {named} at the right {part.unit}", "one with it at another")
        return
    good, bad = (other, marked) if part.never else (marked, other)
    for texts in ([good[0], bad[1]], [bad[0], good[1]]):
        said = f"two {part.unit}s that are as they must be", f"two of which one is not, for {named}"
        yield edge(join_parts(part.unit, good), join_parts(part.unit, texts), *said)


def _mark(sentence: str, part: Marked) -> str:
    """Return a sentence that has the text of a part in its place; in the middle of it twice, where it is no mark."""
    bare, text = sentence[:-1], part.text.strip()
    match part.place:
        case Place.START:
            start = f"{text[0].upper()}{text[1:]}" if part.unit == "sentence" else text
            return f"{start} {bare.lower()}."
        case Place.END:
            return f"{bare} {text}" if text[0].isalnum() else f"{bare}{text}"
        case Place.INSIDE:
            once = _put_inside(sentence, text)
            return once if text in JOINTS else _put_inside(once, text)


def _misplace(sentence: str, part: Marked) -> str:
    """Return a sentence that has the text of a part where it doesn't belong, or hasn't it at all."""
    text = part.text.strip()
    if part.place is Place.INSIDE or text[-1] in ".!?":
        return f"{sentence[:-1]}{'!' if text.endswith('.') else '.'}"
    return _put_inside(sentence, text)


def _put_inside(sentence: str, text: str) -> str:
    first, rest = sentence.split(" ", 1)
    return f"{first}{' ' if text[0].isalnum() else ''}{text} {rest}"


def _size_parts(part: Sized) -> Iterator[Edge]:
    """Yield two parts of a size that is allowed, beside two of which one is larger or smaller by one."""
    for wrong, right in _find_steps(part.count):
        if wrong > 0:
            good, bad = make_text(part.count.unit, right), make_text(part.count.unit, wrong)
            texts = join_parts(part.unit, [good, good]), join_parts(part.unit, [good, bad])
            of_right, of_wrong = _say(right, part.count), _say(wrong, part.count)
            yield Edge(
                FindingReason.THRESHOLD, *texts, f"two {part.unit}s of {of_right}", f"two of which one has {of_wrong}"
            )


def _frame(instruction: str) -> Iterator[Edge]:
    """Yield texts in small or capital letters alone, and texts in brackets, for the instructions that ask for these."""
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
        inner = f"Rain fell {opening}on farms{closing} and hills."
        yield edge(
            f"{opening}{plain}{closing}", inner, f"a text inside {opening}{closing}", "one with words around them"
        )
