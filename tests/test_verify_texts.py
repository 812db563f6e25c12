"""`autoif verify` with any text that JSON can hold: the verdict is that of a plain interpreter on the same text."""

import json
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import datasets
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoif.cli.main import cli
from autoif.datasets.rows import SftRow
from autoif.reading.jsonl import read_jsonl
from support.command import run_here
from support.source_strategies import texts

FUNCTIONS = {
    "length": "def evaluate(response): return len(response) % 2 == 0",
    "lines": "def evaluate(response): return len(response.splitlines()) < 2",
    "words": "import re\ndef evaluate(response): return len(re.findall(r'\\w+', response)) > 1",
    "strict": "def evaluate(response): return len(response.encode('utf-8')) > 3",
    "json": "import json\ndef evaluate(response): return json.loads(json.dumps(response)) == response",
    "hash": (
        "import hashlib\ndef evaluate(response):\n"
        "    raise ValueError(hashlib.sha256(response.encode('utf-8', 'surrogatepass')).hexdigest())"
    ),
}

PLAINLY = """
import json, sys
functions, texts = json.load(sys.stdin)
verdicts = []
for source in functions:
    names = {}
    exec(source, names)
    for text in texts:
        try:
            verdicts.append({True: "pass", False: "fail"}[names["evaluate"](text)])
        except Exception:
            verdicts.append("error")
print(json.dumps(verdicts))
"""

TEXTS = {
    "empty": "",
    "a space": " ",
    "a lone high surrogate": "a\ud800",
    "a lone low surrogate": "\udfffb",
    "surrogates the wrong way round": "\udc00\ud800",
    "a pair of surrogates": "\ud83d\ude00",
    "an emoji": "\N{GRINNING FACE}",
    "a NUL": "\0",
    "NULs and text": "a\0b\0",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg",
    "line breaks": "a\r\nb\rc\nd\n",
    "a byte order mark": "\ufefftext",
    "no character": "\uffff\ufffe",
    "the last character": "\U0010ffff",
    "combining marks": "e\u0301\u0327" * 9,
    "right to left": "\u202eabc\u202c",
    "JSON": '{"id": 1, "text": "x"}\n',
    "quotes and backslashes": '"\'\\\\"\\u0041\\ud800',
    "an escape": "\x1b[31mred\x7f",
    "a megabyte": "x" * (1 << 20),
    "a megabyte of three bytes each": "\u20ac" * (1 << 19),
    "a megabyte of lone surrogates": "\udcff" * (1 << 19),
    "a megabyte of lines": "\n" * (1 << 20),
}

IDS = ["a", 1, "1", 0, -7, "", "a", 10**30, "\u2028", "\ud800", "null", "\0"]


def write_rows(path: Path, key: str, rows: Sequence[tuple[object, str]], *, ascii_only: bool = True) -> str:
    """Write rows of an id and a text; without `ascii_only` whatever UTF-8 can hold stands there unescaped."""
    lines = []
    for name, text in rows:
        line = json.dumps({"id": name, key: text}, ensure_ascii=False)
        escape = ascii_only or any("\ud800" <= character <= "\udfff" for character in line)
        lines.append(json.dumps({"id": name, key: text}) if escape else line)
    path.write_bytes("".join(line + "\n" for line in lines).encode())
    return str(path)


