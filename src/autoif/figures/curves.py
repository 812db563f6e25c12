"""Logged metrics of trained folders, read from metrics.jsonl and put side by side for `autoif plot` and the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoif.errors import ConfigError
from autoif.messages import name_folders
from autoif.training.card import METRICS, Row, read_metrics, read_record


@dataclass(frozen=True, slots=True)
class LoggedMetric:
    """A metric that a training logs."""

    name: str
    """Its name in metrics.jsonl; with the prefix `eval_` for its value on --eval-data."""
    title: str
    axis: str
    """Label of the axis: what the numbers are, in plain words."""


LOGGED = (
    LoggedMetric("loss", "loss", "loss"),
    LoggedMetric("mean_token_accuracy", "token accuracy", "share of tokens predicted right"),
    LoggedMetric("rewards/margins", "DPO margin", "reward of chosen minus rejected"),
    LoggedMetric("rewards/accuracies", "DPO accuracy", "share of pairs ranked right"),
    LoggedMetric("reward", "reward", "mean reward of the completions"),
    LoggedMetric("completions/mean_length", "tokens of a completion", "mean number of tokens"),
    LoggedMetric("learning_rate", "learning rate", "learning rate"),
)
"""The metrics shown, in this order, if a training has them."""
_LOSSES = {"sft": "SFT loss", "dpo": "DPO loss", "online-dpo": "DPO loss", "grpo": "GRPO loss"}
"""Titles by kind of training: losses of different methods are different quantities, so each has its own panel."""


@dataclass(frozen=True, slots=True)
class Training:
    """The logged metrics of a trained folder."""

    name: str
    kind: str | None
    """From training.json; None if there is none."""
    rows: list[Row]
    place: int
    """Index among the given folders."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of one training over its steps."""

    training: Training
    key: str
    """Name in metrics.jsonl."""
    points: tuple[tuple[float, float], ...]
    """Pairs of step and value; at least one."""

    @property
    def on_evaluation_data(self) -> bool:
        return self.key.startswith("eval_")

    @property
    def label(self) -> str:
        return f"{self.training.name}, evaluation data" if self.on_evaluation_data else self.training.name


@dataclass(frozen=True, slots=True)
class CurvePanel:
    """The curves of one metric, in the order of the folders."""

    title: str
    metric: LoggedMetric
    curves: tuple[Curve, ...]


def read_trainings(folders: Sequence[Path]) -> list[Training]:
    """Return the logged metrics of trained folders, in the given order. Raises ConfigError: a folder has no metrics."""
    return [
        Training(name, (read_record(folder) or {}).get("kind"), read_steps(folder), place)
        for place, (name, folder) in enumerate(zip(name_folders(folders), folders, strict=True))
    ]


def read_steps(folder: Path) -> list[Row]:
    """Return the logged rows of a trained folder. In a training of several rounds, steps are counted across rounds.

    Raises ConfigError if the folder has none.
    """
    if not (folder / METRICS).exists():
        raise ConfigError(f"{folder} has no {METRICS}: name a folder that `autoif train` made")
    rows: list[Row] = []
    done = last = 0
    for row in read_metrics(folder):
        if rows and row.get("round") != rows[-1].get("round"):
            done += last
        last = row["step"]
        rows.append({**row, "step": done + last})
    return rows


def arrange_curves(trainings: Sequence[Training]) -> list[CurvePanel]:
    """Return a panel for each logged metric. Losses of different methods have separate panels."""
    panels: dict[str, tuple[LoggedMetric, list[Curve]]] = {}
    for metric in LOGGED:
        for training in trainings:
            title = _LOSSES.get(training.kind or "", metric.title) if metric.name == "loss" else metric.title
            for key in (metric.name, f"eval_{metric.name}"):
                if points := tuple((row["step"], row[key]) for row in training.rows if row.get(key) is not None):
                    panels.setdefault(title, (metric, []))[1].append(Curve(training, key, points))
    return [CurvePanel(title, metric, tuple(curves)) for title, (metric, curves) in panels.items()]
