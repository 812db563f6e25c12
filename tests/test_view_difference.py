"""What differs between two runs."""

import json
from pathlib import Path

import pytest

import autoif
from autoif.errors import StoreError
from autoif.runs.store import DIGESTS, INSTRUCTIONS
from autoif.view.difference import RunSide, SeenInstruction, SeenVerdict, compare_runs, read_side

KEPT = SeenInstruction("Use tea.", "kept")
LOST = SeenInstruction("Use tea.", "03_cross_validation: no case agreed")


def test_settings_that_differ_are_named_and_one_that_is_missing_is_none() -> None:
    found = compare_runs(RunSide("a", {"seed": 1, "x": None, "same": [1]}), RunSide("b", {"seed": 2, "same": [1]}))
    assert [(each.key, each.first, each.second) for each in found.settings] == [("seed", "1", "2"), ("x", "None", None)]


def test_stages_stand_beside_each_other_and_one_that_is_missing_is_none() -> None:
    found = compare_runs(RunSide("a", funnel={"01": (3, 1)}), RunSide("b", funnel={"01": (2, 2), "review": (1, 0)}))
    assert [(each.stage, each.first, each.second) for each in found.stages] == [
        ("01", (3, 1), (2, 2)),
        ("review", None, (1, 0)),
    ]


def test_instructions_of_one_run_only_are_told_from_those_with_another_outcome() -> None:
    found = compare_runs(
        RunSide("a", instructions={"1": KEPT, "2": KEPT, "3": KEPT}),
        RunSide("b", instructions={"2": LOST, "3": KEPT, "4": LOST}),
    )
    assert [each.id for each in found.only_first] == ["1"]
    assert [(each.id, each.first, each.second) for each in found.only_second] == [("4", None, LOST.outcome)]
    assert [(each.id, each.first, each.second) for each in found.outcomes] == [("2", "kept", LOST.outcome)]


def test_verdicts_of_the_same_function_on_the_same_text_are_compared_and_long_lists_cut() -> None:
    said = {("f", str(number)): SeenVerdict("i", f"t{number}", "pass") for number in range(9)}
    other = {key: SeenVerdict("i", each.text, "fail") for key, each in list(said.items())[:5]}
    found = compare_runs(
        RunSide("a", verdicts=said), RunSide("b", verdicts=other | {("g", "0"): said["f", "0"]}), most=2
    )
    assert [(each.function_id, each.text, each.first, each.second) for each in found.verdicts] == [
        ("f", "t0", "pass", "fail"),
        ("f", "t1", "pass", "fail"),
    ]
    assert (found.verdicts_changed, found.verdicts_compared) == (5, 5)


def test_a_run_differs_in_nothing_from_itself_and_from_another_in_its_settings(replayed: Path, tmp_path: Path) -> None:
    runs = [replayed, tmp_path / "two"]
    autoif.run("quickstart", recorded=True, output=runs[1], progress=False, set={"scoring.mean": ">= 1"})
    first, second = map(read_side, runs)
    same = compare_runs(first, first)
    assert not (same.settings or same.only_first or same.only_second or same.outcomes or same.verdicts_changed)
    assert same.verdicts_compared > 100
    found = compare_runs(first, second)
    assert [each.key for each in found.settings] == ["scoring.mean"]
    assert not found.verdicts_changed


def test_a_folder_that_is_no_run_or_holds_something_else_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no run folder"):
        read_side(tmp_path)
    manifest = {"format": 2, "identity": {}, "config": {}}
    (tmp_path / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    (tmp_path / "02_verification").mkdir()
    (tmp_path / "02_verification" / "kept-0000.jsonl").write_text('{"instruction": 1}\n', encoding="utf-8")
    with pytest.raises(StoreError, match="holds a record of another form"):
        read_side(tmp_path)
    assert not (tmp_path / DIGESTS).exists()
    assert not (tmp_path / INSTRUCTIONS).exists()
