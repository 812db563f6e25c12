"""A base model, whose files name another end than its chat template, learns to stop."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from autoif.cli.main import main
from autoif.errors import ModelError
from autoif.sampling import SamplingPrompt, SamplingSettings, open_sampler
from autoif.sampling.policy import load_tokenizer
from autoif.sampling.settings import Draw
from autoif.sampling.turn_end import find_turn_end
from autoif.training.online_dpo import train_online
from autoif.training.train import train
from support.online_dpo import ANY, make_online_request, reward_row, write_place
from support.tiny_model import CHAT_TEMPLATE, write_tiny_model
from support.training_data import (
    WORDS,
    make_grpo_request,
    make_request,
    preference_rows,
    reward_rows,
    sft_rows,
    turn,
    write_rows,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def make_base_like(folder: Path, old: str, old_id: int) -> Path:
    """Have all files of a model name another end than its template, as those of base models do."""
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        found = json.loads((folder / name).read_text("utf-8"))
        found |= {"eos_token": old} if name.startswith("tok") else {"eos_token_id": old_id, "pad_token_id": old_id}
        if name.startswith("tok"):
            found["pad_token"] = old
        (folder / name).write_text(json.dumps(found), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_base_like(write_tiny_model(tmp_path_factory.mktemp("base") / "model"), "<pad>", 0)


def ends_of(folder: Path) -> tuple:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    generation = GenerationConfig.from_pretrained(folder)
    return config["eos_token_id"], generation.eos_token_id, load_tokenizer(str(folder)).eos_token


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo", "lora"])
def test_the_end_of_a_turn_is_named_beside_the_old_one(base, tmp_path, kind):
    rows = {"dpo": preference_rows, "grpo": reward_rows}.get(kind, sft_rows)()
    data, said = write_rows(tmp_path / "rows.jsonl", *rows), []
    if kind == "grpo":
        request = make_grpo_request(data, base, tmp_path / "out", "max_steps=1")
    else:
        shape = "sft" if kind == "lora" else kind
        request = make_request(shape, data, base, tmp_path / "out", "max_steps=1", lora=kind == "lora")
    train(request, said.append)
    assert ends_of(tmp_path / "out") == ([1, 0], [1, 0], "<eos>")
    assert any(line.startswith("the chat template ends a turn with <eos>") and "beside <pad>" in line for line in said)


def test_the_rounds_of_online_dpo_begin_with_answers_that_end_and_keep_both_ends(tmp_path):
    place = write_place(tmp_path)
    make_base_like(place / "model", "<pad>", 0)
    record = train_online(make_online_request(place, tmp_path / "out"), lambda _: None)
    assert all(row["truncated"] < row["responses"] for row in record["rounds"])
    assert ends_of(tmp_path / "out") == ([1, 0], [1, 0], "<eos>")


def test_a_base_model_that_was_trained_is_evaluated_on_answers_that_end(base, tmp_path, monkeypatch):
    data = write_rows(tmp_path / "rows.jsonl", *sft_rows())
    train(make_request("sft", data, base, tmp_path / "out", "num_train_epochs=20"), lambda _: None)
    prompts = write_rows(tmp_path / "prompts.jsonl", *(reward_row(word, [ANY]) for word in WORDS))
    given = ["--data", prompts, "--output", tmp_path / "rates", "--max-tokens", "24", "--dtype", "float32"]
    given += ["--samples", "1", "--temperature", "0", "--backend", "transformers"]
    monkeypatch.setattr(sys, "argv", ["autoif", "eval", "pass-rate", *map(str, [tmp_path / "out", *given])])
    main()
    samples = [json.loads(line) for line in (tmp_path / "rates" / "samples.jsonl").read_text("utf-8").splitlines()]
    assert {sample["finish_reason"] for sample in samples} == {"stop"}


def test_a_model_that_names_its_end_stays_as_it_is(tmp_path):
    model, said = write_tiny_model(tmp_path / "model"), []
    data = write_rows(tmp_path / "rows.jsonl", *sft_rows())
    train(make_request("sft", data, model, tmp_path / "out", "max_steps=1"), said.append)
    assert ends_of(tmp_path / "out") == (1, 1, "<eos>")
    assert not [line for line in said if "ends a turn" in line]


def test_a_base_model_is_sampled_until_its_template_ends_the_turn(base):
    prompts = [SamplingPrompt(id=str(i), messages=(turn("user", "Say tea."),)) for i in range(8)]
    settings = SamplingSettings(max_tokens=48, dtype="float32", temperature=2.0)
    with open_sampler(str(base), settings, "transformers", lambda _: None) as sampler:
        answers = sampler.sample([Draw(prompt, index) for prompt in prompts for index in range(4)])
    assert "<eos>" not in "".join(answer.text for answer in answers)
    assert any(answer.finish_reason == "stop" for answer in answers)


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_a_template_that_ends_no_turn_is_refused_with_the_remedy(tmp_path, kind):
    template = CHAT_TEMPLATE.replace("<eos>", ".")
    model = write_tiny_model(tmp_path / "model", chat_template=template)
    data = write_rows(tmp_path / "rows.jsonl", *(reward_rows() if kind == "grpo" else sft_rows()))
    make = {"sft": lambda *given: make_request("sft", *given), "grpo": make_grpo_request}[kind]
    request = make(data, model, tmp_path / "out")
    with pytest.raises(ModelError, match=r"would never stop: put \{\{ eos_token \}\} after .* chat_template.jinja"):
        train(request, lambda _: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("<eos>", 1),
        ("<eos> ", 1),
        (" <eos><pad>", 1),
        ("{{ eos_token }}", 0),
        (".", None),
        ("", None),
    ],
)
def test_the_end_is_the_first_token_of_its_own_after_the_answer(base, after, expected):
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = CHAT_TEMPLATE.replace("<eos>", after)
    assert find_turn_end(tokenizer) == expected


QUESTIONS = [f"What is {number} plus 2?" for number in range(4)]
PARITY = "def evaluate(response): return sum(map(ord, response)) % 2 == 0"
"""Splits answers that differ."""
SMOLLM2_ENDS = ([2, 0], [2, 0], "<|im_end|>")


@pytest.fixture(scope="module")
def trained_smollm2(smollm2, tmp_path_factory) -> Path:
    """A base-like SmolLM2 of its first three layers that was trained to answer such questions in some words."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(smollm2, folder / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    whole = AutoModelForCausalLM.from_pretrained(smollm2)
    whole.model.layers = whole.model.layers[:3]
    whole.config.num_hidden_layers = 3
    whole.config.layer_types = None
    whole.save_pretrained(folder / "model")
    model = make_base_like(folder / "model", "<|endoftext|>", 0)
    answers = [turn("assistant", f"{number} plus 2 is {number + 2}.") for number in range(4)]
    rows = [{"messages": [turn("user", asked), answer]} for asked, answer in zip(QUESTIONS, answers, strict=True)]
    data = write_rows(folder / "rows.jsonl", *rows)
    settings = ("global_batch_size=4", "per_device_train_batch_size=4", "num_train_epochs=8", "learning_rate=2e-3")
    train(make_request("sft", data, model, folder / "out", *settings, "save_strategy=no"), lambda _: None)
    return folder / "out"


