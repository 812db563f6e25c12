"""`autoif audit --gold`: rates of functions, what they mean for data, and gold that can't be used."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoif.audit.gold import Gold, GoldRow, read_gold
from autoif.audit.material import read_material
from autoif.audit.rates import InstructionRates, Level, VerdictCounts, count_verdicts, rate_instruction, sum_up
from autoif.audit.run import Audit, describe_timeouts
from autoif.decisions import Decision, add_decisions
from autoif.reading.lines import make_key
from autoif.records import Verdict
from autoif.runs.store import AUDIT, BACK_TRANSLATION, read_stage
from support.audited_run import TEA, WORD, write_run
from support.command import autoif_here, fails_here
from support.training_data import write_rows

LABELS = {"hot tea": True, "teapot": False, "coffee": False, "Tea!": True, "mate": False}


def row(response: str, followed: bool, instruction: str = TEA, **more: object) -> dict:
    return {"instruction": instruction, "response": response, "followed": followed, **more}


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "gold.jsonl", *(row(text, followed) for text, followed in LABELS.items()))


def audit(run: Path, *options: object) -> Audit:
    autoif_here("audit", run, *options)
    return Audit.model_validate_json((run / AUDIT).read_bytes())


def test_rates_are_those_of_the_functions_as_written_after_each_filter_and_together(tmp_path, gold):
    found = audit(write_run(tmp_path / "run"), "--gold", gold)
    assert found.gold
    levels = {each.level: each for each in found.gold.levels}
    # "tea" and "te" accept "hot tea" and "teapot", "te" also "mate"; the third function refuses all.
    assert levels[Level.WRITTEN].pooled == VerdictCounts(
        true_positives=2, false_positives=3, true_negatives=6, false_negatives=4
    )
    assert levels[Level.CROSS_VALIDATED].pooled == VerdictCounts(
        true_positives=2, false_positives=3, true_negatives=3, false_negatives=2
    )
    assert levels[Level.MAJORITY].pooled == VerdictCounts(
        true_positives=1, false_positives=1, true_negatives=2, false_negatives=1
    )
    both = levels[Level.BACK_TRANSLATED]
    assert (both.tpr.value, both.fpr.value, both.tnr.value, both.fnr.value) == (50, 50, 50, 50)
    assert (both.precision.value, both.j.value, both.instructions, both.functions) == (40, 0, 1, 2)


def test_consequences_are_the_shares_of_rows_that_are_right(tmp_path, gold):
    found = audit(write_run(tmp_path / "run"), "--gold", gold).gold.consequences
    assert (found.sft.rows, found.sft.known, found.sft.right.value) == (2, 2, 50)
    assert (found.rewards.rows, found.rewards.right.value) == (4, 50)  # "hot tea" and "coffee"
    assert found.responses.precision == found.responses.tpr == 50
    assert found.pairs.known == found.pairs.rows == 1
    assert found.cases.known == 0


def reject(run: Path, target: str, item: str) -> None:
    fields = {"target": target, "id": item, "decision": "reject", "author": "ada", "queued": True}
    add_decisions(run, [Decision.model_validate({**fields, "time": datetime(2026, 5, 1, tzinfo=UTC)})])


def test_what_reviewers_rejected_is_not_left_and_their_decisions_count_as_gold(tmp_path, gold, capsys):
    run = write_run(tmp_path / "run")
    verified = next(read_stage(run, BACK_TRANSLATION, "kept"))
    reject(run, "function", verified["matrix"]["functions"][0]["id"])
    found = audit(run, "--gold", gold)
    assert (found.kept_functions, found.reviewed.functions, found.reviewed.decided) == (1, 2, 1)
    assert (found.reviewed.low, found.reviewed.high) == (0, 0.5)
    assert "reviewers decided on 1 of 2 functions" in capsys.readouterr().out
    levels = {each.level: each for each in found.gold.levels}
    assert (levels[Level.CROSS_VALIDATED].functions, levels[Level.BACK_TRANSLATED].functions) == (2, 1)
    reject(run, "instruction", verified["instruction"]["id"])
    found = audit(run, "--gold", gold)
    assert (found.kept_instructions, found.kept_functions, found.gold.consequences.sft.rows) == (0, 0, 0)


def test_a_near_miss_is_a_group_of_its_own(tmp_path, gold):
    rows = [json.loads(line) for line in gold.read_text().splitlines()]
    path = write_rows(tmp_path / "groups.jsonl", *rows, row("t e a", followed=False, group="near-misses"))
    found = audit(write_run(tmp_path / "run"), "--gold", path).gold
    near = {each.level: each for each in found.levels if each.group == "near-misses"}
    assert near[Level.MAJORITY].tnr.value == 100
    assert near[Level.MAJORITY].tpr is None
    assert found.rows == 6


def test_what_gold_and_run_do_not_share_is_counted_and_said(tmp_path, gold, capsys):
    more = write_rows(
        tmp_path / "more.jsonl", row("x", followed=True, instruction="Sing."), row("hot tea", followed=True)
    )
    audit(write_run(tmp_path / "run"), "--gold", more)
    said = capsys.readouterr().out
    assert "1 instructions of gold have no functions in the run, as 'Sing.': not measured" in said
    assert "1 of the run's 2 instructions have no gold: not measured" in said


def test_an_instruction_that_was_dropped_is_measured_as_written(tmp_path):
    path = write_rows(tmp_path / "gold.jsonl", row("la la", followed=True, instruction=WORD))
    found = audit(write_run(tmp_path / "run"), "--gold", path).gold
    [word] = found.instructions
    assert (word.dropped, word.majority, word.count(Level.CROSS_VALIDATED)) == ("one_sided_cases", None, None)
    assert word.count(Level.WRITTEN).refuses_all


def test_no_response_of_gold_gets_into_the_run_folder(tmp_path):
    texts = {f"tea from Zanzibar, number {number}": number % 2 == 0 for number in range(40)}
    path = write_rows(tmp_path / "gold.jsonl", *(row(text, followed) for text, followed in texts.items()))
    run = write_run(tmp_path / "run")
    assert audit(run, "--gold", path).gold.rows == 40
    assert [file for file in run.rglob("*") if file.is_file() and "Zanzibar" in file.read_text(encoding="utf-8")] == []


def test_the_audit_of_a_run_is_the_same_every_time_and_changes_no_other_file(tmp_path, gold):
    run = write_run(tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    audit(run, "--gold", gold)
    first = (run / AUDIT).read_bytes()
    audit(run, "--gold", gold)
    assert (run / AUDIT).read_bytes() == first
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != AUDIT} == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"prompt": TEA, "output": "x", "label": 1}, "instruction is missing, there is prompt, output, label"),
        ({"instruction": TEA, "response": "x"}, "followed is missing"),
        (row("x", "yes"), "followed: Input should be a valid boolean"),
        (row("x", 1), "followed: Input should be a valid boolean"),
        (row(None, True), "response: Input should be a valid string"),
        ([TEA, "x", True], "it is no object {instruction, response, followed}"),
        (row("hot tea", False), "an earlier row says that this response does follow"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_gold_is_refused_with_its_line(tmp_path, line, said):
    path = write_rows(tmp_path / "gold.jsonl", row("hot tea", followed=True), line)
    failure = fails_here("audit", write_run(tmp_path / "run"), "--gold", path)
    assert "gold.jsonl, line 2: " in failure
    assert said in failure


def test_gold_that_is_empty_missing_or_of_other_instructions_is_refused_in_a_line(tmp_path):
    run = write_run(tmp_path / "run")
    (tmp_path / "empty.jsonl").write_text("\n")
    assert "has no rows: write" in fails_here("audit", run, "--gold", tmp_path / "empty.jsonl")
    assert "can't be read" in fails_here("audit", run, "--gold", tmp_path / "none.jsonl")
    assert "can't be read: Is a directory" in fails_here("audit", run, "--gold", tmp_path)
    other = write_rows(tmp_path / "other.jsonl", row("x", followed=True, instruction="Sing."))
    assert "none of its 1 is one of the run's 2, as 'Sing.'" in fails_here("audit", run, "--gold", other)
    assert not (run / AUDIT).exists()


def test_a_run_that_is_none_empty_or_of_another_version_is_refused_in_a_line(tmp_path):
    assert "is no run folder" in fails_here("audit", tmp_path / "nowhere")
    assert "has no functions yet (running)" in fails_here(
        "audit", write_run(tmp_path / "new", status="running", steps=0)
    )
    old = write_run(tmp_path / "old")
    manifest = json.loads((old / "run.json").read_text())
    (old / "run.json").write_text(json.dumps({**manifest, "format": 1}))
    assert "was made by another version of autoif" in fails_here("audit", old)


def test_an_unfinished_run_is_measured_as_far_as_it_is(tmp_path, gold, capsys):
    found = audit(write_run(tmp_path / "run", status="interrupted", steps=1), "--gold", gold)
    assert "note: the run is interrupted: this is what it has so far" in capsys.readouterr().out
    assert found.gold.consequences.sft.rows == 0
    assert found.gold.consequences.sft.right is None


def test_instructions_are_the_same_if_their_words_are():
    assert make_key(' 1. "Use the\n word tea." ') == make_key("Use the  word tea.")
    assert make_key("Use the word tea.") != make_key("Use the word Tea.")
    assert make_key("Use the word cafe\u0301.") == make_key("Use the word café.")


def test_a_run_that_began_with_instructions_has_their_whole_matrix(tmp_path):
    first = write_run(tmp_path / "first")
    second = write_run(tmp_path / "second")
    for stage in ("02_verification", "03_cross_validation", "04_back_translation"):
        for path in (second / stage).iterdir():
            path.unlink()
        (second / stage).rmdir()
    (second / "SHA256SUMS").unlink()
    assert len(read_material(first).instructions) == 2
    [tea] = read_material(second).instructions
    assert (len(tea.functions), tea.back_translated, len(tea.responses)) == (3, (0, 1), 4)


def test_rates_of_nothing_are_none_and_j_needs_both_sides():
    counts = count_verdicts([True, True], [True, False])
    assert (counts.tpr, counts.fnr, counts.tnr, counts.fpr, counts.j) == (50, 50, None, None, None)
    assert VerdictCounts().precision is None
    assert not VerdictCounts(true_positives=9).is_right


def test_a_response_twice_counts_once(tmp_path):
    rows = [row("hot tea", followed=True)] * 3
    assert read_gold(write_rows(tmp_path / "gold.jsonl", *rows)).rows == 1
    gold = Gold("made")
    gold.add(GoldRow(instruction=TEA, response="a", followed=True))
    gold.add(GoldRow(instruction=TEA, response="a", followed=True, group="near-misses"))
    assert gold.find(TEA, "a") is True
    assert gold.find(TEA, "b") is None


def test_a_record_that_is_of_another_form_is_refused_in_a_line(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "SHA256SUMS").unlink()
    (run / "04_back_translation" / "kept-0000.jsonl").write_text('{"id": "x"}\n')
    assert "holds a record of another form" in fails_here("audit", run)


@pytest.mark.parametrize("config", [None, 3, {"rejection_sampling": 5}, {"rejection_sampling": {"pass_rate": "half"}}])
def test_settings_that_are_damaged_are_said_to_be(tmp_path, gold, config):
    run = write_run(tmp_path / "run")
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**manifest, "config": config}))
    assert "run.json is damaged" in fails_here("audit", run, "--gold", gold)


def test_an_interval_of_j_stays_between_its_ends():
    counts = [
        VerdictCounts(true_positives=1, true_negatives=right, false_positives=1 - right) for right in (1, 1, 1, 0)
    ]
    found = [
        InstructionRates(
            instruction_id=str(place), instruction=TEA, dropped="", group="a", followed=1, not_followed=1,
            functions=(), majority=each,
        )
        for place, each in enumerate(counts)
    ]  # fmt: skip
    j = next(each.j for each in sum_up(found) if each.level is Level.MAJORITY)
    assert j.value == 75
    assert -100 <= j.low <= 75 <= j.high <= 100


def test_what_cannot_be_written_is_said_before_anything_is_measured(tmp_path, gold):
    run = write_run(tmp_path / "run")
    (run / AUDIT).mkdir()
    assert "audit.json can't be written" in fails_here("audit", run, "--gold", tmp_path / "none.jsonl")


def test_verdicts_that_gold_was_too_slow_for_are_counted(tmp_path, gold):
    written = next(each for each in read_material(write_run(tmp_path / "run")).instructions if len(each.functions) == 3)
    verdicts = [(Verdict.PASS, Verdict.TIMEOUT, Verdict.FAIL)] * 2
    found = rate_instruction(written, "a", {"x": True, "y": False}, verdicts, "> 0.5")
    assert [each.out_of_time for each in found.functions] == [0, 2, 0]
    assert "2 verdicts count as refused as 1 functions met the limit of time" in describe_timeouts([found])[0]


@pytest.mark.parametrize("gold", [[], ["--gold", "mine.jsonl"]])
def test_a_folder_of_recorded_responses_without_a_benchmark_is_no_silent_wish(tmp_path: Path, gold: list[str]) -> None:
    failure = fails_here("audit", tmp_path, *gold, "--data", tmp_path)
    assert failure.endswith("is for gold of ifeval or ifbench alone: name one of these, or leave --data out")


def test_an_audit_says_which_figures_of_the_one_before_it_replaces(tmp_path, gold):
    run = write_run(tmp_path / "run")
    assert not any("had figures" in note for note in audit(run, "--gold", gold).notes)
    assert not any("had figures" in note for note in audit(run, "--gold", gold).notes)
    assert "audit.json had figures by --gold and has none now: one audit takes both options" in audit(run).notes
    assert not any("had figures" in note for note in audit(run).notes)


@pytest.mark.parametrize("content", ["{", "[]", '{"scores": 3}', '{"gold": []}'])
def test_an_audit_takes_the_place_of_one_that_is_damaged(tmp_path, content):
    run = write_run(tmp_path / "run")
    whole = audit(run)
    (run / AUDIT).write_text(content, encoding="utf-8")
    assert audit(run) == whole


def test_only_a_figure_needs_the_package_that_draws(tmp_path, gold):
    run = write_run(tmp_path / "run")
    program = "import sys; sys.modules['matplotlib'] = None; from autoif.cli.main import main; main()"
    for options, ends in (
        (["--gold", str(gold)], (0, "")),
        (
            ["--gold", str(gold), "--plot", str(tmp_path / "x.svg")],
            (
                2,
                "autoif: autoif audit --plot needs the extra eval, of which matplotlib is missing: "
                "pip install 'autoif[eval]'\n",
            ),
        ),
    ):
        command = [sys.executable, "-c", program, "audit", str(run), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == ends
