"""Begins or resumes a run at an address: reconciles what is at the address with what the work folder holds.

| the work folder                                 | what happens                                                       |
|-------------------------------------------------|--------------------------------------------------------------------|
| is new                                          | notes and the answers of unfinished shards are fetched             |
| was the last one to be copied to the address    | is used as it is                                                   |
| is out of date: another machine went on         | is set aside; a new one is fetched, and gets the old one's answers |
| was being prepared when the command was stopped | is prepared from the beginning                                     |
| holds something else                            | is refused                                                         |

To make all results anew, all answers are fetched.
"""

import itertools
import json
import shutil
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autoif.errors import StoreError
from autoif.models.cache import CompletionCache
from autoif.models.journal import cut_torn_line, import_journals, is_refusal
from autoif.reading.json_text import parse_json
from autoif.runs.counts import FileCount, parse_count
from autoif.runs.remote import Remote
from autoif.runs.run_folder import RunFolder
from autoif.runs.segments import DATA, RETRIED, SMALL, Segments, fetch_files, gather_journals, restore_small
from autoif.runs.store import COMPLETIONS, COUNTS, EVENTS, FORMAT, MANIFEST, SEGMENTS, read_manifest
from autoif.runs.whole_files import storage_errors, write_json

_STATE = f"{SEGMENTS}/remote.json"
"""File that says to which address a folder is copied, and under which number of the claim (`turn`): 0 while the folder
is being prepared, -1 if it was set aside and another folder has its answers."""
_BEFORE = ".segments"
"""Name that the folder's `segments` has while its answers are fetched again. It also holds the state file until the new
one is written."""


@dataclass(frozen=True, slots=True)
class Start:
    """The state from which a mirror begins."""

    sealed: frozenset[str] = frozenset()
    """Names of the notes at the address."""
    old: tuple[str, ...] = ()
    """Files at the address that can be deleted once the folder's answers are copied."""
    data: Mapping[str, FileCount] = field(default_factory=dict)
    """The counts of files that belong to no shard, as their note at the address has them."""
    retried: str = ""
    """Name of the journal of refusals that are retried, whose cost must be noted before any model is asked; "" if there
    are none."""
    said: str = ""
    """What was done, in words for the user."""


def prepare(remote: Remote, folder: Path, turn: int, *, anew: bool, refused: bool) -> Start:
    """Prepare a work folder for the process that holds claim number `turn`; `anew` and `refused` are as in `mirroring`.
    Raises StoreError: the folder holds something else, or what is at the address can't be read."""
    fetched_before = remote.fetched_bytes
    with storage_errors(folder):
        last = _read_state(remote, folder)
        if last and turn == 1:
            raise StoreError(f"{remote} is empty, and {folder} has a run that was copied there: name another --work")
        is_current = last is not None and 0 < last == turn - 1
        if last and not is_current:
            _put_aside(folder)
        aside = [] if is_current or turn == 1 else _find_aside(remote, folder)
        folder.mkdir(parents=True, exist_ok=True)
        found = Segments(remote)
        if is_current:
            shutil.rmtree(folder / _BEFORE, ignore_errors=True)  # left by a kill after the folder was ready
            _write_state(remote, folder, turn)
        else:
            _write_state(remote, folder, 0)
            was_current = (folder / _BEFORE).exists()  # then the folder may have decisions that the address lacks
            restore_small(remote, folder, (MANIFEST, EVENTS) if was_current else SMALL)
            found.restore_files(folder)
        manifest = read_manifest(folder)
        anew = anew or bool(manifest and manifest.get("format") != FORMAT)
        journals = folder / SEGMENTS
        if not is_current or anew:
            if is_current:
                journals.rename(folder / _BEFORE)
                _write_state(remote, folder, 0)
                found.read_notes()
            found.restore_answers(folder, whole=anew)
            last_retry = max((int(name.removeprefix(RETRIED)) for name in found.retried), default=0)
            journals_aside = [(each / SEGMENTS, (_read_state(remote, each) or 0) >= last_retry) for each in aside]
            _add_answers(folder, journals_aside, but=found.retried if anew else found.notes)
        for path in journals.glob("*.jsonl"):
            cut_torn_line(path)
        retried = _reopen_all(remote, found, folder, turn, refused=refused) if anew else ""
        _write_state(remote, folder, turn)
        shutil.rmtree(folder / _BEFORE, ignore_errors=True)
        for each in aside:
            _write_state(remote, each, -1)
    summary = f"works in {folder}"
    if not is_current and turn > 1:
        summary += f", fetched {remote.fetched_bytes - fetched_before:,} bytes of what {turn - 1:,} drivers before left"
    if aside:
        summary += f"; what was there is kept as {', '.join(map(str, aside))}, as another machine has gone on since"
    data = found.read_note(DATA)
    counts = {count.file: count for line in data.files if (count := parse_count(line))}
    old = tuple(f"{SEGMENTS}/{name}" for name in (*found.open, *(found.sealed if anew else ())))
    return Start(found.retried if anew else frozenset(found.notes), old, {} if anew else counts, retried, summary)


def is_work_folder(folder: Path) -> str:
    """Return the address to which a work folder is copied; "" if the folder is no work folder."""
    for place in (folder / _STATE, folder / _BEFORE / Path(_STATE).name):
        try:
            return str(parse_json(place.read_text(encoding="utf-8"))["remote"])
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return ""


