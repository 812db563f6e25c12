"""Estimates how many of a run's kept functions are right, from reviewers' decisions, and how many more are needed.

    band           functions with similar scores; those that the queue showed are a random sample of it
    share          of right functions in a band: Wilson's interval with continuity correction, without replacement
    precision      the mean of the bands' shares, weighted by size. Squared distances from share to limits are added up
                   (Zou and Donner's MOVER); for bands without decisions, the distances themselves are
    picked         functions decided on outside the queue: they are known, but are no random sample

In simulated reviews the interval holds the truth 95 times in 100 on average, and 88 at worst, with two decisions a band
(tests/test_view_precision.py). A normal approximation with a prior in each band misses most of them where nearly all
functions are right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from autoif.records import Record
from autoif.student import LEVEL

HALF_WIDTH: Final = 0.05
"""Default half-width of an interval that is narrow enough."""
_Z: Final = NormalDist().inv_cdf((1 + LEVEL) / 2)
_FEWEST: Final = 3
"""Fewest decisions to ask for in each band, as an interval from fewer says too little."""


@dataclass(frozen=True, slots=True)
class Band:
    """The functions of one band without picked ones: how many there are, and the decisions from the queue."""

    size: int
    accepted: float = 0
    rejected: float = 0

    @property
    def seen(self) -> float:
        return self.accepted + self.rejected

    @property
    def rate(self) -> float:
        """The share of right functions to expect in further decisions."""
        return (self.accepted + 1) / (self.seen + 2)

    def after(self, more: int) -> "Band":
        """Return the band after `more` further decisions at this rate."""
        return Band(self.size, self.accepted + more * self.rate, self.rejected + more * (1 - self.rate))

    def find_interval(self) -> tuple[float, float, float]:
        """Return the share of right functions and its limits; 1/2, 0 and 1 without decisions."""
        seen = self.seen
        if not seen:
            return 0.5, 0.0, 1.0
        share = self.accepted / seen
        if seen > self.size - 0.5:  # expected numbers of decisions are fractional
            return share, share, share
        squared, step = _Z**2 / seen * (self.size - seen) / (self.size - 1), 0.5 / seen
        low, high = (
            (edge + squared / 2 + sign * math.sqrt(squared * (edge * (1 - edge) + squared / 4))) / (1 + squared)
            for edge, sign in ((max(0.0, share - step), -1), (min(1.0, share + step), 1))
        )
        return share, low, high


class ReviewedPrecision(Record):
    """The share of kept functions that are right, estimated from reviewers' decisions."""

    value: float
    low: float
    high: float
    """Upper limit of the 95 % interval."""
    decided: int
    queued: int
    """How many of these decisions were made as the queue showed the function."""
    functions: int
    half_width: float
    """The half-width that was asked for."""
    needed: tuple[int, ...]
    """Further decisions in each band that make the interval so narrow, if the shares stay the same."""


def estimate_precision(
    bands: Sequence[Band], picked: tuple[int, int] = (0, 0), half_width: float = HALF_WIDTH
) -> ReviewedPrecision:
    """Return the share of right functions, and how many decisions narrow its interval to twice `half_width`.

    `picked` are those accepted and rejected outside the queue, which are in no band.
    """
    value, low, high = _add_up(bands, picked)
    seen = round(sum(band.seen for band in bands))
    return ReviewedPrecision(
        value=round(value, 4),
        low=round(low, 4),
        high=round(high, 4),
        decided=seen + sum(picked),
        queued=seen,
        functions=sum(band.size for band in bands) + sum(picked),
        half_width=half_width,
        needed=count_needed(bands, half_width, picked),
    )


def count_needed(bands: Sequence[Band], half_width: float, picked: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    """Return how many further decisions in each band narrow the interval to `half_width`, if the shares stay the same.

    Each decision goes to the band where it tells most.
    """
    more, after = [0] * len(bands), list(bands)
    while True:
        _, low, high = _add_up(after, picked)
        open_bands = [place for place, band in enumerate(bands) if band.seen + more[place] < band.size]
        if high - low <= 2 * half_width or not open_bands:
            return tuple(more)
        place = max(open_bands, key=lambda at: _tell(bands[at], bands[at].seen + more[at]))
        more[place] += 1
        after[place] = bands[place].after(more[place])


def _tell(band: Band, seen: float) -> float:
    """Return by how much one more decision after `seen` of them narrows a band's interval."""
    if seen < _FEWEST:
        return math.inf
    return band.size**2 * band.rate * (1 - band.rate) / (seen * (seen + 1))


def _add_up(bands: Sequence[Band], picked: tuple[int, int]) -> tuple[float, float, float]:
    """Return the share of right functions in all bands together, with its limits."""
    right, below, above, unknown = float(picked[0]), 0.0, 0.0, 0.0
    certain, open_ = picked[0] + sum(band.accepted for band in bands), sum(band.size - band.seen for band in bands)
    for band in bands:
        share, low, high = band.find_interval()
        right += band.size * share
        if band.seen:
            below += (band.size * (share - low)) ** 2
            above += (band.size * (high - share)) ** 2
        else:
            unknown += band.size / 2
    whole = sum(band.size for band in bands) + sum(picked)
    least, most = right - math.sqrt(below) - unknown, right + math.sqrt(above) + unknown
    return right / whole, max(certain, least) / whole, min(certain + open_, most) / whole
