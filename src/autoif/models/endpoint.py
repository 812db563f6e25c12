"""Settings of a model's endpoint, one `[models.ROLE]` table of the config each, and the budget of a run."""

import json
import os
import re
import shlex
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator

from autoif.given_values import Settings
from autoif.models.catalog import find_model

EMBEDDED = ""
"""The `base_url` that stands for the model this package runs itself."""


_KEY = re.compile(r"(?:sk|gsk|hf|xai|pplx|nvapi|r8|ghp|Bearer)[-_ ][A-Za-z0-9_-]{16,}|sk-|AIza|eyJ")
"""How keys of known services begin."""
_KEY_NAME = re.compile(r"(?:^|[-_])(?:key|apikey|token|secret|password|sig|signature|auth)$", re.IGNORECASE)

_OWN_MEMBERS = {"messages", "prompt", "n"}
"""Members of a request that `extra_body` must not replace, as the answers would not fit."""
Count = Annotated[int, Field(ge=1)]


class Endpoint(Settings):
    """One model at one or several OpenAI-compatible servers, or the embedded model."""

    model_config = ConfigDict(hide_input_in_errors=True)
    base_url: str | tuple[str, ...] = EMBEDDED
    """Address of the server, which ends in `/v1`; empty for the embedded model. With a list of servers of one model,
    each request goes to the least loaded one."""
    model: str = "qwen2.5-coder-1.5b"
    """The model's name at the server, or the name of the embedded model in `autoif models`."""
    revision: str = ""
    """A version of the model, if the name doesn't tell: answers of another revision are not reused."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; the key itself is never stored or shown."""
    extra_body: dict[str, JsonValue] = Field(default={})
    """More members of each request, such as `chat_template_kwargs`, `enable_thinking` or `reasoning_effort`. They
    replace autoif's own."""
    usd_per_million_prompt_tokens: float | None = Field(default=None, ge=0)
    """Price of prompt tokens; `--budget-usd` needs both prices, 0 if they are free."""
    usd_per_million_completion_tokens: float | None = Field(default=None, ge=0)
    """The same for completion tokens."""
    concurrency: Count | tuple[Count, ...] = 64
    """The most requests in flight at each server, or a list with a number for each; fewer are sent while it says that
    it is busy."""
    read_once: bool = False
    """Have requests with the same long beginning wait for the first of them, for a server that reads slowly and keeps
    what it has read, as llama.cpp on a few cores does. Always on for the embedded model."""
    serve: str = ""
    """Instead of a `base_url`, a command with which Ray starts servers where its cluster has GPUs, such as
    `vllm serve {model} --host {host} --port {port}` (docs/scale.md)."""
    serve_count: int = Field(default=1, ge=1)
    """How many such servers to start."""
    serve_gpus: float = Field(default=1.0, ge=0)
    """GPUs of each such server; `{gpus}` in the command."""
    serve_start_s: float = Field(default=1800.0, gt=0)
    """How long such a server may take to load the model."""
    slow_s: float = Field(default=0.0, ge=0)
    """If an answer takes longer, the server counts as busy and gets fewer requests; 0: never."""
    ask_elsewhere_after_s: float = Field(default=0.0, ge=0)
    """With several servers, if an answer takes longer, ask a second one too and use the first that comes. The other
    request is abandoned, and may be charged. 0: never."""
    batch: bool = False
    """Use the provider's batch interface: cheaper, but answers may take a day (docs/models.md#batches)."""
    batch_wait_s: float = Field(default=10.0, gt=0)
    """A batch is sent when no request has come for this long."""
    batch_poll_s: float = Field(default=30.0, gt=0)
    """How often to ask for the state of a batch."""
    timeout_s: float = Field(default=600.0, gt=0)
    """For one attempt at one request, from sending it to the last byte of the answer."""
    connect_timeout_s: float = Field(default=10.0, gt=0)
    """For making the connection."""
    retries: int = Field(default=6, ge=0)
    """Further attempts after a temporary failure; more at a server that says it is busy."""
    retry_wait_s: float = Field(default=0.5, gt=0)
    """About the first wait between attempts; each further wait is twice as long. A busy server that answers nothing is
    given up after 300 times as long (150 s, longer than a limit per minute), one that loads its model after six times
    that."""

    @field_validator("base_url")
    @classmethod
    def _check_urls(cls, given: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(given, str):
            return given if given == EMBEDDED else check_url(given)
        urls = tuple(check_url(url) for url in given)
        if not urls:
            raise ValueError("base_url is an empty list: name a server, or leave it out for the embedded model")
        if twice := next((url for url in urls if urls.count(url) > 1), ""):
            raise ValueError(f"base_url names {twice} twice: a server that takes more has a larger concurrency")
        return urls if len(urls) > 1 else urls[0]

    @field_validator("concurrency", mode="before")
    @classmethod
    def _check_limits(cls, given: object) -> object:
        limits = given if isinstance(given, list | tuple) else [given]
        if not limits or not all(type(each) is int and each > 0 for each in limits):
            raise ValueError(
                "give a whole number from 1 on, or a list of them with one for each server, as in [64, 32]"
            )
        return given

    @field_validator("extra_body")
    @classmethod
    def _check_extra_body(cls, body: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if own := sorted(_OWN_MEMBERS & body.keys()):
            raise ValueError(f"extra_body sets {own[0]}, which each stage decides: leave it out")
        return body

    @model_validator(mode="after")
    def _check_serve(self) -> "Endpoint":
        if self.serve and self.base_url != EMBEDDED:
            raise ValueError("serve starts servers and base_url names some: leave one of them out")
        if self.serve:
            check_command(self.serve)
        return self

    @model_validator(mode="after")
    def _check_batch(self) -> "Endpoint":
        if self.batch and (self.base_url == EMBEDDED or len(self.addresses) > 1):
            raise ValueError("batch is for one provider: give base_url a single address, or leave batch out")
        if self.batch and self.read_once:
            raise ValueError("read_once has requests wait for an answer, and batch for a day: leave one of them out")
        return self

    @model_validator(mode="after")
    def _check_concurrency(self) -> "Endpoint":
        if isinstance(self.concurrency, tuple) and len(self.concurrency) != len(self.addresses):
            raise ValueError(
                f"concurrency lists {len(self.concurrency)} numbers and base_url {len(self.addresses)} servers: give "
                "each its own, or one number for all"
            )
        return self

    @field_validator("api_key_env")
    @classmethod
    def _check_name(cls, name: str) -> str:
        """Refuse a key given in place of its variable's name, without repeating it."""
        looks_like_one = _KEY.match(name) or (
            len(name) >= 20 and name not in os.environ and re.search(r"[a-z]", name) and re.search(r"\d", name)
        )
        if name and (looks_like_one or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)):
            raise ValueError(
                "this is no name of an environment variable, and may be a key: put the key in a variable, and its name "
                "here, as in OPENAI_API_KEY"
            )
        return name

    @property
    def addresses(self) -> tuple[str, ...]:
        """The base URLs, one or several."""
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url

    @property
    def is_embedded(self) -> bool:
        """Whether this package runs the model itself."""
        return self.base_url == EMBEDDED and not self.serve

    def spread(self) -> list["Endpoint"]:
        """Return an endpoint for each address."""
        limits = self.concurrency if isinstance(self.concurrency, tuple) else (self.concurrency,) * len(self.addresses)
        return [
            self.model_copy(update={"base_url": url, "concurrency": limit})
            for url, limit in zip(self.addresses, limits, strict=True)
        ]

    def url(self, path: str) -> str:
        """Return the address of an API path at the first server; a query in the base URL (`?api-version=…`) is kept."""
        parts = urlsplit(self.addresses[0])
        return parts._replace(path=parts.path + path).geturl()

    @property
    def identity(self) -> str:
        """Identifies the model that cached answers are of: its name, revision and `extra_body`, but not its address.

        An embedded model has the revision of its file, so its answers stay valid whether or not the model runs.
        """
        revision = self.revision
        if self.is_embedded and not revision:
            revision = find_model(self.model).revision
        named = f"{self.model}@{revision}" if revision else self.model
        return f"{named} {json.dumps(self.extra_body, sort_keys=True)}" if self.extra_body else named

    @property
    def has_prices(self) -> bool:
        """Whether costs can be counted; an embedded model costs nothing."""
        prices = (self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens)
        return self.base_url == EMBEDDED or None not in prices

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the price of one answer in US dollars."""
        return (
            prompt_tokens * (self.usd_per_million_prompt_tokens or 0.0)
            + completion_tokens * (self.usd_per_million_completion_tokens or 0.0)
        ) / 1e6


def check_url(url: str) -> str:
    """Return a base URL in normal form; raise `ValueError` if it isn't an http(s) address, or contains a key."""
    url = url.strip()
    written = f"base_url {url!r} is no http(s) address; write it like http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        named = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise ValueError(f"{written} ({error})") from None
    if parts.scheme not in {"http", "https"} or not named:
        raise ValueError(written)
    if parts.username or parts.password:
        raise ValueError("base_url holds a user name or password; put the key in the variable named by api_key_env")
    keys = (name for name, value in parse_qsl(parts.query) if _KEY_NAME.search(name) or _KEY.match(value))
    if named_key := next(keys, ""):
        raise ValueError(f"base_url holds a key in {named_key}=…; put it in the variable named by api_key_env")
    path = re.sub(r"/(?:chat/completions|completions|models)/*$", "", parts.path).rstrip("/")
    return parts._replace(path=path, fragment="").geturl()


def is_own_host(host: str) -> bool:
    """Return whether a host name or IP address is a loopback one."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def check_command(command: str) -> list[str]:
    """Split a command that starts a server; raise `ValueError` if it can't be split or lacks `{port}`."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"serve {command!r} is no command ({error})") from None
    if not any("{port}" in word for word in words):
        raise ValueError(
            f"serve {command!r} lacks {{port}}, the port to listen at: vllm serve {{model}} --port {{port}}"
        )
    return words


class Budget(Settings):
    """What a run may spend, over all its processes and resumptions; None is no limit."""

    tokens: int | None = Field(default=None, ge=0)
    """Prompt and completion tokens together."""
    usd: float | None = Field(default=None, ge=0)
    """US dollars, by the prices of each endpoint."""
