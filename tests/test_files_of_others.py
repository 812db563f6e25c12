"""Files and names of others: what a stranger's settings, folders and models can't do here."""

import ast
import io
from pathlib import Path

import pytest
from rich.console import Console

import autoif
from autoif.config import load_config
from autoif.errors import ConfigError
from autoif.orchestration import name_keys
from autoif.report.markdown import escape_markdown, show_code
from autoif.report.progress import Progress

SOURCES = Path(autoif.__file__).parent
TRAP = "a|b`<script>alert(1)</script>\n# heading"


@pytest.mark.parametrize(
    "variable", ["AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "GH_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
                 "WANDB_API_KEY", "CI_JOB_TOKEN", "PGPASSWORD", "DATABASE_URL", "SSH_AUTH_SOCK", "aws_token", "HOME"]
)  # fmt: skip
@pytest.mark.parametrize("role", ["all", "judge"])
def test_a_file_of_settings_cannot_send_the_secret_of_another_service_to_a_model(tmp_path, variable, role):
    path = tmp_path / "theirs.toml"
    path.write_text(f'[models.{role}]\nbase_url = "http://other.example/v1"\napi_key_env = "{variable}"\n')
    with pytest.raises(ConfigError, match=rf"api_key_env names {variable}.*--set models\.\w+\.api_key_env={variable}"):
        load_config(str(path))
    assert load_config("paper", [f"models.{role}.api_key_env={variable}"]).models.judge.api_key_env == variable


@pytest.mark.parametrize(
    "variable", ["OPENAI_API_KEY", "OPENROUTER_API_KEY", "DEEPSEEK_API_KEY", "AZURE_OPENAI_API_KEY", "GOOGLE_API_KEY",
                 "GROQ_API_KEY", "MY_VLLM_KEY", "CFG_KEY", "HFX", "PATHOLOGY_KEY"]
)  # fmt: skip
def test_a_file_of_settings_may_name_the_key_of_a_model(tmp_path, variable):
    (tmp_path / "mine.toml").write_text(f'[models.all]\napi_key_env = "{variable}"\n')
    assert load_config(str(tmp_path / "mine.toml")).models.writer.api_key_env == variable


def test_a_run_says_which_key_goes_to_which_host(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    monkeypatch.setenv("OTHER_KEY", "k-secret")
    config = load_config(
        "paper",
        [
            "models.all.base_url=https://models.example:8443/v1",
            "models.responder.base_url=http://127.0.0.1:8000/v1",
            "models.responder.api_key_env=OTHER_KEY",
            "models.judge.api_key_env=JUDGE_KEY",
        ],
    )
    printed = io.StringIO()
    name_keys(config, Progress(Console(file=printed, width=200)))
    assert printed.getvalue().splitlines() == [
        "the key in $OPENAI_API_KEY goes to models.example:8443",
        "the key in $OTHER_KEY goes to 127.0.0.1:8000",
    ]


def test_no_model_brings_code_of_its_own():
    """Where the argument is missing, transformers asks on the terminal whether to run it."""
    loads = [
        (path.relative_to(SOURCES), call.lineno, {keyword.arg for keyword in call.keywords})
        for path in SOURCES.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "from_pretrained"
        if isinstance(call.func.value, ast.Name) and call.func.value.id.startswith("Auto")
    ]
    assert len(loads) >= 8
    assert [place for *place, names in loads if "trust_remote_code" not in names] == []


def test_what_goes_into_a_card_is_shown_and_not_read_as_markup():
    assert show_code(TRAP) == "`a\\|b'<script>alert(1)</script> # heading`"
    shown = escape_markdown(TRAP)
    assert "\n" not in shown
    assert not [mark for mark in ("|", "`", "<script") if shown.replace(f"\\{mark[0]}", "").count(mark)]
