"""What the verdicts on one completion are worth in training: the reward of §3.4's online data, for library and service.

A completion's functions are judges of one and the same instruction, so a share of them decides, as it does in rejection
sampling (§3.3: a response is kept if more than half of the functions return True). Only `pass` counts for it: a
function that raises, hangs or crashes has not accepted anything.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from autoif.errors import ConfigError
from autoif.records import Verdict
from autoif.thresholds import Threshold, meets, share

ACCEPTED: Final[Threshold] = "> 0.5"
"""§3.3: the share of functions from which a completion is accepted."""


class RewardMode(StrEnum):
    """How verdicts become a number."""

    BINARY = "binary"
    """1 if the completion is accepted, else 0."""
    FRACTION = "fraction"
    """The share of functions that pass: finer, and with a slope below the threshold."""


def compute_reward(verdicts: Sequence[Verdict], mode: RewardMode) -> float:
    """Return the reward, 0 to 1, of one completion from the verdict of each of its functions.

    Raises:
        ConfigError: there are no verdicts. Nobody has judged the completion, and neither 0 nor 1 would be true.
    """
    if not verdicts:
        raise ConfigError("a completion without functions has no reward: give it at least one function")
    passed = share(sum(verdict == Verdict.PASS for verdict in verdicts), len(verdicts))
    match RewardMode(mode):
        case RewardMode.BINARY:
            return float(meets(passed, ACCEPTED))
        case RewardMode.FRACTION:
            return float(passed)
