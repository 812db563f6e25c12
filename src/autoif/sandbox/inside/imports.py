"""What is imported inside otherwise than outside: the packages that were chosen, and modules that would read /etc."""

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
"""What compiled packages are linked with."""
_EXTENSIONS: Final = ("_bz2", "_hashlib", "_lzma", "_sqlite3", "_ssl")
"""What packages import from the standard library that needs libraries of the system."""


SURROUNDINGS: Final = {
    "HOME": "/",
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1",
}  # fmt: skip
"""The environment of packages. Without a home they ask the list of users for it; without the numbers they would start
threads as they load, and there are none inside."""


def load_libraries() -> None:
    """Load what packages need of the system's libraries: once the locks are on, they can't be read."""
    for name in _LIBRARIES:
        with suppress(OSError):
            ctypes.CDLL(name)
    for name in _EXTENSIONS:
        with suppress(ImportError):
            import_module(name)


class Finder:
    """Finds each of the chosen packages where it lies: the folder around it can't be listed."""

    def __init__(self, packages: Mapping[str, str]) -> None:
        self._packages = packages
        """Name → its folder, or its file where it is one module."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """Return where a module is to be loaded from, as the import system asks; None leaves it to others."""
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
    """Loads `mimetypes` with its own table alone: the lists in /etc can't be read, and are not the same everywhere."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.__dict__["knownfiles"] = []
