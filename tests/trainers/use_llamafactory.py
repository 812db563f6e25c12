"""LLaMA-Factory's own loader on an export: see tests/test_export_trainers.py.

It imports torchaudio for models that hear; no wheel of that loads beside a torch without CUDA, so an empty module
stands in for it. No text comes near it.
"""

import json
import sys
from pathlib import Path
from types import ModuleType

from byte_tokenizer import write_byte_tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Seq2SeqTrainingArguments

sys.modules["torchaudio"] = ModuleType("torchaudio")

from llamafactory.data import get_dataset, get_template_and_fix_tokenizer  # noqa: E402
from llamafactory.hparams import DataArguments, ModelArguments  # noqa: E402

IGNORED = -100


def load(folder: Path, name: str, stage: str, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, list[int]]]:
    data = DataArguments(template="default", dataset=name, dataset_dir=str(folder), cutoff_len=100_000)
    model = ModelArguments(model_name_or_path=tokenizer.name_or_path, cache_dir=str(folder / "cache"))
    training = Seq2SeqTrainingArguments(output_dir=str(folder / "out"), use_cpu=True)
    template = get_template_and_fix_tokenizer(tokenizer, data)
    return get_dataset(template, model, data, training, stage, tokenizer)["train_dataset"].to_list()


def split(row: dict[str, list[int]], tokenizer: PreTrainedTokenizerBase, side: str = "") -> tuple[str, str]:
    """Return the text without loss and the text with loss."""
    pairs = list(zip(row[f"{side}input_ids"], row[f"{side}labels"], strict=True))
    assert all(label in (IGNORED, token) for token, label in pairs)
    return (
        tokenizer.decode([token for token, label in pairs if label == IGNORED]),
        tokenizer.decode([token for token, label in pairs if label != IGNORED]),
    )


def main(folder: Path) -> dict[str, object]:
    tokenizer = AutoTokenizer.from_pretrained(write_byte_tokenizer(folder / "tokenizer"))
    found: dict[str, object] = {}
    for suffix in ("", "_sharegpt"):
        rows = load(folder, f"autoif_sft{suffix}", "sft", tokenizer)
        found[f"sft{suffix}"] = [split(row, tokenizer) for row in rows]
        rows = load(folder, f"autoif_preferences{suffix}", "rm", tokenizer)
        found[f"preferences{suffix}"] = [
            [split(row, tokenizer, side) for side in ("chosen_", "rejected_")] for row in rows
        ]
    return found


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(Path(sys.argv[1]))), encoding="utf-8")
