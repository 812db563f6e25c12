"""`autoif export`: each trainer's form to the letter, read back as the trainer reads it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from datasets import load_dataset
from trl.data_utils import is_conversational

from autoif.cli.main import cli
from autoif.datasets.exports import EXPORTERS
from autoif.datasets.exports.files import RowTable, TextFile, write_files
from autoif.datasets.reviewed_rows import read_rows
from autoif.datasets.rows import Form, PreferenceRow, RewardRow, SftRow
from autoif.errors import ConfigError, StoreError
from autoif.runs.store import DATA_SETS
from support.exported_run import GOLDEN, export, functions_of, rows_of


def pairs(name: str = "sft.jsonl") -> list[tuple[str, str]]:
    """Return what the recorded run has: (user turn, answer) of each row."""
    return [(row["messages"][0]["content"], row["messages"][1]["content"]) for row in rows_of(GOLDEN / name)]


def preferences() -> list[tuple[str, str, str]]:
    """Return (user turn, chosen, rejected) of each row."""
    rows = rows_of(GOLDEN / "preferences.jsonl")
    return [tuple(row[side][0]["content"] for side in ("prompt", "chosen", "rejected")) for row in rows]


# -- trl


def test_trl_gets_rows_that_it_takes_for_conversations(tmp_path):
    folder = export("trl", tmp_path)
    sft = load_dataset("json", data_files=str(folder / "sft.jsonl"), split="train", cache_dir=str(tmp_path / "cache"))
    assert sft.column_names == ["prompt", "completion"]
    assert [(row["prompt"][0]["content"], row["completion"][0]["content"]) for row in sft] == pairs()
    assert all(is_conversational(row) for row in sft)
    preference = rows_of(folder / "preferences.jsonl")
    assert [tuple(row[side][0]["content"] for side in ("prompt", "chosen", "rejected")) for row in preference] == (
        preferences()
    )
    assert all(is_conversational(row) for row in [*preference, *rows_of(folder / "rl.jsonl")])


def test_the_rl_rows_of_trl_carry_the_functions_to_the_reward(tmp_path):
    rows = rows_of(export("trl", tmp_path) / "rl.jsonl")
    assert [(row["prompt"], row["functions"]) for row in rows] == [
        (row["prompt"], functions_of(row)) for row in rows_of(GOLDEN / "rewards.jsonl")
    ]


# -- LLaMA-Factory


def read_as_llamafactory(folder: Path, name: str) -> list[tuple[str, ...]]:
    """Return (user turn, answers ...) as its converters make them out of dataset_info.json and the rows."""
    entry = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))[name]
    columns = entry["columns"]
    found: list[tuple[str, ...]] = []
    for row in rows_of(folder / entry["file_name"]):
        if entry["formatting"] == "alpaca":
            parts = [row[columns["prompt"]], row[columns["query"]]]
            sides = [columns[key] for key in (("chosen", "rejected") if entry.get("ranking") else ("response",))]
            found.append(("\n".join(part for part in parts if part), *(row[side] for side in sides)))
            continue
        tags = entry["tags"]
        turns = list(row[columns["messages"]])
        if entry.get("ranking"):
            assert len(turns) % 2 == 1
            turns += [row[columns["chosen"]], row[columns["rejected"]]]
        expected = [tags["user_tag"], *[tags["assistant_tag"]] * (len(turns) - 1)]
        assert [turn[tags["role_tag"]] for turn in turns] == expected
        found.append(tuple(turn[tags["content_tag"]] for turn in turns))
    return found


@pytest.mark.parametrize("suffix", ["", "_sharegpt"])
def test_llamafactory_reads_the_same_conversations_in_both_formats(tmp_path, suffix):
    folder = export("llamafactory", tmp_path)
    assert read_as_llamafactory(folder, f"autoif_sft{suffix}") == pairs()
    assert read_as_llamafactory(folder, f"autoif_preferences{suffix}") == preferences()


def test_llamafactory_is_told_which_data_sets_are_pairs(tmp_path):
    info = json.loads((export("llamafactory", tmp_path) / "dataset_info.json").read_text(encoding="utf-8"))
    assert {name: entry.get("ranking", False) for name, entry in info.items()} == {
        "autoif_sft": False,
        "autoif_sft_sharegpt": False,
        "autoif_preferences": True,
        "autoif_preferences_sharegpt": True,
    }
    assert info["autoif_sft"]["columns"] == {"prompt": "instruction", "query": "input", "response": "output"}


def test_the_data_sets_that_llamafactory_knows_already_stay(tmp_path):
    mine = {"mine": {"file_name": "mine.json"}, "zürich": {"hf_hub_url": "a/b", "ranking": True}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(mine, ensure_ascii=False), encoding="utf-8")
    export("llamafactory", tmp_path, GOLDEN / "sft.jsonl")
    export("llamafactory", tmp_path, GOLDEN / "preferences.jsonl")
    info = json.loads((tmp_path / "dataset_info.json").read_text(encoding="ascii"))
    assert list(info.items())[:2] == list(mine.items())
    assert info == mine | json.loads((export("llamafactory", tmp_path / "new") / "dataset_info.json").read_bytes())


def test_a_name_that_llamafactory_has_for_something_else_is_refused(tmp_path):
    taken = json.dumps({"autoif_sft": {"file_name": "mine.json"}, "mine": {"file_name": "mine.json"}})
    path = tmp_path / "dataset_info.json"
    path.write_text(taken, encoding="utf-8")
    assert "has another autoif_sft: rename that" in refused(GOLDEN, "--to", "llamafactory", "-o", tmp_path)
    assert [path.read_text(encoding="utf-8"), *tmp_path.iterdir()] == [taken, path]
    done = CliRunner().invoke(cli, ["export", str(GOLDEN), "--to", "llamafactory", "-o", str(tmp_path), "--overwrite"])
    assert done.exit_code == 0
    info = json.loads(path.read_text(encoding="utf-8"))
    assert (info["autoif_sft"]["file_name"], info["mine"]) == ("autoif_sft.jsonl", {"file_name": "mine.json"})


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"{,}", "repair it"), (b'["a"]', "no JSON object"), (b"\xff", "repair it"), (None, "Is a directory")],
)
@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_dataset_info_that_can_not_be_read_is_left_alone(tmp_path, content, said, more):
    path = tmp_path / "dataset_info.json"
    path.write_bytes(content) if content else path.mkdir()
    assert said in refused(GOLDEN, "--to", "llamafactory", "-o", tmp_path, *more)
    assert list(tmp_path.iterdir()) == [path]
    assert content is None or path.read_bytes() == content


# -- axolotl


@pytest.mark.parametrize(("config", "rl"), [("sft.yml", None), ("dpo.yml", "dpo"), ("grpo.yml", "grpo")])
def test_an_axolotl_config_names_a_file_and_columns_that_are_there(tmp_path, config, rl):
    folder = export("axolotl", tmp_path)
    settings = yaml.safe_load((folder / config).read_text(encoding="utf-8"))
    assert settings.get("rl") == rl
    [entry] = settings["datasets"]
    assert entry["ds_type"] == "json"
    [first, *_] = rows_of(folder / entry["path"])
    assert {value for key, value in entry.items() if key.startswith("field_")} <= first.keys()


def test_axolotl_gets_messages_and_one_message_a_side(tmp_path):
    folder = export("axolotl", tmp_path)
    assert [tuple(turn["content"] for turn in row["messages"]) for row in rows_of(folder / "sft.jsonl")] == pairs()
    rows = rows_of(folder / "preferences.jsonl")
    assert [(row["messages"][0]["content"], row["chosen"]["content"], row["rejected"]["content"]) for row in rows] == (
        preferences()
    )
    assert {row[side]["role"] for row in rows for side in ("chosen", "rejected")} == {"assistant"}


# -- OpenAI


def test_openai_gets_nothing_but_the_keys_of_its_form(tmp_path):
    folder = export("openai", tmp_path)
    sft, preference = rows_of(folder / "sft.jsonl"), rows_of(folder / "preferences.jsonl")
    assert {tuple(row) for row in sft} == {("messages",)}
    assert [tuple(turn["content"] for turn in row["messages"]) for row in sft] == pairs()
    assert {tuple(row) for row in preference} == {("input", "preferred_output", "non_preferred_output")}
    assert [
        (
            row["input"]["messages"][0]["content"],
            row["preferred_output"][0]["content"],
            row["non_preferred_output"][0]["content"],
        )
        for row in preference
    ] == preferences()
    assert {path.name for path in folder.iterdir()} == {"sft.jsonl", "preferences.jsonl"}


# -- open-instruct and NeMo Gym


def test_open_instruct_gets_whole_conversations_and_its_rlvr_columns(tmp_path):
    folder = export("open-instruct", tmp_path)
    assert [tuple(turn["content"] for turn in row["messages"]) for row in rows_of(folder / "sft.jsonl")] == pairs()
    preference = rows_of(folder / "preferences.jsonl")
    assert {tuple(turn["role"] for turn in row[side]) for row in preference for side in row} == {("user", "assistant")}
    assert [
        (row["chosen"][0]["content"], row["chosen"][1]["content"], row["rejected"][1]["content"])
        for row in (preference)
    ] == preferences()
    rows, recorded = rows_of(folder / "rl.jsonl"), rows_of(GOLDEN / "rewards.jsonl")
    assert {tuple(row) for row in rows} == {("messages", "ground_truth", "dataset")}
    assert [(row["messages"], json.loads(row["ground_truth"])) for row in rows] == [
        (row["prompt"], functions_of(row)) for row in recorded
    ]


def test_nemo_gym_gets_the_rows_of_its_instruction_following_environment(tmp_path):
    folder = export("nemo-gym", tmp_path) / "resources_servers" / "autoif_instructions"
    rows, recorded = rows_of(folder / "data" / "train.jsonl"), rows_of(GOLDEN / "rewards.jsonl")
    assert [row["id"] for row in rows] == list(range(len(recorded)))
    assert [row["responses_create_params"]["input"] for row in rows] == [row["prompt"] for row in recorded]
    assert {tuple(row["verifier_metadata"]) for row in rows} == {
        ("instruction_id_list", "prompt", "kwargs", "grading_mode")
    }
    assert all(
        len(row["verifier_metadata"]["kwargs"]) == len(row["verifier_metadata"]["instruction_id_list"]) for row in rows
    )
    config = yaml.safe_load((folder / "configs" / "autoif_instructions.yaml").read_text(encoding="utf-8"))
    assert {row["agent_ref"]["name"] for row in rows} <= config.keys()
    [agent] = config["autoif_instructions_simple_agent"]["responses_api_agents"].values()
    assert agent["resources_server"]["name"] in config
    assert (tmp_path / agent["datasets"][0]["jsonl_fpath"]).samefile(folder / "data" / "train.jsonl")


# -- verl and Parquet


def parquet_of(path: Path, cache: Path) -> list[dict]:
    return list(load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(cache)))


def test_verl_gets_its_five_columns(tmp_path):
    folder = export("verl", tmp_path)
    rows = parquet_of(folder / "rl.parquet", tmp_path / "cache")
    recorded = rows_of(GOLDEN / "rewards.jsonl")
    assert list(rows[0]) == ["data_source", "prompt", "ability", "reward_model", "extra_info"]
    assert [row["prompt"] for row in rows] == [row["prompt"] for row in recorded]
    assert [json.loads(row["reward_model"]["ground_truth"]) for row in rows] == [functions_of(row) for row in recorded]
    assert {row["reward_model"]["style"] for row in rows} == {"rule"}
    assert [row["extra_info"]["index"] for row in rows] == list(range(len(rows)))
    sft = parquet_of(folder / "sft.parquet", tmp_path / "cache")
    assert [tuple(turn["content"] for turn in row["messages"]) for row in sft] == pairs()


def test_parquet_holds_every_column_of_the_run(tmp_path):
    folder = export("parquet", tmp_path)
    for name in DATA_SETS:
        path = folder / name.replace(".jsonl", ".parquet")
        assert parquet_of(path, tmp_path / "cache") == rows_of(GOLDEN / name)


def test_without_pyarrow_the_extra_is_named(tmp_path):
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from autoif.cli.main import main\n"
        f"sys.argv = ['autoif', 'export', {str(GOLDEN)!r}, '--to', 'parquet', '-o', {str(tmp_path / 'out')!r}]\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == 'autoif: Parquet needs the extra "datasets": pip install "autoif[datasets]"\n'
    assert list((tmp_path / "out").iterdir()) == []


def test_what_an_earlier_export_left_beside_the_new_files_is_named(tmp_path):
    folder = export("trl", tmp_path / "out")
    again = [str(GOLDEN / "sft.jsonl"), "--to", "trl", "-o", str(folder), "--overwrite"]
    done = CliRunner().invoke(cli, ["export", *again])
    stale = f"{folder / 'preferences.jsonl'}, {folder / 'rl.jsonl'}"
    assert f"left as before, as this export has no such file: {stale}\n" in done.stderr
    whole = CliRunner().invoke(cli, ["export", str(GOLDEN), "--to", "trl", "-o", str(folder), "--overwrite"])
    assert "left as before" not in whole.stderr


def test_a_column_of_several_types_is_refused_for_parquet(tmp_path):
    table = RowTable("some.parquet", Form.SFT, [{"a": 1}, {"a": "x"}])
    with pytest.raises(ConfigError, match="several types"):
        write_files(tmp_path, [table])


# -- what is written, and what is refused


def refused(*arguments: object) -> str:
    done = CliRunner().invoke(cli, ["export", *map(str, arguments)])
    assert isinstance(done.exception, ConfigError | StoreError), done.output
    assert "\n" not in str(done.exception)
    return str(done.exception)


def test_it_says_what_it_wrote_and_which_forms_it_could_not(tmp_path):
    done = CliRunner().invoke(cli, ["export", str(GOLDEN / "sft.jsonl"), "--to", "verl", "-o", str(tmp_path)])
    assert done.stdout == f"{tmp_path / 'sft.parquet'}: 157 rows, SFT\n"
    assert done.stderr == "no preference form: there are no rows for it\nno RL form: there are no rows for it\n"
    done = CliRunner().invoke(cli, ["export", str(GOLDEN), "--to", "openai", "-o", str(tmp_path)])
    assert done.stderr == "no RL form: openai has none that autoif can write\n"


@pytest.mark.parametrize("trainer", EXPORTERS)
def test_a_file_that_is_there_is_replaced_only_when_asked(tmp_path, trainer):
    folder = export(trainer, tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    first = sorted(before)[0]
    first.write_text("mine", encoding="utf-8")
    assert "use --overwrite" in refused(GOLDEN, "--to", trainer, "-o", folder)
    assert first.read_text(encoding="utf-8") == "mine"
    done = CliRunner().invoke(cli, ["export", str(GOLDEN), "--to", trainer, "-o", str(folder), "--overwrite"])
    assert done.exit_code == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("trainer", EXPORTERS)
def test_each_form_is_written_without_the_others(tmp_path, trainer):
    together = {file.name for file in EXPORTERS[trainer](read_rows([GOLDEN])) if isinstance(file, RowTable)}
    alone: list[str] = []
    for form, name in zip(Form, DATA_SETS, strict=True):
        tables = [file for file in EXPORTERS[trainer](read_rows([GOLDEN / name])) if isinstance(file, RowTable)]
        assert {table.form for table in tables} <= {form}
        alone += [table.name for table in tables]
    assert sorted(alone) == sorted(together)


def test_files_of_several_runs_are_one_export(tmp_path):
    (tmp_path / "other.jsonl").write_bytes((GOLDEN / "sft.jsonl").read_bytes())
    folder = export("openai", tmp_path, GOLDEN / "sft.jsonl", GOLDEN / "preferences.jsonl", tmp_path / "other.jsonl")
    assert len(rows_of(folder / "sft.jsonl")) == 2 * len(pairs())
    assert len(rows_of(folder / "preferences.jsonl")) == len(preferences())


def test_rows_that_a_copy_has_too_are_counted(tmp_path):
    (tmp_path / "copy.jsonl").write_bytes((GOLDEN / "sft.jsonl").read_bytes())
    given = [
        "export",
        str(GOLDEN / "sft.jsonl"),
        str(tmp_path / "copy.jsonl"),
        "--to",
        "trl",
        "-o",
        str(tmp_path / "o"),
    ]
    assert (
        f"rows that are there more than once (is one of the inputs a copy?): {len(pairs())}\n"
        in CliRunner().invoke(cli, given).stderr
    )
    assert "more than once" not in CliRunner().invoke(cli, [*given[:2], *given[3:], "--overwrite"]).stderr


@pytest.mark.parametrize("answer", ["<think>Hm.</think>Tea.", "Tea.<|im_end|>"])
def test_thoughts_and_tokens_in_rows_of_others_are_counted(tmp_path, answer):
    turns = [{"role": "user", "content": "What is hot?"}, {"role": "assistant", "content": answer}]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": turns}))
    done = CliRunner().invoke(cli, ["export", str(tmp_path / "rows.jsonl"), "--to", "trl", "-o", str(tmp_path / "o")])
    assert "rows with a thought or tokens of a chat template, which a model would learn: 1\n" in done.stderr


@pytest.mark.parametrize("answer", ["", " \n", "\u200b\u2800"])
def test_an_answer_that_nobody_can_see_is_refused(tmp_path, answer):
    turns = [{"role": "user", "content": "What is hot?"}, {"role": "assistant", "content": answer}]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": turns}))
    assert "the assistant turn is blank" in refused(tmp_path / "rows.jsonl", "--to", "trl", "-o", tmp_path / "o")


def test_a_file_is_known_by_its_columns_and_not_by_its_name(tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_bytes((GOLDEN / "rewards.jsonl").read_bytes())
    assert len(read_rows([other]).rewards) == len(rows_of(other))


def test_columns_of_later_versions_are_kept(tmp_path):
    row = {**rows_of(GOLDEN / "sft.jsonl")[0], "round": 3}
    (tmp_path / "sft.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert read_rows([tmp_path]).sft[0].columns() == row


def test_a_line_separator_in_a_text_splits_no_row(tmp_path):
    row = rows_of(GOLDEN / "sft.jsonl")[0]
    row["messages"][1]["content"] = "one\u2028two\x85three"
    (tmp_path / "sft.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    folder = export("openai", tmp_path / "out", tmp_path)
    assert [turns["messages"][1]["content"] for turns in rows_of(folder / "sft.jsonl")] == ["one\u2028two\x85three"]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    assert "it is no run folder" in refused(tmp_path, "--to", "trl", "-o", tmp_path / "out")
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    assert "its run has made none yet: finish it" in refused(tmp_path, "--to", "trl", "-o", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "nothing to export: no rows in"),
        ("[]\n", "nothing to export: no rows in"),
        ('["hello"]\n', "is no data set of a run"),
        ('{"text": "hello"}\n', "is no data set of a run"),
        ("hello\n", "line 1: no JSON row"),
        ('{"messages": []}\n', "line 1: no SftRow row"),
        (
            '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}\n',
            "messages: one user turn and",
        ),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " \\n"}]}\n', "messages.1"),
        ('{"prompt": [{"role": "user", "content": "a"}], "chosen": []}\n', "line 1: no PreferenceRow row"),
        (
            '{"prompt": [{"role": "user", "content": "a"}], "constraints": []}\n',
            "no RewardRow row (constraints",
        ),
        (
            '{"prompt": [{"role": "user", "content": "a"}], "functions": ["f"]}\n',
            "an export for a trainer, where the run's own file is wanted",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_file_and_line(tmp_path, content, said):
    path = tmp_path / "data.jsonl"
    path.write_text(content, encoding="utf-8")
    message = refused(path, "--to", "trl", "-o", tmp_path / "out")
    assert said in message
    assert str(path) in message
    assert not (tmp_path / "out").exists()


def test_rows_of_others_may_lack_what_they_do_not_know_and_null_is_nothing(tmp_path):
    turns = [{"role": "user", "content": "a", "name": None}, {"role": "assistant", "content": "b"}]
    row = {"messages": turns, "constraints": None, "functions": [], "quality": None, "source": "theirs"}
    (tmp_path / "data.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    [read] = read_rows([tmp_path / "data.jsonl"]).sft
    assert (read.constraints, read.pass_rate, read.query_id) == ((), None, "")
    assert read.columns() == {
        "messages": [{"role": "user", "content": "a"}, turns[1]],
        "functions": [],
        "source": "theirs",
    }


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "can't be read: No such file" in refused(tmp_path / "sft.jsonl", "--to", "trl", "-o", tmp_path / "out")


def test_a_trainer_without_a_form_for_the_rows_is_refused(tmp_path):
    assert "openai has no form for the rows of" in refused(
        GOLDEN / "rewards.jsonl", "--to", "openai", "-o", tmp_path / "out"
    )


def test_an_export_that_fails_leaves_nothing(tmp_path):
    def breaks():
        yield {"a": 1}
        raise ConfigError("no more")

    with pytest.raises(ConfigError, match="no more"):
        write_files(tmp_path / "out", [TextFile("a/b.txt", "x"), RowTable("rows.jsonl", Form.SFT, breaks())])
    assert list((tmp_path / "out").iterdir()) == []


def test_an_output_that_can_not_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="can't be written"):
        write_files(tmp_path / "file" / "out", [TextFile("a.txt", "x")])


def test_the_recorded_rows_are_of_the_types_they_are_read_as():
    rows = read_rows([GOLDEN])
    assert rows.forms == set(Form)
    assert {type(row) for row in (*rows.sft, *rows.preferences, *rows.rewards)} == {SftRow, PreferenceRow, RewardRow}


def test_a_column_that_is_null_everywhere_does_not_tell_what_a_file_is(tmp_path):
    pairs = [{**row, "messages": None} for row in rows_of(GOLDEN / "preferences.jsonl")]
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    assert read_rows([tmp_path / "mixed.jsonl"]).forms == {Form.PREFERENCE}


def test_an_export_says_which_packages_its_reward_does_not_let_in(replayed, tmp_path):
    run = shutil.copytree(replayed, tmp_path / "run")
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    manifest["config"]["sandbox"]["packages"] = ["regex", "nltk"]
    (run / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    said = "the run's functions may import nltk, regex, and the reward of this export lets no package in"
    for data, trainer, expected in ((run, "verl", True), (run, "llamafactory", False), (replayed, "verl", False)):
        given = ["export", str(data), "--to", trainer, "-o", str(tmp_path / f"{data.parent.name}-{trainer}")]
        assert (said in CliRunner().invoke(cli, given).stderr) == expected
