"""Makers of texts that have a form and texts that don't, for forms.py."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

from autoif.faults.texts import SENTENCES, choose_sentences

_ONE, _TWO = SENTENCES[:2]
_PLAIN: Final = f"{_ONE} {_TWO}"
_MOST: Final = 12
"""Parts, columns or strings in a text."""
_LONGEST: Final = 40
"""Letters of a word."""
_VOWELLESS: Final = "farmland"
_PALINDROMES: Final = {5: "level", 7: "rotator", 9: "redivider"}
LANGUAGES: Final = {
    "russian": "Дождь шёл всю ночь. Старая собака спала у открытых ворот, и никто не пришёл.",
    "chinese": "雨下了一整夜。老狗睡在门口，没有人来。",
    "greek": "Έβρεχε όλη τη νύχτα. Ο σκύλος κοιμόταν στην πόρτα και δεν ήρθε κανείς.",
    "hindi": "सारी रात बारिश हुई। बूढ़ा कुत्ता दरवाज़े पर सोया था और कोई नहीं आया।",
    "korean": "밤새 비가 내렸다. 늙은 개는 문 옆에서 잤고 아무도 오지 않았다.",
    "japanese": "夜じゅう雨が降りました。古い犬は門のそばで眠り、だれも来ませんでした。",
    "spanish": "El perro viejo duerme en la puerta de la casa y la lluvia no para. Nadie ha venido con el pan, pero "
    "los niños están en el jardín.",
    "french": "Le vieux chien s'est endormi devant la porte de la maison et la pluie n'a pas cessé. Personne n'est "
    "venu avec le pain, mais les enfants sont dans le jardin.",
    "italian": "Il vecchio cane dorme alla porta della casa e la pioggia non smette. Nessuno è venuto con il pane, ma "
    "i bambini sono nel giardino.",
    "portuguese": "O cachorro velho dorme na porta da casa e a chuva não para. Ninguém veio com o pão, mas as crianças "
    "estão no jardim.",
    "dutch": "De oude hond slaapt voor de deur van het huis en de regen houdt niet op. Niemand is met het brood "
    "gekomen, maar de kinderen zijn in de tuin.",
    "arabic": "نزل المطر طوال الليل. نام الكلب العجوز عند الباب ولم يأت أحد بالخبز.",
    "german": "Der alte Hund schläft vor der Tür des Hauses und der Regen hört nicht auf. Niemand ist mit dem Brot "
    "gekommen, aber die Kinder sind im Garten.",
}  # fmt: skip
_ENGLISH: Final = "The old dog sleeps at the door of the house and the rain does not stop. Nobody came with the bread."


@dataclass(frozen=True, slots=True)
class Pair:
    """A text that has a form and one that doesn't."""

    obeys: str
    breaks: str
    right: str
    """What the text that obeys has, in words; likewise `wrong` for the other."""
    wrong: str


Maker = Callable[[re.Match[str], Sequence[str]], Iterator[Pair]]
"""Takes the match of the form's phrase and the texts that the instruction names."""


def cross(obeying: Sequence[str], breaking: Sequence[str], right: str, wrong: str) -> Iterator[Pair]:
    """Yield pairs in which each of the texts occurs; nothing if a side is empty."""
    for place in range(max(len(obeying), len(breaking)) if obeying and breaking else 0):
        yield Pair(obeying[place % len(obeying)], breaking[place % len(breaking)], right, wrong)


def make_fixed(obeying: Sequence[str], breaking: Sequence[str], right: str, wrong: str) -> Maker:
    """Return a maker of the same pairs for every instruction with the phrase."""
    return lambda match, texts: cross(obeying, breaking, right, wrong)


