"""§3.2, functions and cases put back to their writer with what is wrong, `verification.repairs` times at most.

    | what                                                                  | is put back with                       |
    |-----------------------------------------------------------------------|----------------------------------------|
    | a function that doesn't load                                          | the error and its line                 |
    | one that raises, on a case or on more than one text in ten            | two such texts, the error and its line |
    | one that behaves as no other does, where several others behave alike  | three texts on which it differs        |
    | a case that most functions contradict                                 | the question of `discrimination.py`    |

The writer explains and writes the function again. The new one takes the place of the old if its fault is gone or is a
lesser one, further up in the table being worse; otherwise the old one stays. A case is turned if all answers contradict
it; the writer isn't told what it had expected, so that it doesn't just say so again.

What the writer is told comes from the sandbox: no path of this machine is in it, and it is never longer than a page.

# Deviation: neither the paper nor the released code repairs (docs/method.md#verification).
"""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from autoif.instructions.discrimination import LONGEST_EXPLANATION, ask_about
from autoif.instructions.json_reading import find_json
from autoif.instructions.observation import DECIDED, Behaviour, Observer, Text
from autoif.instructions.verification import read_function_answers
from autoif.models.requests import Completion, Request, sampling_seed
from autoif.records import Answer, Draft, Fault, Function, Matrix, Repair, RepairOutcome, Ruling, Verdict
from autoif.sandbox.outcomes import Outcome
from autoif.tools import Tools

STAGE = "repair"

_SEVERITY = {None: 0, Fault.STANDS_ALONE: 1, Fault.RAISES: 2, Fault.DOES_NOT_LOAD: 3}
_MANY_RAISE = 0.1
_TEXTS_SHOWN = {Fault.RAISES: 2, Fault.STANDS_ALONE: 3}
_SHOWN_CHARACTERS = 300
_PATH = re.compile(r"(?<![\w.])/(?:[\w.+@~-]+/)+[\w.+@~-]*")
_LINE = re.compile(r"\bline (\d{1,6})\b")
_TRACED = re.compile(r"RuntimeError: line (\d{1,6}): (.*)", re.DOTALL)
_WORDS = {
    Verdict.TIMEOUT: "it takes too long",
    Verdict.MEMORY: "it takes too much memory",
    Verdict.CRASH: "it ends its process",
}

_TRACER = """
_untraced = evaluate
def evaluate(response):
    try:
        return _untraced(response)
    except Exception as error:
        place, line = error.__traceback__, 0
        while place is not None:
            if place.tb_frame.f_code.co_filename == evaluate.__code__.co_filename and place.tb_lineno <= {lines}:
                line = place.tb_lineno
            place = place.tb_next
        raise RuntimeError(f"line {{line}}: {{type(error).__name__}}: {{error}}") from None
"""
"""Put behind a function, within the sandbox: what is raised names the function's own line."""


@dataclass(frozen=True, slots=True)
class Faulty:
    """A function to put back, and the texts that show why."""

    place: int
    fault: Fault
    shown: tuple[int, ...] = ()
    """Places of texts."""


async def repair_functions(draft: Draft, observer: Observer) -> tuple[Repair, ...]:
    """Put back every function with a fault that may still be put back; return what came of each."""
    behaviour = await observer.observe(draft)
    most = observer.tools.config.verification.repairs
    faulty = [
        each
        for each in find_faults(draft, behaviour)
        if _count_rounds(draft, each.place) < most and not _stands_by(draft, each.place)
    ]
    return tuple(await asyncio.gather(*(_repair(each, draft, behaviour, observer) for each in faulty)))


def find_faults(draft: Draft, behaviour: Behaviour) -> list[Faulty]:
    """Return the functions that have a fault, with the worst that each has, in their order."""
    found = []
    for place in range(len(draft.matrix.functions)):
        others = [row for other, row in enumerate(behaviour.outcomes) if other != place]
        alone = behaviour.votes[place] == 1
        faulty = _find_fault(place, behaviour.outcomes[place], others, behaviour, alone=alone)
        found += [faulty] if faulty else []
    return found


