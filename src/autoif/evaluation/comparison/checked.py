"""IFEval and IFBench, whose instructions are checked by code, to be compared."""

from collections.abc import Sequence
from pathlib import Path

from autoif.evaluation.benchmark_results import BenchmarkScores, QuestionResult, read_benchmark_scores
from autoif.evaluation.benchmarks import TITLES
from autoif.evaluation.bootstrap import Interval
from autoif.evaluation.comparison.evaluated import Evaluated, Score, describe_sampling, find_backend
from autoif.evaluation.results import PER_PROMPT
from autoif.store import read_jsonl

_Verdicts = Sequence[tuple[str, Sequence[Sequence[bool]]]]
"""Of each prompt its id, and of each response to it the verdicts on its instructions."""


def read_checked(folder: Path) -> list[Evaluated]:
    """Return a folder that `autoif eval ifeval` or `ifbench` wrote. Raises StoreError."""
    scores = read_benchmark_scores(folder)
    title = TITLES[scores.metric]
    results = sorted(read_jsonl(folder / PER_PROMPT, QuestionResult), key=lambda result: result.id)
    strict = [(result.id, [each.strict for each in result.responses]) for result in results]
    loose = [(result.id, [each.loose for each in result.responses]) for result in results]
    evaluated = Evaluated(
        folder=folder,
        benchmark=scores.metric,
        title=title,
        about=f"{title}: {_count(scores.prompts, 'prompt')}, {_count(scores.responses_per_prompt, 'response')} to each"
        f"{', without the known faults of the checkers' if scores.corrected else ''}; Pr is the percentage of prompts "
        "that are followed whole, In that of instructions, (S) strictly, (L) loosely. Intervals draw prompts again.",
        prompts=frozenset(result.id for result in results),
        data=scores.data,
        settings={
            **describe_sampling(scores.sampling, scores.responses_per_prompt),
            **scores.revision,
            "corrected": scores.corrected,
            "keep_thinking": scores.keep_thinking,
        },
        backend=find_backend(scores.policy, sampled=scores.sampling is not None),
        versions=scores.versions,
        scores=(
            _score_prompts(title, "Pr(S)", scores.prompt_strict, strict),
            _score_prompts(title, "Pr(L)", scores.prompt_loose, loose),
            _score_instructions(title, "In(S)", scores.instruction_strict, strict),
            _score_instructions(title, "In(L)", scores.instruction_loose, loose),
        ),
        remarks=tuple(_remark(scores)),
    )
    return [evaluated]


def _score_prompts(group: str, name: str, interval: Interval, verdicts: _Verdicts) -> Score:
    values = [100.0 * all(each) for _, responses in verdicts for each in responses]
    clusters = [prompt for prompt, responses in verdicts for _ in responses]
    passed = tuple(all(responses[0]) for _, responses in verdicts)
    return Score(group, name, interval, ((values, clusters),), passed)


def _score_instructions(group: str, name: str, interval: Interval, verdicts: _Verdicts) -> Score:
    values = [100.0 * verdict for _, responses in verdicts for each in responses for verdict in each]
    clusters = [prompt for prompt, responses in verdicts for each in responses for _ in each]
    return Score(group, name, interval, ((values, clusters),))


def _remark(scores: BenchmarkScores) -> list[str]:
    remarks = []
    if scores.partial:
        remarks.append(f"PARTIAL, {scores.prompts} of {scores.prompts_of_benchmark} prompts are scored")
    if scores.truncated and scores.truncated.count:
        remarks.append(f"{_count(scores.truncated.count, 'response')} cut")
    if scores.empty.count:
        remarks.append(f"{_count(scores.empty.count, 'response')} without text, which counts as not followed")
    return remarks


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
