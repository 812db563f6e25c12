"""A run folder at an address (s3://bucket/runs/first, gs://…, any that fsspec knows), read and written by whole files.

A call that fails is retried after longer and longer waits. If it keeps failing, it ends in a one-line error that shows
no key or password.
"""

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from autoif.errors import ConfigError, StoreError, in_one_line
from autoif.runs.whole_files import replacing

Result = TypeVar("Result")

_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_PASSWORD = re.compile(r"(?<=//)([^/@:]*):[^/@]*@")
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|CONNECTION_STRING|SAS")
"""Marks environment variables whose values must not appear in messages."""
_FLAT = frozenset("s3 s3a gs gcs abfs abfss az adl oss r2 obs hf".split())
"""Protocols of object stores: they have no folders, and an object appears whole or not at all."""
_INSTALL = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 20.0
PATIENCE_S = 120.0
"""Seconds for which one call is retried."""
_TRIES_IF_LASTING = 3
"""How often a call is tried whose error nearly always lasts: no access, no such bucket."""
AT_ONCE = 16
"""Number of calls to a store that are made at the same time."""


Check = Callable[[], None]


def allow() -> None:
    """Do nothing: the check that permits every call."""


def is_address(place: object) -> bool:
    """Tell whether this is an address, rather than a file or folder on this machine."""
    return isinstance(place, str) and _ADDRESS.match(place) is not None


def refuse_address(place: object) -> None:
    """Raise ConfigError for an address where a file or folder on this machine is needed."""
    if is_address(place):
        shown = _PASSWORD.sub(r"\1:***@", str(place))
        raise ConfigError(f"{shown} is not on this machine: copy the run first, with `autoif fetch {shown}`")


