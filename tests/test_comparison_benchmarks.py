"""IFEval and FollowBench compared, alone and side by side, and what of them may not be compared."""

import math
from pathlib import Path

import pytest

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.comparison import Compared, Comparison, compare, read_model
from autoif.evaluation.results import collect
from autoif.evaluation.statistics import bootstrap_strata, estimate_strata_rate
from autoif.figures.plots import plot_comparison
from autoif.report.tables import render
from support.evaluated_models import (
    GOOD,
    measure_followbench,
    measure_ifeval,
    measure_recorded_model,
    read_recorded,
    write_general,
)

RECORDED = ("Qwen2.5-3B", "Qwen2.5-7B", "Qwen2.5-32B")
BAD = {**GOOD, "Write a title.": "Tea"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("recorded")
    return [measure_recorded_model(part, folder / part) for part in RECORDED]


@pytest.fixture(scope="module")
def qwen(recorded) -> Comparison:
    return compare(recorded)


def named(comparison: Comparison, model: str) -> dict[str, Compared]:
    """Return a model's scores on all benchmarks, by name."""
    return {
        f"{compared.column.heading} {compared.column.label}": compared
        for benchmark in comparison.benchmarks
        for compared in benchmark.models.get(model, ())
    }


def test_recorded_models_differ_on_ifeval_by_the_difference_of_their_scores(qwen):
    first = named(qwen, "Qwen2.5-3B")
    assert list(first) == ["IFEval Pr(S)", "IFEval Pr(L)", "IFEval In(S)", "IFEval In(L)"]
    values = {name: round(compared.interval.value, 2) for name, compared in named(qwen, "Qwen2.5-7B").items()}
    assert list(values.values()) == [73.20, 75.79, 80.82, 82.61]  # docs/evaluation.md
    for model in RECORDED[1:]:
        for name, compared in named(qwen, model).items():
            difference, one, two = compared.difference, first[name].interval, compared.interval
            assert difference.value == pytest.approx(two.value - one.value)
            assert 0 < difference.low < difference.value < difference.high
            assert compared.verdict == "better"
            # Paired: surer than two scores that nothing ties together.
            assert difference.high - difference.low < math.hypot(one.high - one.low, two.high - two.low)
            assert difference.clusters == 541


def test_mcnemar_is_over_the_prompts_that_changed(qwen):
    # Of the recorded verdicts, but for two that the official program draws (tests/test_official_verdicts.py).
    _, models = read_recorded()
    small, large = (
        next([all(row["strict"]) for row in rows] for name, rows in models.items() if part in name)
        for part in ("Qwen2.5-3B", "Qwen2.5-7B")
    )
    gained = sum(b and not a for a, b in zip(small, large, strict=True))
    lost = sum(a and not b for a, b in zip(small, large, strict=True))
    compared = named(qwen, "Qwen2.5-7B")["IFEval Pr(S)"]
    assert compared.difference.value == pytest.approx(100 * (gained - lost) / 541, abs=0.3)
    tail = sum(math.comb(gained + lost, count) for count in range(lost + 1))
    assert math.log10(compared.mcnemar) == pytest.approx(math.log10(2 * tail / 2 ** (gained + lost)), abs=1)
    assert named(qwen, "Qwen2.5-7B")["IFEval In(S)"].mcnemar is None


def test_a_model_compared_with_a_better_one_is_marked_as_worse(recorded):
    table = render(compare(recorded[::-1]))
    assert "| Qwen2.5-32B | 79.3 | 82.3 | 86.1 | 88.0 |" in table
    assert "| Qwen2.5-7B | 73.2 ↓ | 75.8 ↓ | 80.8 ↓ | 82.6 ↓ |" in table


def test_the_same_folders_give_the_same_bytes(recorded, qwen):
    for form in ("md", "tex"):
        assert render(compare(recorded), form) == render(qwen, form)


def test_the_values_behind_each_score_give_the_score_and_its_interval(tmp_path, recorded):
    measure_ifeval(tmp_path / "model" / "if", BAD)
    measure_followbench(tmp_path / "model" / "follow", {(1, 2): "I can't say.", (2, 3): "['YES', 'NO', 'YES']"})
    write_general(tmp_path / "model" / "general", {"gsm8k": [True, False, True], "mmlu": [True, False]})
    found = [each for folder in (tmp_path / "model", recorded[0]) for each in read_model(folder)]
    assert [len(each.columns) for each in found] == [13, 1, 1, 4, 4]
    for each in found:
        for column in each.columns:
            strata = collect(list(each.rows.values()), column, parts_count_alike=each.scores.parts_count_alike)
            interval = each.scores.scores[column.name]
            if column.name == "csl":
                assert bootstrap_strata(strata, bounds=(0, 5)) == interval
            else:
                assert estimate_strata_rate(strata) == interval, column.name


def test_followbench_differs_level_by_level_and_in_levels_in_a_row(tmp_path):
    never = {(example, level): str(["NO"] * level) for example in (1, 2) for level in range(1, 6)}
    worse = measure_followbench(tmp_path / "worse", {**never, (3, 4): "['YES', 'YES', 'YES', 'NO']"})
    better = measure_followbench(tmp_path / "better", {})
    compared = named(compare([worse, better]), "better")
    assert list(compared) == [
        *(f"FollowBench {kind} {name}" for kind in ("HSR", "SSR") for name in (*range(1, 6), "average")),
        "FollowBench CSL",
    ]
    # Style counts one half: two of its four instructions at level 1, three at level 4. Type example doesn't differ.
    assert compared["FollowBench HSR 1"].difference.value == 25
    assert compared["FollowBench HSR 4"].difference.value == 37.5
    assert compared["FollowBench HSR average"].difference.value == pytest.approx(100 * 11 / 20 / 2)
    assert compared["FollowBench HSR average"].mcnemar == pytest.approx(2 * 0.5**11)
    assert compared["FollowBench HSR 1"].mcnemar == 0.5
    assert compared["FollowBench SSR 1"].mcnemar is None
    levels = (5 + 5 + 2 + 0) / 4 / 2  # instruction 3 stops before level 4
    assert compared["FollowBench CSL"].difference.value == levels
    assert compared["FollowBench CSL"].difference.clusters == 6
    table = render(compare([worse, better]))
    assert "FollowBench CSL |" in table
    assert f"+{levels:.2f} [" in table


def test_benchmarks_of_a_model_stand_side_by_side_in_the_papers_form(tmp_path):
    for model, texts, verdicts in (("base", BAD, {(1, 1): "['NO']"}), ("sft", GOOD, {})):
        measure_ifeval(tmp_path / model / "if", texts)
        measure_followbench(tmp_path / model / "follow", verdicts)
    comparison = compare([tmp_path / "base", tmp_path / "sft"])
    assert [benchmark.title for benchmark in comparison.benchmarks] == ["IFEval", "FollowBench"]
    assert len(named(comparison, "sft")) == 4 + 13
    table = render(comparison)
    assert "| sft | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 |" in table
    assert "IFEval, base, sft: PARTIAL, 3 of 541 prompts are scored." in table
    assert "FollowBench, base, sft: the judgements are recorded, and who judged isn't" in table
    assert comparison.differences == 17
    plot_comparison(comparison, tmp_path / "scores.svg")
    drawn = (tmp_path / "scores.svg").read_text("utf-8")
    for name in ("IFEval In(L) base", "difference FollowBench CSL sft", "FollowBench HSR average sft interval"):
        assert f'id="{name}"' in drawn
    assert "HSR 1" not in drawn
    assert ">difference (levels)<" in drawn


def test_general_abilities_are_benchmarks_each_beside_the_others(tmp_path):
    measure_ifeval(tmp_path / "base" / "if", BAD)
    measure_ifeval(tmp_path / "sft" / "if", GOOD)
    write_general(tmp_path / "base" / "general", {"gsm8k": [False] * 8 + [True] * 12, "ceval": [True, False]})
    write_general(tmp_path / "sft" / "general", {"gsm8k": [True] * 20, "mmlu": [True, False]})
    comparison = compare([tmp_path / "base", tmp_path / "sft"])
    assert [benchmark.title for benchmark in comparison.benchmarks] == ["IFEval", "C-Eval", "MMLU", "GSM8K"]
    compared = named(comparison, "sft")["General abilities GSM8K"]
    assert (compared.difference.value, compared.difference.clusters, compared.verdict) == (40, 20, "better")
    assert compared.mcnemar == pytest.approx(2 * 0.5**8)
    assert "GSM8K, base, sft: PARTIAL, 20 of 1,000 prompts are scored." in comparison.notes
    assert "MMLU: not measured of base, so that there is nothing to compare with." in comparison.notes
    other = write_general(tmp_path / "other", {"gsm8k": [True] * 20}, chat_template=True)
    with pytest.raises(ConfigError, match=r"other settings: chat_template \(False and True\)"):
        compare([tmp_path / "base", other])


def test_what_a_model_was_not_measured_on_is_left_open_and_said(tmp_path):
    measure_ifeval(tmp_path / "base" / "if", BAD)
    measure_ifeval(tmp_path / "sft" / "if", GOOD)
    for model in ("sft", "dpo"):
        measure_followbench(tmp_path / model / "follow", {})
    (tmp_path / "dpo" / "if").mkdir()
    (tmp_path / "dpo" / "if" / "samples.jsonl").touch()
    comparison = compare([tmp_path / name for name in ("base", "sft", "dpo")])
    table = render(comparison)
    assert "IFEval: not measured of dpo." in comparison.notes
    assert "FollowBench: not measured of base, so that there is nothing to compare with." in comparison.notes
    assert "Not finished: if of dpo." in comparison.notes
    assert "| dpo | – | – | – | – | 100.0 |" in table
    assert named(comparison, "dpo")["FollowBench CSL"].difference is None
    assert named(comparison, "sft")["IFEval Pr(S)"].difference.value == pytest.approx(100 / 3)


def test_folders_without_a_benchmark_in_common_or_with_one_twice_are_refused(tmp_path):
    one, two = measure_ifeval(tmp_path / "one" / "a"), measure_followbench(tmp_path / "two" / "a", {})
    with pytest.raises(ConfigError, match=r"no two of these folders .* same benchmark: there are FollowBench, IFEval"):
        compare([one, two])
    measure_ifeval(tmp_path / "one" / "b")
    with pytest.raises(ConfigError, match="one holds IFEval twice, in a and b: keep one"):
        compare([tmp_path / "one", tmp_path / "two"])


def test_other_rules_of_scoring_are_refused_by_name(tmp_path):
    plain = measure_ifeval(tmp_path / "plain" / "a")
    other = measure_ifeval(tmp_path / "other" / "a", corrected=True, keep_thinking=True)
    match = r"other settings: corrected \(False and True\), keep_thinking \(False and True\); measure one anew"
    with pytest.raises(ConfigError, match=match):
        compare([plain, other])


def test_prompts_that_one_model_lacks_are_counted_and_refused(tmp_path):
    whole = measure_ifeval(tmp_path / "whole" / "a")
    less = measure_ifeval(tmp_path / "less" / "a", dict(list(GOOD.items())[:2]))
    with pytest.raises(ConfigError, match=r"2 in common, 0 only in .*less/a, 1 only in .*whole/a$"):
        compare([whole, less])


def test_another_judge_is_refused_and_an_unreadable_judgement_said(tmp_path):
    one = measure_followbench(tmp_path / "one", {(1, 2): "I can't say."})
    two = measure_followbench(tmp_path / "two", {})
    assert "FollowBench, one: 1 judgements can't be read and count -1, as officially." in compare([one, two]).notes
    path = two / "scores.json"
    text = path.read_text("utf-8")
    start = text.index('"judge": "') + len('"judge": "')
    path.write_text(text[:start] + "gpt-4o" + text[text.index('"', start) :], encoding="utf-8")
    with pytest.raises(ConfigError, match=r"other settings: judge \(recorded and gpt-4o\)"):
        compare([one, two])


def test_scores_of_something_else_are_refused(tmp_path):
    folder = measure_ifeval(tmp_path / "one")
    (tmp_path / "two").mkdir()
    for content, said in (
        ('{"metric": "charm"}', "is no scores file of this version"),
        ("[]", "is no scores file of this version"),
        ("{", "is no scores file of this version"),
        ('{"benchmark": "ifeval"}', r"is no scores file of this version \(place: Field required\)"),
    ):
        (tmp_path / "two" / "scores.json").write_text(content, encoding="utf-8")
        with pytest.raises(StoreError, match=said):
            compare([folder, tmp_path / "two"])
