"""What a worker and its parent exchange: messages, and the texts of a call. Neither side runs model code.

Messages hold numbers, and the details of lost inputs. Source, texts and results are not sent: they are in memory that
both sides share, and messages tell their sizes. Sending makes copies, which the next function could find. The texts are
stored once, however many functions run on them and children are forked: a copy in the zygote's own memory would slow
every fork by each of its pages. Text is UTF-8 with lone surrogates kept, so that all text that JSON can hold arrives
unchanged.
"""

import mmap
import os
import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

FAILED: Final = 1
"""A worker's exit status if its zygote failed with an exception."""

LENGTH: Final = struct.Struct("<Q")
_ENCODED_AT_ONCE: Final = 16
"""Texts encoded together: faster than one by one if all are ASCII; one that isn't slows only those in its group."""
_REQUEST: Final = struct.Struct("<QIQQQQ?")
_REPLY: Final = struct.Struct("<Q?dI")
_LOST: Final = struct.Struct("<IIBdI")


class Request(NamedTuple):
    """A function to run on texts; both are in shared memory already."""

    call: int
    """A random number: a counter would tell the function how many ran before it."""
    texts: int
    """How many there are."""
    texts_bytes: int
    """How large the texts' memory now is."""
    results_bytes: int
    """How large the result buffer now is."""
    source_bytes: int
    """How large the source's memory now is."""
    source_length: int
    """How many bytes of it the source takes, from the beginning."""
    until_timeout: bool = False
    """The call ends at the first text that times out; the remaining texts need another call."""


class Lost(NamedTuple):
    """The result of the inputs from `first` to before `end`, which the child could not write itself."""

    first: int
    end: int
    verdict: int
    seconds: float
    """Time of the first of them; the others were not begun."""
    detail: bytes


class Reply(NamedTuple):
    """The end of a call; the result buffer has all other results."""

    call: int
    loaded: bool
    """The source gave an `evaluate` to call."""
    longest_s: float
    """Seconds of the whole call, which no input can exceed."""
    lost: Sequence[Lost]


def encode_text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def pack_request(request: Request) -> bytes:
    """Return the framed message of a request."""
    return LENGTH.pack(_REQUEST.size) + _REQUEST.pack(*request)


def unpack_request(payload: bytes) -> Request:
    """Read what `pack_request` wrote, without its length."""
    return Request(*_REQUEST.unpack(payload))


def pack_reply(reply: Reply) -> bytes:
    """Return the framed message of a reply."""
    call, loaded, longest_s, lost = reply
    parts = [_REPLY.pack(call, loaded, longest_s, len(lost))]
    for first, end, verdict, seconds, detail in lost:
        parts += (_LOST.pack(first, end, verdict, seconds, len(detail)), detail)
    payload = b"".join(parts)
    return LENGTH.pack(len(payload)) + payload


def unpack_reply(payload: bytes) -> Reply:
    """Read what `pack_reply` wrote, without its length. Raises ValueError if the message is invalid."""
    lost = []
    try:
        call, loaded, longest_s, count = _REPLY.unpack_from(payload)
        at = _REPLY.size
        for _ in range(count):
            first, end, verdict, seconds, length = _LOST.unpack_from(payload, at)
            at += _LOST.size
            lost.append(Lost(first, end, verdict, seconds, payload[at : at + length]))
            at += length
    except struct.error as error:
        raise ValueError(f"a reply of {len(payload)} bytes is cut short") from error
    if at != len(payload):
        raise ValueError(f"a reply of {len(payload)} bytes does not add up")
    return Reply(call, loaded, longest_s, lost)


def read_message(descriptor: int) -> bytes | None:
    """Read one message from a descriptor, without its length; None if the other side is gone."""
    head = _read_exactly(descriptor, LENGTH.size)
    return None if head is None else _read_exactly(descriptor, LENGTH.unpack(head)[0])


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`. Raises OSError if the other side is gone."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_exactly(descriptor: int, count: int) -> bytes | None:
    pieces = []
    while count:
        piece = os.read(descriptor, min(count, 1 << 20))
        if not piece:
            return None
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def pack_texts(texts: Sequence[str]) -> bytes:
    """Return count + 1 places of 8 bytes each, then the texts: text i is at place i up to before place i + 1."""
    lengths: list[int] = []
    bodies: list[bytes] = []
    for at in range(0, len(texts), _ENCODED_AT_ONCE):
        part = texts[at : at + _ENCODED_AT_ONCE]
        joined = "".join(part)
        if joined.isascii():
            lengths += map(len, part)
            bodies.append(joined.encode("ascii"))
        else:
            encoded = list(map(encode_text, part))
            lengths += map(len, encoded)
            bodies += encoded
    places = accumulate(lengths, initial=8 * (len(texts) + 1))
    return b"".join((struct.pack(f"={len(texts) + 1}Q", *places), *bodies))


class Texts:
    """A view, without copying, of the texts that `pack_texts` wrote at the beginning of a memory."""

    def __init__(self, memory: bytes | mmap.mmap) -> None:
        self.memory = memoryview(memory)
        self.places = self.memory[: len(self.memory) // 8 * 8].cast("Q")

    def close(self) -> None:
        self.places.release()
        self.memory.release()
