"""The embedded model: llama.cpp in this process, behind the same HTTP interface as every other model.

Defaults by measurement on two cores (Qwen2.5-Coder-1.5B, Q4_K_M): about 75 prompt tokens or 32 completion tokens a
second, whatever the number of slots from 4 to 24, so slots cost only memory (2.3 GB in all with 8 of 2,048 tokens, 2.8
GB with 16). Flash attention saves a tenth; one cache for all slots costs a fifth when their prompts differ. What
counts is to process few prompt tokens: llama.cpp does it once for the `n` samples of a request, and not at all for a
beginning that a slot has seen.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import ProxyHandler, Request, build_opener

from rich.console import Console

from autoif.errors import ModelError
from autoif.models.catalog import find_model
from autoif.models.cores import count_cores
from autoif.models.download import ensure_model
from autoif.models.endpoint import Endpoint

_PROMPT_CACHE_MB = 256
"""For the beginnings of prompts whose slot has gone to another prompt."""
_TIMEOUT_S = 3600.0
"""A request may wait for all slots to get through those before it; a server in the same process doesn't get lost."""


class EmbeddedServer:
    """A llama.cpp server on a free port of the loopback interface, from `__enter__` to `__exit__`."""

    def __init__(
        self,
        model: str,
        *,
        slots: int = 8,
        context_tokens: int = 2048,
        threads: int | None = None,
        console: Console | None = None,
    ) -> None:
        """`slots` answers are generated at a time, each with prompt and answer within `context_tokens`.

        `threads` is by default the number of cores that this process may use. `console` shows a download's progress.
        """
        self._model = find_model(model)
        self._slots = slots
        self._context_tokens = context_tokens
        self._threads = threads or count_cores()
        self._console = console
        self._server: Any = None

    def __enter__(self) -> Self:
        """Fetch the model if it isn't there, and start the server; raise `ModelError` if either fails."""
        try:
            import xllamacpp
        except ImportError as error:
            raise ModelError(
                "the embedded model needs llama.cpp: pip install 'autoif[embedded]', or set base_url"
            ) from error
        path = ensure_model(self._model.name, console=self._console)
        try:
            self._server = xllamacpp.Server(self._params(xllamacpp, path))
        except RuntimeError as error:
            raise ModelError(
                f"llama.cpp can't load {path} ({error}): free memory, or set fewer slots or context_tokens"
            ) from error
        self._ask_once()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server = None  # which stops it

    def endpoint(self, base: Endpoint) -> Endpoint:
        """Return the endpoint that `base` stands for, now that the model runs."""
        if self._server is None:
            raise ModelError(f"the embedded model {self._model.name} is not running")
        return base.model_copy(
            update={
                "base_url": f"{self._server.listening_address}/v1",
                "model": self._model.name,
                "revision": self._model.revision,
                "api_key_env": "",
                "concurrency": min(base.concurrency, self._slots),
                "timeout_s": max(base.timeout_s, _TIMEOUT_S),
            }
        )

    def _ask_once(self) -> None:
        """Have one token generated: a server that is stopped before its loop has begun never stops."""
        body = json.dumps({"prompt": "Hello", "max_tokens": 1}).encode()
        request = Request(
            f"{self._server.listening_address}/v1/completions", body, {"Content-Type": "application/json"}
        )
        with build_opener(ProxyHandler({})).open(request, timeout=_TIMEOUT_S) as response:
            response.read()

    def _params(self, xllamacpp: Any, path: Path) -> Any:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.model_alias = {self._model.name}
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.n_parallel = self._slots
        params.n_ctx = self._context_tokens * self._slots
        params.cpuparams.n_threads = self._threads
        params.cpuparams_batch.n_threads = self._threads
        params.cache_ram_mib = _PROMPT_CACHE_MB
        params.kv_unified = False
        params.ui = False
        params.verbosity = 0
        return params
