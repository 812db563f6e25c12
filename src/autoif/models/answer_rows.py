"""Completions as rows of the completions file, and back: keys in halves, texts packed, stages by number."""

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
"""Finish reasons, by the number that is stored."""
_HALF = 1 << 63
REFUSED = ENDINGS.index("refused")

_LEVEL = 5
_DICTIONARY_BYTES = 1 << 18
_SAMPLE_BYTES = 10 << 18
"""Of a stage's texts on which its dictionary is trained: ten times the dictionary."""
_FRAME = zstandard.MAGIC_NUMBER.to_bytes(4, "little")
"""How every packed text begins; not stored."""

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


class TextPacker:
    """Packs the texts of a completions file by zstd, with a dictionary of what a stage's answers have in common.

    One by one, answers pack badly (to half of their size). So the first texts of a stage are packed alone, and after
    some megabytes a dictionary is trained on them, kept in the file, and used for all that follow. A row names its
    dictionary; 0 is none.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        plain = zstandard.ZstdCompressor(level=_LEVEL)
        self._packers: dict[int, zstandard.ZstdCompressor] = {0: plain}
        self._unpackers: dict[int, zstandard.ZstdDecompressor] = {0: zstandard.ZstdDecompressor()}
        self._of_stage: dict[int, int] = {}
        """The dictionary with which a stage's texts are packed."""
        self._samples: defaultdict[int, list[bytes]] = defaultdict(list)
        self._sampled: defaultdict[int, int] = defaultdict(int)
        self._training: dict[int, threading.Thread] = {}
        self._trained: dict[int, bytes] = {}

    def pack(self, stage: int, text: bytes) -> tuple[bytes, int]:
        """Return a packed text and the dictionary that unpacks it."""
        if stage not in self._of_stage:
            self._of_stage[stage] = self._find_dictionary(stage)
        dictionary = self._of_stage[stage] or self._learn(stage, text)
        return self._packers[dictionary].compress(text)[len(_FRAME) :], dictionary

    def unpack(self, packed: bytes, dictionary: int) -> bytes:
        """Return a text; raise `sqlite3.DatabaseError` if it is damaged."""
        if dictionary not in self._unpackers:
            self._load(dictionary)
        frame = _FRAME + packed
        try:
            if zstandard.frame_content_size(frame) > MAX_BODY_BYTES:  # no answer is longer, and it would be allocated
                raise sqlite3.DatabaseError("a text that unpacks to more than an answer may have")
            return self._unpackers[dictionary].decompress(frame)
        except zstandard.ZstdError as error:
            raise sqlite3.DatabaseError(f"a text that can't be unpacked: {error}") from None

    def _learn(self, stage: int, text: bytes) -> int:
        """Note a text that has no dictionary yet; return the stage's, once it is trained."""
        if stage in self._trained:
            return self._store(stage, self._trained.pop(stage))
        if stage not in self._training and text:
            self._samples[stage].append(text)
            self._sampled[stage] += len(text)
            if self._sampled[stage] >= _SAMPLE_BYTES:
                # It takes half a second, for which nobody should wait.
                train = threading.Thread(target=self._train, args=(stage, self._samples.pop(stage)), daemon=True)
                self._training[stage] = train
                train.start()
        return 0

    def _train(self, stage: int, samples: list[bytes]) -> None:
        with suppress(zstandard.ZstdError):  # of texts that have nothing in common there is no dictionary
            self._trained[stage] = zstandard.train_dictionary(_DICTIONARY_BYTES, [*samples], level=_LEVEL).as_bytes()

    def _store(self, stage: int, content: bytes) -> int:
        dictionary = self._find_dictionary(stage)
        if not dictionary:
            row = self._db.execute("INSERT INTO dictionaries (stage, content) VALUES (?, ?)", (stage, content))
            dictionary = row.lastrowid or 0
            self._load(dictionary)
        self._of_stage[stage] = dictionary
        return dictionary

    def _find_dictionary(self, stage: int) -> int:
        row = self._db.execute("SELECT min(id) FROM dictionaries WHERE stage = ?", (stage,)).fetchone()
        if row[0] is not None and row[0] not in self._packers:
            self._load(row[0])
        return row[0] or 0

    def _load(self, dictionary: int) -> None:
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