def refuse_folder(remote: Remote, folder: Path) -> None:
    """Raise StoreError if a folder holds anything but the run of this address."""
    if not _is_new(folder) and is_work_folder(folder) != str(remote):
        raise StoreError(f"{folder} holds something else than the run of {remote}: name another --work")


def refuse_copy(remote: Remote) -> None:
    """Raise StoreError if a run folder was copied to the address by other means: a run there would replace it."""
    if remote.list_names("claims") or remote.list_names(SEGMENTS) or remote.get(MANIFEST) is None:
        return
    raise StoreError(
        f"{remote} has a run that was copied there by other means, and a run there would replace it: name another "
        "--output, or copy it back and go on in its folder"
    )


def fetch_run(remote: Remote, folder: Path) -> None:
    """Copy a run from an address into a new folder, which every command can use then.
    Raises StoreError: there is no run, the folder exists already, or a file is missing or damaged."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder} is there already: name another folder")
    partial = folder.with_name(f"{folder.name}.partial")  # an interrupted copy is resumed
    if not _is_new(partial) and not is_work_folder(partial):
        raise StoreError(
            f"{partial} is in the way, and no copy that was interrupted: delete it, or name another folder"
        )
    with storage_errors(partial):
        partial.mkdir(parents=True, exist_ok=True)
        _write_state(remote, partial, 0)
        for name in SMALL:
            (partial / name).unlink(missing_ok=True)
        restore_small(remote, partial)  # first: if run.json says "complete", all other files are at the address
        if not read_manifest(partial):
            raise StoreError(f"{remote} is no run (it has no run.json): name the --output of one")
        found = Segments(remote)
        digests = found.restore_files(partial)
        for path in partial.rglob("*.jsonl*"):  # files of an earlier copy, of another run or of this one as it was
            if str(path.relative_to(partial)) not in {*digests, *SMALL, COUNTS}:
                path.unlink()
        fetch_files(remote, partial, digests)
        found.restore_answers(partial, whole=True)
        shutil.rmtree(partial / SEGMENTS)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)


def _is_new(folder: Path) -> bool:
    """Tell whether a folder has no files, apart from temporary ones that a kill has left."""
    with storage_errors(folder):
        entries = folder.iterdir() if folder.exists() else ()
        files = (path for entry in entries for path in (entry, *entry.rglob("*")) if path.is_file())
        return all(path.name.endswith(".tmp") for path in files)


def _read_state(remote: Remote, folder: Path) -> int | None:
    """Return the claim number under which a folder was last copied; None if the folder is new.
    Raises StoreError: it holds another run, or something else."""
    refuse_folder(remote, folder)
    if _is_new(folder):
        return None
    if not (folder / _STATE).exists():
        return 0
    return int(parse_json((folder / _STATE).read_text(encoding="utf-8"))["turn"])


def _write_state(remote: Remote, folder: Path, turn: int) -> None:
    write_json(folder / _STATE, {"remote": str(remote), "turn": turn})


def _put_aside(folder: Path) -> None:
    numbers = itertools.count(1)
    folder.rename(next(each for number in numbers if not (each := _name_aside(folder, number)).exists()))


def _find_aside(remote: Remote, folder: Path) -> list[Path]:
    """Return the folders that were set aside and whose answers the folder doesn't have yet; after a kill there may be
    several."""
    numbers = itertools.count(1)
    found = itertools.takewhile(Path.exists, (_name_aside(folder, number) for number in numbers))
    return [each for each in found if is_work_folder(each) == str(remote) and _read_state(remote, each) != -1]


def _name_aside(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}.left{number}")


def _add_answers(folder: Path, places: Iterable[tuple[Path, bool]], *, but: Container[str]) -> None:
    """Add the journals of other folders to a folder's own journals and to its completions, except those of shards in
    `but`.

    Each place comes with a flag: True if its refusals count, False if they have been retried since and are in a note.
    """
    grown = set[Path]()
    for place, refused in (*places, (folder / _BEFORE, True)):
        for path in sorted(place.glob("*.jsonl")):
            if path.stem not in but:
                cut_torn_line(path)
                grown.add(journal := folder / SEGMENTS / path.name)
                with path.open("rb") as lines, journal.open("ab") as file:
                    file.writelines(line for line in lines if refused or not is_refusal(line))
    with CompletionCache(folder / COMPLETIONS) as cache:
        import_journals(sorted(grown), cache)


def _reopen_all(remote: Remote, found: Segments, folder: Path, turn: int, *, refused: bool) -> str:
    """Treat all answers as those of unfinished shards, and discard all results, first at the address and then here.
    Return the name of the journal of refusals to be retried; "" if none are."""
    retried = "" if refused else f"{RETRIED}{turn:04d}"
    gather_journals(folder / SEGMENTS, f"earlier-{turn:04d}", retried)
    with RunFolder(folder) as run:
        if manifest := run.read_manifest():
            manifest["status"] = "interrupted"
            remote.put(MANIFEST, json.dumps(manifest, indent=2).encode())
            run.write_manifest(manifest)
        notes = (f"{SEGMENTS}/{name}.json" for name in found.notes - found.retried)
        remote.for_each(remote.delete, notes)
        run.discard_results()
    return retried
