"""Write docs/cli.md, docs/configuration.md and the README's view of the recorded run: `make docs`. Tests check them."""

import ast
import inspect
import json
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel

import autoif
from autoif.cli.main import cli
from autoif.config import Config, load_config, presets
from autoif.settings import ROLES, Models
from autoif.vocabulary import describe_vocabulary, fold, layout, words

DOCS = Path(__file__).parent
OF_STAGES = {
    "temperature": "Of the sampling; 0 takes the likeliest token.",
    "max_tokens": "The most tokens of an answer, thoughts included.",
}
"""What is said of settings that several stages have alike."""


def cli_page() -> str:
    """Return the help of every command."""
    parts = [
        "# Command line\n",
        "Every command with its options, as `autoif COMMAND --help` prints them. New here? Begin with",
        "[First steps](getting_started.md).\n",
        "* An error is one line that names the cause and what to do; the exit code is 2.",
        "* `autoif run` takes any setting as `--set KEY=VALUE`: [Settings](configuration.md).\n",
        "This page is made from the code by `make docs`.\n",
    ]
    for name, command in _commands(cli):
        parts += _help(f"autoif {name}", command)
        if isinstance(command, click.Group):
            for sub, subcommand in _commands(command):
                parts += _help(f"autoif {name} {sub}", subcommand)
    return "\n".join(parts)


