"""Verdicts become rewards."""

import pytest

from autoif.errors import ConfigError
from autoif.records import Verdict
from autoif.reward import ACCEPTED, RewardMode, compute_reward
from autoif.sandbox import Outcome
from autoif.settings import RejectionSampling

PASS, FAIL = Verdict.PASS, Verdict.FAIL


@pytest.mark.parametrize(
    ("verdicts", "reward"),
    [([PASS], 1), ([FAIL], 0), ([PASS, PASS, FAIL], 1), ([PASS, FAIL], 0), ([PASS, FAIL, FAIL], 0), ([PASS] * 3, 1)],
)
def test_a_binary_reward_needs_more_than_half_of_the_functions(verdicts, reward):
    assert compute_reward(verdicts, RewardMode.BINARY) == reward


@pytest.mark.parametrize(
    ("verdicts", "reward"), [([PASS], 1), ([FAIL], 0), ([PASS, FAIL], 0.5), ([PASS, FAIL, FAIL], 1 / 3)]
)
def test_a_fraction_is_the_share_of_functions_that_pass(verdicts, reward):
    assert compute_reward(verdicts, RewardMode.FRACTION) == reward


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not PASS])
@pytest.mark.parametrize("mode", RewardMode)
def test_a_function_that_did_not_say_yes_has_not_passed(verdict, mode):
    assert compute_reward([verdict], mode) == 0
    assert compute_reward([PASS, verdict], RewardMode.FRACTION) == 0.5
    assert compute_reward([PASS, verdict], RewardMode.BINARY) == 0


@pytest.mark.parametrize("mode", RewardMode)
def test_no_functions_is_an_error_and_not_a_reward(mode):
    with pytest.raises(ConfigError, match="at least one function"):
        compute_reward([], mode)


def test_verdicts_and_modes_may_come_as_the_words_that_files_hold():
    assert compute_reward(["pass", "error", "pass"], "binary") == compute_reward(["pass"]) == 1
    with pytest.raises(ConfigError, match="no reward is called 'average': choose binary or fraction"):
        compute_reward(["pass"], "average")


@pytest.mark.parametrize("verdicts", [[Outcome(PASS)], [True], "pass", ["passed"], [None]])
def test_what_is_no_verdict_is_an_error_and_not_a_failed_function(verdicts):
    with pytest.raises(ConfigError, match=r"a verdict is pass, fail, .*: of an outcome, its verdict"):
        compute_reward(verdicts)


@pytest.mark.parametrize(
    ("verdicts", "binary", "fraction"),
    [
        ([[PASS, PASS, PASS], [PASS]], 1, 1),
        ([[PASS, PASS, PASS], [FAIL]], 0, 3 / 4),
        ([[FAIL], [PASS, PASS, PASS]], 0, 3 / 4),
        ([[PASS, PASS, FAIL], [PASS]], 1, 3 / 4),
        ([[PASS, FAIL], [PASS]], 0, 2 / 3),
    ],
)
def test_of_several_constraints_no_one_outvotes_another(verdicts, binary, fraction):
    assert compute_reward(verdicts) == binary
    assert compute_reward(verdicts, "fraction") == fraction
    with pytest.raises(ConfigError, match="without functions has no reward"):
        compute_reward([*verdicts, []])


def test_a_completion_is_accepted_where_rejection_sampling_keeps_it():
    assert RejectionSampling().pass_rate == ACCEPTED
