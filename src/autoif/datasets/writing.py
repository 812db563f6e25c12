"""§3.4: writes the data sets of a run from what the stages of §3.3 kept and refused, one shard at a time."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from itertools import chain, count, islice

from autoif.benchmark_wordings import is_benchmark_text
from autoif.config import Config, identity
from autoif.datasets.balance import Balance, balance_functions, draw_responses
from autoif.datasets.folding import fold_alike
from autoif.datasets.preferences import instruction_pairs, query_pairs
from autoif.datasets.reviewing import (
    drop_item,
    list_refused,
    list_rejected,
    name_pair,
    review_answers,
    review_prompts,
    review_verified,
)
from autoif.datasets.rewards import reward_rows
from autoif.datasets.rows import Constraint, PreferenceRow, RewardRow, SftRow, constraint_of
from autoif.datasets.sft import sft_rows
from autoif.datasets.strictness import Strictness, find_strictness
from autoif.decisions import Review, read_review
from autoif.judging import Runner, compute_least_rate, split_verdicts
from autoif.records import Dropped, Prompt, Reason, Response, VerifiedInstruction, content_id
from autoif.runs import store
from autoif.runs.manifest import find_version
from autoif.runs.run_folder import RunFolder
from autoif.runs.whole_files import digest_file
from autoif.thresholds import Threshold, meets, share
from autoif.tools import ToolSettings

NO_DECISIONS = Review()
NamedRow = tuple[str, SftRow | PreferenceRow | RewardRow]
"""The name of a data set, and a row of it."""
Open = Callable[[], AbstractAsyncContextManager[Runner]]
"""Opens a sandbox, for settings that need functions to run again."""


@dataclass(frozen=True, slots=True)
class SampledShard:
    """The prompts and responses of a shard after the second step."""

    prompts: list[Prompt]
    sampled: list[Response]
    """All responses, with those that the functions refused, sorted by index."""
    scored: list[Response]
    """The responses that passed their functions and scoring."""

    @classmethod
    def of(
        cls, prompts: list[Prompt], kept: Sequence[Response], dropped: Iterable[Dropped], scored: list[Response]
    ) -> "SampledShard":
        """Make one from the prompts, what rejection sampling kept and dropped, and what scoring kept."""
        refused = [
            each.record
            for each in dropped
            if each.reason == Reason.FAILED_FUNCTIONS and isinstance(each.record, Response)
        ]
        return cls(prompts, sorted([*kept, *refused], key=lambda response: response.index), scored)

    @property
    def instructions(self) -> list[VerifiedInstruction]:
        """The instructions of its prompts, each once."""
        return list({each.id: each for prompt in self.prompts for each in prompt.constraints}.values())

    def reviewed(self, review: Review, pass_rate: Threshold) -> "SampledShard":
        """Return the shard without what reviewers rejected; scored responses must pass the remaining functions."""
        if not review:
            return self
        prompts = {each.id: each for each in review_prompts(self.prompts, review)}
        scored = review_answers(self.scored, prompts, review)
        passing = [each for each in scored if _follows_all(each, pass_rate)]
        return SampledShard(list(prompts.values()), review_answers(self.sampled, prompts, review), passing)

    def list_followed(self, pass_rate: Threshold) -> list[Prompt]:
        """Return the prompts without those whose several instructions no response follows: they may exclude each
        other."""
        followed = {each.prompt.id for each in self.sampled if _follows_all(each, pass_rate)}
        return [each for each in self.prompts if len(each.constraints) == 1 or each.id in followed]

    def without(self, instructions: AbstractSet[str]) -> "SampledShard":
        """Return the shard without prompts that have one of these instructions, by the ids of the verified ones."""
        kept = [each for each in self.prompts if all(one.id not in instructions for one in each.constraints)]
        names = {prompt.id for prompt in kept}
        responses = ([each for each in some if each.prompt.id in names] for some in (self.sampled, self.scored))
        return SampledShard(kept, *responses)


@dataclass(frozen=True, slots=True)
class DataSets:
    """The data sets of a run, whose rows are made as they are read."""

    rows: Callable[[], Iterator[NamedRow]]
    """Yields all rows: pairs made of cases first, then the rows of each shard. It also collects the rejected pairs."""
    folded: list[Dropped] | None
    """Instructions that behave as better ones do; None if `deduplication.behaviour` is off."""
    notes: list[str]
    """Messages for the user about rows that were left out."""
    reviewed: Iterable[Dropped] = ()
    """What was left out because of reviewers' decisions. Read it once, after the rows, which collect rejected pairs."""


