"""Functions chosen by how many answers mean them and how likely they are right (§3.2 and beyond)."""

import json

import pytest

from autoif.config import load_config
from autoif.errors import ConfigError
from autoif.instructions.cross_validation import cross_validate
from autoif.instructions.settling import write_settled_functions
from autoif.instructions.verification import read_function_answers
from autoif.models.requests import Completion
from autoif.records import Draft, Dropped, Instruction, Reason, VerifiedInstruction
from conftest import MakeTools
from support.records import ACCEPT, BROKEN, accepts, answer
from support.scripted import ScriptedChat

WORDS = "def evaluate(response):\n    return len(response.split()) >= 40"
ALSO_WORDS = "def evaluate(response):\n    return not len(response.split()) < 40"
CHARACTERS = "def evaluate(response):\n    return len(response) >= 40"
FORTY = Instruction.of("Write at least 40 words.", "seed")
"""Can be read: 40 words obey, and 39 don't."""
POETIC = Instruction.of("Write as the sea would.", "seed")
"""Tells nothing that could be tried."""
CASES = (("rain " * 50, True), ("rain", False), ("tide and foam", True))
CHOICE = ('cross_validation.choose_by="score"', 'cross_validation.findings=["vacuous","dead","threshold"]')


def write(instruction: Instruction, *sources: str) -> Draft:
    texts = [answer(source, *CASES) for source in sources]
    draft = read_function_answers(instruction, [Completion(text, "stop") for text in texts], counted=True)
    assert isinstance(draft, Draft)
    return draft


async def choose(make_tools: MakeTools, draft: Draft, *settings: str) -> VerifiedInstruction | Dropped:
    [result] = await cross_validate(draft, make_tools(*CHOICE, *settings))
    return result


async def test_a_function_that_is_surely_right_is_kept_against_a_majority_that_shares_a_mistake(
    make_tools: MakeTools,
) -> None:
    result = await choose(make_tools, write(FORTY, CHARACTERS, CHARACTERS, CHARACTERS, WORDS, BROKEN))
    assert isinstance(result, VerifiedInstruction)
    assert [each.source for each in result.functions] == [WORDS]
    assert result.score
    assert result.score >= 0.8


async def test_all_functions_that_behave_as_the_chosen_one_are_kept(make_tools: MakeTools) -> None:
    result = await choose(make_tools, write(FORTY, CHARACTERS, WORDS, ALSO_WORDS))
    assert isinstance(result, VerifiedInstruction)
    assert [each.source for each in result.functions] == [WORDS, ALSO_WORDS]


async def test_where_words_tell_nothing_a_majority_of_the_answers_decides(make_tools: MakeTools) -> None:
    tide, foam = accepts("tide"), accepts("foam")
    result = await choose(make_tools, write(POETIC, tide, tide, foam), "cross_validation.sure_score=>1")
    assert isinstance(result, VerifiedInstruction)
    assert [each.source for each in result.functions] == [tide]
    split = await choose(make_tools, write(POETIC, tide, foam), "cross_validation.sure_score=>1")
    assert isinstance(split, Dropped)
    assert split.reason is Reason.NO_MAJORITY
    assert split.detail.startswith("functions of 1 of 2 answers behave alike, score 0.")


async def test_functions_that_may_not_be_kept_have_no_vote(make_tools: MakeTools) -> None:
    """Of four answers that could be kept three are for one function; six are not for it."""
    sources = [WORDS, WORDS, WORDS, accepts("rain"), *[CHARACTERS] * 3]
    result = await choose(make_tools, write(FORTY, *sources), "cross_validation.sure_score=>1")
    assert isinstance(result, VerifiedInstruction)
    assert [each.source for each in result.functions] == [WORDS]


async def test_the_only_function_that_is_left_is_no_majority(make_tools: MakeTools) -> None:
    alone = await choose(make_tools, write(FORTY, CHARACTERS, CHARACTERS, WORDS), "cross_validation.sure_score=>1")
    assert isinstance(alone, Dropped)
    assert alone.reason is Reason.NO_MAJORITY
    assert alone.detail.startswith("functions of 1 of 1 answers behave alike")


async def test_votes_are_weighted_by_scores(make_tools: MakeTools) -> None:
    draft = write(FORTY, CHARACTERS, CHARACTERS, WORDS)
    result = await choose(make_tools, draft, "cross_validation.findings=[]", "cross_validation.sure_score=>=0.5")
    assert isinstance(result, VerifiedInstruction)
    assert [each.source for each in result.functions] == [WORDS]


async def test_functions_that_say_the_same_of_every_text_are_never_chosen(make_tools: MakeTools) -> None:
    result = await choose(make_tools, write(POETIC, ACCEPT, ACCEPT, ACCEPT), "cross_validation.findings=[]")
    assert isinstance(result, Dropped)
    assert result.reason is Reason.ONE_SIDED_FUNCTIONS


@pytest.mark.parametrize(
    ("sources", "asked"),
    [
        ([WORDS, CHARACTERS, BROKEN, WORDS, WORDS], 2),  # one is surely right
        ([CHARACTERS, BROKEN, WORDS, BROKEN, BROKEN], 3),  # not before the third answer
        ([CHARACTERS, BROKEN, CHARACTERS, CHARACTERS, CHARACTERS], 5),  # never
    ],
)
async def test_the_writer_is_asked_until_a_function_is_surely_right(
    make_tools: MakeTools, sources: list[str], asked: int
) -> None:
    chat = ScriptedChat(lambda request, index: answer(sources[index], *CASES))
    few = ("functions_per_instruction=2", "functions_step=1", "max_functions=5", "vocabulary=false")
    tools = make_tools(*CHOICE, "cross_validation.min_score=0.3", *(f"verification.{each}" for each in few), chat=chat)
    [draft] = await write_settled_functions(FORTY, tools)
    assert isinstance(draft, Draft)
    assert len(draft.answers) == asked
    assert draft.settled is (asked < 5)


async def test_a_record_without_a_score_is_written_as_before(make_tools: MakeTools) -> None:
    chosen = await choose(make_tools, write(FORTY, WORDS))
    [by_cases] = await cross_validate(write(FORTY, WORDS), make_tools())
    assert "score" in json.loads(chosen.model_dump_json())
    assert "score" not in json.loads(by_cases.model_dump_json())


def test_contrast_and_the_score_are_not_switched_on_together() -> None:
    with pytest.raises(ConfigError, match=r"cross_validation\.choose_by=score are two ways to choose functions"):
        load_config("paper", ["contrast.enabled=true", "cross_validation.choose_by=score"])
