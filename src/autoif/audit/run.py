"""The audit of a run, which `autoif audit` writes to audit.json and prints.

    audit = audit_run(Path("runs/first"), SandboxSettings(), gold="gold.jsonl")

To add a part, write a function that makes a record from the material, and add a field to `Audit`, a call in `_measure`,
and lines in report/audit.py.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from autoif.audit.agreement import AgreementAudit, measure_agreement, measure_shared_errors
from autoif.audit.calibration import ScoreAudit, measure_calibration, score_instructions
from autoif.audit.consequences import Consequences, measure_consequences
from autoif.audit.findings import FindingsAudit, compare_with_gold, sum_up_findings
from autoif.audit.functions import audit_functions
from autoif.audit.gold import Gold, describe_missing, read_gold
from autoif.audit.material import Material, read_material
from autoif.audit.observed import observe
from autoif.audit.official_gold import make_official_gold
from autoif.audit.rates import InstructionRates, LevelRates, measure, sum_up
from autoif.audit.second_author import SecondAuthor, compare_authors
from autoif.benchmark_wordings import TITLES
from autoif.errors import ConfigError, StoreError
from autoif.messages import Say
from autoif.probes import load_probes
from autoif.reading.text_lines import expand_home
from autoif.records import Record
from autoif.runs.contents import read_audit
from autoif.runs.store import AUDIT
from autoif.runs.whole_files import storage_errors, write_json
from autoif.sandbox import Sandbox, SandboxSettings
from autoif.view.precision import ReviewedPrecision
from autoif.view.queue import read_reviewed_precision

LONGEST_CALL_S = 20.0
"""Time limit of one function for all its texts, so that one that hangs on each doesn't take an hour. The texts that are
left over count as timeouts."""
DATA_VARIABLE = "AUTOIF_DATA"
"""Environment variable with the folder of recorded responses."""


class GoldAudit(Record):
    """Functions and data against gold."""

    name: str
    """Name of the file, or of the benchmark."""
    rows: int
    levels: tuple[LevelRates, ...]
    """Means over instructions, by group and level."""
    consequences: Consequences
    instructions: tuple[InstructionRates, ...]
    """By group of gold."""


class Audit(Record):
    """audit.json: how right a run's functions are."""

    run_status: str
    """The run's status in run.json."""
    sandbox: str
    instructions: int
    """Instructions that functions were written for."""
    functions: int
    kept_instructions: int
    kept_functions: int
    """Functions that are left after back-translation."""
    notes: tuple[str, ...]
    """Notes on the figures, a line each."""
    findings: FindingsAudit
    agreement: AgreementAudit
    scores: ScoreAudit
    reviewed: ReviewedPrecision | None = None
    """The share of functions that are right, estimated from reviewers' decisions; None if they decided on none."""
    second: SecondAuthor | None = None
    """Comparison with the functions of another run, if one was named."""
    gold: GoldAudit | None = None

    def __repr__(self) -> str:
        """Return the tables of `autoif audit`."""
        from autoif.report.audit import print_audit
        from autoif.report.terminal import print_to_text

        return print_to_text(partial(print_audit, self))

    __str__ = __repr__


def audit_run(
    run: Path,
    settings: SandboxSettings,
    gold: str | Path | None = None,
    second: Path | None = None,
    data: Path | None = None,
    watch: Say = lambda step: None,
) -> Audit:
    """Measure a run's functions, write audit.json into its folder, and return it.

    Args:
        run: the run's folder.
        settings: of the sandbox.
        gold: a file of rows {"instruction", "response", "followed"}, or "ifeval" or "ifbench"; None for no gold.
        second: the folder of a run whose functions another model wrote for the same instructions.
        data: the folder of recorded responses for ifeval and ifbench; by default the one that `AUTOIF_DATA` names.
        watch: called with a description of each step.

    Raises:
        ConfigError: gold isn't available, or gold or the second run is about other instructions.
        StoreError: the run can't be read or has no functions yet, or audit.json can't be written.
        SandboxError: functions can't be contained on this machine.
    """
    if data and str(gold).lower() not in TITLES:
        raise ConfigError(f"{data} is for gold of {' or '.join(TITLES)} alone: name one of these, or leave --data out")
    material = read_material(run)
    if not os.access(run, os.W_OK) or (run / AUDIT).is_dir():
        raise StoreError(f"{run / AUDIT} can't be written: make the folder writable, or audit a copy of it")
    unfinished = [] if material.status == "complete" else [f"the run is {material.status}: this is what it has so far"]
    notes = [*unfinished, *_describe_replaced(run, gold, second)]
    known = None if gold is None else _find_gold(gold, data, material, watch)
    if known:
        notes += [*known.notes, *describe_missing(known, [each.instruction.text for each in material.instructions])]
    with settings.make_sandbox(total_s=LONGEST_CALL_S) as sandbox:
        compared = compare_authors(material, second, sandbox) if second else None
        found = _measure(material, sandbox, known, notes, watch).model_copy(update={"second": compared})
    with storage_errors(run):
        write_json(run / AUDIT, found)
    return found


