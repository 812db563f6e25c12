"""Sampling from a policy: the loop with its file, and transformers on a real, tiny model."""

import copy
import json
import shutil
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from autoif.errors import ConfigError, ModelError, StoreError
from autoif.sampling import SamplingPrompt, SamplingSettings, open_sampler, sample_all
from autoif.sampling.backends import choose_backend
from autoif.sampling.policy import encode_prompt, load_tokenizer, read_tokens
from support.tiny_model import CHAT_TEMPLATE, write_tiny_model

QUICK = SamplingSettings(responses=3, max_tokens=6, batch_size=4, temperature=1.0, dtype="float32")
PROMPTS = tuple(
    SamplingPrompt(id=word, messages=({"role": "user", "content": f"Say {word}."},))
    for word in ("tea", "milk", "water", "juice", "beer")
)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("sampling") / "model")


def sample(model: Path, file: Path, settings=QUICK, prompts=PROMPTS, say: Callable[[str], None] = print):
    return sample_all(prompts, settings, lambda: open_sampler(str(model), settings, say=say), file, say)


def changed(**settings: object) -> SamplingSettings:
    return QUICK.model_copy(update=settings)


@contextmanager
def never_opened() -> Iterator[None]:
    raise AssertionError("nothing is missing")
    yield


def test_every_prompt_gets_its_samples_in_order_and_in_the_file(model, tmp_path):
    samples = sample(model, tmp_path / "samples.jsonl")
    assert [(each.prompt_id, each.index) for each in samples] == [(p.id, i) for p in PROMPTS for i in range(3)]
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text("utf-8").splitlines()]
    assert rows == [each.model_dump(exclude={"reasoning", "detail"}) for each in samples]  # which are empty
    assert len({each.text for each in samples}) > 10


def test_the_draws_come_from_the_seed_and_the_prompts_alone(model, tmp_path):
    first = sample(model, tmp_path / "one.jsonl")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert sample(model, tmp_path / "two.jsonl") == first
    assert torch.equal(torch.get_rng_state(), state)  # what the caller draws is left as it was
    assert sample(model, tmp_path / "three.jsonl", changed(seed=1)) != first


def test_a_build_for_gpus_samples_on_the_processor_of_a_machine_without_one(model, tmp_path, monkeypatch):
    """Such a build names its kind of device unless asked for one that is there, and is what a plain install brings."""
    monkeypatch.setattr(
        torch.accelerator,
        "current_accelerator",
        lambda check_available=False: None if check_available else torch.device("cuda"),
    )
    sample(model, tmp_path / "samples.jsonl")


def test_two_models_get_the_same_draws(model, tmp_path):
    copied = shutil.copytree(model, tmp_path / "elsewhere")
    assert sample(copied, tmp_path / "one.jsonl") == sample(model, tmp_path / "two.jsonl")


def test_sampling_that_is_interrupted_ends_with_the_same_bytes(model, tmp_path):
    sample(model, tmp_path / "whole.jsonl")

    @contextmanager
    def interrupted() -> Iterator[object]:
        with open_sampler(str(model), QUICK) as sampler:
            calls = iter(range(2))  # batches until the kill

            def draw(rows):
                if next(calls, None) is None:
                    raise KeyboardInterrupt
                return type(sampler).sample(sampler, rows)

            sampler.sample = draw
            yield sampler

    file = tmp_path / "cut.jsonl"
    with pytest.raises(KeyboardInterrupt):
        sample_all(PROMPTS, QUICK, interrupted, file, print)
    assert len(file.read_text("utf-8").splitlines()) == 8
    file.write_bytes(file.read_bytes()[:-20])  # the last batch, of rows 5 to 8, was half written
    said: list[str] = []
    samples = sample(model, file, say=said.append)
    assert said[0] == "going on after 4 of 15 responses"
    assert said[-1] == "15 of 15 responses sampled"
    assert file.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert len(samples) == 15


def test_a_file_of_samples_is_written_by_one_process_at_a_time(model, tmp_path):
    @contextmanager
    def opened() -> Iterator[object]:
        with pytest.raises(StoreError, match=r"another process samples by .*one\.json: wait for it"):
            sample(model, tmp_path / "one.jsonl")
        with open_sampler(str(model), QUICK) as sampler:
            yield sampler

    assert len(sample_all(PROMPTS, QUICK, opened, tmp_path / "one.jsonl", print)) == 15


