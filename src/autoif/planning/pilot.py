"""Reads the yields of a pilot (a run folder) per instruction, and scales them to the planned settings.

The planned thresholds are applied to the pilot's stored verdicts (`autoif.sweep`), and numbers of answers are scaled to
the planned functions, queries and samples. Only shards that went through all stages count.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from autoif.config import Config, flatten, identity
from autoif.datasets.rows import PreferenceRow
from autoif.errors import ConfigError, StoreError
from autoif.messages import list_some
from autoif.planning.yields import OneYield, TokensEach, Yields, count_descriptions, load_published, read_published
from autoif.records import Instruction, Reason, Response, VerifiedInstruction
from autoif.runs.contents import read_dropped, read_kept
from autoif.runs.store import BACK_TRANSLATION, CROSS_VALIDATION, MANIFEST, REJECTION_SAMPLING, SELF_INSTRUCT
from autoif.sweep.replay import JudgedRun, Replay, StoredVerdicts, list_kept
from autoif.sweep.settings import SWEEPABLE, Point, apply_point
from autoif.sweep.stored import StoredRun, StoredShard, name_stored, read_stored
from autoif.thresholds import share

_SCALED = {
    "verification.functions_per_instruction", "augmentation.queries_per_instruction",
    "rejection_sampling.responses_per_prompt", "scoring.samples", "execution.shard_size", "preset", "seed", "seeds",
    "queries",
}  # fmt: skip
"""Settings that may differ between pilot and plan without a caution."""
_NOT_ASKED = {Reason.NEVER_ASKED, Reason.NO_RESPONSE_PASSES}
_SHOWN = 4


async def read_pilot(path: Path, config: Config, *, until: str, done: bool = False) -> Yields:
    """Return the yields that a run folder shows for a run with these settings; `done` if it is the planned run's own.

    Raises ConfigError: the folder has no responses, and responses are planned.
    """
    run = read_stored(path)
    if until == "queries" and not run.samples:
        raise ConfigError(
            f"{path} has no responses yet, so that it says nothing of rows: plan --until instructions, or name a run "
            "that has some"
        )
    point = _find_changes(run, config)
    async with StoredVerdicts(run.known, run.config.sandbox) as verdicts:
        judged = await Replay(run, verdicts).judge(apply_point(run.config, point))
    each = _gather(run, judged, config, until)
    usage: dict[str, dict[str, Any]] = run.manifest.get("usage", {})
    replayed = bool(run.manifest.get("replayed"))
    written = sum(found["completion_tokens"] for found in usage.values())
    seconds = float(run.manifest.get("seconds", 0.0))
    return Yields(
        name=path.name,
        each=tuple(each),
        tokens={
            stage: TokensEach(*(found[f"{kind}_tokens"] / found["completions"] for kind in ("prompt", "completion")))
            for stage, found in usage.items()
            if found["completions"]
        },
        rewrites=_count_rewrites(run),
        tokens_per_second=written / seconds if seconds and written and not replayed else None,
        done=done,
        notes=tuple(_list_cautions(run, judged, config, replayed)),
    )


async def find_yields(source: str | None, output: Path, config: Config, *, queries: int, until: str) -> list[Yields]:
    """Return the yields to plan by.

    Args:
        source: a run folder or the name of a published source; None takes the part of the planned run that is done,
            or else all published sources.
        output: the folder of the planned run.
        config: of the planned run.
        queries: how many there are in the pool.
        until: the last step that is planned.

    Raises ConfigError: there is no such source, or it says nothing of what is planned.
    """
    published = load_published()[0]
    if source in published:
        return [read_published(source, config, queries)]
    if source is not None:
        return [await read_pilot(Path(source), config, until=until, done=_is_own(Path(source), output))]
    if (output / MANIFEST).is_file():
        with suppress(StoreError, ConfigError):  # nothing of it is done yet
            return [await read_pilot(output, config, until=until, done=True)]
    return [read_published(name, config, queries) for name in published]


def _is_own(pilot: Path, output: Path) -> bool:
    """Tell whether a pilot is the planned run itself. Raises ConfigError: there is no such folder."""
    if not pilot.exists():
        raise ConfigError(
            f'there is no run folder "{pilot}", and published yields are {", ".join(load_published()[0])}'
        )
    return pilot.resolve() == output.resolve()


def _find_changes(run: StoredRun, config: Config) -> Point:
    """Return the planned values of the settings that only judge stored verdicts and differ from the pilot's."""
    planned, found = (dict(flatten(each.model_dump(mode="json"))) for each in (config, run.config))
    skipped = {"contrast"} if not run.config.contrast.enabled else set[str]()
    if run.begun_verified:
        skipped |= {"cross_validation", "contrast", "back_translation"}
    return {
        key: planned[key] for key in SWEEPABLE if key.partition(".")[0] not in skipped and planned[key] != found[key]
    }


