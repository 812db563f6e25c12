"""The gate on answers: how often it is wrong about real ones, and what it finds of worthless ones (docs/training.md).

    python benchmarks/gate.py            # the table; exit code 1 if a set misses its bound
    python benchmarks/gate.py alarms     # also every alarm on a real answer, to be judged by hand

Real answers: what people wrote (Dolly), and what twelve models answered to prompts of IFEval, IFBench, FollowBench and
AutoIF, in the folder that AUTOIF_DATA names. The bound on alarms holds for people and for models that seldom break
down; the others, small or run past the end of their answer, are reported. Worthless answers are made here, for the
prompts of the AutoIF set.
"""

import gzip
import json
import random
import string
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from autoif.gate import find_fault
from recordings import find_recordings

MAX_ALARMS: Final = 0.005
PADS: Final = ("word", "and so on", "I hope this helps!", "very very", "It is what it is, as they say.")
MIN_HITS: Final = 0.95
GOOD: Final = ("dolly", "autoif", "claude", "gpt-4o", "o1-mini", "text-bison")
"""Sets whose names begin so are held to `MAX_ALARMS`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A text, and what was asked: the prompt, then the parts of it that are known."""

    text: str
    asked: tuple[str, ...]


def real_answers() -> dict[str, list[Answer]]:
    """Return the answers of each set. Answers that are null in the data, as o1's refusals, are left out."""
    dolly = [
        Answer(row["response"], (f"{row['instruction']}\n{row['context']}", row["instruction"]))
        for row in read_rows("queries/databricks-dolly-15k.jsonl.gz")
    ]
    autoif = [
        Answer(text, (f"{row['query']}\n{row['instruction']}", row["instruction"], row["query"]))
        for row in read_rows("verifiers/autoif_llama3_jwrobins94/completions.jsonl.gz")
        for text in row["completions"]
    ]
    sets = {"dolly (people)": dolly, "autoif llama3-8b": autoif}
    prompts = {row["key"]: row["prompt"] for row in read_rows("ifeval/recorded/en_input_data.jsonl")}
    for row in read_rows("ifeval/recorded/nine_models_responses_and_verdicts.jsonl.gz"):
        name = f"{row['model'].rpartition('__')[2]} on ifeval"
        if row["response"] is not None:
            sets.setdefault(name, []).append(Answer(row["response"], (prompts[row["key"]],)))
    for name, path in (
        ("text-bison on ifeval", "ifeval/input_response_data_text_bison.jsonl"),
        ("a model on ifbench", "ifbench/sample_output.jsonl"),
    ):
        sets[name] = [Answer(row["response"], (row["prompt"],)) for row in read_rows(path)]
    sets["llama3-8b on followbench"] = [
        Answer(row["choices"][0]["message"]["content"], (row["prompt_new"],))
        for path in sorted(find_recordings("followbench/recorded_llama3-8b/api_output").glob("*.jsonl"))
        for row in read_rows(str(path.relative_to(find_recordings())))
        if "choices" in row
    ]
    return sets


def read_rows(name: str) -> Iterator[dict[str, Any]]:
    path = find_recordings(name)
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def worthless_answers(answers: Iterable[Answer]) -> dict[str, list[Answer]]:
    """Return for each way of cheating one text for each answer's prompt; the same in every run."""
    draw = random.Random(0)
    made: dict[str, list[Answer]] = {}
    for answer in answers:
        for name, cheat in CHEATS.items():
            text = cheat(answer, draw)
            if text is not None:
                made.setdefault(name, []).append(Answer(text, answer.asked))
    return made


def cut_prompt(answer: Answer, draw: random.Random) -> str | None:
    words = answer.asked[0].split(" ")
    return " ".join(words[: round(len(words) * draw.uniform(0.4, 0.9))]) if len(words) >= 20 else None


def add_preface(answer: Answer, draw: random.Random) -> str | None:
    return f"Sure, here it is: {answer.asked[0]}!!!" if len(answer.asked[0].split()) >= 20 else None


