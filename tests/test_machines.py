"""Shells, terminals, disks and paths unlike ours: a command says what is wrong in one line, and loses nothing."""

import ast
import contextlib
import itertools
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import autoif
from autoif.api import place_run
from autoif.errors import StoreError
from autoif.report.terminal import make_table
from autoif.runs.events import Events
from autoif.runs.run_folder import RunFolder
from support.command import autoif_here, fails_here, run_here
from support.habit_runs import ROWS, Runner
from support.habit_server import Answer, Asked, HabitServer, honest
from support.processes import SHORT_REPLAY

LONG = "x" * 300
FUNCTIONS = {"id": 1, "source": "def evaluate(response):\n    return True"}
RESPONSES = {"id": 1, "text": "Tea."}


@pytest.fixture(scope="module")
def recorded(replayed) -> autoif.Run:
    return autoif.load_run(replayed)


@pytest.mark.parametrize("arguments", [("show",), ("status",), ("status", "--json"), ("cat",), ("verify",)])
def test_a_full_disk_behind_standard_output_is_told(replayed, tmp_path, arguments, monkeypatch, capsys):
    (tmp_path / "f.jsonl").write_text(json.dumps(FUNCTIONS))
    (tmp_path / "r.jsonl").write_text(json.dumps(RESPONSES))
    of = {"cat": [replayed / "sft.jsonl"], "verify": [tmp_path / "f.jsonl", tmp_path / "r.jsonl"]}
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as stop:
            autoif_here(*arguments, *of.get(arguments[0], [replayed]))
    assert stop.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "autoif: what is printed can't be written: No space left on device"


def test_who_may_open_too_few_files_is_told_how_to_open_more(replayed, tmp_path):
    command = [sys.executable, "-m", "autoif", "run", "quickstart", "--recorded", "--quiet", "-o", tmp_path / "run"]
    limited = ["sh", "-c", 'ulimit -n 20 && exec "$@"', "sh", *command]
    ended = subprocess.run(limited, capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1].endswith(
        "Too many open files; raise the limit (ulimit -n 4096), then run the same command again"
    )


