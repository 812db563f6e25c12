"""Sweeps: figures from stored verdicts are those of runs that were made with the settings."""

import asyncio
import hashlib
import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from autoif.config import Config, flatten, load_config
from autoif.decisions import Decision, add_decisions
from autoif.errors import ConfigError, StoreError
from autoif.figures.plots import plot_sweep
from autoif.page.charts import draw_panel
from autoif.page.sweeps import show_sweeps
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import FOLDERS
from autoif.sandbox import SandboxSettings
from autoif.sweep.applying import apply_sweep
from autoif.sweep.panels import arrange_sweep
from autoif.sweep.points import Precision, Sweep, SweepPoint, sweep_run, sweep_usual
from autoif.sweep.settings import SWEEPABLE, make_points
from support.command import autoif_here, fails_here
from support.habit_runs import Ended, Runner
from support.habit_server import Asked, HabitServer, honest
from support.processes import stages_of

PAGE = (Path(__file__).parent.parent / "docs" / "planning.md").read_text(encoding="utf-8")
AGREEMENT = "cross_validation.function_agreement"
MORE = (
    *("--set", "verification.functions_per_instruction=3", "--set", "verification.max_functions=0"),
    *("--set", "cross_validation.choose_by=cases", "--set", "cross_validation.min_score=0"),
    *("--set", "cross_validation.majority=>=0.6", "--set", "back_translation.nli=chat"),
    *("--set", "execution.shard_size=2"),
)
FUNCTIONS = ("len(response) > 3", "len(response) >= 4", "len(response) > 20")
"""All agree with three of the four cases, the last one with no more."""
CASES = (("The lamp burns all night.", True), ("a", False), ("Ships pass by in the fog.", True), ("Fog comes.", True))
ANSWERS = ("The keeper trims the lamp and writes it down.", "It shines.", "No", "The lamp is lit.")
DATA = ("instructions.jsonl", "queries.jsonl", "sft.jsonl", "preferences.jsonl", "rewards.jsonl")


def steady(asked: Asked) -> dict[str, Any]:
    """Answer by what is asked and the number of the sample, whatever the seed: another seed, the same answers."""
    answer = honest(asked)
    first = asked.body.get("seed", 0) if asked.body.get("n", 1) == 1 else 0
    for choice in answer["choices"]:
        at = first + choice["index"]
        if asked.stage == "verification":
            source = f"def evaluate(response):\n    return {FUNCTIONS[at % 3]}"
            cases = [{"input": text, "output": output} for text, output in CASES]
            choice["message"]["content"] = json.dumps({"func": source, "cases": cases})
        elif asked.stage == "responses":
            text = ANSWERS[at % 4]
            choice["message"]["content"] = text if "letters" in asked.about else "No" if at % 2 else "Yes."
        elif asked.stage == "scoring":
            low = "It shines." in asked.about
            choice["message"]["content"] = json.dumps({"analysis": "So.", "score": 6 if low else 9})
    return answer


@pytest.fixture(scope="module")
def server() -> Iterator[HabitServer]:
    with HabitServer() as server:
        yield server


