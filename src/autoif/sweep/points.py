"""What a run would give with other thresholds: instructions, rows, pairs and precision at each point of a sweep.

    sweep = sweep_run(Path("runs/first"), ["cross_validation.function_agreement=0.5:1.0:0.1"])
    sweep.points[0].sft

The stages' own rules judge (`replay.py`), so the figures are those of a run with these settings over the same answers.
Answers that a point needs but the run never asked for are counted and left out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from pydantic import JsonValue

from autoif.errors import ConfigError
from autoif.records import Reason, Record, VerifiedInstruction
from autoif.runs.contents import list_scores, naming_damaged_audit, read_audit
from autoif.runs.counts import count_rows
from autoif.runs.store import DATA_SETS, PREFERENCES, REJECTION_SAMPLING, REWARDS, SFT
from autoif.sweep.replay import JudgedRun, Replay, StoredVerdicts
from autoif.sweep.settings import Point, apply_point, find_idle, make_points
from autoif.sweep.stored import StoredRun, read_stored
from autoif.together import run_to_end

FIRST_STEP = ("cross_validation", "contrast", "back_translation")
"""Settings sections without effect in a run that began with verified instructions."""


class Precision(Record):
    """Of the gold responses that the remaining functions accept, the share that follows the instruction."""

    value: float
    """Percent; the mean over instructions."""
    low: float | None
    """End of the 95 % interval; None if there are too few instructions for one."""
    high: float | None
    instructions: int
    """How many instructions gold covers."""

    def describe(self) -> str:
        """Return the value with its interval, as in "83.3 [70, 96]"."""
        ends = "" if self.low is None or self.high is None else f" [{self.low:.0f}, {self.high:.0f}]"
        return f"{self.value:.1f}{ends}"


class SweepPoint(Record):
    """What one combination of settings gives."""

    settings: dict[str, JsonValue]
    """The swept settings; empty for the run's own."""
    instructions: int
    functions: int
    """How many functions judge responses."""
    accepted: int
    """Responses that the functions accept."""
    sft: int
    preferences: int
    rewards: int
    unasked: dict[str, int]
    """Upper bound, by stage, of the answers that this point needs but the run never asked for."""
    unknown_instructions: int
    """Instructions that depend on such answers."""
    unknown_responses: int
    """Responses that depend on such answers."""
    changed: int
    """Instructions with other functions than in the run; a new run would draw other responses to them."""
    precision: Precision | None = None
    """None if there is no audit.json with gold."""
    score: float | None = None
    """Probability that functions are right, 0 to 1, as the mean over instructions; None if audit.json has no scores."""


class Sweep(Record):
    """A run judged at all points of a grid."""

    run: str
    """The name of its folder."""
    status: str
    keys: tuple[str, ...]
    """The swept settings."""
    sampled: bool
    """Whether the run has responses; without them no point has rows."""
    own: SweepPoint
    """The point of the run's own settings."""
    points: tuple[SweepPoint, ...]
    notes: tuple[str, ...]
    """Remarks on the figures, one line each."""


def sweep_run(run: Path, sweeps: Sequence[str]) -> Sweep:
    """Judge a run at each point of the grid that the `KEY=VALUES` sweeps name, without a model.

    Raises ConfigError: a setting can't be swept, or can't have such a value.
    """
    stored = read_stored(run)
    return run_to_end(_sweep(stored, check_points(stored, sweeps)))


_SWEEPS: Final[Mapping[str, str]] = {
    "cases": "cross_validation.function_agreement=0.5:1:0.1",
    "majority": "cross_validation.majority=0.5:1:0.1",
    "score": "cross_validation.sure_score=0.5:0.9:0.1",
}
"""The usual sweep, by what chose the functions."""


@dataclass(frozen=True, slots=True)
class UsualSweeps:
    """The thresholds that matter most, for a report."""

    sweeps: tuple[Sweep, ...]
    """One threshold each."""
    left_out: tuple[str, ...]
    """Sweeps that take long because functions have to run again, as `autoif replay --sweep` takes them."""


def sweep_usual(run: Path) -> UsualSweeps:
    """Sweep the usual thresholds of a run, as far as its stored verdicts suffice. If pairs are strict, functions run on
    variants of rejected texts, which takes seconds. Raises as `sweep_run` does."""
    stored = read_stored(run)
    config = stored.config
    quick, slow = list[str](), list[str]()
    if not stored.begun_verified:
        choosing = config.cross_validation
        runs_functions = choosing.choose_by == "majority" or choosing.two_sided or choosing.looks_at_functions
        chosen = "contrast.lift=0:0.5:0.1" if config.contrast.enabled else _SWEEPS[choosing.choose_by]
        (slow if runs_functions else quick).append(chosen)
    if stored.samples:
        quick.append("rejection_sampling.pass_rate=0.5:1:0.1")
        quick += ["scoring.mean=5:10:1"] if config.scoring.enabled else []
    if config.deduplication.behaviour or config.rewards.balanced or config.rewards.reliability:
        quick, slow = [], [*slow, *quick]
    sweeps = tuple(run_to_end(_sweep(stored, check_points(stored, [each]))) for each in quick)
    return UsualSweeps(sweeps, tuple(slow))


def check_points(run: StoredRun, sweeps: Sequence[str]) -> list[Point]:
    """Return the points of the sweeps. Raises ConfigError: a setting can't be swept in this run."""
    points = make_points(run.config, sweeps)
    for key in points[0]:
        section = key.partition(".")[0]
        if run.begun_verified and section in FIRST_STEP:
            raise ConfigError(
                f"{key} can't be swept: {run.path} began with instructions that another run had verified; sweep that "
                "run"
            )
        if not run.samples and section not in FIRST_STEP:
            raise ConfigError(f"{key} can't be swept: {run.path} has no responses yet; run the same command to the end")
    return points


