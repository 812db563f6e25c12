"""The command line: what users type, and the one line and exit code 2 that bad input ends in."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from autoif.cli.main import cli
from support.command import autoif, fails, fails_here, run_here
from support.processes import model_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with model_server(tmp_path_factory.mktemp("server")) as served:
        yield served


INSTRUCTIONS = ("run", "quickstart", "--model", "m", "-o", "run", "--until", "instructions")


@pytest.fixture(scope="module")
def finished(server, tmp_path_factory) -> Path:
    """A folder in which a run's instructions were made; who changes it takes a copy."""
    folder = tmp_path_factory.mktemp("finished")
    done = run_here(*INSTRUCTIONS, "--base-url", server.url, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copied"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("scoring.sample=3", 'unknown setting "scoring.sample"'),
        ("nonsense=1", 'unknown setting "nonsense"'),
        ("scoring.samples=none", 'setting "scoring.samples": Input should be a valid integer'),
        ("scoring.mean=8", 'setting "scoring.mean": "8" is no threshold: write ">"'),
        ("scoring.meen=8", 'unknown setting "scoring.meen"; did you mean "scoring.mean"?'),
        ("sandbox.packages=nltk", 'setting "sandbox.packages": Input should be a list, as in ["a", "b"]'),
        ("scoring=9", 'setting "scoring": Input should be a table: name a setting in it'),
        ("scoring.mean=above 8", '"above 8" is no threshold'),
        ("scoring.samples", '"scoring.samples" is no setting: write key=value'),
        ("models.all=x", "models.all is a table"),
        ("models.all.base_url=localhost:8000", "is no http(s) address"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(tmp_path, setting, message):
    assert message in fails_here("run", "quickstart", "--set", setting, cwd=tmp_path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "after"),
    [
        ("run quickstart -o", "-o"),
        ("run quickstart --seeds", "--seeds"),
        ("run quickstart --recorded --base-url=", "--base-url"),
        ("show", "show"),
        ("eval pass-rate --data", "--data"),
        ("train sft --data runs/a --model", "--model"),
        ("prompts --queries", "--queries"),
    ],
)
def test_a_variable_of_the_shell_that_is_not_set_is_no_value(tmp_path, arguments, after):
    given = arguments.split() if arguments.endswith("=") else [*arguments.split(), ""]
    assert f"what comes after {after} is empty: give a value" in fails_here(*given, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_response_of_two_texts_is_refused_by_its_line(tmp_path):
    (tmp_path / "f.jsonl").write_text('{"id": "f", "source": "def evaluate(r): return True"}\n')
    (tmp_path / "r.jsonl").write_text('{"id": 1, "text": "x"}\n{"id": 2, "text": "y", "text": "z"}\n')
    said = fails_here("verify", "f.jsonl", "r.jsonl", cwd=tmp_path)
    assert "r.jsonl, line 2: broken JSON ('text' is there twice, with different values)" in said


def test_what_comes_after_a_value_that_it_begins_with_is_not_taken_for_empty(tmp_path):
    assert "sft: no such folder" in fails_here("report", "sft", "sft2", "-o", "page.html", cwd=tmp_path)
    assert "f can't be read" in fails_here("verify", "f", "fx", cwd=tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        "verify f.jsonl -",
        "verify - r.jsonl",
        "verify --dataset -",
        "verify f.jsonl r.jsonl -o -",
        "cross-validate - -o out.jsonl",
        "cat -",
        "run paper --seeds - --plan",
        "run paper --queries - --plan",
        "run paper --set seeds=- --plan",
        "run paper --instructions - --plan",
        "run paper --recording -",
        "run -",
        "run paper -o -",
        "export - --to trl -o out",
        "contamination -",
        "contamination f.jsonl --data mine=- --against mine",
        "split - -o out",
        "prompts --instructions f.jsonl --queries - -o out.jsonl",
        "eval pass-rate --data f.jsonl --responses - -o out",
        "eval ifeval --data - --responses r.jsonl -o out",
        "train sft --data - --model model -o out",
        "train sft --data f.jsonl --model model --config - -o out",
        "serve --token-file -",
    ],
)
def test_a_dash_is_refused_where_it_would_be_standard_input_or_output(tmp_path, arguments):
    (tmp_path / "f.jsonl").write_text('{"id": "f", "source": "def evaluate(r): return True"}\n')
    (tmp_path / "r.jsonl").write_text('{"id": "r", "text": "x"}\n')
    before = sorted(tmp_path.iterdir())
    said = fails_here(*arguments.split(), cwd=tmp_path)
    assert said == "autoif: - is not taken for standard input or output: name a file (./- is one of that name)"
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_is_named_by_a_dash_is_read_with_its_folder(tmp_path):
    (tmp_path / "-").write_text('{"kept": true}\n')
    assert run_here("cat", "./-", cwd=tmp_path).stdout == '{"kept": true}\n'


def test_none_on_the_command_line_is_no_value_and_a_language_may_be_empty(tmp_path):
    plan = ["run", "recommended", "--plan", "--json"]
    given = run_here(
        *plan, "--set", "back_translation.dropped_by_chat=None", "--set", "budget.tokens=None", cwd=tmp_path
    )
    assert given.returncode == 0, given.stderr
    assert run_here(*plan, "--set=augmentation.language=", cwd=tmp_path).returncode == 0
    prompts = ["prompts", "--language", "", "--queries", "none.txt", "--instructions", "none", "-o", "prompts.jsonl"]
    assert "is empty" not in fails_here(*prompts, cwd=tmp_path)


def test_what_a_stage_dropped_is_asked_of_its_folder(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"kept": true}\n')
    assert "--dropped goes with the folder of a stage" in fails_here("cat", "--dropped", "rows.jsonl", cwd=tmp_path)


def test_an_unknown_preset_is_refused_with_the_ones_there_are(tmp_path):
    assert "presets are paper, quickstart, recommended, released" in fails_here("run", "quick", cwd=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[scoring]\nsamples = ", "run.toml can't be read as TOML"),
        (b"\xff\xfe", "run.toml can't be read as TOML"),
        (b'preset = "fast"', 'no preset and no file "fast"'),
        (b"[scoring]\nrubbish = 1", 'unknown setting "scoring.rubbish"'),
    ],
)
def test_a_config_file_that_is_wrong_is_refused(tmp_path, content, message):
    (tmp_path / "run.toml").write_bytes(content)
    assert message in fails_here("run", "run.toml", cwd=tmp_path)


