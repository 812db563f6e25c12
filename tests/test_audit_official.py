"""`autoif audit --gold ifeval`: official checkers over recorded responses."""

import gzip
import json

import pytest

from autoif.audit.gold import RESPONSES
from autoif.audit.material import Material, read_material
from autoif.audit.official_gold import NEAR_MISSES, OWN_CASES, OWN_RESPONSES, make_official_gold, read_recorded
from autoif.audit.rates import Level
from autoif.audit.run import Audit
from autoif.errors import ConfigError
from autoif.runs.store import AUDIT
from support.audited_run import TEA, write_run
from support.command import autoif_here, fails_here
from support.ifeval_data import TOKENIZERS, question
from support.training_data import write_rows

KEYWORD = "Include keywords ['tea'] in the response."
TEA_QUESTION = question(7, "Praise hot drinks.", keywords__existence={"keywords": ["tea"], "unused": None})
MILK_QUESTION = question(8, "Praise cold drinks.", keywords__existence={"keywords": ["milk"]})
OTHER_QUESTION = question(9, "Sing.", punctuation__no_comma={})
FOLLOW = ("I love tea, really.", "Green tea is the best of all.")
FAIL = ("I love coffee.", "Cocoa it is.")


@pytest.fixture(autouse=True)
def tokenizers(monkeypatch):
    monkeypatch.setenv("NLTK_DATA", str(TOKENIZERS))


@pytest.fixture
def data(tmp_path):
    """Recorded responses in several forms: by prompt and by key, packed, with rows of something else between."""
    folder = tmp_path / "data" / "ifeval"
    (folder / "recorded").mkdir(parents=True)
    write_rows(folder / "prompts.jsonl", TEA_QUESTION, MILK_QUESTION, OTHER_QUESTION)
    write_rows(
        folder / "by_prompt.jsonl",
        {"prompt": "Praise hot drinks.", "response": FOLLOW[0]},
        {"prompt": "Praise hot drinks.", "response": f"<think>milk</think>{FAIL[0]}"},
        {"something": "else"},
        {"prompt": "Praise hot drinks.", "response": None},
    )
    rows = [{"model": "m", "key": 8, "response": FAIL[1]}, {"model": "m", "key": 9, "response": FOLLOW[1]}]
    packed = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "recorded" / "by_key.jsonl.gz").write_bytes(gzip.compress(packed.encode()))
    return tmp_path / "data"


def read(run) -> Audit:
    return Audit.model_validate_json((run / AUDIT).read_bytes())


def test_official_checkers_judge_recorded_responses_near_misses_and_what_the_run_has(tmp_path, data):
    run = write_run(tmp_path / "run", instruction=KEYWORD)
    labels = make_official_gold("ifeval", data, read_material(run)).of(KEYWORD)
    assert labels[RESPONSES] == {**dict.fromkeys(FOLLOW, True), **dict.fromkeys(FAIL, False)}
    assert labels[NEAR_MISSES]
    assert not any(labels[NEAR_MISSES].values())
    assert not any("tea" in text.lower() for text in labels[NEAR_MISSES])
    assert labels[OWN_RESPONSES] == {"hot tea": True, "teapot": True, "coffee": False, "Tea!": True}
    assert labels[OWN_CASES] == {"tea please": True, "no": False, "teacup": True}


def test_functions_and_data_are_measured_by_them(tmp_path, data, monkeypatch, capsys):
    run = write_run(tmp_path / "run", instruction=KEYWORD)
    monkeypatch.setenv("AUTOIF_DATA", str(data))
    autoif_here("audit", run, "--gold", "IFEval")
    gold = read(run).gold
    assert (gold.name, {each.group for each in gold.levels}) == (
        "IFEval",
        {RESPONSES, NEAR_MISSES, OWN_RESPONSES, OWN_CASES},
    )
    kept = next(each for each in gold.levels if (each.group, each.level) == (RESPONSES, Level.MAJORITY))
    assert (kept.tpr.value, kept.tnr.value, kept.j.value) == (100, 100, 100)
    assert (gold.consequences.sft.rows, gold.consequences.sft.right.value) == (2, 100)
    assert (gold.consequences.pairs.rows, gold.consequences.unwritten) == (2, 4)
    assert gold.consequences.responses.tpr == pytest.approx(200 / 3)
    assert (gold.consequences.cases.known, gold.consequences.cases.right.value) == (3, 100)
    assert "1 of the run's 2 instructions have no gold" in capsys.readouterr().out


def test_the_same_responses_are_chosen_every_time(tmp_path, data, monkeypatch):
    for name, value in {"MOST_OF_SAME": 1, "MOST_OF_KIND": 2, "MOST": 3}.items():
        monkeypatch.setattr(f"autoif.audit.official_gold.{name}", value)
    material = read_material(write_run(tmp_path / "run", instruction=KEYWORD))
    chosen = list(make_official_gold("ifeval", data, material).of(KEYWORD)[RESPONSES])
    assert len(chosen) == 3
    assert chosen[0] in {FOLLOW[0], FAIL[0]}
    assert chosen[1:] == [FAIL[1], FOLLOW[1]]  # of the kind, of any other
    assert list(make_official_gold("ifeval", data, material).of(KEYWORD)[RESPONSES]) == chosen


def test_words_that_do_not_tell_all_are_left_out_and_said(tmp_path, data):
    words = "Your ENTIRE response should be in German language, no other language is allowed."
    material = read_material(write_run(tmp_path / "run", instruction=words))
    gold = make_official_gold("ifeval", data, material)
    assert gold.rows == 0
    assert any("the words of language:response_language don't tell its checker all" in note for note in gold.notes)


def test_recorded_data_that_can_not_be_used_is_refused_in_a_line(tmp_path, data, monkeypatch):
    run = write_run(tmp_path / "run", instruction=KEYWORD)
    monkeypatch.delenv("AUTOIF_DATA", raising=False)
    assert "name their folder by --data" in fails_here("audit", run, "--gold", "ifeval")
    assert "is no folder of recorded responses" in fails_here(
        "audit", run, "--gold", "ifeval", "--data", tmp_path / "no"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "has no recorded prompts" in fails_here("audit", run, "--gold", "ifeval", "--data", empty)
    ours = write_run(tmp_path / "ours", instruction=TEA)
    said = fails_here("audit", ours, "--gold", "ifbench", "--data", data)
    assert "none of the run's 2 instructions is in the official words of IFBench" in said


def test_prompts_and_responses_are_joined_by_text_or_key(data):
    recorded = read_recorded(data / "ifeval")
    assert set(recorded.responses) == {*FOLLOW, *FAIL}
    assert recorded.find_asked(FAIL[1]) == {("keywords:existence", '{"keywords": ["milk"]}')}


def test_a_run_without_functions_for_official_words_says_so(tmp_path, data):
    material = Material(tmp_path, "complete", "> 0.5", ())
    with pytest.raises(ConfigError, match="none of the run's 0 instructions"):
        make_official_gold("ifeval", data, material)