def verify_rows(
    folder: Path,
    functions: Sequence[tuple[object, str]],
    responses: Sequence[tuple[object, str]],
    *,
    ascii_only: bool = True,
) -> list[dict[str, Any]]:
    """Run the command in this process; return the rows that it wrote."""
    output = folder / "verdicts.jsonl"
    arguments = [
        write_rows(folder / "functions.jsonl", "source", functions),
        write_rows(folder / "responses.jsonl", "text", responses, ascii_only=ascii_only),
    ]
    options = ["--output", str(output), "--workers", "1", "--timeout", "20", "--backend", "cpython"]
    done = CliRunner().invoke(cli, ["verify", *arguments, *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return read_rows(output.read_bytes())


def read_rows(written: bytes) -> list[dict[str, Any]]:
    lines = written.split(b"\n")
    assert lines.pop() == b""
    return [json.loads(line) for line in lines]


def run_plainly(functions: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """Return the verdicts of a plain interpreter, function by function."""
    request = json.dumps([functions, inputs])
    done = subprocess.run([sys.executable, "-c", PLAINLY], input=request, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def check_rows(rows: list[dict[str, Any]], responses: Sequence[tuple[object, str]]) -> None:
    """One row for each pair, in order, with a plain interpreter's verdict, and the text's own hash in the detail."""
    inputs = [json.loads(json.dumps(text)) for _, text in responses]  # JSON reads a pair of surrogates as one character
    pairs = [(function, name) for function in FUNCTIONS for name, _ in responses]
    assert [(row["function"], row["response"]) for row in rows] == pairs
    assert [type(row["response"]) for row in rows] == [type(name) for _, name in pairs]
    assert [row["verdict"] for row in rows] == run_plainly(list(FUNCTIONS.values()), inputs)
    hashes = [f"ValueError: {sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}" for text in inputs]
    assert [row["detail"] for row in rows if row["function"] == "hash"] == hashes
    assert all(row.keys() == {"function", "response", "verdict", "detail", "seconds"} for row in rows)
    assert all(0 <= row["seconds"] < 20 for row in rows)


@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "as it is"])
def test_every_awkward_text_gets_the_verdict_of_a_plain_interpreter(tmp_path: Path, ascii_only: bool) -> None:
    responses = list(TEXTS.items())
    check_rows(verify_rows(tmp_path, list(FUNCTIONS.items()), responses, ascii_only=ascii_only), responses)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    responses=st.lists(st.tuples(texts() | st.integers(), texts()), min_size=1, max_size=40), ascii_only=st.booleans()
)
def test_any_text_gets_the_verdict_of_a_plain_interpreter(
    tmp_path: Path, responses: list[tuple[object, str]], ascii_only: bool
) -> None:
    check_rows(verify_rows(tmp_path, list(FUNCTIONS.items()), responses, ascii_only=ascii_only), responses)


def test_ids_come_back_as_they_were_also_twice(tmp_path: Path) -> None:
    functions = [(name, FUNCTIONS["length"]) for name in IDS]
    rows = verify_rows(tmp_path, functions, [(name, "xx") for name in IDS])
    assert [(row["function"], row["response"]) for row in rows] == [(one, other) for one in IDS for other in IDS]
    assert {row["verdict"] for row in rows} == {"pass"}


SOURCES = {
    "empty": ("", "error"),
    "a NUL": ("def evaluate(response): return '\0'", "error"),
    "a lone surrogate": ("def evaluate(response): return '\ud800' == response", "error"),
    "a byte order mark": ("\ufeffdef evaluate(response): return True", "error"),
    "line ends of another system": ("def evaluate(response):\r\n    return True\r\n", "pass"),
    "a line separator in a text": ("def evaluate(response): return len('\u2028') == 1", "pass"),
    "a megabyte": ("# " + "x" * (1 << 20) + "\ndef evaluate(response): return True", "pass"),
    "names beyond ASCII": ("def evaluate(réponse): return len(réponse) == 1", "pass"),
}


def test_every_awkward_source_has_a_verdict(tmp_path: Path) -> None:
    rows = verify_rows(tmp_path, [(name, source) for name, (source, _) in SOURCES.items()], [("x", "x")])
    assert {row["function"]: row["verdict"] for row in rows} == {
        name: verdict for name, (_, verdict) in SOURCES.items()
    }


def test_the_command_ends_well_whatever_the_functions_did(tmp_path: Path) -> None:
    functions = {
        "hangs": "import time\ndef evaluate(response): time.sleep(60)",
        "leaves": "import os\nos._exit(0)",
        "crashes": "import ctypes\ndef evaluate(response): ctypes.string_at(0)",
        "takes": "def evaluate(response): return len(bytearray(1 << 30))",
        "raises": "def evaluate(response): raise SystemExit(3)",
        "floods": "import os\ndef evaluate(response):\n    print('x' * 10 ** 6)\n    return response == 'yes'",
    }
    responses = write_rows(tmp_path / "responses.jsonl", "text", [("yes", "yes"), ("no", "no")])
    source = write_rows(tmp_path / "functions.jsonl", "source", list(functions.items()))
    done = run_here("verify", source, responses, "--timeout", "0.3", "--memory-mb", "64", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = read_rows(done.stdout.encode())
    assert [row["function"] for row in rows] == [name for name in functions for _ in range(2)]
    found = [row["verdict"] for row in rows]
    assert found == ["timeout"] * 2 + ["crash"] * 4 + ["memory"] * 2 + ["error"] * 2 + ["pass", "fail"]


def make_row(text: str, pass_rate: float) -> dict[str, object]:
    functions = [
        "def evaluate(response): return len(response) > 0",
        "def evaluate(response): return '\\0' not in response",
    ]
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": text}]
    return {"messages": messages, "constraints": [{"functions": functions}], "pass_rate": pass_rate}


def test_a_data_set_of_awkward_texts_holds_and_one_changed_row_is_named(tmp_path: Path) -> None:
    rows = [make_row(text, ((len(text) > 0) + ("\0" not in text)) / 2) for text in TEXTS.values()]
    dataset = tmp_path / "sft.jsonl"
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run_here("verify", "--dataset", str(dataset), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{len(rows)} of {len(rows)} rows hold" in done.stdout
    rows[2]["pass_rate"] = 0.5
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run_here("verify", "--dataset", str(dataset), cwd=tmp_path)
    assert done.returncode == 1
    assert "row 3: " in done.stdout
    assert f"{len(rows) - 1} of {len(rows)} rows hold" in done.stdout


def test_empty_lines_byte_order_marks_and_other_fields_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text('{"id": "f", "source": "def evaluate(r): return True", "model": "x"}\n\n')
    (tmp_path / "r.jsonl").write_bytes(b'\xef\xbb\xbf\n{"id": 1, "text": "x", "prompt": "y"}\n \n')
    done = run_here("verify", "f.jsonl", "r.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["verdict"] for line in done.stdout.splitlines()] == ["pass"]


@pytest.mark.parametrize(
    ("output", "said"),
    [("nowhere/v.jsonl", "nowhere/v.jsonl can't be written"), ("/dev/full", "no space left for /dev/full")],
)
def test_verdicts_that_can_not_be_written_are_said_in_one_line(output: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text('{"id": "f", "source": "def evaluate(r): return True"}\n')
    (tmp_path / "r.jsonl").write_text('{"id": 1, "text": "x"}\n')
    done = run_here("verify", "f.jsonl", "r.jsonl", "-o", output, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_pairs_and_run_folders_are_verified_too(tmp_path: Path) -> None:
    row = {"prompt": [{"role": "user", "content": "x"}], "constraints": make_row("tea", 1.0)["constraints"]}
    row |= {side: [{"role": "assistant", "content": text}] for side, text in (("chosen", "tea"), ("rejected", ""))}
    pairs = [{**row, "chosen_pass_rate": 1.0, "rejected_pass_rate": rate} for rate in (0.5, 0.0)]
    (tmp_path / "preferences.jsonl").write_text("\ufeff" + "".join(json.dumps(pair) + "\n" for pair in pairs))
    done = run_here("verify", "--dataset", "preferences.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    assert "row 2, rejected: pass rate 0.5, recorded 0" in done.stdout
    assert "1 of 2 rows hold" in done.stdout
    (tmp_path / "sft.jsonl").write_text(json.dumps(make_row("tea", 1.0)) + "\n")
    done = run_here("verify", "--dataset", ".", cwd=tmp_path)
    assert "1 of 1 rows hold" in done.stdout


GOOD = {
    "messages": [{"role": "user", "content": "Say tea."}, {"role": "assistant", "content": "tea"}],
    "constraints": [{"functions": [FUNCTIONS["length"]]}],
    "pass_rate": 0.0,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pass_rate": 100}, "pass_rate: Input should be less than or equal to 1"),
        ({"pass_rate": float("nan")}, "pass_rate: Input should be"),
        ({"messages": [*GOOD["messages"], {"role": "user", "content": "tea"}]}, "its last turn is not the assistant's"),
        ({"query_id": 7.5}, "query_id: Input should be a valid string"),
    ],
)
def test_a_row_that_cannot_be_verified_is_refused_with_its_line(tmp_path, change, message):
    dataset = tmp_path / "sft.jsonl"
    dataset.write_text(f"{json.dumps(GOOD)}\n{json.dumps(GOOD | change)}\n")
    done = CliRunner().invoke(cli, ["verify", "--dataset", str(dataset)])
    assert f"line 2: {'' if 'last turn' in message else 'no SftRow row ('}{message}" in str(done.exception)


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_rows_are_verified_in_every_common_form_whatever_numbers_their_ids_are(tmp_path, form):
    rows = [GOOD | {"query_id": 7.0}, GOOD | {"query_id": None}]
    dataset = tmp_path / f"rows.{form}"
    if form == "parquet":
        datasets.Dataset.from_list(rows).to_parquet(dataset)
    else:
        dataset.write_text(json.dumps(rows, indent=1))
    assert [row.query_id for row in read_jsonl(dataset, SftRow)] == ["7", ""]
    assert "2 of 2 rows hold" in CliRunner().invoke(cli, ["verify", "--dataset", str(dataset)]).output
