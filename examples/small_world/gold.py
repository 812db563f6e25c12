"""Gold for the small world: what the checkers written by hand (checkers.py) say, in place of a run's functions.

    python examples/small_world/gold.py texts runs/small_world/data [OTHER RUN …] -o gold.jsonl
    autoif audit runs/small_world/data --gold gold.jsonl

labels the texts of runs: responses, cases, and answers to other instructions;

    python examples/small_world/gold.py prompts runs/small_world/held_out.jsonl -o gold_prompts.jsonl
    autoif eval pass-rate --data gold_prompts.jsonl --responses runs/small_world/scores/sft/samples.jsonl -o OUTPUT

gives prompts their checker as their only function, so that answers which were measured by functions are by gold, too.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from checkers import make_check
from pydantic import JsonValue

from autoif.audit.material import read_material
from autoif.datasets.rows import RewardRow
from autoif.errors import AutoIFError
from autoif.evaluation.pass_rate import read_prompts
from autoif.records import content_id
from autoif.runs.whole_files import write_jsonl

CASES, OTHERS = "cases", "answers to others"
"""The groups of the texts of the writer's cases, and of responses that were sampled for other instructions."""
MOST_OTHERS = 60
"""Of these for an instruction, chosen by their hash."""


def label(runs: Iterable[Path]) -> Iterator[dict[str, JsonValue]]:
    """Yield gold for the instructions of runs: their responses and cases, and answers to other instructions."""
    instructions = [each for run in runs for each in read_material(run).instructions]
    answers = sorted({response.text for each in instructions for response in each.responses})
    seen = set[tuple[str, str]]()
    for written in instructions:
        text, check = written.instruction.text, make_check(written.instruction.text)
        by_hash = sorted(answers, key=lambda answer: content_id(text, answer))
        groups = {
            "responses": [response.text for response in written.responses],
            CASES: [case.input for case in written.matrix.cases],
            OTHERS: by_hash[:MOST_OTHERS],
        }
        for group, answer in ((group, answer) for group, some in groups.items() for answer in some):
            if (text, answer) not in seen:
                seen.add((text, answer))
                yield {"instruction": text, "response": answer, "followed": check(answer), "group": group}


def judge_by_gold(row: RewardRow) -> RewardRow:
    """Return the prompt with the checker of each instruction as its function."""
    source = Path(__file__).with_name("checkers.py").read_text(encoding="utf-8")
    judged = []
    for each in row.constraints:
        make_check(each.instruction)  # raises here and not in the sandbox
        judged.append(
            each.model_copy(update={"functions": (f"{source}\n\nevaluate = make_check({each.instruction!r})\n",)})
        )
    return row.model_copy(update={"constraints": tuple(judged)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    texts = commands.add_parser("texts", help="label the texts of runs")
    texts.add_argument("source", type=Path, nargs="+", help="run folders of the small world")
    prompts = commands.add_parser("prompts", help="give prompts their checkers")
    prompts.add_argument("source", type=Path, help="what `autoif prompts` wrote")
    for command in (texts, prompts):
        command.add_argument("-o", "--output", type=Path, required=True, help="file to write, JSON lines")
    given = parser.parse_args()
    try:
        if given.command == "texts":
            write_jsonl(given.output, label(given.source))
        else:
            write_jsonl(given.output, [judge_by_gold(row).columns() for row in read_prompts(given.source).rows])
    except (AutoIFError, LookupError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
