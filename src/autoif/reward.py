"""Turns the verdicts on a completion into a reward (§3.4, online data), for trainers, the service and your own code.

A constraint is followed where more than half of its functions accept the completion, as in rejection sampling (§3.3); a
function that raises, hangs or crashes doesn't. Of several constraints, all have to be followed. An answer that passes
vacuously (`gate.py`) earns nothing, nor does a thought without an answer. A thought before the answer is not judged.

    trainer = GRPOTrainer(model, reward_funcs=VerificationReward(), train_dataset=load_dataset("json", …rewards.jsonl))
"""

import asyncio
import os
import threading
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain, islice
from typing import Any, Final, Self

from autoif.errors import ConfigError
from autoif.gate import Fault, find_fault, find_unanswered
from autoif.given_values import check_type
from autoif.judging import (
    Outcomes,
    Row,
    Verdicts,
    compute_least_rate,
    compute_pass_rate,
    find_outcomes,
    find_outcomes_async,
    take_verdicts,
)
from autoif.records import Verdict
from autoif.reward_inputs import (
    CONSTRAINTS,
    FUNCTIONS,
    PARTS,
    PROMPTS,
    Completion,
    read_completion,
    read_constraints,
    read_prompt,
    take_columns,
    take_completions,
)
from autoif.sandbox import Limits, Sandbox
from autoif.sandbox.sandbox import AUTO
from autoif.thresholds import Threshold, meets

LONGEST_CALL_S: Final = 60.0
"""Time limit of one function for all completions of a batch."""
ACCEPTED: Final[Threshold] = "> 0.5"
"""§3.3: the share of a constraint's functions that must accept a completion."""
_UNDECIDED: Final = tuple(verdict for verdict in Verdict if verdict not in (Verdict.PASS, Verdict.FAIL))


class RewardMode(StrEnum):
    """How verdicts become a number."""

    BINARY = "binary"
    """1 if the completion follows every constraint, else 0."""
    FRACTION = "fraction"
    """The share of all functions that pass, which also rewards progress below the threshold."""


def compute_reward(
    verdicts: Sequence[Verdict | str] | Sequence[Sequence[Verdict | str]], mode: RewardMode | str = RewardMode.BINARY
) -> float:
    """Return the reward, 0 to 1, of one completion.

    Args:
        verdicts: of the functions of its constraint, as `Verdict` or as its word; of several constraints, a sequence
            for each, and then every constraint has to be followed for a binary reward of 1.
        mode: see `RewardMode`.

    Raises:
        ConfigError: there are no verdicts: nobody has judged the completion, and neither 0 nor 1 would be true. Or
            what is given is no verdict, or no mode.
    """
    are_several = bool(verdicts) and all(isinstance(each, list | tuple) for each in verdicts)
    given: Sequence[Any] = verdicts if are_several else [verdicts]
    judged = [[_read_verdict(each) for each in one] for one in given]
    if not judged or not all(judged):
        raise ConfigError("a completion without functions has no reward: give it at least one function")
    match _read_mode(mode):
        case RewardMode.BINARY:
            return float(meets(compute_least_rate(judged), ACCEPTED))
        case RewardMode.FRACTION:
            return float(compute_pass_rate([*chain.from_iterable(judged)]))


def _read_verdict(given: str) -> Verdict:
    try:
        return Verdict(given)
    except ValueError:
        raise ConfigError(f"a verdict is {', '.join(Verdict)}, not {given!r:.80}: of an outcome, its verdict") from None


def _read_mode(given: str) -> RewardMode:
    try:
        return RewardMode(given)
    except ValueError:
        raise ConfigError(f"no reward is called {given!r}: choose {' or '.join(RewardMode)}") from None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of judging one completion."""

    fault: Fault | None
    """Why it earns nothing; then no function has run on it."""
    constraints: tuple[tuple[Verdict, ...], ...]
    """The verdicts of each constraint's functions; empty if it has a fault."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts of all functions."""
        return tuple(chain.from_iterable(self.constraints))


@dataclass(frozen=True, slots=True)
class _Batch:
    """The input of one call by a trainer, parsed."""

    constraints: list[list[list[str]]]
    """For each completion, the functions of each constraint."""
    faults: list[Fault | None]
    """Why a completion earns nothing; no function runs on it."""
    rows: Sequence[Row]
    """The functions that judge each completion, and its text; no functions if it has a fault."""


