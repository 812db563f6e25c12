"""Describes what `autoif contamination` found, in lines for a terminal."""

from collections.abc import Iterator
from pathlib import Path

from autoif.contamination.results import BenchmarkOverlap, ContaminationReport, TypeCoverage


def describe_contamination(
    found: ContaminationReport, clean: Path | None, output: Path | None
) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each line; the last ones name the files that were written."""
    blank = f"; without any text: {found.blank:,}" if found.blank else ""
    yield "training data", f"{found.rows:,} rows, {found.asked:,} different prompts{blank}"
    for name, each in found.benchmarks.items():
        yield name, f"{each.overlapping_percent:.1f} % of {each.prompts:,} prompts overlap"
        yield f"… {found.ngram} words", f"{each.overlapping:,} prompts"
        yield from _describe_benchmark(each)
        yield from _describe_types((found.constraint_types or {}).get(name))
    if clean:
        yield "clean", f"{clean}: {found.rows - found.contaminated_rows:,} of {found.rows:,} rows"
    if output:
        yield "written", str(output)


def _describe_benchmark(each: BenchmarkOverlap) -> Iterator[tuple[str, str]]:
    if each.short:
        yield "… short", f"{each.short:,} prompts have fewer words; {each.short_matching:,} of them are asked whole"
    yield "… rows", f"{each.rows:,} training rows overlap, {each.rows_percent:.2f} %"
    yield (
        "… nearest prompt",
        f"similarity {each.similarity_median:.2f} (median), {each.similarity_p90:.2f} (90th percentile), "
        f"{each.similarity_highest:.2f} (highest)",
    )
    if found := each.rephrasing:
        unread = f"; {found.unread:,} answers can't be read" if found.unread else ""
        yield "… rephrased", f"{found.rephrased:,} of {found.judged:,} prompts, says {found.judge}{unread}"


def _describe_types(types: dict[str, TypeCoverage] | None) -> Iterator[tuple[str, str]]:
    if not types:
        return
    trained = {kind: len(coverage.instructions) for kind, coverage in types.items() if coverage.instructions}
    tried = sum(coverage.tried for coverage in types.values())
    yield "… constraints", f"{len(trained)} of {tried} types that were tried, of {len(types)}, are trained"
    if trained:
        yield "… by instructions", ", ".join(f"{kind} {count}" for kind, count in trained.items())
