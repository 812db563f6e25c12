"""Iterative online DPO on a real, tiny model: real sampling, the real sandbox, real DPO."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import TrainerCallback

from autoif.errors import ConfigError, ModelError, SandboxError, StoreError
from autoif.training.online_dpo import train_online
from support.online_dpo import ANY, NONE, SPLITS, make_online_request, reward_row, write_place
from support.tiny_model import write_tiny_model
from support.trained_folders import metrics_of, same_weights
from support.training_data import preference_rows, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return write_place(tmp_path_factory.mktemp("online"))


@pytest.fixture(scope="module")
def trained(place) -> tuple[Path, dict, list[str]]:
    said: list[str] = []
    record = train_online(make_online_request(place, place / "trained"), said.append)
    return place / "trained", record, said


def lines_of(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_every_round_keeps_samples_verdicts_pairs_and_a_trained_folder(trained):
    folder, record, _ = trained
    for number in (1, 2):
        step = folder / f"round-{number}"
        samples, verdicts = lines_of(step / "samples.jsonl"), lines_of(step / "verdicts.jsonl")
        assert len(samples) == len(verdicts) == 8 * 6
        for sample, found in zip(samples, verdicts, strict=True):
            if found["verdicts"][:1] == ["pass"] and len(found["verdicts"]) == 2:
                assert len(sample["text"]) % 2 == 0
        for pair in lines_of(step / "preferences.jsonl"):
            chosen, rejected = pair["chosen"][0]["content"], pair["rejected"][0]["content"]
            assert (len(chosen) % 2, len(rejected) % 2) == (0, 1)
            assert (pair["level"], pair["constraints"][0]["functions"]) == ("query", SPLITS)
        card = json.loads((step / "model" / "training.json").read_text("utf-8"))
        assert (card["kind"], card["data"]["rows"]) == ("dpo", record["rounds"][number - 1]["pairs"])
        assert (step / "model" / "model.safetensors").is_file()
        assert not [*(step / "model").glob("checkpoint-*")], "an optimiser that nobody goes on from"


def test_the_counts_of_prompts_add_up(trained):
    _, record, said = trained
    for row in record["rounds"]:
        without = row["all_pass"] + row["all_fail"] + row["neither"] + row["unfinished"]
        assert row["paired"] + without == row["prompts"] == 8
        assert row["all_pass"] >= 1
        assert row["all_fail"] >= 1
        assert row["truncated"] > 0
        assert row["paired"] == row["pairs"] >= 3
    assert "1 of the 9 prompts are copies and left out" in said
    assert any(line.startswith("round 2: ") and "8 prompts (" in line for line in said)


def test_each_round_begins_with_the_model_of_the_one_before(place, trained):
    folder, record, _ = trained
    begun = [
        json.loads((folder / f"round-{number}/model/training.json").read_text("utf-8"))["model"]["name"]
        for number in (1, 2)
    ]
    assert begun == [str(place / "model"), str(folder / "round-1" / "model")]
    assert [row["policy"] for row in record["rounds"]] == begun
    assert lines_of(folder / "round-1/samples.jsonl") != lines_of(folder / "round-2/samples.jsonl")
    assert not same_weights(folder / "round-1/model", folder / "round-2/model")


def test_the_folder_itself_is_the_last_rounds_model_with_a_card_of_all_rounds(place, trained):
    folder, record, _ = trained
    assert same_weights(folder, folder / "round-2/model")
    assert not same_weights(folder, place / "model")
    assert json.loads((folder / "training.json").read_text("utf-8")) == record
    assert record["steps"] == sum(row["steps"] for row in record["rounds"])
    rows = metrics_of(folder)
    assert {row["round"] for row in rows} == {1, 2}
    card = (folder / "README.md").read_text("utf-8")
    assert "iterative online DPO" in card
    assert f"| 2 | 8 | {record['rounds'][1]['paired']} |" in card
    assert '"online.rounds": 2' in card


class Stop(TrainerCallback):
    """Stops the second round's training after its first step."""

    def __init__(self) -> None:
        self.trainings = 0

    def on_train_begin(self, args, state, control, **_):
        self.trainings += 1

    def on_step_end(self, args, state, control, **_):
        if self.trainings == 2 and state.global_step == 2:
            raise KeyboardInterrupt


