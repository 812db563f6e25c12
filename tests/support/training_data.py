"""What the tests of training share: rows, quick settings, requests."""

import gc
import json
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from autoif.training.settings import resolve_settings

WORDS = ("tea", "milk", "water", "juice", "beer", "soup")
QUICK = (
    "bf16=false",
    "global_batch_size=3",
    "per_device_train_batch_size=3",
    "learning_rate=0.01",
    "disable_tqdm=true",
)
"""Twelve steps for six rows in six epochs; 32 bits, so that two trainings can be compared."""
ALL_STEPS_NOUGHT = ("lr_scheduler_type=warmup_stable_decay", "lr_scheduler_kwargs.num_decay_steps=9000000000000000000")
"""A decay of which a training is the last few steps: the learning rate is 0 in each, which no single setting shows."""


def write_rows(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def judged_by(*functions: str) -> dict:
    """Return the column of a row that these functions judge."""
    return {"constraints": [{"functions": list(functions)}]}


def sft_rows() -> list[dict]:
    return [{"messages": [turn("user", f"Say {word}."), turn("assistant", word)]} for word in WORDS]


def preference_rows() -> list[dict]:
    return [
        {
            "prompt": [turn("user", f"Say {word}.")],
            "chosen": [turn("assistant", word)],
            "rejected": [turn("assistant", "never")],
            "level": "query" if index % 2 else "instruction",
        }
        for index, word in enumerate(WORDS)
    ]


@cache
def load_training() -> ModuleType:
    """Import what trains, and keep it out of the garbage collection of each training, which took half a second."""
    module = import_module("autoif.training.train")
    gc.freeze()
    return module


def make_request(kind, data, model, output, *settings, lora=False, **more):
    given = [*QUICK, "num_train_epochs=6", "warmup_steps=0", *settings]
    resolved = resolve_settings(kind, None, given, lora=lora, evaluates="eval_data" in more)
    return load_training().TrainingRequest(kind, Path(data), str(model), Path(output), resolved, **more)


def reward_rows(words=WORDS) -> list[dict]:
    """Prompts as rewards.jsonl has them: a completion passes if it has the letter with which the word begins."""
    return [
        {
            "prompt": [turn("user", f"Say {word}.")],
            "constraints": [
                {
                    "instruction": f"Say {word}.",
                    "functions": [f"def evaluate(response):\n    return {word[0]!r} in response"],
                }
            ],
            "query_id": word,
        }
        for word in words
    ]


GRPO = (
    "num_generations=4",
    "global_batch_size=8",
    "per_device_train_batch_size=4",
    "per_device_eval_batch_size=4",
    "max_completion_length=6",
    "num_train_epochs=2",
    "mask_truncated_completions=false",  # a random model seldom comes to an end
    "reward.workers=1",
)
"""Three steps of two prompts an epoch, for six prompts."""


def make_grpo_request(data, model, output, *settings, **more):
    given = [setting for setting in GRPO if more.get("eval_data") or "eval" not in setting]
    return make_request("grpo", data, model, output, *given, *settings, **more)