@pytest.fixture(scope="module")
def base_smollm2(trained_smollm2, tmp_path_factory) -> Path:
    """The same weights in files that name no end of a turn."""
    folder = tmp_path_factory.mktemp("base") / "model"
    return make_base_like(shutil.copytree(trained_smollm2, folder), "<|endoftext|>", 0)


def questions_to_judge() -> list[dict]:
    return [
        {"prompt": [turn("user", asked)], "constraints": [{"instruction_id": "i", "functions": [PARITY]}]}
        | {"query": asked, "query_id": asked}
        for asked in QUESTIONS[:2]
    ]


def test_a_smollm2_made_base_like_stops_after_its_turn(trained_smollm2):
    assert ends_of(trained_smollm2) == SMOLLM2_ENDS
    tokenizer = AutoTokenizer.from_pretrained(trained_smollm2)
    trained = AutoModelForCausalLM.from_pretrained(trained_smollm2)
    asked = tokenizer.apply_chat_template(
        [turn("user", "What is 1 plus 2?")], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    said = trained.generate(**asked, max_new_tokens=40, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert said[-1] == 2


def test_the_pass_rate_of_a_smollm2_made_base_like_is_that_of_answers_that_end(trained_smollm2, tmp_path, monkeypatch):
    prompts = write_rows(tmp_path / "prompts.jsonl", *questions_to_judge())
    given = ["--data", prompts, "--output", tmp_path / "rates", "--max-tokens", "24", "--dtype", "float32"]
    given += ["--samples", "1", "--temperature", "0", "--backend", "transformers"]
    monkeypatch.setattr(sys, "argv", ["autoif", "eval", "pass-rate", *map(str, [trained_smollm2, *given])])
    main()
    samples = [json.loads(line) for line in (tmp_path / "rates" / "samples.jsonl").read_text("utf-8").splitlines()]
    assert [sample["finish_reason"] for sample in samples] == ["stop", "stop"]


def test_online_dpo_of_a_smollm2_made_base_like_trains_on_answers_that_end(base_smollm2, tmp_path):
    write_rows(tmp_path / "rewards.jsonl", *questions_to_judge())
    (tmp_path / "model").symlink_to(base_smollm2)
    given = ("online.rounds=1", "online.responses_per_prompt=4", "online.temperature=0.5", "learning_rate=1e-6")
    record = train_online(make_online_request(tmp_path, tmp_path / "out", *given), lambda _: None)
    (only,) = record["rounds"]
    assert only["truncated"] < only["responses"] / 2
    assert ends_of(tmp_path / "out") == SMOLLM2_ENDS


def test_grpo_of_a_smollm2_made_base_like_scores_answers_that_end(base_smollm2, tmp_path):
    data = write_rows(tmp_path / "rows.jsonl", *questions_to_judge())
    given = ("num_generations=2", "global_batch_size=4", "max_completion_length=24", "learning_rate=1e-6")
    given += ("max_steps=1", "temperature=0.5", "mask_truncated_completions=true", "save_strategy=no")
    record = train(make_grpo_request(data, base_smollm2, tmp_path / "out", *given), lambda _: None)
    assert ends_of(tmp_path / "out") == SMOLLM2_ENDS
    assert record["metrics"]["completions/clipped_ratio"]["last"] < 1  # else all are cut
