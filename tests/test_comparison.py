"""Several models on the same prompts: paired, or refused. Here on a pass rate."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.comparison import Compared, compare
from autoif.evaluation.provenance import Seen
from autoif.evaluation.results import read_prompt_results, read_scores, write_results
from autoif.figures.plots import plot_comparison
from autoif.report.tables import render
from support.pass_rate_data import SETTINGS, half, measure, measure_texts, reward_row, right, write_prompts, wrong
from support.training_data import write_rows

WORDS = [f"word{number}" for number in range(10)]


@pytest.fixture
def data(tmp_path):
    return write_prompts(tmp_path, WORDS, queries=3)


def some(row):
    """Be right for half of the instructions, always."""
    return right(row) if int(row.prompt.messages[0]["content"].split("word")[-1].rstrip(".")) % 2 else wrong(row)


def slightly_better(row):
    return right(row) if "question 1" in row.prompt.messages[0]["content"] and row.index == 0 else some(row)


def compare_rates(*folders: Path) -> list[Compared]:
    """Return the pass rate of each folder's model."""
    [benchmark] = compare(folders).benchmarks
    return [scores[0] for scores in benchmark.models.values()]


def test_the_difference_is_paired_and_surer_than_the_scores(data, tmp_path, sandbox):
    measure(data, tmp_path / "some", sandbox, some)
    measure(data, tmp_path / "better", sandbox, slightly_better)
    first, second = compare_rates(tmp_path / "some", tmp_path / "better")
    assert (first.difference, first.mcnemar, first.verdict) == (None, None, "")
    assert second.difference.value == pytest.approx(100 * 5 / 120)
    assert second.difference.low > 0
    assert second.interval.low < first.interval.value
    assert second.verdict == "better"
    assert second.mcnemar == pytest.approx(2 * 0.5**5)
    reverse = compare_rates(tmp_path / "better", tmp_path / "some")[1]
    assert reverse.verdict == "worse"
    assert reverse.difference.high == pytest.approx(-second.difference.low, abs=0.2)


def test_an_interval_that_includes_zero_is_said_to_show_no_difference(data, tmp_path, sandbox):
    for name in ("one", "two"):
        measure(data, tmp_path / name, sandbox, half)
    second = compare_rates(tmp_path / "one", tmp_path / "two")[1]
    assert (second.verdict, second.mcnemar) == ("no difference shown", 1)
    table = render(compare([tmp_path / "one", tmp_path / "two"]))
    assert "| accepted | two | 50.0 [50.0, 50.0] | +0.0 [+0.0, +0.0] | no difference shown | 1 |" in table
    assert "| two | 50.0 | 50.0 |" in table
    assert "30 prompts of 10 instructions, 4 responses to each" in table


def test_answers_with_a_fault_are_a_score_of_their_own(tmp_path, sandbox):
    data = write_prompts(tmp_path, WORDS)
    measure(data, tmp_path / "right", sandbox, right)
    measure(data, tmp_path / "copied", sandbox, lambda row: row.prompt.messages[0]["content"])
    _, scores = compare([tmp_path / "right", tmp_path / "copied"]).benchmarks[0].models.values()
    accepted, faultless = scores
    assert (accepted.difference.value, accepted.mcnemar) == (0, 1)
    assert (faultless.difference.value, faultless.mcnemar) == (-100, pytest.approx(2 * 0.5**20))


def test_the_order_of_the_prompts_is_no_difference(tmp_path, sandbox):
    rows = [reward_row(word, query) for word in WORDS for query in range(2)]
    forward, backward = write_rows(tmp_path / "a.jsonl", *rows), write_rows(tmp_path / "b.jsonl", *rows[::-1])
    measure(forward, tmp_path / "some", sandbox, some)
    measure(backward, tmp_path / "more", sandbox, slightly_better)
    assert compare_rates(tmp_path / "some", tmp_path / "more")[1].difference.value == 100 * 5 / 80
    [note] = compare([tmp_path / "some", tmp_path / "more"]).notes
    assert note == "Pass rate: the data files differ, though not in the prompts that are scored."


def test_other_prompts_or_the_same_with_other_functions_are_refused(data, tmp_path, sandbox):
    measure(data, tmp_path / "one", sandbox, half)
    measure(write_rows(tmp_path / "few.jsonl", reward_row("word0", 0)), tmp_path / "few", sandbox, half)
    with pytest.raises(ConfigError, match=r"other prompts: 1 in common, 0 only in .*few, 29 only in .*one \(SHA-256 "):
        compare([tmp_path / "one", tmp_path / "few"])
    easier = [reward_row(word, query, ["def evaluate(response): return True"]) for word in WORDS for query in range(3)]
    measure(write_rows(tmp_path / "easier.jsonl", *easier), tmp_path / "easier", sandbox, half)
    with pytest.raises(ConfigError, match=r"other settings: functions \(\w+ and \w+\)"):
        compare([tmp_path / "one", tmp_path / "easier"])


def test_other_settings_of_the_sampling_are_refused_by_name(data, tmp_path, sandbox):
    measure(data, tmp_path / "one", sandbox, half)
    measure(data, tmp_path / "hot", sandbox, half, SETTINGS.model_copy(update={"temperature": 1.5, "seed": 3}))
    with pytest.raises(ConfigError, match=r"other settings: temperature \(0.8 and 1.5\), seed \(0 and 3\); measure"):
        compare([tmp_path / "one", tmp_path / "hot"])


