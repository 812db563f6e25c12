"""run.json: what a run was made with. A run can resume a folder only if it has the same `identity`."""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from autoif.config import Config, identity
from autoif.errors import StoreError
from autoif.messages import list_differences
from autoif.models.nli import choose_nli
from autoif.runs.store import FORMAT

Kept = TypeVar("Kept", bound=BaseModel)
_CHOSEN_BY_MACHINE = {"sandbox.backend", "back_translation.nli"}
"""Settings whose default, "auto", depends on the machine."""
_QUERIES = "inputs.queries"
_PACKAGES = (
    "autoif", "aiohttp", "pydantic", "xllamacpp", "openvino-genai", "transformers", "torch", "ray", "datasets",
)  # fmt: skip


def run_identity(config: Config, inputs: Mapping[str, str]) -> dict[str, JsonValue]:
    """Return everything that shapes a run's results, as a flat mapping: settings, models, prompts and digests of the
    input files."""
    return {
        **identity(config),
        **{f"models.{role}": endpoint.identity for role, endpoint in config.models.by_role().items()},
        **{f"inputs.{name}": value for name, value in inputs.items()},
    }


def settle(config: Config, earlier: Mapping[str, JsonValue]) -> Config:
    """Return the config with each "auto" that shapes results replaced by the value in an earlier run.json.

    So a run keeps the values it started with, on whatever machine it is resumed. In a new run, the NLI setting is
    chosen for this machine; the sandbox backend is settled by `settle_backend`.

    Raises:
        StoreError: the recorded value is not valid.
    """
    recorded = read_identity(earlier)
    sandbox, translation = config.sandbox, config.back_translation
    if sandbox.backend == "auto" and recorded:
        sandbox = _keep(sandbox, "backend", recorded.get("sandbox.backend", "auto"))
    if translation.nli == "auto":
        nli = recorded.get("back_translation.nli", choose_nli())
        translation = _keep(translation, "nli", nli)
    models, runtime = config.models, earlier.get("runtime")
    if models.runtime == "auto" and runtime:
        models = _keep(models, "runtime", runtime)
    return config.model_copy(update={"sandbox": sandbox, "back_translation": translation, "models": models})


def _keep(settings: Kept, name: str, value: JsonValue) -> Kept:
    """Return settings with the value that run.json has for one of them. Raises StoreError: it is not valid."""
    form: Any = type(settings).model_fields[name].annotation
    try:
        return settings.model_copy(update={name: TypeAdapter(form).validate_python(value)})
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise StoreError(
            f"run.json says {name} = {json.dumps(value)} ({what}): correct it there, or choose another --output"
        ) from error


def settle_backend(config: Config, backend: str) -> Config:
    """Return the config with the sandbox backend that is in use, in place of "auto"."""
    return config.model_copy(update={"sandbox": config.sandbox.model_copy(update={"backend": backend})})


def read_identity(manifest: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    found = manifest.get("identity")
    return found if isinstance(found, dict) else {}


def list_changes(found: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue]) -> str:
    """Return the differences between two identities, with both values, as text; "" if there are none.

    A setting that an identity lacks has its default. If one of them has no queries yet, queries are not compared.
    """
    there, now = {**_find_defaults(), **found}, {**_find_defaults(), **wanted}
    if there.get(_QUERIES) is None or now.get(_QUERIES) is None:
        there[_QUERIES] = now[_QUERIES] = None
    return list_differences(there, now)


@cache
def _find_defaults() -> dict[str, JsonValue]:
    return identity(Config())


def check_identity(found: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue], folder: Path) -> None:
    """Raise StoreError, naming the differences, if a folder was made with another identity than the wanted one."""
    if differing := list_changes(found, wanted):
        raise StoreError(
            f"{folder} was made with other settings: {differing}; choose another --output, or use "
            "--resume-with-changes to make the results anew from the stored answers"
        )


def mark_batches(earlier: Mapping[str, JsonValue], run: Mapping[str, JsonValue], *, lost: bool) -> list[JsonValue]:
    """Return the marks under which a provider may hold batches of this run, the current one last.

    A mark is a digest of the run's identity, so the same command in another folder has the same mark. None are returned
    if run.json is `lost`, or was lost before: then all batches of the model are looked at.
    """
    if lost or earlier.get("batches") == []:
        return []
    mark = digest(json.dumps({key: run[key] for key in sorted(run) if key not in _CHOSEN_BY_MACHINE}))
    return [*(each for each in read_marks(earlier) if each != mark), mark]


def read_marks(found: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return the marks that a manifest names."""
    noted = found.get("batches")
    return tuple(map(str, noted)) if isinstance(noted, list) else ()


def new_manifest(config: Config, run: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the first run.json of a folder."""
    return {
        "autoif": find_version("autoif"),
        "format": FORMAT,
        "status": "running",
        "config": config.model_dump(mode="json"),
        "identity": dict(run),
        "versions": {name: found for name in _PACKAGES if (found := find_version(name))},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "seconds": 0.0,
        "times": {},
        "usage": {},
        "batches": [],
        "notes": [],
    }


def read_times(found: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds that a run took, by stage; {} for a run.json of an earlier version, which has none."""
    times = found.get("times")
    times = times if isinstance(times, Mapping) else {}
    return {str(stage): float(spent) for stage, spent in times.items() if isinstance(spent, int | float)}


def digest(text: str) -> str:
    """Return 16 hexadecimal digits that identify a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def digest_rows(rows: Iterable[BaseModel]) -> tuple[str, int]:
    """Return the digits that identify a list of records ("" for an empty one), and the number of records."""
    found, count = hashlib.sha256(), 0
    for row in rows:
        line = json.dumps(row.model_dump(mode="json"), sort_keys=True)
        found.update((f"\n{line}" if count else line).encode("utf-8", "surrogatepass"))
        count += 1
    return (found.hexdigest()[:16] if count else ""), count


@cache
def find_version(package: str) -> str:
    """Return the version of an installed package; "" if it isn't installed. Cached, as a look-up takes milliseconds."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
