"""The page of trainings and evaluations: numbers are the files', the order is the one given, and texts stay texts."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.comparison import compare
from autoif.evaluation.results import PromptResult
from autoif.page.elements import show_text
from autoif.page.folders import FolderKind, find_kind
from autoif.page.measured import build_measured_page
from support.command import autoif_here, fails_here
from support.measured_folders import BY_TYPE, answer_prompts, write_evaluation, write_training

TRAP = "</pre></table><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;\u202e\x07"
BEFORE = {"tea": (0.0,) * 10, "milk": (100.0,) * 10, "rice": (100.0, 0.0)}
AFTER = {"tea": (100.0,) * 10, "milk": (100.0,) * 5 + (0.0,) * 5, "rice": (0.0, 100.0)}


class PageParser(HTMLParser):
    """Takes a page apart: tables by caption, elements, attributes, visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.images: list[dict[str, str | None]] = []
        self.headings: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self._text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._open.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])
        self._text = ""

    def handle_data(self, data):
        self._text += data

    def handle_endtag(self, tag):
        text = self._text
        if tag in {"td", "th"}:
            self._rows[-1].append(text)
        elif tag == "caption":
            self.tables[text] = self._rows
        elif tag in {"h1", "h2", "h3", "h4"}:
            self.headings.append(text)
        elif tag in {"pre", "li"}:
            self.texts.append(text)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Return a folder with two trainings and the evaluations of the models before and after."""
    place = tmp_path_factory.mktemp("measured")
    write_training(place / "zebra", losses=(3.25, 2, 1.5))
    write_training(place / "apple", kind="dpo", text=TRAP)
    for name, accepted in (("first", BEFORE), ("after", AFTER)):
        rows = answer_prompts(accepted)
        write_evaluation(place / name, rows, {row.id: f"{name} says {row.id}" for row in rows})
    return place


@pytest.fixture(scope="module")
def page(folders) -> str:
    return build_measured_page([folders / name for name in ("zebra", "apple", "first", "after")])


@pytest.fixture(scope="module")
def parsed(page) -> PageParser:
    return PageParser(page)


def test_trainings_stand_before_evaluations_each_in_the_order_given(parsed):
    assert parsed.headings[0] == "Trainings and evaluations: zebra, apple, first, after"
    parts = ["Trainings", "Curves", "Training settings", "Scores", "By instruction", "Answers", "What was measured"]
    assert [each for each in parsed.headings if each in parts] == parts
    assert parsed.tables["How each was trained"][0] == ["fact", "zebra", "apple"]
    assert parsed.tables["Pass rate"][0] == ["fact", "first", "after"]


def test_the_facts_and_curves_of_a_training_are_those_of_its_files(parsed):
    facts = {row[0]: row[1:] for row in parsed.tables["How each was trained"]}
    assert facts["method"][0] == "supervised fine-tuning (SFT), all weights"
    assert facts["steps"] == ["3, global batch 4", "2, global batch 4"]
    curves = {row[0]: row[1:] for row in parsed.tables["Curves in numbers"]}
    assert curves["SFT loss: zebra"] == ["3", "1", "3.25", "1.5", "3.25", "3", "1.5"]
    assert curves["DPO loss: apple"][2] == "3"
    assert "learning rate: zebra" in curves
    assert parsed.tables["Settings in which they differ"][1][:2] == ["note", "tiny"]


def test_the_scores_are_those_of_compare(folders, parsed):
    [benchmark] = compare([folders / "first", folders / "after"]).benchmarks
    scores = [row[2:5] for row in parsed.tables["Pass rate: scores and differences to first, with 95 % intervals"][1:]]
    found = [each[0] for each in benchmark.models.values()]
    assert [row[0].split()[0] for row in scores] == [f"{each.interval.value:.1f}" for each in found]
    assert f"[{found[1].interval.low:.1f}, {found[1].interval.high:.1f}" in scores[1][0]
    assert scores[1][1].startswith(f"{found[1].difference.value:+.1f} [")


def test_instructions_stand_by_what_they_gained_with_their_intervals(parsed):
    name = "Pass rate accepted: accepted answers (%), by instruction"
    head, tea, rice, milk = parsed.tables[name]
    assert head == ["instruction", "prompts", "first", "after", "after less first"]
    assert tea[:4] == ["Use tea.", "10", "0.0", "100.0"]
    assert rice[:4] == ["Use rice.", "2", "50.0", "50.0"]
    assert milk[:4] == ["Use milk.", "10", "100.0", "50.0"]
    assert re.fullmatch(r"-50\.0 \[-\d+\.\d, -\d+\.\d\]", milk[4])
    assert any("Of 3 differences 1 are surely gains and 1 surely losses" in text for text in parsed.texts)


def test_answers_before_and_after_are_of_the_prompts_that_changed_most(parsed):
    answers = parsed.texts[parsed.texts.index("first says tea9") - 1 :]
    assert answers[:3] == ["Question 9. Use tea.", "first says tea9", "after says tea9"]
    changes = [each for each in parsed.headings if each.startswith("Prompt ")]
    assert [each.split(": ")[1] for each in changes[:4]] == ["+100.0 points", "-100.0 points"] * 2
    assert len(changes) == 12
    assert "first: 0 of 1 right" in parsed.headings


def test_instructions_of_ifeval_are_told_by_their_type(tmp_path):
    def rows(*verdicts):
        return [
            PromptResult(
                id=str(n), key=str(n), cluster=str(n), scores={"instruction_strict": some},
                details={"instructions": ["comma", "title"]},
            )
            for n, some in enumerate(verdicts)
        ]  # fmt: skip

    write_evaluation(tmp_path / "a", rows((0.0, 100.0), (100.0, 100.0)), {}, column=BY_TYPE)
    write_evaluation(tmp_path / "b", rows((100.0, 0.0), (100.0, 100.0)), {}, column=BY_TYPE)
    found = PageParser(build_measured_page([tmp_path / "a", tmp_path / "b"]))
    table = found.tables["IFEval In(S): instructions followed, strictly (%), by instruction"]
    assert [row[:4] for row in table[1:]] == [["comma", "2", "50.0", "100.0"], ["title", "2", "100.0", "50.0"]]
    assert any("a, b: the folder holds no texts of answers" in text for text in found.texts)


def test_the_figures_are_inside_the_page(parsed):
    curves, scores = (base64.b64decode(each["src"].partition("base64,")[2]).decode() for each in parsed.images)
    assert 'id="loss zebra"' in curves
    assert 'id="difference Pass rate accepted after"' in scores
    assert all(each["alt"] for each in parsed.images)


def test_nothing_of_a_stranger_is_markup(tmp_path, parsed):
    rows = [
        row.model_copy(update={"prompt": TRAP, "details": {"instructions": [TRAP]}}) for row in answer_prompts(BEFORE)
    ]
    answers = {row.id: TRAP for row in rows}
    folders = [write_training(tmp_path / "<i>training", text=TRAP)]
    folders += [write_evaluation(tmp_path / name, rows, answers, text=TRAP) for name in ("<b>one", "'\"two")]
    page = build_measured_page(folders)
    found = PageParser(page)
    assert found.elements <= parsed.elements
    assert not found.elements & {"script", "i", "b", "iframe", "object", "link"}
    assert not any(name.startswith("on") for name in found.attributes)
    assert page.count("<img ") == 2
    shown = "</pre></table><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;\\u202e\\u0007"
    assert found.texts.count(shown) == 12 * 3
    assert "default-src 'none'" in page
    assert "http" not in re.sub(r"http-equiv|http://www.w3.org/\S+", "", page)


def test_a_very_long_text_is_cut_and_says_so():
    assert show_text("é" * 100_000, most=10) == "é" * 10 + "\n… 99,990 more characters"


def test_the_command_writes_the_page_of_one_evaluation_without_differences(folders, tmp_path, capsys):
    autoif_here("report", folders / "first", "-o", tmp_path / "pages" / "first.html")
    assert capsys.readouterr().out.strip().endswith("pages/first.html")
    found = PageParser((tmp_path / "pages" / "first.html").read_text("utf-8"))
    assert found.headings[0] == "Evaluations: first"
    table = found.tables["Pass rate: scores, with 95 % intervals"]
    assert table[0] == ["score", "model", "value"]
    assert len(table) == 2
    assert not any("less" in cell for rows in found.tables.values() for cell in rows[0])


def test_a_training_that_is_not_finished_shows_how_far_it_is(tmp_path):
    write_training(tmp_path / "one")
    (tmp_path / "one" / "training.json").write_text(
        '{"identity": {}, "kind": "sft", "status": "interrupted", "model": {"name": "tiny"}, "settings": {"seed": 1}}'
    )
    found = PageParser(build_measured_page([tmp_path / "one"]))
    assert ["status", "interrupted"] in found.tables["How each was trained"]
    assert "SFT loss: one" in {row[0] for row in found.tables["Curves in numbers"]}
    (tmp_path / "one" / "metrics.jsonl").write_text("")
    assert "one: no step was logged yet" in PageParser(build_measured_page([tmp_path / "one"])).texts
    (tmp_path / "one" / "training.json").write_text('{"identity": {}, "kind": [], "status": 1, "settings": 3}')
    with pytest.raises(StoreError, match=r"training\.json: not as this version writes it"):
        build_measured_page([tmp_path / "one"])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "holds no run, no training and no evaluation"),
        (["notes.txt"], "holds no run, no training and no evaluation"),
        (["evaluation.json", "samples.jsonl"], "the evaluation is not finished"),
    ],
)
def test_a_folder_that_is_none_of_these_is_refused_in_one_line(tmp_path, files, said):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(StoreError, match=said) as refused:
        find_kind(tmp_path)
    assert "\n" not in str(refused.value)


def test_no_folder_a_file_and_a_run_among_others_are_refused(tmp_path, folders):
    with pytest.raises(StoreError, match="no such folder"):
        find_kind(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="a file; name its folder"):
        find_kind(tmp_path / "file")
    (tmp_path / "run.json").touch()
    assert find_kind(tmp_path) == FolderKind.RUN
    with pytest.raises(ConfigError, match="is a run, which has a page of its own: give `autoif report"):
        build_measured_page([folders / "first", tmp_path])
    (tmp_path / "run.json").unlink()
    assert "holds no run, no training and no evaluation" in fails_here("report", tmp_path)
    assert "twice" in fails_here("report", folders / "first", folders / "first")
