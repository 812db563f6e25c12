"""A run whose output is at an address (s3://…): it works in a local folder, and a mirror copies that to the address.

    folder on this machine             at the address
    ───────────────────────            ─────────────────────────────────────────────────────────────
    segments/SHARD.jsonl ──2 s──►      segments/open-….zst   until the shard is finished
    files of a finished shard ──►      the same files, then segments/SHARD.zst, then segments/SHARD.json
    data sets, run.json  ────────►     the same files, run.json last

While the run is at work, its folder is authoritative. A thread does the copying, so that no request waits for the
store, and retries while the store can't be reached. A machine that takes over starts from the notes at the address and
the answers of unfinished shards, and fetches other files when they are needed.
"""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import JsonValue, ValidationError

from autoif.errors import AutoIFError, StoreError, in_one_line
from autoif.messages import Say
from autoif.models.cache import CompletionCache
from autoif.pipeline import STAGES
from autoif.runs.claims import Claim, RemotePlace, holding
from autoif.runs.counts import FileCount
from autoif.runs.events import read_recent
from autoif.runs.remote import AT_ONCE, Remote
from autoif.runs.resuming import Start, prepare, refuse_copy, refuse_folder
from autoif.runs.segments import DATA, NOW, SMALL, Note, fetch_files, pack, sum_up, sum_up_retried
from autoif.runs.store import (
    BACK_TRANSLATION,
    COMPLETIONS,
    COUNTS,
    DIGESTS,
    EVENTS,
    MANIFEST,
    SCORING,
    SEGMENTS,
    SELF_INSTRUCT,
    read_manifest,
)

SYNC_S = 2.0
"""Seconds between copies: a machine that dies loses the answers of this interval, and those in flight."""
_HURRY_S = 5.0
"""Seconds for the last copy when the user stops the run."""
_POLL_S = 0.05
_PIECE_BYTES = 32_000_000
_LONGEST_LINE = 1_000_000
_GROWTH = {EVENTS: 1.25}
"""How many times as large a growing file must be to be copied again, so that all copies are a few times its size."""
_SHARD_FILE = re.compile(r"(\d\d_\w+)/(kept|dropped)-(\d{4,})\.jsonl(?:\.zst)?")
_STEP_OF_FOLDER = {SELF_INSTRUCT: "self_instruct"} | {
    each.folder: step for step, stages in STAGES.items() for each in stages
}
_LAST_STAGES = {SELF_INSTRUCT, BACK_TRANSLATION, SCORING}
"""The last stage of each step: a shard is finished when this stage's file of kept records is written."""


