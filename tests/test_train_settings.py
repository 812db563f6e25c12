"""Settings of a training: the paper's numbers, TRL's names, and what is refused."""

import importlib.util
import re
from importlib.resources import files
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

from autoif.errors import ConfigError
from autoif.training.settings import DEFAULTS, RewardSettings, make_arguments, resolve_settings


def test_the_defaults_are_the_papers(tmp_path):
    sft = resolve_settings("sft", None, ["bf16=true"], lora=False)  # where a processor has it: tests/test_precision.py
    arguments = make_arguments("sft", sft, tmp_path)
    assert (arguments.learning_rate, arguments.lr_scheduler_type, arguments.warmup_steps) == (7e-6, "linear", 20)
    assert (arguments.num_train_epochs, arguments.weight_decay, arguments.max_length) == (3, 0.1, 8192)
    assert (arguments.bf16, arguments.gradient_accumulation_steps, sft.lora) == (True, 128, None)

    dpo = resolve_settings("dpo", None, [], lora=False)
    arguments = make_arguments("dpo", dpo, tmp_path)
    assert (arguments.loss_type, arguments.beta, arguments.num_train_epochs) == (["sigmoid"], 0.3, 2)
    assert (arguments.learning_rate, arguments.lr_scheduler_type, arguments.max_length) == (5e-7, "cosine", 4096)
    assert (arguments.get_warmup_steps(200), arguments.gradient_accumulation_steps) == (20, 64)


@pytest.mark.parametrize(
    ("kind", "section", "column"), [("sft", "Settings", 2), ("dpo", "Settings", 3), ("grpo", "GRPO", 2)]
)
def test_the_documentation_shows_the_defaults(kind, section, column):
    page = (Path(__file__).parent.parent / "docs" / "training.md").read_text("utf-8")
    shown = {}
    for line in page.partition(f"\n## {section}\n")[2].partition("\n## ")[0].splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.split("|")]
            names, values = re.findall(r"`([\w.]+)`", cells[1]), re.findall(r"`([^`]+)`", cells[column])
            shown |= zip(names, values, strict=False)
    defaults = dict(DEFAULTS[kind])
    if kind == "grpo":
        defaults |= {f"reward.{name}": value for name, value in RewardSettings().model_dump().items()}
    for name, value in defaults.items():
        assert name == "report_to" or shown[name] == str(value).replace("'", '"').strip('"'), name


def test_a_setting_wins_over_the_file_and_the_file_over_the_paper(tmp_path):
    file = tmp_path / "train.toml"
    file.write_text('learning_rate = 1e-4\nnum_train_epochs = 1\n[model_init_kwargs]\ndtype = "bfloat16"\n', "utf-8")
    resolved = resolve_settings(
        "sft", file, ["num_train_epochs=2", "model_init_kwargs.attn_implementation=eager"], lora=False
    )
    arguments = make_arguments("sft", resolved, tmp_path)
    assert (arguments.learning_rate, arguments.num_train_epochs, arguments.weight_decay) == (1e-4, 2, 0.1)
    assert arguments.model_init_kwargs == {"dtype": "bfloat16", "attn_implementation": "eager"}


def test_the_global_batch_is_divided_over_devices_and_accumulation(tmp_path, monkeypatch):
    resolved = resolve_settings("sft", None, ["per_device_train_batch_size=4"], lora=False)
    assert make_arguments("sft", resolved, tmp_path).gradient_accumulation_steps == 32
    odd = resolve_settings("sft", None, ["per_device_train_batch_size=3"], lora=False)
    with pytest.raises(ConfigError, match="global_batch_size=128 is no multiple of per_device_train_batch_size=3 x 1"):
        make_arguments("sft", odd, tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="per_device_train_batch_size=4 x 3 processes"):
        make_arguments("sft", resolved, tmp_path)