def configuration_page() -> str:
    """Return every setting with its default in each preset."""
    configs = {name: load_config(name) for name in presets()}
    parts = [
        "# Settings\n",
        "Every setting of `autoif run`, with its value in each preset. To change some, write a TOML file and run it,",
        "or give them on the command line:\n",
        "```toml",
        'preset = "paper"                 # begin with these values',
        "",
        "[scoring]",
        "samples = 3",
        "```\n",
        "```sh",
        "autoif run mine.toml --set models.judge.model=large-judge",
        "```\n",
        "`--set` wins over the file, and the file over the preset. ROLE is `writer`, `responder` or `judge`, or `all`",
        "for the three. The paper's numbers are the defaults. This page is made from the code by `make docs`.\n",
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
                lines.append(_row(f"{prefix}{name}.{leaf}", inner[leaf], configs))
        else:
            lines.append(_row(f"{prefix}{name}", docs.get(name) or OF_STAGES[name], configs))
    return [*lines, ""]


def _row(key: str, meaning: str, configs: dict[str, Config]) -> str:
    values = []
    for config in configs.values():
        value: object = config
        for part in key.split("."):
            value = getattr(value, part)
        value = [each.value for each in value] if isinstance(value, tuple) else value
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


def _commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield name, command


def _help(name: str, command: click.Command) -> list[str]:
    context = click.Context(
        command, info_name=name, max_content_width=100, terminal_width=100, help_option_names=["-h", "--help"]
    )
    return [f"## {name}\n", "```", command.get_help(context), "```\n"]


VOCABULARY = """\
# A vocabulary for functions

Tested helpers that verification functions may call: words, sentences, lists, quotes and more, in any script. Without
them, models write `len(response.split())` for words, `'tea' in response` for the word tea and `response.istitle()` for
lines that begin with a capital. `verification.vocabulary = true` tells the writer of the helpers:

```sh
autoif run paper --set verification.vocabulary=true --set prompts.verification=recommended
```

**Sources carry what they use.** A function's source includes the code of the helpers that it calls, in the run folder
and in every exported row, so a row doesn't need autoif. A function that defines a name of the vocabulary keeps its own.
`autoif show`, and prompts that show a function, have a comment for each helper instead of its code. Both sandbox
backends give the same values. Every helper takes time in proportion to the text.

```python
from autoif.vocabulary import carry

carry("def evaluate(response):\\n    return len(get_words(response)) > 9")  # the helpers, then the function
```

## Terms

{terms}

Letter case counts only with `match_case`. Curly quotes are read as straight ones, every kind of blank as a space, every
line break as a newline. Zero-width characters and soft hyphens are ignored.

Where careful people differ, this is what the helpers do:

* "snake_case", "and/or" and "1/2" are two words, "3-4" and "end.Start" one. For `has_word`, the hyphen of
  "well-known" and the apostrophe of "cat's" end a word: it finds "well" and "cat" there, but no "can" in
  "can't".
* A capital letter with a full stop is an initial: "plan B. Then" ends no sentence. Nor does "Elm St. She".
  These do: "Well... I", a quoted "Hello. How" within a sentence, and "am 3. Mai" in German. A sentence needs a
  space after it where words have spaces. Greetings, signatures, a table and what stands over ===== are
  sentences.
* A blank line within a code block ends a paragraph; a heading, a list and a table are paragraphs.
* Items of nested lists count like all others. "-tea", "1.tea", "a.", "IV." and "①" begin none; an em dash
  begins speech.
* Headings have #, bold has \\*\\*, not \\_\\_. Inches are quotation marks. ☀, ♥ and ★ are no emojis without the
  variant for emojis.

## Helpers

| helper | gives | for example |
|---|---|---|
{helpers}

## Measured

`python benchmarks/vocabulary.py` compares one-line functions with IFEval's official verdicts, on recorded answers of
nine models to 17 kinds of instructions. 5,236 of 5,354 verdicts agree (97.8 %). They differ where IFEval finds a
keyword within another word ("plant" in "plants"; 32 answers), in what ends a sentence (30), in hyphenated words at the
edge of a word limit (16) and in what is a bullet (12).

This page is made from the code by `make docs`.
"""


def vocabulary_page() -> str:
    """Return the helpers that functions may call, each with its meaning and an example."""
    terms = [line for module in (words, layout) for line in _defined_terms(inspect.getdoc(module) or "")]
    rows = map(_helper_row, describe_vocabulary().splitlines())
    return VOCABULARY.format(terms="\n".join(terms), helpers="\n".join(rows))


def _defined_terms(doc: str) -> Iterator[str]:
    """Yield the terms that a module defines, from the list in its docstring, as items."""
    item = ""
    for line in doc.split("\n"):
        if line.startswith("        "):
            item += f" {line.strip()}"
        else:
            if item:
                yield item
            term, _, meaning = line.strip().partition("   ")
            item = f"* **{term}**: {meaning.strip()}" if line.startswith("    ") and meaning else ""


def _helper_row(line: str) -> str:
    signature, _, said = line.partition("): ")
    name = signature.partition("(")[0]
    meaning, _, example = said.rpartition(f": {name}(")
    meaning = meaning.replace("*", "\\*")
    return f"| `{signature})` | {meaning} | `` {name}({example.removesuffix('.')} `` |"


PAGES = {"cli.md": cli_page, "configuration.md": configuration_page, "vocabulary.md": vocabulary_page}


def with_recorded_run(readme: str, run: autoif.Run) -> str:
    """Return the README with the funnel and a row of the recorded run between their marks."""
    for mark, block in {"funnel": f"```\n{run.funnel}\n```", "row": f"```json\n{_shortened_row(run)}\n```"}.items():
        before, begin, rest = readme.partition(f"<!-- recorded {mark}: begin -->")
        _, end, after = rest.partition(f"<!-- recorded {mark}: end -->")
        readme = f"{before}{begin}\n{block}\n{end}{after}"
    return readme


def _shortened_row(run: autoif.Run) -> str:
    """Return the SFT row with the most functions, of those the best and shortest, as the README shows it."""
    row = min(
        run.sft,
        key=lambda row: (-len(row["constraints"][0]["functions"]), -row["quality"], len(str(row["messages"]))),
    )
    [constraint] = row["constraints"]
    constraint["functions"] = [fold(min(constraint["functions"], key=len)), "…"]
    del constraint["instruction_id"]
    members = {
        key: json.dumps(row[key], ensure_ascii=False) for key in ("messages", "constraints", "pass_rate", "quality")
    }
    members["messages"] = members["messages"].replace("}, {", "},\n   {")
    for key in ("functions", "verdicts"):
        members["constraints"] = members["constraints"].replace(f', "{key}"', f',\n   "{key}"')
    messages, constraints, *rest = (f'"{key}": {text}' for key, text in members.items())
    return f"{{{messages},\n {constraints}, {', '.join(rest)}}}"


if __name__ == "__main__":
    for page, make in PAGES.items():
        (DOCS / page).write_text(make(), encoding="utf-8")
    readme = DOCS.parent / "README.md"
    with tempfile.TemporaryDirectory() as folder:
        run = autoif.run("quickstart", output=Path(folder) / "run", recorded=True, progress=False)
        readme.write_text(with_recorded_run(readme.read_text(encoding="utf-8"), run), encoding="utf-8")
