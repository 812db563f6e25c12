"""One run from config to data: the two steps, what happens once between them, and the run folder they leave.

    seeds ─► self_instruct ─► step "instructions" ─► instructions.jsonl ─► step "queries" ─► sft, preferences, rewards

Every point can be interrupted. What is complete in the run folder is not done again; every model answer comes from the
completions if it is there. So the same command goes on where it stopped.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, JsonValue

from autoif import manifest
from autoif.config import ROLES, Config
from autoif.datasets.preferences import instruction_pairs, query_pairs
from autoif.datasets.rewards import reward_rows
from autoif.datasets.sft import sft_rows
from autoif.engines import Engine, open_engine
from autoif.engines.workshop import Workshop
from autoif.errors import ConfigError
from autoif.instructions.seeds import load_seeds
from autoif.instructions.self_instruct import self_instruct
from autoif.models.cache import CompletionCache
from autoif.models.embedded import EmbeddedServer
from autoif.models.endpoint import EMBEDDED, Endpoint
from autoif.models.recording import import_recording
from autoif.pipeline import SELF_INSTRUCT, STAGES, Input, Shard, Step
from autoif.queries.pool import load_queries
from autoif.records import Instruction, Prompt, Query, Reason, Response, VerifiedInstruction
from autoif.report.progress import Progress
from autoif.sandbox import Sandbox
from autoif.store import RunFolder, read_jsonl

Made = TypeVar("Made", bound=BaseModel)

INSTRUCTIONS = "instructions.jsonl"
QUERIES = "queries.jsonl"
SFT = "sft.jsonl"
PREFERENCES = "preferences.jsonl"
REWARDS = "rewards.jsonl"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run does beside its config."""

    output: Path
    until: Step = "queries"
    """Stop after this step."""
    instructions: Path | None = None
    """Verified instructions of an earlier run: begin with the second step."""
    recordings: tuple[Path, ...] = ()
    """Take model answers from these, where they have them."""
    replay: bool = False
    """Ask no model: an answer that neither recordings nor folder have is a ModelError."""
    resume_with_changes: bool = False
    """Accept a folder made with other settings: results are made anew, answers to unchanged requests are kept."""


@dataclass(frozen=True, slots=True)
class Job:
    """An open run: where results go, what workers are told, who runs shards, who watches."""

    folder: RunFolder
    workshop: Workshop
    engine: Engine
    progress: Progress


async def run(config: Config, options: RunOptions, progress: Progress) -> None:
    """Run or resume the pipeline.

    Raises:
        AutoIFError: bad input, a model, sandbox or disk that fails, or a spent budget; the folder can be resumed.
    """
    given = read_jsonl(options.instructions, VerifiedInstruction) if options.instructions else []
    seeds = [] if given else load_seeds(Path(config.seeds) if config.seeds else None)
    pool = _load_pool(config) if options.until == "queries" else []
    async with Sandbox(backend=config.sandbox.backend, workers=1) as sandbox:  # before a model is asked or loaded
        enforced = sandbox.describe()
    config = _settle_backend(config, enforced.partition(":")[0])
    with RunFolder(options.output) as folder, ExitStack() as stack:
        stack.enter_context(CompletionCache(folder.completions))  # first of all that open it: it sets the file up
        record = _claim(folder, config, options, {"seeds": seeds, "queries": pool, "instructions": given})
        for recording in options.recordings:
            import_recording(recording, folder.completions)
        stack.enter_context(_accounting(folder, {**record, "sandbox": enforced}))
        served = stack.enter_context(_serve(config, options.replay))
        workshop = Workshop(served, folder.completions, tuple(pool), options.replay)
        engine = open_engine(config.execution.engine, config.execution.workers, config.execution.ray_address)
        stack.enter_context(progress.watching(folder.completions, lambda: engine.verdicts))
        job = Job(folder, workshop, engine, progress)
        verified = given or await _make_instructions(seeds, job)
        folder.write_rows(INSTRUCTIONS, verified)
        if options.until == "queries":
            await _make_data(verified, job)


def _settle_backend(config: Config, backend: str) -> Config:
    """Name the backend that "auto" came to: verdicts may differ between backends, so one judges all of a run."""
    return config.model_copy(update={"sandbox": config.sandbox.model_copy(update={"backend": backend})})


async def _make_instructions(seeds: Sequence[Instruction], job: Job) -> list[VerifiedInstruction]:
    """§3.2: self-instruct all seeds, then verify the instructions shard by shard."""
    if not job.folder.has_shard(SELF_INSTRUCT, 0):
        job.progress.begin("self-instruct", (SELF_INSTRUCT,), total=1)
        async with job.workshop.open() as tools:
            kept, dropped = await self_instruct(seeds, tools)
        job.folder.write_shard(SELF_INSTRUCT, 0, kept, dropped)
    instructions = job.folder.read_kept(SELF_INSTRUCT, 0, Instruction)
    job.progress.stage(SELF_INSTRUCT, len(instructions), len(job.folder.read_dropped(SELF_INSTRUCT, 0)))
    return await _run_step("instructions", instructions, VerifiedInstruction, job)


