"""What can be counted by its form: links, hashtags, placeholders, phrases in bold.

    Thing("hashtags", …).make(2)     a plain text with exactly two hashtags
    Thing("hashtags", …).count(text)

A text may also have a decoy, which looks like the thing and isn't one: "# 5" is no hashtag.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

_MOST: Final = 40
_LINE: Final = "Rain fell on small farms."
_LAST: Final = "Old dogs slept by an open gate."


@dataclass(frozen=True, slots=True)
class Thing:
    """A kind of thing."""

    name: str
    """In the plural."""
    wording: str
    """How instructions write it, as a pattern."""
    examples: tuple[str, ...]
    pattern: str
    """Finds it in generated texts."""
    decoys: tuple[str, ...] = ()
    is_block: bool = False
    """Whether it stands on lines of its own."""
    write: Callable[[str], str] = str
    """How the words around it are written."""

    def make(self, number: int) -> str:
        """Return a plain text with this number of them."""
        examples = islice(cycle(self.examples), min(number, _MOST))
        if self.is_block:
            return "\n\n".join([_LINE, *(f"{each}\n\n{_LINE}" for each in examples)])
        around = self.write("Rain fell"), self.write("on small farms.")
        return " ".join([*(each.join((f"{around[0]} ", f" {around[1]}")) for each in examples), self.write(_LAST)])

    def make_decoys(self, number: int = 0) -> list[str]:
        """Return texts with this number of them, followed by a decoy."""
        between = "\n\n" if self.is_block else " "
        before = [self.make(number)] if number else []
        around = self.write(_LINE.removesuffix(".")), self.write(_LAST)
        return [between.join([*before, around[0], decoy, around[1]]) for decoy in self.decoys]

    def count(self, text: str) -> int:
        """Return how many there are."""
        return len(re.findall(self.pattern, text, re.MULTILINE))


_BRACKETS: Final = (
    r"(?:,? (?:that are |which are )?(?:represented|marked|written|enclosed|shown|set))? (?:by|in|with|inside)"
)
_ON_BOTH_SIDES: Final = r",? (?:with|by (?:putting|writing)) (?:{}) on both sides(?: of (?:it|them|each))?"
_MARKDOWN: Final = r"(?: (?:with|in|using) (?:the )?markdown(?: syntax| format(?:ting)?)?)?"
_ALL: Final = (
    Thing("hashtags", r"hash ?tags?", ("#rain", "#farm", "#dogs"), r"#\w", ("# 5",)),
    Thing(
        "e-mail addresses",
        r"e-?mail address(?:es)?",
        ("ann@example.com", "bob.hill@mail.example.org"),
        r"\w@\w",
        ("@ 5",),
    ),
    Thing(
        "https links",
        r"(?:(?:hyper)?links?|urls?|web(?:site)? address(?:es)?)(?: that)? (?:starting|beginning|starts?|begins?) with"
         r" \0?https(?:://)?",
        ("https://example.com/rain", "https://farm.example.org"),
        r"https://",
        ("http://example.com",),
    ),
    Thing("links", r"(?:hyper)?links?|urls?", ("https://example.com/rain", "https://www.example.org"), r"https://"),
    Thing(
        "prices in dollars",
        r"(?:prices?|amounts?(?: of money)?|sums?) in (?:us )?dollars|dollar (?:prices?|amounts?)",
        ("$12.50", "$3.75"),
        r"\$\d",
        ("12 euros",),
    ),
    Thing("placeholders in square brackets", rf"placeholders?{_BRACKETS} square brackets", ("[name]", "[date]",
        "[town]"),
          r"\[\w+\]", ("(name)", "[name", "name]")),
    Thing("placeholders in curly brackets", rf"placeholders?{_BRACKETS} curly (?:brackets|braces)", ("{name}",
        "{date}", "{town}"),
          r"\{\w+\}", ("(name)", "{name", "name}")),
    Thing("words in italics",
          r"(?:highlighted )?(?:words?|terms?)(?: in italics)?" + _ON_BOTH_SIDES.format(r"\*|an asterisk"),
          ("*rain*", "*hay*", "*cows*"), r"\*\w+\*", ("* again", "*again", "again*")),
    Thing("words in bold",
          r"(?:highlighted )?(?:words?|terms?)(?: in bold)?" + _ON_BOTH_SIDES.format(r"\*\*|two asterisks")
          + rf"|(?:bold(?:ed)? words?|words? in bold){_MARKDOWN}",
          ("**rain**", "**hay**", "**cows**"), r"\*\*\w+\*\*", ("** again", "**again", "again**")),
    Thing("words in quotation marks", r"words? in (?:straight )?double quot(?:es|ation marks)",
          ('"rain"', '"hay"', '"cows"'), r'"\w+"', ("'again'", '"again', 'again"')),
    Thing("highlighted words", rf"highlighted words?(?: in your response)?{_MARKDOWN}",
          ("*rain*", "*hay*", "*cows*"), r"\*\w+\*", ("* again", "*again", "again*")),
    Thing("highlighted sections", rf"highlighted (?:sections?|phrases?|parts?)(?: in your response)?{_MARKDOWN}",
          ("*young men*", "*warm hay*", "*old cows*"), r"\*\w[\w ]*\*", ("* again", "*again", "again*")),
    Thing("phrases in bold", rf"(?:bold(?:ed)? (?:phrases?|sections?|parts?)|phrases? in bold){_MARKDOWN}",
          ("**young men**", "**warm hay**", "**old cows**"), r"\*\*\w[\w ]*\*\*", ("** again", "**again", "again**")),
    Thing("words in backticks",
          r"(?:words?|phrases?|terms?)(?: of your response)? (?:in|between|inside|with|using) backticks",
          ("`rain`", "`hay`", "`cows`"), r"`\w+`", ("` again", "`again", "'again'")),
    Thing("words in capital letters",
          r"all-capitals? words?|words? (?:that (?:is|are) )?(?:written )?(?:entirely )?in (?:all )?"
          r"(?:capital letters|capitals|upper[- ]?case(?: letters)?|caps)",
          ("HAY", "MILK", "BREAD"), r"\b[A-Z]{2,}\b", ("Hay",)),
    Thing("words in small letters",
          r"(?:all-)?lower[- ]?case words?|words? (?:that (?:is|are) )?(?:written )?(?:entirely |completely )?in"
          r" (?:all )?"
          r"(?:lower[- ]?case(?: letters)?|small letters)",
          ("hay", "milk", "bread"), r"\b[a-z]+\b", ("Hay",), write=str.upper),
    Thing("words with a capital letter",
          r"words? (?:that )?(?:starts?|begins?|starting|beginning) with (?:a )?(?:capital|upper[- ]?case) letters?",
          ("Bob", "Anna", "Max", "Lily", "Tom"), r"\b[A-Z]", ("hay",), write=str.lower),
    Thing("capital letters", r"(?:capital|upper[- ]?case) letters?", ("Bob", "Anna", "Max", "Lily", "Tom"), r"[A-Z]",
          write=str.lower),
    Thing("numbers in digits", r"(?:numbers?|numerals?) (?:that (?:is|are) )?(?:written )?(?:in|with|as)"
     r" (?:digits?|figures|numerals)",
          ("25", "7", "312"), r"\d+", ("seven",)),
    Thing("numbers", r"numbers?|numerals?", ("25", "7", "312", "48", "9", "60"), r"\d+"),
    Thing("times of day", r"times?(?: of day)? in (?:the )?(?:24[- ]hours?|military) (?:format|form|notation|clock)",
          ("14:05", "09:45"), r"\d:\d", ("at half past two",)),
    Thing("quotations", r"(?:quotes?|quotations?|phrases?)(?: that (?:is|are))?(?: enclosed| put| set)? in"
     r" (?:straight )?double quot(?:es|ation marks)",
          ('"they came home"', '"no rain yet"'), r'"[^"\n]+"', ("'they came home'", '"they came home')),
    Thing("remarks in brackets", r"pairs? of (?:parenthes[ie]s|round brackets)|parenthetical (?:remarks?|phrases?)"
          r"|(?:remarks?|phrases?|comments?) in (?:parenthes[ie]s|round brackets)",
          ("(young men)", "(warm hay)", "(old cows)"), r"\([\w ]+\)", ("[young men]", "(young men", "young men)")),
    Thing("headings of level two", r"(?:level[- ](?:two|2)|second[- ]level|h2)(?: markdown)? head(?:ing|er)s?",
          ("## Old farms", "## Warm hay"), r"^## ", ("# Old farms ## 2",), is_block=True),
    Thing("Markdown headings", r"markdown head(?:ing|er)s?", ("## Warm hay", "# Old farms"), r"^#+ ", ("Old farms",),
        is_block=True),
    Thing("block quotes", r"(?:markdown )?block ?quotes?", ("> Wind took dry hay.", "> Nobody came."), r"^> ",
          ("Wind took 5 > 3 hills.",), is_block=True),
    Thing("code blocks", r"(?:fenced )?code blocks?", ("```\nx = 1\n```", "```\ny = 2\n```"), r"^```\n\w", ("`x = 1`",),
        is_block=True),
)  # fmt: skip
THINGS: Final = {thing.name: thing for thing in _ALL}
