"""A model, or recorded responses, on FollowBench: respond, judge, score, write.

In:   the prompts; responses of a model or of files; a judge model, or judgements of files.
Out:  scores.json, per_prompt.jsonl; samples.jsonl and completions.sqlite, from which an interrupted run goes on.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.followbench.data import Benchmark, Item
from autoif.evaluation.followbench.judging import Judgement, ask_judge
from autoif.evaluation.followbench.recorded import Response, read_judgements, read_responses
from autoif.evaluation.followbench.scoring import PromptResult, SampleResult, Tables, score
from autoif.evaluation.results import PER_PROMPT, SCORES
from autoif.models.cache import CompletionCache
from autoif.models.client import ChatClient
from autoif.models.endpoint import EMBEDDED, Budget, Endpoint
from autoif.records import Record
from autoif.sampling.settings import SamplingSettings
from autoif.store import COMPLETIONS, storage_errors, write_jsonl
from autoif.training.card import versions

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge model, and what may be spent on it."""

    endpoint: Endpoint
    max_tokens: int = 1024
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class Answers:
    """The responses to the prompts, by their id, as many to each that has any."""

    model: str
    """As the user named it."""
    policy: str
    """Who answered: a model by content, or files by their hash."""
    texts: Mapping[str, Sequence[Response]]
    sampling: SamplingSettings | None = None
    strip_thinking: bool = False
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
    strip_thinking: bool
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
    empty: tuple[str, ...]
    """Prompts with a blank response; it is judged as it is."""
    truncated: tuple[str, ...]
    """Prompts with a response that was cut; it is judged as it is."""
    versions: dict[str, JsonValue]


def read_answers(path: Path, benchmark: Benchmark, strip: Callable[[str], str] | None) -> Answers:
    """Return recorded responses. Raises as `recorded.read_responses`."""
    recorded = read_responses(path, benchmark.items)
    texts = {key: [_strip(response, strip)] for key, response in recorded.found.items()}
    policy = f"recorded, SHA-256 {recorded.sha256}"
    unknown, duplicates = tuple(recorded.unknown), tuple(recorded.duplicates)
    return Answers(str(path), policy, texts, None, strip is not None, unknown, duplicates)


def _strip(response: Response, strip: Callable[[str], str] | None) -> Response:
    return Response(strip(response.text), response.truncated) if strip else response


def measure(benchmark: Benchmark, answers: Answers, judge: Judge | Path | None, folder: Path, say: Say) -> Scores:
    """Judge responses, score them, and write the results.

    Args:
        benchmark: the prompts.
        answers: the responses to them.
        judge: who judges what no rule decides: a model, or a folder of recorded judgements; None where nobody has to.
        folder: where the results go; the judge's answers are kept there, too.
        say: gets lines of progress.

    Raises:
        ConfigError: a judge is needed and none is named, or recorded judgements are of something else.
        ModelError: the judge can't be used, or its budget is spent.
        StoreError: the folder holds another evaluation, or can't be read or written.
    """
    asked = [item for item in benchmark.items if item.id in answers.texts]
    questions = [(item, each.text) for item in asked if not item.rule for each in answers.texts[item.id]]
    if questions and judge is None:
        raise ConfigError(
            f"{len(questions)} responses have to be judged by a model: name one with --judge-model, "
            "or recorded --judgements"
        )
    unknown, duplicates = [*answers.unknown], [*answers.duplicates]
    judgements: dict[str, list[Judgement]] = {}
    if isinstance(judge, Path):
        texts = {key: [each.text for each in some] for key, some in answers.texts.items()}
        recorded = read_judgements(judge, benchmark.items, texts)
        judged_by: str | None = f"recorded, SHA-256 {recorded.sha256}"
        _claim(folder, benchmark, answers, judged_by)
        unknown, duplicates = unknown + recorded.unknown, duplicates + recorded.duplicates
        judgements = {key: [judgement] for key, judgement in recorded.found.items()}
    else:
        judged_by = judge.endpoint.identity if judge and questions else None
        _claim(folder, benchmark, answers, judged_by)
        if judge and questions:
            said = asyncio.run(_judge(judge, questions, folder / COMPLETIONS, say))
            for (item, _), judgement in zip(questions, said, strict=True):
                judgements.setdefault(item.id, []).append(judgement)
    results = [
        _describe(item, answers.texts[item.id], judgements.get(item.id, ()))
        for item in asked
        if item.rule or item.id in judgements
    ]
    if not results:
        raise ConfigError("there is nothing to score: no response has a judgement")
    scores = _score(benchmark, answers, judged_by, results)
    scores = scores.model_copy(update={"unknown": tuple(unknown), "duplicates": tuple(duplicates)})
    _write(folder, scores, results)
    return scores


