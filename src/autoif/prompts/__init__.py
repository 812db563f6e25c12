"""The prompts of the pipeline: one file each, in a folder a set (`paper`, `quickstart`); a user's file replaces one.

A prompt file is text in UTF-8. A line `[system]`, `[user]` or `[assistant]` begins a turn; a file without such lines is
one user turn. The system turn, if any, comes first, user and assistant (examples) take turns, and a user turn is last.
`nli_completion` is no chat but a text to be continued, and has no turns.

`{name}` stands for what the stage fills in. Braces around anything but a single word are braces, as in JSON;
`{{word}}` is written for a literal `{word}`.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from typing import Any, Literal, cast

from pydantic import Field, ValidationInfo, field_validator

from autoif.given_values import Settings
from autoif.models.text import holds_token
from autoif.reading.text_lines import expand_home

Turns = tuple[tuple[str, str], ...]
Name = Literal[
    "self_instruct",
    "verification",
    "repair",
    "discrimination",
    "back_translation",
    "responder",
    "revision",
    "scoring",
    "nli",
    "nli_completion",
]

DEFAULT = "paper"

PLACEHOLDERS: dict[Name, dict[str, str]] = {
    "self_instruct": {
        "examples": "seeds, one a line; the first is the one to rewrite",
        "count": "how many new instructions to write",
    },
    "verification": {
        "instruction": "the instruction",
        "instruction_for_quotes": "the instruction, its double quotation marks written as single ones",
        "cases": "how many cases to write",
        "vocabulary": "what functions may use: the helpers of `verification.vocabulary`, or the standard library alone",
        "vocabulary_briefly": "the same without examples",
        "answer_form": "the form of the answer, with the analysis that `verification.analysis` asks for, or without",
    },
    "repair": {
        "instruction": "the instruction",
        "instruction_for_quotes": "the instruction, its double quotation marks written as single ones",
        "code": "the source of the function",
        "feedback": "what is wrong with it: the error with its line, or the texts on which it differs from others",
        "vocabulary": "what functions may use, as for `verification`",
        "vocabulary_briefly": "the same without examples",
    },
    "discrimination": {
        "instruction": "the instruction",
        "response": "the text, between lines of back quotes that it can't end",
    },
    "back_translation": {"code": "the source of the function"},
    "responder": {
        "prompt": "the user turn of the training row: query and instruction as one message",
        "query": "the query alone",
        "instruction": "the instruction alone; of several, a line each",
    },
    "revision": {
        "prompt": "the user turn that was answered: query and instruction as one message",
        "query": "the query alone",
        "instruction": "the instruction alone",
        "response": "the answer, between lines of back quotes that it can't end",
    },
    "scoring": {
        "query": "the query",
        "response": "the response to score",
        "instruction": "the instruction; of several, a line each",
        "prompt": "query and instruction as one message",
    },
    "nli": {"premise": "the instruction", "hypothesis": "what a function demands, in words"},
    "nli_completion": {"premise": "the instruction", "hypothesis": "what a function demands, in words"},
}
"""What each prompt may name, with its meaning."""

_REQUIRED: dict[Name, tuple[frozenset[str], ...]] = {
    "self_instruct": (frozenset({"examples", "count"}),),
    "verification": (frozenset({"instruction"}), frozenset({"instruction_for_quotes"})),
    "repair": (
        frozenset({"instruction", "code", "feedback"}),
        frozenset({"instruction_for_quotes", "code", "feedback"}),
    ),
    "discrimination": (frozenset({"instruction", "response"}),),
    "back_translation": (frozenset({"code"}),),
    "responder": (frozenset({"prompt"}), frozenset({"query", "instruction"})),
    "revision": (frozenset({"instruction", "response"}), frozenset({"prompt", "response"})),
    "scoring": (frozenset({"query", "response"}), frozenset({"prompt", "response"})),
    "nli": (frozenset({"premise", "hypothesis"}),),
    "nli_completion": (frozenset({"premise", "hypothesis"}),),
}
"""What each prompt must name: all of one of these sets."""

_HEADING = re.compile(r"^\[(system|user|assistant)\][ \t]*$", re.MULTILINE)
_LIKE_HEADING = re.compile(r"^[ \t]*\[ ?(?:system|user|assistant) ?\][ \t]*:?[ \t]*$", re.MULTILINE | re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{\{([A-Za-z_]\w*)\}\}|\{([A-Za-z_]\w*)\}")
_MAX_CHARS = 100_000


@dataclass(frozen=True)
class PromptFile:
    """One prompt: where it comes from, and its text."""

    source: str
    """A set of the package, as in "paper", or the path of the user's file."""
    text: str

    @property
    def digest(self) -> str:
        """The 16 hexadecimal digits that identify the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def placeholders(self) -> frozenset[str]:
        """The placeholders that the text names."""
        return frozenset(match[2] for match in _PLACEHOLDER.finditer(self.text) if match[2])

    def fill(self, **values: object) -> Turns:
        """Return the turns as (role, content), placeholders replaced; what is put in is not searched for more."""
        return tuple((role, _fill(content, values)) for role, content in split_turns(self.text))

    def fill_text(self, **values: object) -> str:
        """Return a prompt without turns, placeholders replaced."""
        return _fill(self.text, values)

    def __str__(self) -> str:
        return self.source


@cache
def load_packaged(name: Name, chosen: str = DEFAULT) -> PromptFile:
    """Return a prompt of the package. Raises ValueError: the set has no such prompt."""
    file = resources.files(__name__) / chosen / f"{name}.txt"
    if not file.is_file():
        raise ValueError(f'the prompts "{chosen}" have no {name}: name a file, or "{DEFAULT}"')
    return _check(name, PromptFile(chosen, _tidy(file.read_text(encoding="utf-8"))))


def read_prompt(name: Name, given: object) -> object:
    """Return the prompt that a setting names, a set of the package or a file, or that a run.json holds.
    Raises ValueError: no such file, or its turns or placeholders are wrong; each is named."""
    if isinstance(given, dict) and isinstance(given.get("text"), str):
        return _check(name, PromptFile(str(given.get("source", "")), _tidy(given["text"])))
    if not isinstance(given, str):
        return given
    if given in prompt_sets():
        return load_packaged(name, given)
    path = expand_home(given)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{given}: not UTF-8; save the file as UTF-8") from None
    except (OSError, ValueError) as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or str(error)
        raise ValueError(f"{given}: {why}; name a prompt file, or one of {', '.join(prompt_sets())}") from None
    return _check(name, PromptFile(given, _tidy(text)))


def prompt_sets() -> list[str]:
    """Return the names of the sets of prompts in the package."""
    return sorted(entry.name for entry in resources.files(__name__).iterdir() if (entry / "verification.txt").is_file())


def split_turns(text: str) -> Turns:
    """Return (role, content) for each turn of a prompt file; a text without headings is a user turn."""
    parts = _HEADING.split(text)
    if len(parts) == 1:
        return (("user", text),)
    return tuple((role, content.strip()) for role, content in zip(parts[1::2], parts[2::2], strict=True))


def _tidy(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _check(name: Name, prompt: PromptFile) -> PromptFile:
    """Refuse a prompt whose turns or placeholders are wrong."""
    problems = [*_find_faults(name, prompt.text)]
    if problems:
        raise ValueError(f"{prompt.source}: {'; '.join(problems)}")
    return prompt


def _find_faults(name: Name, text: str) -> Iterable[str]:
    if len(text) > _MAX_CHARS:
        yield f"{len(text):,} characters; a prompt has at most {_MAX_CHARS:,}"
        return
    yield from _find_turn_faults(name, text)
    known = PLACEHOLDERS[name]
    used = PromptFile("", text).placeholders
    if unknown := sorted(used - known.keys()):
        yield (
            f"unknown placeholder {_braced(unknown)}: there are {_braced(known)}; "
            f"write {{{{{unknown[0]}}}}} for a literal {{{unknown[0]}}}"
        )
    required = _REQUIRED[name]
    if not any(each <= used for each in required):
        yield f"missing placeholder {' or '.join(_braced(sorted(each - used)) for each in required)}"


def _find_turn_faults(name: Name, text: str) -> Iterable[str]:
    headings = _HEADING.findall(text)
    if not text:
        yield "it is empty"
    elif name == "nli_completion":
        if headings:
            yield "it is a text to be continued, without [system], [user] or [assistant]"
        return
    if wrong := next((line for line in _LIKE_HEADING.findall(text) if not _HEADING.fullmatch(line)), ""):
        yield f"the line {wrong!r} begins no turn: write [system], [user] or [assistant] alone and in small letters"
    if holds_token(text):
        yield "it holds tokens of a chat template, which the server writes itself: begin turns with [system] or [user]"
    if headings:
        if not _HEADING.match(text):
            yield "there is text before the first turn: begin it with [system] or [user]"
        turns = headings[1:] if headings[0] == "system" else headings
        if not len(turns) % 2 or turns != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
            yield "turns are [system] first or not at all, then [user] and [assistant] in turn, [user] last"
        if not all(content for _, content in split_turns(text)):
            yield "a turn is empty"


def _fill(text: str, values: dict[str, object]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return f"{{{match[1]}}}"
        return str(values[match[2]])

    return _PLACEHOLDER.sub(replace, text)


def _braced(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)


def _packaged(name: Name) -> Any:
    return Field(default_factory=partial(load_packaged, name))


class Prompts(Settings):
    """What the models are asked: the name of a packaged set (docs/prompts.md), or the path of a prompt file.

    `autoif show --prompts` prints them.
    """

    self_instruct: PromptFile = _packaged("self_instruct")
    """§3.2: the writer invents instructions."""
    verification: PromptFile = _packaged("verification")
    """§3.2: the writer writes a function and cases."""
    repair: PromptFile = _packaged("repair")
    """§3.2, `verification.repairs`: the writer repairs a function."""
    discrimination: PromptFile = _packaged("discrimination")
    """§3.2, `verification.judge_samples` and `case_repairs`: does a text follow the instruction?"""
    back_translation: PromptFile = _packaged("back_translation")
    """§3.2: the writer describes a function."""
    responder: PromptFile = _packaged("responder")
    """§3.3: the responder answers."""
    revision: PromptFile = _packaged("revision")
    """§3.2, `contrast.revisions`: a model corrects its answer."""
    scoring: PromptFile = _packaged("scoring")
    """§3.3: the judge scores a response."""
    nli: PromptFile = _packaged("nli")
    """§3.2, without an NLI model: the judge labels a pair in chat."""
    nli_completion: PromptFile = _packaged("nli_completion")
    """The same for a server with plain completions: a text to continue."""

    @field_validator("*", mode="before")
    @classmethod
    def _read(cls, given: object, info: ValidationInfo) -> object:
        return read_prompt(cast(Name, info.field_name), given)

    def files(self) -> dict[Name, PromptFile]:
        """Return the prompts by name, in the order of the stages."""
        return {name: getattr(self, name) for name in PLACEHOLDERS}
