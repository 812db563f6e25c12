"""Prompts with several instructions that a run makes itself (`augmentation.max_constraints`)."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from autoif.audit.material import WrittenInstruction
from autoif.audit.observed import observe
from autoif.config import load_config
from autoif.datasets.writing import SampledShard, make_data_sets
from autoif.errors import ConfigError
from autoif.judging import Runner
from autoif.pipeline import Shard, run_shard
from autoif.planning.plan import PlannedInput, make_plan
from autoif.planning.yields import read_published
from autoif.queries.augmentation import augment
from autoif.records import Dropped, Instruction, Prompt, Query, Reason, Response, Verdict, VerifiedInstruction
from autoif.report.progress import NewestSample
from autoif.runs import store
from autoif.sandbox import Sandbox
from conftest import MakeTools
from support.command import run_here
from support.processes import data_of, model_server
from support.records import ACCEPT, accepts, verified
from support.scripted import ScriptedChat

QUERIES = [f"How many legs do {number} spiders have?" for number in range(30)]
THREE = ("augmentation.max_constraints=3", "augmentation.queries_per_instruction=9")
RUN = (
    *("--quiet", "--set", "self_instruct.max_instructions=12", "--set", "rejection_sampling.responses_per_prompt=4"),
    *("--set", "scoring.enabled=false", "--set", "back_translation.nli=chat", "--set", "execution.shard_size=5"),
)


def instruction_of(word: str, *functions: str) -> VerifiedInstruction:
    record = verified(functions or [accepts(word)])
    return record.model_copy(update={"instruction": Instruction.of(f"Use the word '{word}'.", "seed")})


SHARD = tuple(instruction_of(word) for word in ("tea", "milk", "jam", "salt", "rice"))


def open_nothing() -> AbstractAsyncContextManager[Runner]:
    raise AssertionError("no setting needs a sandbox")


async def prompts_of(make_tools: MakeTools, shard: tuple[VerifiedInstruction, ...], *settings: str) -> list[Prompt]:
    tools = replace(make_tools(*(settings or THREE), queries=QUERIES), partners=shard)
    return [each for each in await augment(shard[0], tools) if isinstance(each, Prompt)]


async def test_an_instruction_is_asked_alone_first_then_with_one_other_then_with_two(make_tools: MakeTools) -> None:
    prompts = await prompts_of(make_tools, SHARD)
    assert [len(each.constraints) for each in prompts] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert {each.constraints[0] for each in prompts} == {SHARD[0]}
    assert all(len(set(each.constraints)) == len(each.constraints) for each in prompts)
    assert len({each for prompt in prompts for each in prompt.constraints}) > 3
    assert len({each.id for each in prompts}) == len({each.query.id for each in prompts}) == 9
    for each in prompts:
        assert each.text == " ".join([each.query.text, *(one.instruction.text for one in each.constraints)])


async def test_prompts_with_one_instruction_are_those_of_a_run_without_others(make_tools: MakeTools) -> None:
    alone = await prompts_of(make_tools, SHARD, "augmentation.queries_per_instruction=9")
    assert (await prompts_of(make_tools, SHARD))[:3] == alone[:3]
    assert [each.query for each in await prompts_of(make_tools, SHARD)] == [each.query for each in alone]


async def test_functions_shape_neither_queries_nor_partners(make_tools: MakeTools) -> None:
    other = (instruction_of("tea", ACCEPT), *SHARD[1:])
    chosen = [[each.constraints[1:] for each in await prompts_of(make_tools, shard)] for shard in (SHARD, other)]
    assert chosen[0] == chosen[1]


async def test_an_instruction_of_a_benchmark_is_joined_with_no_other(make_tools: MakeTools) -> None:
    official = verified([ACCEPT]).model_copy(
        update={"instruction": Instruction.of("Answer with at least 40 words.", "seed")}
    )
    prompts = await prompts_of(make_tools, (*SHARD[:2], official))
    assert {each for prompt in prompts for each in prompt.constraints} == {*SHARD[:2]}
    assert (await prompts_of(make_tools, (official, *SHARD[:2])))[0].constraints == (official,)


@pytest.mark.parametrize(("others", "counts"), [(0, {1: 9}), (1, {1: 3, 2: 6}), (2, {1: 3, 2: 3, 3: 3})])
async def test_a_shard_with_too_few_instructions_gives_prompts_with_those_it_has(
    make_tools: MakeTools, others: int, counts: dict[int, int]
) -> None:
    prompts = await prompts_of(make_tools, SHARD[: others + 1])
    assert Counter(len(each.constraints) for each in prompts) == counts


async def test_early_stop_looks_at_prompts_with_the_instruction_alone(make_tools: MakeTools) -> None:
    """Nobody follows both; the first instruction is followed alone, the second never."""
    chat = ScriptedChat(lambda request, index: f"tea {index}")
    tools = make_tools(
        "augmentation.max_constraints=2",
        "augmentation.queries_per_instruction=4",
        "rejection_sampling.stop_after_prompts=4",
        "rejection_sampling.responses_per_prompt=2",
        "scoring.enabled=false",
        chat=chat,
        queries=QUERIES,
    )
    _, sampled, _ = (await run_shard(Shard("queries", 0, SHARD[:2]), tools)).stages
    # Failed: the first instruction's four responses to both; two to each of the second's two prompts with it alone.
    reasons = Counter(each.reason for each in sampled.dropped if isinstance(each, Dropped))
    assert reasons == {Reason.FAILED_FUNCTIONS: 8, Reason.NO_RESPONSE_PASSES: 4}
    assert len(sampled.kept) == 4
    assert not [each.text for each in chat.requests if "'milk'. Use" in each.text]


def test_settings_with_which_prompts_would_have_fewer_instructions_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"execution\.shard_size is 1: set execution\.shard_size=64"):
        load_config("quickstart", ["augmentation.max_constraints=3"])
    with pytest.raises(ConfigError, match=r"needs as many queries, and augmentation\.queries_per_instruction is 2"):
        load_config("paper", ["augmentation.max_constraints=3", "augmentation.queries_per_instruction=2"])


def test_a_plan_by_published_yields_says_that_they_are_of_single_instructions() -> None:
    for settings, warned in (([], False), (["augmentation.max_constraints=2"], True)):
        config = load_config("paper", settings)
        plan = make_plan(config, PlannedInput(36, 201), [read_published("gpt-4o-mini", config, 201)])
        assert any("augmentation.max_constraints" in each for each in plan.notes) is warned


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run whose prompts have up to three instructions, in shards of five."""
    folder = tmp_path_factory.mktemp("composition")
    with model_server(folder) as server:
        words = ["run", "paper", "--base-url", server.url, "--model", "test", "-o", folder / "run", *RUN]
        done = run_here(*words, *(word for each in THREE for word in ("--set", each)), cwd=folder)
    assert done.returncode == 0, done.stderr
    yield folder / "run"


