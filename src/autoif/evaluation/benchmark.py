"""The one loop of every evaluation: claim the folder, get the responses, judge, count, score, write.

Subject      who answers: a model that is sampled, or files of recorded responses
Benchmark    what is asked, and what judges the answers
evaluate     from both to scores.json; after an interruption it resumes

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

_SAID = 5
"""How many of a server's different sentences are kept."""
_SHOWN_CHARS = 60
_PROMPT_CHARS = 2_000
"""Of a prompt that is kept beside its scores: examples come first, what is asked last."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who answers: a model with its sampling, or recorded responses."""

    name: str
    """As the user named it."""
    identity: str
    """By content, with the backend. An interrupted evaluation resumes only if this is the same."""
    sampling: SamplingSettings | None = None
    """None for recorded responses."""
    open: Callable[[], AbstractContextManager[Sampler]] | None = None
    """Loads the model; called only if a response is missing."""
    files: tuple[Path, ...] = ()
    """Of recorded responses."""


def take_recorded(path: Path, files: Sequence[Path] = ()) -> Subject:
    """Return recorded responses as a subject: a file, or the files of a folder."""
    found = tuple(files or [path])
    return Subject(str(path), f"recorded, SHA-256 {digest_files(found)}", files=found)


@dataclass(frozen=True, slots=True)
class AskedPrompt:
    """What is asked."""

    id: str
    """Of its content. The seeds of its samples come from it."""
    key: str
    """Its name, for people."""
    text: str
    """Recorded responses are matched to prompts by it."""
    messages: tuple[dict[str, str], ...] = ()
    """The conversation that a model gets; empty for the text alone."""


Given = Sequence[tuple[AskedPrompt, Sequence[SubjectResponse]]]
"""Prompts with their responses, equally many each."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a benchmark's judge found."""

    results: Sequence[PromptResult]
    unscored: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Prompts that can't be scored, by the reason, a line each."""
    noted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What readers should know of scored prompts, by kind, a line each."""
    remarks: Sequence[str] = ()
    report: Sequence[tuple[str, str]] = ()
    details: Mapping[str, JsonValue] = field(default_factory=dict)
    """These three as `Scores` has them."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is measured: prompts, judge and scores. Fields without a word here are as in `Scores`."""

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
    """What shapes the scores beside the responses. Models are compared only where it is the same."""
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)
    """What else must be the same for an interrupted evaluation to resume."""
    shared: Mapping[str, JsonValue] = field(default_factory=dict)
    """Likewise for the parent folder, where that holds several benchmarks."""
    place: int = 0
    clusters: str = ""
    """What prompts that vary together share, in the plural, as in "instructions"; "" if all are independent."""
    parts_count_alike: bool = False
    responses: int | None = None
    """Recorded responses to score of each prompt; None for as many as the prompt with the fewest has."""
    refuses_others: bool = False
    """Whether recorded responses to unknown prompts, or to some prompts more than to others, are an error."""
    scores_refused: bool = True
    """Whether a prompt that the server refused counts as wrong; else it isn't scored."""
    found_within: bool = False
    """Whether a recorded prompt may have other words around a prompt's text."""
    elsewhere: Sequence[str] = ()
    """Prompts of other benchmarks in the same file: responses to them are not unknown."""
    lacks: Sequence[str] = ()
    """What the data lacks of the whole benchmark, in words."""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answers:
    """Responses by the id of their prompt: to each that has any, equally many."""

    found: Mapping[str, Sequence[SubjectResponse]]
    each: int
    unknown: Sequence[str] = ()
    duplicates: Sequence[str] = ()


