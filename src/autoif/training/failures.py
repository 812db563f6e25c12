"""What a device or a disk refuses, as one line that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from autoif.errors import ModelError, StoreError
from autoif.training.checkpoints import is_full_disk, whole_checkpoints
from autoif.training.settings import Settings


@contextmanager
def plain_errors(folder: Path, settings: Settings) -> Iterator[None]:
    """Turn out of memory into a ModelError and what `folder` can't take into a StoreError; pass on the rest."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise ModelError(_memory_hint(settings)) from None
    except (OSError, RuntimeError, ValueError) as error:
        if _is_out_of_memory(error):
            raise ModelError(_memory_hint(settings)) from None
        if is_full_disk(error):
            raise StoreError(_disk_hint(folder)) from None
        if isinstance(error, OSError):
            raise StoreError(f"{folder} can't be written or read: {error}") from None
        raise
    except Exception as error:
        if is_full_disk(error):  # safetensors has an exception of its own
            raise StoreError(_disk_hint(folder)) from None
        raise


def _is_out_of_memory(error: Exception) -> bool:
    return "DefaultCPUAllocator: can't allocate memory" in str(error)


def _memory_hint(settings: Settings) -> str:
    values = settings.arguments
    batch = values["per_device_train_batch_size"]
    smaller = f"lower per_device_train_batch_size (now {batch}; the global batch stays) and --resume; or " * (batch > 1)
    if settings.reward is None:
        lengths = f"lower max_length (now {values['max_length']})"
    else:  # the completions of a step are sampled at once
        lengths = (
            f"lower max_completion_length (now {values['max_completion_length']}), global_batch_size (now "
            f"{settings.global_batch_size}) or num_generations (now {values['num_generations']})"
        )
    lora = "" if settings.lora else ", or train with --lora"
    return f"out of memory: {smaller}{lengths}{lora}, into another --output"


def _disk_hint(folder: Path) -> str:
    whole = whole_checkpoints(folder)
    kept = f"{whole[-1].name} is whole: make room, then --resume" if whole else "make room, then --resume to begin anew"
    return f"there is no space to write in {folder}; {kept}, or lower save_total_limit"
