"""How right the functions are that a model writes for IFEval's instructions: 38 in the official words.

    python benchmarks/functions.py seeds -o seeds.txt          # [--part tuned|aside]
    autoif run quickstart --seeds seeds.txt --set self_instruct.rewrites_per_seed=0 \\
        --set self_instruct.max_instructions=0 --until instructions -o runs/ifeval
    AUTOIF_DATA=FOLDER python benchmarks/functions.py score runs/ifeval [OTHER …]
    AUTOIF_DATA=FOLDER python benchmarks/functions.py answers -o FOLDER   # of good models, for contrast.answers
    AUTOIF_DATA=FOLDER python benchmarks/functions.py choose   # writes the list of instructions anew

Two instructions of each type that has arguments, one of each that has none, without those that need more than their
words (repeating the prompt) or a detector of languages: 38 of 23 types. Which arguments, and which 13 are kept aside,
is decided by the hash of their content, before any function is looked at; each has 5 recorded responses or more that
follow, and 5 that don't. Tune on the others, and report on those.

`score` audits each run against the official checkers over recorded responses (docs/audit.md) and prints what is kept
and how right it is, for all, the tuned and the aside; near misses apart. With --at-least-kept or --at-least-j it fails
below. `answers` divides the recorded responses by who wrote them: those of the better models to prompts that ask the
very same go to `answers.jsonl`; the others' stay to be gold, in the folder `gold`.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import JsonValue

from autoif.audit.gold import RESPONSES
from autoif.audit.material import Material, WrittenInstruction
from autoif.audit.official_gold import NEAR_MISSES, make_asked, make_official_gold, read_recorded
from autoif.audit.rates import InstructionRates, Level, LevelRates, sum_up
from autoif.audit.run import audit_run
from autoif.benchmark_wordings import find_wording, load_wordings
from autoif.evaluation.ifeval_ifbench.checkers import Checkers, Unjudgeable
from autoif.evaluation.ifeval_ifbench.tokenizer_data import PUNKT, find_data
from autoif.instructions.seeds import MAX_CHARS
from autoif.reading.jsonl import read_json_lines
from autoif.records import Instruction, Matrix, content_id
from autoif.runs.whole_files import write_jsonl
from autoif.sandbox import SandboxSettings
from recordings import find_recordings

LIST = Path(__file__).parent / "data" / "ifeval_instructions.jsonl"
LEFT_OUT = {"combination:repeat_prompt", "language:response_language"}
ASIDE = 13
PER_TYPE = 2
CANDIDATES = 6
"""Arguments that are tried of each type, in the order of their hash."""
LEAST = 5
"""Recorded responses of each side."""
PARTS = ("tuned", "aside")
GOOD = (
    "claude-3-5-sonnet-20240620",
    "gpt-4o-mini-2024-07-18",
    "o1-mini-2024-09-12",
    "Qwen__Qwen2.5-32B-Instruct-GPTQ-Int4",
    "Qwen__Qwen2.5-7B-Instruct-GPTQ-Int4",
)
"""The recorded models that follow 80 % of the instructions and more, but one: five answers to each prompt."""
LEVELS = {Level.WRITTEN: "as written", Level.BACK_TRANSLATED: "kept functions", Level.MAJORITY: "majority of them"}


def choose(data: Path) -> None:
    """Write the list of instructions."""
    recorded = read_recorded(data / "ifeval")
    checkers = Checkers("ifeval", find_data([PUNKT]))
    asked = {each for some in recorded.by_prompt.values() for each in some}
    candidates: dict[str, list[str]] = {}
    for name in sorted(load_wordings()["ifeval"].keys() - LEFT_OUT):
        texts = [text for text in describe(checkers, name, asked) if len(text) <= MAX_CHARS]
        candidates[name] = texts[:CANDIDATES]
    written = [
        WrittenInstruction(Instruction.of(text, "seed"), Matrix(functions=(), cases=()))
        for some in candidates.values()
        for text in some
    ]
    gold = make_official_gold("ifeval", data, Material(Path(), "complete", "> 0.5", tuple(written)))
    chosen = [(name, text) for name, some in candidates.items() for text in keep_known(some, gold.labels)]
    aside = sorted((text for _, text in chosen), key=lambda text: content_id("aside", text))[:ASIDE]
    rows: list[dict[str, JsonValue]] = [
        {"instruction": text, "type": name, "part": "aside" if text in aside else "tuned"} for name, text in chosen
    ]
    write_jsonl(LIST, rows)
    print(f"{LIST}: {len(rows)} instructions of {len({name for name, _ in chosen})} types, {len(aside)} aside")


def describe(checkers: Checkers, name: str, asked: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the official words for each of a type's arguments, by their hash; those that tell all of them."""
    for _, listed in sorted((each for each in asked if each[0] == name), key=lambda each: content_id(*each)):
        arguments = json.loads(listed)
        try:
            checker, drawn = checkers.build(name, arguments, "")
        except Unjudgeable:
            continue
        text = " ".join(checker.build_description(**arguments).split())
        found = find_wording(text)
        if not drawn and found and (found.type, dict(found.arguments)) == (name, arguments):
            yield text


