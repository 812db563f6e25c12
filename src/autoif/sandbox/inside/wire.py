"""Messages between a worker and its parent: a length, then the payload. Used by both sides; neither runs model code.

Text travels as UTF-8 with lone surrogates kept, so that whatever JSON can hold arrives as it was.
"""

import os
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

FAILED: Final = 1
"""A worker's exit status if its zygote failed of itself, by an exception."""

LENGTH: Final = struct.Struct("<Q")
_REQUEST: Final = struct.Struct("<QQI")
"""call, bytes of source, number of inputs."""
_REPLY: Final = struct.Struct("<QI")
"""call, number of results."""


class Request(NamedTuple):
    call: int
    source: memoryview
    inputs: list[memoryview]


class Result(NamedTuple):
    verdict: int
    seconds: float
    detail: bytes


def encode_text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def decode_text(data: bytes | memoryview) -> str:
    return str(data, "utf-8", "surrogatepass")


def pack_request(call: int, source: str, inputs: Sequence[str]) -> bytes:
    """Return the framed message that asks for `source` to be run on `inputs`."""
    body = encode_text(source)
    texts = [encode_text(text) for text in inputs]
    head = _REQUEST.pack(call, len(body), len(texts)) + struct.pack(f"<{len(texts)}Q", *map(len, texts))
    payload = b"".join((head, body, *texts))
    return LENGTH.pack(len(payload)) + payload


def unpack_request(payload: bytes) -> Request:
    """Read what `pack_request` wrote, without its length. Texts are views into `payload`."""
    call, source_bytes, count = _REQUEST.unpack_from(payload)
    lengths = struct.unpack_from(f"<{count}Q", payload, _REQUEST.size)
    whole = memoryview(payload)
    at = _REQUEST.size + 8 * count
    source = whole[at : at + source_bytes]
    at += source_bytes
    inputs = []
    for length in lengths:
        inputs.append(whole[at : at + length])
        at += length
    return Request(call, source, inputs)


def pack_reply(call: int, results: Sequence[Result]) -> bytes:
    """Return the framed message that answers a request."""
    count = len(results)
    payload = b"".join(
        (
            _REPLY.pack(call, count),
            bytes(result.verdict for result in results),
            struct.pack(f"<{count}d", *(result.seconds for result in results)),
            struct.pack(f"<{count}I", *(len(result.detail) for result in results)),
            *(result.detail for result in results if result.detail),
        )
    )
    return LENGTH.pack(len(payload)) + payload


def unpack_reply(payload: bytes) -> tuple[int, list[Result]]:
    """Return (call, results). Raises ValueError if the message is not one that `pack_reply` makes."""
    try:
        call, count = _REPLY.unpack_from(payload)
        at = _REPLY.size
        verdicts = payload[at : at + count]
        seconds = struct.unpack_from(f"<{count}d", payload, at + count)
        lengths = struct.unpack_from(f"<{count}I", payload, at + 9 * count)
    except struct.error as error:
        raise ValueError(f"a reply of {len(payload)} bytes is cut short") from error
    at += 13 * count
    if at + sum(lengths) != len(payload):
        raise ValueError(f"a reply of {len(payload)} bytes does not add up")
    results = []
    for verdict, spent, length in zip(verdicts, seconds, lengths, strict=True):
        results.append(Result(verdict, spent, payload[at : at + length]))
        at += length
    return call, results


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
