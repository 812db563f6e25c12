"""Settings: layers, names, kinds, and what of them a run folder must have in common with a run."""

from pathlib import Path

import pytest

from autoif.config import Config, flatten, identity, load_config, presets
from autoif.errors import ConfigError, StoreError
from autoif.runs.manifest import check_identity


def test_the_defaults_are_the_papers_numbers():
    assert load_config("paper") == Config()


def test_a_setting_wins_over_the_file_and_the_file_over_its_preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "released"\n[scoring]\nmean = ">= 9"\nsamples = 2\n')
    config = load_config(str(path), ["scoring.samples=3"])
    assert config.scoring.mean == ">= 9"
    assert config.scoring.samples == 3
    assert config.rejection_sampling.pass_rate == "> 0"  # of the preset


def test_a_file_without_a_preset_goes_over_the_paper(tmp_path):
    (tmp_path / "mine.toml").write_text("seed = 7\n")
    assert load_config(str(tmp_path / "mine.toml")) == Config(seed=7)


def test_models_all_sets_every_role_and_a_roles_own_table_wins():
    config = load_config("paper", ["models.all.model=big", "models.judge.model=judge"])
    models = config.models
    assert (models.writer.model, models.responder.model, models.judge.model) == ("big", "big", "judge")


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("true", True), ("0.25", 0.25), ('"> 0.7"', "> 0.7"), ("> 0.7", "> 0.7")],
)
def test_a_setting_is_read_as_json_or_as_bare_text(text, value):
    key = {
        3: "scoring.samples",
        True: "cross_validation.both_outcomes",
        0.25: "scoring.temperature",
        "> 0.7": "rejection_sampling.pass_rate",
    }[value]
    assert dict(flatten(load_config("paper", [f"{key}={text}"]).model_dump()))[key] == value


def test_what_is_wrong_with_the_models_of_all_roles_is_said_once():
    with pytest.raises(ConfigError) as raised:
        load_config("paper", ["models.all.base_url=ftp://localhost/v1"])
    assert str(raised.value).startswith('setting "models.all.base_url": ')
    assert str(raised.value).count("ftp://localhost/v1") == 1
    with pytest.raises(ConfigError, match=r'setting "models\.writer\.retries", "models\.judge\.retries": '):
        load_config("paper", ["models.writer.retries=-1", "models.judge.retries=-1"])


def test_an_unknown_key_is_refused_by_its_full_name():
    with pytest.raises(ConfigError, match=r'unknown setting "models\.writer\.urls"'):
        load_config("paper", ["models.writer.urls=x"])


def test_a_name_in_quotes_is_told_how_to_be_written(tmp_path):
    (tmp_path / "my.toml").write_text('"scoring.samples" = 2')
    with pytest.raises(ConfigError, match=r"write scoring\.samples without quotation marks"):
        load_config(str(tmp_path / "my.toml"))


def test_a_file_without_a_setting_is_not_taken_for_the_paper(tmp_path):
    (tmp_path / "my.toml").write_text("# preset = 'quickstart'")
    with pytest.raises(ConfigError, match="holds no setting"):
        load_config(str(tmp_path / "my.toml"))


def test_a_setting_does_not_rename_the_preset_that_it_goes_over():
    with pytest.raises(ConfigError, match="a setting can't choose the preset"):
        load_config("quickstart", ["preset=paper"])


def test_yes_or_no_is_no_number_and_a_flag_is_read_as_it_is_meant(tmp_path):
    numbers = [name for name, value in flatten(Config().model_dump()) if type(value) in {int, float}]
    assert len(numbers) > 60
    for name in [*numbers, "budget.usd", "budget.tokens", "models.judge.usd_per_million_prompt_tokens"]:
        with pytest.raises(ConfigError, match=f'"{name}": .*number'):
            load_config("paper", [f"{name}=true"])
    (tmp_path / "mine.toml").write_text('[scoring]\nenabled = "false"\nsamples = true\n')
    with pytest.raises(ConfigError, match=r'^setting "scoring.samples": Input should be a number, not true$'):
        load_config(str(tmp_path / "mine.toml"))
    assert not load_config("paper", ["scoring.enabled=no"]).scoring.enabled


def test_every_wrong_setting_is_named_at_once():
    with pytest.raises(ConfigError, match=r"scoring\.samples.*preferences\.pairs"):
        load_config("paper", ["scoring.samples=0", "preferences.pairs=2"])


@pytest.mark.parametrize(
    "setting",
    [
        "execution.engine=ray",
        "execution.workers=9",
        "sandbox.workers=3",
        "budget.tokens=5",
        "models.slots=4",
        "models.all.base_url=http://127.0.0.1:1/v1",
        "models.all.concurrency=3",
        "models.all.retry_wait_s=9",
    ],
)
def test_where_and_how_fast_a_run_is_done_is_no_part_of_its_identity(setting):
    assert identity(load_config("paper", [setting])) == identity(load_config("paper"))


@pytest.mark.parametrize(
    "setting",
    [
        "seed=1",
        "scoring.mean=> 8",
        "models.all.model=other",
        "execution.shard_size=3",
        "sandbox.timeout_s=9",
        "sandbox.backend=monty",
        'sandbox.packages=["regex"]',
    ],
)
def test_what_shapes_the_results_is_part_of_a_runs_identity(setting):
    assert identity(load_config("paper", [setting])) != identity(load_config("paper"))


def test_a_setting_that_a_folder_is_older_than_has_its_default_there():
    older = identity(load_config("paper"))
    for key in ("sft.rows_per_prompt", "scoring.enabled", "sandbox.packages", "contrast.answers"):
        del older[key]
    check_identity(older, identity(load_config("paper")), Path("run"))
    newer = identity(load_config("paper", ["sft.rows_per_prompt=2"]))
    with pytest.raises(StoreError, match=r"sft\.rows_per_prompt \(0 there, 2 now\)"):
        check_identity(older, newer, Path("run"))
    with pytest.raises(StoreError, match=r"sft\.rows_per_prompt \(2 there, 0 now\)"):
        check_identity(newer, older, Path("run"))


def test_the_presets_are_those_of_the_documentation():
    assert presets() == ["paper", "quickstart", "recommended", "released"]
    for preset in presets():
        assert load_config(preset).preset == preset


def test_what_is_wrong_with_settings_together_names_no_empty_setting():
    with pytest.raises(ConfigError, match=r"^budget.usd needs prices"):
        load_config("paper", ["budget.usd=1", "models.all.base_url=http://127.0.0.1:9/v1", "models.all.model=m"])
