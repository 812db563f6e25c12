"""Exports a run's data in the form that each trainer reads (docs/exports.md): one module and function per trainer.

RL trainers get their rewards from autoif's sandbox, through the trainer's own interface for reward functions. No export
runs model-written code in any other way.
"""

from collections.abc import Callable, Sequence
from typing import Final

from autoif.datasets.exports import (
    axolotl,
    llamafactory,
    nemo_gym,
    open_instruct,
    openai,
    parquet,
    trl,
    verifiers,
    verl,
)
from autoif.datasets.exports.files import File
from autoif.datasets.rows import RowSets

Exporter = Callable[[RowSets], Sequence[File]]

EXPORTERS: Final[dict[str, Exporter]] = {
    "trl": trl.export,
    "llamafactory": llamafactory.export,
    "axolotl": axolotl.export,
    "openai": openai.export,
    "verl": verl.export,
    "parquet": parquet.export,
    "open-instruct": open_instruct.export,
    "nemo-gym": nemo_gym.export,
    "verifiers": verifiers.export,
}
"""The export functions, by the name that `autoif export --to` takes."""
