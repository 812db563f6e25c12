"""LLaMA-Factory: Alpaca and ShareGPT rows, and the dataset_info.json that maps their columns and tags.

Each form comes in both formats; `dataset: autoif_sft` or `autoif_sft_sharegpt`, and so for preferences. The whole user
turn is the Alpaca instruction, as LLaMA-Factory would put a line break between an instruction and an input. It has no
RL trainer that asks a function for the reward.
"""

from pydantic import JsonValue

from autoif.datasets.exports.files import Entries, File, RowTable
from autoif.datasets.rows import Columns, Form, PreferenceRow, RowSets, SftRow

_ALPACA = {"prompt": "instruction", "query": "input"}
_SHAREGPT = {"messages": "conversations"}
_PAIR = {"chosen": "chosen", "rejected": "rejected"}
_TAGS = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}


def export(rows: RowSets) -> list[File]:
    """Return the rows of each form in both formats, and their entries in dataset_info.json."""
    tables: list[RowTable] = []
    info: dict[str, Columns] = {}
    if rows.sft:
        tables.append(RowTable("autoif_sft.jsonl", Form.SFT, map(alpaca_sft, rows.sft)))
        info["autoif_sft"] = _alpaca({**_ALPACA, "response": "output"})
        tables.append(RowTable("autoif_sft_sharegpt.jsonl", Form.SFT, map(sharegpt_sft, rows.sft)))
        info["autoif_sft_sharegpt"] = _sharegpt(_SHAREGPT)
    if rows.preferences:
        tables.append(RowTable("autoif_preferences.jsonl", Form.PREFERENCE, map(alpaca_pair, rows.preferences)))
        info["autoif_preferences"] = {**_alpaca({**_ALPACA, **_PAIR}), "ranking": True}
        tables.append(
            RowTable("autoif_preferences_sharegpt.jsonl", Form.PREFERENCE, map(sharegpt_pair, rows.preferences))
        )
        info["autoif_preferences_sharegpt"] = {**_sharegpt({**_SHAREGPT, **_PAIR}), "ranking": True}
    described = {name: {"file_name": f"{name}.jsonl", **entry} for name, entry in info.items()}
    return [*tables, Entries("dataset_info.json", described)] if tables else []


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
    return {"conversations": [_said("human", row.prompt), _said("gpt", row.answer)]}


def sharegpt_pair(row: PreferenceRow) -> Columns:
    return {
        "conversations": [_said("human", row.prompt[0].content)],
        "chosen": _said("gpt", row.chosen[0].content),
        "rejected": _said("gpt", row.rejected[0].content),
    }


def _said(tag: str, text: str) -> dict[str, JsonValue]:
    return {"from": tag, "value": text}


def _alpaca(columns: dict[str, str]) -> Columns:
    return {"formatting": "alpaca", "columns": dict(columns)}


def _sharegpt(columns: dict[str, str]) -> Columns:
    return {"formatting": "sharegpt", "columns": dict(columns), "tags": dict(_TAGS)}
