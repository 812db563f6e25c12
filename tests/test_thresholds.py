"""Thresholds as the paper writes them: exact at the boundary."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.config import load_config
from autoif.errors import ConfigError
from autoif.thresholds import meets, share
from autoif.training.online_pairs import resolve_online


@pytest.mark.parametrize(
    ("part", "whole", "threshold", "met"),
    [
        (1, 2, "> 0.5", False),
        (5, 9, "> 0.5", True),
        (4, 9, "> 0.5", False),
        (1, 2, ">= 0.5", True),
        (4, 5, ">= 0.8", True),
        (3, 4, ">= 0.8", False),
        (5, 6, ">= 0.8", True),
        (1, 3, "> 0", True),
        (0, 3, "> 0", False),
        (0, 3, "= 0", True),
        (1, 1_000_000, "= 0", False),
        (0, 0, "> 0", False),
        (0, 0, "= 0", True),
    ],
)
def test_a_share_at_below_and_above_a_threshold(part: int, whole: int, threshold: str, met: bool) -> None:
    assert meets(share(part, whole), threshold) is met


@pytest.mark.parametrize(
    ("value", "threshold", "met"),
    [(8.0, ">= 8", True), (8.0, "> 8", False), (8.3333, "> 8", True), (7.9999, ">= 8", False), (0.8, ">= 0.8", True)],
)
def test_a_mean_is_compared_as_it_is_written(value: float, threshold: str, met: bool) -> None:
    assert meets(value, threshold) is met


@pytest.mark.parametrize("spelling", [">0.5", " > 0.5", ">  0.5 "])
def test_white_space_in_a_threshold_means_nothing(spelling: str) -> None:
    assert meets(Fraction(3, 5), spelling)
    assert not meets(Fraction(1, 2), spelling)


@pytest.mark.parametrize(
    "text", ["", "0.5", "< 0.5", "<= 1", "== 1", "> half", "> -1", "> .5", "> 0.5 of them", "=> 1"]
)
def test_what_is_no_threshold_is_refused_by_the_config(text: str) -> None:
    with pytest.raises(ConfigError, match=r'setting "scoring.mean": ".*" is no threshold'):
        load_config("paper", [f'scoring.mean="{text}"'])


@pytest.mark.parametrize(
    "setting",
    [
        "cross_validation.case_agreement=> 1",
        "cross_validation.function_agreement=>= 1.01",
        "rejection_sampling.pass_rate=> 50",
        "scoring.mean=>= 11",
        "scoring.mean=> 10",
        "preferences.positive=> 1.0",
    ],
)
def test_a_threshold_that_drops_everything_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match="nothing can meet"):
        load_config("paper", [setting])
    load_config("paper", ["scoring.mean=>= 10", "rejection_sampling.pass_rate=>= 1"])
    load_config("paper", ["back_translation.dropped_contradictions=> 1"])  # drops nothing


@pytest.mark.parametrize(
    ("positive", "negative"),
    [("> 0.5", "> 0.5"), (">= 0", ">= 0"), ("= 0", "= 0"), ("= 0", "= 1"), (">= 0.5", "= 0.5"), ("= 1", "> 0.9")],
)
def test_no_text_may_be_rejected_that_passes_as_much_as_a_chosen_one(positive: str, negative: str) -> None:
    sides = [f"positive={positive}", f"negative={negative}"]
    with pytest.raises(ConfigError, match="could pass as many functions as a chosen one"):
        load_config("paper", [f"preferences.{side}" for side in sides])
    with pytest.raises(ConfigError, match=r"online\.negative.* could pass as many functions as a chosen one"):
        resolve_online(None, [f"online.{side}" for side in sides], lora=False)
    load_config("paper", ["preferences.negative== 0.5"])  # chosen is what is above it


@given(st.integers(0, 1000), st.integers(1, 1000), st.integers(0, 20), st.sampled_from([5, 10, 20]))
def test_comparison_is_exact_for_every_share_and_every_number(part: int, whole: int, number: int, unit: int) -> None:
    decimal = number / unit
    value, bound = share(part, whole), Fraction(number, unit)
    assert meets(value, f"> {decimal}") is (value > bound)
    assert meets(value, f">= {decimal}") is (value >= bound)
    assert meets(value, f"= {decimal}") is (value == bound)
