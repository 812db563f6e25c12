"""What an evaluation leaves in its folder, written and read back.

scores.json         the scores with their intervals, and everything that they depend on
per_prompt.jsonl    a row a prompt: its id, and what became of each sample
samples.jsonl       what a model answered, from which an interrupted evaluation goes on
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, ValidationError

from autoif.errors import StoreError
from autoif.evaluation.bootstrap import Interval
from autoif.evaluation.responses import ResponseCounts
from autoif.gate import Fault
from autoif.records import Record, Verdict
from autoif.sampling.settings import SamplingSettings
from autoif.store import read_jsonl, storage_errors, write_json, write_jsonl

SCORES, PER_PROMPT, SAMPLES = "scores.json", "per_prompt.jsonl", "samples.jsonl"
Identity = Mapping[str, JsonValue]
"""What the results of a folder belong to, by name."""


class SampleResult(Record):
    """One response to a prompt."""

    verdicts: tuple[Verdict, ...]
    """Of the prompt's functions, in their order; none where there is no answer to judge."""
    accepted: bool
    """Whether more than half of the functions return True (§3.3)."""
    fault: Fault | None
    """Why it would earn nothing in training, whatever its functions say; None if it has no such fault."""
    truncated: bool | None
    """Whether it was cut at the most tokens; None where that was not recorded."""


class PromptResult(Record):
    """A prompt with its samples, in order of their index."""

    id: str
    """Of the prompt's text and functions: the same id, the same question and the same judges."""
    instruction_id: str
    query_id: str
    samples: tuple[SampleResult, ...]

    @property
    def pass_rate(self) -> float:
        """The percentage of samples that are accepted."""
        return 100 * sum(sample.accepted for sample in self.samples) / len(self.samples)

    @property
    def faultless_pass_rate(self) -> float:
        """The percentage of samples that are accepted and have no fault."""
        return 100 * sum(sample.accepted and not sample.fault for sample in self.samples) / len(self.samples)


class Seen(Record):
    """What of the prompts was in training data. All zero, and nothing unknown: they were held out."""

    checked: tuple[str, ...] = ()
    """Training data that was looked at."""
    unknown: tuple[str, ...] = ()
    """Training data that could not be looked at, with the reason."""
    instructions: int = 0
    queries: int = 0
    functions: int = 0

    def describe(self) -> str:
        """Return what this says of the score, in a line."""
        if self.instructions or self.queries or self.functions:
            return (
                f"NOT HELD OUT: {self.instructions} instructions, {self.queries} queries and {self.functions} "
                f"functions of these prompts are in {', '.join(self.checked)}"
            )
        if self.unknown:
            return f"held out is not proven: {'; '.join(self.unknown)}"
        if self.checked:
            return f"held out of {', '.join(self.checked)}: no instruction, query or function in common"
        return "no training data known: nothing to be held out of"


class Scores(Record):
    """scores.json of a pass rate. Scores and their intervals are in percent."""

    metric: Literal["pass_rate"] = "pass_rate"
    model: str
    """As it was named."""
    policy: str
    """What answered: the model's content, and the backend that sampled."""
    data_sha256: str
    prompts: int
    prompts_missing: int
    """Prompts of the data for which no response was recorded: the score is partial if there are any."""
    instructions: int
    responses_per_prompt: int
    sampling: SamplingSettings | None
    """None for recorded responses."""
    keep_thinking: bool
    """Whether responses are judged with their thoughts."""
    pass_rate: Interval
    """Instructions are drawn again: how sure the score is for instructions of this kind. The one to report."""
    pass_rate_by_prompt: Interval
    """Prompts are drawn again: how sure it is for these very instructions and other queries. Narrower."""
    faultless_pass_rate: Interval
    """A sample with a fault of the gate counts as not accepted."""
    faults: dict[Fault, int]
    """Samples with each fault."""
    responses: ResponseCounts
    """Thoughts, refusals and unknown ends of the samples."""
    truncated: float | None
    """Percentage of samples that were cut; None where that was not recorded."""
    undecided: float
    """Percentage of verdicts that are neither pass nor fail: a function that raised, hung or crashed."""
    seen: Seen
    sandbox: str
    versions: dict[str, JsonValue]

    @property
    def identity(self) -> dict[str, JsonValue]:
        """What the results of a folder belong to."""
        return identify(self.policy, self.data_sha256, self.sampling, keep_thinking=self.keep_thinking)


def identify(
    policy: str, data_sha256: str, sampling: SamplingSettings | None, *, keep_thinking: bool
) -> dict[str, JsonValue]:
    """Return what results belong to, by name."""
    settings: dict[str, JsonValue] = sampling.model_dump() if sampling else {}
    return {"policy": policy, "data_sha256": data_sha256, "keep_thinking": keep_thinking, **settings}


def read_scores(folder: Path) -> Scores:
    """Return the scores of an evaluated folder.

    Raises:
        StoreError: it has none, or none that this program wrote.
    """
    path = folder / SCORES
    try:
        return Scores.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise StoreError(f"{folder} holds no finished evaluation: it has no {SCORES}") from None
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "JSON"
        raise StoreError(f"{path} is no scores file of this version ({where}: {problem['msg']})") from None


def read_prompt_results(folder: Path) -> list[PromptResult]:
    """Return the rows of an evaluated folder. Raises StoreError."""
    return read_jsonl(folder / PER_PROMPT, PromptResult)


def write_results(folder: Path, scores: Record, results: Sequence[Record]) -> None:
    """Write both files of any evaluation; scores.json comes last, so that it is there only if all is."""
    write_jsonl(folder / PER_PROMPT, results)
    write_json(folder / SCORES, scores)


def claim_folder(folder: Path, now: Identity, read_there: Callable[[Path], Identity], *, sampled: bool) -> None:
    """Make a folder, or refuse one that holds another evaluation, before anything is sampled or replaced.

    Args:
        folder: where the results are to go.
        now: what they will belong to.
        read_there: reads what those belong to that the folder has.
        sampled: a model is going to be sampled; False for recorded responses.

    Raises:
        StoreError: it holds something else, which is named, or can't be written.
    """
    if not sampled and (folder / SAMPLES).exists():
        raise StoreError(f"{folder} holds samples of a model: choose another --output")
    if (folder / SCORES).exists():
        refuse_other(folder, read_there(folder), now)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def refuse_other(folder: Path, there: Identity, now: Identity) -> None:
    """Raise StoreError if what a folder holds is not what is to be in it; what differs is named."""
    keys = [key for key in {**there, **now} if there.get(key) != now.get(key)]
    if keys:
        differing = ", ".join(f"{key} ({there.get(key)} there, {now.get(key)} now)" for key in keys)
        raise StoreError(f"{folder} holds another evaluation: {differing}; choose another --output")


def name_folders(folders: Sequence[Path]) -> list[str]:
    """Return a name for each folder: as many of the last parts of its path as tell all of them apart."""
    paths = [folder.resolve() for folder in folders]
    for count in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
