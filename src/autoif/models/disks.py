"""Tells whether a file is on a network disk, and whether its disk is full.

SQLite is never opened on a network disk, where locks fail and databases get damaged.
"""

import errno
import os
import resource
import sqlite3
from pathlib import Path

from autoif.errors import StoreError

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    "nfs nfs4 cifs smb smb2 smb3 smbfs ncpfs afs coda lustre gpfs beegfs fhgfs ceph glusterfs orangefs pvfs2 panfs "
    "wekafs quobyte gfs gfs2 ocfs2 davfs daos vboxsf prl_fs".split()
)
_LOCAL_FUSE = frozenset("fuseblk fuse.fuse-overlayfs fuse.overlayfs fuse.bindfs fuse.mergerfs fuse.gocryptfs".split())

_FULL_BYTES = 1 << 20
"""A file system with less free space than this counts as full."""
_PAGE_BYTES = 1 << 16
"""The most that SQLite writes at once."""


def find_network_disk(path: Path, mounts: Path) -> str:
    """Return the type of the network file system that a path is on ("nfs4", "fuse.sshfs"); "" for a local disk.

    It is looked up in `mounts`, Linux's list of mounts; "" if there is no such file.
    """
    place = path.resolve()
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    around = {str(each) for each in (place, *place.parents)}
    nearest, kind = "", ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        mount = _unescape(fields.split(" ")[4])
        if mount in around and len(mount) >= len(nearest):  # the last of several mounts at one place hides the others
            nearest, kind = mount, rest.split(" ")[0]
    fuse = kind.startswith("fuse") and kind not in _LOCAL_FUSE and kind != "fusectl"
    return kind if kind in _NETWORK or fuse else ""


def refuse_network_disk(path: Path) -> None:
    """Raise `StoreError` if a database at this path would be on a network disk."""
    if kind := find_network_disk(path, _MOUNTS):
        raise StoreError(
            f"{path} would be on a network's disk ({kind}), on which databases break: choose an --output on a disk of "
            "this machine, or add --shards 1/1, which needs no database there (docs/scale.md)"
        )


def explain_full_disk(error: OSError | sqlite3.Error, path: Path) -> str:
    """Return which file system is full and what to do, if that caused the error; "" if it didn't.

    SQLite reports only an I/O error if its shared-memory file can't grow, so the free space is checked then.
    """
    place = Path(os.path.realpath(path))  # works even for a link to itself
    mount = next(each for each in (place, *place.parents) if each.is_mount())
    disk = os.statvfs(mount)
    size, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    if isinstance(error, OSError):
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    else:
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        full = kind == sqlite3.SQLITE_FULL or (kind == sqlite3.SQLITE_IOERR and free < _FULL_BYTES)
    if not full:
        return f"{path} can't be written: {os.strerror(errno.EFBIG)}" if _is_at_limit(error, place) else ""
    why = "it is full"
    if free > _FULL_BYTES:
        why = "your quota of it is used up" if disk.f_favail or not disk.f_files else "it takes no more files"
    shown = f"{size / 1e9:,.0f} GB" if size > 1e10 else f"{size / 1e6:,.1f} MB"
    named = f"the file system {mount} ({shown}, {free / 1e6:,.1f} MB free)"
    return f"no space left for {path} on {named}, {why}: free some, then run the same command again"


def _is_at_limit(error: OSError | sqlite3.Error, path: Path) -> bool:
    """Return whether the file has reached the size limit (ulimit -f), for which SQLite, too, reports an I/O error."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if isinstance(error, OSError) or limit == resource.RLIM_INFINITY:
        return isinstance(error, OSError) and error.errno == errno.EFBIG
    sizes = [file.stat().st_size for end in ("", "-wal") if (file := path.with_name(path.name + end)).exists()]
    is_io = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR
    return is_io and max(sizes, default=0) + _PAGE_BYTES > limit


def _unescape(name: str) -> str:
    r"""Return the name of a mount point from its escaped form, in which a space is \040."""
    for code in ("040", "011", "012", "134"):
        name = name.replace(f"\\{code}", chr(int(code, 8)))
    return name
