"""One run from config to data: the two steps, what happens once before and after them, and the run folder they leave.

    seeds ─► self_instruct ─► step "instructions" ─► instructions.jsonl ─► step "queries" ─► sft, preferences, rewards

A run can be interrupted at any point, and the same command resumes it: what is complete in the run folder is not done
again, and stored model answers are not asked for again.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import JsonValue, ValidationError

from autoif.config import Config
from autoif.datasets.reviewing import iterate_instructions
from autoif.datasets.writing import write_data, write_instructions
from autoif.decisions import read_review
from autoif.engines import open_engine
from autoif.errors import ConfigError, StoreError
from autoif.instructions.seeds import Seeds
from autoif.instructions.self_instruct import self_instruct
from autoif.messages import Say
from autoif.models.cache import CompletionCache
from autoif.models.embedded import serve_model
from autoif.models.endpoint import EMBEDDED
from autoif.models.journal import export_answers, open_answers
from autoif.models.recording import import_recording
from autoif.pipeline import Step
from autoif.planning.pilot import find_yields
from autoif.planning.plan import PlannedInput, RunPlan, make_plan
from autoif.records import Instruction, Query
from autoif.report.ending import describe_unknown
from autoif.report.progress import Progress
from autoif.runs import manifest, store
from autoif.runs.claims import is_overtaken
from autoif.runs.contents import read_kept
from autoif.runs.events import Events, recording_events
from autoif.runs.inputs import GivenInstructions, read_inputs
from autoif.runs.mirror import Mirror
from autoif.runs.remote import Remote
from autoif.runs.resuming import is_work_folder
from autoif.runs.run_folder import RunFolder
from autoif.runs.shards import OpenRun, run_steps, timing
from autoif.runs.slices import Slice, adopt_slices, have_same_settings
from autoif.telemetry import open_telemetry
from autoif.together import collecting_seldom
from autoif.tools import ToolSettings

_MANY_ANSWERS = 20_000
"""Number of answers from which on a user is warned that the embedded model will take days: two cores write some 50
tokens a second (docs/models.md), and an answer has 50 to 100."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run that are not in its config."""

    output: Path
    until: Step = "queries"
    """Stop after this step."""
    instructions: Path | None = None
    """Verified instructions of an earlier run; the run then begins with the second step."""
    recordings: tuple[Path, ...] = ()
    """Recordings from which model answers are taken where possible."""
    replay: bool = False
    """Ask no model: an answer that is neither in a recording nor in the folder is a ModelError."""
    resume_with_changes: bool = False
    """Accept a folder made with other settings: results are made anew, answers to unchanged requests are kept."""
    retry_refused: bool = False
    """Send requests that servers refused again."""
    slice: Slice | None = None
    """Run only the shards of this slice, and leave the data sets to the merge (autoif.runs.sliced_run)."""
    remote: Remote | None = None
    """The address of the output, if it has one; `output` is then the folder to work in."""
    mirror: Mirror | None = None
    """Copies the folder to that address (autoif.runs.sliced_run opens it)."""
    turn: int = 0
    """Number of the claim on the folder that this process holds; 0 without one. Only the holder writes there."""

    @property
    def run(self) -> Path:
        """The folder of the whole run."""
        return self.output.parent.parent if self.slice and self.slice.number else self.output

    @property
    def is_overtaken(self) -> bool:
        """Whether another process has taken over the claim on the folder, which then belongs to that process."""
        place = self.output / store.SLICES if self.run == self.output else self.output
        return self.turn > 0 and is_overtaken(place, self.turn)