def _gather(run: StoredRun, judged: JudgedRun, config: Config, until: str) -> list[OneYield]:
    """Return the answers and rows of each instruction of the pilot, scaled to the plan."""
    queries = config.augmentation.queries_per_instruction / run.config.augmentation.queries_per_instruction
    per_prompt = config.rejection_sampling.responses_per_prompt
    samples = queries * per_prompt / run.config.rejection_sampling.responses_per_prompt
    by_prompt = queries if config.sft.rows_per_prompt else samples
    rows: dict[str, Counter[str]] = {name: Counter() for name in ("sft", "rewards", "instruction", "query")}
    for name, row in judged.data.rows():
        kind = (row.level or "query") if isinstance(row, PreferenceRow) else name.removesuffix(".jsonl")
        rows[kind][row.constraints[0].instruction_id] += 1
    found = []
    for at, shard in enumerate(run.shards):
        if until == "queries" and not shard.sampled:
            continue
        described, left = (
            {each.instruction.id: each for each in list_kept(judged.stages[folder][at], VerifiedInstruction)}
            for folder in (CROSS_VALIDATION, BACK_TRANSLATION)
        )
        sampled, accepted = _count_responses(judged, at)
        for name, asked in _count_written(shard, run, config).items():
            functions = len(described[name].kept_functions) if name in described else 0
            most = config.back_translation.max_functions
            asked["back_translation"] = count_descriptions(min(functions, most or functions), config)
            if until == "queries":
                asked["rejection_sampling"] = samples * sampled[name]
                asked["scoring"] = samples * accepted[name] * config.scoring.samples * config.scoring.enabled
            found.append(
                OneYield(
                    answers=asked,
                    instructions=float(name in left),
                    sft=by_prompt * rows["sft"][name],
                    preferences=rows["instruction"][name] + queries * rows["query"][name],
                    rewards=queries * rows["rewards"][name],
                )
            )
    return found


def _count_responses(judged: JudgedRun, at: int) -> tuple[Counter[str], Counter[str]]:
    """Return how many responses were asked for and how many were accepted, by instruction."""
    result = judged.stages[REJECTION_SAMPLING][at]
    accepted = list_kept(result, Response)
    refused = [
        each.record for each in result.dropped if each.reason not in _NOT_ASKED and isinstance(each.record, Response)
    ]
    named = [
        Counter(each.prompt.constraints[0].instruction.id for each in some)
        for some in ([*accepted, *refused], accepted)
    ]
    return named[0], named[1]


def _count_written(shard: StoredShard, run: StoredRun, config: Config) -> dict[str, dict[str, float]]:
    """Return how many answers about functions each instruction of a shard took, by stage."""
    planned = config.verification.functions_per_instruction
    scale = planned / run.config.verification.functions_per_instruction
    found: dict[str, dict[str, float]] = {}
    for stored in shard.instructions:
        draft = stored.draft
        if draft is None:
            found[name_stored(stored)] = {}
            continue
        found[name_stored(stored)] = {
            "verification": scale * len(draft.answers),
            "repair": float(len(draft.repairs)),
            "discrimination": float(sum(len(ruling.answers) for ruling in draft.rulings)),
        }
    return found | {each.record_id: {"verification": float(planned)} for each in shard.lost}


def _count_rewrites(run: StoredRun) -> float | None:
    """Return the instructions that are left per rewrite asked for; None if no rewrites were asked for."""
    settings = run.config.self_instruct
    if not settings.rewrites_per_seed or not (run.path / SELF_INSTRUCT).is_dir():
        return None
    kept = sum(each.origin == "self_instruct" for each in read_kept(run.path, SELF_INSTRUCT, Instruction))
    over = sum(
        each.reason is Reason.OVER_LIMIT and getattr(each.record, "origin", "") == "self_instruct"
        for each in read_dropped(run.path, SELF_INSTRUCT)
    )
    usage = run.manifest.get("usage", {}).get("self_instruct", {})
    asked = usage.get("completions", 0) * min(settings.rewrites_per_call, settings.rewrites_per_seed)
    return float(share(kept + over, asked)) if asked else None


def _list_cautions(run: StoredRun, judged: JudgedRun, config: Config, replayed: bool) -> Iterable[str]:
    """Yield cautions about using this pilot for the plan."""
    planned, found = identity(config), identity(run.config)
    # In prompts with several instructions, those of one shard meet.
    scaled = _SCALED - ({"execution.shard_size"} if config.augmentation.max_constraints > 1 else set())
    differing = [
        key
        for key in sorted({*planned, *found})
        if planned.get(key) != found.get(key)
        and key not in SWEEPABLE
        and key not in scaled
        and key.partition(".")[0] not in ("self_instruct", "models", "sandbox")
    ]
    if differing:
        yield f"the pilot differs in {list_some(differing, _SHOWN)}: its yields may not be the plan's"
    asked, wanted = run.config.models.by_role(), config.models.by_role()
    if others := [role for role in asked if asked[role].model != wanted[role].model]:
        named = f"{', '.join(others)} ({asked[others[0]].model})"
        yield f"the pilot had another model as {named}: yields are that one's"
    if judged.unasked:
        lacking = judged.unasked.total()
        yield f"the planned thresholds need {lacking:,} answers that the pilot never asked for: yields are too low"
    if replayed:
        yield "the pilot was replayed from a recording, so that it says nothing of time"