make_title: Final = make_fixed(
    [f"<<Old farms>>\n\n{_PLAIN}", f"<<Rain at night>>\n\n{_PLAIN}"],
    [f"Old farms\n\n{_PLAIN}", f"<Old farms>\n\n{_PLAIN}"],
    "a title in <<>>",
    "none",
)
make_sorted_lines: Final = make_fixed(
    ["bread rolls\ncheese\ndry hay\nmilk"],
    ["cheese\nbread rolls\ndry hay\nmilk", "milk\ndry hay\ncheese\nbread rolls"],
    "lines in order",
    "lines out of order",
)
make_sorted_words: Final = make_fixed(
    ["all brown cows drink early"],
    ["all cows brown drink early", "early drink cows"],
    "words in order",
    "words out of order",
)
make_unlike_words: Final = make_fixed(
    [_ONE, "Cold rain fell while seven old dogs slept."],
    ["Old dogs saw dogs.", "Rain fell on rain clouds"],
    "words that differ",
    "a word that occurs twice",
)
make_title_case: Final = make_fixed(
    ["Rain Hit Small Farms. Old Dogs Slept."],
    [_PLAIN, "Rain Hit Small Farms. old Dogs Slept.", "RAIN fell"],
    "words that start with capitals",
    "one that doesn't",
)
make_question: Final = make_fixed(
    ["Is it cold? Rain fell.", "Who came? Nobody did."],
    ["Rain fell. Is it cold?", _PLAIN],
    "a question first",
    "none first",
)
make_same_ends: Final = make_fixed(
    ["rain fell and so did more rain", "Rain fell, and so did more rain."],
    ["rain fell and so did more hay", "some rain fell and so did rain"],
    "one word at both ends",
    "two",
)