async def _sweep(run: StoredRun, points: Sequence[Point]) -> Sweep:
    audited, notes = _read_audit(run.path)
    async with StoredVerdicts(run.known, run.config.sandbox) as verdicts:
        replay = Replay(run, verdicts)
        judged = await replay.judge(run.config)
        first = {each.instruction.id: each.id for each in judged.verified}
        own = _describe_point({}, judged, first, audited)
        found = [
            _describe_point(point, await replay.judge(apply_point(run.config, point)), first, audited)
            for point in points
        ]
    return Sweep(
        run=run.path.resolve().name,
        status=run.status,
        keys=tuple(points[0]),
        sampled=run.samples,
        own=own,
        points=tuple(found),
        notes=tuple(
            filter(None, [*_describe_run(run, own), *notes, find_idle(run.config, points[0]), *_describe_points(found)])
        ),
    )


def _describe_point(point: Point, judged: JudgedRun, first: Mapping[str, str], audited: "_Audited") -> SweepPoint:
    verified = judged.verified
    rows = Counter(name for name, _ in judged.data.rows())
    dropped = [each for results in judged.stages.values() for result in results for each in result.dropped]
    unknown = [each for each in dropped if each.reason is Reason.NEVER_ASKED]
    responses = sum(each.stage in ("rejection_sampling", "scoring") for each in unknown)
    return SweepPoint(
        settings=dict(point),
        instructions=len(verified),
        functions=sum(len(each.kept_functions) for each in verified),
        accepted=sum(len(result.kept) for result in judged.stages[REJECTION_SAMPLING]),
        sft=rows[SFT],
        preferences=rows[PREFERENCES],
        rewards=rows[REWARDS],
        unasked=dict(sorted(judged.unasked.items())),
        unknown_instructions=len(unknown) - responses,
        unknown_responses=responses,
        changed=sum(first.get(each.instruction.id, each.id) != each.id for each in verified),
        precision=audited.measure_precision(verified),
        score=audited.average_scores(verified),
    )


def _describe_run(run: StoredRun, own: SweepPoint) -> list[str]:
    """Return remarks on the run itself."""
    if run.status != "complete":
        return [f"the run is {run.status}: only its finished shards count"]
    counted = {"sft.jsonl": own.sft, "preferences.jsonl": own.preferences, "rewards.jsonl": own.rewards}
    return [
        f"{name} has {rows:,} rows, and the run's own settings give {counted[name]:,} of the stored verdicts: it was "
        "made by another version, changed, or reviewed since"
        for name, rows in count_rows(run.path, DATA_SETS).items()
        if rows != counted[name]
    ]


def _describe_points(points: Sequence[SweepPoint]) -> list[str]:
    """Return remarks on the figures of the points."""
    notes = []
    if any(point.unasked for point in points):
        asked = Counter[str]()
        for point in points:
            asked |= Counter(point.unasked)
        listed = ", ".join(f"{stage} {count:,}" for stage, count in sorted(asked.items()))
        notes.append(
            f"some points need answers that the run never asked for (at most: {listed}): what hangs on them is not in "
            "the figures"
        )
    if changed := max((point.changed for point in points), default=0):
        notes.append(
            f"up to {changed:,} instructions keep other functions than in the run: a run of its own would draw other "
            "responses to the same prompts"
        )
    return notes


@dataclass(frozen=True, slots=True)
class _Audited:
    """What audit.json tells about functions."""

    rates: Sequence[Any] = ()
    """The `InstructionRates` of one group of gold."""
    scores: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """By ids of instruction and function."""

    def measure_precision(self, verified: Sequence[VerifiedInstruction]) -> Precision | None:
        """Return the precision of the remaining functions; None if unknown."""
        if not self.rates:
            return None
        from autoif.audit.rates import Level  # here, as it needs the extra of audits
        from autoif.evaluation.statistics import estimate_rate

        kept = {each.instruction.id: {function.id for function in each.functions} for each in verified}
        values = {}
        for each in self.rates:
            left = kept.get(each.instruction_id, set())
            functions = tuple(one.model_copy(update={"back_translated": one.id in left}) for one in each.functions)
            counts = each.model_copy(update={"functions": functions}).count(Level.BACK_TRANSLATED)
            if counts and counts.precision is not None:
                values[each.instruction_id] = counts.precision
        if not values:
            return None
        found = estimate_rate(list(values.values()), list(values))
        return Precision(value=found.value, low=found.low, high=found.high, instructions=len(values))

    def average_scores(self, verified: Sequence[VerifiedInstruction]) -> float | None:
        """Return the mean score of the remaining instructions; None if unknown."""
        known = [
            [
                self.scores[each.instruction.id, one.id]
                for one in each.functions
                if (each.instruction.id, one.id) in self.scores
            ]
            for each in verified
        ]
        found = [fmean(each) for each in known if each]
        return round(fmean(found), 4) if found else None


def _read_audit(run: Path) -> tuple[_Audited, list[str]]:
    """Return the content of audit.json, and remarks on it."""
    audit = read_audit(run)
    if audit is None:
        return _Audited(), [f"how right the functions are is not known: `autoif audit {run} --gold GOLD` measures it"]
    try:
        from autoif.audit.rates import InstructionRates
    except ImportError as error:
        return _Audited(), [f"audit.json is not read: that needs {error.name}: pip install 'autoif[eval]'"]
    with naming_damaged_audit(run):
        gold = audit.get("gold") or {"instructions": []}
        rates = [InstructionRates.model_validate(each) for each in gold["instructions"]]
        group = rates[0].group if rates else ""
        return _Audited([each for each in rates if each.group == group], list_scores(audit)), []
