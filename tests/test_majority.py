"""Functions chosen by what most of the writer's answers mean (§3.2 and beyond): votes, behaviours, what is dropped."""

import pytest

from autoif.config import load_config
from autoif.errors import ConfigError
from autoif.instructions.cross_validation import cross_validate
from autoif.instructions.verification import read_function_answers
from autoif.models.requests import Completion
from autoif.records import Draft, Dropped, Reason, VerifiedInstruction
from conftest import MakeTools
from support.records import ACCEPT, BROKEN, RAISE, REFUSE, accepts, answer, instruction

TEA = accepts("tea")
ALSO_TEA = "def evaluate(response):\n    return response.count('tea') > 0"
CUP = accepts("cup")


async def choose(
    make_tools: MakeTools, *sources: str, majority: str = ">= 0.6", cases: tuple[tuple[str, bool], ...] = ()
) -> VerifiedInstruction | Dropped:
    """Return what is kept of answers with these functions, each with these cases."""
    texts = [answer(source, *(cases or (("tea", True), ("cup", False)))) for source in sources]
    draft = read_function_answers(instruction(), [Completion(text, "stop") for text in texts], counted=True)
    assert isinstance(draft, Draft)
    [result] = await cross_validate(
        draft, make_tools("cross_validation.choose_by=majority", f'cross_validation.majority="{majority}"')
    )
    return result


@pytest.mark.parametrize(
    ("sources", "kept"),
    [
        ([TEA, TEA, TEA, CUP, BROKEN], [TEA]),  # one source three times is three votes
        ([TEA, ALSO_TEA, CUP, TEA, RAISE], [TEA, ALSO_TEA]),  # two sources of one behaviour vote together
        ([TEA, TEA, CUP, CUP, BROKEN], None),  # two of five
        ([TEA, TEA, CUP, BROKEN, RAISE], None),  # what doesn't run counts as an answer
        ([ACCEPT, ACCEPT, ACCEPT, TEA, REFUSE], None),  # most accept everything, and one looks
    ],
)
async def test_functions_are_kept_that_enough_answers_mean(
    make_tools: MakeTools, sources: list[str], kept: list[str] | None
) -> None:
    result = await choose(make_tools, *sources)
    if kept is None:
        assert isinstance(result, Dropped)
        assert result.reason is Reason.NO_MAJORITY
    else:
        assert isinstance(result, VerifiedInstruction)
        assert [function.source for function in result.functions] == kept


async def test_functions_that_say_the_same_of_every_text_are_no_majority(make_tools: MakeTools) -> None:
    result = await choose(make_tools, ACCEPT, ACCEPT, ACCEPT, REFUSE)
    assert isinstance(result, Dropped)
    assert result.reason is Reason.ONE_SIDED_FUNCTIONS


async def test_functions_that_accept_or_fail_to_run_and_never_refuse_are_no_majority(make_tools: MakeTools) -> None:
    raising = "def evaluate(response):\n    return response.index('tea') >= 0"
    result = await choose(make_tools, raising, raising, raising, TEA)
    assert isinstance(result, Dropped)
    assert result.reason is Reason.NO_MAJORITY


async def test_cases_are_kept_that_the_functions_agree_with_and_drop_nothing(make_tools: MakeTools) -> None:
    wrong = await choose(make_tools, TEA, TEA, TEA, cases=(("tea", False), ("no", True)))
    assert isinstance(wrong, VerifiedInstruction)
    assert wrong.cases == ()
    half = await choose(make_tools, TEA, TEA, TEA, cases=(("tea", True), ("no", True)))
    assert isinstance(half, VerifiedInstruction)
    assert [case.input for case in half.cases] == ["tea"]


async def test_functions_that_differ_only_near_the_cases_are_two_behaviours(make_tools: MakeTools) -> None:
    """Both accept "tea" and refuse "cup"; only one of them knows the word from a part of a longer one."""
    word = "def evaluate(response):\n    return 'tea' in response.split()"
    result = await choose(make_tools, TEA, word, TEA, word)
    assert isinstance(result, Dropped)
    assert result.detail == "functions of 2 of 4 answers behave alike, at most"


@pytest.mark.parametrize(("majority", "kept"), [(">= 0.75", True), ("> 0.75", False), (">= 1", False)])
async def test_the_threshold_is_exact(make_tools: MakeTools, majority: str, kept: bool) -> None:
    result = await choose(make_tools, TEA, TEA, TEA, CUP, majority=majority)
    assert isinstance(result, VerifiedInstruction) is kept


async def test_a_majority_that_may_not_be_kept_says_why(make_tools: MakeTools) -> None:
    loose = "def evaluate(response):\n    return response != 'cup'"
    texts = [answer(source, ("tea", True), ("cup", False)) for source in (loose, loose, loose, TEA, TEA)]
    draft = read_function_answers(instruction(), [Completion(text, "stop") for text in texts], counted=True)
    assert isinstance(draft, Draft)
    [result] = await cross_validate(
        draft, make_tools("cross_validation.choose_by=majority", 'cross_validation.findings=["vacuous"]')
    )
    assert isinstance(result, Dropped)
    assert result.reason is Reason.NO_MAJORITY
    assert result.detail.startswith("functions of 3 of 5 answers behave alike, at most; findings, ")


def test_answers_name_their_functions_only_where_they_are_counted() -> None:
    completions = [Completion(answer(TEA, ("tea", True)), "stop")]
    plain, counted = (read_function_answers(instruction(), completions, counted=on) for on in (False, True))
    assert isinstance(plain, Draft)
    assert isinstance(counted, Draft)
    assert "function" not in plain.answers[0].model_dump()
    assert counted.answers[0].function == counted.matrix.functions[0].id
    assert plain.id == counted.id


def test_contrast_and_majority_are_not_switched_on_together() -> None:
    with pytest.raises(ConfigError, match=r"two ways to choose functions: set contrast.enabled=false, or"):
        load_config("paper", ["contrast.enabled=true", "cross_validation.choose_by=majority"])
