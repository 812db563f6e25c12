"""How long a busy server asks to wait is read wherever it says so, in every way of writing a time."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from autoif.models.replies import read_complaint
from autoif.models.waits import find_wait_s

CLOCK = "Wed, 21 Oct 2015 07:28:00 GMT"
NOW = 1_445_412_480


def wait_s(**headers: str) -> float:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return find_wait_s({"Date": CLOCK, **named}, "slow down", {})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("2.5s", 2.5),
        ("1m30s", 90),
        ("250ms", 0.25),
        ("Wed, 21 Oct 2015 07:28:20 GMT", 20),
        ("Wed, 21 Oct 2015 07:28:20", 20),
        ("2015-10-21T07:28:20Z", 20),
        ("2015-10-21T09:28:20.5+02:00", 20.5),
        (f"{NOW + 20}", 20),
        (f"{NOW + 20}000", 20),
        (f"{NOW + 20}000000", 20),
        (f"{NOW + 20}000000000", 20),
        ("2015-10-21 07:28:20 UTC", 20),
        ("1d2h", 93_600),
        ("-3", 0),
        (f"{NOW - 20}", 0),
    ],
)
def test_a_time_is_read_in_every_way_of_writing_one(value: str, seconds: float) -> None:
    assert wait_s(Retry_After=value) == seconds
    assert wait_s(x_ratelimit_reset=value) == seconds


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "1e999", "nan", "Wed, 21 Oct 99999 07:28:00 GMT", "Mon, 32 Foo 2026 99:99:99 GMT",
              "0x10", "9" * 300, "٣", "Wed, 21 Oct 2015 07:28:00 +9999999", "²"]
)  # fmt: skip
def test_a_time_that_means_nothing_asks_for_nothing(value: str) -> None:
    assert wait_s(Retry_After=value) == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after_ms": "1500", "Retry_After": "2"}, 1.5),
        ({"x_ms_retry_after_ms": "1500"}, 1.5),
        ({"X_Retry_After": "9"}, 9),
        ({"RateLimit_Reset": "9"}, 9),
        ({"X_Rate_Limit_Reset": "9"}, 9),
        ({"x_ratelimit_timeremaining": "9"}, 9),
        ({"RateLimit": "limit=10, remaining=0, reset=9"}, 9),
        ({"RateLimit": '"default";r=0;t=9'}, 9),
        ({"RateLimit": '"default";r=5;t=9'}, 0),
    ],
)
def test_a_wait_is_found_by_every_name_of_it(headers: dict[str, str], seconds: float) -> None:
    assert wait_s(**headers) == seconds


def test_of_several_limits_those_that_are_used_up_count() -> None:
    openai = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "1.5s"}
    tokens = {"x_ratelimit_remaining_tokens": "90", "x_ratelimit_reset_tokens": "6m0s"}
    assert wait_s(**openai, **tokens) == 1.5
    assert wait_s(**openai, **tokens | {"x_ratelimit_remaining_tokens": "0"}) == 360
    assert wait_s(**tokens) == 0
    anthropic = {
        "anthropic_ratelimit_tokens_remaining": "0",
        "anthropic_ratelimit_tokens_reset": "2015-10-21T07:28:09Z",
    }
    assert wait_s(**anthropic) == 9
    cerebras = {"x_ratelimit_reset_requests_day": "33011.4", "x_ratelimit_reset_tokens_minute": "11.4"}
    assert wait_s(**cerebras) == 11.4


def test_a_limit_is_a_reason_to_wait_for_a_busy_server_only() -> None:
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "16m0s"}
    assert read_complaint(b"{}", headers).wait_s == 960
    assert read_complaint(b"{}", headers, is_busy=False).wait_s == 0


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ([{"error": {"message": "quota", "details": [{"@type": "RetryInfo", "retryDelay": "34.5s"}]}}], 34.5),
        ({"error": {"details": [{"retryDelay": {"seconds": "34", "nanos": 0}}]}}, 34),
        ({"error": "Model m is currently loading", "estimated_time": 20.5}, 20.5),
        ({"error": {"message": "slow", "retry_after_ms": 1500}}, 1.5),
        ({"error": {"message": "slow"}, "retry_after": 9}, 9),
        ({"error": {"metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9"}}}}, 9),
        ({"error": {"message": "Please retry in 12.3s."}}, 12.3),
        ({"error": {"message": "Rate limit reached. Please try again in 6m0s."}}, 360),
        ({"error": {"message": "Please try again in 250ms."}}, 0.25),
        ({"error": {"message": "Please retry after 20 seconds."}}, 20),
        ({"error": {"message": "Try again in 3 days"}}, 259_200),
        ({"error": {"retryAfterMs": 1500}}, 1.5),
        ({"error": {"message": "请等待2秒后重试"}}, 2),
        ({"error": {"message": "2分钟后再试"}}, 120),
        ({"error": {"message": "30초 후에 다시 시도하세요"}}, 30),
        ({"error": {"message": "Veuillez réessayer dans 30 secondes"}}, 30),
        ({"error": {"message": "Bitte in 30 Sekunden erneut versuchen"}}, 30),
        ({"error": {"message": "Повторите через 2 минуты"}}, 120),
        ({"error": {"message": "Only 3 models in 5 regions"}}, 0),
        ({"error": {"message": "Try again later, 3 of 5 are done."}}, 0),
    ],
)
def test_how_long_to_wait_is_read_from_the_body(body: object, seconds: float) -> None:
    assert read_complaint(json.dumps(body).encode(), {}).wait_s == seconds


def test_a_moment_at_which_a_limit_resets_is_read_from_words() -> None:
    words = "Rate limit exceeded. Remaining: 0. Limit resets at: 2015-10-21 07:28:20 UTC"
    assert find_wait_s({"Date": CLOCK}, words, None) == 20


def test_without_the_servers_clock_this_machines_is_taken() -> None:
    date = datetime.now(UTC) + timedelta(seconds=100)
    assert 90 < find_wait_s({"Retry-After": format_datetime(date, usegmt=True)}, "", None) < 101
