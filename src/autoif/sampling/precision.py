"""bfloat16, the paper's precision (App. B), where this machine has instructions for it, and 32 bits elsewhere.

Without them PyTorch multiplies matrices of bfloat16 number by number: with AVX2 1.2 in place of 120 GFLOP/s (2048 x 576
by 576 x 1536, two cores). Nothing fails, so a training or a sampling only seems to stand still.
"""

import importlib.util
from typing import Any, Literal

Precision = Literal["auto", "bfloat16", "float16", "float32"]


def computes_in_bf16() -> bool:
    """Whether this machine has an accelerator, or a processor with instructions that multiply bfloat16."""
    import torch

    if torch.accelerator.is_available():
        return True
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # PyTorch was built without oneDNN, which has the fast kernels
        return False


def choose_precision(usual: Precision = "bfloat16") -> Precision:
    """Return what PyTorch computes in where nobody chose: the usual, or 32 bits if that may be slow here."""
    if importlib.util.find_spec("torch") is None:  # what needs it says so
        return usual
    return usual if computes_in_bf16() else "float32"


def describe_slow(dtype: Any, remedy: str) -> str:
    """Return what to say of computing in this torch.dtype here, and "" if nothing."""
    if str(dtype).removeprefix("torch.") != "bfloat16" or computes_in_bf16():
        return ""
    return f"this processor has no instructions for bfloat16, which takes up to a hundred times as long here: {remedy}"
