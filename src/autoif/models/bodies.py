"""The body of an answer as JSON, in the forms in which servers and gateways send it.

A byte order mark and blank lines before it (keep-alive) are nothing. A stream of events that nobody asked for is put
together again. What is no JSON is an error, for the caller to judge.
"""

import json
from collections.abc import Iterator
from typing import Any


def read_body(content: bytes, charset: str | None = None) -> Any:
    """Return the JSON value of a body.

    Raises:
        ValueError: it is none.
    """
    try:
        text = content.decode(charset or "utf-8", "replace")
    except LookupError:
        text = content.decode("utf-8", "replace")
    text = text.removeprefix("\ufeff").strip()
    if text.startswith(("data:", ":", "event:")):
        return _join_events(_read_events(text))
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _read_events(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a stream of server-sent events, up to [DONE], which is {"done": True}."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        value = value.strip()
        if name != "data" or not value:
            continue
        if value == "[DONE]":
            yield {"done": True}
            return
        event = json.loads(value)
        if isinstance(event, dict):
            yield event


def _join_events(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer that a stream's pieces make."""
    joined: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for event in events:
        joined |= {name: value for name, value in event.items() if name != "choices" and value is not None}
        pieces = event.get("choices")
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict):
                index = piece.get("index", 0)
                _add_piece(choices.setdefault(index if isinstance(index, int) else 0, {}), piece)
    if choices and not joined.get("done") and not all("finish_reason" in choice for choice in choices.values()):
        raise ValueError("the stream breaks off")
    if choices or "error" not in joined:
        joined["choices"] = [choices[index] for index in sorted(choices)]
    return joined


def _add_piece(choice: dict[str, Any], piece: dict[str, Any]) -> None:
    if piece.get("finish_reason") is not None:
        choice["finish_reason"] = piece["finish_reason"]
    if isinstance(piece.get("text"), str):
        choice["text"] = choice.get("text", "") + piece["text"]
    delta = piece.get("delta", piece.get("message"))
    if isinstance(delta, dict):
        message = choice.setdefault("message", {})
        for name, value in delta.items():
            if isinstance(value, str) and name != "role":
                message[name] = message.get(name, "") + value
            elif value is not None:
                message[name] = value
