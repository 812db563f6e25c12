"""What of benchmarks is in training data: runs of words, short prompts, nearest neighbours."""

import gzip
import json
import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from autoif.contamination import nearest
from autoif.contamination.measure import ContaminationComparison, compare
from autoif.contamination.nearest import find_nearest
from autoif.contamination.overlap import split_words
from autoif.contamination.prompts import BenchmarkPrompt, read_prompts
from autoif.contamination.results import check_clean, list_contaminated, list_nearest, report, write_clean
from autoif.contamination.training_rows import list_files, read_rows
from autoif.errors import ConfigError
from support.followbench_data import write_data
from support.ifeval_data import write_questions
from support.training_data import preference_rows, reward_rows, sft_rows, turn, write_rows

COUNTING = "one two three four five six seven eight nine ten eleven twelve thirteen"


def probe(*texts: str) -> list[BenchmarkPrompt]:
    return [BenchmarkPrompt("mine", str(number), text) for number, text in enumerate(texts, 1)]


def look(folder: Path, prompts: list[BenchmarkPrompt], *rows: dict, ngram: int = 13) -> ContaminationComparison:
    return compare([write_rows(folder / "train.jsonl", *rows)], prompts, ngram, 2, print)


def pairs(comparison: ContaminationComparison) -> list[tuple[str, str, str]]:
    return [(row.row, each.id, each.what) for row in list_contaminated(comparison) for each in row.shared]


def test_thirteen_words_in_a_row_are_an_overlap_and_twelve_are_none(tmp_path):
    prompts = probe(f"Please write {COUNTING}!", COUNTING.upper().replace(" ", ", "))
    shared = {"prompt": f"Say: {COUNTING}.", "completion": "No."}
    twelve = {"prompt": COUNTING.removesuffix(" thirteen"), "completion": "No."}
    found = look(tmp_path, prompts, twelve, shared)
    assert pairs(found) == [("train.jsonl:2", "1", "run"), ("train.jsonl:2", "2", "run")]
    numbers = report(found).benchmarks["mine"]
    assert (numbers.prompts, numbers.overlapping, numbers.overlapping_percent) == (2, 2, 100)
    assert (numbers.rows, numbers.rows_percent, numbers.short) == (1, 50, 0)


def test_an_answer_can_hold_a_prompt_and_no_run_goes_from_one_text_into_the_next(tmp_path):
    words = COUNTING.split()
    answered = {"messages": [turn("user", "Count."), turn("assistant", COUNTING)]}
    divided = {"messages": [turn("user", " ".join(words[:6])), turn("assistant", " ".join(words[6:]))]}
    assert pairs(look(tmp_path, probe(COUNTING), divided, answered)) == [("train.jsonl:2", "1", "run")]
    assert pairs(look(tmp_path, probe(" ".join(words[:6]), " ".join(words[6:])), answered, ngram=13)) == []


def test_a_short_prompt_overlaps_where_it_is_asked_word_for_word_and_whole(tmp_path):
    asked = [{"prompt": text, "completion": "No."} for text in ("praise TEA", "Praise tea now.", "Tea!")]
    found = look(
        tmp_path, probe("Praise tea.", "Praise milk.", "…"), *asked, {"prompt": "x", "completion": "praise tea"}
    )
    assert pairs(found) == [("train.jsonl:1", "1", "prompt")]
    numbers = report(found).benchmarks["mine"]
    assert (numbers.overlapping, numbers.short, numbers.short_matching) == (0, 3, 1)
    assert numbers.overlapping_percent == pytest.approx(100 / 3)


