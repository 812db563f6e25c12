"""Sources that carry the helpers that they call, and are folded again for people and models."""

import json
import re
import subprocess
import sys

import pytest

from autoif import Sandbox
from autoif.records import Function, Verdict
from autoif.vocabulary import carry, describe_vocabulary, fold, uncarry

SHORT = "def evaluate(response):\n    return len(get_words(response)) == 2\n"


def defined(source: str) -> set[str]:
    return set(re.findall(r"^(?:def )?(\w+)(?=\(| = )", source, re.MULTILINE))


async def judge(source: str, *texts: str) -> list[Verdict]:
    async with Sandbox() as sandbox:
        return [outcome.verdict for outcome in await sandbox.run(source, list(texts))]


async def test_a_function_stands_alone_with_what_it_calls() -> None:
    assert await judge(carry(SHORT), "Hello, world!", "Hello") == [Verdict.PASS, Verdict.FAIL]
    assert await judge(SHORT, "Hello, world!") == [Verdict.ERROR]


def test_a_source_carries_what_it_calls_and_what_that_needs_and_no_more() -> None:
    assert defined(carry(SHORT)) == {
        "_ALONE",
        "_SAME",
        "_plain",
        "_marks",
        "_alone",
        "_letter",
        "get_words",
        "evaluate",
    }
    assert "import json" not in carry(SHORT)
    assert "import unicodedata" not in carry("def evaluate(response):\n    return is_json(response)\n")


@pytest.mark.parametrize(
    "source",
    [
        "def evaluate(response):\n    return True\n",
        "def evaluate(response):\n    # get_words(response)\n    return 'get_words(' in response\n",
        'def evaluate(response):\n    """Asks get_words(response)."""\n    return response.get_words()\n',
        "def evaluate(response):\n    return get_wordss(response) or my_get_words(response) or get_chars(response)\n",
        f"def get_words(text):\n    return text.split()\n\n{SHORT}",
        f"from mine import get_words, other\n{SHORT}",
        "def evaluate(response):\n    get_words = response.split\n    return len(get_words()) == 2\n",
        "get_words: object = str.split\ndef evaluate(response):\n    return get_words(response) == []\n",
        "import helpers as get_words\ndef evaluate(response):\n    return get_words.run(response)\n",
        "def evaluate(response):\n    return any(get_words for get_words in response)\n",
        "",
    ],
)
def test_a_source_that_calls_no_helper_or_has_its_own_stays_as_it_is(source: str) -> None:
    assert carry(source) == fold(source) == source


@pytest.mark.parametrize(
    "call",
    [
        "list(map(get_words, [response]))",
        "f'{len(get_words(response))}' == '2'",
        "(lambda text: get_words(text))(response)",
        "[word for word in get_words(response)]",
        "{'n': get_words}['n'](response)",
    ],
)
async def test_a_helper_is_carried_however_it_is_called(call: str) -> None:
    source = carry(f"def evaluate(response):\n    return bool({call})\n")
    assert await judge(source, "two words") == [Verdict.PASS]


async def test_its_own_words_and_the_helpers_words_dont_mix() -> None:
    """The function's `get_words`, `_plain` and `_ALONE` are its own; those of the helpers that it calls, too."""
    source = carry(
        "_ALONE = 1\n\ndef _plain(text):\n    return 'x'\n\ndef get_words(text):\n    return text.split()\n\n"
        "def evaluate(response):\n    return get_words(response) == ['Tea,', 'tea!'] and _plain('') == 'x'"
        " and get_first_word(response) == 'tea' and has_word(response, 'TEA') and _ALONE == 1\n"
    )
    assert await judge(source, "Tea, tea!") == [Verdict.PASS]