def _find_fault(
    place: int,
    row: Sequence[Outcome],
    others: Sequence[Sequence[Outcome]],
    behaviour: Behaviour,
    *,
    alone: bool,
) -> Faulty | None:
    if not any(outcome.loaded for outcome in row):
        return Faulty(place, Fault.DOES_NOT_LOAD)
    texts = behaviour.texts
    raising = [at for at, outcome in enumerate(row) if outcome.verdict not in DECIDED]
    if any(texts[at].source == "case" for at in raising) or len(raising) > _MANY_RAISE * len(row):
        return Faulty(place, Fault.RAISES, _choose_shown(raising, texts, Fault.RAISES))
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
    return Faulty(place, Fault.STANDS_ALONE, _choose_shown(differing, texts, Fault.STANDS_ALONE)) if differing else None


def _choose_shown(places: Sequence[int], texts: Sequence[Text], fault: Fault) -> tuple[int, ...]:
    """Return the places of the texts to show: cases first, then the shortest that are not blank."""
    order = sorted(
        places, key=lambda at: (not texts[at].text.strip(), texts[at].source != "case", len(texts[at].text), at)
    )
    return tuple(order[: _TEXTS_SHOWN[fault]])


def _count_rounds(draft: Draft, place: int) -> int:
    """Return how often a function, or what it was made from, was put back."""
    function = draft.matrix.functions[place]
    rounds = [
        repair.round
        for repair in draft.repairs
        if repair.function == function or (repair.made == function and repair.outcome is RepairOutcome.REPAIRED)
    ]
    return max(rounds, default=0)


def _stands_by(draft: Draft, place: int) -> bool:
    function = draft.matrix.functions[place]
    return any(repair.function == function and repair.outcome is RepairOutcome.UNCHANGED for repair in draft.repairs)


async def _repair(faulty: Faulty, draft: Draft, behaviour: Behaviour, observer: Observer) -> Repair:
    """Put one function back and judge the answer."""
    tools = observer.tools
    function = draft.matrix.functions[faulty.place]
    number = _count_rounds(draft, faulty.place) + 1
    feedback = await describe_fault(faulty, function, behaviour, tools)
    [completion] = await tools.chat.sample(_make_request(draft, function, feedback, number, tools))
    made, answer, explanation = await asyncio.to_thread(_read, draft, completion)
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
            code=function.source.strip(),
            feedback=feedback,
        ),
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        seed=sampling_seed(tools.config.seed, STAGE, instruction.id, function.id, number),
        json_schema=_answer_schema(),
    )


def _answer_schema() -> dict[str, JsonValue]:
    properties: dict[str, JsonValue] = {"explanation": {"type": "string"}, "func": {"type": "string"}}
    return {
        "type": "object",
        "properties": properties,
        "required": ["explanation", "func"],
        "additionalProperties": False,
    }


def _read(draft: Draft, completion: Completion) -> tuple[Function | None, Answer, str]:
    """Return the function of an answer, how it was read, and the explanation."""
    read = read_function_answers(draft.instruction, [completion])
    held = read if isinstance(read, Draft) else read.record
    assert isinstance(held, Draft)
    found = find_json(completion.text, lambda value: isinstance(value, dict) and "explanation" in value)
    explanation = str(found[0]["explanation"])[:LONGEST_EXPLANATION] if found else ""
    return next(iter(held.matrix.functions), None), held.answers[0], explanation


async def _judge_repair(
    faulty: Faulty, made: Function | None, draft: Draft, behaviour: Behaviour, observer: Observer
) -> RepairOutcome:
    """Tell what a new function is worth: run it on the texts that the old one was run on."""
    old = draft.matrix.functions[faulty.place]
    if made is None:
        return RepairOutcome.LOST
    if made.source.strip() == old.source.strip():
        return RepairOutcome.UNCHANGED
    if any(made == repair.function for repair in draft.repairs):
        return RepairOutcome.NO_BETTER  # it was put back before
    [row] = await observer.run([made], behaviour.texts)
    others = [each for place, each in enumerate(behaviour.outcomes) if place != faulty.place]
    left = _find_fault(faulty.place, row, others, behaviour, alone=True)
    better = _SEVERITY[left.fault if left else None] < _SEVERITY[faulty.fault]
    return RepairOutcome.REPAIRED if better else RepairOutcome.NO_BETTER


