"""The result buffer: shared memory that a child writes verdicts into, and that is read after its death.

The child keeps no descriptor, so it has no stream that could fill up or get out of step, and writing a verdict costs no
system call. What a child wrote is untrusted and checked: see `read`.
"""

import mmap
import struct
from typing import Final

NONE, PASS, FAIL, ERROR, TIMEOUT, MEMORY, CRASH, UNLOCKED = range(8)
"""Verdicts as bytes. The child may write PASS, FAIL, ERROR and MEMORY. UNLOCKED: the child could not be locked in."""

FROM_CHILD: Final = frozenset({PASS, FAIL, ERROR, MEMORY})
GARBLED: Final = b"garbled result"

_HEADER: Final = struct.Struct("=QQQQd")
"""done: inputs with a verdict; loaded: 1 once `evaluate` exists; ending: CHILD_LEAVES or OUT_OF_MEMORY;
heap: bytes of details; started: monotonic seconds at which the current input began."""
_SMALLEST: Final = 1 << 20
LONGEST_DETAIL: Final = 2048
"""In bytes; longer details are cut. There is room for a detail of every input."""

CHILD_LEAVES: Final = 1
"""The child exits by itself, so that the remaining inputs get a fresh one."""
OUT_OF_MEMORY: Final = 2
"""The harness itself ran out of memory."""


def measure(count: int) -> int:
    """Return the size in bytes, a power of two, of a buffer for `count` inputs."""
    size = _SMALLEST
    while _capacity(size) < count:
        size *= 2
    return size


def _capacity(size: int) -> int:
    return size // 2 // LONGEST_DETAIL


class ResultBuffer:
    """Verdicts, seconds and details of inputs; the details fill half of the shared memory, which limits their number.

    Created once for many calls: the layout depends on the memory's size alone, and untouched memory costs nothing.
    """

    def __init__(self, memory: mmap.mmap, detail_bytes: int) -> None:
        self.detail_bytes = detail_bytes
        capacity = _capacity(len(memory))
        seconds_at = _HEADER.size
        spans_at = seconds_at + 8 * capacity
        verdicts_at = spans_at + 8 * capacity
        with memoryview(memory) as whole:
            self.header = whole[: _HEADER.size - 8].cast("Q")
            self.started = whole[_HEADER.size - 8 : _HEADER.size].cast("d")
            self.seconds = whole[seconds_at:spans_at].cast("d")
            self.spans = whole[spans_at:verdicts_at].cast("I")
            self.verdicts = whole[verdicts_at : verdicts_at + capacity]
            self.heap = whole[len(memory) // 2 :]
        self._written = (b"", 0, 0)

    def close(self) -> None:
        for view in (self.header, self.started, self.seconds, self.spans, self.verdicts, self.heap):
            view.release()

    @property
    def loaded(self) -> bool:
        return self.header[1] == 1

    @property
    def ending(self) -> int:
        return self.header[2]

    def write(self, index: int, verdict: int, detail: bytes) -> None:
        """Set a verdict with its detail; a detail that repeats the previous one is stored once."""
        if detail:
            text, offset, length = self._written
            if detail != text:
                offset = self.header[3]
                length = min(len(detail), self.detail_bytes, len(self.heap) - offset)
                self.heap[offset : offset + length] = detail[:length]
                self.header[3] = offset + length
                self._written = (detail, offset, length)
            self.spans[2 * index] = offset
            self.spans[2 * index + 1] = length
        self.verdicts[index] = verdict

    def read(self, index: int, longest_s: float) -> tuple[int, float, bytes]:
        """Return (verdict, seconds, detail) of an input; CRASH if the content is invalid.

        Seconds above `longest_s` are invalid.
        """
        verdict, seconds = self.verdicts[index], self.seconds[index]
        if not 0.0 <= seconds <= longest_s:
            return CRASH, 0.0, GARBLED
        if verdict not in FROM_CHILD:
            return CRASH, seconds, GARBLED
        offset, length = self.spans[2 * index], self.spans[2 * index + 1]
        if length > self.detail_bytes or offset + length > len(self.heap):
            return CRASH, seconds, GARBLED
        return verdict, seconds, bytes(self.heap[offset : offset + length])
