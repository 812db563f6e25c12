"""IFEval and IFBench: a model's responses to the benchmark's prompts, judged by the official checkers.

In:   the prompts (`benchmarks`), and a model to sample from or recorded responses.
Out:  scores.json, per_prompt.jsonl (`benchmark_results`), and samples.jsonl, from which an interrupted one goes on.

What can't be scored as it is, missing, unknown, duplicate, empty or unjudgeable, is counted and named.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from operator import ne
from pathlib import Path

from autoif.errors import ConfigError
from autoif.evaluation.benchmark_results import (
    BenchmarkScores,
    FaultCount,
    QuestionResult,
    ResponseResult,
    TypeScore,
    read_benchmark_scores,
)
from autoif.evaluation.benchmarks import SIZES, Question, Questions
from autoif.evaluation.bootstrap import Interval
from autoif.evaluation.checkers import NEWEST, REVISIONS, Judged, Revision
from autoif.evaluation.corrections import CORRECTIONS
from autoif.evaluation.judging import check_judge, open_judge
from autoif.evaluation.pass_rate import OpenSampler, Policy, Say
from autoif.evaluation.rates import estimate_rate
from autoif.evaluation.responses import RecordedRow, Response, ResponseCounts, count, count_responses, read_sample
from autoif.evaluation.results import SAMPLES, Seen, claim_folder, write_results
from autoif.sampling import SamplingPrompt, sample_all
from autoif.store import read_jsonl
from autoif.training.card import versions

_CHECKERS = ("langdetect", "nltk", "emoji", "syllapy")


@dataclass(frozen=True, slots=True)
class BenchmarkTask:
    """What is done with the responses, and where the results go."""

    questions: Questions
    folder: Path
    say: Say
    """Gets lines of progress."""
    corrected: bool = False
    """Score without the known faults of the checkers."""
    keep_thinking: bool = False
    """Score responses with their thoughts."""
    workers: int | None = None
    """Processes that judge; None is as many as there are cores."""
    revision: Revision = NEWEST
    """Of IFBench's checkers."""

    @property
    def checkers(self) -> str:
        """Which official checkers judge; of IFEval there is one revision."""
        return REVISIONS[self.revision if self.questions.benchmark == "ifbench" else NEWEST]


@dataclass(frozen=True, slots=True)
class Responses:
    """What is to be scored: a list for each prompt, empty where there is none; and what isn't scored."""

    answers: tuple[tuple[Response, ...], ...]
    unknown: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()


def measure_model(policy: Policy, open_sampler: OpenSampler, task: BenchmarkTask) -> BenchmarkScores:
    """Sample from a model, judge its responses, and write the results.

    Raises:
        StoreError: the folder holds an evaluation of something else, or can't be written.
        ModelError, ConfigError: the model or its backend can't be used, or the checkers are not installed.
    """
    assert policy.sampling is not None
    each = policy.sampling.responses
    check_judge(task.questions)
    _claim_folder(policy, task)
    asked = [
        SamplingPrompt(id=row.id, messages=({"role": "user", "content": row.prompt},)) for row in task.questions.rows
    ]
    samples = sample_all(asked, policy.sampling, open_sampler, task.folder / SAMPLES, task.say, policy=policy.identity)
    answers = [read_sample(sample, keep_thinking=task.keep_thinking) for sample in samples]
    grouped = tuple(tuple(answers[start : start + each]) for start in range(0, len(answers), each))
    return _finish(policy, Responses(grouped), task)


def measure_responses(file: Path, task: BenchmarkTask) -> BenchmarkScores:
    """Judge responses that were recorded elsewhere, and write the results. Raises as `measure_model`."""
    responses = read_recorded(file, task)
    identity = f"recorded, SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()}"
    policy = Policy(str(file), identity, None, Seen())
    _claim_folder(policy, task)
    return _finish(policy, responses, task)


def read_recorded(file: Path, task: BenchmarkTask) -> Responses:
    """Return the responses to each prompt, as many to each: where some have more, those beyond are duplicates, and a
    line says whose number of responses is the lowest.

    Raises:
        ConfigError: there is no response to any of the prompts.
        StoreError: the file can't be read, or a line is no such row.
    """
    questions = task.questions.rows
    found: dict[str, list[Response]] = {row.prompt: [] for row in questions}
    unknown = []
    for row in read_jsonl(file, RecordedRow):
        if row.prompt in found:
            found[row.prompt] += row.read(keep_thinking=task.keep_thinking)
        else:
            unknown.append(row.prompt)
    fewest = min((row for row in questions if found[row.prompt]), key=lambda row: len(found[row.prompt]), default=None)
    if fewest is None:
        raise ConfigError(f"{file} has no response to any of the {len(questions)} prompts")
    each = len(found[fewest.prompt])
    duplicates = [row.key for row in questions for _ in found[row.prompt][each:]]
    if duplicates:
        task.say(
            f"{len(duplicates):,} responses are left out: each prompt is scored by {each}, as prompt {fewest.key} has "
            "no more"
        )
    return Responses(tuple(tuple(some[:each]) for some in found.values()), tuple(unknown), tuple(duplicates))


def _claim_folder(policy: Policy, task: BenchmarkTask) -> None:
    now = {
        "metric": task.questions.benchmark, "policy": policy.identity, "data_id": task.questions.id,
        "corrected": task.corrected, "keep_thinking": task.keep_thinking,
        **({"checkers": task.checkers} if task.questions.benchmark == "ifbench" else {}),
        **(policy.sampling.model_dump() if policy.sampling else {}),
    }  # fmt: skip
    claim_folder(
        task.folder, now, lambda folder: read_benchmark_scores(folder).identity, sampled=policy.sampling is not None
    )


