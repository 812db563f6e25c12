"""What a server refuses is found by the field that it names, in any language, and changed as little as can be."""

import json

import pytest

from autoif.models.dialect import Dialect, find_room, narrow, narrowest, request_body
from autoif.models.replies import read_complaint
from autoif.models.requests import Request

SCHEMA = {"type": "object"}
REQUEST = Request("writer", "test", messages=(("user", "Hi"),), temperature=0.0, stop=("x",), json_schema=SCHEMA)
BODY = request_body(REQUEST, "m", Dialect(), seed=7, samples=4)


def teach(complaint: object) -> Dialect | None:
    """Return what a server's complaint about BODY teaches."""
    text = complaint if isinstance(complaint, str) else json.dumps(complaint)
    step = narrow(Dialect(), BODY, read_complaint(text.encode()).words)
    return step.dialect if step else None


@pytest.mark.parametrize(
    ("complaint", "refused"),
    [
        ("top_p must be < 1.0", ("top_p", 1.0)),
        ("未正常接收到top_p参数，取值需在(0,1)内", ("top_p", 1.0)),
        ("Top_p should be in (0.0, 1.0)", ("top_p", 1.0)),
        ("temperature and top_p cannot both be specified for this model.", ("top_p", 1.0)),
        ("Temperature must be greater than zero", ("temperature", 0.0)),
        ("参数seed不支持", ("seed", None)),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": '{"detail": "Extra inputs: seed"}'}}},
            ("seed", None),
        ),
        ([{"error": {"code": 400, "message": 'Unknown name "seed": Cannot find field.'}}], ("seed", None)),
        ({"message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}}, ("seed", None)),
        ({"detail": [{"loc": ["body", "stop"], "msg": "not permitted"}]}, ("stop", None)),
        ("La température doit être supérieure à 0", ("temperature", 0.0)),
        ("La temperatura debe ser mayor que 0", ("temperature", 0.0)),
        ("温度参数必须大于0", ("temperature", 0.0)),
        ({"errors": {"temperature": ["must be greater than 0"]}}, ("temperature", 0.0)),
        ({"seed": ["This field is not allowed."]}, ("seed", None)),
        ({"error": {"message": "Unsupported value", "param": "temperature"}}, ("temperature", 0.0)),
        (
            "unknown field `seed`, expected one of `model`, `messages`, `temperature`, `top_p`, `n`, `stop`, "
            "`max_tokens`, `response_format`, `presence_penalty`",
            ("seed", None),
        ),
        (
            "seed is not allowed here. Supported parameters are: model, messages, temperature, top_p, n, max_tokens",
            ("seed", None),
        ),
    ],
)
def test_a_field_is_found_by_its_name_and_refused_for_its_value(
    complaint: object, refused: tuple[str, float | None]
) -> None:
    learned = teach(complaint)
    assert learned is not None
    assert learned.refused == {refused}


@pytest.mark.parametrize(
    ("complaint", "changed"),
    [
        ("Invalid n value (currently only n = 1 is supported)", Dialect(samples_per_request=2)),
        ("Use 'max_completion_tokens' instead of 'max_tokens'", Dialect(token_limit="max_completion_tokens")),
        ("max_tokens is too large: 512. This model supports at most 100 completion tokens", Dialect(most_tokens=100)),
        ("Range of max_tokens should be [1, 300]", Dialect(most_tokens=300)),
        ("The maximum tokens you requested exceeds the model limit of 300.", Dialect(most_tokens=300)),
        ("maxTokens must be less than or equal to 300", Dialect(most_tokens=300)),
        ("max_new_tokens must be <= 300", Dialect(most_tokens=300)),
        ("参数max_tokens取值范围为[1,300]", Dialect(most_tokens=300)),
        (
            "`max_tokens` must be less than or equal to `300`, the maximum value for `max_tokens` is less than the "
            "`context_window` for this model",
            Dialect(most_tokens=300),
        ),
        ("Unrecognized request argument supplied: max_tokens", Dialect(token_limit="max_completion_tokens")),
        ("Unrecognized request argument supplied: n", Dialect(samples_per_request=2)),
        ("Only one candidate can be specified", Dialect(samples_per_request=2)),
        ("response mime type 'application/json' is unsupported", Dialect(json_mode="json_object")),
        ("constrained decoding is not supported in this mode", Dialect(json_mode="json_object")),
        ("Requested output length exceeds the maximum of 300 output tokens", Dialect(most_tokens=300)),
        ("This response_format type is unavailable now", Dialect(json_mode="json_object")),
        ("不支持response_format参数", Dialect(json_mode="json_object")),
        ("Structured outputs are not supported by this model", Dialect(json_mode="json_object")),
        ("litellm does not support parameters: ['n', 'messages', 'model']", Dialect(samples_per_request=2)),
        ("tool_choice and response_format don't go together", Dialect(json_mode="json_object")),
    ],
)
def test_other_fields_are_asked_for_in_another_way(complaint: str, changed: Dialect) -> None:
    assert teach(complaint) == changed


@pytest.mark.parametrize(
    "complaint",
    [
        "This model's maximum context length is 4096 tokens, but n and response_format ask for more",
        "no",
        "Your prompt was blocked: '... how do I stop the seed from growing at this temperature ...'",
        "The word seeds is plural, and nonstop is one word",
    ],
)
def test_a_complaint_that_names_no_field_teaches_nothing(complaint: str) -> None:
    assert teach(complaint) is None


@pytest.mark.parametrize(
    "complaint",
    [
        "This model only support stream mode, please enable the stream parameter to access the model.",
        "parameter.enable_thinking must be set to false for non-streaming calls",
        "Stream must be set to true",
        "Only stream mode is supported",
        "Requests with max_tokens > 64 must have stream=true",
        'This endpoint requires streaming: set "stream": true',
        "该模型仅支持流式输出",
    ],
)
def test_a_server_that_only_streams_is_asked_to(complaint: str) -> None:
    step = narrow(Dialect(), BODY, complaint)
    assert step is not None and step.dialect == Dialect(streams=True)
    body = request_body(REQUEST, "m", step.dialect, seed=7, samples=4)
    assert body == BODY | {"stream": True}
    assert narrow(step.dialect, body, complaint) is None


@pytest.mark.parametrize(
    "complaint",
    [
        "System role not supported",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "Only user and assistant roles are supported!",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        'messages: Unexpected role "system".',
        "This model doesn't support system messages. Try again without a system message.",
        "Developer instruction is not enabled for models/gemma-3-27b-it",
        "Input should be 'user' or 'assistant'",
        "A conversation must start with a user message.",
        "invalid message role: system",
    ],
)
def test_a_refused_system_turn_begins_the_users(complaint: str) -> None:
    request = Request("writer", "test", messages=(("system", "Be brief."), ("user", "Hi")))
    step = narrow(Dialect(), request_body(request, "m", Dialect(), seed=7, samples=1), complaint)
    assert step is not None and step.lasting
    body = request_body(request, "m", step.dialect, seed=7, samples=1)
    assert body["messages"] == [{"role": "user", "content": "Be brief.\n\nHi"}]
    assert narrow(step.dialect, body, complaint) is None
    assert step.dialect.describe() == ["takes no system turn: what it says begins the user's turn"]


def test_a_field_is_left_out_or_replaced_for_the_refused_value_only() -> None:
    dialect = Dialect(refused=frozenset({("temperature", 0.0), ("top_p", 1.0), ("seed", None)}))
    body = request_body(REQUEST, "m", dialect, seed=7, samples=1)
    assert (body["temperature"], "top_p" in body, "seed" in body) == (0.01, False, False)
    other = Request("writer", "test", messages=(("user", "Hi"),), temperature=0.8, top_p=0.9)
    body = request_body(other, "m", dialect, seed=7, samples=1)
    assert (body["temperature"], body["top_p"]) == (0.8, 0.9)


def test_what_two_requests_learn_at_once_is_the_same_in_either_order() -> None:
    one = Dialect(json_mode="json_object", refused=frozenset({("seed", None)}), most_tokens=100)
    other = Dialect(samples_per_request=1, refused=frozenset({("top_p", 1.0)}))
    assert narrowest(one, other) == narrowest(other, one)
    assert narrowest(one, other).describe() == narrowest(other, one).describe()
    assert len(narrowest(one, other).describe()) == 5


@pytest.mark.parametrize(
    ("complaint", "room"),
    [
        ("maximum context length is 2048 tokens. You requested 2500 (1500 in messages, 1000 in the completion)", 540),
        ("maximum context length is 2048 tokens and your request has 1500 input tokens (1000 > 2048 - 1500).", 540),
        ("inputs + `max_new_tokens` must be <= 2048. Given: 1500 `inputs` tokens and 1000 `max_new_tokens`", 540),
        ("input length and `max_tokens` exceed context limit: 1500 + 1000 > 2,048", 540),
        ("maximum context length is 2048 tokens. You requested 3047 (2047 in the messages, 1000 in the rest)", None),
        ("request (5031 tokens) exceeds the available context size (2048 tokens)", None),
        ("maximum context length is 2048 tokens, however your prompt has 3000", None),
        ("prompt is too long", None),
        ("400: llama-3.3-70b: maximum context length is 2048, 2500 requested (1500 of messages, 1000 of answer)", 540),
        ("llama-3.3-70b: max 2048 tokens of context length: 1500 of input and max_tokens 1000 (400)", 540),
        ("Your request exceeded model token limit: 2048 (requested: 2500)", 540),
        ("Your request exceeded model token limit: 2048 (requested: 3500)", None),
    ],
)  # fmt: skip
def test_the_room_for_an_answer_is_read_from_the_complaint(complaint: str, room: int | None) -> None:
    assert find_room(complaint, 1000) == room


def test_a_room_that_turns_out_too_small_is_halved_until_the_prompt_is_refused() -> None:
    """vLLM counts a prompt that is too long only up to the first token that is too many."""
    request, dialect, tried = Request("writer", "test", messages=(("user", "Hi"),), max_tokens=1000), Dialect(), 0
    while True:
        asked = min(1000, dialect.most_tokens)
        complaint = (
            f"This model's maximum context length is 2048 tokens. However, you requested {asked} output tokens and "
            f"your prompt contains at least {2049 - asked} input tokens, for a total of at least 2049 tokens."
        )
        step = narrow(dialect, request_body(request, "m", dialect, seed=7, samples=1), complaint)
        if step is None:
            break
        assert not step.lasting
        dialect, tried = step.dialect, tried + 1
    assert tried < 9
