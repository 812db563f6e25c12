"""Sources that carry what they use: the helpers that a function calls stand before it, so that it needs nothing else.

    carry("def evaluate(response):\\n    return len(get_words(response)) > 9")    # the helpers, then the function
    uncarry(carried)                                         # the function again
    fold(carried)                                            # the same, with a comment for each helper that it calls

A helper comes with the helpers and constants that it needs itself, in the order of the vocabulary, and nothing more. A
source that defines a name of the vocabulary keeps its own; if a carried helper needs the vocabulary's, that one gets
another name. Text in, text out: nothing that a model wrote is compiled here.
"""

import ast
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib import resources

from autoif.reading.python_tokens import TokenKind, cut_tokens

_BEGIN = "# Helpers that evaluate() calls, from autoif's vocabulary:\n"
_END = "# (end of the helpers)\n"
_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*")
_IN_BRACES = re.compile(r"\{([^{}]*)\}")
_DEFINED = re.compile(r"\b(?:def|class|as)[ \t]+(\w+)")
_ASSIGNED = re.compile(r"(?<![\w.])([^\W\d]\w*)[ \t]*(?::[^=\n():]{1,60})?:?=(?!=)")
_LISTED = re.compile(r"\b(?:for|import)[ \t]+([\w, \t]{1,200})")
_FUTURE = re.compile(r"^from[ \t]+__future__[ \t]+import[^\n]*(?:\n|\Z)", re.MULTILINE)
_IMPORT = re.compile(
    r"^([ \t]*)from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([\w,\s]{1,2000}\)|[\w, \t]{1,2000})(?:#[^\n]*)?$",
    re.MULTILINE,
)
_STAR = re.compile(r"^([ \t]*)from[ \t]+([\w.]+)[ \t]+import[ \t]+\*[ \t]*(?:#[^\n]*)?$", re.MULTILINE)
_HELPERS_MODULE = re.compile(r"(?:autoif\.)?(?:\w+_)?(?:vocabulary|helpers?|utils?|functions)(?:_\w+)?\Z")
"""What a writer takes the helpers' module to be called."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A helper or constant of the vocabulary."""

    source: str
    uses: frozenset[str]
    """Names in it."""
    description: str = ""
    """Signature and meaning, of a helper that functions may call."""


@cache
def _read_vocabulary() -> dict[str, _Piece]:
    """Return the pieces of the vocabulary by name, each after those that it needs at once."""
    pieces: dict[str, _Piece] = {}
    for module in ("words", "layout"):
        text = resources.files("autoif.vocabulary").joinpath(f"{module}.py").read_text(encoding="utf-8")
        lines = text.split("\n")
        for node in ast.parse(text).body:
            uses = frozenset(each.id for each in ast.walk(node) if isinstance(each, ast.Name))
            *before, last = lines[node.lineno - 1 : node.end_lineno]
            source = "\n".join([*before, last.encode()[: node.end_col_offset].decode()])
            match node:
                case ast.FunctionDef(name=name):
                    pieces[name] = _Piece(source, uses, "" if name.startswith("_") else _describe(node))
                case ast.Assign(targets=[ast.Name(id=name)]):
                    pieces[name] = _Piece(source, uses)
    return pieces


def _describe(node: ast.FunctionDef) -> str:
    defaults = [f"={ast.unparse(each)}" for each in node.args.defaults]
    names = [each.arg for each in node.args.args]
    optional = [""] * (len(names) - len(defaults)) + defaults
    signature = ", ".join(name + default for name, default in zip(names, optional, strict=True))
    return f"{node.name}({signature}): {ast.get_docstring(node)}"


def describe_vocabulary(examples: bool = True) -> str:
    """Return what the writer is told: of each helper a line with its signature, its meaning and an example."""
    told = {name: piece.description for name, piece in _read_vocabulary().items() if piece.description}
    return "\n".join(said if examples else said.rpartition(f": {name}(")[0] for name, said in told.items())


