"""Keeps a forked process from holding on to the workers of its parent.

A worker ends when nobody holds the other end of its pipe any more; a process forked meanwhile would hold a copy.
"""

import os
import sys
from typing import Final, Protocol
from weakref import WeakSet


class Closable(Protocol):
    """What has a descriptor: closing it in a forked process closes only that process's copy."""

    def close(self) -> None: ...


_ENDS: Final = WeakSet[Closable]()


def close_in_forks(*ends: Closable) -> None:
    """Have these closed in every process that is forked from now on. Nothing that is buffered: it would be flushed."""
    _ENDS.update(ends)


def _close_all() -> None:
    for end in list(_ENDS):
        end.close()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_all)
