"""§3.4, one training: from a request to a trained folder.

OUTPUT/training.json  README.md  metrics.jsonl     what was trained, from what, and how it went
OUTPUT/config.json  model.safetensors  tokenizer…  the model, whole; with LoRA the adapter is in adapter/ as well
OUTPUT/checkpoint-STEP/                            what `--resume` goes on from
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import PrinterCallback

from autoif.errors import ConfigError, ModelError, StoreError
from autoif.training.card import RECORD, read_record, versions, write_card, write_record
from autoif.training.checkpoints import is_full_disk, remove_broken, step_of, whole_checkpoints
from autoif.training.data import Kind, TrainingData, read_data
from autoif.training.dpo import make_dpo_trainer
from autoif.training.lengths import Lengths, fit_rows
from autoif.training.lora import make_lora_config, save_merged
from autoif.training.metrics import MetricsFile, cut_metrics, read_metrics, summarise
from autoif.training.models import check_model, load_model, load_tokenizer, read_context
from autoif.training.settings import Settings, make_arguments, renamed_settings
from autoif.training.sft import make_sft_trainer

METRICS = "metrics.jsonl"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What to train, on what, into which folder."""

    kind: Kind
    data: Path
    """A file of rows or a run folder."""
    model: str
    """A model folder, or a name on the hub."""
    output: Path
    settings: Settings
    resume: bool = False
    """Go on from the last whole checkpoint; where there is none, begin."""
    callbacks: Sequence[Any] = field(default=())
    """More callbacks of transformers' Trainer."""


def train(request: Request, say: Say = print) -> dict[str, Any]:
    """Train, and return the record that training.json then holds.

    Raises:
        ConfigError: data or settings; see `data`, `settings` and `lengths`.
        ModelError: the model or its tokenizer can't be used, or the device has too little memory.
        StoreError: the folder holds something else, or the disk is full; whole checkpoints stay.
    """
    check_model(request.model)
    data = read_data(request.data, request.kind)
    if not PartialState().is_main_process:
        say = _ignore
    identity = {
        "kind": request.kind, "model": request.model, "data": data.sha256, **request.settings.identity()
    }  # fmt: skip
    before = _check_output(request, identity)
    if before and before["status"] == "complete":
        say(f"{request.output} is complete already")
        return before
    arguments = make_arguments(request.kind, request.settings, request.output)
    tokenizer = load_tokenizer(request.model)
    rows, lengths = fit_rows(data.rows, tokenizer, arguments.max_length, read_context(request.model))
    say(lengths.describe())
    with _plain_errors(request), renamed_settings():
        trainer = _make_trainer(request, arguments, tokenizer, rows)
        record = {**_describe(request, data, lengths), "identity": identity}
        return _run(request, trainer, record, before, say)


def _ignore(line: str) -> None:
    """Say nothing: the first process says it."""


