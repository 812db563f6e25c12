"""Searches training data for the prompts of benchmarks: everything that `autoif contamination` finds and writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoif.contamination import results
from autoif.contamination.constraint_types import find_trained_types
from autoif.contamination.measure import ContaminationComparison, compare
from autoif.contamination.nearest import Nearest
from autoif.contamination.prompts import BENCHMARKS, read_prompts
from autoif.contamination.rephrasing import judge_rephrasing
from autoif.contamination.training_rows import list_files
from autoif.errors import needing_extra
from autoif.evaluation.judge import Judge
from autoif.messages import Say


@dataclass(frozen=True, slots=True)
class Search:
    """The options of `autoif contamination`; vectors and a judge's answers are stored in `output`."""

    against: Sequence[str]
    """Benchmarks; if empty, all known ones and those of `data`."""
    data: Mapping[str, Path]
    ngram: int
    neighbours: int
    constraints: bool
    output: Path | None
    clean: Path | None
    embeddings: str | None
    judge: Judge | None


def find_contamination(train: Sequence[Path], search: Search, say: Say, warn: Say) -> results.ContaminationReport:
    """Return what training data shares with benchmarks, and write the files that the search asks for.

    `warn` gets the reason if types of constraints can't be searched for. Raises the errors of the functions it calls.
    """
    names = search.against or [*BENCHMARKS, *search.data]
    files = list_files(train)
    if search.clean:
        results.check_clean(files, search.clean)
    if search.output:
        results.check_results(search.output, files)
    comparison = compare(files, read_prompts(names, search.data), search.ngram, search.neighbours, say)
    # before torch is imported and starts its threads
    types = find_trained_types(comparison, say, warn) if search.constraints else None
    nearest = list(results.list_nearest(comparison, _embed(comparison, search, say)))
    if search.judge and search.output:
        nearest = judge_rephrasing(nearest, search.judge, search.output, say)
    found = results.report(comparison, types, nearest, search.judge.identity if search.judge else None)
    if search.output:
        results.write_results(search.output, found, nearest, list(results.list_contaminated(comparison)))
    if search.clean:
        results.write_clean(comparison, search.clean)
    return found


def _embed(comparison: ContaminationComparison, search: Search, say: Say) -> Nearest | None:
    """Return the neighbours by a model's embeddings, if a model is named."""
    if not (search.embeddings and search.output):
        return None
    with needing_extra("train", "--embeddings"):
        from autoif.contamination.embedding import find_nearest_by_embedding
    prompts, k = [prompt.text for prompt in comparison.prompts], comparison.nearest.texts.shape[1]
    return find_nearest_by_embedding(prompts, list(comparison.data.asked), k, search.embeddings, search.output, say)
