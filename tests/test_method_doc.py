"""docs/method.md says of the code what is so: modules, settings with their values, and every deviation."""

import importlib
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from autoif.config import Config, flatten, load_config
from autoif.runs.store import FOLDERS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
TABLES = (
    "self_instruct",
    "verification",
    "cross_validation",
    "contrast",
    "back_translation",
    "augmentation",
    "rejection_sampling",
    "scoring",
    "preferences",
)
"""Of the stages: each has a section of the page."""
DATA_SETS = ("deduplication", "sft", "rewards")
"""Of data sets: they are in the section on preferences."""
ROWS = {
    key: (paper, released)
    for key, paper, released in re.findall(
        r"^\| `(\w+\.\w+)` \| `([^`]*)` \| `([^`]*)` \| [^|]+ \|$", PAGE, re.MULTILINE
    )
}
HEADINGS = [heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def settings() -> list[str]:
    """Return every setting of the method's stages, as in "scoring.mean"."""
    found = []
    for table in (*TABLES, *DATA_SETS):
        kind = Config.model_fields[table].annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        found += [f"{table}.{name}" for name in kind.model_fields]
    return found


def value(preset: str, key: str) -> str:
    table, name = key.split(".")
    return str(getattr(getattr(load_config(preset), table), name))


@pytest.mark.parametrize("key", settings())
def test_every_setting_of_the_method_is_there_with_its_value_in_both_presets(key: str) -> None:
    assert ROWS[key] == (value("paper", key), value("released", key))


@pytest.mark.parametrize("preset", ["quickstart", "recommended"])
def test_the_page_lists_all_in_which_a_preset_departs_from_the_paper(preset: str) -> None:
    found = {}
    for name in ("paper", preset):
        config = load_config(name)
        settings = dict(flatten(config.model_dump(mode="json", exclude={"preset", "prompts", "execution"})))
        found[name] = settings | {f"prompts.{each}": str(prompt) for each, prompt in config.prompts.files().items()}
    paper, other = found.values()
    departs = {key: (str(paper[key]), str(value)) for key, value in other.items() if paper[key] != value}
    section = PAGE.split(f"\n## {preset.capitalize()}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+\.\w+)` \| `([^`]*)` → `([^`]*)` \|", section, re.MULTILINE)
    assert {key: values for key, *values in rows} == {key: list(values) for key, values in departs.items()}


def test_the_page_names_no_setting_that_is_not_there() -> None:
    assert sorted(ROWS) == sorted(settings())
    for key in re.findall(rf"`((?:{'|'.join((*TABLES, *DATA_SETS))})\.\w+)`", PAGE):
        assert key in settings()


def test_every_module_that_the_page_names_can_be_imported() -> None:
    names = set(re.findall(r"`(autoif(?:\.\w+)+)`", PAGE))
    assert len(names) > 15
    for name in names:
        importlib.import_module(name)


def test_every_module_that_implements_a_section_of_the_paper_is_named() -> None:
    package = ROOT / "src" / "autoif"
    sections = [path for path in SOURCES if path.read_text(encoding="utf-8").startswith('"""§3.')]
    assert len(sections) > 10
    for path in sections:
        name = ".".join(("autoif", *path.relative_to(package).with_suffix("").parts))
        assert f"`{name}`" in PAGE, f"docs/method.md doesn't name {name}"


def test_the_folders_of_a_run_are_in_the_papers_order() -> None:
    assert tuple(re.findall(r"`(\d\d_\w+)` \|$", PAGE, re.MULTILINE)) == FOLDERS


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_deviation_in_the_source_has_its_place_on_the_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for anchor in re.findall(r"docs/method\.md#([\w-]+)", text):
        assert anchor in HEADINGS, f"{path.name} points to docs/method.md#{anchor}"
    assert len(re.findall(r"# Deviation:", text)) == len(re.findall(r"docs/method\.md#", text))


def test_every_stage_states_its_deviations_and_points_to_them() -> None:
    sources = [path.read_text(encoding="utf-8") for path in SOURCES]
    anchored = {anchor for text in sources for anchor in re.findall(r"docs/method\.md#([\w-]+)", text)}
    assert anchored == {table.replace("_", "-") for table in TABLES}
    for heading, section in zip(HEADINGS, re.split(r"^## .+$", PAGE, flags=re.MULTILINE)[1:], strict=True):
        assert ("Deviations:" in section) is (heading in anchored), heading


def test_links_within_the_page_lead_somewhere() -> None:
    anchors = [heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)]
    for anchor in re.findall(r"\]\(#([\w-]+)\)", PAGE):
        assert anchor in anchors
