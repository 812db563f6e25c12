"""What changed between evaluations of the same prompts: by instruction, and in single answers.

by instruction    groups prompts by instruction (pass rate) or by initial instruction (FollowBench), and verdicts by
                  type (IFEval, IFBench); elsewhere each question is by itself
before and after  the prompts whose first answers differ most, with each model's answer
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from autoif.evaluation.comparison import Evaluated
from autoif.evaluation.results import SAMPLES, Column, PromptResult
from autoif.evaluation.statistics import Interval, bootstrap_difference
from autoif.messages import cut_text
from autoif.reading.jsonl import read_jsonl
from autoif.sampling import Sample

_BY_TYPE = "instruction_strict"
"""The score with a value for each instruction of a prompt."""
_NAMED_CHARS = 160
_ByPrompt = dict[str, list[float]]
"""One model's values for one instruction, by the id of the prompt."""


@dataclass(frozen=True, slots=True)
class InstructionChange:
    """How well each model does on one instruction, and how that differs from the first model."""

    instruction: str
    prompts: int
    values: tuple[float | None, ...]
    """Each model's mean, in the unit of the score; None if it has no value."""
    differences: tuple[Interval | None, ...]
    """Differences to the first model, paired by prompt; None for the first model, and if either has no value."""

    @property
    def size(self) -> float:
        """The mean difference to the first model, which orders the list."""
        return fmean([each.value for each in self.differences if each] or [0.0])


@dataclass(frozen=True, slots=True)
class AnswerOfModel:
    """A model's first answer to a prompt, and the scores of all its answers."""

    text: str | None
    """None if the folder holds no texts, as for recorded responses."""
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class AnswersBeforeAfter:
    """One prompt, answered by each model."""

    prompt: str
    answers: Mapping[str, AnswerOfModel]
    """By the name of the model, in the given order."""
    change: float
    """The last model's mean minus the first's."""


def choose_column(models: Sequence[Evaluated]) -> Column:
    """Return the score whose changes are shown: the one for single instructions if there is one, else the first."""
    columns = models[0].columns
    return next((each for each in columns if each.name == _BY_TYPE), next(c for c in columns if c.shown == "figures"))


def list_changes(models: Sequence[Evaluated], column: Column) -> list[InstructionChange]:
    """Return the values and differences for each instruction: largest gain first, largest loss last."""
    names: dict[str, str] = {}
    groups: dict[str, list[_ByPrompt]] = {}
    for place, model in enumerate(models):
        for row in model.rows.values():
            for key, name, value in _split(row, column):
                names.setdefault(key, name)
                groups.setdefault(key, [{} for _ in models])[place].setdefault(row.id, []).append(value)
    found = [_measure_change(names[key], group) for key, group in groups.items()]
    return sorted(found, key=lambda change: (-change.size, change.instruction))


def list_before_after(models: Mapping[str, Evaluated], column: Column, most: int) -> list[AnswersBeforeAfter]:
    """Return the up to `most` most changed prompts, gains and losses in turn, with every model's first answer.
    Raises StoreError: a file of samples is damaged."""
    first, last = next(iter(models.values())), list(models.values())[-1]
    changes = {id: _compare_answers(row, last.rows[id], column) for id, row in first.rows.items()}
    ordered = sorted(changes, key=lambda id: (changes[id], id))
    in_turn = [id for pair in zip(reversed(ordered), ordered, strict=True) for id in pair]
    chosen = [*dict.fromkeys(in_turn)][:most]
    texts = {name: _read_texts(model, set(chosen)) for name, model in models.items()}
    return [
        AnswersBeforeAfter(
            first.rows[id].prompt or first.rows[id].key,
            {
                name: AnswerOfModel(texts[name].get(id), model.rows[id].scores.get(column.name, ()))
                for name, model in models.items()
            },
            changes[id][1],
        )
        for id in chosen
    ]


def _split(row: PromptResult, column: Column) -> Iterator[tuple[str, str, float]]:
    """Yield (key, name, value) for the instructions of a prompt."""
    values = row.scores.get(column.name, ())
    listed = row.details.get("instructions")
    names = [str(each) for each in listed] if isinstance(listed, list) else []
    if column.name == _BY_TYPE and names:  # response after response, each with its instructions
        for place, value in enumerate(values):
            name = names[place % len(names)]
            yield name, name, value
        return
    name = " + ".join(names) or (row.cluster if row.cluster != row.id else row.prompt or row.key)
    for value in values:
        yield row.cluster, cut_text(name, _NAMED_CHARS), value


def _measure_change(instruction: str, group: Sequence[_ByPrompt]) -> InstructionChange:
    first = group[0]
    values = tuple(fmean([v for some in model.values() for v in some]) if model else None for model in group)
    differences = tuple(
        _difference(first, model) if place and first.keys() == model.keys() and first else None
        for place, model in enumerate(group)
    )
    return InstructionChange(instruction, len(first), values, differences)


def _difference(first: _ByPrompt, second: _ByPrompt) -> Interval:
    """Return the difference of the means over prompts; the bootstrap resamples prompts."""
    ids = list(first)
    before, after = ([fmean(some[id]) for id in ids] for some in (first, second))
    return bootstrap_difference([(before, ids)], [(after, ids)])


def _compare_answers(first: PromptResult, last: PromptResult, column: Column) -> tuple[float, float]:
    """Return the differences between the first answers and between the means of all answers; 0 if one has no value."""
    before, after = first.scores.get(column.name, ()), last.scores.get(column.name, ())
    if not before or not after:
        return 0.0, 0.0
    return after[0] - before[0], fmean(after) - fmean(before)


def _read_texts(model: Evaluated, wanted: set[str]) -> dict[str, str]:
    """Return the text of the first answer to each wanted prompt; empty for recorded responses."""
    path = model.folder / SAMPLES
    if not path.exists():
        return {}
    return {
        sample.prompt_id: sample.text
        for sample in read_jsonl(path, Sample, exact=True)
        if sample.index == 0 and sample.prompt_id in wanted
    }
