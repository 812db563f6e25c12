"""FollowBench: prompts, judgements and scores, equal to recorded ones; and what can't be scored as it is."""

import csv
import json
from pathlib import Path

import datasets
import pytest

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.followbench.data import SIZES, read_benchmark
from autoif.evaluation.followbench.hub import fetch_benchmark
from autoif.evaluation.followbench.judging import read_judgement, write_question
from autoif.evaluation.followbench.measure import Scores, Task, measure, read_answers
from autoif.evaluation.followbench.recorded import read_responses
from autoif.evaluation.followbench.scoring import PromptResult, SampleResult, score
from followbenching import ask, instruct, respond, write_data, write_judgements
from packing import unpack
from training import write_rows

DATA = unpack("followbench")
RECORDED = DATA / "recorded_llama3-8b"


def read_csv(name: str) -> list[str]:
    """Return the recorded scores of a file, without the model's name."""
    with (RECORDED / "evaluation_result" / name).open(encoding="utf-8") as file:
        return list(csv.reader(file))[1][1:]


def score_recorded(folder: Path, responses: Path, judgements: Path, data: Path) -> Scores:
    task = Task(read_benchmark(data), judgements, folder, print)
    return measure(read_answers(responses, task), task)


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Scores:
    folder = tmp_path_factory.mktemp("llama")
    return score_recorded(folder, RECORDED / "api_output", RECORDED / "gpt4_discriminative_eval_output", DATA / "data")


@pytest.mark.parametrize("kind", ["content", "style", "format", "example"])
def test_recorded_judgements_give_the_recorded_scores(llama, kind):
    table = llama.scores.types[kind]
    for metric in ("hsr", "ssr"):
        name = "example_rule_based.csv" if kind == "example" else f"{kind}_{metric}.csv"
        levels = [getattr(table, metric)[str(level)] for level in range(1, 6)]
        assert [f"{level.value:.2f}%" for level in levels] == read_csv(name)
        assert all(level.low <= level.value <= level.high for level in levels)
    assert [str(round(table.csl.value, 1))] == read_csv(f"{kind}_csl.csv")


def test_judgements_that_cant_be_read_are_named_and_scored_beside(llama):
    assert llama.unread == (
        "content/9/5: 3 verdicts on 5 constraints",
        "format/2/4: 3 verdicts on 4 constraints",
        "format/4/4: 3 verdicts on 4 constraints",
        "format/21/4: 3 verdicts on 4 constraints",
    )
    counted, read = llama.scores.types["format"], llama.scores_of_read.types["format"]
    assert read.hsr["4"].value == pytest.approx(100 * (0.4667 * 30 + 3) / 27, abs=0.1)
    assert read.hsr["5"].value == counted.hsr["5"].value
    assert read.csl.clusters == 27


def test_a_score_without_some_responses_is_partial(llama):
    assert llama.partial == ("195 prompts have no response",)
    assert {key.split("/")[0] for key in llama.missing} == {"situation", "mixed"}
    assert (llama.prompts, llama.unknown, llama.duplicates, llama.unjudged) == (625, (), (), ())


def test_the_official_data_is_whole_in_both_languages():
    for language, folder, prompts in (("en", "data", 820), ("zh", "data_zh", 790)):
        found = read_benchmark(DATA / folder)
        assert (found.language, len(found.items), found.lacks) == (language, prompts, ())
        assert prompts == 5 * sum(SIZES[language].values())
        judged = [item for item in found.items if item.rule is None]
        assert all(len(item.instructions) == item.level + 1 for item in judged)
        assert {item.type for item in judged} == {"content", "situation", "style", "format", "mixed"}


def test_the_data_set_of_the_hub_is_taken_apart_into_the_files_that_it_was_made_of(monkeypatch):
    files = [DATA / folder / f"{kind}_constraints.json" for folder in ("data_zh", "data") for kind in SIZES["en"]]
    rows = [row for file in files for row in json.loads(file.read_text("utf-8"))]
    whole = datasets.Dataset.from_list([{"answer": None, **row} for row in rows])
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: whole)
    assert len(whole) == 1852
    assert fetch_benchmark("en").sha256 == read_benchmark(DATA / "data").sha256
    assert fetch_benchmark("zh").sha256 == read_benchmark(DATA / "data_zh").sha256
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: whole.remove_columns("level"))
    with pytest.raises(ConfigError, match="has another form than it had"):
        fetch_benchmark("en")
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: 1 / 0)
    with pytest.raises(ConfigError, match=r"can't be fetched \(division by zero\): name a folder of prompts by --data"):
        fetch_benchmark("en")


