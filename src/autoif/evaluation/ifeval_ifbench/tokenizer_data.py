"""The data with which the checkers split and tag text: found on this machine, or fetched once, never during a run.

    tokenizers/punkt_tab                        sentences (IFEval, IFBench)
    corpora/stopwords                           IFBench's ratio:stop_words
    taggers/averaged_perceptron_tagger_eng      IFBench's words:start_verb

The first two are taken from a wheel on the Python package index, which is read but not installed; the last is only
available from NLTK's own server.
"""

import hashlib
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from autoif.errors import ConfigError
from autoif.messages import Say
from autoif.models.download import models_folder
from autoif.models.sources import Unavailable, open_wheel
from autoif.runs.whole_files import storage_errors

PUNKT, STOPWORDS = "tokenizers/punkt_tab", "corpora/stopwords"
TAGGER = "taggers/averaged_perceptron_tagger_eng"
WHEEL = "llama-index-core==0.14.25"
_INSIDE = "llama_index/core/_static/nltk_cache/"
_ENGLISH = f"{PUNKT}/english"
_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MEMBERS = {
    f"{STOPWORDS}/english": "f6d005956f407dbc6ea32e5ff0c7e8e6f71488d3239b9023efdc7fc139d6375b",
    f"{_ENGLISH}/abbrev_types.txt": "92a3e070f43d9b4c5534758ca40ad7343b04e7e29bfe0c2eb658a39445a4f779",
    f"{_ENGLISH}/collocations.tab": "8e2da1225e4dd2cc9dba261ee231ccb134859e21b46006e7f472c5ee269af0cf",
    f"{_ENGLISH}/ortho_context.tab": "4bbcca25ed3d3f06c02402abf8419b9f033b8adc06e7b482eca4e45f81a5dc4c",
    f"{_ENGLISH}/sent_starters.txt": "f3f8535483e1dba487241b764945168123bca3209a9645e59acd1225dc76edac",
}
"""Files of the wheel, with their SHA-256."""


def data_folder() -> Path:
    """Return the folder for fetched data: `nltk` beside the models. It need not exist."""
    return models_folder().parent / "nltk"


def find_data(needed: Iterable[str]) -> list[str]:
    """Return the folders to search, if they have all that is needed: $NLTK_DATA, fetched data, NLTK's default folders.
    Raises ConfigError: something is missing, or is only in a place that others may write to, which NLTK refuses."""
    named = [Path(each) for each in os.environ.get("NLTK_DATA", "").split(os.pathsep) if each]
    folders = [*named, data_folder(), Path.home() / "nltk_data", Path(sys.prefix) / "nltk_data"]
    missing = [name for name in needed if not has_data(folders, name)]
    if refused := next((each for name in missing for each in folders if _find(each, name)), None):
        raise ConfigError(
            f"{refused} belongs to somebody else, or others may write to it, and NLTK reads no such data: run "
            f"`chmod -R go-w {refused}`, or set AUTOIF_CACHE to a folder of your own and run `autoif eval fetch`"
        )
    if missing:
        raise ConfigError(
            f"the checkers need {', '.join(missing)}: run `autoif eval fetch` once, "
            "or set NLTK_DATA to a folder that has it"
        )
    return [str(folder) for folder in folders if folder.is_dir()]


def has_data(folders: Iterable[str | Path], name: str) -> bool:
    """Tell whether one of the folders has this data in a place from which NLTK reads it."""
    return any(_is_own(Path(folder), place) for folder in folders if (place := _find(Path(folder), name)))


def _find(folder: Path, name: str) -> Path | None:
    places = (folder / name, folder / f"{name}.zip")
    return next((place for place in places if place.exists()), None)


def _is_own(folder: Path, place: Path) -> bool:
    """Tell whether only this user and root may change a place in a folder, which is NLTK's own rule.

    NLTK acts as if data that it refuses did not exist. A checker would then fail, which would count as "not followed".
    """
    above = [each for each in place.parents if each.is_relative_to(folder)]
    found = (each.stat() for each in (*above, place, *place.rglob("*")))
    return all(each.st_uid in {os.geteuid(), 0} and not each.st_mode & _BY_OTHERS for each in found)


def fetch_data(say: Say) -> bool:
    """Fetch what is missing into `data_folder()`; return whether everything is there afterwards.
    Raises ConfigError: the wheel can't be downloaded, or its content has changed."""
    folder = data_folder()
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _make_own(folder)
        if not (has_data([folder], PUNKT) and has_data([folder], STOPWORDS)):
            _take_from_wheel(folder)
        say(f"{PUNKT} and {STOPWORDS}: {folder}")
        if not has_data([folder], TAGGER):
            import nltk

            nltk.download(TAGGER.rpartition("/")[2], download_dir=str(folder), quiet=True)
        _make_own(folder)
    found = has_data([folder], TAGGER)
    say(
        f"{TAGGER}: {folder}"
        if found
        else f"{TAGGER}: NLTK's data can't be reached; of all checkers only IFBench's words:start_verb needs it"
    )
    return found


def _make_own(folder: Path) -> None:
    """Remove the write permissions of others in the folder, which a umask for groups would give."""
    for each in (folder, *folder.rglob("*")):
        if each.stat().st_uid == os.geteuid():
            each.chmod(each.stat().st_mode & ~_BY_OTHERS)


def _take_from_wheel(folder: Path) -> None:
    try:
        with open_wheel(WHEEL) as archive:
            contents = {name: archive.read(_INSIDE + name) for name in _MEMBERS}
    except Unavailable as error:
        raise ConfigError(f"the package index doesn't deliver the tokenizer data: {error}") from None
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != _MEMBERS[name]:
            raise ConfigError(f"{name} of {WHEEL} is not what it was: set NLTK_DATA to a folder that has {PUNKT}")
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
