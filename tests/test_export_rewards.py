"""Verdict parity: the reward that a trainer computes through its own interface is what `autoif verify` comes to."""

import asyncio
import importlib.util
import inspect
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
from datasets import load_dataset

from autoif import ConfigError
from support.exported_run import ANSWERS, export, rows_of, verdicts_of_rows, verified, write_reward_rows

pytestmark = pytest.mark.filterwarnings("ignore:functions of the reward don't load:RuntimeWarning")
"""One of the rows has a function that doesn't compile."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    verdicts_of_rows()  # by the command, which can't run within the loop that some tests have
    return write_reward_rows(tmp_path_factory.mktemp("data"))


def load(path: Path) -> ModuleType:
    """Load a module as trainers do: from a file, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"exported_{path.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("trainer", ["trl", "axolotl"])
@pytest.mark.parametrize("mode", ["binary", "fraction"])
def test_the_reward_function_for_trl_and_axolotl_agrees(tmp_path, data, trainer, mode):
    folder = export(trainer, tmp_path / trainer, data)
    rows = load_dataset(
        "json", data_files=str(folder / "rl.jsonl"), split="train", cache_dir=str(tmp_path / "cache")
    ).to_list()
    with getattr(load(folder / "autoif_reward.py"), mode) as reward:
        assert len(inspect.signature(reward).parameters) >= 2  # axolotl refuses others
        for number, answer in enumerate(ANSWERS):
            columns = {name: [row[name] for row in rows] for name in rows[0]}  # as TRL's trainers hand them over
            found = reward(completions=[[{"role": "assistant", "content": answer}]] * len(rows), **columns)
            assert found == [row[number] for row in verified(mode)]


def test_axolotl_s_transform_leaves_the_rows_as_they_are(tmp_path, data):
    transform = load(export("axolotl", tmp_path, data) / "autoif_reward.py").as_they_are({}, dataset_idx=0)
    row = rows_of(tmp_path / "rl.jsonl")[0]
    assert transform(row) == row


@pytest.mark.parametrize(("settings", "mode"), [({}, "binary"), ({"mode": "fraction"}, "fraction")])
def test_compute_score_for_verl_agrees_from_many_threads(tmp_path, data, settings, mode):
    folder = export("verl", tmp_path / "verl", data)
    rows = load_dataset(
        "parquet", data_files=str(folder / "rl.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    ).to_list()
    compute_score = load(folder / "autoif_reward.py").compute_score

    def score(row: dict, answer: str) -> float:  # as verl's naive reward managers call it, old and new
        return compute_score(
            data_source=row["data_source"],
            solution_str=answer,
            ground_truth=row["reward_model"]["ground_truth"],
            extra_info={**row["extra_info"], "num_turns": None},
            **settings,
        )

    with ThreadPoolExecutor(4) as threads:
        found = [list(threads.map(score, [row] * len(ANSWERS), ANSWERS)) for row in rows]
    assert found == verified(mode)


# -- open-instruct, by a stand-in: it needs another Python and a GPU's packages

OPEN_INSTRUCT = """
import asyncio
from dataclasses import dataclass


@dataclass
class VerificationResult:
    score: float


class VerifierFunction:
    def __init__(self, name, weight=1.0, verifier_config=None):
        self.name = name

    async def async_call(self, *arguments):
        return await asyncio.get_running_loop().run_in_executor(None, lambda: self(*arguments))
"""


@pytest.fixture
def open_instruct(tmp_path, data, monkeypatch):
    """Export, and return the folder with a stand-in of open_instruct beside it."""
    library = tmp_path / "library" / "open_instruct"
    library.mkdir(parents=True)
    (library / "__init__.py").touch()
    (library / "ground_truth_utils.py").write_text(OPEN_INSTRUCT, encoding="utf-8")
    (library / "grpo_fast.py").write_text(
        "import sys\n"
        "from open_instruct.ground_truth_utils import VerifierFunction\n"
        "print(__name__, sys.argv[1:], [verifier(None).name for verifier in VerifierFunction.__subclasses__()])\n",
        encoding="utf-8",
    )
    return export("open-instruct", tmp_path / "exported", data)


@pytest.mark.parametrize(("remap", "mode"), [("autoif", "binary"), ("autoif_fraction", "fraction")])
async def test_the_verifiers_for_open_instruct_agree(open_instruct, tmp_path, monkeypatch, remap, mode):
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    load(open_instruct / "autoif_verifier.py")
    base = sys.modules["open_instruct.ground_truth_utils"].VerifierFunction
    verifiers = {verifier.name: verifier for verifier in (kind(None) for kind in base.__subclasses__())}
    verifiers["autoif"] = verifiers[remap]
    found = []
    for row in rows_of(open_instruct / "rl.jsonl"):
        calls = [verifiers[row["dataset"]].async_call([], text, row["ground_truth"], None, None) for text in ANSWERS]
        found.append([result.score for result in await asyncio.gather(*calls)])
    for name in [name for name in sys.modules if name.startswith("open_instruct")]:
        del sys.modules[name]
    assert found == verified(mode)


def test_the_launcher_starts_open_instruct_with_the_verifiers_there(open_instruct, tmp_path):
    done = subprocess.run(
        [sys.executable, str(open_instruct / "autoif_grpo.py"), "--seed", "1"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'library'}{os.pathsep}{open_instruct}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "__main__ ['--seed', '1'] ['autoif', 'autoif_fraction']\n", done.stderr


@pytest.mark.parametrize(
    ("source", "truth", "said"),
    [
        ("openai/gsm8k", "[]", "rows of 'openai/gsm8k' have no functions"),
        ("autoif", "[]", "no list of functions"),
        ("autoif", "42", "no list of functions"),
        ("autoif", "def evaluate", "no list of functions"),
    ],
)
def test_verl_is_told_of_rows_that_are_not_of_this_export(source, truth, said):
    from autoif.datasets.exports.verl import compute_score

    with pytest.raises(ConfigError, match=said):
        compute_score(source, "tea", truth)