def rows_of(run: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (run / name).read_text(encoding="utf-8").splitlines()]


def test_rows_name_every_instruction_of_their_prompt_and_each_is_followed(made: Path) -> None:
    rows = rows_of(made, store.SFT)
    assert Counter(len(row["constraints"]) for row in rows).keys() == {1, 2, 3}
    for row in rows:
        for constraint in row["constraints"]:
            assert 2 * constraint["verdicts"].count("pass") > len(constraint["verdicts"])
            assert constraint["instruction"] in row["messages"][0]["content"]
    done = run_here("verify", "--dataset", made / store.SFT, cwd=made.parent)
    assert f"{len(rows)} of {len(rows)} rows hold" in done.stdout


def test_prompts_whose_instructions_no_response_follows_together_are_no_rewards(made: Path) -> None:
    prompts = {each["text"]: each for each in store.read_stage(made, store.AUGMENTATION, "kept")}
    followed = {each["prompt"] for each in store.read_stage(made, store.REJECTION_SAMPLING, "kept")}
    asked = [row["prompt"][0]["content"] for row in rows_of(made, store.REWARDS)]
    wanted = [each["text"] for each in prompts.values() if len(each["constraints"]) == 1 or each["id"] in followed]
    assert sorted(asked) == sorted(wanted)
    assert 0 < len(asked) < len(prompts)
    notes = " ".join(store.read_manifest(made)["notes"])
    assert f"{len(prompts) - len(asked)} of 72 prompts with several instructions make no reward row" in notes
    assert "36 with 1 (" in notes


