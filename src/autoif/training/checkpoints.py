"""Checkpoints of a training folder: which are whole, and what an interrupted save leaves.

A checkpoint is `checkpoint-STEP`. The trainer writes weights and optimiser first and `trainer_state.json` last, and
removes an older checkpoint only after that: so one whose state can be read is whole, and there is one as soon as the
first was written.
"""

import errno
import re
import shutil
from pathlib import Path

from autoif.text_lines import parse_json

_STATE = "trainer_state.json"
_NAME = re.compile(r"checkpoint-(\d+)")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_TEXTS = (
    *(f"os error {number}" for number in _FULL),
    "No space left on device",
    "unexpected pos",
    "iostream error",
)


def whole_checkpoints(folder: Path) -> list[Path]:
    """Return the whole checkpoints of a folder, the oldest first."""
    return [path for _, path in _checkpoints(folder) if _is_whole(path)]


def remove_broken(folder: Path) -> list[str]:
    """Remove what interrupted saves left; return the names."""
    broken = [path for _, path in _checkpoints(folder) if not _is_whole(path)]
    for path in broken:
        shutil.rmtree(path)
    return [path.name for path in broken]


def step_of(checkpoint: Path) -> int:
    """Return the optimiser step of a checkpoint."""
    return int(checkpoint.name.rpartition("-")[2])


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error says that there is no space; Python, Rust and C++ each say it in their own way."""
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
