"""Mending source that lost its escapes: the source that was meant comes out, and whole source stays as it is."""

import ast
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.instructions.source_repair import mend_source

WHOLE = """\
import re

def evaluate(response):
    '''It isn't "easy"
    to read.'''
    lines = response.split('\\n')  # don't count the last
    pattern = r"\\b\\w+\\b"
    return len(lines) > 1 and "it's" not in response and bool(re.search(pattern, response))
"""

MENDED = {
    "escaped_newlines": (WHOLE.strip().replace("\\", "\\\\").replace("\n", "\\n"), WHOLE.strip()),
    "escaped_quotes": (
        "def f(r):\n    return r == \\'a\\' or \\\"b\\\" in r",
        "def f(r):\n    return r == 'a' or \"b\" in r",
    ),
    "lost_escape": ("import re\nx = re.compile('\x08a\x08|\x0c')", "import re\nx = re.compile('\\ba\\b|\\f')"),
    "broken_literal": ("x = r.split('\n')\ny = \"a\r\nb\"", "x = r.split('\\n')\ny = \"a\\r\\nb\""),
    "odd_characters": (
        "def f（r）：\n\u00a0\u00a0return r == “a” or '“\u00a0' in r  # a “b”",
        "def f(r):\n  return r == \"a\" or '“\u00a0' in r  # a “b”",
    ),
    "indented": ("\n    def f(r):\n        return r\n", "\ndef f(r):\n    return r\n"),
}


@pytest.mark.parametrize("kind", MENDED)
def test_each_kind_of_damage_is_mended_and_named(kind: str) -> None:
    damaged, whole = MENDED[kind]
    with pytest.raises(SyntaxError) if kind != "lost_escape" else pytest.MonkeyPatch.context():
        ast.parse(damaged)
    assert mend_source(damaged) == (whole, [kind])
    ast.parse(whole)


def test_whole_source_stays_as_it_is() -> None:
    assert mend_source(WHOLE) == (WHOLE, [])


@pytest.mark.parametrize(
    "source",
    [
        "def evaluate(response): return response == '\\n'",
        "def evaluate(response):\n    return response.count('it''s') # it's",
        "x = 1 + \\\n    2",
        "",
        "def f():\n    x = 'never closed\n    return x",
        "def f():\n    x = 'open\n    if x == 'closed':\n        return x",
    ],
)
def test_what_is_no_such_damage_is_left_alone(source: str) -> None:
    assert mend_source(source) == (source, [])


def test_source_longer_than_any_function_is_left_alone() -> None:
    source = "'\\" * 20_000
    assert mend_source(source) == (source, [])


@given(st.text())
def test_no_text_raises(text: str) -> None:
    mend_source(text)


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=5))
def test_any_literals_written_by_repr_survive(texts: list[str]) -> None:
    source = "\n".join(f"x = {text!r}" for text in texts)
    assert mend_source(source) == (source, [])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("source", ["'''" + "\\" * 60, '"""' + "\\'" * 9_000, "'''\\" * 4_000, "#'\n" * 6_000])
def test_a_literal_that_is_never_closed_takes_no_time(source: str) -> None:
    begin = time.process_time()
    mend_source(source)
    assert time.process_time() - begin < 10
