"""How often functions are right, against gold: rates for each instruction, and their means with intervals.

    TPR = responses that follow and are accepted / that follow           FNR = 1 - TPR
    TNR = responses that don't follow and are refused / that don't       FPR = 1 - TNR
    precision = responses that follow and are accepted / accepted        J = TPR + TNR - 1

Any verdict other than `pass` refuses. Rates are measured at four levels: for the functions as written, for those that
cross-validation kept, for those that back-translation kept (at these three, the verdicts of an instruction's functions
are added up), and for the last together, by the share of functions at which the run accepts a response.

Means are over instructions, with equal weight; one without responses that follow is left out of the mean TPR, and so
on. The bootstrap resamples instructions. `pooled` counts all responses together. Rates are percentages.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

from autoif.audit.gold import Gold
from autoif.audit.material import Material, WrittenInstruction
from autoif.evaluation.statistics import Interval, bootstrap_strata, estimate_rate
from autoif.judging import Row, Verdicts, compute_pass_rate, judge
from autoif.records import Record, Verdict
from autoif.sandbox import Sandbox
from autoif.thresholds import Threshold, meets

GOOD = 90.0
"""Functions with at least this TPR and TNR, in percent, count as right."""


class Level(StrEnum):
    """Which functions are measured."""

    WRITTEN = "as_written"
    CROSS_VALIDATED = "after_cross_validation"
    BACK_TRANSLATED = "after_back_translation"
    MAJORITY = "majority"
    """The functions after back-translation, judging together."""


class VerdictCounts(Record):
    """Verdicts against gold."""

    true_positives: int = 0
    false_positives: int = 0
    true_negatives: int = 0
    false_negatives: int = 0

    @property
    def tpr(self) -> float | None:
        return _percent(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def fpr(self) -> float | None:
        return _percent(self.false_positives, self.false_positives + self.true_negatives)

    @property
    def tnr(self) -> float | None:
        return _percent(self.true_negatives, self.false_positives + self.true_negatives)

    @property
    def fnr(self) -> float | None:
        return _percent(self.false_negatives, self.true_positives + self.false_negatives)

    @property
    def precision(self) -> float | None:
        return _percent(self.true_positives, self.true_positives + self.false_positives)

    @property
    def j(self) -> float | None:
        """Youden's J: 100 is always right, 0 no better than one verdict for everything."""
        return None if self.tpr is None or self.tnr is None else self.tpr + self.tnr - 100

    @property
    def is_right(self) -> bool:
        """Whether TPR and TNR are both known and at least `GOOD`."""
        return min(-1.0 if rate is None else rate for rate in (self.tpr, self.tnr)) >= GOOD

    @property
    def refuses_all(self) -> bool:
        """Whether every response that follows is refused, and there is one."""
        return self.false_negatives > 0 and not self.true_positives


class FunctionRates(Record):
    """One function against gold."""

    id: str
    cross_validated: bool
    """Whether cross-validation kept it."""
    back_translated: bool
    """Whether it judges the run's responses."""
    counts: VerdictCounts
    out_of_time: int = 0
    """Responses without a verdict because of the time limit: they count as refused."""


class InstructionRates(Record):
    """One instruction's functions against one group of gold."""

    instruction_id: str
    instruction: str
    dropped: str
    """Why the run dropped the instruction; "" if it kept it."""
    group: str
    followed: int
    """Responses of gold that follow the instruction."""
    not_followed: int
    functions: tuple[FunctionRates, ...]
    majority: VerdictCounts | None
    """Of the functions after back-translation together; None if none is left."""

    def count(self, level: Level) -> VerdictCounts | None:
        """Return the counts of a level's functions, added up; None if it has no function."""
        if level is Level.MAJORITY:
            return self.majority
        chosen = [each.counts for each in self.choose(level)]
        return add_up(chosen) if chosen else None

    def choose(self, level: Level) -> list[FunctionRates]:
        """Return the functions that are left at a level."""
        if level is Level.WRITTEN:
            return list(self.functions)
        if level is Level.CROSS_VALIDATED:
            return [each for each in self.functions if each.cross_validated]
        return [each for each in self.functions if each.back_translated]


class LevelRates(Record):
    """The functions of all instructions at one level against one group of gold; means over instructions."""

    level: Level
    group: str
    instructions: int
    """Instructions that have functions at this level."""
    functions: int
    tpr: Interval | None
    """None if no instruction has responses that follow; likewise below."""
    fpr: Interval | None
    tnr: Interval | None
    fnr: Interval | None
    precision: Interval | None
    j: Interval | None
    """-100 to 100."""
    right: int
    """Instructions with TPR and TNR of `GOOD` or more."""
    right_functions: int
    refuse_all: int
    """Instructions whose functions refuse every response that follows."""
    pooled: VerdictCounts


