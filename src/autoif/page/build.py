"""One HTML file from sections and data: nothing in it loads anything, and only scripts that we wrote run in it.

    page = Page(title="quickstart", sections=[PageSection("funnel", "Funnel", [table])], data={"index": {...}})
    build_page(page)

Sections can be read without scripts. Data for scripts is compressed JSON in script elements that a browser doesn't
execute; `autoif.load("index")` in assets/data.js opens it. To add a script, put a file into assets/ and name it in
`Page.scripts`: each adds to the object `autoif`.

The content security policy names each script and style by its hash, so text of a model can't run even as markup. Our
scripts may load data in files beside the page as scripts ("strict-dynamic"): a browser lets a page from the disk read
no other file.
"""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from xml.etree.ElementTree import Element

from pydantic import JsonValue

from autoif.page.elements import make, render

TABLES = "tabulator/tabulator.min.js"
SCRIPTS = (TABLES, "data.js", "elements.js", "tables.js", "instruction.js", "responses.js", "page.js")
"""The scripts of a run's page, in their order."""
STYLES = ("tabulator/tabulator_simple.min.css", "page.css")
_PLACE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class PageSection:
    """One part of a page, with a heading."""

    name: str
    """Its anchor in the page's address."""
    title: str
    content: Sequence[Element]


@dataclass(frozen=True, slots=True)
class Page:
    """What a page holds."""

    title: str
    sections: Sequence[PageSection]
    subtitle: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    """JSON by name, packed by `pack`."""
    scripts: Sequence[str] = SCRIPTS
    beside: bool = False
    """Whether more data is in files beside the page."""
    connects: bool = False
    """Whether its scripts may send requests to the server that it came from."""


def pack(value: JsonValue) -> str:
    """Return a value as compressed JSON in base 64."""
    return pack_bytes(json.dumps(value, separators=(",", ":")).encode("ascii"))


def pack_bytes(content: bytes) -> str:
    """Return bytes in base 64, compressed by gzip without a timestamp."""
    packer = zlib.compressobj(6, wbits=31)
    return base64.b64encode(packer.compress(content) + packer.flush()).decode("ascii")


def build_page(page: Page) -> str:
    scripts = [read_asset(name) for name in page.scripts]
    styles = [read_asset(name) for name in STYLES]
    links = [make("li", make("a", section.title, href=f"#{section.name}")) for section in page.sections]
    parts = {
        "policy": _write_policy(page, scripts, styles),
        "title": render([make("title", page.title)]),
        "styles": "\n".join(f"<style>{style}</style>" for style in styles),
        "heading": render([make("h1", page.title), make("p", page.subtitle, class_="note", id="subtitle")]),
        "links": render(links),
        "sections": render(map(_make_section, page.sections)),
        "data": "\n".join(
            f'<script type="application/gzip" id="data-{name}">{packed}</script>' for name, packed in page.data.items()
        ),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    # Fill all placeholders in one pass, so that inserted text is never taken for one.
    whole = _PLACE.sub(lambda found: parts[found[1]], read_asset("page.html"))
    # A lone surrogate has no UTF-8; as a character reference, browsers show it as the replacement character.
    return whole.encode("utf-8", "xmlcharrefreplace").decode("utf-8")


def _make_section(section: PageSection) -> Element:
    return make(
        "section",
        make("h2", section.title, id=f"{section.name}-title", tabindex="-1"),
        *section.content,
        id=section.name,
        aria_labelledby=f"{section.name}-title",
    )


def _write_policy(page: Page, scripts: Sequence[str], styles: Sequence[str]) -> str:
    allowed = " ".join(map(_hash_source, scripts)) or "'none'"
    dynamic = " 'strict-dynamic'" if page.beside else ""
    connects = "'self'" if page.connects else "'none'"
    return (
        f"default-src 'none'; script-src {allowed}{dynamic}; style-src {' '.join(map(_hash_source, styles))}; "
        f"img-src data:; connect-src {connects}; base-uri 'none'; form-action 'none'"
    )


def _hash_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


@cache
def read_asset(name: str) -> str:
    """Return the text of a file in assets/."""
    return resources.files("autoif.page").joinpath("assets", *name.split("/")).read_text(encoding="utf-8").strip()
