"""Packs and unpacks what lies in tests/data: the same content gives the same bytes."""

import atexit
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).parent.parent / "data"
_TIME: Final = (1980, 1, 1, 0, 0, 0)


def pack_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a .tar.xz of these files, by name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            archive.addfile(entry, io.BytesIO(files[name]))
    path.write_bytes(lzma.compress(packed.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def pack_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a .zip of these files, by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _TIME), files[name], zipfile.ZIP_DEFLATED, 9)


@cache
def unpack(name: str) -> Path:
    """Return a folder with the files of data/NAME.tar.xz; it is gone when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"autoif-tests-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with tarfile.open(DATA / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def copy_own(folder: Path) -> Path:
    """Return a copy of a folder that nobody else may write to, gone when this process ends.

    A clone may be a group's, or another user's, and NLTK reads no such data.
    """
    place = Path(tempfile.mkdtemp(prefix="autoif-tests-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    copied = Path(shutil.copytree(folder, place / folder.name))
    for each in (copied, *copied.rglob("*")):
        each.chmod(each.stat().st_mode & ~0o022)
    return copied
