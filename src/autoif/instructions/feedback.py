"""§3.2, the feedback that the writer gets on a faulty function: the error and its line, or texts that show the fault.

All of it comes from the sandbox. It is short and holds no path of this machine. To find the line of an error, a few
lines of code (`_TRACER`) are appended to the function: they name the last place of the traceback in its own source.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from autoif.instructions.observation import Behaviour
from autoif.judging import Runner
from autoif.records import Function, FunctionFault, Verdict
from autoif.sandbox.outcomes import Outcome
from autoif.vocabulary import fold

_SHOWN_CHARACTERS = 300
_PATH = re.compile(r"(?<![\w.])/(?:[\w.+@~-]+/)+[\w.+@~-]*")
_LINE = re.compile(r"\((?:function, )?line (\d{1,6})\)\Z")
_TRACED = re.compile(r"RuntimeError: line (\d{1,6}): (.*)", re.DOTALL)
_WORDS = {
    Verdict.TIMEOUT: "it takes too long",
    Verdict.MEMORY: "it takes too much memory",
    Verdict.CRASH: "it ends its process",
}

_TRACER = """
_untraced = evaluate
def evaluate(response):
    try:
        return _untraced(response)
    except Exception as error:
        place, line = error.__traceback__, 0
        while place is not None:
            if place.tb_frame.f_code.co_filename == evaluate.__code__.co_filename and place.tb_lineno <= {lines}:
                line = place.tb_lineno
            place = place.tb_next
        raise RuntimeError(f"line {{line}}: {{type(error).__name__}}: {{error}}") from None
"""
"""Appended to a function within the sandbox, so that errors name a line of the function."""


@dataclass(frozen=True, slots=True)
class Faulty:
    """A function to send back to the writer, and the texts that show its fault."""

    place: int
    fault: FunctionFault
    shown: tuple[int, ...] = ()
    """Places of these texts."""


async def describe_fault(faulty: Faulty, function: Function, behaviour: Behaviour, sandbox: Runner) -> str:
    """Return the feedback on a fault: without a path of this machine, and of limited length."""
    row = behaviour.outcomes[faulty.place]
    if faulty.fault is FunctionFault.DOES_NOT_LOAD:
        return f"The function can't be loaded: {_describe_error(row[0].detail, function)}"
    texts = [behaviour.texts[at].text for at in faulty.shown]
    if faulty.fault is FunctionFault.STANDS_ALONE:
        lines = [
            f"- It returns {row[at].verdict is Verdict.PASS} for {_show(behaviour.texts[at].text)}"
            for at in faulty.shown
        ]
        return "\n".join(["Most other functions for this instruction return the opposite for these texts:", *lines])
    found = await _trace(function, texts, [row[at] for at in faulty.shown], sandbox)
    lines = [f"- For {_show(text)}: {error}" for text, error in zip(texts, found, strict=True)]
    return "\n".join(["The function fails on these texts, where it should return True or False:", *lines])


async def _trace(function: Function, texts: Sequence[str], outcomes: Sequence[Outcome], sandbox: Runner) -> list[str]:
    """Return in words what a function did on each text, errors with their lines where these can be found."""
    lines = function.source.count("\n") + 1
    raising = [text for text, outcome in zip(texts, outcomes, strict=True) if outcome.verdict is Verdict.ERROR]
    [traced] = await sandbox.run_many([(f"{function.source}\n{_TRACER.format(lines=lines)}", raising)])
    found = {text: _TRACED.fullmatch(outcome.detail) for text, outcome in zip(raising, traced, strict=True)}
    described = []
    for text, outcome in zip(texts, outcomes, strict=True):
        match = found.get(text)
        detail = f"{match[2]} (line {match[1]})" if match and match[1] != "0" else outcome.detail
        described.append(_WORDS.get(outcome.verdict) or _describe_error(detail, function))
    return described


def _describe_error(detail: str, function: Function) -> str:
    """Return an error without paths, with the line of the source that it names, numbered as the writer sees it."""
    message = _PATH.sub("…", detail.removeprefix("does not load: ")) or "it gives no verdict"
    named = _LINE.search(message)
    if not named:
        return message
    whole, shown = function.source.split("\n"), show_source(function).split("\n")
    line = int(named[1]) - 1
    if line not in range(len(whole)):
        return message
    number = next(
        (
            at + 1
            for at in (line - len(whole) + len(shown), line)
            if at in range(len(shown)) and shown[at] == whole[line]
        ),
        None,
    )
    message = f"{message[: named.start()].rstrip()}{message[named.end() :]}"
    place = f"line {number}" if number else "in a helper"
    return f"{message}\n  {place}: {whole[line].strip()[:_SHOWN_CHARACTERS]}"


def show_source(function: Function) -> str:
    """Return the source as the writer sees it: without the helpers that it carries and without leading blank lines.

    Line numbers may therefore differ.
    """
    return fold(function.source).lstrip("\n")


def are_alike(one: Function, other: Function) -> bool:
    """Tell whether two functions are the same but for comments on lines of their own and blank lines around them."""
    bare = ([line for line in show_source(each).split("\n") if not line.startswith("#")] for each in (one, other))
    first, second = ("\n".join(lines).strip() for lines in bare)
    return first == second


def _show(text: str) -> str:
    """Return a text as a string in quotes on one line, its middle left out if it is long."""
    half = _SHOWN_CHARACTERS // 2
    if len(text) <= _SHOWN_CHARACTERS:
        return json.dumps(text, ensure_ascii=False)
    begin, end = json.dumps(text[:half], ensure_ascii=False), json.dumps(text[-half:], ensure_ascii=False)
    return f"{begin} … {end} ({len(text):,} characters)"
