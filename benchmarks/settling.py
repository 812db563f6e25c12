"""How many functions have a fault that repair sees, and after how many answers the behaviour of an instruction's
functions is settled: on answers that were recorded, with no model (docs/method.md#settling).

    autoif run quickstart --recorded -o runs/quickstart
    autoif run benchmarks/data/small_world_by_cases/data.toml --until instructions -o runs/small_world \\
        --recording benchmarks/data/small_world_by_cases/answers.jsonl.xz
    python benchmarks/settling.py runs/quickstart runs/small_world --checkers examples/small_world/checkers.py
    python benchmarks/settling.py --others      # answers of other models, where `recordings.py` finds them

Each run folder is read, its answers are run in the sandbox, and nothing in it is changed. With checkers, a third table
says how often the way that most answers behave is the right one: TPR + TNR - 1 of at least 0.9 on all texts that the
functions were run on, near misses among them. An instruction that the checkers don't know has no part in it. A fourth
says what a judge would bring to cross-validation, were it right so often: the checkers play it, with errors put in.
"""

import argparse
import asyncio
import random
import runpy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoif.config import Config, load_config
from autoif.instructions.cross_validation import choose_by_cases
from autoif.instructions.discrimination import choose_texts
from autoif.instructions.observation import Behaviour, Observer
from autoif.instructions.recorded import Generations
from autoif.instructions.repair import find_contested, find_faults
from autoif.instructions.settling import amend_draft, assemble_draft
from autoif.instructions.verification import make_request
from autoif.models.requests import Completion
from autoif.models.wire import read_text
from autoif.records import Draft, FunctionFault, Instruction, Ruling, Verdict, VerifiedInstruction
from autoif.runs.store import COMPLETIONS, SELF_INSTRUCT, read_run, read_stage
from autoif.settings import Verification
from autoif.tools import NoModel, Tools, ToolSettings
from recorded_generations import read_flywheel, read_llama, read_qwen

Checker = Callable[[str], Callable[[str], bool]]
"""Returns the gold check of an instruction; raises LookupError for one that it doesn't know."""
RIGHT = 0.9
JUDGES = ((1.0, 0.0), (0.9, 0.1), (0.75, 0.1))
"""Share of the texts that a judge is right about, and of the instructions that it takes for their opposite."""
TEXTS = 3


@dataclass(slots=True)
class Counts:
    """What was found in one run."""

    name: str
    most: int
    """Answers of an instruction."""
    instructions: int = 0
    functions: int = 0
    faults: Counter[FunctionFault] = field(default_factory=Counter)
    cases: int = 0
    contested: int = 0
    settled: Counter[int] = field(default_factory=Counter)
    """Instructions by the number of answers after which they were settled first; 0: never."""
    right: Counter[str] = field(default_factory=Counter)
    """Of the instructions with a checker: those of each kind, and of these those whose leading behaviour is right."""
    judged: Counter[tuple[object, str]] = field(default_factory=Counter)
    """By judge (None for none): texts that it was asked about, instructions kept, and of these the right ones."""

    def settled_by(self, answers: int) -> int:
        return sum(count for after, count in self.settled.items() if 0 < after <= answers)

    @property
    def asked(self) -> int:
        """Answers that asking two, then one at a time, takes."""
        return sum((after or self.most) * count for after, count in self.settled.items())


async def measure(run: Path, checkers: Checker | None) -> Counts:
    """Read the answers of a run and count."""
    manifest: dict[str, Any] = read_run(run)
    config = Config.model_validate(manifest["config"])
    counts = Counts(run.name, config.verification.functions_per_instruction)
    instructions = [Instruction.model_validate(row) for row in read_stage(run, SELF_INSTRUCT, "kept")]
    async with ToolSettings(config, run / COMPLETIONS, replay_only=True).open() as tools:
        for instruction in instructions:
            completions = await tools.chat.sample(make_request(instruction, config, counts.most))
            await _count(instruction, completions, counts, tools, checkers)
    return counts


