"""Better answers for contrast: from a file, revised by their model, and of several the one that behaviours agree on."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from autoif.config import identity, load_config
from autoif.errors import ConfigError
from autoif.instructions.cross_validation import cross_validate
from autoif.instructions.given_answers import GivenAnswer, GivenAnswers, read_given_answers
from autoif.models.requests import Completion, Request
from autoif.records import Dropped, VerifiedInstruction
from conftest import MakeTools
from support.habit_runs import Runner
from support.habit_server import HabitServer, honest
from support.records import accepts, draft
from support.scripted import ScriptedChat

QUERIES = ("How do I rest?", "What is rice?", "Who grows salt?", "Why is milk white?")
RULE = "Use the word 'tea'."
TEA, MILK = accepts("tea"), accepts("milk")
CASES = [("tea", True), ("milk", False)]


def give(texts: Sequence[str], others: Sequence[str] = ()) -> GivenAnswers:
    rows = [*((RULE, text) for text in texts), *((f"Rule {place}", text) for place, text in enumerate(others))]
    return GivenAnswers(tuple(GivenAnswer(instruction=rule, response=text) for rule, text in rows))


def disobey(request: Request, index: int) -> str:
    return f"milk {index}"


async def choose(
    make_tools: MakeTools, chat: ScriptedChat, *settings: str, answers: GivenAnswers | None = None
) -> VerifiedInstruction | Dropped:
    tools = make_tools("contrast.enabled=true", "contrast.queries=4", *settings, chat=chat, queries=QUERIES)
    tools = dataclasses.replace(tools, answers=answers or GivenAnswers())
    [result] = await cross_validate(draft([MILK, TEA], CASES), tools)
    return result


async def test_answers_of_a_file_choose_without_a_model(make_tools: MakeTools) -> None:
    """The responder never obeys; of the file's answers two of three do, and those to others don't."""
    texts = ["tea 1", "tea 2", "rice", "tea 3", "tea 4", "salt"]
    chat = ScriptedChat(disobey)
    result = await choose(make_tools, chat, answers=give(texts, [f"milk {n}" for n in range(9)]))
    assert isinstance(result, VerifiedInstruction)
    assert result.kept_functions == (1,)
    assert chat.requests == []
    assert result.contrast is not None
    assert [each.text for each in result.contrast.asked] == texts
    assert {each.query_id for each in (*result.contrast.asked, *result.contrast.plain)} == {""}
    assert len(result.contrast.plain) == 6
    assert all(each.text.startswith("milk") for each in result.contrast.plain)
    assert await choose(make_tools, ScriptedChat(disobey)) != result


async def test_an_instruction_with_few_answers_gets_the_models_as_well(make_tools: MakeTools) -> None:
    chat = ScriptedChat(disobey)
    result = await choose(make_tools, chat, answers=give(["tea 1", "tea 2", "tea 3"], ["milk"]))
    assert isinstance(result, VerifiedInstruction)
    assert result.contrast is not None
    assert [each.text for each in result.contrast.asked] == ["tea 1", "tea 2", "tea 3", *["milk 0"] * 4]
    assert {RULE in request.text for request in chat.requests} == {True}


async def test_without_answers_to_others_the_model_answers_the_queries_alone(make_tools: MakeTools) -> None:
    chat = ScriptedChat(disobey)
    result = await choose(make_tools, chat, answers=give(["tea 1", "tea 2", "tea 3", "tea 4"]))
    assert isinstance(result, VerifiedInstruction)
    assert {RULE in request.text for request in chat.requests} == {False}
    assert result.contrast is not None
    assert result.contrast.lifts == (-1, 1)


async def test_an_instruction_that_the_file_does_not_know_is_asked_as_before(make_tools: MakeTools) -> None:
    with_file, without = ScriptedChat(disobey), ScriptedChat(disobey)
    found = await choose(make_tools, with_file, answers=give([], ["tea", "salt", "rice"]))
    assert found == await choose(make_tools, without)
    assert with_file.requests == without.requests


def test_answers_to_others_come_from_all_over_the_file_and_never_from_the_instruction_itself() -> None:
    given = give(["tea"], [f"text {number}" for number in range(100)] + ["tea"])
    found = given.of_others(RULE, 10, seed=0)
    assert len({*found}) == len(found) == 10
    assert "tea" not in found
    assert max(int(text.split()[1]) for text in found) - min(int(text.split()[1]) for text in found) > 50
    assert found == given.of_others(f'1. "{RULE}"', 10, seed=0)
    assert found != given.of_others(RULE, 10, seed=1)
    assert len(given.of_others(RULE, 1000, seed=0)) == 100
    assert GivenAnswers().of_others(RULE, 10, seed=0) == ()


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.csv"])
def test_answers_are_read_by_the_words_of_their_instruction(tmp_path: Path, name: str) -> None:
    rows = [
        {"instruction": "1. Use the word  'tea'.", "response": " Tea. ", "model": "big"},
        {"instruction": RULE, "response": "Tea."},
        {"instruction": RULE, "response": "tea " * 10},
        {"instruction": RULE, "response": ""},
        {"instruction": "Another.", "response": "Milk."},
    ]
    listed = ["instruction,response,model"] + [f'"{row["instruction"]}","{row["response"]}",big' for row in rows]
    text = "\n".join(map(json.dumps, rows) if name.endswith("jsonl") else listed)
    (tmp_path / name).write_text(text, encoding="utf-8")
    given = read_given_answers(tmp_path / name, max_chars=20)
    assert given.of(RULE) in {("Tea.",), ("Tea.", "Tea.")}
    assert given.describe([RULE, "Unknown."]).endswith(
        "1 of the run's 2; 2 rows hold no answer (blank, too long, or not text)"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"instruction": "a"}', 'line 1: no row {"instruction", "response"} of texts, there is instruction'),
        ('{"instruction": "a", "response": "b"}\n{"instruction": "a", "response": 3}', "line 2: no row"),
        ('{"instruction": " ", "response": "b"}', "line 1: no row"),
        ('{"instruction": "a", "response": " "}', "has no answers"),
        ("", "has no answers"),
        ("[1, 2]", "no row"),
    ],
)
def test_a_file_without_answers_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "answers.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_given_answers(tmp_path / "answers.jsonl", 100)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def revise(answer: str) -> str:
    return json.dumps({"asked": "The word tea.", "check": "It is missing.", "answer": answer})


def is_revision(request: Request) -> bool:
    return "List what the instruction asks" in request.text


async def test_an_answer_is_made_to_obey_by_its_own_model(make_tools: MakeTools) -> None:
    """The model forgets the rule at first, and obeys when it is shown the rule and its answer."""
    chat = ScriptedChat(
        lambda request, index: revise("milk and tea") if is_revision(request) else disobey(request, index)
    )
    assert isinstance(await choose(make_tools, chat), Dropped)
    chat = ScriptedChat(
        lambda request, index: revise("milk and tea") if is_revision(request) else disobey(request, index)
    )
    result = await choose(make_tools, chat, "contrast.revisions=1")
    assert isinstance(result, VerifiedInstruction)
    assert result.kept_functions == (1,)
    assert result.contrast is not None
    assert [(each.text, each.revised) for each in result.contrast.asked] == [("milk and tea", 1)] * 4
    assert {each.revised for each in result.contrast.plain} == {0}
    revisions = [request for request in chat.requests if is_revision(request)]
    assert len({request.seed for request in revisions}) == len(revisions) == 4
    assert all("milk 0" in request.text and RULE in request.text for request in revisions)
    assert {(request.role, request.stage) for request in revisions} == {("responder", "contrast")}


@pytest.mark.parametrize(
    "answer",
    ["no object", '{"answer": 7}', revise(" "), revise("milk 0"), revise("x" * 30_000), Completion("{", "length")],
)
async def test_a_revision_that_is_no_other_answer_leaves_the_first(
    make_tools: MakeTools, answer: str | Completion
) -> None:
    chat = ScriptedChat(lambda request, index: answer if is_revision(request) else disobey(request, index))
    result = await choose(make_tools, chat, "contrast.revisions=2")
    assert isinstance(result, Dropped)
    assert isinstance(result.record, VerifiedInstruction)
    assert result.record.contrast is not None
    assert [(each.text, each.revised) for each in result.record.contrast.asked] == [("milk 0", 0)] * 4
    assert sum(map(is_revision, chat.requests)) == 4


async def test_an_answer_is_put_back_as_often_as_the_settings_say(make_tools: MakeTools) -> None:
    def answer(request: Request, index: int) -> str:
        if not is_revision(request):
            return disobey(request, index)
        return revise("tea" if "almost" in request.text else "almost")

    result = await choose(make_tools, ScriptedChat(answer), "contrast.revisions=2")
    assert isinstance(result, VerifiedInstruction)
    assert result.contrast is not None
    assert [(each.text, each.revised) for each in result.contrast.asked] == [("tea", 2)] * 4


async def test_of_several_answers_the_one_speaks_that_most_behaviours_accept(make_tools: MakeTools) -> None:
    """One answer in four obeys, as functions of several behaviours say; one function likes another answer."""

    def answer(request: Request, index: int) -> str:
        return ["milk", "rice", "odd", "tea is hot" if RULE in request.text else "salt"][index]

    functions = [TEA, accepts("tea "), accepts("hot"), accepts("odd")]
    settings = ["contrast.enabled=true", "contrast.queries=4", "contrast.responses_per_query=4", "contrast.lift=> 0.5"]
    for agreed, kept in (("false", ()), ("true", (0, 1, 2))):
        tools = make_tools(*settings, f"contrast.agreed={agreed}", "contrast.one_behaviour=false",
                           chat=ScriptedChat(answer), queries=QUERIES)  # fmt: skip
        [result] = await cross_validate(draft(functions, [("tea is hot", True), ("tea", False)]), tools)
        record = result.record if isinstance(result, Dropped) else result
        assert isinstance(record, VerifiedInstruction)
        assert record.kept_functions == kept
        assert record.contrast is not None
        assert len(record.contrast.asked) == len(record.contrast.plain) == (4 if kept else 16)
    assert [each.text for each in record.contrast.asked] == ["tea is hot"] * 4
    assert record.contrast.lifts == (1, 1, 1, -1), "both kinds are chosen in the same way"


def test_settings_that_do_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"contrast\.enabled=true"):
        load_config("paper", ["contrast.answers=mine.jsonl"])
    with pytest.raises(ConfigError, match="responses_per_query to 2 or more"):
        load_config("paper", ["contrast.enabled=true", "contrast.agreed=true"])


def test_the_prompt_of_revisions_is_part_of_a_run_where_there_are_some() -> None:
    off, on = (identity(load_config("recommended", settings)) for settings in ([], ["contrast.revisions=1"]))
    assert on.keys() - off.keys() == {"prompts.revision"}


def test_a_run_takes_a_files_answers_to_choose_and_for_nothing_else(tmp_path: Path) -> None:
    """Functions want more letters than most answers to others have; a changed file makes another run."""
    rules = ["Use at least 20 letters in the answer.", "Write about a lamp."]
    (tmp_path / "seeds.txt").write_text("\n".join(rules))
    rows = [{"instruction": rules[0], "response": f"Given answer number {number}."} for number in range(6)]
    rows += [{"instruction": "Be very brief.", "response": text} for text in "abcdefgh"]
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    settings = ("contrast.enabled=true", f"contrast.answers={file}", "self_instruct.rewrites_per_seed=0")
    options = ["--seeds", str(tmp_path / "seeds.txt"), *(part for each in settings for part in ("--set", each))]
    with HabitServer() as server:
        run = Runner(server, tmp_path)
        ended = run(honest, *options)
        assert ended.code == 0
        assert "contrast.answers: 14 answers to 2 instructions, 1 of the run's 2" in ended.manifest["notes"]
        chosen = {row["instruction"]["text"]: row["contrast"] for row in ended.rows("instructions.jsonl")}
        assert [each["text"] for each in chosen[rules[0]]["asked"]] == [row["response"] for row in rows[:6]]
        assert chosen[rules[0]]["lifts"][0] == 1
        for name in ("sft.jsonl", "preferences.jsonl", "rewards.jsonl"):
            assert ended.rows(name)
            assert "Given answer" not in (ended.folder / name).read_text()
        file.write_text("\n".join(map(json.dumps, rows[:-1])))
        assert "inputs.answers" in run(honest, *options).error
