"""The environment package for verifiers, rewarded as its two interfaces reward a rollout.

The newer one is asked in tests/test_export_trainers.py, by the package itself: `STAND_IN_V1` is here for replies that
are missing. `STAND_IN_V0` calls the exported code as `Rubric.score_rollout` of verifiers 0.3.1 does.
"""

import importlib
import sys
import tomllib
from pathlib import Path

import pytest

from autoif.errors import SandboxError
from autoif.reward import VerificationReward
from support.exported_run import ANSWERS, export, reward_rows, verdicts_of_rows, verified, write_reward_rows

pytestmark = pytest.mark.filterwarnings("ignore:functions of the reward don't load:RuntimeWarning")
"""One of the rows has a function that doesn't compile."""


@pytest.fixture(scope="module", autouse=True)
def judged() -> None:
    """Have the command judge before a test has a loop of its own, in which it can't."""
    verdicts_of_rows()


STAND_IN_V1 = """
from typing import Generic, TypeVar
from pydantic import BaseModel

Data, State_, Config, Task_ = TypeVar("Data"), TypeVar("State_"), TypeVar("Config"), TypeVar("Task_")


class TaskData(BaseModel):
    idx: int | None = None
    prompt: str | None = None


class TaskConfig(BaseModel): ...
class State(BaseModel): ...


class TasksetConfig(BaseModel):
    id: str = ""


class Trace:
    def __init__(self, *contents):
        self.assistant_messages = [type("Message", (), {"content": content}) for content in contents]
        self.num_turns = len(contents)


def stop(function):
    return function


def reward(weight):
    def mark(function):
        function._vf_weight = weight
        return function

    return mark


class Task(Generic[Data, State_, Config]):
    def __init__(self, data, config):
        self.data, self.config = data, config


class Taskset(Generic[Task_, Config]):
    def __init__(self, config):
        self.config = config
"""

STAND_IN_V0 = """
class Rubric:
    def __init__(self, funcs):
        [self.function] = funcs


class SingleTurnEnv:
    def __init__(self, dataset, rubric):
        self.dataset, self.rubric = dataset, rubric
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Export, put the package on the path, and return what imports it anew beside a stand-in."""
    folder = export("verifiers", tmp_path / "exported", write_reward_rows(tmp_path))
    monkeypatch.syspath_prepend(str(folder))

    def load(version: str):
        library = tmp_path / version / "verifiers"
        library.mkdir(parents=True)
        (library / "__init__.py").write_text(STAND_IN_V0 if version == "v0" else "", encoding="utf-8")
        if version == "v1":
            (library / "v1.py").write_text(STAND_IN_V1, encoding="utf-8")
        monkeypatch.syspath_prepend(str(library.parent))
        importlib.invalidate_caches()
        return importlib.import_module("autoif_instructions")

    yield load
    for name in [name for name in sys.modules if name.split(".")[0] in ("verifiers", "autoif_instructions")]:
        del sys.modules[name]


async def test_a_task_takes_one_turn_and_judges_no_answer_as_an_empty_one(package):
    module = package("v1")
    [task, *_] = module.InstructionTaskset(sys.modules["autoif_instructions.taskset"].InstructionConfig()).load()
    trace = sys.modules["verifiers.v1"].Trace
    assert [await task.single_turn(trace(*turns)) for turns in ([], ["tea"])] == [False, True]
    empty = verified("binary")[0][ANSWERS.index("")]
    assert [await task.verification(trace(*turns)) for turns in ([], [None], [""])] == [empty] * 3


@pytest.mark.parametrize("mode", ["binary", "fraction"])
async def test_the_environment_of_older_versions_rewards_alike(package, mode):
    module = package("v0")
    assert module.__all__ == ["load_environment"]
    environment = module.load_environment(mode=mode)
    rows = environment.dataset.to_list()
    assert [row["prompt"] for row in rows] == [row["prompt"] for row in reward_rows()]
    score = environment.rubric.function
    found = [
        [await score(completion=[{"role": "assistant", "content": answer}], info=row["info"]) for answer in ANSWERS]
        for row in rows
    ]
    assert found == verified(mode)
    assert await score(completion=ANSWERS[1], info=rows[0]["info"]) == verified(mode)[0][1]


def test_without_a_sandbox_no_environment_is_made(package, monkeypatch):
    module = package("v0")

    def refuse(self, completions, **columns):
        raise SandboxError("no sandbox here")

    monkeypatch.setattr(VerificationReward, "__call__", refuse)
    with pytest.raises(SandboxError):
        module.load_environment()


def test_the_package_can_be_installed_under_the_name_that_verifiers_looks_for(tmp_path):
    folder = export("verifiers", tmp_path)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    module = project["project"]["name"].replace("-", "_")
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [module]
    assert {path.name for path in (folder / module).iterdir()} == {
        "__init__.py",
        "environment.py",
        "prompts.jsonl",
        "taskset.py",
    }
    assert {"autoif", "verifiers"} <= set(project["project"]["dependencies"])
    assert Path(folder / module / "prompts.jsonl").stat().st_size > 0
