"""The settings that can be swept, and the points that a sweep names.

    cross_validation.function_agreement=0.5:1.0:0.1        a range: first, last, step
    scoring.mean=7,8,9                                     a list
    rejection_sampling.pass_rate=>0,>=0.8                  thresholds with their own signs

Several sweeps make a grid. A number without a sign takes the sign of the run's own threshold. At the highest value (1
for a share, 10 for a score), ">" becomes ">=", since no value is above.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import product
from types import MappingProxyType

from pydantic import JsonValue

from autoif.config import Config, flatten, make_config, merge_layer, parse_setting
from autoif.errors import ConfigError

SWEEPABLE: Mapping[str, str] = MappingProxyType({
    "cross_validation.case_agreement": "the matrix of functions x cases",
    "cross_validation.function_agreement": "the matrix of functions x cases",
    "cross_validation.min_functions": "which functions load",
    "cross_validation.min_cases": "the cases that were written",
    "cross_validation.both_outcomes": "the matrix of functions x cases",
    "cross_validation.two_sided": "the matrix, and probes that run in the sandbox",
    "cross_validation.majority": "how many answers gave each function; these run on probes in the sandbox",
    "cross_validation.min_score": "the matrix, and probes that run in the sandbox",
    "cross_validation.sure_score": "the matrix, and probes that run in the sandbox",
    "contrast.lift": "verdicts on answers with the instruction and without it",
    "contrast.within": "verdicts on answers with the instruction and without it",
    "contrast.one_behaviour": "verdicts on answers with the instruction and without it",
    "contrast.obeyed": "verdicts on answers with the instruction and without it",
    "contrast.cases": "verdicts on answers with the instruction and without it",
    "back_translation.enabled": "the labels of back-translations",
    "back_translation.max_functions": "the labels of back-translations",
    "back_translation.dropped_contradictions": "the labels of back-translations",
    "back_translation.dropped_by_chat": "the labels of back-translations",
    "rejection_sampling.pass_rate": "the verdict of each function on each response",
    "rejection_sampling.gate": "the texts of the responses",
    "scoring.enabled": "the judge's scores",
    "scoring.mean": "the judge's scores",
    "deduplication.behaviour": "verdicts, and probes that run in the sandbox",
    "deduplication.alike": "verdicts, and probes that run in the sandbox",
    "sft.strict": "the verdict of each function on each response",
    "sft.rows_per_prompt": "scores and pass rates",
    "preferences.positive": "the verdict of each function on each text",
    "preferences.negative": "the verdict of each function on each text",
    "preferences.instruction_level": "the matrix of functions x cases",
    "preferences.query_level": "the verdict of each function on each response",
    "preferences.scored_only": "scores",
    "preferences.positives_per_prompt": "pass rates and scores",
    "preferences.negatives_per_prompt": "pass rates and scores",
    "preferences.strict": "verdicts, and variants that run in the sandbox",
    "rewards.balanced": "verdicts, and probes that run in the sandbox",
    "rewards.reliability": "verdicts, and probes that run in the sandbox",
})  # fmt: skip
"""The settings that only judge what a run has stored, with what each judges. All others shape what a model is asked,
how functions run, or what is read."""

_CHOOSERS: Mapping[str, Collection[str]] = MappingProxyType(
    {
        **{
            f"cross_validation.{name}": ("cases",)
            for name in ("case_agreement", "function_agreement", "min_cases", "both_outcomes")
        },
        "cross_validation.majority": ("majority", "score"),
        "cross_validation.sure_score": ("score",),
        **{f"contrast.{name}": ("contrast",) for name in ("lift", "within", "one_behaviour", "obeyed", "cases")},
    }
)
"""Settings that only have an effect if functions are chosen by certain methods, with those methods."""

MOST_POINTS = 1000
_HIGHEST = {"scoring.mean": Decimal(10)}
_SIGNED = re.compile(r"(>=|>|=)\s*(.*)")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")

Point = Mapping[str, JsonValue]
"""The swept settings of one point of the grid, with their values."""


def find_idle(config: Config, keys: Iterable[str]) -> str:
    """Return one line that names the settings without effect in a run of this config; "" if there are none."""
    chooser = "contrast" if config.contrast.enabled else config.cross_validation.choose_by
    idle = list_idle(chooser, keys)
    return f"{', '.join(idle)}: decides nothing here, as this run chose its functions by {chooser}" if idle else ""


def list_idle(chooser: str, keys: Iterable[str]) -> list[str]:
    """Return the settings without effect if functions are chosen by this: cases, majority, score or contrast."""
    return [key for key in keys if chooser not in _CHOOSERS.get(key, (chooser,))]


def make_points(config: Config, sweeps: Sequence[str]) -> list[Point]:
    """Return the points of the grid that the `KEY=VALUES` sweeps name; the last setting changes fastest.

    Raises ConfigError: a setting that can't be swept, a value that it can't have, or too many points.
    """
    values: dict[str, list[JsonValue]] = {}
    for sweep in sweeps:
        key, equals, text = (part.strip() for part in sweep.partition("="))
        if not equals or not key or not text:
            raise ConfigError(f'"{sweep}" is no sweep: write KEY=FIRST:LAST:STEP or KEY=VALUE,VALUE')
        check_sweepable(config, key)
        if key in values:
            raise ConfigError(f"{key} is swept twice: name all its values in one --sweep")
        values[key] = list(_read_values(config, key, text))
    count = 1
    for each in values.values():
        count *= len(each)
    if count > MOST_POINTS:
        raise ConfigError(f"the sweep has {count:,} points, more than {MOST_POINTS:,}: take larger steps")
    points: list[Point] = [dict(zip(values, each, strict=True)) for each in product(*values.values())]
    for point in points:
        apply_point(config, point)
    return points


def apply_point(config: Config, point: Point) -> Config:
    """Return the configuration of a point. Raises ConfigError: a setting can't have its value."""
    merged = config.model_dump(mode="python")
    for key, value in point.items():
        section, _, name = key.partition(".")
        merge_layer(merged, {section: {name: value}})
    return make_config(merged)