class VerificationReward:
    """A reward function for trainers: judges each completion by the functions of its constraints.

    Made for the `reward_funcs` of TRL's GRPOTrainer and RLOOTrainer: the object itself, or, to run beside other
    asynchronous reward functions, its `verify`. A function runs once for all completions of a batch that have it.

    Each process that calls it starts a sandbox at its first call and keeps it until `close`, until nobody has the
    reward any more, or until its own end; so the reward can be forked, pickled (it is then its settings) and called
    from any thread.

    Args:
        mode: `binary` or `fraction`: see `RewardMode`.
        gate: give 0 to an answer with a `Fault`, empty, copied from its prompt or degenerate, and run no function
            on it. False leaves the verdicts on an answer alone, as `autoif verify` gives them. What is only a thought,
            or a thought that never ends, has no answer and earns 0 in any case.
        column: the data set's column of constraints, as in rewards.jsonl: for each row a list of
            {"functions": [source, ...]}. Where a row has none, its column `functions` may hold the sources of its
            constraint, or a list of sources for each of several.
        limits, backend, workers: as of `Sandbox`. Where several trainer processes share a machine, give each its
            share of workers; the default is one for each processor. A function has 60 seconds for all completions
            of a batch together, unless `limits` sets another `total_s`.
    """

    def __init__(
        self,
        mode: RewardMode | str = RewardMode.BINARY,
        *,
        gate: bool = True,
        column: str = CONSTRAINTS,
        limits: Limits | None = None,
        backend: str = AUTO,
        workers: int | None = None,
    ) -> None:
        self.mode = _read_mode(mode)
        self.gate: bool = check_type("gate", gate, bool)
        self.column: str = check_type("column", column, str)
        self.__name__ = f"verification_{self.mode}"
        """The reward's name in the logs of trainers."""
        self._has_warned = False
        limits = check_type("limits", limits, Limits | None) or Limits()
        if limits.total_s is None:
            limits = replace(limits, total_s=LONGEST_CALL_S)
        self._sandbox = _SandboxOfProcess(Sandbox(limits, backend=backend, workers=workers))

    def __call__(self, completions: Sequence[Completion], **columns: Any) -> list[float | None]:
        """Return the reward of each completion, 0 to 1; None, which trainers leave out, where it has no functions.

        `columns` are the data set's, each as long as `completions`, and what else trainers hand over: of these, the
        gate reads `prompts`, without which no completion counts as copied, and the columns that prompts are made of. It
        reports the share of completions with each fault, and of verdicts that are neither pass nor fail, through TRL's
        `log_metric`. It warns once if functions don't load, as these accept nothing.

        Raises:
            ConfigError: the column is missing, is of another form, or is of another length.
            SandboxError: model code can't be contained on this machine.
        """
        return self._reward(self.judge(completions, **columns))

    async def verify(self, completions: Sequence[Completion], **columns: Any) -> list[float | None]:
        """Do the same without holding up the event loop."""
        batch = self._arrange(completions, columns)
        sandbox = await asyncio.to_thread(self._sandbox.enter)
        return self._reward(self._judge(batch, await find_outcomes_async(batch.rows, sandbox), columns))

    def judge(self, completions: Sequence[Completion], **columns: Any) -> list[Judgement | None]:
        """Return the judgement on each completion, from which `reward_parts` makes rewards of several parts; None where
        it has no functions.

        Raises:
            ConfigError, SandboxError: as `__call__`.
        """
        batch = self._arrange(completions, columns)
        return self._judge(batch, find_outcomes(batch.rows, self._sandbox.enter()), columns)

    def _arrange(self, completions: Sequence[Completion], given: Mapping[str, Any]) -> _Batch:
        completions = take_completions(completions)
        columns = {**given, **take_columns(given, self.column)}
        constraints = self._read_constraints(columns, len(completions))
        read = [read_completion(completion) for completion in completions]
        texts = [each.text for each in read]
        faults = [find_unanswered(each) for each in read]
        if self.gate:
            found = _find_faults(texts, columns, self.column)
            faults = [lack or fault for lack, fault in zip(faults, found, strict=True)]
        rows = [
            (() if fault else [*chain.from_iterable(row)], text)
            for text, row, fault in zip(texts, constraints, faults, strict=True)
        ]
        return _Batch(constraints, faults, rows)

    def _read_constraints(self, columns: Mapping[str, Any], count: int) -> list[list[list[str]]]:
        """Return the functions of each constraint for each completion; empty for rows of other data sets."""
        named = [name for name in dict.fromkeys((self.column, FUNCTIONS)) if columns.get(name) is not None]
        if not named:
            raise ConfigError(f"the reward needs the column {self.column!r}: train on a data set like rewards.jsonl")
        for name in named:
            if len(columns[name]) != count:
                raise ConfigError(f"{count} completions came with {len(columns[name])} rows of {name!r}")
        read = ([read_constraints(row, name) for row in columns[name]] for name in named)
        return [next(filter(None, rows), []) for rows in zip(*read, strict=True)]

    def _judge(self, batch: _Batch, found: Sequence[Outcomes], columns: Mapping[str, Any]) -> list[Judgement | None]:
        log_metric = columns.get("log_metric")
        if log_metric and batch.faults:  # the trainer takes logs from rewards, as TRL's do
            for name, value in self._measure(batch.faults, found):
                log_metric(name, value)
        self._warn_of_lost_functions(found)
        return _judgements(batch, [take_verdicts(each) for each in found])

    def _measure(self, faults: Sequence[Fault | None], found: Sequence[Outcomes]) -> Iterator[tuple[str, float]]:
        """Yield the share of completions with each fault, and of verdicts that are neither pass nor fail, by name."""
        for fault in Fault if self.gate else (Fault.ONLY_REASONING, Fault.UNFINISHED_REASONING):
            yield f"gate/{fault}", faults.count(fault) / len(faults)
        verdicts = list(chain.from_iterable(map(take_verdicts, found)))
        for verdict in _UNDECIDED if verdicts else ():
            yield f"verdicts/{verdict}", verdicts.count(verdict) / len(verdicts)

    def _warn_of_lost_functions(self, found: Sequence[Outcomes]) -> None:
        """Warn once of functions that don't load: a training would continue, and get nothing but rewards of 0."""
        lost = next((each.detail for each in chain.from_iterable(found) if not each.loaded), None)
        if lost is None or self._has_warned:
            return
        self._has_warned = True
        advice = (
            "; name what functions may import in limits=Limits(packages=…)" if lost.startswith("missing module") else ""
        )
        warnings.warn(
            f"functions of the reward don't load, so they accept nothing: the first {lost!r}{advice}",
            RuntimeWarning,
            stacklevel=2,
        )

    def _reward(self, judged: Sequence[Judgement | None]) -> list[float | None]:
        return [
            None if found is None else 0.0 if found.fault else compute_reward(found.constraints, self.mode)
            for found in judged
        ]

    def close(self) -> None:
        """End this process's sandbox. The next call would start a new one."""
        self._sandbox.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _judgements(batch: _Batch, judged: Sequence[Verdicts]) -> list[Judgement | None]:
    """Return the judgement on each completion, with verdicts by constraint; None where it has no functions."""
    found: list[Judgement | None] = []
    for row, fault, verdicts in zip(batch.constraints, batch.faults, judged, strict=True):
        rest = iter(verdicts)
        by_constraint = () if fault else tuple(tuple(islice(rest, len(each))) for each in row)
        found.append(Judgement(fault, by_constraint) if row else None)
    return found


