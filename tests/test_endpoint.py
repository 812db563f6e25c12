"""Endpoint settings: what is refused, what an endpoint's answers belong to, and what they cost."""

import pytest
from pydantic import ValidationError

from autoif.config import load_config
from autoif.errors import ConfigError, ModelError
from autoif.models.endpoint import Endpoint


def test_a_trailing_slash_makes_no_difference() -> None:
    assert Endpoint(base_url="http://127.0.0.1:8000/v1/") == Endpoint(base_url="http://127.0.0.1:8000/v1")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/chat/completions/", "/v1#top"])
def test_a_page_of_the_api_stands_for_the_api(path: str) -> None:
    assert Endpoint(base_url=f"http://host{path}").url("/models") == "http://host/v1/models"


@pytest.mark.parametrize(
    "name", ["sk-proj-1234567890abcdef", "gsk_Abcdef0123456789", "hf_abcdefghijklmnopqr", "a b", "3cf1d2e4a5b6c7d8e9f"]
)  # fmt: skip
def test_a_key_in_place_of_its_variables_name_is_refused_without_showing_it(name: str) -> None:
    with pytest.raises(ValidationError, match="may be a key: put the key in a variable") as caught:
        Endpoint(api_key_env=name)
    assert name not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"serve": "vllm serve {model}"}, "lacks {port}"),
        ({"serve": "vllm 'serve {port}"}, "is no command"),
        ({"serve": "vllm serve --port {port}", "base_url": "http://host/v1"}, "leave one of them out"),
    ],
)  # fmt: skip
def test_a_command_that_can_serve_nobody_is_refused(fields: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Endpoint.model_validate(fields)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "batch is for one provider"),
        ({"base_url": ["http://one/v1", "http://two/v1"]}, "batch is for one provider"),
        ({"base_url": "http://host/v1", "read_once": True}, "batch for a day: leave one of them out"),
    ],
)
def test_batches_go_to_one_provider_and_none_waits_for_another(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Endpoint.model_validate({"batch": True, **fields})


def test_a_served_model_is_named_by_its_name_and_is_not_the_embedded_one() -> None:
    served = Endpoint(model="big", serve="vllm serve {model} --port {port}")
    assert (served.identity, served.is_embedded) == ("big", False)


def test_what_shapes_answers_belongs_to_the_identity() -> None:
    assert Endpoint(model="m", base_url="http://a/v1", extra_body={"b": 1, "a": 2}).identity == 'm {"a": 2, "b": 1}'


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000/v1",
        "ftp://host/v1",
        "http:///v1",
        "localhost",
        "localhost:8000/v1",
        "http://h:99999/v1",
        "http://h:x/v1",
        "htp://h/v1",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"is no http.s. address; write it like"):
        Endpoint(base_url=url)


def test_a_password_in_the_address_is_refused() -> None:
    with pytest.raises(ValidationError, match="put the key in the variable named by api_key_env"):
        Endpoint(base_url="http://me:secret@host/v1")


@pytest.mark.parametrize(
    "field",
    [{"concurrency": 0}, {"timeout_s": 0}, {"retries": -1}, {"api_key": "sk-1"}, {"usd_per_million_prompt_tokens": -1}],
)
def test_settings_that_make_no_sense_are_refused(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Endpoint.model_validate(field)


def test_answers_belong_to_the_model_and_not_to_its_address() -> None:
    assert Endpoint(base_url="http://a/v1", model="m").identity == "m"
    assert Endpoint(base_url="http://a/v1", model="m", revision="2").identity == "m@2"


def test_answers_of_an_embedded_model_belong_to_its_file() -> None:
    assert Endpoint().identity == "qwen2.5-coder-1.5b@cc324af070c2"
    assert Endpoint(revision="other").identity == "qwen2.5-coder-1.5b@other"
    with pytest.raises(ModelError, match=r"no embedded model is called 'gpt'.*name the server too"):
        _ = Endpoint(model="gpt").identity


def test_an_answer_costs_its_tokens() -> None:
    endpoint = Endpoint(usd_per_million_prompt_tokens=0.5, usd_per_million_completion_tokens=2)
    assert endpoint.cost_usd(1_000_000, 500_000) == pytest.approx(1.5)


@pytest.mark.parametrize("query", ["key=abc", "api_key=abc", "access-token=abc", "v=sk-abcdefghijklmnopqrst"])
def test_a_key_in_the_address_is_refused_without_being_repeated(query: str) -> None:
    with pytest.raises(ValueError, match="holds a key") as caught:
        Endpoint(base_url=f"https://host/v1?{query}")
    assert "put it in the variable named by api_key_env" in str(caught.value)
    assert query.partition("=")[2] not in str(caught.value)


def test_a_version_in_the_address_stays() -> None:
    assert Endpoint(base_url="https://host/v1?api-version=2").base_url.endswith("api-version=2")


@pytest.mark.parametrize("limit", ["0", "[0, 1]", "[]", "[true]", "1.5", '["a"]'])
def test_a_limit_of_requests_that_is_none_is_told_in_one_line(limit: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("quickstart", [f"models.all.concurrency={limit}"])
    sentence = "give a whole number from 1 on, or a list of them with one for each server, as in [64, 32]"
    assert str(caught.value) == f'setting "models.all.concurrency": {sentence}'
