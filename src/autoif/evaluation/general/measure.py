"""General abilities of a model: ask, judge, score, write; a benchmark that is finished is not measured again.

In:   questions of GSM8K, MMLU, HumanEval and C-Eval (`data`), and a model folder or an endpoint (`answering`).
Out:  scores.json and per_prompt.jsonl (`results`); answers/*.jsonl, from which an interrupted one goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain
from math import comb
from pathlib import Path

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.bootstrap import Interval
from autoif.evaluation.general.asking import MAIN, Asked, Place, Who, ask_questions
from autoif.evaluation.general.data import SIZES, Questions, choose_questions, read_questions
from autoif.evaluation.general.definitions import Definition, load_definitions
from autoif.evaluation.general.files import TASKS, TaskName
from autoif.evaluation.general.recorded import RecordedAnswers
from autoif.evaluation.general.results import (
    GeneralScores,
    QuestionResult,
    SubjectScore,
    TaskScore,
    claim_folder,
    read_finished,
    write_finished,
)
from autoif.evaluation.rates import estimate_rate
from autoif.evaluation.responses import count, count_responses
from autoif.evaluation.results import write_results
from autoif.training.card import versions

_PASSES = (10, 100)
_LINES = 10
"""Lines of progress that a benchmark of many subjects says."""
CHOICES: tuple[TaskName, ...] = ("mmlu", "ceval")
"""Answered by the likeliest of four letters: a server of chat completions doesn't tell how likely each is."""


@dataclass(frozen=True, slots=True)
class _Benchmark:
    definitions: tuple[Definition, ...]
    questions: Questions
    shots: int


def measure_general(who: Who, names: Sequence[TaskName], files: Mapping[TaskName, Path], place: Place) -> GeneralScores:
    """Measure a model, and write the results; the scores are of all benchmarks that the folder has by now.

    Args:
        who: the model.
        names: benchmarks.
        files: the files of each; those without are fetched from the hub.
        place: how they are put, and where the results go.

    Raises:
        ConfigError: data or recorded answers are missing, an endpoint is asked for log-likelihoods, or the model's
            context is too small.
        ModelError: the model can't be used.
        SandboxError: programs can't be contained.
        StoreError: a data file is of another form; the folder holds another evaluation, or can't be written.
    """
    if not who.is_local and (lost := [name for name in names if name in CHOICES]):
        others = ",".join(name for name in names if name not in CHOICES) or "gsm8k,humaneval"
        raise ConfigError(
            f"{' and '.join(lost)}: choices are compared by log-likelihood, which no text tells: name a "
            f"model folder, or --tasks {others}"
        )
    benchmarks = {name: _read_benchmark(name, files.get(name), place) for name in names}
    recorded = None
    if isinstance(who.answerer, RecordedAnswers):
        recorded = who.answerer.match([each.questions for each in benchmarks.values()], place.settings.samples)
    claim_folder(place.folder, who.identity, place.settings)
    finished = read_finished(place.folder)
    for name, benchmark in benchmarks.items():
        if name in finished and finished[name][0].data_id != benchmark.questions.id:
            raise StoreError(f"{place.folder} holds {name} on other data: choose another --output")
    for name, benchmark in benchmarks.items():
        if name in finished:
            place.say(f"{name}: finished before")
        else:
            write_finished(place.folder, name, *_measure(benchmark, who, place))
    found = read_finished(place.folder)
    scores = GeneralScores(
        model=who.name,
        policy=who.identity,
        settings=place.settings,
        partial=any(score.partial for score, _ in found.values()),
        tasks={name: found[name][0] for name in TASKS if name in found},
        recorded=recorded,
        versions={**versions(), "lm-eval": version("lm-eval")},
    )
    write_results(place.folder, scores, [row for _, rows in found.values() for row in rows])
    return scores


def _read_benchmark(name: TaskName, path: Path | None, place: Place) -> _Benchmark:
    definitions = load_definitions(name, chat=place.settings.chat_template)
    questions = read_questions(name, path, definitions)
    shots = place.settings.shots.get(name, definitions[0].shots)
    for subject, rows in questions.examples.items():
        if len(rows) < shots:
            raise ConfigError(
                f"{questions.source} has {len(rows)} examples of {subject or name}: {shots} are asked for"
            )
    return _Benchmark(definitions, choose_questions(questions, place.settings.limit, place.settings.seed), shots)


def _measure(benchmark: _Benchmark, who: Who, place: Place) -> tuple[TaskScore, list[QuestionResult]]:
    questions = benchmark.questions
    asked, done, total = [], 0, len(questions.rows)
    for definition in benchmark.definitions:
        rows = tuple(row for row in questions.rows if row.subject == definition.subject)
        if rows:
            asked.append(ask_questions(definition, replace(questions, rows=rows), who, place))
            done, before = done + len(rows), done
            if definition.subject and done * _LINES // total > before * _LINES // total:
                place.say(f"{questions.task}: {done:,} of {total:,} questions answered")
    results = list(chain.from_iterable(each.results for each in asked))
    if not results:
        raise ConfigError(f"{questions.task}: no question was answered; the endpoint refused each")
    place.say(f"{questions.task}: {len(results):,} questions scored")
    return _score(benchmark, results, asked), results


def _score(benchmark: _Benchmark, results: Sequence[QuestionResult], asked: Sequence[Asked]) -> TaskScore:
    task, main = benchmark.questions.task, MAIN[benchmark.questions.task]
    definitions = benchmark.definitions
    written = [response for each in asked for response in each.responses]
    subjects: dict[str, list[bool]] = {}
    for result in results:
        if result.subject:
            subjects.setdefault(result.subject, []).append(result.correct)
    return TaskScore(
        metric=main,
        score=_average(results, main),
        others={
            **{name: _average(results, name) for name in results[0].verdicts if name != main},
            **(_pass_at(results) if task == "humaneval" else {}),
        },
        questions=len(results),
        questions_of_benchmark=SIZES[task],
        partial=len(results) < SIZES[task],
        shots=benchmark.shots,
        definition=f"{definitions[0].name if len(definitions) == 1 else task}, version {definitions[0].version}",
        data=benchmark.questions.source,
        data_id=benchmark.questions.id,
        subjects={
            name: SubjectScore(questions=len(right), score=100 * sum(right) / len(right))
            for name, right in sorted(subjects.items())
        },
        unanswered=count([key for each in asked for key in each.unanswered]),
        cut=count([key for each in asked for key in each.cut]),
        responses=None if definitions[0].compares_choices else count_responses(written),
    )


def _average(results: Sequence[QuestionResult], metric: str) -> Interval:
    """Return the percentage of right answers; questions are drawn again, each with all of its samples."""
    values = [(result.id, 100.0 * verdict) for result in results for verdict in result.verdicts[metric]]
    return estimate_rate([value for _, value in values], [key for key, _ in values])


def _pass_at(results: Sequence[QuestionResult]) -> dict[str, Interval]:
    """Return pass@k, the chance in percent that one of k programs passes, without bias from more than k of them."""
    found = {}
    each = len(results[0].verdicts[MAIN["humaneval"]])
    for k in sorted({*(k for k in _PASSES if k < each), each} - {1}):
        values = []
        for result in results:
            wrong = each - sum(result.verdicts[MAIN["humaneval"]])
            values.append(100 * (1 - comb(wrong, k) / comb(each, k)))
        found[f"pass@{k}"] = estimate_rate(values, [result.id for result in results])
    return found
