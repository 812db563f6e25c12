"""Whole runs at servers that refuse, stall and mangle: what can be done is done, and the rest is told in one line.

Each is a small run in this process.
"""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from aiohttp import web

from support.habit_runs import ROWS, Runner
from support.habit_server import (
    QUERIES,
    Answer,
    Asked,
    Habit,
    HabitServer,
    edited,
    has,
    honest,
    in_stage,
    once,
    put,
    refusing,
    sends,
    stream,
)


@pytest.fixture(scope="module")
def server() -> Iterator[HabitServer]:
    with HabitServer() as server:
        yield server


@pytest.fixture
def run(server: HabitServer, tmp_path: Path) -> Runner:
    return Runner(server, tmp_path)


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
def test_an_answer_that_broke_off_is_asked_for_again(run: Runner, server: HabitServer, reason: str) -> None:
    broken = edited(put(finish_reason=reason, message={"role": "assistant", "content": "The keeper is"}))
    ended = run(lambda asked: broken(asked) if asked.times == 0 and asked.stage == "responses" else honest(asked))
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    assert all(each.endswith("writes it down.") for each in ended.responses)


# Errors in answers that say 200

GATEWAY = {"message": "Upstream lost the connection", "code": 502}
PASSING = {
    "an error": lambda asked: {"error": GATEWAY},
    "choices null": lambda asked: {"choices": None, "error": GATEWAY},
    "choices empty": lambda asked: {"choices": [], "error": GATEWAY},
    "in the choice": edited(put(finish_reason="error", error=GATEWAY, message={"content": ""})),
    "in the choice that stops": edited(put(error=GATEWAY, message={"content": "The keeper"}), ["responses"]),
}


@pytest.mark.parametrize("habit", PASSING.values(), ids=PASSING)
def test_an_error_within_an_answer_is_asked_again(run: Runner, habit: Habit) -> None:
    ended = run(lambda asked: habit(asked) if asked.times == 0 and asked.stage != "nli" else honest(asked))
    assert (ended.code, len(ended.rows())) == (0, ROWS)


PAGE = "<html><title>Just a moment...</title></html>"
MAINTENANCE = {
    "a web page": lambda asked: web.Response(text=PAGE, content_type="text/html"),
    "a firewall": lambda asked: web.Response(status=403, text=PAGE, content_type="text/html"),
    "an ingress without a server": lambda asked: web.Response(status=404, text="default backend - 404"),
    "no choices": lambda asked: {"id": "x"},
    "nothing written, no end": edited(put(finish_reason=None, message={"content": ""}), ["responses"]),
}


@pytest.mark.parametrize("habit", MAINTENANCE.values(), ids=MAINTENANCE)
def test_what_comes_between_answers_is_outlasted(run: Runner, habit: Habit) -> None:
    ended = run(lambda asked: habit(asked) if once("responses")(asked) else honest(asked))
    assert (ended.code, len(ended.rows())) == (0, ROWS)


def test_an_error_within_an_answer_that_stays_is_told(run: Runner) -> None:
    ended = run(lambda asked: {"error": {"message": "User not found.", "code": 401}})
    assert ended.code == 2
    assert "User not found." in ended.error


