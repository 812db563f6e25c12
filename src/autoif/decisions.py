"""Reviewers' decisions about a run's instructions, functions, responses and pairs: `decisions.jsonl` in its folder.

    {"target": "function", "id": "ce36da4f20fa2e29", "decision": "reject", "author": "ada", "time": …, "comment": …}

Lines are only added. All of them together, in the order of their times, determine what counts:

    accept, reject     the latest of an author counts
    comment            decides nothing
    revoke             takes back everything that its author said of the item
    several authors    one rejection outweighs any number of acceptances

So files of several people can be merged in any order (`merge_decisions`). Items are named by their content ids, a pair
by `find_pair_id`. `autoif.datasets.reviewing` applies the decisions.
"""

import fcntl
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from autoif.errors import ConfigError, StoreError
from autoif.messages import list_some
from autoif.reading.json_text import parse_json
from autoif.records import Record, content_id
from autoif.runs.store import DECISIONS, reading_errors
from autoif.runs.whole_files import storage_errors, to_line

Target = Literal["instruction", "function", "response", "pair"]
Key = tuple[Target, str]
"""An item: what it is, and its content id."""
MAX_COMMENT_CHARS: Final = 4_000
MAX_AUTHOR_CHARS: Final = 100
_SHOWN_NUMBERS = 5


def _check_author(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > MAX_AUTHOR_CHARS:
        raise ValueError(f"an author is a name in one line, of at most {MAX_AUTHOR_CHARS} characters")
    return name.strip()


def _check_comment(text: str) -> str:
    if len(text) > MAX_COMMENT_CHARS:
        raise ValueError(f"a comment has at most {MAX_COMMENT_CHARS:,} characters, this one {len(text):,}")
    return text


class Decision(Record):
    """One line of decisions.jsonl: what an author said of an item, and when."""

    target: Target
    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    """Content id of the item."""
    decision: Literal["accept", "reject", "comment", "revoke"]
    author: Annotated[str, AfterValidator(_check_author)]
    time: Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]
    comment: Annotated[str, AfterValidator(_check_comment)] = ""
    queued: bool = Field(default=False, exclude_if=lambda queued: not queued)
    """Whether the queue of `autoif view` showed the item: the queue draws at random, people pick what looks odd."""

    @property
    def key(self) -> Key:
        """The item that the decision is about."""
        return self.target, self.id


@dataclass(frozen=True, slots=True)
class Standing:
    """What all decisions about one item come to."""

    accepted: tuple[Decision, ...] = ()
    """The latest decision of each author who accepts it."""
    rejected: tuple[Decision, ...] = ()
    comments: tuple[Decision, ...] = ()
    """Comments of their own, in order of time."""
    queued: bool = False
    """Whether the queue showed it to any author who accepts or rejects it."""

    @property
    def verdict(self) -> Literal["accept", "reject"] | None:
        """How the item is treated; None if nobody accepts or rejects it."""
        return "reject" if self.rejected else "accept" if self.accepted else None

    @property
    def is_disputed(self) -> bool:
        """Tell whether one author accepts what another rejects."""
        return bool(self.accepted and self.rejected)

    def describe(self) -> str:
        """Return who rejects (or else accepts) it, with the comments of each."""
        lines = []
        for each in self.rejected or self.accepted:
            own = [one.comment for one in self.comments if one.author == each.author]
            said = " / ".join(filter(None, [each.comment, *own]))
            lines.append(f"{each.author}: {said}" if said else each.author)
        return "; ".join(lines)


@dataclass(frozen=True, slots=True)
class Review:
    """The standing of each item of a run that was decided on; false if there is none."""

    standings: Mapping[Key, Standing] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.standings)

    def find(self, target: Target, item: str) -> Literal["accept", "reject"] | None:
        """Return how an item is treated; None if nobody accepts or rejects it."""
        standing = self.standings.get((target, item))
        return standing.verdict if standing else None

    def rejects(self, target: Target, item: str) -> bool:
        return self.find(target, item) == "reject"

    def accepts(self, target: Target, item: str) -> bool:
        """Tell whether an item is accepted, and rejected by nobody."""
        return self.find(target, item) == "accept"

    def split(self, known: Mapping[Target, Collection[str]]) -> tuple["Review", list[Key]]:
        """Return the review of the known items of a run, and the keys of items that the run doesn't have."""
        unknown = [key for key in self.standings if key[1] not in known[key[0]]]
        return Review({key: each for key, each in self.standings.items() if key[1] in known[key[0]]}), unknown

    def list_rejected(self, target: Target) -> list[str]:
        return [item for (kind, item), each in self.standings.items() if kind == target and each.verdict == "reject"]

    def has_accepted(self, target: Target) -> bool:
        return any(kind == target and each.verdict == "accept" for (kind, _), each in self.standings.items())


@dataclass(frozen=True, slots=True)
class DecisionFile:
    """The content of a decisions.jsonl."""

    path: Path
    decisions: tuple[Decision, ...] = ()
    damaged: tuple[int, ...] = ()
    """Numbers of the lines that can't be read, counted from 1."""

    def describe_damage(self) -> str:
        """Return one line that names the damaged lines; "" if there are none."""
        if not self.damaged:
            return ""
        lines = f"line{'s' * (len(self.damaged) > 1)} {list_some(self.damaged, _SHOWN_NUMBERS)}"
        return f"{self.path}, {lines}: no decision can be read there; mend or delete them"

    def refuse_damage(self) -> None:
        """Raise StoreError if there are such lines."""
        if said := self.describe_damage():
            raise StoreError(said)


