"""Official wordings are recognised, with their arguments; what people write otherwise is not."""

import json
import time

import pytest

import autoif
from autoif.benchmark_wordings import find_wording, is_benchmark_text, load_wordings
from autoif.contamination.constraint_trials import load_examples
from autoif.evaluation.ifeval_ifbench.data import read_questions
from autoif.instructions.seeds import load_seeds
from autoif.queries.pool import load_queries
from autoif.records import Reason, content_id
from support.ifeval_data import load_checkers
from support.packed_data import DATA, unpack
from support.processes import model_server
from write_benchmark_prompts import DIGESTS, list_prompts, make_lines

TYPES = [(benchmark, name) for benchmark, of_type in load_wordings().items() for name in of_type]


def describe(benchmark, name, arguments):
    """Return what the official checker says that it asks for."""
    checker, _ = load_checkers(benchmark).build(name, arguments, "A prompt.")
    return checker.build_description(**arguments)


@pytest.mark.parametrize(("benchmark", "name"), TYPES)
def test_the_words_are_those_of_the_official_checker_and_tell_its_arguments(benchmark, name):
    arguments = load_examples().of(benchmark)[name].arguments
    found = find_wording(describe(benchmark, name, arguments))
    assert found
    assert (found.benchmark, found.type) == (benchmark, name)
    told = {"language": "German"} if name == "language:response_language" else arguments
    assert found.arguments.items() <= told.items()


@pytest.mark.parametrize(
    ("benchmark", "file"),
    [("ifeval", "input_data.jsonl"), ("ifeval", "input_data_v0_2023-11.jsonl"), ("ifbench", "IFBench_test.jsonl")],
)
def test_every_instruction_of_the_official_prompts_is_found_in_its_official_words(benchmark, file):
    wanted = [each for row in read_questions(benchmark, unpack(benchmark) / file).rows for each in row.instructions]
    for name, arguments in wanted:
        if name == "combination:repeat_prompt" and not arguments:  # the first release has none of it
            continue
        words = describe(benchmark, name, arguments)
        found = find_wording(f"  {words.upper() if name == 'punctuation:no_comma' else words}\n")
        assert found, words
        assert found.type == name, words


@pytest.mark.parametrize(
    "seeds", [None, DATA.parents[1] / "examples/small_world/seeds.txt"], ids=["packaged", "small world"]
)
def test_no_seed_of_ours_is_in_official_words(seeds):
    assert [each.text for each in load_seeds(seeds).kept if find_wording(each.text)] == []


def test_the_digests_are_of_every_prompt_of_the_benchmarks():
    assert DIGESTS.read_text() == make_lines(), "run python tests/write_benchmark_prompts.py"


def test_a_prompt_of_a_benchmark_is_no_query_of_a_run(tmp_path):
    prompts = [prompt for prompt in list_prompts() if 20 < len(prompt) < 290]
    assert len(prompts) > 1_000
    path = tmp_path / "queries.jsonl"
    asked = [*prompts, f"  {prompts[0].upper()}\n", "How do I make tea for two people?"]
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in asked), encoding="utf-8")
    pool = load_queries(str(path), language="")
    assert [query.text for query in pool.kept] == ["How do I make tea for two people?"]
    assert pool.reasons == {Reason.BENCHMARK_PROMPT: len(prompts), Reason.NOT_TEXT: 1}  # one has a broken character


def test_no_query_of_ours_is_a_prompt_of_a_benchmark():
    world = DATA.parents[1] / "examples/small_world/queries.txt"
    for source in (None, str(world)):
        assert load_queries(source, min_chars=10).reasons[Reason.BENCHMARK_PROMPT] == 0


LONG = "Answer with at least 40 words."
COMMAS = "In your entire response, refrain from the use of any commas."


@pytest.mark.parametrize(
    "text",
    [
        f"1. {LONG}",
        f"- **{LONG}**",
        f"“{LONG}”",
        f"Rule 3: {LONG}",
        f"{LONG[:-1]} !",
        f"{LONG}..",
        f"\u200b{LONG}",
        f"2) {COMMAS}",
        COMMAS.replace(",", ""),
    ],
)
def test_numbering_marks_and_punctuation_hide_no_official_words(text):
    found = find_wording(text)
    assert found
    assert found.arguments in ({}, {"relation": "at least", "num_words": 40})


def test_curly_quotes_hide_no_official_words_and_tell_the_same_arguments():
    found = find_wording("Include keywords [‘tea’, ’milk’] in the response.")
    assert found
    assert found.arguments == {"keywords": ["tea", "milk"]}
    kept = find_wording("Finish your response with this exact phrase Hi!. No other words should follow this phrase.")
    assert kept
    assert kept.arguments == {"end_phrase": "Hi!"}


