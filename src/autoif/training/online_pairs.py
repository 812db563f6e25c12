"""§3.4, one round of online data: preference pairs from the policy's responses and the functions' verdicts on them.

In:   prompts with their functions, and K samples of each from the current policy.
Out:  pairs of the query level: chosen, a response with a pass rate > 0.5; rejected, one with 0. Under several
      constraints the pass rate is that of the one that is followed least.

Pairs are of answers without their thoughts, as in a run's data. A response that was cut, is only a thought or was
refused by the server is neither chosen nor rejected. One that the gate names (empty, copied, degenerate) may pass a
function vacuously: it is never chosen, and rejected only if its functions refuse it. Prompts without a pair are counted
by the reason.

The settings of the rounds come from the table `[online]` of the TOML file and from `--set online.KEY=VALUE`; each
round's DPO has those of `autoif train dpo`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from autoif.datasets.preferences import Candidate, make_pair, pair_candidates
from autoif.datasets.rows import Constraint, PreferenceRow, Turn
from autoif.gate import Fault, find_fault, find_unanswered
from autoif.judging import judge, split_verdicts
from autoif.models.requests import sampling_seed
from autoif.records import Reason, Record, Verdict, content_id
from autoif.sampling import Sample, SamplingPrompt, SamplingSettings
from autoif.sampling.precision import Precision, choose_precision
from autoif.sampling.settings import ENGINE_OPTIONS, GenerationSettings, check_template_kwargs
from autoif.sandbox import Sandbox, SandboxSettings
from autoif.settings import Preferences
from autoif.thresholds import RejectedThreshold, ShareThreshold, meets
from autoif.training.settings import TrainingSettings, merge_settings, read_settings, resolve_settings, take_table


class OnlineSettings(GenerationSettings, SandboxSettings):
    """§3.4, how each round makes its pairs, and how functions are run on the policy's responses."""

    rounds: int = Field(default=3, ge=1)
    """§3.4 doesn't say how many; published iterative DPO mostly uses three."""
    responses_per_prompt: int = Field(default=8, ge=2)
    """§3.3: K = 8."""
    temperature: float = Field(default=0.8, gt=0, le=2)
    """§3.4: 0.8."""
    prompts_per_round: int = Field(default=0, ge=0)
    """Each round draws this many from the data; 0 takes all."""
    positive: ShareThreshold = "> 0.5"
    """§3.4: the pass rate from which a response may be chosen."""
    negative: RejectedThreshold = Field(default="= 0", validate_default=True)
    """§3.4: the pass rate at which a response may be rejected."""
    positives_per_prompt: int = Field(default=1, ge=1)
    negatives_per_prompt: int = Field(default=1, ge=1)
    """Pairs of a prompt: at most positives x negatives."""
    gate: bool = True
    """Whether responses that pass functions vacuously, such as empty or copied ones, are never chosen."""
    dtype: Precision = Field(default_factory=choose_precision)
    """Precision of the policy's weights while it is sampled; bfloat16 where the machine computes in it."""

    def sampling(self, number: int) -> SamplingSettings:
        """Return the sampling settings of one round. Each round has its own seed, which also draws its prompts."""
        own = {name: getattr(self, name) for name in GenerationSettings.model_fields}
        drawn = {"responses": self.responses_per_prompt, "seed": sampling_seed("online", self.seed, number)}
        return SamplingSettings(**{**own, **drawn})

    def identity(self) -> dict[str, Any]:
        """Return the settings that shape the result, as "online.KEY"."""
        # Left out where it isn't set, as it was before there was one.
        later = {name for name in ("chat_template_kwargs", "packages") if not getattr(self, name)}
        shaping = self.model_dump(mode="json", exclude={"workers", *later})
        return {f"online.{key}": value for key, value in shaping.items()}

    def record(self) -> dict[str, Any]:
        """Return all settings, including those of vLLM that don't shape the result."""
        return {**self.model_dump(mode="json"), **{name: getattr(self, name) for name in ENGINE_OPTIONS}}


def resolve_online(
    file: Path | None, settings: Sequence[str], *, lora: bool
) -> tuple[OnlineSettings, TrainingSettings]:
    """Return the settings of the rounds and those of each round's DPO.

    Raises ConfigError: an unreadable file, an unknown setting or a value of the wrong kind; each is named.
    """
    merged = merge_settings(file, settings)
    found = take_table(merged, "online", "of settings, as in --set online.rounds=2")
    rest = [f"{key}={json.dumps(value, default=str)}" for key, value in merged.items()]
    rounds, dpo = read_settings(OnlineSettings, found, "online."), resolve_settings("dpo", None, rest, lora=lora)
    check_template_kwargs(rounds.chat_template_kwargs)
    if rounds.chat_template_kwargs and not dpo.template_kwargs:
        dpo = replace(dpo, template_kwargs=rounds.chat_template_kwargs)
    return rounds, dpo


@dataclass(frozen=True, slots=True)
class OnlinePrompt:
    """A row of rewards.jsonl.

    Attributes:
        id: of its conversation and functions.
        row: `prompt`, `constraints`, `query` and `query_id`, as `read_data` gives them.
    """

    id: str
    row: dict[str, Any]

    @property
    def functions(self) -> Sequence[str]:
        """The sources of the functions that judge a response."""
        return _functions(self.row)

    def to_sample(self) -> SamplingPrompt:
        return SamplingPrompt(id=self.id, messages=tuple(self.row["prompt"]))


class JudgedSample(Record):
    """The judgement on one sample: a line of verdicts.jsonl."""

    prompt_id: str
    index: int
    verdicts: tuple[Verdict, ...]
    """The verdicts of the prompt's functions, in order; empty if the response is no complete answer."""
    fault: Fault | None
    """The fault that the gate found."""


