"""The tables in Markdown, LaTeX and HTML: read back by parsers, whatever a model is called."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from autoif.evaluation.comparison import compare
from autoif.page.elements import render as render_elements
from autoif.page.evaluations import build_comparison_page, show_tables
from autoif.report.tables import (
    Cell,
    Heading,
    Mark,
    Report,
    Table,
    escape_latex,
    escape_markdown,
    render,
    render_latex,
    render_markdown,
)
from support.evaluated_models import GOOD, measure_followbench, measure_ifeval

AWKWARD = r"a_b%c&d#e$f{g}h~i^j\k|l<m>n*o`p[q](r)--s"
names = st.text(st.sampled_from(r"_%&#${}~^\|<>*`[]()-–,:!'" + '"ab1 é模') | st.characters(), max_size=20).map(
    lambda text: " ".join("".join(letter if letter.isprintable() else " " for letter in text).split()) or "?"
)


def report(name: str) -> Report:
    table = Table(
        caption=f"Scores of {name}",
        headings=(Heading("IFEval", 2), Heading(name, 1)),
        columns=("model", "Pr(S)", "In(S)", "CSL"),
        rows=((Cell(name), Cell("1.0"), Cell("-2.0 [-3.0, -1.0]", Mark.WORSE), Cell("3.00", Mark.BETTER)),),
    )
    return Report((table,), (f"IFEval, {name}: PARTIAL.",))


def read_markdown(text: str) -> tuple[list[str], set[str]]:
    """Return the texts of a document, block by block, and the kinds of what is within them."""
    texts, kinds = [], set()
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "inline":
            texts.append("".join(child.content for child in token.children or ()))
            kinds |= {child.type for child in token.children or ()}
    return texts, kinds


@given(names)
def test_markdown_shows_any_name_as_it_is(name):
    texts, kinds = read_markdown(render_markdown(report(name)))
    assert texts == [
        f"Scores of {name}", "model", "IFEval Pr(S)", "IFEval In(S)", f"{name} CSL",
        name, "1.0", "-2.0 [-3.0, -1.0] ↓", "3.00 ↑", f"IFEval, {name}: PARTIAL.",
    ]  # fmt: skip
    assert kinds <= {"text", "text_special", "strong_open", "strong_close"}


def test_names_of_models_are_not_made_ugly_in_markdown():
    for name in ("Qwen2.5-7B_sft", "base/ifeval", "gpt-4o [1.0, 2.0]", "a+b (c)"):
        assert escape_markdown(name) == name


COMMANDS = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<",
    r"\textgreater{}": ">", r"\textbar{}": "|", r"\textasciigrave{}": "`", r"$\uparrow$": "↑", r"$\downarrow$": "↓",
    r"\textendash{}": "–", "--": "a dash", "''": "a quote", ",,": "a quote",
    "-{}": "-", "'{}": "'", ",{}": ",", "{[}": "[", "{*}": "*", **{f"\\{special}": special for special in "_%&#${}"},
}  # fmt: skip


def read_latex(text: str) -> str:
    """Return what LaTeX sets; a character that it would take for a command is an error."""
    said = ""
    while text:
        command = next((each for each in COMMANDS if text.startswith(each)), None)
        assert command or text[0] not in "_%&#${}~^\\", text
        said += COMMANDS[command] if command else text[0]
        text = text[len(command or "x") :]
    return said


@given(names)
@example("-–")
@example("–-")
@example("''b''")
@example("a,,b--c")
def test_latex_sets_any_name_as_it_is(name):
    escaped = escape_latex(name)
    assert read_latex(escaped) == name
    assert not escaped.startswith(("[", "*"))


def check_latex(text: str) -> list[list[str]]:
    """Return the cells of all rows; every row has as many columns as its table, and all that opens closes."""
    stack: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert not stack
    plain = re.sub(r"\\[\\{}$%&#_]", "", text)
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    rows = []
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        for line in body.splitlines():
            if line.endswith(r"\\"):
                cells = re.split(r"(?<!\\)&", line.removesuffix(r"\\"))
                spans = [
                    int(found[1]) if (found := re.search(r"\\multicolumn\{(\d+)\}", cell)) else 1 for cell in cells
                ]
                assert sum(spans) == len(columns)
                rows.append([cell.strip() for cell in cells])
            else:
                assert not line.strip() or line.strip().startswith((r"\toprule", r"\cmidrule", r"\midrule", r"\bottom"))
    return rows


@given(names)
def test_latex_tables_are_whole_whatever_the_name(name):
    *_, row = check_latex(render_latex(report(name)))
    assert read_latex(row[0]) == name
    assert row[1:] == ["1.0", r"$-$2.0 [$-$3.0, $-$1.0]$^{\downarrow}$", r"3.00$^{\uparrow}$"]


class Page(HTMLParser):
    """Collects tables: captions, and rows of (tag, scope, text)."""

    def __init__(self) -> None:
        super().__init__()
        self.captions: list[str] = []
        self.rows: list[list[tuple[str, str | None, str]]] = []
        self.notes: list[str] = []
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append((tag, dict(attrs).get("scope"), ""))
        elif tag == "caption":
            self.captions.append("")
        elif tag == "li":
            self.notes.append("")
        elif tag == "span":
            assert dict(attrs).get("aria-label") in {"better", "worse", None}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            tag, scope, text = self.rows[-1][-1]
            self.rows[-1][-1] = (tag, scope, text + data)
        elif "caption" in self.open:
            self.captions[-1] += data
        elif "li" in self.open:
            self.notes[-1] += data


def read_html(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.seen <= set(
        "html head meta title style body a header h1 h2 p nav main section noscript div table caption thead tbody tr "
        "th td span ul li".split()
    )
    return page


@given(names)
def test_html_shows_any_name_as_it_is_with_headers_for_every_cell(name):
    page = read_html(render_elements(show_tables(report(name))))
    assert page.captions == [f"Scores of {name}"]
    assert page.notes == [f"IFEval, {name}: PARTIAL."]
    columns, row = page.rows
    assert columns == [("th", "col", text) for text in ("model", "IFEval Pr(S)", "IFEval In(S)", f"{name} CSL")]
    assert row[0] == ("th", "row", name)
    assert [text for _, _, text in row[1:]] == ["1.0", "-2.0 [-3.0, -1.0] ↓", "3.00 ↑"]


def test_all_forms_show_a_real_comparison_with_the_same_cells(tmp_path):
    for model, verdicts in ((AWKWARD.replace("/", ""), {(1, 1): "['NO']"}), ("plain", {})):
        measure_ifeval(tmp_path / model / "if", GOOD)
        measure_followbench(tmp_path / model / "follow", verdicts)
    comparison = compare([tmp_path / AWKWARD, tmp_path / "plain"])
    texts, _ = read_markdown(render(comparison))
    page, rows = read_html(build_comparison_page(comparison)), check_latex(render(comparison, "tex"))
    body = [[text for _, _, text in row] for row in page.rows if row[0][1] == "row"]
    assert body[0][0] == AWKWARD
    assert len(body) == 2 + 2 * 4 + 2 * 13
    assert len(rows) == len(page.rows) + 1  # LaTeX has the benchmarks above their columns
    assert page.captions[0] == f"Scores in percent, and what differs from {AWKWARD}"
    assert {cell for row in body for cell in row if cell} <= set(texts)
    assert [read_latex(row[0].replace("$-$", "-")) for row in rows if row[0]] == [row[0][2] for row in page.rows]
    assert [note for note in page.notes if "↑ and ↓ mark" in note]


def test_figures_draw_a_name_that_looks_like_a_formula(tmp_path):
    from autoif.figures.plots import plot_comparison

    for model in ("a$b$", "plain"):
        measure_ifeval(tmp_path / model, GOOD)
    plot_comparison(compare([tmp_path / "plain", tmp_path / "a$b$"]), tmp_path / "scores.svg")
    assert ">a$b$<" in (tmp_path / "scores.svg").read_text("utf-8")


@pytest.mark.parametrize("form", ["md", "tex", "html"])
def test_a_name_of_several_lines_or_with_control_characters_is_shown_in_one(tmp_path, form):
    odd = "two\nlines\x07"
    for model in (odd, "plain"):
        measure_ifeval(tmp_path / model, GOOD)
    compared = compare([tmp_path / odd, tmp_path / "plain"])
    written = build_comparison_page(compared) if form == "html" else render(compared, form)
    assert "two lines" in written
    assert "\x07" not in written
