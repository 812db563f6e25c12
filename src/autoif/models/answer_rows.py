"""Completions as rows of the completions file, and back: keys in halves, texts packed, stages by number."""

import json
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import TypeAdapter

from autoif.models.packing import TextPacker
from autoif.models.requests import Completion, FinishReason
from autoif.reading.text_lines import parse_json

ENDINGS: tuple[FinishReason, ...] = ("stop", "length", "refused", "unknown")
"""Finish reasons, by the number that is stored."""
_HALF = 1 << 63
REFUSED = ENDINGS.index("refused")

INSERT = """
INSERT INTO completions SELECT NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16
WHERE NOT EXISTS (
    SELECT 1 FROM completions WHERE high = ?1 AND low = ?2 AND sample = ?3
)
"""

SELECT = """
SELECT sample, ending, prompt_tokens, completion_tokens, logprobs, reasoning_tokens, estimated, detail, dictionary,
    thought, text
FROM completions WHERE high = ?1 AND low = ?2 AND sample < ?3
"""

_ROW = """
SELECT high, low, sample, ending, prompt_tokens, completion_tokens, logprobs,
    (SELECT name FROM stages WHERE id = stage), requests, nano_usd, reasoning_tokens, estimated, detail, dictionary,
    thought, text
FROM completions WHERE number = ?
"""


class CompletionRow(NamedTuple):
    """One completion as it is handed from file to file: in recordings, journals and between runs."""

    key: str
    sample: int
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    logprobs: str
    stage: str
    requests: int
    nano_usd: int
    reasoning: str = ""
    reasoning_tokens: int = 0
    estimated: int = 0
    detail: str = ""


_LINE: TypeAdapter[CompletionRow] = TypeAdapter(CompletionRow)


def read_row(line: str | bytes) -> CompletionRow:
    """Return the row of a line of JSON. Raises ValueError."""
    return _LINE.validate_json(line, strict=True)


def write_row(row: CompletionRow) -> str:
    """Return a row as a line of JSON, in ASCII."""
    return json.dumps(row, separators=(",", ":")) + "\n"


def list_rows(key: str, completions: Mapping[int, Completion], *, stage: str, usd: float) -> list[CompletionRow]:
    """Return the rows of one answer of a server; the first of them has its request and its price."""
    first = min(completions, default=0)
    return [
        CompletionRow(
            key=key,
            sample=index,
            text=each.text,
            finish_reason=each.finish_reason,
            prompt_tokens=each.prompt_tokens,
            completion_tokens=each.completion_tokens,
            logprobs=json.dumps(each.logprobs) if each.logprobs else "",
            stage=stage,
            requests=int(index == first),
            nano_usd=round(usd * 1e9) if index == first else 0,
            reasoning=each.reasoning,
            reasoning_tokens=each.reasoning_tokens,
            estimated=int(each.estimated),
            detail=each.detail,
        )
        for index, each in completions.items()
    ]


class RowPacker:
    """Turns completions into rows of one file and back."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.texts = TextPacker(db)
        self._stages: dict[str, int] = {}

    def pack(self, row: CompletionRow) -> tuple[int | str | bytes, ...]:
        """Return a row as `INSERT` takes it."""
        if row.stage not in self._stages:
            self._db.execute("INSERT INTO stages (name) VALUES (?) ON CONFLICT DO NOTHING", (row.stage,))
            found = self._db.execute("SELECT id FROM stages WHERE name = ?", (row.stage,)).fetchone()
            self._stages[row.stage] = found[0]
        stage = self._stages[row.stage]
        thought = row.reasoning.encode()
        packed, dictionary = self.texts.pack(stage, row.text.encode() + thought)
        return (
            *split_key(row.key),
            row.sample,
            stage,
            ENDINGS.index(row.finish_reason),
            row.prompt_tokens,
            row.completion_tokens,
            row.reasoning_tokens,
            row.estimated,
            row.requests,
            row.nano_usd,
            row.logprobs,
            row.detail,
            dictionary,
            len(thought),
            packed,
        )

    def read(self, number: int) -> CompletionRow:
        """Return the row of this number."""
        [row] = self._db.execute(_ROW, (number,))
        high, low, sample, ending, prompt, completion, logprobs, stage, requests, usd, *rest = row
        thoughts, estimated, detail, *packed = rest
        text, reasoning = self.unpack(*packed)
        told = (ENDINGS[ending], prompt, completion, logprobs, stage, requests, usd)
        return CompletionRow(_join_key(high, low), sample, text, *told, reasoning, thoughts, estimated, detail)

    def unpack(self, dictionary: int, thought: int, packed: bytes) -> tuple[str, str]:
        """Return a stored text and its thought."""
        whole = self.texts.unpack(packed, dictionary)
        end = len(whole) - thought
        return whole[:end].decode(), whole[end:].decode()


def split_key(key: str) -> tuple[int, int]:
    """Return the halves of a key as SQLite's whole numbers, which sort as the keys do."""
    return int(key[:16], 16) - _HALF, int(key[16:], 16) - _HALF


def shorten_key(key: str) -> int:
    """Return the 48 bits of a key by which segments elsewhere are found: two requests seldom share them."""
    return int(key[:12], 16)


def _join_key(high: int, low: int) -> str:
    return f"{high + _HALF:016x}{low + _HALF:016x}"


def read_logprobs(stored: str) -> tuple[tuple[str, float], ...]:
    """Return (token, log-probability) pairs from their stored form. Raises ValueError."""
    try:
        return tuple((str(token), float(value)) for token, value in parse_json(stored))
    except (TypeError, OverflowError):
        raise ValueError("log-probabilities of another form") from None
