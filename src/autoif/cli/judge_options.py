"""Options of a judge model, shared by all commands that use one."""

from collections.abc import Callable

import click

from autoif.cli.options import Command, gather_options
from autoif.cli.sampling_options import read_endpoint
from autoif.evaluation.judge import Judge
from autoif.models.endpoint import EMBEDDED, Budget


def judge_options(*, judges: str, max_tokens: int) -> Callable[[Command], Command]:
    """Add the options of a judge model to a command, which receives them as one `judge`: a `Judge`, or None.

    Args:
        judges: help text of --judge-model.
        max_tokens: default of --judge-max-tokens.
    """
    options = (
        click.option("--judge-model", metavar="NAME", help=judges),
        click.option(
            "--judge-base-url", metavar="URL",
            help="OpenAI-compatible endpoint that serves the judge; without one it is a model of `autoif models`.",
        ),
        click.option(
            "--judge-api-key-env", default="OPENAI_API_KEY", show_default=True, help="Variable with the judge's key."
        ),
        click.option(
            "--judge-max-tokens", type=click.IntRange(min=1), default=max_tokens, show_default=True,
            help="Tokens of a judgement.",
        ),
        click.option(
            "--judge-concurrency", type=click.IntRange(min=1), default=64, show_default=True, help="Requests at once."
        ),
        click.option(
            "--budget-tokens", type=click.IntRange(min=0), metavar="N", help="Most tokens to spend on the judge."
        ),
    )  # fmt: skip
    return gather_options(options, "judge", _make_judge)


def _make_judge(
    judge_model: str | None,
    judge_base_url: str | None,
    judge_api_key_env: str,
    judge_max_tokens: int,
    judge_concurrency: int,
    budget_tokens: int | None,
) -> Judge | None:
    if not judge_model:
        if judge_base_url:
            raise click.UsageError("--judge-base-url needs --judge-model, the name of the model there")
        return None
    endpoint = read_endpoint(judge_base_url or EMBEDDED, judge_model, judge_api_key_env)
    endpoint = endpoint.model_copy(update={"concurrency": judge_concurrency})
    return Judge(endpoint, judge_max_tokens, Budget(tokens=budget_tokens))
