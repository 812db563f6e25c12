"""`autoif audit`: what functions agree on, scores and how well they hold, and what a second author says otherwise."""

import random
from pathlib import Path

import pytest

import autoif
from autoif.audit.agreement import CORRELATED, estimate_rates
from autoif.audit.calibration import calibrate
from autoif.audit.run import Audit
from autoif.config import Config
from autoif.probes import load_probes
from autoif.runs.manifest import new_manifest
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import AUDIT, VERIFICATION
from support.audited_run import TEA, WORD, make_draft, write_run
from support.command import autoif_here, fails_here
from support.records import accepts
from support.training_data import write_rows


def audit(run: Path, *options: object) -> Audit:
    autoif_here("audit", run, *options)
    return Audit.model_validate_json((run / AUDIT).read_bytes())


def gold_of(folder: Path, *labels: tuple[str, bool]) -> Path:
    rows = ({"instruction": TEA, "response": text, "followed": followed} for text, followed in labels)
    return write_rows(folder / "gold.jsonl", *rows)


def vote(rates: list[tuple[float, float]], texts: int, seed: int = 0) -> list[list[bool]]:
    """Return votes of independent voters with these true rates on texts of which 0.4 follow."""
    rng = random.Random(seed)
    follows = [rng.random() < 0.4 for _ in range(texts)]
    return [[rng.random() < (tpr if true else 1 - tnr) for true in follows] for tpr, tnr in rates]


def test_rates_of_independent_voters_are_found_without_truth():
    true = [(0.95, 0.9), (0.8, 0.95), (0.6, 0.7), (0.9, 0.6)]
    found = estimate_rates(vote(true, 4000))
    assert found is not None
    for (tpr, tnr), each in zip(true, found, strict=True):
        assert each.tpr == pytest.approx(tpr, abs=0.05)
        assert each.tnr == pytest.approx(tnr, abs=0.05)


def test_an_estimate_depends_on_no_order_of_texts_and_two_voters_have_none():
    votes = vote([(0.9, 0.9)] * 3, 200)
    assert estimate_rates(votes) == estimate_rates([row[::-1] for row in votes])
    assert estimate_rates(votes[:2]) is None
    assert estimate_rates([[], [], []]) is None
    alike = estimate_rates([[True, False]] * 3)
    assert alike
    assert all(0.5 < each.tpr < 1 for each in alike)
    assert estimate_rates([[True] * 9] * 3) is not None  # nothing shows what refusing would look like


def test_functions_are_compared_on_cases_probes_and_answers(tmp_path, capsys):
    found = audit(write_run(tmp_path / "run")).agreement
    tea, song = found.instructions
    assert (tea.instruction, song.instruction) == (TEA, WORD)
    assert (tea.clusters, tea.largest, song.clusters, found.unanimous) == (3, 1, 1, 0)
    assert tea.texts > len(load_probes()) + 3 + 4  # three cases, four responses, and what is made of these
    assert [each.cluster for each in tea.functions] == [0, 1, 2]
    first, second, refuses = tea.functions
    assert first.with_majority == 1
    assert second.with_majority < 1
    assert first.tpr > refuses.tpr
    assert [(split.text, len(split.accepted_by)) for split in tea.splits[:2]] == [("tea please", 2), ("teacup", 2)]
    assert song.functions[0].with_majority is None
    said = " ".join(capsys.readouterr().out.split())
    assert CORRELATED in said
    assert "1 with 3; 0 all alike" in said


def test_errors_that_functions_share_are_measured_against_gold(tmp_path):
    # "tea" and "te" accept "teapot", the third function refuses all; "hot tea" is right of the first two.
    gold = gold_of(tmp_path, ("hot tea", True), ("coffee", False), ("Tea!", True))
    shared = audit(write_run(tmp_path / "run"), "--gold", gold).agreement.shared_errors
    assert (shared.texts, shared.wrong) == (3, pytest.approx(4 / 9, abs=1e-4))
    assert shared.all_wrong == pytest.approx(1 / 3, abs=1e-4)
    assert shared.all_wrong_if_independent == pytest.approx(1 / 3 * 1 / 3 * 2 / 3, abs=1e-4)


