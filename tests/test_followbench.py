"""FollowBench: prompts, judgements and scores, equal to recorded ones; and what can't be scored as it is."""

import csv
import json
from pathlib import Path

import datasets
import pytest

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.benchmark import evaluate, take_recorded
from autoif.evaluation.followbench.benchmark import describe_items, load_benchmark, score_items
from autoif.evaluation.followbench.data import SIZES, Item, fetch_items, read_items
from autoif.evaluation.followbench.judging import ResponseJudgement, find_files, read_judgement, write_question
from autoif.evaluation.results import Scores
from support.followbench_data import ask, instruct, respond, write_data, write_judgements
from support.packed_data import unpack
from support.training_data import write_rows

DATA = unpack("followbench")
RECORDED = DATA / "recorded_llama3-8b"


def read_csv(name: str) -> list[str]:
    """Return the recorded scores of a file, without the model's name."""
    with (RECORDED / "evaluation_result" / name).open(encoding="utf-8") as file:
        return list(csv.reader(file))[1][1:]


def score_recorded(folder: Path, responses: Path, judgements: Path, data: Path) -> Scores:
    benchmark = load_benchmark(read_items(data), judgements, folder, print)
    files = find_files(responses, "responses") if responses.is_dir() else []
    return evaluate(benchmark, take_recorded(responses, files), folder, print)


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Scores:
    folder = tmp_path_factory.mktemp("llama")
    return score_recorded(folder, RECORDED / "api_output", RECORDED / "gpt4_discriminative_eval_output", DATA / "data")


@pytest.mark.parametrize("kind", ["content", "style", "format", "example"])
def test_recorded_judgements_give_the_recorded_scores(llama, kind):
    table = llama.parts[kind]
    for metric in ("hsr", "ssr"):
        name = "example_rule_based.csv" if kind == "example" else f"{kind}_{metric}.csv"
        levels = [table[f"{metric}_{level}"] for level in range(1, 6)]
        assert [f"{level.value:.2f}%" for level in levels] == read_csv(name)
        assert all(level.low <= level.value <= level.high for level in levels)
    assert [str(round(table["csl"].value, 1))] == read_csv(f"{kind}_csl.csv")


def test_judgements_that_cant_be_read_are_named_and_scored_beside(llama):
    assert llama.counts["unread"].named == (
        "content/9/5: 3 verdicts on 5 constraints",
        "format/2/4: 3 verdicts on 4 constraints",
        "format/4/4: 3 verdicts on 4 constraints",
        "format/21/4: 3 verdicts on 4 constraints",
    )
    counted, read = llama.parts["format"], llama.details["scores_of_read"]["format"]
    assert read["hsr_4"]["value"] == pytest.approx(100 * (0.4667 * 30 + 3) / 27, abs=0.1)
    assert read["hsr_5"]["value"] == counted["hsr_5"].value
    assert read["csl"]["clusters"] == 27


def test_a_score_without_some_responses_is_partial(llama):
    assert llama.partial == ("625 of 820 prompts are scored", "195 prompts have no response")
    assert {key.split("/")[0] for key in llama.counts["missing"].named} == {"situation"}
    counts = {name: llama.counts[name].count for name in ("missing", "unknown", "duplicates", "unjudged")}
    assert counts == {"missing": 195, "unknown": 0, "duplicates": 0, "unjudged": 0}
    assert llama.prompts == 625


def test_the_official_data_is_whole_in_both_languages():
    for language, folder, prompts in (("en", "data", 820), ("zh", "data_zh", 790)):
        found = read_items(DATA / folder)
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
    assert fetch_items("en").sha256 == read_items(DATA / "data").sha256
    assert fetch_items("zh").sha256 == read_items(DATA / "data_zh").sha256
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: whole.remove_columns("level"))
    with pytest.raises(ConfigError, match="has another form than it had"):
        fetch_items("en")
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: 1 / 0)
    with pytest.raises(ConfigError, match=r"can't be fetched \(division by zero\): name a folder of prompts by --data"):
        fetch_items("en")


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
        ("['YES', {[]}]", 2, "no list in its last line"),
        (r"['YES', 'NOT\_']", 2, r"'NOT\\_' is neither YES nor NO"),
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
    items = read_items(write_data(tmp_path, {"style": 1})).items
    question = write_question(items[2], "My response.")
    assert [question.count(instruct("style", 1, level) + "\n") for level in range(5)] == [1, 1, 1, 1, 0]
    assert "=== Response ===\nMy response.\n" in question
    assert "['YES', 'NO', 'YES']" in question


def judged(kind: str, level: int, *satisfied: bool, group: int = 1) -> tuple[Item, list[ResponseJudgement]]:
    """Return a prompt with one judged response; without verdicts the judgement can't be read."""
    said = ResponseJudgement("", satisfied or None, None if satisfied else "no list in its last line")
    return Item(kind, f"{kind}/{group}", level, "quora", ("Write.",), "", None), [said]


def test_levels_in_a_row_end_at_the_first_that_is_missed():
    missed = [judged("style", 1, True), judged("style", 2, True, True), judged("style", 3, True, False, True)]
    rest = [judged("style", 4, *[True] * 4), judged("style", 5, *[True] * 5)]
    table = score_items(describe_items([*missed, *rest]))["style"]
    assert table["csl"].value == 2
    assert table["hsr_3"].value == 0
    assert table["ssr_3"].value == pytest.approx(200 / 3)
    assert table["hsr_average"].value == 80
    assert score_items(describe_items(missed))["style"]["csl"] is None