async def describe_fault(faulty: Faulty, function: Function, behaviour: Behaviour, tools: Tools) -> str:
    """Return what the writer is told of a fault: without a path of this machine, and of limited length."""
    row = behaviour.outcomes[faulty.place]
    if faulty.fault is Fault.DOES_NOT_LOAD:
        return f"The function can't be loaded: {_describe_error(row[0].detail, function)}"
    texts = [behaviour.texts[at].text for at in faulty.shown]
    if faulty.fault is Fault.STANDS_ALONE:
        said = [
            f"- It returns {row[at].verdict is Verdict.PASS} for {_show(behaviour.texts[at].text)}"
            for at in faulty.shown
        ]
        return "\n".join(["Most other functions for this instruction return the opposite for these texts:", *said])
    found = await _trace(function, texts, [row[at] for at in faulty.shown], tools)
    said = [f"- For {_show(text)}: {error}" for text, error in zip(texts, found, strict=True)]
    return "\n".join(["The function fails on these texts, where it should return True or False:", *said])


async def _trace(function: Function, texts: Sequence[str], outcomes: Sequence[Outcome], tools: Tools) -> list[str]:
    """Return in words what a function did on texts, an error with its line where that can be found out."""
    lines = function.source.count("\n") + 1
    raising = [text for text, outcome in zip(texts, outcomes, strict=True) if outcome.verdict is Verdict.ERROR]
    traced = await tools.sandbox.run(f"{function.source}\n{_TRACER.format(lines=lines)}", raising)
    found = {text: _TRACED.fullmatch(outcome.detail) for text, outcome in zip(raising, traced, strict=True)}
    described = []
    for text, outcome in zip(texts, outcomes, strict=True):
        match = found.get(text)
        if match and 1 <= int(match[1]) <= lines:
            described.append(_describe_error(f"{match[2]} (line {match[1]})", function))
        else:
            described.append(_WORDS.get(outcome.verdict) or _describe_error(outcome.detail, function))
    return described


def _describe_error(detail: str, function: Function) -> str:
    """Return an error without paths, with the line of the source that it names."""
    said = _PATH.sub("…", detail.removeprefix("does not load: ")) or "it gives no verdict"
    lines = function.source.split("\n")
    named = _LINE.search(said)
    if named and 1 <= int(named[1]) <= len(lines):
        said += f"\n  line {named[1]}: {lines[int(named[1]) - 1].strip()[:_SHOWN_CHARACTERS]}"
    return said


def _show(text: str) -> str:
    """Return a text as a string in quotes on one line, its middle left out if it is long."""
    half = _SHOWN_CHARACTERS // 2
    if len(text) <= _SHOWN_CHARACTERS:
        return json.dumps(text, ensure_ascii=False)
    begin, end = json.dumps(text[:half], ensure_ascii=False), json.dumps(text[-half:], ensure_ascii=False)
    return f"{begin} … {end} ({len(text):,} characters)"


async def review_cases(draft: Draft, observer: Observer) -> tuple[Ruling, ...]:
    """Ask the writer again about the cases that most functions contradict and that it was not asked about."""
    tools, behaviour = observer.tools, await observer.observe(draft)
    samples = tools.config.verification.repairs
    asked = {ruling.text for ruling in draft.rulings if ruling.by == "writer"}
    contested = [text for text in find_contested(draft.matrix, behaviour) if text not in asked]
    return tuple(
        await asyncio.gather(
            *(ask_about(Text(text, "case"), draft, "writer", samples, tools, STAGE) for text in contested)
        )
    )


def find_contested(matrix: Matrix, behaviour: Behaviour) -> list[str]:
    """Return the inputs of the cases that more than half of at least two functions that load contradict."""
    loading = [place for place in range(len(matrix.functions)) if behaviour.loads(place)]
    if len(loading) < 2:
        return []
    columns = {each.text: at for at, each in enumerate(behaviour.texts)}
    verdicts = behaviour.verdicts
    rows = tuple(tuple(row[columns[case.input]] for case in matrix.cases) for row in verdicts)
    agreement = matrix.model_copy(update={"verdicts": rows}).agreement
    return [
        case.input
        for place, case in enumerate(matrix.cases)
        if case.origin == "writer" and 2 * sum(not agreement[function][place] for function in loading) > len(loading)
    ]


def is_turned(expected: bool, ruling: Ruling) -> bool:
    """Tell whether all answers of the writer contradict what it had expected."""
    return all(answer is (not expected) for answer in ruling.answers)
