"""Removes text around an answer that doesn't belong to it and isn't marked by tokens of a chat template.

| around the answer                                      | where it comes from                        |
|--------------------------------------------------------|--------------------------------------------|
| the prompt before it, with or without "User:"          | servers that return the full text          |
| "Assistant:", "### Response:" before it                | servers that write a conversation as text  |
| another turn after it: "user", "Human:", "### User:"   | the same, with a model that doesn't stop   |
| "assistant" right after a sentence, and another answer | Llama 3 without its end token              |
| the whole answer twice                                 | streams that repeat all text at the end    |
| a fence of "markdown", `{"response": "…"}`             | gateways that give all answers one form    |
| `<answer>…</answer>`                                   | models whose thinking is switched off      |

Nothing is removed that the prompt asks for, as far as its words tell.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from autoif.models.bodies import read_body
from autoif.models.reasoning import unwrap_answer
from autoif.reading.json_text import try_json

_LEAST_PROMPT = 40
"""A prompt of this many characters is not at the beginning of an answer by chance."""
_REPEATS = re.compile(
    r"\b(?:repeat|copy|copying|restate|echo|verbatim|word for word|quote|twice)|wiederhol|répét|repite|repetir|repita"
    r"|ripet|повтор|重复|重複|复述|繰り返|반복",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"\s*+(?:\*\*|#{2,3} ?|\[)?(?:system|user|human|prompt|instruction|question|q)(?:\]|\*\*)?:(?:\*\*)?\s*+",
    re.IGNORECASE,
)
_ANSWER_LABEL = re.compile(
    r"\s*+(?:\*\*|#{2,3} ?|\[)?(?:assistant|ai assistant|gpt|bot|response|answer|a)(?:\]|\*\*)?:(?:\*\*)?\s*+",
    re.IGNORECASE,
)
_OWN_LABEL = re.compile(
    r"\s*+(?:#{2,3} ?(?:response|assistant)\s?:|(\*\*)?(?:ai )?assistant(?(1)(?::\*\*|\*\*:)|:))\s*+", re.IGNORECASE
)
_BOLD_LABEL = re.compile(r"\*\*[^*\n]{1,40}(?::\*\*|\*\*:)")
_SPEAKERS = re.compile(r"^(?:\*\*)?(?:user|human|assistant|ai)(?:\*\*)?:", re.IGNORECASE | re.MULTILINE)
_CONVERSATION = re.compile(
    r"user and|human and|assistant|(?:user|human|ai|instruction|response):|dialog|conversation|interview|transcript"
    r"|chat|script|###|对话|對話|会話|диалог|gespräch|diálogo",
    re.IGNORECASE,
)
_NEXT_LABEL = re.compile(
    r"\n(?:\n(?:human|user): |#{2,3} ?(?:instruction|human|user) ?:[ \t]*(?:\n|\w))", re.IGNORECASE
)
_ANSWERED = re.compile(r"\n(?:#{2,3} ?)?(?:assistant|ai|response) ?:", re.IGNORECASE)
"""Something that looks like a user's turn counts as one only if it is answered; else it may be a label in a form."""
_NEXT_LINE = re.compile(r"(?<=[.!?…。！？\"”)*`])[ \t]*\n{1,3}(?:user|assistant)\n{1,3}(?=[^\n]{20})")
_BARE_HEADS = ("user\n", "assistant\n")
"""`_NEXT_LINE` and `_GLUED` match only texts with one of these, so most texts need no search with them."""
_GLUED = re.compile(r"(?<=[.!?…\"”)*])assistant\n\n(?=\S)")
_LEAST_DOUBLED = 40
_FEW_LETTERS = 8
"""A text of fewer different characters is a pattern, which may be repeated on purpose."""
_FENCE = re.compile(r"\s*+```(?:markdown|md|text|txt|plaintext)[ \t]*\n(.*)\n```\s*", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"markdown|fence|block|code|```|backtick", re.IGNORECASE)
_WRAPPED = re.compile(r"json|dictionar|object|key|field|schema|format|brace|\{", re.IGNORECASE)
_TAGGED = re.compile(r"<|\btags?\b|xml|html|markup", re.IGNORECASE)
_PAGE = re.compile(
    r"\s*+<html>\s{0,9}<head><title>([45]\d\d [^<]{1,60})</title></head>\s{0,9}<body[^<>]{0,40}>\s{0,9}<center><h1>",
    re.IGNORECASE,
)
"""nginx's error page, always in this form."""
_ANY_PAGE = re.compile(r"\s*+(?:<!doctype html\b[^<>]{0,200}>\s{0,9})?<html\b", re.IGNORECASE)
_TITLE = re.compile(r"<title\b[^<>]{0,100}>([^<]{1,200})</title>", re.IGNORECASE)
_OF_PAGES = re.compile(r"html|markup|<|web|\bpage|\bsite|browser|code|xml|css|http|\berrors?\b|server", re.IGNORECASE)
"""Words of prompts whose answer may well be a web page, or the name of an error."""
_PHRASES = {str(status.value): status.phrase for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST}
_LONGEST_LINE = 300
_STATUS_LINE = re.compile(
    r"\s*+(?:(?:http|api|server|gateway|upstream)? ?error:? ?)?(?:http(?:/[\d.]{1,3})? )?([45]\d\d)(?: -|:)?"
    r" (?=([^\n]{4,300}))",
    re.IGNORECASE,
)
_THOUGHTS = re.compile(r"(?:thinking|thoughts?|reasoning)(?:_\w{1,20})?|analysis|scratchpad|role")
_WRAPPERS = frozenset(
    {"response", "answer", "content", "text", "output", "message", "reply", "result", "final", "final_answer"}
)


