"""Writes the data set of one point of a sweep into a new run folder, for `show`, `audit`, `train` and `export`.

The folder holds the stages' files, judged again, the data sets and the reviewers' decisions, but no model answers. To
get answers that the run never asked for, make a run with these settings.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from autoif.datasets.writing import write_data_sets
from autoif.decisions import merge_decisions
from autoif.errors import ConfigError, StoreError
from autoif.reading.jsonl import read_jsonl
from autoif.records import Draft, Instruction, Query
from autoif.runs.contents import read_dropped, read_kept
from autoif.runs.manifest import new_manifest, run_identity
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import (
    BACK_TRANSLATION,
    INSTRUCTIONS,
    QUERIES,
    REPLAYED_FROM,
    REVIEWED,
    SELF_INSTRUCT,
    VERIFICATION,
)
from autoif.runs.whole_files import storage_errors
from autoif.sweep.points import check_points
from autoif.sweep.replay import JudgedRun, Replay, StoredVerdicts
from autoif.sweep.settings import Point, apply_point
from autoif.sweep.stored import StoredRun, read_stored
from autoif.together import run_to_end


def apply_sweep(run: Path, sweeps: Sequence[str], output: Path) -> list[str]:
    """Write the data set of the one point that these sweeps name; return notes for the user.

    Raises ConfigError: the sweeps name several points, or a setting that can't be swept. StoreError: the run can't be
    read, or the folder isn't empty.
    """
    stored = read_stored(run)
    points = check_points(stored, sweeps)
    if len(points) > 1:
        raise ConfigError(f"--apply makes the data of one point, and these are {len(points):,}: name one value of each")
    with storage_errors(output):
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise StoreError(f"{output} is there already, and is left as it is: name a new folder")
    return run_to_end(_apply(stored, points[0], output))


async def _apply(run: StoredRun, point: Point, output: Path) -> list[str]:
    config = apply_point(run.config, point)
    async with StoredVerdicts(run.known, run.config.sandbox) as verdicts:
        judged = await Replay(run, verdicts).judge(config)
        with RunFolder(output) as folder:
            values = ", ".join(f"{key} = {value}" for key, value in point.items())
            notes = [f"replayed from {run.path.resolve().name} with {values}", *judged.data.notes]
            if count := judged.unasked.total():
                notes.append(f"at most {count:,} answers that these settings need were never asked for")
            _write_stages(run, judged, folder)
            folder.write_rows(INSTRUCTIONS, judged.verified)
            if run.samples:
                if (run.path / QUERIES).is_file():
                    folder.write_rows(QUERIES, read_jsonl(run.path / QUERIES, Query, exact=True))
                write_data_sets(judged.data, folder)
                if run.review:
                    folder.write_rows(REVIEWED, judged.data.reviewed)
            if run.review:
                merge_decisions(output, [run.path])
            folder.write_manifest(_make_manifest(run, judged, notes))
    return notes


def _write_stages(run: StoredRun, judged: JudgedRun, folder: RunFolder) -> None:
    """Write the files of the stages: those before cross-validation unchanged, the others as judged again."""
    if (run.path / SELF_INSTRUCT).is_dir():
        _copy(run.path, SELF_INSTRUCT, 0, Instruction, folder)
    for at, shard in enumerate(run.shards):
        if not run.begun_verified:
            _copy(run.path, VERIFICATION, shard.index, Draft, folder)
        for name, results in judged.stages.items():
            if run.begun_verified and name <= BACK_TRANSLATION:
                continue
            if name <= BACK_TRANSLATION or (shard.sampled and judged.stages[BACK_TRANSLATION][at].kept):
                folder.write_shard(name, shard.index, results[at].kept, results[at].dropped)


def _copy(run: Path, stage: str, index: int, kind: type[Instruction] | type[Draft], folder: RunFolder) -> None:
    """Copy what a stage of the run kept and dropped of a shard."""
    folder.write_shard(stage, index, read_kept(run, stage, kind, index), read_dropped(run, stage, index))


def _make_manifest(run: StoredRun, judged: JudgedRun, notes: list[str]) -> dict[str, JsonValue]:
    identity = run.manifest["identity"]
    inputs = {key.removeprefix("inputs."): value for key, value in identity.items() if key.startswith("inputs.")}
    made = new_manifest(judged.config, run_identity(judged.config, inputs))
    sandbox: JsonValue = run.manifest.get("sandbox", "not recorded")
    return {**made, "status": "complete", REPLAYED_FROM: run.path.resolve().name, "sandbox": sandbox, "notes": [*notes]}
