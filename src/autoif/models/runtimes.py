"""What the embedded model runs in: llama.cpp, which runs every GGUF file anywhere, or OpenVINO where it is quicker.

Measured with Qwen2.5-Coder-1.5B (Q4_K_M) on two cores of an AMD EPYC with AVX-512: OpenVINO reads 167 tokens a second
and writes 52 in eight answers at a time, llama.cpp's wheel, which is built for AVX2, 74 and 29 (built for that very
processor it reads 96).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from autoif.models.catalog import GgufFile, Model

Runtime = Literal["llama.cpp", "openvino"]


class About(NamedTuple):
    """What is to be known of a runtime."""

    name: str
    """For people."""
    package: str
    process: str
    """The module that serves a model with it."""
    where_missing: str
    where_failing: str
    """What to do where it isn't installed, and where it can't load a model or ends."""


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
"""Without these OpenVINO wasn't measured."""
_MEMORY_SHARE = 5
"""Bytes of memory for each byte of the file: it took 3.8 GB for one of 1.1 GB, and llama.cpp 2.3."""
_CPU, _MEMORY, _GROUP = Path("/proc/cpuinfo"), Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def is_installed(runtime: Runtime) -> bool:
    return find_spec(RUNTIMES[runtime].package) is not None


def choose_runtime(model: GgufFile | Model) -> Runtime:
    """Return the quicker one of those that surely run a model here. Of files that users bring nobody knows that."""
    if (
        isinstance(model, Model)
        and is_installed("openvino")
        and _INSTRUCTIONS in _read(_CPU).split()
        and _find_free_memory() > _MEMORY_SHARE * model.bytes
    ):
        return "openvino"
    return "llama.cpp"


def _find_free_memory() -> float:
    """Return the bytes that are free by the kernel's and the control group's count; 0 if unknown."""
    lines = dict(line.split(":", 1) for line in _read(_MEMORY).splitlines() if ":" in line)
    free = float(lines.get("MemAvailable", "0 kB").split()[0]) * 1024
    limit, used = _read(_GROUP / "memory.max"), _read(_GROUP / "memory.current")
    return min(free, float(limit) - float(used)) if limit.isdecimal() and used.isdecimal() else free


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
