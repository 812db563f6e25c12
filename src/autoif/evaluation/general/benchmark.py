"""Measures a model on general benchmarks: lm-eval's requests and verdicts, and HumanEval's programs in the sandbox.

A model folder answers multiple choice by the log-likelihood of each choice, as JSON; all other answers are texts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from math import comb
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from autoif.errors import ConfigError
from autoif.evaluation.benchmark import AskedPrompt, Benchmark, Given, Judged, Subject, evaluate, take_recorded
from autoif.evaluation.general.answering import Answerer, ChatModel, FolderModel
from autoif.evaluation.general.data import (
    GeneralQuestion,
    GeneralQuestions,
    GeneralSettings,
    choose_questions,
    read_questions,
)
from autoif.evaluation.general.definitions import (
    Definition,
    LmTask,
    Requests,
    build_requests,
    build_task,
    load_definitions,
)
from autoif.evaluation.general.files import PUBLISHED, Published, TaskName
from autoif.evaluation.general.programs import LIMITS, join_completion, read_program, run_programs
from autoif.evaluation.provenance import identify_policy
from autoif.evaluation.responses import RecordedRow, SubjectResponse
from autoif.evaluation.results import Column, PromptResult, Scores
from autoif.messages import Say
from autoif.reading.jsonl import read_jsonl
from autoif.sampling import Backend, SamplingSettings
from autoif.sandbox import Sandbox

_PASSES = (10, 100)
"""Values of k for pass@k, beside 1 and the number of programs."""


@dataclass(frozen=True, slots=True)
class Task:
    """One benchmark with the questions that are asked."""

    definitions: tuple[Definition, ...]
    """One for each subject."""
    questions: GeneralQuestions
    shots: int
    settings: GeneralSettings

    @property
    def name(self) -> TaskName:
        return self.questions.task

    @property
    def published(self) -> Published:
        return PUBLISHED[self.name]

    @property
    def sampling(self) -> SamplingSettings:
        """How answers are sampled: greedily, except HumanEval's programs, which follow the settings."""
        given = self.settings
        drawn = {"responses": given.samples, "temperature": given.temperature, "top_p": given.top_p}
        return SamplingSettings.model_validate({
            **(drawn if self.name == "humaneval" else {"responses": 1, "temperature": 0.0}),
            "max_tokens": given.max_tokens or self.definitions[0].answer_tokens,
            "seed": given.seed, "chat_template_kwargs": given.chat_template_kwargs,
            "batch_size": given.batch_size, "dtype": given.dtype,
        })  # fmt: skip

    def read_text(self, question: GeneralQuestion) -> str:
        """Return the text that recorded answers are matched by; "" for multiple choice, which can't have any."""
        return str(question.row[self.published.text]) if self.published.text else ""


def read_task(name: TaskName, path: Path | None, settings: GeneralSettings) -> Task:
    """Read a benchmark's files, or fetch it from the hub if no path is named, and choose its questions.
    Raises ConfigError: a file, a subject or examples are missing, or the data set can't be fetched."""
    definitions = load_definitions(name, chat=settings.chat_template)
    questions = read_questions(name, path, definitions)
    shots = settings.shots.get(name, definitions[0].shots)
    for subject, rows in questions.examples.items():
        if len(rows) < shots:
            raise ConfigError(
                f"{questions.source} has {len(rows)} examples of {subject or name}: {shots} are asked for"
            )
    return Task(definitions, choose_questions(questions, settings.limit, settings.seed), shots, settings)


