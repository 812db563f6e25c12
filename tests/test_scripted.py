"""The scripted model: it says what its script says, and fails on what isn't in it."""

import pytest

from autoif.models.requests import Completion, Request
from support.scripted import ScriptedChat


def ask(text: str, **fields: object) -> Request:
    return Request("writer", "verification", messages=(("user", text),), **fields)  # type: ignore[arg-type]


async def test_a_pair_answers_prompts_that_hold_its_text_by_seed_and_index() -> None:
    chat = ScriptedChat(("colour", ["red", "green", "blue"]))
    answers = await chat.sample(ask("Name a colour.", samples=4, seed=1))
    assert [each.text for each in answers] == ["green", "blue", "red", "green"]
    assert answers[0] == Completion("green", "stop", prompt_tokens=3, completion_tokens=1)


async def test_a_function_answers_what_it_knows_and_leaves_the_rest_to_the_next_rule() -> None:
    refused = Completion("", "refused")
    chat = ScriptedChat(lambda request, index: f"s{index}" if request.stage == "scoring" else None, ("", [refused]))
    assert [each.text for each in await chat.sample(Request("judge", "scoring", prompt="?", samples=2))] == ["s0", "s1"]
    assert await chat.sample(Request("judge", "other", prompt="?")) == [refused]


async def test_a_prompt_that_is_not_in_the_script_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"no answer to this prompt of stage verification: 'Name a fruit.'"):
        await ScriptedChat(("colour", ["red"])).sample(ask("Name a fruit."))


async def test_the_requests_are_kept_in_order() -> None:
    chat = ScriptedChat(("", ["ok"]))
    requests = [ask("one"), Request("judge", "nli", prompt="two")]
    for request in requests:
        await chat.sample(request)
    assert chat.requests == requests
