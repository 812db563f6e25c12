"""The embedded model: llama.cpp or OpenVINO on this machine, behind the same HTTP interface as every other model.

It is a model of the catalog, or any GGUF file. A prompt is read once for all samples of a request, without the
beginning that is known from an earlier one. In llama.cpp 4 to 24 slots are equally fast, but cost memory
(Qwen2.5-Coder-1.5B takes 2.3 GB with 8, 2.8 GB with 16); a cache shared by all slots would cost a fifth of the speed.
"""

import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Literal, Self

from autoif.errors import ModelError
from autoif.messages import Say
from autoif.models.catalog import GgufFile, find_weights
from autoif.models.download import ensure_model
from autoif.models.endpoint import Endpoint
from autoif.models.runtimes import RUNTIMES, Runtime, choose_runtime, is_installed
from autoif.processors import count_cores
from autoif.together import ending_by_ctrl_c

_PROMPT_CACHE_MB = 256
"""For beginnings of prompts whose slot was given to another prompt."""
_TIMEOUT_S = 3600.0
"""A request may have to wait until the slots have finished all earlier ones."""
_END_S = 2.0
"""How long a process that accepts no connection any more may take to end: a large one frees its memory first."""
_LIBRARY = re.compile(r"(lib[\w+-]+)\.so\.(\d+)(?=: cannot open shared object file)")
"""A library that the dynamic linker misses: slim container images lack libgomp.so.1, which llama.cpp needs."""
_RUNNING: dict[str, "EmbeddedServer"] = {}
"""The servers that this process is running, by address."""


def explain_end(base_url: str) -> str | None:
    """Return why the embedded model at an address has ended and won't answer again. None if it runs, and for any other
    address."""
    server = _RUNNING.get(base_url)
    return server.explain_end() if server else None


class EmbeddedServer:
    """Serves the model on a free loopback port from `__enter__` to `__exit__`."""

    def __init__(
        self,
        model: str,
        *,
        slots: int = 8,
        context_tokens: int = 2048,
        threads: int | None = None,
        truncate_sampling: bool = True,
        runtime: Runtime = "llama.cpp",
    ) -> None:
        """`model` is a name of the catalog, or the path of a file that ends in .gguf.

        `slots` answers are generated at the same time, each with prompt and answer within `context_tokens`. `threads`
        defaults to the number of cores. `truncate_sampling` keeps llama.cpp's top-k and min-p, with which a small model
        makes fewer mistakes; without it, answers are drawn from the model's whole distribution.
        """
        self._model = find_weights(model)
        self._slots = slots
        self._context_tokens = context_tokens
        self._threads = threads or count_cores()
        self._truncate_sampling = truncate_sampling
        self.runtime: Runtime = runtime
        self._about = RUNTIMES[runtime]
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        """Fetch the model if necessary and start the server; raise `ModelError` if either fails."""
        if not is_installed(self.runtime):
            raise ModelError(f"the embedded model needs {self._about.name}: {self._about.where_missing}")
        model = self._model
        path = model.path if isinstance(model, GgufFile) else ensure_model(model.name)
        if self.runtime == "openvino":
            _check_writable(path)
        settings: dict[str, str | int] = {
            "path": str(path),
            "name": self._model.name,
            "slots": self._slots,
            "context_tokens": self._context_tokens,
            "threads": self._threads,
            "prompt_cache_mb": _PROMPT_CACHE_MB,
            "truncate_sampling": self._truncate_sampling,
        }
        self._log = tempfile.TemporaryFile()
        try:
            self._url = f"{self._start(settings, self._log)}/v1"
        except BaseException:
            self._stop()
            raise
        _RUNNING[self._url] = self
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def endpoint(self, base: Endpoint) -> Endpoint:
        """Return `base` with the address and properties of the running model."""
        if self._process is None:
            raise ModelError(f"the embedded model {self._model.name} is not running: start it before it is asked")
        return base.model_copy(
            update={
                "base_url": self._url,
                "model": self._model.name,
                "revision": self._model.revision,
                "api_key_env": "",
                "concurrency": min(base.spread()[0].concurrency, self._slots),
                "read_once": True,
                "timeout_s": max(base.timeout_s, _TIMEOUT_S),
            }
        )

    def _start(self, settings: dict[str, str | int], log: IO[bytes]) -> str:
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", "-m", self._about.process],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C must not end it: answers under way are still wanted
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(settings) + "\n")
            process.stdin.flush()
        answer = json.loads(process.stdout.readline() or "{}")
        if "url" in answer:
            return str(answer["url"])
        lines = str(answer.get("error", "")).splitlines()  # OpenVINO's message begins with places in its source
        reason = lines[-1] if lines else self._read_end(process)
        if lacking := _LIBRARY.search(reason or ""):
            raise ModelError(
                f"{self._about.name} needs the system's library {lacking[0]}, which is not here: install it "
                f"(Debian and Ubuntu: apt-get install {lacking[1]}{lacking[2]})"
            )
        check = "see that the file is whole, " if isinstance(self._model, GgufFile) else ""
        raise ModelError(
            f"{self._about.name} can't load {settings['path']} ({reason}): {check}{self._about.where_failing}"
        )

    def explain_end(self) -> str | None:
        """Return how the process ended and what to do about it; None if it runs."""
        assert self._process is not None
        how = self._read_end(self._process)
        return how and (
            f"{self._about.name} ended while it served {self._model.name} ({how}): {self._about.where_failing}; then "
            "run the same command again"
        )

    def _read_end(self, process: subprocess.Popen[str]) -> str | None:
        """Return the signal that ended a process, or the last line of its log; None if it runs."""
        try:
            status = process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return None
        if status < 0:
            return signal.Signals(-status).name
        assert self._log is not None
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with status {status}"

    def _stop(self) -> None:
        _RUNNING.pop(self._url, None)
        if self._process is not None:
            # It has nothing to save, and a gentler end would wait for open requests.
            self._process.kill()
            self._process.communicate()
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None


def _check_writable(path: Path) -> None:
    """Raise `ModelError` if a file isn't writable: OpenVINO opens models for writing, though it never writes."""
    try:
        path.open("r+b").close()
    except OSError as error:
        raise ModelError(
            f"OpenVINO can't load {path}, as it opens it for writing ({error.strerror}): give yourself that right, or "
            "--set models.runtime=llama.cpp"
        ) from error


@contextmanager
def serve_model(
    model: str, *, slots: int, runtime: Literal["auto"] | Runtime, asked: str, say: Say
) -> Iterator[EmbeddedServer]:
    """Start the embedded model, and tell the user by `say` who (`asked`) uses which model in which runtime.

    "auto" takes the fastest runtime that this machine has for the model, or llama.cpp if that one fails.

    Raises:
        ModelError: there is no such model, it can't be fetched, or it can't be loaded.
    """
    chosen = choose_runtime(find_weights(model)) if runtime == "auto" else runtime
    say(f"{asked}: {model} on this machine, by {RUNTIMES[chosen].name} (a server: --base-url and --model)")
    with ExitStack() as stack:
        server = EmbeddedServer(model, slots=slots, runtime=chosen)
        with ending_by_ctrl_c():  # fetching a model may take minutes
            try:
                stack.enter_context(server)
            except ModelError as error:
                if runtime != "auto" or chosen == "llama.cpp" or not is_installed("llama.cpp"):
                    raise
                say(f"{error}; llama.cpp takes its place")
                server = stack.enter_context(EmbeddedServer(model, slots=slots))
        yield server