def find_pair_id(prompt: str, chosen: str, rejected: str) -> str:
    """Return the content id of a pair: its prompt's last turn and its two answers."""
    return content_id("pair", prompt, chosen, rejected)


def read_decisions(path: Path) -> DecisionFile:
    """Return the content of a decisions.jsonl, or of the one in a run folder; empty if there is no such file.

    Raises StoreError: it can't be read.
    """
    file = path / DECISIONS if path.is_dir() else path
    try:
        with reading_errors(file):
            lines = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return DecisionFile(file)
    found, damaged = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(Decision.model_validate(parse_json(line.decode("utf-8-sig"))))
        except (ValueError, ValidationError):
            damaged.append(number)
    return DecisionFile(file, tuple(found), tuple(damaged))


def read_review(run: Path) -> Review:
    """Return what the decisions in a run folder come to.

    Raises StoreError: the file can't be read, or a line is damaged (it may be a rejection, so nothing ignores it).
    """
    file = read_decisions(run)
    file.refuse_damage()
    return settle_decisions(file.decisions)


def settle_decisions(decisions: Iterable[Decision]) -> Review:
    """Return what decisions come to, in whatever order they are given."""
    said: dict[Key, dict[str, list[Decision]]] = {}
    for each in sorted(decisions, key=_order):
        of_author = said.setdefault(each.key, {}).setdefault(each.author, [])
        if each.decision == "revoke":
            of_author.clear()
        else:
            of_author.append(each)
    standings = {key: _sum_up(by_author.values()) for key, by_author in said.items() if any(by_author.values())}
    return Review(standings)


def add_decisions(run: Path, decisions: Sequence[Decision]) -> list[Decision]:
    """Append decisions to the file in a run folder, and sync it; return them as they were written.

    A decision gets a later time than its author's earlier ones on the item, even if this machine's clock is behind.

    Raises:
        StoreError: the file can't be written.
    """
    with _lock_file(run) as file:
        latest = _find_latest(read_decisions(run).decisions)
        written = []
        for each in decisions:
            floor = latest.get((each.key, each.author))
            time = each.time if floor is None or each.time > floor else floor + timedelta(microseconds=1)
            latest[each.key, each.author] = time
            written.append(each.model_copy(update={"time": time}))
        _append(file, written)
    return written


def merge_decisions(run: Path, others: Sequence[Path]) -> int:
    """Append the decisions in other files or run folders that this run lacks; return how many.

    Raises:
        ConfigError: one of them has no decisions.
        StoreError: a line of one is damaged, or a file can't be read or written.
    """
    given: dict[Decision, None] = {}
    for other in others:
        found = read_decisions(other)
        found.refuse_damage()
        if not found.decisions:
            raise ConfigError(f"{found.path} has no decisions: name a {DECISIONS}, or a run folder that has one")
        given |= dict.fromkeys(found.decisions)
    with _lock_file(run) as file:
        there = set(read_decisions(run).decisions)
        missing = sorted((each for each in given if each not in there), key=_order)
        _append(file, missing)
    return len(missing)


def _sum_up(by_author: Iterable[list[Decision]]) -> Standing:
    queued = False
    accepted, rejected, comments = list[Decision](), list[Decision](), list[Decision]()
    for decisions in by_author:
        verdicts = [each for each in decisions if each.decision != "comment"]
        comments += [each for each in decisions if each.decision == "comment"]
        queued |= any(each.queued for each in verdicts)
        if verdicts:
            (rejected if verdicts[-1].decision == "reject" else accepted).append(verdicts[-1])
    said = [tuple(sorted(each, key=_order)) for each in (accepted, rejected, comments)]
    return Standing(said[0], said[1], said[2], queued)


def _order(decision: Decision) -> tuple[datetime, str]:
    """Return the sort key: the time, and the line itself so that ties have the same order everywhere."""
    return decision.time, to_line(decision)


def _find_latest(decisions: Iterable[Decision]) -> dict[tuple[Key, str], datetime]:
    latest: dict[tuple[Key, str], datetime] = {}
    for each in decisions:
        place = (each.key, each.author)
        latest[place] = max(each.time, latest.get(place, each.time))
    return latest


@contextmanager
def _lock_file(run: Path) -> Iterator[int]:
    """Open the file of decisions (created if missing) under an exclusive lock; yield its descriptor."""
    path = run / DECISIONS
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _append(descriptor: int, decisions: Sequence[Decision]) -> None:
    """Append lines and sync them. A line that a crash has cut is ended first, so that it spoils no other."""
    if not decisions:
        return
    size = os.fstat(descriptor).st_size
    cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    lines = ("\n" if cut else "") + "".join(to_line(each) for each in decisions)
    content = memoryview(lines.encode("ascii"))
    while content:
        content = content[os.write(descriptor, content) :]
    os.fsync(descriptor)
