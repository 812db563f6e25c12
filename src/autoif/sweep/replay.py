"""A run's stored records, judged again by the stages' own rules with other thresholds; no model is asked.

    async with StoredVerdicts(run.known, run.config.sandbox) as verdicts:
        judged = await Replay(run, verdicts).judge(config)

Reviewers' decisions count. Functions run only if no verdict is stored. A record that passes the thresholds but needs an
answer that the run never asked for is dropped as `never_asked`, and counted.

An instruction that keeps other functions than in the run still uses the run's responses. A new run would draw others,
with other seeds.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import Self, TypeVar

from autoif.config import Config
from autoif.datasets.writing import DataSets, SampledShard, add_accepted, make_data_sets
from autoif.instructions import back_translation, contrast
from autoif.instructions.back_translation import judge_labels
from autoif.instructions.contrast import choose_by_evidence
from autoif.instructions.cross_validation import choose_unasked, find_candidates
from autoif.judging import Job, Runner
from autoif.pipeline import StageResult
from autoif.queries import augmentation, rejection_sampling, scoring
from autoif.queries.augmentation import join
from autoif.queries.rejection_sampling import sample_responses
from autoif.queries.scoring import judge_quality
from autoif.records import Dropped, Prompt, Reason, Response, Verdict, VerifiedInstruction, content_id
from autoif.runs.store import AUGMENTATION, BACK_TRANSLATION, CROSS_VALIDATION, REJECTION_SAMPLING, SCORING
from autoif.sandbox import SandboxSettings
from autoif.sandbox.outcomes import Outcome
from autoif.sweep.stored import StoredInstruction, StoredRun, StoredShard, name_stored, place_of
from autoif.tools import NoModel, Tools

R = TypeVar("R", VerifiedInstruction, Prompt, Response)
_NEVER_ASKED = "the run never asked for it"
_SECTIONS = {
    CROSS_VALIDATION: ("cross_validation", "contrast"),
    BACK_TRANSLATION: ("back_translation",),
    AUGMENTATION: (),
    REJECTION_SAMPLING: ("rejection_sampling",),
    SCORING: ("scoring",),
}
"""The sections of the settings that decide in each stage."""

Results = tuple[StageResult, ...]
"""The results of one stage, one for each shard."""


class StoredVerdicts:
    """A `Runner` that returns stored verdicts, and runs functions only if there is none. Only then a sandbox starts."""

    def __init__(self, known: Mapping[str, Mapping[str, Outcome]], settings: SandboxSettings) -> None:
        self._known = {source: dict(outcomes) for source, outcomes in known.items()}
        self._settings = settings
        self._stack = AsyncExitStack()
        self._sandbox: Runner | None = None
        self.verdicts = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run_many(self, jobs: Sequence[Job], *, until_timeout: bool = False) -> list[list[Outcome]]:
        """Return the outcomes of several functions, each on its inputs; `until_timeout` as in `Sandbox.run_many`."""
        missing: dict[str, dict[str, None]] = {}
        for source, inputs in jobs:
            known = self._known.setdefault(source, {})
            if lacking := [text for text in inputs if text not in known]:
                missing.setdefault(source, {}).update(dict.fromkeys(lacking))
        if missing:
            asked = [(source, list(texts)) for source, texts in missing.items()]
            for (source, texts), outcomes in zip(asked, await self._run(asked, until_timeout), strict=True):
                judged = _find_timeout(outcomes) + 1 if until_timeout else len(texts)
                self._known[source].update(zip(texts[:judged], outcomes, strict=False))
        self.verdicts += sum(len(inputs) for _, inputs in jobs)
        return [self._read(source, inputs, until_timeout) for source, inputs in jobs]

    def _read(self, source: str, inputs: Sequence[str], until_timeout: bool) -> list[Outcome]:
        """Return the outcomes of a function; with `until_timeout`, all inputs after the first timeout are timeouts."""
        if not until_timeout:
            return [self._known[source][text] for text in inputs]
        late = Outcome(Verdict.TIMEOUT)
        outcomes = [self._known[source].get(text, late) for text in inputs]
        judged = outcomes[: _find_timeout(outcomes) + 1]
        return [*judged, *[late] * (len(inputs) - len(judged))]

    async def _run(self, jobs: Sequence[Job], until_timeout: bool) -> list[list[Outcome]]:
        if self._sandbox is None:
            self._sandbox = await self._stack.enter_async_context(self._settings.make_sandbox())
        return await self._sandbox.run_many(jobs, until_timeout=until_timeout)


def _find_timeout(outcomes: Sequence[Outcome]) -> int:
    """Return the index of the first timeout, or the number of outcomes."""
    return next((at for at, each in enumerate(outcomes) if each.verdict is Verdict.TIMEOUT), len(outcomes))


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A run judged by some thresholds."""

    config: Config
    shards: tuple[StoredShard, ...]
    stages: Mapping[str, Results]
    """By the name of the stage's folder."""
    unasked: Counter[str]
    """Upper bounds of answers that the run never asked for, by the stage that would ask."""
    data: DataSets

    @property
    def verified(self) -> list[VerifiedInstruction]:
        """The remaining instructions, in the order of the run."""
        return [each for result in self.stages[BACK_TRANSLATION] for each in list_kept(result, VerifiedInstruction)]


