"""The layers of the sandbox, as a person reads them in `autoif doctor` and in run.json."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layer:
    """One thing that holds model code in, and whether it does so here."""

    name: str
    enforced: bool
    """Proved: the forbidden act was tried inside and was refused."""
    required: bool
    """Without it no model code runs."""
    detail: str
    """The version or figure in force; why not, where it is not enforced."""


def describe_layers(layers: Sequence[Layer]) -> str:
    """Return one line, as "landlock v7, seccomp, rlimits, user+pid+net+ipc namespaces"."""
    held = {layer.name: layer.detail for layer in layers if layer.enforced}
    parts = [f"landlock {held['landlock']}"] if "landlock" in held else []
    parts += [name for name in ("seccomp", "rlimits") if name in held]
    spaces = [name.removesuffix(" namespace") for name in held if name.endswith(" namespace")]
    return ", ".join([*parts, f"{'+'.join(spaces)} namespaces" if spaces else "no namespaces"])


def find_missing(layers: Sequence[Layer]) -> list[Layer]:
    """Return the required layers that are not enforced."""
    return [layer for layer in layers if layer.required and not layer.enforced]