class RoundCounts(Record):
    """Counts of a round's prompts and responses, by what became of them."""

    prompts: int = 0
    paired: int = 0
    """Prompts with at least one pair. The next four count those without, by reason."""
    all_pass: int = 0
    all_fail: int = 0
    neither: int = 0
    """Some fail and none may be chosen, or some pass and none may be rejected."""
    unfinished: int = 0
    """No response is a complete answer."""
    responses: int = 0
    reasoned: int = 0
    """Responses with reasoning before the answer."""
    truncated: int = 0
    """Cut off in the answer or in the reasoning."""
    only_reasoning: int = 0
    refused: int = 0
    """Refused by the policy's server."""
    gated: int = 0
    """Complete responses in which the gate found a fault."""
    pairs: int = 0


def _functions(row: dict[str, Any]) -> list[Any]:
    return [source for each in row["constraints"] for source in each["functions"]]


def make_prompts(rows: Sequence[dict[str, Any]]) -> list[OnlinePrompt]:
    """Return the prompts of a data set, without copies."""
    made = (OnlinePrompt(content_id("online prompt", row["prompt"], _functions(row)), row) for row in rows)
    return list({prompt.id: prompt for prompt in reversed(list(made))}.values())[::-1]


def draw_prompts(prompts: Sequence[OnlinePrompt], settings: OnlineSettings, number: int) -> list[OnlinePrompt]:
    """Return the prompts of a round, in the order of the data: all, or `prompts_per_round` of them."""
    wanted = settings.prompts_per_round
    if not wanted or wanted >= len(prompts):
        return list(prompts)
    places = sorted(
        range(len(prompts)), key=lambda place: sampling_seed("draw", settings.seed, number, prompts[place].id)
    )
    return [prompts[place] for place in sorted(places[:wanted])]


def judge_samples(prompts: Sequence[OnlinePrompt], samples: Sequence[Sample], sandbox: Sandbox) -> list[JudgedSample]:
    """Return the judgement on each sample. A function that several prompts share runs once, on all of their texts.

    Raises:
        SandboxError: the sandbox can't be restored.
    """
    each = len(samples) // len(prompts)
    prompt_of = [prompt for prompt in prompts for _ in range(each)]
    rows = [
        (() if _find_lack(sample) else prompt.functions, sample.text)
        for prompt, sample in zip(prompt_of, samples, strict=True)
    ]
    return [
        JudgedSample(
            prompt_id=prompt.id,
            index=sample.index,
            verdicts=verdicts,
            fault=find_unanswered(sample.completion)
            or find_fault(
                sample.text,
                prompt.row["prompt"][-1]["content"],
                *(constraint["instruction"] for constraint in prompt.row["constraints"]),
                prompt.row["query"],
            ),
        )
        for prompt, sample, verdicts in zip(prompt_of, samples, judge(rows, sandbox), strict=True)
    ]


_LACKS = {Reason.TRUNCATED: "truncated", Reason.ONLY_REASONING: "only_reasoning", Reason.REFUSED_BY_MODEL: "refused"}


def _find_lack(sample: Sample) -> str | None:
    """Return the count of `RoundCounts` for an incomplete response; None for others. Empty ones are the gate's."""
    fault = sample.completion.fault
    return _LACKS.get(fault) if fault else None


def pair_samples(
    prompts: Sequence[OnlinePrompt], samples: Sequence[Sample], judged: Sequence[JudgedSample], settings: OnlineSettings
) -> tuple[list[PreferenceRow], RoundCounts]:
    """Return the rows of preferences.jsonl, in the order of the prompts, and the counts of the round."""
    rows: list[PreferenceRow] = []
    counted = dict.fromkeys(RoundCounts.model_fields, 0)
    each = len(samples) // len(prompts)
    rules = Preferences(**settings.model_dump(include=set(Preferences.model_fields)))
    for place, prompt in enumerate(prompts):
        constraints = [Constraint(**each) for each in prompt.row["constraints"]]
        candidates = []
        for sample, found in zip(
            samples[place * each : (place + 1) * each], judged[place * each : (place + 1) * each], strict=True
        ):
            counted["responses"] += 1
            counted["reasoned"] += bool(sample.reasoning)
            if lack := _find_lack(sample):
                counted[lack] += 1
                continue
            gated = settings.gate and found.fault is not None
            counted["gated"] += gated
            verdicts = tuple(split_verdicts(found.verdicts, constraints))
            candidates.append(Candidate(sample.text, verdicts, choosable=not gated))
        made = [_make_row(prompt, constraints, pair) for pair in pair_candidates(candidates, rules)]
        rows += made
        counted["prompts"] += 1
        counted["pairs"] += len(made)
        counted["paired" if made else _why_none(candidates, settings)] += 1
    return rows, RoundCounts(**counted)


def _make_row(
    prompt: OnlinePrompt, constraints: Sequence[Constraint], pair: tuple[Candidate, Candidate]
) -> PreferenceRow:
    turns = [Turn(**turn) for turn in prompt.row["prompt"]]
    return make_pair(turns, constraints, pair, level="query", query_id=prompt.row["query_id"])


def _why_none(candidates: Sequence[Candidate], settings: OnlineSettings) -> str:
    if not candidates:
        return "unfinished"
    if all(meets(candidate.pass_rate, settings.positive) for candidate in candidates):
        return "all_pass"
    if all(meets(candidate.pass_rate, settings.negative) for candidate in candidates):
        return "all_fail"
    return "neither"
