"""What is held out: by instruction, reproducibly, and with proof."""

import json
import re

import pytest

from autoif.datasets.rows import RewardRow
from autoif.datasets.split import Overlap, Source, find_overlap, read_sources, split_instructions
from autoif.errors import ConfigError, StoreError
from autoif.reading.jsonl import read_jsonl
from autoif.records import Instruction, VerifiedInstruction
from autoif.runs.whole_files import write_jsonl
from support.command import autoif_here, fails_here
from support.records import accepts, verified


def make(name: str, *sources: str) -> VerifiedInstruction:
    """Return a verified instruction of its own, with a function of its own unless sources are given."""
    record = verified(sources or (accepts(name),))
    return record.model_copy(update={"id": name, "instruction": Instruction.of(f"Use the word {name}.", "seed")})


MANY = [make(f"word{number}") for number in range(200)]


def texts(side) -> set[str]:
    return {each.instruction.text for each in side}


def test_every_instruction_is_on_one_side_in_its_order():
    train, held_out = split_instructions(MANY, 0.25, 0)
    assert sorted(texts(train) | texts(held_out)) == sorted(texts(MANY))
    assert not texts(train) & texts(held_out)
    assert held_out == [each for each in MANY if each in held_out]
    assert 30 <= len(held_out) <= 70


def test_adding_and_reordering_instructions_moves_none_of_the_others():
    _, few = split_instructions(MANY[:100], 0.25, 0)
    _, many = split_instructions(MANY[::-1], 0.25, 0)
    assert texts(few) == texts(many) & texts(MANY[:100])


def test_another_seed_is_another_split_and_a_larger_share_holds_the_smaller_one():
    splits = {share: texts(split_instructions(MANY, share, 0)[1]) for share in (0.2, 0.5)}
    assert splits[0.2] < splits[0.5]
    assert texts(split_instructions(MANY, 0.2, 1)[1]) != splits[0.2]


def test_instructions_with_a_function_in_common_stay_together_even_through_a_third():
    chains = [
        [
            make(f"a{n}", accepts(f"x{n}")),
            make(f"b{n}", accepts(f"x{n}"), accepts(f"y{n}")),
            make(f"c{n}", accepts(f"y{n}")),
        ]
        for n in range(40)
    ]
    _, held_out = split_instructions([each for chain in chains for each in chain], 0.5, 0)
    sizes = {len(texts(chain) & texts(held_out)) for chain in chains}
    assert sizes == {0, 3}


@pytest.mark.parametrize("share", [0, 1, -0.5, 25])
def test_a_share_beyond_0_and_1_is_refused(share):
    with pytest.raises(ConfigError, match="more than 0 and less than 1"):
        split_instructions(MANY, share, 0)


def test_a_split_with_an_empty_side_is_refused():
    with pytest.raises(ConfigError, match="make more instructions"):
        split_instructions(MANY[:1], 0.5, 0)


def test_an_instruction_that_joined_files_have_twice_doubles_no_data(tmp_path):
    other = make("word0", accepts("otherwise"))  # of another run, with other functions
    write_jsonl(tmp_path / "joined.jsonl", [*MANY[:3], other])
    queries = tmp_path / "queries.txt"
    queries.write_text("How does a lighthouse keeper spend the night?\n")
    for command in (
        ("split", tmp_path / "joined.jsonl", "-o", tmp_path / "split"),
        (
            "prompts",
            "--instructions",
            tmp_path / "joined.jsonl",
            "--queries",
            queries,
            "-o",
            tmp_path / "prompts.jsonl",
        ),
        ("run", "paper", "--plan", "--instructions", tmp_path / "joined.jsonl", "--queries", queries),
    ):
        said = fails_here(*command)
        assert re.search(r"joined\.jsonl, line 4: instruction \w+ \('Use the word word0\.'\) is there twice", said)
    assert {path.name for path in tmp_path.iterdir()} == {"joined.jsonl", "queries.txt"}


def row(instruction: str, query: str, *functions: str) -> Source:
    return Source((instruction,), query, functions)


def test_overlap_is_found_in_instructions_in_queries_and_in_functions():
    trained = [row("i1", "q1", "f1"), row("i2", "", "f2")]
    assert find_overlap(trained, [row("i1", "q9", "f9")]) == Overlap(instructions=("i1",))
    assert find_overlap(trained, [row("i9", "q1", "f9")]) == Overlap(queries=("q1",))
    assert find_overlap(trained, [row("i9", "q9", "f2")]) == Overlap(functions=1)
    assert (
        find_overlap(trained, [row("i2", "q1", "f1")]).describe()
        == "1 instructions (i2), 1 queries (q1) and 1 functions"
    )


def test_a_pair_of_the_instruction_level_has_no_query_to_share():
    assert not find_overlap([row("i1", "", "f1")], [row("i2", "", "f2")])


