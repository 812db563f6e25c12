"""What a mirror (autoif.runs.mirror) holds of a run's answers and shards, beside the run's own files.

    segments/instructions-0003.zst    the answers that were asked for a finished shard
    segments/instructions-0003.json   its note: its files in the run, what it spent. Written last: now it is finished
    segments/open-0002-000017.zst     answers for shards that are not, as they came; deleted when they are
    segments/data.json                the note of what is of no shard: instructions.jsonl, the data sets

A segment is never changed. It is lines of JSON, each a completion, below a line `#SHARD` for those of a shard, packed.
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
"""The name of the note of what is of no shard."""
NOW = f"{SEGMENTS}/now.jsonl"
"""The last events of a run that goes on."""
SMALL = (MANIFEST, EVENTS, DECISIONS, AUDIT)
"""Files of a run that have no note."""
RETRIED = "retried-"
"""How the names of refusals that are asked again begin. Once there is a note of the name, only their cost counts."""
_KEY_BYTES = 6
_NEW_COMPLETIONS = ".completions.tmp"
_USUAL = ENDINGS[:2]


class Note(Record):
    """What is noted of a shard that is finished."""

    files: tuple[str, ...] = ()
    """Lines of counts.jsonl."""
    spent: Mapping[str, Usage] = Field(default_factory=dict)
    """By stage, on answers other than `odd`."""
    odd: tuple[CompletionRow, ...] = ()
    """Answers that didn't end as they should, which a run's end tells of."""
    keys: str = ""
    """Of the requests that its answers are to, 6 bytes each, in base64: another shard may make the same one."""
    said: tuple[str, ...] = ()
    """What is to be said at the run's end, of all shards so far."""


def pack(parts: Mapping[str, bytes]) -> bytes:
    """Return a segment of the lines of shards."""
    whole = b"".join(b"#%b\n%b" % (name.encode(), lines) for name, lines in parts.items())
    return zstandard.ZstdCompressor().compress(whole)


def unpack(remote: Remote, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield each shard's name and lines of a segment at the address; nothing if it was deleted meanwhile."""
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
    """Return what is to be noted of the answers of a shard."""
    rows = _read_places(lines)
    odd = tuple(row for row in rows if row.finish_reason not in _USUAL)
    keys = b"".join(shorten_key(key).to_bytes(_KEY_BYTES) for key in sorted({row.key for row in rows}))
    spent = _add_up(row for row in rows if row.finish_reason in _USUAL)
    return Note(spent=spent, odd=odd, keys=b64encode(keys).decode())


def sum_up_retried(lines: bytes) -> Note:
    """Return what is to be noted of answers that are to be asked again."""
    return Note(spent=_add_up(_read_places(lines)))


def _read_places(lines: bytes) -> list[CompletionRow]:
    """Return the rows of a journal; of two for one place the first counts."""
    found = [read_row(line) for line in lines.splitlines()]
    return [*{row[:2]: row for row in reversed(found)}.values()]


def open_segments(address: str) -> Callable[[str], list[CompletionRow]]:
    """Return what fetches the answers of a finished shard from an address."""
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
    """What is at the address at one moment."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        names = remote.list_names(SEGMENTS)
        self.notes = {name.removesuffix(".json") for name in names if name.endswith(".json")}
        """Of what there are notes."""
        self.open = [name for name in names if name.startswith("open-")]
        """Answers of shards that weren't finished when they came."""
        self.sealed = list_sealed(names)
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
        """Read all notes, which the next two need."""
        names = sorted(self.notes)
        self._notes = dict(zip(names, self._remote.for_each(self.read_note, names), strict=True))

    def restore_files(self, folder: Path) -> dict[str, str]:
        """Bring what is noted into a folder; return the digests of the files that this names."""
        self.read_notes()
        lines = [f"{line.rstrip()}\n" for note in self._notes.values() for line in note.files]
        digests = {count.file: count.sha256 for line in lines if (count := parse_count(line))}
        replace_file(folder / DIGESTS, (digest_line(name, digest) for name, digest in digests.items()))
        replace_file(folder / COUNTS, lines)
        return digests

    def restore_answers(self, folder: Path, *, whole: bool) -> None:
        """Make a folder's completions file of the answers of unfinished shards, or if `whole` of all, and a journal for
        each of these shards; of the others what they spent."""
        journals = folder / SEGMENTS
        journals.mkdir(parents=True, exist_ok=True)
        for path in (*journals.glob("*.jsonl"), *journals.glob(f"{_NEW_COMPLETIONS}*")):
            path.unlink()
        finished = self.retried if whole else self.notes
        self._write_answers(self.open, journals, but=finished)
        if whole:  # a run that goes on may have made one of an open segment that is gone by now
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
        for suffix in ("", "-wal", "-shm"):  # SQLite would read the log of a process that was killed into the new file
            (folder / f"{COMPLETIONS}{suffix}").unlink(missing_ok=True)
        (journals / _NEW_COMPLETIONS).replace(folder / COMPLETIONS)

    def _write_answers(self, names: Iterable[str], journals: Path, *, but: Container[str]) -> None:
        for name in names:
            for shard, lines in unpack(self._remote, name):
                if shard not in but:
                    with (journals / f"{shard}.jsonl").open("ab") as file:
                        file.write(lines)


def list_sealed(names: Iterable[str]) -> list[str]:
    """Return the segments of finished shards."""
    return [name for name in names if name.endswith(".zst") and not name.startswith("open-")]


def restore_small(remote: Remote, folder: Path, names: Iterable[str] = SMALL) -> None:
    """Bring small files of a run into a folder."""
    remote.for_each(lambda name: remote.get_file(name, folder / name), names)
    if now := remote.get(NOW):
        (folder / EVENTS).write_bytes(_join_events(folder / EVENTS, now))


def fetch_state(remote: Remote, folder: Path) -> dict[str, int]:
    """Bring what `autoif status` reads of a run into a folder; return how many rows its data sets have."""
    remote.get_file(MANIFEST, folder / MANIFEST)
    if now := remote.get(NOW):
        (folder / EVENTS).write_bytes(now)
    counts = filter(None, map(parse_count, Segments(remote).read_note(DATA).files))
    return {count.file: count.rows for count in counts}


def _join_events(path: Path, now: bytes) -> bytes:
    """Return the events of a run with its last ones, which its file may lack as yet."""
    before = path.read_bytes() if path.exists() else b""
    return before + b"".join(line for line in now.splitlines(keepends=True) if line not in before)


def fetch_files(remote: Remote, folder: Path, digests: Mapping[str, str]) -> None:
    """Bring files of a run into a folder, unless they are there. Raises StoreError: one is missing or damaged."""

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
    """Join all journals of a folder into one; but those that servers refused into `retried`, if that is given."""
    place, aside = (folder / f"{name}.jsonl" for name in (into, retried or into))
    journals = sorted(path for path in folder.glob("*.jsonl") if path not in {place, aside})
    with place.open("ab") as joined, aside.open("ab") as refused:
        for path in journals:
            with path.open("rb") as lines:
                for line in lines:
                    (refused if retried and is_refusal(line) else joined).write(line)
    for path in journals:
        path.unlink()
