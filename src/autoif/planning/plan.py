"""From settings and yields to a plan: answers, tokens, hours, dollars and rows, each with a range.

    plan = make_plan(config, PlannedInput(seeds=36, queries=2000), [yields])
    plan.sft.expected, plan.sft.low, plan.sft.high

With a pilot, the range is Student's 95 % prediction interval for the sum over the planned instructions, from how much
the pilot's n instructions differ: N · mean ± t · s · sqrt(N + N²/n). It doesn't cover how far the plan's instructions,
models or prompts are from the pilot's. With several published sources, the range is from the lowest to the highest, and
the median is expected.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median, stdev

from autoif.config import Config
from autoif.models.requests import Role
from autoif.planning.yields import OneYield, TokensEach, Yields, load_published
from autoif.records import Record
from autoif.student import find_student

_ROLES: dict[str, Role] = {
    "self_instruct": "writer",
    "verification": "writer",
    "repair": "writer",
    "discrimination": "judge",
    "contrast": "responder",
    "back_translation": "writer",
    "rejection_sampling": "responder",
    "scoring": "judge",
}
"""The stages that ask a model, in the paper's order, and the role that they ask."""
_FEW = 8
"""Instructions of a pilot below which its range is rough."""


class Amount(Record):
    """An expected amount and its range."""

    expected: float
    low: float | None = None
    """None where nothing is known of the range."""
    high: float | None = None

    def times(self, factor: float) -> "Amount":
        ends = [None if end is None else end * factor for end in (self.low, self.high)]
        return Amount(expected=self.expected * factor, low=ends[0], high=ends[1])


class PlannedStage(Record):
    """What one stage asks of a model."""

    stage: str
    role: str
    answers: Amount
    """There are fewer requests where a server gives several answers per request."""
    prompt_tokens: Amount
    completion_tokens: Amount
    hours: Amount | None
    """None where no speed is known."""
    usd: Amount | None
    """None where a price is not set."""


class RunPlan(Record):
    """What a run takes and makes."""

    source: str
    """The names of the sources of yields; for published ones with their origin."""
    entering: int
    """Instructions that enter verification, or the verified ones that the run begins with."""
    stages: tuple[PlannedStage, ...]
    total: PlannedStage
    instructions: Amount
    """After back-translation."""
    sft: Amount
    preferences: Amount
    rewards: Amount
    notes: tuple[str, ...]
    """Cautions about the figures, a line each."""
    over_budget: tuple[str, ...]
    """What of the budget the plan exceeds or may exceed, a line each."""

    def __repr__(self) -> str:
        """Return the tables of `autoif run --plan`."""
        from autoif.report.plan import print_plan
        from autoif.report.terminal import print_to_text

        return print_to_text(partial(print_plan, self))

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class PlannedInput:
    """What a run begins with."""

    seeds: int
    queries: int
    """In the pool."""
    given: int | None = None
    """How many verified instructions it begins with, if they come from another run."""


def make_plan(
    config: Config,
    given: PlannedInput,
    sources: Sequence[Yields],
    *,
    until: str = "queries",
    tokens_per_second: float | None = None,
) -> RunPlan:
    """Return the plan of a run. `tokens_per_second`, over all requests in flight, is by default the pilot's."""
    counts = [_count_entering(config, given, each) for each in sources]
    entering = round(median(counts))
    speed = tokens_per_second or sources[0].tokens_per_second

    def add_up(of: Callable[[OneYield], float]) -> Amount:
        return _span([_estimate(each, count, of, given) for each, count in zip(sources, counts, strict=True)])

    stages = [
        _plan_stage(stage, answers, config, sources[0].tokens.get(stage) or load_published()[1].tokens[stage], speed)
        for stage in _ROLES
        if (answers := _count_answers(stage, config, given, entering, add_up, until)).expected
    ]
    total = _sum_stages(stages)
    rows = until == "queries"
    return RunPlan(
        source=", ".join(f"{each.name} ({each.origin})" if each.origin else each.name for each in sources),
        entering=entering,
        stages=tuple(stages),
        total=total,
        instructions=_cap(add_up(lambda each: each.instructions), entering),
        sft=add_up(lambda each: each.sft * rows),
        preferences=add_up(lambda each: each.preferences * rows),
        rewards=add_up(lambda each: each.rewards * rows),
        notes=tuple(_list_cautions(config, sources, speed)),
        over_budget=tuple(_check_budget(config, total)),
    )


