"""§3.2, send faulty functions and cases back to their writer: each as often as the settings allow, or never.

    | what                                                                  | is sent back with                      |
    |-----------------------------------------------------------------------|----------------------------------------|
    | a function that doesn't load                                          | the error and its line                 |
    | one that raises, on a case or on more than one text in ten            | two such texts, the error and its line |
    | one that behaves as no other does, where several others behave alike  | three texts on which it differs        |
    | a case that most functions contradict                                 | the question of `discrimination.py`    |

The writer explains the fault and writes the function again (`feedback.py` makes the feedback). The new function
replaces the old if its fault is gone or less severe; the table begins with the worst. The expected verdict of a case is
flipped if the writer, who doesn't see it, contradicts it each time.

# Deviation: neither the paper nor the released code repairs (docs/method.md#verification).
"""

import asyncio
from collections.abc import Sequence

from autoif.instructions.discrimination import LONGEST_EXPLANATION, ask_about
from autoif.instructions.feedback import Faulty, are_alike, describe_fault, show_source
from autoif.instructions.json_reading import find_json
from autoif.instructions.observation import DECIDED, Behaviour, ObservedText, Observer
from autoif.instructions.verification import describe_means, read_function_answers
from autoif.models.requests import Completion, Request, sampling_seed, write_schema
from autoif.records import Answer, Case, Draft, Function, FunctionFault, Matrix, Repair, RepairOutcome, Ruling
from autoif.sandbox.outcomes import Outcome
from autoif.tools import Tools

STAGE = "repair"

_SEVERITY = {None: 0, FunctionFault.STANDS_ALONE: 1, FunctionFault.RAISES: 2, FunctionFault.DOES_NOT_LOAD: 3}
_MANY_RAISE = 0.1
_TEXTS_SHOWN = {FunctionFault.RAISES: 2, FunctionFault.STANDS_ALONE: 3}


async def repair_functions(draft: Draft, observer: Observer) -> tuple[Repair, ...]:
    """Send back every faulty function that may still be sent back; return what came of each."""
    behaviour = await observer.observe(draft)
    most = observer.tools.config.verification.repairs
    faulty = [
        each
        for each in find_faults(draft, behaviour)
        if _count_rounds(draft, each.place) < most and not _stands_by(draft, each.place)
    ]
    return tuple(await asyncio.gather(*(_repair(each, draft, behaviour, observer) for each in faulty)))


def find_faults(draft: Draft, behaviour: Behaviour) -> list[Faulty]:
    """Return the functions that have a fault, each with its worst one, in their order."""
    found = []
    for place in range(len(draft.matrix.functions)):
        others = [row for other, row in enumerate(behaviour.outcomes) if other != place]
        alone = behaviour.votes[place] == 1
        faulty = _find_fault(place, behaviour.outcomes[place], others, behaviour, alone=alone)
        found += [faulty] if faulty else []
    return found


def _find_fault(
    place: int, row: Sequence[Outcome], others: Sequence[Sequence[Outcome]], behaviour: Behaviour, *, alone: bool
) -> Faulty | None:
    """Return the worst fault of a function with the outcomes `row`; `alone` if a single answer gave it."""
    if not any(outcome.loaded for outcome in row):
        return Faulty(place, FunctionFault.DOES_NOT_LOAD)
    texts = behaviour.texts
    raising = [at for at, outcome in enumerate(row) if outcome.verdict not in DECIDED]
    if any(texts[at].source == "case" for at in raising) or len(raising) > _MANY_RAISE * len(row):
        return Faulty(place, FunctionFault.RAISES, _choose_shown(raising, texts, FunctionFault.RAISES))
    verdicts = [outcome.verdict for outcome in row]
    rows = [[outcome.verdict for outcome in other] for other in others]
    leading = next((each for each in behaviour.clusters if each.members != (place,)), None)
    if not alone or verdicts in rows or leading is None or behaviour.count_votes(leading) < 2:
        return None
    differing = [
        at
        for at, (own, theirs) in enumerate(zip(verdicts, leading.verdicts, strict=True))
        if own is not theirs and own in DECIDED and theirs in DECIDED
    ]
    return (
        Faulty(place, FunctionFault.STANDS_ALONE, _choose_shown(differing, texts, FunctionFault.STANDS_ALONE))
        if differing
        else None
    )


def _choose_shown(places: Sequence[int], texts: Sequence[ObservedText], fault: FunctionFault) -> tuple[int, ...]:
    """Return the places of the texts to show: cases first, then the shortest that are not blank."""
    order = sorted(
        places, key=lambda at: (not texts[at].text.strip(), texts[at].source != "case", len(texts[at].text), at)
    )
    return tuple(order[: _TEXTS_SHOWN[fault]])


def _count_rounds(draft: Draft, place: int) -> int:
    """Return how often a function, or what it was made from, was sent back."""
    function = draft.matrix.functions[place]
    rounds = [
        repair.round
        for repair in draft.repairs
        if repair.function == function or (repair.made == function and repair.outcome is RepairOutcome.REPAIRED)
    ]
    return max(rounds, default=0)


