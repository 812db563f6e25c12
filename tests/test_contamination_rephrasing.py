"""Prompts in other words: neighbours by a model's vectors, and a judge's word on them."""

import asyncio
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from autoif.contamination.rephrasing import read_answer, write_question
from autoif.contamination.results import Neighbour
from support.command import autoif_here
from support.ifeval_data import read_rows, write_questions
from support.stub_server import Body, Reply, StubServer, answer
from support.tiny_model import write_tiny_model
from support.training_data import write_rows

TWO = [
    Neighbour(row=f"train.jsonl:{n}", text=f"Praise {word}.", similarity=0.5) for n, word in ((4, "tea"), (7, "milk"))
]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Both differ.\nNONE", ()),
        ("none.", ()),
        ("The first is the same.\n\n1\n", ("train.jsonl:4",)),
        ("**1, 2**", ("train.jsonl:4", "train.jsonl:7")),
        ("It is tea.\nSAME 1", ("train.jsonl:4",)),
        ("Same: 1 2.", ("train.jsonl:4", "train.jsonl:7")),
        ("2 and 1", ("train.jsonl:7", "train.jsonl:4")),
    ],
)
def test_the_last_line_names_what_is_the_same(text, same):
    assert read_answer(text, TWO).same == same


@pytest.mark.parametrize("text", ["", "1 is the same", "NONE\nI hope that helps", "3", "0", "yes", "1,", "SAME"])
def test_what_can_not_be_read_is_neither_yes_nor_no(text):
    said = read_answer(text, TWO)
    assert said.same is None
    assert said.problem


def test_the_question_holds_the_prompt_and_all_of_its_neighbours():
    question = write_question("Write of tea.", TWO)
    for part in ("Write of tea.", "=== Training prompt 1 ===\nPraise tea.", "=== Training prompt 2 ===\nPraise milk."):
        assert part in question


@pytest.fixture
def train(tmp_path) -> Path:
    asked = ("Write a title for it.", "Tell of tea, but use no commas.", "Boil water.")
    return write_rows(tmp_path / "train.jsonl", *({"prompt": text, "completion": "Tea."} for text in asked))


def judge(verdicts: dict[str, str]) -> Reply:
    """Answer NONE but where the test prompt has a part of `verdicts`."""

    async def reply(request: web.Request, body: Body) -> web.StreamResponse:
        tested = body["messages"][-1]["content"].partition("=== Training prompt 1")[0]
        said = next((text for part, text in verdicts.items() if part in tested), "They differ.\nNONE")
        return web.json_response(answer(body, message={"role": "assistant", "content": said}))

    return reply


async def test_a_judge_is_asked_once_about_each_prompt_and_what_it_says_is_counted(train, tmp_path, capsys):
    verdicts = {"of tea, without": "The same.\n1", "a title": "I can't say."}
    options = ["--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}", "-o", tmp_path / "out"]
    async with StubServer(default=judge(verdicts)) as server:
        options += ["--judge-model", "j", "--judge-base-url", server.url]
        await asyncio.to_thread(autoif_here, "contamination", train, *options)
        report = (tmp_path / "out" / "report.json").read_bytes()
        await asyncio.to_thread(autoif_here, "contamination", train, *options)
        assert len(server.bodies) == 3
    assert (tmp_path / "out" / "report.json").read_bytes() == report
    assert json.loads(report)["benchmarks"]["ifeval"]["rephrasing"] == {
        "judge": "j", "judged": 3, "rephrased": 1, "unread": 1,
    }  # fmt: skip
    said = capsys.readouterr()
    assert "1 of 3 prompts, says j; 1 answers can't be read" in said.out
    assert "3 of 3 prompts judged" in said.err
    rows = {row["id"]: row["rephrasing"] for row in read_rows(tmp_path / "out" / "nearest.jsonl")}
    assert rows["3"]["same"] == ["train.jsonl:2"]
    assert (rows["2"]["same"], rows["2"]["text"]) == (None, "I can't say.")


@pytest.mark.parametrize("options", [["--judge-model", "j"], ["--embeddings", "model"]])
def test_work_that_is_worth_keeping_needs_a_folder(train, capsys, options):
    with pytest.raises(SystemExit):
        autoif_here("contamination", train, *options)
    assert "need an --output" in capsys.readouterr().err


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


def find_nearest_by_embedding(*given: object):
    """Call it, and import only here what takes seconds and no other test needs."""
    from autoif.contamination.embedding import find_nearest_by_embedding as find

    return find(*given)


def test_the_nearest_by_embedding_are_those_of_each_text_embedded_alone(model, tmp_path):
    texts = ["Boil water.", "Praise tea", "Praise tea and milk and water and all that is hot", "x"]
    found = find_nearest_by_embedding(["Praise tea", "Boil"], texts, 4, str(model), tmp_path / "all", print)
    assert (found.texts[0, 0], found.scores[0, 0]) == (1, pytest.approx(1, abs=1e-5))
    for place, text in enumerate(texts):
        alone = find_nearest_by_embedding(["Boil"], [text], 1, str(model), tmp_path / str(place), print)
        together = dict(zip(found.texts[1].tolist(), found.scores[1].tolist(), strict=True))
        assert together.get(place, 0) == pytest.approx(float(alone.scores[0, 0]), abs=1e-5)
    assert (np.diff(found.scores) <= 0).all()


def test_vectors_are_kept_and_only_new_texts_are_embedded(model, tmp_path):
    said: list[str] = []
    first = find_nearest_by_embedding(["a"], ["b", "c"], 2, str(model), tmp_path, said.append)
    second = find_nearest_by_embedding(["a"], ["b", "c", "d"], 2, str(model), tmp_path, said.append)
    assert [line.partition(" texts")[0] for line in said if "have vectors" in line] == ["0 of 3", "3 of 4"]
    with sqlite3.connect(tmp_path / "embeddings.sqlite") as store:
        assert store.execute("SELECT count(*) FROM vectors").fetchone() == (4,)
    store.close()
    assert first.scores[0, 0] <= second.scores[0, 0] + 1e-6


def test_neighbours_by_embedding_are_in_the_rows(train, model, tmp_path):
    options = ["--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}", "-o", tmp_path / "out"]
    autoif_here("contamination", train, *options, "--embeddings", model, "--neighbours", 2)
    rows = read_rows(tmp_path / "out" / "nearest.jsonl")
    assert [len(row["nearest_by_embedding"]) for row in rows] == [2, 2, 2]


def test_what_is_no_model_is_refused_in_one_line(train, tmp_path, capsys):
    options = ["--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}", "-o", tmp_path / "out"]
    with pytest.raises(SystemExit):
        autoif_here("contamination", train, *options, "--embeddings", tmp_path / "nowhere")
    assert "there is no model folder" in capsys.readouterr().err
