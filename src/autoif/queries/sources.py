"""Where queries come from: files of any form (row_files.py), run folders and `datasets` names, read row by row.

A source yields one query for each of its rows, an empty one for a row that holds none, so that nothing is skipped in
silence.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from autoif.errors import ConfigError
from autoif.reading.lines import clean_line
from autoif.reading.row_files import SourceRow, is_file_name, read_rows, split_column
from autoif.reading.row_texts import HOW_TO_NAME, RowText, list_columns, pick_text
from autoif.reading.text_lines import replace_surrogates
from autoif.runs.store import MANIFEST, QUERIES, find_rows

HUB_PREFIX = "hf:"
CONVERSATION_COLUMNS = ("conversations", "messages", "conversation")
USER_ROLES = ("user", "human", "prompter")
_TIERS = (
    ("query", "queries"),
    CONVERSATION_COLUMNS,
    ("question", "questions", "prompt", "prompts", "instruction", "instructions"),
    ("text", "texts", "input", "content", "user", "seed", "constraint"),
)
_LIST_LINES = 1_000
"""So many lines of a text tell whether it is a numbered list."""


def read_queries(source: str) -> Iterator[RowText]:
    """Yield the query of each row of a source.

    Args:
        source: a file (FILE or FILE:COLUMN), a run folder, or a data set of the `datasets` library: a folder,
            `hf:NAME[:split[:column]]`, or `NAME`.

    Raises:
        ConfigError: the source is missing, can't be read, or has no column with queries.
    """
    path, column = split_column(source)
    if not source.startswith(HUB_PREFIX) and path.is_dir() and (path / MANIFEST).exists():
        path = find_rows(path, QUERIES)
    elif source.startswith(HUB_PREFIX) or path.is_dir() or (not path.exists() and _may_be_a_name(source)):
        return _read_dataset(source.removeprefix(HUB_PREFIX))
    return _pick(_clean_lists(read_rows(path, "queries")), f"queries file {path}", column)


def first_turn(turns: object) -> str:
    """Return what the first user turn of a conversation says; "" if there is none."""
    return next((turn_text(turn) for turn in turns if is_user_turn(turn)), "") if isinstance(turns, list) else ""


def is_user_turn(turn: object) -> bool:
    return isinstance(turn, Mapping) and (turn.get("from") or turn.get("role")) in USER_ROLES


def turn_text(turn: Mapping[str, Any]) -> str:
    """Return what a turn says: ShareGPT's `value`, or OpenAI's `content`, which can come in parts."""
    content = turn.get("value", turn.get("content"))
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "\n".join(part for part in parts if isinstance(part, str))
    return content.strip() if isinstance(content, str) else ""


def _clean_lists(rows: Iterator[SourceRow]) -> Iterator[SourceRow]:
    """Take numbering, bullets and marks off the lines of a text, if most have some: a single one may be meant."""
    first = list(islice(rows, _LIST_LINES))
    marked = sum(isinstance(row.value, str) and row.written and clean_line(row.value) != row.value for row in first)
    is_list = marked * 2 > len(first)
    for row in chain(first, rows):
        listed = is_list and row.written and isinstance(row.value, str)
        yield SourceRow(row.place, clean_line(str(row.value)), written=True) if listed else row


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
        return RowText(str(replace_surrogates(row)).strip())
    if isinstance(row, list):
        return RowText(str(replace_surrogates(first_turn(row))))
    if not isinstance(row, Mapping):
        return RowText()
    said = {name: first_turn(value) if isinstance(value, list) else value for name, value in row.items()}
    return pick_text({**row, **{name: text for name, text in said.items() if text}}, _TIERS, column, where)


def _may_be_a_name(source: str) -> bool:
    """Tell whether this looks like the name of a data set and not like a file that is missing."""
    name = source.partition(":")[0]
    return not is_file_name(name) and not source.startswith((".", "/", "~")) and source.count("/") <= 1


def _read_dataset(name: str) -> Iterator[RowText]:
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
    placed = (SourceRow(f"row {number}", row) for number, row in enumerate(rows, 1))
    return _pick(placed, f"queries {name}", column or None)