class Mirror:
    """Copies a run folder to an address as it grows, in a thread of its own."""

    def __init__(self, remote: Remote, folder: Path, claim: Claim, start: Start, say: Say) -> None:
        self.journals = folder / SEGMENTS
        """Folder in which answers are appended, in a file for each shard."""
        self._remote = remote
        self._folder = folder
        self._claim = claim
        self._say = say
        self._sealed = set(start.sealed)
        """Names of the notes at the address."""
        self._old = [*start.old]
        """Files at the address that are deleted once all answers are copied."""
        self._retried = start.retried
        """Name of the journal of refusals that are retried, until their cost is noted; then ""."""
        self._noted: dict[str, dict[str, FileCount]] = {}
        """Files of shards that are not finished, by shard."""
        self._finished: dict[str, dict[str, FileCount]] = {}
        """Files of finished shards that are still to be copied, by shard."""
        self._data = dict(start.data)
        """Files that belong to no shard, as their note at the address has them."""
        self._new_data: dict[str, FileCount] = {}
        """Files that belong to no shard and are still to be copied."""
        self._offsets: dict[str, int] = {}
        """Number of bytes of each journal that are at the address, by shard."""
        self._pieces: dict[str, set[str]] = {}
        """The shards whose answers are in each open segment that this process wrote."""
        self._copied: dict[str, tuple[int, int]] = {}
        """Modification time and size of the small files when they were last copied."""
        self._identity: JsonValue = None
        """The identity in the run.json at the address."""
        self._number = 0
        self.is_closed = False
        self._trouble = ""
        self._lock = threading.Lock()
        self._stop, self._abandoned = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="autoif-mirror", daemon=True)
        self._thread.start()

    def _check(self) -> None:
        """Raise StoreError if another process may be writing to the address by now, so that this one must not."""
        if not self._claim.is_sure:
            raise StoreError(f"{self._remote} does not answer, and may be in use by another process by now")

    def _put(self, name: str, content: bytes) -> None:
        self._remote.put(name, content, self._check)

    def _put_file(self, name: str) -> None:
        self._remote.put_file(name, self._folder / name, self._check)

    def _delete(self, name: str) -> None:
        self._remote.delete(name, self._check)

    def note(self, count: FileCount) -> None:
        """Take notice of a file that is complete in the folder."""
        found = _SHARD_FILE.fullmatch(count.file)
        with self._lock:
            if not found:
                if self._data.get(count.file) != count:
                    self._new_data[count.file] = count
                return
            stage, kind, number = found.groups()
            shard = f"{_STEP_OF_FOLDER[stage]}-{number}"
            self._noted.setdefault(shard, {})[count.file] = count
            if kind == "kept" and stage in _LAST_STAGES:
                files = self._noted.pop(shard)
                if shard not in self._sealed:
                    self._finished[shard] = files

    async def replace(self) -> None:
        """Wait until refusals that are retried no longer count as answers.
        Raises StoreError: the store can't be reached."""
        while self._retried:
            if self._trouble:
                raise StoreError(self._trouble)
            await asyncio.sleep(_POLL_S)

    def bring(self, digests: Mapping[str, str]) -> None:
        """Fetch files that another machine has made into the folder. Raises StoreError: one is missing or damaged."""
        fetch_files(self._remote, self._folder, digests)

    def close(self, patience_s: float | None) -> None:
        """Copy what is left and stop. Raises StoreError: the store can't be reached, or it takes over `patience_s`."""
        self._stop.set()
        if patience_s is not None:
            self._remote.hurry(patience_s)
        self._thread.join(patience_s)
        self.is_closed = True
        if self._thread.is_alive():
            self._abandoned.set()
            self._trouble = f"{self._remote} lacks what was last finished"
        if self._trouble:
            raise StoreError(f"{self._trouble}: all is in {self._folder}, run the same command there again to copy it")

    def _follow(self) -> None:
        while not self._stop.wait(0 if (self._finished or self._retried) and not self._trouble else SYNC_S):
            before = self._trouble
            self._try_to_copy(last=False)
            if self._trouble not in {"", before}:
                self._say(f"{self._trouble}; the run goes on in {self._folder}, and copies when it can")
        self._try_to_copy(last=True)

    def _try_to_copy(self, *, last: bool) -> None:
        try:
            self._copy(last=last)
            self._trouble = ""
        except AutoIFError as error:
            self._trouble = str(error)
        except Exception as error:  # noqa: BLE001 - a thread that died silently would look like one that is done
            detail = in_one_line(error)
            self._trouble = f"{self._folder} can't be copied to {self._remote} ({type(error).__name__}: {detail})"

    def _copy(self, *, last: bool) -> None:
        """Copy what is new: answers first, and what marks something as finished after the thing itself."""
        self._put_answers()
        self._remote.for_each(self._delete, self._old)
        self._old.clear()
        self._put_retried()
        ready = self._put_identity()
        self._put_small(last=last)
        while ready and not self._abandoned.is_set():
            with self._lock:
                finished = {shard: self._finished[shard] for shard in [*self._finished][:AT_ONCE]}
            if finished:
                self._seal_all(finished)
            if not (last and self._finished):  # otherwise new answers would wait for all finished shards
                break
        with self._lock:
            data = dict(self._new_data)
        if data:
            self._put_data(data)
        self._put_small(last=last)

    def _put_identity(self) -> bool:
        """Put run.json, as its identity must be at the address before any results; return whether it is there."""
        manifest = read_manifest(self._folder)
        if manifest and manifest["identity"] != self._identity:
            self._put(MANIFEST, json.dumps({**manifest, "status": "running"}, indent=2).encode())
            self._identity = manifest["identity"]
            self._copied.pop(MANIFEST, None)
        return self._identity is not None

    def _put_answers(self) -> None:
        """Put what was appended to the journals since the last time, as segments of unfinished shards."""
        full = True
        while full:  # several segments' worth, as when a run resumes
            parts, left = dict[str, bytes](), _PIECE_BYTES
            for path in sorted(self.journals.glob("*.jsonl")):
                with path.open("rb") as file:
                    file.seek(self._offsets.get(path.stem, 0))
                    lines = file.read(left)
                if whole := lines[: lines.rfind(b"\n") + 1]:
                    parts[path.stem] = whole
                left = max(_LONGEST_LINE, left - len(lines))
            full = sum(map(len, parts.values())) > _PIECE_BYTES // 2
            if parts:
                self._put_piece(parts)

    def _put_piece(self, parts: Mapping[str, bytes]) -> None:
        name = f"{SEGMENTS}/open-{self._claim.number:04d}-{self._number:06d}.zst"
        self._put(name, pack(parts))
        self._number += 1
        self._pieces[name] = set(parts)
        for shard, lines in parts.items():
            self._offsets[shard] = self._offsets.get(shard, 0) + len(lines)

    def _put_retried(self) -> None:
        """Note what retried refusals have cost, before a later refusal of the same request counts."""
        journal = self.journals / f"{self._retried}.jsonl"
        if self._retried and journal.stat().st_size:
            note = sum_up_retried(journal.read_bytes())
            self._put(f"{SEGMENTS}/{self._retried}.json", note.model_dump_json().encode())
            with self._lock:
                self._sealed.add(self._retried)
        if self._retried:
            journal.unlink()
            self._offsets.pop(self._retried, None)
            self._retried = ""

    def _seal_all(self, finished: Mapping[str, Mapping[str, FileCount]]) -> None:
        """Copy finished shards, and delete the open segments that theirs replace."""
        with CompletionCache(self._folder / COMPLETIONS) as cache:
            messages = tuple(cache.notes())
        self._remote.for_each(lambda shard: self._seal(shard, finished[shard], messages), finished)
        for name in [name for name, shards in self._pieces.items() if shards <= self._sealed]:
            self._delete(name)
            del self._pieces[name]

    def _seal(self, shard: str, files: Mapping[str, FileCount], messages: tuple[str, ...]) -> None:
        """Copy the files of a finished shard, then its answers, and last its note."""
        for name in files:
            self._put_file(name)
        journal = self.journals / f"{shard}.jsonl"
        content = journal.read_bytes() if journal.exists() else b""
        lines = content[: content.rfind(b"\n") + 1]  # a late answer may be only partly written
        if lines:
            self._put(f"{SEGMENTS}/{shard}.zst", pack({shard: lines}))
        counts = tuple(each.to_line() for each in files.values())
        note = self._sum_up(journal, lines).model_copy(update={"files": counts, "said": messages})
        self._put(f"{SEGMENTS}/{shard}.json", note.model_dump_json().encode())
        with self._lock:
            del self._finished[shard]
            self._sealed.add(shard)
        if journal.exists() and journal.stat().st_size == len(lines):  # else an answer came late: the journal stays
            journal.unlink()
            self._offsets.pop(shard, None)

    def _sum_up(self, journal: Path, lines: bytes) -> Note:
        try:
            return sum_up(lines)
        except ValidationError:
            raise StoreError(f"{journal} has a damaged line: delete it to ask for that answer again") from None

    def _put_data(self, data: Mapping[str, FileCount]) -> None:
        there = [name for name in data if (self._folder / name).exists()]
        self._remote.for_each(self._put_file, there)
        self._data |= {name: data[name] for name in there}
        note = Note(files=tuple(each.to_line() for each in self._data.values()))
        self._put(f"{SEGMENTS}/{DATA}.json", note.model_dump_json().encode())
        with self._lock:
            self._new_data = {name: each for name, each in self._new_data.items() if data.get(name) != each}

    def _put_small(self, *, last: bool) -> None:
        """Copy files that change during the run, and a run.json that says "complete" only when nothing else is left."""
        self._put_changed(NOW, self._folder / EVENTS, lambda path: read_recent(path.parent))
        for name in (*(each for each in SMALL if each != MANIFEST), *((DIGESTS, COUNTS) if last else ()), MANIFEST):
            if name == MANIFEST and (self._finished or self._new_data) and self._says_complete():
                return
            self._put_changed(name, self._folder / name, Path.read_bytes, _GROWTH.get(name, 0.0) if not last else 0.0)

    def _says_complete(self) -> bool:
        return read_manifest(self._folder).get("status") == "complete"

    def _put_changed(self, name: str, path: Path, read: Callable[[Path], bytes], growth: float = 0.0) -> None:
        """Copy what `read` returns of a file, if it changed since its last copy and is `growth` times as large."""
        if not path.exists():
            return
        state = path.stat()
        seen, size = self._copied.get(name, (0, 0))
        if (state.st_mtime_ns, state.st_size) != (seen, size) and state.st_size >= growth * size:
            self._put(name, read(path))
            self._copied[name] = state.st_mtime_ns, state.st_size