async def make_data(config: Config, options: RunOptions, progress: Progress) -> None:
    """Run or resume the pipeline.
    Raises AutoIFError: bad input, a model, sandbox or disk that fails, or a spent budget; the folder can be resumed."""
    progress.restart()
    inputs = await asyncio.to_thread(read_inputs, config, options.instructions, options.until)
    if options.mirror is None and (address := is_work_folder(options.output)):
        raise ConfigError(f"{options.output} is the work folder of {address}: name that as --output")
    async with AsyncExitStack() as stack:
        stack.enter_context(collecting_seldom())
        folder = stack.enter_context(RunFolder(options.output, claimed=options.turn > 0, elsewhere=options.mirror))
        _refuse_replayed(folder)
        completions, journal = stack.enter_context(open_answers(folder, options.turn, options.run))
        journal = options.mirror.journals if options.mirror else journal
        cache = stack.enter_context(CompletionCache(completions))  # opened before all others, as it sets the file up
        earlier = _read_earlier(folder, cache, options)
        config = manifest.settle(config, earlier)
        # The sandbox comes before any model: without one the run ends here.
        sandbox = await stack.enter_async_context(config.sandbox.make_sandbox())
        enforced = sandbox.describe()
        config = manifest.settle_backend(config, enforced.partition(":")[0])
        read_review(folder.path)  # so that an unreadable decision ends the run now, not after hours
        lost = not earlier and cache.total().completions > 0
        record = _claim(folder, earlier, config, options, inputs.digest(), lost=lost)
        if folder.has_results and (before := earlier.get("autoif", record["autoif"])) != record["autoif"]:
            cache.note(f"autoif {before} made results of this run before {record['autoif']} went on with it")
        if inputs.pool.reasons:
            cache.note(f"queries: {inputs.pool.describe()}")
        if not options.replay:
            for line in await _warn_of_plan(config, options, inputs.planned, new=not earlier):
                progress.say(line)
        _gather_answers(folder, cache, completions, options, record)
        events = Events(folder, lambda: options.is_overtaken)
        stack.enter_context(recording_events(events, lambda: progress.snapshot(cache.total())))
        record["sandbox"], times = enforced, manifest.read_times(earlier)
        stack.enter_context(_accounting(folder, completions, record, times, options))
        engine = open_engine(config.execution)
        served = stack.enter_context(_serve(config, options.replay, progress.say))
        if served.models.runtime != record["runtime"]:
            folder.write_manifest(record | {"runtime": served.models.runtime})
        record["runtime"] = served.models.runtime
        telemetry = stack.enter_context(open_telemetry(config.execution.otlp_endpoint, progress.say))
        stack.enter_context(telemetry.run(config.preset))
        stack.enter_context(progress.watching(completions, lambda: engine.verdicts, lambda: engine.bound))
        if not options.replay:
            served = await stack.enter_async_context(engine.serving(served))
            name_keys(config, progress)
        queries, span = tuple(inputs.pool.kept), telemetry.traceparent()
        elsewhere = options.remote.address if options.remote else ""
        marks = manifest.read_marks(record)
        tools = ToolSettings(
            served, completions, queries, options.replay, inputs.answers, journal, elsewhere, span, marks, sandbox
        )
        job = OpenRun(folder, tools, engine, progress, options.slice, events, times, telemetry)
        for note in await _run_job(inputs.given, inputs.seeds, job, options):
            cache.note(note)
        record["sandbox"] = engine.sandbox or enforced


async def _run_job(given: GivenInstructions, seeds: Seeds, job: OpenRun, options: RunOptions) -> list[str]:
    """Run the steps and write the data sets; return notes for the end of the run.

    A slice writes no data sets, and slice 0 only the instructions that all slices begin with.
    """
    folder, part, notes = job.folder, options.slice, list[str]()
    made = [] if given.count else await _make_instructions(seeds, job, options)
    if made and job.tools.answers.rows:
        notes.append(job.tools.answers.describe(each.text for each in made))
    if part and not part.number:
        return notes
    if given.count:
        if not part and not folder.is_made_of(store.INSTRUCTIONS, given.digest):
            rows = iterate_instructions(given.path)
            await asyncio.to_thread(folder.write_rows, store.INSTRUCTIONS, rows, made_of=given.digest)
        await run_steps("queries", partial(iterate_instructions, given.path), given.count, job, options.until)
    else:
        await run_steps("instructions", lambda: made, len(made), job, options.until)
    if part:
        return notes
    await asyncio.to_thread(folder.bring_all)
    if not given.count:
        await asyncio.to_thread(write_instructions, folder)
    return [*notes, *(await write_data(folder, job.tools) if options.until == "queries" else ())]


def _gather_answers(
    folder: RunFolder, cache: CompletionCache, completions: Path, options: RunOptions, record: dict[str, JsonValue]
) -> None:
    """Import answers from recordings, and answers and shards from the run's slices; forget refusals to be retried."""
    if options.slice and not options.slice.number:
        export_answers(cache, folder.path / store.SLICES / "answers-0000.jsonl", but=store.SELF_INSTRUCT[3:])
    for recording in options.recordings:
        import_recording(recording, completions)
    if options.slice is None:
        adopt_slices(folder, cache, record)
    if options.retry_refused and cache.has_refused:
        # Before the refusals: a kill in between then leaves refusals without results, which another try forgets. The
        # other way round, results would stay that were made of refusals which nobody asks again.
        folder.discard_results()
        cache.forget_refused()
    if options.recordings:
        record["replayed"] = True  # its time then says nothing about a model's speed