def test_another_sandbox_and_recorded_beside_sampled_answers_are_refused(data, tmp_path, sandbox):
    measure(data, tmp_path / "one", sandbox, half)
    measure(data, tmp_path / "two", sandbox, half)
    change_settings(tmp_path / "two", sandbox="monty")
    with pytest.raises(ConfigError, match=r"sandbox \(cpython and monty\)"):
        compare([tmp_path / "one", tmp_path / "two"])
    texts = [{"prompt": reward_row(w, q)["prompt"][0]["content"], "response": "x"} for w in WORDS for q in range(3)]
    measure_texts(data, tmp_path / "recorded", sandbox, *texts * 4)
    with pytest.raises(ConfigError, match=r"answers \(sampled and recorded\)"):
        compare([tmp_path / "one", tmp_path / "recorded"])


def change(folder, **fields):
    write_results(folder, read_scores(folder).model_copy(update=fields), read_prompt_results(folder))


def change_settings(folder, **settings):
    change(folder, settings={**read_scores(folder).settings, **settings})


@pytest.mark.parametrize(("setting", "other"), [("dtype", "float32"), ("batch_size", 99)])
def test_models_of_one_backend_with_other_numerics_are_refused(data, tmp_path, sandbox, setting, other):
    measure(data, tmp_path / "one", sandbox, half)
    measure(data, tmp_path / "two", sandbox, half)
    change_settings(tmp_path / "two", **{setting: other})
    with pytest.raises(ConfigError, match=f"with other settings: {setting} .* and {other}"):
        compare([tmp_path / "one", tmp_path / "two"])


def test_models_of_two_backends_are_compared_and_it_is_said(data, tmp_path, sandbox):
    measure(data, tmp_path / "one", sandbox, half)
    measure(data, tmp_path / "two", sandbox, half)
    assert compare([tmp_path / "one", tmp_path / "two"]).notes == ()
    change(tmp_path / "two", policy="qwen, endpoint")
    change_settings(tmp_path / "two", batch_size=99)
    [note] = compare([tmp_path / "one", tmp_path / "two"]).notes
    assert "sampled by different backends" in note


def test_other_versions_are_said(data, tmp_path, sandbox):
    measure(data, tmp_path / "one", sandbox, half)
    measure(data, tmp_path / "two", sandbox, half)
    change(tmp_path / "two", versions={**read_scores(tmp_path / "two").versions, "torch": "0.1", "vllm": "0.2"})
    comparison = compare([tmp_path / "one", tmp_path / "two"])
    assert comparison.notes == ("Pass rate: the models were measured with different versions of torch, vllm.",)


def test_a_partial_score_and_one_that_is_not_held_out_are_marked(data, tmp_path, sandbox):
    texts = [{"prompt": reward_row(w, q)["prompt"][0]["content"], "response": "x"} for w in WORDS for q in range(2)]
    measure_texts(data, tmp_path / "one", sandbox, *texts)
    seen = Seen(checked=("sft.jsonl",), instructions=2)
    measure_texts(data, tmp_path / "two", sandbox, *texts, seen=seen)
    assert compare([tmp_path / "one", tmp_path / "two"]).notes == (
        "Pass rate, one, two: PARTIAL, 20 of 30 prompts are scored (10 prompts have no response).",
        "Pass rate, two: NOT HELD OUT: 2 instructions, 0 queries and 0 functions of these prompts are in sft.jsonl.",
    )


def test_one_folder_the_same_twice_and_one_without_results_are_refused(data, tmp_path, sandbox):
    measure(data, tmp_path / "one", sandbox, half)
    with pytest.raises(ConfigError, match="two or more different"):
        compare([tmp_path / "one"])
    with pytest.raises(ConfigError, match="two or more different"):
        compare([tmp_path / "one", tmp_path / "." / "one"])
    with pytest.raises(StoreError, match="holds no finished evaluation"):
        compare([tmp_path / "one", tmp_path / "nothing"])


def test_folders_of_the_same_name_are_told_apart(data, tmp_path, sandbox):
    for name in ("a", "b"):
        measure(data, tmp_path / name / "eval", sandbox, half)
    assert compare([tmp_path / "a" / "eval", tmp_path / "b" / "eval"]).models == ("a/eval", "b/eval")


def test_the_figure_has_each_score_and_each_difference_with_its_interval(data, tmp_path, sandbox):
    measure(data, tmp_path / "some", sandbox, some)
    measure(data, tmp_path / "better", sandbox, slightly_better)
    comparison = compare([tmp_path / "some", tmp_path / "better"])
    plot_comparison(comparison, tmp_path / "plots" / "scores.svg")
    root = ET.fromstring((tmp_path / "plots" / "scores.svg").read_text("utf-8"))
    ids = {element.get("id") for element in root.iter()}
    drawn = {f"Pass rate {score} {model}" for score in ("accepted", "without faults") for model in ("some", "better")}
    drawn |= {f"difference Pass rate {score} better" for score in ("accepted", "without faults")}
    assert drawn | {f"{name} interval" for name in drawn} <= ids
    assert "difference Pass rate accepted some" not in ids
    said = {"".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"some", "better", "accepted answers (%)", "Difference to some", "difference (percentage points)"} <= said
