"""§3.2 and beyond: choose functions by their verdicts on answers, where the paper uses the writer's cases.

    lift = share that a function accepts of answers to query + instruction - share of answers to the query alone

A correct function has lift wherever asking has an effect; one that gives all texts the same verdict has none. Both
kinds of answers are to the same queries (`contrast_answers.py`). The writer's cases play a minor part only.

    | a function is kept if                                                                | setting            |
    |--------------------------------------------------------------------------------------|--------------------|
    | (1) it loads, and accepts one and refuses another of the cases, answers or probes    |                    |
    | (2) it has lift, and hardly less than the best;                                      | `lift`, `within`   |
    |     of several behaviours, it has the one that most functions and cases support      | `one_behaviour`    |
    | (3) or none has lift, as many answers obey unasked: it accepts many of these, at     | `obeyed`           |
    |     least half that share of the answers that were asked to obey, and it agrees with | `cases`            |
    |     nearly all cases                                                                 |                    |

In:      a Draft whose matrix is filled, and the places of the functions that load.
Out:     a VerifiedInstruction with the kept functions, the cases that most of them agree with, and all verdicts.
Dropped: `one_sided_functions` (1), `no_lift` (2, 3); if one kind has no usable answer, the fault of the first.

# Deviation: the paper chooses functions by cases alone, and so does its preset (docs/method.md#contrast).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from autoif.behaviour import cluster_functions
from autoif.instructions.contrast_answers import ContrastAnswers, gather_answers
from autoif.judging import compute_pass_rate
from autoif.probes import load_probes
from autoif.records import Answered, Contrast, Draft, Dropped, Matrix, Reason, Verdict, VerifiedInstruction, content_id
from autoif.reliability import run_patiently
from autoif.settings import ContrastSettings
from autoif.thresholds import Threshold, meets, share
from autoif.tools import Tools

STAGE = "cross_validation"
"""Contrast is a form of cross-validation, and what it drops counts as dropped there."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The places of the functions that are kept, and what they were chosen by."""

    functions: tuple[int, ...]
    by: Literal["lift", "cases", "nothing"]


async def choose_by_contrast(draft: Draft, functions: Sequence[int], tools: Tools) -> VerifiedInstruction | Dropped:
    """Ask for answers with the instruction and without it, and keep the functions that tell them apart."""
    answers = await gather_answers(draft.instruction, tools)
    if not answers.asked or not answers.plain:
        fault = answers.faulty[0]
        return Dropped.of(STAGE, fault.reason, draft, f"no answer to choose functions by: {fault.detail}")
    evidence = await _gather_evidence(draft.matrix, functions, answers, tools)
    return await choose_by_evidence(draft, functions, evidence, tools)


async def choose_by_evidence(
    draft: Draft, functions: Sequence[int], evidence: Contrast, tools: Tools
) -> VerifiedInstruction | Dropped:
    """Keep those of the functions (places in matrix) that tell answers with the instruction from answers without."""
    matrix = draft.matrix
    two_sided = await keep_two_sided(matrix, functions, tools, evidence)
    choice = choose_functions(matrix, two_sided, evidence, tools.config.contrast)
    verified = verify_chosen(draft, choice.functions).model_copy(
        update={"contrast": evidence.model_copy(update={"chosen_by": choice.by})}
    )
    if not two_sided:
        detail = "each function says the same of all cases, answers and probes"
        return Dropped.of(STAGE, Reason.ONE_SIDED_FUNCTIONS, verified, detail)
    if not choice.functions:
        best = max(evidence.lifts[place] for place in two_sided)
        return Dropped.of(STAGE, Reason.NO_LIFT, verified, f"{best:+.2f} at best, of {len(two_sided)} functions")
    return verified


def choose_functions(
    matrix: Matrix, functions: Sequence[int], evidence: Contrast, settings: ContrastSettings
) -> Choice:
    """Choose among the functions (places in the matrix) by verdicts alone; their order stays."""
    lifts = {place: _lift(evidence, place) for place in functions}
    near = max(lifts.values(), default=Fraction(0)) - Fraction(str(settings.within))
    lifted = [place for place in functions if lifts[place] >= near and meets(lifts[place], settings.lift)]
    if lifted:
        return Choice(_choose_behaviour(matrix, lifted, evidence) if settings.one_behaviour else tuple(lifted), "lift")
    vouched = [
        place
        for place in functions
        if _is_obeyed(evidence, place, settings.obeyed) and _is_vouched_for(matrix, place, settings.cases)
    ]
    return Choice(tuple(vouched), "cases" if vouched else "nothing")


def _choose_behaviour(matrix: Matrix, functions: Sequence[int], evidence: Contrast) -> tuple[int, ...]:
    """Return the functions of the best-supported behaviour; each function counts by its share of cases agreed with."""
    kinds = (matrix.verdicts, evidence.asked_verdicts, evidence.plain_verdicts)
    clusters = cluster_functions([[verdict for kind in kinds for verdict in kind[place]] for place in functions])
    members = [tuple(functions[place] for place in cluster.members) for cluster in clusters]
    return max(members, key=lambda places: sum(_share_agreed(matrix, place) for place in places))


