"""Functions asked for until their behaviour is settled (§3.2): K adapts, and off it changes nothing."""

import json
from collections.abc import Sequence

import pytest

from autoif.config import identity, load_config
from autoif.errors import ConfigError
from autoif.instructions.settling import assemble_draft, write_settled_functions
from autoif.instructions.verification import read_function_answers, write_functions
from autoif.models.cache import request_key
from autoif.models.requests import Completion
from autoif.records import Draft, Dropped, Reason
from conftest import MakeTools
from support.records import ACCEPT, BROKEN, RAISE, REFUSE, accepts, answer, instruction
from support.scripted import ScriptedChat

CASES = (("tea please", True), ("wine", False))


def writer(*sources: str) -> ScriptedChat:
    """Return a writer whose sample i is the i-th of these functions, with the same cases each."""
    return ScriptedChat(lambda request, index: answer(sources[index % len(sources)], *CASES) if sources else None)


def variant(source: str, number: int) -> str:
    return f"{source}  # {number}"


async def settle(tools, *, text: str = "Use the word 'tea'.") -> Draft | Dropped:
    [result] = await write_settled_functions(instruction(text), tools)
    return result


async def test_with_everything_off_the_draft_is_that_of_the_paper_byte_for_byte(make_tools: MakeTools) -> None:
    chats = [writer(accepts("tea"), RAISE, BROKEN, REFUSE) for _ in range(2)]
    [paper] = await write_functions(instruction(), make_tools(chat=chats[0]))
    off = await settle(make_tools(chat=chats[1]))
    assert off.model_dump_json() == paper.model_dump_json()
    assert chats[0].requests == chats[1].requests
    assert not {"repairs", "rulings", "settled"} & json.loads(off.model_dump_json()).keys()


@pytest.mark.parametrize(
    ("sources", "asked", "settled"),
    [
        ([accepts("tea"), variant(accepts("tea"), 1)], [2], True),
        ([accepts("tea"), accepts("tea")], [2], True),
        ([accepts("tea"), accepts("e"), variant(accepts("tea"), 1), variant(accepts("tea"), 2)], [2, 4], True),
        ([accepts(letter) for letter in "abcdef"], [2, 4, 6], False),
        ([ACCEPT, variant(ACCEPT, 1)], [2, 4, 6], False),
        ([REFUSE, variant(REFUSE, 1)], [2, 4, 6], False),
        ([BROKEN, variant(BROKEN, 1)], [2, 4, 6], False),
    ],
)
async def test_more_functions_are_asked_for_until_most_answers_behave_alike(
    make_tools: MakeTools, sources: Sequence[str], asked: list[int], settled: bool
) -> None:
    chat = writer(*sources)
    tools = make_tools("verification.functions_per_instruction=2", "verification.max_functions=6", chat=chat)
    draft = await settle(tools)
    assert isinstance(draft, Draft)
    assert [request.samples for request in chat.requests] == asked
    assert draft.settled is settled
    assert len(draft.answers) == asked[-1]


async def test_asking_on_extends_the_same_request(make_tools: MakeTools) -> None:
    """So the answers are those of asking at once: they are stored under the request and their sample index."""
    chat = writer(*(accepts(letter) for letter in "abcdefgh"))
    tools = make_tools("verification.functions_per_instruction=3", "verification.max_functions=8", chat=chat)
    adaptive = await settle(tools)
    fixed = await settle(make_tools("verification.max_functions=8", chat=chat))
    assert [request.samples for request in chat.requests] == [3, 5, 7, 8, 8]
    assert len({request_key(request, "model") for request in chat.requests}) == 1
    assert adaptive == fixed


async def test_an_instruction_without_a_function_is_asked_about_to_the_last_and_then_dropped(
    make_tools: MakeTools,
) -> None:
    settings = ("verification.functions_per_instruction=2", "verification.max_functions=5")
    chat = ScriptedChat(("", ["no"]))
    dropped = await settle(make_tools(*settings, chat=chat))
    assert isinstance(dropped, Dropped)
    assert dropped.reason is Reason.NO_READABLE_ANSWER
    assert [request.samples for request in chat.requests] == [2, 4, 5]
    late = ScriptedChat(lambda request, index: "no" if index < 2 else answer(accepts("tea"), *CASES))
    draft = await settle(make_tools(*settings, chat=late))
    assert isinstance(draft, Draft)
    assert (len(draft.answers), draft.settled) == (4, True)  # all that gave a function


async def test_the_answers_of_a_settled_draft_name_the_functions_that_they_gave(make_tools: MakeTools) -> None:
    sources = [accepts("tea"), BROKEN]
    settings = ("verification.functions_per_instruction=4", "verification.max_functions=4")
    draft = await settle(make_tools(*settings, chat=writer(*sources)))
    assert isinstance(draft, Draft)
    first, second = draft.matrix.functions
    assert [each.function for each in draft.answers] == [first.id, second.id, first.id, second.id]
    assert Draft.model_validate_json(draft.model_dump_json()) == draft


def test_a_draft_without_repairs_holds_what_reading_all_answers_gives() -> None:
    texts = [
        answer(accepts("tea"), *CASES),
        "no",
        "",
        answer(BROKEN, ("a", True)),
        answer(accepts("tea"), ("b", False)),
    ]
    completions = [Completion(text, "stop") for text in texts]
    assembled, read = (make(instruction(), completions) for make in (assemble_draft, read_function_answers))
    assert isinstance(assembled, Draft)
    assert isinstance(read, Draft)
    bare = tuple(each.model_copy(update={"function": ""}) for each in assembled.answers)
    assert assembled.model_copy(update={"answers": bare}) == read


def test_fewer_functions_at_most_than_at_first_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_functions \(4\) is below functions_per_instruction \(8\)"):
        load_config("paper", ["verification.max_functions=4"])


@pytest.mark.parametrize(
    ("setting", "prompts"),
    [
        ("verification.repairs=1", {"prompts.repair"}),
        ("verification.case_repairs=1", {"prompts.discrimination"}),
        ("verification.judge_samples=1", {"prompts.discrimination"}),
        ("verification.max_functions=9", set()),
    ],
)
def test_a_prompt_is_part_of_a_run_where_something_asks_by_it(setting: str, prompts: set[str]) -> None:
    before, after = identity(load_config("paper")), identity(load_config("paper", [setting]))
    assert after.keys() - before.keys() == prompts