def _count_entering(config: Config, given: PlannedInput, source: Yields) -> int:
    """Return how many instructions enter verification."""
    if given.given is not None:
        return given.given
    settings = config.self_instruct
    rewritten = min(given.seeds, settings.seed_limit or given.seeds)
    kept = load_published()[1].rewrites if source.rewrites is None else source.rewrites
    found = given.seeds + round(rewritten * settings.rewrites_per_seed * kept)
    return min(found, settings.max_instructions or found)


def _estimate(source: Yields, count: int, of: Callable[[OneYield], float], given: PlannedInput) -> Amount:
    """Estimate the sum of `of` over `count` instructions; a source that is `done` knows the first of them exactly."""
    each = [one for one in source.each if given.given is None or one.instructions] or list(source.each)
    values = [of(one) for one in (each[:count] if source.done else each)]
    if not values:
        return Amount(expected=0.0)
    if given.given is not None and len(source.each) == 1:  # a published mean is over all instructions, not the kept
        values = [values[0] / max(source.each[0].instructions, 1e-9)]
    known = math.fsum(values) if source.done else 0.0
    left = max(count - len(values), 0) if source.done else count
    mean = fmean(values)
    if len(values) < 2:
        return Amount(expected=known + left * mean)
    half = find_student(len(values) - 1) * stdev(values) * math.sqrt(left + left**2 / len(values))
    return Amount(
        expected=known + left * mean, low=known + max(0.0, left * mean - half), high=known + left * mean + half
    )


def _cap(amount: Amount, most: int) -> Amount:
    """Return an amount whose range doesn't exceed `most`."""
    return amount.model_copy(update={"high": None if amount.high is None else min(amount.high, float(most))})


def _span(amounts: Sequence[Amount]) -> Amount:
    """Return one amount for several sources: their median, lowest and highest."""
    if len(amounts) == 1:
        return amounts[0]
    found = [each.expected for each in amounts]
    return Amount(expected=median(found), low=min(found), high=max(found))


