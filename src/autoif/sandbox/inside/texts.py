"""The texts of a call: memory that the parent writes and that everything inside can only read.

They lie there once, however many functions run on them and however many children are forked: a copy in the zygote's
own memory would make every fork dearer by each of its pages.
"""

import mmap
import struct
from collections.abc import Iterable, Sequence
from itertools import accumulate

from .wire import encode_text


def pack_texts(texts: Sequence[str]) -> bytes:
    """Return count + 1 places, each 8 bytes, then the texts: text i lies from place i to before place i + 1."""
    joined = "".join(texts)
    if joined.isascii():
        lengths: Iterable[int] = map(len, texts)
        body = joined.encode("ascii")
    else:
        encoded = [encode_text(text) for text in texts]
        lengths = map(len, encoded)
        body = b"".join(encoded)
    places = accumulate(lengths, initial=8 * (len(texts) + 1))
    return struct.pack(f"={len(texts) + 1}Q", *places) + body


class Texts:
    """Texts as `pack_texts` laid them out at the beginning of a memory; seen and not copied."""

    def __init__(self, memory: bytes | mmap.mmap) -> None:
        self.memory = memoryview(memory)
        self.places = self.memory[: len(self.memory) // 8 * 8].cast("Q")

    def close(self) -> None:
        """Let go of the memory."""
        self.places.release()
        self.memory.release()
