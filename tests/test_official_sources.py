"""The vendored checkers are their authors' files, but for the changes that SOURCES.md names."""

import hashlib
import re
from pathlib import Path

import pytest

from autoif.evaluation import official

FOLDER = Path(official.__file__).parent
SOURCES = (FOLDER / "SOURCES.md").read_text(encoding="utf-8")
HASHES = dict(re.findall(r"^\| `(\w+/\w+\.py)` \| `(\w{64})` \|$", SOURCES, re.MULTILINE))

RANDOM = ("from autoif.evaluation.official.surroundings import DRAWS as random\n", "import random\n")
SURROUNDINGS = ("from autoif.evaluation.official import surroundings\n", "")
SPLITTER = ("surroundings.make_splitter()", 'nltk.data.load("nltk:tokenizers/punkt/english.pickle")')
DATA_PATH = """\
# Set NLTK data path to local directory before importing nltk
_nltk_data_dir = Path(__file__).parent / ".nltk_data"
_nltk_data_dir.mkdir(exist_ok=True)
os.environ.setdefault("NLTK_DATA", str(_nltk_data_dir))

import nltk

nltk.data.path.insert(0, str(_nltk_data_dir))
"""
DOWNLOAD_2026 = '''\
def download_nltk_resources():
    """Download 'punkt' and 'stopwords' if not already installed"""
    try:
        nltk.data.find("tokenizers/punkt")
    except LookupError:
        nltk.download("punkt", quiet=True)
    try:
        nltk.data.find("tokenizers/punkt_tab")
    except LookupError:
        nltk.download("punkt_tab", quiet=True)
    try:
        nltk.data.find("corpora/stopwords")
    except LookupError:
        nltk.download("stopwords", quiet=True)
    try:
        nltk.data.find("taggers/averaged_perceptron_tagger_eng")
    except LookupError:
        nltk.download("averaged_perceptron_tagger_eng", quiet=True)


download_nltk_resources()
'''
DOWNLOAD_2025 = '''\
def download_nltk_resources():
    """Download all required NLTK resources quietly at startup."""
    resources = [
        ("tokenizers/punkt", "punkt"),
        ("tokenizers/punkt_tab", "punkt_tab"),
        ("taggers/averaged_perceptron_tagger_eng", "averaged_perceptron_tagger_eng"),
        ("corpora/stopwords", "stopwords"),
    ]
    for path, name in resources:
        try:
            nltk.data.find(path)
        except LookupError:
            nltk.download(name, quiet=True)


download_nltk_resources()
'''
SPLIT, LETTERS = "\n\ndef split_into_sentences", "\n\n_ALPHABETS"
NEWER_WORDS = re.search(
    r"^WORD_LIST = \[\n.*?^\].*?$",
    (FOLDER / "ifbench_2026" / "instructions_util.py").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
assert NEWER_WORDS
WORDS = ("from autoif.evaluation.official.ifbench_2026.instructions_util import WORD_LIST", NEWER_WORDS[0])
CHANGES = {
    "ifbench_2026": {
        "instructions.py": [RANDOM, ("import nltk\n", DATA_PATH), ("from . import", "from ifbench import")],
        "classic_instructions.py": [
            RANDOM,
            ("import logging\n", "from absl import logging\n"),
            ("from . import", "from ifbench import"),
            ("from .instructions import", "from ifbench.instructions import"),
        ],
        "instructions_registry.py": [("from . import", "from ifbench import")],
        "instructions_util.py": [
            SURROUNDINGS,
            RANDOM,
            ("\nimport nltk\n", "\nimport immutabledict\nimport nltk\n"),
            ("dict({", "immutabledict.immutabledict({"),
            (SPLIT, DOWNLOAD_2026 + SPLIT),
            SPLITTER,
        ],
    },
    "ifbench_2025": {
        "instructions.py": [RANDOM, ("from . import", "from if_verifiable.ifbench import")],
        "instructions_registry.py": [("from . import", "from if_verifiable.ifbench import")],
        "instructions_util.py": [SURROUNDINGS, RANDOM, WORDS, (LETTERS, DOWNLOAD_2025 + LETTERS), SPLITTER],
    },
}
"""What we changed: our text and the original's, each there once."""
FILES = [f"{folder}/{name}" for folder, files in CHANGES.items() for name in files]


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_the_named_changes_undone_is_the_authors(name):
    text = (FOLDER / name).read_bytes().decode()
    folder, file = name.split("/")
    for ours, theirs in CHANGES[folder][file]:
        assert text.count(ours) == 1, ours
        text = text.replace(ours, theirs)
    assert hashlib.sha256(text.encode()).hexdigest() == HASHES[name]


def test_every_vendored_file_is_pinned_and_under_the_licence():
    there = {str(path.relative_to(FOLDER)) for path in FOLDER.glob("ifbench_*/*.py") if path.stat().st_size}
    assert there == set(FILES) == set(HASHES)
    assert "Apache License" in (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert "db69a6f05689830b0068b8f1529ebcfd2f3b164c" in SOURCES
