"""§3.2 and beyond: functions are chosen by what most of the writer's answers mean, where the paper asks its cases.

    share = answers whose functions behave as this one does / answers that gave a function

A writer that repeats one behaviour means it; wrong functions are wrong in many ways. Two in five of a small model's
cases are wrong, so what they expect isn't asked: only their texts are used. No model is asked.

    | functions are kept if                                                | setting       |
    |----------------------------------------------------------------------|---------------|
    | (1) they say the same of all cases, near misses of these, and probes | `choose_by`   |
    | (2) this accepts some of the texts and refuses others                |               |
    | (3) this share of the answers gave one of them                       | `majority`    |

In:      a Draft whose matrix is filled and whose answers name their functions, and the places of those that load.
Out:     a VerifiedInstruction with the functions of that behaviour, and the cases that they agree with.
Dropped: `one_sided_functions` (2), `no_majority` (3).

# Deviation: the paper's functions are chosen by cases, and so they are in its preset (docs/method.md#cross-validation).
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
    """Keep the functions, of those at these places, whose behaviour enough answers share."""
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
