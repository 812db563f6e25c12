"""Chat templates and tokenizers of reasoning models, and of models that were put together by hand: what they would lose
is said, and what they would crash at is refused."""

import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaForSequenceClassification

from autoif.errors import ConfigError, ModelError
from autoif.sampling import SamplingPrompt, SamplingSettings, open_sampler
from autoif.sampling.settings import Draw
from autoif.sampling.turn_end import find_turn_end
from autoif.training.train import train
from support.tiny_model import CHAT_TEMPLATE, write_tiny_model
from support.training_data import make_request, preference_rows, sft_rows, turn, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")

STRIPS = CHAT_TEMPLATE.replace("{{ message['content'] }}", "{{ message['content'].split('</think>')[-1] }}")
OPENS = CHAT_TEMPLATE.replace("<assistant>{% endif %}", "<assistant><think>\n{% endif %}")
CLOSED = "{{ '<think>\n</think>' if message['role'] == 'assistant' }}{{ message['content'] }}"
OPENS_AND_CLOSES = OPENS.replace("{{ message['content'] }}", CLOSED)


def with_thoughts(rows: list[dict], name: str) -> list[dict]:
    for row in rows[:2]:
        row[name][-1]["content"] = f"<think>so be it</think>{row[name][-1]['content']}"
    return rows


def say_all(tmp_path, kind: str, template: str, rows: list[dict]) -> str:
    tmp_path.mkdir(exist_ok=True)
    model = write_tiny_model(tmp_path / "model", chat_template=template, context=256)
    said: list[str] = []
    train(
        make_request(kind, write_rows(tmp_path / "rows.jsonl", *rows), model, tmp_path / "out", "max_steps=1"),
        said.append,
    )
    return "\n".join(said)


@pytest.mark.parametrize("kind", ["sft", "dpo"])
@pytest.mark.parametrize(("template", "lost"), [(STRIPS, True), (CHAT_TEMPLATE, False)], ids=["strips", "keeps"])
def test_thoughts_that_the_template_leaves_out_are_counted(tmp_path, kind, template, lost):
    rows = with_thoughts(sft_rows(), "messages") if kind == "sft" else with_thoughts(preference_rows(), "chosen")
    said = say_all(tmp_path, kind, template, rows)
    assert ("of 2 the chat template leaves out the thought before the answer: it is not learnt" in said) == lost
    lengths = json.loads((tmp_path / "out" / "training.json").read_text("utf-8"))["lengths"]
    assert lengths.get("thoughts_lost") == (2 if lost else None)


@pytest.mark.parametrize(
    ("template", "told"),
    [(OPENS, True), (OPENS_AND_CLOSES, False), (CHAT_TEMPLATE, False)],
    ids=["opens", "opens and closes", "opens none"],
)
def test_a_thought_that_is_opened_for_the_model_and_not_in_the_answers_is_told(tmp_path, template, told):
    assert ("the chat template opens a thought (<think>)" in say_all(tmp_path, "sft", template, sft_rows())) == told


ASKS_WITHOUT = CHAT_TEMPLATE.replace("<assistant>{% endif %}", "<assistant><think>\n\n</think>\n\n{% endif %}")


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_thoughts_that_the_template_never_asks_for_are_told(tmp_path, kind):
    for thinks in (True, False):
        rows = sft_rows() if kind == "sft" else preference_rows()
        if thinks:
            rows = with_thoughts(rows, "messages" if kind == "sft" else "chosen")
        said = say_all(tmp_path / str(thinks), kind, ASKS_WITHOUT, rows)
        assert ("as they begin with a thought: what is trained is never asked for" in said) == thinks


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_prompt_whose_last_token_becomes_another_with_the_answer_is_counted(tmp_path, kind):
    asks = CHAT_TEMPLATE.replace("<{{ message['role'] }}>", "<{{ message['role'] }}>.").replace(
        "<assistant>{% endif %}", "<assistant>.{% endif %}"
    )
    model = write_tiny_model(tmp_path / "model", chat_template=asks)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_tokens([".t"])
    whole = AutoModelForCausalLM.from_pretrained(model)
    whole.resize_token_embeddings(len(tokenizer))
    for each in (tokenizer, whole):
        each.save_pretrained(model)
    rows, said = (sft_rows() if kind == "sft" else preference_rows()), []
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    train(make_request(kind, data, model, tmp_path / "out", "max_steps=1"), said.append)
    assert "of 1 the last token of the prompt becomes another one with the answer" in said[0]  # tea


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_template_that_names_the_end_of_the_files_writes_the_same_after_a_training(tmp_path, kind):
    template = CHAT_TEMPLATE + "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}"
    model = write_tiny_model(tmp_path / "model", chat_template=template)
    config = json.loads((model / "tokenizer_config.json").read_text("utf-8"))
    (model / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "<pad>"}), encoding="utf-8")
    data = write_rows(tmp_path / "rows.jsonl", *(sft_rows() if kind == "sft" else preference_rows()))
    turns, last = [turn("user", "Say tea."), turn("assistant", "tea")], model
    for name in ("first", "second"):
        train(make_request(kind, data, last, tmp_path / name, "max_steps=1"), lambda _: None)
        last = tmp_path / name
        tokenizer = AutoTokenizer.from_pretrained(last)
        assert tokenizer.eos_token == "<eos>"
        assert tokenizer.apply_chat_template(turns, tokenize=False) == "<user>Say tea.<assistant>tea<eos><pad>"
        assert tokenizer.chat_template.count("set eos_token") == 1


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_texts_that_hold_special_tokens_are_counted(tmp_path, kind):
    rows = sft_rows() if kind == "sft" else preference_rows()
    assert "special tokens" not in say_all(tmp_path / "without", kind, CHAT_TEMPLATE, rows)
    for row in rows[:2]:
        row["messages" if kind == "sft" else "chosen"][-1]["content"] = "tea<eos><user>more"
    said = say_all(tmp_path / "with", kind, CHAT_TEMPLATE, rows)
    assert "; 2 hold special tokens of the model in their texts, which end turns there" in said


