"""The runtimes of the embedded model: llama.cpp, which runs every GGUF file anywhere, or OpenVINO where it is faster.

Measured with Qwen2.5-Coder-1.5B (Q4_K_M) on two cores of an AMD EPYC with AVX-512, eight answers at a time: OpenVINO
reads 167 tokens a second and writes 52. The wheel of llama.cpp, which is built for AVX2, reads 74 and writes 29 (built
for that very processor, it reads 96).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from autoif.models.catalog import GgufFile, Model

Runtime = Literal["llama.cpp", "openvino"]


class About(NamedTuple):
    """A runtime's names, and advice for when it fails."""

    name: str
    """As shown to people."""
    package: str
    process: str
    """The module that serves a model with it."""
    where_missing: str
    """What to do if it isn't installed."""
    where_failing: str
    """What to do if it can't load a model, or ends."""


RUNTIMES: dict[Runtime, About] = {
    "llama.cpp": About(
        "llama.cpp",
        "xllamacpp",
        "autoif.models.llama_process",
        "pip install 'autoif[embedded]', or set base_url",
        "free memory, or set fewer slots or context_tokens",
    ),
    "openvino": About(
        "OpenVINO",
        "openvino_genai",
        "autoif.models.openvino_process",
        "pip install openvino-genai, or --set models.runtime=llama.cpp",
        "free memory, or --set models.runtime=llama.cpp",
    ),
}
_INSTRUCTIONS = "avx512_vnni"
"""OpenVINO was measured only on processors with these instructions."""
_MEMORY_SHARE = 5
"""Bytes of memory that OpenVINO needs for each byte of the file. A file of 1.1 GB took 3.8 GB, and 2.3 in llama.cpp."""
_CPU, _MEMORY, _GROUP = Path("/proc/cpuinfo"), Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def is_installed(runtime: Runtime) -> bool:
    return find_spec(RUNTIMES[runtime].package) is not None


def choose_runtime(model: GgufFile | Model) -> Runtime:
    """Return the fastest runtime that surely runs a model here: for users' own files that is llama.cpp."""
    if (
        isinstance(model, Model)
        and is_installed("openvino")
        and _INSTRUCTIONS in _read(_CPU).split()
        and _find_free_memory() > _MEMORY_SHARE * model.bytes
    ):
        return "openvino"
    return "llama.cpp"


def _find_free_memory() -> float:
    """Return the free bytes of memory, within the limit of the control group; 0 if unknown."""
    lines = dict(line.split(":", 1) for line in _read(_MEMORY).splitlines() if ":" in line)
    free = float(lines.get("MemAvailable", "0 kB").split()[0]) * 1024
    limit, used = _read(_GROUP / "memory.max"), _read(_GROUP / "memory.current")
    return min(free, float(limit) - float(used)) if limit.isdecimal() and used.isdecimal() else free


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