async def keep_two_sided(
    matrix: Matrix, functions: Sequence[int], tools: Tools, evidence: Contrast | None = None
) -> list[int]:
    """Return those of the functions (places in the matrix) that accept a text and refuse one, in order.

    Verdicts on cases and answers come first; only functions that are one-sided there are run on the probes. A function
    that timed out on a text isn't run on probes, as one that hangs would cost minutes.
    """
    kinds = (matrix.verdicts, *((evidence.asked_verdicts, evidence.plain_verdicts) if evidence else ()))
    seen = {place: {verdict for kind in kinds for verdict in kind[place]} for place in functions}
    undecided = [place for place in functions if not _is_two_sided(seen[place]) and Verdict.TIMEOUT not in seen[place]]
    rows = await run_patiently([matrix.functions[place].source for place in undecided], load_probes(), tools.sandbox)
    for place, row in zip(undecided, rows, strict=True):
        seen[place].update(row)
    return [place for place in functions if _is_two_sided(seen[place])]


def _is_two_sided(verdicts: Collection[Verdict]) -> bool:
    return Verdict.PASS in verdicts and Verdict.FAIL in verdicts


async def _gather_evidence(matrix: Matrix, loading: Sequence[int], answers: ContrastAnswers, tools: Tools) -> Contrast:
    texts = [each.text for each in (*answers.asked, *answers.plain)]
    rows = await run_patiently([function.source for function in matrix.functions], texts, tools.sandbox)
    count = len(answers.asked)
    asked, plain = [*range(count)], [*range(count, len(texts))]
    if tools.config.contrast.agreed:
        votes = count_behaviours(matrix, loading, rows)
        asked, plain = choose_speakers(answers.asked, votes[:count]), choose_speakers(answers.plain, votes[count:])
        plain = [count + place for place in plain]
    # All instructions share the model's plain answers, so their texts are left out; those from a file stay.
    plain_answers = (each.model_copy(update={"text": ""}) if each.query_id else each for each in answers.plain)
    listed = (*answers.asked, *plain_answers)
    evidence = Contrast(
        asked=tuple(listed[place] for place in asked),
        plain=tuple(listed[place] for place in plain),
        asked_verdicts=tuple(tuple(row[place] for place in asked) for row in rows),
        plain_verdicts=tuple(tuple(row[place] for place in plain) for row in rows),
        lifts=(),
        chosen_by="nothing",
    )
    lifts = tuple(round(float(_lift(evidence, place)), 4) for place in range(len(rows)))
    return evidence.model_copy(update={"lifts": lifts})


def count_behaviours(matrix: Matrix, loading: Sequence[int], rows: Sequence[Sequence[Verdict]]) -> list[int]:
    """Return for each answer how many behaviours accept it; behaviours that give all texts one verdict don't count."""
    verdicts = [[*matrix.verdicts[place], *rows[place]] for place in loading]
    behaviours = [rows[loading[each.members[0]]] for each in cluster_functions(verdicts) if not each.is_constant]
    return [sum(row[place] is Verdict.PASS for row in behaviours) for place in range(len(rows[0]))]


def choose_speakers(answers: Sequence[Answered], votes: Sequence[int]) -> list[int]:
    """Return the place of the answer to each query that most behaviours accept (the first of equals), and the places of
    all answers from a file.

    Both kinds of answers are chosen like this, so a function that accepts texts at random gains no lift by it.
    """
    best: dict[str, int] = {}
    for place, each in enumerate(answers):
        name = each.query_id or f"given {place}"
        if name not in best or votes[place] > votes[best[name]]:
            best[name] = place
    return list(best.values())


def _lift(evidence: Contrast, place: int) -> Fraction:
    return compute_pass_rate(evidence.asked_verdicts[place]) - compute_pass_rate(evidence.plain_verdicts[place])


def _is_obeyed(evidence: Contrast, place: int, threshold: Threshold) -> bool:
    """Tell whether a function accepts enough plain answers, and at least half that share of those asked to obey."""
    asked, plain = (compute_pass_rate(kind[place]) for kind in (evidence.asked_verdicts, evidence.plain_verdicts))
    return meets(plain, threshold) and 2 * asked >= plain


def _share_agreed(matrix: Matrix, place: int) -> Fraction:
    return share(sum(matrix.agreement[place]), len(matrix.cases))


def _is_vouched_for(matrix: Matrix, place: int, threshold: Threshold) -> bool:
    """Tell whether a function agrees with enough cases, among them one that obeys and one that doesn't."""
    kinds = {case.expected for case, right in zip(matrix.cases, matrix.agreement[place], strict=True) if right}
    return len(kinds) == 2 and meets(_share_agreed(matrix, place), threshold)


def verify_chosen(draft: Draft, kept: Sequence[int], cases: Sequence[int] | None = None) -> VerifiedInstruction:
    """Return the instruction with the chosen functions and cases; by default those that most of the functions agree
    with."""
    matrix = draft.matrix
    if cases is None:
        agreed = [matrix.agreement[place] for place in kept]
        cases = [case for case in range(len(matrix.cases)) if 2 * sum(row[case] for row in agreed) > len(agreed) > 0]
    return VerifiedInstruction(
        id=content_id("verified", draft.instruction.id, [matrix.functions[place].id for place in kept]),
        instruction=draft.instruction,
        matrix=matrix,
        kept_functions=tuple(kept),
        kept_cases=tuple(cases),
    )
