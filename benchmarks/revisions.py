"""Does an answer follow its instruction more often once its model has revised it (`contrast.revisions`)?

Takes the first answer to the first query of each training instruction of the small world, and has the embedded model
revise each, up to twice, as contrast does. Truth are the checkers written by hand. The revisions are recorded; without
the recording the model writes them, in a quarter of an hour on two cores, into a file of completions that can be gone
on with.

    sh examples/small_world.sh FOLDER       # its first two runs make the data, and can be stopped after it
    python benchmarks/revisions.py FOLDER/data [--ask COMPLETIONS.sqlite]
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Final

from autoif.audit.material import read_material
from autoif.config import Config, load_config
from autoif.evaluation.statistics import bootstrap_difference, describe
from autoif.instructions.contrast_answers import revise
from autoif.models.cache import CompletionCache
from autoif.models.embedded import EmbeddedServer
from autoif.models.recording import import_recording
from autoif.records import Instruction, Response
from autoif.tools import ToolSettings
from small_world import WORLD

sys.path.insert(0, str(WORLD))
from checkers import make_check

RECORDING: Final = Path(__file__).parent / "data" / "small_world_revisions.jsonl.xz"
QUERIES: Final = 1
TURNS: Final = 2
SETTINGS: Final = ["contrast.enabled=true", "cross_validation.choose_by=cases", "prompts.revision=quickstart"]


@dataclass(frozen=True)
class Revised:
    """An answer as it was given, and after each turn."""

    instruction: str
    texts: tuple[str, ...]


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("run", type=Path, help="the small world's data")
    reader.add_argument(
        "--ask", type=Path, metavar="COMPLETIONS", help="ask the embedded model for what isn't in there"
    )
    given = reader.parse_args()
    answers = choose_answers(given.run)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        completions, config = (
            given.ask or Path(folder, "completions.sqlite"),
            load_config(str(WORLD / "data.toml"), SETTINGS),
        )
        if given.ask:
            role, models = config.contrast.role, config.models
            server = stack.enter_context(EmbeddedServer(models.by_role()[role].model, slots=models.slots))
            served = models.with_endpoints({role: server.endpoint(models.by_role()[role])})
            config = config.model_copy(update={"models": served})
        else:
            import_recording(RECORDING, completions)
        settings = ToolSettings(config, completions, replay_only=not given.ask)
        revised = asyncio.run(revise_all(answers, settings))
        with CompletionCache(completions) as cache:
            used = cache.total()
    report(revised)
    print(f"\n{used.requests} revisions of {used.completion_tokens / used.requests:.0f} tokens each")


def choose_answers(run: Path) -> list[tuple[Instruction, Response]]:
    """Return the first answer to each of an instruction's first queries."""
    return [
        (written.instruction, response)
        for written in read_material(run).instructions
        for response in [each for each in written.responses if each.index == 0][:QUERIES]
    ]


async def revise_all(answers: Sequence[tuple[Instruction, Response]], settings: ToolSettings) -> list[Revised]:
    """Return the answers with their revisions, all asked for at once."""
    done = 0

    async def revise_one(instruction: Instruction, response: Response) -> Revised:
        nonlocal done
        turns = [await revise(response, instruction, tools_of[turns]) for turns in range(1, TURNS + 1)]
        done += 1
        print(f"\r{done} of {len(answers)}", end="", file=sys.stderr, flush=True)
        return Revised(instruction.text, (response.text, *(each.text for each in turns)))

    async with settings.open() as tools:
        tools_of = {turns: replace(tools, config=set_turns(tools.config, turns)) for turns in range(1, TURNS + 1)}
        return await asyncio.gather(*(revise_one(*each) for each in answers))


def set_turns(config: Config, turns: int) -> Config:
    return config.model_copy(update={"contrast": config.contrast.model_copy(update={"revisions": turns})})


def report(revised: Sequence[Revised]) -> None:
    instructions = [each.instruction for each in revised]
    followed = [
        [float(make_check(each.instruction)(each.texts[turn])) for each in revised] for turn in range(TURNS + 1)
    ]
    print(f"\n{len(revised)} answers to {len(set(instructions))} instructions\n")
    print("| | follow, % | more than before, points | broken of those that followed | mended of the others | changed |")
    print("|---|---|---|---|---|---|")
    print(f"| as answered | {100 * mean(followed[0]):.1f} | | | | |")
    for turn in range(1, TURNS + 1):
        change = bootstrap_difference([(scale(followed[0]), instructions)], [(scale(followed[turn]), instructions)])
        pairs = list(zip(followed[0], followed[turn], strict=True))
        broken, mended = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        changed = sum(each.texts[0] != each.texts[turn] for each in revised)
        print(
            f"| revised {turn} | {100 * mean(followed[turn]):.1f} | {describe(change, signed=True)} "
            f"| {broken} of {sum(followed[0]):.0f} | {mended} of {len(revised) - sum(followed[0]):.0f} | {changed} |"
        )


def scale(values: Sequence[float]) -> list[float]:
    return [100 * each for each in values]


if __name__ == "__main__":
    main()