def add_token(folder, token: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([token], special_tokens=True)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_token_that_the_model_has_no_weights_for_is_refused_before_it_crashes(tmp_path, kind):
    model = write_tiny_model(tmp_path / "model")
    add_token(model, "<call>")
    rows = sft_rows() if kind == "sft" else preference_rows()
    train(
        make_request(kind, write_rows(tmp_path / "fine.jsonl", *rows), model, tmp_path / "out", "max_steps=1"),
        lambda _: None,
    )
    rows[3]["messages" if kind == "sft" else "chosen"][-1]["content"] = "tea<call>"
    request = make_request(kind, write_rows(tmp_path / "rows.jsonl", *rows), model, tmp_path / "other")
    with pytest.raises(
        ModelError, match=r"row 4 has the token '<call>', number \d+, and the model has weights for \d+"
    ):
        train(request, lambda _: None)
    settings = SamplingSettings(max_tokens=4, dtype="float32")
    prompt = SamplingPrompt(id="p", messages=(turn("user", "tea<call>"),))
    with (
        open_sampler(str(model), settings, "transformers", lambda _: None) as sampler,
        pytest.raises(ModelError, match="prompt p has the token '<call>'"),
    ):
        sampler.sample([Draw(prompt, 0)])


def test_a_tokenizer_without_an_end_and_without_padding_samples_prompts_of_any_length(tmp_path):
    model = write_tiny_model(tmp_path / "model")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (model / name).exists():
            found = json.loads((model / name).read_text("utf-8"))
            found.pop("eos_token", None)
            (model / name).write_text(json.dumps(found), encoding="utf-8")
    prompts = [SamplingPrompt(id=text, messages=(turn("user", text),)) for text in ("tea", "tea and some milk")]
    with open_sampler(
        str(model), SamplingSettings(max_tokens=4, dtype="float32"), "transformers", lambda _: None
    ) as sampler:
        assert len(sampler.sample([Draw(prompt, 0) for prompt in prompts])) == 2


@pytest.mark.parametrize("template", ["{{ messages[0]['content'] + 1 }}", "{{ messages[0]['nothing']['x'] }}"])
def test_a_template_that_fails_is_one_line(tmp_path, template):
    model = write_tiny_model(tmp_path / "model", chat_template=template)
    data = write_rows(tmp_path / "rows.jsonl", *sft_rows())
    with pytest.raises(ConfigError, match="the model's chat template refuses row 1: "):
        train(make_request("sft", data, model, tmp_path / "out"), lambda _: None)
    prompt = SamplingPrompt(id="p", messages=(turn("user", "tea"),))
    with (
        open_sampler(
            str(model), SamplingSettings(max_tokens=4, dtype="float32"), "transformers", lambda _: None
        ) as sampler,
        pytest.raises(ConfigError, match="the model's chat template refuses prompt p: "),
    ):
        sampler.sample([Draw(prompt, 0)])


def test_a_template_that_demands_a_system_turn_is_told_and_its_end_is_found(tmp_path):
    demands = "{{ raise_exception('a system turn comes first') if messages[0]['role'] != 'system' }}" + CHAT_TEMPLATE
    model = write_tiny_model(tmp_path / "model", chat_template=demands)
    rows = sft_rows()
    request = make_request("sft", write_rows(tmp_path / "rows.jsonl", *rows), model, tmp_path / "out", "max_steps=1")
    with pytest.raises(ConfigError, match="the model's chat template refuses row 1: a system turn comes first"):
        train(request, lambda _: None)
    for row in rows:
        row["messages"].insert(0, turn("system", "Be brief."))
    write_rows(tmp_path / "rows.jsonl", *rows)
    train(request, lambda _: None)
    assert find_turn_end(AutoTokenizer.from_pretrained(model)) == 1


@pytest.mark.parametrize("kind", ["sft", "lora"])
@pytest.mark.parametrize(
    "found",
    [
        {"temperature": 0.7, "top_p": 0.9},
        {"do_sample": True, "temperature": 0.6, "max_new_tokens": 8},
        {"num_beams": 1, "length_penalty": 2.0},
    ],
)
def test_a_model_whose_sampling_transformers_does_not_save_is_trained_and_saved(tmp_path, kind, found):
    model = write_tiny_model(tmp_path / "model")
    settings = {"eos_token_id": 0, "pad_token_id": 0, **found}  # another end than the template's, as of a base model
    (model / "generation_config.json").write_text(json.dumps(settings), encoding="utf-8")
    data = write_rows(tmp_path / "rows.jsonl", *sft_rows())
    request = make_request("sft", data, model, tmp_path / "out", "max_steps=2", "save_steps=1", lora=kind == "lora")
    assert train(request, lambda _: None)["status"] == "complete"
    saved = json.loads((tmp_path / "out" / "generation_config.json").read_text("utf-8"))
    assert saved["eos_token_id"] == [1, 0]


@pytest.mark.parametrize(
    "found", [{"temperature": 0.7, "top_p": 0.9, "do_sample": True}, {"max_length": 99, "repetition_penalty": 1.1}]
)
def test_a_model_whose_config_holds_sampling_is_trained_and_saved(tmp_path, found):
    model = write_tiny_model(tmp_path / "model")
    config = json.loads((model / "config.json").read_text("utf-8"))
    (model / "config.json").write_text(json.dumps(config | found), encoding="utf-8")
    (model / "generation_config.json").unlink()
    data = write_rows(tmp_path / "rows.jsonl", *sft_rows())
    request = make_request("sft", data, model, tmp_path / "out", "max_steps=2", "save_steps=1")
    assert train(request, lambda _: None)["status"] == "complete"


@pytest.mark.parametrize("kind", ["sft", "lora"])
def test_weights_that_are_no_numbers_are_not_saved_as_a_model(tmp_path, kind):
    model, data = write_tiny_model(tmp_path / "model"), write_rows(tmp_path / "rows.jsonl", *sft_rows())
    wild = ("learning_rate=1e38", "max_grad_norm=0", "optim=sgd", "max_steps=6", "save_steps=3")
    with pytest.raises(
        ModelError, match=r"the training has diverged: after 3 steps .* lower learning_rate \(now 1e\+38\)"
    ):
        train(make_request("sft", data, model, tmp_path / "out", *wild, lora=kind == "lora"), lambda _: None)
    assert not [*(tmp_path / "out").rglob("*.safetensors")], "a checkpoint of what is no model"


def test_a_padding_token_that_was_added_without_weights_is_not_padded_with(tmp_path):
    model = write_tiny_model(tmp_path / "model")
    add_token(model, "[PAD]")
    found = json.loads((model / "tokenizer_config.json").read_text("utf-8"))
    (model / "tokenizer_config.json").write_text(json.dumps({**found, "pad_token": "[PAD]"}), encoding="utf-8")
    rows = sft_rows()
    rows[0]["messages"][0]["content"] = "Say tea, please."  # of another length than the others
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    assert train(make_request("sft", data, model, tmp_path / "out"), lambda _: None)["status"] == "complete"


@pytest.mark.parametrize("ends", ["1", [1, 99_999], None])
def test_odd_ends_in_a_generation_config_are_passed_over(tmp_path, ends):
    model = write_tiny_model(tmp_path / "model")
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}), encoding="utf-8")
    prompts = [SamplingPrompt(id=text, messages=(turn("user", text),)) for text in ("tea", "")]
    settings = SamplingSettings(max_tokens=4, dtype="float32")
    with open_sampler(str(model), settings, "transformers", lambda _: None) as sampler:
        assert len(sampler.sample([Draw(prompt, 0) for prompt in prompts])) == 2


