"""`autoif.run` and `autoif.load_run`: what a program, a notebook and the command line call."""

import gc
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

import autoif
from autoif.api import PlanOptions
from autoif.config import Config
from autoif.errors import StoreError
from autoif.models.cache import CompletionCache
from autoif.report.ending import describe_ending
from autoif.runs import manifest
from autoif.together import collecting_seldom
from support.command import autoif_here
from support.processes import model_server

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from generate import with_recorded_run  # noqa: E402


@pytest.fixture(scope="module")
def recorded(replayed):
    return autoif.load_run(replayed)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with model_server(tmp_path_factory.mktemp("server")) as served:
        yield served


def test_a_run_gives_its_rows_lazily_and_as_data_sets(recorded):
    rows = [json.loads(line) for line in (recorded.path / "sft.jsonl").read_text().splitlines()]
    assert list(recorded.sft) == rows
    assert (len(recorded.sft), recorded.sft[0], recorded.sft[-1]) == (len(rows), rows[0], rows[-1])
    assert recorded.sft[1:3] == rows[1:3]
    assert recorded.sft.to_dataset().num_rows == len(rows)
    assert recorded.preferences.to_dataset().column_names[:3] == ["prompt", "chosen", "rejected"]
    assert len(recorded.rewards) > len(recorded.instructions) > 0
    with pytest.raises(IndexError):
        recorded.sft[len(rows)]


def test_rows_follow_their_file_while_a_run_makes_it_or_another_in_its_place(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    rows = autoif.Rows(tmp_path / "sft.jsonl")
    assert len(rows) == 0
    rows.path.write_text('{"a": 1}\n')
    assert (len(rows), rows[0]) == (1, {"a": 1})
    (tmp_path / "new").write_text('{"longer": 1}\n{"a": 2}\n')
    (tmp_path / "new").replace(rows.path)
    assert rows[:] == [{"longer": 1}, {"a": 2}]


def test_a_run_says_what_it_is(recorded):
    assert f"{len(recorded.sft)} SFT rows" in repr(recorded)
    assert "06_rejection_sampling" in repr(recorded.funnel)
    assert recorded.funnel[-1].kept == len(recorded.sft)
    assert recorded.manifest["status"] == "complete"
    for loaded in (autoif.load_run(recorded.path), autoif.Run(str(recorded.path))):
        assert list(loaded.sft) == list(recorded.sft)


def test_plans_and_audits_print_as_the_commands_print_them(recorded, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    run = autoif.load_run(shutil.copytree(recorded.path, tmp_path / "run"))
    plan, audit = autoif.plan("quickstart", output=tmp_path / "new"), run.audit()
    for found, command in ((plan, f"run quickstart --plan -o {tmp_path / 'new'}"), (audit, f"audit {run.path}")):
        autoif_here(*command.split())
        printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        shown = [" ".join(line.split()) for line in str(found).splitlines()]
        assert str(found) == repr(found)
        assert len(shown) > 10
        assert shown[0] == printed[0]
        assert set(shown) <= set(printed)
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan


def test_the_readme_shows_the_funnel_and_a_row_of_the_recording(recorded):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == with_recorded_run(readme, recorded), "run `make docs`"
    assert len(readme.splitlines()) <= 110


def test_all_python_of_the_documentation_runs_each_block_by_itself(recorded, tmp_path, monkeypatch, capsys):
    """A block marked `python` is whole; one marked `py` is part of a program."""
    shutil.copytree(recorded.path, tmp_path / "runs" / "quickstart")
    pages = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))  # the README makes the folder that others name
    blocks = [each for page in pages for each in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)]
    assert len(blocks) > 6
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(block, {"__name__": "__main__"})
    said = capsys.readouterr().out
    assert "06_rejection_sampling" in said
    assert "Outcome(verdict=" in said


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(autoif.StoreError, match="is no run folder"):
        autoif.load_run(tmp_path)


async def test_it_works_inside_a_running_event_loop(recorded, tmp_path):
    again = autoif.run(output=tmp_path / "run", recorded=True, progress=False, set={"execution.workers": 1})
    assert list(again.sft) == list(recorded.sft)


async def test_what_goes_wrong_inside_a_running_event_loop_is_raised(tmp_path):
    with pytest.raises(autoif.ModelError, match="no server at"):
        autoif.run(output=tmp_path / "run", base_url="http://127.0.0.1:9/v1", model="m", progress=False)


