"""Finds the text of a row: the column that holds the question, and those with its context.

Column names are tried in tiers, the surest first. If several columns of a tier hold different texts, only the user can
tell which is meant, so the row is refused with a message that says how to name one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoif.errors import ConfigError
from autoif.reading.json_text import replace_surrogates

CONTEXTS = ("input", "context", "passage", "document", "article", "paragraph")
"""Columns that hold what a text asks about, such as Alpaca's `input` and Dolly's `context`."""
MEDIA = frozenset({
    "image", "images", "img", "image_path", "image_url", "image_urls", "image_file", "video", "videos", "video_path",
    "video_url", "audio", "audios", "audio_path", "audio_url",
})  # fmt: skip
"""Columns that hold media that a text asks about."""
HOW_TO_NAME = "as FILE:COLUMN, or as hf:NAME:SPLIT:COLUMN"
_NOTHING = {"", "<noinput>", "noinput", "no input", "no input required", "none", "null", "nan", "n/a", "-"}
"""How data sets write that there is no context."""


@dataclass(frozen=True, slots=True)
class RowText:
    """What a row asks."""

    text: str = ""
    """"" if the row asks nothing."""
    context: str = ""
    """What the text is about, if the row holds it separately."""
    unreadable: bool = False
    """Whether there is a context that is no text."""

    @property
    def whole(self) -> str:
        """The text with its context."""
        return f"{self.text}\n\n{self.context}" if self.context else self.text


def pick_text(row: Mapping[str, object], tiers: Sequence[Sequence[str]], column: str | None, where: str) -> RowText:
    """Return the text of a row with its context, from the user's `column` or the first of the `tiers` that has one.

    Raises:
        ConfigError: several columns of a tier hold different texts, or the named column isn't there.
    """
    names = {str(name).strip().casefold(): name for name in row}
    if column is not None:
        if column not in row and column.casefold() not in names:
            raise ConfigError(f"{where}: no column {column!r}; columns found: {list_columns(row)}")
        chosen = names.get(column.casefold(), column)
        return _with_context(row, names, column.casefold(), read_text(row.get(column, row.get(chosen))))
    for tier in tiers:
        found = {name: text for name in tier if name in names and (text := read_text(row[names[name]]))}
        if len(set(found.values())) > 1:
            listed = " and ".join(found)
            raise ConfigError(f"{where}: a text in the columns {listed}; name the one you mean {HOW_TO_NAME}")
        if found:
            name, text = next(iter(found.items()))
            return _with_context(row, names, name, text)
    return RowText()


def read_line(row: object, column: str | None, where: str) -> str:
    """Return the text of a row that is a plain string. Raises ConfigError: the user names a column, and it has none."""
    if column is not None:
        raise ConfigError(f"{where}: a text without columns, and {column!r} is named as one: name the file alone")
    return read_text(row)


def list_columns(names: Mapping[str, object] | Sequence[str]) -> str:
    """Return the names of columns for an error."""
    return ", ".join(map(str, names))[:300] or "none"


def read_text(value: object) -> str:
    """Return a text itself, or the text within a record such as a run's instruction or constraints; "" for anything
    else."""
    if isinstance(value, list) and value and all(isinstance(each, Mapping) and "instruction" in each for each in value):
        return " ".join(read_text(each["instruction"]) for each in value)
    text = value.get("text") if isinstance(value, Mapping) else value
    return str(replace_surrogates(text)).strip() if isinstance(text, str) else ""


def _with_context(row: Mapping[str, object], names: Mapping[str, str], chosen: str, text: str) -> RowText:
    values = [row[names[name]] for name in CONTEXTS if name in names and name != chosen]
    match row.get("instances"):  # of self-instruct's seed tasks
        case [{"input": value}, *_]:
            values.append(value)
    contexts = [_read_context(value) for value in values]
    shown = [row[names[name]] for name in names if name in MEDIA]
    if None in contexts or any(map(_is_something, shown)):
        return RowText(text, unreadable=True)
    apart = [context for context in dict.fromkeys(contexts) if context and context not in text]
    return RowText(text, "\n\n".join(apart))


def _is_something(value: object) -> bool:
    """Tell whether a media cell holds anything."""
    if isinstance(value, list | tuple):
        return any(map(_is_something, value))
    if isinstance(value, Mapping):
        return any(map(_is_something, value.values()))
    return bool(value) and str(value).strip().casefold() not in _NOTHING


def _read_context(value: object) -> str | None:
    """Return a context as text, "" if there is none; None if it is something else."""
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = "\n\n".join(value)
    if not isinstance(value, str):
        return None
    text = str(replace_surrogates(value)).strip()
    return "" if text.casefold() in _NOTHING else text
