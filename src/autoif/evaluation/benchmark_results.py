"""What an evaluation on IFEval or IFBench leaves in its folder: scores.json, and per_prompt.jsonl, a row a prompt."""

from pathlib import Path

from pydantic import JsonValue, ValidationError

from autoif.errors import StoreError
from autoif.evaluation.bootstrap import Interval
from autoif.evaluation.checkers import REVISIONS, Benchmark
from autoif.evaluation.responses import Counted, ResponseCounts
from autoif.evaluation.results import SCORES
from autoif.records import Record
from autoif.sampling.settings import SamplingSettings


class ResponseResult(Record):
    """One response: a verdict for each instruction of its prompt."""

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]
    """Of the best of the response without its first or last line or both, and without `*`."""
    faulty_strict: tuple[str, ...] = ()
    """Instructions whose official verdict a known fault of the checker decided."""
    faulty_loose: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    """Instructions that the official program decides at random; here, always alike."""
    raised: tuple[str, ...] = ()
    """Instructions whose checker raised, which counts as not followed; the official program stops."""
    empty: bool
    truncated: bool | None
    """Whether it was cut at the most tokens; None where that was not recorded."""


class QuestionResult(Record):
    """A prompt with its responses, in order."""

    id: str
    """Of the prompt, its instructions and their arguments."""
    key: str
    instruction_id_list: tuple[str, ...]
    responses: tuple[ResponseResult, ...]


class TypeScore(Record):
    """The accuracy of one type of instruction, in percent."""

    instructions: int
    """With each response counted."""
    strict: float
    loose: float


class FaultCount(Record):
    """A fault of an official checker, and how many verdicts it decided here."""

    fault: str
    strict: int
    loose: int


class BenchmarkScores(Record):
    """scores.json of IFEval and IFBench. Scores and their intervals are in percent."""

    metric: Benchmark
    model: str
    """As it was named."""
    policy: str
    """What answered: the model's content, and the backend that sampled."""
    data: str
    """Which official data set the prompts are, or that they are none."""
    data_id: str
    checkers: str = REVISIONS["2025"]
    """Which official checkers judged; the default is what judged before this was told."""
    corrected: bool
    """Whether the verdicts are those without the known faults; else they are the official program's."""
    keep_thinking: bool
    """Whether responses are judged with their thoughts."""
    prompts: int
    """That are scored."""
    prompts_of_benchmark: int
    partial: bool
    """Whether fewer prompts are scored than the benchmark has."""
    responses_per_prompt: int
    sampling: SamplingSettings | None
    """None for recorded responses."""
    prompt_strict: Interval
    """Prompts all of whose instructions are followed. Intervals draw prompts again, with all that they hold."""
    prompt_loose: Interval
    instruction_strict: Interval
    instruction_loose: Interval
    instruction_types: dict[str, TypeScore]
    missing: Counted
    """Prompts without a response: not scored."""
    unknown: Counted
    """Responses to prompts that the data doesn't have: not scored."""
    duplicates: Counted
    """Responses beyond as many as every prompt has: not scored."""
    responses: ResponseCounts
    """Thoughts, refusals and unknown ends of those that are scored."""
    empty: Counted
    """Responses without text: no instruction is followed, as in the official program."""
    truncated: Counted | None
    """Responses that were cut; None where that was not recorded."""
    unjudgeable: Counted
    """Prompts whose data lacks an argument: not scored."""
    drawn: Counted
    """Instructions that the official program decides at random."""
    raised: Counted
    """Verdicts at which a checker raised, or was ended as it took too long."""
    faults: dict[str, FaultCount]
    """Known faults of the official checkers, and how many verdicts each decided; where `corrected`, would have."""
    versions: dict[str, JsonValue]

    @property
    def revision(self) -> dict[str, JsonValue]:
        """Which checkers judged, of IFBench; IFEval's are the same in every revision."""
        return {"checkers": self.checkers} if self.metric == "ifbench" else {}

    @property
    def identity(self) -> dict[str, JsonValue]:
        """What the results of a folder belong to."""
        settings: dict[str, JsonValue] = self.sampling.model_dump() if self.sampling else {}
        return {
            "metric": self.metric, "policy": self.policy, "data_id": self.data_id, "corrected": self.corrected,
            "keep_thinking": self.keep_thinking, **self.revision, **settings,
        }  # fmt: skip


def read_benchmark_scores(folder: Path) -> BenchmarkScores:
    """Return the scores of a folder that was evaluated on a benchmark.

    Raises:
        StoreError: it has none, or others.
    """
    path = folder / SCORES
    try:
        return BenchmarkScores.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from None
    except ValidationError:
        raise StoreError(f"{path} holds no scores of IFEval or IFBench of this version") from None