MARKS = ("<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A tokenizer whose thoughts are marked by special tokens, as Cohere's."""
    found = load_tokenizer(str(write_tiny_model(tmp_path_factory.mktemp("marks") / "model")))
    found.add_special_tokens({"additional_special_tokens": list(MARKS)})
    return found


@pytest.mark.parametrize(
    ("prompt", "said", "finish", "text", "reasoning", "ended"),
    [
        ("", " Tea.", "stop", " Tea.", "", "stop"),
        ("", "Tea.<user><assistant>", "length", "Tea.", "", "length"),
        ("", "<|START_THINKING|>Hm<|END_THINKING|><|START_RESPONSE|>Tea<|END_RESPONSE|>", "stop", "Tea", "Hm", "stop"),
        ("", "<|START_THINKING|>Hm", "length", "", "Hm", "length"),
        ("<assistant><|START_THINKING|>", "Hm<|END_THINKING|>Tea", "stop", "Tea", "Hm", "stop"),
        ("<assistant><|START_THINKING|>", "Hm, tea", "length", "", "Hm, tea", "length"),
        ("<assistant><|START_THINKING|><|END_THINKING|>", "Tea", "stop", "Tea", "", "stop"),
    ],
)
def test_special_tokens_tell_a_thought_and_are_no_text_else(tokenizer, prompt, said, finish, text, reasoning, ended):
    found = read_tokens(tokenizer, tokenizer.encode(said), tokenizer.encode(prompt), finish)
    assert (found.text, found.reasoning, found.finish_reason) == (text, reasoning, ended)


def test_the_chat_template_is_given_what_the_settings_say(tokenizer):
    found = copy.copy(tokenizer)
    found.chat_template = CHAT_TEMPLATE + "{% if think is false %}.{% endif %}"
    plain, given = (encode_prompt(found, PROMPTS[0], kwargs) for kwargs in ({}, {"think": False}))
    assert given == [*plain, *tokenizer.encode(".")]
    found.chat_template = "{{ raise_exception('no such effort') }}"
    with pytest.raises(ConfigError, match=r'refuses prompt tea with \{"effort": 1\}: no such effort'):
        encode_prompt(found, PROMPTS[0], {"effort": 1})


def test_other_template_settings_are_other_samples(model, tmp_path):
    sample(model, tmp_path / "samples.jsonl")
    with pytest.raises(StoreError, match="was sampled otherwise: settings"):
        sample(model, tmp_path / "samples.jsonl", changed(chat_template_kwargs={"think": False}))


def test_a_file_that_is_whole_needs_no_model(model, tmp_path):
    before = sample(model, tmp_path / "samples.jsonl")
    assert sample_all(PROMPTS, QUICK, never_opened, tmp_path / "samples.jsonl", print) == before


def test_samples_of_other_settings_prompts_or_policies_are_refused_by_name(model, tmp_path):
    file = tmp_path / "samples.jsonl"
    sample(model, file)
    with pytest.raises(StoreError, match=r"samples\.jsonl was sampled otherwise: settings"):
        sample_all(PROMPTS, changed(seed=1), never_opened, file, print)
    with pytest.raises(StoreError, match="prompts"):
        sample_all(PROMPTS[1:], QUICK, never_opened, file, print)
    with pytest.raises(StoreError, match=r"policy \('' there, 'other' now\)"):
        sample_all(PROMPTS, QUICK, never_opened, file, print, policy="other")
    file.with_suffix(".json").unlink()
    with pytest.raises(StoreError, match=r"is there without samples\.json"):
        sample_all(PROMPTS, QUICK, never_opened, file, print)


def test_a_damaged_file_of_samples_is_named_with_its_line(model, tmp_path):
    file = tmp_path / "samples.jsonl"
    sample(model, file)
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join([*lines[:3], "{\n", *lines[4:]]), encoding="utf-8")
    with pytest.raises(StoreError, match="line 4: no sample"):
        sample(model, file)
    file.write_text("".join([lines[1], lines[0]]), encoding="utf-8")
    with pytest.raises(StoreError, match="line 1: a sample of another prompt"):
        sample(model, file)


def test_prompts_that_share_an_id_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="two prompts have the same id"):
        sample_all((PROMPTS[0], PROMPTS[0]), QUICK, never_opened, tmp_path / "x.jsonl", print)


