"""The page of trainings: how each was made, its curves with first and last values, and its rounds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from autoif.errors import StoreError
from autoif.figures.curves import Curve, CurvePanel, Training, arrange_curves, read_trainings
from autoif.figures.plots import draw_training
from autoif.figures.style import render_figure
from autoif.page.build import PageSection
from autoif.page.elements import NOTHING, make_facts, make_figure, make_lines, make_notes
from autoif.training.card import RECORD, TextMarking, list_facts, list_rounds, read_record

_PLAIN = TextMarking(str, str)
Records = Mapping[str, dict[str, Any]]
"""training.json by the name of the training, in the given order."""


def describe_trainings(folders: Sequence[Path]) -> list[PageSection]:
    """Return the sections of trained folders, compared in the given order.

    Raises:
        ConfigError: a folder has no metrics.
    """
    trainings = read_trainings(folders)
    records = {training.name: read_record(folder) or {} for training, folder in zip(trainings, folders, strict=True)}
    panels = arrange_curves(trainings)
    try:
        sections = [
            PageSection("trainings", "Trainings", [_tabulate_facts(records)]),
            PageSection("curves", "Curves", _show_curves(trainings, panels)),
        ]
        if rounds := _tabulate_rounds(records):
            sections.append(PageSection("rounds", "Rounds", rounds))
        return [*sections, PageSection("settings", "Training settings", _tabulate_settings(records))]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        named = ", ".join(str(folder / RECORD) for folder in folders)
        raise StoreError(f"{named}: not as this version writes it ({error!r}); train anew or restore it") from None


def _tabulate_facts(records: Records) -> Element:
    """Return the facts of the model cards, a column for each training; for an unfinished one only its progress."""
    facts = {}
    for name, record in records.items():
        told = {"status": str(record.get("status", f"no {RECORD}"))}
        if "metrics" in record and "steps" in record:
            told |= list_facts(record, _PLAIN)
        elif record:
            told |= {"method": str(record.get("kind", NOTHING)), "base model": str(record["model"]["name"])}
        facts[name] = told
    return make_facts("How each was trained", facts)


def _show_curves(trainings: Sequence[Training], panels: Sequence[CurvePanel]) -> list[Element]:
    silent = [f"{training.name}: no step was logged yet" for training in trainings if not training.rows]
    if not panels:
        return make_notes(silent or ["No step was logged yet."])
    titles = ", ".join(panel.title for panel in panels)
    figure = make_figure(
        render_figure(lambda: draw_training(panels)),
        f"Curves of {titles} over optimiser steps; the table below has their first and last values.",
        "Dashed with hollow markers: on evaluation data. Each curve ends in its last value.",
    )
    rows = [[f"{panel.title}: {curve.label}", *_sum_up(curve)] for panel in panels for curve in panel.curves]
    columns = ["metric", "values", "first step", "first", "lowest", "highest", "last step", "last"]
    return [figure, make_lines("Curves in numbers", columns, rows), *make_notes(silent)]


def _sum_up(curve: Curve) -> list[str]:
    steps, values = zip(*curve.points, strict=True)
    ends = [f"{steps[0]:,}", f"{values[0]:.4g}", f"{min(values):.4g}", f"{max(values):.4g}"]
    return [f"{len(values):,}", *ends, f"{steps[-1]:,}", f"{values[-1]:.4g}"]


def _tabulate_rounds(records: Records) -> list[Element]:
    """Return a table for each training that has rounds."""
    tables = []
    for name, record in records.items():
        columns, rows = list_rounds(record.get("rounds") or [])
        if rows:
            tables.append(make_lines(f"Rounds of {name}", columns, rows))
    return tables


def _tabulate_settings(records: Records) -> list[Element]:
    """Return a table of all settings; those in which the trainings differ come first."""
    settings = {}
    for name, record in records.items():
        flat = dict(record.get("settings") or {})
        for table in ("lora", "online", "reward"):
            flat |= {f"{table}.{key}": value for key, value in (record.get(table) or {}).items()}
        settings[name] = {key: str(value) for key, value in flat.items()}
    keys = sorted({key for flat in settings.values() for key in flat})
    rows = [[key, *(flat.get(key, NOTHING) for flat in settings.values())] for key in keys]
    differing = [row for row in rows if len({*row[1:]}) > 1]
    alike = [row for row in rows if row not in differing]
    tables = []
    if differing:
        tables.append(make_lines("Settings in which they differ", ["setting", *records], differing, words=True))
    if alike:
        caption = "All other settings" if differing else "All settings"
        tables.append(make_lines(caption, ["setting", *records], alike, words=True))
    return tables or make_notes([f"No {RECORD} says with which settings."])
