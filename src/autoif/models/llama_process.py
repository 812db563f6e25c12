"""The process in which llama.cpp serves the embedded model over the OpenAI API."""

from typing import Any

import xllamacpp

from autoif.models.model_process import serve_while_wanted


def make_params(settings: dict[str, Any]) -> xllamacpp.CommonParams:
    """Turn the settings that `embedded` sends into llama.cpp's parameters."""
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


def serve(settings: dict[str, Any]) -> tuple[str, xllamacpp.Server]:
    """Start the server with the settings that `embedded` sends. Raises RuntimeError: the model can't be loaded."""
    server = xllamacpp.Server(make_params(settings))
    return str(server.listening_address), server


if __name__ == "__main__":
    serve_while_wanted(serve)