def test_a_config_file_goes_over_its_preset_and_a_setting_over_both(tmp_path, server):
    (tmp_path / "mine.toml").write_text(
        'preset = "quickstart"\n[scoring]\nsamples = 2\n[verification]\ntemperature = 0.5\n'
    )
    done = run_here(
        "run", "mine.toml", "--until", "instructions", "--base-url", server.url, "--model", "m",
        "--set", "verification.temperature=0.6", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "runs" / "mine" / "run.json").read_text())["config"]
    assert config["scoring"]["samples"] == 2
    assert config["verification"]["temperature"] == 0.6
    assert config["verification"]["functions_per_instruction"] == 3


@pytest.mark.parametrize("option", ["--seeds", "--queries"])
@pytest.mark.parametrize(
    "content", [None, b"", b"# only a comment\n", b"\xff\xfe\xfa", b"x" * 1_100_000], ids=lambda c: str(c)[:12]
)
def test_a_seeds_or_queries_file_that_is_wrong_is_refused_by_name(tmp_path, option, content):
    if content is not None:
        (tmp_path / "input.txt").write_bytes(content)
    assert "input.txt" in fails_here("run", "quickstart", option, "input.txt", cwd=tmp_path)


def test_a_server_that_is_down_is_named(tmp_path):
    line = fails_here("run", "quickstart", "--base-url", "http://127.0.0.1:9/v1", "--model", "m",
                 "--set", "models.all.retries=0", cwd=tmp_path)  # fmt: skip
    assert "http://127.0.0.1:9/v1" in line