def test_rows_that_do_not_tell_where_they_are_from_are_refused(tmp_path):
    path = tmp_path / "sft.jsonl"
    turns = [{"role": "user", "content": "a"}]
    judged = {"instruction_id": "i", "functions": ["f"]}
    exported = {"messages": turns, "functions": ["f"], "instruction_id": "i", "query_id": "q"}
    for row, said in [
        ({"messages": []}, "no SftRow row"),
        ({"messages": turns, "query_id": "q"}, "it doesn't tell where it comes from"),
        ({"messages": turns, "query_id": "q", "constraints": [{"functions": ["f"]}]}, "it doesn't tell where"),
        ({"messages": turns, "constraints": [judged]}, "it doesn't tell where it comes from"),
        (
            {"prompt": turns, "chosen": turns, "rejected": turns, "level": "query", "constraints": [judged]},
            "tell where",
        ),
        (exported, "an export for a trainer, where the run's own file is wanted"),
    ]:
        path.write_text(json.dumps(row) + "\n", encoding="utf-8")
        with pytest.raises(StoreError, match=f"line 1: .*{said}"):
            read_sources(path)
    path.write_text(json.dumps({"messages": turns, "constraints": [judged], "query_id": "q"}), encoding="utf-8")
    assert read_sources(tmp_path) == [Source(("i",), "q", ("f",))]
    path.write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="has no rows of"):
        read_sources(tmp_path)


def test_a_run_is_split_and_its_held_out_side_asked_with_other_queries(tmp_path, capsys):
    write_jsonl(tmp_path / "run" / "instructions.jsonl", MANY[:20])
    autoif_here("split", tmp_path / "run", "--held-out", 0.3, "-o", tmp_path / "split")
    train = read_jsonl(tmp_path / "split" / "train.jsonl", VerifiedInstruction)
    held_out = read_jsonl(tmp_path / "split" / "held_out.jsonl", VerifiedInstruction)
    assert f"{len(train)} instructions" in capsys.readouterr().out
    assert (train, held_out) == split_instructions(MANY[:20], 0.3, 0)

    for name in ("train", "held_out"):
        queries = tmp_path / f"{name}.txt"
        queries.write_text("".join(f"What is the {name} question {n} about?\n" for n in range(9)), encoding="utf-8")
        autoif_here("prompts", "--instructions", tmp_path / "split" / f"{name}.jsonl", "--queries", queries,
            "--per-instruction", 3, "-o", tmp_path / f"{name}_prompts.jsonl",
            *(["--unseen-by", tmp_path / "train_prompts.jsonl"] if name == "held_out" else []),
        )  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "held_out_prompts.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 3 * len(held_out)
    assert {each["constraints"][0]["instruction"] for each in rows} == texts(held_out)
    assert all(each["prompt"][0]["content"].startswith("What is the held_out question") for each in rows)
    assert rows[0]["constraints"][0]["functions"] == [function.source for function in held_out[0].functions]


def test_prompts_have_as_many_instructions_as_asked_for(tmp_path):
    write_jsonl(tmp_path / "some.jsonl", MANY[:4])
    queries = tmp_path / "queries.txt"
    queries.write_text("".join(f"What is question {n} about?\n" for n in range(9)), encoding="utf-8")
    options = ["prompts", "--instructions", tmp_path / "some.jsonl", "--queries", queries, "--per-instruction", 6]
    for most in (1, 3):
        autoif_here(*options, "--max-constraints", most, "-o", tmp_path / f"{most}.jsonl")
    alone, several = ([row.constraints for row in read_jsonl(tmp_path / f"{n}.jsonl", RewardRow)] for n in (1, 3))
    assert [len(each) for each in several] == 4 * [1, 1, 2, 2, 3, 3]
    assert [each[:1] for each in several] == alone
    assert "has 4 instructions: lower --max-constraints 5" in fails_here(
        *options, "--max-constraints", 5, "-o", tmp_path / "x.jsonl"
    )
    assert "--max-constraints 4 needs --per-instruction 4 at least" in fails_here(
        *options, "--max-constraints", 4, "--per-instruction", 2, "-o", tmp_path / "x.jsonl"
    )


def test_prompts_that_training_data_has_seen_are_refused(tmp_path):
    write_jsonl(tmp_path / "run" / "instructions.jsonl", MANY[:3])
    queries = tmp_path / "queries.txt"
    queries.write_text("What is this question about?\n", encoding="utf-8")
    options = ["prompts", "--instructions", tmp_path / "run", "--queries", queries, "--per-instruction", 1]
    autoif_here(*options, "-o", tmp_path / "first.jsonl")
    line = fails_here(*options, "-o", tmp_path / "x.jsonl", "--unseen-by", tmp_path / "first.jsonl")
    assert "was trained on and shares 3 instructions" in line
    assert not (tmp_path / "x.jsonl").exists()


def test_a_folder_keeps_the_split_that_it_has(tmp_path):
    write_jsonl(tmp_path / "instructions.jsonl", MANY)
    autoif_here("split", tmp_path, "-o", tmp_path / "split")
    before = (tmp_path / "split" / "train.jsonl").read_bytes()
    autoif_here("split", tmp_path, "-o", tmp_path / "split")
    assert "choose another --output" in fails_here("split", tmp_path, "--seed", 1, "-o", tmp_path / "split")
    assert (tmp_path / "split" / "train.jsonl").read_bytes() == before


def test_fewer_queries_than_asked_for_and_no_instructions_are_refused(tmp_path):
    write_jsonl(tmp_path / "some.jsonl", MANY[:3])
    write_jsonl(tmp_path / "none.jsonl", [])
    queries = tmp_path / "queries.txt"
    queries.write_text("What is this question about?\n", encoding="utf-8")
    options = ["--queries", queries, "-o", tmp_path / "x.jsonl"]
    assert "1 that can be used, and --per-instruction is 8" in fails_here(
        "prompts", "--instructions", tmp_path / "some.jsonl", *options
    )
    assert "there is nothing to ask" in fails_here("prompts", "--instructions", tmp_path / "none.jsonl", *options)
    assert "can't be read" in fails_here("split", tmp_path / "nowhere.jsonl", "-o", tmp_path / "s")