def test_a_list_that_python_can_not_hold_is_an_argument_as_it_is_written():
    found = find_wording("Include keywords [{[]}] in the response.")
    assert found
    assert found.arguments == {"keywords": "[{[]}]"}


def test_quotes_numbering_and_punctuation_hide_no_prompt():
    prompt = next(each for each in list_prompts() if '"' in each)
    curly = prompt.replace('"', "”").replace("'", "’")
    assert all(map(is_benchmark_text, [prompt, curly, f"3. {prompt}", f"“{prompt}”", f"{prompt} !"]))
    assert not is_benchmark_text(f"{prompt} And tell me why.")


OTHERS = (
    "",
    "Answer with exactly 3 words.",
    "Write at least 40 words.",
    "Do not use any commas.",
    "Answer with at least 40 words. Be kind.",
)


@pytest.mark.parametrize("text", OTHERS)
def test_other_words_are_none(text):
    assert find_wording(text) is None


def test_a_text_made_to_be_slow_is_not():
    start = time.process_time()
    for unit in ("once in your response, keyword ", "Include keyword ", "['", "in the 1-th sentence, as the "):
        find_wording(("Include keyword " + unit * 10_000)[:1_000])
        find_wording("Do not include keywords " + unit * 100_000)
        find_wording(f"Include keywords {'[' * 300}{']' * 300} in the response.")
    assert time.process_time() - start < 20


OFFICIAL = ("Include keywords ['the'] in the response.", "In your entire response, refrain from the use of any commas.")
OURS = 'Use the word "the".'
TRAINED = ("sft.jsonl", "preferences.jsonl", "rewards.jsonl")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with model_server(tmp_path_factory.mktemp("server")) as served:
        yield served


def run(folder, server, seeds, **options):
    """Make data of these seeds alone."""
    settings = {
        "self_instruct.rewrites_per_seed": 0,
        "augmentation.queries_per_instruction": 2,
        "rejection_sampling.pass_rate": ">= 0.5",
        "preferences.positive": ">= 0.5",
        "scoring.mean": ">= 6",
    }
    path = folder.with_suffix(".txt")
    path.write_text("\n".join(seeds), encoding="utf-8")
    given = options if "instructions" in options else {"seeds": path, **options}
    return autoif.run(
        "quickstart", output=folder, base_url=server.url, model="test", set=settings, progress=False, **given
    )


def test_texts_of_benchmarks_never_reach_training_data(server, tmp_path):
    made = run(tmp_path / "run", server, [*OFFICIAL, OURS])
    verified = [row["instruction"]["text"] for row in made.instructions]
    assert OFFICIAL[0] in verified
    sampled = (made.path / "07_scoring" / "kept-0000.jsonl").read_text()
    prompts = (made.path / "05_augmentation" / "kept-0000.jsonl").read_text()
    official = {row["id"] for row in map(json.loads, prompts.splitlines()) if OFFICIAL[0] in row["text"]}
    assert {row["prompt"] for row in map(json.loads, sampled.splitlines())} & official, "it has rows that could leak"
    for name in TRAINED:
        text = (made.path / name).read_text()
        assert OURS in json.loads(text.splitlines()[0])["constraints"][0]["instruction"]
        assert not any(words[:-1] in text for words in OFFICIAL), name
    assert any("are in the words of IFEval or IFBench" in note for note in made.manifest["notes"])

    again = run(tmp_path / "again", server, [OURS], instructions=made.path)
    for name in TRAINED:
        assert OFFICIAL[0] not in (again.path / name).read_text(), name


def test_a_run_of_official_words_alone_makes_no_data_and_says_why(server, tmp_path):
    with pytest.raises(autoif.NoData, match="1 of 1 instructions are in the words of IFEval or IFBench"):
        run(tmp_path / "run", server, OFFICIAL[:1])
    assert all((tmp_path / "run" / name).read_text() == "" for name in TRAINED)
    found = autoif.load_run(tmp_path / "run").audit()
    assert found.kept_instructions == 1


def test_the_benchmark_of_functions_has_38_instructions_of_which_a_third_is_aside_by_their_content():
    path = DATA.parents[1] / "benchmarks" / "data" / "ifeval_instructions.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    aside = {row["instruction"] for row in rows if row["part"] == "aside"}
    assert (len(rows), len({row["type"] for row in rows}), len(aside)) == (38, 23, 13)
    assert aside == set(sorted((row["instruction"] for row in rows), key=lambda text: content_id("aside", text))[:13])
    for row in rows:
        found = find_wording(row["instruction"])
        assert found
        assert (found.benchmark, found.type) == ("ifeval", row["type"])
