"""The segments of a run whose output is at an address: its model answers, and a note for each finished shard.

A mirror (autoif.runs.mirror) writes them beside the run's own files:

    segments/instructions-0003.zst    the answers of a finished shard
    segments/instructions-0003.json   its note: its files and usage. Written last, it marks the shard as finished
    segments/open-0002-000017.zst     answers of unfinished shards, as they came; deleted when these are finished
    segments/data.json                the note for files that belong to no shard: instructions.jsonl, the data sets

A segment is never changed. It is compressed text: for each shard a line `#SHARD`, then a JSON line for each completion.
"""

from base64 import b64decode, b64encode
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import zstandard
from pydantic import Field, ValidationError

from autoif.errors import StoreError
from autoif.models.answer_rows import ENDINGS, CompletionRow, read_row, shorten_key
from autoif.models.cache import CompletionCache, Usage
from autoif.models.journal import import_journals, is_refusal
from autoif.reading.text_lines import limit_unpacked
from autoif.records import Record
from autoif.runs.counts import parse_count
from autoif.runs.remote import Remote
from autoif.runs.store import (
    AUDIT,
    COMPLETIONS,
    COUNTS,
    DECISIONS,
    DIGESTS,
    EVENTS,
    MANIFEST,
    SEGMENTS,
    check_digest,
    digest_line,
)
from autoif.runs.whole_files import digest_file, replace_file

DATA = "data"
"""Name of the note for files that belong to no shard."""
NOW = f"{SEGMENTS}/now.jsonl"
"""The latest events of a run in progress."""
SMALL = (MANIFEST, EVENTS, DECISIONS, AUDIT)
"""Small files of a run that are copied without a note."""
RETRIED = "retried-"
"""Name prefix of refusals that are retried. Once a note with that name exists, only their cost counts."""
_KEY_BYTES = 6
_NEW_COMPLETIONS = ".completions.tmp"
_NORMAL_ENDINGS = ENDINGS[:2]


class Note(Record):
    """The note for a finished shard, or for the files that belong to no shard."""

    files: tuple[str, ...] = ()
    """Lines of counts.jsonl."""
    spent: Mapping[str, Usage] = Field(default_factory=dict)
    """Usage by stage, without the answers in `odd`."""
    odd: tuple[CompletionRow, ...] = ()
    """Answers that ended abnormally; the summary at the end of a run lists them."""
    keys: str = ""
    """Keys of the requests it has answers to, 6 bytes each, in base64: another shard may make the same request."""
    said: tuple[str, ...] = ()
    """Messages for the end of the run, of all shards so far."""


def pack(parts: Mapping[str, bytes]) -> bytes:
    """Return a segment made of journal lines, by shard."""
    whole = b"".join(b"#%b\n%b" % (name.encode(), lines) for name, lines in parts.items())
    return zstandard.ZstdCompressor().compress(whole)


