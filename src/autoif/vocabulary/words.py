"""Words, letters and numbers of a text, for functions to ask for.

    word     letters and digits in a row. An apostrophe, a hyphen or a full stop between two of them belongs to it
             ("don't", "well-known", "e.g"), and so do @ and & ("AT&T"), and a comma or colon between digits ("1,000").
             A web address is one word. In scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each
             character is a word.
    letter   a character of an alphabet with its accents: "é" is one, and is not "e"

Letter case doesn't count unless `match_case` says so; a curly quote is a straight one, every kind of blank is a space,
every line break a newline, and what nobody sees (zero-width characters, soft hyphens) isn't there.

The source of a helper travels with the function that calls it (`carrying`): it needs nothing but `re`, `json` and
`unicodedata`, runs in both sandboxes, and takes time in proportion to the text. The docstring of a public one is what
the writer reads of it: a sentence, and an example that the tests run.
"""

import re
import unicodedata

_ALONE = (
    "\u0e01\u0e30", "\u0e32\u0e33", "\u0e40\u0e46", "\u0e81\u0eb0", "\u0eb2\u0eb3", "\u0ebd\u0ebd", "\u0ec0\u0ec6",
    "\u0edc\u0edf", "\u1000\u102a", "\u103f\u103f", "\u1050\u1055", "\u1780\u17b3", "\u3005\u3007", "\u3041\u3096",
    "\u309d\u309f", "\u30a1\u30fa", "\u30fc\u30ff", "\u3105\u312f", "\u31f0\u31ff", "\u3400\u4dbf", "\u4e00\u9fff",
    "\uf900\ufaff", "\uff66\uff9f", "\U00020000\U0003ffff",
)  # fmt: skip
_SAME = {
    "'": "\u00b4\u2018\u2019\u201a\u201b\u02bc\u2032\uff07",
    '"': "\u201c\u201d\u201e\u201f\u2033\uff02",
    "-": "\u2010\u2011",
    "\n": "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029",
    " ": "\x1f\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
    "": "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067"
    "\u2068\u2069\ufe00\ufe01\ufe02\ufe03\ufe04\ufe05\ufe06\ufe07\ufe08\ufe09\ufe0a\ufe0b\ufe0c\ufe0d\ufe0e\ufe0f\ufeff",
}
_EMOJI = (
    "[\U0001f004\U0001f0cf\U0001f170-\U0001f19a\U0001f201-\U0001f265\U0001f300-\U0001f6ff\U0001f7e0-\U0001f7f0"
    "\U0001f90c-\U0001f9ff\U0001fa70-\U0001faff\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab"
    "\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e"
    "\u2753-\u2755\u2757\u2764\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55]\ufe0f?|[\u00a9\u00ae\u203c-\u3299]\ufe0f"
)


def _plain(text: str) -> str:
    """Return the text with one kind of quotes, hyphens, blanks and line breaks, and without what nobody sees."""
    text = text.replace("\r\n", "\n")
    found = set(text)
    for plain, others in _SAME.items():
        for other in others:
            if other in found:
                text = text.replace(other, plain)
    return unicodedata.normalize("NFC", text)


def _fold(text: str) -> str:
    """Return the text in small letters, in every alphabet."""
    return text.casefold().replace("i\u0307", "i")


def _flat(text: str, match_case: bool) -> str:
    """Return the text on one line, in small letters unless case matters."""
    text = " ".join(_plain(text).split())
    return text if match_case else _fold(text)


def _marks(text: str) -> str:
    """Return the accents and vowel signs in a text that are characters of their own, each once."""
    return "".join(sorted(each for each in set(text) if unicodedata.category(each) in ("Mn", "Mc")))


def _alone(text: str) -> str:
    """Return the characters in a text that are words by themselves, each once."""
    found = (each for each in set(text) if each >= "\u0e01" and any(pair[0] <= each <= pair[1] for pair in _ALONE))
    return "".join(sorted(found))


def _letter(text: str) -> str:
    """Return the pattern of one letter, digit or mark in a text, where words are written with spaces."""
    marks = _marks(text)
    letter = f"[^\\W_{_alone(text)}]"
    return f"(?:{letter}|[{marks}])" if marks else letter


def _signs(text: str) -> str:
    """Return the blanks, punctuation and symbols in a text, each once."""
    marks = _marks(text)
    return "".join(sorted(each for each in set(text) if not each.isalnum() and each not in marks))


def get_words(text: str) -> list[str]:
    """Words without punctuation: get_words("Don't stop, 3 well-known cats!")[:2] == ["Don't", "stop"]."""
    text = _plain(text)
    marks, alone, letter = _marks(text), _alone(text), _letter(text)
    joint = "(?:['.@&\u00b7\u05f3\u05f4-]|(?<=\\d)[,:](?=\\d))"
    pattern = f"https?://[A-Za-z0-9_/.?=&%+~:#@-]*[A-Za-z0-9_/]|{letter}+(?:{joint}{letter}+)*"
    if alone:
        pattern = f"[{alone}][{marks}]*|{pattern}" if marks else f"[{alone}]|{pattern}"
    found = re.findall(pattern, text)
    return [word for word in found if any(each.isalnum() for each in word)]