@pytest.mark.parametrize(
    ("text", "level", "satisfied"),
    [
        ("Fine.\n['YES', 'NO']", 2, (True, False)),
        ("3) Here: ['YES', 'YES', 'NO']", 3, (True, True, False)),
        ("```python\n['NO', 'N/A']\n```", 2, (False, False)),
        ('["YES", "MAYBE"]', 2, (True, False)),
        ("Yes.\nNO", 1, (False,)),
        ("It is YES", 1, (True,)),
    ],
)
def test_a_judgement_is_read_from_its_last_line(text, level, satisfied):
    assert read_judgement(text, level).satisfied == satisfied


@pytest.mark.parametrize(
    ("text", "level", "problem"),
    [
        ("", 1, "neither YES nor NO in its last line"),
        ("I like it.", 1, "neither YES nor NO in its last line"),
        ("['YES', 'NO']\nThat is all.", 2, "no list in its last line"),
        ("[YES, NO]", 2, "no list in its last line"),
        ("[__import__('os').abort()]", 2, "no list in its last line"),
        ("['YES', 'NO']", 3, "2 verdicts on 3 constraints"),
        ("['YES', 'FINE']", 2, "'FINE' is neither YES nor NO"),
        ("['YES', ['NO']]", 2, "\"['NO']\" is neither YES nor NO"),
    ],
)
def test_nonsense_is_no_verdict(text, level, problem):
    judgement = read_judgement(text, level)
    assert judgement.satisfied is None
    assert judgement.problem == problem


def test_the_judge_sees_how_the_instruction_grew(tmp_path):
    items = read_benchmark(write_data(tmp_path, {"style": 1})).items
    question = write_question(items[2], "My response.")
    assert [question.count(instruct("style", 1, level) + "\n") for level in range(5)] == [1, 1, 1, 1, 0]
    assert "=== Response ===\nMy response.\n" in question
    assert "['YES', 'NO', 'YES']" in question


def result(kind: str, level: int, *satisfied: bool, group: int = 1) -> PromptResult:
    """Return a judged prompt with one response; without verdicts the judgement can't be read."""
    sample = SampleResult(satisfied=satisfied or None, problem=None if satisfied else "no list in its last line")
    group_id = f"{kind}/{group}"
    return PromptResult(
        id=f"{group_id}/{level}", type=kind, group=group_id, level=level, source="quora", by="judge", samples=(sample,)
    )


def test_levels_in_a_row_end_at_the_first_that_is_missed():
    missed = [result("style", 1, True), result("style", 2, True, True), result("style", 3, True, False, True)]
    rest = [result("style", 4, *[True] * 4), result("style", 5, *[True] * 5)]
    table = score([*missed, *rest]).types["style"]
    assert table.csl.value == 2
    assert table.hsr["3"].value == 0
    assert table.ssr["3"].value == pytest.approx(200 / 3)
    assert table.hsr["average"].value == 80
    assert score(missed).types["style"].csl is None


def test_what_cant_be_read_counts_minus_one_as_officially_and_is_left_out_beside():
    results = [result("style", 1, True), result("style", 1, group=2)]
    assert score(results).overall.hsr["1"].value == score(results).overall.ssr["1"].value == 0
    assert score(results, with_unread=False).overall.hsr["1"].value == 100


def test_every_type_counts_alike_over_all():
    style = [result("style", 1, True, group=number) for number in range(9)]
    tables = score([*style, result("mixed", 1, False), result("mixed", 1, False, group=2)])
    assert tables.overall.hsr["1"].value == 50
    assert tables.overall.hsr["1"].clusters == 11
    assert tables.overall.hsr["2"] is None


def test_rows_that_fit_no_prompt_or_come_twice_are_named_and_not_scored(tmp_path):
    rows = respond({"example": 2})
    rows[3]["response"] = "  "
    rows[4]["finish_reason"] = "length"
    extra = [{"prompt": "Another prompt.", "response": "x"}, {**rows[0], "response": "No."}]
    file = write_rows(tmp_path / "responses.jsonl", *rows[:-1], *extra)
    task = Task(read_benchmark(write_data(tmp_path / "data", {"example": 2})), None, tmp_path / "out", print)
    scores = measure(read_answers(file, task), task)
    assert scores.unknown == ("responses.jsonl, row 10: 'Another prompt.'",)
    assert scores.duplicates == ("responses.jsonl, row 11: example/1/1",)
    assert (scores.missing, scores.empty, scores.truncated) == (("example/2/5",), ("example/1/4",), ("example/1/5",))
    assert scores.scores.overall.hsr["1"].value == 100
    assert scores.scores.overall.hsr["4"].value == 50
    assert scores.judge is None
    assert scores.partial[-1] == "1 prompts have no response"
    assert "the data lacks prompts (example: 2 of 40 initial instructions)" in scores.partial


