"""The forms in which a comparison can be written, chosen by name or by a file's suffix."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from autoif.errors import ConfigError
from autoif.evaluation.comparison.html import render_html
from autoif.evaluation.comparison.latex import render_latex
from autoif.evaluation.comparison.markdown import render_markdown
from autoif.evaluation.comparison.paired import Comparison
from autoif.evaluation.comparison.tables import Report, tabulate

Form = Literal["md", "tex", "html"]
_RENDERERS: dict[Form, Callable[[Report], str]] = {"md": render_markdown, "tex": render_latex, "html": render_html}


def choose_form(output: Path | None) -> Form:
    """Return the form that a file is to have; Markdown where there is none. Raises ConfigError for another suffix."""
    suffix = output.suffix.lower().removeprefix(".") if output else "md"
    if suffix not in _RENDERERS:
        named = ", ".join(f".{form}" for form in _RENDERERS)
        raise ConfigError(f"{output}: name a table with {named}, or say which with --format")
    return suffix


def render(comparison: Comparison, form: Form = "md") -> str:
    """Return the tables of a comparison, with their notes and how to read them."""
    return _RENDERERS[form](tabulate(comparison))
