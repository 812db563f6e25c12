"""Write docs/cli.md, docs/configuration.md and the README's funnel from the code: `make docs`. Tests check them."""

import ast
import inspect
import tempfile
import textwrap
from pathlib import Path

import click
from pydantic import BaseModel

import autoif
from autoif.cli.main import cli
from autoif.config import ROLES, Config, Models, load_config, presets

DOCS = Path(__file__).parent


def cli_page() -> str:
    """Return the help of every command."""
    parts = ["# Command line\n", "Made from the code by `make docs`.\n"]
    for name, command in sorted(cli.commands.items()):
        parts += _help(f"autoif {name}", command)
        if isinstance(command, click.Group):
            for sub, subcommand in sorted(command.commands.items()):
                parts += _help(f"autoif {name} {sub}", subcommand)
    return "\n".join(parts)


def configuration_page() -> str:
    """Return every setting with its default in each preset."""
    configs = {name: load_config(name) for name in presets()}
    parts = [
        "# Settings\n",
        "Made from the code by `make docs`. A setting comes from the preset, then a TOML file, then `--set KEY=VALUE`;",
        "ROLE is writer, responder, judge, or all of them: `models.all.KEY`. The paper's numbers are the defaults.\n",
    ]
    top = [name for name, field in Config.model_fields.items() if not _is_table(field.annotation)]
    parts += _section("Top level", "", Config, top, configs)
    for name, field in Config.model_fields.items():
        if _is_table(field.annotation):
            kind = field.annotation
            parts += _section(name, f"{name}.", kind, list(kind.model_fields), configs)
    return "\n".join(parts) + "\n"


def _section(title: str, prefix: str, kind: type[BaseModel], names: list[str], configs: dict[str, Config]) -> list[str]:
    lines = [f"## {title}\n"]
    if kind is not Config and kind.__doc__:
        lines.append(f"{inspect.cleandoc(kind.__doc__)}\n")
    lines += [f"| setting | {' | '.join(configs)} | meaning |", f"|---|{'---|' * (len(configs) + 1)}"]
    docs = _field_docs(kind)
    for name in names:
        annotation = kind.model_fields[name].annotation
        if kind is Models and name in ROLES[1:]:
            continue  # the same as the first
        if _is_table(annotation):
            inner = _field_docs(annotation)
            for leaf in annotation.model_fields:
                lines.append(_row(f"{prefix}{name}.{leaf}", inner.get(leaf, ""), configs))
        else:
            lines.append(_row(f"{prefix}{name}", docs.get(name, ""), configs))
    return [*lines, ""]


def _row(key: str, meaning: str, configs: dict[str, Config]) -> str:
    values = []
    for config in configs.values():
        value: object = config
        for part in key.split("."):
            value = getattr(value, part)
        values.append(f"`{value}`" if value not in ("", None) else "")
    shown = key.replace(f".{ROLES[0]}.", ".ROLE.")
    return f"| `{shown}` | {' | '.join(values)} | {meaning} |"


def _is_table(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _field_docs(kind: type[BaseModel]) -> dict[str, str]:
    """Return the docstring under each field of a class."""
    [node] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    docs = {}
    for field, after in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            docs[field.target.id] = " ".join(str(after.value.value).split())
    return docs


def _help(name: str, command: click.Command) -> list[str]:
    context = click.Context(
        command, info_name=name, max_content_width=100, terminal_width=100, help_option_names=["-h", "--help"]
    )
    return [f"## {name}\n", "```", command.get_help(context), "```\n"]


PAGES = {"cli.md": cli_page, "configuration.md": configuration_page}


def with_funnel(readme: str, funnel: str) -> str:
    """Return the README with the funnel of the recorded run between its marks."""
    before, begin, rest = readme.partition("<!-- recorded funnel: begin -->")
    _, end, after = rest.partition("<!-- recorded funnel: end -->")
    return f"{before}{begin}\n```\n{funnel}\n```\n{end}{after}"


if __name__ == "__main__":
    for page, make in PAGES.items():
        (DOCS / page).write_text(make(), encoding="utf-8")
    readme = DOCS.parent / "README.md"
    with tempfile.TemporaryDirectory() as folder:
        run = autoif.run("quickstart", output=Path(folder) / "run", recorded=True, progress=False)
        readme.write_text(with_funnel(readme.read_text(encoding="utf-8"), repr(run.funnel)), encoding="utf-8")