def loop_words(answer: Answer, draw: random.Random) -> str:
    return " ".join([draw.choice(answer.text.split() or ["word"])] * draw.randint(30, 300))


def loop_sentence(answer: Answer, draw: random.Random) -> str:
    sentence = " ".join(answer.text.split()[: draw.randint(5, 20)]) or "word"
    return "\n".join([sentence] * draw.randint(6, 40))


def pad_answer(answer: Answer, draw: random.Random) -> str:
    return f"{answer.text}\n" + f"{draw.choice(PADS)} " * draw.randint(40, 200)


def write_letters(_: Answer, draw: random.Random) -> str:
    words = ("".join(draw.choices(string.ascii_lowercase, k=draw.randint(4, 12))) for _ in range(60))
    return " ".join(words)


def long_enough(text: str) -> str | None:
    """Return a part of a prompt if it has the six words from which a copy can be told from an answer."""
    return text if len(text.split()) >= 8 else None


CHEATS: Final[dict[str, Callable[[Answer, random.Random], str | None]]] = {
    "blank": lambda answer, draw: draw.choice(" \n\t") * draw.randint(0, 50),
    "punctuation": lambda answer, draw: draw.choice(["!", ".", "* ", "# ", "{}", "<<>>"]) * draw.randint(1, 50),
    "the prompt": lambda answer, draw: long_enough(answer.asked[0]),
    "the prompt in capitals": lambda answer, draw: long_enough(answer.asked[0].upper()),
    "the prompt with a preface": add_preface,
    "the prompt's first 40-90 %": cut_prompt,
    "the prompt twice": lambda answer, draw: long_enough(f"{answer.asked[0]}\n\n{answer.asked[0]}"),
    "the instruction": lambda answer, draw: long_enough(answer.asked[1]),
    "the query": lambda answer, draw: long_enough(answer.asked[2]),
    "one word over and over": loop_words,
    "one line over and over": loop_sentence,
    "an answer that ends in a loop": pad_answer,
    "one letter": lambda answer, draw: draw.choice(string.ascii_letters) * draw.randint(50, 500),
    "syllables without a space": lambda answer, draw: draw.choice(["ha", "lol", "abc"]) * draw.randint(30, 300),
    "random letters": write_letters,
}


def measure(sets: dict[str, list[Answer]], show: bool = False) -> dict[str, float]:
    """Print a line for each set; return the share of alarms in each."""
    shares = {}
    for name, answers in sets.items():
        started = time.perf_counter()
        faults = [find_fault(answer.text, *answer.asked) for answer in answers]
        seconds = time.perf_counter() - started
        counts = Counter(fault for fault in faults if fault)
        shares[name] = counts.total() / len(answers)
        chars = sum(len(answer.text) for answer in answers) / len(answers)
        found = "  ".join(f"{fault} {count}" for fault, count in sorted(counts.items()))
        print(
            f"{name:42} {len(answers):6,} {shares[name]:7.2%} {len(answers) / seconds:8,.0f}/s {chars:6,.0f}  {found}"
        )
        for answer, fault in zip(answers, faults, strict=True):
            if show and fault:
                print(
                    f"    {fault}: {answer.text[:150]!r} … {answer.text[-100:]!r}\n      to {answer.asked[0][:200]!r}"
                )
    return shares


def main() -> None:
    """Print both tables; fail if a bound is missed."""
    print(f"{'set':42} {'texts':>6} {'alarms':>7} {'speed':>10} {'chars':>6}  faults")
    sets = real_answers()
    real = measure(sets, show="alarms" in sys.argv[1:])
    print()
    made = measure(worthless_answers(sets["autoif llama3-8b"]))
    missed = [
        *(
            f"{name}: {share:.2%} alarms"
            for name, share in real.items()
            if name.startswith(GOOD) and share > MAX_ALARMS
        ),
        *(f"{name}: {share:.2%} found" for name, share in made.items() if share < MIN_HITS),
    ]
    sys.exit("\n".join(missed) if missed else 0)


if __name__ == "__main__":
    main()