async def measure_others(name: str, rows: Sequence[Generations]) -> Counts:
    """Count in answers that others recorded."""
    counts = Counts(name, max(len(row.answers) for row in rows))
    config = load_config("paper")
    async with config.sandbox.make_sandbox() as sandbox:
        tools = Tools(config=config, chat=NoModel(), nli=NoModel(), sandbox=sandbox)
        for row in rows:
            await _count(row.instruction, [read_text(answer) for answer in row.answers], counts, tools, None)
    return counts


async def _count(
    instruction: Instruction,
    completions: Sequence[Completion],
    counts: Counts,
    tools: Tools,
    checkers: Checker | None,
) -> None:
    counts.instructions += 1
    settled, observer = 0, Observer(tools)
    vocabulary = tools.config.verification.vocabulary
    seen: dict[int, Behaviour] = {}
    for answers in range(2, counts.most + 1):
        draft = assemble_draft(instruction, completions[:answers], vocabulary=vocabulary)
        if not isinstance(draft, Draft):
            continue
        seen[answers] = behaviour = await observer.observe(draft)
        if not settled and behaviour.is_settled(Verification()):
            settled = answers
        if answers == counts.most:
            counts.functions += len(draft.matrix.functions)
            counts.cases += len(draft.matrix.cases)
            counts.faults.update(each.fault for each in find_faults(draft, behaviour))
            counts.contested += len(find_contested(draft.matrix, behaviour))
    counts.settled[settled] += 1
    try:
        check = checkers(instruction.text) if checkers else None
    except LookupError:
        check = None
    if check and seen:
        kind = "settled" if settled else "not settled"
        last = seen[max(seen)]
        counts.right.update({kind: 1, "all": 1})
        counts.right[f"{kind}, right"] += lead_right(seen[settled or max(seen)], check)
        counts.right["all, right"] += lead_right(last, check)
        counts.right["written"] += any(is_right(vote([row]), last, check) for row in last.verdicts)
        draft = assemble_draft(instruction, completions[: max(seen)], vocabulary=vocabulary)
        assert isinstance(draft, Draft)
        for judge in (None, *JUDGES):
            rulings = play_judge(judge, instruction, last, check) if judge and not settled else ()
            found = cross_validate(amend_draft(draft, rulings=rulings), last, tools.config)
            counts.judged[judge, "texts"] += len(rulings)
            counts.judged[judge, "kept"] += bool(found)
            counts.judged[judge, "right"] += bool(found) and is_right(vote(found), last, check)


def play_judge(
    judge: tuple[float, float], instruction: Instruction, behaviour: Behaviour, check: Callable[[str], bool]
) -> tuple[Ruling, ...]:
    """Return what a judge would say that errs so often."""
    accuracy, misread = judge
    chance = random.Random(f"{instruction.id} {judge}")
    misreads = chance.random() < misread
    return tuple(
        Ruling(
            text=text.text,
            by="judge",
            source=text.source,
            answers=(check(text.text) ^ misreads ^ (chance.random() >= accuracy),),
            explanations=("",),
        )
        for text in choose_texts(behaviour, TEXTS)
    )


def cross_validate(draft: Draft, behaviour: Behaviour, config: Config) -> list[Sequence[Verdict]]:
    """Return the verdicts on all texts of the functions that cases, the judge's among them, leave."""
    columns = {each.text: place for place, each in enumerate(behaviour.texts)}
    verdicts = behaviour.verdicts
    rows = tuple(tuple(row[columns[case.input]] for case in draft.matrix.cases) for row in verdicts)
    filled = draft.model_copy(update={"matrix": draft.matrix.model_copy(update={"verdicts": rows})})
    loading = [place for place in range(len(verdicts)) if behaviour.loads(place)]
    chosen = choose_by_cases(filled, loading, config.cross_validation) if loading else None
    return [verdicts[place] for place in chosen.kept_functions] if isinstance(chosen, VerifiedInstruction) else []


