"""Responses that were recorded elsewhere: {"prompt": text, "response": text}, a line each; several for a prompt are its
samples, in order. `finish_reason`, if there, tells which were cut.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ConfigDict

from autoif.errors import ConfigError
from autoif.records import Record
from autoif.store import read_jsonl


class RecordedResponse(Record):
    """One line. What else it holds is not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: str
    response: str
    finish_reason: str | None = None


def read_responses(path: Path, prompts: Sequence[str]) -> list[list[RecordedResponse]]:
    """Return the responses to each prompt, in the order of the prompts; none for a prompt that the file lacks.

    Raises:
        ConfigError: no responses, a response to a prompt that is not asked, or more to one prompt than to another.
        StoreError: the file can't be read, or a line is no such row.
    """
    found: dict[str, list[RecordedResponse]] = {prompt: [] for prompt in prompts}
    for number, row in enumerate(read_jsonl(path, RecordedResponse), 1):
        if row.prompt not in found:
            raise ConfigError(f"{path}, response {number}: its prompt is not in the data: {row.prompt[:80]!r}")
        found[row.prompt].append(row)
    counts = {len(responses): prompt for prompt, responses in found.items() if responses}
    if not counts:
        raise ConfigError(f"{path} has no responses")
    if len(counts) > 1:
        listed = " and ".join(f"{count} to {counts[count][:40]!r}" for count in sorted(counts)[:2])
        raise ConfigError(f"{path} has {listed}: a pass rate needs as many responses to each prompt")
    return list(found.values())
