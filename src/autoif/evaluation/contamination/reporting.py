"""What a comparison tells: numbers, neighbours, and rows that have something in common with a prompt."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from autoif.evaluation.contamination.measure import Comparison
from autoif.evaluation.contamination.nearest import Nearest
from autoif.evaluation.contamination.results import (
    BenchmarkOverlap,
    ContaminatedRow,
    NearestResult,
    Neighbour,
    RephrasingCount,
    Report,
    Shared,
    TrainingFile,
    TypeCoverage,
)
from autoif.records import content_id


def report(
    comparison: Comparison,
    types: dict[str, dict[str, TypeCoverage]] | None = None,
    judged: Sequence[NearestResult] = (),
    judge: str | None = None,
) -> Report:
    """Return the numbers.

    Args:
        comparison: what was found.
        types: from `constraint_types.find_types`.
        judged: from `rephrasing.judge_rephrasing`.
        judge: who judged.
    """
    digests = [_digest(path) for path in comparison.files]
    counts = np.bincount([file for file, _ in comparison.places], minlength=len(digests))
    names = dict.fromkeys(prompt.benchmark for prompt in comparison.prompts)
    return Report(
        ngram=comparison.ngram,
        training=tuple(
            TrainingFile(name=str(path), sha256=digest, rows=int(rows))
            for path, digest, rows in zip(comparison.files, digests, counts, strict=True)
        ),
        rows=len(comparison.places),
        blank=comparison.blank,
        asked=len(comparison.asked),
        contaminated_rows=len(comparison.contaminated),
        benchmarks={
            name: _report_benchmark(comparison, name).model_copy(
                update={"rephrasing": _count_rephrasing(judged, name, judge) if judge else None}
            )
            for name in names
        },
        constraint_types=types,
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _report_benchmark(comparison: Comparison, name: str) -> BenchmarkOverlap:
    pairs = comparison.pairs
    ours = np.array([prompt.benchmark == name for prompt in comparison.prompts])
    count = int(ours.sum())
    overlapping, matching = (
        int(ours[np.unique(found[:, 1])].sum()) for found in (comparison.runs, comparison.whole)
    )  # a short prompt has no run: none is counted twice
    rows = len(np.unique(pairs[ours[pairs[:, 1]], 0]))
    highest = comparison.nearest.scores[ours, 0]
    return BenchmarkOverlap(
        content=content_id(*sorted(prompt.text for prompt in comparison.prompts if prompt.benchmark == name)),
        prompts=count,
        overlapping=overlapping,
        short=int((comparison.short & ours).sum()),
        short_matching=matching,
        overlapping_percent=100 * (overlapping + matching) / count,
        rows=rows,
        rows_percent=100 * rows / len(comparison.places),
        similarity_median=_round(np.median(highest)),
        similarity_p90=_round(np.quantile(highest, 0.9)),
        similarity_highest=_round(highest.max()),
    )


def _count_rephrasing(judged: Sequence[NearestResult], name: str, judge: str) -> RephrasingCount:
    said = [each.rephrasing for each in judged if each.benchmark == name and each.rephrasing]
    return RephrasingCount(
        judge=judge,
        judged=len(said),
        rephrased=sum(bool(each.same) for each in said),
        unread=sum(each.same is None for each in said),
    )


def list_nearest(comparison: Comparison, by_embedding: Nearest | None = None) -> Iterator[NearestResult]:
    """Yield each prompt with its neighbours."""
    overlapping = {int(prompt) for prompt in np.unique(comparison.pairs[:, 1])}
    for index, prompt in enumerate(comparison.prompts):
        yield NearestResult(
            benchmark=prompt.benchmark,
            id=prompt.id,
            prompt=prompt.text,
            overlaps=index in overlapping,
            nearest=_name_neighbours(comparison, comparison.nearest, index),
            nearest_by_embedding=_name_neighbours(comparison, by_embedding, index) if by_embedding else (),
        )


def list_contaminated(comparison: Comparison) -> Iterator[ContaminatedRow]:
    """Yield each training row that has something in common with a prompt, in order."""
    rows: dict[int, list[Shared]] = {}
    for what, pairs in (("run", comparison.runs), ("prompt", comparison.whole)):
        for row, index in pairs.tolist():
            prompt = comparison.prompts[index]
            rows.setdefault(row, []).append(Shared(benchmark=prompt.benchmark, id=prompt.id, what=what))
    for row in sorted(rows):
        yield ContaminatedRow(row=comparison.name_row(row), shared=tuple(rows[row]))


def _name_neighbours(comparison: Comparison, nearest: Nearest, prompt: int) -> tuple[Neighbour, ...]:
    found = zip(nearest.texts[prompt].tolist(), nearest.scores[prompt].tolist(), strict=True)
    named = ((comparison.asked[text], score) for text, score in found if text >= 0)
    return tuple(
        Neighbour(row=comparison.name_row(row), text=text, similarity=_round(score)) for (text, row), score in named
    )


def _round(value: float | np.floating) -> float:
    """Return a similarity without the digits that differ from machine to machine."""
    return round(float(value), 4)
