"""Which language a query is written in (paper §3.3: English only).

Deviation: the paper names no tool. py3langid's probabilities are used and not its first guess, because short English
questions about foreign names are often guessed to be Latin, Italian or Nigerian Pidgin (figures: docs/queries.md).
"""

from functools import cache
from typing import Any

from autoif.errors import ConfigError

MIN_RATIO = 0.2
"""A text counts as written in a language that is at least so probable as the most probable one, times this.

A ratio and not a probability: for code and formulas no language is probable, and they are not to be lost.
"""


def check_language(language: str) -> None:
    """Refuse a language code that the identifier doesn't know.

    Raises:
        ConfigError: names the code.
    """
    if language not in _identifier().labels:
        raise ConfigError(f'unknown language {language!r}: use an ISO 639 code such as "en", or "" for all languages')


def is_written_in(text: str, language: str) -> bool:
    """Tell whether a text is, or may well be, in this language. Costs about 0.1 ms for a short text."""
    ranked = _identifier().rank(text)
    return bool(dict(ranked)[language] >= MIN_RATIO * ranked[0][1])


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # loading takes about a second

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
