"""Runs a whole run, or one slice of it (`--shards 3/100`), and decides who writes instructions and data sets.

The tasks of a sliced run share nothing but a folder that all of them see. The task that comes first writes the
instructions, which need all seeds; the others wait for them. The task that completes the last slice makes the data
sets. `autoif run` without `--shards` does so too, after it has run what the slices have left.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from autoif.config import Config
from autoif.errors import ConfigError, StoreError
from autoif.pipeline import Step
from autoif.report.progress import Progress
from autoif.runs.claims import Claim, FolderPlace, find_living_holder, holding
from autoif.runs.mirror import mirroring
from autoif.runs.orchestration import RunOptions, check_settings, make_data
from autoif.runs.remote import Remote
from autoif.runs.run_folder import refuse_links
from autoif.runs.slices import Slice, find_slices, is_complete, read_spent, read_total, write_plan
from autoif.runs.store import FORMAT, SELF_INSTRUCT, SFT, SLICES, read_manifest

_POLL_S = 1.0
_TRIES = 3


async def make_run(config: Config, options: RunOptions, progress: Progress) -> None:
    """Run or resume a run: all of it, or the slice that the options name.
    Raises AutoIFError: as `make_data` does; or the run is divided otherwise, or another process works on it."""
    refuse_links(options.output)  # here too, as claims and journals are written before the folder is opened
    if options.remote:
        await _make_mirrored(config, options, options.remote, progress)
    elif options.slice:
        await _make_slice(config, options, options.slice, progress)
    elif (options.output / SLICES).is_dir():
        async with AsyncExitStack() as stack:
            claim = await stack.enter_async_context(holding(Claim(options.output / SLICES, f"{options.output}")))
            for each in find_slices(options.output):
                folder = each.folder(options.output)
                if folder.exists() and not is_complete(options.output, each, options.until):
                    await stack.enter_async_context(holding(Claim(folder, f"{each} of {options.output}")))
            await make_data(config, replace(options, turn=claim.number), progress)
    else:
        await make_data(config, options, progress)


async def _make_mirrored(config: Config, options: RunOptions, remote: Remote, progress: Progress) -> None:
    if options.slice:
        raise ConfigError(
            "--shards needs a folder that all tasks see: name one as --output, or let one command make the run at "
            f"{remote}, with --engine ray if it needs many machines (docs/scale.md)"
        )
    anew = options.resume_with_changes or options.retry_refused
    kept = not options.retry_refused
    async with mirroring(remote, options.output, progress.say, anew=anew, refused=kept) as mirror:
        await make_data(config, replace(options, mirror=mirror), progress)


async def _make_slice(config: Config, options: RunOptions, mine: Slice, progress: Progress) -> None:
    """Run a slice and, if it is the last one to be complete, merge all slices."""
    if options.resume_with_changes or options.retry_refused:
        raise ConfigError("--resume-with-changes and --retry-refused are for the whole run: use them without --shards")
    run, folder = options.output, mine.folder(options.output)
    if read_total(run) is not None or not _is_whole(run, options.until):
        await _begin(config, options, mine, progress)
    if _is_whole(run, options.until):
        check_settings(config, options)
        progress.say(f"{run} is complete: nothing is left for {mine}")
        return
    async with holding(Claim(folder, f"{mine} of {run}")) as claim:
        if not is_complete(run, mine, options.until):
            await _refuse_beside_whole(run, mine)
        sliced = replace(options, output=folder, slice=mine, turn=claim.number)
        await make_data(share_budget(config, run, mine), sliced, progress)
    missing = [each for each in mine.whole if not is_complete(run, each, options.until)]
    if missing:
        progress.say(f"{mine} is complete, {len(missing):,} of {mine.total:,} are not yet; the last one merges them")
        return
    claim = Claim(run / SLICES, str(run))
    while not claim.try_to_take():  # whoever held it last may have died in the middle, on another machine
        if holder := await find_living_holder(FolderPlace(run / SLICES)):
            progress.say(f"{mine} is complete, and {holder} merges the slices")
            return
    async with holding(claim):
        await make_data(config, replace(options, slice=None, turn=claim.number), progress)


async def _begin(config: Config, options: RunOptions, mine: Slice, progress: Progress) -> None:
    """Write the instructions, or wait until another task has.
    Raises StoreError: the run has another number of slices."""
    run, has_said = options.output, False
    claim = Claim(run / SLICES, str(run))
    while (total := read_total(run)) is None:
        if claim.try_to_take():
            async with holding(claim):
                if read_total(run) is None:
                    before = replace(options, slice=replace(mine, number=0), turn=claim.number)
                    await make_data(config, before, progress)
                    write_plan(run, mine.total, leave_out=() if options.recordings else (SELF_INSTRUCT[3:],))
        elif not has_said:
            progress.say(f"{claim.holder or 'another process'} writes the instructions: {mine} waits for them")
            has_said = True
        else:
            await asyncio.sleep(_POLL_S)
    if total != mine.total:
        raise StoreError(
            f"{run} is in {total:,} slices: use --shards {min(mine.number, total)}/{total} and the like, or choose "
            "another --output"
        )


async def _refuse_beside_whole(run: Path, mine: Slice) -> None:
    """Raise StoreError if `autoif run` without `--shards` is at work, as it does what this slice would do.

    That command claims the run and then looks for slices, while a slice claims itself and then looks for the run, so at
    least one of the two notices the other.
    """
    for _ in range(_TRIES):
        holder = await find_living_holder(FolderPlace(run / SLICES))
        if not holder:
            return
        await asyncio.sleep(_POLL_S)  # a task that has just written the instructions lets go at once
    raise StoreError(f"{run} is in use by {holder}, which runs all that slices have left, {mine} too: wait for it")


def _is_whole(run: Path, until: Step) -> bool:
    found = read_manifest(run)
    ended = found.get("status") == "complete" and found.get("format") == FORMAT
    return ended and (until == "instructions" or (run / SFT).exists())


def share_budget(config: Config, run: Path, mine: Slice) -> Config:
    """Return the config with the budget of one slice: its share of what was left when the slices began, plus the cost
    of the answers that each slice begins with, as these count as its own."""
    budget, (spent, inherited) = config.budget, read_spent(run)

    def share(whole: float, *names: str) -> float:
        used, own = (sum(total[name] for name in names) for total in (spent, inherited))
        return own + max(0.0, whole - used) / mine.total

    tokens = None if budget.tokens is None else int(share(budget.tokens, "prompt_tokens", "completion_tokens"))
    usd = None if budget.usd is None else share(budget.usd, "usd")
    return config.model_copy(update={"budget": budget.model_copy(update={"tokens": tokens, "usd": usd})})
