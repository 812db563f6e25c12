"""What stands in for chance and for NLTK's old data in the official checkers."""

import random
import re
from typing import Any


class Draws(random.Random):
    """What the checkers see as `random`: the same draws each time, and counted."""

    def __init__(self) -> None:
        super().__init__(0)
        self.count = 0

    def restart(self) -> None:
        self.seed(0)
        self.count = 0

    def randint(self, a: int, b: int) -> int:
        self.count += 1
        return super().randint(a, b)

    def choice(self, seq: Any) -> Any:
        self.count += 1
        return super().choice(seq)

    def sample(self, population: Any, k: int, *, counts: Any = None) -> Any:
        self.count += 1
        return super().sample(population, k, counts=counts)


DRAWS = Draws()
"""One for the process, as the checkers' modules are."""


def make_splitter() -> Any:
    """Return NLTK's splitter of English sentences, with the rules that the recorded scores of IFEval were made with.

    Later versions than 3.9.1 end sentences otherwise at typographic quotation marks, which changes the number of
    sentences, and with it verdicts of IFEval.
    """
    from nltk.tokenize.punkt import PunktLanguageVars, PunktTokenizer

    rules = {
        "re_boundary_realignment": re.compile(r"[\"')\]}]+?(?:\s+|(?=--)|$)", re.MULTILINE),
        "_re_non_word_chars": r"(?:[)\";}\]\*:@\'\({\[!?])",
    }
    tokenizer = PunktTokenizer("english")
    tokenizer._lang_vars = type("_Rules", (PunktLanguageVars,), rules)()
    return tokenizer
