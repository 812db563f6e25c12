"""Prompts as files: the form, the placeholders, whose they are, and how `autoif show --prompts` prints them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from autoif.cli.main import cli
from autoif.config import Config, identity, load_config, presets
from autoif.errors import ConfigError
from autoif.prompts import PLACEHOLDERS, Name, PromptFile, load_packaged, prompt_sets
from autoif.runs.store import FORMAT

DOCS = (Path(__file__).parent.parent / "docs" / "prompts.md").read_text(encoding="utf-8")
NAMES = list(PLACEHOLDERS)


def write(folder: Path, text: str, name: str = "mine.txt") -> str:
    path = folder / name
    path.write_bytes(text.encode())
    return str(path)


@pytest.mark.parametrize("preset", presets())
@pytest.mark.parametrize("name", NAMES)
def test_every_preset_has_every_prompt_and_all_its_placeholders_are_filled(preset: str, name: Name) -> None:
    prompt = load_config(preset).prompts.files()[name]
    values = {placeholder: f"<{placeholder}>" for placeholder in PLACEHOLDERS[name]}
    turns = (("user", prompt.fill_text(**values)),) if name == "nli_completion" else prompt.fill(**values)
    assert turns[-1][0] == "user"
    assert "<" in turns[-1][1]
    assert not any("{" + placeholder + "}" in content for _, content in turns for placeholder in values)


def test_a_users_file_replaces_one_prompt_by_file_and_by_setting(tmp_path: Path) -> None:
    path = write(tmp_path, "[system]\nBe brief.\n\n[user]\n{prompt}\n")
    (tmp_path / "mine.toml").write_text(f'preset = "released"\n[prompts]\nresponder = "{path}"\n')
    for config in (load_config(str(tmp_path / "mine.toml")), load_config("released", [f"prompts.responder={path}"])):
        assert config.prompts.responder.fill(prompt="Hi.") == (("system", "Be brief."), ("user", "Hi."))
        assert config.prompts.scoring == load_packaged("scoring")


def test_a_set_of_the_package_is_named_by_its_name() -> None:
    assert prompt_sets() == ["paper", "quickstart", "quickstart_vocabulary", "recommended"]
    config = load_config("quickstart", ["prompts.responder=paper"])
    assert config.prompts.responder == Config().prompts.responder


def test_a_path_is_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "{prompt}")
    monkeypatch.chdir(tmp_path)
    assert load_config("paper", ["prompts.responder=mine.txt"]).prompts.responder == PromptFile("mine.txt", "{prompt}")


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        ("{prompt}", (("user", "Q {query}"),)),
        ("\ufeff[user]\r\n{prompt}\r\n", (("user", "Q {query}"),)),
        ('Answer {"a": [1], "b": {prompt}}', (("user", 'Answer {"a": [1], "b": Q {query}}'),)),
        (
            "{prompt} {{prompt}} {{any}} {} {1} {a b} { query } {}}",
            (("user", "Q {query} {prompt} {any} {} {1} {a b} { query } {}}"),),
        ),
        (
            "[user]\na\n[assistant]\nb\n\n[user]  \n\n  {prompt}",
            (("user", "a"), ("assistant", "b"), ("user", "Q {query}")),
        ),
        ("[user]\nIn [user] and\n - [user]\n{prompt}", (("user", "In [user] and\n - [user]\nQ {query}"),)),
    ],
)
def test_turns_and_braces(tmp_path: Path, text: str, turns: tuple[tuple[str, str], ...]) -> None:
    prompt = load_config("paper", [f"prompts.responder={write(tmp_path, text)}"]).prompts.responder
    assert prompt.fill(prompt="Q {query}", query="Q", instruction="I") == turns


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "responder",
            "{prompts}",
            r"unknown placeholder \{prompts\}: there are \{prompt\}, \{query\}, \{instruction\}",
        ),
        ("responder", "{prompt} {x}", r"write \{\{x\}\} for a literal \{x\}"),
        ("responder", "Answer.", r"missing placeholder \{prompt\} or \{instruction\}, \{query\}"),
        ("responder", "{{prompt}}", "missing placeholder"),
        ("responder", "{query}", r"missing placeholder \{prompt\} or \{instruction\}"),
        ("self_instruct", "{examples}", r"missing placeholder \{count\}$"),
        ("scoring", "{query}", r"missing placeholder \{response\}"),
        ("back_translation", "{code} {instruction}", r"unknown placeholder \{instruction\}: there are \{code\}"),
        ("responder", "", "it is empty"),
        ("responder", "Hi\n[user]\n{prompt}", "text before the first turn"),
        ("responder", "[system]\n{prompt}", r"\[user\] last"),
        ("responder", "[user]\n{prompt}\n[user]\nb", "in turn"),
        ("responder", "[user]\n{prompt}\n[system]\nb", r"\[system\] first"),
        ("responder", "[user]\n{prompt}\n[assistant]\nb", r"\[user\] last"),
        ("responder", "[system]\n\n[user]\n{prompt}", "a turn is empty"),
        ("responder", "{prompt}" + "x" * 100_000, "100,008 characters"),
        ("nli_completion", "[user]\n{premise} {hypothesis}", "without"),
        (
            "responder",
            "[SYSTEM]\nBe brief.\n[USER]\n{prompt}",
            r"the line '\[SYSTEM\]' begins no turn: write \[system\]",
        ),
        ("responder", "[system]:\nBe brief.\n[user]:\n{prompt}", "begins no turn"),
        ("responder", "[system]\nBe brief.\n [ user ]\n{prompt}", "begins no turn"),
        ("responder", "<|im_start|>user\n{prompt}<|im_end|>", "tokens of a chat template, which the server writes"),
        ("responder", "[INST] {prompt} [/INST]", "tokens of a chat template"),
    ],
)
def test_a_wrong_prompt_is_refused_when_the_config_is_read(tmp_path: Path, name: Name, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config("paper", [f"prompts.{name}={write(tmp_path, text)}"])
    assert f'setting "prompts.{name}": ' in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("prompts.responder=none.txt", "none.txt: no such file; name a prompt file, or one of paper, quickstart"),
        ("prompts.responder=.", "Is a directory"),
        ("prompts.nli=quickstart", 'the prompts "quickstart" have no nli'),
        ("prompts.answer=paper", 'unknown setting "prompts.answer"'),
        ("prompts.responder=3", 'setting "prompts.responder"'),
        ("prompts=quickstart", 'setting "prompts"'),
    ],
)
def test_a_prompt_that_is_not_there_is_named(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("paper", [setting])
    assert message in str(caught.value)


def test_a_prompt_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(b"\xff{prompt}")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config("paper", [f"prompts.responder={tmp_path / 'mine.txt'}"])


def test_a_prompt_belongs_to_the_identity_by_its_content_and_not_by_its_path(tmp_path: Path) -> None:
    text = load_packaged("responder").text
    same = load_config("paper", [f"prompts.responder={write(tmp_path, text)}"])
    other = load_config("paper", [f"prompts.responder={write(tmp_path, text + '!', 'other.txt')}"])
    assert identity(same) == identity(load_config("paper"))
    differing = {key for key, value in identity(other).items() if identity(same)[key] != value}
    assert differing == {"prompts.responder"}
    settings = [
        "verification.repairs=1",
        "verification.judge_samples=1",
        "contrast.enabled=true",
        "contrast.revisions=1",
    ]
    asked = load_config("paper", settings)
    assert {f"prompts.{name}" for name in NAMES} <= identity(asked).keys()


@pytest.mark.parametrize("preset", presets())
def test_a_config_comes_back_from_its_json_with_its_prompts(preset: str) -> None:
    config = load_config(preset)
    assert Config.model_validate(json.loads(json.dumps(config.model_dump(mode="json")))) == config


def test_what_is_filled_in_is_not_searched_for_placeholders() -> None:
    prompt = PromptFile("mine", "{query} {response}")
    assert prompt.fill(query="{response}", response="R {query}") == (("user", "{response} R {query}"),)


def show(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["show", *arguments], standalone_mode=False)
    return f"{done.output}{done.exception or ''}"


def test_show_prints_the_prompts_of_a_preset_a_file_and_a_run(tmp_path: Path) -> None:
    path = write(tmp_path, "Mine: {prompt} [bold]")
    (tmp_path / "mine.toml").write_text(f'preset = "quickstart"\n[prompts]\nresponder = "{path}"\n')
    config = load_config(str(tmp_path / "mine.toml"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(
        json.dumps({"identity": {}, "format": FORMAT, "config": config.model_dump(mode="json")})
    )
    assert "Mine: {prompt} [bold]" in show("--prompts", str(tmp_path / "mine.toml"))
    Path(path).unlink()
    of_run = show("--prompts", str(tmp_path / "run"))
    assert "Mine: {prompt} [bold]" in of_run
    assert load_packaged("verification", "quickstart_vocabulary").text in of_run
    packaged = show("--prompts")
    assert all(f"# {name}: paper, {load_packaged(name).digest}" in packaged for name in NAMES)


def test_show_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(f'{{"identity": {{}}, "format": {FORMAT}, "config": {{}}}}')
    assert "holds no prompts" in show("--prompts", str(tmp_path))
    assert "no preset and no file" in show("--prompts", "nothing")
    assert "name a run folder, or --prompts" in show()
    assert "takes one" in show("--prompts", "paper", "id")


def test_the_page_lists_every_placeholder_with_its_meaning() -> None:
    for name, meanings in PLACEHOLDERS.items():
        for placeholder, meaning in meanings.items():
            assert f"| `{name}` | `{{{placeholder}}}` | {meaning} |" in DOCS


@pytest.mark.parametrize("chosen", ["recommended", "quickstart_vocabulary"])
@pytest.mark.parametrize("name", ["verification", "repair", "back_translation"])
def test_the_sets_that_know_of_the_vocabulary_have_the_prompts_that_deal_with_functions(
    chosen: str, name: Name
) -> None:
    prompt = load_packaged(name, chosen)
    assert name == "back_translation" or {"vocabulary", "vocabulary_briefly"} & prompt.placeholders
    turns = prompt.fill(**{placeholder: f"<{placeholder}>" for placeholder in PLACEHOLDERS[name]})
    assert turns[-1][0] == "user"
    with pytest.raises(ValueError, match=f'the prompts "{chosen}" have no responder'):
        load_packaged("responder", chosen)
