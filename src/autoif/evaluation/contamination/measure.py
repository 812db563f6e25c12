"""Training data compared with the prompts of benchmarks: read once, row by row.

In:   files of training data, prompts.
Out:  which rows and prompts have words in common, and the nearest training prompts of each prompt.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoif.errors import ConfigError
from autoif.evaluation.contamination.nearest import Nearest, find_nearest
from autoif.evaluation.contamination.overlap import Pairs, Runs, find_whole, index_short
from autoif.evaluation.contamination.prompts import BenchmarkPrompt
from autoif.evaluation.contamination.training_rows import TrainingRow, read_rows
from autoif.evaluation.contamination.words import Encoded, Vocabulary

_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found."""

    files: tuple[Path, ...]
    prompts: tuple[BenchmarkPrompt, ...]
    ngram: int
    places: list[tuple[int, int]]
    """File and number of each training row."""
    blank: int
    """Rows without any text."""
    asked: list[tuple[str, int]]
    """Each different user turn, with the row that is the first to ask it."""
    runs: Pairs
    """(row, prompt) with a run of words in common."""
    whole: Pairs
    """(row, prompt) of short prompts that the row asks."""
    short: NDArray[np.bool_]
    """Whether each prompt has fewer words than a run, shape (prompts,)."""
    nearest: Nearest
    functions: dict[tuple[str, ...], tuple[int, str]]
    """The functions that verify answers together, with the first row that has them and what that asks for."""

    @property
    def pairs(self) -> Pairs:
        """(row, prompt) of all that they have in common."""
        return np.concatenate([self.runs, self.whole])

    @property
    def contaminated(self) -> list[int]:
        """The rows that have something in common with a prompt, in order."""
        return [int(row) for row in np.unique(self.pairs[:, 0])]

    def name_row(self, row: int) -> str:
        """Return FILE:NUMBER, with as much of the path as tells the files apart."""
        file, number = self.places[row]
        names = [path.name for path in self.files]
        name = names[file] if names.count(names[file]) == 1 else str(self.files[file])
        return f"{name}:{number}"


def compare(
    files: Sequence[Path], prompts: Sequence[BenchmarkPrompt], ngram: int, neighbours: int, say: Callable[[str], None]
) -> Comparison:
    """Compare training data with prompts.

    Args:
        files: from `training_rows.list_files`.
        prompts: from `prompts.read_prompts`.
        ngram: words of a run.
        neighbours: nearest training prompts to find for each prompt.
        say: gets lines of progress.

    Raises:
        ConfigError: training data can't be read, has another form, or nothing is asked in it.
    """
    vocabulary = Vocabulary()
    encoded = vocabulary.encode([prompt.text for prompt in prompts])
    reader = _Reader(vocabulary, Runs(encoded, ngram), index_short(encoded, ngram))
    stream = _tell(read_rows(files), say)
    while rows := list(islice(stream, _ROWS_AT_ONCE)):
        reader.add(rows)
    if not reader.asked:
        raise ConfigError(f"nothing is asked in {', '.join(map(str, files))}: no row has a user turn or a prompt")
    say(f"{len(reader.places):,} rows read; {len(reader.asked):,} different prompts in them are compared")
    nearest = find_nearest(encoded, reader.join_asked(), len(vocabulary), neighbours)
    return Comparison(
        tuple(files), tuple(prompts), ngram, reader.places, reader.blank, list(reader.asked.items()),
        _join(reader.runs), _join(reader.whole), encoded.lengths < ngram, nearest,
        reader.functions,
    )  # fmt: skip


class _Reader:
    """Takes training rows and keeps what is needed of them: overlaps, and different user turns with their words."""

    def __init__(self, vocabulary: Vocabulary, runs: Runs, short: dict[bytes, list[int]]) -> None:
        self.places: list[tuple[int, int]] = []
        self.blank = 0
        self.asked: dict[str, int] = {}
        self.runs: list[Pairs] = []
        self.whole: list[Pairs] = []
        self.functions: dict[tuple[str, ...], tuple[int, str]] = {}
        self._vocabulary = vocabulary
        self._runs = runs
        self._short = short
        self._words: list[Encoded] = []

    def add(self, rows: Sequence[TrainingRow]) -> None:
        first = len(self.places)
        self.places += [(row.file, row.number) for row in rows]
        self.blank += sum(not row.asked and not row.said for row in rows)
        asked = [(first + place, text) for place, row in enumerate(rows) for text in row.asked]
        said = [(first + place, text) for place, row in enumerate(rows) for text in row.said]
        questions = self._vocabulary.encode([text for _, text in asked])
        answers = self._vocabulary.encode([text for _, text in said])
        self.runs += [_name(self._runs.find(questions), asked), _name(self._runs.find(answers), said)]
        self.whole.append(_name(find_whole(self._short, questions, self._runs.n), asked))
        new = []
        for place, (row, text) in enumerate(asked):
            if text not in self.asked:
                self.asked[text] = row
                new.append(place)
        self._words.append(questions.select(new))

        for place, each in enumerate(rows):
            if each.functions and (each.instruction or each.functions not in self.functions):
                text = each.instruction or next(iter(each.asked), "")
                self.functions.setdefault(each.functions, (first + place, text))
                if each.instruction:  # a row of another data set may hold the whole prompt alone
                    self.functions[each.functions] = self.functions[each.functions][0], text

    def join_asked(self) -> Encoded:
        """Return the words of the different user turns."""
        ends, offset = [], 0
        for part in self._words:
            ends.append(part.ends + offset)
            offset += len(part.ids)
        return Encoded(np.concatenate([part.ids for part in self._words]), np.concatenate(ends))


def _name(pairs: Pairs, texts: Sequence[tuple[int, str]]) -> Pairs:
    """Return (row, prompt) for (text, prompt); several texts may be of one row."""
    rows = np.array([row for row, _ in texts], np.int64)
    return np.stack([rows[pairs[:, 0]], pairs[:, 1]], axis=1) if len(pairs) else pairs


def _join(parts: Sequence[Pairs]) -> Pairs:
    return np.unique(np.concatenate(parts), axis=0)


def _tell(rows: Iterable[TrainingRow], say: Callable[[str], None]) -> Iterator[TrainingRow]:
    for count, row in enumerate(rows, 1):
        if count % 50_000 == 0:
            say(f"{count:,} training rows read")
        yield row