def _find_gold(gold: str | Path, data: Path | None, material: Material, watch: Say) -> Gold:
    benchmark = next((each for each in TITLES if each == str(gold).lower()), None)
    if benchmark is None:
        return read_gold(expand_home(gold))
    named = data or (Path(variable) if (variable := os.environ.get(DATA_VARIABLE)) else None)
    if named is None:
        raise ConfigError(
            f"gold of {gold} needs recorded responses: name their folder by --data, or by the variable {DATA_VARIABLE}"
        )
    if not named.is_dir():
        raise ConfigError(f"{named} is no folder of recorded responses")
    watch(f"the checkers of {TITLES[benchmark]}")
    return make_official_gold(benchmark, named, material)


def _measure(material: Material, sandbox: Sandbox, gold: Gold | None, notes: list[str], watch: Say) -> Audit:
    total = len(material.instructions)
    watch(f"0 of {total:,} instructions")
    observed = observe(material.instructions, sandbox, lambda done: watch(f"{done:,} of {total:,} instructions"))
    agreement, scores = measure_agreement(observed), score_instructions(observed)
    watch("what becomes of changed functions")
    findings = sum_up_findings(audit_functions(observed, sandbox), len(load_probes()))
    against = _measure_gold(material, sandbox, gold) if gold else None
    if gold and against:
        findings = findings.model_copy(update={"against_gold": compare_with_gold(findings, against.instructions)})
        shared = measure_shared_errors(material, gold, sandbox)
        agreement = agreement.model_copy(update={"shared_errors": shared})
        notes += describe_timeouts(against.instructions)
        calibration = measure_calibration(scores, against.instructions)
        scores = scores.model_copy(update={"calibration": calibration})
    kept = [each for each in material.instructions if each.back_translated]
    return Audit(
        run_status=material.status,
        sandbox=sandbox.describe(),
        instructions=total,
        functions=material.functions,
        kept_instructions=len(kept),
        kept_functions=sum(len(each.back_translated) for each in kept),
        notes=tuple(notes),
        findings=findings,
        agreement=agreement,
        scores=scores,
        reviewed=read_reviewed_precision(material.run, scores.by_function),
        gold=against,
    )


def _measure_gold(material: Material, sandbox: Sandbox, gold: Gold) -> GoldAudit:
    found = measure(material, gold, sandbox)
    return GoldAudit(
        name=gold.name,
        rows=gold.rows,
        levels=tuple(sum_up(found)),
        consequences=measure_consequences(material, gold),
        instructions=tuple(found),
    )


def describe_timeouts(rates: Sequence[InstructionRates]) -> list[str]:
    """Return a note on the verdicts on gold that are missing because of the time limit, if there are any."""
    slow = [each for one in rates for each in one.functions if each.out_of_time]
    if not slow:
        return []
    return [
        f"of gold {sum(each.out_of_time for each in slow):,} verdicts count as refused as {len(slow):,} "
        f"functions met the limit of time, {LONGEST_CALL_S:.0f} s for one function on all of gold: is it too long?"
    ]


def _describe_replaced(run: Path, gold: str | Path | None, second: Path | None) -> list[str]:
    """Return a note on the figures in the present audit.json that this audit replaces without measuring them again."""
    try:
        before = read_audit(run) or {}
    except StoreError:  # damaged, and now replaced
        return []
    lost = [
        option for option, given in {"gold": gold, "second": second}.items() if given is None and before.get(option)
    ]
    named = " and ".join(f"--{option}" for option in lost)
    return [f"{AUDIT} had figures by {named} and has none now: one audit takes both options"] if lost else []
