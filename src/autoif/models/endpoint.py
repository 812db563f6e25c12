"""Where a model is asked and what it costs: one `[models.ROLE]` table of the config each, and the budget of a run."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from autoif.models.catalog import find_model
from autoif.records import Record

EMBEDDED = ""
"""The `base_url` that stands for the model this package runs itself."""


class Endpoint(Record):
    """One model at one OpenAI-compatible server, or the embedded model."""

    base_url: str = EMBEDDED
    """Ends in `/v1`, as in `http://127.0.0.1:8000/v1`; empty for the embedded model."""
    model: str = "qwen2.5-coder-1.5b"
    """The model's name at the server, or the name of the embedded model in `autoif models`."""
    revision: str = ""
    """Tells versions of a model apart that share a name: answers of another revision are not reused."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; the key itself is never stored or shown."""
    usd_per_million_prompt_tokens: float = Field(default=0.0, ge=0)
    usd_per_million_completion_tokens: float = Field(default=0.0, ge=0)
    concurrency: int = Field(default=64, ge=1)
    """Most requests in flight; fewer are sent while the server says that it is busy."""
    timeout_s: float = Field(default=600.0, gt=0)
    """For one attempt at one request, from sending it to the last byte of the answer."""
    connect_timeout_s: float = Field(default=10.0, gt=0)
    retries: int = Field(default=6, ge=0)
    """Further attempts at a request that failed for a passing reason."""
    retry_wait_s: float = Field(default=0.5, gt=0)
    """About how long to wait before the first of them; each further wait is twice as long."""

    @field_validator("base_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if url == EMBEDDED:
            return url
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"base_url {url!r} is no http(s) address; write it like http://127.0.0.1:8000/v1")
        if parts.username or parts.password:
            raise ValueError("base_url holds a user name or password; put the key in the variable named by api_key_env")
        return url.rstrip("/")

    @property
    def identity(self) -> str:
        """What a cached answer belongs to: the model and its revision, wherever it is served.

        The revision of an embedded model is that of its file, so answers stay valid whether or not the model runs.
        """
        revision = self.revision
        if self.base_url == EMBEDDED and not revision:
            revision = find_model(self.model).revision
        return f"{self.model}@{revision}" if revision else self.model

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the price of one answer in US dollars."""
        return (
            prompt_tokens * self.usd_per_million_prompt_tokens
            + completion_tokens * self.usd_per_million_completion_tokens
        ) / 1e6


class Budget(Record):
    """What a run may spend, over all its processes and resumptions; None is no limit."""

    tokens: int | None = Field(default=None, ge=0)
    """Prompt and completion tokens together."""
    usd: float | None = Field(default=None, ge=0)