def keep_known(texts: Sequence[str], labels: dict[str, dict[str, dict[str, bool]]]) -> list[str]:
    """Return the first of them of which enough recorded responses follow, and don't."""
    known = [list(labels.get(text, {}).get(RESPONSES, {}).values()) for text in texts]
    enough = [text for text, each in zip(texts, known, strict=True) if min(map(each.count, (True, False))) >= LEAST]
    return enough[:PER_TYPE]


def divide(data: Path, folder: Path) -> None:
    """Write the answers of good models to the listed instructions, and all responses of the others, to be gold."""
    (folder / "gold" / "ifeval").mkdir(parents=True, exist_ok=True)
    prompts = data / "ifeval" / "recorded" / "en_input_data.jsonl"
    shutil.copy(prompts, folder / "gold" / "ifeval" / prompts.name)
    good, others = list[dict[str, JsonValue]](), list[dict[str, JsonValue]]()
    for _, line in read_json_lines(data / "ifeval" / "recorded" / "nine_models_responses_and_verdicts.jsonl.gz"):
        row = json.loads(line)
        (good if row["model"] in GOOD else others).append(row)
    write_jsonl(folder / "gold" / "ifeval" / "others.jsonl", others)
    asked = read_recorded(folder / "gold" / "ifeval").by_prompt
    answers = list[dict[str, JsonValue]]()
    for text in read_list():
        wording = find_wording(text)
        assert wording
        wanted = make_asked(wording.type, wording.arguments)
        answers += [
            {"instruction": text, "response": row["response"]}
            for row in good
            if wanted in asked[str(row["key"])] and isinstance(row["response"], str)
        ]
    write_jsonl(folder / "answers.jsonl", answers)
    print(f"{folder}: {len(answers)} answers to {len({row['instruction'] for row in answers})} instructions")


def read_list(part: str | None = None) -> dict[str, str]:
    """Return the part of each instruction by its text."""
    rows = map(json.loads, LIST.read_text(encoding="utf-8").splitlines())
    return {row["instruction"]: row["part"] for row in rows if part in (None, row["part"])}


def score(runs: Sequence[Path], data: Path, at_least_kept: int, at_least_j: float) -> int:
    parts = read_list()
    failed = False
    for run in runs:
        gold = audit_run(run, SandboxSettings(), "ifeval", data=data).gold
        assert gold
        print(f"\n{run}")
        print(
            f"{'':24}{'kept':>9}{'TPR':>7}{'TNR':>7}{'J':>7}{'prec.':>7}{'right':>7}{'refuse all':>12}{'near TNR':>10}"
        )
        for part in (*PARTS, None):
            found = [each for each in gold.instructions if part in (None, parts.get(each.instruction))]
            total = sum(part in (None, each) for each in parts.values())
            rates = print_part(found, part or "all", total)
            failed |= part is None and (
                rates.instructions < at_least_kept or (rates.j.value if rates.j else 0) < at_least_j
            )
    return int(failed)


def print_part(found: Sequence[InstructionRates], part: str, total: int) -> LevelRates:
    """Print a line a level; return the last, that of the majority."""
    levels = {(each.group, each.level): each for each in sum_up(found)}
    for level, name in LEVELS.items():
        rates, near = levels[RESPONSES, level], levels.get((NEAR_MISSES, level))
        shown = [f"{each.value:.0f}" if each else "–" for each in (rates.tpr, rates.tnr, rates.j, rates.precision)]
        shown += [str(rates.right), str(rates.refuse_all), f"{near.tnr.value:.0f}" if near and near.tnr else "–"]
        widths = (7, 7, 7, 7, 7, 12, 10)
        cells = "".join(f"{text:>{width}}" for text, width in zip(shown, widths, strict=True))
        print(f"{part + ', ' + name:24}{f'{rates.instructions}/{total}':>9}{cells}")
    return levels[RESPONSES, Level.MAJORITY]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    seeds = commands.add_parser("seeds", help="write the instructions, one a line")
    seeds.add_argument("--part", choices=PARTS)
    seeds.add_argument("-o", "--output", type=Path, required=True)
    scored = commands.add_parser("score", help="audit runs that were made with them")
    scored.add_argument("runs", type=Path, nargs="+")
    scored.add_argument("--at-least-kept", type=int, default=0)
    scored.add_argument("--at-least-j", type=float, default=-100.0)
    answers = commands.add_parser("answers", help="write answers of good models, and gold of the others")
    answers.add_argument("-o", "--output", type=Path, required=True)
    commands.add_parser("choose", help="choose the instructions anew")
    given = parser.parse_args()
    if given.command == "seeds":
        given.output.write_text("".join(f"{text}\n" for text in read_list(given.part)), encoding="utf-8")
        return 0
    if given.command == "answers":
        divide(find_recordings(), given.output)
        return 0
    if given.command == "choose":
        choose(find_recordings())
        return 0
    return score(given.runs, find_recordings(), given.at_least_kept, given.at_least_j)


if __name__ == "__main__":
    sys.exit(main())