def _claim(folder: Path, benchmark: Benchmark, answers: Answers, judge: str | None) -> None:
    """Refuse a folder that holds another evaluation, before a judge is asked or anything is replaced."""
    now = _identify(answers.policy, benchmark.sha256, judge, answers.sampling, answers.strip_thinking)
    path = folder / SCORES
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            return
        content = path.read_bytes()
    try:
        found = Scores.model_validate_json(content)
    except ValueError:
        raise StoreError(f"{path} is no FollowBench result of this version: choose another --output") from None
    there = _identify(found.policy, found.data_sha256, found.judge, found.sampling, found.strip_thinking)
    differing = [f"{key} ({there.get(key)} there, {now.get(key)} now)" for key in now if there.get(key) != now[key]]
    if differing:
        raise StoreError(f"{folder} holds another evaluation: {', '.join(differing)}; choose another --output")


def _identify(
    policy: str, data_sha256: str, judge: str | None, sampling: SamplingSettings | None, strip_thinking: bool
) -> dict[str, JsonValue]:
    """Return what results belong to, by name."""
    return {
        "policy": policy,
        "data_sha256": data_sha256,
        "judge": judge,
        "sampling": sampling.model_dump(mode="json") if sampling else None,
        "strip_thinking": strip_thinking,
    }


async def _judge(judge: Judge, questions: Sequence[tuple[Item, str]], file: Path, say: Say) -> list[Judgement]:
    """Ask for all judgements; those that the file has are not asked for again."""
    with CompletionCache(file) as cache:
        async with ChatClient({"judge": judge.endpoint}, cache, budget=judge.budget) as chat:
            judgements = await ask_judge(chat, questions, judge.max_tokens, say)
        where = "embedded" if judge.endpoint.base_url == EMBEDDED else judge.endpoint.base_url
        say(f"judge {judge.endpoint.identity} ({where}): {chat.requests:,} answers, {chat.cached:,} stored before")
    return judgements


def _describe(item: Item, responses: Sequence[Response], judgements: Sequence[Judgement]) -> PromptResult:
    samples = []
    for index, response in enumerate(responses):
        empty = not response.text.strip()
        if item.rule:
            satisfied: tuple[bool, ...] | None = (bool(item.rule(response.text, item.target, item.level)),)
            problem = judgement = None
        else:
            said = judgements[index]
            satisfied, problem, judgement = said.satisfied, said.problem, said.text
        samples.append(
            SampleResult(
                satisfied=satisfied, problem=problem, judgement=judgement, empty=empty, truncated=response.truncated
            )
        )
    by: Literal["rule", "judge"] = "rule" if item.rule else "judge"
    return PromptResult(
        id=item.id, type=item.type, group=item.group, level=item.level, source=item.source, by=by,
        samples=tuple(samples),
    )  # fmt: skip


def _score(benchmark: Benchmark, answers: Answers, judge: str | None, results: Sequence[PromptResult]) -> Scores:
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
        judge=judge,
        data_sha256=benchmark.sha256,
        language=benchmark.language,
        sampling=answers.sampling,
        strip_thinking=answers.strip_thinking,
        prompts=len(results),
        partial=tuple(partial),
        scores=score(results),
        scores_of_read=score(results, with_unread=False) if unread else None,
        unread=unread,
        missing=missing,
        unjudged=unjudged,
        unknown=(),
        duplicates=(),
        empty=tuple(result.id for result in results if any(sample.empty for sample in result.samples)),
        truncated=tuple(result.id for result in results if any(sample.truncated for sample in result.samples)),
        versions={**versions()},
    )


def _write(folder: Path, scores: Scores, results: Sequence[PromptResult]) -> None:
    """Write both files; scores.json comes last, so that it is there only if all is."""
    write_jsonl(folder / PER_PROMPT, results)
    temporary = folder / f".{SCORES}.tmp"
    with storage_errors(folder):
        temporary.write_text(json.dumps(scores.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
        temporary.replace(folder / SCORES)
