"""Reads training data in any common format: what users ask in it, and all other text.

    conversations   {"messages" | "conversations": [turns]}                        SFT rows of a run, ShareGPT
    prompts         {"prompt": text or turns, "completion" | "chosen" …: …}        preference and reward rows, TRL
    Alpaca, Dolly   {"instruction", "input" | "context", "output" | "response"}
    AutoIF          {"query", "instruction", "completions"}, and verified instructions

Functions are read if a row has them: in a run's "constraints", or as "functions" or "verifiers" beside the text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoif.datasets.rows import find_data_sets
from autoif.errors import ConfigError
from autoif.models.recorded import find_choices
from autoif.models.wire import read_choice
from autoif.queries.sources import CONVERSATION_COLUMNS, INNER
from autoif.reading.row_files import name_suffix
from autoif.reading.row_files import read_rows as read_file
from autoif.reading.text_lines import refuse_repeats
from autoif.reading.turns import find_turns, is_turn, list_turns, read_transcript

_SUFFIXES = (".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv")
_QUESTIONS = (
    ("prompt",), ("query", "instruction"), ("instruction", "input", "context"), ("question",), ("problem",),
    ("inputs",), ("user",), ("human",), ("input", "context"),
)  # fmt: skip
"""Columns with the question. The first group whose first column is present is taken, and its columns are joined."""
_ANSWERS = (
    "completion", "completions", "chosen", "rejected", "response", "responses", "choices", "output", "outputs",
    "answer", "targets", "solution", "assistant", "text", "content",
)  # fmt: skip
_COLUMNS = {*CONVERSATION_COLUMNS, *(names[0] for names in _QUESTIONS), *_ANSWERS}
_FUNCTIONS = ("functions", "verifiers")


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row of training data."""

    file: int
    """Index of its file."""
    number: int
    """Number of its line, or of its element in a JSON list, from 1."""
    asked: tuple[str, ...]
    """The user turns."""
    said: tuple[str, ...]
    """All other texts: answers, system turns."""
    constraints: tuple[tuple[str, tuple[str, ...]], ...]
    """Each constraint's wording, "" if the row doesn't have it, and the sources of its verification functions."""


def list_files(sources: Sequence[Path]) -> list[Path]:
    """Return the files of training data: those named, and for a run folder its data sets.

    Raises:
        ConfigError: a folder has no data set, or a file is missing or has a suffix that can't be read.
        StoreError: a file is named twice.
    """
    files = [file for source in sources for file in find_data_sets(source)]
    for file in files:
        if name_suffix(file) not in _SUFFIXES:
            raise ConfigError(f"training data {file}: give {', '.join(_SUFFIXES)} files, also packed, or a run folder")
    refuse_repeats(files)
    return files


def read_rows(files: Sequence[Path]) -> Iterator[TrainingRow]:
    """Yield the rows of files.

    Raises:
        ConfigError: a file can't be read, a row, which is named, has an unknown format, or there is no row at all.
    """
    empty = True
    for index, file in enumerate(files):
        for row in read_file(file, "training"):
            empty = False
            yield _read_row(row.value, index, row.number, file)
    if empty:
        raise ConfigError(f"no rows in {', '.join(map(str, files))}: there is nothing to compare")


def _read_row(row: object, index: int, number: int, file: Path) -> TrainingRow:
    columns: Mapping[str, object] = row if isinstance(row, Mapping) else {}
    named = {str(name).strip().casefold(): value for name, value in columns.items()}
    asked, said = _read_texts({**named, **columns})
    if not asked and not said and not _COLUMNS & named.keys():
        has = ", ".join(columns) or f"a {type(row).__name__}"
        raise ConfigError(
            f"training file {file}, row {number}: no text of messages, conversations, prompt, instruction or text in "
            f"it (it has {has[:200]})"
        )
    parts = [each for each in (*_as_list(columns.get("constraints")), columns) if isinstance(each, Mapping)]
    found = [(_read_text(part.get("instruction")), _read_functions(part)) for part in parts]
    return TrainingRow(index, number, tuple(asked), tuple(said), tuple(each for each in found if each[1]))


def _read_functions(part: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(
        [source for name in _FUNCTIONS for source in _read_list(part.get(name), "source")] or _read_verified(part)
    )


def _read_verified(row: Mapping[str, object]) -> list[str]:
    """Return the kept functions of a row that is a verified instruction of a run; else an empty list."""
    matrix, kept = row.get("matrix"), row.get("kept_functions")
    if not isinstance(matrix, Mapping) or not isinstance(kept, list):
        return []
    sources = _read_list(matrix.get("functions"), "source")
    return [source for place, source in enumerate(sources) if place in kept]


def _read_texts(row: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """Return the user turns and all other texts of a row, without blank ones."""
    for name in CONVERSATION_COLUMNS:
        if (turns := find_turns(row.get(name))) and any(found := _read_turns(turns)):
            asked, said = found
            for side in ("chosen", "rejected"):
                said += _read_answers(row.get(side))[1]
            return asked, said
    asked, said = list[str](), list[str]()
    for names in _QUESTIONS:
        if (turns := find_turns(row.get(names[0]))) is not None:
            asked, said = _read_turns(turns)
        elif row.get(names[0]):
            asked = [text] if (text := "\n".join(filter(None, (_read_text(row.get(name)) for name in names)))) else []
        else:
            continue
        break
    for name in (*_ANSWERS, "system"):
        of_users, others = _read_answers(row.get(name))
        asked += [text for text in of_users if text not in asked]
        said += others
    if not asked and not said:
        inner = (_read_texts(value) for name in INNER if isinstance(value := row.get(name), Mapping))
        return next(filter(any, inner), (asked, said))
    return asked, said


def _read_answers(value: object) -> tuple[list[str], list[str]]:
    """Return the user turns and the other texts in an answer, which may be a whole conversation."""
    if isinstance(value, str):
        if turns := find_turns(value):
            return _read_turns(turns)
        asked = read_transcript(value)
        return [asked] if asked != value and asked else [], [value] if value.strip() else []
    listed = _as_list(value)
    if all(isinstance(each, Mapping) and is_turn(each) for each in listed):
        return _read_turns(listed)
    said = [each if isinstance(each, str) else _read_choices(each) for each in listed]
    return [], [text for text in said if text.strip()]


def _read_choices(answer: object) -> str:
    """Return the text of an answer that is an object: a server's answer, or a row with the text in a column."""
    return "\n".join(read_choice(choice, clean=False).text for choice in find_choices(answer))


def _read_turns(turns: Sequence[object]) -> tuple[list[str], list[str]]:
    asked, said = list[str](), list[str]()
    for is_users, text in list_turns(turns):
        if text:
            (asked if is_users else said).append(text)
    return asked, said


def _read_list(value: object, key: str) -> list[str]:
    """Return the texts in a value: a text, or a list of texts, lists of texts or objects with `key`; no blank ones."""
    values = [inner for each in _as_list(value) for inner in _as_list(each)]
    texts = [each.get(key) if isinstance(each, Mapping) else each for each in values]
    return [text for text in texts if isinstance(text, str) and text.strip()]


def _as_list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]


def _read_text(value: object) -> str:
    """Return a text, or the text of an instruction of a run; "" for anything else."""
    text = value.get("text") if isinstance(value, Mapping) else value
    return text.strip() if isinstance(text, str) else ""
