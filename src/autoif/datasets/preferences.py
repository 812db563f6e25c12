"""§3.4, pairs for DPO: TRL's conversational form.

    instruction level   prompt: the instruction; chosen: a case's input that > 0.5 of the functions accept; rejected:
                        one that none of them accepts
    query level         prompt: query + instruction; chosen: a response with pass rate > 0.5; rejected: one with 0

A blank text is no answer, even where a function accepts it: it is neither chosen nor rejected. Of several candidates
the best is chosen: by pass rate, then by quality, then by order.

# Deviation: the paper says nothing of blank texts and of quality here; the released code draws its pairs at random
# (docs/method.md#preferences).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from pydantic import JsonValue

from autoif.config import Preferences
from autoif.records import Prompt, Response, Verdict, VerifiedInstruction
from autoif.thresholds import meets, share

Row = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may be chosen or rejected; `quality` is -1 where nobody scored it."""

    text: str
    pass_rate: Fraction
    quality: float = -1.0
    choosable: bool = True
    """False for what passes functions without being an answer (`autoif.gate`)."""


def instruction_pairs(instructions: Iterable[VerifiedInstruction], settings: Preferences) -> Iterator[Row]:
    """Yield the pairs that the cases of each instruction give."""
    for verified in instructions:
        for chosen, rejected in pair_candidates(_case_candidates(verified), settings):
            yield {
                **make_pair(_ask(verified.instruction.text), chosen, rejected),
                "level": "instruction",
                "instruction_id": verified.instruction.id,
                "query_id": "",
                "functions": [function.source for function in verified.functions],
            }


def query_pairs(
    prompts: Iterable[Prompt], verified: Iterable[Response], scored: Iterable[Response], settings: Preferences
) -> Iterator[Row]:
    """Yield the pairs that the responses of each prompt give, in the order of the prompts.

    Args:
        prompts: the prompts that were sampled.
        verified: all responses with verdicts, whatever became of them later.
        scored: those that also passed quality verification, or all that passed where there is none.
        settings: thresholds and numbers of pairs.
    """
    quality = {response.id: response.quality.mean if response.quality else -1.0 for response in scored}
    candidates: dict[str, list[Candidate]] = defaultdict(list)
    for response in verified:
        if not response.verdicts:
            continue
        rate = share(response.verdicts.count(Verdict.PASS), len(response.verdicts))
        wanted = not settings.scored_only or response.id in quality or meets(rate, settings.negative)
        if wanted:
            candidates[response.prompt.id].append(Candidate(response.text, rate, quality.get(response.id, -1.0)))
    for prompt in prompts:
        for chosen, rejected in pair_candidates(candidates[prompt.id], settings):
            yield {
                **make_pair(_ask(prompt.text), chosen, rejected),
                "level": "query",
                "instruction_id": prompt.instruction.id,
                "query_id": prompt.query.id,
                "functions": [function.source for function in prompt.functions],
            }


def _case_candidates(verified: VerifiedInstruction) -> list[Candidate]:
    """Return every case input with the share of the kept functions that accept it."""
    kept = {function.id for function in verified.functions}
    matrix = verified.matrix
    rows = [row for function, row in zip(matrix.functions, matrix.verdicts, strict=True) if function.id in kept]
    return [
        Candidate(case.input, share(sum(row[column] == Verdict.PASS for row in rows), len(rows)))
        for column, case in enumerate(matrix.cases)
    ]


def pair_candidates(candidates: Sequence[Candidate], settings: Preferences) -> Iterator[tuple[Candidate, Candidate]]:
    """Yield the best positives with the first negatives; a text is used once on each side."""
    unique = list({candidate.text: candidate for candidate in reversed(candidates) if candidate.text.strip()}.values())
    unique.reverse()
    positives = [
        candidate for candidate in unique if candidate.choosable and meets(candidate.pass_rate, settings.positive)
    ]
    positives.sort(key=lambda candidate: (candidate.pass_rate, candidate.quality), reverse=True)
    negatives = [candidate for candidate in unique if meets(candidate.pass_rate, settings.negative)]
    yield from product(positives[: settings.positives_per_prompt], negatives[: settings.negatives_per_prompt])


def make_pair(prompt: Sequence[Mapping[str, str]], chosen: Candidate, rejected: Candidate) -> Row:
    """Return a pair in TRL's form; `prompt` is a conversation up to the assistant's turn."""
    return {
        "prompt": [dict(turn) for turn in prompt],
        "chosen": [{"role": "assistant", "content": chosen.text}],
        "rejected": [{"role": "assistant", "content": rejected.text}],
        "chosen_pass_rate": round(float(chosen.pass_rate), 4),
        "rejected_pass_rate": round(float(rejected.pass_rate), 4),
    }


def _ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]
