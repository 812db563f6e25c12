"""Messages between a monty worker and its parent: JSON after its length in bytes.

JSON's escapes carry whatever text JSON can hold, lone surrogates included.
"""

import json
import struct
from typing import IO, Any, Final, NamedTuple

_LENGTH: Final = struct.Struct("<Q")


class Settings(NamedTuple):
    """What a function may use; the same for every call of a worker."""

    timeout_s: float
    total_s: float
    memory_bytes: int
    detail_bytes: int


class Result(NamedTuple):
    """What an input came to."""

    verdict: str
    detail: str
    seconds: float
    loaded: bool


def read_message(channel: IO[bytes]) -> Any:
    """Read one message; None if the other side is gone."""
    head = channel.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    body = channel.read(size)
    return json.loads(body) if len(body) == size else None


def write_message(channel: IO[bytes], content: object) -> None:
    """Write one message. Raises OSError if the other side is gone."""
    body = json.dumps(content).encode("ascii")
    channel.write(_LENGTH.pack(len(body)) + body)
    channel.flush()
