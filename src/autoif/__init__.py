"""AutoIF: instruction-following training data that running code has verified (Dong et al., 2024, arXiv 2406.13542)."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoif.api import Run, fetch_run, load_run, plan, run
    from autoif.config import Config, load_config
    from autoif.errors import AutoIFError, BudgetExhausted, ConfigError, ModelError, NoData, SandboxError, StoreError
    from autoif.gate import Fault, find_fault
    from autoif.reading.stored_rows import Rows
    from autoif.records import Verdict
    from autoif.reward import RewardMode, VerificationReward, compute_reward
    from autoif.reward_parts import RewardParts
    from autoif.sandbox import Limits, Outcome, Sandbox

    __version__: str

_NAMES = {
    "autoif.api": ("Run", "fetch_run", "load_run", "plan", "run"),
    "autoif.config": ("Config", "load_config"),
    "autoif.errors": (
        "AutoIFError", "BudgetExhausted", "ConfigError", "ModelError", "NoData", "SandboxError", "StoreError",
    ),
    "autoif.gate": ("Fault", "find_fault"),
    "autoif.reading.stored_rows": ("Rows",),
    "autoif.records": ("Verdict",),
    "autoif.reward": ("RewardMode", "VerificationReward", "compute_reward"),
    "autoif.reward_parts": ("RewardParts",),
    "autoif.sandbox": ("Limits", "Outcome", "Sandbox"),
}  # fmt: skip
"""The module that defines each name. It is imported when the name is first used, so short commands import none."""
_PLACES = {name: module for module, names in _NAMES.items() for name in names}

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
    "RewardParts",
    "Rows",
    "Run",
    "Sandbox",
    "SandboxError",
    "StoreError",
    "Verdict",
    "VerificationReward",
    "compute_reward",
    "fetch_run",
    "find_fault",
    "load_config",
    "load_run",
    "plan",
    "run",
]


if not TYPE_CHECKING:  # type checkers would accept every misspelled name

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("autoif")
        if name in _PLACES:
            found = globals()[name] = getattr(import_module(_PLACES[name]), name)
            return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
