"""Texts that obey, for each instruction of the small world, whatever models managed: any answer, edited by hand.

    for text in make_texts('Begin your response with the word "Indeed".'): ...

So a function's rate of true positives can be measured where no answer of a model obeys. What obeys is said by the
checkers of examples/small_world/checkers.py, not here; tests/test_reliability.py holds the edits against them.
"""

import json
import re
from collections.abc import Callable, Iterator

Edit = Callable[[str], str]
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
ANSWERS = (
    "You need a pan, a spoon and some patience. Warm the milk slowly, and stir it until it is thick",
    "A compass shows where north is. Sailors used it long before there were maps of every coast",
    "It grows from a seed in the dark soil and needs water, light and time",
    "Most birds go south when the days get short. They follow the food, the wind and the stars",
    "Bread rises as yeast makes gas in the dough",
    "Keep your room cool and dark, go to bed at one time and read a book before you sleep",
    "Snow falls when the air is cold enough for water to freeze. Each flake has six arms",
    "The heart pumps blood to all parts of the body. It beats about seventy times in a minute",
    "Write down what you spend for a month before you plan anything. Then look for the three things that cost most, "
    "and ask of each whether you would miss it. Put a fixed sum aside on the day that you are paid, not at the end of "
    "the month, when nothing is left. Small habits do more than one large effort, and they last",
    "Volcanoes form where hot rock rises from deep below and melts near the surface. Gas in the melt drives it up "
    "through cracks. Some erupt gently for years; others stay quiet for centuries, and then blow their whole top off "
    "within a day. People still live near them, as ash makes the soil rich",
)
"""Answers that obey few of the instructions."""


def find_edit(instruction: str) -> Edit:
    """Return what makes an answer obey an instruction. Raises LookupError: it is none of the small world's."""
    for pattern, make in _EDITS:
        if found := re.fullmatch(pattern, instruction.strip()):
            return make(*found.groups())
    raise LookupError(f"no edit for {instruction!r}")


def make_texts(instruction: str) -> Iterator[str]:
    """Yield the answers as they are, and edited to obey; each once."""
    yield from dict.fromkeys([*ANSWERS, *map(find_edit(instruction), ANSWERS)])


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]+", text)


def _after(phrase: str, *_: str) -> Edit:
    return lambda text: f"{phrase}{',' if phrase[-1].isalnum() else ''} {text}."


def _before(joint: str) -> Callable[[str], Edit]:
    return lambda phrase: lambda text: f"{text}{joint}{phrase}"


def _between(first: str, last: str) -> Edit:
    return lambda text: f"{first}{text}.{last}"


def _without(phrase: str) -> Edit:
    holds = re.compile(rf"\b{phrase}\b", re.IGNORECASE)
    return lambda text: " ".join(word for word in text.split() if not holds.search(word))


def _without_part(part: str) -> Edit:
    return lambda text: text.replace(part, "").replace(part.upper(), "")


def _of_words(count: int) -> Edit:
    return lambda text: f"{' '.join((_words(text) * 20)[:count])}."


def _shorter(limit: str) -> Edit:
    return lambda text: f"{text[: int(limit) - 2].rstrip()}."


def _parts(joint: str, end: str) -> Callable[[str], Edit]:
    def make(number: str) -> Edit:
        def edit(text: str) -> str:
            words = [word for word in _words(text) if len(word) > 1]
            return joint.join(f"{' '.join(words[at : at + 3]).capitalize()}{end}" for at in range(_NUMBERS[number]))

        return edit

    return make


def _bullets(number: str, mark: str) -> Edit:
    places = range(_NUMBERS[number])
    return lambda text: "\n".join(f"{mark}{' '.join(_words(text)[at : at + 3])}" for at in places)


def _numbered(number: str) -> Edit:
    places = range(_NUMBERS[number])
    return lambda text: "\n".join(f"{at + 1}. {' '.join(_words(text)[at : at + 3])}" for at in places)


def _labelled(*labels: str) -> Edit:
    return lambda text: "\n".join(f"{label} {' '.join(_words(text)[:4])}" for label in labels)


def _each_line(mark: str) -> Edit:
    return lambda text: "\n".join(f"{mark} {sentence}" for sentence in text.split(". "))


def _first_line(label: str) -> Edit:
    return lambda text: f"{label.strip()} it is so\n{text}."


def _last_line(label: str) -> Edit:
    return lambda text: f"{text}.\n{label.strip()} it is so"


def _adding(text: str) -> Callable[[], Edit]:
    return lambda: lambda answer: f"{answer} {text}"


def _always(edit: Edit) -> Callable[[], Edit]:
    return lambda: edit


