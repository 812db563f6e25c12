"""LLaMA-Factory: Alpaca and ShareGPT rows, and the dataset_info.json that maps their columns and tags.

SFT rows and preferences each come in both formats: name `autoif_sft` or `autoif_sft_sharegpt` as the `dataset`, or
`autoif_preferences` likewise. The whole user turn is the Alpaca instruction, as LLaMA-Factory would put a line break
between an instruction and an input. There are no RL rows, as LLaMA-Factory has no trainer with a reward function.
"""

from pathlib import Path

from pydantic import JsonValue

from autoif.datasets.exports.files import Entries, File, make_files
from autoif.datasets.rows import Columns, PreferenceRow, RowSets, SftRow

_TAGS: JsonValue = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
_INFO: dict[str, Columns] = {
    "autoif_sft": {
        "formatting": "alpaca",
        "columns": {"prompt": "instruction", "query": "input", "response": "output"},
    },
    "autoif_sft_sharegpt": {
        "formatting": "sharegpt",
        "columns": {"messages": "conversations"},
        "tags": _TAGS,
    },
    "autoif_preferences": {
        "formatting": "alpaca",
        "columns": {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"},
        "ranking": True,
    },
    "autoif_preferences_sharegpt": {
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
        "tags": _TAGS,
        "ranking": True,
    },
}
"""The entries of dataset_info.json, by the names of the files."""


def export(rows: RowSets) -> list[File]:
    """Return the rows of each form in both formats, and their entries in dataset_info.json."""
    tables = [
        *make_files("autoif_sft.jsonl", alpaca_sft, rows.sft),
        *make_files("autoif_sft_sharegpt.jsonl", sharegpt_sft, rows.sft),
        *make_files("autoif_preferences.jsonl", alpaca_pair, rows.preferences),
        *make_files("autoif_preferences_sharegpt.jsonl", sharegpt_pair, rows.preferences),
    ]
    info = {name: {"file_name": f"{name}.jsonl", **_INFO[name]} for name in (Path(each.name).stem for each in tables)}
    return [*tables, Entries("dataset_info.json", info)] if tables else []


def alpaca_sft(row: SftRow) -> Columns:
    return {"instruction": row.prompt, "input": "", "output": row.answer}


def alpaca_pair(row: PreferenceRow) -> Columns:
    return {
        "instruction": row.prompt[0].content,
        "input": "",
        "chosen": row.chosen[0].content,
        "rejected": row.rejected[0].content,
    }


def sharegpt_sft(row: SftRow) -> Columns:
    return {"conversations": [_message("human", row.prompt), _message("gpt", row.answer)]}


def sharegpt_pair(row: PreferenceRow) -> Columns:
    return {
        "conversations": [_message("human", row.prompt[0].content)],
        "chosen": _message("gpt", row.chosen[0].content),
        "rejected": _message("gpt", row.rejected[0].content),
    }


def _message(tag: str, text: str) -> dict[str, JsonValue]:
    return {"from": tag, "value": text}
