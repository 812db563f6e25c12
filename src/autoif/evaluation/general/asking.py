"""One task of lm-eval put to a model: the answers, stored as they come, and the verdict on each."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoif.evaluation.general.answering import Answerer, LocalModel
from autoif.evaluation.general.data import Question, Questions
from autoif.evaluation.general.definitions import Definition, build_requests, build_task, judge
from autoif.evaluation.general.files import TaskName
from autoif.evaluation.general.programs import Judged, join_completion, read_program, run_programs
from autoif.evaluation.general.results import GeneralSettings, QuestionResult
from autoif.evaluation.responses import Response, read_sample
from autoif.sampling import Sample, SamplingPrompt, SamplingSettings, sample_all
from autoif.sandbox import Sandbox
from autoif.store import storage_errors

MAIN: dict[TaskName, str] = {
    "gsm8k": "exact_match, strict-match", "mmlu": "acc", "humaneval": "pass@1", "ceval": "acc",
}  # fmt: skip
"""The metric of lm-eval that a score is of."""
_ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class Who:
    """The model that is measured."""

    name: str
    """As the user named it."""
    identity: str
    """By content, with what runs it."""
    answerer: Answerer

    @property
    def is_local(self) -> bool:
        return isinstance(self.answerer, LocalModel)


@dataclass(frozen=True, slots=True)
class Place:
    """How questions are put, and where the answers go."""

    settings: GeneralSettings
    folder: Path
    sandbox: Sandbox | None
    """Entered; None where HumanEval is not measured."""
    say: Callable[[str], None]
    """Gets lines of progress."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of questions."""

    results: tuple[QuestionResult, ...]
    unanswered: tuple[str, ...]
    """Ids of questions that an endpoint refused, with what it said, or to which too few answers are recorded."""
    cut: tuple[str, ...]
    """Ids of questions or answers that were cut."""
    responses: tuple[tuple[str, Response], ...] = ()
    """What was written, with the id of its question; nothing where choices are compared."""


def ask_questions(definition: Definition, questions: Questions, who: Who, place: Place) -> Asked:
    """Put questions of one subject to a model, where they have no answer yet, and judge the answers.

    Raises:
        ConfigError, ModelError: the model can't be used.
        StoreError: the answers can't be stored, or are of something else.
        SandboxError: programs can't be contained.
    """
    task, settings = questions.task, _draw(definition, questions.task, place.settings)
    changes = _change(definition, settings, who, place.settings.shots.get(task))
    rows, examples = [each.row for each in questions.rows], questions.examples[definition.subject]
    lm_task = build_task(definition, rows, examples, changes)
    requests = build_requests(lm_task, who.answerer.read_template())
    by_id = {each.id: some for each, some in zip(questions.rows, requests, strict=True)}
    samples = _sample(definition, by_id, settings, who, place)
    refused = {each.prompt_id: each.detail for each in samples if each.finish_reason == "refused"}
    responses: list[tuple[str, Response]] = []
    if not definition.compares_choices:
        read = [read_sample(sample, keep_thinking=place.settings.keep_thinking) for sample in samples]
        samples = [sample.model_copy(update={"text": each.text}) for sample, each in zip(samples, read, strict=True)]
        listed = zip(samples, read, strict=True)
        responses = [(sample.prompt_id, each) for sample, each in listed if sample.prompt_id not in refused]
    answers = {each.id: [sample for sample in samples if sample.prompt_id == each.id] for each in questions.rows}
    left = [each for each in questions.rows if each.id not in refused]
    if task == "humaneval":
        results = _judge_programs([(each, answers[each.id]) for each in left], who, place)
    else:
        for key, some in by_id.items():
            _hand_back(some, answers[key][0], definition)
        verdicts = dict(zip(by_id, judge(lm_task, requests), strict=True))
        results = [_describe(each, task, {name: (it,) for name, it in verdicts[each.id].items()}) for each in left]
    cut = [each.id for each in left if any(sample.finish_reason == "length" for sample in answers[each.id])]
    unanswered = [f"{key}: {said}" if said else key for key, said in sorted(refused.items())]
    return Asked(tuple(results), tuple(unanswered), tuple(cut), tuple(responses))


