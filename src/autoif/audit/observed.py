"""Runs each function of a run once on all texts of the audit.

The texts are the cases of its instruction, answers to it and to others, probes, and variants of these and of the
instruction's words (`autoif.faults`). Findings, agreement and scores all come from these verdicts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from autoif.audit.material import WrittenInstruction
from autoif.faults.probing import ProbingTexts, make_probing_texts
from autoif.records import Response, Verdict
from autoif.sandbox import Sandbox

MOST_ANSWERS = 64
"""Most answers to its own instruction, and to other instructions, that a function runs on."""
_AT_ONCE = 16
"""Instructions in a batch: enough to keep all workers busy, and few enough to show progress."""


@dataclass(frozen=True)
class Observed:
    """An instruction with the verdicts of its functions."""

    written: WrittenInstruction
    texts: ProbingTexts
    verdicts: Sequence[Sequence[Verdict]]
    """Verdicts on `texts.all`, shape (functions, texts)."""

    @cached_property
    def by_text(self) -> list[dict[str, Verdict]]:
        """The verdicts of each function by text."""
        return [dict(zip(self.texts.all, row, strict=True)) for row in self.verdicts]


def observe(
    instructions: Sequence[WrittenInstruction], sandbox: Sandbox, watch: Callable[[int], None] = lambda done: None
) -> list[Observed]:
    """Run all functions of each instruction. A function that times out on one text gets no further ones.

    Args:
        instructions: what to run.
        sandbox: where to run it.
        watch: called with the number of instructions done so far.

    Raises:
        SandboxError: functions can't be contained on this machine.
    """
    answers = {each.instruction.id: _list_answers(each) for each in instructions}
    texts = {name: list(dict.fromkeys(each.text for each in found)) for name, found in answers.items()}
    found: list[Observed] = []
    for at in range(0, len(instructions), _AT_ONCE):
        part = [(written, _make_texts(written, texts)) for written in instructions[at : at + _AT_ONCE]]
        judged = iter(
            sandbox.run_many_sync(
                [(source, tried.all) for written, tried in part for source in written.sources], until_timeout=True
            )
        )
        found += [
            Observed(written, tried, [[outcome.verdict for outcome in next(judged)] for _ in written.sources])
            for written, tried in part
        ]
        watch(len(found))
    return found


def _list_answers(written: WrittenInstruction) -> list[Response]:
    """Return the first answers to the instruction alone: one to several at once is an answer to others, too."""
    return [each for each in written.responses if len(each.prompt.constraints) < 2][:MOST_ANSWERS]


def _make_texts(written: WrittenInstruction, answers: dict[str, list[str]]) -> ProbingTexts:
    """Return the texts for an instruction; its answers to others are drawn from each of these alike."""
    others = [texts for name, texts in answers.items() if name != written.instruction.id and texts]
    each = -(-MOST_ANSWERS // max(len(others), 1))
    drawn = [text for texts in others for text in texts[:each]][:MOST_ANSWERS]
    best = sorted(_list_answers(written), key=lambda response: -response.pass_rate)
    own = list(dict.fromkeys(response.text for response in best))
    return make_probing_texts(written.instruction.text, written.matrix.cases, own, drawn)
