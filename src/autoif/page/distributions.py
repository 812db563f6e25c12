"""Histograms and counts of a run's responses and instructions.

Similarity is self-instruct's measure of near duplicates, from the edits between the words of two instructions, 0 to
100. Learnability is the share of a prompt's responses that pass: a model learns little from prompts that it always or
never gets right.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element

from rapidfuzz import fuzz, process

from autoif.instructions.deduplication import normalise
from autoif.page.charts import draw_counts, draw_histogram
from autoif.page.data import RunData
from autoif.page.elements import make
from autoif.runs.store import CROSS_VALIDATION, FOLDERS, SELF_INSTRUCT

_SAMPLED: Final = 200
"""How many instructions, spread evenly over all, are compared with all others."""
_CHARS: Final = 300
"""How much of an instruction is compared: the time grows with the square."""


def draw_distributions(data: RunData) -> list[Element]:
    """Return histograms and counts, each with its numbers as a table."""
    columns = data.columns
    quality = [value for value in columns.quality if value is not None]
    rates = [value for value in columns.pass_rate if value is not None]
    verified, first = FOLDERS.index(CROSS_VALIDATION), FOLDERS.index(SELF_INSTRUCT)
    kinds = Counter(line.kind for line in data.instructions if line.stage > verified and not line.reason)
    agreement = [line.agreement for line in data.instructions if line.agreement is not None]
    folded = [line.text for line in data.instructions if line.stage > first or not line.reason]
    of = f", of {_SAMPLED} of {len(folded):,}" if len(folded) > _SAMPLED else ""
    return [
        *draw_histogram("Pass rate of responses", rates, 1),
        *_draw_learnability(data),
        *draw_histogram("Quality of responses", quality, 10),
        *draw_histogram("Length of responses, characters", columns.characters, _round_up(columns.characters)),
        *draw_histogram("Agreement of functions with cases", agreement, 1),
        *draw_histogram(f"Similarity of instructions to the nearest other one{of}", measure_similarity(folded), 100),
        *draw_counts("Verified instructions by kind of constraint (told by their words)", kinds.most_common()),
    ]


def _draw_learnability(data: RunData) -> list[Element]:
    shares = measure_learnability(data)
    groups = {
        "none": sum(each == 0 for each in shares),
        "up to half": sum(0 < each <= 0.5 for each in shares),
        "over half": sum(0.5 < each < 1 for each in shares),
        "all": sum(each == 1 for each in shares),
    }
    figure = draw_counts("Learnability: prompts by how many of their responses pass", list(groups.items()))
    said = "By the run's own responder. A model learns most from prompts of which it gets some right and some wrong."
    return [*figure, make("p", said, class_="note")] if shares else figure


def measure_learnability(data: RunData) -> list[float]:
    """Return, for each prompt with judged responses, the share of them that more than half of the functions accept."""
    judged, passed = Counter[int](), Counter[int]()
    for prompt, rate in zip(data.columns.prompt, data.columns.pass_rate, strict=True):
        if prompt >= 0 and rate is not None:
            judged[prompt] += 1
            passed[prompt] += rate > 0.5
    return [passed[prompt] / count for prompt, count in judged.items()]


def measure_similarity(texts: Sequence[str]) -> list[float]:
    """Return the similarity of some instructions to the nearest other one, 0 to 100."""
    forms = [" ".join(sorted(normalise(text[:_CHARS]).split())) for text in texts]
    count = min(len(forms), _SAMPLED)
    found = []
    for place in (len(forms) * number // count for number in range(count)):
        others = [*forms[:place], *forms[place + 1 :]]
        if nearest := process.extractOne(forms[place], others, scorer=fuzz.ratio):
            found.append(nearest[1])
    return found


def _round_up(values: Sequence[int]) -> int:
    """Return the end of the axis: the 99th percentile, rounded up to hundreds; larger values go to the last bin."""
    if not values:
        return 10
    found = sorted(values)[(len(values) - 1) * 99 // 100]
    return max(10, -(-found // 100) * 100)
