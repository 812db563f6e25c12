"""The page of evaluations: scores and differences with intervals, changes by instruction, answers before and after."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from autoif.evaluation.changes import (
    AnswerOfModel,
    AnswersBeforeAfter,
    InstructionChange,
    choose_column,
    list_before_after,
    list_changes,
)
from autoif.evaluation.comparison import Comparison, Evaluated, compare, read_models
from autoif.evaluation.results import Column
from autoif.evaluation.statistics import Interval, describe
from autoif.figures.plots import draw_comparison
from autoif.figures.style import name_axis, render_figure
from autoif.messages import show_in_line
from autoif.page.build import Page, PageSection, build_page
from autoif.page.elements import NOTHING, Child, make, make_facts, make_figure, make_lines, make_notes, show_text
from autoif.report.tables import Cell, Mark, Report, tabulate

_MOST_CHANGES = 300
"""Most instructions in a table: one half gained most, the other lost most."""
_MOST_PROMPTS = 12


def describe_evaluations(folders: Sequence[Path]) -> list[PageSection]:
    """Return the sections of evaluated folders, compared with the first in the given order.

    Raises:
        ConfigError: they can't be compared; the error names what differs.
    """
    comparison = compare(folders, alone=True)
    figure = make_figure(
        render_figure(lambda: draw_comparison(comparison)),
        "Scores with their intervals, as the tables below have them in numbers.",
        "Bars are 95 % intervals.",
    )
    sections = [PageSection("scores", "Scores", [figure, *show_tables(tabulate(comparison))])]
    measured = read_models(folders)
    for number, models in enumerate(measured):
        title = next(iter(models.values())).scores.title
        of = f" on {title}" if len(measured) > 1 else ""
        column = choose_column(list(models.values()))
        sections += [
            PageSection(f"changes-{number}", f"By instruction{of}", _tabulate_changes(models, column)),
            PageSection(f"answers-{number}", f"Answers{of}", _show_answers(models, column)),
        ]
    facts = [_tabulate_facts(models) for models in measured]
    return [*sections, PageSection("measured", "What was measured", facts)]


def build_comparison_page(comparison: Comparison) -> str:
    section = PageSection("scores", "Scores", show_tables(tabulate(comparison)))
    return build_page(Page("Comparison of models", [section], scripts=()))


def show_tables(report: Report) -> list[Element]:
    """Return all tables of a comparison with their notes."""
    tables = [
        make_lines(table.caption, table.names, [[_show_cell(cell) for cell in row] for row in table.rows])
        for table in report.tables
    ]
    return [*tables, *make_notes(report.notes)]


def _show_cell(cell: Cell) -> Child:
    if cell.mark is None:
        return cell.text
    said = "better" if cell.mark == Mark.BETTER else "worse"
    return make("span", cell.text, " ", make("span", cell.mark.value, class_=said, role="img", aria_label=said))


def _tabulate_changes(models: Mapping[str, Evaluated], column: Column) -> list[Element]:
    """Return a table of instructions with every model's value and its difference to the first model, gains first."""
    changes = list_changes(list(models.values()), column)
    half = _MOST_CHANGES // 2
    shown = changes if len(changes) <= _MOST_CHANGES else [*changes[:half], *changes[-half:]]
    names, digits = list(models), column.digits
    columns = ["instruction", "prompts", *names, *(f"{name} less {names[0]}" for name in names[1:])]
    rows = [
        [
            each.instruction, f"{each.prompts:,}", *(_show_value(value, digits) for value in each.values),
            *(_show_difference(difference, digits) for difference in each.differences[1:]),
        ]
        for each in shown
    ]  # fmt: skip
    caption = f"{column.heading} {column.label}: {name_axis(column)}, by instruction"
    notes = _explain_changes(changes, len(shown), names)
    return [make_lines(caption, columns, rows), *make_notes(notes)]


def _explain_changes(changes: Sequence[InstructionChange], shown: int, names: Sequence[str]) -> list[str]:
    notes = []
    if shown < len(changes):
        notes.append(f"{len(changes):,} instructions; shown are the {shown:,} that changed most.")
    if len(names) > 1:
        differences = [each for change in changes for each in change.differences if each]
        sure = [each for each in differences if not each.includes_zero]
        gained = sum(each.value > 0 for each in sure)
        notes.append(
            f"Of {len(differences):,} differences {gained:,} are surely gains and {len(sure) - gained:,} surely "
            "losses: their 95 % interval, over prompts, excludes zero. By chance alone one in twenty would. What "
            "gained most stands first."
        )
    return notes


def _show_answers(models: Mapping[str, Evaluated], column: Column) -> list[Element]:
    """Return prompts with each model's first answer, the most changed first."""
    chosen = list_before_after(models, column, _MOST_PROMPTS)
    silent = [name for name in models if all(each.answers[name].text is None for each in chosen)]
    notes = []
    if silent:
        notes.append(f"{', '.join(silent)}: the folder holds no texts of answers, as these were recorded elsewhere.")
    if len(models) > 1:
        notes.append(
            "Prompts whose first answer changed most, gains and losses in turn, with each model's first answer."
        )
    return [*make_notes(notes), *(_show_prompt(number, each, column) for number, each in enumerate(chosen, 1))]


def _show_prompt(number: int, found: AnswersBeforeAfter, column: Column) -> Element:
    unit = "points" if column.unit == "%" else column.unit
    change = f": {found.change:+.{column.digits}f} {unit}" if len(found.answers) > 1 else ""
    answers = [
        make(
            "div",
            make("h4", f"{show_in_line(name)}: {_describe_scores(answer, column)}"),
            make("pre", "(no text)" if answer.text is None else show_text(answer.text), tabindex="0"),
        )
        for name, answer in found.answers.items()
    ]
    beside = make("div", *answers, class_="sides")
    prompt = make("pre", show_text(found.prompt), tabindex="0")
    return make("article", make("h3", f"Prompt {number}{change}"), prompt, beside, class_="prompt")


def _describe_scores(answer: AnswerOfModel, column: Column) -> str:
    """Return the scores of a model's answers to a prompt."""
    if not answer.scores:
        return "not scored"
    if column.unit == "%" and {*answer.scores} <= {0.0, 100.0}:
        return f"{sum(each == 100 for each in answer.scores)} of {len(answer.scores)} right"
    return ", ".join(f"{each:.{column.digits}f}" for each in answer.scores)


def _tabulate_facts(models: Mapping[str, Evaluated]) -> Element:
    """Return a table of what the scores depend on, with a column for each model."""
    facts: dict[str, dict[str, str]] = {}
    for name, each in models.items():
        scores = each.scores
        counts = {key: f"{counted.count:,}" for key, counted in scores.counts.items() if counted.count}
        facts[name] = {
            "model": scores.model, "answered by": scores.policy, "data": scores.data,
            "prompts": f"{scores.prompts:,} of {scores.prompts_of_benchmark:,}, "
            f"{scores.responses_per_prompt} responses to each",
            **{key.replace("_", " "): value for key, value in counts.items()},
            **{f"setting {key}": str(value) for key, value in scores.settings.items()},
            **{f"version of {key}": str(value) for key, value in scores.versions.items()},
        }  # fmt: skip
    return make_facts(next(iter(models.values())).scores.title, facts)


def _show_value(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def _show_difference(difference: Interval | None, digits: int) -> str:
    if difference is None:
        return NOTHING
    if difference.low is None:
        return f"{difference.value:+.{digits}f}"
    return describe(difference, signed=True, digits=digits)