def carry(source: str) -> str:
    """Return the source with the helpers that it calls and doesn't define put before it; as it is if it calls none."""
    source = _IMPORT.sub(_drop_import, source)
    pieces = _read_vocabulary()
    used, own = _read_names(source)
    wanted = [name for name in pieces if name in used - own and pieces[name].description]
    if not wanted:
        return source
    source = _STAR.sub(_drop_star, source)
    carried = _gather(wanted)
    modules = {"re", "json", "unicodedata"} & {name for each in carried for name in pieces[each].uses}
    imports = "".join(f"import {name}\n" for name in sorted(modules))
    code = imports + "\n".join(f"\n{pieces[name].source}\n" for name in carried)
    for name in carried:
        if name in own:
            code = re.sub(rf"\b{name}\b", f"_autoif_{name.lstrip('_')}", code)
    return f"{''.join(_FUTURE.findall(source))}{_BEGIN}{code}{_END}{_FUTURE.sub('', source)}"


def uncarry(source: str) -> str:
    """Return the source without the helpers that `carry` put before it; any other source as it is.

    Only the vocabulary's own code is left out: a model can't hide code of its own between the same marks.
    """
    before, begin, rest = source.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    return before + after if begin and end and carry(before + after) == source else source


def fold(source: str) -> str:
    """Return the source with a line for each helper that it calls and carries, instead of the helpers' code."""
    bare = uncarry(source)
    if bare == source:
        return source
    pieces = _read_vocabulary()
    used, own = _read_names(bare)
    described = (piece.description for name, piece in pieces.items() if name in used - own and piece.description)
    before = source.partition(_BEGIN)[0]
    return before + "".join(f"# {each}\n" for each in described) + bare[len(before) :]


def _gather(wanted: list[str]) -> list[str]:
    """Return these names and all that they need, in the order of the vocabulary."""
    pieces = _read_vocabulary()
    found: set[str] = set()
    ahead = list(wanted)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += pieces[name].uses & pieces.keys()
    return [name for name in pieces if name in found]


def _drop_import(match: re.Match[str]) -> str:
    """Leave out an import of nothing but helpers, also by other names: there is no such module where functions run.

    An import of anything else stays as it is, and fails where it has to.
    """
    indent, _, listed = match.groups()
    helpers = {name for name, piece in _read_vocabulary().items() if piece.description}
    parts = [part.split() for part in listed.strip("()").split(",") if part.strip()]
    if not parts or not all(_is_helper(part, helpers) for part in parts):
        return match[0]
    renamed = [f"{part[2]} = {part[0]}" for part in parts if len(part) == 3 and part[2] != part[0]]
    return indent + ("; ".join(renamed) or "pass")


def _drop_star(match: re.Match[str]) -> str:
    """Leave out an import of everything from what must be the helpers' module: any name of it that is left fails."""
    indent, module = match.groups()
    taken = module.split(".")[0] in sys.stdlib_module_names or not _HELPERS_MODULE.match(module)
    return match[0] if taken else f"{indent}pass"


def _is_helper(part: list[str], helpers: set[str]) -> bool:
    """Tell whether a part of an import is a helper, by its name or renamed."""
    return part[0] in helpers and (len(part) == 1 or (len(part) == 3 and part[1] == "as"))


def _read_names(source: str) -> tuple[set[str], set[str]]:
    """Return the names that a source uses, and those that it defines itself, anywhere in it.

    Names in comments and literals don't count, but for what an f-string has in braces.
    """
    code, formatted = [], []
    prefix = ""
    for token in cut_tokens(source):
        if token.kind is TokenKind.OTHER:
            code.append(token.text)
        elif token.kind is not TokenKind.COMMENT:
            code.append('""')
            if re.search(r"(?<!\w)(?:f|fr|rf)\Z", prefix, re.IGNORECASE):
                formatted += _IN_BRACES.findall(token.text)
        prefix = token.text[-3:] if token.kind is TokenKind.OTHER else ""
    text = "".join(code)
    defined = {*_DEFINED.findall(text), *_ASSIGNED.findall(text)}
    for listed in _LISTED.findall(text):
        defined.update(_NAME.findall(listed.partition(" in ")[0]))
    return {*_NAME.findall(text), *_NAME.findall(" ".join(formatted))}, defined
