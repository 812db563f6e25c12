"""Student's t, as intervals of few values need it."""

import math
from statistics import NormalDist

LEVEL = 0.95
"""Of all intervals."""


def find_student(freedom: int) -> float:
    """Return Student's t that an interval of 95 % reaches to, at so many degrees of freedom, 1 or more."""
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