def test_runs_equal_a_search_through_all_of_them(tmp_path):
    chance = random.Random(1)
    texts = [" ".join(chance.choices("abc", k=chance.randrange(12))) or "-" for _ in range(120)]
    prompts, rows = texts[:40], texts[40:]
    found = look(tmp_path, probe(*prompts), *({"prompt": text, "completion": "-"} for text in rows), ngram=5)

    def runs(text: str) -> set[tuple[str, ...]]:
        words = split_words(text)
        return {tuple(words[at : at + 5]) for at in range(len(words) - 4)}

    expected = {
        (row, prompt)
        for row, text in enumerate(rows)
        for prompt, asked in enumerate(prompts)
        if runs(text) & runs(asked)
    }
    assert {
        (row, prompt) for row, shared in found.data.shared.items() for prompt in shared if shared[prompt] == "run"
    } == expected
    assert expected


def test_a_chinese_character_is_a_word():
    assert split_words("写一首诗, in 3 lines_x") == ["写", "一", "首", "诗", "in", "3", "lines_x"]
    assert split_words("Don't: ÉTÉ") == ["don", "t", "été"]


@pytest.mark.parametrize("block", [3, 16_384])
def test_the_nearest_are_those_of_a_plain_computation(monkeypatch, block):
    monkeypatch.setattr(nearest, "_BLOCK", block)
    chance = random.Random(2)
    texts = [" ".join(chance.choices("abcdefghijklmnopq", [17 - n for n in range(17)], k=9)) for _ in range(60)]
    prompts, known = [*texts[:10], "zz", ""], texts[10:]
    found = find_nearest(prompts, known, 3)
    having = Counter(word for text in [*prompts, *known] for word in set(text.split()))

    def weigh(text: str) -> dict[str, float]:
        weights = {
            word: (1 + math.log(count)) * (1 + math.log((1 + 62) / (1 + having[word])))
            for word, count in Counter(text.split()).items()
        }
        length = math.sqrt(sum(weight**2 for weight in weights.values()))
        return {word: weight / length for word, weight in weights.items()}

    for index, prompt in enumerate(prompts):
        ours = weigh(prompt)
        scores = [sum(ours.get(word, 0) * weight for word, weight in weigh(text).items()) for text in known]
        best = sorted((score for score in scores if score), reverse=True)[:3]
        assert found.scores[index, : len(best)] == pytest.approx(best, abs=1e-5)
        assert (found.texts[index, len(best) :] == -1).all()
        for text, score in zip(found.texts[index], best, strict=False):
            assert scores[text] == pytest.approx(score, abs=1e-5)


def test_a_prompt_that_is_there_has_itself_as_nearest_and_its_first_row_is_named(tmp_path):
    rows = [{"prompt": text, "completion": "-"} for text in ("Boil water.", "Praise tea.", "Praise tea.", "Sell milk.")]
    found = look(tmp_path, probe("Praise tea.", "Something else."), *rows)
    first, second = list_nearest(found)
    assert (first.nearest[0].row, first.nearest[0].similarity) == ("train.jsonl:2", 1)
    assert first.overlaps
    assert second.nearest == ()
    assert report(found).asked == 3


