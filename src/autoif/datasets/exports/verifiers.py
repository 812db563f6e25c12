"""verifiers: an environment package that contains the prompts, for `pip install -e` and for the hub of verifiers.

The library has two interfaces. Since 0.3, an environment is a taskset (`verifiers.v1`), whose tasks reward their
traces. Before, it was a function `load_environment`, which 0.4 no longer supports. The package has both. Both judge a
reply as the model wrote it, and don't use `Trace.last_reply`, which strips whitespace that a function may look for.
"""

import json
from pathlib import Path

from autoif.datasets.exports.files import RowTable, TextFile, make_files
from autoif.datasets.exports.ground_truth import group_functions
from autoif.datasets.rows import Columns, RewardRow, RowSets, name_instructions

PACKAGE = "autoif_instructions"
PROMPTS = "prompts.jsonl"

PROJECT = """\
[project]
name = "autoif-instructions"
version = "0.1.0"
description = "Instructions that code verifies: single turn, rewarded by running each row's functions in a sandbox"
requires-python = ">=3.11"
dependencies = ["autoif", "datasets", "verifiers"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["autoif_instructions"]
"""

INIT = '''\
"""Instructions that code verifies: `InstructionTaskset` for verifiers >= 0.3, `load_environment` before that."""

from importlib.util import find_spec

from autoif_instructions.environment import load_environment

__all__ = ["load_environment"]

if find_spec("verifiers.v1"):
    from autoif_instructions.taskset import InstructionTaskset

    __all__ += ["InstructionTaskset"]
'''

TASKSET = '''\
"""A task for each row of prompts.jsonl: one turn, rewarded by the row's functions."""

from typing import Literal

import verifiers.v1 as vf

from autoif.datasets.exports.ground_truth import reward_of
from autoif.datasets.exports.verifiers import read_prompts


class InstructionData(vf.TaskData):
    functions: list[list[str]]
    """The sources of each constraint's functions, which judge the reply."""
    instruction_id: str
    query_id: str


class InstructionTaskConfig(vf.TaskConfig):
    mode: Literal["binary", "fraction"] = "binary"
    """1 where more than half of each constraint's functions pass, else 0; or the share of all that pass."""


class InstructionTask(vf.Task[InstructionData, vf.State, InstructionTaskConfig]):
    @vf.stop
    async def single_turn(self, trace: vf.Trace) -> bool:
        return trace.num_turns >= 1

    @vf.reward(weight=1.0)
    async def verification(self, trace: vf.Trace) -> float:
        replies = [message.content or "" for message in trace.assistant_messages]
        [reward] = await reward_of(self.config.mode).verify(replies[-1:] or [""], functions=[self.data.functions])
        return reward


class InstructionConfig(vf.TasksetConfig):
    task: InstructionTaskConfig = InstructionTaskConfig()


class InstructionTaskset(vf.Taskset[InstructionTask, InstructionConfig]):
    def load(self) -> list[InstructionTask]:
        return [
            InstructionTask(InstructionData(idx=number, **row), self.config.task)
            for number, row in enumerate(read_prompts(__file__))
        ]
'''

ENVIRONMENT = '''\
"""The environment for verifiers before 0.4."""

from autoif.datasets.exports.verifiers import read_prompts
from autoif.reward import VerificationReward


def load_environment(mode: str = "binary"):
    """Return the SingleTurnEnv; `mode` is "binary" or "fraction"."""
    import verifiers as vf
    from datasets import Dataset

    reward = VerificationReward(mode, gate=False)
    # The rubric takes an exception for a reward of 0: where there is no sandbox, fail here and not there.
    reward([""], functions=[["def evaluate(response):\\n    return True"]])

    async def verification(completion, info) -> float:
        text = completion if isinstance(completion, str) else completion[-1]["content"] or ""
        [found] = await reward.verify([text], functions=[info["functions"]])
        return found

    rows = [
        {"prompt": [{"role": "user", "content": row.pop("prompt")}], "info": row} for row in read_prompts(__file__)
    ]
    return vf.SingleTurnEnv(dataset=Dataset.from_list(rows), rubric=vf.Rubric(funcs=[verification]))
'''


def export(rows: RowSets) -> list[RowTable | TextFile]:
    """Return the files of the package, with the prompts and their functions."""
    modules = {"__init__": INIT, "taskset": TASKSET, "environment": ENVIRONMENT}
    texts = (TextFile(f"{PACKAGE}/{name}.py", text) for name, text in modules.items())
    return make_files(f"{PACKAGE}/{PROMPTS}", rl_row, rows.rewards, TextFile("pyproject.toml", PROJECT), *texts)


def rl_row(row: RewardRow) -> Columns:
    """Return the fields of a task."""
    return {
        "prompt": row.prompt[0].content,
        "functions": group_functions(row),
        "instruction_id": name_instructions(row),
        "query_id": row.query_id,
    }


def read_prompts(module: str) -> list[Columns]:
    """Return the rows of prompts.jsonl, which lies beside this module of the package."""
    text = Path(module).with_name(PROMPTS).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
