"""AutoIF: instruction-following training data that running code has verified (Dong et al., 2024, arXiv 2406.13542)."""

from importlib.metadata import version

from autoif.api import Rows, Run, load_run, run
from autoif.config import Config, load_config
from autoif.errors import AutoIFError, BudgetExhausted, ConfigError, ModelError, NoData, SandboxError, StoreError
from autoif.gate import Fault, find_fault
from autoif.records import Verdict
from autoif.reward import RewardMode, VerificationReward, compute_reward
from autoif.sandbox import Limits, Outcome, Sandbox

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
