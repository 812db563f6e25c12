"""The identity of the model that a training starts from, by content, so that a replaced folder is noticed.

    a folder           SHA-256 over the SHA-256 of each file that shapes the model: config, weights, tokenizer, template
    a name on the hub  the commit that the name stood for

A file is read again only if its size or modification time differs: weights take gigabytes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from autoif.errors import ModelError
from autoif.runs.whole_files import digest_file
from autoif.sampling.policy import find_folder

_SUFFIXES = {".json", ".safetensors", ".bin", ".model", ".txt", ".jinja", ".gguf", ".py", ".pt"}
_BESIDE = {"training.json", "training_args.bin", "trainer_state.json"}
"""Files in a model's folder that aren't part of the model."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model folder, as it was when it was read."""

    sha256: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The identity of a model.

    Attributes:
        name: as given, a folder or a name on the hub.
        content: "SHA-256 …" of a folder, or "commit …" of a name on the hub.
        files: the folder's files, by name.
    """

    name: str
    content: str
    files: dict[str, ModelFile]

    def record(self) -> dict[str, Any]:
        """Return what training.json holds of the model."""
        return asdict(self)


def identify_model(model: str, revision: str | None, before: Mapping[str, Any] | None) -> ModelIdentity:
    """Return the identity of a model. The first process determines it and sends it to the others.

    Args:
        model: a folder that `check_model` has passed, or a name on the hub.
        revision: revision on the hub; None is the main one.
        before: what an earlier training.json holds of the model, so that unchanged files aren't read again.

    Raises:
        ModelError: a file of the folder can't be read, or the hub doesn't know the name.
    """
    found = _identify(model, revision, before) if PartialState().is_main_process else None
    identity: ModelIdentity = broadcast_object_list([found])[0]
    return identity


def differing_files(before: Mapping[str, Any], now: ModelIdentity) -> list[str]:
    """Return the names of the files that differ from what training.json records."""
    there = {name: file["sha256"] for name, file in before.get("files", {}).items()}
    here = {name: file.sha256 for name, file in now.files.items()}
    return sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))


def _identify(model: str, revision: str | None, before: Mapping[str, Any] | None) -> ModelIdentity:
    folder = Path(model)
    if not folder.is_dir():
        return ModelIdentity(model, f"commit {find_folder(model, revision).name}", {})
    known = before.get("files", {}) if before and before.get("name") == model else {}
    try:
        found = (path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.name not in _BESIDE)
        paths = sorted(path for path in found if path.is_file())
        files = {path.name: _read_file(path, known.get(path.name)) for path in paths}
    except OSError as error:
        raise ModelError(f"{model} can't be read: {error}") from None
    listed = "".join(f"{name} {file.sha256}\n" for name, file in files.items())
    return ModelIdentity(model, f"SHA-256 {hashlib.sha256(listed.encode()).hexdigest()}", files)


def _read_file(path: Path, known: Mapping[str, Any] | None) -> ModelFile:
    status = path.stat()
    if known and (known["size_bytes"], known["mtime_ns"]) == (status.st_size, status.st_mtime_ns):
        return ModelFile(**known)
    return ModelFile(digest_file(path), status.st_size, status.st_mtime_ns)
