"""`autoif push`: the data of a run with a card, in a folder and over the hub's own protocol."""

import base64
import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from datasets import load_dataset

from autoif.cli.main import cli
from autoif.errors import ConfigError
from support.exported_run import rows_of

NAMES = ["sft", "preferences", "rewards"]


@pytest.fixture(scope="module")
def run(replayed, tmp_path_factory):
    """A finished run: the recorded quickstart."""
    return shutil.copytree(replayed, tmp_path_factory.mktemp("runs") / "first")


def push(*arguments: object) -> str:
    done = CliRunner().invoke(cli, ["push", *map(str, arguments)])
    assert done.exit_code == 0, done.output + str(done.exception)
    return done.stdout


def refused(*arguments: object) -> str:
    done = CliRunner().invoke(cli, ["push", *map(str, arguments)])
    assert isinstance(done.exception, ConfigError), done.output
    assert "\n" not in str(done.exception)
    return str(done.exception)


def front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_a_pushed_folder_loads_as_the_hub_loads_it(run, tmp_path):
    said = push(run, "-o", tmp_path / "data")
    for name in NAMES:
        rows = rows_of(run / f"{name}.jsonl")
        assert f"{name}.jsonl: {len(rows)} rows" in said
        assert rows_of(tmp_path / "data" / f"{name}.jsonl") == rows
        loaded = load_dataset(str(tmp_path / "data"), name, split="train", cache_dir=str(tmp_path / "cache"))
        assert loaded.to_list() == rows


def test_the_card_says_how_the_data_was_made(run, tmp_path):
    push(run, "-o", tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    front = front_matter(card)
    assert [config["config_name"] for config in front["configs"]] == NAMES
    assert front["size_categories"] == ["n<1K"]
    assert "license" not in front, "that is for whoever publishes to say"
    assert f"| writer | `{manifest['config']['models']['writer']['model']}` |" in card
    assert "| preset | `quickstart` |" in card
    assert "| `rejection_sampling.pass_rate` | `> 0.5` |" in card
    assert f"| sandbox | {manifest['sandbox']} |" in card
    kept = len(rows_of(run / "07_scoring" / "kept-0000.jsonl"))
    assert kept
    assert f"| `sft` | {len(rows_of(run / 'sft.jsonl'))} |" in card
    assert "| 07_scoring |" in card


@pytest.mark.parametrize(
    ("changed", "decide"),
    [
        ({"cross_validation": {"choose_by": "cases"}}, ["case_agreement", "function_agreement"]),
        ({"cross_validation": {"choose_by": "majority"}}, ["majority"]),
        ({"cross_validation": {"choose_by": "score"}}, ["majority", "sure_score"]),
        ({"contrast": {"enabled": True}}, ["lift"]),
    ],
)
def test_the_card_tells_of_the_settings_that_chose_the_functions_and_of_no_others(run, tmp_path, changed, decide):
    other = shutil.copytree(run, tmp_path / "other")
    manifest = json.loads((other / "run.json").read_text(encoding="utf-8"))
    for section, settings in changed.items():
        manifest["config"][section] |= settings
    (other / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    push(other, "-o", tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"`(?:cross_validation|contrast)\.(\w+)`", card)
    assert [name for name in told if name not in {"choose_by", "min_score", "findings", "enabled"}] == decide


def test_the_card_names_no_address_and_no_path(run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name in NAMES:
        (other / f"{name}.jsonl").write_bytes((run / f"{name}.jsonl").read_bytes())
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    models = manifest["config"]["models"]
    models["writer"] |= {"base_url": "http://gpu7.internal:8000/v1", "model": "/home/someone/models/my.gguf"}
    models["judge"] |= {"api_key_env": "SECRET_NAME", "model": "owner/judge"}
    models["responder"] |= {"model": "a|b`<img src=x>"}
    manifest["config"]["queries"] = "/home/someone/queries.jsonl"
    (other / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    push(other, "-o", tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text(encoding="utf-8")
    assert "| writer | `my.gguf` |" in card
    assert "| judge | `owner/judge` |" in card
    assert "| responder | `a\\|b'<img src=x>` |" in card
    assert not [part for part in ("gpu7", "someone", "SECRET_NAME", str(tmp_path)) if part in card]


def test_a_folder_with_a_card_is_replaced_only_when_asked(run, tmp_path):
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    assert "use --overwrite" in refused(run, "-o", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    push(run, "-o", tmp_path, "--overwrite")
    assert "# first" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_run_that_is_not_finished_and_a_folder_that_is_no_run_are_refused(run, tmp_path):
    assert "no run folder" in refused(tmp_path, "-o", tmp_path / "data")
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (tmp_path / "run.json").write_text(json.dumps({**manifest, "status": "interrupted"}), encoding="utf-8")
    assert "is interrupted: finish it" in refused(tmp_path, "-o", tmp_path / "data")


@pytest.mark.parametrize("where", [[], ["--repository", "a/b", "-o", "data"]])
def test_one_place_has_to_be_named(where, tmp_path):
    done = CliRunner().invoke(cli, ["push", str(tmp_path), *where])
    assert done.exit_code == 2
    assert "name either --repository OWNER/NAME or --output FOLDER" in done.stderr


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as making a data set of small files takes; keeps what was committed."""

    made: list[dict]
    files: dict[str, bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != "Bearer hf_test":
            return self.answer({"error": "Invalid username or password."}, 401)
        if self.path == "/api/repos/create":
            self.made.append(json.loads(body))
            return self.answer({"url": f"http://{self.headers['Host']}/datasets/me/data", "id": "me/data"})
        if self.path.startswith("/api/datasets/me/data/preupload/"):
            files = [{**file, "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            return self.answer({"files": files})
        if self.path.startswith("/api/datasets/me/data/commit/"):
            for line in body.splitlines():
                value = json.loads(line)["value"]
                if "content" in value:
                    self.files[value["path"]] = base64.b64decode(value["content"])
            return self.answer(
                {"commitUrl": f"http://{self.headers['Host']}/datasets/me/data/commit/1", "commitOid": "1"}
            )
        return self.answer({})

    def do_GET(self) -> None:
        self.answer({"sha": "1", "siblings": []})

    def answer(self, content: dict, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch):
    kept = type("KeptHub", (Hub,), {"made": [], "files": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), kept) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        yield kept
        server.shutdown()
        thread.join()


def test_the_hub_gets_what_the_folder_gets(run, tmp_path, hub):
    said = push(run, "--repository", "me/data", "--private")
    assert "me/data" in said
    push(run, "-o", tmp_path)
    assert hub.files == {path.name: path.read_bytes() for path in Path(tmp_path).iterdir()}
    [made] = hub.made
    assert (made["name"], made["type"], made["visibility"]) == ("data", "dataset", "private")


def test_a_hub_that_refuses_is_one_line(run, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert "me/data can't be pushed:" in refused(run, "--repository", "me/data")
    assert hub.files == {}
