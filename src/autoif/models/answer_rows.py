"""Converts completions to rows of the completions file and back: keys in halves, texts compressed, stages by number."""

import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import zstandard
from pydantic import TypeAdapter

from autoif.models.bodies import MAX_BODY_BYTES
from autoif.models.requests import Completion, FinishReason
from autoif.reading.json_text import parse_json

ENDINGS: tuple[FinishReason, ...] = ("stop", "length", "refused", "unknown")
"""Finish reasons; a row stores the index."""
_HALF = 1 << 63
REFUSED = ENDINGS.index("refused")

_LEVEL = 5
_DICTIONARY_BYTES = 1 << 18
_SAMPLE_BYTES = 10 << 18
"""How much of a stage's texts its dictionary is trained on: ten times the size of the dictionary."""
_FRAME = zstandard.MAGIC_NUMBER.to_bytes(4, "little")
"""The first bytes of every zstd frame; not stored."""

DICTIONARIES = "CREATE TABLE IF NOT EXISTS dictionaries (id INTEGER PRIMARY KEY, stage INTEGER NOT NULL, content BLOB)"

# Parameters have no numbers (`?1`): Python 3.12.0 to 3.12.3 warns of them each time.
INSERT = """
INSERT INTO completions SELECT NULL, new.*
FROM (SELECT ? AS high, ? AS low, ? AS sample, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS new
WHERE NOT EXISTS (
    SELECT 1 FROM completions WHERE high = new.high AND low = new.low AND sample = new.sample
)
"""

SELECT = """
SELECT sample, ending, prompt_tokens, completion_tokens, logprobs, reasoning_tokens, estimated, detail, dictionary,
    thought, text
FROM completions WHERE high = ? AND low = ? AND sample < ?
"""

_SELECT_ROW = """
SELECT high, low, sample, ending, prompt_tokens, completion_tokens, logprobs,
    (SELECT name FROM stages WHERE id = stage), requests, nano_usd, reasoning_tokens, estimated, detail, dictionary,
    thought, text
FROM completions WHERE number = ?
"""


class CompletionRow(NamedTuple):
    """One completion as stored in recordings and journals, and passed between runs."""

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
    """Return the rows of one server answer; the first row carries the request count and the price."""
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


class TextPacker:
    """Compresses the texts of a completions file with zstd, using a dictionary trained for each stage.

    Without a dictionary, single answers compress badly (to half of their size). So the first texts of a stage are
    compressed alone; after some megabytes a dictionary is trained on them, stored in the file, and used for all later
    texts. A row names its dictionary; 0 means none.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        plain = zstandard.ZstdCompressor(level=_LEVEL)
        self._packers: dict[int, zstandard.ZstdCompressor] = {0: plain}
        self._unpackers: dict[int, zstandard.ZstdDecompressor] = {0: zstandard.ZstdDecompressor()}
        self._dictionaries: dict[int, int] = {}
        """The dictionary of each stage; 0 before it is trained."""
        self._samples: defaultdict[int, list[bytes]] = defaultdict(list)
        self._sampled_bytes: defaultdict[int, int] = defaultdict(int)
        self._training: dict[int, threading.Thread] = {}
        self._trained: dict[int, bytes] = {}

    def pack(self, stage: int, text: bytes) -> tuple[bytes, int]:
        """Return the compressed text and the number of its dictionary."""
        if stage not in self._dictionaries:
            self._dictionaries[stage] = self._find_dictionary(stage)
        dictionary = self._dictionaries[stage] or self._collect(stage, text)
        return self._packers[dictionary].compress(text)[len(_FRAME) :], dictionary

    def unpack(self, packed: bytes, dictionary: int) -> bytes:
        """Return a text; raise `sqlite3.DatabaseError` if its data is damaged."""
        if dictionary not in self._unpackers:
            self._load_dictionary(dictionary)
        frame = _FRAME + packed
        try:
            if zstandard.frame_content_size(frame) > MAX_BODY_BYTES:  # no answer is longer, and zstd would allocate it
                raise sqlite3.DatabaseError("a text that unpacks to more than an answer may have")
            return self._unpackers[dictionary].decompress(frame)
        except zstandard.ZstdError as error:
            raise sqlite3.DatabaseError(f"a text that can't be unpacked: {error}") from None

    def _collect(self, stage: int, text: bytes) -> int:
        """Collect a text for training the stage's dictionary; return its number once it is trained, 0 until then."""
        if stage in self._trained:
            return self._store_dictionary(stage, self._trained.pop(stage))
        if stage not in self._training and text:
            self._samples[stage].append(text)
            self._sampled_bytes[stage] += len(text)
            if self._sampled_bytes[stage] >= _SAMPLE_BYTES:
                # Training takes half a second, so it runs in a thread.
                train = threading.Thread(target=self._train, args=(stage, self._samples.pop(stage)), daemon=True)
                self._training[stage] = train
                train.start()
        return 0

    def _train(self, stage: int, samples: list[bytes]) -> None:
        with suppress(zstandard.ZstdError):  # texts with nothing in common yield no dictionary
            self._trained[stage] = zstandard.train_dictionary(_DICTIONARY_BYTES, [*samples], level=_LEVEL).as_bytes()

    def _store_dictionary(self, stage: int, content: bytes) -> int:
        dictionary = self._find_dictionary(stage)
        if not dictionary:
            row = self._db.execute("INSERT INTO dictionaries (stage, content) VALUES (?, ?)", (stage, content))
            dictionary = row.lastrowid or 0
            self._load_dictionary(dictionary)
        self._dictionaries[stage] = dictionary
        return dictionary

    def _find_dictionary(self, stage: int) -> int:
        row = self._db.execute("SELECT min(id) FROM dictionaries WHERE stage = ?", (stage,)).fetchone()
        if row[0] is not None and row[0] not in self._packers:
            self._load_dictionary(row[0])
        return row[0] or 0

    def _load_dictionary(self, dictionary: int) -> None:
        row = self._db.execute("SELECT content FROM dictionaries WHERE id = ?", (dictionary,)).fetchone()
        if row is None:
            raise sqlite3.DatabaseError(f"dictionary {dictionary} is missing")
        content = zstandard.ZstdCompressionDict(row[0])
        content.precompute_compress(level=_LEVEL)
        self._packers[dictionary] = zstandard.ZstdCompressor(level=_LEVEL, dict_data=content, write_dict_id=False)
        self._unpackers[dictionary] = zstandard.ZstdDecompressor(dict_data=content)


