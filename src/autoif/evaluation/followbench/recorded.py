"""Responses and judgements of FollowBench that were recorded elsewhere.

Responses:   FILE.jsonl with rows {"prompt", "response"}, or a folder of [MODEL_]TYPE_constraint.jsonl as the benchmark
             writes them, with rows {"prompt_new", "choices": [{"message": {"content"}}]}; read as `responses` says.
Judgements:  such a folder, where `prompt_new` is the question to the judge; it holds the response that was judged.

What belongs to no prompt, or is there twice, is named and not scored; of two rows for a prompt the first one counts.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import model_validator

from autoif.errors import ConfigError
from autoif.evaluation.followbench.data import TYPES, Item
from autoif.evaluation.followbench.judging import Judgement, read_judgement
from autoif.evaluation.responses import AnsweredRow, Response
from autoif.models.reasoning import split_reasoning
from autoif.store import read_jsonl

Value = TypeVar("Value")

_ASKED = {
    "en": re.compile(
        r"#Initial Instruction \+ (\d) constraints?#\n(.*?)\n\n#Answer of Initial Instruction \+ \1 constraints?#\n(.*)"
        r"\n\n#System#\n",
        re.DOTALL,
    ),
    "zh": re.compile(
        r"#初始指令 \+ (\d)个约束#\n(.*?)\n\n#初始指令 \+ \1个约束的答案#\n(.*)\n\n#系统#\n",
        re.DOTALL,
    ),
}
"""The parts of the benchmark's question to a judge that tell whose response it is about."""


@dataclass(slots=True)
class Recorded(Generic[Value]):
    """What was read for the prompts, by id, and what of the files was left aside, each in a line."""

    found: dict[str, Value] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    """Rows of no prompt, or judgements of another response."""
    duplicates: list[str] = field(default_factory=list)
    """Rows for a prompt that had one already."""
    sha256: str = ""
    """Of the files."""


class RecordedRow(AnsweredRow):
    """One line. What else it holds is not looked at."""

    prompt: str | None = None
    prompt_new: str | None = None

    @model_validator(mode="after")
    def _check_asked(self) -> "RecordedRow":
        if self.prompt is None and self.prompt_new is None:
            raise ValueError("it has neither prompt nor prompt_new")
        return self

    @property
    def asked(self) -> str:
        return self.prompt_new if self.prompt_new is not None else self.prompt or ""


def read_responses(path: Path, items: Sequence[Item], *, keep_thinking: bool = False) -> Recorded[Response]:
    """Return the response to each prompt: of several choices the first.

    Raises:
        ConfigError: there are no such files, files of several models, or no response to any of the prompts.
        StoreError: a file can't be read, or a line is no such row.
    """
    files = _find_files(path, "responses") if path.is_dir() else [path]
    known = {item.prompt: item for item in items}
    recorded = Recorded[Response](sha256=_digest(files))
    for file in files:
        for number, row in enumerate(read_jsonl(file, RecordedRow), 1):
            place = f"{file.name}, row {number}"
            if not (item := known.get(row.asked)):
                recorded.unknown.append(f"{place}: {row.asked[:60]!r}")
            elif item.id in recorded.found:
                recorded.duplicates.append(f"{place}: {item.id}")
            else:
                recorded.found[item.id] = row.read(keep_thinking=keep_thinking)[0]
    if not recorded.found:
        raise ConfigError(f"{path} has no response to any of these prompts: is it of another benchmark or language?")
    return recorded


def read_judgements(folder: Path, items: Sequence[Item], responses: Mapping[str, Sequence[str]]) -> Recorded[Judgement]:
    """Return the judgement of each response that a judge decides; `responses` holds one to each prompt, by id.

    One of a response with its thought is one of the response.

    Raises:
        ConfigError: there are no such files, files of several models, or no judgement of any of the responses.
        StoreError: a file can't be read, or a line is no such row.
    """
    files = _find_files(folder, "judgements")
    known = {(item.prompt, item.level): item for item in items if not item.rule}
    recorded = Recorded[Judgement](sha256=_digest(files))
    for file in files:
        for number, row in enumerate(read_jsonl(file, RecordedRow), 1):
            place = f"{file.name}, row {number}"
            parts = next((found for form in _ASKED.values() if (found := form.search(row.asked))), None)
            item = known.get((parts[2], int(parts[1]))) if parts else None
            if not parts or not item:
                recorded.unknown.append(f"{place}: a question about no prompt that a judge decides")
            elif not {parts[3], split_reasoning(parts[3]).answer} & set(responses.get(item.id, ())):
                recorded.unknown.append(f"{place}: judges another response to {item.id}")
            elif item.id in recorded.found:
                recorded.duplicates.append(f"{place}: {item.id}")
            else:
                recorded.found[item.id] = read_judgement(row.read()[0].text, item.level)
    if not recorded.found and known:
        raise ConfigError(f"{folder} has no judgement of any of these responses")
    return recorded


def digest_judgements(folder: Path) -> str:
    """Return the SHA-256 over the files of recorded judgements. Raises ConfigError: there are none."""
    return _digest(_find_files(folder, "judgements"))


def _find_files(folder: Path, what: str) -> list[Path]:
    """Return one file of each type that there is one of."""
    files = []
    for kind in TYPES:
        found = sorted(folder.glob(f"*{kind}_constraint.jsonl"))
        if len(found) > 1:
            raise ConfigError(f"{folder} has {what} of several models: {found[0].name} and {found[1].name}")
        files += found
    if not files:
        raise ConfigError(f"{folder} has no {what}: name a folder with files like content_constraint.jsonl")
    return files


def _digest(files: Sequence[Path]) -> str:
    """Return the SHA-256 over all files; one that can't be read is told of where it is read."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes() if file.is_file() else b"")
    return whole.hexdigest()
