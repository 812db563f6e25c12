"""Thresholds written as the paper writes them: "> 0.5", ">= 8", "= 0"."""

import operator
import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

_FORM = re.compile(r"(>=|>|=)\s*(\d+(?:\.\d+)?)")
_OPERATORS: dict[str, Callable[[Fraction, Fraction], bool]] = {">": operator.gt, ">=": operator.ge, "=": operator.eq}


def _validate(text: str) -> str:
    if not _FORM.fullmatch(text.strip()):
        raise ValueError(f'"{text}" is no threshold: write ">", ">=" or "=" and a number, as in "> 0.5"')
    return text


Threshold = Annotated[str, AfterValidator(_validate)]
"""A comparison with a number, kept as text so that configs and `run.json` read like the paper."""


def _that_can_be_met(most: int, what: str) -> AfterValidator:
    """Return what refuses a threshold that drops everything."""

    def validate(text: str) -> str:
        form = _FORM.fullmatch(text.strip())
        assert form, text
        bound = Fraction(form[2])
        if bound > most or (bound == most and form[1] == ">"):
            raise ValueError(f'nothing can meet "{text}": {what} is at most {most}')
        return text

    return AfterValidator(validate)


ShareThreshold = Annotated[Threshold, _that_can_be_met(1, "a share")]
"""What a share must meet to be kept."""
ScoreThreshold = Annotated[Threshold, _that_can_be_met(10, "a score")]
"""What a judge's score must meet to be kept."""


@lru_cache(10_000)
def share(part: int, whole: int) -> Fraction:
    """Return part / whole exactly; an empty whole has share 0."""
    return Fraction(part, whole) if whole else Fraction(0)


def meets(value: Fraction | float, threshold: Threshold) -> bool:
    """Tell whether a value meets a threshold. Exact: 4 of 5 meets ">= 0.8", 1 of 2 does not meet "> 0.5"."""
    compare, bound = _read(threshold)
    return compare(value if isinstance(value, Fraction) else Fraction(str(value)), bound)


@lru_cache(10_000)
def _read(threshold: Threshold) -> tuple[Callable[[Fraction, Fraction], bool], Fraction]:
    match = _FORM.fullmatch(threshold.strip())
    assert match, threshold  # validated when the config was read
    return _OPERATORS[match[1]], Fraction(match[2])
