"""Reading what servers answer: whatever they leave out or get wrong is empty, never an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.models.requests import Completion
from autoif.models.wire import Dialect, narrow, read_answer

LLAMA_CPP = {
    "content": [
        {
            "id": 198,
            "token": "B",
            "logprob": -0.5,
            "top_logprobs": [
                {"id": 1, "token": "A", "bytes": [65], "logprob": -2.25},
                {"id": 2, "token": "B", "bytes": [66], "logprob": -0.5},
                {"id": 3, "token": "C", "bytes": [67], "logprob": -2.25},
            ],
        },
        {"token": "x", "logprob": -9.0, "top_logprobs": []},
    ]
}
LEGACY = {
    "tokens": ["B", "x"],
    "token_logprobs": [-0.5, -9.0],
    "top_logprobs": [{"C": -2.25, "A": -2.25, "B": -0.5}, {"x": -9.0}],
    "text_offset": [0, 1],
}


@pytest.mark.parametrize("logprobs", [LLAMA_CPP, LEGACY])
def test_the_first_tokens_alternatives_are_read_in_every_form_most_likely_first(logprobs: object) -> None:
    [completion] = read_answer({"choices": [{"text": "Bx", "finish_reason": "length", "logprobs": logprobs}]})
    assert completion.logprobs == (("B", -0.5), ("A", -2.25), ("C", -2.25))


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        [],
        {},
        {"content": None},
        {"content": []},
        {"content": [{"token": "x"}]},
        {"content": [{"top_logprobs": ["x", {"token": 1, "logprob": -1}, {"token": "x"}]}]},
        {"top_logprobs": [None]},
        {"top_logprobs": [{"A": "x"}]},
    ],
)
def test_logprobs_that_are_not_there_are_empty(logprobs: object) -> None:
    assert read_answer({"choices": [{"text": "x", "logprobs": logprobs}]})[0].logprobs == ()


@pytest.mark.parametrize(
    ("given_reason", "reason"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        (None, "stop"),
        (["?"], "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "refused"),
        ("refusal", "refused"),
    ],
)
def test_finish_reasons_are_one_of_three(given_reason: object, reason: str) -> None:
    [completion] = read_answer({"choices": [{"message": {"content": "x"}, "finish_reason": given_reason}]})
    assert completion.finish_reason == reason


@pytest.mark.parametrize("content", [None, 7, ["text"], {"type": "text"}, True])
def test_content_that_is_no_text_is_empty(content: object) -> None:
    assert read_answer({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})[0].text == ""


def test_reasoning_is_ignored() -> None:
    message = {"content": None, "reasoning_content": "Let me think."}
    assert read_answer({"choices": [{"message": message}]}) == [Completion("", "stop")]


def test_a_refusal_in_words_is_a_refusal() -> None:
    message = {"content": None, "refusal": "I can't help with that."}
    assert read_answer({"choices": [{"message": message, "finish_reason": "stop"}]}) == [Completion("", "refused")]


def test_a_text_of_100_kb_is_whole() -> None:
    text = "ä" * 100_000
    assert read_answer({"choices": [{"message": {"content": text}}]})[0].text == text


def test_a_half_character_is_replaced() -> None:
    assert read_answer({"choices": [{"message": {"content": "a\ud83d"}}]})[0].text == "a?"


@pytest.mark.parametrize("usage", [None, [], "x", {}, {"prompt_tokens": None, "completion_tokens": "7"}])
def test_usage_that_is_not_there_counts_nothing(usage: object) -> None:
    [completion] = read_answer({"choices": [{"text": "x"}], "usage": usage})
    assert (completion.prompt_tokens, completion.completion_tokens) == (0, 0)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=9), st.integers(0, 10_000), st.integers(0, 10_000))
def test_shares_of_usage_add_up_to_what_the_server_counted(texts: list[str], prompt: int, completion: int) -> None:
    choices = [{"text": text} for text in texts]
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    completions = read_answer({"choices": choices, "usage": usage})
    assert sum(each.prompt_tokens for each in completions) == prompt
    assert sum(each.completion_tokens for each in completions) == completion
    assert all(each.completion_tokens >= 0 for each in completions)


def test_llama_cpp_counts_the_first_choice_only_so_the_others_are_estimated() -> None:
    choices = [{"text": "x" * 40}, {"text": "x" * 80}, {"text": ""}]
    usage = {"prompt_tokens": 5, "completion_tokens": 10}
    completions = read_answer({"choices": choices, "usage": usage, "timings": {}})
    assert [each.completion_tokens for each in completions] == [10, 20, 0]


@pytest.mark.parametrize("choices", [None, [], {}, "x", [None, 7]])
def test_choices_that_are_not_there_are_none(choices: object) -> None:
    assert read_answer({"choices": choices}) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["message", "content", "text", "logprobs", "top_logprobs", "token", "logprob", "finish_reason"]
            ),
            children,
            max_size=4,
        )
    ),
)


@given(st.lists(json_values, max_size=3), json_values)
def test_no_answer_is_too_odd_to_read(choices: list[object], usage: object) -> None:
    for completion in read_answer({"choices": choices, "usage": usage}):
        assert completion.finish_reason in {"stop", "length", "refused"}
        completion.text.encode("utf-8")


@pytest.mark.parametrize(
    "complaint",
    [
        "This model's maximum context length is 4096 tokens, but n and response_format ask for more",
        "content management policy",
        "no",
    ],
)
def test_a_complaint_about_one_request_teaches_nothing(complaint: str) -> None:
    body = {"n": 4, "seed": 1, "response_format": {}, "max_tokens": 5}
    assert narrow(Dialect(), body, complaint) is None