async def remake_data(path: Path) -> list[str]:
    """Make the data sets of a complete run anew, honouring reviewers' decisions; return notes about rows left out.

    Raises:
        StoreError: the folder is in use, its run is not complete, or it is damaged.
        SandboxError: a setting needs functions to be run, and they can't be contained on this machine.
    """
    record = store.read_run(path)
    if record.get("status") != "complete":
        raise StoreError(f"{path}: its run is {record.get('status')}; the command that began it honours decisions, too")
    try:
        config = Config.model_validate(record["config"])
    except (KeyError, ValidationError):
        raise store.name_other_version(path) from None
    with collecting_seldom(), RunFolder(path) as folder, CompletionCache(folder.completions) as cache:
        queries = tuple(folder.read_rows(store.QUERIES, Query))
        notes = await write_data(folder, ToolSettings(config, folder.completions, queries, replay_only=True), anew=True)
        for note in notes:
            cache.note(note)
        folder.write_manifest({**record, "notes": [*cache.notes()]})
    return notes


async def plan_data(
    config: Config, options: RunOptions, source: str | None = None, tokens_per_second: float | None = None
) -> RunPlan:
    """Return what a run will ask models and what it will make; no model is asked and nothing is written.

    `source` gives the yields: a run folder, or a published source by name. By default they come from what is done of
    the run already, else from all published sources. `tokens_per_second` is that of the source by default.

    Raises:
        ConfigError, StoreError: an input, or the source, can't be used.
        SandboxError: a function of the source has to run again, and functions can't be contained on this machine.
    """
    planned = read_inputs(config, options.instructions, options.until).planned
    config = manifest.settle(config, {})
    yields = await find_yields(source, options.output, config, queries=planned.queries, until=options.until)
    return make_plan(config, planned, yields, until=options.until, tokens_per_second=tokens_per_second)


async def _warn_of_plan(config: Config, options: RunOptions, planned: PlannedInput, *, new: bool) -> list[str]:
    """Return warnings: the limits of the budget that the plan exceeds, and, of a new run, whether the embedded model
    would take days."""
    embedded = {role for role, endpoint in config.models.by_role().items() if endpoint.is_embedded}
    has_budget = config.budget.tokens is not None or config.budget.usd is not None
    if not has_budget and not (new and embedded):
        return []
    yields = await find_yields(None, options.output, config, queries=planned.queries, until=options.until)
    plan = make_plan(config, planned, yields, until=options.until)
    warnings = list(plan.over_budget) if has_budget else []
    answers = sum(stage.answers.expected for stage in plan.stages if stage.role in embedded)
    if new and answers >= _MANY_ANSWERS:
        warnings.append(
            f"the model on this machine is to give some {round(answers, -3):,.0f} answers, which takes it days: "
            "--base-url and --model name a server, --set self_instruct.max_instructions=50 is a first try"
        )
    return warnings


async def _make_instructions(seeds: Seeds, job: OpenRun, options: RunOptions) -> list[Instruction]:
    """§3.2: self-instruct from all seeds at once, as de-duplication needs all of them."""
    if options.run != job.folder.path:
        return await asyncio.to_thread(lambda: [*read_kept(options.run, store.SELF_INSTRUCT, Instruction, 0)])
    if not job.folder.has_shard(store.SELF_INSTRUCT, 0):
        job.progress.begin((store.SELF_INSTRUCT,), total=1)
        with timing(job) as spent:
            spent[store.SELF_INSTRUCT] = 1.0
            async with job.tools.open() as tools:
                kept, dropped = await self_instruct(seeds.kept, tools)
        await asyncio.to_thread(job.folder.write_shard, store.SELF_INSTRUCT, 0, kept, [*seeds.dropped, *dropped])
        job.telemetry.count_records(store.SELF_INSTRUCT, len(kept), [*seeds.dropped, *dropped])
    job.progress.count(store.SELF_INSTRUCT, *job.folder.count_shard(store.SELF_INSTRUCT, 0))
    return await asyncio.to_thread(job.folder.read_kept, store.SELF_INSTRUCT, 0, Instruction)


def _refuse_replayed(folder: RunFolder) -> None:
    """Raise StoreError for the output of `autoif replay --apply`: it has no model answers to make it again from."""
    if not folder.completions.exists() and (run := folder.read_manifest().get(store.REPLAYED_FROM)):
        raise StoreError(
            f"{folder.path} is what `autoif replay --apply` made of {run}, and a run there would replace it: choose "
            "another --output"
        )


def _read_earlier(folder: RunFolder, cache: CompletionCache, options: RunOptions) -> dict[str, JsonValue]:
    """Return the manifest that binds this run; {} if the folder has neither answers nor results yet.

    A first try that failed so early binds nobody. A slice is bound by the manifest of its whole run, and has its own
    times.
    """
    if options.run != folder.path:
        own = folder.read_manifest()
        return {**store.read_manifest(options.run), "seconds": own.get("seconds", 0.0), "times": own.get("times", {})}
    return folder.read_manifest() if cache.total().completions or folder.has_results else {}


