"""Where queries come from: text, JSON lines, ShareGPT dumps and `datasets` names, all read as an iterator of texts.

A source yields one text for each of its rows, "" for a row that holds no query, so that nothing is skipped in silence.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from autoif.errors import ConfigError
from autoif.queries.json_lists import broken, read_elements
from autoif.text_lines import read_lines

HUB_PREFIX = "hf:"
COLUMNS = ("query", "prompt", "instruction", "question", "text")
CONVERSATION_COLUMNS = ("conversations", "messages", "conversation")
USER_ROLES = ("user", "human", "prompter")
_SUFFIXES = (".txt", ".jsonl", ".json")

MAX_JSON_LINE_BYTES = 16_000_000
"""A line may hold a whole conversation, of which only the first turn is read."""


def read_queries(source: str) -> Iterator[str]:
    """Yield the query of each row of a file, or of a data set: a folder, `hf:NAME[:split[:column]]`, or `NAME`.

    Raises:
        ConfigError: the source is missing, can't be read, or has no column with queries.
    """
    path = Path(source)
    if source.startswith(HUB_PREFIX) or path.is_dir() or (not path.exists() and _may_be_a_name(source)):
        return _read_dataset(source.removeprefix(HUB_PREFIX))
    match path.suffix.lower():
        case ".txt":
            return (line.strip() for _, line in read_lines(path, "queries") if line.strip())
        case ".jsonl":
            return _pick(_read_json_lines(path), source)
        case ".json":
            return _pick(read_elements(path, "queries"), source)
    raise ConfigError(f"queries {source}: give a {', '.join(_SUFFIXES)} file, or a data set as {HUB_PREFIX}NAME")


def first_query(row: object, column: str | None = None) -> str:
    """Return the query that a row holds: its first user turn, or the text in one of the known columns; "" if none."""
    match row:
        case str():
            return row.strip()
        case list():
            return next((turn_text(turn) for turn in row if is_user_turn(turn)), "")
        case Mapping():
            names = (column,) if column else (*CONVERSATION_COLUMNS, *COLUMNS)
            return next((text for name in names if (text := first_query(row.get(name)))), "")
    return ""


def is_user_turn(turn: object) -> bool:
    return isinstance(turn, Mapping) and (turn.get("from") or turn.get("role")) in USER_ROLES


def turn_text(turn: Mapping[str, Any]) -> str:
    """Return what a turn says: ShareGPT's `value`, or OpenAI's `content`, which can come in parts."""
    content = turn.get("value", turn.get("content"))
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "\n".join(part for part in parts if isinstance(part, str))
    return content.strip() if isinstance(content, str) else ""


def _pick(rows: Iterable[object], source: str, column: str | None = None) -> Iterator[str]:
    """Yield the query of each row; refuse a source in which no row has one."""
    found, empty = False, False
    names: dict[str, None] = {}
    for row in rows:
        text = first_query(row, column)
        found, empty = found or bool(text), True
        if not found and isinstance(row, Mapping):
            names.update(dict.fromkeys(map(str, row)))
        yield text
    if empty and not found:
        wanted = column or ", ".join((*CONVERSATION_COLUMNS, *COLUMNS))
        raise ConfigError(f"queries {source}: no text in {wanted}; columns found: {', '.join(names) or 'none'}")


def _read_json_lines(path: Path) -> Iterator[object]:
    for number, line in read_lines(path, "queries", max_bytes=MAX_JSON_LINE_BYTES):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise broken(path, "queries", number, error) from error


def _may_be_a_name(source: str) -> bool:
    """Tell whether this looks like the name of a data set and not like a file that is missing."""
    return not source.endswith(_SUFFIXES) and not source.startswith((".", "/", "~")) and source.count("/") <= 1


def _read_dataset(name: str) -> Iterator[str]:
    """Yield the queries of a data set: of its `train` split, or of its first one, unless a split is named."""
    repository, split, column = (*name.split(":", 2), "", "")[:3]
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(f"queries {name}: no such file; for a data set, pip install 'autoif[datasets]'") from error
    try:
        saved = any((Path(repository) / each).exists() for each in ("dataset_dict.json", "state.json"))
        loaded = datasets.load_from_disk(repository) if saved else datasets.load_dataset(repository)
    except Exception as error:  # its own, the hub's, pyarrow's and the network's errors
        why = " ".join(str(error).split())[:300]
        raise ConfigError(f"queries {name}: neither a file nor a data set that can be loaded ({why})") from error
    splits = loaded if isinstance(loaded, dict) else {split or "train": loaded}
    wanted = split or ("train" if "train" in splits else next(iter(splits)))
    if wanted not in splits:
        raise ConfigError(f"queries {name}: no split {wanted!r}; there are: {', '.join(splits)}")
    rows = splits[wanted]
    if column and column not in rows.column_names:
        raise ConfigError(f"queries {name}: no column {column!r}; columns found: {', '.join(rows.column_names)}")
    return _pick(rows, name, column or None)
