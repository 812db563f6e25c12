"""AutoIF: instruction-following training data that running code has verified (Dong et al., 2024, arXiv 2406.13542)."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

from autoif.config import Config, load_config
from autoif.errors import AutoIFError, BudgetExhausted, ConfigError, ModelError, NoData, SandboxError, StoreError
from autoif.gate import Fault, find_fault
from autoif.records import Verdict
from autoif.reward import RewardMode, VerificationReward, compute_reward
from autoif.sandbox import Limits, Outcome, Sandbox

if TYPE_CHECKING:
    from autoif.api import Rows, Run, load_run, run

__version__ = version("autoif")

__all__ = [
    "AutoIFError",
    "BudgetExhausted",
    "Config",
    "ConfigError",
    "Fault",
    "Limits",
    "ModelError",
    "NoData",
    "Outcome",
    "RewardMode",
    "Rows",
    "Run",
    "Sandbox",
    "SandboxError",
    "StoreError",
    "Verdict",
    "VerificationReward",
    "compute_reward",
    "find_fault",
    "load_config",
    "load_run",
    "run",
]


def __getattr__(name: str) -> object:
    # What runs need is imported when a run is: the sandbox alone starts in half the time, and on systems without fcntl.
    if name in {"Rows", "Run", "load_run", "run"}:
        return getattr(import_module("autoif.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
