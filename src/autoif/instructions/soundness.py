"""§3.2 and beyond: judge functions by what they do, where the paper uses the writer's cases.

    seen = await look_at(draft, tools)      # of each function its faults, its score, and the functions like it

Faults and scores follow from the instruction's wording, the cases and the probes, as there are no answers yet. With
`choose_by = "score"`, the votes of the writer's answers and the scores choose together: votes alone lose the right
function where most answers share a mistake; the score alone says little about rules that it can't read.

    | functions are kept if                                                                          | setting      |
    |------------------------------------------------------------------------------------------------|--------------|
    | (1) they show no fault and have a score: others have no vote                                   | `findings`,  |
    |                                                                                                | `min_score`  |
    | (2) their behaviour has the most votes, weighted by its highest score                          | `choose_by`  |
    | (3) this score is high, or                                                                     | `sure_score` |
    |     this share of the votes, and more than one of them, is for them                            | `majority`   |

# Deviation: the paper chooses functions by cases, and so does its preset (docs/method.md#cross-validation).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from autoif.behaviour import cluster_functions
from autoif.faults.probing import find_faults, make_probing_texts
from autoif.faults.reasons import FindingReason
from autoif.instructions.contrast import STAGE, verify_chosen
from autoif.instructions.observation import count_votes
from autoif.records import Draft, Dropped, Reason, VerifiedInstruction
from autoif.reliability import DECIMALS, run_patiently, score_functions
from autoif.settings import CrossValidation, Verification
from autoif.thresholds import Threshold, meets, share
from autoif.tools import Tools

_LEAST_VOTES = 2
"""With a single vote, the only function that is left would have all votes, which says nothing."""


@dataclass(frozen=True, slots=True)
class Soundness:
    """The faults and the score of a function."""

    findings: tuple[FindingReason, ...]
    """In the order of the reasons."""
    score: float
    """How likely it is right, 0 to 1."""
    alike: tuple[int, ...]
    """The places of the functions with the same verdicts on all texts, its own among them."""

    def may_be_kept(self, rules: CrossValidation) -> bool:
        """Tell whether it has none of the faults that cross-validation drops, and the score that it asks for."""
        return not set(rules.findings).intersection(self.findings) and self.score >= rules.min_score


@dataclass(frozen=True, slots=True)
class RatedBehaviour:
    """Functions that may be kept and behave alike, and what speaks for them."""

    members: tuple[int, ...]
    """Their places."""
    score: float
    """The highest of theirs."""
    votes: int
    """How many answers gave one of them."""
    of: int
    """How many answers gave a function that may be kept."""

    def is_chosen(self, rules: CrossValidation) -> bool:
        """Tell whether enough speaks for them."""
        return meets(self.score, rules.sure_score) or self._has_votes(rules.majority, _LEAST_VOTES)

    def is_settled(self, rules: CrossValidation, settings: Verification) -> bool:
        """Tell whether so much speaks for them that more answers would hardly change the choice."""
        return meets(self.score, rules.sure_score) or self._has_votes(settings.settled, settings.settled_functions)

    def _has_votes(self, majority: Threshold, least: int) -> bool:
        return self.votes >= least and meets(share(self.votes, self.of), majority)


async def look_at(draft: Draft, tools: Tools) -> list[Soundness]:
    """Return the faults and the score of each function of a draft."""
    texts = make_probing_texts(draft.instruction.text, draft.matrix.cases)
    rows = await run_patiently([function.source for function in draft.matrix.functions], texts.all, tools.sandbox)
    findings = [find_faults(texts, dict(zip(texts.all, row, strict=True))) for row in rows]
    alike = {place: cluster.members for cluster in cluster_functions(rows) for place in cluster.members}
    return [
        Soundness(tuple(finding.reason for finding in found), score, alike[place])
        for place, (found, score) in enumerate(zip(findings, score_functions(texts, rows), strict=True))
    ]


def find_best(draft: Draft, functions: Sequence[int], seen: Sequence[Soundness]) -> RatedBehaviour:
    """Return the behaviour of these functions (places) with the most votes, weighted by its highest score."""
    votes = count_votes(draft)
    of = sum(votes[place] for place in functions)
    alike = dict.fromkeys(tuple(each for each in seen[place].alike if each in functions) for place in functions)
    behaviours = [
        RatedBehaviour(members, max(seen[each].score for each in members), sum(votes[each] for each in members), of)
        for members in alike
    ]
    return max(behaviours, key=lambda each: each.votes * each.score)


def choose_by_score(
    draft: Draft, functions: Sequence[int], seen: Sequence[Soundness], rules: CrossValidation
) -> VerifiedInstruction | Dropped:
    """Keep those of the functions (places) that have the best behaviour, if its score or votes suffice."""
    best = find_best(draft, functions, seen)
    if not best.is_chosen(rules):
        detail = f"functions of {best.votes} of {best.of} answers behave alike, score {best.score:.2f}, at most"
        return Dropped.of(STAGE, Reason.NO_MAJORITY, draft, detail)
    return verify_chosen(draft, best.members).model_copy(update={"score": round(best.score, DECIMALS)})


def describe_findings(found: Sequence[Soundness], dropped: Sequence[FindingReason]) -> str:
    """Return in words how many functions have each of the findings for which functions are dropped."""
    counts = Counter(reason for each in found for reason in each.findings if reason in dropped)
    listed = ", ".join(f"{reason.value} {counts[reason]}" for reason in FindingReason if counts[reason])
    return f"each of {len(found)} functions has a fault: {listed}"
