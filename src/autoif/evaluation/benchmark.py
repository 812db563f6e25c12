"""The loop that all evaluations share: claim the folder, get the responses, judge, count, score, write.

Subject      what answers: a model to sample from, or files of recorded responses
Benchmark    the prompts, and the judge of the responses
evaluate     measures a subject on a benchmark and writes scores.json; resumes after an interruption

Responses that are missing, unknown, duplicate, empty, cut or only a thought are counted and named.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from autoif.errors import ConfigError
from autoif.evaluation.responses import FLAGS, RecordedRow, SubjectResponse, digest_files, read_sample
from autoif.evaluation.results import (
    SAMPLES,
    Column,
    Counted,
    PromptResult,
    Scores,
    claim_folder,
    count,
    score,
    write_results,
)
from autoif.messages import Say
from autoif.reading.jsonl import read_jsonl
from autoif.sampling import Sampler, SamplingPrompt, SamplingSettings, sample_all
from autoif.training.card import versions

_MOST_MESSAGES = 5
"""How many different messages of a server are kept."""
_SHOWN_CHARS = 60
_PROMPT_CHARS = 2_000
"""How much of a prompt is kept beside its scores. It is the end, as examples come before the question."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What answers: a model with its sampling settings, or recorded responses."""

    name: str
    """As the user named it."""
    identity: str
    """Hash of the content, and the backend. An interrupted evaluation resumes only if it is the same."""
    sampling: SamplingSettings | None = None
    """None for recorded responses."""
    open: Callable[[], AbstractContextManager[Sampler]] | None = None
    """Loads the model; called only if a response is missing."""
    files: tuple[Path, ...] = ()
    """Files of recorded responses."""


def take_recorded(path: Path, files: Sequence[Path] = ()) -> Subject:
    """Return recorded responses as a subject: a file, or the files of a folder."""
    found = tuple(files or [path])
    return Subject(str(path), f"recorded, SHA-256 {digest_files(found)}", files=found)


@dataclass(frozen=True, slots=True)
class AskedPrompt:
    """A prompt of a benchmark."""

    id: str
    """Hash of its content, from which the seeds of its samples are derived."""
    key: str
    """Its name, for people."""
    text: str
    """Its text, by which recorded responses are matched."""
    messages: tuple[dict[str, str], ...] = ()
    """The conversation that a model gets; if empty, it gets the text."""


Given = Sequence[tuple[AskedPrompt, Sequence[SubjectResponse]]]
"""Prompts with their responses, the same number for each."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Results of a benchmark's judge."""

    results: Sequence[PromptResult]
    unscored: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Prompts that can't be scored, a line each, by reason."""
    noted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Notes on scored prompts, a line each, by kind."""
    remarks: Sequence[str] = ()
    report: Sequence[tuple[str, str]] = ()
    details: Mapping[str, JsonValue] = field(default_factory=dict)
    """This, `remarks` and `report` are as in `Scores`."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is measured: prompts, judge and scores. Fields without a description are as in `Scores`."""

    name: str
    title: str
    about: str
    prompts: Sequence[AskedPrompt]
    size: int
    """Prompts of the whole benchmark."""
    data: str
    data_id: str
    columns: Sequence[Column]
    judge: Callable[[Given], Judged]
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    """Settings that affect the scores beside the responses. Only models with the same settings are compared."""
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)
    """Further inputs that must be the same for an interrupted evaluation to resume."""
    shared: Mapping[str, JsonValue] = field(default_factory=dict)
    """The same for all benchmarks in the parent folder, if it holds several."""
    place: int = 0
    clusters: str = ""
    """What prompts of one cluster share, in the plural, as in "instructions"; "" if all prompts are independent."""
    parts_count_alike: bool = False
    responses: int | None = None
    """How many recorded responses to score for each prompt; None for as many as the prompt with the fewest has."""
    refuses_others: bool = False
    """Whether recorded responses to unknown prompts, or to some prompts more than to others, are an error."""
    scores_refused: bool = True
    """Whether a prompt that the server refused counts as wrong; otherwise it isn't scored."""
    found_within: bool = False
    """Whether a recorded prompt may have other text around the prompt's."""
    elsewhere: Sequence[str] = ()
    """Prompts of other benchmarks in the same file, so that responses to them don't count as unknown."""
    lacks: Sequence[str] = ()
    """Descriptions of the parts of the benchmark that the data lacks."""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answers:
    """Responses by the id of their prompt; every prompt with responses has the same number."""

    found: Mapping[str, Sequence[SubjectResponse]]
    per_prompt: int
    unknown: Sequence[str] = ()
    duplicates: Sequence[str] = ()


