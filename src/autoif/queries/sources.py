"""Where queries come from: files of any form (row_files.py), run folders and `datasets` names, read row by row.

A source yields one query per row, and an empty one for a row without a query, so that no row is skipped silently.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from autoif.errors import ConfigError, in_one_line
from autoif.reading.json_text import replace_surrogates
from autoif.reading.lines import clean_line, is_layout
from autoif.reading.row_files import SourceRow, is_file_name, read_rows, split_column
from autoif.reading.row_texts import HOW_TO_NAME, RowText, list_columns, pick_text, read_line
from autoif.reading.turns import (
    find_turns,
    first_turn,
    has_placeholder,
    is_turn,
    is_user_turn,
    parse_turns,
    read_transcript,
    shows_media,
    turn_text,
)
from autoif.runs.store import MANIFEST, QUERIES, find_rows

HUB_PREFIX = "hf:"
_PAIRS = ("chosen", "conversation_a")
"""Columns of preference data without a prompt column: each side begins with the prompt."""
_ONLY_TURNS = ("dialogue", "dialog", "turns", "data", "chat", "contents", "chat_messages")
CONVERSATION_COLUMNS = ("conversations", "messages", "conversation", *_ONLY_TURNS)
_NO_QUESTIONS = (*_ONLY_TURNS, *_PAIRS)
"""A text in one of these columns is no query, unless it is a conversation written out."""
INNER = ("body", "params", "request", "fields", "data", "chat")
"""Columns of batch requests and of exports whose object holds the row itself."""
_TIERS = (
    ("query", "queries"),
    CONVERSATION_COLUMNS,
    ("question", "questions", "prompt", "prompts", "instruction", "instructions"),
    ("text", "texts", "input", "inputs", "content", "user", "human", "seed", "constraint"),
    _PAIRS,
)
_LIST_LINES = 1_000
"""How many lines of a text decide whether it is a list."""


def read_queries(source: str) -> Iterator[RowText]:
    """Yield the query of each row of a source: a file (FILE or FILE:COLUMN), a run folder, or a data set of the
    `datasets` library: a folder, `hf:NAME[:split[:column]]`, or `NAME`.

    Raises ConfigError: the source is missing, can't be read, or has no column with queries.
    """
    if source.startswith(HUB_PREFIX):
        return _read_dataset(source.removeprefix(HUB_PREFIX))
    path, column = split_column(source)
    if path.is_dir() and (path / MANIFEST).exists():
        path = find_rows(path, QUERIES)
    elif path.is_dir() or (not path.exists() and _may_be_a_name(source)):
        return _read_dataset(source)
    return _pick(_clean_lists(read_rows(path, "queries")), f"queries file {path}", column)


def _clean_lists(rows: Iterator[SourceRow]) -> Iterator[SourceRow]:
    """Take numbering, bullets and marks off the lines of a text file if most have some; single ones may be meant."""
    first = list(islice(rows, _LIST_LINES))
    lines = [str(row.value) for row in first if row.written and not is_layout(str(row.value))]
    is_list = sum(clean_line(line) != line for line in lines) * 2 > len(lines)
    for row in chain(first, rows):
        yield SourceRow(row.place, clean_line(str(row.value)), written=True) if is_list and row.written else row


def _pick(rows: Iterable[SourceRow], source: str, column: str | None = None) -> Iterator[RowText]:
    """Yield the query of each row; refuse a source in which no row has one."""
    found, empty = False, True
    names: dict[str, None] = {}
    for row in rows:
        query = _read_query(row.value, column, f"{source}, {row.place}")
        found, empty = found or bool(query.text), False
        if not found and isinstance(row.value, Mapping):
            names.update(dict.fromkeys(map(str, row.value)))
        yield query
    if not found and not empty:
        wanted = column or ", ".join(chain.from_iterable(_TIERS))
        raise ConfigError(
            f"{source}: no text in {wanted}; columns found: {list_columns(names)}; name one {HOW_TO_NAME}"
        )


def _read_query(row: object, column: str | None, where: str) -> RowText:
    if isinstance(row, str):
        return RowText(_find_question(read_line(row, column, where)))
    if isinstance(row, list):
        return _mark_unreadable(RowText(str(replace_surrogates(first_turn(row, alternate=False)))), shows_media(row))
    if not isinstance(row, Mapping):
        return RowText()
    if column is None and is_turn(row):  # from a tree of turns, in which every turn is a row
        opens = is_user_turn(row) and not row.get("parent_id")
        text = str(replace_surrogates(turn_text(row))) if opens else ""
        return _mark_unreadable(RowText(text), opens and shows_media([row]))
    spoken = {name: _read_conversation(str(name).strip().casefold(), value, column) for name, value in row.items()}
    found = pick_text(
        {**row, **{name: text for name, text in spoken.items() if text is not None}}, _TIERS, column, where
    )
    if not found.text and column is None:
        inner = [row[name] for name in INNER if isinstance(row.get(name), Mapping)]
        return next((each for each in (_read_query(value, None, where) for value in inner) if each.text), found)
    text = _find_question(found.text)
    shown = (turns for name, value in row.items() if spoken[name] == found.text and (turns := find_turns(value)))
    return _mark_unreadable(replace(found, text=text), any(map(shows_media, shown)))


def _mark_unreadable(found: RowText, is_shown: bool) -> RowText:
    """Mark a query as unreadable if it asks about media."""
    return replace(found, unreadable=True) if is_shown or has_placeholder(found.text) else found


def _read_conversation(name: str, value: object, column: str | None) -> str | None:
    """Return what the user says first in a column that holds a conversation; None if it holds something else."""
    turns = find_turns(value)
    named = column is not None and name == column.casefold()
    if turns is None:
        if name not in _NO_QUESTIONS or not isinstance(value, str) or named:
            return None
        asked = read_transcript(value)
        return asked if asked != value else ""
    conversation = named or name in CONVERSATION_COLUMNS or name in _PAIRS
    return first_turn(turns, alternate=conversation) or ("" if isinstance(value, str) else None)


def _find_question(text: str) -> str:
    turns = parse_turns(text)
    return read_transcript(text) if turns is None else first_turn(turns)


def _may_be_a_name(source: str) -> bool:
    """Tell whether this looks like the name of a data set rather than a missing file."""
    name = source.partition(":")[0]
    return not is_file_name(name) and not source.startswith((".", "/", "~")) and source.count("/") <= 1


def _read_dataset(name: str) -> Iterator[RowText]:
    """Yield the queries of a data set, from the named split, else from `train`, else from its first one."""
    repository, split, column = (*name.split(":", 2), "", "")[:3]
    if not repository:
        raise ConfigError(f"queries {HUB_PREFIX}{name}: name the data set, as in {HUB_PREFIX}OWNER/NAME")
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(f"queries {name}: no such file; for a data set, pip install 'autoif[datasets]'") from error
    try:
        saved = any((Path(repository) / each).exists() for each in ("dataset_dict.json", "state.json"))
        loaded = datasets.load_from_disk(repository) if saved else datasets.load_dataset(repository)
    except Exception as error:  # its own, the hub's, pyarrow's and the network's errors
        why = in_one_line(error)
        raise ConfigError(f"queries {name}: neither a file nor a data set that can be loaded ({why})") from error
    splits = loaded if isinstance(loaded, dict) else {split or "train": loaded}
    wanted = split or ("train" if "train" in splits else next(iter(splits)))
    if wanted not in splits:
        raise ConfigError(f"queries {name}: no split {wanted!r}; there are: {', '.join(splits)}")
    rows = splits[wanted]
    if column and column not in rows.column_names:
        raise ConfigError(f"queries {name}: no column {column!r}; columns found: {', '.join(rows.column_names)}")
    placed = (SourceRow(f"row {number}", row) for number, row in enumerate(rows, 1))
    return _pick(placed, f"queries {name}", column or None)
