"""The client: what it asks for, what it never asks twice, what it learns, and where it stops."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from autoif.errors import BudgetExhausted, ModelError, StoreError
from autoif.models.answer_rows import list_rows
from autoif.models.cache import CompletionCache, request_key
from autoif.models.client import ChatClient
from autoif.models.endpoint import Budget, Endpoint
from autoif.models.requests import Completion, Request, Role
from support.answers import ReadAnswers
from support.stub_server import Reply, StubServer, answer, ok, raw, says, status, unless

SCHEMA = {"type": "object", "properties": {"func": {"type": "string"}}}


def at(server: StubServer, **fields: object) -> Endpoint:
    return Endpoint(base_url=server.url, model="m", api_key_env="", retry_wait_s=0.01, **fields)  # type: ignore[arg-type]


def ask(text: str = "hello", **fields: object) -> Request:
    return Request("writer", "verification", messages=(("user", text),), **fields)  # type: ignore[arg-type]


def texts(completions: list[Completion]) -> list[str]:
    return [each.text for each in completions]


# what is sent


async def test_a_request_goes_out_as_it_was_made(cache: ReadAnswers) -> None:
    request = Request(
        "writer",
        "verification",
        messages=(("system", "Be brief."), ("user", "hello")),
        temperature=0.7,
        top_p=0.9,
        max_tokens=33,
        seed=5,
        stop=("\n\n",),
        json_schema=SCHEMA,
        top_logprobs=3,
    )
    async with StubServer() as server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(request)
    assert server.bodies == [
        {
            "model": "m",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
            "temperature": 0.7,
            "top_p": 0.9,
            "seed": 5,
            "max_tokens": 33,
            "stop": ["\n\n"],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
            },
            "logprobs": True,
            "top_logprobs": 3,
        }
    ]


async def test_a_prompt_goes_to_plain_completion(cache: ReadAnswers) -> None:
    async with StubServer() as server, ChatClient({"judge": at(server)}, cache) as client:
        completions = await client.sample(Request("judge", "nli", prompt="A or B:", max_tokens=1, top_logprobs=5))
    assert texts(completions) == ["A or B: s0 c0"]
    assert server.bodies[0]["prompt"] == "A or B:"
    assert server.bodies[0]["logprobs"] == 5
    assert "messages" not in server.bodies[0]


async def test_each_role_has_its_own_endpoint(cache: ReadAnswers) -> None:
    async with StubServer() as one, StubServer() as other:
        endpoints: dict[Role, Endpoint] = {"writer": at(one), "judge": at(other)}
        async with ChatClient(endpoints, cache) as client:
            await client.sample(ask("write"))
            await client.sample(replace(ask("judge"), role="judge"))
    assert [body["messages"][0]["content"] for body in one.bodies] == ["write"]
    assert [body["messages"][0]["content"] for body in other.bodies] == ["judge"]


# samples


async def test_a_server_that_honours_n_is_asked_once_with_the_first_missing_seed(cache: ReadAnswers) -> None:
    async with StubServer() as server, ChatClient({"writer": at(server)}, cache) as client:
        first = await client.sample(ask(samples=2, seed=10))
        more = await client.sample(ask(samples=5, seed=10))
    assert [(body.get("n"), body["seed"]) for body in server.bodies] == [(2, 10), (3, 12)]
    assert texts(first) == ["hello s10 c0", "hello s10 c1"]
    assert texts(more) == [*texts(first), "hello s12 c0", "hello s12 c1", "hello s12 c2"]


async def test_a_server_that_ignores_n_is_asked_for_each_sample_by_itself(cache: ReadAnswers) -> None:
    async with StubServer(default=ok(choices=1)) as server, ChatClient({"writer": at(server)}, cache) as client:
        completions = await client.sample(ask(samples=3, seed=10))
        await client.sample(ask("again", samples=2, seed=20))
    assert texts(completions) == ["hello s10 c0", "hello s11 c0", "hello s12 c0"]
    assert [(body.get("n"), body["seed"]) for body in server.bodies] == [
        (3, 10),
        (None, 11),
        (None, 12),
        (None, 20),
        (None, 21),
    ]


@pytest.mark.parametrize("message", ["Only one completion choice is allowed", "'n' must be 1", "bad request"])
async def test_a_server_that_rejects_n_is_asked_for_each_sample_by_itself(cache: ReadAnswers, message: str) -> None:
    reply = unless(lambda body: "n" not in body, status(400, message))
    async with StubServer(default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        assert len(await client.sample(ask(samples=3))) == 3
        learned = len(server.bodies)
        assert texts(await client.sample(ask("next", samples=2))) == ["next s0 c0", "next s1 c0"]
    assert len(server.bodies) == learned + 2


@pytest.mark.parametrize("failure", [status(504, "upstream timed out"), says({"choices": []})], ids=["504", "none"])
async def test_a_server_that_fails_at_several_answers_at_once_is_asked_for_fewer(
    cache: ReadAnswers, failure: Reply
) -> None:
    server = StubServer(default=unless(lambda body: body.get("n", 1) == 1, failure))
    async with server, ChatClient({"writer": at(server, retries=1)}, cache) as client:
        answers = await client.sample(ask(samples=4))
        before = len(server.bodies)
        await client.sample(ask("again", samples=4))
    assert [each.finish_reason for each in answers] == ["stop"] * 4
    assert len(server.bodies) == before + 4


async def test_a_server_that_never_has_enough_is_asked_a_bounded_number_of_times(cache: ReadAnswers) -> None:
    async def shrink(request: web.Request, body: Any) -> web.StreamResponse:
        return await status(400, f"max_tokens must be at most {body['max_tokens'] - 1}")(request, body)

    async with StubServer(default=shrink) as server, ChatClient({"writer": at(server)}, cache) as client:
        with pytest.raises(ModelError, match="refuses every request"):
            await client.sample(ask(max_tokens=1000))
    assert len(server.bodies) < 60


async def test_a_server_that_limits_n_is_asked_for_as_many_as_it_gives(cache: ReadAnswers) -> None:
    reply = unless(lambda body: body.get("n", 1) <= 4, status(400, "Field 'n': Value must be between 1 <= value <= 4"))
    async with StubServer(default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        assert len({*texts(await client.sample(ask(samples=8)))}) == 8
    assert [body.get("n") for body in server.bodies] == [8, 4, 4]


async def test_seeds_stay_within_31_bits(cache: ReadAnswers) -> None:
    async with StubServer(default=ok(choices=1)) as server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(ask(samples=2, seed=(1 << 31) - 1))
    assert [body["seed"] for body in server.bodies] == [(1 << 31) - 1, 0]


# never twice


async def test_what_is_cached_is_not_asked_again(cache: ReadAnswers) -> None:
    async with StubServer() as server:
        async with ChatClient({"writer": at(server)}, cache) as client:
            first = await client.sample(ask(samples=2))
        async with ChatClient({"writer": at(server)}, cache) as client:
            assert await client.sample(ask(samples=2)) == first
    assert len(server.bodies) == 1


async def test_the_answer_that_another_process_stored_first_is_the_one_that_counts(
    cache: ReadAnswers, tmp_path: Path
) -> None:
    request = ask(samples=2)
    first = Completion(text="of another process", finish_reason="stop")

    async def be_overtaken(*_: object) -> web.Response:
        with CompletionCache(tmp_path / "completions.sqlite") as quicker:
            quicker.insert(list_rows(request_key(request, "m"), {1: first}, stage=request.stage, usd=0.0))
        return web.json_response(answer({"messages": [{"content": "mine"}], "n": 2, "seed": 0}))

    async with StubServer(be_overtaken) as server, ChatClient({"writer": at(server)}, cache) as client:
        assert texts(await client.sample(request)) == ["mine s0 c0", "of another process"]
        assert texts(await client.sample(request)) == ["mine s0 c0", "of another process"]


async def test_what_is_asked_holds_no_character_that_a_gateway_may_misread(cache: ReadAnswers) -> None:
    received = []

    async def read(asked: web.Request, body: dict[str, object]) -> web.Response:
        received.append((await asked.read()).isascii())
        return web.json_response(answer({**body, "messages": [{"content": "x"}]}))

    async with StubServer(default=read) as server, ChatClient({"writer": at(server)}, cache) as client:
        for text in ("plain", "naïve – 日本語 🙂"):
            await client.sample(ask(text))
    assert received == [True] * 2
    assert [body["messages"][0]["content"] for body in server.bodies] == ["plain", "naïve – 日本語 🙂"]


async def test_equal_requests_at_the_same_time_are_sent_once(cache: ReadAnswers) -> None:
    async with StubServer(default=ok(wait_s=0.05)) as server, ChatClient({"writer": at(server)}, cache) as client:
        few, same, many = await asyncio.gather(*(client.sample(ask(samples=count)) for count in (2, 2, 4)))
    assert few == same == many[:2]
    assert [body["n"] for body in server.bodies] == [2, 2]
    assert server.bodies[1]["seed"] == 2


async def test_another_model_is_asked_anew_but_another_address_is_not(cache: ReadAnswers) -> None:
    async with StubServer() as one, StubServer() as other:
        for endpoint in (at(one), at(other), at(one, revision="2")):
            async with ChatClient({"writer": endpoint}, cache) as client:
                await client.sample(ask())
    assert (len(one.bodies), len(other.bodies)) == (2, 0)


async def test_an_answer_is_stored_although_its_caller_has_gone(cache: ReadAnswers) -> None:
    async with StubServer(default=ok(wait_s=0.1)) as server, ChatClient({"writer": at(server)}, cache) as client:
        caller = asyncio.create_task(client.sample(ask()))
        await asyncio.sleep(0.05)
        caller.cancel()
        with suppress(asyncio.CancelledError):
            await caller
    assert cache.total().completions == 1


async def test_when_an_answer_cannot_be_stored_nothing_more_is_asked(cache: ReadAnswers) -> None:
    class Full:
        async def store(self, *_: object, **__: object) -> None:
            raise StoreError("no space left")

        def __getattr__(self, name: str) -> Any:
            return getattr(cache, name)

    async with StubServer() as server, ChatClient({"writer": at(server, concurrency=2)}, Full()) as client:
        asked = (client.sample(ask(f"q{number}")) for number in range(20))
        ended = await asyncio.gather(*asked, return_exceptions=True)
    assert {str(each) for each in ended} == {"no space left"}
    assert len(server.bodies) == 2


async def test_leaving_by_an_interrupt_does_not_wait_for_answers(cache: ReadAnswers) -> None:
    loop = asyncio.get_running_loop()
    async with StubServer(default=ok(wait_s=30)) as server:
        start = loop.time()
        with pytest.raises(asyncio.CancelledError):
            async with ChatClient({"writer": at(server)}, cache) as client:
                caller = asyncio.create_task(client.sample(ask()))
                await asyncio.sleep(0.05)
                raise asyncio.CancelledError
        assert loop.time() - start < 5
        with pytest.raises(asyncio.CancelledError):
            await caller


async def test_a_run_that_is_stopping_sends_nothing_more(cache: ReadAnswers) -> None:
    async with StubServer(default=ok(wait_s=0.1)) as server:
        async with ChatClient({"writer": at(server, concurrency=1)}, cache) as client:
            callers = [asyncio.create_task(client.sample(ask(str(number)))) for number in range(3)]
            await asyncio.sleep(0.05)
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert [isinstance(each, ModelError) for each in outcomes] == [False, True, True]
    assert len(server.bodies) == cache.total().completions == 1


# what is learned


async def test_a_schema_is_weakened_step_by_step_and_once(cache: ReadAnswers) -> None:
    reply = unless(lambda body: "response_format" not in body, status(400, "response_format is not supported"))
    async with StubServer(default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(ask("one", json_schema=SCHEMA))
        await client.sample(ask("two", json_schema=SCHEMA))
    kinds = [body.get("response_format", {}).get("type") for body in server.bodies]
    assert kinds == ["json_schema", "json_object", None, None]


async def test_json_objects_are_asked_for_where_schemas_are_unknown(cache: ReadAnswers) -> None:
    fine = {"json_object"}
    reply = unless(lambda body: body["response_format"]["type"] in fine, status(422, "json_schema: unknown type"))
    async with StubServer(default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(ask("one", json_schema=SCHEMA))
        await client.sample(ask("two", json_schema=SCHEMA))
    assert [body["response_format"]["type"] for body in server.bodies] == ["json_schema", "json_object", "json_object"]


@pytest.mark.parametrize("field", ["seed", "top_p", "temperature", "stop"])
async def test_a_parameter_that_the_server_does_not_know_is_left_out_from_then_on(
    cache: ReadAnswers, field: str
) -> None:
    reply = unless(lambda body: field not in body, status(400, f"Unsupported parameter: '{field}'"))
    async with StubServer(default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(ask("one", stop=("x",)))
        await client.sample(ask("two", stop=("x",)))
    tried = 2 if field == "temperature" else 1  # 0 is first tried as 0.01
    assert [field in body for body in server.bodies] == [True] * tried + [False, False]


async def test_a_parameter_named_beside_the_message_is_understood(cache: ReadAnswers) -> None:
    reply = unless(lambda body: "seed" not in body, status(400, "Unknown parameter.", param="seed"))
    async with StubServer(default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        assert texts(await client.sample(ask())) == ["hello s- c0"]
    assert len(server.bodies) == 2


async def test_the_newer_name_of_the_token_limit_is_learned(cache: ReadAnswers) -> None:
    message = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    reply = unless(lambda body: "max_completion_tokens" in body, status(400, message))
    async with StubServer(default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(ask("one", max_tokens=7))
        await client.sample(ask("two", max_tokens=7))
    assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 7, 7]


async def test_requests_that_learn_at_the_same_time_learn_everything(cache: ReadAnswers) -> None:
    def is_fine(body: dict[str, object]) -> bool:
        return "seed" not in body and "top_p" not in body

    async def refuse(request: object, body: dict[str, object]) -> object:
        return await status(400, "unknown: seed" if "seed" in body else "unknown: top_p")(request, body)  # type: ignore[arg-type]

    reply = unless(is_fine, refuse)  # type: ignore[arg-type]
    async with StubServer(default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        await asyncio.gather(*(client.sample(ask(str(number))) for number in range(8)))
        learned = len(server.bodies)
        await asyncio.gather(*(client.sample(ask(str(number))) for number in range(8, 16)))
    assert len(server.bodies) == learned + 8


# answers that are data


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("This model's maximum context length is 4096 tokens. However, 'max_tokens' is 512.", 400),
        ("request (5031 tokens) exceeds the available context size (2048 tokens)", 400),
        ("prompt is too long", 413),
    ],
)
async def test_a_prompt_that_is_too_long_is_refused_and_not_sent_again(
    cache: ReadAnswers, message: str, code: int
) -> None:
    async with StubServer(default=status(code, message)) as server, ChatClient({"writer": at(server)}, cache) as client:
        for _ in range(2):
            completions = await client.sample(ask(samples=2))
            assert completions == [Completion("", "refused", detail=message)] * 2
    assert len(server.bodies) == 1


async def test_a_filtered_prompt_is_refused_by_a_server_that_answers_others(cache: ReadAnswers) -> None:
    server = StubServer(ok(), default=status(400, "violates the policy"))
    async with server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(ask("fine"))
        assert (await client.sample(ask("bad")))[0].finish_reason == "refused"
    assert len(server.bodies) == 2


async def test_a_filtered_prompt_is_refused_even_if_it_is_the_first_of_all(cache: ReadAnswers) -> None:
    def is_fine(body: dict[str, object]) -> bool:
        return "bad" not in str(body["messages"])

    reply = unless(is_fine, status(400, "violates the policy"))
    async with StubServer(default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        assert (await client.sample(ask("bad")))[0].finish_reason == "refused"
    assert len(server.bodies) == 1


async def test_what_a_server_says_of_a_prompt_is_kept_with_the_refusal(cache: ReadAnswers) -> None:
    said = "Your chosen model requires moderation and your input was flagged"
    reply = status(403, said, metadata={"reasons": ["violence"]})
    async with StubServer(ok(), default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(ask("fine"))
        [completion] = await client.sample(ask("bad"))
    assert (completion.finish_reason, completion.detail) == ("refused", said)


async def test_a_stage_of_which_nearly_everything_is_refused_ends_the_run(cache: ReadAnswers) -> None:
    server = StubServer(ok(), default=status(400, "Your input was flagged."))
    async with server, ChatClient({"writer": at(server)}, cache) as client:
        for number in range(7):
            await client.sample(ask(f"prompt {number}"))
        with pytest.raises(
            ModelError, match=r"refused 7 of 8 requests of stage verification.*flagged.*--retry-refused"
        ):
            await client.sample(ask("one more"))


@pytest.mark.parametrize("every", [2, 3])
async def test_some_refused_prompts_end_nothing(cache: ReadAnswers, every: int) -> None:
    replies = [status(400, "Your input was flagged.") if number % every == 0 else ok() for number in range(40)]
    async with StubServer(*replies) as server, ChatClient({"writer": at(server)}, cache) as client:
        for number in range(40):
            await client.sample(ask(f"prompt {number}"))
    assert len(server.bodies) == 40


async def test_choices_that_failed_are_asked_for_again(cache: ReadAnswers) -> None:
    failed = ok(finish_reason="abort")
    async with StubServer(failed, failed) as server, ChatClient({"writer": at(server)}, cache) as client:
        assert texts(await client.sample(ask(samples=2))) == ["hello s0 c0", "hello s0 c1"]
        assert client.retries == 2
    assert len(server.bodies) == 3


async def test_a_choice_that_always_fails_is_a_refusal_that_says_so(cache: ReadAnswers) -> None:
    server = StubServer(default=ok(finish_reason="insufficient_system_resource"))
    async with server, ChatClient({"writer": at(server, retries=2)}, cache) as client:
        [completion] = await client.sample(ask())
    assert completion.finish_reason == "refused"
    assert "last with: finish_reason 'insufficient_system_resource'" in completion.detail


@pytest.mark.parametrize("order", [(0.0, 0.8), (0.8, 0.0)])
async def test_what_one_value_taught_changes_no_other_value(cache: ReadAnswers, order: tuple[float, float]) -> None:
    reply = unless(lambda body: body.get("temperature", 1) > 0, status(422, "`temperature` must be strictly positive"))
    async with StubServer(default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        for temperature in order:
            await client.sample(ask(f"at {temperature}", temperature=temperature))
    taken = {body["temperature"] for body in server.bodies if body["temperature"] > 0}
    assert taken == {0.01, 0.8}
    assert cache.notes() == [f"{server.url} refuses temperature = 0: sent as 0.01"]


async def test_one_answer_that_is_no_json_takes_the_mode_from_nobody_else(cache: ReadAnswers) -> None:
    failed = status(400, "Failed to generate JSON. See 'failed_generation'.", code="json_validate_failed")
    async with StubServer(failed) as server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(ask("one", json_schema=SCHEMA))
        await client.sample(ask("two", json_schema=SCHEMA))
    types = [body["response_format"]["type"] for body in server.bodies]
    assert types == ["json_schema", "json_object", "json_schema"]
    assert cache.notes() == []


async def test_a_field_that_was_not_the_cause_is_sent_again(cache: ReadAnswers) -> None:
    reply = unless(
        lambda body: "bad" not in str(body["messages"]), status(400, "No: how warm is the temperature there")
    )
    async with StubServer(ok(), default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(ask("fine"))
        assert (await client.sample(ask("bad")))[0].finish_reason == "refused"
        await client.sample(ask("fine again"))
    assert "temperature" in server.bodies[-1]
    assert cache.notes() == []


async def test_an_answer_gets_the_room_that_the_context_leaves_it(cache: ReadAnswers) -> None:
    complaint = (
        "maximum context length is 2048 tokens. You requested 2512 (2000 in the messages, 512 in the completion)"
    )
    reply = unless(lambda body: body["max_tokens"] <= 48, status(400, complaint))
    async with StubServer(ok(), default=reply) as server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(ask("short"))
        [completion] = await client.sample(ask("long"))
        await client.sample(ask("short again", max_tokens=40))
    assert completion.finish_reason == "stop"
    assert [body["max_tokens"] for body in server.bodies] == [512, 512, 40, 40]


async def test_more_members_of_a_request_are_sent_as_they_are_given(cache: ReadAnswers) -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "temperature": 0.6}
    async with StubServer() as server, ChatClient({"writer": at(server, extra_body=extra)}, cache) as client:
        await client.sample(ask())
    assert server.bodies[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert server.bodies[0]["temperature"] == 0.6


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [
        ({"seed": 1}, "seed is not supported"),
        ({"temperature": 0}, "temperature must be greater than 0"),
        ({"temperature": None}, "temperature must be a number"),
        ({"max_tokens": 9_000}, "max_tokens must be at most 4096"),
        ({"max_tokens": None}, "max_tokens must be a number"),
        ({"response_format": {"type": "json_object"}}, "response_format is not supported"),
    ],
)
async def test_a_refused_field_that_a_user_gave_is_told_and_not_sent_for_ever(
    cache: ReadAnswers, extra: dict[str, Any], complaint: str
) -> None:
    async with (
        StubServer(default=status(400, complaint)) as server,
        ChatClient({"writer": at(server, extra_body=extra)}, cache) as client,
    ):
        with pytest.raises(ModelError, match=f"refuses every request: {complaint}"):
            await client.sample(ask())
    assert len(server.bodies) < 8


def test_a_user_gives_no_member_of_a_request_that_a_stage_decides() -> None:
    for name in ("messages", "prompt", "n"):
        with pytest.raises(ValidationError, match=f"extra_body sets {name}, which each stage decides"):
            Endpoint(extra_body={name: 2})


async def test_a_server_that_only_streams_gives_answers_and_probabilities(cache: ReadAnswers) -> None:
    logprobs = {"content": [{"token": "yes", "logprob": -0.1, "top_logprobs": [{"token": "yes", "logprob": -0.1}]}]}
    pieces = [
        {"index": 0, "delta": {"role": "assistant", "content": "ye"}, "logprobs": logprobs},
        {"index": 0, "delta": {"content": "s"}, "finish_reason": "stop", "logprobs": {"content": []}},
    ]
    stream = b"".join(b"data: " + json.dumps({"choices": [each]}).encode() + b"\n\n" for each in pieces)
    refusal = status(400, "This model only support stream mode, please enable the stream parameter")
    async with (
        StubServer(refusal, default=raw(stream + b"data: [DONE]\n\n", content_type="text/event-stream")) as server,
        ChatClient({"writer": at(server)}, cache) as client,
    ):
        [completion] = await client.sample(ask(top_logprobs=5))
    assert (completion.text, completion.logprobs) == ("yes", (("yes", -0.1),))
    assert [body.get("stream") for body in server.bodies] == [None, True]


async def test_a_server_whose_template_takes_no_system_turn_gets_none(cache: ReadAnswers) -> None:
    def is_fine(body: dict[str, Any]) -> bool:
        return body["messages"][0]["role"] == "user"

    request = Request("writer", "test", messages=(("system", "Be brief."), ("user", "Hello")))
    for code in (400, 500):
        refusal = unless(is_fine, status(code, "Jinja Exception: System role not supported"))
        async with StubServer(default=refusal) as server, ChatClient({"writer": at(server)}, cache) as client:
            [completion] = await client.sample(replace(request, seed=code))
        assert completion.finish_reason == "stop"
        assert server.bodies[-1]["messages"] == [{"role": "user", "content": "Be brief.\n\nHello"}]


async def test_a_server_that_refuses_everything_is_an_error(cache: ReadAnswers) -> None:
    server = StubServer(default=status(400, "no model loaded"))
    async with server, ChatClient({"writer": at(server)}, cache) as client:
        with pytest.raises(ModelError, match="refuses every request: no model loaded"):
            await client.sample(ask())
    assert cache.total().completions == 0


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({"content": [True]}, ""),
        ({"content": ""}, ""),
        ({"content": "ж" * 100_000}, "ж" * 100_000),
    ],
    ids=["null", "no text", "empty", "100 kB"],
)
async def test_an_odd_answer_is_data_and_kept(cache: ReadAnswers, message: object, text: str) -> None:
    async with StubServer(default=ok(message=message)) as server, ChatClient({"writer": at(server)}, cache) as client:
        for _ in range(2):
            [completion] = await client.sample(ask())
            assert (completion.text, completion.finish_reason) == (text, "stop")
    assert len(server.bodies) == 1


async def test_samples_that_came_before_an_error_are_kept(cache: ReadAnswers) -> None:
    server = StubServer(ok(choices=1), ok(), default=status(402, "no credit"))
    async with server, ChatClient({"writer": at(server)}, cache) as client:
        with pytest.raises(ModelError, match="no credit"):
            await client.sample(ask(samples=4))
    assert cache.total().completions == 2


@pytest.mark.parametrize(("has_some", "said"), [(True, 0), (False, 1)])
async def test_a_server_that_tells_no_probabilities_when_asked_is_named_once(
    cache: ReadAnswers, has_some: bool, said: int
) -> None:
    some = {"logprobs": {"content": [{"token": "yes", "top_logprobs": [{"token": "yes", "logprob": -0.1}]}]}}
    server = StubServer(default=ok(**(some if has_some else {})))
    async with server, ChatClient({"judge": at(server)}, cache) as client:
        for question in ("one", "two"):
            await client.sample(replace(ask(question), role="judge", stage="scoring", top_logprobs=5))
        await client.sample(replace(ask("three"), role="judge", stage="scoring"))
    assert sum("tells no probabilities of tokens" in note for note in cache.notes()) == said


async def test_a_retry_is_counted_before_its_answer_comes(cache: ReadAnswers) -> None:
    server = StubServer(status(500), default=ok(wait_s=0.2))
    async with server, ChatClient({"writer": at(server)}, cache) as client:
        asking = asyncio.create_task(client.sample(ask()))
        while not client.retries:  # noqa: ASYNC110 - the client counts it
            await asyncio.sleep(0.01)
        assert cache.total().requests == 0
        await asking
        assert (client.retries, cache.total().requests) == (1, 1)


async def test_no_choices_at_all_is_a_refusal(cache: ReadAnswers) -> None:
    async with StubServer(default=says({"choices": []})) as server, ChatClient({"writer": at(server)}, cache) as client:
        refused = Completion("", "refused", detail="the server gave no choices")
        assert await client.sample(ask(samples=3)) == [refused] * 3
    assert [body.get("n") for body in server.bodies] == [3, None]


# usage and budget


async def test_usage_is_counted_by_stage_and_priced(cache: ReadAnswers) -> None:
    prices = {"usd_per_million_prompt_tokens": 2.0, "usd_per_million_completion_tokens": 10.0}
    async with StubServer() as server, ChatClient({"writer": at(server, **prices)}, cache) as client:
        await client.sample(ask(samples=3))
        await client.sample(replace(ask("other"), stage="scoring"))
    usage = cache.usage()["verification"]
    assert (usage.requests, usage.completions, usage.prompt_tokens, usage.completion_tokens) == (1, 3, 10, 12)
    assert cache.total().usd == pytest.approx(200e-6)


async def test_a_token_budget_stops_the_run_and_holds_when_it_is_resumed(cache: ReadAnswers) -> None:
    async with StubServer() as server:
        async with ChatClient({"writer": at(server)}, cache, budget=Budget(tokens=28)) as client:
            await client.sample(ask("one"))
            await client.sample(ask("two"))
            with pytest.raises(BudgetExhausted, match=r"budget of 28 tokens is spent \(28\): raise --budget-tokens"):
                await client.sample(ask("three"))
        async with ChatClient({"writer": at(server)}, cache, budget=Budget(tokens=28)) as client:
            await client.sample(ask("one"))
            with pytest.raises(BudgetExhausted):
                await client.sample(ask("three"))
        async with ChatClient({"writer": at(server)}, cache, budget=Budget(tokens=29)) as client:
            await client.sample(ask("three"))
    assert len(server.bodies) == 3


async def test_a_money_budget_stops_the_run(cache: ReadAnswers) -> None:
    async with StubServer() as server:
        endpoint = at(server, usd_per_million_completion_tokens=1000.0)
        async with ChatClient({"writer": endpoint}, cache, budget=Budget(usd=0.004)) as client:
            await client.sample(ask("one"))
            with pytest.raises(BudgetExhausted, match=r"budget of \$0\.00 is spent \(\$0\.0040\): raise --budget-usd"):
                await client.sample(ask("two"))


async def test_answers_under_way_when_the_budget_ends_are_stored(cache: ReadAnswers) -> None:
    slow = ok(wait_s=0.2)
    async with StubServer(slow, slow, default=ok()) as server:
        with pytest.RaisesGroup(BudgetExhausted):
            client = ChatClient({"writer": at(server)}, cache, budget=Budget(tokens=1))
            async with client, asyncio.TaskGroup() as tasks:
                for text in ("slow", "slow too"):
                    tasks.create_task(client.sample(ask(text)))
                await asyncio.sleep(0.05)
                await client.sample(ask("quick"))
                tasks.create_task(client.sample(ask("too much")))
    assert len(server.bodies) == 3
    assert cache.total().completions == 3


# recorded runs


async def test_a_replay_answers_from_the_recording_and_asks_nobody(cache: ReadAnswers) -> None:
    async with StubServer() as server, ChatClient({"writer": at(server)}, cache) as client:
        first = await client.sample(ask())
    async with ChatClient({"writer": at(server)}, cache, replay_only=True) as client:
        assert await client.sample(ask()) == first
        with pytest.raises(ModelError, match=r"the recording lacks an answer of stage verification: .* run without"):
            await client.sample(ask("unknown"))


async def test_a_replay_of_the_embedded_model_needs_no_model(cache: ReadAnswers) -> None:
    embedded = Endpoint(model="smollm2-135m")
    async with StubServer() as server:
        running = embedded.model_copy(update={"base_url": server.url, "revision": embedded.identity.split("@")[1]})
        async with ChatClient({"writer": running}, cache) as client:
            first = await client.sample(ask())
    async with ChatClient({"writer": embedded}, cache, replay_only=True) as client:
        assert await client.sample(ask()) == first


async def test_an_embedded_model_that_was_not_started_is_named(cache: ReadAnswers) -> None:
    async with ChatClient({"writer": Endpoint(model="smollm2-135m")}, cache) as client:
        with pytest.raises(ModelError, match="embedded model smollm2-135m is not running"):
            await client.sample(ask())


async def test_a_refusal_that_names_nothing_is_about_the_prompt_once_the_server_has_taken_the_same_values(
    cache: ReadAnswers,
) -> None:
    taken = unless(lambda body: body["messages"][-1]["content"] != "bad", status(400, "not this"))
    async with StubServer(default=taken) as server, ChatClient({"writer": at(server)}, cache) as client:
        await client.sample(ask("good", plain=True))
        [refused] = await client.sample(ask("bad", plain=True))
        assert (refused.finish_reason, refused.detail, len(server.bodies)) == ("refused", "not this", 2)


async def test_a_redirect_that_repeats_the_key_does_not_show_it(
    cache: ReadAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "se/cret+key")
    there = status(307, headers={"Location": "http://other.example/v1?key=se%2Fcret%2Bkey&again=se/cret+key"})
    async with StubServer(default=there) as server:
        asked = at(server).model_copy(update={"api_key_env": "A_KEY"})
        async with ChatClient({"writer": asked}, cache) as client:
            with pytest.raises(ModelError, match=r"redirects to http://other\.example/v1\?key=\*\*\*&again=\*\*\*:"):
                await client.sample(ask())