def _check_output(request: Request, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record of an earlier training in the folder that may be gone on with."""
    folder = request.output
    before = read_record(folder) if folder.is_dir() else None
    if before is None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(f"{folder} is there and holds no training: choose another --output")
        return None
    if not request.resume:
        raise StoreError(f"{folder} holds a training ({before['status']}): use --resume, or choose another --output")
    there = before["identity"]
    differing = [key for key in sorted({*there, *identity}) if there.get(key) != identity.get(key)]
    if differing:
        listed = ", ".join(f"{key} ({there.get(key)!r} there, {identity.get(key)!r} now)" for key in differing[:6])
        raise StoreError(f"{folder} was trained with other settings: {listed}; choose another --output")
    return before


def _make_trainer(request: Request, arguments: Any, tokenizer: Any, rows: list[Any]) -> Any:
    lora = make_lora_config(request.settings.lora)
    callbacks = [MetricsFile(request.output / METRICS), *request.callbacks]
    make = make_sft_trainer if request.kind == "sft" else make_dpo_trainer
    try:
        trainer = make(lambda: load_model(request.model, arguments), tokenizer, rows, arguments, lora, callbacks)
    except (ValueError, NotImplementedError) as error:  # settings that contradict each other
        raise ConfigError(f"TRL refuses the settings: {' '.join(str(error).split())}") from None
    trainer.remove_callback(PrinterCallback)  # metrics.jsonl has it
    return trainer


def _run(
    request: Request, trainer: Any, record: dict[str, Any], before: dict[str, Any] | None, say: Say
) -> dict[str, Any]:
    """Train to the end, save the model, and write record and card; only the first process writes."""
    folder, first, began = request.output, trainer.is_world_process_zero(), time.monotonic()
    spent = before["seconds"] if before else 0.0
    PartialState().wait_for_everyone()  # each process has looked at the folder before the first one writes
    checkpoint = _find_checkpoint(folder, first, say)
    if first:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, {**record, "status": "running", "seconds": spent})
        cut_metrics(folder / METRICS, step_of(checkpoint) if checkpoint else 0)
    PartialState().wait_for_everyone()
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        _save(request, trainer, first)
    except BaseException:
        if first:
            with suppress(OSError):  # the disk may be what went wrong
                spent += time.monotonic() - began
                write_record(folder, {**record, "status": "interrupted", "seconds": round(spent, 1)})
        raise
    record = {
        **record,
        "status": "complete",
        "steps": trainer.state.global_step,
        "seconds": round(spent + time.monotonic() - began, 1),
        "metrics": summarise(read_metrics(folder / METRICS)),
    }
    if first:
        write_card(folder, record)
        write_record(folder, record)
    return record


def _find_checkpoint(folder: Path, first: bool, say: Say) -> Path | None:
    """Return the last whole checkpoint; what interrupted saves left is removed."""
    if first:
        for name in remove_broken(folder):
            say(f"{name} was not whole and is removed")
    found = whole_checkpoints(folder)
    if found:
        say(f"going on from {found[-1].name}")
    return found[-1] if found else None


def _save(request: Request, trainer: Any, first: bool) -> None:
    if request.settings.lora is None:
        trainer.save_model(str(request.output))
        return
    adapter = request.output / "adapter"
    trainer.save_model(str(adapter))
    if first:
        save_merged(request.model, adapter, request.output, trainer.processing_class)


def _describe(request: Request, data: TrainingData, lengths: Lengths) -> dict[str, Any]:
    parent = read_record(Path(request.model)) if (Path(request.model) / RECORD).is_file() else None
    ancestry = parent and {
        "kind": parent["kind"], "model": parent["model"]["name"],
        "data": parent["data"]["file"], "sha256": parent["data"]["sha256"],
    }  # fmt: skip
    settings = {**request.settings.arguments, "global_batch_size": request.settings.global_batch_size}
    return {
        "kind": request.kind,
        "model": {"name": request.model, "training": ancestry},
        "data": {
            "file": str(data.path), "sha256": data.sha256, "rows": len(data.rows),
            "levels": data.levels, "run": data.run,
        },
        "lengths": asdict(lengths),
        "settings": settings,
        "lora": request.settings.lora,
        "versions": versions(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "processes": PartialState().num_processes,
    }  # fmt: skip


@contextmanager
def _plain_errors(request: Request) -> Iterator[None]:
    """Turn what a device or a disk refuses into a line that says what to do."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise ModelError(_memory_hint(request)) from None
    except (OSError, RuntimeError, ValueError) as error:
        if _is_out_of_memory(error):
            raise ModelError(_memory_hint(request)) from None
        if is_full_disk(error):
            raise StoreError(_disk_hint(request.output)) from None
        if isinstance(error, OSError):
            raise StoreError(f"{request.output} can't be written or read: {error}") from None
        raise
    except Exception as error:
        if is_full_disk(error):  # safetensors has an exception of its own
            raise StoreError(_disk_hint(request.output)) from None
        raise


def _is_out_of_memory(error: Exception) -> bool:
    return "DefaultCPUAllocator: can't allocate memory" in str(error)


def _memory_hint(request: Request) -> str:
    values = request.settings.arguments
    batch = values["per_device_train_batch_size"]
    smaller = f"lower per_device_train_batch_size (now {batch}; the global batch stays) and --resume; or " * (batch > 1)
    lora = "" if request.settings.lora else ", or train with --lora"
    return f"out of memory: {smaller}lower max_length (now {values['max_length']}){lora}, into another --output"


def _disk_hint(folder: Path) -> str:
    whole = whole_checkpoints(folder)
    kept = f"{whole[-1].name} is whole: make room, then --resume" if whole else "make room, then --resume to begin anew"
    return f"there is no space to write in {folder}; {kept}, or lower save_total_limit"