def check_sweepable(config: Config, key: str) -> None:
    """Raise ConfigError if a setting can't be swept in a run of this config."""
    section = key.partition(".")[0]
    if key not in SWEEPABLE:
        if key not in dict(flatten(config.model_dump(mode="json"))):
            raise ConfigError(f'unknown setting "{key}" (docs/configuration.md lists all of them)')
        raise ConfigError(
            f"{key} can't be swept: it shapes what is asked or how functions run, and stored verdicts say nothing of "
            f"it; make a run with --set {key}=VALUE"
        )
    if section == "contrast" and not config.contrast.enabled:
        raise ConfigError(f"{key} can't be swept: the run was made without contrast.enabled, so it has no such answers")
    if section == "cross_validation" and config.contrast.enabled and key.endswith(("agreement", "cases", "outcomes")):
        raise ConfigError(f"{key} has no say in a run with contrast.enabled: sweep contrast.lift")


def _read_values(config: Config, key: str, text: str) -> Iterator[JsonValue]:
    """Yield the values of a setting, each once."""
    seen: set[str] = set()
    for part in text.split(","):
        for value in _read_part(config, key, part.strip()):
            if str(value) not in seen:
                seen.add(str(value))
                yield value


def _read_part(config: Config, key: str, part: str) -> Iterator[JsonValue]:
    section, _, name = key.partition(".")
    now = getattr(getattr(config, section), name)
    signed = _SIGNED.fullmatch(part)
    sign, rest = (signed[1], signed[2]) if signed else ("", part)
    numbers = _read_range(key, rest)
    if numbers is None:
        yield parse_setting(f"{key}={part}")[section][name]
        return
    if not sign and not isinstance(now, str) and key != "back_translation.dropped_by_chat":
        yield from (int(number) if number == number.to_integral_value() else float(number) for number in numbers)
        return
    for number in numbers:
        yield _write_threshold(sign or _SIGNED.fullmatch(now or "> 0")[1], number, key)  # type: ignore[index]


def _write_threshold(sign: str, number: Decimal, key: str) -> str:
    """Return a threshold as in the settings; at the highest value ">" becomes ">=", since no value is above."""
    highest = sign == ">" and number == _HIGHEST.get(key, Decimal(1))
    return f"{'>=' if highest else sign} {number:f}"


def _read_range(key: str, text: str) -> list[Decimal] | None:
    """Return the numbers of "FIRST:LAST:STEP", or a single one; None if the text is neither.

    Raises ConfigError: a range that never ends, or with more than `MOST_POINTS` numbers.
    """
    parts = [part.strip() for part in text.split(":")]
    if len(parts) == 1:
        return [_read_number(parts[0])] if _NUMBER.fullmatch(parts[0]) else None
    if len(parts) != 3 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise ConfigError(f'{key}: "{text}" is no range: write FIRST:LAST:STEP, as in 0.5:1.0:0.1')
    first, last, step = map(_read_number, parts)
    if not step or (last - first) * step < 0:
        raise ConfigError(f'{key}: "{text}" never ends: its step has to lead from the first value to the last')
    count = int((last - first) / step) + 1
    if count > MOST_POINTS:
        raise ConfigError(f'{key}: "{text}" has {count:,} values, more than {MOST_POINTS:,}: take larger steps')
    return [_strip_zeros(first + step * at) for at in range(count)]


def _read_number(text: str) -> Decimal:
    try:
        return _strip_zeros(Decimal(text))
    except InvalidOperation:
        raise ConfigError(f'"{text}" is no number') from None


def _strip_zeros(number: Decimal) -> Decimal:
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()