async def write_data(folder: RunFolder, tools: ToolSettings, *, anew: bool = False) -> list[str]:
    """Write queries, SFT rows, pairs and reward rows into a run's folder, unless they are up to date there.

    With `anew`, write them in any case. What reviewers rejected is left out. Return messages about rows that were left
    out.
    """
    config, review = tools.config, read_review(folder.path)
    decisions = folder.path / store.DECISIONS
    decided = digest_file(decisions) if decisions.exists() else ""
    source = content_id(find_version("autoif"), identity(config), decided, folder.digest_stages())
    names = [store.QUERIES, *store.DATA_SETS]
    names += [store.FOLDED] if config.deduplication.behaviour else []
    names += [store.REVIEWED] if review or folder.has(store.REVIEWED) else []
    if not anew and all(folder.is_made_of(name, source) for name in names):
        return []

    def read_shards() -> Iterator[SampledShard]:
        sampled = {*folder.shards(store.AUGMENTATION)}
        for index, some in _read_verified(folder, config):
            if index in sampled:
                yield _read_sampled(folder, index, {each.id: each for each in some}, review)

    def read_verified() -> Iterator[VerifiedInstruction]:
        return (each for _, some in _read_verified(folder, config) for each in some)

    made = await make_data_sets(read_verified, read_shards, config, tools.open_sandbox, review)
    folder.write_rows(store.QUERIES, tools.queries, made_of=source)
    await asyncio.to_thread(write_data_sets, made, folder, source)
    if store.REVIEWED in names:
        folder.write_rows(store.REVIEWED, made.reviewed, made_of=source)
    return made.notes


def write_data_sets(made: DataSets, folder: RunFolder, made_of: str = "") -> None:
    """Write data sets into a run's folder, in one pass over their rows."""
    if made.folded is not None:
        folder.write_rows(store.FOLDED, made.folded, made_of=made_of)
    folder.write_together(store.DATA_SETS, made.rows(), made_of=made_of)


def write_instructions(folder: RunFolder) -> None:
    """Write instructions.jsonl, what a run's first step kept, unless it is up to date."""
    shards = folder.shards(store.BACK_TRANSLATION)
    source = content_id("instructions", folder.digest_stages(store.BACK_TRANSLATION))
    if not folder.is_made_of(store.INSTRUCTIONS, source):
        rows = (row for index in shards for row in folder.read_kept(store.BACK_TRANSLATION, index, VerifiedInstruction))
        folder.write_rows(store.INSTRUCTIONS, rows, made_of=source)


def _read_verified(folder: RunFolder, config: Config) -> Iterator[tuple[int, list[VerifiedInstruction]]]:
    """Yield (shard number, verified instructions), whether the run made them or began with them."""
    own = folder.shards(store.BACK_TRANSLATION)
    for index in own:
        yield index, folder.read_kept(store.BACK_TRANSLATION, index, VerifiedInstruction)
    given = iter(()) if own else folder.iterate_rows(store.INSTRUCTIONS, VerifiedInstruction)
    numbers = count()
    while some := [*islice(given, config.execution.shard_size)]:
        yield next(numbers), some