async def _make_data(verified: Sequence[VerifiedInstruction], job: Job) -> None:
    """§3.3: prompts, responses and scores shard by shard; then the data sets of §3.4."""
    folder, settings = job.folder, job.workshop.config.preferences
    folder.write_rows(QUERIES, job.workshop.queries)
    scored = await _run_step("queries", verified, Response, job)

    augmentation, sampling, _ = (stage.folder for stage in STAGES["queries"])
    shards = range(len(_cut(verified, job)))
    prompts = [prompt for index in shards for prompt in folder.read_kept(augmentation, index, Prompt)]
    passed = [response for index in shards for response in folder.read_kept(sampling, index, Response)]
    refused = [
        Response.model_validate(dropped.record)
        for index in shards
        for dropped in folder.read_dropped(sampling, index)
        if dropped.reason == Reason.FAILED_FUNCTIONS
    ]
    sampled = sorted([*passed, *refused], key=lambda response: response.index)
    pairs = [
        *(instruction_pairs(verified, settings) if settings.instruction_level else ()),
        *(query_pairs(prompts, sampled, scored, settings) if settings.query_level else ()),
    ]
    folder.write_rows(SFT, sft_rows(scored))
    folder.write_rows(PREFERENCES, pairs)
    folder.write_rows(REWARDS, reward_rows(prompts))


async def _run_step(step: Step, records: Sequence[Input], makes: type[Made], job: Job) -> list[Made]:
    """Run the shards of a step that the folder lacks; return what its last stage kept, in input order."""
    stages = STAGES[step]
    shards = [Shard(step, index, part) for index, part in enumerate(_cut(records, job))]
    missing = [shard for shard in shards if not all(job.folder.has_shard(each.folder, shard.index) for each in stages)]
    job.progress.begin(step, tuple(stage.folder for stage in stages), total=len(records))
    for shard in shards:
        if shard not in missing:
            for stage in stages:
                kept = job.folder.read_kept(stage.folder, shard.index, stage.makes)
                job.progress.stage(stage.folder, len(kept), len(job.folder.read_dropped(stage.folder, shard.index)))
    async for result in job.engine.run(missing, job.workshop, job.progress.stage):
        for folder, outcome in zip(result.folders, result.stages, strict=True):
            job.folder.write_shard(folder, result.index, outcome.kept, outcome.dropped)
    return [record for shard in shards for record in job.folder.read_kept(stages[-1].folder, shard.index, makes)]


def _cut(records: Sequence[Input], job: Job) -> list[tuple[Input, ...]]:
    size = job.workshop.config.execution.shard_size
    return [tuple(records[start : start + size]) for start in range(0, len(records), size)]


def _load_pool(config: Config) -> list[Query]:
    settings = config.augmentation
    pool = load_queries(
        config.queries or None,
        min_chars=settings.min_chars,
        max_chars=settings.max_chars,
        language=settings.language,
    )
    return list(pool.kept)


def _claim(
    folder: RunFolder, config: Config, options: RunOptions, inputs: dict[str, Sequence[BaseModel]]
) -> dict[str, JsonValue]:
    """Make the folder this run's, or refuse it; return its manifest."""
    used = {name: manifest.digest_rows(rows) for name, rows in inputs.items() if rows}
    wanted = manifest.run_identity(config, used)
    found = folder.read_manifest()
    if found and not options.resume_with_changes:
        earlier = found["identity"]
        assert isinstance(earlier, dict)
        # A run that stopped after the first step has no queries yet; that is no difference.
        keys = {key for key in ("inputs.queries",) if key not in earlier or key not in wanted}
        manifest.check_identity(
            {key: value for key, value in earlier.items() if key not in keys},
            {key: value for key, value in wanted.items() if key not in keys},
            str(options.output),
        )
        wanted = {**earlier, **wanted}
    elif found:
        folder.discard_results()
    record: dict[str, JsonValue] = {**manifest.new_manifest(config, wanted), "seconds": found.get("seconds", 0.0)}
    folder.write_manifest(record)
    return record


@contextmanager
def _accounting(folder: RunFolder, record: dict[str, JsonValue]) -> Iterator[None]:
    """Write what the run took into its manifest, however it ends."""
    started = time.monotonic()
    status = "interrupted"
    try:
        yield
        status = "complete"
    finally:
        with CompletionCache(folder.completions) as cache:
            usage: dict[str, JsonValue] = {stage: each.model_dump(mode="json") for stage, each in cache.usage().items()}
        earlier = record["seconds"]
        assert isinstance(earlier, float)
        seconds = round(earlier + time.monotonic() - started, 1)
        folder.write_manifest({**record, "status": status, "seconds": seconds, "usage": usage})


@contextmanager
def _serve(config: Config, replay: bool) -> Iterator[Config]:
    """Start the embedded model if a role is left to it; yield the config with its address filled in."""
    roles: dict[str, Endpoint] = {role: getattr(config.models, role) for role in ROLES}
    embedded = [role for role, endpoint in roles.items() if endpoint.base_url == EMBEDDED]
    if replay or not embedded:
        yield config
        return
    names = {roles[role].model for role in embedded}
    if len(names) > 1:
        raise ConfigError(f"one embedded model at a time: models.*.model names {', '.join(sorted(names))}")
    with EmbeddedServer(names.pop(), slots=config.models.slots) as server:
        served = {role: server.endpoint(roles[role]) for role in embedded}
        yield config.model_copy(update={"models": config.models.model_copy(update=served)})
