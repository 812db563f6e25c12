"""What early stop saves and loses: `python benchmarks/early_stop.py` prints the table of docs/method.md.

Replays the recorded quickstart and the recorded small world (examples/small_world.sh, data) with each setting, in about
two minutes on two cores. No model is asked: the functions run again in the sandbox on the answers that are recorded.
"""

import tempfile
from pathlib import Path

import autoif
from autoif.records import Reason
from autoif.runs.store import REJECTION_SAMPLING
from small_world import make_data

SETTINGS = ((0, 1), (1, 4), (2, 1), (3, 1), (3, 2), (4, 2), (6, 1), (8, 1), (6, 2))
"""Prompts, and responses to each of them, after which an instruction may stop; the first asks for all."""


def main() -> None:
    print(
        "| after | quickstart: responses asked | SFT rows | pairs | small world: responses asked | SFT rows | pairs |"
    )
    print("|---|---|---|---|---|---|---|")
    for prompts, responses in SETTINGS:
        settings = {
            "rejection_sampling.stop_after_prompts": prompts,
            "rejection_sampling.stop_after_responses": responses,
        }
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder, "quickstart")
            quick = autoif.run("quickstart", output=output, recorded=True, set=settings, progress=False)
            runs = (quick, make_data(Path(folder), settings))
            cells = [f"{number:,}" for run in runs for number in count(run)]
        named = f"{prompts} prompts × {responses}" if prompts else "never"
        print(f"| {named} | {' | '.join(cells)} |", flush=True)


def count(run: autoif.Run) -> tuple[int, int, int]:
    """Return the responses that were asked for, the SFT rows and the preference pairs of a run."""
    [row] = [row for row in run.funnel if row.folder == REJECTION_SAMPLING]
    return row.kept + row.dropped - row.reasons[Reason.NO_RESPONSE_PASSES], len(run.sft), len(run.preferences)


if __name__ == "__main__":
    main()