def test_a_judgement_of_another_response_is_not_taken(tmp_path):
    groups = {"style": 1}
    rows = respond(groups)
    questions = [ask("style", 1, level, rows[level - 1]["response"]) for level in range(1, 6)]
    said = [(asked, str(["YES"] * level)) for level, asked in enumerate(questions, 1)]
    said[3] = (questions[3].replace("Bot: yes", "Something else"), said[3][1])
    judgements = write_judgements(tmp_path / "judgements", "style", [*said, said[0], ("What is this?", "YES")])
    scores = score_recorded(
        tmp_path / "out", write_rows(tmp_path / "r.jsonl", *rows), judgements, write_data(tmp_path / "data", groups)
    )
    assert scores.unjudged == ("style/1/4",)
    assert scores.duplicates == ("model_style_constraint.jsonl, row 6: style/1/1",)
    assert [line.split(": ", 1)[1] for line in scores.unknown] == [
        "judges another response to style/1/4",
        "a question about no prompt that a judge decides",
    ]
    assert scores.scores.overall.hsr["5"].value == 100
    assert scores.scores.overall.hsr["4"] is None
    assert scores.scores.overall.csl is None


def change(file: Path, **fields: object) -> None:
    """Change the last row of a file of prompts."""
    rows = json.loads(file.read_text("utf-8"))
    rows[-1] |= fields
    file.write_text(json.dumps(rows), encoding="utf-8")


def test_data_of_something_else_is_refused_with_the_reason(tmp_path):
    with pytest.raises(ConfigError, match=r"is no FollowBench data: it has no content_constraints\.json"):
        read_benchmark(tmp_path)
    file = write_data(tmp_path, {"content": 1}) / "content_constraints.json"
    change(file, level=4)
    with pytest.raises(ConfigError, match="example 1 has level 4 twice"):
        read_benchmark(tmp_path)
    change(file, level=6)
    with pytest.raises(ConfigError, match=r"has levels \[0, 1, 2, 3, 4, 6\], not 0 to 5"):
        read_benchmark(tmp_path)
    change(file, level=5, source="CONLL2003", target="Bonn")
    with pytest.raises(ConfigError, match="level 5, has a target that its rule can't read"):
        read_benchmark(tmp_path)
    change(file, instruction=" ")
    with pytest.raises(ConfigError, match="level 5, has no instruction"):
        read_benchmark(tmp_path)
    file.write_text('[{"key": 1000, "prompt": "Write."}]', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is no FollowBench file \(0\.example_id: Field required\)"):
        read_benchmark(tmp_path)
    file.write_text("[", encoding="utf-8")
    with pytest.raises(ConfigError, match="broken JSON, line 1"):
        read_benchmark(tmp_path)
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_benchmark(tmp_path)


def test_responses_and_judgements_of_something_else_are_refused(tmp_path):
    items = read_benchmark(write_data(tmp_path / "data", {"style": 1})).items
    other = write_rows(tmp_path / "other.jsonl", {"prompt": "Write.", "response": "x"})
    with pytest.raises(ConfigError, match="has no response to any of these prompts"):
        read_responses(other, items)
    with pytest.raises(StoreError, match=r"line 1: no RecordedRow row .*neither response nor choices"):
        read_responses(write_rows(tmp_path / "bare.jsonl", {"prompt": "Write."}), items)
    with pytest.raises(ConfigError, match="has no responses: name a folder with files"):
        read_responses(tmp_path, items)
    folder = write_judgements(tmp_path / "two", "style", [("x", "YES")])
    (folder / "other_style_constraint.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"of several models: model_style_.* and other_style_"):
        read_responses(folder, items)
    (folder / "other_style_constraint.jsonl").unlink()
    rows = write_rows(tmp_path / "r.jsonl", *respond({"style": 1}))
    with pytest.raises(ConfigError, match="has no judgement of any of these responses"):
        score_recorded(tmp_path / "out", rows, folder, tmp_path / "data")
