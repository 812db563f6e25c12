"""Tables as one HTML page: no script, nothing fetched from elsewhere, headers of each cell for a screen reader."""

from html import escape

from autoif.evaluation.comparison.tables import Cell, Mark, Report, Table

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; color: #222;
  background: #fff }
.wide { overflow-x: auto; margin-bottom: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: bold; padding-bottom: .5rem }
td, th { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
.text { text-align: left } th[scope=colgroup] { text-align: center } th[scope=row] { font-weight: normal }
.better { color: #06702c } .worse { color: #b3261e }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd } td, th { border-color: #444 }
  .better { color: #6ecf8f } .worse { color: #ff9a8f }
}
"""
_SAID = {Mark.BETTER: "better", Mark.WORSE: "worse"}


def render_html(report: Report) -> str:
    """Return the page."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Comparison of models</title><style>{_STYLE}</style>"
    )
    notes = "".join(f"<li>{escape(note)}</li>\n" for note in report.notes)
    body = ["<h1>Comparison of models</h1>", *map(_render_table, report.tables), f"<ul>\n{notes}</ul>"]
    lines = ["<!doctype html>", f'<html lang="en"><head>{head}</head><body>', *body, "</body></html>"]
    return "\n".join(lines) + "\n"


def _render_table(table: Table) -> str:
    caption = escape(table.caption)
    lines = [
        f'<div class="wide" role="region" tabindex="0" aria-label="{caption}"><table>',
        f"<caption>{caption}</caption>",
        "<thead>",
    ]
    if table.headings:
        cells = [f'<th colspan="{each.columns}" scope="colgroup">{escape(each.text)}</th>' for each in table.headings]
        lines.append(f'<tr><td colspan="{table.heads}"></td>{"".join(cells)}</tr>')
    names = [f'<th scope="col"{_align(table, index)}>{escape(name)}</th>' for index, name in enumerate(table.columns)]
    lines += [f"<tr>{''.join(names)}</tr>", "</thead>", "<tbody>"]
    lines += [
        f"<tr>{''.join(_render_cell(cell, table, index) for index, cell in enumerate(row))}</tr>" for row in table.rows
    ]
    return "\n".join([*lines, "</tbody>", "</table></div>"])


def _render_cell(cell: Cell, table: Table, index: int) -> str:
    mark = ""
    if cell.mark:
        said = _SAID[cell.mark]
        mark = f' <span class="{said}" role="img" aria-label="{said}">{cell.mark.value}</span>'
    tag, scope = ("th", ' scope="row"') if index < table.heads else ("td", "")
    return f"<{tag}{scope}{_align(table, index)}>{escape(cell.text)}{mark}</{tag}>"


def _align(table: Table, index: int) -> str:
    return ' class="text"' if index in table.texts else ""
