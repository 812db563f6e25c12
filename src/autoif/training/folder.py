"""The folder of a training: who holds it, whether a training may resume in it, and what an interrupted save leaves.

In a `checkpoint-STEP`, the trainer writes `trainer_state.json` last, and only then removes an older checkpoint. So a
checkpoint with a readable state is whole, and once the first one was written there is always one.
"""

import errno
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from autoif.errors import ModelError, StoreError
from autoif.messages import Say, list_differences, list_some
from autoif.reading.json_text import parse_json
from autoif.runs.whole_files import held, storage_errors
from autoif.sampling.policy import is_out_of_memory
from autoif.training.card import CARD, METRICS, RECORD, read_record
from autoif.training.identity import ModelIdentity, differing_files
from autoif.training.settings import TrainingSettings

_STATE = "trainer_state.json"
_SCHEDULE = "scheduler.pt"
_NAME = re.compile(r"checkpoint-(\d+)")
_NAMED = 6
_HELD = {"identity": dict, "model": dict, "status": str, "seconds": int | float}
"""Fields that every training.json has, with their types."""
_BESIDE = {RECORD, CARD, METRICS, "training_args.bin"}
"""Files in the folder of a trained model that aren't part of the model."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_TEXTS = (
    *(f"os error {number}" for number in _FULL),
    "No space left on device",
    "unexpected pos",
    "iostream error",
)


@contextmanager
def hold_output(folder: Path) -> Iterator[None]:
    """Create a folder if needed and hold it for this training. A created folder that stays empty is removed again.

    Raises StoreError: another process holds the folder, or it can't be created.
    """
    made = not folder.exists()
    with storage_errors(folder), suppress(FileExistsError):  # `open_output` refuses a file
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with held(folder, "trains into"):
            yield
    finally:
        if made:
            with suppress(OSError):
                folder.rmdir()


def clear_output(folder: Path) -> None:
    """Remove everything that a training without a single step has written, so that the folder is free for the next."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def open_output(folder: Path, *, resume: bool) -> dict[str, Any] | None:
    """Return the record of an earlier training in a folder; None if there is nothing yet.

    Raises StoreError: the folder holds something else, or it holds a training and `resume` is off.
    """
    before = read_record(folder) if folder.is_dir() else None
    if before is None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(f"{folder} is there and holds no training: choose another --output")
        return None
    if lacking := [name for name, kind in _HELD.items() if not isinstance(before.get(name), kind)]:
        raise StoreError(f"{folder / RECORD} is damaged, it lacks {', '.join(lacking)}: choose another --output")
    if not resume:
        raise StoreError(f"{folder} holds a training ({before['status']}): use --resume, or choose another --output")
    return before


def list_saved(folder: Path) -> list[str]:
    """Return the files of the trained model and of its adapter, as paths relative to the folder."""
    places = [folder, folder / "adapter"]
    found = [path for place in places if place.is_dir() for path in place.iterdir() if path.is_file()]
    names = (str(path.relative_to(folder)) for path in found if not path.name.startswith("."))
    return sorted({*names} - _BESIDE)


def is_finished(folder: Path, before: Mapping[str, Any], say: Say) -> bool:
    """Tell whether the training in a folder is complete; report that, or which files have to be made again."""
    if before["status"] != "complete":
        return False
    missing = [name for name in before.get("saved", ()) if not (folder / name).is_file()]
    if missing:
        say(f"{folder} was complete, but now lacks {list_some(missing, _NAMED)}, which the training makes anew")
    else:
        say(f"{folder} is complete already")
    return not missing