def get_first_word(text: str) -> str:
    """The first word in lower case, or "": get_first_word('"Hello, you!"') == "hello"."""
    return next(iter(get_words(text)), "").lower()


def get_last_word(text: str) -> str:
    """The last word in lower case, or "": get_last_word("See you, Bob.") == "bob"."""
    return next(iter(get_words(text)[-1:]), "").lower()


def get_capital_words(text: str) -> list[str]:
    """Words all in capitals, I and A too: get_capital_words("NASA and I left") == ["NASA", "I"]."""
    return [word for word in get_words(text) if word.isupper()]


def count_word(text: str, word: str, match_case: bool = False) -> int:
    """How often a whole word or phrase occurs, in any case: count_word("The cat. the other", "the") == 2."""
    text, word = _flat(text, match_case), _flat(word, match_case)
    if not word:
        return 0
    letter = _letter(text)
    before = f"(?<!{letter})" if re.match(letter, word) else ""
    after = f"(?!{letter}|'t(?!{letter}))" if re.match(letter, word[-1]) else ""
    if word.isdecimal():
        before, after = f"(?<!\\d[.,:]){before}", f"{after}(?![.,:]\\d)"
    return len(re.findall(before + re.escape(word) + after, text))


def has_word(text: str, word: str, match_case: bool = False) -> bool:
    """Whether a whole word or phrase occurs, in any case: has_word("A Cat, cats", "cat") == True."""
    return count_word(text, word, match_case) > 0


def starts_with(text: str, phrase: str, match_case: bool = False) -> bool:
    """Whether the first word or phrase is this one: starts_with("**Dear** Ann,", "dear") == True."""
    text, phrase = _flat(text, match_case), _flat(phrase, match_case)
    letter = _letter(text)
    if phrase[:1].isalnum():
        text = text.lstrip(_signs(text))
    elif not text.startswith(phrase):
        text = text.lstrip("\"'([{*_ ")
    cut = re.match(letter, phrase[-1:]) and re.match(letter, text[len(phrase) :])
    return bool(phrase) and text.startswith(phrase) and not cut


def ends_with(text: str, phrase: str, match_case: bool = False) -> bool:
    """Whether the last word or phrase is this one: ends_with("Is that all?", "that all") == True."""
    text, phrase = _flat(text, match_case), _flat(phrase, match_case)
    letter = _letter(text)
    if phrase[-1:].isalnum() or re.match(letter, phrase[-1:]):
        text = text.rstrip(_signs(text))
    elif not text.endswith(phrase):
        text = text.rstrip("\"')]}*_ ")
    cut = re.match(letter, phrase) and re.match(letter, text[: len(text) - len(phrase)][-1:])
    return bool(phrase) and text.endswith(phrase) and not cut


def starts_with_capital(text: str) -> bool:
    """Whether the first letter is a capital one: starts_with_capital('- "Yes, I do."') == True."""
    text = re.sub("\\A[\\W_]*\\d{1,3}[.)]\\s", "", _plain(text))
    first = re.search("[^\\W_]", text)
    return first is not None and first[0].isalpha() and not first[0].islower()


def get_letters(text: str) -> list[str]:
    """Letters, without digits, spaces and signs: get_letters("A b, 1!") == ["A", "b"]."""
    return [each for each in _plain(text) if each.isalpha()]


def count_letter(text: str, letter: str) -> int:
    """How often a letter or sign occurs, large or small: count_letter("Banana, Apple!", "a") == 4."""
    text, letter = _plain(text), _fold(_plain(letter))
    return sum(text.count(each) for each in set(text) if _fold(each) == letter)


def get_digits(text: str) -> list[str]:
    """Digits, each by itself: get_digits("10 cats") == ["1", "0"]."""
    return [each for each in text if each.isdecimal()]


def get_numbers(text: str) -> list[str]:
    """Numbers written in digits: get_numbers("In 2024: 3.5 of 1,000.") == ["2024", "3.5", "1,000"]."""
    return re.findall("\\d+(?:[.,]\\d+)*", _plain(text))


def get_emojis(text: str) -> list[str]:
    """Emojis: get_emojis("Hi \U0001f600, bye \U0001f44d\U0001f3fd!") == ["\U0001f600", "\U0001f44d\U0001f3fd"]."""
    one = f"(?:[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*]\ufe0f?\u20e3|(?:{_EMOJI})[\U0001f3fb-\U0001f3ff]?)"
    return re.findall(f"{one}[\U000e0020-\U000e007f]*(?:\u200d{one})*", text)
