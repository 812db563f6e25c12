"""The small world's checkers, written by hand from the instructions alone: one for each kind of instruction.

Each was written before any function of a run was looked at. Where the words leave it open, what a reader would let pass
follows: letter case counts only where an instruction speaks of it or quotes capital letters, punctuation after quoted
words and marks of emphasis around them don't count, blank lines are no lines.

They import the standard library alone, as gold.py sends this file into the sandbox.
"""

import json
import re
import unicodedata
from collections.abc import Callable

Check = Callable[[str], bool]
_EDGES = " \t\n\r\v\f\u00a0\"'“”‘’„«»*_`"
"""What may stand around words without being part of them."""
_STOPS = ".!?…。！？,;:"
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’»)\]*_]*(?:\s+(?![a-zà-öø-ÿ])|$)|\n\s*\n|\n(?=\s*(?:[-*+•]|\d+[.)])\s)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|mr|mrs|ms|dr|st|no|approx|[A-Za-z]|(?:[A-Za-z]\.)+[A-Za-z])\.$", re.I
)
_NUMBERING = re.compile(r"(?:^|\n)\s*\d+[.)]$")
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}


def find_words(text: str) -> list[str]:
    """Return the words, without the punctuation around them."""
    return _WORD.findall(unicodedata.normalize("NFC", text))


