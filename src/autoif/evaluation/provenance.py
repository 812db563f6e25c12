"""Which model is measured, and whether the prompts were held out of its training.

A folder that `autoif train` made names its training data and its base model in training.json, and so may the base
model's folder. All data along this chain is checked, and what the user names in addition.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from autoif.datasets.split import Source, find_overlap, read_sources, refuse_overlap
from autoif.errors import ConfigError, StoreError, needing_extra
from autoif.models.catalog import find_weights
from autoif.models.endpoint import Endpoint
from autoif.records import Record
from autoif.runs.whole_files import digest_file
from autoif.sampling.backends import Backend, choose_backend
from autoif.training.card import RECORD, read_record


class Seen(Record):
    """How much of the prompts was in training data. They were held out if all is zero and nothing is unknown."""

    checked: tuple[str, ...] = ()
    """Training data that was checked."""
    unknown: tuple[str, ...] = ()
    """Why other training data could not be checked."""
    instructions: int = 0
    queries: int = 0
    functions: int = 0

    def describe(self) -> str:
        """Return in one line whether the prompts were held out."""
        if self.instructions or self.queries or self.functions:
            return (
                f"NOT HELD OUT: {self.instructions} instructions, {self.queries} queries and {self.functions} "
                f"functions of these prompts are in {', '.join(self.checked)}"
            )
        if self.unknown:
            return f"held out is not proven: {'; '.join(self.unknown)}"
        if self.checked:
            return f"held out of {', '.join(self.checked)}: no instruction, query or function in common"
        return "no training data known: nothing to be held out of"


def check_held_out(model: str, asked: Sequence[Source], unseen_by: Sequence[Path]) -> Seen:
    """Return how much of the prompts was in the training data of a model.

    Args:
        model: a folder; or a name or "", for which no training data is known.
        asked: where the prompts come from.
        unseen_by: training data, files or run folders, that must share nothing with the prompts.

    Raises:
        ConfigError: `unseen_by` does share something with them.
    """
    refuse_overlap(unseen_by, asked)
    checked, unknown, trained = [str(data) for data in unseen_by], list[str](), list[Source]()
    for folder in _trained_folders(Path(model)) if model else ():
        try:
            data, rows = _read_training_data(folder)
            checked.append(str(data))
            trained += rows
        except (StoreError, ConfigError) as error:
            unknown.append(str(error))
    overlap = find_overlap(trained, asked)
    return Seen(
        checked=tuple(dict.fromkeys(checked)),
        unknown=tuple(dict.fromkeys(unknown)),
        instructions=len(overlap.instructions),
        queries=len(overlap.queries),
        functions=overlap.functions,
    )


def identify_policy(model: str, backend: Backend) -> str:
    """Return the identity of what answers: a hash of the model or its name at an endpoint, and the backend.
    Raises ConfigError: reading a model needs the extra `train`."""
    chosen = choose_backend(backend, model)
    if isinstance(chosen, Endpoint):
        return f"{chosen.identity}, endpoint"
    if chosen == "llama":
        return f"{find_weights(model).revision}, llama"
    with needing_extra("train", "a model that no endpoint serves"):
        from autoif.sampling.policy import check_model
        from autoif.training.identity import identify_model
    check_model(model)
    return f"{identify_model(model, None, None).content}, {chosen}"


def _trained_folders(folder: Path) -> Iterator[Path]:
    """Yield a folder if `autoif train` made it, then that of its base model, and so on."""
    known = set[Path]()
    while folder.resolve() not in known and (folder / RECORD).is_file():
        known.add(folder.resolve())
        yield folder
        try:
            folder = Path(read_record(folder)["model"]["name"])  # type: ignore[index]  # a missing one is caught below
        except (StoreError, KeyError, TypeError):
            return  # the caller reads the record as well, and reports it


def _read_training_data(folder: Path) -> tuple[Path, list[Source]]:
    """Return the file that a model was trained on, and the sources of its rows.

    Raises:
        StoreError, ConfigError: the file isn't known, is missing or was changed, or its rows don't tell their source.
    """
    record = read_record(folder)
    try:
        data, digest = Path(record["data"]["file"]), record["data"]["sha256"]  # type: ignore[index]
    except (KeyError, TypeError):
        raise StoreError(f"{folder / RECORD} doesn't name the training data") from None
    try:
        found = digest_file(data)
    except OSError as error:
        raise StoreError(f"{data}, which {folder} was trained on, can't be read: {error.strerror}") from None
    if found != digest:
        raise StoreError(f"{data} is not any more what {folder} was trained on")
    return data, read_sources(data)