def test_scores_are_of_functions_and_instructions_and_held_against_gold(tmp_path, capsys):
    gold = gold_of(tmp_path, ("hot tea", True), ("teapot", False), ("my tea", True), ("mate", False))
    plot = tmp_path / "scores.svg"
    found = audit(write_run(tmp_path / "run"), "--gold", gold, "--plot", plot).scores
    tea, song = found.instructions
    assert [each.kept for each in tea.functions] == [True, True, False]
    assert tea.score == pytest.approx(sum(each.score for each in tea.functions[:2]) / 2, abs=1e-4)
    assert song.score == song.functions[0].score
    assert tea.functions[2].score < tea.functions[0].score
    assert found.calibration.functions == 3
    assert found.calibration.right == 0
    assert sum(each.functions for each in found.calibration.bins) == 3
    assert b'id="calibration"' in plot.read_bytes()
    assert "Brier score" in capsys.readouterr().out


def test_calibration_compares_scores_with_the_share_that_is_right():
    found = calibrate([(0.1, False), (0.15, True), (0.9, True), (1.0, True), (0.9, False)])
    assert [(each.low, each.functions, each.score, each.right) for each in found.bins] == [
        (0.0, 2, 0.125, 0.5),
        (0.8, 3, 0.9333, 0.6667),
    ]
    assert found.brier == pytest.approx((0.01 + 0.85**2 + 0.01 + 0 + 0.81) / 5, abs=1e-4)
    assert found.brier_of_base_rate == pytest.approx(0.24)


def test_a_diagram_needs_gold_that_tells_right_from_wrong(tmp_path):
    run = write_run(tmp_path / "run")
    assert "name a --gold of answers that follow and others that don't" in fails_here(
        "audit", run, "--plot", tmp_path / "x.svg"
    )
    assert ".svg" in fails_here("audit", run, "--plot", tmp_path / "x.txt")


def write_second(folder: Path, *functions: str, writer: str = "other-model", instruction: str = TEA) -> Path:
    """Write a run that has got as far as functions."""
    with RunFolder(folder) as run:
        run.write_manifest(new_manifest(Config(), {"models.writer": writer}))
        run.write_shard(VERIFICATION, 0, [make_draft(instruction, functions)], [])
    return folder


def test_a_second_author_is_compared_by_majority_on_the_texts_of_both(tmp_path, capsys):
    run, second = write_run(tmp_path / "run"), write_second(tmp_path / "second", accepts("coffee"))
    found = audit(run, "--second", second).second
    assert (found.second_writer, found.same_writer) == ("other-model", False)
    [tea] = found.instructions
    assert (tea.instruction, tea.functions, tea.second_functions) == (TEA, 2, 1)
    assert {each.text: (each.accepted, each.accepted_by_second) for each in tea.disputes[:3]} == {
        "coffee": (0, 1),
        "hot tea": (1, 0),
        "teapot": (1, 0),
    }
    assert 0 < tea.disputed < 1
    assert autoif.load_run(run).audit(second=second).second == found
    said = " ".join(capsys.readouterr().out.split())
    assert "second author other-model beside the run: 1 instructions of both, 1 with texts" in said


def test_another_run_of_the_same_model_is_said_to_be_no_second_author(tmp_path, capsys):
    first, second = (write_second(tmp_path / name, accepts("tea")) for name in ("first", "second"))
    found = audit(first, "--second", second).second
    assert found.same_writer
    assert found.instructions[0].disputes == ()
    assert "so it is no second author" in " ".join(capsys.readouterr().out.split())


def test_a_second_run_that_has_nothing_to_compare_is_refused(tmp_path):
    run = write_run(tmp_path / "run")
    other = write_second(tmp_path / "other", accepts("tea"), instruction="Sing.")
    assert "has functions for none of the run's instructions" in fails_here("audit", run, "--second", other)
    assert "no run folder" in fails_here("audit", run, "--second", tmp_path / "nowhere")


def test_hundreds_of_voters_leave_no_text_without_a_probability():
    rates = estimate_rates([[True] * 600 + [False]] * 400)
    assert rates
    assert all(0 < each.tpr < 1 and 0 < each.tnr < 1 for each in rates)
