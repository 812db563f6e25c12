"""The sampling loop and its file, which grows batch by batch. Sampling resumes after the last whole batch.

SAMPLES.jsonl    {"prompt_id": ..., "index": 0, "text": ..., "finish_reason": "stop"}, prompt after prompt; with
                 "reasoning" if the model wrote a thought, and "detail" if the server explained a refusal or an end
SAMPLES.json     everything that the samples depend on: settings, prompts, and the model and backend
"""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import ValidationError

from autoif.errors import ConfigError, StoreError
from autoif.messages import Say, count_tenths, list_differences
from autoif.models.requests import Completion
from autoif.reading.jsonl import read_jsonl
from autoif.records import Record, content_id
from autoif.runs.whole_files import held, storage_errors, write_jsonl
from autoif.sampling.settings import Draw, Sample, Sampler, SamplingPrompt, SamplingSettings


class Plan(Record):
    """Everything that the samples of a file depend on."""

    settings: SamplingSettings
    prompts: str
    """Content id of all prompts in order."""
    policy: str
    """The model and the backend."""


def sample_all(
    prompts: Sequence[SamplingPrompt],
    settings: SamplingSettings,
    open_sampler: Callable[[], AbstractContextManager[Sampler]],
    file: Path,
    say: Say,
    *,
    policy: str = "",
) -> list[Sample]:
    """Return `settings.responses` samples of each prompt, in order, and store them in a file.

    Call it again after an interruption: the file will have the same bytes as without one. The sampler is opened only if
    samples are missing.

    Args:
        prompts: must have different ids.
        settings: how to draw.
        open_sampler: such as `lambda: backends.open_sampler(model, settings)`.
        file: SAMPLES.jsonl; a plan is written beside it.
        say: gets lines of progress.
        policy: names the model and the backend, so that samples of another one are refused.

    Raises:
        ConfigError: two prompts share an id.
        StoreError: the file holds samples of other prompts, settings or models, or can't be written.
    """
    rows = [Draw(prompt, index) for prompt in prompts for index in range(settings.responses)]
    if len({prompt.id for prompt in prompts}) < len(prompts):
        raise ConfigError("two prompts have the same id: their samples could not be told apart")
    identity = content_id([prompt.model_dump(mode="json") for prompt in prompts])
    _check_plan(file, Plan(settings=settings, prompts=identity, policy=policy))
    samples, ends = _read_samples(file, rows)
    if len(samples) == len(rows):
        return samples
    with held(file.with_suffix(".json"), "samples by"), open_sampler() as sampler:
        samples, ends = _read_samples(file, rows)  # again, as another process may have added some until now
        size = sampler.batch_size
        whole = len(samples) // size * size
        samples = samples[:whole]
        if whole:
            say(f"going on after {whole:,} of {len(rows):,} responses")
        with storage_errors(file), file.open("ab") as out:
            out.truncate(ends[whole])
        add = count_tenths(say, len(rows), "responses sampled", whole)
        for start in range(whole, len(rows), size):
            drawn = rows[start : start + size]
            batch = [_make_sample(row, answer) for row, answer in zip(drawn, sampler.sample(drawn), strict=True)]
            _append(file, batch)
            samples += batch
            add(len(batch))
    return samples


def _make_sample(row: Draw, answer: Completion) -> Sample:
    return Sample(
        prompt_id=row.prompt.id,
        index=row.index,
        text=answer.text,
        finish_reason=answer.finish_reason,
        reasoning=answer.reasoning,
        detail=answer.detail,
    )


def _append(file: Path, batch: Sequence[Sample]) -> None:
    # Escaped to ASCII, any text can be stored, lone surrogates included.
    lines = "".join(json.dumps(sample.model_dump(exclude_defaults=True)) + "\n" for sample in batch)
    with storage_errors(file), file.open("ab") as out:
        out.write(lines.encode("ascii"))
        out.flush()
        os.fsync(out.fileno())


def _check_plan(file: Path, plan: Plan) -> None:
    """Raise StoreError if the file was sampled under another plan; write the plan of a new file."""
    place = file.with_suffix(".json")
    if not place.exists():
        if file.exists():
            raise StoreError(f"{file} is there without {place.name}: choose another output")
        write_jsonl(place, [plan])
        return
    found = read_jsonl(place, Plan)
    # Settings that are excluded from the plan, such as vLLM's share of the memory, may change.
    if differing := list_differences(found[0].model_dump() if found else {}, plan.model_dump()):
        raise StoreError(f"{file} was sampled otherwise: {differing}; choose another output")


def _read_samples(file: Path, rows: Sequence[Draw]) -> tuple[list[Sample], list[int]]:
    """Return the samples in a file, and a list whose item N is the offset in bytes where the first N of them end.

    A last line that was cut off by a kill or a full disk is left out.
    """
    with storage_errors(file):
        content = file.read_bytes() if file.exists() else b""
    samples, ends = [], [0]
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            sample = Sample.model_validate_json(line)
        except ValidationError:
            raise StoreError(f"{file}, line {number}: no sample; delete the file to sample anew") from None
        wanted = rows[number - 1] if number <= len(rows) else None
        if wanted is None or (sample.prompt_id, sample.index) != (wanted.prompt.id, wanted.index):
            raise StoreError(f"{file}, line {number}: a sample of another prompt; delete the file to sample anew")
        samples.append(sample)
        ends.append(ends[-1] + len(line) + 1)
    return samples, ends
