"""Whether work takes time in proportion to its size, told in one process, so that no machine is too slow for it."""

import gc
import time
from collections.abc import Callable

_MOST_GROWTH = 9
"""Four times the size takes four times as long if the time is linear, and sixteen times if it is quadratic."""
_NOISE_S = 0.25
"""What a busy machine may add to so short a piece of work that its growth says nothing."""


def assert_proportional(work: Callable[[int], object], size: int) -> None:
    """Check that work of this size takes no more than nine times the CPU time of work of a quarter of it."""
    small_s, large_s = _measure_s(work, size // 4), _measure_s(work, size)
    assert large_s < _MOST_GROWTH * small_s + _NOISE_S, f"{small_s:.2f} s became {large_s:.2f} s for four times as much"


def _measure_s(work: Callable[[int], object], size: int) -> float:
    # A collection looks at all that the tests before this one have loaded.
    gc.disable()
    try:
        began = time.thread_time()
        work(size)
        return time.thread_time() - began
    finally:
        gc.enable()
