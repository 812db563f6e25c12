"""Finds who says what in a conversation, in any form in which data sets and exports keep conversations.

| form                                                | as in                                |
|-----------------------------------------------------|--------------------------------------|
| {"from": "human", "value": …}, {"role", "content"}  | ShareGPT, OpenAI; roles in any case  |
| {"role": "user", "parts": [{"text": …}]}            | Gemini, ChatGPT's exports            |
| {"sender": "human", "text": …}                      | Claude's exports                     |
| {"human": …, "assistant": …}; {"input", "output"}   | MOSS, Firefly; Capybara              |
| texts, or objects without a role, that take turns   | UltraChat's `data`, MT-Bench's `turns` |
| any of these as JSON, Python or numpy within a text | tables that pandas wrote             |
| "### Human: …### Assistant: …", "[INST] … [/INST]"  | Guanaco, HH-RLHF, Alpaca, templates  |
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autoif.reading.json_text import parse_json, parse_literal

USER_ROLES = ("user", "human", "prompter", "usr")
_OTHER_ROLES = ("assistant", "gpt", "chatgpt", "bot", "bard", "model", "system", "tool", "function", "ai")
_SPEAKERS = ("from", "role", "speaker", "author", "sender")
_NAMES = (*_SPEAKERS, "content", "value")
_ASKED = ("human", "user")
_SAID = ("assistant", "gpt", "bot")
_PAIRED = {"input": True, "output": False}
"""Whether the user says it. Only for known conversations, as the examples of a task have the same keys."""
_TEXTS = ("value", "content", "text", "parts", "utterance")
_MARKS = (
    ("<|im_start|>user", ("<|im_end|>",)),
    ("<|start_header_id|>user<|end_header_id|>", ("<|eot_id|>",)),
    ("<start_of_turn>user", ("<end_of_turn>",)),
    ("<｜User｜>", ("<｜Assistant｜>",)),
    ("<|prompter|>", ("<|endoftext|>", "<|assistant|>")),
    ("<|user|>", ("<|end|>", "</s>", "<|endoftext|>", "<|assistant|>")),
    ("[INST]", ("[/INST]",)),
    ("### Human:", ("### Assistant:",)),
    ("### User:", ("### Assistant:",)),
    ("### Instruction:", ("### Response:",)),
    ("USER: ", ("ASSISTANT:",)),
)
"""How the user's turn begins in a transcript, and what ends it."""
_AT_START = (("Human:", "\nAssistant:"), ("User:", "\nAssistant:"))
"""Everyday words, which count as marks only at the beginning."""
_LONGEST_CELL = 1_000_000


def list_turns(turns: Sequence[object], *, alternate: bool = True) -> Iterator[tuple[bool, str]]:
    """Yield (whether the user says it, text) for each turn. Turns without a speaker alternate, the user first; without
    `alternate` they are skipped, as a list of texts may be anything."""
    for number, turn in enumerate(turns):
        if isinstance(turn, str):
            if alternate:
                yield number % 2 == 0, turn.strip()
        elif isinstance(turn, Mapping):
            keyed = [(name in _ASKED, turn[name]) for name in (*_ASKED, *_SAID) if isinstance(turn.get(name), str)]
            if alternate and not keyed:
                keyed = [(asks, turn[name]) for name, asks in _PAIRED.items() if isinstance(turn.get(name), str)]
            if keyed and not any(name in turn for name in _TEXTS):
                yield from ((asked, text.strip()) for asked, text in keyed)
            elif _speaker(turn):
                yield is_user_turn(turn), turn_text(turn)
            elif alternate:
                yield number % 2 == 0, turn_text(turn)


def first_turn(turns: Sequence[object], *, alternate: bool = True) -> str:
    """Return what the first user turn of a conversation says; "" if there is none."""
    return next((text for is_users, text in list_turns(turns, alternate=alternate) if is_users), "")


_NO_TEXT = re.compile(r"image|video|audio|file|document|inline_?data", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"(?:\A|\n)\s*<(?:image|img|video|audio)\d{0,2}>|<(?:image|img|video|audio)\d{0,2}>\s*\Z")
"""Marks in data such as LLaVA's for the place of an image, a video or a sound."""