@pytest.mark.parametrize(
    ("status", "kind", "body", "message"),
    [
        (401, "application/json", b'{"error": {"message": "bad key"}}', "OPENAI_API_KEY"),
        (404, "application/json", b'{"error": {"message": "no such model"}}', "404"),
        (500, "application/json", b'{"error": {"message": "broken"}}', "500"),
        (501, "text/html", b"<html>Unsupported method</html>", "has no such page (HTTP 501)"),
        (200, "text/html", b"<html>hello</html>", "OpenAI-compatible"),
        (200, "application/json", b'{"choices": [{"mess', ""),
    ],
    ids=["401", "404", "500", "501", "HTML", "half a JSON"],
)
def test_a_server_that_answers_wrongly_is_named(tmp_path, status, kind, body, message):
    class Reply(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Reply) as wrong:
        serving = threading.Thread(target=wrong.serve_forever, args=(0.01,))
        serving.start()
        line = fails_here(
            "run", "quickstart", "--base-url", f"http://127.0.0.1:{wrong.server_port}/v1", "--model", "m",
            "--set", "models.all.retries=1", "--set", "models.all.retry_wait_s=0.01", cwd=tmp_path,
        )  # fmt: skip
        wrong.shutdown()
        serving.join()
    assert message in line
    assert (tmp_path / "runs" / "quickstart" / "run.json").exists()  # and the same command goes on


def test_what_is_to_be_fetched_has_an_address(tmp_path):
    assert fails_here("fetch", "runs/first", cwd=tmp_path).endswith(
        "is no address: write it like s3://BUCKET/runs/NAME"
    )


def test_an_unknown_embedded_model_is_refused_with_the_ones_there_are(tmp_path):
    assert "qwen2.5-coder-1.5b" in fails_here("run", "quickstart", "--model", "gpt-9", cwd=tmp_path)


def run_with_a_broken_model(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    models = folder / "cache" / "models"
    models.mkdir(parents=True, exist_ok=True)
    (models / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF" + b"\0" * 1000)
    return subprocess.run(
        [sys.executable, "-m", "autoif", "run", *arguments, "--model", "smollm2-135m"],
        cwd=folder, env={**os.environ, "AUTOIF_CACHE": str(folder / "cache")}, capture_output=True, text=True,
    )  # fmt: skip


def test_a_model_file_with_a_wrong_hash_is_never_loaded(tmp_path):
    done = run_with_a_broken_model(tmp_path, "quickstart")
    assert done.returncode == 2
    assert "delete it and run `autoif models fetch smollm2-135m`" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "days"),
    [
        (["recommended"], True),
        (["paper", "--set", "self_instruct.max_instructions=50"], False),
        (["quickstart"], False),
    ],
)
def test_what_takes_the_embedded_model_days_is_said_before_it_begins(tmp_path, arguments, days):
    said = " ".join(run_with_a_broken_model(tmp_path, *arguments).stderr.split())
    found = re.search(r"the model on this machine is to give some (\d+),000 answers, which takes it days: ", said)
    assert bool(found) == days
    assert not found or int(found[1]) > 100


def test_a_folder_of_another_config_is_refused_and_the_difference_named(copied, server):
    run = (*INSTRUCTIONS, "--base-url", server.url)
    before = digest(copied / "run" / "instructions.jsonl")
    line = fails_here(*run, "--set", "self_instruct.max_instructions=4", cwd=copied)
    assert "self_instruct.max_instructions (8 there, 4 now)" in line
    assert digest(copied / "run" / "instructions.jsonl") == before
    asked = len(server.events())
    changed = run_here(*run, "--set", "self_instruct.max_instructions=4", "--resume-with-changes", cwd=copied)
    assert changed.returncode == 0, changed.stderr
    assert len(server.events()) == asked  # no answer was asked for twice
    assert digest(copied / "run" / "instructions.jsonl") != before