def test_padding_changes_no_answer(model, tmp_path):
    greedy = changed(temperature=0.0, responses=1)
    uneven = tuple(
        SamplingPrompt(id=text, messages=({"role": "user", "content": text},))
        for text in ("a", "Say water, tea.", "ok")
    )
    together = sample(model, tmp_path / "one.jsonl", greedy, uneven)
    alone = sample(model, tmp_path / "two.jsonl", greedy.model_copy(update={"batch_size": 1}), uneven)
    assert together == alone


def test_each_of_several_end_tokens_ends_an_answer(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    vocabulary = json.loads((model / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    ends = [vocabulary["<eos>"], *(vocabulary[letter] for letter in "ABCDEFGHIJKLM")]
    write_generation_config(folder, eos_token_id=ends)
    samples = sample(folder, tmp_path / "samples.jsonl", changed(responses=8))
    assert {each.finish_reason for each in samples} == {"stop", "length"}
    assert not any(set(each.text) & set("ABCDEFGHIJKLM") for each in samples)


def write_generation_config(folder: Path, **settings: object) -> None:
    (folder / "generation_config.json").write_text(json.dumps(settings), encoding="utf-8")


def test_the_policy_is_sampled_as_it_is_whatever_its_folder_asks_for(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    write_generation_config(folder, eos_token_id=1, do_sample=True, top_k=1, temperature=0.01, max_new_tokens=2)
    assert sample(folder, tmp_path / "one.jsonl") == sample(model, tmp_path / "two.jsonl")


def test_an_answer_ends_where_the_context_does_and_counts_as_cut(model, tmp_path):
    prompts = tuple(
        # With its turns' marks a prompt has two tokens more than characters; the context is 64.
        SamplingPrompt(id=str(size), messages=({"role": "user", "content": "x" * size},))
        for size in (10, 59, 62, 80)
    )
    samples = sample(model, tmp_path / "samples.jsonl", changed(responses=1, temperature=0.0), prompts)
    assert [len(each.text) for each in samples if each.finish_reason == "length"] == [6, 3, 0, 0]


def test_a_batch_that_memory_is_too_small_for_is_divided(model, tmp_path, monkeypatch):
    whole = LlamaForCausalLM.generate

    def generate(self, input_ids, **options):
        if len(input_ids) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole(self, input_ids=input_ids, **options)

    monkeypatch.setattr(LlamaForCausalLM, "generate", generate)
    limit = 2
    said: list[str] = []
    samples = sample(model, tmp_path / "one.jsonl", say=said.append)
    assert len(samples) == 15
    assert "out of memory at 4 responses together: divided; a lower batch_size spares the failed tries" in said
    limit = 0
    with pytest.raises(ModelError, match=r"out of memory at a single response: lower max_tokens \(now 6\)"):
        sample(model, tmp_path / "two.jsonl")


def test_the_models_memory_is_free_once_the_sampler_is_closed(model):
    with open_sampler(str(model), QUICK) as sampler:
        weights = weakref.ref(sampler._model)
        assert weights() is not None
    assert weights() is None


def test_a_prompt_that_the_template_refuses_is_named(tmp_path):
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT_TEMPLATE
    folder = write_tiny_model(tmp_path / "model", chat_template=template)
    prompt = SamplingPrompt(id="abc", messages=({"role": "system", "content": "x"}, *PROMPTS[0].messages))
    with pytest.raises(ConfigError, match="the model's chat template refuses prompt abc: no system"):
        sample(folder, tmp_path / "samples.jsonl", prompts=(prompt,))


def test_what_is_no_model_is_said_before_anything_is_written(tmp_path):
    with pytest.raises(ModelError, match="there is no model folder"):
        sample(tmp_path / "nowhere", tmp_path / "samples.jsonl")
    assert not (tmp_path / "samples.jsonl").exists()


def test_without_a_gpu_the_backend_is_transformers(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_backend("auto", "OWNER/NAME") == "transformers"
    assert choose_backend("vllm", "OWNER/NAME") == "vllm"


def test_a_backend_that_is_not_installed_is_named(model):
    with (
        pytest.raises(ConfigError, match="sampling with vllm needs vllm: pip install vllm"),
        open_sampler(str(model), QUICK, "vllm"),
    ):
        pass
