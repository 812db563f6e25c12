"""Files and names of others: what a stranger's settings, folders and models can't do here."""

import ast
import io
import json
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt
from rich.console import Console

import autoif
from autoif.cli.main import cli
from autoif.config import load_config
from autoif.datasets.exports.hub import render_card as render_data_card
from autoif.datasets.rows import RowSets
from autoif.errors import AutoIFError, ConfigError, StoreError
from autoif.evaluation.comparison import ComparedBenchmark, Comparison
from autoif.figures.plots import plot_training
from autoif.markdown import escape_markdown, show_code
from autoif.models.recording import import_recording
from autoif.report.progress import Progress
from autoif.report.tables import tabulate
from autoif.runs.orchestration import name_keys
from autoif.runs.store import FORMAT
from autoif.training.card import render_card as render_training_card
from support.ifeval_data import write_questions

SOURCES = Path(autoif.__file__).parent
OTHER_PARSERS = {
    "reading/turns.py": "a conversation as Python writes it, of which only the turns' texts are taken",
    "reading/json_text.py": "the one that is bounded",
    "reading/json_lists.py": "a value at a time of a long list, with the line of what is wrong",
    "reading/row_files.py": "guesses a file's form, and takes nothing from it",
    "instructions/json_reading.py": "mends what a model wrote",
    "service/bodies.py": "stricter, for requests",
    "runs/store.py": "files of the run with their digest",
    "models/catalog.py": "ours",
    "planning/yields.py": "ours",
    "models/embedded.py": "what a process of ours says",
    "models/model_process.py": "what a process of ours says",
    "models/openvino_process.py": "requests of ours",
    "datasets/exports/verifiers.py": "the file beside the module that it was written with",
    "contamination/constraint_trials.py": "ours",
    "evaluation/general/definitions.py": "log-likelihoods that the sampler wrote",
    "evaluation/general/answering.py": "turns that were written a moment before",
    "evaluation/followbench/rules.py": "targets of the data, tried when it is read",
    "evaluation/followbench/judging.py": "bounded in length",
    "config.py": "presets of ours",
    "probes.py": "ours",
    "reliability.py": "ours",
    "benchmark_wordings.py": "ours",
    "vocabulary/layout.py": "a helper of functions, which runs in the sandbox",
}
"""Modules that call a parser of JSON, TOML or Python values themselves, and why they may."""
HOSTILE = {
    "deep": "[" * 100_000,
    "deep and whole": "[" * 900 + "]" * 900,
    "a number of 5,000 digits": '{"prompt": ' + "9" * 5_000 + "}",
    "deep below": '{"messages": ' + '{"a":' * 900 + "1" + "}" * 901,
}
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


LOADERS = {"from_pretrained", "SentenceTransformer", "LLM"}


def test_no_model_brings_code_of_its_own():
    """Where the argument is missing, transformers asks on the terminal whether to run it."""
    loads = [
        (path.relative_to(SOURCES), call.lineno, {ast.unparse(keyword) for keyword in call.keywords})
        for path in SOURCES.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) in LOADERS
        if not ast.unparse(call.func).startswith("Peft")  # an adapter, put on a model that was loaded
    ]
    assert len(loads) >= 9
    assert [place for *place, given in loads if "trust_remote_code=False" not in given] == []


def test_what_goes_into_a_card_is_shown_and_not_read_as_markup():
    assert show_code(TRAP) == "`a\\|b'<script>alert(1)</script> # heading`"
    shown = escape_markdown(TRAP)
    assert "\n" not in shown
    assert not [mark for mark in ("|", "`", "<script") if shown.replace(f"\\{mark[0]}", "").count(mark)]


def test_what_others_wrote_is_parsed_by_the_one_parser_that_is_bounded():
    found = set()
    for path in SOURCES.rglob("*.py"):
        name = str(path.relative_to(SOURCES))
        if name.startswith(("sandbox/", "evaluation/official/")):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in PARSERS:
                found.add(name)
    assert found <= set(OTHER_PARSERS)


PARSERS = {"json.loads", "json.load", "json.JSONDecoder", "tomllib.loads", "tomllib.load", "ast.literal_eval"}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "FILE", "FILE"], ["verify", "--dataset", "FILE"], ["export", "FILE", "--to", "trl", "-o", "out"],
        ["split", "FILE", "-o", "out"], ["contamination", "FILE", "--against", "ifeval", "--data", "ifeval=QUESTIONS"],
        ["show", "RUN"],
        ["run", "quickstart", "--recorded", "--seeds", "FILE", "-o", "out"], ["run", "TOML", "-o", "out"],
        ["run", "quickstart", "--recording", "FILE", "-o", "out"], ["cross-validate", "FILE", "-o", "out"],
        ["compare", "SCORES", "OTHER"],
        ["train", "sft", "--model", "RUN", "--data", "FILE", "-o", "out", "--config", "TOML"],
        ["plot", "METRICS", "-o", "out.png"], ["eval", "ifeval", "--data", "FILE", "--responses", "FILE", "-o", "out"],
        ["eval", "pass-rate", "--data", "FILE", "--responses", "FILE", "-o", "out"],
        ["eval", "followbench", "--data", "BENCHMARK", "--responses", "FILE", "-o", "out"],
        ["eval", "general", "--responses", "FILE", "-o", "out"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)  # fmt: skip
