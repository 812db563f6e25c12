"""Verdict parity: the reward that a trainer computes through its own interface is what `autoif verify` comes to."""

import importlib.util
import inspect
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
from datasets import load_dataset

from autoif import ConfigError
from exporting import ANSWERS, export, rows_of, verified, write_reward_rows


@pytest.fixture(scope="module")
def data(tmp_path_factory):
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


@pytest.mark.parametrize(
    ("source", "truth", "said"),
    [
        ("openai/gsm8k", "[]", "rows of 'openai/gsm8k' have no functions"),
        ("autoif", "[]", "without functions"),
        ("autoif", "42", "no list of functions"),
        ("autoif", "def evaluate", "no list of functions"),
    ],
)
def test_verl_is_told_of_rows_that_are_not_of_this_export(source, truth, said):
    from autoif.datasets.exports.verl import compute_score

    with pytest.raises(ConfigError, match=said):
        compute_score(source, "tea", truth)
