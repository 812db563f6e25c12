"""What a notebook shows: the funnel of a run, and a link to its page; nothing that a server said is markup."""

import shutil
import sys
import types
from html.parser import HTMLParser
from pathlib import Path

import pytest

import autoif
from autoif.report.funnel import Funnel, FunnelRow

TRAP = '</td><script>alert(1)</script><img src=x onerror="alert(1)">'


class Shown(HTMLParser):
    """What a notebook's HTML holds: cells, links, elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.links: list[str] = []
        self.elements: set[str] = set()
        self._text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.links += [value for name, value in attrs if name == "href"]
        self._text = ""

    def handle_data(self, data):
        self._text += data

    def handle_endtag(self, tag):
        if tag in {"td", "th"}:
            self.cells.append(self._text)


@pytest.fixture(scope="module")
def recorded(replayed) -> autoif.Run:
    return autoif.load_run(replayed)


def test_a_run_shows_its_funnel_as_a_table_and_how_to_make_its_page(recorded):
    page = recorded._repr_html_()
    cells = Shown(page).cells
    last = recorded.funnel[-1]
    assert cells[:4] == ["stage", "kept", "dropped", "why"]
    assert cells[-4:-1] == [last.folder, f"{last.kept:,}", f"{last.dropped:,}"]
    assert f"{len(recorded.sft):,} SFT rows" in page
    assert "run.report()" in page


def test_the_link_leads_to_the_page_from_where_the_notebook_runs(recorded, tmp_path, monkeypatch):
    folder = tmp_path / "my runs#1"
    shutil.copytree(recorded.path, folder)
    monkeypatch.chdir(tmp_path)
    run = autoif.load_run(folder)
    assert run.report() == folder / "report.html"
    assert Shown(run._repr_html_()).links == ["my%20runs%231/report.html"]
    elsewhere = run.report("pages/first.html")
    assert elsewhere.read_bytes() == (folder / "report.html").read_bytes()


def test_what_servers_said_is_no_markup_and_kept_short():
    row = FunnelRow("02_verification", kept=1)
    row.reasons["refused_by_model"] = 2
    row.refusals[TRAP * 1000] = 2
    shown = Shown(Funnel([row])._repr_html_())
    assert shown.elements == {"table", "thead", "tbody", "tr", "th", "td"}
    assert "<script>alert(1)</script>" in shown.cells[-1]
    assert len(shown.cells[-1]) < 1000


def test_in_a_notebook_a_run_shows_itself_and_makes_its_page(recorded, tmp_path, monkeypatch):
    shown = []
    handle = types.SimpleNamespace(update=shown.append)
    display = types.SimpleNamespace(display=lambda view, **_: shown.append(view) or handle)
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    made = autoif.run("quickstart", output=tmp_path / "run", recorded=True, set=["self_instruct.max_instructions=3"])
    assert shown[-1] is made
    assert Path(made.path / "report.html").exists()
    assert "Open its report" in made._repr_html_()


def test_a_run_without_progress_shows_nothing_and_makes_no_page(recorded):
    assert not (recorded.path / "report.html").exists()