def files_of(folder: Path) -> dict[str, bytes]:
    names = ("samples.jsonl", "verdicts.jsonl", "preferences.jsonl")
    return {f"{number}/{name}": (folder / f"round-{number}" / name).read_bytes() for number in (1, 2) for name in names}


def test_a_training_that_is_stopped_in_sampling_verifying_and_dpo_ends_the_same(place, trained, tmp_path, monkeypatch):
    whole, _, _ = trained
    out = tmp_path / "out"
    request = make_online_request(place, out, resume=True)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("autoif.training.online_dpo.judge_samples", stop)
        with pytest.raises(KeyboardInterrupt):
            train_online(request, lambda _: None)
    assert json.loads((out / "training.json").read_text("utf-8"))["status"] == "interrupted"
    samples = out / "round-1/samples.jsonl"
    samples.write_bytes(samples.read_bytes()[:-1000])  # as if it had been stopped in sampling
    with pytest.raises(KeyboardInterrupt):
        train_online(replace(request, callbacks=[Stop()]), lambda _: None)
    said: list[str] = []
    train_online(request, said.append)
    assert "going on from checkpoint-1" in said
    assert files_of(out) == files_of(whole)
    assert same_weights(out, whole)
    assert train_online(request, said.append)["status"] == "complete"
    assert said[-1] == f"{out} is complete already"
    for folders in ([out], [out, out / "round-2/model"]):
        for folder in folders:
            (folder / "model.safetensors").unlink()
        said.clear()
        train_online(request, said.append)
        for folder in folders:
            assert f"{folder} was complete, but now lacks model.safetensors, which the training makes anew" in said
        assert same_weights(out, whole)


def test_other_data_settings_or_models_are_refused_with_what_differs(place, trained, tmp_path):
    folder, _, _ = trained
    with pytest.raises(StoreError, match="use --resume, or choose another --output"):
        train_online(make_online_request(place, folder))
    with pytest.raises(StoreError, match=r"online\.temperature \(1\.0 there, 0\.7 now\)"):
        train_online(make_online_request(place, folder, "online.temperature=0.7", resume=True))
    with pytest.raises(StoreError, match=r"beta \(0\.3 there, 0\.1 now\)"):
        train_online(make_online_request(place, folder, "beta=0.1", resume=True))
    data = write_rows(tmp_path / "other.jsonl", reward_row("tea", SPLITS))
    with pytest.raises(StoreError, match="data "):
        train_online(make_online_request(place, folder, data=data, resume=True))
    with pytest.raises(StoreError, match="began with another model"):
        train_online(make_online_request(place, folder, model=str(folder), resume=True))


def test_a_round_without_pairs_leaves_the_policy_as_it_is_and_none_at_all_is_an_error(place, tmp_path):
    data = write_rows(tmp_path / "rewards.jsonl", reward_row("tea", [ANY]), reward_row("milk", [NONE]))
    said: list[str] = []
    with pytest.raises(ConfigError, match=r"no round gave a pair \(2 times all responses passed, 2 times all failed\)"):
        train_online(make_online_request(place, tmp_path / "out", data=data), said.append)
    assert "round 1 has no pair to learn from: the policy stays as it is" in said


def test_lora_gives_each_round_a_merged_policy(place, tmp_path):
    record = train_online(make_online_request(place, tmp_path / "out", lora=True), lambda _: None)
    assert record["rounds"][1]["policy"] == str(tmp_path / "out/round-1/model")
    assert (tmp_path / "out/round-2/model/adapter/adapter_config.json").is_file()
    assert not same_weights(tmp_path / "out", tmp_path / "out/round-1/model")


