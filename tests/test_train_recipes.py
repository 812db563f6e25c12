"""The commands of docs/training.md are ones that autoif takes, and set what its text says."""

import re
import shlex
from pathlib import Path

import click
import pytest

from autoif import api
from autoif.cli.main import cli
from autoif.config import Config, load_config
from autoif.training.settings import resolve_settings

PAGE = (Path(__file__).parent.parent / "docs" / "training.md").read_text("utf-8")
RECIPE = "Self-alignment and strong-to-weak"
SHORT = {
    "base_url": "models.all.base_url", "model": "models.all.model", "sandbox": "sandbox.backend",
    "budget_tokens": "budget.tokens", "budget_usd": "budget.usd", **api._SETTINGS,
}  # fmt: skip
"""Options that are short for a setting."""
STRONG, STUDENT = "Qwen/Qwen2-72B-Instruct", "Qwen/Qwen2-7B"


def read_commands(text: str, **variables: str) -> list[list[str]]:
    """Return the words of each autoif command in the page's shell blocks, its variables put in."""
    found = []
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for raw in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"\$([A-Z]+)", lambda name: variables.get(name[1], name[0]), raw)
            if assigned := re.match(r"([A-Z0-9]+)=(\S+)", line):
                variables.setdefault(assigned[1], assigned[2])
            elif match := re.search(r"(?<![\w/])autoif (.*)", line):
                found.append(shlex.split(match[1], comments=True))
    return found


def parse(words: list[str]) -> click.Context:
    """Read a command as the command line does, and do nothing."""
    group, context = cli, click.Context(cli, **cli.context_settings)
    while isinstance(group, click.Group):
        _, found, words = group.resolve_command(context, words)
        group = found
    return group.make_context(group.name, words, parent=context)  # else help has other names from then on


def recipe(**variables: str) -> list[click.Context]:
    section = PAGE.partition(f"\n## {RECIPE}\n")[2].partition("\n## ")[0]
    return [parse(words) for words in read_commands(section, **variables)]


def config_of(context: click.Context) -> Config:
    params = context.params
    given = [f"{key}={params[name]}" for name, key in SHORT.items() if params[name] is not None]
    return load_config(params["config"], [*given, *params["settings"]])


def models_of(config: Config) -> list[str]:
    return [endpoint.model for endpoint in (config.models.writer, config.models.responder, config.models.judge)]


@pytest.mark.parametrize("words", read_commands(PAGE), ids=" ".join)
def test_every_command_of_the_page_is_one_that_autoif_takes(words):
    params = parse(words).params
    if words[0] == "train":
        assert resolve_settings(
            "dpo" if words[1] == "online-dpo" else words[1], None, params["settings"], lora=params["lora"]
        )


def test_self_alignment_trains_the_model_that_made_the_data():
    made, *trained = recipe()
    assert models_of(config_of(made)) == [STRONG] * 3
    assert trained[0].params["model"] == STRONG


def test_strong_to_weak_is_the_same_with_another_student():
    alike, apart = recipe(), recipe(STUDENT=STUDENT)
    differing = [
        (one.info_name, name)
        for one, other in zip(alike[:4], apart[:4], strict=True)
        for name in one.params
        if one.params[name] != other.params[name]
    ]
    assert differing == [("sft", "model")]
    assert f"STUDENT={STUDENT}" in PAGE, "the page names it"


def test_the_trainings_follow_each_other():
    made, sft, dpo, online, _ = recipe()
    assert sft.params["data"] == dpo.params["data"] == online.params["data"] == Path(made.params["output"])
    assert dpo.params["model"] == online.params["model"] == str(sft.params["output"])


def test_a_student_that_responds_itself_changes_the_responder_only():
    config = config_of(recipe(STUDENT=STUDENT)[-1])
    assert models_of(config) == [STRONG, STUDENT, STRONG]
    assert config.models.responder.base_url != config.models.writer.base_url == config.models.judge.base_url