def unpack(remote: Remote, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the journal lines of each shard in a segment; nothing if the segment was deleted meanwhile.
    Raises StoreError: it is damaged, or the store can't be read."""
    content = remote.get(f"{SEGMENTS}/{name}")
    if content is None:
        return
    try:
        if zstandard.frame_content_size(content) > limit_unpacked(len(content)):  # it would be allocated at once
            raise StoreError(f"{remote}/{SEGMENTS}/{name} unpacks to more than answers do: bring it back, or delete it")
        whole = zstandard.ZstdDecompressor().decompress(content)
    except zstandard.ZstdError as error:
        raise StoreError(f"{remote}/{SEGMENTS}/{name} is damaged ({error}): bring it back, or delete it") from None
    for part in (b"\n" + whole).split(b"\n#")[1:]:  # a line of JSON begins with a bracket
        title, _, lines = part.partition(b"\n")
        yield title.decode(), lines + b"\n" if lines and not lines.endswith(b"\n") else lines


def sum_up(lines: bytes) -> Note:
    """Return the note for a shard's answers, from the lines of its journal."""
    rows = _read_journal(lines)
    odd = tuple(row for row in rows if row.finish_reason not in _NORMAL_ENDINGS)
    keys = b"".join(shorten_key(key).to_bytes(_KEY_BYTES) for key in sorted({row.key for row in rows}))
    spent = _add_up(row for row in rows if row.finish_reason in _NORMAL_ENDINGS)
    return Note(spent=spent, odd=odd, keys=b64encode(keys).decode())


def sum_up_retried(lines: bytes) -> Note:
    """Return the note for refusals that are retried: what they cost."""
    return Note(spent=_add_up(_read_journal(lines)))


def _read_journal(lines: bytes) -> list[CompletionRow]:
    """Return the rows of a journal. If two answer the same sample of a request, the first counts."""
    found = [read_row(line) for line in lines.splitlines()]
    return [*{row[:2]: row for row in reversed(found)}.values()]


def open_segments(address: str) -> Callable[[str], list[CompletionRow]]:
    """Return a function that fetches the answers of a finished shard from an address."""
    remote = Remote(address)

    def fetch(shard: str) -> list[CompletionRow]:
        parts = unpack(remote, name := f"{shard}.zst")
        try:
            return [read_row(line) for _, lines in parts for line in lines.splitlines()]
        except ValueError:
            raise StoreError(f"{remote}/{SEGMENTS}/{name} is damaged: bring it back, or delete it") from None

    return fetch


def _add_up(rows: Iterable[CompletionRow]) -> dict[str, Usage]:
    spent: defaultdict[str, Counter[str]] = defaultdict(Counter)
    nano_usd = Counter[str]()
    for row in rows:
        nano_usd[row.stage] += row.nano_usd
        spent[row.stage].update(
            requests=row.requests,
            completions=1,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            reasoning_tokens=row.reasoning_tokens,
            estimated=row.estimated,
        )
    return {stage: Usage(**counts, usd=nano_usd[stage] / 1e9) for stage, counts in spent.items()}


class Segments:
    """The segments and notes that are at an address at one moment."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        names = remote.list_names(SEGMENTS)
        self.notes = {name.removesuffix(".json") for name in names if name.endswith(".json")}
        """Names of all notes."""
        self.open = [name for name in names if name.startswith("open-")]
        """Segments of shards that weren't finished when the answers came."""
        self.sealed = list_sealed(names)
        """Segments of finished shards."""
        self.retried = frozenset(name for name in self.notes if name.startswith(RETRIED))
        self._notes = dict[str, Note]()

    def read_note(self, name: str) -> Note:
        """Return a note; an empty one if there is none."""
        content = self._remote.get(f"{SEGMENTS}/{name}.json")
        try:
            return Note() if content is None else Note.model_validate_json(content)
        except ValidationError:
            raise StoreError(
                f"{self._remote}/{SEGMENTS}/{name}.json is damaged: delete it; its shard is made again"
            ) from None

    def read_notes(self) -> None:
        """Read all notes. `restore_files` does so itself; `restore_answers` needs one of the two called before it."""
        names = sorted(self.notes)
        self._notes = dict(zip(names, self._remote.for_each(self.read_note, names), strict=True))

    def restore_files(self, folder: Path) -> dict[str, str]:
        """Write the digests and counts from all notes into a folder; return the digest of each file that they name."""
        self.read_notes()
        lines = [f"{line.rstrip()}\n" for note in self._notes.values() for line in note.files]
        digests = {count.file: count.sha256 for line in lines if (count := parse_count(line))}
        replace_file(folder / DIGESTS, (digest_line(name, digest) for name, digest in digests.items()))
        replace_file(folder / COUNTS, lines)
        return digests

    def restore_answers(self, folder: Path, *, whole: bool) -> None:
        """Make a folder's completions file, and a journal for each shard whose answers it restores.

        These are the answers of unfinished shards, or of all if `whole`. Of the other shards only the usage, the
        keys of their requests and the messages for the run's end are restored, from the notes.
        """
        journals = folder / SEGMENTS
        journals.mkdir(parents=True, exist_ok=True)
        for path in (*journals.glob("*.jsonl"), *journals.glob(f"{_NEW_COMPLETIONS}*")):
            path.unlink()
        finished = self.retried if whole else self.notes
        self._write_answers(self.open, journals, but=finished)
        if whole:  # a run in progress may have replaced open segments by those of finished shards meanwhile
            self.sealed = list_sealed(self._remote.list_names(SEGMENTS))
        wanted = [name for name in self.sealed if name.removesuffix(".zst") not in finished]
        unwanted = {*self.sealed} - {*wanted}
        self._write_answers(wanted, journals, but=finished)
        with CompletionCache(journals / _NEW_COMPLETIONS) as cache:
            for name, note in self._notes.items():
                if f"{name}.zst" not in wanted:
                    cache.add_spent(note.spent)
                    cache.insert([*note.odd])
                if f"{name}.zst" in unwanted:
                    keys = b64decode(note.keys)
                    pieces = (keys[at : at + _KEY_BYTES] for at in range(0, len(keys), _KEY_BYTES))
                    cache.note_elsewhere(name, map(int.from_bytes, pieces))
                for sentence in note.said:
                    cache.note(sentence)
            import_journals(sorted(journals.glob("*.jsonl")), cache)
        for suffix in ("", "-wal", "-shm"):  # else SQLite would apply the log of a killed process to the new file
            (folder / f"{COMPLETIONS}{suffix}").unlink(missing_ok=True)
        (journals / _NEW_COMPLETIONS).replace(folder / COMPLETIONS)

    def _write_answers(self, names: Iterable[str], journals: Path, *, but: Container[str]) -> None:
        for name in names:
            for shard, lines in unpack(self._remote, name):
                if shard not in but:
                    with (journals / f"{shard}.jsonl").open("ab") as file:
                        file.write(lines)


def list_sealed(names: Iterable[str]) -> list[str]:
    """Return those of these names that are segments of finished shards."""
    return [name for name in names if name.endswith(".zst") and not name.startswith("open-")]


def restore_small(remote: Remote, folder: Path, names: Iterable[str] = SMALL) -> None:
    """Copy small files of a run into a folder, with its latest events."""
    remote.for_each(lambda name: remote.get_file(name, folder / name), names)
    if now := remote.get(NOW):
        (folder / EVENTS).write_bytes(_join_events(folder / EVENTS, now))


def fetch_state(remote: Remote, folder: Path) -> dict[str, int]:
    """Copy what `autoif status` reads into a folder; return the number of rows of each data set, by file name."""
    remote.get_file(MANIFEST, folder / MANIFEST)
    if now := remote.get(NOW):
        (folder / EVENTS).write_bytes(now)
    counts = filter(None, map(parse_count, Segments(remote).read_note(DATA).files))
    return {count.file: count.rows for count in counts}


def _join_events(path: Path, now: bytes) -> bytes:
    """Return the events in a file, followed by those of `now` that it doesn't have yet."""
    before = path.read_bytes() if path.exists() else b""
    return before + b"".join(line for line in now.splitlines(keepends=True) if line not in before)


def fetch_files(remote: Remote, folder: Path, digests: Mapping[str, str]) -> None:
    """Copy files of a run into a folder, unless it has them. Raises StoreError: one is missing or damaged."""

    def fetch(name: str) -> None:
        path = folder / name
        with suppress(StoreError, FileNotFoundError):
            check_digest(path, digests[name])
            return
        if not remote.get_file(name, path):
            raise StoreError(
                f"{remote} lacks {name}: bring it back, or run the same command with --resume-with-changes"
            )
        if digest_file(path) != digests[name]:
            path.unlink()
            raise StoreError(
                f"{remote}/{name} was changed after it was written: bring it back, or run the same command with "
                "--resume-with-changes to make it anew from the stored answers"
            )

    remote.for_each(fetch, digests)


def gather_journals(folder: Path, into: str, retried: str = "") -> None:
    """Join all journals of a folder into the journal `into`. Refusals go into `retried` instead, if that is given."""
    joined_path, refused_path = (folder / f"{name}.jsonl" for name in (into, retried or into))
    journals = sorted(path for path in folder.glob("*.jsonl") if path not in {joined_path, refused_path})
    with joined_path.open("ab") as joined, refused_path.open("ab") as refused:
        for path in journals:
            with path.open("rb") as lines:
                for line in lines:
                    (refused if retried and is_refusal(line) else joined).write(line)
    for path in journals:
        path.unlink()