def test_verdicts_of_other_samples_are_noticed(place, trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "out")
    record = json.loads((folder / "training.json").read_text("utf-8"))
    (folder / "training.json").write_text(json.dumps({**record, "status": "interrupted"}), encoding="utf-8")
    verdicts = folder / "round-1/verdicts.jsonl"
    verdicts.write_text("".join(verdicts.read_text("utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    with pytest.raises(StoreError, match=r"has not the verdicts of samples\.jsonl: delete it to verify anew"):
        train_online(make_online_request(place, folder, resume=True), lambda _: None)


def test_each_rounds_dpo_can_be_started_in_processes_of_its_own(place, trained, tmp_path):
    request = make_online_request(
        place, tmp_path / "out", "online.rounds=1", launch=f"env OMP_NUM_THREADS=1 {sys.executable}"
    )
    train_online(request, lambda _: None)
    assert same_weights(tmp_path / "out", trained[0] / "round-1/model")


def test_a_distributed_start_is_refused_with_what_to_do(place, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="give it as --launch 'accelerate launch"):
        train_online(make_online_request(place, tmp_path / "out"))


def test_a_revision_that_only_the_dpo_would_take_is_refused(place, tmp_path):
    with pytest.raises(ConfigError, match="give that revision's folder as --model"):
        train_online(make_online_request(place, tmp_path / "out", 'model_init_kwargs={"revision": "v2"}'))


def test_what_would_stop_a_round_is_said_before_anything_is_written(place, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(SandboxError, match="no sandbox is called 'none'"):
        train_online(make_online_request(place, out, "online.backend=none"))
    pairs = write_rows(tmp_path / "pairs.jsonl", *preference_rows())
    with pytest.raises(ConfigError, match="these are preference pairs: use `autoif train dpo`"):
        train_online(make_online_request(place, out, data=pairs))
    model = write_tiny_model(tmp_path / "model", chat_template=None)
    with pytest.raises(ModelError, match="has no chat template"):
        train_online(make_online_request(place, out, model=str(model)))
    with pytest.raises(ConfigError, match="--launch: there is no program no-such-program to start"):
        train_online(make_online_request(place, out, launch="no-such-program launch"))
    (model / "chat_template.jinja").write_text("{{ messages[2 if messages[0].content == 'Say no.' else 0].content }}")
    rows = write_rows(tmp_path / "rows.jsonl", reward_row("tea", SPLITS), reward_row("no", SPLITS))
    with pytest.raises(ConfigError, match="the model's chat template refuses row 2"):
        train_online(make_online_request(place, out, model=str(model), data=rows))
    assert not out.exists()


def test_no_samples_are_lost_to_settings_that_the_dpo_refuses(place, trained, tmp_path):
    out, said = tmp_path / "out", []
    with pytest.raises(ConfigError, match="TRL refuses the settings: One of min_lr or min_lr_rate"):
        train_online(make_online_request(place, out, "lr_scheduler_type=cosine_with_min_lr"), lambda _: None)
    train_online(make_online_request(place, out, resume=True), said.append)
    assert "48 of 48 responses sampled" not in said[: said.index("round 2 of 2, from " + str(out / "round-1/model"))]
    assert same_weights(out, trained[0])
    with pytest.raises(StoreError, match=r"online\.seed \(0 there, 3 now\)"):
        train_online(make_online_request(place, out, "online.seed=3", resume=True))


def test_a_launcher_that_fails_is_said_and_gone_on_from(place, tmp_path):
    request = make_online_request(place, tmp_path / "out", "online.rounds=1", launch="false")
    with pytest.raises(ModelError, match=r"ended with exit code 1 and no training\.json that is complete"):
        train_online(request, lambda _: None)
    assert train_online(replace(request, launch="", resume=True), lambda _: None)["status"] == "complete"
