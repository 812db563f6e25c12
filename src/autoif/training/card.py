"""The description of a trained folder: training.json for programs, README.md (the card) for people and hubs."""

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoif.errors import StoreError
from autoif.markdown import escape_markdown, show_code, write_front_matter, write_table
from autoif.reading.json_text import parse_json
from autoif.runs.manifest import find_version
from autoif.runs.whole_files import replacing

Row = dict[str, Any]
RECORD = "training.json"
CARD = "README.md"
METRICS = "metrics.jsonl"
_PACKAGES = ("autoif", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "deepspeed")
_METHODS = {
    "sft": "supervised fine-tuning (SFT)",
    "dpo": "offline direct preference optimisation (DPO)",
    "online-dpo": "iterative online DPO",
    "grpo": "group relative policy optimisation (GRPO), verification functions as reward",
}
_LOSSES = {
    "thoughts_lost": "of {} the chat template leaves out the thought before the answer: it is not learnt",
    "turns_changed": "of {} the chat template leaves out a turn, or changes its text",
    "prompts_learnt": "of {} a part of the prompt is learnt with the answer, as the chat template writes it otherwise "
    "once it is answered",
    "prompts_merged": "of {} the last token of the prompt becomes another one with the answer: the model is never "
    "asked as it was trained; an answer that begins with a line break or blank may be why, or the chat template",
    "special_tokens": "{} hold special tokens of the model in their texts, which end turns there",
}
"""Effects of a chat template on rows, by the counts of `rendering.Lengths`."""


@dataclass(frozen=True, slots=True)
class TextMarking:
    """How names and texts from elsewhere are escaped in our output."""

    show: Callable[[str], str]
    show_code: Callable[[str], str]


_MARKDOWN = TextMarking(escape_markdown, show_code)


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the training.json of a folder, or None if there is none.

    Raises:
        StoreError: it can't be read, or another program wrote it.
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


def read_metrics(folder: Path) -> list[Row]:
    """Return the rows of a folder's metrics.jsonl. A last line that a kill or a full disk cut short is left out.

    Raises StoreError if it can't be read.
    """
    path = folder / METRICS
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} can't be read: {error}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = parse_json(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            raise StoreError(f"{path}, line {number}: no row of metrics")
        rows.append(row)
    return rows


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write training.json whole or not at all."""
    _write(folder / RECORD, json.dumps(record, indent=2, default=str) + "\n")


def write_card(folder: Path, record: Mapping[str, Any]) -> None:
    """Write README.md from a finished record."""
    _write(folder / CARD, render_card(folder.resolve().name, record))


def render_card(name: str, record: Mapping[str, Any]) -> str:
    """Return the card of a trained folder, with the front matter that hubs read."""
    facts = list_facts(record, _MARKDOWN)
    base = Path(record["model"]["name"])
    front = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["autoif", record["kind"]]}
    if not base.exists():
        front["base_model"] = record["model"]["name"]
    lines = [*write_front_matter(front), "", f"# {escape_markdown(name)}", ""]
    lines += ["Trained by [autoif](https://arxiv.org/abs/2406.13542) on data that running code has verified.", ""]
    metrics = [(key, f"{ends['first']:.4g}", f"{ends['last']:.4g}") for key, ends in record["metrics"].items()]
    lines += [*write_table(["", ""], facts.items()), "", "## Metrics", "", *write_table(["", "first", "last"], metrics)]
    if rounds := record.get("rounds"):
        lines += ["", "## Rounds", "", *write_table(*list_rounds(rounds))]
    lines += ["", "All steps are in `metrics.jsonl`; everything here is in `training.json` as well.", "", "## Settings"]
    settings = dict(record["settings"])
    for table in ("lora", "online"):
        settings |= {f"{table}.{key}": value for key, value in (record.get(table) or {}).items()}
    return "\n".join([*lines, "", "```json", json.dumps(settings, indent=2, default=str), "```", ""])


def list_facts(record: Mapping[str, Any], marking: TextMarking) -> dict[str, str]:
    """Return the facts of a finished training by their titles."""
    data, show, code = record["data"], marking.show, marking.show_code
    base = Path(record["model"]["name"])
    # A folder's path means nothing on other machines, and a hub refuses it as a base model.
    shown = base.name if base.exists() else record["model"]["name"]
    method = f"{_METHODS[record['kind']]}, {'LoRA, merged' if record['lora'] else 'all weights'}"
    ancestry = _ancestry(record["model"]["training"], marking)
    facts = {
        "method": method,
        "base model": f"{code(shown)}, {record['model']['content']}{ancestry}",
        "data": _describe_data(data, marking),
        "data run": _describe_run(data["run"], marking),
    }
    if record["eval_data"]:
        facts["evaluation data"] = _describe_data(record["eval_data"], marking)
    facts["lengths"] = _describe_lengths(record["lengths"])
    facts["steps"] = f"{record['steps']}, global batch {record['settings']['global_batch_size']}"
    if record["reward"]:
        facts["reward"] = ", ".join(f"{key} {show(str(value))}" for key, value in record["reward"].items())
    return facts | {
        "seed": str(record["settings"]["seed"]),
        "device": show(record["device"]),
        "versions": ", ".join(show(f"{package} {found}") for package, found in record["versions"].items()),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that shape a training."""
    found = {package: version for package in _PACKAGES if (version := find_version(package))}
    return {"python": platform.python_version(), **found}


