"""The prompts of benchmarks: IFEval, IFBench, FollowBench, and your own files of prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoif.benchmark_wordings import Suite
from autoif.errors import ConfigError
from autoif.evaluation.followbench.data import fetch_items, read_items
from autoif.evaluation.ifeval_ifbench.data import read_questions
from autoif.reading.jsonl import read_jsonl
from autoif.records import ForeignRow

BENCHMARKS = ("ifeval", "followbench", "ifbench")
_WITH_INSTRUCTIONS: dict[str, Suite] = {"ifeval": "ifeval", "ifbench": "ifbench"}


@dataclass(frozen=True, slots=True)
class BenchmarkPrompt:
    """One prompt of a benchmark."""

    benchmark: str
    id: str
    """Its key in the benchmark; in a user's own file, the number of its row."""
    text: str
    instructions: tuple[str, ...] = ()
    """The types of its constraints, if the benchmark names them."""


class PromptRow(ForeignRow):
    """A row of a user's own file."""

    prompt: str


def read_prompts(names: Sequence[str], data: Mapping[str, Path]) -> list[BenchmarkPrompt]:
    """Return the prompts of benchmarks.

    Args:
        names: of benchmarks, each once.
        data: files by benchmark. FollowBench's is a folder; the file of an unknown name holds rows {"prompt"}.
            Benchmarks without a file are fetched.

    Raises:
        ConfigError: an unknown benchmark has no file, a file holds something else, or a data set can't be fetched.
    """
    if stray := [name for name in data if name not in names]:
        raise ConfigError(f"--data names {stray[0]}, which --against leaves out: add it there, or leave it out here")
    if unknown := [name for name in names if name not in (*BENCHMARKS, *data)]:
        raise ConfigError(
            f"no benchmark is called {unknown[0]!r}: choose of {', '.join(BENCHMARKS)}, or give its prompts with "
            f"--data {unknown[0]}=FILE.jsonl"
        )
    return [prompt for name in dict.fromkeys(names) for prompt in _read(name, data.get(name))]


def _read(name: str, path: Path | None) -> list[BenchmarkPrompt]:
    if name in _WITH_INSTRUCTIONS:
        questions = read_questions(_WITH_INSTRUCTIONS[name], path).rows
        return [BenchmarkPrompt(name, row.key, row.prompt, row.instruction_id_list) for row in questions]
    if name == "followbench":
        benchmark = read_items(path) if path else fetch_items("en")
        return [BenchmarkPrompt(name, item.id, item.prompt) for item in benchmark.items]
    assert path
    rows = read_jsonl(path, PromptRow)
    if not rows:
        raise ConfigError(f"{path} has no prompts")
    return [BenchmarkPrompt(name, str(number), row.prompt) for number, row in enumerate(rows, 1)]