def evaluate(benchmark: Benchmark, subject: Subject, folder: Path, say: Say, *, keep_thinking: bool = False) -> Scores:
    """Measure a subject on a benchmark and write the results; resume an interrupted evaluation in the folder.

    Raises:
        ConfigError: nothing can be scored, or recorded responses don't fit.
        StoreError: the folder holds another evaluation.
    """
    recorded = None if subject.sampling else _read_recorded(benchmark, subject, say, keep_thinking)
    settings: dict[str, JsonValue] = {
        "answers": "recorded" if recorded else "sampled",
        **({"responses": recorded.per_prompt} if recorded else {}),
        **(subject.sampling.model_dump(mode="json") if subject.sampling else {}),
        **benchmark.settings,
        "keep_thinking": keep_thinking,
    }
    claim = {"benchmark": benchmark.name, "policy": subject.identity, "data_id": benchmark.data_id}
    if benchmark.shared:
        claim_folder(folder.parent, {"policy": subject.identity, **benchmark.shared}, sampled=recorded is None)
    claim_folder(folder, {**claim, **settings, **benchmark.inputs}, sampled=recorded is None)
    answers = recorded or _sample(benchmark, subject, folder, say, keep_thinking)
    missing, refused, given = [], [], []
    for prompt in benchmark.prompts:
        responses = answers.found.get(prompt.id, ())
        lost = next((each for each in responses if each.lack == "refused"), None)
        if not responses:
            missing.append(prompt.key)
        elif lost and not benchmark.scores_refused:
            refused.append(f"{prompt.key}: {lost.said}")
        else:
            given.append((prompt, responses))
    judged = benchmark.judge(given) if given else Judged([])
    unscored = {"missing": missing, **({"unanswered": refused} if refused else {}), **judged.unscored}
    if not judged.results:
        reason = next((named[0] for named in [*judged.unscored.values(), refused, missing] if named), "no responses")
        raise ConfigError(f"no prompt can be scored: {reason}")
    noted = {**unscored, "unknown": answers.unknown, "duplicates": answers.duplicates, **judged.noted}
    noted["echoes"] = _find_echoes(given)
    say(f"{len(judged.results):,} prompts scored")
    scores, results = _sum_up(benchmark, subject, settings, given, judged, noted)
    write_results(folder, scores, results)
    return scores


def _sample(benchmark: Benchmark, subject: Subject, folder: Path, say: Say, keep_thinking: bool) -> _Answers:
    """Return a model's answers; those that the folder holds are not sampled again."""
    assert subject.sampling and subject.open
    asked = [
        SamplingPrompt(id=each.id, messages=each.messages or ({"role": "user", "content": each.text},))
        for each in benchmark.prompts
    ]
    samples = sample_all(asked, subject.sampling, subject.open, folder / SAMPLES, say, policy=subject.identity)
    found: dict[str, list[SubjectResponse]] = {}
    for sample in samples:
        found.setdefault(sample.prompt_id, []).append(read_sample(sample, keep_thinking=keep_thinking))
    return _Answers(found, subject.sampling.responses)


