"""Thresholds written as the paper writes them: "> 0.5", ">= 8", "= 0"."""

import operator
import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

_FORM = re.compile(r"(>=|>|=)\s*(\d+(?:\.\d+)?)")
_OPERATORS: dict[str, Callable[[Fraction, Fraction], bool]] = {">": operator.gt, ">=": operator.ge, "=": operator.eq}


def _validate(given: object) -> object:
    if not isinstance(given, str) or not _FORM.fullmatch(given.strip()):
        raise ValueError(f'"{given}" is no threshold: write ">", ">=" or "=" and a number, as in "> 0.5"')
    return given


Threshold = Annotated[str, BeforeValidator(_validate)]
"""A comparison with a number, kept as text so that configs and `run.json` read like the paper."""


def _at_most(most: int, what: str) -> AfterValidator:
    """Return a validator that refuses thresholds above `most`, which nothing can meet."""

    def validate(text: str) -> str:
        sign, bound = _split(text)
        if bound > most or (bound == most and sign == ">"):
            raise ValueError(f'nothing can meet "{text}": {what} is at most {most}')
        return text

    return AfterValidator(validate)


ShareThreshold = Annotated[Threshold, _at_most(1, "a share")]
"""What a share must meet to be kept."""
ScoreThreshold = Annotated[Threshold, _at_most(10, "a score")]
"""What a judge's score must meet to be kept."""


def _below_chosen(negative: str, info: ValidationInfo) -> str:
    """Refuse a threshold by which a rejected text could pass as many functions as the chosen one."""
    positive = info.data.get("positive")
    if positive is not None:
        (above, lowest), (sign, bound) = _split(positive), _split(negative)
        highest = bound if sign == "=" else Fraction(1)
        if highest > lowest or (highest == lowest and above != ">"):
            raise ValueError(
                f'a rejected text could pass as many functions as a chosen one, which has "{positive}": write "=" and '
                f'a lower number, as in "= 0", not "{negative}"'
            )
    return negative


RejectedThreshold = Annotated[Threshold, AfterValidator(_below_chosen)]
"""What a pass rate must meet for its text to be rejected; lower than any rate that meets the setting `positive`."""


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
    sign, bound = _split(threshold)
    return _OPERATORS[sign], bound


def _split(threshold: Threshold) -> tuple[str, Fraction]:
    """Return the sign and the number."""
    match = _FORM.fullmatch(threshold.strip())
    assert match, threshold  # validated when the config was read
    return match[1], Fraction(match[2])
