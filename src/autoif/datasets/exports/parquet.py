"""Parquet: a run's data sets with every column they have, for whatever reads Parquet."""

from autoif.datasets.exports.files import Table, Text
from autoif.datasets.rows import Form, Rows


def export(rows: Rows) -> list[Table | Text]:
    """Return sft.parquet, preferences.parquet and rewards.parquet."""
    tables = [
        Table("sft.parquet", Form.SFT, (row.columns() for row in rows.sft)),
        Table("preferences.parquet", Form.PREFERENCE, (row.columns() for row in rows.preferences)),
        Table("rewards.parquet", Form.RL, (row.columns() for row in rows.rewards)),
    ]
    return [table for table in tables if table.form in rows.forms]