@asynccontextmanager
async def mirroring(
    remote: Remote, folder: Path, say: Say, *, anew: bool = False, refused: bool = True
) -> AsyncIterator[Mirror]:
    """Claim a run at an address, fetch what this machine lacks of it, and mirror the folder while the block runs.

    With `anew`, all results are made anew from the answers. With `refused=False`, requests that servers refused are
    sent again.
    Raises StoreError: another process works on the run, the folder holds another run, or the store can't be used.
    """
    refuse_folder(
        remote, folder
    )  # before the claim is taken, as each claim counts as one process that worked on the run
    await asyncio.to_thread(refuse_copy, remote)
    async with holding(Claim(RemotePlace(remote), str(remote))) as claim:
        source = Remote(remote.address)
        try:
            start = await asyncio.to_thread(prepare, source, folder, claim.number, anew=anew, refused=refused)
        except asyncio.CancelledError:
            source.leave()  # else a user who stops the command would wait until all is fetched
            raise
        say(f"{remote}: {start.said}")
        mirror = Mirror(remote, folder, claim, start, say)
        try:
            await mirror.replace()
            yield mirror
            await asyncio.to_thread(mirror.close, None)
        except BaseException as error:
            if mirror.is_closed:
                raise
            wait_s = None if isinstance(error, Exception) else _HURRY_S
            try:
                await asyncio.to_thread(mirror.close, wait_s)
            except StoreError as trouble:
                say(str(trouble))
            raise
