"""Messages between a monty worker and its parent: JSON after its length in bytes.

JSON escapes carry any text, lone surrogates included.
"""

import json
import struct
from typing import IO, Any, Final, NamedTuple

LENGTH: Final = struct.Struct("<Q")


class Settings(NamedTuple):
    """What a function may use; the same for every call of a worker."""

    timeout_s: float
    total_s: float
    memory_bytes: int
    detail_bytes: int


class Result(NamedTuple):
    """The result of one input."""

    verdict: str
    detail: str
    seconds: float
    loaded: bool


def read_message(channel: IO[bytes]) -> Any:
    """Read one message; return None if the other side is gone."""
    head = channel.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    body = channel.read(size)
    return json.loads(body) if len(body) == size else None


def pack_message(content: object) -> bytes:
    """Return one message as `read_message` reads it."""
    body = json.dumps(content).encode("ascii")
    return LENGTH.pack(len(body)) + body


def write_message(channel: IO[bytes], content: object) -> None:
    """Write one message. Raises OSError if the other side is gone."""
    channel.write(pack_message(content))
    channel.flush()
