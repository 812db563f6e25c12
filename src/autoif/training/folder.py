"""The folder of a training: whose it is, and whether what is asked now may go on with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoif.errors import StoreError
from autoif.training.card import read_record
from autoif.training.identity import ModelIdentity, differing_files


def open_output(folder: Path, *, resume: bool) -> dict[str, Any] | None:
    """Return the record of an earlier training in a folder; None where there is nothing yet.

    Raises:
        StoreError: it holds something else, or a training that is not to be gone on with.
    """
    before = read_record(folder) if folder.is_dir() else None
    if before is None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(f"{folder} is there and holds no training: choose another --output")
        return None
    if not resume:
        raise StoreError(f"{folder} holds a training ({before['status']}): use --resume, or choose another --output")
    return before


def check_same(folder: Path, before: Mapping[str, Any], identity: Mapping[str, Any], model: ModelIdentity) -> None:
    """Refuse to go on with anything but the training that a folder holds.

    Raises:
        StoreError: another model, other data or other settings; names what differs.
    """
    there = before["identity"]
    if there["model"] != model.content:
        files = differing_files(before["model"], model)
        what = f"{', '.join(files[:6])} differ{'s' * (len(files) == 1)}" if files else f"{there['model']} there"
        raise StoreError(
            f"{folder} began with another model than {model.name} now is ({what}): bring that one back, or choose "
            "another --output"
        )
    differing = [key for key in sorted({*there, *identity}) if there.get(key) != identity.get(key)]
    if differing:
        listed = ", ".join(f"{key} ({there.get(key)!r} there, {identity.get(key)!r} now)" for key in differing[:6])
        raise StoreError(f"{folder} was trained with other settings: {listed}; choose another --output")