@pytest.mark.parametrize("blocks", [20, 200])
@pytest.mark.parametrize("command", ["run", "report"])
def test_who_may_write_no_larger_files_is_told_how_to(replayed, tmp_path, command, blocks):
    arguments = {"run": [*SHORT_REPLAY[1:], "-o", tmp_path / "run"], "report": [replayed, "-o", tmp_path / "page.html"]}
    called = [sys.executable, "-m", "autoif", command, *arguments[command]]
    limited = ["sh", "-c", f'ulimit -f {blocks} && exec "$@"', "sh", *called]
    ended = subprocess.run(limited, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 2
    assert "File too large; raise the limit (ulimit -f)" in ended.stderr.splitlines()[-1]
    assert run_here(*map(str, called[3:]), cwd=tmp_path).returncode == 0


_SMALL = """
import resource, sys
from autoif.cli.main import main
kept = sum(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize:")) * 1024
resource.setrlimit(resource.RLIMIT_AS, (kept + int(sys.argv.pop(1)) * 2**20,) * 2)
main()
"""


@pytest.mark.parametrize("command", ["run", "audit", "export", "train"])
def test_a_machine_with_too_little_memory_is_told_and_nothing_is_lost(replayed, tmp_path, command):
    of = {
        "run": [*SHORT_REPLAY[1:], "-o", tmp_path / "run"],
        "audit": [replayed],
        "export": [replayed, "--to", "parquet", "-o", tmp_path / "data"],
        "train": ["sft", "--data", replayed, "--model", tmp_path / "no", "--output", tmp_path / "out"],
    }
    told = re.compile(
        r"autoif: .*(Cannot allocate memory|Resource temporarily unavailable); .*run the same command again"
    )
    codes = []
    for left_mb in ("1", "3", "6"):
        arguments = [sys.executable, "-c", _SMALL, left_mb, command, *of[command]]
        ended = subprocess.run(arguments, capture_output=True, text=True, timeout=150)
        codes.append(ended.returncode)
        if ended.returncode >= 0:  # the interpreter and libraries in Rust may abort before anything can be caught
            assert ended.returncode == 2, ended.stderr
            assert any(map(told.fullmatch, ended.stderr.splitlines())), ended.stderr
    assert 2 in codes
    if command == "run":
        run_here(*SHORT_REPLAY, "-o", tmp_path / "run", cwd=tmp_path)
        assert autoif.load_run(tmp_path / "run").manifest["status"] == "complete"


_LACKING = """
import sys
from autoif.cli.main import cli, main
@cli.command("lack")
def lack():
    raise {error}
sys.argv[1:] = ["lack"]
main()
"""


@pytest.mark.parametrize(
    "error",
    [
        "MemoryError",
        "OSError(12, 'Cannot allocate memory', 'a.safetensors')",
        "ExceptionGroup('unhandled errors', [ValueError('a'), MemoryError()])",
        "ImportError('libtorch_cpu.so: failed to map segment from shared object')",
        "RuntimeError('[enforce fail at alloc_cpu.cpp:117] can\\'t allocate memory: tried 8 bytes')",
        "SystemError('error return without exception set')",
        "SystemError('<function _find_and_load at 0x7f> returned NULL without setting an exception')",
        "SystemError('initialization of _socket raised unreported exception')",
    ],
)
def test_each_way_of_python_and_libraries_to_say_that_memory_is_lacking_is_told_as_such(error):
    ended = subprocess.run([sys.executable, "-c", _LACKING.format(error=error)], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("autoif: Cannot allocate memory; free memory or raise the limit")
    assert ended.stderr.count("\n") == 1


def test_a_run_goes_on_where_nothing_can_be_said_any_more(tmp_path):
    command = [sys.executable, "-m", "autoif", *SHORT_REPLAY, "-o", tmp_path / "run"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, timeout=150)
    assert ended.returncode == 0
    assert autoif.load_run(tmp_path / "run").manifest["status"] == "complete"


@pytest.mark.parametrize("command", ["run", "cat", "show", "status", "--help"])
def test_a_command_whose_reader_has_gone_ends_with_141_and_leaves_what_it_made_whole(replayed, tmp_path, command):
    of = {"run": [*SHORT_REPLAY[1:], "-o", tmp_path / "run"], "cat": [replayed / "sft.jsonl"], "--help": []}
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        arguments = [sys.executable, "-m", "autoif", command, *of.get(command, [replayed])]
        ended = subprocess.run(arguments, stdout=gone, stderr=subprocess.PIPE, text=True, timeout=150)
    assert ended.returncode == 128 + signal.SIGPIPE, ended.stderr
    assert not any(word in ended.stderr for word in ("Traceback", "Exception", "autoif: "))
    if command == "run":
        assert autoif.load_run(tmp_path / "run").manifest["status"] == "complete"


@pytest.mark.parametrize("command", ["cat", "show"])
def test_a_command_runs_with_its_outputs_closed(replayed, command, monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    autoif_here(command, replayed / "sft.jsonl" if command == "cat" else replayed)
    for opened in (sys.stdout, sys.stderr):
        opened.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", LONG),
        ("run", "quickstart", "--recorded", "--quiet", "-o", LONG),
        ("run", "quickstart", "--recorded", "--seeds", LONG),
        ("run", "quickstart", "--recorded", "--queries", LONG),
        ("cat", LONG),
        ("show", LONG),
        ("status", LONG),
        ("export", LONG, "--to", "trl", "-o", "out"),
        ("split", LONG, "-o", "out"),
        ("verify", "--dataset", LONG),
        ("record", LONG, "-o", "out.jsonl.xz"),
        ("report", LONG),
        ("compare", LONG, "other"),
        ("decisions", LONG),
    ],
)
def test_a_name_that_no_file_can_have_is_refused_in_one_line(tmp_path, arguments):
    said = fails_here(*arguments, cwd=tmp_path)
    # To Python 3.14 a file of such a name is one that isn't there, which each command has words of its own for.
    assert "ile name too long" in said or sys.version_info >= (3, 14)


def test_a_link_to_itself_is_refused_in_one_line(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert "loop" in fails_here("run", "quickstart", "--recorded", "--quiet", "-o", "loop", cwd=tmp_path)


def test_a_working_directory_that_is_gone_is_told(replayed, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    with contextlib.chdir(gone):
        gone.rmdir()
        assert "the working directory is gone" in fails_here("run", "quickstart", "--recorded", "-o", "out")
        os.chdir(tmp_path)  # so that there is one to come back from


@pytest.mark.parametrize("width", [12, 20, 40])
def test_no_width_of_a_terminal_cuts_a_number(width):
    table = make_table("stage", "answers", numbers=("answers",))
    table.add_row("06_rejection_sampling", "1,234,567")
    console = Console(width=width)
    with console.capture() as shown:
        console.print(table)
    assert "…" not in shown.get()
    assert [digit for digit in shown.get() if digit.isdigit()].count("7") == 1


@pytest.mark.parametrize("way", ["--output={}", "-o {}"])
def test_the_home_folder_is_meant_by_its_sign(replayed, tmp_path, way, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    arguments = way.format("~/data").split(" ")
    done = run_here("export", replayed, "--to", "trl", *arguments, cwd=tmp_path / "work")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "home" / "data" / "sft.jsonl").exists()
    assert not [*(tmp_path / "work").iterdir()]


def test_no_process_that_is_started_takes_files_of_the_working_directory_for_modules():
    started = 0
    for path in Path(autoif.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            words = [ast.unparse(each) for each in node.elts] if isinstance(node, ast.List | ast.Tuple) else []
            if words[:1] in (["sys.executable"], ["find_interpreter()"]):
                assert words[1] in {"'-P'", "*_FLAGS"}, path
                started += 1
    assert started >= 8


def test_the_home_folder_is_meant_in_settings_and_in_python_too(replayed, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place_run("~/run", None, "quickstart") == (tmp_path / "run", None)
    assert autoif.load_run(f"~/../../../../../../../..{replayed}").manifest["status"] == "complete"
    (tmp_path / "p.txt").write_text("{prompt}")
    config = autoif.load_config("quickstart", ["seeds=~/s.txt", "queries=~/q.txt", "prompts.responder=~/p.txt"])
    assert (config.seeds, config.queries) == (f"{tmp_path}/s.txt", f"{tmp_path}/q.txt")
    assert config.prompts.responder.text == "{prompt}"
    assert autoif.load_config("quickstart", ["queries=hf:some/name"]).queries == "hf:some/name"


@pytest.mark.parametrize("first", [True, False])
def test_a_command_does_not_write_over_what_it_reads(tmp_path, first):
    own = {"id": "1", "matrix": {}, "kept_functions": [], "kept_cases": []}  # else it is no file that is renewed
    rows = json.dumps({"instruction": "Use few words.", "generations": [""], **own})
    (tmp_path / "data.jsonl").write_text(rows)
    (tmp_path / "link.jsonl").symlink_to("data.jsonl")
    output = ("-o", "link.jsonl")
    arguments = (*output, "data.jsonl") if first else ("data.jsonl", *output)
    assert "would be replaced by what it makes" in fails_here("cross-validate", *arguments, cwd=tmp_path)
    assert (tmp_path / "data.jsonl").read_text() == rows


def test_generations_of_which_nothing_is_kept_end_with_an_error(tmp_path):
    (tmp_path / "data.jsonl").write_text(
        json.dumps({"instruction": "Use few words.", "generations": [None, "no code"]})
    )
    said = fails_here("cross-validate", "data.jsonl", "-o", "kept.jsonl", cwd=tmp_path)
    assert said == "autoif: no instruction is kept: kept.dropped.jsonl says why of each"
    assert json.loads((tmp_path / "kept.dropped.jsonl").read_text())["reason"] == "no_readable_answer"


@pytest.mark.parametrize("wrong", [True, 2.5, None])
def test_an_id_that_is_none_is_not_turned_into_one(tmp_path, wrong):
    (tmp_path / "f.jsonl").write_text(json.dumps({"id": 1, "source": "def evaluate(response): return True"}))
    (tmp_path / "r.jsonl").write_text(json.dumps({"id": wrong, "text": "yes"}))
    assert "r.jsonl, line 1: no ResponseRow row (id" in fails_here("verify", "f.jsonl", "r.jsonl", cwd=tmp_path)


def test_instructions_are_not_replaced_by_a_part_of_themselves(replayed, tmp_path):
    file = tmp_path / "train.jsonl"
    shutil.copy(replayed / "instructions.jsonl", file)
    assert "by a part of itself" in fails_here("split", "train.jsonl", "-o", ".", cwd=tmp_path)
    assert file.read_bytes() == (replayed / "instructions.jsonl").read_bytes()


def test_a_pipe_that_would_have_to_be_read_twice_is_named(tmp_path):
    os.mkfifo(tmp_path / "rows")
    assert "is a pipe, which can be read only once" in fails_here("verify", "--dataset", "rows", cwd=tmp_path)


def test_the_digest_of_a_pipe_is_not_that_of_nothing(replayed, tmp_path):
    reads, writes = os.pipe()
    os.write(writes, (replayed / "instructions.jsonl").read_bytes()[:60_000].rpartition(b"\n")[0])
    os.close(writes)
    said = fails_here("split", f"/dev/fd/{reads}", "-o", "out", "--held-out", "0.5", cwd=tmp_path)
    assert "is a pipe, which can be read only once" in said
    assert not (tmp_path / "out").exists()
    os.close(reads)


def test_rows_stay_where_they_are_when_the_working_directory_changes(recorded, tmp_path, monkeypatch):
    shutil.copytree(recorded.path, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    run = autoif.load_run("run")
    rows = autoif.Rows(Path("run/sft.jsonl"))
    monkeypatch.chdir("/")
    assert len(run.sft) == len(rows) == len(recorded.sft)
    assert run.manifest["status"] == "complete"
    assert len(pickle.loads(pickle.dumps(run)).sft) == len(recorded.sft)


def test_rows_that_were_there_and_are_gone_are_no_empty_data_set(recorded, tmp_path):
    run = autoif.load_run(shutil.copytree(recorded.path, tmp_path / "run"))
    (run.path / "sft.jsonl").unlink()
    with pytest.raises(autoif.StoreError, match=r"sft.jsonl is missing"):
        len(run.sft)
    shutil.rmtree(run.path)
    for read in (len, list):
        with pytest.raises(autoif.StoreError, match="is gone: load the run from where it is now"):
            read(run.preferences)


@pytest.mark.parametrize(
    "arguments",
    [("export", "run", "--to", "trl", "-o", "out"), ("push", "run", "-o", "out"), ("verify", "--dataset", "run")],
)
@pytest.mark.parametrize("is_folder", [True, False])
def test_a_data_set_that_a_run_has_lost_is_not_taken_for_one_without_rows(replayed, tmp_path, arguments, is_folder):
    lost = Path(shutil.copytree(replayed, tmp_path / "run")) / "sft.jsonl"
    lost.unlink()
    if is_folder:
        lost.mkdir()
    assert "run/sft.jsonl is missing: restore it, or run the same" in fails_here(*arguments, cwd=tmp_path)
    assert not (tmp_path / "out").exists()


def test_what_other_programs_leave_in_a_run_is_nothing_and_stays(recorded, tmp_path):
    run = autoif.load_run(shutil.copytree(recorded.path, tmp_path / "run"))
    for name in ("kept-0000 (1).jsonl", "kept-0000-conflict.jsonl", "._kept-0000.jsonl", ".DS_Store", "kept-old.jsonl"):
        (run.path / "07_scoring" / name).write_bytes(b"\0\5")
    (run.path / "queries.jsonl").unlink()
    (run.path / "queries.jsonl").mkdir()
    assert run.funnel == recorded.funnel
    autoif.run(recorded=True, output=run.path, progress=False)
    autoif.run(recorded=True, output=run.path, progress=False, set="scoring.mean=>= 9", resume_with_changes=True)
    assert (run.path / "queries.jsonl.edited1").is_dir()
    assert (run.path / "07_scoring" / "kept-0000 (1).jsonl").read_bytes() == b"\0\5"


@pytest.mark.parametrize("given", [[("scoring.samples", 3)], 3, [3]])
def test_settings_of_another_form_are_refused_with_the_forms_there_are(given):
    with pytest.raises(autoif.ConfigError, match="set takes settings as in"):
        autoif.plan("quickstart", set=given)


_WRITES = {
    "rows": lambda run: run.write_rows("instructions.jsonl", [{"id": "new"}]),
    "rows of a stage": lambda run: run.write_rows("02_verification/kept-0000.jsonl", [{"id": "new"}]),
    "manifest": lambda run: run.write_manifest({"status": "complete"}),
    "event": lambda run: Events(run).add("shard", step="queries", index=1),
    "results discarded": lambda run: run.discard_results(),
    "nothing but the end": lambda run: None,
}


@pytest.mark.parametrize("write", _WRITES.values(), ids=_WRITES)
def test_a_folder_that_is_moved_at_any_moment_of_a_write_gets_nothing_in_its_place(tmp_path, write):
    left, moves = 0, list[Path]()

    def move(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if left and event in {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir"}:
            left -= 1
            if not left:
                moves.append(folder.rename(folder.with_name("moved")))
                shutil.copytree(mine, folder)

    sys.addaudithook(move)  # it is called before each of these, and stays for good, with nothing left to do
    for moment in itertools.count(1):
        mine, folder = (tmp_path / f"{moment}" / each for each in ("mine", "run"))
        for place, text in ((folder, "old"), (mine, "mine")):
            with RunFolder(place) as run:
                run.write_rows("instructions.jsonl", [{"id": text}])
                run.write_rows("queries.jsonl", [{"id": text}])
                run.write_manifest({"status": text})
        before = {each.name: each.read_bytes() for each in mine.iterdir()}
        with contextlib.suppress(StoreError), RunFolder(folder) as run:
            left = moment
            write(run)
        if left:
            break
        assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
    left = 0
    assert len(moves) == moment - 1 >= 1


@pytest.mark.parametrize("name", ["SHA256SUMS", "counts.jsonl", "events.jsonl", "run.json"])
def test_an_error_names_a_run_s_file_by_the_path_that_people_know(tmp_path, name):
    with (
        pytest.raises(StoreError, match=re.escape(f"{tmp_path}/run/{name} can't be")),
        RunFolder(tmp_path / "run") as run,
    ):
        (tmp_path / "run" / name).mkdir()
        Events(run).add("shard")
        run.write_manifest({})
        run.write_rows("sft.jsonl", [])


def test_a_run_whose_folder_is_moved_stops_and_writes_nothing_in_its_place(tmp_path):
    folder, moved = tmp_path / "run", tmp_path / "moved"

    def move(asked: Asked) -> Answer:
        if asked.stage == "responses" and not moved.exists():
            folder.rename(moved)
            folder.mkdir()
            (folder / "mine.txt").write_text("mine")
        return honest(asked)

    with HabitServer() as server:
        run = Runner(server, tmp_path)
        ended = run(move)
        assert ended.code == 2
        assert "was moved, deleted or replaced while its run went on" in ended.error
        assert [each.name for each in folder.iterdir()] == ["mine.txt"]
        shutil.rmtree(folder)
        moved.rename(folder)
        assert len(run(honest).rows()) == ROWS
        assert not server.asked_in("verification")