def _count_answers(
    stage: str,
    config: Config,
    given: PlannedInput,
    entering: int,
    add_up: Callable[[Callable[[OneYield], float]], Amount],
    until: str,
) -> Amount:
    """Return how many answers a stage asks for."""
    begun = given.given is not None
    if stage == "self_instruct":
        settings = config.self_instruct
        rewritten = min(given.seeds, settings.seed_limit or given.seeds)
        calls = rewritten * -(-settings.rewrites_per_seed // settings.rewrites_per_call)
        return Amount(expected=0.0 if begun else calls, low=calls, high=calls)
    if stage == "contrast":
        return _count_contrast(config, given, entering)
    later = stage in ("rejection_sampling", "scoring")
    if (begun and not later) or (later and until != "queries"):
        return Amount(expected=0.0)
    shared = stage == "rejection_sampling" and config.contrast.enabled and config.contrast.role == "responder"
    first = _count_asked(config, given) if shared and not begun else 0  # contrast has asked for these already
    return add_up(lambda each: max(0.0, each.answers.get(stage, 0.0) - first * each.instructions))


def _count_asked(config: Config, given: PlannedInput) -> int:
    """Return how many answers with the instruction contrast asks for, per instruction."""
    settings = config.contrast
    return min(settings.queries, given.queries) * settings.responses_per_query


def _count_contrast(config: Config, given: PlannedInput, entering: int) -> Amount:
    """Return the answers of contrast: some with each instruction, and some to each query alone that is ever drawn."""
    if not config.contrast.enabled or given.given is not None or not given.queries:
        return Amount(expected=0.0)
    settings = config.contrast
    drawn = 1 - (1 - min(settings.queries, given.queries) / given.queries) ** entering
    plain = given.queries * drawn * settings.responses_per_query
    count = entering * _count_asked(config, given) + plain
    return Amount(expected=count, low=count, high=count)


def _plan_stage(stage: str, answers: Amount, config: Config, tokens: TokensEach, speed: float | None) -> PlannedStage:
    role = config.contrast.role if stage == "contrast" else _ROLES[stage]
    endpoint = config.models.by_role()[role]
    prompt, completion = answers.times(tokens.prompt), answers.times(tokens.completion)
    return PlannedStage(
        stage=stage,
        role=role,
        answers=answers,
        prompt_tokens=prompt,
        completion_tokens=completion,
        hours=completion.times(1 / speed / 3600) if speed else None,
        usd=answers.times(endpoint.cost_usd(1, 0) * tokens.prompt + endpoint.cost_usd(0, 1) * tokens.completion)
        if endpoint.has_prices
        else None,
    )


def _add(amounts: Sequence[Amount]) -> Amount:
    """Return the sum; its range is known only if all ranges are."""
    low, high = (
        None if None in ends else math.fsum(end for end in ends if end is not None)
        for ends in ([each.low for each in amounts], [each.high for each in amounts])
    )
    return Amount(expected=math.fsum(each.expected for each in amounts), low=low, high=high)


def _sum_stages(stages: Sequence[PlannedStage]) -> PlannedStage:
    hours = [each.hours for each in stages if each.hours]
    usd = [each.usd for each in stages if each.usd]
    return PlannedStage(
        stage="all",
        role="",
        answers=_add([each.answers for each in stages]),
        prompt_tokens=_add([each.prompt_tokens for each in stages]),
        completion_tokens=_add([each.completion_tokens for each in stages]),
        hours=_add(hours) if len(hours) == len(stages) else None,
        usd=_add(usd) if len(usd) == len(stages) else None,
    )


def _list_cautions(config: Config, sources: Sequence[Yields], speed: float | None) -> list[str]:
    """Return cautions about the figures."""
    first = sources[0]
    notes = [note for each in sources for note in each.notes]
    published = load_published()[0]
    if first.name in published:
        notes.append(
            "these are yields of other models; tokens, rewrites and pairs are estimates after this project's runs of a "
            "1.5B model: a pilot of some shards says more (--yields RUN)"
        )
        if len(sources) == 1:
            notes.append("one published source has no range: name none to see all")
        if config.verification.settles:
            notes.append("repairs, further functions and the judge's rulings on functions are not in these figures")
    elif len(first.each) < _FEW:
        notes.append(f"the pilot has {len(first.each)} instructions: below {_FEW} the range is rough")
    if config.augmentation.max_constraints > 1 and first.name in published:
        notes.append(
            "these are yields of prompts with one instruction: several at once are followed less often "
            "(augmentation.max_constraints)"
        )
    if not speed:
        notes.append("hours need a speed: a pilot that asked its model has one, or --tokens-per-second")
    models = config.models.by_role()
    priceless = [role for role, endpoint in models.items() if not endpoint.has_prices]
    if priceless:
        notes.append(f"dollars need models.{priceless[0]}.usd_per_million_prompt_tokens and …_completion_tokens")
    if all(endpoint.is_embedded for endpoint in models.values()):
        notes.append("the embedded model costs nothing")
    return notes


def _check_budget(config: Config, total: PlannedStage) -> list[str]:
    """Return what of the budget the plan exceeds, or may exceed."""
    budget, lines = config.budget, []
    if budget.tokens is not None:
        tokens = _add([total.prompt_tokens, total.completion_tokens])
        lines += _compare_with_budget("budget.tokens", f"{budget.tokens:,}", budget.tokens, tokens, "{:,.0f} tokens")
    if budget.usd is not None and total.usd:
        lines += _compare_with_budget("budget.usd", f"${budget.usd:,.2f}", budget.usd, total.usd, "${:,.2f}")
    return lines


def _compare_with_budget(name: str, shown: str, budget: float, planned: Amount, form: str) -> list[str]:
    expected = form.format(planned.expected)
    known = planned.low is not None and planned.high is not None
    ends = f" ({form.format(planned.low)} to {form.format(planned.high)})" if known else ""
    if planned.expected > budget:
        return [f"the plan exceeds {name} of {shown}: it expects {expected}{ends}; the run will stop before its end"]
    if planned.high is not None and planned.high > budget:
        return [f"the plan may exceed {name} of {shown}: it expects {expected}{ends}"]
    return []
