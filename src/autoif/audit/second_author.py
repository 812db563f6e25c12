"""Compares a run with a second author: the functions that another model wrote for the same instructions.

The functions of one model err together; another model shares fewer misreadings. Two runs are compared by the majority
of their functions for each instruction: the kept ones, or all if none was kept. The texts are the cases and responses
of both, and the probes. Where the two disagree, one has misread the instruction, and a person has to say which.
"""

from pathlib import Path

from autoif.audit.material import Material, WrittenInstruction, read_material
from autoif.audit.observed import MOST_ANSWERS
from autoif.errors import ConfigError
from autoif.judging import compute_pass_rate, judge
from autoif.probes import load_probes
from autoif.reading.lines import make_key
from autoif.records import Record
from autoif.reliability import DECIMALS
from autoif.runs.manifest import read_identity
from autoif.runs.store import read_manifest
from autoif.sandbox import Sandbox

_SHOWN_TEXTS = 5


class Dispute(Record):
    """A text on which the two majorities disagree."""

    text: str
    accepted: float
    """The share of the run's functions that accept it."""
    accepted_by_second: float


class AuthorComparison(Record):
    """One instruction, read by two authors."""

    instruction_id: str
    instruction: str
    functions: int
    second_functions: int
    texts: int
    disputed: float
    """The share of texts on which the two majorities differ, 0 to 1."""
    disputes: tuple[Dispute, ...]
    """The first five: responses before cases before probes."""


class SecondAuthor(Record):
    """Where the functions of two runs disagree."""

    run: str
    """The other run's folder."""
    writer: str
    second_writer: str
    same_writer: bool
    """Whether both runs name the same writer, so that there is no second author."""
    instructions: tuple[AuthorComparison, ...]
    """The instructions of both runs, the most disputed first."""


def compare_authors(material: Material, other: Path, sandbox: Sandbox) -> SecondAuthor:
    """Return where the functions of two runs disagree on the same texts.

    Raises:
        ConfigError: the runs share no instruction.
        StoreError: the other run can't be read, or has no functions yet.
        SandboxError: functions can't be contained on this machine.
    """
    second = {make_key(each.instruction.text): each for each in read_material(other).instructions}
    pairs = [
        (written, second[key])
        for written in material.instructions
        if (key := make_key(written.instruction.text)) in second and written.functions and second[key].functions
    ]
    if not pairs:
        raise ConfigError(
            f"{other} has functions for none of the run's instructions: make it from the same seeds, with another "
            "models.writer, and with self_instruct.rewrites_per_seed=0 or the same rewrites"
        )
    found = [_compare_instruction(first, again, sandbox) for first, again in pairs]
    writers = [str(read_identity(read_manifest(run)).get("models.writer", "")) for run in (material.run, other)]
    return SecondAuthor(
        run=str(other),
        writer=writers[0],
        second_writer=writers[1],
        same_writer=bool(writers[0]) and writers[0] == writers[1],
        instructions=tuple(sorted(found, key=lambda each: (-each.disputed, each.instruction_id))),
    )


def _compare_instruction(first: WrittenInstruction, second: WrittenInstruction, sandbox: Sandbox) -> AuthorComparison:
    chosen = [[each.sources[place] for place in each.back_translated] or each.sources for each in (first, second)]
    tried = [response.text for each in (first, second) for response in each.responses[:MOST_ANSWERS]]
    tried += [case.input for each in (first, second) for case in each.matrix.cases]
    texts = list(dict.fromkeys([*tried, *load_probes()]))
    rows = judge([(sources, text) for sources in chosen for text in texts], sandbox, until_timeout=True)
    rates = [float(compute_pass_rate(row)) for row in rows]
    shares = rates[: len(texts)], rates[len(texts) :]
    disputes = [
        Dispute(text=text, accepted=round(one, DECIMALS), accepted_by_second=round(two, DECIMALS))
        for text, one, two in zip(texts, *shares, strict=True)
        if (one > 0.5) != (two > 0.5)
    ]
    own = {response.text for each in (first, second) for response in each.responses}
    probes = set(load_probes())
    disputes.sort(key=lambda each: (each.text not in own, each.text in probes))
    return AuthorComparison(
        instruction_id=first.instruction.id,
        instruction=first.instruction.text,
        functions=len(chosen[0]),
        second_functions=len(chosen[1]),
        texts=len(texts),
        disputed=round(len(disputes) / len(texts), DECIMALS),
        disputes=tuple(disputes[:_SHOWN_TEXTS]),
    )