def test_what_cant_be_read_counts_minus_one_as_officially_and_is_left_out_beside():
    some = [judged("style", 1, True), judged("style", 1, group=2)]
    over_all = score_items(describe_items(some))["overall"]
    assert over_all["hsr_1"].value == over_all["ssr_1"].value == 0
    assert score_items(describe_items(some, with_unread=False))["overall"]["hsr_1"].value == 100


def test_every_type_counts_alike_over_all():
    style = [judged("style", 1, True, group=number) for number in range(9)]
    mixed = [judged("mixed", 1, False), judged("mixed", 1, False, group=2)]
    over_all = score_items(describe_items([*style, *mixed]))["overall"]
    assert over_all["hsr_1"].value == 50
    assert over_all["hsr_1"].clusters == 11
    assert over_all["hsr_2"] is None


def test_rows_that_fit_no_prompt_or_come_twice_are_named_and_not_scored(tmp_path):
    rows = respond({"example": 2})
    rows[3]["response"] = "  "
    rows[4]["finish_reason"] = "length"
    extra = [{"prompt": "Another prompt.", "response": "x"}, {**rows[0], "response": "No."}]
    file = write_rows(tmp_path / "responses.jsonl", *rows[:-1], *extra)
    benchmark = load_benchmark(read_items(write_data(tmp_path / "data", {"example": 2})), None, tmp_path, print)
    scores = evaluate(benchmark, take_recorded(file), tmp_path / "out", print)
    named = {name: counted.named for name, counted in scores.counts.items()}
    assert named["unknown"] == ("responses.jsonl, row 10: 'Another prompt.'",)
    assert named["duplicates"] == ("responses.jsonl, row 11: example/1/1",)
    assert (named["missing"], named["empty"], named["truncated"]) == (
        ("example/2/5",),
        ("example/1/4",),
        ("example/1/5",),
    )
    assert scores.scores["hsr_1"].value == 100
    assert scores.scores["hsr_4"].value == 50
    assert scores.settings["judge"] is None
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
    named = {name: counted.named for name, counted in scores.counts.items()}
    assert named["unjudged"] == ("style/1/4",)
    assert named["duplicate_judgements"] == ("model_style_constraint.jsonl, row 6: style/1/1",)
    assert [line.split(": ", 1)[1] for line in named["unknown_judgements"]] == [
        "judges another response to style/1/4",
        "a question about no prompt that a judge decides",
    ]
    assert scores.partial[-1] == "1 responses have no judgement"
    assert scores.scores["hsr_5"].value == 100
    assert scores.scores["hsr_4"] is None
    assert scores.scores["csl"] is None


def change(file: Path, **fields: object) -> None:
    """Change the last row of a file of prompts."""
    rows = json.loads(file.read_text("utf-8"))
    rows[-1] |= fields
    file.write_text(json.dumps(rows), encoding="utf-8")


def test_data_of_something_else_is_refused_with_the_reason(tmp_path):
    with pytest.raises(ConfigError, match=r"is no FollowBench data: it has no content_constraints\.json"):
        read_items(tmp_path)
    file = write_data(tmp_path, {"content": 1}) / "content_constraints.json"
    change(file, level=4)
    with pytest.raises(ConfigError, match="example 1 has level 4 twice"):
        read_items(tmp_path)
    change(file, level=6)
    with pytest.raises(ConfigError, match=r"has levels \[0, 1, 2, 3, 4, 6\], not 0 to 5"):
        read_items(tmp_path)
    change(file, level=5, source="CONLL2003", target="Bonn")
    with pytest.raises(ConfigError, match="level 5, has a target that its rule can't read"):
        read_items(tmp_path)
    change(file, instruction=" ")
    with pytest.raises(ConfigError, match="level 5, has no instruction"):
        read_items(tmp_path)
    file.write_text('[{"key": 1000, "prompt": "Write."}]', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is no FollowBench file \(element 1: example_id: Field required\)"):
        read_items(tmp_path)
    file.write_text("[", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1: broken JSON"):
        read_items(tmp_path)
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_items(tmp_path)


def test_responses_and_judgements_of_something_else_are_refused(tmp_path):
    data = write_data(tmp_path / "data", {"style": 1})
    folder = write_judgements(tmp_path / "two", "style", [("x", "YES")])

    def score(responses: Path) -> Scores:
        return score_recorded(tmp_path / "out", responses, folder, data)

    other = write_rows(tmp_path / "other.jsonl", {"prompt": "Write.", "response": "x"})
    with pytest.raises(ConfigError, match="has no response to any of the 5 prompts of FollowBench"):
        score(other)
    with pytest.raises(StoreError, match=r"line 1: no RecordedRow row .*neither response nor choices"):
        score(write_rows(tmp_path / "bare.jsonl", {"prompt": "Write."}))
    with pytest.raises(ConfigError, match="has no responses: name a folder with files"):
        score(tmp_path)
    rows = write_rows(tmp_path / "r.jsonl", *respond({"style": 1}))
    with pytest.raises(ConfigError, match="has no judgement of any of these responses"):
        score(rows)
    (folder / "other_style_constraint.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"of several models: model_style_.* and other_style_"):
        score(rows)
