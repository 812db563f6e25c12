"""§3.2 and beyond: functions that show a fault in what they do, before any is chosen (`cross_validation.findings`).

What an audit finds is found here from the instruction's words, the cases and the probes alone: no answer is there yet.

    found = await find_findings(draft, functions, tools)      # of each function's place the reasons

A number or a text that the instruction names makes both sides of an edge, of which a function must accept the one and
refuse the other; white space, quotes, punctuation and letter case of which it doesn't speak must change no verdict.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from autoif.faults.edges import make_edges
from autoif.faults.metamorphic import make_twins
from autoif.faults.probing import ProbingTexts, find_faults
from autoif.faults.reasons import FindingReason
from autoif.probes import load_probes
from autoif.records import Case, Draft, Instruction
from autoif.reliability import run_patiently
from autoif.tools import Tools

_BASES = 3
"""Cases of which twins are made."""


async def find_findings(draft: Draft, functions: Sequence[int], tools: Tools) -> dict[int, list[FindingReason]]:
    """Return what is found of each of the functions (places in the matrix), in the order of the reasons."""
    texts = gather_texts(draft.instruction, draft.matrix.cases)
    sources = [draft.matrix.functions[place].source for place in functions]
    rows = await run_patiently(sources, texts.all, tools.sandbox)
    return {
        place: [finding.reason for finding in find_faults(texts, dict(zip(texts.all, row, strict=True)))]
        for place, row in zip(functions, rows, strict=True)
    }


def gather_texts(instruction: Instruction, cases: Sequence[Case]) -> ProbingTexts:
    """Return the texts on which the functions of an instruction show what is wrong with them."""
    edges = make_edges(instruction.text)
    bases = [case.input for case in cases if case.expected][:_BASES]
    return ProbingTexts(
        probes=load_probes(),
        others=(),
        own=(),
        cases=cases,
        edges=edges,
        twins=make_twins(instruction.text, [*bases, *(edge.obeys for edge in edges)]),
        near=[instruction.text],
    )


def describe_findings(found: Mapping[int, Sequence[FindingReason]], dropped: Sequence[FindingReason]) -> str:
    """Return in words how many functions have which of the findings for which they are dropped."""
    counts = Counter(reason for reasons in found.values() for reason in reasons if reason in dropped)
    listed = ", ".join(f"{reason.value} {counts[reason]}" for reason in FindingReason if counts[reason])
    return f"each of {len(found)} functions has a fault: {listed}"
