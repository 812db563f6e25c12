"""§3.4, pairs for DPO: TRL's conversational form.

    instruction level   prompt: the instruction; chosen: a case's input that > 0.5 of the functions accept; rejected:
                        one that none of them accepts
    query level         prompt: query + instruction; chosen: a response with pass rate > 0.5; rejected: one with 0

A text under several constraints has the pass rate of the one that it follows least. A blank text is neither chosen nor
rejected. Of several candidates the best is chosen: by pass rate, quality, order.
`preferences.strict` asks more of both sides (`strictness.py`).

# Deviation: the paper says nothing of blank texts and of quality here; the released code draws its pairs at random
# (docs/method.md#preferences).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Literal

from autoif.datasets.rows import ComparedConstraint, Constraint, PreferenceRow, Turn, constraint_of
from autoif.datasets.strictness import Strictness
from autoif.gate import find_fault
from autoif.judging import Verdicts, compute_least_rate, split_verdicts
from autoif.records import Prompt, Response, VerifiedInstruction
from autoif.settings import Preferences
from autoif.thresholds import meets


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may be chosen or rejected; `quality` is -1 where nobody scored it."""

    text: str
    verdicts: tuple[Verdicts, ...]
    """The verdicts of each constraint's functions, in order."""
    quality: float = -1.0
    choosable: bool = True
    """False for a text that passes without being an answer (`autoif.gate`), or that isn't accepted strictly."""
    rejectable: bool = True
    """False for a text that isn't refused strictly."""

    @property
    def pass_rate(self) -> Fraction:
        return compute_least_rate(self.verdicts)


def instruction_pairs(
    instructions: Iterable[VerifiedInstruction],
    settings: Preferences,
    strictness: Strictness | None = None,
    *,
    gate: bool = False,
) -> Iterator[PreferenceRow]:
    """Yield the pairs from the cases of each instruction. With `gate`, a case that is no answer is never chosen."""
    for verified in instructions:
        prompt = (Turn(role="user", content=verified.instruction.text),)
        constraints = (constraint_of(verified),)
        cases = _list_cases(verified, strictness)
        if gate:
            cases = [
                replace(case, choosable=case.choosable and find_fault(case.text, verified.instruction.text) is None)
                for case in cases
            ]
        for pair in pair_candidates(cases, settings):
            yield make_pair(prompt, constraints, pair, level="instruction")


def query_pairs(
    prompts: Iterable[Prompt],
    verified: Iterable[Response],
    scored: Iterable[Response],
    settings: Preferences,
    strictness: Strictness | None = None,
) -> Iterator[PreferenceRow]:
    """Yield the pairs from the responses to each prompt, in the order of the prompts.

    `verified` are all responses with verdicts, `scored` those that passed quality verification, if there is one.
    """
    quality = {response.id: response.quality.mean if response.quality else -1.0 for response in scored}
    candidates: dict[str, list[Candidate]] = defaultdict(list)
    for response in verified:
        if not response.verdicts:
            continue
        found = _judge(response.text, response.verdicts, response.prompt.constraints, strictness)
        found = replace(found, quality=quality.get(response.id, -1.0))
        if not settings.scored_only or response.id in quality or meets(found.pass_rate, settings.negative):
            candidates[response.prompt.id].append(found)
    for prompt in prompts:
        asked = (Turn(role="user", content=prompt.text),)
        constraints = tuple(map(constraint_of, prompt.constraints))
        for pair in pair_candidates(candidates[prompt.id], settings):
            yield make_pair(asked, constraints, pair, level="query", query_id=prompt.query.id)


def _list_cases(verified: VerifiedInstruction, strictness: Strictness | None) -> list[Candidate]:
    """Return the inputs of the writer's cases, with the verdicts of the kept functions.

    The judge's cases are probes, which show what functions do and are nothing to learn from.
    """
    rows = [verified.matrix.verdicts[place] for place in verified.kept_functions]
    return [
        _judge(case.input, tuple(row[column] for row in rows), (verified,), strictness)
        for column, case in enumerate(verified.matrix.cases)
        if case.origin == "writer"
    ]


def _judge(
    text: str, verdicts: Verdicts, constraints: Sequence[VerifiedInstruction], strictness: Strictness | None
) -> Candidate:
    return Candidate(
        text,
        tuple(split_verdicts(verdicts, constraints)),
        choosable=strictness is None or strictness.accepts(constraints, verdicts),
        rejectable=strictness is None or strictness.refuses(constraints, verdicts, text),
    )


def pair_candidates(candidates: Sequence[Candidate], settings: Preferences) -> Iterator[tuple[Candidate, Candidate]]:
    """Yield the best positives paired with the first negatives; no text is used twice on one side."""
    unique = list({candidate.text: candidate for candidate in reversed(candidates) if candidate.text.strip()}.values())
    unique.reverse()
    positives = [
        candidate for candidate in unique if candidate.choosable and meets(candidate.pass_rate, settings.positive)
    ]
    positives.sort(key=lambda candidate: (candidate.pass_rate, candidate.quality), reverse=True)
    negatives = [
        candidate for candidate in unique if candidate.rejectable and meets(candidate.pass_rate, settings.negative)
    ]
    yield from product(positives[: settings.positives_per_prompt], negatives[: settings.negatives_per_prompt])


def make_pair(
    prompt: Sequence[Turn],
    constraints: Sequence[Constraint],
    pair: tuple[Candidate, Candidate],
    *,
    level: Literal["instruction", "query"],
    query_id: str = "",
) -> PreferenceRow:
    """Return a pair of (chosen, rejected); `prompt` is a conversation up to the assistant's turn."""
    chosen, rejected = pair
    compared = [
        ComparedConstraint(**dict(each), chosen_verdicts=of_chosen, rejected_verdicts=of_rejected)
        for each, of_chosen, of_rejected in zip(constraints, chosen.verdicts, rejected.verdicts, strict=True)
    ]
    return PreferenceRow(
        prompt=tuple(prompt),
        chosen=(Turn(role="assistant", content=chosen.text),),
        rejected=(Turn(role="assistant", content=rejected.text),),
        level=level,
        constraints=tuple(compared),
        chosen_pass_rate=round(float(chosen.pass_rate), 4),
        rejected_pass_rate=round(float(rejected.pass_rate), 4),
        query_id=query_id,
    )