def list_kept(result: StageResult, kind: type[R]) -> list[R]:
    """Return the records of this kind that a stage kept of a shard."""
    return [each for each in result.kept if isinstance(each, kind)]


class Replay:
    """Judges a run by one configuration after another, repeating only the stages that a change affects."""

    def __init__(self, run: StoredRun, verdicts: StoredVerdicts) -> None:
        self._run = run
        self._verdicts = verdicts
        self._done: dict[str, tuple[str, Results, Counter[str]]] = {}
        """By folder of a stage: the settings that it last ran with, its results, and the answers never asked for."""

    async def judge(self, config: Config) -> JudgedRun:
        """Judge the run by a configuration that differs from its own in settings of `SWEEPABLE` only."""
        tools = Tools(config=config, chat=NoModel(), nli=NoModel(), sandbox=self._verdicts)
        stages: dict[str, Results] = {}
        unasked: Counter[str] = Counter()
        settings = ""  # of this stage and those before it
        for folder, sections in _SECTIONS.items():
            settings += "".join(getattr(config, section).model_dump_json() for section in sections)
            if folder not in self._done or self._done[folder][0] != settings:
                missing: Counter[str] = Counter()
                results = tuple(
                    [await self._judge_shard(folder, at, stages, tools, missing) for at in range(len(self._run.shards))]
                )
                self._done[folder] = settings, results, missing
            _, stages[folder], missing = self._done[folder]
            unasked += missing

        def verified() -> Iterator[VerifiedInstruction]:
            return (each for result in stages[BACK_TRANSLATION] for each in list_kept(result, VerifiedInstruction))

        def open_() -> AbstractAsyncContextManager[Runner]:
            return nullcontext(self._verdicts)

        data = await make_data_sets(verified, lambda: self._sample(stages), config, open_, self._run.review)
        return JudgedRun(config, self._run.shards, stages, unasked, data)

    def _sample(self, stages: Mapping[str, Results]) -> Iterator[SampledShard]:
        for at, shard in enumerate(self._run.shards):
            if shard.sampled:
                prompts, sampled, scored = (stages[name][at] for name in (AUGMENTATION, REJECTION_SAMPLING, SCORING))
                passed = list_kept(sampled, Response)
                accepted = add_accepted(passed, list_kept(scored, Response), scored.dropped, self._run.review)
                yield SampledShard.of(list_kept(prompts, Prompt), passed, sampled.dropped, accepted)

    def _chooses_as_run(self, config: Config) -> bool:
        """Tell whether the run chose its functions by the same settings. Choosing again can take long."""
        sections = _SECTIONS[CROSS_VALIDATION]
        return all(getattr(config, section) == getattr(self._run.config, section) for section in sections)

    async def _judge_shard(
        self, folder: str, at: int, stages: Mapping[str, Results], tools: Tools, unasked: Counter[str]
    ) -> StageResult:
        """Judge what the previous stage kept of a shard."""
        shard = self._run.shards[at]
        done = list(_SECTIONS)
        before = stages[done[done.index(folder) - 1]][at].kept if folder != done[0] else []
        if self._run.begun_verified and folder in (CROSS_VALIDATION, BACK_TRANSLATION):
            given = [each.verified for each in shard.instructions if each.verified]
            return StageResult([*given], [], len(given))
        if folder == CROSS_VALIDATION and self._chooses_as_run(tools.config):
            chosen = [each.verified for each in shard.instructions if each.verified]
            return StageResult([*chosen], [*shard.refused], len(chosen) + len(shard.refused))
        if not shard.sampled and folder in (AUGMENTATION, REJECTION_SAMPLING, SCORING):
            return StageResult()
        stored = {name_stored(each): each for each in shard.instructions}
        judge = _JUDGES[folder]
        entrants = _list_entrants(folder, shard, before)
        if folder == AUGMENTATION:
            tools = replace(tools, partners=tuple(each for each in before if isinstance(each, VerifiedInstruction)))
        outcomes = [await judge(entrant, stored, tools, unasked) for entrant in entrants]
        records = [record for each in outcomes for record in each]
        return StageResult(
            [each for each in records if not isinstance(each, Dropped)],
            [each for each in records if isinstance(each, Dropped)],
            len(entrants),
        )


