"""What the tests of evaluation share: prompts with functions, answers to them, evaluated folders."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from autoif.evaluation.benchmark import Subject, evaluate, take_recorded
from autoif.evaluation.pass_rate import load_benchmark, read_prompts
from autoif.evaluation.provenance import Seen
from autoif.evaluation.results import Scores
from autoif.models.requests import Completion
from autoif.records import content_id
from autoif.sampling import Draw, SamplingSettings
from autoif.sandbox import Sandbox
from support.records import accepts
from support.training_data import write_rows

INSTRUCTIONS = ("tea", "milk", "water")
SETTINGS = SamplingSettings(responses=4, max_tokens=8, batch_size=5)


def reward_row(word: str, query: int, functions: Sequence[str] = ()) -> dict:
    """Return a prompt that asks for a word, judged by whether the answer has it unless functions are given."""
    asked = f"What is question {query} about?"
    return {
        "prompt": [{"role": "user", "content": f"{asked} Use the word {word}."}],
        "constraints": [
            {
                "instruction_id": content_id("instruction", word),
                "instruction": f"Use the word {word}.",
                "functions": list(functions or [accepts(word)]),
            }
        ],
        "query_id": content_id("query", asked),
        "query": asked,
    }


def write_prompts(folder: Path, words: Sequence[str] = INSTRUCTIONS, queries: int = 2) -> Path:
    return write_rows(
        folder / "rewards.jsonl", *(reward_row(word, query) for word in words for query in range(queries))
    )


class ScriptedSampler:
    """Answers a row by a script; see `autoif.sampling.Sampler`."""

    batch_size = 5

    def __init__(self, script: Callable[[Draw], Completion | str]) -> None:
        self._script = script

    def sample(self, rows: Sequence[Draw]) -> list[Completion]:
        answers = [self._script(row) for row in rows]
        return [answer if isinstance(answer, Completion) else Completion(answer, "stop") for answer in answers]

    @contextmanager
    def open(self) -> Iterator["ScriptedSampler"]:
        yield self


def measure(
    data: Path, folder: Path, sandbox: Sandbox, script: Callable[[Draw], Completion | str], settings=SETTINGS
) -> Scores:  # fmt: skip
    """Evaluate a scripted model, whose identity is the script's name."""
    subject = Subject("scripted", f"{script.__name__}, transformers", settings, ScriptedSampler(script).open)
    return evaluate(load_benchmark(read_prompts(data), Seen(), sandbox, print), subject, folder, print)


def measure_texts(data: Path, folder: Path, sandbox: Sandbox, *rows: dict, seen: Seen | None = None) -> Scores:
    """Evaluate recorded responses."""
    responses = write_rows(folder.with_name(f"{folder.name}.jsonl"), *rows)
    return evaluate(
        load_benchmark(read_prompts(data), seen or Seen(), sandbox, print), take_recorded(responses), folder, print
    )


def right(row: Draw) -> str:
    """Answer with the word that is asked for."""
    word = row.prompt.messages[0]["content"].split()[-1].rstrip(".")
    return f"You could look for it under {word}, I think."


def wrong(row: Draw) -> str:
    return "There is nothing to be said about that."


def half(row: Draw) -> str:
    return right(row) if row.index % 2 else wrong(row)