def describe_ancestry(model: str) -> dict[str, Any] | None:
    """Return how a model was trained, for the record of the next training; None if autoif didn't train it."""
    folder = Path(model)
    parent = read_record(folder) if (folder / RECORD).is_file() else None
    return parent and {
        "kind": parent["kind"], "model": parent["model"]["name"],
        "data": parent["data"]["file"], "sha256": parent["data"]["sha256"],
    }  # fmt: skip


def list_rounds(rounds: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of a table of what each round of online DPO drew and paired."""
    names = ("round", "prompts", "paired", "all_pass", "all_fail", "responses", "truncated", "gated", "pairs")
    return [name.replace("_", " ") for name in names], [[str(row[name]) for name in names] for row in rounds]


def _ancestry(training: Mapping[str, Any] | None, marking: TextMarking) -> str:
    if not training:
        return ""
    data = marking.show_code(Path(training["data"]).name)
    kind, digest = marking.show(str(training["kind"]).upper()), marking.show_code(str(training["sha256"]))
    return f" (itself {kind} on {data}, SHA-256 {digest})"


def describe_losses(lengths: Mapping[str, Any]) -> str:
    """Return the effects of the chat template, each after a semicolon; "" if nothing is lost."""
    return "".join(f"; {text.format(lengths[name])}" for name, text in _LOSSES.items() if lengths.get(name))


def _describe_lengths(lengths: Mapping[str, Any]) -> str:
    line = f"{lengths['truncated']} rows truncated, {lengths['dropped']} dropped as too long"
    if lengths.get("identical"):
        line += f", {lengths['identical']} as identical in chosen and rejected"
    line += describe_losses(lengths)
    if "chosen_mean" in lengths:
        line += f"; tokens on average: chosen {lengths['chosen_mean']}, rejected {lengths['rejected_mean']}"
    return line


def _describe_data(data: Mapping[str, Any], marking: TextMarking) -> str:
    levels = ", ".join(f"{count} {marking.show(level)}" for level, count in data["levels"].items())
    counted = f"{data['rows']} rows" + (f" ({levels})" if levels else "")
    code = marking.show_code
    return f"{code(Path(data['file']).name)}, {counted}, SHA-256 {code(str(data['sha256']))}"


def _describe_run(run: Mapping[str, Any] | None, marking: TextMarking) -> str:
    if not run:
        return "no run.json beside the data"
    return ", ".join(f"{key} {marking.show(str(value))}" for key, value in run.items() if value)


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
