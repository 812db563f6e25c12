"""Chooses bfloat16, the paper's precision (App. B), where this machine has instructions for it, and 32 bits elsewhere.

Without such instructions PyTorch multiplies bfloat16 matrices number by number: with AVX2 at 1.2 GFLOP/s instead of 120
(2048 x 576 by 576 x 1536, two cores). Nothing fails, but training and sampling seem to stand still.
"""

import importlib.util
from typing import Any, Literal

Precision = Literal["auto", "bfloat16", "float16", "float32"]


def computes_in_bf16() -> bool:
    """Tell whether this machine has an accelerator, or a processor with instructions for bfloat16."""
    import torch

    if torch.accelerator.is_available():
        return True
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # PyTorch was built without oneDNN, and so without the fast kernels
        return False


def choose_precision(usual: Precision = "bfloat16") -> Precision:
    """Return the default precision: the usual one, or 32 bits where that may be slow."""
    if importlib.util.find_spec("torch") is None:  # code that needs torch reports that it is missing
        return usual
    return usual if computes_in_bf16() else "float32"


def describe_slow(dtype: Any, remedy: str) -> str:
    """Return a warning, with a remedy, if computing in this torch.dtype is slow on this machine; else ""."""
    if str(dtype).removeprefix("torch.") != "bfloat16" or computes_in_bf16():
        return ""
    return f"this processor has no instructions for bfloat16, which takes up to a hundred times as long here: {remedy}"
