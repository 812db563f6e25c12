"""lm-eval's own definitions of the four benchmarks, applied to the questions that we choose.

Prompts, examples, stops, filters and metrics are lm-eval's. Two things are ours: the data, which we pass in so that
lm-eval touches no file and no network; and HumanEval's metric, as lm-eval's would download a program and run code
outside a sandbox.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from autoif.evaluation.general.files import Rows, TaskName
from autoif.sampling.quiet import keep_quiet

_PLACES: dict[TaskName, str] = {"gsm8k": "gsm8k", "mmlu": "mmlu/default", "humaneval": "humaneval", "ceval": "ceval"}
_EXAMPLES_SEED = 1234
"""The seed of lm-eval's own command, which determines the examples before a question of GSM8K."""
_ANSWER_TOKENS = 256
"""lm-eval's default, for tasks that don't set a number."""
Requests = Mapping[str, Sequence[Any]]
"""lm-eval's requests for each question, by its id."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One task of lm-eval: a benchmark, or one subject of it."""

    name: str
    config: dict[str, Any]

    @property
    def compares_choices(self) -> bool:
        """Whether the answer is the likeliest of the given choices, so that nothing is generated."""
        return bool(self.config["output_type"] == "multiple_choice")

    @property
    def subject(self) -> str:
        return str(self.config.get("dataset_name")) if self.compares_choices else ""

    @property
    def split(self) -> str:
        return str(self.config.get("test_split") or self.config["validation_split"])

    @property
    def example_split(self) -> str | None:
        return self.config.get("fewshot_split")

    @property
    def shots(self) -> int:
        return int(self.config.get("num_fewshot") or 0)

    @property
    def answer_tokens(self) -> int:
        """Most tokens of an answer; meaningless for multiple choice."""
        return int(self.config.get("generation_kwargs", {}).get("max_gen_toks", _ANSWER_TOKENS))


def load_definitions(task: TaskName, *, chat: bool) -> tuple[Definition, ...]:
    """Return lm-eval's definitions of a benchmark, one for each subject; `chat` chooses those for chat models."""
    from lm_eval.tasks import TaskManager

    place = str(files("lm_eval") / "tasks" / _PLACES[task])
    with keep_quiet():
        index = TaskManager(include_path=place, include_defaults=False).task_index
    if task in ("mmlu", "ceval"):
        names = sorted(name for name, entry in index.items() if entry.cfg and "dataset_name" in entry.cfg)
    else:
        names = ["humaneval_instruct" if chat and task == "humaneval" else task]
    return tuple(Definition(name, {**index[name].cfg}) for name in names)


def build_task(definition: Definition, rows: Rows, examples: Rows, changes: dict[str, Any]) -> Any:
    """Return lm-eval's task on these questions, with some changes to its definition."""
    import datasets
    from lm_eval.api.task import ConfigurableTask

    parts = {definition.split: rows, **({definition.example_split: examples} if definition.example_split else {})}
    config = {key: value for key, value in definition.config.items() if key not in {"tag", "group"}}
    config |= {"num_fewshot": definition.shots, **changes}
    config["custom_dataset"] = lambda **_: {name: datasets.Dataset.from_list(some) for name, some in parts.items()}
    if config.pop("unsafe_code", False):
        # Instead of HumanEval's own metric: its programs are judged in the sandbox.
        config |= {"filter_list": None, "process_results": lambda doc, results: {}, "metric_list": [_UNJUDGED]}
    with keep_quiet():
        task = ConfigurableTask(config=config)
    task.set_fewshot_seed(_EXAMPLES_SEED)
    return task


def build_requests(task: Any, chat_template: Any) -> list[list[Any]]:
    """Return the requests for each question, in order: a text to continue, or choices to compare."""
    with keep_quiet():
        task.build_all_requests(
            apply_chat_template=chat_template is not None, fewshot_as_multiturn=True, chat_template=chat_template
        )
    requests: dict[int, list[Any]] = {}
    for instance in task.instances:
        requests.setdefault(instance.doc_id, []).append(instance)
    return [sorted(some, key=lambda each: each.idx) for some in requests.values()]


@dataclass(frozen=True, slots=True)
class LmTask:
    """lm-eval's task of one subject, and its requests by the id of their question."""

    definition: Definition
    task: Any
    requests: Requests

    def judge(self, answers: Mapping[str, str]) -> dict[str, dict[str, bool]]:
        """Return lm-eval's verdicts on each answer, by metric and, if the task has several, filter."""
        for key, instances in self.requests.items():
            self._set_answer(instances, answers.get(key, ""))  # lm-eval needs an answer to each question
        self.task.apply_filters()
        return {key: self._judge_one(some) for key, some in self.requests.items() if key in answers}

    def _set_answer(self, instances: Sequence[Any], answer: str) -> None:
        """Store an answer in its requests: a text up to its stop, or the log-likelihood of each choice, from JSON."""
        if self.definition.compares_choices:
            for instance, likelihood in zip(instances, json.loads(answer), strict=True):
                instance.resps.append(tuple(likelihood))
            return
        for stop in self.definition.config["generation_kwargs"]["until"]:
            answer = answer.split(stop, maxsplit=1)[0]  # an endpoint was not told where to stop
        instances[0].resps.append(answer)

    def _judge_one(self, instances: Sequence[Any]) -> dict[str, bool]:
        found: dict[str, bool] = {}
        for name in instances[0].filtered_resps:
            results = self.task.process_results(instances[0].doc, [each.filtered_resps[name] for each in instances])
            found |= {
                metric if name == "none" else f"{metric}, {name}": bool(value == 1) for metric, value in results.items()
            }
        return found


_UNJUDGED = {"metric": "unjudged", "aggregation": "mean", "higher_is_better": True}