FORMS = {
    "messages": ({"messages": [turn("system", "s"), turn("user", "q"), turn("assistant", "a")]}, ("q",), ("s", "a")),
    "sharegpt": ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, ("q",), ("a",)),
    "sharegpt in a cell": ({"conversations": json.dumps([turn("user", "q"), turn("assistant", "a")])}, ("q",), ("a",)),
    "columns of turns": ({"messages": {"role": ["user", "assistant"], "content": ["q", "a"]}}, ("q",), ("a",)),
    "a prompt in a cell": ({"prompt": str([turn("user", "q")]), "completion": "a"}, ("q",), ("a",)),
    "preferences": (
        {"prompt": [turn("user", "q")], "chosen": [turn("assistant", "a")], "rejected": [turn("assistant", "b")]},
        ("q",), ("a", "b"),
    ),
    "completion": ({"prompt": "q", "completion": "a"}, ("q",), ("a",)),
    "alpaca": ({"instruction": "q", "input": "i", "output": "a"}, ("q\ni",), ("a",)),
    "dolly": ({"instruction": "q", "context": "c", "response": "a", "category": "qa"}, ("q\nc",), ("a",)),
    "recorded": ({"query": "q", "instruction": "i", "completions": ["a", "b"]}, ("q\ni",), ("a", "b")),
    "verified": ({"id": "1", "instruction": {"id": "2", "text": "i", "origin": "seed"}}, ("i",), ()),
    "text": ({"text": "a"}, (), ("a",)),
    "pairs alone": (
        {"chosen": [turn("user", "q"), turn("assistant", "a")],
         "rejected": [turn("user", "q"), turn("assistant", "b")]},
        ("q",), ("a", "b"),
    ),
    "sharegpt pairs": (
        {"chosen": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "rejected": []}, ("q",), ("a",),
    ),
    "llama-factory pairs": (
        {"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "a"},
         "rejected": {"from": "gpt", "value": "b"}},
        ("q",), ("a", "b"),
    ),
    "transcript": ({"text": "### Human: q### Assistant: a"}, ("q",), ("### Human: q### Assistant: a",)),
    "transcripts of a pair": (
        {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"},
        ("q",), ("\n\nHuman: q\n\nAssistant: a", "\n\nHuman: q\n\nAssistant: b"),
    ),
    "input and output": ({"input": "q", "output": "a"}, ("q",), ("a",)),
    "turns and output": ({"input": [turn("user", "q")], "output": "a"}, ("q",), ("a",)),
    "aya": ({"inputs": "q", "targets": "a"}, ("q",), ("a",)),
    "capitals": ({"Prompt": "q", "Response": "a"}, ("q",), ("a",)),
    "a batch": ({"custom_id": "1", "body": {"messages": [turn("user", "q")]}}, ("q",), ()),
    "a server's answer": ({"prompt": "q", "choices": [{"message": {"content": "a"}}]}, ("q",), ("a",)),
    "ultrafeedback": ({"instruction": "q", "completions": [{"response": "a"}]}, ("q",), ("a",)),
}  # fmt: skip


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl.gz"])
def test_training_data_may_be_a_table_or_packed(tmp_path, name):
    path = tmp_path / name
    match name:
        case "t.parquet":
            parquet.write_table(pyarrow.table({"prompt": ["q"], "completion": ["a"]}), path)
        case "t.csv":
            path.write_text("prompt,completion\nq,a\n")
        case _:
            path.write_bytes(gzip.compress(b'{"prompt": "q", "completion": "a"}\n'))
    [row] = read_rows(list_files([path]))
    assert (row.asked, row.said) == (("q",), ("a",))
    with pytest.raises(ConfigError, match="takes rows out of"):
        check_clean([path], tmp_path / "clean")


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_row_is_read_for_what_it_asks_and_says(tmp_path, form):
    row, asked, said = FORMS[form]
    [read] = read_rows([write_rows(tmp_path / "train.jsonl", row)])
    assert (read.asked, read.said) == (asked, said)
    listed = tmp_path / "train.json"
    listed.write_text(json.dumps([row]), encoding="utf-8")
    assert [each.asked for each in read_rows([listed])] == [asked]


def test_functions_are_read_in_the_forms_of_a_run_and_of_others(tmp_path):
    forms = [
        {"constraints": [{"functions": ["f"], "verdicts": None}]},
        {"functions": ["f"]},
        {"functions": [{"id": "1", "source": "f"}]},
        {"verifiers": ["f", ""]},
        {"matrix": {"functions": [{"id": "1", "source": "g"}, {"id": "2", "source": "f"}]}, "kept_functions": [1]},
    ]
    rows = read_rows([write_rows(tmp_path / "train.jsonl", *({"prompt": "q", **form} for form in forms))])
    assert [functions for row in rows for _, functions in row.constraints] == [("f",)] * 5


def test_rows_without_text_are_counted(tmp_path):
    blank = [{"messages": []}, {"conversations": [{"from": "human", "value": " "}]}, {"prompt": None}]
    found = look(tmp_path, probe("Praise tea."), *blank, {"prompt": "Praise tea."})
    assert report(found).blank == 3
    assert pairs(found) == [("train.jsonl:4", "1", "prompt")]


