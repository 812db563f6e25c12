"""What is imported differently inside than outside: allowed packages, and modules that would read /etc."""

import ctypes
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from os.path import isdir
from types import ModuleType
from typing import Final

READABLE: Final = (
    "/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo",
    "/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8",
)  # fmt: skip
"""Where `zoneinfo` looks for time zones and the C library for the locale C.UTF-8, beyond the standard library."""
_LIBRARIES: Final = (
    "libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libgcc_s.so.1", "libstdc++.so.6",
)  # fmt: skip
"""Libraries that compiled packages are linked with."""
_EXTENSIONS: Final = ("_bz2", "_hashlib", "_lzma", "_sqlite3", "_ssl")
"""Modules of the standard library that packages import and that need system libraries."""
SURROUNDINGS: Final = {
    "HOME": "/",
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1",
}  # fmt: skip
"""The environment of packages. Without HOME they look it up in the list of users; without the numbers they start
threads when they load, which is forbidden inside."""


def load_libraries() -> None:
    """Load the system libraries that packages need, which can't be read any more once the locks are on."""
    for name in _LIBRARIES:
        with suppress(OSError):
            ctypes.CDLL(name)
    for name in _EXTENSIONS:
        with suppress(ImportError):
            import_module(name)


class Finder:
    """Finds each allowed package at its known path: the folder around it can't be listed."""

    def __init__(self, packages: Mapping[str, str]) -> None:
        self._packages = packages
        """Name → folder, or file if the package is a single module."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """Return the spec of a module, as the import system asks for; None leaves it to the other finders."""
        if name == "mimetypes":
            spec = PathFinder.find_spec(name)
            if spec is not None and spec.origin is not None:
                spec.loader = _WithoutFiles(name, spec.origin)
            return spec
        place = self._packages.get(name)
        if place is None:
            return None
        if isdir(place):
            return spec_from_file_location(name, f"{place}/__init__.py", submodule_search_locations=[place])
        return spec_from_file_location(name, place)


class _WithoutFiles(SourceFileLoader):
    """Loads `mimetypes` with its built-in table only: the lists in /etc can't be read, and differ between machines."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.__dict__["knownfiles"] = []
