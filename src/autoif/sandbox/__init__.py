"""Where code that a model wrote runs: never in the pipeline's own process."""

from autoif.sandbox.cpython import Layer, inspect_layers
from autoif.sandbox.monty import inspect_monty
from autoif.sandbox.outcomes import Limits, Outcome
from autoif.sandbox.sandbox import TEXTS_AT_ONCE, Sandbox
from autoif.sandbox.settings import SandboxSettings

__all__ = [
    "TEXTS_AT_ONCE",
    "Layer",
    "Limits",
    "Outcome",
    "Sandbox",
    "SandboxSettings",
    "inspect_layers",
    "inspect_monty",
]