async def make_data_sets(
    verified: Callable[[], Iterator[VerifiedInstruction]],
    shards: Callable[[], Iterator[SampledShard]],
    config: Config,
    open_: Open,
    review: Review = NO_DECISIONS,
) -> DataSets:
    """Return the data sets of a run; their rows are made as they are read.

    Each call of `verified` iterates over all instructions, each once, and each call of `shards` over all that was
    sampled. Instructions in the words of a benchmark are left out, as a model trained on them can't be measured by it.
    """
    settings, pass_rate, rejected = config.preferences, config.rejection_sampling.pass_rate, list[Dropped]()
    number, left_out = 0, set[str]()
    for each in verified():
        number += 1
        left_out |= {each.id} if is_benchmark_text(each.instruction.text) else set()
    notes = _describe_untrained(len(left_out), number)

    def trained() -> Iterator[SampledShard]:
        return (each.reviewed(review, pass_rate).without(left_out) for each in shards())

    folded = await _fold(trained, config, open_) if config.deduplication.behaviour else None
    if folded:
        folded = [each for each in folded if not review.accepts("instruction", each.record_id)]
        left_out |= {each.record.id for each in folded if each.record}
        notes.append(
            f"{len(folded):,} of {number:,} instructions behave as better ones do, and no row is made of them: "
            f"{store.FOLDED}"
        )
    strictness = await _find_strictness(trained, config, open_)
    of_sft, of_pairs = (strictness if strict else None for strict in (config.sft.strict, settings.strict))
    most, gate = config.sft.rows_per_prompt, config.rejection_sampling.gate
    describe = await _find_balance(trained, config, open_)

    def rows() -> Iterator[NamedRow]:
        rejected.clear()
        reviewed = (review_verified(each, review) for each in verified() if each.id not in left_out)
        pairs = instruction_pairs(filter(None, reviewed), settings, of_pairs, gate=gate)
        for pair in _leave_out_rejected(pairs if settings.instruction_level else (), review, rejected):
            yield store.PREFERENCES, pair
        for shard in trained():
            yield from ((store.SFT, row) for row in sft_rows(shard.scored, of_sft, most))
            pairs = query_pairs(shard.prompts, shard.sampled, shard.scored, settings, of_pairs)
            for pair in _leave_out_rejected(pairs if settings.query_level else (), review, rejected):
                yield store.PREFERENCES, pair
            yield from ((store.REWARDS, row) for row in reward_rows(shard.list_followed(pass_rate), describe))

    notes += _describe_left_out(trained(), of_sft, most) if of_sft or most else []
    notes += _describe_constraints(trained(), pass_rate) if config.augmentation.max_constraints > 1 else []
    return DataSets(
        rows=rows,
        folded=folded,
        notes=notes,
        reviewed=chain(_list_reviewed(verified(), shards, review, pass_rate), rejected),
    )


def _leave_out_rejected(
    pairs: Iterable[PreferenceRow], review: Review, rejected: list[Dropped]
) -> Iterator[PreferenceRow]:
    """Yield the pairs that no reviewer rejected, and add the others to `rejected`."""
    for pair in pairs:
        if review and review.rejects("pair", name_pair(pair)):
            rejected.append(drop_item(("pair", name_pair(pair)), review))
        else:
            yield pair


def _list_reviewed(
    verified: Iterable[VerifiedInstruction],
    shards: Callable[[], Iterator[SampledShard]],
    review: Review,
    pass_rate: Threshold,
) -> Iterator[Dropped]:
    """Yield what reviewers rejected, and what no longer passes without rejected functions, in the order of the run."""
    yield from list_rejected(verified, review)
    for found in shards() if review else ():
        left = found.reviewed(review, pass_rate)
        prompts = {prompt.id: prompt for prompt in left.prompts}
        yield from list_refused(found.scored, left.scored, prompts, review)
        scored = {each.id for each in found.scored}
        unscored = [each for each in found.sampled if each.id not in scored]
        yield from list_refused(unscored, left.sampled, prompts, review)


def add_accepted(
    passed: Sequence[Response], scored: Sequence[Response], dropped: Iterable[Dropped], review: Review
) -> list[Response]:
    """Return what scoring kept, and what it dropped but a reviewer accepts, in the order of `passed`."""
    records = (each.record for each in dropped)
    accepted = [each for each in records if isinstance(each, Response) and review.accepts("response", each.id)]
    place = {each.id: number for number, each in enumerate(passed)}
    return sorted([*scored, *accepted], key=lambda response: place[response.id])


async def _fold(shards: Callable[[], Iterator[SampledShard]], config: Config, open_: Open) -> list[Dropped]:
    """Return the instructions that behave as better ones do."""
    instructions = {each.id: each for shard in shards() for each in shard.instructions}
    responses = (each for shard in shards() for each in shard.sampled if len(each.prompt.constraints) == 1)
    async with open_() as sandbox:
        return await fold_alike(list(instructions.values()), responses, sandbox, config.deduplication.alike)


def _follows_all(response: Response, pass_rate: Threshold) -> bool:
    """Tell whether a response passes enough functions of each of its prompt's instructions."""
    verdicts = split_verdicts(response.verdicts, response.prompt.constraints)
    return bool(response.verdicts) and meets(compute_least_rate(verdicts), pass_rate)