Entrant = StoredInstruction | VerifiedInstruction | tuple[Prompt, ...] | Response
Outcomes = Sequence[VerifiedInstruction | Prompt | Response | Dropped]
Stored = Mapping[str, StoredInstruction]
"""By id of the instruction."""


def _list_entrants(folder: str, shard: StoredShard, before: Sequence[object]) -> list[Entrant]:
    """Return the items that a stage judges one by one; in rejection sampling, all prompts of an instruction are one."""
    if folder == CROSS_VALIDATION:
        return [each for each in shard.instructions if each.draft]
    if folder != REJECTION_SAMPLING:
        return [each for each in before if isinstance(each, VerifiedInstruction | Response)]
    prompts: dict[str, list[Prompt]] = {}
    for each in before:
        if isinstance(each, Prompt):
            prompts.setdefault(each.constraints[0].id, []).append(each)
    return [tuple(each) for each in prompts.values()]


async def _judge_draft(entrant: Entrant, _: Stored, tools: Tools, unasked: Counter[str]) -> Outcomes:
    assert isinstance(entrant, StoredInstruction) and entrant.draft
    found = await find_candidates(entrant.draft, tools)
    if isinstance(found, Dropped):
        return [found]
    if not tools.config.contrast.enabled:
        return [await choose_unasked(found, tools)]
    if entrant.contrast:
        return [await choose_by_evidence(found.draft, found.functions, entrant.contrast, tools)]
    if lost := entrant.answerless:
        return [Dropped.of(contrast.STAGE, lost.reason, found.draft, lost.detail)]
    settings = tools.config.contrast
    unasked["contrast"] += 2 * settings.queries * settings.responses_per_query
    return [Dropped.of(contrast.STAGE, Reason.NEVER_ASKED, found.draft, _NEVER_ASKED)]


async def _judge_labels(entrant: Entrant, stored: Stored, tools: Tools, unasked: Counter[str]) -> Outcomes:
    assert isinstance(entrant, VerifiedInstruction)
    settings = tools.config.back_translation
    if not settings.enabled:
        return [entrant]
    found = stored[entrant.instruction.id]
    functions = entrant.functions[: settings.max_functions or None]
    labels = [found.labels[each.id] for each in functions if each.id in found.labels]
    if lost := found.undescribed:
        asked = lost.record.functions if isinstance(lost.record, VerifiedInstruction) else ()
        if {each.id for each in functions} <= {each.id for each in asked}:
            return [Dropped.of(back_translation.STAGE, lost.reason, entrant, lost.detail)]
    if missing := len(functions) - len(labels):
        unasked["back_translation"] += missing * (2 if settings.nli == "chat" else 1)
        if not found.queries:
            unasked["rejection_sampling"] += _count_responses(tools.config)
        return [Dropped.of(back_translation.STAGE, Reason.NEVER_ASKED, entrant, f"{missing} back-translations")]
    if not any(each.text for each in labels):
        detail = "no function was described: an empty answer"
        return [Dropped.of(back_translation.STAGE, Reason.EMPTY, entrant, detail)]
    return [judge_labels(entrant.model_copy(update={"back_translations": tuple(labels)}), settings)]


