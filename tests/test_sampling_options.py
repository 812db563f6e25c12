"""Who answers, as it is typed: a model with its settings, or recorded responses; and what is refused."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from autoif.cli.sampling_options import SampledModel, policy_options, take_subject
from autoif.errors import ConfigError
from autoif.models.endpoint import Endpoint
from autoif.sampling import SamplingSettings
from autoif.sampling.precision import choose_precision

LOCAL = ["--batch-size", "4", "--dtype", "float32", "--backend", "vllm"]
ENGINE = ["--tensor-parallel-size", "8", "--gpu-memory-utilization", "0.5", "--max-model-len", "4096"]


def parse(*arguments: str) -> tuple[object, bool]:
    """Return what a command with these options gets as its policy, and an option of its own."""
    got = []

    @click.command()
    @policy_options(samples=3, temperature=0.5, max_tokens=7, recorded="FILE: Score recorded responses")
    @click.option("--quiet", is_flag=True)
    def command(policy: object, keep_thinking: bool, quiet: bool) -> None:
        got.append((policy, quiet))

    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception:
        raise result.exception
    return got[0]


def test_a_model_comes_with_the_defaults_of_the_command():
    settings = SamplingSettings(responses=3, temperature=0.5, max_tokens=7, dtype=choose_precision())
    assert parse("models/sft", "--quiet") == (SampledModel("models/sft", "auto", settings), True)


def test_every_option_of_sampling_reaches_the_settings():
    given = ["--samples", "2", "--temperature", "1", "--top-p", "0.9", "--max-tokens", "5", "--seed", "6"]
    policy, _ = parse("m", *given, *LOCAL, *ENGINE)
    assert policy == SampledModel(
        "m", "vllm",
        SamplingSettings(
            responses=2, temperature=1, top_p=0.9, max_tokens=5, seed=6, batch_size=4, dtype="float32",
            tensor_parallel_size=8, gpu_memory_utilization=0.5, max_model_len=4096,
        ),
    )  # fmt: skip


def test_what_a_chat_template_is_given_is_a_json_object():
    policy, _ = parse("m", "--chat-template-kwargs", '{"enable_thinking": false, "effort": "low"}')
    assert policy.settings.chat_template_kwargs == {"enable_thinking": False, "effort": "low"}
    for wrong in ("enable_thinking=false", "[1]"):
        with pytest.raises(ConfigError, match=r"--chat-template-kwargs .*: write a JSON object"):
            parse("m", "--chat-template-kwargs", wrong)


def test_a_model_at_an_endpoint_is_named_there_and_no_folder():
    policy, _ = parse("m", "--base-url", "http://127.0.0.1:1/v1", "--api-key-env", "KEY")
    assert policy.backend == Endpoint(base_url="http://127.0.0.1:1/v1", model="m", api_key_env="KEY")
    assert (policy.local_name, parse("m")[0].local_name) == ("", "m")
    assert take_subject(policy, print).identity == "m, endpoint"
    with pytest.raises(ConfigError, match=r"--base-url: .* is no http\(s\) address"):
        parse("m", "--base-url", "file:///x")


def test_recorded_responses_are_a_file_and_no_setting_of_sampling_is_refused_beside_it():
    assert parse("--responses", "r.jsonl", "--temperature", "0") == (Path("r.jsonl"), False)


def test_who_answers_must_be_named_once():
    for arguments in ((), ("m", "--responses", "r.jsonl")):
        with pytest.raises(click.UsageError, match="name a MODEL, or recorded --responses FILE"):
            parse(*arguments)


def test_several_samples_without_chance_are_refused():
    with pytest.raises(ConfigError, match="same response each time: set it above 0 for several --samples"):
        parse("m", "--temperature", "0")
    assert parse("m", "--temperature", "0", "--samples", "1")[0].settings.temperature == 0