def test_settings_are_python_values_or_lines(server, tmp_path):
    made = autoif.run(
        output=tmp_path / "run", base_url=server.url, model="m", until="instructions", progress=False,
        set={"self_instruct.max_instructions": 2, "cross_validation.both_outcomes": False},
    )  # fmt: skip
    config = made.manifest["config"]
    assert config["self_instruct"]["max_instructions"] == 2
    assert config["cross_validation"]["both_outcomes"] is False
    assert len(made.sft) == 0
    assert not made.sft.path.exists()
    with pytest.raises(autoif.ConfigError, match='setting "seed" is'):
        autoif.run(set={"seed": object()})
    with pytest.raises(autoif.ConfigError, match=r'unknown setting "scoring\.sample"'):
        autoif.run(set=["scoring.sample=2"])


def test_a_setting_that_is_none_is_set_to_none():
    with pytest.raises(autoif.ConfigError, match=r'setting "scoring\.samples"'):
        autoif.plan(set={"scoring.samples": None})
    share = autoif.load_config("recommended", {"back_translation.dropped_by_chat": None})
    assert share.back_translation.dropped_by_chat is None


def test_settings_have_the_same_forms_wherever_they_are_given():
    forms = ("seed=7", ["seed=7"], {"seed": 7})
    assert [autoif.load_config("paper", form).seed for form in forms] == [7, 7, 7]


def test_nothing_is_written_over_what_a_run_keeps_for_itself(recorded, tmp_path, monkeypatch):
    run = autoif.load_run(shutil.copytree(recorded.path, tmp_path / "run"))
    monkeypatch.chdir(tmp_path)
    for name in ("sft.jsonl", "completions.sqlite", "07_scoring/kept-0000.jsonl"):
        with pytest.raises(autoif.ConfigError, match="belongs to a run, which would lose what it has there"):
            run.report(f"run/{name}")
    with pytest.raises(autoif.ConfigError, match="belongs to a run"):
        autoif.run(recorded=True, output="run/07_scoring", progress=False)
    assert list(run.sft) == list(recorded.sft)
    (tmp_path / "pages").mkdir()
    with pytest.raises(autoif.StoreError, match=f"^{tmp_path}/pages can't be written or read: Is a directory"):
        run.report(tmp_path / "pages")


def test_rows_are_of_a_file_that_is_there_or_of_a_run_that_will_make_it(recorded, tmp_path):
    assert len(autoif.Rows(str(recorded.sft.path))) == len(recorded.sft)
    with pytest.raises(autoif.StoreError, match=r"nowhere\.jsonl: no such file"):
        len(autoif.Rows(tmp_path / "nowhere.jsonl"))
    with pytest.raises(autoif.StoreError, match="no such file"):
        len(autoif.Rows(tmp_path))
    for call in (autoif.load_run, autoif.Rows, lambda name: autoif.plan(output=name)):
        with pytest.raises(autoif.ConfigError, match="has a NUL in it: name another file"):
            call("a\0b")


@pytest.mark.parametrize("given", [None, 3, b"runs/first"])
@pytest.mark.parametrize("call", [autoif.load_run, autoif.Rows, autoif.load_config], ids=lambda call: call.__name__)
def test_what_names_no_file_is_refused_in_words(call, given):
    with pytest.raises(autoif.ConfigError, match=f"is named by a text or a Path, not by {given!r}"):
        call(given)


def test_a_run_whose_folder_is_gone_can_still_be_shown(recorded, tmp_path):
    run = autoif.load_run(shutil.copytree(recorded.path, tmp_path / "run"))
    (run.path / "sft.jsonl").unlink()
    assert "sft.jsonl is missing: restore it" in repr(run)
    (tmp_path / "run").rename(tmp_path / "moved")
    for shown in (repr(run), repr(run.sft), run._repr_html_()):
        assert f"{tmp_path}/run is gone: load the run from where it is now" in shown
    for read in (lambda: len(run.sft), lambda: run.sft[0], lambda: list(run.sft), lambda: run.manifest["status"]):
        with pytest.raises(autoif.StoreError, match=r"is gone|is no run folder"):
            read()


def test_runs_in_several_threads_leave_the_program_as_it_was(recorded, tmp_path):
    before = gc.get_threshold()
    with ThreadPoolExecutor(2) as threads:
        runs = threads.map(lambda name: autoif.run(output=tmp_path / name, recorded=True, progress=False), "ab")
        assert [list(made.sft) for made in runs] == [list(recorded.sft)] * 2
    assert gc.get_threshold() == before


def test_of_runs_at_the_same_time_the_last_to_end_sets_what_the_first_found():
    before = gc.get_threshold()
    later = ExitStack()
    with collecting_seldom():
        later.enter_context(collecting_seldom())
    assert gc.get_threshold() != before
    later.close()
    assert gc.get_threshold() == before


