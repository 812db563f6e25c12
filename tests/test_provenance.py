"""Whether prompts were held out of a model's training, as far back as its folders tell."""

import hashlib

import pytest

from autoif.datasets.split import Source
from autoif.errors import ConfigError, StoreError
from autoif.evaluation.pass_rate import read_prompts
from autoif.evaluation.provenance import check_held_out
from autoif.training.card import write_record
from support.pass_rate_data import reward_row
from support.training_data import write_rows


def asked(tmp_path, *rows: dict) -> list[Source]:
    return read_prompts(write_rows(tmp_path / "prompts.jsonl", *rows)).sources


def trained(folder, data, base="someone/a-model"):
    """Write the folder of a model that was trained on a file."""
    folder.mkdir()
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    record = {"identity": {}, "model": {"name": str(base)}, "data": {"file": str(data), "sha256": digest}}
    write_record(folder, record)
    return folder


def test_prompts_of_other_instructions_and_queries_are_held_out(tmp_path):
    data = write_rows(tmp_path / "train.jsonl", reward_row("tea", 1), reward_row("milk", 2))
    seen = check_held_out(str(trained(tmp_path / "model", data)), asked(tmp_path, reward_row("beer", 3)), [])
    assert (seen.checked, seen.unknown, seen.instructions, seen.queries, seen.functions) == ((str(data),), (), 0, 0, 0)
    assert seen.describe() == f"held out of {data}: no instruction, query or function in common"


def test_what_the_model_that_it_began_with_has_seen_counts_too(tmp_path):
    first = write_rows(tmp_path / "sft.jsonl", reward_row("tea", 1))
    second = write_rows(tmp_path / "preferences.jsonl", reward_row("milk", 2))
    base = trained(tmp_path / "sft", first)
    seen = check_held_out(str(trained(tmp_path / "dpo", second, base)), asked(tmp_path, reward_row("tea", 2)), [])
    assert seen.checked == (str(second), str(first))
    assert (seen.instructions, seen.queries, seen.functions) == (1, 1, 1)
    assert seen.describe().startswith("NOT HELD OUT: 1 instructions, 1 queries and 1 functions of these prompts are in")


def test_training_data_that_is_gone_or_was_changed_or_doesnt_tell_proves_nothing(tmp_path):
    data = write_rows(tmp_path / "train.jsonl", reward_row("tea", 1))
    model, prompts = trained(tmp_path / "model", data), asked(tmp_path, reward_row("tea", 1))
    write_rows(data, reward_row("milk", 1))
    [reason] = check_held_out(str(model), prompts, []).unknown
    assert reason.endswith(f"is not any more what {model} was trained on")
    data.unlink()
    seen = check_held_out(str(model), prompts, [])
    assert "can't be read" in seen.describe()
    assert seen.describe().startswith("held out is not proven")
    foreign = write_rows(tmp_path / "foreign.jsonl", {"messages": []})
    [reason] = check_held_out(str(trained(tmp_path / "other", foreign)), prompts, []).unknown
    assert "line 1: no SftRow row" in reason
    write_record(model, {"identity": {}})
    [reason] = check_held_out(str(model), prompts, []).unknown
    assert reason.endswith("doesn't name the training data")


def test_a_model_that_nothing_is_known_of_was_trained_on_nothing_known(tmp_path):
    prompts = asked(tmp_path, reward_row("tea", 1))
    for name in ("", "someone/a-model", str(tmp_path)):
        assert check_held_out(name, prompts, []).describe() == "no training data known: nothing to be held out of"


def test_folders_that_name_each_other_end(tmp_path):
    data = write_rows(tmp_path / "train.jsonl", reward_row("milk", 1))
    model = trained(tmp_path / "model", data, tmp_path / "model")
    assert check_held_out(str(model), asked(tmp_path, reward_row("tea", 3)), []).checked == (str(data),)


def test_data_that_must_share_nothing_and_does_is_an_error(tmp_path):
    data = write_rows(tmp_path / "sft.jsonl", reward_row("tea", 1))
    with pytest.raises(ConfigError, match="was trained on and shares 1 instructions"):
        check_held_out("", asked(tmp_path, reward_row("tea", 9)), [data])
    with pytest.raises(ConfigError, match="0 instructions, 1 queries"):
        check_held_out("", asked(tmp_path, reward_row("beer", 1)), [tmp_path])
    with pytest.raises(StoreError, match="can't be read"):
        check_held_out("", asked(tmp_path, reward_row("beer", 1)), [tmp_path / "nowhere.jsonl"])
    assert check_held_out("", asked(tmp_path, reward_row("beer", 9)), [data]).checked == (str(data),)