def evaluate_all(
    who: Path | tuple[str, Backend],
    tasks: Mapping[TaskName, Path | None],
    settings: GeneralSettings,
    folder: Path,
    say: Say,
    *,
    keep_thinking: bool,
) -> Iterator[tuple[Path, Scores]]:
    """Measure a model or recorded answers on several benchmarks; yield the folder and the scores of each.

    Args:
        who: a file of recorded answers, or a model and its backend.
        tasks: the files of each benchmark; None fetches it from the hub.
        settings: of the questions and the answers.
        folder: receives a folder for each benchmark.
        say: called with lines of progress.
        keep_thinking: whether thoughts are judged with their answers.

    Raises:
        ConfigError, ModelError, SandboxError, StoreError: as `evaluate`; data is missing or of another form, or only a
            model folder can answer.
    """
    if isinstance(who, Path) or who[1] != "transformers":
        _refuse_choices([*tasks])
    if isinstance(who, Path):
        read_jsonl(who, RecordedRow)  # refuse a wrong file before any data is fetched
    with ExitStack() as stack:  # enter the sandbox before torch is imported and starts its threads
        sandbox = stack.enter_context(Sandbox(LIMITS, backend="cpython")) if "humaneval" in tasks else None
        model = who if isinstance(who, Path) else _name_model(*who, settings, say)
        asked = {name: read_task(name, path, settings) for name, path in tasks.items()}
        for name, task in asked.items():
            others = [
                other.read_text(each) for other in asked.values() if other is not task for each in other.questions.rows
            ]
            benchmark, subject = prepare(task, model, sandbox, others)
            tell = partial(_tell, say, name)
            yield folder / name, evaluate(benchmark, subject, folder / name, tell, keep_thinking=keep_thinking)


def _name_model(name: str, backend: Backend, settings: GeneralSettings, say: Say) -> tuple[str, str, Answerer]:
    answerer: Answerer = FolderModel(name, settings) if backend == "transformers" else ChatModel(name, backend, say)
    return name, identify_policy(name, backend), answerer


def _tell(say: Say, name: str, line: str) -> None:
    say(f"{name}: {line}")


def _refuse_choices(names: Sequence[TaskName]) -> None:
    """Raise `ConfigError` for benchmarks that only a model folder can answer."""
    if lost := [name for name in names if not PUBLISHED[name].text]:
        others = ",".join(name for name in names if name not in lost) or "gsm8k,humaneval"
        raise ConfigError(
            f"{' and '.join(lost)}: choices are compared by log-likelihood, which no text tells: name a "
            f"model folder, or --tasks {others}"
        )


def prepare(
    task: Task, who: tuple[str, str, Answerer] | Path, sandbox: Sandbox | None, elsewhere: Sequence[str] = ()
) -> tuple[Benchmark, Subject]:
    """Return the benchmark, ready to judge, and its subject.

    Args:
        task: the benchmark with its questions.
        who: a model as (name, identity, answerer), or a file of recorded answers.
        sandbox: runs HumanEval's programs.
        elsewhere: questions of other benchmarks that the file of recorded answers may answer as well.

    Raises:
        ConfigError, ModelError: the model can't be used.
    """
    answerer = None if isinstance(who, Path) else who[2]
    asked = _ask_lm_eval(task, answerer)
    requests: Requests = {key: some for each in asked for key, some in each.requests.items()}

    def judge(given: Given) -> Judged:
        answers = {prompt.id: some for prompt, some in given}
        rows = [row for row in task.questions.rows if row.id in answers]
        if task.name == "humaneval":
            assert sandbox, "HumanEval is measured in a sandbox"
            return Judged(_judge_programs(task, rows, answers, sandbox, is_local=isinstance(answerer, FolderModel)))
        first = {key: some[0].text for key, some in answers.items()}
        verdicts = {key: found for each in asked for key, found in each.judge(first).items()}
        return Judged([_make_result(row, {name: (it,) for name, it in verdicts[row.id].items()}, {}) for row in rows])

    benchmark = _build(task, judge, answerer, requests, elsewhere)
    if isinstance(who, Path):
        return benchmark, take_recorded(who)
    name, identity, answerer = who
    return benchmark, Subject(name, identity, task.sampling, lambda: answerer.open(requests, task.sampling))


def _ask_lm_eval(task: Task, answerer: Answerer | None) -> list[LmTask]:
    asked = []
    for definition in task.definitions:
        rows = [each for each in task.questions.rows if each.subject == definition.subject]
        if rows:
            changes = _change(definition, task, is_local=isinstance(answerer, FolderModel))
            examples = task.questions.examples[definition.subject]
            lm_task = build_task(definition, [each.row for each in rows], examples, changes)
            requests = build_requests(lm_task, answerer.read_template() if answerer else None)
            asked.append(LmTask(definition, lm_task, dict(zip((row.id for row in rows), requests, strict=True))))
    return asked


