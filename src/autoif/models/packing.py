"""Texts packed small for the completions file: by zstd, with a dictionary of what a stage's answers have in common.

One by one, answers pack badly (to half of their size): what makes them alike is in the others. So the first texts of a
stage are packed by themselves, and once there are some megabytes of them, a dictionary is trained on them, kept in the
file, and used for all that come. A row names the dictionary it was packed with; 0 is none.
"""

import sqlite3
import threading
from collections import defaultdict
from contextlib import suppress

import zstandard

_LEVEL = 5
_DICTIONARY_BYTES = 1 << 18
_SAMPLE_BYTES = 10 << 18
"""Of a stage's texts on which its dictionary is trained: ten times the dictionary."""
_FRAME = zstandard.MAGIC_NUMBER.to_bytes(4, "little")
"""How every packed text begins; not stored."""

TABLE = "CREATE TABLE IF NOT EXISTS dictionaries (id INTEGER PRIMARY KEY, stage INTEGER NOT NULL, content BLOB)"


class TextPacker:
    """Packs and unpacks the texts of one completions file, and keeps its dictionaries there."""

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
        try:
            return self._unpackers[dictionary].decompress(_FRAME + packed)
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
        """Return the dictionary that a stage has in the file; 0 if it has none."""
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
