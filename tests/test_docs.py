"""What the documentation says of the code is true."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

import autoif
from autoif.cli.main import cli
from autoif.config import flatten, load_config, presets
from autoif.settings import ROLES

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from generate import PAGES  # noqa: E402

make_page = cache(lambda name: PAGES[name]())
PROSE = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
TELEMETRY = [
    f"autoif.{name}" for name in "preset step shard stage samples refused retries records outcome reason".split()
]
"""Names of spans, metrics and attributes, which are written as modules are."""


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_generated_pages_are_current(page):
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == make_page(page), "run `make docs`"


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_every_link_within_the_repository_leads_somewhere(path):
    for link in re.findall(r"\]\(([^):]+)\)", path.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        page = path.parent / target if target else path
        assert page.exists(), f"{path.name} links to {link}"
        if anchor:
            assert anchor in list_slugs(page), f"{path.name} links to {link}"


@cache
def list_slugs(page: Path) -> list[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_paragraphs_are_wrapped_and_one_line_apart(path):
    text = re.sub(r"^```.*?^```", "```", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert path.name in PAGES or "\n\n\n" not in text
    if path.name not in {*PAGES, "README.md"}:  # the README's links are a line a heading
        assert [
            line for line in text.splitlines() if len(line) > 128 and not line.startswith(("|", "![", "<!--"))
        ] == []


def list_commands(group: click.Group) -> Iterator[click.Command]:
    """Yield the commands of a group, those of its groups included."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield from list_commands(command) if isinstance(command, click.Group) else [command]


def test_every_option_of_every_command_says_what_it_does():
    options = [(each.name, option) for each in list_commands(cli) for option in each.params]
    assert [
        (name, option.name) for name, option in options if isinstance(option, click.Option) and not option.help
    ] == []