def make_postscript(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    mark = match["mark"] or "P.S."
    yield from cross([f"{_PLAIN}\n\n{mark} Bring bread."], [_PLAIN, f"{_PLAIN}\n\nBring bread."], f"a {mark}", "none")


def make_sections(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    number, name = int(match["n"]), match["name"]
    if not 1 <= number <= _MOST:
        return

    def write(parts: int) -> str:
        chosen = islice(cycle(SENTENCES), parts)
        return "\n\n".join(f"{name} {place}\n{sentence}" for place, sentence in enumerate(chosen, 1))

    fewer = write(number - 1) if number > 1 else _PLAIN
    unmarked = "\n\n".join(islice(cycle(SENTENCES), number))
    inline = f"{_ONE} {', '.join([name] * number)}."
    yield from cross([write(number)], [fewer, unmarked, inline], f"{number} marked sections", "fewer")


_DIVIDER_WORDS: Final = frozenset(
    "of your response and only are is be must should by with each other the a an markdown divider separator symbol "
    "symbols answer response reply text asterisk asterisks dash dashes hyphen hyphens line lines consisting"
    " consists that holds hold contains "
    "sign signs separated divided separate responses paragraphs parts sections from one another using".split()
)


def make_divided(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    between = re.findall(r"[a-z]+", match["between"].lower())
    number = int(match["n"])
    mark = match["mark"] or (texts[0] if len(texts) == 1 and re.fullmatch(r"[*#=~-]{2,}", texts[0]) else "")
    if not mark or not {*between} <= _DIVIDER_WORDS or not 2 <= number <= _MOST:
        return

    def write(parts: int, joint: str) -> str:
        return joint.join(islice(cycle(SENTENCES), parts))

    obeying = [write(number, f"\n{mark}\n"), write(number, f"\n\n{mark}\n\n")]
    breaking = [write(number - 1, f"\n{mark}\n"), write(number, "\n\n"), write(number + 1, f"\n\n{mark}\n\n")]
    breaking.append(write(3, f"\n{mark[: len(mark) // 2]}\n"))
    if "line" in between:  # of its own
        breaking.append(write(number, f" {mark} "))
    yield from cross(obeying, breaking, f"{number} parts with {mark} between them", "another number")


def make_first_word(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    number, place = int(match["n"]), int(match["place"])
    if not 2 <= number <= _MOST or not 1 <= place <= number:
        return

    def write(parts: int, at: int) -> str:
        chosen = choose_sentences(match["word"], parts)
        return "\n\n".join(
            f"{match['word']} {each.lower()}" if here == at else each for here, each in enumerate(chosen, 1)
        )

    breaking = [write(number, place % number + 1), write(number + 1, place), write(number, 0)]
    yield from cross([write(number, place)], breaking, "the word at the right paragraph", "another paragraph or number")


def make_options(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    if len(texts) < 2:
        return
    words = texts[0].split()
    nearly = " ".join(words[:-1]) if len(words) > 2 else _ONE
    within = [f"We say {texts[0]}, as rain fell."] if re.search(r"\bonly\b", match[0]) else []
    yield from cross(texts, [nearly, _PLAIN, *within], "one of the options", "none of them")


def make_object(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    if not texts:
        return
    values = dict(zip(texts, cycle(["rain", "hills", "old dogs"]), strict=False))
    whole = json.dumps(values)
    breaking = [
        json.dumps({key: value for key, value in values.items() if key != left} or {"b7": "rain"}) for left in texts
    ]
    breaking.append(f"Rain fell on {' and '.join(map(json.dumps, texts))}.")
    if match["alone"]:
        breaking.append(json.dumps({**values, "b7": "hills"}))
    yield from cross([whole], breaking, "a JSON object with these keys", "what is none")


def make_array(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    number = int(match["n"] or 1)
    if not 1 <= number <= _MOST:
        return
    strings = list(islice(cycle(["rain", "hills", "old dogs", "hay"]), number))
    breaking = [", ".join(strings), json.dumps(dict.fromkeys(strings, 1)), json.dumps([1] * number)]
    breaking += [json.dumps(strings[:-1])] if number > 1 else []
    breaking += [json.dumps([*strings, "milk"])] if (match["bound"] or "") == "exactly" else []
    yield from cross([json.dumps(strings)], breaking, f"a JSON list of {number} strings", "what is none")


def make_language(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    text = LANGUAGES[match["language"].lower()]
    mixed = f"{_ENGLISH} {text.split()[0].strip('.,。')} {_ENGLISH}"
    yield from cross([text], [_ENGLISH, mixed], "a text in that language", "one in English")


def make_table(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    number = int(match["n"])
    if not 1 <= number <= _MOST:
        return

    def write(columns: int) -> str:
        cells = list(islice(cycle(["rain", "hills", "dogs", "hay"]), columns))
        rows = [cells, ["---"] * columns, cells[::-1], cells]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    breaking = [write(number + 1), f"{_ONE} | {_TWO}", *([write(number - 1)] if number > 1 else [])]
    yield from cross([write(number)], breaking, f"a table of {number} columns", "what is none")


def make_date(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    form = match["form"].upper()
    dates = [form, form]
    for sign, values in {"YYYY": ("2021", "1998"), "YY": ("21", "98"), "MM": ("05", "11"), "DD": ("17", "28")}.items():
        dates = [date.replace(sign, value) for date, value in zip(dates, values, strict=True)]
    if re.search(r"[A-Z]", dates[0]):
        return
    obeying = [f"Rain fell on {date} and nobody came." for date in dates]
    breaking = [f"Rain fell on {form} and nobody came.", "Rain fell on the 17th of May and nobody came."]
    yield from cross(obeying, breaking, f"a date such as {dates[0]}", "none in this form")


def make_short_words(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    most = int(match["n"]) - (1 if match.groupdict().get("fewer") else 0)
    if 3 <= most < _LONGEST:
        right, wrong = _spell(most), _spell(most + 1)
        breaking = [f"Old cow {wrong}.", f"{wrong} cow old cow old {wrong}, old"]
        obeying = [f"Old cow {right}. Old cow {right}, old cow."]
        yield from cross(obeying, breaking, f"words of {most} letters", f"a word of {most + 1}")


def make_long_word(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    least = int(match["n"]) + (1 if match["more"] else 0)
    if 5 <= least < _LONGEST:
        breaking = [f"Old cows saw a {_spell(least - 1)} near by.", "Old cows saw a lot of hay and rain."]
        yield from cross([f"Old cows saw a {_spell(least)} near by."], breaking, f"a word of {least} letters", "none")


def _spell(letters: int) -> str:
    """Return something like a word, with this many letters."""
    return (_VOWELLESS * 9)[:letters]


def make_alliteration(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    letter = (texts or ["b"])[0].lower()
    if len(texts) > 1 or not re.fullmatch(r"[a-z]", letter):
        return
    words = [letter + rest for rest in ("allo", "ery", "in", "olt", "umpy")]
    right = " ".join(words).capitalize()
    another = "zebra" if letter != "z" else "cows"
    breaking = [" ".join([*words[:3], another, words[4]]).capitalize() + ".", f"{another} {right.lower()}."]
    yield from cross([f"{right}."], breaking, "words with one first letter", "one with another")


def make_palindrome(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    least = int(match["n"])
    size = min((size for size in _PALINDROMES if size >= least), default=0)
    if size:
        breaking = [_PLAIN, f"{_TWO} It was noon when a farm slept." if least > 4 else _ONE]
        yield from cross([f"Rain fell on the {_PALINDROMES[size]} farm today."], breaking, "a palindrome", "none")


def make_multiple(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    kind = match["kind"].lower()
    step, rest = {"even": (2, 0), "odd": (2, 1)}.get(kind) or (int(match.groupdict().get("n") or 0), 0)
    if not 2 <= step <= 50:
        return
    words = cycle("warm rain fell on small farms while old dogs slept".split())
    texts_of = {
        number: " ".join(islice(words, number)).capitalize() + "." for number in range(step + rest, 4 * step + rest + 2)
    }
    obeying = [texts_of[number] for number in (2 * step + rest, 3 * step + rest)]
    breaking = [texts_of[number] for number in (2 * step + rest + 1, 3 * step + rest - 1, 2 * step + rest - 1)]
    yield from cross(obeying, breaking, "that number of words", "another")


def make_line_lengths(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    sizes = [int(match[name]) for name in ("a", "b", "c")]
    if match["n"] not in {"", "3", None} or not all(1 <= size <= _LONGEST for size in sizes):
        return
    words = cycle("warm rain fell on small farms while old dogs slept".split())
    lines = [" ".join(islice(words, size)) for size in sizes]
    flat = "\n".join(" ".join(islice(words, size + 1)) for size in sizes)
    breaking = [flat, " ".join(lines), "\n".join([*lines, lines[0]]), "\n".join(lines[1:])]
    breaking += ["\n".join([lines[1], lines[0], lines[2]])] if sizes[0] != sizes[1] else []
    yield from cross(["\n".join(lines)], breaking, "lines of these lengths", "lines of others")


def make_tagged(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    opening, closing = match["open"], match["close"]
    if closing != opening.replace("<", "</"):
        return
    bare = opening.strip("<>")
    breaking = [_PLAIN, f"{opening}{_PLAIN}", f"{bare}: {_PLAIN}", f"{_PLAIN}{closing}"]
    obeying = [f"{opening}{_PLAIN}{closing}", f"{opening}\n{_ONE}\n{_TWO}\n{closing}"]
    yield from cross(obeying, breaking, "a text in tags", "one outside")


def make_labels(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    if len(texts) < 2:
        return
    lines = [f"{label} {sentence}" for label, sentence in zip(texts, cycle(SENTENCES), strict=False)]
    bare = "\n".join(islice(cycle(SENTENCES), len(texts)))
    breaking = ["\n".join(lines[:-1]), "\n".join(lines[1:]), bare, "\n".join([*lines[:-1], lines[0]])]
    yield from cross(["\n".join(lines), "\n\n".join(lines)], breaking, "all labels", "some of them")


def make_signed_list(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    sign = texts[0].strip() if len(texts) == 1 else ""
    if sign not in {"-", "*", "+"}:
        return
    other = "-" if sign != "-" else "*"

    def write(*signs: str) -> str:
        return "\n".join(f"{each} {sentence}" for each, sentence in zip(signs, cycle(SENTENCES), strict=False))

    breaking = [write(sign, other, sign), write(other, other, other), f"{_ONE}\n{_TWO}"]
    obeying = [write(sign, sign, sign), write(sign, sign)]
    yield from cross(obeying, breaking, f'items that start with "{sign} "', "one that doesn't")


def make_either(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    plain = [text for text in texts if re.fullmatch(r"[a-z ]+", text)]
    if len(plain) == len(texts) == 2 and not any(text in _PLAIN.lower() for text in texts):
        obeying = [f"{_ONE} {text.capitalize()}, old dogs slept." for text in texts]
        obeying += [each.replace(". ", ", ").lower() for each in obeying]
        yield from cross(obeying, [_PLAIN, _ONE], "one of the two", "none of them")


def make_paragraphs(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    number = int(match["n"])
    if not 2 <= number <= _MOST:
        return

    def write(parts: int, joint: str = "\n\n") -> str:
        return joint.join(islice(cycle(SENTENCES), parts))

    breaking = [write(number + 1), write(number, " "), write(number - 1)]
    yield from cross([write(number)], breaking, f"{number} paragraphs", "another number")


def make_ruled(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    rule = match["mark"] or "".join(texts)
    if match["n"]:
        rule = {"asterisks": "*", "equals signs": "="}.get(match["sign"].lower(), "-") * min(int(match["n"]), _MOST)
    if not re.fullmatch(r"([*=~#-])\1+", rule):
        return
    breaking = [f"{_ONE}\n\n{_TWO}", f"{_ONE}\n{rule[1:]}\n{_TWO}"]
    breaking += [f"{_ONE} {rule} {_TWO}"] if match["line"] else []
    obeying = [f"{_ONE}\n{rule}\n{_TWO}", f"{_ONE}\n\n{rule}\n\n{_TWO}"]
    yield from cross(obeying, breaking, f"a line of {rule}", "none of its own")