@pytest.fixture(scope="module")
def made(server: HabitServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that makes a run with settings, each once; its folder must be left as it is."""
    found: dict[tuple[str, ...], Ended] = {}

    def make(*settings: str, preset: str = "quickstart", until: str = "queries") -> Path:
        key = (preset, until, *settings)
        if key not in found:
            runner = Runner(server, tmp_path_factory.mktemp("run"), preset)
            options = [part for setting in settings for part in ("--set", setting)]
            found[key] = runner(steady, *MORE, "--until", until, *options)
            assert found[key].code == 0 or "no data" in found[key].output, found[key].output
        return found[key].folder

    return make


def read_data(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in DATA}


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def digest_folder(run: Path) -> dict[str, str]:
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    "settings",
    [
        {AGREEMENT: ">= 0.8"},
        {"rejection_sampling.pass_rate": ">= 1"},
        {"scoring.mean": "> 8"},
        {"scoring.mean": ">= 5", "sft.rows_per_prompt": 1, "preferences.negatives_per_prompt": 1},
        {"cross_validation.case_agreement": ">= 1", "sft.strict": True, "preferences.strict": True},
        {"rewards.reliability": True, "rewards.balanced": True, "deduplication.behaviour": True},
        {"cross_validation.two_sided": True, "cross_validation.min_score": 0.1},
    ],
    ids=" ".join,
)
def test_a_point_is_what_a_run_with_its_settings_makes(made: Any, tmp_path: Path, settings: dict[str, Any]) -> None:
    run = made("scoring.mean=>=6")
    real = made("scoring.mean=>=6", *(f"{key}={json.dumps(value)}" for key, value in settings.items()))
    sweeps = [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in settings.items()]
    apply_sweep(run, sweeps, tmp_path / "applied")
    assert stages_of(tmp_path / "applied") == stages_of(real)
    assert read_data(tmp_path / "applied") == read_data(real)
    [point] = sweep_run(run, sweeps).points
    assert [point.sft, point.preferences, point.rewards, point.instructions] == [
        len(read_rows(real / f"{name}.jsonl")) for name in ("sft", "preferences", "rewards", "instructions")
    ]
    assert not point.unasked


def test_a_point_of_a_run_with_contrast_and_early_stop_is_what_a_run_makes(made: Any, tmp_path: Path) -> None:
    run, real = made(preset="recommended"), made("contrast.lift=>=0.9", preset="recommended")
    apply_sweep(run, ["contrast.lift=>=0.9"], tmp_path / "applied")
    assert stages_of(tmp_path / "applied") == stages_of(real)
    assert read_data(tmp_path / "applied") == read_data(real)


def test_a_point_of_a_run_whose_answers_voted_is_what_a_run_makes(made: Any, tmp_path: Path) -> None:
    run = made("cross_validation.choose_by=majority")
    real = made("cross_validation.choose_by=majority", "cross_validation.majority=>=0.9")
    apply_sweep(run, ["cross_validation.majority=>=0.9"], tmp_path / "applied")
    assert stages_of(tmp_path / "applied") == stages_of(real)
    assert read_data(tmp_path / "applied") == read_data(real)
    idle = sweep_run(run, [f"{AGREEMENT}=0.5"])
    assert f"{AGREEMENT}: decides nothing here, as this run chose its functions by majority" in idle.notes


def test_a_run_without_responses_is_swept_for_its_instructions(made: Any) -> None:
    swept = sweep_run(made(until="instructions"), [f"{AGREEMENT}=0.5:1.0:0.25"])
    assert not swept.sampled
    assert [point.functions for point in swept.points] == [6, 4, 4]
    with pytest.raises(ConfigError, match="no responses yet"):
        sweep_run(made(until="instructions"), ["scoring.mean=9"])


def test_the_run_s_own_settings_give_its_own_figures_and_no_file_of_it_changes(made: Any) -> None:
    run = made()
    before = digest_folder(run)
    swept = sweep_run(run, [f"{AGREEMENT}=0.5:1.0:0.1", "scoring.mean=8,9"])
    assert digest_folder(run) == before
    assert len(swept.points) == 12
    assert (swept.own.sft, swept.own.preferences) == tuple(
        len(read_rows(run / f"{name}.jsonl")) for name in ("sft", "preferences")
    )
    assert swept.points[0].model_copy(update={"settings": {}}) == swept.own
    assert any("audit" in note for note in swept.notes)


def test_what_was_never_asked_for_is_counted_and_left_out(made: Any, tmp_path: Path) -> None:
    run = made(f"{AGREEMENT}=>=0.8", "rejection_sampling.pass_rate=>=1")
    swept = sweep_run(run, [f"{AGREEMENT}=0.5"])
    [point] = swept.points
    # Each of the two instructions keeps one function more, of which neither description nor label was asked for.
    assert (point.unasked, point.unknown_instructions, point.sft) == ({"back_translation": 4}, 2, 0)
    assert any("never asked for" in note for note in swept.notes)
    notes = apply_sweep(run, [f"{AGREEMENT}=0.5"], tmp_path / "applied")
    assert "at most 4 answers that these settings need were never asked for" in notes
    reasons = [row["reason"] for row in read_rows(tmp_path / "applied/04_back_translation/dropped-0000.jsonl")]
    assert reasons == ["never_asked"] * 2


def test_scores_that_were_never_asked_for_are_counted(made: Any) -> None:
    run = made("rejection_sampling.pass_rate=>=1", "rejection_sampling.stop_after_prompts=0")
    strict, looser = sweep_run(run, ["rejection_sampling.pass_rate=1,>0.5"]).points
    assert (strict.unasked, strict.unknown_responses) == ({}, 0)
    # Two answers each to two prompts, and one each to two others, pass two of three functions alone.
    assert (looser.unasked, looser.unknown_responses) == ({"scoring": 6}, 6)
    assert looser.sft == strict.sft


def test_responses_that_were_never_asked_for_are_counted(made: Any) -> None:
    run = made(
        "back_translation.dropped_contradictions=>=0.1", "cross_validation.min_functions=4", until="instructions"
    )
    assert sweep_run(run, ["cross_validation.min_functions=1"]).points[0].unasked == {
        "back_translation": 12,
        "rejection_sampling": 16,
    }


def test_a_sweep_is_the_same_inside_a_running_event_loop(made: Any) -> None:
    async def sweep() -> Sweep:
        return sweep_run(run, [f"{AGREEMENT}=0.8"])

    run = made()
    assert asyncio.run(sweep()) == sweep_run(run, [f"{AGREEMENT}=0.8"])


def test_instructions_with_other_functions_are_named_as_they_would_get_other_responses(made: Any) -> None:
    swept = sweep_run(made(), [f"{AGREEMENT}=0.8"])
    assert swept.points[0].changed == 2
    assert any("other responses" in note for note in swept.notes)


def test_precision_and_score_are_those_of_the_functions_that_are_left(made: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(made(), run)
    verified = read_rows(run / "instructions.jsonl")
    (run / "audit.json").write_text(json.dumps(make_audit(verified)))
    swept = sweep_run(run, [f"{AGREEMENT}=0.5,0.8"])
    loose, strict = swept.points
    assert loose.precision and strict.precision
    # The two that agree with all cases accept 9 that follow and 1 that doesn't; the third accepts 0 and 10.
    assert (round(loose.precision.value, 1), strict.precision.value, strict.precision.instructions) == (60.0, 90.0, 2)
    assert (loose.score, strict.score) == (pytest.approx(0.6667, abs=1e-3), 0.9)
    shown = "".join(text for part in show_sweeps(run, 1, "complete") for text in part.itertext())
    assert "right functions, %" in shown
    assert f"{loose.precision.describe()}" in shown
    (run / "audit.json").write_text(json.dumps(make_audit(verified)).replace(": 0.9", ': "high"'))
    with pytest.raises(StoreError, match="another version"):
        sweep_run(run, [f"{AGREEMENT}=0.5"])
    (run / "audit.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        sweep_run(run, [f"{AGREEMENT}=0.5"])


def test_a_file_and_a_page_show_the_same_values_intervals_and_titles_of_a_sweep(tmp_path: Path) -> None:
    counts = {"functions": 4, "accepted": 9, "rewards": 1, "unasked": {}, "unknown_instructions": 0}
    own = SweepPoint(
        settings={}, instructions=20, sft=12_345, preferences=7, unknown_responses=0, changed=0, **counts,
        precision=Precision(value=100 / 3, low=10, high=60, instructions=2),
    )  # fmt: skip
    tighter = {"instructions": 10, "sft": 11_000, "preferences": 6, "precision": None}
    points = [own.model_copy(update={"settings": {"scoring.mean": name}, **change}) for name, change in [
        (">= 8", {}), (">= 9", tighter),
    ]]  # fmt: skip
    swept = Sweep(
        run="run", status="complete", keys=("scoring.mean",), sampled=True, own=own, points=tuple(points), notes=()
    )
    plot_sweep(swept, tmp_path / "sweep.svg")
    figure = ET.fromstring((tmp_path / "sweep.svg").read_text("utf-8"))
    page = [draw_panel(panel) for panel in arrange_sweep(swept)]
    in_file = [text.text for text in figure.iter("{http://www.w3.org/2000/svg}text")]
    for panel in page:
        said = [*panel.itertext()]
        assert {*said} <= {*in_file}
    assert [panel.findtext("figcaption") for panel in page] == [
        "instructions", "SFT rows", "preference pairs", "right functions, %",
    ]  # fmt: skip
    assert "12,345" in in_file
    assert [len(panel.findall("svg/circle")) for panel in page] == [2, 2, 2, 1]
    assert [len(panel.findall("svg/line")) for panel in page] == [2, 2, 2, 3]


def make_audit(verified: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what audit.json says of the functions, of which the third of each instruction is wrong."""
    wrong = "len(response) > 20"
    rates, scores = [], []
    for each in verified:
        name = each["instruction"]["id"]
        functions = [
            {
                "id": function["id"],
                "cross_validated": True,
                "back_translated": True,
                "counts": {"true_positives": 0, "false_positives": 10}
                if wrong in function["source"]
                else {"true_positives": 9, "false_positives": 1},
            }
            for function in each["matrix"]["functions"]
        ]
        rates.append(
            {
                "instruction_id": name, "instruction": each["instruction"]["text"], "dropped": "", "group": "responses",
                "followed": 9, "not_followed": 10, "functions": functions, "majority": None,
            }
        )  # fmt: skip
        found = [
            {"function_id": one["id"], "score": 0.2 if wrong in one["source"] else 0.9}
            for one in each["matrix"]["functions"]
        ]
        scores.append({"instruction_id": name, "functions": found})
    return {"gold": {"instructions": rates}, "scores": {"instructions": scores}}


def test_the_command_prints_a_table_and_writes_json_and_a_figure(
    made: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--sweep", f"{AGREEMENT}=0.5:1.0:0.25", "-o", tmp_path / "s.json", "--plot", tmp_path / "s.svg")
    autoif_here("replay", made(), *arguments)
    table = capsys.readouterr().out
    assert re.search(r"as run +2 +6", table)
    assert re.search(r">= 1 +2 +4", table)
    written = Sweep.model_validate_json((tmp_path / "s.json").read_text())
    assert [point.settings[AGREEMENT] for point in written.points] == ["> 0.5", "> 0.75", ">= 1"]
    assert "function_agreement" in (tmp_path / "s.svg").read_text()


def test_apply_makes_a_run_that_others_read_and_overwrites_nothing(
    made: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "applied"
    autoif_here("replay", made(), "--sweep", "scoring.mean=9", "--apply", folder)
    autoif_here("show", folder)
    assert "07_scoring" in capsys.readouterr().out
    manifest = json.loads((folder / "run.json").read_text())
    assert (manifest["config"]["scoring"]["mean"], manifest["status"]) == (">= 9", "complete")
    assert manifest["identity"]["inputs.queries"]
    with RunFolder(folder) as again:
        assert all(again.has(name) for name in DATA)
    before = digest_folder(folder)
    said = fails_here("replay", made(), "--sweep", "scoring.mean=8", "--apply", folder)
    assert "there already" in said
    assert digest_folder(folder) == before
    said = fails_here("replay", made(), "--sweep", "scoring.mean=8,9", "--apply", tmp_path / "two")
    assert "one value of each" in said
    assert not (tmp_path / "two").exists()


def test_a_sweep_and_its_data_honour_decisions(made: Any, tmp_path: Path) -> None:
    run, applied = tmp_path / "run", tmp_path / "applied"
    shutil.copytree(made(), run)
    rejected = read_rows(run / "instructions.jsonl")[0]["instruction"]["id"]
    low = read_rows(run / "07_scoring" / "dropped-0000.jsonl")[0]["record"]["id"]
    said = {"author": "ada", "time": datetime(2026, 1, 1, tzinfo=UTC)}
    add_decisions(run, [Decision(target="instruction", id=rejected, decision="reject", **said)])
    add_decisions(run, [Decision(target="response", id=low, decision="accept", **said)])
    autoif_here("decisions", run, "--apply")
    swept = sweep_run(run, [f"{AGREEMENT}=0.5"])
    assert swept.own.sft == len(read_rows(run / "sft.jsonl")) != sweep_run(made(), [f"{AGREEMENT}=0.5"]).own.sft
    apply_sweep(run, [f"{AGREEMENT}=0.5"], applied)
    for name in (*DATA, "reviewed.jsonl", "decisions.jsonl"):
        assert (applied / name).read_text() == (run / name).read_text()


def test_a_run_into_what_a_replay_made_is_refused_and_changes_nothing(made: Any, tmp_path: Path) -> None:
    folder = tmp_path / "applied"
    apply_sweep(made(), ["scoring.mean=9"], folder)
    before = digest_folder(folder)
    said = fails_here("run", "quickstart", "--recorded", "-o", folder)
    assert "choose another --output" in said
    assert digest_folder(folder) == before


def test_a_report_gets_a_sweep_of_each_usual_threshold_that_runs_no_function_on_other_texts(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose = "preferences.strict=false"
    runs = [made(loose), made("cross_validation.choose_by=majority", loose), made(loose, preset="recommended")]
    monkeypatch.setattr(SandboxSettings, "make_sandbox", None)
    plain, voted, contrasted = map(sweep_usual, runs)
    assert [sweep.keys[0] for sweep in plain.sweeps] == [AGREEMENT, "rejection_sampling.pass_rate", "scoring.mean"]
    assert plain.left_out == ()
    assert [sweep.keys[0] for sweep in voted.sweeps] == ["rejection_sampling.pass_rate", "scoring.mean"]
    assert voted.left_out == ("cross_validation.majority=0.5:1:0.1",)
    assert "contrast.lift=0:0.5:0.1" in contrasted.left_out or contrasted.sweeps[0].keys == ("contrast.lift",)


@pytest.mark.parametrize(
    ("sweep", "values"),
    [
        (f"{AGREEMENT}=0.5:1.0:0.1", ["> 0.5", "> 0.6", "> 0.7", "> 0.8", "> 0.9", ">= 1"]),
        (f"{AGREEMENT}=>=0.5:1.0:0.25", [">= 0.5", ">= 0.75", ">= 1"]),
        (f"{AGREEMENT}=1:0.5:-0.25", [">= 1", "> 0.75", "> 0.5"]),
        (f"{AGREEMENT}=0.5,0.5,.5", ["> 0.5"]),
        ("scoring.mean=8:10:1", [">= 8", ">= 9", ">= 10"]),
        ("scoring.mean=> 8, >= 8,= 10", ["> 8", ">= 8", "= 10"]),
        ("sft.rows_per_prompt=0:4:2", [0, 2, 4]),
        ("sft.strict=false,true", [False, True]),
        ("cross_validation.min_score=0:0.9:0.45", [0, 0.45, 0.9]),
        ("back_translation.dropped_by_chat=0.5,null", ["> 0.5", None]),
        ("preferences.negative=0:0.2:0.1", ["= 0", "= 0.1", "= 0.2"]),
    ],
)
def test_ranges_and_lists_are_read(sweep: str, values: list[object]) -> None:
    assert [next(iter(point.values())) for point in make_points(Config(), [sweep])] == values


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ("scoring.mean", "is no sweep"),
        ("scoring.mean=", "is no sweep"),
        ("=5", "is no sweep"),
        ("scoring.mean=5:9", "is no range"),
        ("scoring.mean=5:9:0", "never ends"),
        ("scoring.mean=9:5:1", "never ends"),
        ("scoring.mean=5:x:1", "is no range"),
        ("scoring.mean=0:10:1e-9", "take larger steps"),
        ("scoring.mean=0:1e999:1", "is no number"),
        ("scoring.mean=nan", "is no threshold"),
        ("scoring.mean=-1", "is no threshold"),
        ("scoring.mean=8,,9", "is no threshold"),
        ("sft.strict=perhaps", "valid boolean"),
        ("sft.rows_per_prompt=0.5", "valid integer"),
        ("preferences.positives_per_prompt=0", "greater than or equal to 1"),
        ("verification.temperature=0.5", "can't be swept"),
        ("models.writer.model=a,b", "can't be swept"),
        ("execution.workers=1,2", "can't be swept"),
        ("scoring.means=1", "unknown setting"),
        ("scoring=1", "unknown setting"),
        ("contrast.lift=0.1", "without contrast.enabled"),
    ],
)
def test_what_cannot_be_swept_is_refused_in_one_line(sweep: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        make_points(Config(), [sweep])
    assert "\n" not in str(refused.value)


def test_a_setting_that_is_swept_twice_and_too_large_a_grid_are_refused() -> None:
    with pytest.raises(ConfigError, match="swept twice"):
        make_points(Config(), ["scoring.mean=8", "scoring.mean=9"])
    with pytest.raises(ConfigError, match="3,000 points"):
        make_points(Config(), [f"{AGREEMENT}=0.001:1:0.001", "sft.rows_per_prompt=0,1,2"])
    with pytest.raises(ConfigError, match="no say"):
        make_points(load_config("recommended"), [f"{AGREEMENT}=0.5"])


def test_a_folder_that_is_no_run_or_has_nothing_is_refused_in_one_line(made: Any, tmp_path: Path) -> None:
    assert "no run folder" in fails_here("replay", tmp_path, "--sweep", "scoring.mean=9")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun/run.json").write_text((made() / "run.json").read_text())
    assert "no finished shard" in fails_here("replay", tmp_path / "begun", "--sweep", "scoring.mean=9")
    shutil.copytree(made(), tmp_path / "cut")
    with (tmp_path / "cut" / FOLDERS[-1] / "kept-0000.jsonl").open("a") as file:
        file.write("{}\n")
    assert "changed after it was written" in fails_here("replay", tmp_path / "cut", "--sweep", "scoring.mean=9")


def test_a_run_that_began_with_verified_instructions_is_swept_for_its_rows(made: Any, server: HabitServer) -> None:
    first = made()
    folder = first.parent / "second"
    folder.mkdir(exist_ok=True)
    ended = Runner(server, folder)(steady, *MORE, "--instructions", str(first))
    assert ended.code == 0, ended.output
    swept = sweep_run(ended.folder, ["rejection_sampling.pass_rate=0.5,1"])
    assert swept.own.sft == swept.points[0].sft == len(ended.rows()) > swept.points[1].sft
    with pytest.raises(ConfigError, match="another run had verified"):
        sweep_run(ended.folder, [f"{AGREEMENT}=0.8"])


def test_the_page_lists_what_can_be_swept_with_what_is_judged_again() -> None:
    listed = dict(re.findall(r"^\| `(\w+\.\w+)` \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert listed == dict(SWEEPABLE)
    assert listed.keys() <= dict(flatten(Config().model_dump(mode="json"))).keys()
