"""The prompts of IFEval and IFBench, from a file in the benchmarks' own format or from the hub."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, model_validator

from autoif.benchmark_wordings import TITLES, Suite, load_wordings
from autoif.errors import ConfigError
from autoif.evaluation.hub import fetch_rows, refuse_twins
from autoif.reading.jsonl import read_jsonl
from autoif.records import ForeignRow, content_id

INSTRUCTIONS = {suite: frozenset(words) for suite, words in load_wordings().items()}
"""The types of instruction of each benchmark."""
SIZES: dict[Suite, int] = {"ifeval": 541, "ifbench": 300}
"""Prompts of the whole benchmark."""
_HUB: dict[Suite, str] = {"ifeval": "google/IFEval", "ifbench": "allenai/IFBench_test"}
_VERSIONS = {
    "6d529ffa7df15ffd": "IFEval of November 2023",
    "8ac9012c2527ba04": "IFEval of December 2023",
    "7512c69277eeb392": "IFEval of June 2024",
    "640a77c3fbc66284": "IFBench",
}
"""Official data sets by the hash of their content."""


_Arguments = Annotated[
    dict[str, JsonValue], AfterValidator(lambda given: {key: each for key, each in given.items() if each is not None})
]


class Question(ForeignRow):
    """A prompt with its instructions, as in both benchmarks' files."""

    key: Annotated[str, Field(coerce_numbers_to_str=True)]
    prompt: str
    instruction_id_list: tuple[str, ...]
    kwargs: tuple[_Arguments, ...]
    """The arguments of each instruction; those that are None are left out."""

    @model_validator(mode="after")
    def _check_length(self) -> "Question":
        if not self.instruction_id_list or len(self.instruction_id_list) != len(self.kwargs):
            raise ValueError("instruction_id_list and kwargs must name as many instructions, one or more")
        return self

    @property
    def instructions(self) -> list[tuple[str, dict[str, JsonValue]]]:
        return list(zip(self.instruction_id_list, self.kwargs, strict=True))

    @property
    def id(self) -> str:
        """Hash of the prompt and its checks."""
        arguments: list[JsonValue] = [plain_arguments(each) for each in self.kwargs]
        return content_id("benchmark prompt", self.prompt, list(self.instruction_id_list), arguments)


def plain_arguments(arguments: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return an instruction's arguments with whole numbers as int: some releases have 5.0 where others have 5."""
    return {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in arguments.items()
    }


@dataclass(frozen=True, slots=True)
class Questions:
    """A benchmark, or a part of one."""

    suite: Suite
    rows: tuple[Question, ...]

    @property
    def id(self) -> str:
        """Hash of the content, independent of the order."""
        return content_id(*sorted(row.id for row in self.rows))

    @property
    def version(self) -> str:
        """The name of the official data set, or a note that it is none."""
        return _VERSIONS.get(self.id, f"no official {TITLES[self.suite]} data set that is known")


def read_questions(suite: Suite, file: Path | None) -> Questions:
    """Read a benchmark's file, or fetch the official data set if no file is named.
    Raises ConfigError: the file holds something else or a prompt twice, or the data set can't be fetched."""
    instead = "a file of prompts by --data"
    rows = read_jsonl(file, Question) if file else fetch_rows(_HUB[suite], instead, Question.model_validate)
    source = str(file) if file else _HUB[suite]
    if not rows:
        raise ConfigError(f"{source} has no prompts")
    for row in rows:
        for name in row.instruction_id_list:
            if name not in INSTRUCTIONS[suite]:
                others = [TITLES[other] for other, names in INSTRUCTIONS.items() if name in names]
                belongs = f": it is of {others[0]}" if others else ""
                raise ConfigError(f"{source} is no {TITLES[suite]} data: prompt {row.key} asks for {name}{belongs}")
    refuse_twins(source, "prompt", (row.prompt for row in rows))
    refuse_twins(source, "key", (row.key for row in rows))
    return Questions(suite, tuple(rows))
