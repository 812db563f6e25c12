"""§3.2, seeds: the hand-written instructions that self-instruct starts from (paper: 36)."""

from importlib import resources
from pathlib import Path

from autoif.errors import ConfigError
from autoif.language import count_non_text
from autoif.records import Instruction
from autoif.text_lines import read_lines

MAX_CHARS = 300
"""A longer line is more than one atomic constraint."""


def load_seeds(path: Path | None) -> list[Instruction]:
    """Return the seeds of a text file in its order, one a line; those of this package for None.

    Blank lines and lines that begin with "#" are skipped; a line that was there before counts once.

    Raises:
        ConfigError: the file can't be read, is not UTF-8, has a line over `MAX_CHARS`, or holds no seed.
    """
    if path is None:
        with resources.as_file(resources.files("autoif.instructions") / "seeds.txt") as packaged:
            return load_seeds(packaged)
    seeds: dict[str, Instruction] = {}
    for number, line in read_lines(path, "seeds"):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if len(text) > MAX_CHARS:
            raise ConfigError(
                f"seeds file {path}, line {number}: {len(text):,} characters; an instruction has at most {MAX_CHARS}"
            )
        if count_non_text(text):
            raise ConfigError(f"seeds file {path}, line {number}: control characters; a seeds file is plain text")
        seeds.setdefault(text, Instruction.of(text, "seed"))
    if not seeds:
        raise ConfigError(f"seeds file {path}: no instruction in it; write one a line")
    return list(seeds.values())
