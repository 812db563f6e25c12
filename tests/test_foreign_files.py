"""Files that others wrote, with byte order marks, halves of characters and NUL, are exported and loaded."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from datasets import load_dataset

from autoif.cli.main import cli
from autoif.datasets.exports import EXPORTERS
from support.exported_run import GOLDEN, export, rows_of

NAMES = ("sft.jsonl", "preferences.jsonl", "rewards.jsonl")
AWKWARD = "\ud83d half, NUL \x00, \u2028 a line, \U0001f469\u200d\U0001f4bb and \ufeff"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of a run's files as another program wrote them: marked, with blank lines and awkward texts."""
    folder = tmp_path_factory.mktemp("foreign")
    for name in NAMES:
        rows = rows_of(GOLDEN / name)[:3]
        for row in rows:
            for turns in (row.get("messages", []), row.get("chosen", [])):
                for turn in turns:
                    turn["content"] += AWKWARD if turn["role"] == "assistant" else ""
            row["note"] = {"\udc00": float("nan")}
        lines = "\r\n\r\n".join(json.dumps(row) for row in rows)
        (folder / name).write_bytes(b"\xef\xbb\xbf\r\n" + lines.encode())
    return folder


@pytest.mark.parametrize("trainer", EXPORTERS)
def test_what_is_exported_of_the_files_of_others_always_loads(tmp_path: Path, foreign: Path, trainer: str) -> None:
    folder = export(trainer, tmp_path / "out", *(foreign / name for name in NAMES))
    files = [path for path in folder.rglob("*") if path.suffix in {".jsonl", ".parquet"}]
    assert files
    for path in files:
        form = "json" if path.suffix == ".jsonl" else "parquet"
        loaded = load_dataset(form, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
        assert len(loaded) == 3
        said = json.dumps(loaded[0])
        assert "\\ud83d half" not in said
        if "half, NUL" in said:
            assert "\\ufffd half, NUL" in said


@pytest.mark.parametrize("names", [("a", "a"), ("a", "./a"), (".", "sft.jsonl"), ("link", "a")])
def test_an_input_that_is_named_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "sft.jsonl"):
        Path(name).write_bytes((GOLDEN / "sft.jsonl").read_bytes())
    Path("link").symlink_to("a")
    done = CliRunner().invoke(cli, ["export", *names, "--to", "trl", "-o", "out"])
    assert "is there twice: name each input once" in str(done.exception)
    assert not Path("out").exists()
