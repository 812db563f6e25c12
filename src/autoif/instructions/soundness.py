"""§3.2 and beyond: functions that show a fault in what they do, or have a low score, before any is chosen.

What an audit finds (`cross_validation.findings`) and how likely a function is right (`cross_validation.min_score`) is
told here from the instruction's words, the cases and the probes alone: no answer is there yet.

    seen = await look_at(draft, tools)      # of each function the reasons of its findings, and its score

A number or a text that the instruction names makes both sides of an edge, of which a function must accept the one and
refuse the other; white space, quotes, punctuation and letter case of which it doesn't speak must change no verdict.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from autoif.faults.probing import find_faults, gather_texts
from autoif.faults.reasons import FindingReason
from autoif.records import Draft
from autoif.reliability import run_patiently, score_functions
from autoif.tools import Tools


@dataclass(frozen=True, slots=True)
class Soundness:
    """What a function shows."""

    findings: tuple[FindingReason, ...]
    """In the order of the reasons."""
    score: float
    """How likely it is right, 0 to 1."""


async def look_at(draft: Draft, tools: Tools) -> list[Soundness]:
    """Return what each function of a draft shows."""
    texts = gather_texts(draft.instruction.text, draft.matrix.cases)
    rows = await run_patiently([function.source for function in draft.matrix.functions], texts.all, tools.sandbox)
    findings = [find_faults(texts, dict(zip(texts.all, row, strict=True))) for row in rows]
    return [
        Soundness(tuple(finding.reason for finding in found), score)
        for found, score in zip(findings, score_functions(texts, rows), strict=True)
    ]


def describe_findings(found: Sequence[Soundness], dropped: Sequence[FindingReason]) -> str:
    """Return in words how many functions have which of the findings for which they are dropped."""
    counts = Counter(reason for each in found for reason in each.findings if reason in dropped)
    listed = ", ".join(f"{reason.value} {counts[reason]}" for reason in FindingReason if counts[reason])
    return f"each of {len(found)} functions has a fault: {listed}"
