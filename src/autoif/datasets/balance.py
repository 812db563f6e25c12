"""Chooses the functions that give rewards in RL, and estimates how reliable they are.

With `rewards.balanced` a row has only the functions of the one behaviour whose J = TPR + TNR - 1 is likely the highest:
in training, wrong refusals and wrong acceptances both cost. Within an instruction J is proportional to the lift
(accepted answers to the instruction less accepted answers to others). Of few answers lift is noisy, so the whole score
ranks them (`autoif.reliability`). With `rewards.reliability` a constraint has the mean score of its functions.

Functions run again in the sandbox, on probes and answers; no model is asked.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from autoif.datasets.rows import Constraint, constraint_of
from autoif.faults.probing import make_probing_texts
from autoif.judging import Runner
from autoif.records import Response, VerifiedInstruction, content_id
from autoif.reliability import DECIMALS, run_patiently, score_functions

MOST_ANSWERS = 64
"""The number of answers to an instruction, and of answers to others, on which its functions run."""


@dataclass(frozen=True, slots=True)
class Balance:
    """The functions that judge the reward rows of one instruction, and their reliability."""

    functions: tuple[int, ...]
    """Indices into the instruction's kept functions."""
    reliability: float

    def describe(self, verified: VerifiedInstruction, *, reliability: bool) -> Constraint:
        """Return the constraint for the rows; `reliability` says whether to include that estimate."""
        whole = constraint_of(verified)
        chosen = tuple(whole.functions[place] for place in self.functions)
        return whole.model_copy(
            update={"functions": chosen, **({"reliability": self.reliability} if reliability else {})}
        )


async def balance_functions(
    instructions: Iterable[VerifiedInstruction],
    responses: Iterable[Response],
    others: Sequence[Response],
    sandbox: Runner,
    *,
    balanced: bool,
) -> dict[str, Balance]:
    """Return the balance of each instruction, by the id of the verified instruction.

    `responses` are all responses to prompts with these instructions; `others` is a sample of all responses of the run,
    drawn by `draw_responses`. Without `balanced`, all functions are kept.
    """
    answers: dict[str, list[Response]] = defaultdict(list)
    for response in responses:
        for verified in response.prompt.constraints:
            answers[verified.id].append(response)
    return {
        verified.id: await _balance(
            verified, draw_responses(answers[verified.id], MOST_ANSWERS), others, sandbox, balanced
        )
        for verified in instructions
    }


def draw_responses(responses: Iterable[Response], count: int = 2 * MOST_ANSWERS) -> list[Response]:
    """Return a sample that depends on the responses alone: not on shards, their order or the engine."""
    return nsmallest(count, responses, key=lambda response: content_id("drawn", response.id))


async def _balance(
    verified: VerifiedInstruction,
    answers: Sequence[Response],
    others: Sequence[Response],
    sandbox: Runner,
    balanced: bool,
) -> Balance:
    foreign = [
        each.text for each in others if all(one.instruction != verified.instruction for one in each.prompt.constraints)
    ]
    drawn = [each.text for each in answers], foreign[:MOST_ANSWERS]
    matrix = verified.matrix
    texts = make_probing_texts(verified.instruction.text, matrix.cases, *(drawn if all(drawn) else ()))
    rows = await run_patiently([function.source for function in matrix.functions], texts.all, sandbox)
    scores = score_functions(texts, rows)
    kept = [round(scores[place], DECIMALS) for place in verified.kept_functions]
    chosen = tuple(place for place, score in enumerate(kept) if score == max(kept) or not balanced)
    return Balance(chosen, round(sum(kept[place] for place in chosen) / len(chosen), DECIMALS))
