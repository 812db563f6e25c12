"""The page of trainings and evaluations: those of each kind side by side, in the given order."""

from collections.abc import Sequence
from pathlib import Path

from autoif.errors import ConfigError
from autoif.messages import name_folders, show_in_line
from autoif.page.build import Page, PageSection, build_page
from autoif.page.evaluations import describe_evaluations
from autoif.page.folders import FolderKind, find_kind
from autoif.page.trainings import describe_trainings


def build_measured_page(folders: Sequence[Path]) -> str:
    """Return the page of trained and evaluated folders: trainings first, then evaluations.

    Raises:
        ConfigError: one of them is a run, or they can't be compared; the error names what differs.
    """
    kinds = {folder: find_kind(folder) for folder in folders}
    if run := next((folder for folder, kind in kinds.items() if kind == FolderKind.RUN), None):
        raise ConfigError(f"{run} is a run, which has a page of its own: give `autoif report {run}`")
    sections: list[PageSection] = []
    if trained := [folder for folder, kind in kinds.items() if kind == FolderKind.TRAINING]:
        sections += describe_trainings(trained)
    if evaluated := [folder for folder, kind in kinds.items() if kind == FolderKind.EVALUATION]:
        sections += describe_evaluations(evaluated)
    what = " and ".join(["Trainings"] * bool(trained) + ["Evaluations"] * bool(evaluated))
    title = show_in_line(f"{what.capitalize()}: {', '.join(name_folders(folders))}")
    return build_page(Page(title, sections, scripts=()))
