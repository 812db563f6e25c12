"""Precision on machines that differ: nothing is computed in bfloat16 by a processor that has no instructions for it."""

import sys
from pathlib import Path

import pytest
import torch

from autoif.sampling import precision
from autoif.sampling.precision import choose_precision, computes_in_bf16, describe_slow
from autoif.training.online_pairs import OnlineSettings
from autoif.training.settings import resolve_settings


@pytest.fixture(params=[True, False], ids=["with bf16", "without"])
def has_bf16(request, monkeypatch):
    for module in [each for name, each in sys.modules.items() if name.startswith("autoif.")]:
        if hasattr(module, "computes_in_bf16"):
            monkeypatch.setattr(module, "computes_in_bf16", lambda: request.param)
    return request.param


def test_this_processor_is_asked_for_its_instructions():
    """Against a second source: what Linux tells of the processor."""
    told = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    flags = {word for line in told if line.startswith("flags") for word in line.split()}
    if not torch.accelerator.is_available():
        assert computes_in_bf16() == ({"avx512bw", "avx512vl", "avx512dq"} <= flags)


def test_a_build_of_torch_without_the_fast_kernels_computes_in_32_bits(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert not computes_in_bf16()


def test_an_accelerator_is_not_asked(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert computes_in_bf16()


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo"])
def test_a_training_takes_what_is_fast_unless_it_is_set(kind, has_bf16):
    assert resolve_settings(kind, None, [], lora=False).arguments["bf16"] is has_bf16
    assert resolve_settings(kind, None, ["bf16=true"], lora=False).arguments["bf16"] is True
    assert resolve_settings(kind, None, ["bf16=false"], lora=False).arguments["bf16"] is False


def test_sampling_takes_what_is_fast_unless_it_is_set(has_bf16):
    assert OnlineSettings().dtype == choose_precision() == ("bfloat16" if has_bf16 else "float32")
    assert choose_precision("auto") == ("auto" if has_bf16 else "float32")
    assert OnlineSettings(dtype="bfloat16").dtype == "bfloat16"


def test_what_was_chosen_and_is_slow_is_said_with_the_remedy(has_bf16):
    said = describe_slow(torch.bfloat16, "choose float32")
    assert said.endswith("a hundred times as long here: choose float32") is not has_bf16
    assert bool(said) is not has_bf16
    assert describe_slow(torch.float32, "choose float32") == ""


def test_without_torch_nothing_is_looked_up(monkeypatch):
    monkeypatch.setattr(precision.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(precision, "computes_in_bf16", lambda: pytest.fail("torch is not there to be asked"))
    assert choose_precision() == "bfloat16"
