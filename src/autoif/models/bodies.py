"""Reads the body of an answer as JSON, in the forms in which servers and gateways send it.

A byte order mark and blank lines before it (keep-alive) are ignored. A stream that nobody asked for is joined. A
body that is no JSON raises `ValueError`, for the caller to judge.
"""

import asyncio
import itertools
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import zstandard

from autoif.models.ends import find_end
from autoif.reading.json_text import parse_json

if TYPE_CHECKING:
    import aiohttp  # slow to import, and commands that ask no server use this module, too

MAX_BODY_BYTES = 64_000_000
"""Limit for an answer, unpacked: a thousand long responses. More would fill the memory."""
LARGE_BYTES = 1 << 20
"""Bodies from this size on are parsed in a thread; smaller ones take a few milliseconds."""
_LARGE_PACKED_BYTES = 1 << 14
"""Compressed bodies from this size on are unpacked in a thread: they may grow a thousandfold."""
ENCODINGS = "gzip, deflate"
"""What `read_content` unpacks; for `Accept-Encoding`."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""How gzip and Zstandard data begin."""
_MOST_WRAPPERS = 3
_MOST_MEMBERS = 50
_TOO_LARGE = "sends an answer of more than {:,} bytes: ask for fewer or shorter responses at once"
_PACKED = "answers in a compression that can't be read ({}): switch it off at the server or gateway"


class UnreadableBody(ValueError):
    """A body is too large, or compressed in a way that can't be read; the message says which, and what to do."""


