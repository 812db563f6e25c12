"""§3.2, cross-validation: functions and cases vouch for each other.

    | condition                                                   | paper | released code             |
    |-------------------------------------------------------------|-------|---------------------------|
    | (1) the function loads; enough functions and cases are there | 1, 1  | 3 functions and 10 cases  |
    | (2) a case is kept if this share of functions agrees with it | > 0.5 | > 0 (any one function)    |
    | (3) a function is kept if it agrees with this share of cases | > 0.5 | >= 0.8                    |
    | (4) at least one function and one case remain                |       |                           |

Functions that reject everything agree with each other. Against these:

    both_outcomes   the kept cases include one that obeys the instruction and one that doesn't
    two_sided       a function counts only if it accepts some case or probe and refuses another
    min_score       a function counts only with that score (`autoif.reliability`)
    findings        a function counts only without these faults (`soundness.py`)

`contrast.enabled` replaces (2) to (4) by `contrast.py`, `choose_by` by `majority.py` or `soundness.py`. Each function
has one vote in (2), and up to two where the judge was asked (`discrimination.py`).

In:      a Draft.
Out:     a VerifiedInstruction with the functions and cases that survive, and the whole matrix.
Dropped: a Draft that misses a condition, with its matrix: `no_function_loads`, `one_sided_functions`,
         `too_few_functions`, `too_few_cases` (1), `no_case_agreed` (2, 4), `no_function_agreed` (3, 4),
         `one_sided_cases`, `low_score`, `faulty_functions`; and what contrast and majority drop.

# Deviation: identical functions count once, as in the released code (docs/method.md#cross-validation).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from autoif.instructions.contrast import STAGE, choose_by_contrast, keep_two_sided, verify_chosen
from autoif.instructions.discrimination import find_judged, weigh_functions
from autoif.instructions.majority import choose_by_majority
from autoif.instructions.soundness import Soundness, choose_by_score, describe_findings, look_at
from autoif.records import Draft, Dropped, Matrix, Reason, VerifiedInstruction
from autoif.settings import CrossValidation
from autoif.thresholds import meets, share
from autoif.tools import Tools


@dataclass(frozen=True, slots=True)
class Candidates:
    """The functions of a draft that may be kept."""

    draft: Draft
    """Its matrix has verdicts."""
    functions: Sequence[int]
    """Their places in the matrix."""
    seen: Sequence[Soundness] = ()
    """The faults and score of each function of the draft, if the settings use them."""


async def cross_validate(draft: Draft, tools: Tools) -> list[VerifiedInstruction | Dropped]:
    """Run every function on every case, and keep functions in the way that the settings name."""
    found = await find_candidates(draft, tools)
    if isinstance(found, Dropped):
        return [found]
    if tools.config.contrast.enabled:
        return [await choose_by_contrast(found.draft, found.functions, tools)]
    return [await choose_unasked(found, tools)]


async def find_candidates(draft: Draft, tools: Tools) -> Candidates | Dropped:
    """Run all functions on all cases, and leave out those that no way of choosing may keep."""
    rules, contrasts = tools.config.cross_validation, tools.config.contrast.enabled
    matrix, loads = await _fill_matrix(draft.matrix, tools)
    draft = draft.model_copy(update={"matrix": matrix})

    functions = [index for index, loaded in enumerate(loads) if loaded]
    if not functions:
        return _drop(draft, Reason.NO_FUNCTION_LOADS, f"{len(loads)} functions")
    # Contrast makes this check itself, on answers as well.
    two_sided = (rules.two_sided and not contrasts) or rules.choose_by == "score"
    if two_sided and not (functions := await keep_two_sided(matrix, functions, tools)):
        return _drop(draft, Reason.ONE_SIDED_FUNCTIONS, "each function says the same of all cases and probes")
    seen: Sequence[Soundness] = ()
    if rules.looks_at_functions:
        seen = await look_at(draft, tools)
        sound = [place for place in functions if not set(rules.findings).intersection(seen[place].findings)]
        if not sound:
            detail = describe_findings([seen[place] for place in functions], rules.findings)
            return _drop(draft, Reason.FAULTY_FUNCTIONS, detail)
        if not (functions := [place for place in sound if seen[place].score >= rules.min_score]):
            return _drop(draft, Reason.LOW_SCORE, f"no function has a score of {rules.min_score:g}")
    if len(functions) < rules.min_functions:
        return _drop(draft, Reason.TOO_FEW_FUNCTIONS, f"{len(functions)} of {rules.min_functions}")
    return Candidates(draft, functions, seen)


async def choose_unasked(found: Candidates, tools: Tools) -> VerifiedInstruction | Dropped:
    """Choose functions by cases, by the majority of answers, or by score; no model is asked."""
    rules = tools.config.cross_validation
    match rules.choose_by:
        case "cases":
            return choose_by_cases(found.draft, found.functions, rules)
        case "majority":
            return await choose_by_majority(found.draft, found.functions, rules.majority, tools)
        case "score":
            return choose_by_score(found.draft, found.functions, found.seen, rules)


def choose_by_cases(draft: Draft, functions: Sequence[int], rules: CrossValidation) -> VerifiedInstruction | Dropped:
    """Keep the cases that enough of these functions (places) agree with, and the functions that agree with these."""
    matrix = draft.matrix
    if len(matrix.cases) < rules.min_cases:
        return _drop(draft, Reason.TOO_FEW_CASES, f"{len(matrix.cases)} of {rules.min_cases}")
    agreement = matrix.agreement
    votes = weigh_functions(matrix, draft.rulings)
    total = sum(votes[f] for f in functions)
    cases = [
        case
        for case in range(len(matrix.cases))
        if meets(sum(votes[f] for f in functions if agreement[f][case]) / total, rules.case_agreement)
    ]
    if not cases:
        return _drop(draft, Reason.NO_CASE_AGREED, f"{len(matrix.cases)} cases, {len(functions)} functions")
    if rules.both_outcomes and len({matrix.cases[case].expected for case in cases}) < 2:
        return _drop(draft, Reason.ONE_SIDED_CASES, f"{len(cases)} cases kept, all of one kind")
    judged = find_judged(matrix, draft.rulings)
    case_sets = [case_set for case_set in (cases, [case for case in cases if case in judged]) if case_set]
    kept = [
        function
        for function in functions
        if all(
            meets(share(sum(agreement[function][case] for case in case_set), len(case_set)), rules.function_agreement)
            for case_set in case_sets
        )
    ]
    if not kept:
        return _drop(draft, Reason.NO_FUNCTION_AGREED, f"{len(functions)} functions, {len(cases)} cases")
    return verify_chosen(draft, kept, cases)


async def _fill_matrix(matrix: Matrix, tools: Tools) -> tuple[Matrix, list[bool]]:
    """Run the functions on the cases; tell which of them load (a function is loaded even if there is no case)."""
    inputs = [case.input for case in matrix.cases]
    verdicts, details, loads = [], [], []
    for outcomes in await tools.sandbox.run_many([(each.source, inputs or [""]) for each in matrix.functions]):
        loads.append(any(outcome.loaded for outcome in outcomes))
        verdicts.append(tuple(outcome.verdict for outcome in outcomes[: len(inputs)]))
        details.append(next((outcome.detail for outcome in outcomes if outcome.detail), ""))
    return matrix.model_copy(update={"verdicts": tuple(verdicts), "details": tuple(details)}), loads


def _drop(draft: Draft, reason: Reason, detail: str) -> Dropped:
    return Dropped.of(STAGE, reason, draft, detail)
