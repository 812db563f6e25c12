"""Compares training data, read once, row by row, with the prompts of benchmarks.

In:   files of training data, prompts.
Out:  which rows and prompts have words in common, and the nearest training prompts of each prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from autoif.contamination.nearest import Nearest, find_nearest
from autoif.contamination.overlap import PromptWords, split_words
from autoif.contamination.prompts import BenchmarkPrompt
from autoif.contamination.training_rows import TrainingRow, read_rows
from autoif.errors import ConfigError
from autoif.messages import Say

Kind = Literal["run", "prompt"]
"""What a row and a prompt share: n consecutive words, or the whole of a prompt that is shorter than that."""


@dataclass(slots=True)
class TrainingTexts:
    """What is kept of training rows while they are read."""

    files: tuple[Path, ...]
    places: list[tuple[int, int]] = field(default_factory=list)
    """File and number of each row."""
    blank: int = 0
    """Rows without any text."""
    asked: dict[str, int] = field(default_factory=dict)
    """Each different user turn, with the first row that has it."""
    shared: dict[int, dict[int, Kind]] = field(default_factory=dict)
    """What each row has in common with which prompts; rows and prompts by index, in order."""
    functions: dict[tuple[str, ...], tuple[int, str]] = field(default_factory=dict)
    """The functions of each constraint, which judge together, with the first row that has them and its instruction."""

    def name_row(self, row: int) -> str:
        """Return FILE:NUMBER; the file is its name if that is unique, else its path."""
        file, number = self.places[row]
        names = [path.name for path in self.files]
        name = names[file] if names.count(names[file]) == 1 else str(self.files[file])
        return f"{name}:{number}"

    def add(self, row: TrainingRow, prompts: PromptWords) -> None:
        """Add a row, and compare it with prompts."""
        index = len(self.places)
        self.places.append((row.file, row.number))
        self.blank += not row.asked and not row.said
        found: dict[int, Kind] = {}
        for text in row.asked:
            words = split_words(text)
            found |= dict.fromkeys(prompts.find_whole(words), "prompt")
            found |= dict.fromkeys(prompts.find_runs(words), "run")
            self.asked.setdefault(text, index)
        for text in row.said:
            found |= dict.fromkeys(prompts.find_runs(split_words(text)), "run")
        if found:
            self.shared[index] = dict(sorted(found.items()))
        for instruction, functions in row.constraints:
            known = self.functions.get(functions)
            # Some data sets have only the whole prompt; prefer the constraint's own wording if any row has it.
            text = instruction or (known[1] if known else next(iter(row.asked), ""))
            self.functions[functions] = (known[0] if known else index, text)


@dataclass(frozen=True, slots=True)
class ContaminationComparison:
    """Training data beside the prompts of benchmarks."""

    data: TrainingTexts
    prompts: tuple[BenchmarkPrompt, ...]
    ngram: int
    short: frozenset[int]
    """Prompts with fewer words than a run."""
    nearest: Nearest
    """The nearest of the texts in `data.asked`, which are numbered in their order."""


def compare(
    files: Sequence[Path], prompts: Sequence[BenchmarkPrompt], ngram: int, neighbours: int, say: Say
) -> ContaminationComparison:
    """Compare training data with prompts: by runs of `ngram` words, and by each prompt's nearest neighbours.

    Raises:
        ConfigError: training data can't be read, has an unknown format, or no user turns.
    """
    texts = [prompt.text for prompt in prompts]
    words, data = PromptWords(texts, ngram), TrainingTexts(tuple(files))
    for count, row in enumerate(read_rows(files), 1):
        data.add(row, words)
        if count % 50_000 == 0:
            say(f"{count:,} training rows read")
    if not data.asked:
        raise ConfigError(f"nothing is asked in {', '.join(map(str, files))}: no row has a user turn or a prompt")
    say(f"{len(data.places):,} rows read; {len(data.asked):,} different prompts in them are compared")
    nearest = find_nearest(texts, list(data.asked), neighbours)
    return ContaminationComparison(data, tuple(prompts), ngram, frozenset(words.short), nearest)