def test_contradictory_options_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(autoif.ConfigError, match="begins with --instructions uses no --seeds"):
        autoif.run(recorded=True, instructions="runs/first", seeds="mine.txt")
    with pytest.raises(autoif.ConfigError, match='output is ""'):
        autoif.run(recorded=True, output="")
    with pytest.raises(autoif.ConfigError, match="--shards '3'"):
        autoif.run(recorded=True, shards="3")
    assert not list(tmp_path.iterdir())


def test_an_option_that_there_is_not_is_refused_and_the_nearest_named(tmp_path):
    with pytest.raises(TypeError, match="no option is called 'outptu': is it 'output'"):
        autoif.run(recorded=True, outptu=tmp_path / "run")
    with pytest.raises(TypeError, match="no option is called 'yields'"):
        autoif.run(recorded=True, output=tmp_path / "run", yields="paper")
    with pytest.raises(TypeError, match="no option is called 'retry'"):
        autoif.plan(retry=True)
    with pytest.raises(autoif.ConfigError, match="until is 'instruction': Input should be 'instructions' or 'queries'"):
        autoif.run(recorded=True, output=tmp_path / "run", until="instruction")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        {"recorded": "false"}, {"retry_refused": "no"}, {"resume_with_changes": 1}, {"progress": "off"},
        {"workers": True}, {"workers": "2"}, {"recordings": 3}, {"recordings": [3]}, {"answers": {"a": 1}},
        {"instructions": b"runs/first"}, {"output": 3}, {"output": b"runs/first"}, {"shards": 3}, {"until": 3},
        {"tokens_per_second": "fast"}, {"tokens_per_second": True}, {"tokens_per_second": -1}, {"config": None},
        {"config": {"preset": "paper"}}, {"config": b"paper"},
    ],
    ids=repr,
)  # fmt: skip
def test_an_option_of_another_type_is_refused_by_name(options):
    (name,) = options
    with pytest.raises(autoif.ConfigError, match=f"^{name} is .*: [^\n]*$"):
        autoif.plan(**options)


def test_a_path_may_be_whatever_names_one(tmp_path, monkeypatch):
    (tmp_path / "seeds.txt").write_text("Use no commas.\n")
    (entry,) = os.scandir(tmp_path)
    monkeypatch.chdir(tmp_path)  # after `make demo` there is a run where this one would go
    assert autoif.plan(seeds=entry, output=entry) == autoif.plan(seeds=str(tmp_path / "seeds.txt"))


@pytest.mark.parametrize("option", ["base_url", "model", "output", "set", *sorted(PlanOptions.__optional_keys__)])
def test_an_option_that_is_none_has_its_default(option):
    assert autoif.plan(**{option: None}) == autoif.plan()


@pytest.mark.parametrize("option", ["recordings", "answers"])
def test_one_recording_needs_no_list(option, tmp_path):
    with pytest.raises(autoif.AutoIFError, match=r"answers\.xz"):
        autoif.run(output=tmp_path / "run", progress=False, set="execution.workers=1", **{option: "answers.xz"})


def test_a_first_try_at_a_server_that_is_down_binds_the_folder_to_nothing(server, tmp_path):
    down = {"base_url": "http://127.0.0.1:9/v1", "model": "another", "set": {"seed": 7}}
    with pytest.raises(autoif.ModelError):
        autoif.run(output=tmp_path / "run", progress=False, until="instructions", **down)
    made = autoif.run(output=tmp_path / "run", base_url=server.url, model="m", until="instructions", progress=False)
    assert len(made.instructions) > 0
    with pytest.raises(autoif.StoreError, match="made with other settings"):
        autoif.run(output=tmp_path / "run", progress=False, until="instructions", **down)


def test_a_data_file_that_was_edited_by_hand_is_kept_with_a_word(recorded, tmp_path):
    copied = Path(shutil.copytree(recorded.path, tmp_path / "run"))
    (copied / "sft.jsonl").write_text("mine\n")
    made = autoif.run(output=tmp_path / "run", recorded=True, progress=False)
    assert list(made.sft) == list(recorded.sft)
    assert (tmp_path / "run" / "sft.jsonl.edited1").read_text() == "mine\n"
    assert any("sft.jsonl had been changed by hand" in line for line in describe_ending(tmp_path / "run").lines)


def test_prices_concurrency_and_time_limits_are_no_part_of_a_runs_identity(server, tmp_path):
    common = {"output": tmp_path / "run", "base_url": server.url, "model": "m", "until": "instructions"}
    made = autoif.run(**common, progress=False)
    layout = {
        "models.all.usd_per_million_prompt_tokens": 2.5, "models.all.concurrency": 3, "models.all.timeout_s": 99,
        "models.all.retries": 1, "budget.tokens": 10_000_000,
    }  # fmt: skip
    again = autoif.run(**common, progress=False, set=layout)
    assert list(again.instructions) == list(made.instructions)


