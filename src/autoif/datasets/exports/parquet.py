"""Parquet: a run's data sets with all their columns, for any reader of Parquet."""

from pathlib import Path

from autoif.datasets.exports.files import RowTable, TextFile, make_files
from autoif.datasets.rows import DataRow, RowSets
from autoif.runs.store import DATA_SETS


def export(rows: RowSets, suffix: str = ".parquet") -> list[RowTable | TextFile]:
    """Return sft.parquet, preferences.parquet and rewards.parquet, or the same with another suffix."""
    sets = zip(DATA_SETS, (rows.sft, rows.preferences, rows.rewards), strict=True)
    return [file for name, some in sets for file in make_files(f"{Path(name).stem}{suffix}", DataRow.columns, some)]
