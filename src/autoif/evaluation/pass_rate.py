"""The share of a model's answers that the verification functions accept: the pass rate, with its interval.

In:   prompts with functions (rewards.jsonl's form), and a model to sample from or recorded responses.
Out:  scores.json, per_prompt.jsonl, and samples.jsonl, from which an interrupted evaluation goes on.

Every prompt gets as many samples, so each counts alike. The seeds of the samples follow from prompts and settings
alone, so every model is drawn with the same.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from autoif.datasets.rows import RewardRow, check_turns, list_functions, name_instructions
from autoif.datasets.split import Source, source_of
from autoif.errors import ConfigError
from autoif.evaluation.rates import estimate_rate
from autoif.evaluation.responses import RecordedRow, Response, count_responses, read_sample
from autoif.evaluation.results import (
    SAMPLES,
    PromptResult,
    SampleResult,
    Scores,
    Seen,
    claim_folder,
    identify,
    read_scores,
    write_results,
)
from autoif.gate import Fault, find_fault
from autoif.judging import Verdicts, judge
from autoif.records import Verdict, content_id
from autoif.reward import RewardMode, compute_reward
from autoif.sampling import Sampler, SamplingPrompt, SamplingSettings, sample_all
from autoif.sandbox import Sandbox
from autoif.store import REWARDS, read_jsonl
from autoif.training.card import versions

Say = Callable[[str], None]
OpenSampler = Callable[[], AbstractContextManager[Sampler]]


@dataclass(frozen=True, slots=True)
class Policy:
    """Who answers."""

    name: str
    """As the user named it: a folder, a name, or a file of responses."""
    identity: str
    """By content, with the backend: samples of another one are not gone on with."""
    sampling: SamplingSettings | None
    """None for recorded responses."""
    seen: Seen
    """What it was trained on."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is asked: rows with different prompts, and the SHA-256 of their file."""

    rows: tuple[RewardRow, ...]
    sha256: str

    @property
    def texts(self) -> list[str]:
        return [row.prompt[0].content for row in self.rows]

    @property
    def sources(self) -> list[Source]:
        """Where they come from, to compare with what was trained on."""
        return [source_of(row) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Task:
    """What is done with the answers: how they are judged, and where the results go."""

    prompts: Prompts
    folder: Path
    sandbox: Sandbox
    """Entered."""
    say: Say
    """Gets lines of progress."""
    keep_thinking: bool = False
    """Judge responses with their thoughts."""


def read_prompts(source: Path) -> Prompts:
    """Read prompts with functions: a file of rows, or the rewards.jsonl of a run folder.

    Raises:
        ConfigError: there are none, or two of the same text.
        StoreError: the file can't be read, or a row doesn't fit; the line is named.
    """
    path = source / REWARDS if source.is_dir() else source
    rows = read_jsonl(path, RewardRow, check=_check_row)
    if not rows:
        raise ConfigError(f"{path} has no prompts: there is nothing to measure on")
    prompts = Prompts(tuple(rows), hashlib.sha256(path.read_bytes()).hexdigest())
    [(twice, count)] = Counter(prompts.texts).most_common(1)
    if count > 1:
        raise ConfigError(f"{path} has the prompt {twice[:80]!r} {count} times: each would count {count} times")
    return prompts


def _check_row(row: RewardRow) -> None:
    check_turns(row)
    source_of(row)


def measure_policy(policy: Policy, open_sampler: OpenSampler, task: Task) -> Scores:
    """Sample from a model, verify its answers, and write the results.

    Raises:
        StoreError: the folder holds an evaluation of something else, or can't be written.
        ModelError, ConfigError, SandboxError: the model, its backend, or the sandbox can't be used.
    """
    assert policy.sampling is not None
    _claim_folder(policy, task)
    asked = [SamplingPrompt(id=_identify(row), messages=(row.prompt[0].model_dump(),)) for row in task.prompts.rows]
    file = task.folder / SAMPLES
    samples = sample_all(asked, policy.sampling, open_sampler, file, task.say, policy=policy.identity)
    answers = [read_sample(sample, keep_thinking=task.keep_thinking) for sample in samples]
    each = policy.sampling.responses
    return _finish(policy, task, [answers[start : start + each] for start in range(0, len(answers), each)])


def measure_recorded(responses: Path, seen: Seen, task: Task) -> Scores:
    """Verify responses that were recorded elsewhere, and write the results. Raises as `measure_policy`."""
    answers = read_responses(responses, task)
    identity = f"recorded, SHA-256 {hashlib.sha256(responses.read_bytes()).hexdigest()}"
    policy = Policy(str(responses), identity, None, seen)
    _claim_folder(policy, task)
    return _finish(policy, task, answers)


def read_responses(path: Path, task: Task) -> list[list[Response]]:
    """Return recorded responses to each prompt, in the order of the prompts; none for a prompt that the file lacks.

    Raises:
        ConfigError: no responses, a response to a prompt that is not asked, or more to one prompt than to another.
        StoreError: the file can't be read, or a line is no such row.
    """
    found: dict[str, list[Response]] = {prompt: [] for prompt in task.prompts.texts}
    for number, row in enumerate(read_jsonl(path, RecordedRow), 1):
        if row.prompt not in found:
            raise ConfigError(f"{path}, response {number}: its prompt is not in the data: {row.prompt[:80]!r}")
        found[row.prompt] += row.read(keep_thinking=task.keep_thinking)
    counts = {len(responses): prompt for prompt, responses in found.items() if responses}
    if not counts:
        raise ConfigError(f"{path} has no responses")
    if len(counts) > 1:
        listed = " and ".join(f"{count} to {counts[count][:40]!r}" for count in sorted(counts)[:2])
        raise ConfigError(f"{path} has {listed}: a pass rate needs as many responses to each prompt")
    return list(found.values())


def _claim_folder(policy: Policy, task: Task) -> None:
    now = identify(policy.identity, task.prompts.sha256, policy.sampling, keep_thinking=task.keep_thinking)
    claim_folder(task.folder, now, lambda folder: read_scores(folder).identity, sampled=policy.sampling is not None)


def _finish(policy: Policy, task: Task, answers: Sequence[Sequence[Response]]) -> Scores:
    """Verify the answers to each prompt, none where the data is partial, and write what came of it."""
    given = [(row, some) for row, some in zip(task.prompts.rows, answers, strict=True) if some]
    results = judge_answers([row for row, _ in given], [some for _, some in given], task.sandbox, task.say)
    named = [(row.prompt[0].content[:80], each) for row, some in given for each in some]
    scores = _score(policy, task, results, named)
    write_results(task.folder, scores, results)
    return scores


def judge_answers(
    rows: Sequence[RewardRow], answers: Sequence[Sequence[Response]], sandbox: Sandbox, say: Say
) -> list[PromptResult]:
    """Run every prompt's functions on its answers.

    A response without an answer is judged by none, and not accepted.
    """
    asked = [
        (() if each.is_unanswered else list_functions(row), each.text)
        for row, given in zip(rows, answers, strict=True)
        for each in given
    ]
    say(f"{len(rows):,} prompts: verifying {len(asked):,} responses")
    verdicts = iter(judge(asked, sandbox))
    return [_describe(row, given, [next(verdicts) for _ in given]) for row, given in zip(rows, answers, strict=True)]


def _describe(row: RewardRow, answers: Sequence[Response], verdicts: Sequence[Verdicts]) -> PromptResult:
    return PromptResult(
        id=_identify(row),
        instruction_id=name_instructions(row),
        query_id=row.query_id,
        samples=tuple(
            SampleResult(
                verdicts=each,
                accepted=bool(each) and compute_reward(each, RewardMode.BINARY) == 1,
                fault=_find_fault(answer, row),
                truncated=answer.truncated,
            )
            for answer, each in zip(answers, verdicts, strict=True)
        ),
    )


def _find_fault(answer: Response, row: RewardRow) -> Fault | None:
    if answer.is_unanswered and answer.lack in {Fault.ONLY_REASONING, Fault.UNFINISHED_REASONING}:
        return Fault(str(answer.lack))
    return find_fault(answer.text, row.prompt[0].content, *(each.instruction for each in row.constraints), row.query)


def _identify(row: RewardRow) -> str:
    return content_id("measured prompt", row.prompt[0].content, list(list_functions(row)))


def _score(
    policy: Policy, task: Task, results: Sequence[PromptResult], responses: Sequence[tuple[str, Response]]
) -> Scores:
    samples = list(chain.from_iterable(result.samples for result in results))
    verdicts = list(chain.from_iterable(sample.verdicts for sample in samples))
    rates = [result.pass_rate for result in results]
    faultless = [result.faultless_pass_rate for result in results]
    instructions = [result.instruction_id for result in results]
    cut = [sample.truncated for sample in samples]
    return Scores(
        model=policy.name,
        policy=policy.identity,
        data_sha256=task.prompts.sha256,
        prompts=len(results),
        prompts_missing=len(task.prompts.rows) - len(results),
        instructions=len(set(instructions)),
        responses_per_prompt=len(results[0].samples),
        sampling=policy.sampling,
        keep_thinking=task.keep_thinking,
        pass_rate=estimate_rate(rates, instructions),
        pass_rate_by_prompt=estimate_rate(rates, [result.id for result in results]),
        faultless_pass_rate=estimate_rate(faultless, instructions),
        faults={fault: sum(sample.fault == fault for sample in samples) for fault in Fault},
        responses=count_responses(responses),
        truncated=None if None in cut else 100 * sum(map(bool, cut)) / len(cut),
        undecided=100 * sum(each not in {Verdict.PASS, Verdict.FAIL} for each in verdicts) / (len(verdicts) or 1),
        seen=policy.seen,
        sandbox=task.sandbox.describe(),
        versions={**versions()},
    )
