"""§3.2, the judge rules on texts to which functions give different verdicts.

The texts that tell the functions for an instruction apart are put to the judge: does this text follow it? Its word is
one more witness and not the decision:

    | what the judge says of a text | what comes of it                                                              |
    |-------------------------------|-------------------------------------------------------------------------------|
    | most of its answers say yes   | the text is a case: expected True                                             |
    | most of its answers say no    | the text is a case: expected False                                            |
    | a tie, or nothing readable    | nothing                                                                       |
    | of all its texts together     | in cross-validation a function has 1 vote, and up to 1 more: the share of the |
    |                               | judged texts on which it agrees with the judge; and it must agree with enough |
    |                               | of the kept cases that the judge decided, not only of all                     |

So the judge decides a tie, and never outvotes twice as many functions.

# Deviation: neither the paper nor the released code asks a judge about functions (docs/method.md#verification).
"""

import asyncio
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import Literal

from autoif.instructions.json_reading import find_json
from autoif.instructions.observation import Behaviour, ObservedText
from autoif.models.requests import Completion, Request, sampling_seed, write_schema
from autoif.records import Draft, Matrix, Ruling, Verdict, content_id
from autoif.thresholds import share
from autoif.tools import Tools

STAGE = "discrimination"

LONGEST_EXPLANATION = 600
_LONGEST_TEXT = 2000
_TICKS = re.compile("`+")
_WORD = re.compile(r"[a-z]+")
_SAYS = {"true": True, "yes": True, "false": False, "no": False}


async def judge_splits(draft: Draft, behaviour: Behaviour, tools: Tools) -> tuple[Ruling, ...]:
    """Ask the judge about the texts that tell the ways of behaving apart best."""
    settings = tools.config.verification
    # In a thread, as it takes long where many functions behave each in a way of its own.
    chosen = await asyncio.to_thread(choose_texts, behaviour, settings.judged_texts)
    return tuple(
        await asyncio.gather(*(ask_about(text, draft, "judge", settings.judge_samples, tools) for text in chosen))
    )


def choose_texts(behaviour: Behaviour, most: int) -> list[ObservedText]:
    """Return at most `most` texts that tell the clusters apart, the best first.

    Each text is the one that separates most pairs of answers which no earlier text separates: the function of one
    accepts it, that of the other refuses it. Of equally good texts the shortest is taken. Once all pairs are separated,
    the count starts anew, for more evidence on the same pairs.
    """
    usable = [
        (place, each)
        for place, each in enumerate(behaviour.texts)
        if 0 < len(each.text.strip()) <= len(each.text) <= _LONGEST_TEXT
    ]
    pairs = {
        (one, other): behaviour.count_votes(one) * behaviour.count_votes(other)
        for one, other in combinations(behaviour.clusters, 2)
    }
    separated = {
        place: {pair for pair in pairs if {cluster.verdicts[place] for cluster in pair} == {Verdict.PASS, Verdict.FAIL}}
        for place, _ in usable
    }
    chosen: list[int] = []
    covered: set[tuple[object, object]] = set()
    while len(chosen) < most:
        gains = {
            place: sum(pairs[pair] for pair in separated[place] - covered) for place, _ in usable if place not in chosen
        }
        best = min(gains, key=lambda place: (-gains[place], len(behaviour.texts[place].text), place), default=None)
        if best is not None and gains[best]:
            chosen.append(best)
            covered |= separated[best]
        elif covered:
            covered = set()
        else:
            break
    return [behaviour.texts[place] for place in chosen]


async def ask_about(
    text: ObservedText, draft: Draft, by: Literal["writer", "judge"], samples: int, tools: Tools, stage: str = STAGE
) -> Ruling:
    """Ask a model several times whether a text follows the instruction."""
    settings = tools.config.verification
    completions = await tools.chat.sample(
        Request(
            role=by,
            stage=stage,
            messages=tools.config.prompts.discrimination.fill(
                instruction=draft.instruction.text, response=quote(text.text)
            ),
            samples=samples,
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            seed=sampling_seed(tools.config.seed, stage, draft.instruction.id, content_id("text", text.text)),
            json_schema=write_schema(explanation={"type": "string"}, follows={"type": "boolean"}),
        )
    )
    read = [await asyncio.to_thread(read_ruling, completion) for completion in completions]
    return Ruling(
        text=text.text,
        by=by,
        source=text.source,
        answers=tuple(follows for follows, _ in read),
        explanations=tuple(explanation for _, explanation in read),
    )


def quote(text: str) -> str:
    """Fence a text with back quotes, more of them than stand in a row within it."""
    longest = max((len(each) for each in _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def read_ruling(completion: Completion) -> tuple[bool | None, str]:
    """Return whether the text follows the instruction, None if the answer can't be read, and the explanation."""
    if completion.fault:
        return None, ""
    found = find_json(completion.text, lambda value: isinstance(value, dict) and "follows" in value)
    if found is None:
        written = completion.text.strip()
        words = {word for word in _WORD.findall(written.rpartition("\n")[2].lower()) if word in _SAYS}
        return (_SAYS[words.pop()] if len(words) == 1 else None), written[:LONGEST_EXPLANATION]
    value = found[0]["follows"]
    follows = _SAYS.get(str(value).strip(" .").lower()) if isinstance(value, bool | str) else None
    return follows, str(found[0].get("explanation", ""))[:LONGEST_EXPLANATION]


def weigh_functions(matrix: Matrix, rulings: Sequence[Ruling]) -> list[Fraction]:
    """Return the weight of each function's vote on cases: 1, plus its share of agreement with the judge."""
    judged = _read_judge(rulings)
    columns = {case.input: place for place, case in enumerate(matrix.cases) if case.input in judged}
    wanted = {place: Verdict.PASS if judged[text] else Verdict.FAIL for text, place in columns.items()}
    return [
        1 + share(sum(row[place] is verdict for place, verdict in wanted.items()), len(wanted))
        for row in matrix.verdicts
    ]


def find_judged(matrix: Matrix, rulings: Sequence[Ruling]) -> set[int]:
    """Return the places of the cases whose expected verdict the judge has given or confirmed."""
    judged = _read_judge(rulings)
    return {place for place, case in enumerate(matrix.cases) if judged.get(case.input) is case.expected}


def _read_judge(rulings: Sequence[Ruling]) -> dict[str, bool]:
    return {each.text: each.follows for each in rulings if each.by == "judge" and each.follows is not None}