def _read_recorded(benchmark: Benchmark, subject: Subject, say: Say, keep_thinking: bool) -> _Answers:
    """Return recorded responses, the same number for each prompt; any others are duplicates.

    Raises:
        ConfigError: no prompt has a response; or there are unknown or duplicate ones and the benchmark refuses these.
    """
    ids = {each.text.strip() if benchmark.found_within else each.text: each.id for each in benchmark.prompts}
    squeezed_ids = {_squeeze(text): id for text, id in ids.items()}
    elsewhere = {text.strip() for text in benchmark.elsewhere}
    texts = [*ids, *elsewhere]
    found: dict[str, list[tuple[str, SubjectResponse]]] = {each.id: [] for each in benchmark.prompts}
    unknown = []
    for file in subject.files:
        for number, row in enumerate(read_jsonl(file, RecordedRow), 1):
            place = f"{file.name}, row {number}"
            text = _find_text(row.asked, texts) if benchmark.found_within else row.asked
            id = row.sample.prompt_id if row.sample else ids.get(text or "") or squeezed_ids.get(_squeeze(text or ""))
            if id in found:
                found[id] += [(place, each) for each in row.read(keep_thinking=keep_thinking)]
            elif text not in elsewhere:
                unknown.append(f"{place}: {row.asked[:_SHOWN_CHARS]!r}")
    answered = [each for each in benchmark.prompts if found[each.id]]
    if not answered:
        raise ConfigError(
            f"{subject.name} has no response to any of the {len(found):,} prompts of {benchmark.title}: "
            + (f"leave {benchmark.name} out of --tasks" if elsewhere else "is it of another benchmark or language?")
        )
    fewest = min(answered, key=lambda each: len(found[each.id]))
    size = benchmark.responses or len(found[fewest.id])
    duplicates = [f"{place}: {each.key}" for each in benchmark.prompts for place, _ in found[each.id][size:]]
    if benchmark.refuses_others and unknown:
        raise ConfigError(f"{unknown[0]} is no prompt of the data")
    if benchmark.refuses_others and duplicates:
        most = max(answered, key=lambda each: len(found[each.id]))
        raise ConfigError(
            f"{subject.name} has {len(found[fewest.id])} responses to {fewest.key!r} and {len(found[most.id])} to "
            f"{most.key!r}: {benchmark.title} needs as many to each prompt"
        )
    if duplicates:
        say(
            f"{len(duplicates):,} responses are left out: each prompt is scored by {size}"
            + ("" if benchmark.responses else f", as prompt {fewest.key} has no more")
        )
    whole = {key: [each for _, each in some[:size]] for key, some in found.items() if len(some) >= size}
    return _Answers(whole, size, unknown, duplicates)


def _squeeze(text: str) -> str:
    """Return a prompt with single spaces, as programs that record answers trim prompts and change line ends."""
    return " ".join(text.split())


def _find_text(asked: str, texts: Sequence[str]) -> str | None:
    """Return the text that equals a recorded prompt, or the only one that it contains; None if there is none."""
    if asked.strip() in texts:
        return asked.strip()
    contained = [text for text in texts if text in asked]
    return contained[0] if len(contained) == 1 else None