def test_a_file_that_no_parser_likes_is_refused_in_one_line(tmp_path, arguments, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file.jsonl").write_text(f"{text}\n")
    Path("settings.toml").write_text(f"seeds = {text}\n")
    places = {"RUN": "run.json", "SCORES": "scores.json", "OTHER": "scores.json", "METRICS": "metrics.jsonl",
              "BENCHMARK": "content_constraints.json"}  # fmt: skip
    for folder, name in places.items():
        Path(folder, name).parent.mkdir(parents=True)
        Path(folder, name).write_text(f"{text}\n")
    names = {"FILE": "file.jsonl", "TOML": "settings.toml", "ifeval=QUESTIONS": f"ifeval={write_questions(tmp_path)}"}
    done = CliRunner().invoke(cli, [names.get(each, each) for each in arguments])
    assert isinstance(done.exception, AutoIFError), done.output
    assert "\n" not in str(done.exception)
    assert len(str(done.exception)) < 400
    assert any(name in str(done.exception) for name in (*names.values(), *places.values()))


@pytest.mark.parametrize(
    "setting",
    [f"scoring.samples={'[' * 100_000}", f"{'a.' * 5_000}b=1", f"scoring.samples={'9' * 5_000}"],
    ids=["deep", "key", "digits"],
)
def test_a_setting_that_no_parser_likes_is_refused_in_one_line(setting):
    with pytest.raises(ConfigError) as refused:
        load_config("paper", [setting])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("logprobs", ["[" * 100_000, "[1]", '[["a", "b"]]', '[["a", 1, 2]]', "{"])
def test_log_probabilities_of_a_recording_that_are_none_are_refused_before_they_are_taken_in(tmp_path, logprobs):
    row = ["k" * 32, 0, "text", "stop", 1, 1, logprobs, "scoring", 1, 0]
    lines = ['{"format": "autoif-recording", "version": 2}', json.dumps(row)]
    (tmp_path / "theirs.jsonl").write_text("\n".join(lines))
    with pytest.raises(StoreError, match="is damaged or no recording"):
        import_recording(tmp_path / "theirs.jsonl", tmp_path / "completions.sqlite")


def read_marks(text):
    """Return the kinds of what is in a Markdown document, its headings, and its tables' rows."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text.rpartition("---\n")[2])
    inline = [child.type for token in tokens for child in token.children or ()]
    headings = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {*inline, *(token.type for token in tokens)}, headings, sum(token.type == "tr_open" for token in tokens)


TRAINED = {
    "kind": "sft", "lora": False, "steps": 1, "device": TRAP, "metrics": {}, "reward": {"mode": TRAP},
    "model": {"name": TRAP, "content": "weights", "training": {"kind": TRAP, "data": TRAP, "sha256": TRAP}},
    "data": {"file": TRAP, "rows": 1, "levels": {TRAP: 1}, "sha256": "0", "run": {"folder": TRAP, "status": TRAP}},
    "eval_data": {"file": TRAP, "rows": 1, "levels": {TRAP: 1}, "sha256": "0", "run": None},
    "lengths": {"truncated": 0, "dropped": 0}, "versions": {"torch": TRAP},
    "settings": {"global_batch_size": 1, "seed": 0, "optim": "```\n" + TRAP},
}  # fmt: skip


def test_a_training_card_reads_no_name_of_others_as_markup():
    kinds, headings, rows = read_marks(render_training_card(TRAP, TRAINED))
    assert not kinds & {"html_inline", "html_block", "image"}
    assert (len(headings), headings[1:], rows) == (3, ["Metrics", "Settings"], 13)


def test_a_data_card_reads_no_name_of_others_as_markup(tmp_path):
    (tmp_path / "01_self_instruct").mkdir()
    (tmp_path / "01_self_instruct" / "dropped-0000.jsonl").write_text(json.dumps({"reason": TRAP, "detail": ""}))
    manifest = {
        "format": FORMAT, "identity": {}, "sandbox": TRAP, "versions": {TRAP: TRAP}, "usage": {},
        "config": {"preset": TRAP, "models": {"writer": {"model": TRAP}}, "scoring": {"samples": TRAP}},
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    kinds, headings, _ = read_marks(render_data_card(tmp_path, manifest, RowSets()))
    assert not kinds & {"html_inline", "html_block", "image"}
    assert (len(headings), headings[1]) == (2, "How it was made")


def test_a_comparison_keeps_each_note_in_its_line():
    noted = Comparison(("a",), (ComparedBenchmark("IFEval", TRAP, {"a": ()}),), (TRAP,))
    assert all("\n" not in note for note in tabulate(noted).notes)


def test_a_figure_shows_names_as_they_are(tmp_path):
    folder = tmp_path / "a$x$b\x01&<i>"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    plot_training([folder], tmp_path / "out.svg")
    texts = {"".join(each.itertext()).strip() for each in ET.parse(tmp_path / "out.svg").getroot().iter()}
    assert "a$x$b &<i>" in texts