def test_a_sweep_judges_prompts_with_several_instructions_as_the_run_did(made: Path, tmp_path: Path) -> None:
    same = "rejection_sampling.pass_rate=> 0.5"
    done = run_here("replay", made, "--sweep", same, "--apply", tmp_path / "same", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert data_of(tmp_path / "same") == data_of(made)


def test_a_sweep_that_drops_an_instruction_drops_the_prompts_that_it_was_joined_with(
    made: Path, tmp_path: Path
) -> None:
    fewer = "cross_validation.min_functions=2"
    done = run_here("replay", made, "--sweep", fewer, "--apply", tmp_path / "fewer", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    left = {each["instruction"]["id"] for each in rows_of(tmp_path / "fewer", store.INSTRUCTIONS)}
    assert 1 < len(left) < 12
    used = {one["instruction_id"] for row in rows_of(tmp_path / "fewer", store.REWARDS) for one in row["constraints"]}
    assert used <= left
    dropped = [*store.read_stage(tmp_path / "fewer", store.AUGMENTATION, "dropped")]
    assert {each["reason"] for each in dropped} == {"never_asked"}
    assert "answers that these settings need were never asked for" in " ".join(
        store.read_manifest(tmp_path / "fewer")["notes"]
    )


def test_show_prints_the_samples_of_an_instruction_whatever_it_was_joined_with(made: Path) -> None:
    row = next(row for row in rows_of(made, store.SFT) if len(row["constraints"]) == 3)
    for constraint in row["constraints"]:
        shown = run_here("show", made, constraint["instruction_id"], cwd=made.parent).stdout
        assert "".join(row["messages"][0]["content"].split()) in "".join(shown.split())


def test_an_answer_to_two_instructions_is_no_answer_to_one_without_the_other(sandbox: Sandbox) -> None:
    """A function is not blamed for accepting answers to others that were asked to follow its instruction, too."""
    first, second = SHARD[:2]
    both = Prompt(id="p", constraints=(first, second), query=Query.of("What?"), text="What?")
    given = [Response(id=f"r{n}", prompt=both, index=n, text=f"tea and milk {n}") for n in range(4)]
    given += [
        Response(id=f"s{n}", prompt=both.model_copy(update={"constraints": (second,)}), index=n, text=f"milk {n}")
        for n in range(4)
    ]
    written = [
        WrittenInstruction(each.instruction, each.matrix, (0,), (0,), responses=[
            one for one in given if each in one.prompt.constraints
        ])
        for each in (first, second)
    ]  # fmt: skip
    observed = observe(written, sandbox)
    assert {*observed[0].texts.others} == {f"milk {n}" for n in range(4)}
    assert not observed[0].texts.own


async def test_nothing_is_said_of_prompts_without_reward_rows_where_each_has_one() -> None:
    asked = Prompt(id="p", constraints=SHARD[:2], query=Query.of("What?"), text="What?")
    for verdicts, said in ((Verdict.PASS, 1), (Verdict.FAIL, 2)):
        given = Response(id="r", prompt=asked, index=0, text="tea and milk", verdicts=(verdicts,) * 2)
        shard = SampledShard([asked], [given], [])
        config = load_config("paper", ["augmentation.max_constraints=2"])
        made = await make_data_sets(lambda: iter(SHARD[:2]), lambda each=shard: iter([each]), config, open_nothing)
        assert len(made.notes) == said
        assert [name for name, _ in made.rows()].count(store.REWARDS) == 2 - said


def test_progress_shows_several_instructions_in_one_line() -> None:
    asked = Prompt(id="p", constraints=SHARD[:2], query=Query.of("What?"), text="What?")
    shown = NewestSample.of(Response(id="r", prompt=asked, index=0, text="tea and milk"))
    assert shown
    assert shown.lines()[0] == "instruction  Use the word 'tea'. Use the word 'milk'."


def test_a_pilot_with_other_shards_is_another_pilot_for_prompts_with_several_instructions(
    made: Path, tmp_path: Path
) -> None:
    for most in ("1", "3"):
        words = [
            "run",
            "paper",
            "--plan",
            "--yields",
            made,
            *RUN,
            *(word for each in THREE for word in ("--set", each)),
        ]
        words += [
            "--set",
            f"augmentation.max_constraints={most}",
            "--set",
            "execution.shard_size=9",
            "-o",
            tmp_path / "x",
        ]
        said = "".join(run_here(*words, cwd=tmp_path).stdout.split())
        assert ("thepilotdiffersinexecution.shard_size" in said) is (most == "3"), said