def vote(rows: Sequence[Sequence[Verdict]]) -> list[bool]:
    """Return what most of the functions say of each text."""
    return [2 * column.count(Verdict.PASS) > len(rows) for column in zip(*rows, strict=True)]


def lead_right(behaviour: Behaviour, check: Callable[[str], bool]) -> bool:
    """Tell whether the leading cluster says what the gold check says."""
    return bool(behaviour.clusters) and is_right(vote([behaviour.clusters[0].verdicts]), behaviour, check)


def is_right(said: Sequence[bool], behaviour: Behaviour, check: Callable[[str], bool]) -> bool:
    """Tell whether this is what the gold check says of the texts."""
    truth = [check(each.text) for each in behaviour.texts]
    positive, negative = truth.count(True), truth.count(False)
    accepted = sum(one and other for one, other in zip(said, truth, strict=True))
    wrong = sum(one and not other for one, other in zip(said, truth, strict=True))
    return positive > 0 and negative > 0 and accepted / positive - wrong / negative >= RIGHT


def lines(found: Sequence[Counts]) -> Iterator[str]:
    """Yield the tables."""
    yield "| run | functions | don't load | raise | stand alone | cases | contradicted by most functions |"
    yield "|---|---|---|---|---|---|---|"
    for each in found:
        faults = " | ".join(f"{each.faults[fault]:,}" for fault in FunctionFault)
        yield f"| {each.name} | {each.functions:,} | {faults} | {each.cases:,} | {each.contested:,} |"
    yield ""
    most = max(each.most for each in found)
    columns = range(2, most + 1)
    headings = " | ".join(f"settled after {n}" for n in columns)
    yield f"| run | instructions | {headings} | answers asked for, of a fixed K |"
    yield "|---|---|" + "---|" * len(columns) + "---|"
    for each in found:
        after = " | ".join(f"{each.settled_by(n):,}" if n <= each.most else "–" for n in columns)
        whole = each.most * each.instructions
        asked = f"{each.asked:,} of {whole:,} ({each.asked / whole:.0%})"
        yield f"| {each.name} | {each.instructions:,} | {after} | {asked} |"
    known = [each for each in found if each.right]
    if known:
        yield ""
        yield "| leading behaviour right, of | settled | not settled | all, K adapting | all, K fixed | any function |"
        yield "|---|---|---|---|---|---|"
    for each in known:
        parts = [f"{each.right[f'{kind}, right']} of {each.right[kind]}" for kind in ("settled", "not settled")]
        adapting = sum(each.right[f"{kind}, right"] for kind in ("settled", "not settled"))
        parts += [
            f"{count} of {each.right['all']}" for count in (adapting, each.right["all, right"], each.right["written"])
        ]
        yield f"| {each.name} | {' | '.join(parts)} |"
    if known:
        yield ""
        yield "| judge | texts put to it | instructions kept | right |"
        yield "|---|---|---|---|"
    for each in known:
        for judge in (None, *JUDGES):
            texts, kept, right = (each.judged[judge, kind] for kind in ("texts", "kept", "right"))
            said = f"right about {judge[0]:.0%} of texts, misreads {judge[1]:.0%} of instructions" if judge else "none"
            yield f"| {each.name}: {said} | {texts} | {kept} | {right} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="run folders that hold all their answers")
    parser.add_argument("--checkers", type=Path, help="Python file with make_check(instruction)")
    parser.add_argument("--others", action="store_true", help="answers that others recorded, too")
    given = parser.parse_args()
    checkers: Checker | None = runpy.run_path(str(given.checkers))["make_check"] if given.checkers else None
    found = [asyncio.run(measure(run, checkers)) for run in given.runs]
    if given.others:
        sets = {"GPT-4": read_qwen(), "GPT-4o-mini": read_flywheel(), "Llama-3.1-8B, every eighth": read_llama()[::8]}
        found += [asyncio.run(measure_others(name, rows)) for name, rows in sets.items()]
    print("\n".join(lines(found)))


if __name__ == "__main__":
    main()