def shows_media(turns: Sequence[object]) -> bool:
    """Tell whether the first user turn of a conversation shows an image or anything else that is no text."""
    turn = next((turn for turn in turns if is_user_turn(turn)), None)
    parts = next((turn[name] for name in _TEXTS if turn.get(name)), None) if isinstance(turn, Mapping) else None
    return isinstance(parts, list) and any(isinstance(part, Mapping) and _is_media(part) for part in parts)


def _is_media(part: Mapping[str, Any]) -> bool:
    kind = part.get("type")
    if isinstance(kind, str):
        return _NO_TEXT.search(kind) is not None
    return any(_NO_TEXT.fullmatch(str(name)) and value for name, value in part.items())


def has_placeholder(text: str) -> bool:
    """Tell whether a text has a mark where an image, a video or a sound stood."""
    return "<" in text and _PLACEHOLDER.search(text) is not None


def is_user_turn(turn: object) -> bool:
    return isinstance(turn, Mapping) and _speaker(turn) in USER_ROLES


def is_turn(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is itself a turn, as of OASST, and not a conversation or a question."""
    return _speaker(row) in (*USER_ROLES, *_OTHER_ROLES) and any(isinstance(row.get(name), str) for name in _TEXTS)


def turn_text(turn: Mapping[str, Any]) -> str:
    """Return the text of a turn: ShareGPT's `value`, or OpenAI's `content`, which may come in parts."""
    content = next((turn[name] for name in _TEXTS if turn.get(name)), None)
    if isinstance(content, Mapping):
        content = content.get("parts") or content.get("text")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        content = "\n".join(part for part in parts if isinstance(part, str))
    return content.strip() if isinstance(content, str) else ""


def find_turns(value: object) -> list[object] | None:
    """Return a value as a conversation: a list, a list within a text, or columns such as {"from": [...], "value":
    [...]}, as `datasets` has them; None if it is something else."""
    if isinstance(value, str):
        return parse_turns(value)
    if (
        isinstance(value, Mapping)
        and set(value) & {*_SPEAKERS}
        and all(isinstance(each, list) for each in value.values())
    ):
        return [dict(zip(value, turn, strict=False)) for turn in zip(*value.values(), strict=False)]
    return value if isinstance(value, list) else None


def parse_turns(text: str) -> list[object] | None:
    """Return the conversation that a text holds in the notation of JSON, Python or numpy; None if it holds none.

    A conversation that can't be parsed is returned empty, as its text is no question either.
    """
    start = text.lstrip()
    if start.startswith("array([{"):
        start = start[len("array(") : start.rfind("]") + 1]
    if not start.startswith("[{") or not any(f"{mark}{name}{mark}" in start[:500] for mark in "'\"" for name in _NAMES):
        return None
    try:
        value = parse_json(start)
    except ValueError:
        value = _parse_python(start.replace("}\n {", "},\n {"))  # numpy writes no comma there
    return value if isinstance(value, list) else []


def read_transcript(text: str) -> str:
    """Return the first user turn of a conversation that is written out as a text; any other text as it is."""
    for opening, endings in _MARKS:
        _, found, rest = text.partition(opening)
        places = [place for ending in endings if (place := rest.find(ending)) >= 0] if found else []
        if places:
            return _clean_turn(rest[: min(places)])
    start = text.lstrip()
    for opening, ending in _AT_START:
        if start.startswith(opening) and ending in start:
            return start.removeprefix(opening).partition(ending)[0].strip()
    return text


def _clean_turn(turn: str) -> str:
    """Return a turn without the system's words before it, and with Alpaca's input after a blank line."""
    if turn.lstrip().startswith("<<SYS>>"):
        turn = turn.partition("<</SYS>>")[2]
    return "\n\n".join(filter(None, (part.strip() for part in turn.split("### Input:"))))


def _speaker(turn: Mapping[str, Any]) -> str:
    """Return the speaker of a turn in lower case; "" if it names none."""
    named = next((turn[name] for name in _SPEAKERS if turn.get(name)), "")
    named = named.get("role", "") if isinstance(named, Mapping) else named
    return named.strip().casefold() if isinstance(named, str) else ""


def _parse_python(text: str) -> object:
    """Return the value of a Python literal; None if it is none."""
    if len(text) > _LONGEST_CELL:
        return None
    try:
        return parse_literal(text)
    except ValueError:
        return None
