"""The results of a comparison with benchmarks, and the files of its folder.

nearest.jsonl        a row for each prompt: its nearest training prompts, and a judge's answer about them
contaminated.jsonl   a row for each training row that overlaps with prompts: with which, and how
report.json          the numbers

`write_clean` writes the training files without the rows that overlap; the other rows stay as they are, byte for byte.
"""

from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from autoif.contamination.measure import ContaminationComparison, Kind
from autoif.contamination.nearest import Nearest
from autoif.errors import ConfigError
from autoif.reading.row_files import FileForm, find_form
from autoif.records import Record, content_id
from autoif.renewing import CONTAMINATED_ROWS, CONTAMINATION_REPORT, NEAREST_PROMPTS, find_place
from autoif.runs.whole_files import digest_file, new_file, write_json, write_jsonl

REPORT, NEAREST, CONTAMINATED = "report.json", "nearest.jsonl", "contaminated.jsonl"
_KINDS = {NEAREST: NEAREST_PROMPTS, CONTAMINATED: CONTAMINATED_ROWS, REPORT: CONTAMINATION_REPORT}


class TrainingFile(Record):
    """A file that was compared."""

    name: str
    sha256: str
    rows: int


class Neighbour(Record):
    """A training prompt that is similar to a benchmark's."""

    row: str
    """FILE:NUMBER of the first row with this prompt."""
    text: str
    similarity: float
    """0 to 1."""


class Rephrasing(Record):
    """A judge's answer about a prompt and its neighbours."""

    same: tuple[str, ...] | None
    """The rows that ask for the same; None if that can't be read from the answer."""
    problem: str | None
    """Why it can't be read."""
    text: str
    """The answer."""


class NearestResult(Record):
    """A prompt with its neighbours, the most similar first."""

    benchmark: str
    id: str
    prompt: str
    overlaps: bool
    """Whether a training row has a run of its words, or is the same prompt."""
    nearest: tuple[Neighbour, ...]
    """By words."""
    nearest_by_embedding: tuple[Neighbour, ...] = ()
    rephrasing: Rephrasing | None = None
    """None if no judge was asked."""

    @property
    def compared(self) -> tuple[Neighbour, ...]:
        """The neighbours that a judge is shown: by embedding if there are any such, else by words."""
        return self.nearest_by_embedding or self.nearest


class Shared(Record):
    """What a training row has in common with a prompt."""

    benchmark: str
    id: str
    what: Kind


class ContaminatedRow(Record):
    """A training row, with the prompts that it overlaps with."""

    row: str
    """FILE:NUMBER, the number of the line (in a JSON list of the element), from 1."""
    shared: tuple[Shared, ...]


class RephrasingCount(Record):
    """Counts of a judge's answers about a benchmark's prompts."""

    judge: str
    judged: int
    """Prompts that the judge was asked about: those with a neighbour."""
    rephrased: int
    """Prompts with a training prompt that asks for the same."""
    unread: int
    """Answers that can't be read: they count neither as yes nor as no."""


class BenchmarkOverlap(Record):
    """One benchmark. Shares are in percent."""

    content: str
    """Hash of its prompts, independent of their order."""
    prompts: int
    overlapping: int
    """Prompts that have a run of n words in common with a training row."""
    short: int
    """Prompts with fewer than n words."""
    short_matching: int
    """Those of them that a training row asks verbatim."""
    overlapping_percent: float
    """Percentage of all prompts that overlap in either way."""
    rows: int
    """Training rows that overlap with a prompt."""
    rows_percent: float
    similarity_median: float
    """This and the next two: the similarity of each prompt to its nearest training prompt."""
    similarity_p90: float
    similarity_highest: float
    rephrasing: RephrasingCount | None = None
    """None if no judge was asked."""


class TypeInstruction(Record):
    """A training instruction whose functions check a type of constraint."""

    row: str
    text: str
    agreement: float
    """Matthews' correlation of its verdicts with the checker's, 0.9 to 1."""


