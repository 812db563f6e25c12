"""§3.2, ask for verification functions and cases until their behaviour is settled. Each step is off by default.

    | step     | setting                     | what is done                                                         |
    |----------|-----------------------------|----------------------------------------------------------------------|
    | write    | `functions_per_instruction` | as in the paper: K answers with a function and cases each            |
    | repair   | `repairs`, `case_repairs`   | functions and cases with a fault go back to the writer (`repair.py`) |
    | settled? | `settled`                   | if most answers behave alike (`observation.py`), the draft is done;  |
    |          | `choose_by = "score"`       | or if a function has the score that is asked for (`soundness.py`)    |
    | ask on   | `max_functions`             | `functions_step` more answers to the same request; then repair again |
    | judge    | `judge_samples`             | the judge rules on texts that split functions (`discrimination.py`)  |

Functions are run on cases, near misses, probes and, with `contrast`, its answers. Asking on gives the answers that
asking for all at once would have given, so nothing depends on order.

In:      an Instruction.
Out:     a Draft, with its repairs and rulings, and whether its behaviour is settled.
Dropped: as in `verification.py`, if no answer up to the last gave a function.

# Deviation: in the paper K is fixed (docs/method.md#verification).
"""

import asyncio
from collections.abc import Sequence

from autoif.instructions.contrast_answers import ask_for_answers
from autoif.instructions.discrimination import judge_splits
from autoif.instructions.observation import Observer, follow_repairs
from autoif.instructions.repair import is_turned, repair_functions, review_cases
from autoif.instructions.soundness import find_best, look_at
from autoif.instructions.verification import make_request, read_function_answers, write_functions
from autoif.models.requests import Completion
from autoif.records import Case, Draft, Dropped, Instruction, Matrix, Repair, Ruling, content_id
from autoif.tools import Tools


async def write_settled_functions(instruction: Instruction, tools: Tools) -> list[Draft | Dropped]:
    """Ask the writer for functions and cases; if the settings say so, repair them and ask on until they are settled."""
    settings = tools.config.verification
    if not settings.settles:
        return await write_functions(instruction, tools)
    responses = await ask_for_answers(instruction, tools) if tools.config.contrast.enabled else []
    observer = Observer(tools, responses)
    asked = settings.functions_per_instruction
    repairs: tuple[Repair, ...] = ()
    rulings: tuple[Ruling, ...] = ()
    while True:
        completions = await tools.chat.sample(make_request(instruction, tools.config, asked))
        draft = await asyncio.to_thread(assemble_draft, instruction, completions, repairs, rulings, settings.vocabulary)
        if isinstance(draft, Draft):
            draft = await _repair(draft, observer)
            repairs, rulings = draft.repairs, draft.rulings
            if await _is_settled(draft, observer):
                return [draft.model_copy(update={"settled": True})]
        if asked >= settings.max_functions:
            break
        asked = min(asked + settings.functions_step, settings.max_functions)
    if isinstance(draft, Dropped):
        return [draft]
    if settings.judge_samples:
        behaviour = await observer.observe(draft)
        draft = amend_draft(draft, rulings=await judge_splits(draft, behaviour, tools))
    return [draft.model_copy(update={"settled": False})]


async def _is_settled(draft: Draft, observer: Observer) -> bool:
    """Tell whether more answers would hardly change which functions are kept."""
    rules, settings = observer.tools.config.cross_validation, observer.tools.config.verification
    if rules.choose_by != "score":
        return (await observer.observe(draft)).is_settled(settings)
    seen = await look_at(draft, observer.tools)
    functions = [place for place, each in enumerate(seen) if each.may_be_kept(rules)]
    return bool(functions) and find_best(draft, functions, seen).is_settled(rules, settings)


async def _repair(draft: Draft, observer: Observer) -> Draft:
    """Send back faulty functions, then contested cases, as often as the settings allow."""
    settings = observer.tools.config.verification
    while settings.repairs and (repairs := await repair_functions(draft, observer)):
        draft = amend_draft(draft, repairs=repairs)
    return amend_draft(draft, rulings=await review_cases(draft, observer)) if settings.case_repairs else draft


def assemble_draft(
    instruction: Instruction,
    completions: Sequence[Completion],
    repairs: Sequence[Repair] = (),
    rulings: Sequence[Ruling] = (),
    vocabulary: bool = False,
) -> Draft | Dropped:
    """Return the draft of all answers, with what repairs and rulings made of it."""
    read = read_function_answers(instruction, list(completions), vocabulary, counted=True)
    return read if isinstance(read, Dropped) else amend_draft(read, tuple(repairs), tuple(rulings))


def amend_draft(draft: Draft, repairs: Sequence[Repair] = (), rulings: Sequence[Ruling] = ()) -> Draft:
    """Return a draft with these repairs and rulings added and applied."""
    repairs, rulings = (*draft.repairs, *repairs), (*draft.rulings, *rulings)
    became = follow_repairs(repairs)
    functions = tuple(dict.fromkeys(became.get(each.id, each) for each in draft.matrix.functions))
    return Draft(
        id=content_id("draft", draft.instruction.id, [function.id for function in functions]),
        instruction=draft.instruction,
        matrix=Matrix(functions=functions, cases=_rule_cases(draft.matrix.cases, rulings)),
        answers=draft.answers,
        repairs=repairs,
        rulings=rulings,
    )


def _rule_cases(cases: Sequence[Case], rulings: Sequence[Ruling]) -> tuple[Case, ...]:
    """Return the cases, each once, flipped where the writer contradicts itself; then those that the judge decided."""
    reviewed = {ruling.text: ruling for ruling in rulings if ruling.by == "writer"}
    judged = [ruling for ruling in rulings if ruling.by == "judge" and ruling.source != "case"]
    return tuple(
        dict.fromkeys(
            [
                *(_turn(case, reviewed.get(case.input)) for case in cases),
                *(
                    Case(input=ruling.text, expected=ruling.follows, origin="judge")
                    for ruling in judged
                    if ruling.follows is not None
                ),
            ]
        )
    )


def _turn(case: Case, ruling: Ruling | None) -> Case:
    turned = ruling is not None and case.origin == "writer" and is_turned(case, ruling)
    return Case(input=case.input, expected=not case.expected) if turned else case