class _SandboxOfProcess:
    """A sandbox that each process starts when it first needs one, and that ends when nothing refers to it any more:
    pools give each task a copy of the reward, which nobody closes."""

    def __init__(self, settings: Sandbox) -> None:
        self._settings = settings
        self._places: dict[int, _Place] = {}
        weakref.finalize(self, _abandon, self._places).atexit = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _SandboxOfProcess, (self._settings,)

    def enter(self) -> Sandbox:
        """Return this process's sandbox, entered. Raises SandboxError."""
        place = self._place()
        with place.lock:
            if place.sandbox is None:
                place.sandbox = copy(self._settings).__enter__()
            return place.sandbox

    def leave(self) -> None:
        """End this process's sandbox, if it has one."""
        place = self._place()
        with place.lock:
            sandbox, place.sandbox = place.sandbox, None
        if sandbox:
            sandbox.__exit__(None, None, None)

    def _place(self) -> "_Place":
        # A lock of its own for each process: one that another thread held while this process was forked stays held.
        return self._places.setdefault(os.getpid(), _Place())


class _Place:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sandbox: Sandbox | None = None


def _abandon(places: Mapping[int, _Place]) -> None:
    """End this process's sandbox without waiting: garbage is collected on any thread, even on the sandbox's own."""
    place = places.get(os.getpid())
    if place and place.sandbox:
        place.sandbox.abandon()


def _find_faults(texts: Sequence[str], columns: Mapping[str, Any], constraints: str) -> list[Fault | None]:
    asked: list[list[str]] = [[] for _ in texts]
    for name in (PROMPTS, *PARTS):
        column = columns.get(name)
        if isinstance(column, list) and len(column) == len(texts):
            for row, value in zip(asked, column, strict=True):
                row.extend(read_prompt(value))
        elif isinstance(column, list) and name == PROMPTS:
            raise ConfigError(f"{len(texts)} completions came with {len(column)} rows of {name!r}")
    for row, given in zip(asked, columns.get(constraints) or (), strict=False):
        for each in given if isinstance(given, list) else [given]:
            instruction = each.get("instruction") if isinstance(each, Mapping) else None
            row.extend([instruction] if isinstance(instruction, str) else [])
    return [find_fault(text, *row) for text, row in zip(texts, asked, strict=True)]