def drop_prompt(text: str, turns: Sequence[str], *, is_chat: bool = True) -> str:
    """Remove the turns that a text answers, if it begins with all of them or with the last one.

    In a chat that asks to repeat something they stay, as the answer may have to begin like the prompt.
    """
    for several in (turns, turns[-1:]) if turns else ():
        at = _find_end_of_turns(text, several)
        if at and (rest := text[at:]).strip() and not (is_chat and _REPEATS.search(turns[-1])):
            label = _ANSWER_LABEL.match(rest)
            return rest[label.end() :] if label else rest
    return text


def _find_end_of_turns(text: str, turns: Sequence[str]) -> int:
    """Return where the turns end at the beginning of a text; 0 if it doesn't begin with them."""
    at = 0
    for turn in turns:
        stripped = turn.strip()
        label = _LABEL.match(text, at)
        starts = [label.end() if label else at, at + len(text[at:]) - len(text[at:].lstrip())]
        start = next((each for each in starts if text.startswith(stripped, each)), None)
        if start is None:
            return 0
        at = start + len(stripped)
    return at if len(turns[-1].strip()) >= _LEAST_PROMPT else 0


def drop_additions(text: str, prompt: str) -> str:
    """Return the answer to a prompt without additions that the prompt doesn't ask for. Takes linear time."""
    single = _drop_turns(text)
    if single is not text and not _CONVERSATION.search(prompt):
        text = single
    half = len(text) // 2
    glued = half >= _LEAST_DOUBLED and not (text[half - 1].isspace() or text[half].isspace())
    doubled = glued and text[:half] == text[half:] and len({*text}) > _FEW_LETTERS
    if doubled and not _REPEATS.search(prompt):
        text = text[:half]
    if (fenced := _FENCE.fullmatch(text)) and "\n```" not in fenced[1] and not _FENCED.search(prompt):
        text = fenced[1]
    if text.lstrip().startswith('{"') and (inner := _unwrap(text)) is not text and not _WRAPPED.search(prompt):
        text = inner
    if text.lstrip().startswith("<") and not _TAGGED.search(prompt):
        text = unwrap_answer(text.strip())
    return text


def _drop_turns(text: str) -> str:
    """Return the first turn of a text, without its label; the same object if there is nothing to remove."""
    own = _OWN_LABEL.match(text)
    rest = text[own.end() :] if own else text
    if own and own[1] and _BOLD_LABEL.search(rest):  # a list of names, of which this is one
        own = None
    if own and (_SPEAKERS.search(rest) is None or _NEXT_LABEL.search(rest)):
        text = rest
    bare = (_GLUED, _NEXT_LINE) if any(head in text for head in _BARE_HEADS) else ()
    for ending in (*bare, _NEXT_LABEL):
        found = ending.search(text)
        if not found or text.count("```", 0, found.start()) % 2 or _SPEAKERS.search(text[: found.start()]):
            continue
        if ending is _NEXT_LABEL and not _ANSWERED.search(text, found.end()):
            continue
        if answer := text[: found.start()].rstrip():
            text = answer
    return text


def _unwrap(text: str) -> str:
    """Return the text that a gateway has put into a JSON object, alone or with the thought; else the same object."""
    found = try_json(text)
    members = found.items() if isinstance(found, dict) else ()
    others = {name: each for name, each in members if not _THOUGHTS.fullmatch(name)}
    if len(others) != 1:
        return text
    [(name, value)] = others.items()
    return value if name in _WRAPPERS and isinstance(value, str) else text


def find_passed_on(text: str, prompt: str | None = None) -> dict[str, Any] | None:
    """Return another server's answer that a gateway passes on as text: a chat's choices, or an error. None for any
    other text.

    With a `prompt`, that includes a page or a line that names an HTTP error, unless the prompt mentions such things.
    """
    if page := _PAGE.match(text):
        return {"error": {"message": page[1]}}
    if prompt is not None and (error := _find_error_page(text)) and not _OF_PAGES.search(prompt):
        return {"error": {"message": error}}
    begun = text.lstrip()
    if not begun.startswith(('{"', "{\n", "data: {")):
        return None
    try:
        found = read_body(begun.encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    match found:
        case {"choices": [{"message": {"content": _}}, *_], **rest} if (
            begun.startswith("data:") or {"id", "object", "usage", "model"} & rest.keys()
        ):
            return found
        case {"error": {"message": str(_), **rest}, **others} if {"code", "type", "status"} & rest.keys():
            return found if others.keys() <= {"request_id", "status", "success", "detail"} else None
    return None


def _find_error_page(text: str) -> str:
    """Return the title of a page, or the line, that names an HTTP error by its standard phrase; "" for other texts."""
    if _ANY_PAGE.match(text) and (title := _TITLE.search(text)):
        named = _letters(title[1])
        return title[1].strip() if any(_letters(phrase) in named for phrase in _PHRASES.values()) else ""
    line = _STATUS_LINE.match(text) if len(text) <= _LONGEST_LINE else None
    phrase = _PHRASES.get(line[1], "") if line else ""
    if not line or "\n" in text.strip():
        return ""
    return f"{line[1]} {phrase}" if phrase and line[2].lower().startswith(phrase.lower()) else ""


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())