@pytest.mark.parametrize(
    "imported",
    [
        "from autoif.vocabulary import get_words\n",
        "from helpers import (\n    get_words,\n    get_lines,\n)\n",
        "from text_helpers import get_words, get_lines \n",
        "from helpers import get_words  # words\n",
        "from autoif.vocabulary import *\n",
        "from text_helpers import *  # all\n",
    ],
)
async def test_an_import_of_helpers_is_left_out(imported: str) -> None:
    assert await judge(carry(imported + SHORT), "two words") == [Verdict.PASS]
    indented = "".join(f"    {line}\n" for line in imported.splitlines())
    source = SHORT.replace("(response):\n", f"(response):\n{indented}")
    assert await judge(carry(source), "two words") == [Verdict.PASS]


async def test_future_imports_stay_first() -> None:
    for before in ("# a comment\n", '"""Checks."""\n', ""):
        source = carry(f"{before}from __future__ import annotations\n{SHORT}")
        assert await judge(source, "two words") == [Verdict.PASS]
        assert fold(source).endswith(f"{before}{SHORT}")
        assert carry(uncarry(source)) == source


@pytest.mark.parametrize(
    "source", [SHORT, SHORT + SHORT.replace("get_words", "get_lines"), f"import re\n\n{SHORT}\n\n"]
)
def test_carrying_twice_is_carrying_once_and_folding_gives_the_function(source: str) -> None:
    carried = carry(source)
    assert carry(carried) == carried
    assert uncarry(carried) == source
    folded = fold(carried)
    assert folded.endswith(source)
    assert all(line.startswith("# ") for line in folded.removesuffix(source).splitlines())
    assert folded.startswith("# get_words(text): Words without punctuation")


def test_nothing_but_the_vocabularys_own_code_is_folded() -> None:
    carried = carry(SHORT)
    changed = carried.replace("import re\n", "import re\nimport os\n")
    assert fold(changed) == uncarry(changed) == changed
    begin, end = carried.splitlines()[0], next(line for line in carried.splitlines() if "end of the helpers" in line)
    hidden = f"{begin}\nSECRET = 1\n{end}\n{SHORT}"
    assert fold(hidden) == hidden


def test_the_bytes_dont_depend_on_the_hash_seed() -> None:
    source = f"{SHORT}x = get_bold, get_emojis, is_json\n"
    code = f"from autoif.vocabulary import carry; print(carry({source!r}), end='')"
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    assert done.stdout == carry(source)


def test_carried_code_is_ascii_and_survives_json() -> None:
    everything = carry("x = " + ", ".join(line.split("(")[0] for line in describe_vocabulary().splitlines()))
    assert everything.isascii()
    assert json.loads(json.dumps(everything)) == everything


@pytest.mark.parametrize(
    "imported",
    [
        "from helpers import get_words as words\n",
        "from helpers import (\n    get_words as words,\n    get_lines as lines,\n)\n",
        "from autoif.vocabulary import get_lines, get_words as words\n",
    ],
)
async def test_a_helper_that_is_imported_by_another_name_goes_by_that(imported: str) -> None:
    body = "def evaluate(response):\n    return len(words(response)) == 2\n"
    indented = "".join(f"    {line}\n" for line in imported.splitlines())
    for source in (carry(imported + body), carry(body.replace("    return", f"{indented}    return"))):
        assert await judge(source, "two words", "three more words") == [Verdict.PASS, Verdict.FAIL]
        assert carry(uncarry(source)) == source


@pytest.mark.parametrize(
    "source",
    [
        f"from string import *\n{SHORT}",
        f"from mine import *\n{SHORT}",
        "from helpers import *\ndef evaluate(response):\n    return clean(response) == ''\n",
        f"from mine import get_words as words, other\n{SHORT}",
        f"from mine import other as get_words\n{SHORT}",
    ],
)
def test_an_import_of_what_may_be_something_else_stays(source: str) -> None:
    assert source.splitlines()[0] in carry(source).splitlines()


def test_a_functions_id_says_nothing_of_the_helpers_code() -> None:
    bare = "def evaluate(response):\n    return len(get_words(response)) > 9\n"
    assert Function.of(carry(bare)).id == Function.of(bare).id
