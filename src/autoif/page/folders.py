"""What a folder holds, told by its files: this decides which page is made of it."""

from enum import StrEnum
from pathlib import Path

from autoif.errors import StoreError
from autoif.runs.store import MANIFEST
from autoif.training.card import METRICS, RECORD

_TRAINING = (RECORD, METRICS)
# What writes these needs numpy; a run's page does without.
_SCORES, _CLAIM, _SAMPLES = "scores.json", "evaluation.json", "samples.jsonl"


class FolderKind(StrEnum):
    """What a page can be made of."""

    RUN = "a run"
    TRAINING = "a training"
    EVALUATION = "an evaluation"


def find_kind(folder: Path) -> FolderKind:
    """Return what a folder holds. Raises StoreError: it is none of these, or an evaluation that isn't finished."""
    if not folder.is_dir():
        raise StoreError(f"{folder}: {'a file; name its folder' if folder.exists() else 'no such folder'}")
    if (folder / MANIFEST).exists():
        return FolderKind.RUN
    if any((folder / name).exists() for name in _TRAINING):
        return FolderKind.TRAINING
    if any(next(folder.glob(f"{depth}{_SCORES}"), None) for depth in ("", "*/", "*/*/")):
        return FolderKind.EVALUATION
    if (folder / _CLAIM).exists() or (folder / _SAMPLES).exists():
        raise StoreError(f"{folder}: the evaluation is not finished; give the same `autoif eval` again")
    raise StoreError(
        f"{folder} holds no run, no training and no evaluation: there is no {MANIFEST}, {', '.join(_TRAINING)} or "
        f"{_SCORES} in it"
    )