def _change(definition: Definition, task: Task, *, is_local: bool) -> dict[str, Any]:
    """Return our changes to lm-eval's definition."""
    settings = task.sampling
    changes: dict[str, Any] = {"num_fewshot": task.shots} if task.name in task.settings.shots else {}
    if "generation_kwargs" in definition.config:
        draw = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
        changes["generation_kwargs"] = {
            **definition.config["generation_kwargs"], "max_gen_toks": settings.max_tokens,
            **(draw if settings.temperature else {}),
        }  # fmt: skip
    if not is_local:
        changes["gen_prefix"] = None  # in a chat, an answer can't be begun for the model
    return changes


def _build(
    task: Task,
    judge: Callable[[Given], Judged],
    answerer: Answerer | None,
    requests: Requests,
    elsewhere: Sequence[str],
) -> Benchmark:
    questions, first, fixed = task.questions, task.definitions[0], task.published
    name = first.name if len(task.definitions) == 1 else task.name
    definition = f"{name}, version {first.config['metadata']['version']}"
    shots = f"{task.shots} examples before each" if task.shots else "no examples before them"
    return Benchmark(
        name=task.name,
        title=fixed.title,
        place=fixed.place,
        about=f"{shots}; the percentage of right answers, as lm-eval's {fixed.metric} counts them. Intervals draw "
        "questions again.",
        prompts=[
            AskedPrompt(
                row.id, row.id, task.read_text(row), answerer.phrase(requests[row.id]) if answerer else ()
            )
            for row in questions.rows
        ],
        size=fixed.size,
        data=questions.source,
        data_id=questions.id,
        columns=_list_columns(task),
        judge=judge,
        settings={
            "limit": task.settings.limit, "chat_template": task.settings.chat_template, "shots": task.shots,
            "definition": definition, "examples": questions.id,
        },
        shared=task.settings.model_dump(mode="json"),
        responses=task.sampling.responses,
        scores_refused=False,
        found_within=True,
        elsewhere=elsewhere,
        versions={"lm-eval": version("lm-eval")},
    )  # fmt: skip


def _list_columns(task: Task) -> list[Column]:
    fixed = task.published
    columns = [Column(name=fixed.metric, heading="General abilities", label=fixed.title, paired=True)]
    others = [*fixed.others, *(f"pass@{k}" for k in _list_passes(task.name, task.sampling.responses))]
    return columns + [Column(name=name, heading="", label=name, shown="nowhere") for name in others]


def _list_passes(name: TaskName, samples: int) -> list[int]:
    return sorted({*(k for k in _PASSES if k < samples), samples} - {1}) if name == "humaneval" else []


def _judge_programs(
    task: Task,
    rows: Sequence[GeneralQuestion],
    answers: Mapping[str, Sequence[SubjectResponse]],
    sandbox: Sandbox,
    *,
    is_local: bool,
) -> list[PromptResult]:
    chat = task.settings.chat_template
    programs = [
        (row, join_completion(row, each.text, chat=chat) if is_local else read_program(row, each.text))
        for row in rows
        for each in answers[row.id]
    ]
    reasons = iter(run_programs(programs, sandbox))
    results = []
    for row in rows:
        found = [next(reasons) for _ in answers[row.id]]
        wrong, each = sum(map(bool, found)), len(found)
        rates: dict[str, tuple[float, ...]] = {task.published.metric: tuple(not why for why in found)}
        # The unbiased estimate of the chance that at least one of k programs passes.
        for k in _list_passes("humaneval", each):
            rates[f"pass@{k}"] = (1 - comb(wrong, k) / comb(each, k),)
        results.append(_make_result(row, rates, {"programs": [*found]}))
    return results


def _make_result(
    row: GeneralQuestion, rates: Mapping[str, tuple[float, ...]], details: dict[str, JsonValue]
) -> PromptResult:
    scores = {name: tuple(100.0 * each for each in some) for name, some in rates.items()}
    return PromptResult(id=row.id, key=row.id, cluster=row.id, part=row.subject, scores=scores, details=details)
