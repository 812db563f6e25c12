"""Describes the scores of any benchmark, in lines for a terminal."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from autoif.evaluation.results import Counted, Scores
from autoif.evaluation.statistics import Interval, describe
from autoif.messages import list_some, show_in_line

_DESCRIBED = {
    "truncated", "end_not_recorded", "with_reasoning", "only_reasoning", "unfinished_reasoning", "refused",
    "unknown_ends", "unread", "chat_tokens", "echoes",
}  # fmt: skip
"""Counts that `describe_scores` describes in lines of their own; the others get a general line."""
_NAMED, _NAMED_CHARS = 3, 60


def describe_scores(scores: Scores, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each line: the scores, the responses, what affects the scores, where the files are."""
    responses = scores.prompts * scores.responses_per_prompt
    counts = {name: counted for name, counted in scores.counts.items() if counted.count}
    cut = scores.counts["truncated"].count
    unrecorded = scores.counts["end_not_recorded"].count
    shown = f"{cut:,}" + (f", and {unrecorded:,} don't tell" if unrecorded else "")
    message = f": {scores.said[0]}" if scores.said else ""
    yield from _list_scores(scores)
    yield (
        "responses",
        f"{scores.prompts:,} x {scores.responses_per_prompt}, "
        f"cut: {'not recorded' if unrecorded == responses else shown}",
    )
    if scores.partial:
        yield "PARTIAL", "; ".join(scores.partial)
    kept = bool(scores.settings["keep_thinking"])
    yield "thoughts", _describe_thoughts(scores.counts, responses, keep_thinking=kept)
    if "refused" in counts:
        yield "refused", f"{counts['refused'].count:,} by the server{message}"
    if "unknown_ends" in counts:
        yield "ends unknown", f"{counts['unknown_ends'].count:,}{message}"
    if "chat_tokens" in counts:
        number = counts["chat_tokens"].count
        yield "chat tokens", f"{number:,} responses hold some, and are judged with them: record them without"
    if "echoes" in counts:
        number = counts["echoes"].count
        yield "echoes", f"{number:,} responses begin with their prompt, and are judged with it: record answers alone"
    for name, counted in counts.items():
        if name not in _DESCRIBED:
            named = list_some([show_in_line(each)[:_NAMED_CHARS] for each in counted.named], _NAMED)
            yield name.replace("_", " "), f"{counted.count:,}: {named}"
    yield from scores.report
    yield "written", str(folder)


def _describe_thoughts(counts: Mapping[str, Counted], responses: int, *, keep_thinking: bool) -> str:
    """Return in one line how many responses had a thought, and whether it was judged."""
    had = counts["with_reasoning"].count
    if not had:
        return f"none in {responses:,} responses"
    line = f"{had:,} of {responses:,} responses had one"
    if keep_thinking:
        return f"{line}, and are judged with it"
    alone, unfinished = counts["only_reasoning"].count, counts["unfinished_reasoning"].count
    wrong = f"; {alone:,} were only a thought, {unfinished:,} never ended it: wrong" if alone + unfinished else ""
    return f"{line}, and are judged without it{wrong}"


def _list_scores(scores: Scores) -> Iterator[tuple[str, str]]:
    """Yield the scores: each with its interval; then a line for each heading of table-only scores; then the parts."""

    def show(found: Interval | None, digits: int = 1) -> str:
        return describe(found, digits=digits) if found else "-"

    shown = [column for column in scores.columns if column.shown != "tables"]
    for column in shown:
        unit = "" if column.unit == "%" else f" {column.unit}"
        yield column.name, f"{show(scores.scores[column.name])}{unit}"
    tabled = (column for column in scores.columns if column.shown == "tables")
    for heading, columns in groupby(tabled, lambda column: column.heading):
        found = [scores.scores[column.name] for column in columns]
        yield f"… {heading}", "  ".join(f"{each.value:.1f}" if each else "-" for each in found)
    if scores.parts_count_alike:
        for part, part_scores in scores.parts.items():
            yield f"… {part}", ", ".join(f"{column.name} {show(part_scores[column.name])}" for column in shown)
