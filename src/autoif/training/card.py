"""What a trained folder says of itself: training.json for programs, README.md (the card) for people and hubs."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from autoif.errors import StoreError
from autoif.markdown import escape_markdown, show_code
from autoif.reading.text_lines import parse_json

RECORD = "training.json"
CARD = "README.md"
_PACKAGES = ("autoif", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "deepspeed")
_METHODS = {
    "sft": "supervised fine-tuning (SFT)",
    "dpo": "offline direct preference optimisation (DPO)",
    "online-dpo": "iterative online DPO",
    "grpo": "group relative policy optimisation (GRPO), verification functions as reward",
}


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the training.json of a folder, or None where there is none.

    Raises:
        StoreError: it is there and can't be read.
    """
    path = folder / RECORD
    try:
        found = parse_json(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} can't be read ({error}): choose another --output") from None
    if not isinstance(found, dict) or "identity" not in found:
        raise StoreError(f"{path} is not of autoif: choose another --output")
    return found


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write training.json whole or not at all."""
    _write(folder / RECORD, json.dumps(record, indent=2, default=str) + "\n")


def write_card(folder: Path, record: Mapping[str, Any]) -> None:
    """Write README.md from a finished record."""
    _write(folder / CARD, render_card(folder.resolve().name, record))


def render_card(name: str, record: Mapping[str, Any]) -> str:
    """Return the card of a trained folder, with the front matter that hubs read."""
    data, lengths = record["data"], record["lengths"]
    base = Path(record["model"]["name"])
    # A folder's path says nothing elsewhere, and a hub refuses it as a base model.
    shown = base.name if base.exists() else record["model"]["name"]
    facts = {
        "method": f"{_METHODS[record['kind']]}, {'LoRA, merged' if record['lora'] else 'all weights'}",
        "base model": f"{show_code(shown)}, {record['model']['content']}" + _ancestry(record["model"]["training"]),
        "data": _describe_data(data),
        "data run": _describe_run(data["run"]),
        **({"evaluation data": _describe_data(record["eval_data"])} if record["eval_data"] else {}),
        "lengths": _describe_lengths(lengths),
        "steps": f"{record['steps']}, global batch {record['settings']['global_batch_size']}",
        **(
            {"reward": ", ".join(f"{key} {escape_markdown(str(value))}" for key, value in record["reward"].items())}
            if record["reward"]
            else {}
        ),
        "seed": record["settings"]["seed"],
        "device": escape_markdown(record["device"]),
        "versions": ", ".join(escape_markdown(f"{package} {found}") for package, found in record["versions"].items()),
    }
    front = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["autoif", record["kind"]]}
    if not base.exists():
        front["base_model"] = record["model"]["name"]
    lines = [
        "---",
        *(f"{key}: {json.dumps(value)}" for key, value in front.items()),
        "---",
        "",
        f"# {escape_markdown(name)}",
        "",
    ]
    lines += ["Trained by [autoif](https://arxiv.org/abs/2406.13542) on data that running code has verified.", ""]
    lines += ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items()), "", "## Metrics", ""]
    lines += ["| | first | last |", "|---|---|---|"]
    lines += [f"| {key} | {ends['first']:.4g} | {ends['last']:.4g} |" for key, ends in record["metrics"].items()]
    lines += _rounds_table(record.get("rounds", []))
    lines += ["", "All steps are in `metrics.jsonl`; everything here is in `training.json` as well.", "", "## Settings"]
    settings = dict(record["settings"])
    for table in ("lora", "online"):
        settings |= {f"{table}.{key}": value for key, value in (record.get(table) or {}).items()}
    return "\n".join([*lines, "", "```json", json.dumps(settings, indent=2, default=str), "```", ""])


def versions() -> dict[str, str]:
    """Return the versions of what shapes a training, of those packages that are installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe_ancestry(model: str) -> dict[str, Any] | None:
    """Return what a record says of how its model was trained; None if it wasn't here."""
    folder = Path(model)
    parent = read_record(folder) if (folder / RECORD).is_file() else None
    return parent and {
        "kind": parent["kind"], "model": parent["model"]["name"],
        "data": parent["data"]["file"], "sha256": parent["data"]["sha256"],
    }  # fmt: skip


def _rounds_table(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what each round of online DPO drew and paired."""
    if not rounds:
        return []
    names = ("round", "prompts", "paired", "all_pass", "all_fail", "responses", "truncated", "gated", "pairs")
    lines = [
        "",
        "## Rounds",
        "",
        f"| {' | '.join(name.replace('_', ' ') for name in names)} |",
        "|---" * len(names) + "|",
    ]
    return lines + [f"| {' | '.join(str(row[name]) for name in names)} |" for row in rounds]


def _ancestry(training: Mapping[str, Any] | None) -> str:
    if not training:
        return ""
    data = show_code(Path(training["data"]).name)
    kind, digest = escape_markdown(str(training["kind"]).upper()), show_code(str(training["sha256"]))
    return f" (itself {kind} on {data}, SHA-256 {digest})"


def _describe_lengths(lengths: Mapping[str, Any]) -> str:
    line = f"{lengths['truncated']} rows truncated, {lengths['dropped']} dropped as too long"
    if lengths.get("identical"):
        line += f", {lengths['identical']} as identical in chosen and rejected"
    if "chosen_mean" in lengths:
        line += f"; tokens on average: chosen {lengths['chosen_mean']}, rejected {lengths['rejected_mean']}"
    return line


def _describe_data(data: Mapping[str, Any]) -> str:
    levels = ", ".join(f"{count} {escape_markdown(level)}" for level, count in data["levels"].items())
    counted = f"{data['rows']} rows" + (f" ({levels})" if levels else "")
    return f"{show_code(Path(data['file']).name)}, {counted}, SHA-256 `{data['sha256']}`"


def _describe_run(run: Mapping[str, Any] | None) -> str:
    if not run:
        return "no run.json beside the data"
    return ", ".join(f"{key} {escape_markdown(str(value))}" for key, value in run.items() if value)


def _write(path: Path, text: str) -> None:
    replacement = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        replacement.write_text(text, encoding="utf-8")
        replacement.replace(path)
    finally:
        replacement.unlink(missing_ok=True)