def evaluate(benchmark: Benchmark, subject: Subject, folder: Path, say: Say, *, keep_thinking: bool = False) -> Scores:
    """Measure a subject on a benchmark and write the results; resume an interrupted evaluation in the folder.

    Raises ConfigError: nothing can be scored, or recorded responses don't fit. StoreError: the folder holds another
    evaluation.
    """
    recorded = None if subject.sampling else _read_recorded(benchmark, subject, say, keep_thinking)
    settings: dict[str, JsonValue] = {
        "answers": "recorded" if recorded else "sampled",
        **({"responses": recorded.each} if recorded else {}),
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
    """Return a model's answers; those in the folder are not asked for again."""
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
    """Return recorded responses, equally many to each prompt; the rest are duplicates.

    Raises ConfigError: there is none to any of the prompts, or the benchmark refuses the rest.
    """
    ids = {each.text.strip() if benchmark.found_within else each.text: each.id for each in benchmark.prompts}
    near = {_squeeze(text): id for text, id in ids.items()}
    elsewhere = {text.strip() for text in benchmark.elsewhere}
    texts = [*ids, *elsewhere]
    found: dict[str, list[tuple[str, SubjectResponse]]] = {each.id: [] for each in benchmark.prompts}
    unknown = []
    for file in subject.files:
        for number, row in enumerate(read_jsonl(file, RecordedRow), 1):
            place = f"{file.name}, row {number}"
            text = _find_text(row.asked, texts) if benchmark.found_within else row.asked
            id = row.sample.prompt_id if row.sample else ids.get(text or "") or near.get(_squeeze(text or ""))
            if id in found:
                found[id] += [(place, each) for each in row.read(keep_thinking=keep_thinking)]
            elif text not in elsewhere:
                unknown.append(f"{place}: {row.asked[:_SHOWN_CHARS]!r}")
    there = [each for each in benchmark.prompts if found[each.id]]
    if not there:
        raise ConfigError(
            f"{subject.name} has no response to any of the {len(found):,} prompts of {benchmark.title}: "
            + (f"leave {benchmark.name} out of --tasks" if elsewhere else "is it of another benchmark or language?")
        )
    fewest = min(there, key=lambda each: len(found[each.id]))
    size = benchmark.responses or len(found[fewest.id])
    duplicates = [f"{place}: {each.key}" for each in benchmark.prompts for place, _ in found[each.id][size:]]
    if benchmark.refuses_others and unknown:
        raise ConfigError(f"{unknown[0]} is no prompt of the data")
    if benchmark.refuses_others and duplicates:
        most = max(there, key=lambda each: len(found[each.id]))
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
    """Return a prompt with single spaces: programs that record answers trim prompts and change line ends."""
    return " ".join(text.split())


def _find_text(asked: str, texts: Sequence[str]) -> str | None:
    """Return which of the texts a recorded prompt is, or is the only one that it contains."""
    if asked.strip() in texts:
        return asked.strip()
    held = [text for text in texts if text in asked]
    return held[0] if len(held) == 1 else None


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
        said=tuple(dict.fromkeys(each.said for row in results for each in responses[row.id] if each.said))[:_SAID],
        remarks=(*_list_remarks(partial, counts), *judged.remarks),
        report=tuple(judged.report),
        details=dict(judged.details),
        versions={**versions(), **benchmark.versions},
    )
    return scores, results


def _find_flags(responses: Sequence[SubjectResponse]) -> dict[str, tuple[int, ...]]:
    """Return the flags of responses, each with the indexes of those that have it."""
    found = {name: tuple(index for index, each in enumerate(responses) if name in each.flags) for name in FLAGS}
    return {name: indexes for name, indexes in found.items() if indexes}


def _introduce(benchmark: Benchmark, results: Sequence[PromptResult], each: int) -> str:
    """Return a sentence about what was scored."""
    of = f" of {len({result.cluster for result in results}):,} {benchmark.clusters}" if benchmark.clusters else ""
    given = f"{each} response{'' if each == 1 else 's'} to each"
    prompts = f"{len(results):,} prompt{'' if len(results) == 1 else 's'}{of}"
    return f"{benchmark.title}: {prompts}, {given}; {benchmark.about}"


def _explain_partial(benchmark: Benchmark, scored: int, noted: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return why the score is not of the whole benchmark; nothing if it is."""
    lost = [*noted["missing"], *noted.get("unanswered", ()), *noted.get("unjudged", ())]
    if scored >= benchmark.size and not lost:
        return ()
    reasons = [f"{scored:,} of {max(benchmark.size, scored + len(lost)):,} prompts are scored"]
    reasons += [f"the data lacks prompts ({lack})" for lack in benchmark.lacks]
    reasons += [f"{len(noted['missing'])} prompts have no response"] if noted["missing"] else []
    reasons += [f"{len(noted['unjudged'])} responses have no judgement"] if noted.get("unjudged") else []
    return tuple(reasons)


def _find_echoes(given: Given) -> list[str]:
    """Return the prompts with which their responses begin, where most do, as full texts of a model do."""
    pairs = [(prompt, prompt.text.strip(), each.text.lstrip()) for prompt, some in given for each in some]
    echoes = [prompt.key for prompt, asked, text in pairs if asked and text.startswith(asked)]
    return echoes if len(echoes) * 2 > len(pairs) else []


def _list_remarks(partial: Sequence[str], counts: Mapping[str, Counted]) -> list[str]:
    remarks = []
    if partial:
        remarks.append(f"PARTIAL, {partial[0]}" + (f" ({'; '.join(partial[1:])})" if partial[1:] else ""))
    told = {
        "truncated": "cut",
        "empty": "without text, wrong as a rule",
        "chat_tokens": "with tokens of a chat template, judged with them",
        "echoes": "behind their prompt, judged with it",
    }
    for name, said in told.items():
        if number := counts[name].count:
            remarks.append(f"{number:,} response{'' if number == 1 else 's'} {said}")
    return remarks
