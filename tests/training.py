"""What the tests of training share: rows, quick settings, requests."""

import json
from pathlib import Path

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


def write_rows(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


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


def make_request(kind, data, model, output, *settings, lora=False, **more):
    from autoif.training.train import Request

    resolved = resolve_settings(kind, None, [*QUICK, "num_train_epochs=6", "warmup_steps=0", *settings], lora=lora)
    return Request(kind, Path(data), str(model), Path(output), resolved, **more)
