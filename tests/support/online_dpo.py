"""What the tests of online DPO share: a model, prompts with functions that split its answers, requests."""

import json
from pathlib import Path

from support.tiny_model import write_tiny_model
from support.training_data import QUICK, WORDS, load_training, turn, write_rows

EVEN = "def evaluate(response): return len(response) % 2 == 0"
ANY = "def evaluate(response): return True"
NONE = "def evaluate(response): return False"
SPLITS = [EVEN, EVEN + " # once more"]
"""Functions that accept some of what a random model says."""

ONLINE = (
    "online.rounds=2",
    "online.responses_per_prompt=6",
    "online.max_tokens=24",
    "online.batch_size=12",
    "online.dtype=float32",
    "online.workers=1",
    "online.temperature=1.0",
    "online.gate=false",
)
"""Without the gate: what a random model says is gibberish, and named so."""


def reward_row(word: str, functions: list[str]) -> dict:
    return {
        "prompt": [turn("user", f"Say {word}.")],
        "constraints": [
            {"instruction_id": f"i-{word}", "instruction": "An even number of letters.", "functions": functions}
        ],
        "query": f"Say {word}.",
        "query_id": f"q-{word}",
    }


def write_place(folder: Path) -> Path:
    """Write a model that ends its answers often, and prompts: some split, one always passed, one never, one a copy."""
    model = write_tiny_model(folder / "model", context=96)
    vocabulary = json.loads((model / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    ends = [1, *(vocabulary[letter] for letter in "ABCDEFGHIJ")]
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}), encoding="utf-8")
    rows = [reward_row(word, SPLITS) for word in WORDS]
    write_rows(folder / "rewards.jsonl", *rows, reward_row("anything", [ANY]), reward_row("nothing", [NONE]), rows[0])
    return folder


def make_online_request(place: Path, output: Path, *settings: str, lora: bool = False, **more):
    from autoif.training.online_dpo import OnlineRequest
    from autoif.training.online_pairs import resolve_online

    given = [*QUICK, "num_train_epochs=1", "warmup_steps=0", "save_steps=1", *ONLINE, *settings]
    load_training()
    online, dpo = resolve_online(None, given, lora=lora)
    fields = {"data": place / "rewards.jsonl", "model": str(place / "model"), **more}
    return OnlineRequest(output=output, online=online, dpo=dpo, **fields)