def _stands_by(draft: Draft, place: int) -> bool:
    """Tell whether the writer, when asked, gave the same function again."""
    function = draft.matrix.functions[place]
    return any(repair.function == function and repair.outcome is RepairOutcome.UNCHANGED for repair in draft.repairs)


async def _repair(faulty: Faulty, draft: Draft, behaviour: Behaviour, observer: Observer) -> Repair:
    """Send one function back and judge the answer."""
    tools = observer.tools
    function = draft.matrix.functions[faulty.place]
    number = _count_rounds(draft, faulty.place) + 1
    feedback = await describe_fault(faulty, function, behaviour, tools.sandbox)
    [completion] = await tools.chat.sample(_make_request(draft, function, feedback, number, tools))
    vocabulary = tools.config.verification.vocabulary
    made, answer, explanation = await asyncio.to_thread(_read, draft, completion, vocabulary)
    return Repair(
        round=number,
        fault=faulty.fault,
        function=function,
        feedback=feedback,
        answer=answer,
        explanation=explanation,
        made=made,
        outcome=await _judge_repair(faulty, made, draft, behaviour, observer),
    )


def _make_request(draft: Draft, function: Function, feedback: str, number: int, tools: Tools) -> Request:
    settings, instruction = tools.config.verification, draft.instruction
    return Request(
        role="writer",
        stage=STAGE,
        messages=tools.config.prompts.repair.fill(
            instruction=instruction.text,
            instruction_for_quotes=instruction.text.replace('"', "'"),
            code=show_source(function),
            feedback=feedback,
            vocabulary=describe_means(settings),
            vocabulary_briefly=describe_means(settings, briefly=True),
        ),
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        seed=sampling_seed(tools.config.seed, STAGE, instruction.id, function.id, number),
        json_schema=write_schema(explanation={"type": "string"}, func={"type": "string"}),
    )


def _read(draft: Draft, completion: Completion, vocabulary: bool) -> tuple[Function | None, Answer, str]:
    """Return the function of an answer, how it was read, and the explanation."""
    read = read_function_answers(draft.instruction, [completion], vocabulary)
    held = read if isinstance(read, Draft) else read.record
    assert isinstance(held, Draft)
    found = find_json(completion.text, lambda value: isinstance(value, dict) and "explanation" in value)
    explanation = str(found[0]["explanation"])[:LONGEST_EXPLANATION] if found else ""
    return next(iter(held.matrix.functions), None), held.answers[0], explanation


async def _judge_repair(
    faulty: Faulty, made: Function | None, draft: Draft, behaviour: Behaviour, observer: Observer
) -> RepairOutcome:
    """Run the new function on the texts that the old one was run on, and compare their faults."""
    old = draft.matrix.functions[faulty.place]
    if made is None:
        return RepairOutcome.LOST
    if are_alike(made, old):
        return RepairOutcome.UNCHANGED
    if any(made == repair.function for repair in draft.repairs):
        return RepairOutcome.NO_BETTER  # it was sent back before
    [row] = await observer.run([made], behaviour.texts)
    others = [each for place, each in enumerate(behaviour.outcomes) if place != faulty.place]
    left = _find_fault(faulty.place, row, others, behaviour, alone=True)
    better = _SEVERITY[left.fault if left else None] < _SEVERITY[faulty.fault]
    return RepairOutcome.REPAIRED if better else RepairOutcome.NO_BETTER


async def review_cases(draft: Draft, observer: Observer) -> tuple[Ruling, ...]:
    """Ask the writer about the cases that most functions contradict, unless it was asked about them before."""
    asked = {ruling.text for ruling in draft.rulings if ruling.by == "writer"}
    contested = find_contested(draft.matrix, await observer.observe(draft))
    cases = {case.input: case for case in contested if case.input not in asked}
    return tuple(await asyncio.gather(*(_review(case, draft, observer.tools) for case in cases.values())))


async def _review(case: Case, draft: Draft, tools: Tools) -> Ruling:
    """Ask about a case, and once more if the answer contradicts it."""
    samples = 1
    while True:
        ruling = await ask_about(ObservedText(case.input, "case"), draft, "writer", samples, tools, STAGE)
        if samples == tools.config.verification.case_repairs or not is_turned(case, ruling):
            return ruling
        samples += 1


def find_contested(matrix: Matrix, behaviour: Behaviour) -> list[Case]:
    """Return the writer's cases that more than half of at least two functions that load contradict."""
    loading = [place for place in range(len(matrix.functions)) if behaviour.loads(place)]
    if len(loading) < 2:
        return []
    columns = {each.text: at for at, each in enumerate(behaviour.texts)}
    verdicts = behaviour.verdicts
    rows = tuple(tuple(row[columns[case.input]] for case in matrix.cases) for row in verdicts)
    agreement = matrix.model_copy(update={"verdicts": rows}).agreement
    return [
        case
        for place, case in enumerate(matrix.cases)
        if case.origin == "writer" and 2 * sum(not agreement[function][place] for function in loading) > len(loading)
    ]


def is_turned(case: Case, ruling: Ruling) -> bool:
    """Tell whether all answers of the writer contradict what it had expected."""
    return all(answer is (not case.expected) for answer in ruling.answers)