def check_settings(config: Config, options: RunOptions) -> None:
    """Raise StoreError, naming what differs, if a run folder was made with other settings or inputs."""
    earlier = store.read_manifest(options.output)
    config = manifest.settle(config, earlier)
    inputs = read_inputs(config, options.instructions, options.until)
    wanted = manifest.run_identity(config, inputs.digest())
    manifest.check_identity(manifest.read_identity(earlier), wanted, options.output)


def _claim(
    folder: RunFolder,
    earlier: Mapping[str, JsonValue],
    config: Config,
    options: RunOptions,
    inputs: Mapping[str, str],
    *,
    lost: bool,
) -> dict[str, JsonValue]:
    """Write the run's manifest into the folder and return it. `lost`: the folder has answers, but no run.json.
    Raises StoreError: the folder was made with other settings."""
    wanted = manifest.run_identity(config, inputs)
    if earlier and not options.resume_with_changes:
        found = manifest.read_identity(earlier)
        manifest.check_identity(found, wanted, options.output)
        wanted = {**found, **wanted}
    is_slice = options.run != folder.path
    is_outdated = is_slice and not have_same_settings(folder.read_manifest(), {"identity": wanted})
    if options.resume_with_changes or is_outdated or earlier.get("format") != store.FORMAT:
        folder.discard_results()
    record: dict[str, JsonValue] = {**manifest.new_manifest(config, wanted), "seconds": earlier.get("seconds", 0.0)}
    record |= {"times": earlier.get("times", {}), "runtime": config.models.runtime}
    record["batches"] = manifest.mark_batches({**folder.read_manifest(), **earlier}, wanted, lost=lost)
    if options.slice and options.slice.number:
        record["slice"] = {"number": options.slice.number, "total": options.slice.total, "until": options.until}
    folder.write_manifest(record)
    return record


@contextmanager
def _accounting(
    folder: RunFolder, completions: Path, record: dict[str, JsonValue], times: Mapping[str, float], options: RunOptions
) -> Iterator[None]:
    """Write status, times, usage and notes into the manifest however the run ends, unless another process took over."""
    started, part = time.monotonic(), options.slice
    status = "interrupted"
    try:
        yield
        status = "complete" if part is None or part.number else "in slices"
    finally:
        folder.check_place()
        with CompletionCache(completions) as cache:
            usage: dict[str, JsonValue] = {stage: each.model_dump(mode="json") for stage, each in cache.usage().items()}
            for name, kept in folder.moved.items():
                cache.note(f"{name} had been changed by hand or by another version: what it was is kept as {kept}")
            notes: list[JsonValue] = list(cache.notes())
            record["endings"] = describe_unknown(cache)
        earlier = record["seconds"]
        assert isinstance(earlier, float)
        seconds = round(earlier + time.monotonic() - started, 1)
        by_stage: dict[str, JsonValue] = {stage: round(spent, 2) for stage, spent in times.items()}
        if not options.is_overtaken:
            folder.write_manifest(
                {**record, "status": status, "seconds": seconds, "times": by_stage, "usage": usage, "notes": notes}
            )


def name_keys(config: Config, progress: Progress) -> None:
    """Tell the user which variable's key goes to which host, as a settings file may come from somebody else."""
    keys = ((each.api_key_env, address) for each in config.models.by_role().values() for address in each.addresses)
    for variable, address in dict.fromkeys(keys):
        if address != EMBEDDED and os.environ.get(variable):
            progress.say(f"the key in ${variable} goes to {urlsplit(address).netloc}")


@contextmanager
def _serve(config: Config, replay: bool, say: Say) -> Iterator[Config]:
    """Start the embedded model if a role uses it; yield the config with its address and runtime filled in."""
    embedded = {role: endpoint for role, endpoint in config.models.by_role().items() if endpoint.is_embedded}
    if replay or not embedded:
        yield config
        return
    names = {endpoint.model for endpoint in embedded.values()}
    if len(names) > 1:
        raise ConfigError(f"one embedded model at a time: models.*.model names {', '.join(sorted(names))}")
    [name], models = names, config.models
    with serve_model(name, slots=models.slots, runtime=models.runtime, asked=", ".join(embedded), say=say) as server:
        served = models.with_endpoints({role: server.endpoint(endpoint) for role, endpoint in embedded.items()})
        yield config.model_copy(update={"models": served.model_copy(update={"runtime": server.runtime})})