def test_another_seeds_file_is_a_difference_too(tmp_path, server):
    (tmp_path / "seeds.txt").write_text('Use the word "apple" twice.\nUse exactly two commas.\n')
    run = ("run", "quickstart", "--base-url", server.url, "--model", "m", "-o", "run", "--seeds", "seeds.txt",
           "--until", "instructions")  # fmt: skip
    assert run_here(*run, cwd=tmp_path).returncode == 0
    (tmp_path / "seeds.txt").write_text('Use the word "apple" twice.\nUse exactly three commas.\n')
    assert "inputs.seeds" in fails_here(*run, cwd=tmp_path)


def test_a_file_edited_in_a_finished_run_is_noticed(copied, server):
    run = (*INSTRUCTIONS, "--base-url", server.url)
    kept = (copied / "run" / "03_cross_validation").glob("kept-*.jsonl")
    path = next(each for each in sorted(kept) if each.stat().st_size)
    path.write_bytes(path.read_bytes()[:-30])
    line = fails_here(*run, cwd=copied)
    assert f"{path.name} was changed after it was written: delete it" in line
    path.unlink()
    assert run_here(*run, cwd=copied).returncode == 0


def test_a_damaged_completions_file_is_named(tmp_path, server):
    run = (*INSTRUCTIONS, "--base-url", server.url)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "completions.sqlite").write_bytes(b"SQLite format 3\0" + b"\xaa" * 4000)
    assert "completions.sqlite is damaged" in fails_here(*run, cwd=tmp_path)


def test_show_and_verify_name_what_they_cannot_read(tmp_path):
    assert "is no run folder" in fails("show", ".", cwd=tmp_path)
    assert "can't be read" in fails_here("verify", "a.jsonl", "b.jsonl", cwd=tmp_path)
    assert "can't be read" in fails_here("verify", "--dataset", "a.jsonl", cwd=tmp_path)
    assert "or a data set: --dataset runs/first" in fails_here("verify", "runs/first", cwd=tmp_path)
    (tmp_path / "a.jsonl").write_text('{"messages": []}\n')
    assert ". has no sft.jsonl: it is no run folder" in fails_here("verify", "--dataset", ".", cwd=tmp_path)
    assert "line 1: no SftRow row (messages: " in fails_here("verify", "--dataset", "a.jsonl", cwd=tmp_path)
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    assert "line 1: no row of an sft.jsonl" in fails_here("verify", "--dataset", "a.jsonl", cwd=tmp_path)


def test_show_of_an_id_that_is_not_there_says_how_to_list_them(finished):
    assert "`autoif show run` lists them" in fails_here("show", "run", "zzzz", cwd=finished)
    assert "verified instructions" in run_here("show", "run", cwd=finished).stdout