def _describe_untrained(count: int, instructions: int) -> list[str]:
    if not count:
        return []
    return [
        f"{count:,} of {instructions:,} instructions are in the words of IFEval or IFBench: they can be audited, but "
        "no row trains them"
    ]


def _describe_left_out(shards: Iterator[SampledShard], strictness: Strictness | None, most: int) -> list[str]:
    """Say how many responses that passed make no row because of `sft.strict` and `sft.rows_per_prompt`."""
    scored, taken = 0, Counter[str]()
    for response in (response for shard in shards for response in shard.scored):
        scored += 1
        if not strictness or strictness.accepts(response.prompt.constraints, response.verdicts):
            taken[response.prompt.id] += 1
    beyond = sum(max(0, each - most) for each in taken.values()) if most else 0
    left_out = {"strict": scored - taken.total() if strictness else 0, "rows_per_prompt": beyond}
    asked = {"strict": strictness is not None, "rows_per_prompt": most > 0}
    return [
        f"sft.{name} left out {count:,} of {scored:,} responses that had passed"
        for name, count in left_out.items()
        if asked[name] and count
    ]


def _describe_constraints(shards: Iterator[SampledShard], pass_rate: Threshold) -> list[str]:
    """Say how many prompts have one instruction, two, …, how often all are followed, and how many give no reward."""
    prompts, judged, followed, left_out = Counter[int](), Counter[int](), Counter[int](), 0
    for shard in shards:
        prompts.update(len(each.constraints) for each in shard.prompts)
        left_out += len(shard.prompts) - len(shard.list_followed(pass_rate))
        for each in shard.sampled:
            judged[len(each.prompt.constraints)] += 1
            followed[len(each.prompt.constraints)] += _follows_all(each, pass_rate)
    shares = (
        f"{prompts[each]:,} with {each} ({float(share(followed[each], judged[each])):.0%})" for each in sorted(prompts)
    )
    notes = [
        f"prompts by their number of instructions, and the share of responses that follow all: {', '.join(shares)}"
    ]
    if left_out:
        several = prompts.total() - prompts[1]
        notes.append(
            f"{left_out:,} of {several:,} prompts with several instructions make no reward row: no response that was "
            "asked for follows all"
        )
    return notes


async def _find_strictness(
    shards: Callable[[], Iterator[SampledShard]], config: Config, open_: Open
) -> Strictness | None:
    """Return what `sft.strict` and `preferences.strict` demand of rows; None if neither is on."""
    if not (config.sft.strict or config.preferences.strict):
        return None
    found = Strictness({})
    async with AsyncExitStack() as stack:
        strict = config.preferences.strict
        sandbox = await stack.enter_async_context(open_()) if strict else None
        for shard in shards():
            found |= await find_strictness(shard.instructions, shard.sampled, sandbox)
    return found


async def _find_balance(
    shards: Callable[[], Iterator[SampledShard]], config: Config, open_: Open
) -> Callable[[VerifiedInstruction], Constraint]:
    """Return a function that makes the constraint of a reward row, as `rewards.balanced` and `.reliability` demand."""
    settings = config.rewards
    if not (settings.balanced or settings.reliability):
        return constraint_of
    others = draw_responses(response for shard in shards() for response in shard.sampled)
    found = dict[str, Balance]()
    async with open_() as sandbox:
        for shard in shards():
            found |= await balance_functions(
                shard.instructions, shard.sampled, others, sandbox, balanced=settings.balanced
            )
    return lambda verified: found[verified.id].describe(verified, reliability=settings.reliability)


def _read_sampled(
    folder: RunFolder, index: int, verified: Mapping[str, VerifiedInstruction], review: Review
) -> SampledShard:
    """Read a shard. A response that a reviewer accepts counts as scored, however low its score is."""
    prompts = folder.read_kept(store.AUGMENTATION, index, Prompt, verified)
    known = {prompt.id: prompt for prompt in prompts}
    passed = folder.read_kept(store.REJECTION_SAMPLING, index, Response, known)
    scored = folder.read_kept(store.SCORING, index, Response, known)
    if review.has_accepted("response"):
        scored = add_accepted(passed, scored, folder.read_dropped(store.SCORING, index, known), review)
    return SampledShard.of(prompts, passed, folder.read_dropped(store.REJECTION_SAMPLING, index, known), scored)
