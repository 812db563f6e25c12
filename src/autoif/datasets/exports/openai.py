"""OpenAI fine-tuning: chat JSONL, and pairs for its direct preference optimization.

Rows have only the columns of the documented form: a column called `functions` would be read as tools. There is no RL
export, as graders run at OpenAI, without autoif's sandbox.
"""

from autoif.datasets.exports.axolotl import sft_row
from autoif.datasets.exports.files import RowTable, TextFile, make_files
from autoif.datasets.rows import Columns, PreferenceRow, RowSets
from autoif.runs.store import PREFERENCES, SFT


def export(rows: RowSets) -> list[RowTable | TextFile]:
    """Return sft.jsonl and preferences.jsonl."""
    return [*make_files(SFT, sft_row, rows.sft), *make_files(PREFERENCES, preference_row, rows.preferences)]


def preference_row(row: PreferenceRow) -> Columns:
    return {
        "input": {"messages": [row.prompt[0].model_dump()], "tools": [], "parallel_tool_calls": True},
        "preferred_output": [row.chosen[0].model_dump()],
        "non_preferred_output": [row.rejected[0].model_dump()],
    }
