"""Checks the types of values that users set: a bool is no number, and in Python a text is no bool.

scoring.samples = true            refused: it would be read as 1
scoring.samples = "3"             3
scoring.enabled = "no"            false
autoif.run(recorded="false")      refused: Python would count the text as true
"""

import os
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError, ValidationInfo, field_validator

from autoif.errors import ConfigError
from autoif.records import Record


class Settings(Record):
    """A table of settings."""

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_flags(cls, given: Any, info: ValidationInfo) -> Any:
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(given, bool) and {int, float} & {kind, *get_args(kind)}:
            raise ValueError(f"Input should be a number, not {str(given).lower()}")
        return given


def check_type(name: str, value: Any, kind: Any) -> Any:
    """Return an argument of a call, with any path-like object as a `Path`. Raises ConfigError: it has another type."""
    try:
        value = Path(value) if isinstance(value, os.PathLike) else value
        return TypeAdapter(kind).validate_python(value, strict=True)
    except (TypeError, ValidationError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ConfigError(f"{name} is {value!r}: {why}") from None
