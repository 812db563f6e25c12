"""Shows texts, lists and folders in the one line of a message."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Say = Callable[[str], None]
"""Called with a line for the user."""

_DIFFERENCES = 6
"""How many differences an error names at most."""


def show_in_line(text: str) -> str:
    """Return a text in one line, without characters that control a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def cut_text(text: str, most: int) -> str:
    """Return a text, cut to `most` characters and an ellipsis if it is longer."""
    return text if len(text) <= most else f"{text[:most]}…"


def list_some(items: Sequence[object], most: int) -> str:
    """Return the first items, separated by commas, and how many more there are."""
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more


def list_differences(there: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Return the first keys whose values differ, with both values; "" if the mappings are equal."""
    keys = [key for key in sorted({*there, *now}) if there.get(key) != now.get(key)]
    return list_some([f"{key} ({there.get(key)!r} there, {now.get(key)!r} now)" for key in keys], _DIFFERENCES)


def count_tenths(say: Say, total: int, what: str, done: int = 0) -> Callable[[int], None]:
    """Return a function to call with how many more items are done; it reports the count at each tenth of the total."""

    def add(more: int) -> None:
        nonlocal done
        before, done = done, done + more
        if done == total or done * 10 // total > before * 10 // total:
            say(f"{done:,} of {total:,} {what}")

    return add


def list_counts(counts: Counter[Any]) -> str:
    """Return the counts, the highest first, as in "too long 12, empty 3"; "none" if there are none."""
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.most_common()) or "none"


def show_beginning(text: str, most: int = 200) -> str:
    """Return the beginning of a text in one line, for a list of many texts."""
    line = show_in_line(text[: 4 * most])
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[:most]}…"


def name_folders(folders: Sequence[Path]) -> list[str]:
    """Return a name for each folder: the last parts of its path, as many as are needed to tell all folders apart."""
    paths = [folder.resolve() for folder in folders]
    for count in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