_Q = r'"([^"]+)"'
_MARKS = {"a question mark": "?", "an exclamation mark": "!", "three dots": "..."}
_PAIRS = {"double quotation marks": '""', "round brackets": "()", "square brackets": "[]"}
_EDITS: tuple[tuple[str, Callable[..., Edit]], ...] = (
    (rf"The first word of your response must be {_Q}(?: or {_Q})?\.", _after),
    (rf"(?:Begin|Start) your (?:response|answer) with the (?:words?|label) {_Q}\.", _after),
    (rf"(?:End|Finish) your (?:response|answer) with the words? {_Q}\.?", _before(". ")),
    (rf"The last word of your response must be {_Q}\.", _before(". ")),
    (rf"The last line of your response must be {_Q}\.", _before(".\n")),
    (r"Your response must end with (.+)\.", lambda name: _before("")(_MARKS[name])),
    (rf"Put your whole response in ({'|'.join(_PAIRS)})\.", lambda name: _between(*_PAIRS[name])),
    (r"Put your whole response between two asterisks, .*", _always(_between("*", "*"))),
    (rf"Start and end your response with the symbol {_Q}\.", lambda mark: _between(mark, mark)),
    (r"Enclose your answer in the tags (<\w+>) and (</\w+>)\.", _between),
    (r"Put your answer in a code block .*", _always(_between("```\n", "\n```"))),
    (rf"(?:Use|Include|Mention) the \w+ {_Q} .*", lambda phrase: lambda text: f"{text}, and {phrase} so."),
    (rf"Do not use the word {_Q} in your response\.", _without),
    (rf"Do not use the letter {_Q} in your response\.", _without_part),
    (r"Do not use any commas in your response\.", _always(_without_part(","))),
    (r"Do not use any full stops in your response\.", _always(_without_part("."))),
    (r"Answer in no more than (\d+) words\.", lambda most: _of_words(int(most) - 1)),
    (r"Keep your response under (\d+) characters\.", _shorter),
    (r"Write at least (\d+) words\.", lambda least: _of_words(int(least) + 8)),
    (r"Answer with a single word\.", _always(_of_words(1))),
    (r"Answer in fewer than five words\.", _always(_of_words(3))),
    (r"Answer in exactly (\w+) sentences?\.", _parts(" ", ".")),
    (r"Write exactly (\w+) lines\.", _parts("\n", "")),
    (r"Write exactly (\w+) paragraphs, .*", _parts("\n\n", ".")),
    (rf"Separate the two parts of your answer with a line that holds only {_Q}\.",
     lambda line: lambda text: f"{text}.\n{line}\nThat is how it is."),
    (rf"Answer with a list of exactly (\w+) items, each on a line that starts with {_Q}\.", _bullets),
    (r"Answer with a numbered list of exactly (\w+) items, .*", _numbered),
    (rf"Start each line of your response with the symbol {_Q}\.", _each_line),
    (rf"Give \w+ \w+, on lines that start with {_Q}, {_Q} and {_Q}\.", _labelled),
    (rf"Give \w+ \w+, on lines that start with {_Q} and {_Q}\.", _labelled),
    (rf"(?:Give your response a title: its|The) first line .*must start with {_Q}\.", _first_line),
    (rf"(?:Put a last line at the end|Include a line) that starts with {_Q}\.", _last_line),
    (r"Write your whole response in lower case\.", _always(str.lower)),
    (r"Write your whole response in capital letters\.", _always(str.upper)),
    (r"Include at least one word .* in capital letters\.", _adding("OK")),
    (r"Write the first word of your response in capital letters\.", lambda: _after("NOTE")),
    (r"Highlight at least one word in bold, .*", _adding("**so**")),
    (r"Highlight at least one word in italics, .*", _adding("*so*")),
    (r"Put at least one word in backticks\.", _adding("`so`")),
    (r"Put at least one word in double quotation marks\.", _adding('"so"')),
    (r"Put at least one remark in round brackets\.", _adding("(so it is)")),
    (rf"Reply with a JSON object that has the keys? {_Q}(?: and {_Q})?\.",
     lambda *keys: lambda text: json.dumps(dict.fromkeys(filter(None, keys), text))),
    (r"Reply with a JSON list of strings\.", _always(lambda text: json.dumps([text, "and so on"]))),
    (r"Include at least one number written in digits\.", _adding("12")),
    (r"Include at least three numbers written in digits\.", _adding("12, 13 and 14")),
    (r"Include a percentage, .*", _adding("40%")),
    (r"Use at least one exclamation mark in your response\.", _adding("!")),
    (r"Use at least one question mark in your response\.", _adding("?")),
    (r"Use at least one semicolon in your response\.", _adding("; so")),
    (r"Use at least one colon in your response\.", _adding("so: yes")),
    (r"Use at least two dashes in your response\.", _adding("- so - yes")),
)  # fmt: skip
