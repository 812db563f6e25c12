"""Student's t, for intervals over few values."""

import math
from statistics import NormalDist

LEVEL = 0.95
"""Confidence level of all intervals."""


def find_student(freedom: int) -> float:
    """Return the quantile of Student's t for a two-sided 95 % interval, at 1 degree of freedom or more."""
    if freedom == 1:
        return math.tan(math.pi * LEVEL / 2)
    if freedom == 2:
        return LEVEL * math.sqrt(2 / (1 - LEVEL**2))
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    # By its expansion around the normal quantile (Abramowitz and Stegun, 26.7.5).
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