class TypeCoverage(Record):
    """A type of constraint of a benchmark."""

    prompts: int
    """How many prompts of the benchmark have it."""
    tried: bool
    """Whether there are texts that distinguish functions that check it from others."""
    instructions: tuple[TypeInstruction, ...]
    """Training instructions whose functions check it."""


class ContaminationReport(Record):
    """report.json."""

    ngram: int
    training: tuple[TrainingFile, ...]
    rows: int
    blank: int
    """Rows of a known form without any text."""
    asked: int
    """Different user turns in them, among which the prompts' neighbours are sought."""
    contaminated_rows: int
    """Rows that overlap with any benchmark."""
    benchmarks: dict[str, BenchmarkOverlap]
    constraint_types: dict[str, dict[str, TypeCoverage]] | None = None
    """By benchmark and type; None if the training data has no functions, or they were not tried."""


def report(
    comparison: ContaminationComparison,
    types: dict[str, dict[str, TypeCoverage]] | None = None,
    judged: Sequence[NearestResult] = (),
    judge: str | None = None,
) -> ContaminationReport:
    """Return the numbers of report.json."""
    data = comparison.data
    rows = Counter(file for file, _ in data.places)
    names = dict.fromkeys(prompt.benchmark for prompt in comparison.prompts)
    said = {name: _count_rephrasing(judged, name, judge) if judge else None for name in names}
    return ContaminationReport(
        ngram=comparison.ngram,
        training=tuple(
            TrainingFile(name=str(path), sha256=digest_file(path), rows=rows[index])
            for index, path in enumerate(data.files)
        ),
        rows=len(data.places),
        blank=data.blank,
        asked=len(data.asked),
        contaminated_rows=len(data.shared),
        benchmarks={name: _report_benchmark(comparison, name, said[name]) for name in names},
        constraint_types=types,
    )


def _report_benchmark(
    comparison: ContaminationComparison, name: str, rephrasing: RephrasingCount | None
) -> BenchmarkOverlap:
    ours = {index: prompt.text for index, prompt in enumerate(comparison.prompts) if prompt.benchmark == name}
    sharing = [prompts for found in comparison.data.shared.values() if (prompts := ours.keys() & found)]
    found = set[int]().union(*sharing)
    matching = found & comparison.short  # a short prompt has no run, so none is counted twice
    highest = comparison.nearest.scores[list(ours), 0]
    return BenchmarkOverlap(
        content=content_id(*sorted(ours.values())),
        prompts=len(ours),
        overlapping=len(found - matching),
        short=len(ours.keys() & comparison.short),
        short_matching=len(matching),
        overlapping_percent=100 * len(found) / len(ours),
        rows=len(sharing),
        rows_percent=100 * len(sharing) / len(comparison.data.places),
        similarity_median=_round(np.median(highest)),
        similarity_p90=_round(np.quantile(highest, 0.9)),
        similarity_highest=_round(highest.max()),
        rephrasing=rephrasing,
    )


def _count_rephrasing(judged: Sequence[NearestResult], name: str, judge: str) -> RephrasingCount:
    said = [each.rephrasing for each in judged if each.benchmark == name and each.rephrasing]
    return RephrasingCount(
        judge=judge,
        judged=len(said),
        rephrased=sum(bool(each.same) for each in said),
        unread=sum(each.same is None for each in said),
    )


def list_nearest(comparison: ContaminationComparison, by_embedding: Nearest | None = None) -> Iterator[NearestResult]:
    """Yield each prompt with its neighbours."""
    overlapping = set[int]().union(*comparison.data.shared.values())
    asked = list(comparison.data.asked.items())

    def name(nearest: Nearest, prompt: int) -> tuple[Neighbour, ...]:
        found = zip(nearest.texts[prompt].tolist(), nearest.scores[prompt].tolist(), strict=True)
        named = [(*asked[index], score) for index, score in found if index >= 0]
        return tuple(
            Neighbour(row=comparison.data.name_row(row), text=text, similarity=_round(score))
            for text, row, score in named
        )

    for index, prompt in enumerate(comparison.prompts):
        yield NearestResult(
            benchmark=prompt.benchmark,
            id=prompt.id,
            prompt=prompt.text,
            overlaps=index in overlapping,
            nearest=name(comparison.nearest, index),
            nearest_by_embedding=name(by_embedding, index) if by_embedding else (),
        )