def test_a_step_of_grpo_holds_whole_groups_of_completions(tmp_path):
    grpo = resolve_settings("grpo", None, [], lora=False)
    arguments = make_arguments("grpo", grpo, tmp_path)
    assert (arguments.gradient_accumulation_steps, arguments.generation_batch_size, arguments.num_generations) == (
        8,
        64,
        8,
    )
    odd = resolve_settings("grpo", None, ["num_generations=12"], lora=False)
    with pytest.raises(ConfigError, match="global_batch_size=64 counts the completions of one step and is no multiple"):
        make_arguments("grpo", odd, tmp_path)
    alone = resolve_settings("grpo", None, ["num_generations=1"], lora=False)
    with pytest.raises(ConfigError, match="a group has 2 completions or more"):
        make_arguments("grpo", alone, tmp_path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("reward.mode=most", 'setting "reward.mode": .*, not .most.'),
        ("reward.timeout_s=0", 'setting "reward.timeout_s"'),
        ("reward.gat=false", 'unknown setting "reward.gat"; did you mean "reward.gate"?'),
        ("reward=binary", "reward is a table of settings"),
        ("use_vllm=true", "use_vllm=true, but vLLM is not installed"),
        ("remove_unused_columns=true", "the reward needs the functions"),
        ("max_length=9", 'unknown setting "max_length"'),
        ("temperature=0.0", 'setting "temperature": 0.0 is not above 0'),
        ("num_iterations=0", 'setting "num_iterations": 0 is not above 0'),
        ("steps_per_generation=0", 'setting "steps_per_generation": 0 is not above 0'),
        ("reward_weights=[2.0]", "set reward.weights, from which they follow"),
        ("reward.weights.gate=0", "the weights of a reward are all 0"),
    ],
)
def test_a_setting_of_grpo_that_cannot_be_is_one_line(setting, message, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "vllm" else find(name))
    with pytest.raises(ConfigError, match=message) as error:
        resolve_settings("grpo", None, [setting], lora=False)
    assert "\n" not in str(error.value)


def test_only_grpo_has_a_reward(tmp_path):
    with pytest.raises(ConfigError, match=r"reward.\* is set, but dpo has no reward"):
        resolve_settings("dpo", None, ["reward.mode=fraction"], lora=False)
    file = tmp_path / "grpo.toml"
    file.write_text('[reward]\nmode = "fraction"\nworkers = 3\n', encoding="utf-8")
    resolved = resolve_settings("grpo", file, ["reward.gate=false"], lora=False)
    assert (resolved.reward.mode, resolved.reward.gate, resolved.reward.workers) == ("fraction", False, 3)
    assert "workers" not in resolved.identity()["reward"], "how many judge does not change the verdicts"


def test_an_evaluation_has_data_and_whole_groups(tmp_path):
    for setting in ("eval_strategy=epoch", "eval_on_start=true", "load_best_model_at_end=true"):
        with pytest.raises(ConfigError, match="but there is nothing to evaluate on: give --eval-data"):
            resolve_settings("sft", None, [setting], lora=False)
    assert make_arguments("sft", resolve_settings("sft", None, ["eval_strategy=no"], lora=False), tmp_path)
    evaluated = resolve_settings("grpo", None, ["num_generations=4"], lora=False, evaluates=True)
    arguments = make_arguments("grpo", evaluated, tmp_path)
    assert (arguments.eval_strategy, arguments.eval_on_start, arguments.per_device_eval_batch_size) == (
        "epoch",
        True,
        4,
    )
    later = resolve_settings("sft", None, ["eval_strategy=steps", "eval_steps=5"], lora=False, evaluates=True)
    assert make_arguments("sft", later, tmp_path).eval_steps == 5