def _draw(definition: Definition, task: TaskName, settings: GeneralSettings) -> SamplingSettings:
    """Return how answers are drawn: greedily, but for several programs to a question."""
    drawn = {"responses": settings.samples, "temperature": settings.temperature, "top_p": settings.top_p}
    return SamplingSettings.model_validate({
        **(drawn if task == "humaneval" else {"responses": 1, "temperature": 0.0}),
        "max_tokens": settings.max_tokens or definition.answer_tokens,
        "seed": settings.seed, "chat_template_kwargs": settings.chat_template_kwargs,
        "batch_size": settings.batch_size, "dtype": settings.dtype,
    })  # fmt: skip


def _change(definition: Definition, settings: SamplingSettings, who: Who, shots: int | None) -> dict[str, Any]:
    """Return what differs from lm-eval's definition."""
    changes: dict[str, Any] = {} if shots is None else {"num_fewshot": shots}
    if "generation_kwargs" in definition.config:
        draw = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
        changes["generation_kwargs"] = {
            **definition.config["generation_kwargs"], "max_gen_toks": settings.max_tokens,
            **(draw if settings.temperature else {}),
        }  # fmt: skip
    if not who.is_local:
        changes["gen_prefix"] = None  # a chat can't be asked to go on with a beginning
    return changes


def _sample(
    definition: Definition, requests: dict[str, list[Any]], settings: SamplingSettings, who: Who, place: Place
) -> list[Sample]:
    prompts = [SamplingPrompt(id=key, messages=who.answerer.phrase(some)) for key, some in requests.items()]
    file = place.folder / _ANSWERS / f"{definition.name}.jsonl"
    with storage_errors(file.parent):
        file.parent.mkdir(exist_ok=True)

    def say(line: str) -> None:
        if not definition.subject:  # of many subjects only the whole is told
            place.say(f"{definition.name}: {line}")

    return sample_all(prompts, settings, lambda: who.answerer.open(requests, settings), file, say, policy=who.identity)


def _hand_back(instances: Sequence[Any], sample: Sample, definition: Definition) -> None:
    """Give lm-eval's requests their answers: a text up to its stop, or the log-likelihood of each choice."""
    if definition.compares_choices:
        for instance, said in zip(instances, json.loads(sample.text), strict=True):
            instance.resps.append(tuple(said))
        return
    text = sample.text
    for stop in definition.config["generation_kwargs"]["until"]:
        text = text.split(stop)[0]  # an endpoint was not told where to stop
    instances[0].resps.append(text)


def _judge_programs(answers: Sequence[tuple[Question, list[Sample]]], who: Who, place: Place) -> list[QuestionResult]:
    assert place.sandbox, "HumanEval is measured in a sandbox"
    chat = place.settings.chat_template
    programs = [
        (each, join_completion(each, sample.text, chat=chat) if who.is_local else read_program(each, sample.text))
        for each, some in answers
        for sample in some
    ]
    judged = iter(run_programs(programs, place.sandbox))
    results = []
    for each, some in answers:
        found: list[Judged] = [next(judged) for _ in some]
        verdicts = {MAIN["humaneval"]: tuple(one.passed for one in found)}
        results.append(_describe(each, "humaneval", verdicts, tuple(one.detail for one in found)))
    return results


def _describe(
    question: Question, task: TaskName, verdicts: dict[str, tuple[bool, ...]], details: tuple[str, ...] = ()
) -> QuestionResult:
    return QuestionResult(
        id=question.id, task=task, subject=question.subject, correct=verdicts[MAIN[task]][0], verdicts=verdicts,
        details=details,
    )  # fmt: skip
