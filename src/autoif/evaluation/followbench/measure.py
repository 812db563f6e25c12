"""A model, or recorded responses, on FollowBench: respond, judge, score, write.

In:   the prompts; responses of a model or of files; a judge model, or judgements of files.
Out:  scores.json, per_prompt.jsonl; samples.jsonl and completions.sqlite, from which an interrupted run goes on.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.followbench.data import Benchmark, Item
from autoif.evaluation.followbench.judging import Judgement, make_request, read_answer
from autoif.evaluation.followbench.recorded import digest_judgements, read_judgements, read_responses
from autoif.evaluation.followbench.scoring import PromptResult, SampleResult, Tables, score
from autoif.evaluation.judge import Judge, consult
from autoif.evaluation.provenance import identify_policy
from autoif.evaluation.responses import Response, ResponseCounts, count_responses, read_sample
from autoif.evaluation.results import SAMPLES, SCORES, claim_folder, write_results
from autoif.records import Record
from autoif.sampling import Backend, Sampler, SamplingPrompt, SamplingSettings, open_sampler, sample_all
from autoif.training.card import versions


@dataclass(frozen=True, slots=True)
class Task:
    """What is measured, who judges, and where the results go."""

    benchmark: Benchmark
    judge: Judge | Path | None
    """Of what no rule decides: a model, or a folder of recorded judgements; None where nobody has to judge."""
    folder: Path
    say: Callable[[str], None]
    """Gets lines of progress."""
    keep_thinking: bool = False
    """Judge responses with their thoughts."""

    @property
    def judged_by(self) -> str | None:
        if isinstance(self.judge, Path):
            return f"recorded, SHA-256 {digest_judgements(self.judge)}"
        return self.judge.identity if self.judge else None


@dataclass(frozen=True, slots=True)
class Answers:
    """The responses to the prompts, by their id, as many to each that has any."""

    model: str
    """As the user named it."""
    policy: str
    """Who answered: a model by content, or files by their hash."""
    texts: Mapping[str, Sequence[Response]]
    sampling: SamplingSettings | None = None
    unknown: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()


class Scores(Record):
    """scores.json of FollowBench."""

    metric: Literal["followbench"] = "followbench"
    model: str
    policy: str
    judge: str | None
    """Who judged; None where rules decide everything."""
    data_sha256: str
    language: Literal["en", "zh"]
    sampling: SamplingSettings | None
    keep_thinking: bool
    """Whether responses are judged with their thoughts."""
    prompts: int
    """That are scored."""
    partial: tuple[str, ...]
    """Why this is no score of the whole benchmark; empty if it is one."""
    scores: Tables
    scores_of_read: Tables | None
    """Without the judgements that can't be read; None if all can be."""
    unread: tuple[str, ...]
    """Judgements that can't be read, and why."""
    missing: tuple[str, ...]
    """Prompts without a response."""
    unjudged: tuple[str, ...]
    """Prompts whose response has no judgement."""
    unknown: tuple[str, ...]
    """Rows of files that belong to no prompt."""
    duplicates: tuple[str, ...]
    """Rows for a prompt that had one; the first one counts."""
    responses: ResponseCounts
    """Thoughts, refusals and unknown ends of those that are scored."""
    empty: tuple[str, ...]
    """Prompts with a blank response; it is judged as it is."""
    truncated: tuple[str, ...]
    """Prompts with a response that was cut; it is judged as it is."""
    versions: dict[str, JsonValue]

    @property
    def identity(self) -> dict[str, JsonValue]:
        """What the results of a folder belong to."""
        return _identify(self.policy, self.data_sha256, self.judge, self.sampling, self.keep_thinking)


def sample_answers(model: str, backend: Backend, settings: SamplingSettings, task: Task) -> Answers:
    """Ask a model for responses; those that the folder has are not asked for again.

    Raises:
        ConfigError, ModelError: the model or its backend can't be used.
        StoreError: the folder holds another evaluation, or can't be written.
    """
    policy = identify_policy(model, backend)
    _claim(policy, settings, task)
    items = task.benchmark.items
    asked = [SamplingPrompt(id=item.id, messages=({"role": "user", "content": item.prompt},)) for item in items]

    def load() -> AbstractContextManager[Sampler]:
        return open_sampler(model, settings, backend, task.say)

    samples = sample_all(asked, settings, load, task.folder / SAMPLES, task.say, policy=policy)
    texts: dict[str, list[Response]] = {}
    for sample in samples:
        texts.setdefault(sample.prompt_id, []).append(read_sample(sample, keep_thinking=task.keep_thinking))
    return Answers(model, policy, texts, settings)


def read_answers(path: Path, task: Task) -> Answers:
    """Return recorded responses. Raises as `recorded.read_responses`, and as `sample_answers` of the folder."""
    recorded = read_responses(path, task.benchmark.items, keep_thinking=task.keep_thinking)
    texts = {key: [response] for key, response in recorded.found.items()}
    policy = f"recorded, SHA-256 {recorded.sha256}"
    _claim(policy, None, task)
    return Answers(str(path), policy, texts, None, tuple(recorded.unknown), tuple(recorded.duplicates))