async def _join_queries(entrant: Entrant, stored: Stored, tools: Tools, unasked: Counter[str]) -> Outcomes:
    assert isinstance(entrant, VerifiedInstruction)
    found = stored[entrant.instruction.id]
    if not found.queries:
        unasked["rejection_sampling"] += _count_responses(tools.config)
        return [Dropped.of(augmentation.STAGE, Reason.NEVER_ASKED, entrant, "its responses were never asked for")]
    left = {each.instruction.id: each for each in tools.partners}
    prompts = list[Prompt | Dropped]()
    for query in found.queries:
        partners = found.partners[query.id]
        if left.keys() >= {*partners}:
            prompts.append(join((entrant, *(left[each] for each in partners)), query))
        else:
            unasked["rejection_sampling"] += tools.config.rejection_sampling.responses_per_prompt
            detail = f"instruction {entrant.instruction.id} with query {query.id}: one that it was joined with is gone"
            name = content_id("prompt", entrant.id, query.id)
            prompts.append(Dropped(stage=augmentation.STAGE, reason=Reason.NEVER_ASKED, record_id=name, detail=detail))
    return prompts


async def _judge_responses(entrant: Entrant, stored: Stored, tools: Tools, unasked: Counter[str]) -> Outcomes:
    assert isinstance(entrant, tuple)
    found = stored[entrant[0].constraints[0].instruction.id]

    async def recall(prompts: Sequence[Prompt], count: int, tools: Tools) -> list[tuple[list[Response], list[Dropped]]]:
        return [_recall(prompt, count, found) for prompt in prompts]

    results = [result async for part in sample_responses(entrant, tools, recall) for result in part]
    unasked["rejection_sampling"] += sum(
        isinstance(each, Dropped) and each.reason is Reason.NEVER_ASKED for each in results
    )
    return results


def _recall(prompt: Prompt, count: int, found: StoredInstruction) -> tuple[list[Response], list[Dropped]]:
    """Return the run's first `count` responses to a prompt: whole answers, and the dropped ones."""
    whole, others = list[Response](), list[Dropped]()
    answers = found.answers.get(prompt.query.id, {})
    for index in range(count):
        answer = answers.get(index)
        text = answer.response.text if answer else ""
        response = Response(id=content_id("response", prompt.id, index, text), prompt=prompt, index=index, text=text)
        if answer is None:
            others.append(Dropped.of(rejection_sampling.STAGE, Reason.NEVER_ASKED, response, _NEVER_ASKED))
        elif answer.dropped:
            others.append(Dropped.of(rejection_sampling.STAGE, answer.dropped.reason, response, answer.dropped.detail))
        else:
            whole.append(response)
    return whole, others


async def _judge_quality(entrant: Entrant, stored: Stored, tools: Tools, unasked: Counter[str]) -> Outcomes:
    assert isinstance(entrant, Response)
    settings = tools.config.scoring
    if not settings.enabled:
        return [entrant]
    found = stored[entrant.prompt.constraints[0].instruction.id]
    place = place_of(entrant)
    if quality := found.qualities.get(place):
        return [judge_quality(entrant.model_copy(update={"quality": quality}), settings)]
    if lost := found.unscored.get(place):
        return [Dropped.of(scoring.STAGE, lost.reason, entrant, lost.detail)]
    unasked["scoring"] += settings.samples
    return [Dropped.of(scoring.STAGE, Reason.NEVER_ASKED, entrant, _NEVER_ASKED)]


_JUDGES: Mapping[str, Callable[[Entrant, Stored, Tools, Counter[str]], Awaitable[Outcomes]]] = {
    CROSS_VALIDATION: _judge_draft,
    BACK_TRANSLATION: _judge_labels,
    AUGMENTATION: _join_queries,
    REJECTION_SAMPLING: _judge_responses,
    SCORING: _judge_quality,
}


def _count_responses(config: Config) -> int:
    return config.augmentation.queries_per_instruction * config.rejection_sampling.responses_per_prompt