def test_show_prints_why_an_instruction_was_dropped(server, tmp_path):
    rules = ["cross_validation.choose_by=cases", "cross_validation.min_cases=100"]
    settings = [part for rule in rules for part in ("--set", rule)]
    run_here(*INSTRUCTIONS, "--base-url", server.url, *settings, cwd=tmp_path)
    dropped = [
        json.loads(line)
        for path in sorted((tmp_path / "run").glob("03_*/dropped-*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    done = run_here("show", "run", dropped[0]["record_id"], cwd=tmp_path)
    assert f"dropped: {dropped[0]['stage']}: {dropped[0]['reason']}" in done.stdout


def test_verify_gives_a_verdict_for_each_pair_in_order(tmp_path):
    functions = [
        {"id": "short", "source": "def evaluate(response): return len(response) < 5"},
        {"id": "seven", "source": "def evaluate(response): return 7"},
        {"id": "endless", "source": "def evaluate(response):\n    while True: pass"},
    ]
    responses = [{"id": 1, "text": "ab"}, {"id": 2, "text": "half a pair \ud83d"}]
    (tmp_path / "f.jsonl").write_text("".join(json.dumps(row) + "\n" for row in functions))
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in responses))
    done = run_here("verify", "f.jsonl", "r.jsonl", "-o", "v.jsonl", "--timeout", "0.3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert [(row["function"], row["response"], row["verdict"]) for row in rows] == [
        ("short", 1, "pass"), ("short", 2, "fail"), ("seven", 1, "error"), ("seven", 2, "error"),
        ("endless", 1, "timeout"), ("endless", 2, "timeout"),
    ]  # fmt: skip
    assert "7" in rows[2]["detail"]


def test_verify_of_a_file_without_rows_says_so(tmp_path):
    (tmp_path / "functions.jsonl").write_text('{"id": "f", "source": "def evaluate(r): return True"}\n')
    (tmp_path / "responses.jsonl").write_text("\n")
    line = fails_here("verify", "functions.jsonl", "responses.jsonl", cwd=tmp_path)
    assert line == "autoif: responses.jsonl has no rows"


def test_doctor_names_every_layer_and_says_that_it_holds():
    done = CliRunner().invoke(cli, ["doctor"])
    assert done.exit_code == 0, done.output
    for layer in ("landlock", "seccomp", "rlimits"):
        assert layer in done.output
    assert "NOT ENFORCED" not in done.output
    assert re.search(r"embedded model: qwen2\.5-coder-1\.5b, which runs in (llama\.cpp|OpenVINO) here", done.output)


def test_doctor_knows_every_extra():
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    done = CliRunner().invoke(cli, ["doctor"])
    for extra in project["optional-dependencies"].keys() - {"dev"}:
        assert f"extra {extra}: installed" in done.output


def test_models_lists_what_can_be_fetched_and_where_it_is(tmp_path):
    (folder := tmp_path / "models").mkdir()
    with (folder / "SmolLM2-135M-Instruct.Q4_1.gguf").open("wb") as file:
        file.truncate(98_362_432)
    done = CliRunner().invoke(cli, ["models"], env={"AUTOIF_CACHE": str(tmp_path), "COLUMNS": "40"})
    assert done.exit_code == 0
    _, large, small = done.output.splitlines()
    assert large.split()[-2:] == ["Apache-2.0", "no"]
    assert "smollm2-135m" in small
    assert small.endswith(str(folder / "SmolLM2-135M-Instruct.Q4_1.gguf"))  # in one piece, to be copied


def test_a_command_that_does_not_exist_ends_with_exit_code_2(tmp_path):
    done = autoif("untrain", cwd=tmp_path)
    assert done.returncode == 2
    assert "No such command 'untrain'" in done.stderr


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("words", [[], ["eval"], ["train"], ["models"]])
def test_help_says_of_every_command_in_a_whole_sentence_what_it_does(words):
    listed = CliRunner().invoke(cli, [*words, "--help"]).stdout.split("Commands:\n")[1].splitlines()
    assert listed
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


def test_help_imports_no_command(tmp_path):
    program = (
        "import sys\n"
        "from autoif.cli.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "loaded = {'pydantic', 'asyncio', 'autoif.config'} & sys.modules.keys()\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["autoif.cli.main", "click", "autoif.cli.show", "autoif.config"])
def test_ctrl_c_while_a_command_is_imported_ends_it_without_a_traceback(tmp_path, module):
    program = (
        "import sys\n"
        "class Press:\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Press())\n"
        "sys.argv = ['autoif', 'show', '.']\n"
        "from autoif.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")


@pytest.mark.parametrize("command", [["verify"], ["show"], ["export"], ["eval", "ifeval"]])
def test_a_command_starts_without_what_only_others_need(tmp_path, command):
    program = (
        "import sys\n"
        "from autoif.cli.main import cli\n"
        f"cli.main([*{command!r}, '--help'], standalone_mode=False)\n"
        "loaded = {'aiohttp', 'autoif.cli.run', 'autoif.cli.contamination', 'torch'} & sys.modules.keys()\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_locale_without_a_sign_shows_it_escaped(finished, tmp_path):
    named = shutil.copytree(finished / "run", tmp_path / "rün")
    done = autoif("status", named, cwd=tmp_path, PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0, done.stderr
    assert "r\\xfcn: complete" in done.stdout


def test_a_run_without_a_server_says_which_model_answers(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)  # else it would really run
    said = run_here("run", "recommended", "--set", "models.runtime=llama.cpp", cwd=tmp_path).stderr
    assert (
        "writer, responder, judge: qwen2.5-coder-1.5b on this machine, by llama.cpp (a server: --base-url and --model)"
        in said
    )