def test_no_choices_are_a_refusal_of_the_prompt(run: Runner) -> None:
    ended = run(lambda asked: {"choices": []} if in_stage("responses", query=QUERIES[0])(asked) else honest(asked))
    assert (ended.code, len(ended.rows())) == (0, ROWS // 2)
    assert ended.dropped("rejection_sampling") == {"refused_by_model": ROWS // 2}


# Refusals

FLAGGED = {
    "openrouter": (403, {"error": {"code": 403, "message": "WORDS", "metadata": {"reasons": ["violence"]}}}),
    "azure": (
        400,
        {"error": {"message": "WORDS", "code": "content_filter", "innererror": {"code": "PolicyViolation"}}},
    ),
    "plain": (400, {"error": {"message": "WORDS: '... how do I stop ...'", "code": "blocked"}}),
    "dashscope": (400, {"error": {"message": "WORDS", "code": "data_inspection_failed"}}),
}
WORDS = "The input was flagged by our moderation"


@pytest.mark.parametrize(("status", "body"), FLAGGED.values(), ids=FLAGGED)
def test_moderation_of_a_prompt_is_that_prompts_refusal(run: Runner, status: int, body: Any) -> None:
    body = json.loads(json.dumps(body).replace("WORDS", WORDS))
    ended = run(refusing(in_stage("responses", query=QUERIES[0]), status, body))
    assert (ended.code, len(ended.rows())) == (0, ROWS // 2)
    assert ended.dropped("rejection_sampling") == {"refused_by_model": ROWS // 2}
    assert WORDS in ended.output


def test_what_was_refused_is_asked_again_on_request(run: Runner, server: HabitServer) -> None:
    assert len(run(refusing(in_stage("responses", query=QUERIES[0]), 400, WORDS)).rows()) == ROWS // 2
    assert len(run(honest).rows()) == ROWS // 2, "a refusal is an answer until somebody asks again"
    assert server.asked == []
    assert len(run(honest, "--retry-refused").rows()) == ROWS
    assert all(QUERIES[0] in each.about for each in server.asked)


def test_a_stage_that_is_refused_stops_the_run_with_the_servers_words(run: Runner) -> None:
    ended = run(refusing(in_stage("responses"), 400, WORDS))
    assert ended.code == 2
    assert WORDS in ended.error
    assert "--retry-refused" in ended.error


def test_a_refused_key_is_told_with_the_servers_words(run: Runner) -> None:
    ended = run(refusing(lambda asked: True, 403, "Country, region, or territory not supported"))
    assert ended.code == 2
    assert "Country, region, or territory not supported" in ended.error


# Money

BILLING = {
    "402": (402, "Insufficient Balance"),
    "400": (400, "Your credit balance is too low to access the API. Go to billing."),
    "403": (403, "Your account is in arrears: please top up your balance"),
    "429": (429, {"error": {"message": "You exceeded your current quota, check your plan and billing details.",
                            "type": "insufficient_quota", "code": "insufficient_quota"}}),
    "in Chinese": (429, {"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试"}}),
}  # fmt: skip


@pytest.mark.parametrize(("status", "complaint"), BILLING.values(), ids=BILLING)
def test_an_empty_account_stops_the_run_which_goes_on_later(
    run: Runner, server: HabitServer, status: int, complaint: Any
) -> None:
    stopped = run(refusing(in_stage("responses"), status, complaint))
    assert stopped.code == 2
    assert (complaint if isinstance(complaint, str) else complaint["error"]["message"]) in stopped.error
    assert len(server.asked_in("responses")) <= 4
    resumed = run(honest)
    assert (resumed.code, len(resumed.rows())) == (0, ROWS)
    assert server.asked_in("verification") == []


def test_a_budget_in_dollars_needs_prices(run: Runner, server: HabitServer) -> None:
    ended = run(honest, "--budget-usd", "1")
    assert ended.code == 2
    assert "usd_per_million" in ended.error
    assert server.asked == []


# Busy servers


def busy(seconds: float, status: int, complaint: Any, **headers: str) -> Habit:
    """Refuse everything for some seconds, and then nothing."""
    return refusing(lambda asked: asked.since_s < seconds, status, complaint, **headers)


def test_a_window_without_a_time_is_outlasted(run: Runner) -> None:
    ended = run(busy(2.0, 429, "Rate limit reached for requests"))
    assert (ended.code, len(ended.rows())) == (0, ROWS)


def test_a_model_that_is_being_loaded_is_waited_for(run: Runner) -> None:
    ended = run(busy(2.0, 503, {"error": {"message": "Loading model", "code": 503, "type": "unavailable_error"}}))
    assert (ended.code, len(ended.rows())) == (0, ROWS)


@pytest.mark.parametrize("form", ["header", "retryDelay", "sentence"])
def test_a_server_that_says_how_long_is_left_alone_so_long(run: Runner, server: HabitServer, form: str) -> None:
    complaint: dict[str, Any] = {"code": 429, "message": "Please retry in 1s.", "status": "RESOURCE_EXHAUSTED"}
    if form == "retryDelay":
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        complaint |= {"message": "Slow down.", "details": [{"@type": kind, "retryDelay": "1s"}]}
    headers = {"Retry_After": "1"} if form == "header" else {}
    if form == "header":
        complaint["message"] = "Slow down."
    ended = run(busy(0.9, 429, [{"error": complaint}], **headers))
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    assert not [each for each in server.asked if 0.3 < each.since_s < 0.9]


def test_a_run_that_is_served_in_between_survives_refusals_in_a_row(run: Runner) -> None:
    ended = run(refusing(lambda asked: asked.stage == "scoring" and asked.times < 8, 429, "Too many requests"))
    assert (ended.code, len(ended.rows())) == (0, ROWS)


def test_a_time_that_is_none_is_ignored(run: Runner) -> None:
    values = iter(["", "soon", "-5", "1e999", "nan", "Wed, 21 Oct 2015 07:28:00", "0x10", "Mon, 32 Foo 2026 99:99:99"])

    def habit(asked: Asked) -> Answer:
        value = next(values, None) if asked.number % 3 == 2 else None
        return honest(asked) if value is None else refusing(lambda asked: True, 429, "slow", Retry_After=value)(asked)

    ended = run(habit)
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    assert next(values, None) is None


# Lengths


def window(tokens: int, complaint: str) -> Habit:
    """A context window that counts what may be written; PROMPT, MOST, ASKED are put into the complaint."""

    def habit(asked: Asked) -> Answer:
        prompt, most = len(asked.about) // 4, asked.body["max_tokens"]
        if asked.stage == "nli" or prompt + most <= tokens:
            return honest(asked)
        words = complaint.replace("PROMPT", f"{prompt}").replace("MOST", f"{most}").replace("ASKED", f"{prompt + most}")
        return refusing(lambda asked: True, 400, words)(asked)

    return habit


@pytest.mark.parametrize(
    "complaint",
    [
        "This model's maximum context length is 500 tokens. However, you requested ASKED tokens (PROMPT in the "
        "messages, MOST in the completion). Please reduce the length of the messages or completion.",
        "'max_tokens' is too large: MOST. This model's maximum context length is 500 tokens and your request has "
        "PROMPT input tokens (MOST > 500 - PROMPT).",
        "`inputs` tokens + `max_new_tokens` must be <= 500. Given: PROMPT `inputs` tokens and MOST `max_new_tokens`",
    ],
)
def test_what_may_be_written_is_lowered_to_fit_the_window(run: Runner, server: HabitServer, complaint: str) -> None:
    briefly = ["--set", "prompts.verification=quickstart", "--set", "verification.vocabulary=false"]
    ended = run(window(500, complaint), *briefly)
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    assert {body["max_tokens"] for body in server.asked_in("responses")} == {120}, "which fit as they were"


def test_a_limit_to_what_may_be_written_is_kept(run: Runner, server: HabitServer) -> None:
    words = "max_tokens is too large: 320. This model supports at most 100 completion tokens, whereas you provided 320."
    ended = run(refusing(lambda asked: asked.body.get("max_tokens", 0) > 100, 400, words))
    assert (ended.code, len(ended.rows())) == (0, ROWS)


def test_a_prompt_that_is_too_long_is_that_prompts_refusal(run: Runner) -> None:
    words = "The input is too long: 9000 tokens, but the context length is 4096"
    ended = run(refusing(in_stage("responses", query=QUERIES[0]), 400, words))
    assert (ended.code, len(ended.rows())) == (0, ROWS // 2)
    assert words in ended.output


# Fields that a server refuses

RAW = {"message": "Provider returned error", "code": 400}
FIELDS: dict[str, tuple[str, tuple[Any, ...], Any]] = {
    "temperature 0, TGI": ("temperature", (0.0,), {"error": "`temperature` must be strictly positive"}),
    "temperature 0, capital": ("temperature", (0.0,), "Temperature must be greater than zero"),
    "temperature 0, Chinese": ("temperature", (0.0,), "temperature参数非法，取值范围为(0,1]"),
    "top_p": ("top_p", (1.0,), "Range of top_p should be (0.0, 1.0)"),
    "top_p, Chinese": ("top_p", (1.0,), "未正常接收到top_p参数，取值需在(0,1)内"),
    "top_p, capital": ("top_p", (1.0,), "<400> InternalError.Algo.InvalidParameter: Top_p should be in (0.0, 1.0)"),
    "seed, Chinese": ("seed", (), "参数seed不支持"),
    "seed, quoted": ("seed", (), {"error": {**RAW, "metadata": {"raw": '{"detail":"Extra inputs: seed"}'}}}),
    "seed, nested": ("seed", (), {"message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs"}]}}),
    "seed, in a list": ("seed", (), [{"error": {"message": 'Unknown name "seed": Cannot find field.'}}]),
    "n": ("n", (), "Invalid n value (currently only n = 1 is supported)"),
    "response_format": ("response_format", (), "This response_format type is unavailable now"),
    "max_tokens": ("max_tokens", (), "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
}  # fmt: skip


TOLD_AS = {"response_format": "JSON schema"}


@pytest.mark.parametrize(("field", "values", "complaint"), FIELDS.values(), ids=FIELDS)
def test_a_refused_field_is_replaced_and_told_once(
    run: Runner, server: HabitServer, field: str, values: tuple[Any, ...], complaint: Any
) -> None:
    ended = run(refusing(has(field, *values), 400, complaint))
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    told = [note for note in ended.manifest["notes"] if re.search(rf"\b({field}|{TOLD_AS.get(field)})\b", note)]
    assert len(told) == 1
    assert ended.output.count(told[0]) == 1
    others = {body["temperature"] for body in server.asked_in("responses") if "temperature" in body}
    assert others == {0.8}


def test_temperature_0_becomes_the_smallest_that_is_accepted(run: Runner, server: HabitServer) -> None:
    run(refusing(has("temperature", 0.0), 422, {"error": "`temperature` must be strictly positive"}))
    accepted = {body.get("temperature") for body in server.asked_in("scoring")} - {0.0}
    assert len(accepted) == 1
    assert 0 < (accepted.pop() or 0.0) <= 0.1


def test_a_json_answer_that_fails_at_the_server_is_asked_for_more_freely(run: Runner) -> None:
    invalid = {"message": "Failed to generate JSON.", "code": "json_validate_failed", "failed_generation": "{"}
    ended = run(refusing(lambda asked: "response_format" in asked.body and asked.times == 0, 400, {"error": invalid}))
    assert (ended.code, len(ended.rows())) == (0, ROWS)


def test_of_two_fields_that_exclude_each_other_one_goes(run: Runner, server: HabitServer) -> None:
    both = "temperature and top_p cannot both be specified for this model. Please use only one."
    ended = run(refusing(lambda asked: {"temperature", "top_p"} <= asked.body.keys(), 400, both))
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    assert {body.get("temperature") for body in server.asked_in("responses")} == {0.8}


# Bodies

READ = {
    "byte order mark": sends(lambda content: b"\xef\xbb\xbf" + content),
    "empty lines first": sends(lambda content: b"\n" * 50 + content),
    "gzip": sends(gzip.compress, Content_Encoding="gzip"),
    "gzip that is none": sends(bytes, Content_Encoding="gzip"),
    "zstd": sends(zstandard.compress, Content_Encoding="zstd"),
    "latin-1": sends(lambda content: content.decode().encode("latin-1"), "application/json; charset=iso-8859-1"),
    "text/plain": sends(bytes, "text/plain"),
    "two byte order marks": sends(lambda content: b"\xef\xbb\xbf" * 2 + content),
    "a comment behind it": sends(lambda content: content + b"\n<!-- generated in 0.3 s -->"),
    "a warning before it": sends(lambda content: b"\nWarning: undefined index\n" + content),
    "JSON in JSON": lambda asked: web.json_response(json.dumps(honest(asked))),
    "in a body of text": lambda asked: {"statusCode": 200, "body": json.dumps(honest(asked))},
    "in data": lambda asked: {"code": 0, "msg": "ok", "data": honest(asked)},
    "in a result": lambda asked: {"result": honest(asked), "success": True, "errors": []},
    "no error": lambda asked: honest(asked) | {"error": "none", "error_msg": "success"},
    "choices by number": lambda asked: (
        honest(asked) | {"choices": {str(number): each for number, each in enumerate(honest(asked)["choices"])}}
    ),
}
UNREADABLE = {
    "zstd that is none": sends(lambda content: b"\x28\xb5\x2f\xfd\x00\x00", Content_Encoding="zstd"),
    "a web page": sends(lambda content: b"<html>Sign in</html>", "text/html"),
    "nothing": sends(lambda content: b""),
    "half": sends(lambda content: content[:40]),
    "number": sends(lambda content: b"7"),
    "redirect": lambda asked: web.Response(status=307, headers={"Location": "https://elsewhere.example/v1"}),
}


@pytest.mark.parametrize("habit", READ.values(), ids=READ)
def test_an_odd_body_is_read(run: Runner, habit: Habit) -> None:
    ended = run(habit)
    assert (ended.code, len(ended.rows())) == (0, ROWS)


@pytest.mark.parametrize("habit", UNREADABLE.values(), ids=UNREADABLE)
def test_a_body_that_can_not_be_read_ends_the_run_in_a_line(run: Runner, habit: Habit) -> None:
    ended = run(habit)
    assert ended.code == 2
    assert ended.rows() == []


def test_an_error_in_a_stream_that_ends_well_is_asked_again(run: Runner) -> None:
    piece = json.dumps({"choices": [{"index": 0, "delta": {"content": "The keep"}}]})
    broken = f'data: {piece}\n\nevent: error\ndata: {{"message": "overloaded"}}\n\ndata: [DONE]\n\n'

    def habit(asked: Asked) -> Answer:
        return (
            web.Response(text=broken, content_type="text/event-stream") if once("responses")(asked) else honest(asked)
        )

    ended = run(habit)
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    assert all(each.endswith("writes it down.") for each in ended.responses)


def test_a_stream_of_lines_is_read(run: Runner) -> None:
    def habit(asked: Asked) -> Answer:
        lines = []
        for choice in honest(asked)["choices"]:
            said = choice.get("message", choice)
            text = said.get("content", said.get("text"))
            for delta, end in ((text, None), ("", "stop")):
                lines.append(json.dumps({"choices": [choice | {"delta": {"content": delta}, "finish_reason": end}]}))
        return web.Response(text="\n".join(lines), content_type="application/x-ndjson")

    ended = run(habit)
    assert (ended.code, len(ended.rows())) == (0, ROWS)


def test_a_server_that_always_streams_is_read_or_named(run: Runner) -> None:
    ended = run(stream)
    assert ended.rows() or "stream" in ended.error
