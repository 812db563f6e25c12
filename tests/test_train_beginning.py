"""What shows before the first step of a training: refused settings and data, a checkpoint that can't be read, another
training in the folder. Nothing of it is left behind, so that the corrected command runs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autoif.errors import ConfigError, StoreError
from autoif.training.train import train
from support.interruptions import At, interrupt
from support.tiny_model import write_tiny_model
from support.training_data import make_request, sft_rows, turn, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("beginning")
    write_tiny_model(folder / "model")
    write_rows(folder / "sft.jsonl", *sft_rows())
    return folder


def ask(place: Path, output: Path, *settings: str, **more):
    return make_request("sft", place, place / "model", output, "max_steps=3", "save_steps=1", *settings, **more)


def interrupted(place: Path, output: Path):
    request = ask(place, output, callbacks=[At(2, interrupt)])
    with pytest.raises(KeyboardInterrupt):
        train(request, lambda _: None)
    return replace(request, callbacks=(), resume=True)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optim=adamw_bnb_8bit", "You need to install `bitsandbytes`"),
        ("lr_scheduler_type=cosine_with_min_lr", "One of min_lr or min_lr_rate"),
        ('lr_scheduler_kwargs={"a": 1}', "unexpected keyword argument 'a'"),
        ("optim_args=foo", "not enough values"),
        ("log_level=foo", "KeyError, 'foo'"),
        ("accelerator_config=nowhere", "No such file"),
    ],
)
def test_what_the_trainer_refuses_late_is_one_line_and_the_corrected_command_runs(place, tmp_path, setting, message):
    with pytest.raises(ConfigError, match=f"TRL refuses the settings: .*{message}") as error:
        train(ask(place, tmp_path / "out", setting), lambda _: None)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [ConfigError("a function can't be run"), ValueError("a batch of no rows")])
def test_what_fails_later_is_not_laid_to_the_settings_and_costs_no_checkpoint(place, tmp_path, error):
    def fail():
        raise error

    with pytest.raises(type(error), match=f"^{error}$"):
        train(ask(place, tmp_path / "out", callbacks=[At(2, fail)]), lambda _: None)
    assert (tmp_path / "out" / "checkpoint-2").is_dir()


def test_a_training_of_no_step_is_no_training(place, tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", *sft_rows()[:2])
    request = make_request("sft", rows, place / "model", tmp_path / "out", "max_steps=1", "dataloader_drop_last=true")
    with pytest.raises(ConfigError, match="the settings make no optimiser step"):
        train(request, lambda _: None)
    assert not (tmp_path / "out").exists()


def test_a_best_model_by_what_nothing_evaluates_is_refused_at_once(place, tmp_path):
    best = ("load_best_model_at_end=true", "metric_for_best_model=foo", "eval_strategy=steps", "eval_steps=1")
    request = ask(place, tmp_path / "out", *best, eval_data=place / "sft.jsonl")
    with pytest.raises(ConfigError, match=r"nothing evaluates foo; choose of .*eval_loss"):
        train(request, lambda _: None)
    assert not (tmp_path / "out").exists()


def test_an_evaluation_on_training_prompts_is_told_and_its_faults_name_its_file(place, tmp_path):
    held, said = write_rows(tmp_path / "held.jsonl", *sft_rows()[:2]), []
    train(ask(place, tmp_path / "out", "max_steps=1", eval_data=held), said.append)
    assert any(line.startswith("2 of the prompts to evaluate on are trained on, too") for line in said)
    write_rows(held, {"messages": [turn("user", "x" * 90), turn("assistant", "tea")]})
    with pytest.raises(ConfigError, match=r"held\.jsonl: 1 of 1 rows are longer than the model's context"):
        train(ask(place, tmp_path / "other", eval_data=held), said.append)


def test_a_folder_holds_one_training_at_a_time(place, tmp_path):
    request, found = interrupted(place, tmp_path / "out"), []

    def train_beside():
        with pytest.raises(StoreError, match=r"another process trains into .*: wait for it") as error:
            train(request, lambda _: None)
        found.append(error)

    train(replace(request, callbacks=[At(2, train_beside)]), lambda _: None)
    assert found
    assert train(request, lambda _: None)["status"] == "complete"


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "scheduler.pt"])
def test_a_damaged_checkpoint_is_named_with_the_remedy(place, tmp_path, file):
    request = interrupted(place, tmp_path / "out")
    damaged = tmp_path / "out" / "checkpoint-2" / file
    damaged.write_bytes(damaged.read_bytes()[:500] if file != "scheduler.pt" else b"")
    with pytest.raises(StoreError, match=r"checkpoint-2 can't be gone on from .*: delete it if it is damaged") as error:
        train(request, lambda _: None)
    assert "\n" not in str(error.value)


def test_a_checkpoint_without_its_optimiser_is_not_gone_on_from_in_silence(place, tmp_path):
    request = interrupted(place, tmp_path / "out")
    (tmp_path / "out" / "checkpoint-2" / "optimizer.pt").unlink()
    with pytest.raises(StoreError, match="checkpoint-2 has no optimiser to go on with"):
        train(request, lambda _: None)


def test_a_checkpoint_without_its_schedule_is_not_gone_on_from_with_a_new_optimiser(place, tmp_path):
    request = interrupted(place, tmp_path / "out")
    (tmp_path / "out" / "checkpoint-2" / "scheduler.pt").unlink()
    with pytest.raises(StoreError, match=r"checkpoint-2 has no scheduler\.pt to go on with: bring it back, or delete"):
        train(request, lambda _: None)


def test_a_training_whose_checkpoint_lacks_its_random_numbers_says_that_it_may_end_otherwise(place, tmp_path):
    request, said = interrupted(place, tmp_path / "out"), list[str]()
    (tmp_path / "out" / "checkpoint-2" / "rng_state.pth").unlink()
    assert train(request, said.append)["status"] == "complete"
    place = said.index("going on from checkpoint-2")
    assert said[place + 1].startswith("checkpoint-2 lacks rng_state.pth: random numbers (of dropout, ")


@pytest.mark.parametrize("lacking", ["identity", "model", "seconds", "status"])
def test_a_damaged_record_is_one_line(place, tmp_path, lacking):
    request, record = ask(place, tmp_path / "out"), {"identity": {}, "model": {}, "seconds": 1, "status": "running"}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "training.json").write_text(json.dumps({**record, lacking: []}), encoding="utf-8")
    for resume in (False, True):
        with pytest.raises(StoreError, match=rf"training\.json is damaged, it lacks {lacking}: choose another"):
            train(replace(request, resume=resume), lambda _: None)