def test_a_prompt_without_a_token_is_told(tmp_path):
    model = write_tiny_model(tmp_path / "model", chat_template="{{ messages[0]['content'] }}")
    settings, draw = SamplingSettings(dtype="float32"), Draw(SamplingPrompt(id="p", messages=(turn("user", ""),)), 0)
    with (
        open_sampler(str(model), settings, "transformers", lambda _: None) as sampler,
        pytest.raises(ConfigError, match="the model's chat template makes no token of prompt p"),
    ):
        sampler.sample([draw])


def test_a_model_that_lacks_weights_is_refused_and_not_drawn_at_random(tmp_path):
    model, data = write_tiny_model(tmp_path / "model"), write_rows(tmp_path / "rows.jsonl", *sft_rows())
    config = AutoConfig.from_pretrained(model)
    LlamaForSequenceClassification(config).save_pretrained(model)
    with pytest.raises(ModelError, match=r"lack 1 tensors of a causal language model, as lm_head\.weight"):
        train(make_request("sft", data, model, tmp_path / "out"), lambda _: None)


def test_a_model_whose_files_are_in_8_bits_is_saved_in_16(tmp_path):
    model, data = write_tiny_model(tmp_path / "model"), write_rows(tmp_path / "rows.jsonl", *sft_rows())
    config = json.loads((model / "config.json").read_text("utf-8"))
    (model / "config.json").write_text(json.dumps({**config, "dtype": "float8_e4m3fn"}), encoding="utf-8")
    train(make_request("sft", data, model, tmp_path / "out", "max_steps=1"), lambda _: None)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == torch.bfloat16