def test_a_run_folder_is_its_data_sets(tmp_path):
    for name, rows in {"sft": sft_rows(), "preferences": preference_rows(), "rewards": reward_rows()}.items():
        write_rows(tmp_path / f"{name}.jsonl", *rows)
    files = list_files([tmp_path])
    assert [file.name for file in files] == ["sft.jsonl", "preferences.jsonl", "rewards.jsonl"]
    found = compare(files, probe("Say milk."), 13, 1, print)
    assert pairs(found) == [(f"{file.name}:2", "1", "prompt") for file in files]
    assert len(found.data.asked) == 6


def test_clean_files_are_what_they_were_without_the_rows_that_overlap(tmp_path):
    train = tmp_path / "train.jsonl"
    lines = [json.dumps({"prompt": text, "text": "ü"}, ensure_ascii=False) for text in ("Praise  tea", "Sell milk")]
    train.write_text(f"{lines[0]}\n\n{lines[1]}\r\n", encoding="utf-8", newline="")
    write_clean(compare([train], probe("Praise tea."), 13, 1, print), tmp_path / "clean")
    assert (tmp_path / "clean" / "train.jsonl").read_bytes() == f"\n{lines[1]}\r\n".encode()
    with pytest.raises(ConfigError, match="write over"):
        write_clean(compare([train], probe("Praise tea."), 13, 1, print), tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        '[\n{"prompt": "a"}\n]',
        '{"prompt": "a"}'.encode("utf-16"),
        gzip.compress(b'{"prompt": "a"}'),
        '{"prompt": "a"}\r{"prompt": "b"}\r',
    ],
    ids=["a list", "UTF-16", "packed", "line ends of an old Mac"],
)
def test_files_whose_lines_are_not_their_rows_are_not_cleaned(tmp_path, content):
    train = tmp_path / "train.jsonl"
    train.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match="write it a row a line"):
        write_clean(compare([train], probe("Praise tea."), 13, 1, print), tmp_path / "clean")
    assert not (tmp_path / "clean").exists()


def test_each_constraint_of_a_row_is_an_instruction_of_its_own(tmp_path):
    both = [{"instruction": name, "functions": [f"of {name}"], "verdicts": ["pass"]} for name in ("Short.", "Loud.")]
    found = look(tmp_path, probe("Tea"), {"prompt": "q", "constraints": both}, {"prompt": "q", "verifiers": ["bare"]})
    assert found.data.functions == {("of Short.",): (0, "Short."), ("of Loud.",): (0, "Loud."), ("bare",): (1, "q")}


def test_benchmarks_are_read_from_their_own_files_and_others_from_rows_of_prompts(tmp_path):
    data = {
        "ifeval": write_questions(tmp_path),
        "followbench": write_data(tmp_path / "followbench", {"style": 2, "example": 1}),
        "mine": write_rows(tmp_path / "mine.jsonl", {"prompt": "Praise tea.", "more": 1}),
    }
    prompts = read_prompts(list(data), data)
    assert Counter(prompt.benchmark for prompt in prompts) == {"ifeval": 3, "followbench": 15, "mine": 1}
    assert prompts[0].instructions == ("punctuation:no_comma",)
    assert prompts[-1] == BenchmarkPrompt("mine", "1", "Praise tea.")


def test_similarities_are_the_same_for_any_order_of_rows(tmp_path):
    rows = [{"prompt": f"Praise {word} with {word} words", "completion": "-"} for word in ("tea", "milk", "water")]
    prompts = probe("Praise milk with words.")
    one, two = look(tmp_path, prompts, *rows), look(tmp_path, prompts, *reversed(rows))
    assert np.allclose(one.nearest.scores, two.nearest.scores)
    assert next(list_nearest(one)).nearest[0].text == "Praise milk with milk words"
