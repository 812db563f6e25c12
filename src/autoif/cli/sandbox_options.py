"""Options of the sandbox, shared by all commands that run functions."""

from collections.abc import Callable

import click
from pydantic import ValidationError

from autoif.cli.options import Command, gather_options
from autoif.sandbox import SandboxSettings

_DEFAULTS = SandboxSettings()


def sandbox_options(*, backend: str = "--backend") -> Callable[[Command], Command]:
    """Add the options of the sandbox to a command, which receives them as one `sandbox`, its `SandboxSettings`.

    `backend` renames the option for the sandbox's backend in commands whose `--backend` is something else.
    """
    options = (
        click.option(
            "--timeout", type=float, default=_DEFAULTS.timeout_s, show_default=True,
            help="Seconds that a function has for one text.",
        ),
        click.option(
            "--memory-mb", type=int, default=_DEFAULTS.memory_mb, show_default=True, help="MiB that a function may use."
        ),
        click.option(
            backend, "sandbox_backend", default=_DEFAULTS.backend, show_default=True,
            help="Sandbox: auto, cpython or monty.",
        ),
        click.option("--workers", type=click.IntRange(min=1), help="Sandbox processes. [default: one a processor]"),
        click.option(
            "--package", "packages", multiple=True, metavar="NAME",
            help="Installed package that functions may import; may be repeated. Also name what it imports.",
        ),
    )  # fmt: skip
    return gather_options(options, "sandbox", _make_settings)


def _make_settings(
    timeout: float, memory_mb: int, sandbox_backend: str, workers: int | None, packages: tuple[str, ...]
) -> SandboxSettings:
    try:
        return SandboxSettings(
            backend=sandbox_backend, timeout_s=timeout, memory_mb=memory_mb, workers=workers or 0, packages=packages
        )
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0]).removesuffix("_s").replace("_", "-")
        raise click.UsageError(f"--{name}: {problem['msg']}, not {problem['input']!r}") from None