class RowPacker:
    """Turns completions into rows of one file and back."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.texts = TextPacker(db)
        self._stages: dict[str, int] = {}

    def pack(self, row: CompletionRow) -> tuple[int | str | bytes, ...]:
        """Return a row as the parameters of `INSERT`."""
        if row.stage not in self._stages:
            self._db.execute("INSERT INTO stages (name) VALUES (?) ON CONFLICT DO NOTHING", (row.stage,))
            found = self._db.execute("SELECT id FROM stages WHERE name = ?", (row.stage,)).fetchone()
            self._stages[row.stage] = found[0]
        stage = self._stages[row.stage]
        reasoning = row.reasoning.encode()
        packed, dictionary = self.texts.pack(stage, row.text.encode() + reasoning)
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
            len(reasoning),
            packed,
        )

    def read(self, number: int) -> CompletionRow:
        """Return the row with this number."""
        [row] = self._db.execute(_SELECT_ROW, (number,))
        high, low, sample, ending, prompt, completion, logprobs, stage, requests, nano_usd, *rest = row
        reasoning_tokens, estimated, detail, *packed = rest
        text, reasoning = self.unpack(*packed)
        return CompletionRow(
            key=_join_key(high, low),
            sample=sample,
            text=text,
            finish_reason=ENDINGS[ending],
            prompt_tokens=prompt,
            completion_tokens=completion,
            logprobs=logprobs,
            stage=stage,
            requests=requests,
            nano_usd=nano_usd,
            reasoning=reasoning,
            reasoning_tokens=reasoning_tokens,
            estimated=estimated,
            detail=detail,
        )

    def unpack(self, dictionary: int, reasoning_bytes: int, packed: bytes) -> tuple[str, str]:
        """Return a stored text and its reasoning."""
        whole = self.texts.unpack(packed, dictionary)
        end = len(whole) - reasoning_bytes
        return whole[:end].decode(), whole[end:].decode()


def split_key(key: str) -> tuple[int, int]:
    """Return the halves of a key as signed 64-bit integers, which sort as the keys do."""
    return int(key[:16], 16) - _HALF, int(key[16:], 16) - _HALF


def shorten_key(key: str) -> int:
    """Return the first 48 bits of a key, by which segments kept elsewhere are found; two requests seldom share them."""
    return int(key[:12], 16)


def _join_key(high: int, low: int) -> str:
    return f"{high + _HALF:016x}{low + _HALF:016x}"


def read_logprobs(stored: str) -> tuple[tuple[str, float], ...]:
    """Return the (token, log-probability) pairs in a stored JSON text. Raises ValueError."""
    try:
        return tuple((str(token), float(value)) for token, value in parse_json(stored))
    except (TypeError, OverflowError):
        raise ValueError("log-probabilities of another form") from None
