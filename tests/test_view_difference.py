"""What differs between two runs."""

import json
from pathlib import Path

import pytest

import autoif
from autoif.errors import StoreError
from autoif.runs.store import DIGESTS, INSTRUCTIONS
from autoif.view.difference import RunItem, RunSide, compare_runs, read_side
from autoif.view.pages import make_difference_page

KEPT, LOST = "kept", "03_cross_validation: no case agreed"


def seen(**outcomes: str) -> dict[str, RunItem]:
    return {name: RunItem((name,), outcome) for name, outcome in outcomes.items()}


def test_settings_that_differ_are_named_and_one_that_is_missing_is_none() -> None:
    found = compare_runs(RunSide("a", seen(x="None", seed="1", same="[1]")), RunSide("b", seen(seed="2", same="[1]")))
    assert found.settings == [(("seed",), "1", "2"), (("x",), "None", None)]


def test_stages_stand_beside_each_other_and_one_that_is_missing_is_none() -> None:
    funnels = seen(first="3 kept"), seen(first="3 kept", review="1 kept")
    found = compare_runs(*(RunSide("run", funnel=each) for each in funnels))
    assert found.stages == [(("first",), "3 kept", "3 kept"), (("review",), None, "1 kept")]


def test_instructions_of_one_run_only_are_told_from_those_with_another_outcome() -> None:
    found = compare_runs(
        RunSide("a", instructions=seen(sing=KEPT, dance=KEPT, rest=KEPT)),
        RunSide("b", instructions=seen(dance=LOST, rest=KEPT, leave=LOST)),
    )
    assert found.only_first == [(("sing",), KEPT, None)]
    assert found.only_second == [(("leave",), None, LOST)]
    assert found.outcomes == [(("dance",), KEPT, LOST)]


def test_verdicts_of_the_same_function_on_the_same_text_are_compared_and_the_page_shows_the_first() -> None:
    said = {("f", str(number)): RunItem(("sing", "f", f"text {number}."), "pass") for number in range(300)}
    other = {key: each._replace(outcome="fail") for key, each in list(said.items())[:250]}
    found = compare_runs(RunSide("a", verdicts=said), RunSide("b", verdicts={**other, ("g", "0"): said["f", "0"]}))
    assert (len(found.verdicts.changed), found.verdicts.compared) == (250, 250)
    assert found.verdicts.changed[0] == (("sing", "f", "text 0."), "pass", "fail")
    page = make_difference_page(found)
    assert "Verdicts that differ: 250, the first 200 are shown" in page
    assert "text 199." in page
    assert "text 200." not in page


def test_a_run_differs_in_nothing_from_itself_and_from_another_in_its_settings(replayed: Path, tmp_path: Path) -> None:
    runs = [replayed, tmp_path / "two"]
    autoif.run("quickstart", recorded=True, output=runs[1], progress=False, set={"scoring.mean": ">= 1"})
    first, second = map(read_side, runs)
    same = compare_runs(first, first)
    assert not (same.settings or same.only_first or same.only_second or same.outcomes or same.verdicts.changed)
    assert same.verdicts.compared > 100
    found = compare_runs(first, second)
    assert [each.shown for each in found.settings] == [("scoring.mean",)]
    assert not found.verdicts.changed


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