def measure(material: Material, gold: Gold, sandbox: Sandbox) -> list[InstructionRates]:
    """Run the functions of every instruction that has gold on gold's responses, and return their rates.

    Raises:
        SandboxError: functions can't be contained on this machine.
    """
    asked = [
        (written, group, labels)
        for written in material.instructions
        if written.functions
        for group, labels in gold.of(written.instruction.text).items()
    ]
    rows: list[Row] = [(written.sources, text) for written, _, labels in asked for text in labels]
    verdicts = iter(judge(rows, sandbox))
    return [
        rate_instruction(written, group, labels, [next(verdicts) for _ in labels], material.pass_rate)
        for written, group, labels in asked
    ]


def rate_instruction(
    written: WrittenInstruction,
    group: str,
    labels: Mapping[str, bool],
    verdicts: Sequence[Verdicts],
    accepted: Threshold,
) -> InstructionRates:
    """Return the rates of an instruction's functions.

    Args:
        written: the instruction.
        group: the group of gold.
        labels: whether each response follows.
        verdicts: of all functions on each response, shape (responses, functions).
        accepted: the share of functions that must accept a response for the functions together to accept it.
    """
    followed = list(labels.values())
    functions = tuple(
        FunctionRates(
            id=function.id,
            cross_validated=place in written.cross_validated,
            back_translated=place in written.back_translated,
            counts=count_verdicts(followed, [row[place] is Verdict.PASS for row in verdicts]),
            out_of_time=sum(row[place] is Verdict.TIMEOUT for row in verdicts),
        )
        for place, function in enumerate(written.functions)
    )
    kept = written.back_translated
    together = [meets(compute_pass_rate([row[place] for place in kept]), accepted) for row in verdicts]
    return InstructionRates(
        instruction_id=written.instruction.id,
        instruction=written.instruction.text,
        dropped=written.dropped,
        group=group,
        followed=sum(followed),
        not_followed=len(followed) - sum(followed),
        functions=functions,
        majority=count_verdicts(followed, together) if kept else None,
    )


def count_verdicts(followed: Sequence[bool], accepted: Sequence[bool]) -> VerdictCounts:
    """Count verdicts against gold, response by response."""
    found = Counter(zip(followed, accepted, strict=True))
    return VerdictCounts(
        true_positives=found[True, True],
        false_positives=found[False, True],
        true_negatives=found[False, False],
        false_negatives=found[True, False],
    )


def add_up(counts: Iterable[VerdictCounts]) -> VerdictCounts:
    listed = list(counts)
    return VerdictCounts(**{name: sum(getattr(each, name) for each in listed) for name in VerdictCounts.model_fields})


def sum_up(found: Sequence[InstructionRates]) -> list[LevelRates]:
    """Return the means of each group of gold at each level, in the order of gold."""
    groups = dict.fromkeys(each.group for each in found)
    return [
        _sum_up_level([each for each in found if each.group == group], level, group)
        for group in groups
        for level in Level
    ]


def _sum_up_level(found: Sequence[InstructionRates], level: Level, group: str) -> LevelRates:
    counted = {each.instruction_id: counts for each in found if (counts := each.count(level)) is not None}
    chosen = [function.counts for each in found for function in each.choose(level)]

    def mean(rate: Callable[[VerdictCounts], float | None], estimate: Callable[..., Interval]) -> Interval | None:
        values = {name: value for name, counts in counted.items() if (value := rate(counts)) is not None}
        return estimate(list(values.values()), list(values)) if values else None

    return LevelRates(
        level=level,
        group=group,
        instructions=len(counted),
        functions=len(chosen),
        tpr=mean(lambda each: each.tpr, estimate_rate),
        fpr=mean(lambda each: each.fpr, estimate_rate),
        tnr=mean(lambda each: each.tnr, estimate_rate),
        fnr=mean(lambda each: each.fnr, estimate_rate),
        precision=mean(lambda each: each.precision, estimate_rate),
        j=mean(lambda each: each.j, lambda values, names: bootstrap_strata([(values, names)], bounds=(-100, 100))),
        right=sum(each.is_right for each in counted.values()),
        right_functions=sum(each.is_right for each in chosen),
        refuse_all=sum(each.refuses_all for each in counted.values()),
        pooled=add_up(counted.values()),
    )


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