async def read_content(response: "aiohttp.ClientResponse", most_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the body, unpacked here and not by the session, whose `auto_decompress` has no size limit.
    Raises UnreadableBody: it is larger than `most_bytes`, before or after unpacking, or can't be unpacked."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding == "identity":
        encoding = ""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > most_bytes:
            raise UnreadableBody(_TOO_LARGE.format(most_bytes))
    if not encoding and not content.startswith((_GZIP, _ZSTD)):
        return bytes(content)
    if len(content) < _LARGE_PACKED_BYTES:
        return unpack(bytes(content), encoding, most_bytes)
    return await asyncio.to_thread(unpack, bytes(content), encoding, most_bytes)


def unpack(content: bytes, encoding: str, most_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Unpack gzip, Zstandard or deflate, the last with or without its zlib wrapper.

    The first bytes decide which it is, as gateways that unpack or repack a body often leave its header as it was.
    Raises UnreadableBody: it is compressed otherwise, damaged, or larger than `most_bytes`."""
    received = content
    for _ in range(_MOST_WRAPPERS):
        if content.startswith(_ZSTD):
            content = _unpack_zstd(content, most_bytes)
        elif content.startswith(_GZIP):
            content = _inflate(content, zlib.MAX_WBITS | 16, encoding or "gzip", most_bytes)
        else:
            break
    if content is not received or not encoding or _is_text(content):
        return content
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise UnreadableBody(_PACKED.format(f"{encoding[:40]!r}, and {ENCODINGS} was asked for"))
    bare = encoding == "deflate" and content[0] & 0x0F != zlib.DEFLATED
    return _inflate(content, -zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32, encoding, most_bytes)


def _is_text(content: bytes) -> bool:
    """Return whether this is text: compressed data is hardly ever valid UTF-8."""
    try:
        return b"\0" not in content and content.decode("utf-8") is not None
    except UnicodeDecodeError:
        return False


def _inflate(content: bytes, wbits: int, encoding: str, most_bytes: int) -> bytes:
    """Unpack all members. A body that was cut off is unpacked as far as it came; the JSON parser will notice."""
    unpacked = b""
    for _ in range(_MOST_MEMBERS):
        unpacker = zlib.decompressobj(wbits)
        try:
            unpacked += unpacker.decompress(content, most_bytes + 1 - len(unpacked))
        except zlib.error as error:
            raise UnreadableBody(_PACKED.format(f"{encoding}: {error}")) from None
        if len(unpacked) > most_bytes:
            raise UnreadableBody(_TOO_LARGE.format(most_bytes))
        content = unpacker.unused_data
        if not content.startswith(_GZIP):
            break
    return unpacked


def _unpack_zstd(content: bytes, most_bytes: int) -> bytes:
    try:
        unpacked = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True).read(most_bytes + 1)
    except zstandard.ZstdError as error:
        raise UnreadableBody(_PACKED.format(f"zstd: {error}")) from None
    if not unpacked:
        raise UnreadableBody(_PACKED.format("zstd: it ends at once"))
    if len(unpacked) > most_bytes:
        raise UnreadableBody(_TOO_LARGE.format(most_bytes))
    return unpacked


_COMMENTS = re.compile(r"(?:\s*+:[^\n]*+(?:\n|\Z))++\s*+")
"""Comment lines of an event stream (keep-alive); some gateways send them before plain JSON, too."""
_LINE_ENDS = re.compile(r"\r\n|\r|\n")


def read_body(content: bytes, charset: str | None = None, *, patient: bool = False) -> Any:
    """Return the JSON value of a body. With `patient` it is parsed more slowly, so that other threads go on meanwhile.

    Control characters in strings, as home-made servers leave there, are accepted.

    Raises:
        ValueError: the body is no JSON.
    """
    text = _decode(content, charset).strip("\ufeff \t\r\n")
    if comments := _COMMENTS.match(text):
        text = text[comments.end() :]
    if text.startswith(("data:", "event:", "id:", "retry:")):
        return _join_events(_read_events(text))
    try:
        found = parse_json(text, patient=patient, strict=False)
    except ValueError:
        found = _find_within(text)
        if found is None:
            raise
    return unwrap(found)


_WRAPPED_IN = ("body", "data", "result", "output", "response")
_MAX_DEPTH = 3


def unwrap(answer: Any, depth: int = 0) -> Any:
    """Return the object with choices that a gateway has put into another object or a string; else `answer` itself."""
    if depth == _MAX_DEPTH:
        return answer
    if isinstance(answer, str) and answer.lstrip().startswith("{"):
        try:
            return unwrap(parse_json(answer, strict=False), depth + 1)
        except ValueError:
            return answer
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], dict):
        return answer[0] if {"choices", "error"} & answer[0].keys() else answer
    if isinstance(answer, dict) and "choices" not in answer:
        for name in _WRAPPED_IN:
            inner = unwrap(answer.get(name), depth + 1)
            if isinstance(inner, dict) and inner.get("choices"):
                return {key: value for key, value in answer.items() if key != name} | inner
    return answer


def _find_within(text: str) -> Any:
    """Return the object with choices in a text in which a gateway has printed other things, too; or the joined objects
    of a stream with one per line. None if there is neither."""
    at = 0 if text.startswith("{") else text.find("\n{") + 1
    if not text.startswith("{", at):
        return None
    try:
        found, rest = _parse_first(text[at:])
        if not isinstance(found, dict) or "choices" not in found:
            return None
        if not rest.startswith("{"):
            return found
        return _join_events(parse_json(line) for line in text[at:].split("\n") if line.strip() not in ("", "[DONE]"))
    except (ValueError, AttributeError):
        return None


def _parse_first(text: str) -> tuple[Any, str]:
    """Return the JSON value at the beginning of a text, and the rest of the text."""
    try:
        return parse_json(text, strict=False), ""
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        return parse_json(text[: error.pos], strict=False), text[error.pos :].strip()


def _decode(content: bytes, charset: str | None) -> str:
    """Decode JSON: as UTF-16 or UTF-32 if its first bytes say so, else as UTF-8, or by the header if that fails."""
    if 0 in content[:4]:
        charset = json.detect_encoding(content)
    else:
        with suppress(UnicodeDecodeError):
            return content.decode("utf-8")
    try:
        return content.decode(charset or "utf-8", "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


def _read_events(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a stream of server-sent events, and {"done": True} for its final [DONE]."""
    for kind, event in _list_events(text):
        if len(event) == 1 and event[0].strip("[]").upper() == "DONE":
            yield {"done": True}
            return
        try:
            found = [parse_json(line) for line in event]
        except ValueError:
            found = [parse_json("\n".join(event))]  # one object in several lines
        objects = [each for each in found if isinstance(each, dict)]
        yield from ({"error": each} if kind == "error" and "error" not in each else each for each in objects)


def _list_events(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each event's name ("" if it has none) and lines of data."""
    kind, data = "", list[str]()
    for line in _LINE_ENDS.split(text):  # not `splitlines`: JSON may contain U+2028
        name, _, value = line.partition(":")
        value = value.strip().removeprefix("data:").lstrip()  # a gateway may repeat the prefix
        if data and (not line.strip() or value == "[DONE]"):
            yield kind, data
            kind, data = "", []
        if name == "event":
            kind = value
        if name == "data" and value:
            data.append(value)
    if data:
        yield kind, data


@dataclass(slots=True)
class _Choice:
    """Joins the pieces of one choice of a stream."""

    finish_reason: Any = None
    texts: list[str] = field(default_factory=list)
    message: dict[str, Any] | None = None
    written: dict[str, list[str]] = field(default_factory=dict)
    """Pieces of the message's strings, by member."""
    listed: dict[str, list[Any]] = field(default_factory=dict)
    """Items of the message's lists, by member."""
    logprobs: Any = None
    """Those of the first token; no others are read."""
    may_repeat: bool = False
    """Whether the last piece is a whole message with a finish reason, as in an answer that isn't streamed."""

    def add(self, piece: dict[str, Any]) -> None:
        if (end := find_end(piece)) is not None:
            self.finish_reason = end
        self.logprobs = self.logprobs or piece.get("logprobs")
        if isinstance(piece.get("text"), str):
            self.texts.append(piece["text"])
        delta = piece.get("delta", piece.get("message"))
        self.may_repeat = "delta" not in piece and end is not None
        if isinstance(delta, dict):
            if self.message is None:
                self.message = {}
            for name, value in delta.items():
                if isinstance(value, str) and name != "role":
                    self.written.setdefault(name, []).append(value)
                elif isinstance(value, list):
                    self.listed.setdefault(name, []).extend(value)
                elif value is not None:
                    self.message[name] = value

    def join(self) -> dict[str, Any]:
        joined: dict[str, Any] = {}
        if self.finish_reason is not None:
            joined["finish_reason"] = self.finish_reason
        if self.logprobs:
            joined["logprobs"] = self.logprobs
        if self.texts:
            joined["text"] = _join_pieces(self.texts)
        if self.message is not None:
            least = 1 if self.may_repeat else _LONG_ENOUGH
            strings: dict[str, Any] = {name: _join_pieces(pieces, least) for name, pieces in self.written.items()}
            lists = {name: [*items, *filter(None, [strings.get(name)])] for name, items in self.listed.items()}
            joined["message"] = self.message | strings | lists
        return joined


_LONG_ENOUGH = 20
"""Characters from which on a piece that equals all the pieces before it is taken for a repetition."""


def _join_pieces(pieces: list[str], least: int = _LONG_ENOUGH) -> str:
    """Join the pieces of a text. Some servers repeat all earlier text in each piece, or in the last one."""
    if len(pieces) > 1 and len(pieces[-1]) >= least:
        if all(later.startswith(earlier) for earlier, later in itertools.pairwise(pieces)):
            return pieces[-1]
        if pieces[-1] == "".join(pieces[:-1]):
            return pieces[-1]
    return "".join(pieces)


def _join_events(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Join the objects of a stream to an answer in one piece. Raises ValueError: the stream breaks off."""
    joined: dict[str, Any] = {}
    choices: dict[int, _Choice] = {}
    for event in events:
        joined |= {name: value for name, value in event.items() if name != "choices" and value is not None}
        listed = event.get("choices")
        pieces = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        indices = [piece.get("index", place) for place, piece in enumerate(pieces)]
        distinct = len({index for index in indices if isinstance(index, int)}) == len(indices)
        for place, piece in enumerate(pieces):
            choices.setdefault(indices[place] if distinct else place, _Choice()).add(piece)
    if choices and not joined.get("done") and any(choice.finish_reason is None for choice in choices.values()):
        raise ValueError("the stream breaks off")
    if choices or "error" not in joined:
        joined["choices"] = [choices[index].join() for index in sorted(choices)]
    return joined