def measure(answers: Answers, task: Task) -> Scores:
    """Judge responses, score them, and write the results.

    Raises:
        ConfigError: a judge is needed and none is named, or recorded judgements are of something else.
        ModelError: the judge can't be used, or its budget is spent.
        StoreError: the folder holds another evaluation, or can't be read or written.
    """
    items = [item for item in task.benchmark.items if item.id in answers.texts]
    judgements, unknown, duplicates = _find_judgements(items, answers, task)
    results = [
        _describe(item, answers.texts[item.id], judgements.get(item.id, ()))
        for item in items
        if item.rule or item.id in judgements or _is_unanswered(answers.texts[item.id])
    ]
    if not results:
        raise ConfigError("there is nothing to score: no response has a judgement")
    scores = _score(answers, results, task).model_copy(
        update={"unknown": (*answers.unknown, *unknown), "duplicates": (*answers.duplicates, *duplicates)}
    )
    write_results(task.folder, scores, results)
    return scores


def _find_judgements(
    items: Sequence[Item], answers: Answers, task: Task
) -> tuple[Mapping[str, Sequence[Judgement]], Sequence[str], Sequence[str]]:
    """Return the judgements of each prompt's responses that have an answer, and unknown and duplicate rows of recorded
    ones."""
    asked = [(item, each) for item in items if not item.rule for each in answers.texts[item.id]]
    questions = [(item, each.text) for item, each in asked if not each.is_unanswered]
    if isinstance(task.judge, Path):
        texts = {key: [each.text for each in some] for key, some in answers.texts.items()}
        recorded = read_judgements(task.judge, task.benchmark.items, texts)
        found = {key: [judgement] for key, judgement in recorded.found.items()}
        return found, recorded.unknown, recorded.duplicates
    if not questions:
        return {}, (), ()
    if not task.judge:
        raise ConfigError("what no rule decides needs a judge: name a --judge-model, or recorded --judgements")
    requests = [make_request(item, text, task.judge.max_tokens) for item, text in questions]
    answers_of_judge = consult(task.judge, task.folder, requests, task.say, "responses")
    judgements: dict[str, list[Judgement]] = {}
    for (item, _), answer in zip(questions, answers_of_judge, strict=True):
        judgements.setdefault(item.id, []).append(read_answer(answer, item.level))
    return judgements, (), ()


def _is_unanswered(responses: Sequence[Response]) -> bool:
    return all(each.is_unanswered for each in responses)


def _claim(policy: str, sampling: SamplingSettings | None, task: Task) -> None:
    now = _identify(policy, task.benchmark.sha256, task.judged_by, sampling, task.keep_thinking)
    claim_folder(task.folder, now, _read_identity, sampled=sampling is not None)


def _read_identity(folder: Path) -> dict[str, JsonValue]:
    path = folder / SCORES
    try:
        return Scores.model_validate_json(path.read_bytes()).identity
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from None
    except ValueError:
        raise StoreError(f"{path} is no FollowBench result of this version: choose another --output") from None


def _identify(
    policy: str, data_sha256: str, judge: str | None, sampling: SamplingSettings | None, keep_thinking: bool
) -> dict[str, JsonValue]:
    """Return what results belong to, by name."""
    return {
        "policy": policy,
        "data_sha256": data_sha256,
        "judge": judge,
        "sampling": sampling.model_dump(mode="json") if sampling else None,
        "keep_thinking": keep_thinking,
    }


def _describe(item: Item, responses: Sequence[Response], judgements: Sequence[Judgement]) -> PromptResult:
    samples, of_judge = [], iter(judgements)
    for response in responses:
        said = Judgement(None, (False,) * (1 if item.rule else item.level), None)
        if item.rule and not response.is_unanswered:
            said = Judgement(None, (bool(item.rule(response.text, item.target, item.level)),), None)
        elif not response.is_unanswered:
            said = next(of_judge)
        samples.append(
            SampleResult(
                satisfied=said.satisfied,
                problem=said.problem,
                judgement=said.text,
                empty=not response.text.strip(),
                truncated=response.truncated,
            )
        )
    by: Literal["rule", "judge"] = "rule" if item.rule else "judge"
    return PromptResult(
        id=item.id, type=item.type, group=item.group, level=item.level, source=item.source, by=by,
        samples=tuple(samples),
    )  # fmt: skip


def _score(answers: Answers, results: Sequence[PromptResult], task: Task) -> Scores:
    benchmark = task.benchmark
    scored = {result.id for result in results}
    missing = tuple(item.id for item in benchmark.items if item.id not in answers.texts)
    unjudged = tuple(key for key in answers.texts if key not in scored)
    unread = tuple(f"{each.id}: {sample.problem}" for each in results for sample in each.samples if sample.problem)
    partial = [f"the data lacks prompts ({lack})" for lack in benchmark.lacks]
    partial += [f"{len(missing)} prompts have no response"] if missing else []
    partial += [f"{len(unjudged)} responses have no judgement"] if unjudged else []
    return Scores(
        model=answers.model,
        policy=answers.policy,
        judge=task.judged_by,
        data_sha256=benchmark.sha256,
        language=benchmark.language,
        sampling=answers.sampling,
        keep_thinking=task.keep_thinking,
        prompts=len(results),
        partial=tuple(partial),
        scores=score(results),
        scores_of_read=score(results, with_unread=False) if unread else None,
        unread=unread,
        missing=missing,
        unjudged=unjudged,
        unknown=(),
        duplicates=(),
        responses=count_responses((key, each) for key in answers.texts if key in scored for each in answers.texts[key]),
        empty=tuple(result.id for result in results if any(sample.empty for sample in result.samples)),
        truncated=tuple(result.id for result in results if any(sample.truncated for sample in result.samples)),
        versions={**versions()},
    )