def _sum_up(
    benchmark: Benchmark,
    subject: Subject,
    settings: dict[str, JsonValue],
    given: Given,
    judged: Judged,
    noted: Mapping[str, Sequence[str]],
) -> tuple[Scores, list[PromptResult]]:
    """Return the scores, and the results with the flags of their responses."""
    responses = {prompt.id: some for prompt, some in given}
    texts = {prompt.id: prompt.text for prompt, _ in given}
    cut = {key: text if len(text) <= _PROMPT_CHARS else f"…{text[-_PROMPT_CHARS:]}" for key, text in texts.items()}
    results = [
        each.model_copy(update={"flags": _find_flags(responses[each.id]), "prompt": cut[each.id]})
        for each in judged.results
    ]
    counts = {name: count(named) for name, named in noted.items()}
    for name in FLAGS:
        counts[name] = count(each.key for each in results for _ in each.flags.get(name, ()))
    alike = benchmark.parts_count_alike
    parts: dict[str, list[PromptResult]] = {}
    for result in results:
        parts.setdefault(result.part, []).append(result)
    messages = tuple(dict.fromkeys(each.said for row in results for each in responses[row.id] if each.said))
    partial = _explain_partial(benchmark, len(results), noted)
    scores = Scores(
        benchmark=benchmark.name,
        place=benchmark.place,
        title=benchmark.title,
        about=_introduce(benchmark, results, len(given[0][1])),
        model=subject.name,
        policy=subject.identity,
        settings=settings,
        data=benchmark.data,
        data_id=benchmark.data_id,
        prompts=len(results),
        prompts_of_benchmark=benchmark.size,
        partial=partial,
        responses_per_prompt=len(given[0][1]),
        columns=tuple(benchmark.columns),
        scores=score(results, benchmark.columns, parts_count_alike=alike),
        parts={name: score(some, benchmark.columns, parts_count_alike=alike) for name, some in parts.items() if name},
        parts_count_alike=alike,
        counts=counts,
        said=messages[:_MOST_MESSAGES],
        remarks=(*_list_remarks(partial, counts), *judged.remarks),
        report=tuple(judged.report),
        details=dict(judged.details),
        versions={**versions(), **benchmark.versions},
    )
    return scores, results


def _find_flags(responses: Sequence[SubjectResponse]) -> dict[str, tuple[int, ...]]:
    """Return for each flag the indexes of the responses that have it, if any do."""
    found = {name: tuple(index for index, each in enumerate(responses) if name in each.flags) for name in FLAGS}
    return {name: indexes for name, indexes in found.items() if indexes}


def _introduce(benchmark: Benchmark, results: Sequence[PromptResult], each: int) -> str:
    """Return a sentence on what was scored."""
    clusters = f" of {len({result.cluster for result in results}):,} {benchmark.clusters}" if benchmark.clusters else ""
    given = f"{each} response{'' if each == 1 else 's'} to each"
    prompts = f"{len(results):,} prompt{'' if len(results) == 1 else 's'}{clusters}"
    return f"{benchmark.title}: {prompts}, {given}; {benchmark.about}"


def _explain_partial(benchmark: Benchmark, scored: int, noted: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return why the scores don't cover the whole benchmark; empty if they do."""
    lost = [*noted["missing"], *noted.get("unanswered", ()), *noted.get("unjudged", ())]
    if scored >= benchmark.size and not lost:
        return ()
    reasons = [f"{scored:,} of {max(benchmark.size, scored + len(lost)):,} prompts are scored"]
    reasons += [f"the data lacks prompts ({lack})" for lack in benchmark.lacks]
    reasons += [f"{len(noted['missing'])} prompts have no response"] if noted["missing"] else []
    reasons += [f"{len(noted['unjudged'])} responses have no judgement"] if noted.get("unjudged") else []
    return tuple(reasons)


def _find_echoes(given: Given) -> list[str]:
    """Return the keys of prompts that their responses begin with.

    Empty unless most responses do, which means that the full texts of a model were recorded, prompts included.
    """
    pairs = [(prompt, prompt.text.strip(), each.text.lstrip()) for prompt, some in given for each in some]
    echoes = [prompt.key for prompt, asked, text in pairs if asked and text.startswith(asked)]
    return echoes if len(echoes) * 2 > len(pairs) else []


def _list_remarks(partial: Sequence[str], counts: Mapping[str, Counted]) -> list[str]:
    remarks = []
    if partial:
        remarks.append(f"PARTIAL, {partial[0]}" + (f" ({'; '.join(partial[1:])})" if partial[1:] else ""))
    descriptions = {
        "truncated": "cut",
        "empty": "without text, wrong as a rule",
        "chat_tokens": "with tokens of a chat template, judged with them",
        "echoes": "behind their prompt, judged with it",
    }
    for name, description in descriptions.items():
        if number := counts[name].count:
            remarks.append(f"{number:,} response{'' if number == 1 else 's'} {description}")
    return remarks