def check_same(
    folder: Path,
    before: Mapping[str, Any],
    identity: Mapping[str, Any],
    model: ModelIdentity,
    counts: Callable[[str], bool] | None = None,
) -> None:
    """Refuse to resume anything but the training that a folder holds. `counts` tells which parts of the identity
    matter; None compares all.

    Raises StoreError: another model, other data or other settings; the message names what differs.
    """
    there = before["identity"]
    if there.get("model") != model.content:
        files = differing_files(before["model"], model)
        what = f"{list_some(files, _NAMED)} differ{'s' * (len(files) == 1)}" if files else f"{there.get('model')} there"
        raise StoreError(
            f"{folder} began with another model than {model.name} now is ({what}): bring that one back, or choose "
            "another --output"
        )
    there, now = ({name: each[name] for name in filter(counts, each)} for each in (there, identity))
    if differing := list_differences(there, now):
        raise StoreError(f"{folder} was trained with other settings: {differing}; choose another --output")


def whole_checkpoints(folder: Path) -> list[Path]:
    """Return the whole checkpoints of a folder, oldest first."""
    return [path for _, path in _checkpoints(folder) if _is_whole(path)]


def find_lacking(checkpoint: Path, processes: int) -> str:
    """Return the names of the random number states that a whole checkpoint lacks, for this number of processes.

    transformers silently resumes without any of these files. Raises StoreError: the optimiser or the schedule is
    missing; transformers would start a new one.
    """
    names = {path.name for path in checkpoint.iterdir()}
    sharded = any(name.startswith("global_step") for name in names)  # DeepSpeed keeps all states there
    optimiser = sharded or any(name.startswith("optimizer") for name in names)
    if not optimiser or not (sharded or _SCHEDULE in names):
        lacking = _SCHEDULE if optimiser else "optimiser"
        raise StoreError(f"{checkpoint} has no {lacking} to go on with: bring it back, or delete the checkpoint")
    states = ["rng_state.pth"] if processes == 1 else [f"rng_state_{number}.pth" for number in range(processes)]
    return list_some([name for name in states if name not in names], _NAMED)


def remove_broken(folder: Path) -> list[str]:
    """Remove the checkpoints that interrupted saves left; return their names."""
    broken = [path for _, path in _checkpoints(folder) if not _is_whole(path)]
    for path in broken:
        shutil.rmtree(path)
    return [path.name for path in broken]


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def is_full_disk(error: BaseException) -> bool:
    """Tell whether an error means that the disk is full, which Python, Rust and C++ each report differently."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(text in str(error) for text in _FULL_TEXTS)


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    found = [(_NAME.fullmatch(path.name), path) for path in folder.glob("checkpoint-*") if path.is_dir()]
    return sorted((int(match[1]), path) for match, path in found if match)


def _is_whole(checkpoint: Path) -> bool:
    try:
        state = parse_json((checkpoint / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and state.get("global_step") == step_of(checkpoint)


@contextmanager
def plain_errors(folder: Path, settings: TrainingSettings) -> Iterator[None]:
    """Turn running out of memory into a ModelError, errors of the disk into a StoreError; pass on other errors."""
    try:
        yield
    except Exception as error:  # safetensors raises its own exception for a full disk
        if is_out_of_memory(error):
            raise ModelError(_memory_hint(settings)) from None
        if is_full_disk(error):
            raise StoreError(_disk_hint(folder)) from None
        if isinstance(error, OSError):
            raise StoreError(f"{folder} can't be written or read: {error}") from None
        raise


def _memory_hint(settings: TrainingSettings) -> str:
    values = settings.arguments
    batch = values["per_device_train_batch_size"]
    smaller = f"lower per_device_train_batch_size (now {batch}; the global batch stays) and --resume; or " * (batch > 1)
    if settings.reward is None:
        lengths = f"lower max_length (now {values['max_length']})"
    else:  # all completions of a step are sampled together
        lengths = (
            f"lower max_completion_length (now {values['max_completion_length']}), global_batch_size (now "
            f"{settings.global_batch_size}) or num_generations (now {values['num_generations']})"
        )
    lora = "" if settings.lora else ", or train with --lora"
    return f"out of memory: {smaller}{lengths}{lora}, into another --output"


def _disk_hint(folder: Path) -> str:
    whole = whole_checkpoints(folder)
    kept = f"{whole[-1].name} is whole: make room, then --resume" if whole else "make room, then --resume to begin anew"
    return f"there is no space to write in {folder}; {kept}, or lower save_total_limit"
