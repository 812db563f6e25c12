"""The process in which llama.cpp serves the embedded model, started by `embedded`.

It reads its settings as one line of JSON, answers with one line (`{"url": …}` or `{"error": …}`), and lives until its
standard input ends or its parent is gone. It is a process of its own because llama.cpp within ours would take it along
when it crashes, and would freeze it for ever when it is stopped while a request is open.
"""

import json
import os
import select
import sys
from typing import Any


def make_params(settings: dict[str, Any]) -> Any:
    """Return llama.cpp's parameters for the settings that `embedded` sends."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["context_tokens"] * settings["slots"]
    params.cpuparams.n_threads = settings["threads"]
    params.cpuparams_batch.n_threads = settings["threads"]
    params.cache_ram_mib = settings["prompt_cache_mb"]
    params.kv_unified = False
    if not settings["truncate_sampling"]:
        params.sampling.top_k, params.sampling.min_p = 0, 0.0
    params.ui = False
    params.verbosity = 0
    return params


def main() -> None:
    import xllamacpp

    # What llama.cpp prints goes to standard error, so that standard output is one line of ours.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    parent = os.getppid()
    settings = json.loads(sys.stdin.readline())
    try:
        server = xllamacpp.Server(make_params(settings))
    except RuntimeError as error:
        answers.write(json.dumps({"error": str(error)}) + "\n")
        answers.flush()
        os._exit(1)
    answers.write(json.dumps({"url": server.listening_address}) + "\n")
    answers.flush()
    # A process forked from the parent may keep the input open, so its end alone is no sign of life.
    while os.getppid() == parent and not select.select([sys.stdin], [], [], 1.0)[0]:
        pass
    os._exit(0)  # without the server's destructor, which waits for open requests


if __name__ == "__main__":
    main()