def list_contaminated(comparison: ContaminationComparison) -> Iterator[ContaminatedRow]:
    """Yield each training row that overlaps with a prompt, in order; runs come first."""
    for row, found in comparison.data.shared.items():
        prompts = [(comparison.prompts[index], what) for index, what in found.items()]
        shared = [Shared(benchmark=prompt.benchmark, id=prompt.id, what=what) for prompt, what in prompts]
        shared.sort(key=lambda each: each.what == "prompt")
        yield ContaminatedRow(row=comparison.data.name_row(row), shared=tuple(shared))


def write_results(
    folder: Path, report: ContaminationReport, nearest: Sequence[NearestResult], contaminated: Sequence[ContaminatedRow]
) -> None:
    """Write all three files; report.json last, so that a folder with it is complete."""
    write_jsonl(folder / NEAREST, nearest)
    write_jsonl(folder / CONTAMINATED, contaminated)
    write_json(folder / REPORT, report)


def check_results(folder: Path, files: Sequence[Path]) -> None:
    """Check, before any work, that results replace only earlier results.

    Raises:
        ConfigError: a file with a result's name is something else, or is one of `files`.
    """
    for name, kind in _KINDS.items():
        place = find_place(folder / name, kind)
        if place.resolve() in {file.resolve() for file in files}:
            raise ConfigError(f"{place} is read, and would be replaced: choose another --output")


def write_clean(comparison: ContaminationComparison, folder: Path) -> None:
    """Write each training file under its name, without the lines that overlap.

    Raises:
        ConfigError: a file is a JSON list, two have the same name, or it would be written over itself or another.
    """
    check_clean(comparison.data.files, folder)
    numbers = [set[int]() for _ in comparison.data.files]
    for row in comparison.data.shared:
        file, number = comparison.data.places[row]
        numbers[file].add(number)
    for path, without in zip(comparison.data.files, numbers, strict=True):
        with new_file(folder / path.name) as clean, path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if number not in without:
                    clean.add(line)


def check_clean(files: Sequence[Path], folder: Path) -> None:
    """Raise the errors of `write_clean` before any work."""
    for path in files:
        if path.suffix != ".jsonl" or not _is_lines(path):
            raise ConfigError(f"--clean takes rows out of .jsonl files, and {path} is none: write it a row a line")
        if [other.name for other in files].count(path.name) > 1:
            raise ConfigError(f"--clean would write {path.name} twice: clean one of these files at a time")
        place = folder / path.name
        if place.resolve() == path.resolve():
            raise ConfigError(f"--clean would write over {path}: name another folder")
        if place.exists() and not _is_part(place, path):
            raise ConfigError(
                f"{place} is there and has lines that {path} lacks, so it isn't replaced: name another folder"
            )


def _is_part(part: Path, whole: Path) -> bool:
    """Tell whether the lines of a file are all in another one, in order, so that it may be an earlier cleaned file."""
    if not part.is_file():
        return False
    with part.open("rb") as left, whole.open("rb") as lines:
        return all(line in lines for line in left)  # `in` consumes the iterator, so each is sought after the last


def _is_lines(path: Path) -> bool:
    """Tell whether each line of a file is one of its rows. This excludes packed files, UTF-16, JSON lists, and the line
    ends of old Macs.
    """
    with path.open("rb") as file:
        head = file.read(1 << 16)
    try:
        text = getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return find_form(text, path.suffix) is FileForm.JSON_LINES and "\r" not in text.replace("\r\n", "")


def _round(value: float | np.floating) -> float:
    """Round a similarity to digits that are the same on all machines."""
    return round(float(value), 4)