def test_lora_has_one_switch_and_all_settings_of_peft():
    resolved = resolve_settings("dpo", None, ["lora.r=4", "lora.use_rslora=true"], lora=True)
    assert resolved.lora == {
        "r": 4, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear", "use_rslora": True
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"lora.\* is set and LoRA is off: add --lora"):
        resolve_settings("dpo", None, ["lora.r=4"], lora=False)
    with pytest.raises(ConfigError, match="lora is a table"):
        resolve_settings("dpo", None, ["lora=4"], lora=True)
    with pytest.raises(ConfigError, match=r'unknown setting "lora\.rank"'):
        resolve_settings("dpo", None, ["lora.rank=4"], lora=True)
    for setting in ("lora.r=8.5", "lora.r=0", "lora.lora_dropout=much", "lora.inference_mode=true"):
        with pytest.raises(ConfigError, match=f'setting "{setting.partition("=")[0]}"'):
            resolve_settings("dpo", None, [setting], lora=True)
    assert resolve_settings("dpo", None, ["lora.init_lora_weights=pissa"], lora=True).lora


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learning_rat=1", 'unknown setting "learning_rat"; did you mean "learning_rate"'),
        ("xyzzy=1", 'unknown setting "xyzzy" .docs/training.md'),
        ("beta=0.3", 'unknown setting "beta"'),
        ("learning_rate=fast", "setting \"learning_rate\": .* not 'fast'"),
        ("max_length=1.5", 'setting "max_length": '),
        ("global_batch_size=0", 'setting "global_batch_size": 0 is no whole number'),
        ("global_batch_size=true", 'setting "global_batch_size": True is no whole number'),
        ("save_dtype=half", 'setting "save_dtype": .half. is none of auto, float32, bfloat16, float16'),
        ("output_dir=x", '"output_dir" can\'t be set: --output is the folder'),
        ("resume_from_checkpoint=x", "use --resume"),
        ("hub_token=secret", "a secret has no place in a card"),
        ("trust_remote_code=true", "code that comes with a model is never run"),
        ("model_init_kwargs.trust_remote_code=true", "code that comes with a model is never run"),
        ("model_init_kwargs=fast", "model_init_kwargs is a table"),
        ("assistant_only_loss=true", "on the assistant turn in any case"),
        ("gradient_accumulation_steps=2", 'set "global_batch_size" in place of'),
        ("report_to=wandb", "report_to=wandb, but it is not installed: pip install wandb"),
        ('report_to=["tensorboard"]', "report_to=tensorboard, but it is not installed"),
        ("learning_rate", '"learning_rate" is no setting: write key=value'),
        ("learning_rate=-1", 'setting "learning_rate": -1 is below 0'),
        ("weight_decay=-0.1", 'setting "weight_decay": -0.1 is below 0'),
        ("num_train_epochs=0", 'setting "num_train_epochs": 0 is not above 0'),
        ("per_device_train_batch_size=0", 'setting "per_device_train_batch_size": 0 is not above 0'),
        ("save_steps=0", 'setting "save_steps": 0 is not above 0'),
        ("max_steps=0", 'setting "max_steps": 0 is no number of steps'),
        ("adam_beta1=2.0", 'setting "adam_beta1": 2.0 is above 1'),
        ("eos_token=<end>", "is read from the chat template"),
        ("chat_template_path=x", "as chat_template.jinja"),
        ("chat_template_kwargs.max_length=3", "max_length can't be set: no chat template gets it"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(setting, message, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=message) as error:
        resolve_settings("sft", None, [setting], lora=False)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("sft", "learning_rate=0"),
        ("dpo", "learning_rate=0.0"),
        ("grpo", "learning_rate=0"),
        ("dpo", "beta=0"),
        ("dpo", "loss_weights=[0]"),
        ("sft", "lora.lora_dropout=1.0"),
    ],
)
def test_settings_under_which_no_step_changes_the_weights_are_refused_before_the_training(kind, setting):
    name, _, value = setting.partition("=")
    with pytest.raises(ConfigError) as error:
        resolve_settings(kind, None, [setting], lora=name.startswith("lora"))
    expected = f'setting "{name}": with {value} no step changes the weights, so nothing would be learnt'
    assert str(error.value) == expected


def test_rows_are_never_cut_at_their_beginning():
    for kind in ("sft", "dpo"):
        with pytest.raises(ConfigError, match=r"truncation_mode.* can't be set: what is too long is cut at its end"):
            resolve_settings(kind, None, ["truncation_mode=keep_end"], lora=False)


def test_an_adapter_whose_start_is_in_no_file_is_refused():
    with pytest.raises(ConfigError, match=r"pissa_niter_4 estimates at random .*: set pissa"):
        resolve_settings("sft", None, ["lora.init_lora_weights=pissa_niter_4"], lora=True)
    assert resolve_settings("sft", None, ["lora.init_lora_weights=pissa"], lora=True)


def test_a_beta_of_0_is_refused_only_where_the_loss_is_nothing_without():
    assert resolve_settings("grpo", None, ["beta=0"], lora=False)
    assert resolve_settings("dpo", None, ["beta=0", 'loss_type=["sft"]'], lora=False)


def test_a_value_that_only_trl_can_judge_is_refused_in_one_line(tmp_path):
    resolved = resolve_settings("sft", None, ["save_strategy=sometimes"], lora=False)
    with pytest.raises(ConfigError, match="TRL refuses the settings: sometimes is not a valid") as error:
        make_arguments("sft", resolved, tmp_path)
    assert "\n" not in str(error.value)
    both = resolve_settings("sft", None, ["fp16=true", "bf16=true"], lora=False)
    with pytest.raises(ConfigError, match=r"TRL refuses the settings: .*; set bf16=false on this device"):
        make_arguments("sft", both, tmp_path)


def test_a_config_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"none.toml can't be read as TOML"):
        resolve_settings("sft", tmp_path / "none.toml", [], lora=False)
    (tmp_path / "odd.toml").write_text("learning_rate", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"odd.toml can't be read as TOML"):
        resolve_settings("sft", tmp_path / "odd.toml", [], lora=False)


def test_accelerate_reads_the_packaged_zero_3_config():
    config = load_config_from_file(str(files("autoif") / "presets" / "accelerate_zero3.yaml"))
    assert (config.distributed_type, config.deepspeed_config["zero_stage"]) == ("DEEPSPEED", 3)
    assert (config.mixed_precision, config.use_cpu) == ("bf16", False)


def test_accelerate_reads_the_packaged_fsdp_config():
    config = load_config_from_file(str(files("autoif") / "presets" / "accelerate_fsdp.yaml"))
    assert (config.distributed_type, config.fsdp_config["fsdp_version"]) == ("FSDP", 2)
    assert (config.mixed_precision, config.use_cpu) == ("bf16", False)
