"""Reading what servers answer: whatever they leave out or get wrong is empty, never an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.models.requests import Completion
from autoif.models.wire import Question, read_server_answer
from autoif.records import Reason


def read_one(choice: dict[str, object], usage: object = None) -> Completion:
    [completion] = read_server_answer({"choices": [choice], "usage": usage}).completions
    return completion


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


BY_TOKEN = {"C": -2.25, "A": -2.25, "B": -0.5}
OBJECTS = {token: {"logprob": value, "rank": 1} for token, value in BY_TOKEN.items()}


@pytest.mark.parametrize(
    "logprobs",
    [
        LLAMA_CPP,
        LEGACY,
        {"top_logprobs": BY_TOKEN},
        {"content": [{"token": "B", "top_logprobs": BY_TOKEN}]},
        {"top_logprobs": [OBJECTS]},
    ],
)
def test_the_first_tokens_alternatives_are_read_in_every_form_most_likely_first(logprobs: object) -> None:
    completion = read_one({"text": "Bx", "finish_reason": "length", "logprobs": logprobs})
    assert completion.logprobs == (("B", -0.5), ("A", -2.25), ("C", -2.25))


@pytest.mark.parametrize("mark", ["▁", "Ġ"])
def test_a_vocabularys_mark_for_a_space_is_a_space(mark: str) -> None:
    logprobs = {"content": [{"top_logprobs": [{"token": f"{mark}no", "logprob": -0.5}]}]}
    assert read_one({"text": "no", "finish_reason": "stop", "logprobs": logprobs}).logprobs == ((" no", -0.5),)


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
        {"top_logprobs": [{"A": float("-inf"), "B": float("nan")}]},
    ],
)
def test_logprobs_that_are_not_there_are_empty(logprobs: object) -> None:
    assert read_one({"text": "x", "logprobs": logprobs}).logprobs == ()


@pytest.mark.parametrize(
    ("given_reason", "reason"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("model_context_window_exceeded", "length"),
        ("max_output_tokens", "length"),
        ("content_filter", "refused"),
        ("refusal", "refused"),
        ("sensitive", "refused"),
        ("SAFETY", "refused"),
        ("PROHIBITED_CONTENT", "refused"),
        ("guardrail_intervened", "refused"),
        ("blacklist", "refused"),
        ("ERROR_TOXIC", "refused"),
        ("max_completion_tokens", "length"),
        ("repetition", "length"),
        ("TIME_LIMIT", "length"),
        ("ERROR_LIMIT", "length"),
        ("not_finished", "length"),
        ("FINISH_REASON_MAX_TOKENS", "length"),
        ("FinishReason.STOP", "stop"),
        ("ALTERNATIVE_STATUS_FINAL", "stop"),
        ("normal", "stop"),
        ("endTurn", "stop"),
        ("eosFound", "stop"),
        ("<|im_end|>", "stop"),
        ("stop_token_id", "stop"),
        ("max_len", "length"),
        ("context_full", "length"),
        ("out_of_tokens", "length"),
        ("flagged", "refused"),
        ("data_inspection_failed", "refused"),
        ("stopped_by_user", "unknown"),
        ({"type": "length", "length": 128}, "length"),
        ({"type": "stop", "matched": 151645}, "stop"),
        (None, "unknown"),
        ("null", "unknown"),
        ("tool_calls", "unknown"),
        ("something new", "unknown"),
        (["?"], "unknown"),
        (7, "unknown"),
    ],
)
def test_finish_reasons_are_an_open_set(given_reason: object, reason: str) -> None:
    completion = read_one({"message": {"content": "x"}, "finish_reason": given_reason})
    assert completion.finish_reason == reason
    assert (completion.detail == "") == (reason in {"stop", "length"})


@pytest.mark.parametrize("name", ["finishReason", "stop_reason", "done_reason", "stop_type", "native_finish_reason"])
@pytest.mark.parametrize("nothing", [None, "", "null"])
def test_an_end_is_found_by_the_names_that_other_apis_give_it(name: str, nothing: object) -> None:
    choice = {"message": {"content": "x"}, "finish_reason": nothing, name: "max_tokens"}
    assert read_one(choice).finish_reason == "length"


@pytest.mark.parametrize("said", ["stop", None])
@pytest.mark.parametrize(
    ("counted", "message", "ended"),
    [
        (40, {"content": "x"}, "length"),
        (39, {"content": "x"}, None),
        (40, {"content": "x", "reasoning_content": "hm"}, None),
    ],
)
def test_answers_that_used_all_that_they_might_were_cut_whatever_the_server_says(
    said: object, counted: int, message: dict[str, object], ended: object
) -> None:
    answer = {"choices": [{"message": message, "finish_reason": said}] * 2}
    answer["usage"] = {"prompt_tokens": 9, "completion_tokens": counted}  # type: ignore[assignment]
    found = read_server_answer(answer, Question(most_tokens=20)).completions
    assert {each.finish_reason for each in found} == {ended or said or "unknown"}


def test_a_label_may_be_as_long_as_it_might_be() -> None:
    answer = {"choices": [{"text": "entailment", "finish_reason": "stop"}]}
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    assert (
        read_server_answer({**answer, "usage": usage}, Question(most_tokens=4)).completions[0].finish_reason == "stop"
    )


@pytest.mark.parametrize(
    "reason",
    ["error", "abort", "insufficient_system_resource", "network_error", "cancelled", "load_shed", "upstream_closed"],
)
def test_a_choice_that_failed_on_the_way_is_no_completion(reason: str) -> None:
    fine, failed = {"text": "x", "finish_reason": "stop"}, {"text": "half", "finish_reason": reason}
    answer = read_server_answer({"choices": [fine, failed]})
    assert [each.text for each in answer.completions] == ["x"]
    assert answer.failures == (f"finish_reason {reason!r}",)


@pytest.mark.parametrize("message", [None, {"role": "assistant", "content": ""}, {"content": None, "refusal": None}])
def test_a_choice_that_says_nothing_and_not_how_it_ended_failed_on_the_way(message: object) -> None:
    answer = read_server_answer({"choices": [{"message": message, "finish_reason": None}]})
    assert answer[:2] == ([], ("nothing was written, and no end is told",))
    assert read_one({"message": message, "finish_reason": "stop"}).fault == Reason.EMPTY


CALLED = {"name": "json_tool_call", "arguments": '{"score": 9}'}


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "tool_calls": [{"type": "function", "function": CALLED}]},
        {"content": "", "function_call": {**CALLED, "name": "answer"}},
        {"content": [{"type": "tool_use", "name": "structured_output", "input": {"score": 9}}]},
    ],
)
def test_json_that_a_gateway_left_in_the_call_of_a_tool_is_the_answer(message: dict[str, object]) -> None:
    found = read_one({"message": message, "finish_reason": "tool_calls"})
    assert (found.text, found.finish_reason) == ('{"score": 9}', "stop")


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "tool_calls": [{"function": {"name": "search", "arguments": "{}"}}]},
        {"content": '<tool_call>\n{"name": "search", "arguments": {}}\n</tool_call>'},
        {"content": '[TOOL_CALLS] [{"name": "search", "arguments": {}}]'},
        {"content": '<|python_tag|>{"name": "search", "parameters": {}}'},
        {"content": "<｜tool▁calls▁begin｜>search"},
    ],
)
def test_the_call_of_a_tool_that_nobody_offered_is_no_answer(message: dict[str, object]) -> None:
    found = read_one({"message": message, "finish_reason": "tool_calls"})
    assert found.fault == Reason.EMPTY
    assert "tool" in found.fault_detail


def test_an_answer_about_the_call_of_a_tool_keeps_its_text() -> None:
    text = "A model writes <tool_call>{}</tool_call> to call one."
    assert read_one({"message": {"content": text}, "finish_reason": "stop"}).text == text


def test_the_tags_of_an_answer_go_where_the_server_split_the_thought_off() -> None:
    content = "<answer>\nYes.\n</answer>"
    assert read_one({"message": {"content": content, "reasoning_content": "hm"}}).text == "Yes."
    assert read_one({"message": {"content": content}}).text == content


LINK = {"url": "https://a.example", "title": "a"}


@pytest.mark.parametrize(
    ("content", "annotations"),
    [
        ("Yes ([a](b)).", [{"type": "url_citation", "url_citation": {"start_index": 4, "end_index": 12, **LINK}}]),
        (
            "Yes【4:0†source】.",
            [{"type": "file_citation", "text": "【4:0†source】", "start_index": 3, "end_index": 15}],
        ),
        ("Yes [1][2].", []),
        ("Yes \ue200cite\ue202turn0search0\ue201.", None),
    ],
)
def test_references_to_what_a_server_searched_are_taken_out(content: str, annotations: object) -> None:
    choice = {"message": {"content": content, "annotations": annotations}, "finish_reason": "stop"}
    answer = {"choices": [choice], "citations": ["https://a.example", "https://b.example"]}
    assert read_server_answer(answer).completions[0].text.replace(" .", ".") == "Yes."


def test_numbers_in_brackets_stay_where_no_sources_are_listed() -> None:
    answer = {"choices": [{"message": {"content": "a[1] and [3]"}, "finish_reason": "stop"}]}
    assert read_server_answer(answer).completions[0].text == "a[1] and [3]"
    assert read_server_answer({**answer, "citations": ["x"]}).completions[0].text == "a and [3]"


def test_the_model_that_answered_is_read() -> None:
    assert read_server_answer({"model": "other\n1", "choices": []}).model == "other 1"
    assert read_server_answer({"model": 7, "choices": []}).model == ""


@pytest.mark.parametrize(
    "error", [{"code": 502, "message": "Upstream lost the connection"}, "Upstream lost the connection"]
)
def test_a_choice_that_carries_an_error_is_no_completion(error: object) -> None:
    answer = read_server_answer({"choices": [{"message": {"content": ""}, "finish_reason": "stop", "error": error}]})
    assert answer[:2] == ([], ("Upstream lost the connection",))


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        (["te", "xt"], "text", ""),
        ({"type": "text", "text": "text"}, "text", ""),
        ([{"type": "text", "text": "te"}, {"type": "output_text", "text": "xt"}], "text", ""),
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}],
            "a",
            "hm",
        ),
        ([{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "a"}], "a", "hm"),
        ([{"text": "hm", "thought": True}, {"text": "a"}], "a", "hm"),
        ([{"reasoningContent": {"reasoningText": {"text": "hm", "signature": "x"}}}, {"text": "a"}], "a", "hm"),
        ([{"type": "reasoning_content", "reasoning_text": {"text": "hm"}}, {"type": "text", "text": "a"}], "a", "hm"),
        (
            [
                {"type": "reasoning", "summary": [{"text": "hm"}]},
                {"type": "message", "content": [{"type": "output_text", "text": "a"}]},
            ],
            "a",
            "hm",
        ),
        ('[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]', "a", "hm"),
        ('[{"type": "circle", "text": "a"}]', '[{"type": "circle", "text": "a"}]', ""),
        ({"reasoning": "hm", "score": 9}, '{"reasoning": "hm", "score": 9}', ""),
        ("<think>hm</think>a", "a", "hm"),
        ([{"type": "text", "text": {"value": "text", "annotations": []}}], "text", ""),
        ([{"type": "text", "content": "text"}], "text", ""),
        ({"parts": [{"text": "hm", "thought": True}, {"text": "text"}], "role": "model"}, "text", "hm"),
        ({"func": "x", "cases": []}, '{"func": "x", "cases": []}', ""),
        ([{"a": "ü"}], '{"a": "ü"}', ""),
        (9, "9", ""),
        (8.5, "8.5", ""),
        (None, "", ""),
        (True, "", ""),
        ({"type": "text"}, "", ""),
    ],
)
def test_content_is_a_text_or_a_list_of_parts(content: object, text: str, reasoning: str) -> None:
    completion = read_one({"message": {"content": content}, "finish_reason": "stop"})
    assert (completion.text, completion.reasoning) == (text, reasoning)


@pytest.mark.parametrize(
    "field",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning_content": "hm", "reasoning": "hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "x"}]},
        {"reasoning": {"summary": [{"text": "hm"}]}},
        {"reasoning_text": "hm"},
        {"thinking_content": "hm"},
        {"thought": "hm"},
    ],
)
def test_a_thought_beside_the_content_is_kept_beside_the_answer(field: dict[str, object]) -> None:
    completion = read_one({"message": {"content": "a", **field}, "finish_reason": "stop"})
    assert (completion.text, completion.reasoning, completion.fault) == ("a", "hm", None)


@pytest.mark.parametrize(
    ("message", "reason", "fault"),
    [
        ({"content": None, "reasoning_content": "hm"}, "stop", Reason.ONLY_REASONING),
        ({"content": "<think>hm</think>"}, "stop", Reason.ONLY_REASONING),
        ({"content": None, "reasoning_content": "hm"}, "length", Reason.TRUNCATED),
        ({"content": "<think>a score of 9 would be"}, "stop", Reason.TRUNCATED),
        ({"content": "half an ans"}, "length", Reason.TRUNCATED),
        ({"content": "<think></think>"}, "stop", Reason.EMPTY),
        ({"content": " "}, "stop", Reason.EMPTY),
        ({"content": "\u200e\u2800\n\u00ad"}, "stop", Reason.EMPTY),
        ({"content": "\u3164\ufe0f"}, "stop", Reason.EMPTY),
        ({"content": "\u200f✨\ufe0f"}, "stop", None),
        ({"content": "<think>open"}, "content_filter", Reason.REFUSED_BY_MODEL),
        ({"content": "a"}, None, None),
        ({"content": "a"}, "stop", None),
    ],
)
def test_an_answer_that_is_none_says_why(message: dict[str, object], reason: object, fault: Reason | None) -> None:
    assert read_one({"message": message, "finish_reason": reason}).fault == fault


@pytest.mark.parametrize(
    "choice",
    [
        {"delta": {"role": "assistant", "content": "text"}},
        {"message": {}, "delta": {"content": "text"}},
        {"message": {"role": "assistant", "content": None}, "delta": {"content": "text"}},
        {"message": [{"role": "assistant", "content": "text"}]},
        {"message": {"content": "text", "refusal": "None"}},
        {"message": "text"},
        {"message": {"text": "text"}},
        {"message": {"content": ""}, "text": "text"},
        {"content": "text"},
    ],
)
def test_an_answer_is_found_where_gateways_leave_it(choice: dict[str, object]) -> None:
    assert read_one({**choice, "finish_reason": "stop"}).text == "text"


def test_a_refusal_in_a_part_of_the_content_is_one() -> None:
    message = {"content": [{"type": "refusal", "refusal": "I can't help with that."}]}
    found = read_one({"message": message, "finish_reason": "stop"})
    assert (found.fault, found.detail) == (Reason.REFUSED_BY_MODEL, "I can't help with that.")


def test_a_refusal_in_words_is_kept_as_the_reason() -> None:
    message = {"content": None, "refusal": "I can't help with that."}
    completion = read_one({"message": message, "finish_reason": "stop"})
    assert (completion.text, completion.finish_reason) == ("", "refused")
    assert completion.detail == "I can't help with that."


def test_a_text_of_100_kb_is_whole() -> None:
    text = "ä" * 100_000
    assert read_one({"message": {"content": text}}).text == text


@pytest.mark.parametrize("usage", [None, [], "x", {}, {"prompt_tokens": None, "completion_tokens": "?"}])
def test_a_server_that_counts_nothing_is_estimated_and_the_estimate_says_so(usage: object) -> None:
    choices = [{"text": "x" * 40, "finish_reason": "stop"}, {"text": "y" * 80, "finish_reason": "stop"}]
    first, second = read_server_answer({"choices": choices, "usage": usage}, Question(("x" * 400,))).completions
    assert (first.prompt_tokens, first.completion_tokens, first.estimated) == (100, 10, True)
    assert (second.prompt_tokens, second.completion_tokens, second.estimated) == (0, 20, True)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 100.0, "completion_tokens": "20"},
        {"input_tokens": 100, "output_tokens": 20},
    ],
)
def test_counts_are_read_in_whatever_form(usage: object) -> None:
    completion = read_one({"text": "x", "finish_reason": "stop"}, usage)
    assert (completion.prompt_tokens, completion.completion_tokens, completion.estimated) == (100, 20, False)


@pytest.mark.parametrize(("details", "tokens"), [({"reasoning_tokens": 7}, 7), ({}, 10), (None, 10)])
def test_thoughts_are_counted_by_the_server_or_by_their_length(details: object, tokens: int) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 20, "completion_tokens_details": details}
    completion = read_one({"text": "<think>1234567890</think>abcdefghij", "finish_reason": "stop"}, usage)
    assert (completion.completion_tokens, completion.reasoning_tokens) == (20, tokens)


def test_a_thought_that_is_in_neither_count_is_counted() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 90}}
    completion = read_one({"text": "x", "finish_reason": "stop"}, usage)
    assert (completion.completion_tokens, completion.reasoning_tokens) == (94, 90)


@pytest.mark.parametrize(("total", "completion"), [(530, 520), (30, 20), (25, 20), (None, 20), ("530", 520)])
def test_a_thought_that_only_the_total_counts_is_counted(total: object, completion: int) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": total}
    assert read_one({"text": "x", "finish_reason": "stop"}, usage).completion_tokens == completion


@given(st.lists(st.text(max_size=30), min_size=1, max_size=9), st.integers(1, 10_000), st.integers(1, 10_000))
def test_shares_of_usage_add_up_to_what_the_server_counted(texts: list[str], prompt: int, completion: int) -> None:
    choices = [{"text": text, "finish_reason": "stop"} for text in texts]
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    completions = read_server_answer({"choices": choices, "usage": usage}).completions
    assert sum(each.prompt_tokens for each in completions) == prompt
    assert sum(each.completion_tokens for each in completions) == completion
    assert all(each.completion_tokens >= 0 for each in completions)


def test_llama_cpp_counts_the_first_choice_only_so_the_others_are_estimated() -> None:
    choices = [{"text": text, "finish_reason": "stop"} for text in ("x" * 40, "x" * 80, "")]
    usage = {"prompt_tokens": 5, "completion_tokens": 10}
    completions = read_server_answer({"choices": choices, "usage": usage, "timings": {}}).completions
    assert [each.completion_tokens for each in completions] == [10, 20, 0]


@pytest.mark.parametrize("told", [1 << 70, 1e300, "9" * 400, 999_999_999])
def test_more_tokens_than_there_can_be_are_counted_in_numbers_that_can_be_stored(
    told: object,
) -> None:
    choices = [{"message": {"content": text}} for text in ("a", "b" * 100_000)]
    usage = {"prompt_tokens": told, "completion_tokens": told}
    found = read_server_answer({"choices": choices, "usage": usage, "timings": {}}).completions
    assert all(each.prompt_tokens <= 10**9 and each.completion_tokens <= 10**9 for each in found)


@pytest.mark.parametrize("choices", [None, [], {}, "x", [None, 7]])
def test_choices_that_are_not_there_are_none(choices: object) -> None:
    assert read_server_answer({"choices": choices})[:2] == ([], ())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "message",
                    "content",
                    "text",
                    "logprobs",
                    "top_logprobs",
                    "token",
                    "logprob",
                    "finish_reason",
                    "reasoning",
                    "reasoning_content",
                    "thinking",
                    "type",
                    "error",
                    "refusal",
                ]
            ),
            children,
            max_size=4,
        )
    ),
)


@given(st.lists(json_values, max_size=3), json_values)
def test_no_answer_is_too_odd_to_read(choices: list[object], usage: object) -> None:
    for completion in read_server_answer({"choices": choices, "usage": usage}).completions:
        assert completion.finish_reason in {"stop", "length", "refused", "unknown"}
        completion.text.encode("utf-8")