def _finish(policy: Policy, responses: Responses, task: BenchmarkTask) -> BenchmarkScores:
    rows = task.questions.rows
    jobs = [(row, each.text) for row, some in zip(rows, responses.answers, strict=True) for each in some]
    with open_judge(task.questions, len(jobs), task.workers, revision=task.revision) as judge:
        judged = iter(judge(jobs))
    results, unjudgeable, scored = [], [], []
    for row, some in zip(rows, responses.answers, strict=True):
        verdicts = [next(judged) for _ in some]
        lacking = [each for each in verdicts if isinstance(each, str)]
        if lacking:
            unjudgeable.append(f"{row.key}: {lacking[0]}")
        elif some:
            known = [each for each in verdicts if not isinstance(each, str)]
            results.append(_describe(row, some, known, corrected=task.corrected))
            scored += [(row.key, each) for each in some]
    task.say(f"{len(jobs):,} responses to {len(results):,} prompts scored")
    if not results:
        raise ConfigError(f"no prompt can be scored: {unjudgeable[0]}")
    missing = [row.key for row, some in zip(rows, responses.answers, strict=True) if not some]
    scores = _score(policy, task, results, count_responses(scored), {
        "missing": missing, "unknown": [text[:80] for text in responses.unknown],
        "duplicates": responses.duplicates, "unjudgeable": unjudgeable,
    })  # fmt: skip
    write_results(task.folder, scores, results)
    return scores


def _describe(
    row: Question, answers: Sequence[Response], judged: Sequence[Judged], *, corrected: bool
) -> QuestionResult:
    def name(flags: Iterable[bool]) -> tuple[str, ...]:
        return tuple(name for name, flag in zip(row.instruction_id_list, flags, strict=True) if flag)

    responses = []
    for answer, each in zip(answers, judged, strict=True):
        responses.append(
            ResponseResult(
                strict=each.corrected_strict if corrected else each.strict,
                loose=each.corrected_loose if corrected else each.loose,
                faulty_strict=name(map(ne, each.strict, each.corrected_strict)),
                faulty_loose=name(map(ne, each.loose, each.corrected_loose)),
                drawn=name(each.drawn),
                raised=name(each.raised),
                empty=not answer.text.strip(),
                truncated=answer.truncated,
            )
        )
    return QuestionResult(
        id=row.id, key=row.key, instruction_id_list=row.instruction_id_list, responses=tuple(responses)
    )


def _score(
    policy: Policy,
    task: BenchmarkTask,
    results: Sequence[QuestionResult],
    counts: ResponseCounts,
    unscored: Mapping[str, Sequence[str]],
) -> BenchmarkScores:
    responses = [(result, each) for result in results for each in result.responses]
    cut = [each.truncated for _, each in responses]
    return BenchmarkScores(
        metric=task.questions.benchmark,
        model=policy.name,
        policy=policy.identity,
        data=task.questions.version,
        data_id=task.questions.id,
        checkers=task.checkers,
        corrected=task.corrected,
        keep_thinking=task.keep_thinking,
        prompts=len(results),
        prompts_of_benchmark=SIZES[task.questions.benchmark],
        partial=len(results) < SIZES[task.questions.benchmark] or bool(unscored["missing"]),
        responses_per_prompt=len(results[0].responses),
        sampling=policy.sampling,
        prompt_strict=_average([(result.id, [all(each.strict)]) for result, each in responses]),
        prompt_loose=_average([(result.id, [all(each.loose)]) for result, each in responses]),
        instruction_strict=_average([(result.id, each.strict) for result, each in responses]),
        instruction_loose=_average([(result.id, each.loose) for result, each in responses]),
        instruction_types=_score_types(results),
        **{name: count(named) for name, named in unscored.items()},
        responses=counts,
        empty=count([result.key for result, each in responses if each.empty]),
        truncated=None if None in cut else count([result.key for result, each in responses if each.truncated]),
        drawn=count([f"{result.key}: {name}" for result, each in responses for name in each.drawn]),
        raised=count([f"{result.key}: {name}" for result, each in responses for name in each.raised]),
        faults=_count_faults(results),
        versions={**versions(), **{name: version(name) for name in _CHECKERS}},
    )


def _average(verdicts: Sequence[tuple[str, Sequence[bool]]]) -> Interval:
    """Return the percentage of True; `verdicts` names the prompt of each group, which is drawn again as a whole."""
    values = [100.0 * verdict for _, some in verdicts for verdict in some]
    return estimate_rate(values, [prompt for prompt, some in verdicts for _ in some])


def _score_types(results: Sequence[QuestionResult]) -> dict[str, TypeScore]:
    found: dict[str, list[tuple[bool, bool]]] = {}
    for result in results:
        for each in result.responses:
            for name, strict, loose in zip(result.instruction_id_list, each.strict, each.loose, strict=True):
                found.setdefault(name, []).append((strict, loose))
    return {
        name: TypeScore(
            instructions=len(verdicts),
            strict=100 * sum(strict for strict, _ in verdicts) / len(verdicts),
            loose=100 * sum(loose for _, loose in verdicts) / len(verdicts),
        )
        for name, verdicts in sorted(found.items())
    }


def _count_faults(results: Sequence[QuestionResult]) -> dict[str, FaultCount]:
    asked = {name for result in results for name in result.instruction_id_list}
    responses = list(chain.from_iterable(result.responses for result in results))
    strict = Counter(chain.from_iterable(each.faulty_strict for each in responses))
    loose = Counter(chain.from_iterable(each.faulty_loose for each in responses))
    return {
        name: FaultCount(fault=correction.fault, strict=strict[name], loose=loose[name])
        for name, correction in CORRECTIONS.items()
        if name in asked
    }
