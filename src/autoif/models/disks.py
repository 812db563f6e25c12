"""Which disk a file is on, and whether it is full: the one place that decides both.

SQLite is never opened on a disk of a network, where locks fail and databases break.
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

_NOTHING_BYTES = 1 << 20
"""With less than that a file system counts as full."""
_PAGE_BYTES = 1 << 16
"""SQLite writes no more than that at once."""


def find_network_disk(path: Path, mounts: Path) -> str:
    """Return the kind of network file system that a path is on ("nfs4", "fuse.sshfs"); "" for a disk of this machine.

    Told from the mounts that Linux lists; "" where there is no such list.
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
        if mount in around and len(mount) >= len(nearest):  # of several at one place the last hides the others
            nearest, kind = mount, rest.split(" ")[0]
    fuse = kind.startswith("fuse") and kind not in _LOCAL_FUSE and kind != "fusectl"
    return kind if kind in _NETWORK or fuse else ""


def refuse_network_disk(path: Path) -> None:
    """Raise `StoreError` for a database that would be on a network's disk."""
    if kind := find_network_disk(path, _MOUNTS):
        raise StoreError(
            f"{path} would be on a network's disk ({kind}), on which databases break: choose an --output on a disk of "
            "this machine, or add --shards 1/1, which needs no database there (docs/scale.md)"
        )


def explain_full_disk(error: OSError | sqlite3.Error, path: Path) -> str:
    """Return which file system is full and what to do, if that is what an error means; "" if it is not.

    Of memory that it shares with other processes SQLite says only that it can't be written: the disk tells the rest.
    """
    place = Path(os.path.realpath(path))  # also of a link to itself
    mount = next(each for each in (place, *place.parents) if each.is_mount())
    disk = os.statvfs(mount)
    size, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    if isinstance(error, OSError):
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    else:
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        full = kind == sqlite3.SQLITE_FULL or (kind == sqlite3.SQLITE_IOERR and free < _NOTHING_BYTES)
    if not full:
        return f"{path} can't be written: {os.strerror(errno.EFBIG)}" if _is_at_limit(error, place) else ""
    why = "it is full"
    if free > _NOTHING_BYTES:
        why = "your quota of it is used up" if disk.f_favail or not disk.f_files else "it takes no more files"
    shown = f"{size / 1e9:,.0f} GB" if size > 1e10 else f"{size / 1e6:,.1f} MB"
    named = f"the file system {mount} ({shown}, {free / 1e6:,.1f} MB free)"
    return f"no space left for {path} on {named}, {why}: free some, then run the same command again"


def _is_at_limit(error: OSError | sqlite3.Error, path: Path) -> bool:
    """Tell whether a file may not grow further (ulimit -f): of that, too, SQLite says only that it can't be written."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if isinstance(error, OSError) or limit == resource.RLIM_INFINITY:
        return isinstance(error, OSError) and error.errno == errno.EFBIG
    sizes = [file.stat().st_size for end in ("", "-wal") if (file := path.with_name(path.name + end)).exists()]
    is_io = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR
    return is_io and max(sizes, default=0) + _PAGE_BYTES > limit


def _unescape(name: str) -> str:
    r"""Return the name of a mount point, in which a blank is written \040."""
    for code in ("040", "011", "012", "134"):
        name = name.replace(f"\\{code}", chr(int(code, 8)))
    return name
