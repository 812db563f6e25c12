"""`autoif split` and `autoif prompts`: hold instructions out of training, and make prompts to measure on."""

from pathlib import Path

import click

from autoif.cli.options import OUTPUT, LocalPath, OutputPath, refuse_loss
from autoif.datasets.reviewing import iterate_instructions
from autoif.datasets.rewards import reward_rows
from autoif.datasets.split import refuse_overlap, source_of, write_split
from autoif.errors import ConfigError
from autoif.queries.augmentation import choose_queries, join_queries
from autoif.queries.pool import load_queries
from autoif.reading.row_files import split_column
from autoif.records import Prompt
from autoif.renewing import PROMPTS
from autoif.runs.store import INSTRUCTIONS, find_rows
from autoif.runs.whole_files import write_jsonl


@click.command()
@click.argument("instructions", type=LocalPath())
@click.option("--held-out", type=float, default=0.25, show_default=True, help="Share of the instructions to hold out.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the division.")
@OUTPUT
def split(instructions: Path, held_out: float, seed: int, output: Path) -> None:
    """Divide verified INSTRUCTIONS into those to train on and those to measure on.

    INSTRUCTIONS is a run folder or its instructions.jsonl, as `autoif run CONFIG --until instructions` makes it. The
    command writes train.jsonl, for `autoif run CONFIG --instructions`, and held_out.jsonl, for `autoif prompts`. An
    instruction's side follows from its content and the seed; instructions that share a function stay together.
    """
    for path, count in write_split(find_rows(instructions, INSTRUCTIONS), held_out, seed, output).items():
        click.echo(f"{count:>7,} instructions  {path}")


def _note_queries(context: click.Context, parameter: click.Parameter, source: str) -> str:
    refuse_loss(split_column(source)[0], context, written=False)
    return source


@click.command()
@click.option(
    "--instructions",
    type=LocalPath(),
    required=True,
    help="Verified instructions: held_out.jsonl, or a run folder.",
)
@click.option(
    "--queries", metavar="SOURCE", required=True, callback=_note_queries,
    help="A file of any form, a run folder, or hf:NAME.",
)  # fmt: skip
@click.option(
    "--per-instruction", type=click.IntRange(min=1), default=8, show_default=True, help="Queries for each instruction."
)
@click.option(
    "--max-constraints", type=click.IntRange(min=1, max=8), default=1, show_default=True,
    help="Most instructions of a prompt. With 3, a third of the prompts has one, a third two, a third three.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the choice of queries and instructions.")
@click.option("--min-chars", type=int, default=20, show_default=True, help="A query is longer than this.")
@click.option("--max-chars", type=int, default=300, show_default=True, help="A query is shorter than this.")
@click.option("--language", default="en", show_default=True, help='Language of the queries; "" takes all.')
@click.option(
    "--unseen-by", type=LocalPath(), multiple=True, metavar="DATA",
    help="Training data (a run folder or a file) that must share no instruction, query or function.",
)  # fmt: skip
@click.option("-o", "--output", type=OutputPath(PROMPTS), required=True, help="File to write.")
def prompts(
    instructions: Path,
    queries: str,
    per_instruction: int,
    max_constraints: int,
    seed: int,
    min_chars: int,
    max_chars: int,
    language: str,
    unseen_by: tuple[Path, ...],
    output: Path,
) -> None:
    """Join verified instructions with queries, as rows in the form of rewards.jsonl; nothing is sampled.

    Use them to measure (`autoif eval pass-rate`) or to train online.
    """
    verified = list(iterate_instructions(instructions))
    if not verified:
        raise ConfigError(f"{instructions} has no instructions: there is nothing to ask")
    found = load_queries(queries, min_chars=min_chars, max_chars=max_chars, language=language)
    if found.reasons:
        click.echo(f"queries: {found.describe()}", err=True)
    pool = tuple(found.kept)
    if len(pool) < per_instruction:
        raise ConfigError(
            f"queries {queries}: {len(pool)} that can be used, and --per-instruction is {per_instruction}"
        )
    if len(verified) < max_constraints:
        raise ConfigError(f"{instructions} has {len(verified)} instructions: lower --max-constraints {max_constraints}")
    if per_instruction < max_constraints:
        raise ConfigError(f"--max-constraints {max_constraints} needs --per-instruction {max_constraints} at least")
    joined = list[Prompt]()
    for each in verified:
        chosen = choose_queries(each, pool, per_instruction, seed)
        joined += join_queries(each, chosen, seed, verified, max_constraints)
    rows = list(reward_rows(joined))
    refuse_overlap(unseen_by, [source_of(row) for row in rows])
    write_jsonl(output, rows)
    click.echo(f"{len(rows):>7,} prompts of {len(verified)} instructions  {output}")
