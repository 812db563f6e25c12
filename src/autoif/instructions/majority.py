"""§3.2 and beyond: choose the behaviour that most of the writer's answers share, where the paper uses its cases.

    share = answers whose functions behave as this one does / answers that gave a function

A behaviour that the writer repeats is likely right, as wrong functions are wrong in many ways. Two in five of a small
model's cases expect the wrong verdict, so only their texts are used. No model is asked.

    | functions are kept if                                                | setting       |
    |----------------------------------------------------------------------|---------------|
    | (1) they agree on all cases, near misses of cases, and probes        | `choose_by`   |
    | (2) they accept some of these texts and refuse others                |               |
    | (3) at least this share of the answers gave one of them              | `majority`    |

In:      a Draft whose matrix is filled and whose answers name their functions, and the places of those that load.
Out:     a VerifiedInstruction with the functions of that behaviour, and the cases that they agree with.
Dropped: `one_sided_functions` (2), `no_majority` (3).

# Deviation: the paper chooses functions by cases, and so does its preset (docs/method.md#cross-validation).
"""

from collections.abc import Sequence

from autoif.instructions.contrast import STAGE, verify_chosen
from autoif.instructions.observation import DECIDED, Observer
from autoif.records import Draft, Dropped, Reason, VerifiedInstruction
from autoif.thresholds import Threshold, meets, share
from autoif.tools import Tools


async def choose_by_majority(
    draft: Draft, functions: Sequence[int], majority: Threshold, tools: Tools
) -> VerifiedInstruction | Dropped:
    """Keep those of the functions (places) that have the most common behaviour, if enough answers share it."""
    behaviour = await Observer(tools).observe(draft)
    clusters = [cluster for cluster in behaviour.clusters if {*DECIDED} <= {*cluster.verdicts}]
    if not clusters:
        detail = "no function accepts some of the cases, near misses and probes and refuses others"
        return Dropped.of(STAGE, Reason.ONE_SIDED_FUNCTIONS, draft, detail)
    votes, answers = behaviour.count_votes(clusters[0]), sum(behaviour.votes)
    kept = tuple(place for place in clusters[0].members if place in functions)
    if not kept or not meets(share(votes, answers), majority):
        detail = f"functions of {votes} of {answers} answers behave alike, at most"
        detail += "" if kept else "; findings, min_score or two_sided ruled them out"
        return Dropped.of(STAGE, Reason.NO_MAJORITY, draft, detail)
    return verify_chosen(draft, kept)
