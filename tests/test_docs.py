"""What the documentation says of the code is true."""

import json
import re
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

import autoif

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from generate import PAGES  # noqa: E402

COMMANDS = (
    "run", "audit", "cross-validate", "verify", "split", "prompts", "train sft", "train dpo", "train online-dpo",
    "replay", "train grpo", "eval pass-rate", "eval ifeval", "eval ifbench", "eval followbench",
    "eval general", "compare", "plot", "contamination", "export", "push", "serve", "models", "doctor", "show",
    "decisions", "view", "status",
)  # fmt: skip
make_page = cache(lambda name: PAGES[name]())
PROSE = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


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
            headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{path.name} links to {link}"


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_nothing_is_glued_to_the_end_of_a_table(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\|.*\n(?![|\n])(?!<!--).+", text, re.MULTILINE), "what a command printed after its table?"


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_every_setting_and_command_that_the_prose_names_exists(path):
    text = path.read_text(encoding="utf-8")
    settings, commands = make_page("configuration.md"), make_page("cli.md")
    for key in re.findall(r"--set ([a-z_]+\.[a-z_.]+)=", text):
        shown = re.sub(r"^models\.(writer|responder|judge|all)\.", "models.ROLE.", key)
        assert f"`{shown}`" in settings, key
    for command in re.findall(rf"autoif ((?:{'|'.join(COMMANDS)})(?: fetch)?)\b", text):
        assert f"## autoif {command}\n" in commands, command


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


def test_every_dependency_has_its_reason_in_contributing():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    reasons = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = project[project.index("dependencies = [") : project.index("[project.scripts]")]
    for name in re.findall(r'^    "([A-Za-z0-9-]+)[>=\[]', section, re.MULTILINE):
        assert name == "autoif" or f"`{name}`" in reasons, f"CONTRIBUTING.md has no reason for {name}"


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