def test_every_auto_is_settled_and_kept(server, tmp_path, monkeypatch):
    common = {"output": tmp_path / "run", "base_url": server.url, "model": "m", "until": "instructions"}
    monkeypatch.setattr("autoif.models.nli.find_spec", lambda name: None)
    made = autoif.run(**common, progress=False, set={"back_translation.nli": "auto"})
    assert made.manifest["identity"]["back_translation.nli"] == "chat"
    assert made.manifest["identity"]["sandbox.backend"] == "cpython"
    monkeypatch.undo()  # the classifier's packages are there now
    again = autoif.run(**common, progress=False, set={"back_translation.nli": "auto"})
    assert again.manifest["identity"]["back_translation.nli"] == "chat"


def test_the_completions_say_how_much_was_estimated(recorded):
    with CompletionCache(recorded.path / "completions.sqlite") as cache:
        assert cache.total().estimated == 0


def test_importing_autoif_runs_nothing_and_loads_no_extra():
    extras = {"torch", "datasets", "ray", "xllamacpp", "openvino", "IPython"}
    code = f"import sys, autoif; print(sorted({extras} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_of_the_package_is_there_when_it_is_asked_for():
    assert autoif.__all__ == sorted(autoif._PLACES)
    assert all(getattr(autoif, name).__name__ == name for name in autoif.__all__)
    assert {*autoif.__all__, "__version__"} <= set(dir(autoif))
    assert len(dir(autoif)) == len(set(dir(autoif)))
    with pytest.raises(AttributeError, match="'autoif' has no attribute 'Sandbocks'"):
        autoif.Sandbocks  # noqa: B018


def test_a_damaged_data_set_is_named_instead_of_what_datasets_raises(recorded, tmp_path):
    (tmp_path / "sft.jsonl").write_bytes((recorded.path / "sft.jsonl").read_bytes()[:20_000])
    with pytest.raises(autoif.StoreError, match=r"sft\.jsonl is no data set"):
        autoif.Rows(tmp_path / "sft.jsonl").to_dataset()


def test_texts_that_read_as_times_are_texts_in_a_data_set_too(tmp_path):
    rows = [{"query": day, "chosen": [{"role": "assistant", "content": day}]} for day in ("2024-01-01", "2024-01-02")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert autoif.Rows(tmp_path / "rows.jsonl").to_dataset().to_list() == rows


def test_a_cache_of_datasets_that_cannot_be_written_is_named(recorded, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "file" / "cache")
    with pytest.raises(autoif.StoreError, match=r"can't keep its cache \(.*file/cache.*\): set HF_HOME to a folder"):
        recorded.sft.to_dataset()


def test_blank_lines_of_an_editor_are_no_rows(recorded, tmp_path):
    copied = Path(shutil.copytree(recorded.path, tmp_path / "run"))
    rows = (copied / "sft.jsonl").read_text().splitlines()
    (copied / "sft.jsonl").write_text("\n" + "\n \n".join(rows) + "\n\n")
    edited = autoif.load_run(copied).sft
    assert [*edited] == [*recorded.sft]
    assert (len(edited), edited[-1]) == (len(rows), recorded.sft[-1])


def test_a_folder_of_another_version_that_is_refused_stays_as_it_is(recorded, tmp_path):
    run = shutil.copytree(recorded.path, tmp_path / "run")
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**manifest, "format": 1}))
    before = {path: path.read_bytes() for path in run.rglob("*.jsonl")}
    with pytest.raises(autoif.StoreError, match="made with other settings"):
        autoif.run("quickstart", output=run, recorded=True, progress=False, set={"scoring.samples": 2})
    assert {path: path.read_bytes() for path in run.rglob("*.jsonl")} == before


def test_a_run_that_another_version_began_says_so(recorded, tmp_path):
    run = shutil.copytree(recorded.path, tmp_path / "run")
    manifest = json.loads((run / "run.json").read_text())
    assert not any("made results" in note for note in manifest["notes"])
    (run / "run.json").write_text(json.dumps({**manifest, "autoif": "0.0.7"}))
    gone_on = autoif.run("quickstart", output=run, recorded=True, progress=False)
    told = f"autoif 0.0.7 made results of this run before {manifest['autoif']} went on with it"
    assert gone_on.manifest["notes"].count(told) == 1


@pytest.mark.parametrize(
    "record",
    [
        {"runtime": "foo"},
        {"runtime": ["openvino"]},
        {"identity": {"sandbox.backend": "cpython", "back_translation.nli": 5}},
    ],
    ids=repr,
)
def test_what_a_run_folder_recorded_of_an_auto_is_read_as_the_setting_is(record):
    with pytest.raises(StoreError, match=r"run\.json says (runtime|nli) = .*: correct it there, or choose "):
        manifest.settle(Config(), record)
