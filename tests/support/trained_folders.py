"""What the tests of training read of a trained folder."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file


def metrics_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights_of(one), weights_of(other)
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)