def find_lines(text: str) -> list[str]:
    """Return the lines that are not blank, stripped."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def count_sentences(text: str) -> int:
    """Return the number of sentences; one that has no full stop is one, too."""
    count, start = 0, 0
    for end in _SENTENCE_END.finditer(text.strip()):
        piece = text.strip()[start : end.end()].rstrip()
        if _NUMBERING.search(piece) or (_ABBREVIATION.search(piece) and end.end() < len(text.strip())):
            continue
        count += bool(find_words(piece))
        start = end.end()
    return count + bool(find_words(text.strip()[start:]))


def find_phrase(phrase: str, text: str) -> list[str]:
    """Return where a phrase stands by itself, not within longer words; a run of spaces is one space."""
    parts = r"\s+".join(map(re.escape, phrase.split()))
    before = r"(?<!\w)" if phrase[:1].isalnum() or phrase[:1] == "#" else ""
    after = r"(?!\w)" if phrase[-1:].isalnum() else ""
    return re.findall(f"{before}{parts}{after}", text, _flags(phrase))


def _flags(phrase: str) -> re.RegexFlag:
    """A phrase that is quoted in capital letters is meant so."""
    letters = [char for char in phrase if char.isalpha()]
    return re.NOFLAG if len(letters) > 1 and all(map(str.isupper, letters)) else re.IGNORECASE


def begins_with(phrase: str) -> Check:
    """The first words of the text; of a label its colon as well."""
    parts = r"\s+".join(map(re.escape, phrase.split()))
    after = r"(?!\w)" if phrase[-1:].isalnum() else ""
    return lambda text: re.match(f"{parts}{after}", text.lstrip(_EDGES), _flags(phrase)) is not None


def begins_with_either(first: str, second: str) -> Check:
    return lambda text: begins_with(first)(text) or begins_with(second)(text)


def ends_with(phrase: str) -> Check:
    """The last words of the text, whatever punctuation ends them."""
    parts = r"\s+".join(map(re.escape, phrase.rstrip(_STOPS).split()))
    return lambda text: re.search(rf"(?<!\w){parts}$", text.rstrip(_EDGES + _STOPS), _flags(phrase)) is not None


def last_line_is(phrase: str) -> Check:
    def check(text: str) -> bool:
        last = " ".join(find_lines(text)[-1:]).strip(_EDGES + _STOPS)
        return re.fullmatch(re.escape(phrase), last, _flags(phrase)) is not None

    return check


def ends_with_mark(marks: str) -> Check:
    return lambda text: text.rstrip().endswith(tuple(marks.split()))


def is_quoted(text: str) -> bool:
    """One pair of double quotation marks is around the whole."""
    bare = text.strip()
    inside = bare[1:-1]
    if not find_words(inside) or f"{bare[:1]}{bare[-1:]}" not in ('""', "“”", "„“", "«»", "””"):
        return False
    first = re.search(r'["“”«»]', inside)
    return first is None or first.group() in "“«" or first.start() == 0 or inside[first.start() - 1] in " \n([—-"


def is_bracketed(pair: str) -> Check:
    def check(text: str) -> bool:
        bare, depth = text.strip(), 0
        for place, char in enumerate(bare):
            depth += (char == pair[0]) - (char == pair[1])
            if depth <= 0:
                return place == len(bare) - 1 and char == pair[1] and len(bare) > 2
        return False

    return check


def is_between_asterisks(text: str) -> bool:
    return re.fullmatch(r"\*(?!\*).*(?<!\*)\*", text.strip(), re.DOTALL) is not None and bool(find_words(text))


def is_between(symbol: str) -> Check:
    return lambda text: text.strip().startswith(symbol) and text.strip().endswith(symbol) and bool(find_words(text))


def is_tagged(opening: str, closing: str) -> Check:
    def check(text: str) -> bool:
        bare = text.strip().lower()
        within = bare.startswith(opening) and bare.endswith(closing)
        return within and bool(bare[len(opening) : -len(closing)].strip())

    return check


def is_code_block(text: str) -> bool:
    bare = text.strip()
    return bare.startswith("```") and bare.endswith("```") and bare.count("```") == 2 and bool(bare.strip("` \n"))


def uses(phrase: str) -> Check:
    return lambda text: bool(find_phrase(phrase, text))


def avoids(phrase: str) -> Check:
    return lambda text: not find_phrase(phrase, text)


def avoids_commas(text: str) -> bool:
    return not re.search("[,，،、]", text)


def avoids_full_stops(text: str) -> bool:
    """A point within a number is none."""
    return not re.search(r"[.。．｡](?!(?<=\d\.)\d)", text)


def avoids_letter(letter: str) -> Check:
    return lambda text: letter not in text.casefold()


def has_words(low: int, high: int) -> Check:
    return lambda text: low <= len(find_words(text)) <= high


def is_shorter(characters: int) -> Check:
    return lambda text: 0 < len(unicodedata.normalize("NFC", text.strip())) < characters


def has_sentences(count: int) -> Check:
    return lambda text: count_sentences(text) == count


def has_lines(count: int) -> Check:
    return lambda text: len(find_lines(text)) == count


def has_paragraphs(count: int) -> Check:
    return lambda text: sum(bool(part.strip()) for part in re.split(r"\n[^\S\n]*\n", text)) == count


def is_divided(divider: str) -> Check:
    def check(text: str) -> bool:
        lines = find_lines(text)
        return lines.count(divider) == 1 and divider not in (lines[0], lines[-1])

    return check


def has_items(marker: str, count: int) -> Check:
    return lambda text: sum(line.lstrip().startswith(marker) for line in text.splitlines()) == count


def is_numbered(count: int) -> Check:
    def check(text: str) -> bool:
        found = re.findall(r"^\s*[*_]*(\d+)\.(?!\d)", text, re.MULTILINE)
        return [int(number) for number in found] == list(range(1, count + 1))

    return check


def starts_each_line(symbol: str) -> Check:
    return lambda text: bool(find_lines(text)) and all(line.startswith(symbol) for line in find_lines(text))


def has_labelled_lines(*labels: str) -> Check:
    """Each label begins one line, in this order."""

    def check(text: str) -> bool:
        lines = [line.lstrip(_EDGES).lower() for line in find_lines(text)]
        found = [label for line in lines for label in labels if line.startswith(label.lower())]
        return found == list(labels) and not ("C)" in labels and any(line.startswith("d)") for line in lines))

    return check


def has_title(text: str) -> bool:
    return re.match(r"\s*# +\S", text) is not None


def starts_line(label: str, place: int | None) -> Check:
    """A line that starts with a label: the first (0), the last (-1), or any (None)."""

    def check(text: str) -> bool:
        lines = [line.lstrip(_EDGES) for line in find_lines(text)]
        chosen = lines if place is None else lines[place:][:1]
        return any(re.match(re.escape(label), line, _flags(label)) for line in chosen)

    return check


def is_lower(text: str) -> bool:
    return any(map(str.islower, text)) and not any(char.isupper() or char.istitle() for char in text)


def is_upper(text: str) -> bool:
    return any(map(str.isupper, text)) and not any(map(str.islower, text))


def has_capital_word(text: str) -> bool:
    """Of two letters or more: "I" and "A" are capital letters anyway."""
    return any(is_upper(word) and sum(map(str.isalpha, word)) > 1 for word in find_words(text))


def begins_in_capitals(text: str) -> bool:
    return is_upper(" ".join(find_words(text)[:1]))


def has(pattern: str, count: int = 1) -> Check:
    """At least so many places where this pattern is."""
    found = re.compile(pattern, re.IGNORECASE)
    return lambda text: sum(1 for _ in found.finditer(text)) >= count


def _read_json(text: str) -> object:
    fenced = re.fullmatch(r"```(?:json)?\s*\n?(.*?)```", text.strip(), re.DOTALL | re.IGNORECASE)
    try:
        return json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return None


def is_json_object(*keys: str) -> Check:
    def check(text: str) -> bool:
        found = _read_json(text)
        return isinstance(found, dict) and found.keys() >= set(keys)

    return check


def is_json_strings(text: str) -> bool:
    found = _read_json(text)
    return isinstance(found, list) and bool(found) and all(isinstance(each, str) for each in found)


_MANY = 10**9
_Q = r'"([^"]+)"'
_N = "(one|two|three|four|five)"


def _count(name: str) -> int:
    return _NUMBERS[name]


KINDS: tuple[tuple[str, Callable[..., Check]], ...] = (
    (rf"The first word of your response must be {_Q} or {_Q}\.", begins_with_either),
    (rf"(?:Begin|Start) your (?:response|answer) with the (?:words?|label) {_Q}\.", begins_with),
    (rf"The first word of your response must be {_Q}\.", begins_with),
    (rf"(?:End|Finish) your (?:response|answer) with the words? {_Q}\.?", ends_with),
    (rf"The last word of your response must be {_Q}\.", ends_with),
    (rf"The last line of your response must be {_Q}\.", last_line_is),
    (r"Your response must end with a question mark\.", lambda: ends_with_mark("? ？ ؟")),
    (r"Your response must end with an exclamation mark\.", lambda: ends_with_mark("! ！")),
    (r"Your response must end with three dots\.", lambda: ends_with_mark("... …")),
    (r"Put your whole response in double quotation marks\.", lambda: is_quoted),
    (r"Put your whole response in round brackets\.", lambda: is_bracketed("()")),
    (r"Put your whole response in square brackets\.", lambda: is_bracketed("[]")),
    (r"Put your whole response between two asterisks, one at the start .*", lambda: is_between_asterisks),
    (rf"Start and end your response with the symbol {_Q}\.", is_between),
    (r"Enclose your answer in the tags (\S+) and (\S+)\.", is_tagged),
    (r"Put your answer in a code block that starts and ends .*", lambda: is_code_block),
    (rf"Use the word {_Q} (?:in your response|at least once)\.", uses),
    (rf"Include the (?:phrase|hashtag|placeholder) {_Q} in your (?:answer|response)\.", uses),
    (rf"Mention the (?:word|colour) {_Q} in your answer\.", uses),
    (rf"Do not use the word {_Q} in your response\.", avoids),
    (r"Do not use any commas in your response\.", lambda: avoids_commas),
    (r"Do not use any full stops in your response\.", lambda: avoids_full_stops),
    (rf"Do not use the letter {_Q} in your response\.", avoids_letter),
    (r"Answer in no more than (\d+) words\.", lambda most: has_words(1, int(most))),
    (r"Answer in fewer than five words\.", lambda: has_words(1, 4)),
    (r"Answer with a single word\.", lambda: has_words(1, 1)),
    (r"Write at least (\d+) words\.", lambda least: has_words(int(least), _MANY)),
    (r"Keep your response under (\d+) characters\.", lambda limit: is_shorter(int(limit))),
    (rf"Answer in exactly {_N} sentences?\.", lambda count: has_sentences(_count(count))),
    (rf"Write exactly {_N} lines\.", lambda count: has_lines(_count(count))),
    (rf"Write exactly {_N} paragraphs, with a blank line .*", lambda count: has_paragraphs(_count(count))),
    (rf"Separate the two parts of your answer with a line that holds only {_Q}\.", is_divided),
    (
        rf"Answer with a list of exactly {_N} items, each on a line that starts with {_Q}\.",
        lambda count, marker: has_items(marker, _count(count)),
    ),
    (rf"Answer with a numbered list of exactly {_N} items, .*", lambda count: is_numbered(_count(count))),
    (rf"Start each line of your response with the symbol {_Q}\.", starts_each_line),
    (rf"Give three options, on lines that start with {_Q}, {_Q} and {_Q}\.", has_labelled_lines),
    (rf"Give two points, on lines that start with {_Q} and {_Q}\.", has_labelled_lines),
    (r'Give your response a title: its first line must start with "# "\.', lambda: has_title),
    (rf"Give your response a title: its first line must start with {_Q}\.", lambda label: starts_line(label, 0)),
    (rf"The first line of your response must start with {_Q}\.", lambda label: starts_line(label, 0)),
    (rf"Put a last line at the end that starts with {_Q}\.", lambda label: starts_line(label, -1)),
    (rf"Include a line that starts with {_Q}\.", lambda label: starts_line(label, None)),
    (r"Write your whole response in lower case\.", lambda: is_lower),
    (r"Write your whole response in capital letters\.", lambda: is_upper),
    (r"Include at least one word that is written entirely in capital letters\.", lambda: has_capital_word),
    (r"Write the first word of your response in capital letters\.", lambda: begins_in_capitals),
    (r"Highlight at least one word in bold, .*", lambda: has(r"\*\*(?=[^\s*])[^*]*\w[^*]*(?<!\s)\*\*")),
    (r"Highlight at least one word in italics, .*", lambda: has(r"(?<!\*)\*(?=[^\s*])[^*\n]*\w[^*\n]*(?<!\s)\*(?!\*)")),
    (r"Put at least one word in backticks\.", lambda: has(r"`[^`]*\w[^`]*`")),
    (r"Put at least one word in double quotation marks\.", lambda: has(r'["“„«][^"“”»]*\w[^"“”»]*["”“»]')),
    (r"Put at least one remark in round brackets\.", lambda: has(r"\([^()]*\w[^()]*\)")),
    (rf"Reply with a JSON object that has the key {_Q}\.", is_json_object),
    (rf"Reply with a JSON object that has the keys {_Q} and {_Q}\.", is_json_object),
    (r"Reply with a JSON list of strings\.", lambda: is_json_strings),
    (r"Include at least one number written in digits\.", lambda: has(r"\d+(?:[.,:/]\d+)*")),
    (r"Include at least three numbers written in digits\.", lambda: has(r"\d+(?:[.,:/]\d+)*", 3)),
    (r"Include a percentage, such as 40%, in your answer\.", lambda: has(r"\d\s?(?:[%٪％]|per ?cent\b)")),
    (r"Use at least one exclamation mark in your response\.", lambda: has("[!！]")),
    (r"Use at least one question mark in your response\.", lambda: has("[?？؟]")),
    (r"Use at least one semicolon in your response\.", lambda: has("[;；؛]")),
    (r"Use at least one colon in your response\.", lambda: has("[:：]")),
    (r"Use at least two dashes in your response\.", lambda: has(r"[–—―]|(?<!\w)-+|-+(?!\w)", 2)),
)
"""Each kind of instruction by its words, and what makes its checker from what it quotes."""


def make_check(instruction: str) -> Check:
    """Return the checker of an instruction. Raises LookupError: it is none of the small world's."""
    for pattern, make in KINDS:
        if found := re.fullmatch(pattern, instruction):
            return make(*found.groups())
    raise LookupError(f"no checker for {instruction!r}")