def test_every_setting_has_a_meaning():
    rows = [line for line in make_page("configuration.md").splitlines() if line.startswith("| `")]
    assert [row for row in rows if not row.rsplit(" | ", 1)[-1].strip(" |")] == []


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_nothing_is_glued_to_the_end_of_a_table(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\|.*\n(?![|\n])(?!<!--).+", text, re.MULTILINE), "what a command printed after its table?"


def read_commands(text: str) -> Iterator[tuple[list[str], bool]]:
    """Yield (the words of an autoif command, whether it is a whole line of a shell block) for each that a page has."""
    whole = [
        line
        for block in re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in re.sub(r"\\\n\s*", " ", block).splitlines()
    ]
    mentioned = re.findall(r"`(autoif [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for lines, is_line in ((whole, True), (mentioned, False)):
        for line in lines:
            if found := re.search(r"(?<![\w/.])autoif (.*)", line.replace("…", ""), re.DOTALL):
                words = shlex.split(found[1], comments=is_line)
                if words[0].isupper():
                    continue
                yield words[: next((n for n, word in enumerate(words) if word in {"|", "&&", "&", ">"}), None)], is_line


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that the words begin with, and those behind it."""
    group: click.Command = cli
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        found = group.get_command(click.Context(group), words[0])
        if found is None:
            assert group is not cli, f"autoif has no command {words[0]}"
            break
        group, words = found, words[1:]
    return group, words


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_every_command_of_the_prose_is_one_that_autoif_takes(path):
    for words, is_line in read_commands(path.read_text(encoding="utf-8")):
        command, rest = find_command(words)
        context = click.Context(command)
        try:
            given, _, _ = command.make_parser(context).parse_args(list(rest))
        except click.BadOptionUsage:
            assert not is_line, words  # a sentence may end with an option and leave its value out
            continue
        for param in command.params:
            if param.name in given and not isinstance(param.type, click.Path):
                param.type_cast_value(context, given[param.name])
        settings = [each for each in given.get("settings", ()) if not each.startswith(("KEY", "models.ROLE"))]
        if command.name in {"run", "cross-validate"}:
            config = rest[0] if rest and rest[0] in presets() else "paper"
            given_model = [f"models.all.model={given['model']}"] if given.get("model") else []
            load_config(config, [*given_model, *settings])


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_every_setting_file_module_and_test_that_the_prose_names_exists(path):
    text = path.read_text(encoding="utf-8")
    keys = {key for key, _ in flatten(load_config("paper").model_dump(mode="json"))}
    tables = {key.partition(".")[0] for key in keys if "." in key}
    for key in re.findall(rf"`((?:{'|'.join(tables)})\.[a-z_.]+)(?==|`)", text):
        shown = re.sub(r"^models\.(?:all|ROLE)\b", f"models.{ROLES[0]}", key)
        is_file = key.endswith((".jsonl", ".parquet", ".yml"))
        assert is_file or shown in keys or any(each.startswith(f"{shown}.") for each in keys), key
    for name in re.findall(r"(?<![\w./-])((?:src|tests|benchmarks|examples|docs|\.ci)/[\w./-]*\w)", text):
        assert (ROOT / name).exists() or (path.parent / name).exists(), name
    for name in re.findall(r"`(autoif(?:\.\w+)+)`", text):
        place = ROOT / "src" / name.replace(".", "/")
        defined = rf"^(?:(?:async )?def|class) {place.name}\b|^    {place.name}: "
        package = next(
            path for path in (place.parent.with_suffix(".py"), place.parent / "__init__.py") if path.exists()
        )
        assert (
            name in TELEMETRY
            or name.removeprefix("autoif.") in autoif.__all__
            or place.with_suffix(".py").exists()
            or (place / "__init__.py").exists()
            or re.search(defined, package.read_text(encoding="utf-8"), re.MULTILINE)
        ), name
    for name in re.findall(r"`(test_\w+)`", text):
        assert name in list_tests() or (ROOT / "tests" / f"{name}.py").exists(), name


@cache
def list_tests() -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py")]
    return {name for text in texts for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE)}


def test_every_fault_of_a_run_that_docs_scale_tells_names_its_test():
    page = (ROOT / "docs/scale.md").read_text(encoding="utf-8").partition("\n## Faults\n")[2]
    cells = [line.split("|")[4] for line in page.splitlines() if line.startswith("| ") and "`test_" in line]
    assert len(cells) > 20
    for cell in cells:
        modules, _, phrases = cell.strip().rpartition("`: ")
        files = [ROOT / "tests" / f"{name}.py" for name in re.findall(r"test_\w+", modules)]
        names = re.findall(r"def (test_\w+)", "\n".join(file.read_text(encoding="utf-8") for file in files))
        for phrase in phrases.split(", "):
            assert any(phrase.replace(" ", "_") in name for name in names), cell


def test_the_audit_page_tells_what_the_recorded_run_keeps_and_drops(replayed):
    text = (ROOT / "docs/audit.md").read_text(encoding="utf-8").partition("The recorded run's six functions:")[2]
    kept, _, dropped = text.partition("What the recorded run dropped, and why:")
    stage = replayed / "03_cross_validation"
    read = {
        kind: [
            json.loads(line)
            for path in sorted(stage.glob(f"{kind}-*"))
            for line in path.read_text("utf-8").splitlines()
        ]
        for kind in ("kept", "dropped")
    }
    rows = [[*map(str.strip, line.split(" | "))] for line in kept.splitlines() if line.startswith("| ")][1:]
    assert {row[0].removeprefix("| ") for row in rows} == {each["instruction"]["text"] for each in read["kept"]}
    causes = {
        row[0].removeprefix("| "): set(re.findall(r"\w+", row[2]))
        for line in dropped.splitlines()
        if line.startswith("| ") and len(row := line.split(" | ")) == 3
    }
    for each in read["dropped"]:
        words = {"majority"} if each["reason"] == "no_majority" else set(re.findall(r"(\w+) \d", each["detail"]))
        assert words - {"of"} <= causes[each["record"]["instruction"]["text"]], each["detail"]


def test_every_variable_of_autoif_is_told():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    pages = "\n".join(path.read_text(encoding="utf-8") for path in PROSE)
    assert [name for name in sorted(set(re.findall(r"\bAUTOIF_[A-Z_]+\b", sources))) if name not in pages] == []


def test_what_the_prose_counts_is_as_many():
    pages = {path.name: path.read_text(encoding="utf-8") for path in PROSE}
    [attacks] = re.findall(r"^\| \*\*all\*\* \| (\d+) \|", pages["sandbox.md"], re.MULTILINE)
    assert set(re.findall(r"\b(\d+) attacks\b", "\n".join(pages.values()))) == {attacks}
    for name, file in {"seed instructions": "instructions/seeds.txt", "queries": "queries/queries.txt"}.items():
        lines = (ROOT / "src/autoif" / file).read_text(encoding="utf-8").splitlines()
        count = sum(bool(line.strip()) and not line.startswith("#") for line in lines)
        assert f" {count} {name}" in pages["queries.md"]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_every_call_that_the_prose_gives_needs_only_import_autoif(path):
    called = re.findall(r"\bautoif\.([\w.]+)\(", path.read_text(encoding="utf-8"))
    assert [name for name in called if name.partition(".")[0] not in autoif.__all__] == []


def test_the_reward_function_for_any_trainer_rewards_what_its_functions_accept(monkeypatch):
    [block] = re.findall(
        r"^```py\n(# reward_func\.py.*?)^```", (ROOT / "docs/exports.md").read_text("utf-8"), re.M | re.S
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(tensor=list))  # the real one takes seconds to load
    names: dict = {}
    exec(block, names)
    label, prompt = json.dumps(["def evaluate(response):\n    return response.endswith('.')"]), "<|im_start|>user\nHi"
    found = names["reward_func"](
        [f"{prompt}Yes, indeed.<|im_end|>", f"{prompt}No<|im_end|>"], [prompt] * 2, [label] * 2
    )
    names["reward"].close()
    assert found["rewards"] == [1.0, 0.0]


def test_every_place_that_the_map_of_the_code_names_is_there_and_every_folder_is_in_it():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = set(re.findall(r"`((?:src/autoif|tests|benchmarks|docs)/[^` ]*)`", text))
    assert not [place for place in places if not any(ROOT.glob(place))]
    folders = {path.parent for path in (ROOT / "src/autoif").glob("[!_]*/*.*")}
    assert {f"{path.relative_to(ROOT)}/" for path in folders} <= places


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_a_docstring_names_pages_that_are_there_and_all_modules_of_a_package_that_it_lists(path):
    text = path.read_text(encoding="utf-8")
    for page, anchor in re.findall(r"docs/(\w+\.md)(?:#([\w-]+))?", text):
        assert (ROOT / "docs" / page).exists(), page
        assert not anchor or anchor in list_slugs(ROOT / "docs" / page), f"{page}#{anchor}"
    if path.name == "__init__.py" and re.search(r"^ *\w+\.py  ", text, re.MULTILINE):
        names = {each.name for each in path.parent.iterdir() if each.suffix == ".py" or any(each.glob("*.py"))}
        listed = re.findall(r"\b([\w*]+\.py)\b|^ *(\w+)/ ", text, re.MULTILINE)
        patterns = [name or folder for name, folder in listed]
        assert [name for name in names - {path.name} if not any(Path(name).match(each) for each in patterns)] == []


def test_every_dependency_has_its_reason_in_contributing():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    reasons = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = project[project.index("dependencies = [") : project.index("[project.scripts]")]
    for name in re.findall(r'"([A-Za-z0-9-]+)(?:\[\w+\])?>=', section):
        assert f"`{name}`" in reasons, f"CONTRIBUTING.md has no reason for {name}"


def test_the_versions_that_the_pages_were_checked_with_are_pinned():
    pins = [ROOT / "constraints.txt", *(ROOT / "tests/trainers").glob("*.txt")]
    pinned = {line for path in pins for line in path.read_text(encoding="utf-8").splitlines()}
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("exports.md", "rewards.md", "sandbox.md")]
    named = re.findall(r"^\|.*\| ([a-z-]+) (\d+\.\d+\.\d+) \|", pages[0], re.MULTILINE)
    named += [("trl", *re.findall(r"checked with ([\d.]+\d)", pages[1]))]
    named += [("pydantic-monty", each) for each in re.findall(r"checked in version ([\d.]+\d)", pages[2])]
    assert len(named) > 7
    assert [f"{name}=={version}" for name, version in named if f"{name}=={version}" not in pinned] == []


def test_every_dependency_is_pinned():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    for name in re.findall(r'"([A-Za-z0-9-]+)(?:\[[a-z]+\])?>=', project):
        assert name == "hatchling" or f"\n{name.lower()}==" in pins, f"{name} is not in constraints.txt"


def test_the_speeds_of_the_readme_are_those_of_the_table():
    rows = re.findall(r"^\| (?:8|128|2,048) \|.*$", (ROOT / "docs/sandbox.md").read_text(encoding="utf-8"), re.M)
    found = [row.split("|")[9].strip() for row in rows[-3:]]
    assert f"{found[0]}, {found[1]} and {found[2]} times" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_data_of_the_tests_is_small_and_each_file_has_its_source_and_licence_in_the_table():
    data, about = ROOT / "tests" / "data", {"README.md", "LICENSE", "cut.py", "write.py"}
    files = [path for path in data.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 6_000_000
    rows = [line.split("|") for line in (data / "README.md").read_text(encoding="utf-8").splitlines() if "|" in line]
    assert all(len(row) == 7 and all(cell.strip() for cell in row[1:-1]) for row in rows)
    named = {data / name for row in rows for name in re.findall("`([^`]+)`", row[1])}
    assert [path for path in files if path.name not in about and not named & {path, *path.parents}] == []
