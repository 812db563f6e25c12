"""Hypothesis strategies for source code: random programs, real functions with mistakes in them, and no code at all."""

import json
import re
from functools import reduce
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

RECORDED: Final = Path(__file__).parent.parent / "data/verifiers/autoif_llama3_jwrobins94/functions.jsonl"

NAMES: Final = ("response", "a", "b", "evaluate", "len", "sorted", "os", "re")
LITERALS: Final = (
    "0",
    "1",
    "-1",
    "2.5",
    "1e400",
    "10 ** 30",
    "'x'",
    "''",
    "b'\\xff'",
    "'\\ud800'",
    "None",
    "True",
    "...",
)
OPERATORS: Final = ("+", "-", "*", "//", "%", "<", "==", "is", "in", "and", "or", "|", "@", "<<")
CALLS: Final = (
    "len({0})", "str({0})", "sorted({0})", "{0}.split({1})", "{0}.lower()", "re.findall({0}, {1})", "int({0})",
    "getattr({0}, str({1}))", "vars({0})", "type({0})({1})", "map({0}, {1})", "open({0})", "eval({0})",
    "os.write(1, {0})", "os._exit({0})", "os.kill(os.getpid(), {0})", "os.fork()", "setattr({0}, 'a', {1})",
    "exec(str({0}))", "exit({0})",
    "__import__({0})", "range(10 ** 7)", "[{0}] * 10 ** 6", "{0}({1})", "{0}[{1}]", "{0}.a", "[a for a in {0}]",
    "{{{0}: {1}}}", "({0}, {1})", "(lambda a: {0})({1})", "f'{{{0}!r:>9}}'", "({0} if {1} else a)", "str.upper({0})",
)  # fmt: skip
IMPORTS: Final = ("re", "os", "sys", "json", "ctypes", "threading", "nothing", "this", "builtins as a", "gc", "socket")

ENDINGS: Final = (
    "return True", "return response == a", "raise ValueError(response)", "raise SystemExit", "raise MemoryError",
    "assert 0", "del a", "global a", "nonlocal b", "yield a", "while a: pass", "await b",
)  # fmt: skip


def expressions() -> st.SearchStrategy[str]:
    def extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        calls = st.builds(str.format, st.sampled_from(CALLS), inner, inner)
        return calls | st.builds("({} {} {})".format, inner, st.sampled_from(OPERATORS), inner)

    return st.recursive(st.sampled_from(NAMES + LITERALS), extend, max_leaves=6)


def indent(block: list[str]) -> list[str]:
    return ["    " + line for line in block] or ["    pass"]


def statements() -> st.SearchStrategy[list[str]]:
    """Return blocks: lists of lines without indentation."""
    value, name = expressions(), st.sampled_from(NAMES)
    simple = st.one_of(
        value,
        st.builds("return {}".format, value),
        st.builds("return bool({})".format, value),
        st.builds("{} = {}".format, name, value),
        st.builds("raise {}".format, value),
        st.builds("import {}".format, st.sampled_from(IMPORTS)),
        st.sampled_from(ENDINGS),
    ).map(lambda line: [line])

    def nest(inner: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
        head = st.one_of(
            st.builds("if {}:".format, value),
            st.builds("for {} in {}:".format, name, value),
            st.builds("with {} as {}:".format, value, name),
            st.builds("def {}({}, *b):".format, name, name),
            st.builds("class {}({}):".format, name, value),
            st.builds("async def {}():".format, name),
        )
        guarded = st.builds(
            lambda body, other: ["try:", *indent(body), "except BaseException as a:", *indent(other)], inner, inner
        )
        both = st.builds(lambda one, other: one + other, inner, inner)
        return st.one_of(st.builds(lambda first, body: [first, *indent(body)], head, inner), guarded, both)

    return st.recursive(simple, nest, max_leaves=6)


def programs() -> st.SearchStrategy[str]:
    """Return sources that mostly compile and mostly define `evaluate`."""
    heads = st.sampled_from(("def evaluate(response):",) * 9 + ("async def evaluate(a):", "class evaluate:"))
    start = ["import os, re", "response, a, b = 'x', 1, [0]"]
    return st.builds(
        lambda top, head, local, body: "\n".join([*start, *top, head, *indent(["b = response", *local, *body])]),
        st.lists(st.builds("{} = {}".format, st.sampled_from(NAMES), expressions()), max_size=1),
        heads,
        st.lists(st.builds("a = {}".format, expressions()), max_size=2),
        statements(),
    )


def read_recorded() -> list[str]:
    """Return functions that a model wrote."""
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


PIECES: Final = (
    "",
    "\n",
    "    ",
    "(",
    ")",
    ":",
    "'",
    "\\",
    "0",
    "not ",
    "*",
    "return ",
    "\0",
    "\ud800",
    "=",
    "while 1",
)
WORDS: Final = re.compile(r"[A-Za-z_]\w*|\d+|[<>=!]=|[-+*/%<>]")


def overwrite(source: str, place: float, insert: str) -> str:
    """Return the source with a few characters at `place` (0 to 1) replaced."""
    at = int(place * len(source))
    return source[:at] + insert + source[at + len(insert) :]


def swap(source: str, place: float, by: float) -> str:
    """Return the source with a word, number or operator replaced by another one of its kind: it mostly loads."""
    found = list(WORDS.finditer(source))
    word = found[int(place * (len(found) - 1))]
    alike = [each for each in found if each[0][0].isalpha() == word[0][0].isalpha()]
    return source[: word.start()] + alike[int(by * (len(alike) - 1))][0] + source[word.end() :]


def mutants(sources: list[str]) -> st.SearchStrategy[str]:
    """Return real functions with one to three places changed."""
    place = st.floats(0, 1)
    wild = st.builds(lambda at, insert: lambda source: overwrite(source, at, insert), place, st.sampled_from(PIECES))
    mild = st.builds(lambda at, by: lambda source: swap(source, at, by), place, place)
    edits = st.lists(mild, min_size=1, max_size=3) | st.lists(wild, min_size=1, max_size=2)
    return st.builds(
        lambda source, edits: reduce(lambda text, edit: edit(text), edits, source), st.sampled_from(sources), edits
    )


def texts() -> st.SearchStrategy[str]:
    """Return any text that JSON can hold, lone surrogates and controls included."""
    return st.text(st.characters(codec=None, categories=None), max_size=40)


def debris() -> st.SearchStrategy[str]:
    """Return what is no code: any text, and any bytes read as text."""
    return texts() | st.binary(max_size=300).map(lambda data: data.decode("latin-1"))
