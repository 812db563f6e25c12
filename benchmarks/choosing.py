"""Cases, majority, score or contrast: what each way of choosing keeps of the small world, and how right it is.

Replays the recorded small world, in two minutes on two cores, and asks no model. The run's own stage chooses among the
functions that were written for 129 instructions, three answers each. Truth are the checkers written by hand
(examples/small_world/checkers.py), on every text there is (responses, edited answers, probes, cases), and on the
responses to the 60 instructions that have some. The score was fitted on two thirds of the instructions, so the third
that was kept aside is what counts for it. Contrast has stand-ins for answers without an instruction, as in contrast.py,
and means over ten draws of them.

    python benchmarks/choosing.py          # the tables of docs/method.md
    python benchmarks/choosing.py RUN …    # what other runs over these instructions kept, by the same texts
"""

import asyncio
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

from autoif.audit.material import read_material
from autoif.config import load_config
from autoif.instructions.contrast import choose_functions
from autoif.instructions.cross_validation import cross_validate
from autoif.instructions.soundness import look_at
from autoif.records import Draft, VerifiedInstruction
from autoif.runs.store import VERIFICATION, read_stage
from autoif.settings import ContrastSettings
from autoif.tools import ToolSettings
from contrast import DRAWS, Choose, Judged, is_aside, judge_world, print_table

SOUND = 'cross_validation.findings=["vacuous","dead","raises","too_slow","threshold","asked_text"]'
NONE = "cross_validation.findings=[]"
RULES: Mapping[str, Sequence[str]] = {
    "cases, as in the paper, with `two_sided`": ("choose_by=cases", "two_sided=true"),
    "majority, two of three": ("choose_by=majority", "majority=>=0.6"),
    "score, sure ones alone": ("choose_by=score", "majority=>1", "min_score=0.3"),
    "score, sure ones and majorities": ("choose_by=score", "majority=>=0.75", "min_score=0.3"),
}


def main() -> None:
    if runs := sys.argv[1:]:
        measure(list(map(Path, runs)))
        return
    with tempfile.TemporaryDirectory() as folder:
        judged = judge_world(Path(folder))
        drafts = [Draft.model_validate(row) for row in read_stage(Path(folder, "instructions"), VERIFICATION, "kept")]
        rules = {
            f"{name}{shown}": choose_by(drafts, [*(f"cross_validation.{each}" for each in settings), findings], folder)
            for name, settings in RULES.items()
            for findings, shown in ((NONE, ""), (SOUND, ", faulty ones left out"))
        }
        sound = asyncio.run(find_sound(drafts, Path(folder, "none.sqlite")))
    contrasts = {
        "contrast": contrast_sound({draft.instruction.id: range(len(draft.matrix.functions)) for draft in drafts}),
        "contrast, faulty ones left out": contrast_sound(sound),
    }
    parts = {"all": judged, "the third aside": [each for each in judged if is_aside(each.id)]}
    for name, part in parts.items():
        print(f"\nEvery text, {name}: {len(part)} instructions\n")
        print_table(part, rules, lambda each: list(each.verdicts))
    for name, part in parts.items():
        answered = [each for each in part if each.asked]
        print(f"\nResponses, {name}: {len(answered)} instructions\n")
        print_table(answered, rules, lambda each: [*each.asked, *each.held_out])
        print(f"\nResponses that contrast doesn't see, {name}\n")
        draws = [replace(each, draw=draw) for draw in range(DRAWS) for each in answered]
        print_table(draws, contrasts, attrgetter("held_out"), DRAWS)


def measure(runs: Sequence[Path]) -> None:
    """Print what each run kept in the end, and how right it is."""
    for run in [each.resolve() for each in runs]:  # before the working folder changes
        with tempfile.TemporaryDirectory() as folder:
            judged = judge_world(Path(folder), run)
        kept = {each.instruction.id: each.back_translated for each in read_material(run).instructions}
        chosen: dict[str, Choose] = {str(run): lambda each, kept=kept: kept[each.id]}  # type: ignore[misc]
        for name, part in {"all": judged, "the third aside": [each for each in judged if is_aside(each.id)]}.items():
            print(f"\nEvery text, {name}: {len(part)} instructions\n")
            print_table(part, chosen, lambda each: list(each.verdicts))
            answered = [each for each in part if each.asked]
            print(f"\nResponses, {name}: {len(answered)} instructions\n")
            print_table(answered, chosen, lambda each: [*each.asked, *each.held_out])


def contrast_sound(sound: Mapping[str, Collection[int]]) -> Choose:
    """Return what chooses as contrast does, of the functions at these places."""

    def choose(each: Judged) -> Sequence[int]:
        functions = [place for place in each.two_sided if place in sound.get(each.id, ())]
        return choose_functions(each.matrix, functions, each.evidence, ContrastSettings()).functions

    return choose


async def find_sound(drafts: Sequence[Draft], answers: Path) -> dict[str, list[int]]:
    """Return the places of each draft's functions that show no fault."""
    async with ToolSettings(load_config("recommended"), answers).open() as tools:
        rules = tools.config.cross_validation
        seen = await asyncio.gather(*(look_at(draft, tools) for draft in drafts))
    return {
        draft.instruction.id: [place for place, each in enumerate(found) if each.may_be_kept(rules)]
        for draft, found in zip(drafts, seen, strict=True)
    }


def choose_by(drafts: Sequence[Draft], settings: Sequence[str], folder: str) -> Choose:
    """Return what chooses as the stage does with these settings, over those of quickstart."""
    kept = asyncio.run(_choose(drafts, ["cross_validation.min_score=0", *settings], Path(folder, "none.sqlite")))
    return lambda each: kept.get(each.id, ())


async def _choose(drafts: Sequence[Draft], settings: Sequence[str], answers: Path) -> dict[str, tuple[int, ...]]:
    async with ToolSettings(load_config("quickstart", settings), answers).open() as tools:
        chosen = await asyncio.gather(*(cross_validate(draft, tools) for draft in drafts))
    return {
        each.instruction.id: each.kept_functions
        for results in chosen
        for each in results
        if isinstance(each, VerifiedInstruction)
    }


if __name__ == "__main__":
    main()
