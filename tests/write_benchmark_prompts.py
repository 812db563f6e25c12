"""Writes the digests of the prompts of IFEval, IFBench and FollowBench: `python tests/write_benchmark_prompts.py`."""

from pathlib import Path
from typing import Final

import autoif
from autoif.benchmark_wordings import digest_prompt
from autoif.contamination.prompts import read_prompts
from support.packed_data import unpack

DIGESTS: Final = Path(autoif.__file__).parent / "benchmark_prompts.txt"


def list_prompts() -> list[str]:
    """Return every prompt of every release of the benchmarks in tests/data."""
    files = [("ifeval", path) for path in sorted(unpack("ifeval").glob("input_data*.jsonl"))]
    files += [("ifbench", unpack("ifbench") / "IFBench_test.jsonl"), ("followbench", unpack("followbench") / "data")]
    return [prompt.text for name, path in files for prompt in read_prompts([name], {name: path})]


def make_lines() -> str:
    return "".join(f"{digest}\n" for digest in sorted(set(map(digest_prompt, list_prompts()))))


if __name__ == "__main__":
    DIGESTS.write_text(make_lines(), encoding="ascii")
