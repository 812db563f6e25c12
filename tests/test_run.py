"""Whole runs as processes, against a model server that counts: shards, kills, resumption, budgets."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from autoif.cli.interruption import Interrupted, interruptible
from autoif.runs.store import FOLDERS
from support.command import autoif, fails_here, run_here
from support.processes import DATA_FILES, Served, data_of, model_server, stages_of, start_autoif

IN_FLIGHT = 4
KEY = "sk-of-nobody"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with model_server(tmp_path_factory.mktemp("server")) as served:
        yield served


def run_arguments(server: Served, output: Path | str, *more: str) -> list[str]:
    fewer = ("--set", "self_instruct.max_instructions=8", "--set", "augmentation.queries_per_instruction=4")
    return ["run", "quickstart", "--base-url", server.url, "--model", "test", "-o", str(output), *fewer, *more]


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    done = autoif(*run_arguments(server, "run"), cwd=folder, PYTHONHASHSEED="1", OPENAI_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    return folder / "run", done


def test_a_run_fills_every_stage_and_every_data_file(undisturbed):
    run, _ = undisturbed
    for folder in FOLDERS:
        assert any(path.stat().st_size for path in (run / folder).glob("kept-*.jsonl")), folder
    for name in DATA_FILES:
        assert (run / name).stat().st_size, name


def test_the_counts_of_every_stage_add_up(undisturbed):
    run, _ = undisturbed
    kept = {folder: rows(run, folder, "kept") for folder in FOLDERS}
    dropped = {folder: rows(run, folder, "dropped") for folder in FOLDERS}
    for before, after in (("01", "02"), ("02", "03"), ("03", "04")):
        [earlier], [later] = ([folder for folder in FOLDERS if folder.startswith(n)] for n in (before, after))
        assert len(kept[earlier]) == len(kept[later]) + len(dropped[later])
    prompts, sampled = len(kept["05_augmentation"]), "06_rejection_sampling"
    assert prompts * 4 == len(kept[sampled]) + len(dropped[sampled])
    assert len(kept[sampled]) == len(kept["07_scoring"]) + len(dropped["07_scoring"])
    assert len(kept["07_scoring"]) == len((run / "sft.jsonl").read_text().splitlines())


def test_a_run_ends_with_the_funnel_three_samples_and_the_paths(undisturbed):
    _, done = undisturbed
    for folder in FOLDERS:
        assert folder in done.stdout
    assert done.stdout.count("assistant  ") == 3
    assert "run/sft.jsonl" in done.stdout
    assert "run/preferences.jsonl" in done.stdout


def test_a_run_says_where_its_key_goes_and_nothing_else_of_it(undisturbed, server):
    run, done = undisturbed
    assert f"the key in $OPENAI_API_KEY goes to {urlsplit(server.url).netloc}\n" in done.stderr
    assert KEY not in done.stdout + done.stderr + (run / "run.json").read_text()


def test_without_a_terminal_progress_is_plain_lines_or_nothing(undisturbed):
    _, done = undisturbed
    assert "\x1b" not in done.stderr
    assert "\x1b" not in done.stdout


def test_the_manifest_tells_what_the_run_was_made_with(undisturbed):
    run, _ = undisturbed
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["identity"]["models.writer"] == "test"
    assert manifest["identity"]["prompts.scoring"]
    assert manifest["identity"]["inputs.seeds"]
    drafts = [json.loads(line) for path in run.glob("02_*/kept-*") for line in path.read_text().splitlines()]
    assert manifest["usage"]["verification"]["completions"] == sum(len(draft["answers"]) for draft in drafts)
    assert 8 * 3 <= sum(len(draft["answers"]) for draft in drafts) <= 8 * 5
    assert {*manifest["times"]} == {folder.partition("_")[2] for folder in FOLDERS}
    assert 0 < sum(manifest["times"].values()) <= manifest["seconds"] + 0.1
    assert "seccomp" in manifest["sandbox"]
    assert manifest["versions"]["autoif"]
    assert "OPENAI_API_KEY" in json.dumps(manifest["config"])  # the name of the variable, never its content


def test_every_row_of_the_data_holds_when_it_is_verified_again(undisturbed):
    run, _ = undisturbed
    done = run_here("verify", "--dataset", run / "sft.jsonl", cwd=run)
    assert done.returncode == 0
    count = len((run / "sft.jsonl").read_text().splitlines())
    assert f"{count} of {count} rows hold" in done.stdout


def test_a_row_that_was_tampered_with_is_reported(undisturbed, tmp_path):
    run, _ = undisturbed
    rows = [json.loads(line) for line in (run / "sft.jsonl").read_text().splitlines()]
    rows[1]["messages"][-1]["content"] = ""
    (tmp_path / "sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run_here("verify", "--dataset", "sft.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    assert "row 2: pass rate 0" in done.stdout


@pytest.mark.parametrize(
    ("more", "hash_seed"),
    [
        (("--workers", "1", "--set", "execution.shard_size=5"), "2"),
        (("--workers", "7", "--set", "execution.shard_size=1", "--set", "execution.records_in_flight=1"), "3"),
    ],
    ids=["one worker", "shards of one"],
)
def test_workers_shards_and_hash_seed_do_not_change_a_byte(undisturbed, server, tmp_path, more, hash_seed):
    run, _ = undisturbed
    done = autoif(*run_arguments(server, "other", *more), cwd=tmp_path, PYTHONHASHSEED=hash_seed)
    assert done.returncode == 0, done.stderr
    assert data_of(tmp_path / "other") == data_of(run)


def test_a_run_killed_again_and_again_ends_with_the_same_bytes_and_repeats_no_answered_request(undisturbed, tmp_path):
    run, _ = undisturbed
    chance = random.Random(5)
    lives = []
    with model_server(tmp_path) as server:
        arguments = run_arguments(server, "run", "--set", f"models.all.concurrency={IN_FLIGHT}")
        for _ in range(3):
            began = time.time()
            process = start_autoif(*arguments, cwd=tmp_path)
            wait_for_requests(server, len(server.events()) + chance.randint(2, 50), process)
            assert process.poll() is None, "the run was over before it could be killed"
            lives.append((began, time.time()))
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        done = run_here(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        for began, killed in lives:
            # An answer that has left the server may not have been read yet: with its request it is still in flight,
            # and no more than IN_FLIGHT of those are.
            assert len(server.asked_again(began, killed)) <= IN_FLIGHT
    assert data_of(tmp_path / "run") == data_of(run)
    assert stages_of(tmp_path / "run") == stages_of(run)


def test_a_finished_run_asks_nothing_when_it_is_run_again(undisturbed, server):
    run, _ = undisturbed
    before = data_of(run), len(server.events())
    done = run_here(*run_arguments(server, run), cwd=run)
    assert done.returncode == 0, done.stderr
    assert (data_of(run), len(server.events())) == before


@pytest.mark.parametrize(
    ("number", "background"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)]
)
def test_ctrl_c_and_sigterm_stop_cleanly_and_say_how_to_resume(undisturbed, tmp_path, number, background):
    run, _ = undisturbed
    with model_server(tmp_path) as server:
        process = start_autoif(*run_arguments(server, "run"), cwd=tmp_path, background=background)
        wait_for_requests(server, 30, process)
        os.kill(process.pid, number)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 128 + number
        assert f"run the same command to go on:\n  {Path(sys.executable).name} -m autoif run " in output
        assert "Traceback" not in output
        manifest = json.loads((tmp_path / "run" / "run.json").read_text())
        assert manifest["status"] == "interrupted"
        assert run_here(*run_arguments(server, "run"), cwd=tmp_path).returncode == 0
    assert data_of(tmp_path / "run") == data_of(run)


@pytest.mark.parametrize("ctrl_c", [signal.SIG_IGN, signal.default_int_handler])
def test_a_run_in_a_program_leaves_its_signals_as_they_were(tmp_path, ctrl_c):
    before = signal.signal(signal.SIGINT, ctrl_c)
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        fails_here("run", "no-such-preset")
        with pytest.raises(Interrupted) as stop, interruptible("again", grace_s=5.0):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        assert stop.value.code == 143
        assert signal.getsignal(signal.SIGINT) is ctrl_c
        assert signal.getsignal(signal.SIGTERM) is terminate
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_spent_budget_stops_the_run_and_a_larger_one_ends_it(undisturbed, server, tmp_path):
    run, _ = undisturbed
    done = run_here(*run_arguments(server, "run", "--budget-tokens", "6000"), cwd=tmp_path)
    assert done.returncode == 2
    assert "raise --budget-tokens" in done.stderr
    usage = json.loads((tmp_path / "run" / "run.json").read_text())["usage"]
    spent = sum(stage["prompt_tokens"] + stage["completion_tokens"] for stage in usage.values())
    assert 6000 <= spent < 12000
    done = run_here(*run_arguments(server, "run", "--budget-tokens", "1000000"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert data_of(tmp_path / "run") == data_of(run)


def test_the_second_step_can_begin_with_the_instructions_of_another_run(undisturbed, server, tmp_path):
    run, _ = undisturbed
    first = run_here(*run_arguments(server, "first", "--until", "instructions"), cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert not (tmp_path / "first" / "sft.jsonl").exists()
    more = ("--instructions", str(tmp_path / "first"))
    second = run_here(*run_arguments(server, "second", *more), cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert data_of(tmp_path / "second") == data_of(run)


def test_a_run_until_instructions_goes_on_to_queries(undisturbed, server, tmp_path):
    run, _ = undisturbed
    assert run_here(*run_arguments(server, "run", "--until", "instructions"), cwd=tmp_path).returncode == 0
    done = run_here(*run_arguments(server, "run"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert data_of(tmp_path / "run") == data_of(run)


def test_show_prints_matrix_back_translations_and_samples_of_an_instruction(undisturbed):
    run, _ = undisturbed
    [first, *_] = [json.loads(line) for line in (run / "sft.jsonl").read_text().splitlines()]
    [asked] = first["constraints"]
    done = run_here("show", run, asked["instruction_id"][:8], cwd=run)
    assert done.returncode == 0, done.stderr
    for part in (asked["instruction"], "functions x cases", "back-translations", asked["functions"][0].splitlines()[1]):
        assert part in done.stdout
    assert first["messages"][1]["content"] in done.stdout


def rows(run: Path, folder: str, kind: str) -> list[dict]:
    return [
        json.loads(line) for path in sorted((run / folder).glob(f"{kind}-*")) for line in path.read_text().splitlines()
    ]


def wait_for_requests(server: Served, count: int, process) -> None:
    deadline = time.monotonic() + 150
    while len(server.events()) < count and process.poll() is None:
        assert time.monotonic() < deadline, "the run asks too little"
        time.sleep(0.01)