class Remote:
    """A folder at an address. May be used from any thread. Calls raise StoreError if the store keeps failing."""

    def __init__(self, address: str) -> None:
        """Raises ConfigError: it is no address, or no package knows it. The store itself is not asked yet."""
        if not is_address(address):
            raise ConfigError(f"{address} is no address: write it like s3://BUCKET/runs/NAME")
        self.address = address
        self._protocol = address.partition("://")[0]
        self._shown = _PASSWORD.sub(r"\1:***@", re.sub(r"(?<=[^/:])/+$", "", address))
        self._secrets = [found[0].rpartition(":")[2][:-1] for found in _PASSWORD.finditer(address)]
        self._fs, self._root = self._find(address)
        self._made = set[str]()
        """Folders that are known to exist."""
        self.fetched_bytes = 0
        self._counting = threading.Lock()
        self._patience_s = PATIENCE_S
        self._hurried = threading.Event()
        self._left = False

    @property
    def name(self) -> str:
        """The run's name: the last part of the address."""
        return self._root.rstrip("/").rpartition("/")[2]

    def __str__(self) -> str:
        return self._shown

    def _find(self, address: str) -> tuple[Any, str]:
        options = {"auto_mkdir": True} if self._protocol in {"file", "local"} else {"use_listings_cache": False}
        try:
            import fsspec

            if "::" in address:
                raise ValueError("one address, without ::")
            fs, root = fsspec.core.url_to_fs(address, **options)
        except ImportError as error:
            package = _INSTALL.get(self._protocol, error.name or "its package for fsspec")
            raise ConfigError(f"{self} needs a package that is not installed: pip install {package}") from None
        except Exception as error:  # noqa: BLE001 - each store's package has errors of its own
            raise ConfigError(f"{self} can't be used: {self._explain(error)}") from None
        if root.rstrip("/").rpartition("/")[2] in {"", ".", ".."}:
            raise ConfigError(f"{self} names no folder: as in s3://BUCKET/runs/NAME")
        return fs, root

    def put(self, name: str, content: bytes, check: Check = allow) -> None:
        """Write a file, whole or not at all; `check` is called before each attempt, and may raise to prevent it."""
        self._place(name, lambda path: self._fs.pipe_file(path, content), check)

    def put_file(self, name: str, source: Path, check: Check = allow) -> None:
        """Copy a file of this machine to the store, whole or not at all; `check` is used as in `put`."""
        self._place(name, lambda path: self._fs.put_file(str(source), path), check)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file if there is none with this name; return whether the file now has this content.

        Of several calls with different contents, exactly one succeeds if the store has conditional writes (S3, Google,
        Azure, a disk). Elsewhere the content is read back, so that the earlier of two writers mostly notices.
        """
        path = self._path(name)
        try:
            if self._protocol in {"file", "local"}:
                self._try(lambda: _write_new(path, content))
            else:
                if self._protocol not in _FLAT:
                    self._make_folder(path.rpartition("/")[0])
                self._try(lambda: self._fs.pipe_file(path, content, mode="create"))
        except FileExistsError:
            pass  # written by somebody else, or by an earlier try of ours whose answer got lost
        except FileNotFoundError as error:
            raise StoreError(f"{self} is not there: {self._explain(error)}") from None
        return self.get(name) == content

    def get(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is none."""
        try:
            content: bytes = self._try(lambda: self._fs.cat_file(self._path(name)))
        except FileNotFoundError:
            return None
        self._count(len(content))
        return content

    def get_file(self, name: str, place: Path) -> bool:
        """Copy a file from the store, whole or not at all; return False if there is none."""
        try:
            with replacing(place) as temporary:
                self._try(lambda: self._fs.get_file(self._path(name), str(temporary)))
                self._count(temporary.stat().st_size)
        except FileNotFoundError:
            return False
        return True

    def list_names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted; none if there is no such folder."""

        def look() -> list[str]:
            self._fs.invalidate_cache()
            return list(self._fs.ls(self._path(folder), detail=False))

        try:
            found = self._try(look)
        except FileNotFoundError:
            return []
        names = (path.rstrip("/").rpartition("/")[2] for path in found)
        return sorted(name for name in names if name and not name.startswith("."))

    def delete(self, name: str, check: Check = allow) -> None:
        """Delete a file, if it is there; `check` is used as in `put`."""
        with suppress(FileNotFoundError):
            self._try(lambda: self._fs.rm_file(self._path(name)), check)

    def for_each(self, call: Callable[[str], Result], names: Iterable[str]) -> list[Result]:
        """Call a function for each name, several at a time, and return the results in order."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="autoif-remote") as pool:
            return list(pool.map(call, names))

    def hurry(self, patience_s: float) -> None:
        """From now on, retry no call for longer than this, and end the waits of calls that have failed."""
        self._patience_s = min(self._patience_s, patience_s)
        self._hurried.set()

    def leave(self) -> None:
        """From now on, let every call raise StoreError, in any thread."""
        self._left = True
        self._hurried.set()

    def _place(self, name: str, write: Callable[[str], object], check: Check) -> None:
        """Write a file by `write`: under a temporary name first, if the store could show it half written."""
        path = self._path(name)
        folder, _, last = path.rpartition("/")

        def write_aside() -> None:
            temporary = f"{folder}/.{last}.{uuid4().hex[:8]}.tmp"
            try:
                write(temporary)
                self._fs.mv(temporary, path)
            except Exception:
                with suppress(Exception):
                    self._fs.rm_file(temporary)
                raise

        try:
            if self._protocol in _FLAT:
                self._try(lambda: write(path), check)
            else:
                self._make_folder(folder)
                self._try(write_aside, check)
        except FileNotFoundError as error:
            raise StoreError(f"{self} can't be written: {self._explain(error)}") from None

    def _make_folder(self, path: str) -> None:
        if path not in self._made:
            self._try(lambda: self._fs.makedirs(path, exist_ok=True))
            self._made.add(path)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _count(self, size: int) -> None:
        with self._counting:
            self.fetched_bytes += size

    def _try(self, call: Callable[[], Result], check: Check = allow) -> Result:
        """Make a call until it succeeds.
        Raises StoreError: it failed for too long, or with an error that lasts, or `check` raised."""
        began, wait, tries = time.monotonic(), _FIRST_WAIT_S, 0
        while True:
            if self._left:
                raise StoreError(f"{self} was left, as the command was stopped")
            check()
            try:
                return call()
            except (FileNotFoundError, FileExistsError):
                raise
            except Exception as error:  # noqa: BLE001 - each store's package has errors of its own
                tries += 1
                is_hopeless = tries >= _TRIES_IF_LASTING and _is_lasting(error)
                if is_hopeless or time.monotonic() - began + wait > self._patience_s:
                    raise StoreError(f"{self} can't be read or written: {self._explain(error)}") from None
            if self._hurried.wait(wait * random.uniform(0.5, 1.5)):
                time.sleep(min(wait, 1.0))
            wait = min(2 * wait, _LONGEST_WAIT_S)

    def _explain(self, error: Exception) -> str:
        """Return an error of a store's package in one line, without any key or password."""
        message = in_one_line(error)
        for secret in (*self._secrets, *_list_secrets(os.environ)):
            message = message.replace(secret, "***")
        message = _PASSWORD.sub(r"\1:***@", message)
        if "credential" in type(error).__name__.lower():
            message += "; give credentials as its package takes them, in environment variables or files (docs/scale.md)"
        return message


def _is_lasting(error: Exception) -> bool:
    """Tell whether an error will nearly always occur again when the call is retried."""
    name = type(error).__name__
    return isinstance(error, PermissionError | ValueError | TypeError | NotImplementedError) or (
        "Credential" in name or "Validation" in name or "DefaultCredentials" in name
    )


def _list_secrets(environment: Mapping[str, str]) -> list[str]:
    return [value for name, value in environment.items() if _SECRET.search(name.upper()) and len(value) >= 8]


def _write_new(path: str, content: bytes) -> None:
    """Write a file on this machine, under a temporary name until it is whole. Raises FileExistsError: it is there."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.name}.{uuid4().hex[:8]}.tmp")
    try:
        temporary.write_bytes(content)
        place.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
