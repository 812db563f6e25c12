"""Finds out from a folder's files what it holds, which decides the kind of its page."""

from enum import StrEnum
from pathlib import Path

from autoif.errors import StoreError
from autoif.runs.store import MANIFEST
from autoif.training.card import METRICS, RECORD

_TRAINING = (RECORD, METRICS)
# Not imported from the modules that write these files, as they need numpy, and a run's page doesn't.
_SCORES, _CLAIM, _SAMPLES = "scores.json", "evaluation.json", "samples.jsonl"


class FolderKind(StrEnum):
    """The kinds of folders that have a page."""

    RUN = "a run"
    TRAINING = "a training"
    EVALUATION = "an evaluation"


def find_kind(folder: Path) -> FolderKind:
    """Return what a folder holds.

    Raises:
        StoreError: it is none of these, or an unfinished evaluation.
    """
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
