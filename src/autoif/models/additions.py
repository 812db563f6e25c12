"""Removes what surrounds an answer and is no part of it, where no token of a template marks it.

| around the answer                                      | of                                         |
|--------------------------------------------------------|--------------------------------------------|
| the prompt before it, with or without "User:"          | servers that return the full text          |
| "Assistant:", "### Response:" before it                | servers that write a conversation as text  |
| another turn behind it: "user", "Human:", "### User:"  | the same, of a model that doesn't stop     |
| "assistant" glued to a sentence, and another answer    | Llama 3 without its end token              |
| the whole of it twice                                  | streams that end with what they have sent  |
| a fence of "markdown", `{"response": "…"}`             | gateways that want one form of all answers |
| `<answer>…</answer>`                                   | models whose thinking is switched off      |

What a prompt asks for, by a word that it holds, stays.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from autoif.models.bodies import read_body
from autoif.models.reasoning import unwrap_answer
from autoif.reading.json_text import try_json

_LEAST_PROMPT = 40
"""Characters of a prompt that no answer begins with by chance."""
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
"""A turn of the user's that is one is answered; else it may be a name in a form."""
_NEXT_LINE = re.compile(r"(?<=[.!?…。！？\"”)*`])[ \t]*\n{1,3}(?:user|assistant)\n{1,3}(?=[^\n]{20})")
_BARE_HEADS = ("user\n", "assistant\n")
"""What the next two hold: most texts have neither, and need not be searched for what stands before it."""
_GLUED = re.compile(r"(?<=[.!?…\"”)*])assistant\n\n(?=\S)")
_LEAST_DOUBLED = 40
_FEW_LETTERS = 8
"""A text of fewer is a pattern."""
_FENCE = re.compile(r"\s*+```(?:markdown|md|text|txt|plaintext)[ \t]*\n(.*)\n```\s*", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"markdown|fence|block|code|```|backtick", re.IGNORECASE)
_WRAPPED = re.compile(r"json|dictionar|object|key|field|schema|format|brace|\{", re.IGNORECASE)
_TAGGED = re.compile(r"<|\btags?\b|xml|html|markup", re.IGNORECASE)
_PAGE = re.compile(
    r"\s*+<html>\s{0,9}<head><title>([45]\d\d [^<]{1,60})</title></head>\s{0,9}<body[^<>]{0,40}>\s{0,9}<center><h1>",
    re.IGNORECASE,
)
"""Of nginx, which has no other."""
_ANY_PAGE = re.compile(r"\s*+(?:<!doctype html\b[^<>]{0,200}>\s{0,9})?<html\b", re.IGNORECASE)
_TITLE = re.compile(r"<title\b[^<>]{0,100}>([^<]{1,200})</title>", re.IGNORECASE)
_OF_PAGES = re.compile(r"html|markup|<|web|\bpage|\bsite|browser|code|xml|css|http|\berrors?\b|server", re.IGNORECASE)
"""What a prompt speaks of whose answer may be a page, or the name of an error."""
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
    """Return the text without the turns that it answers, where it begins with all or with the last of them.

    A chat that asks to repeat something may have an answer that begins like it.
    """
    for several in (turns, turns[-1:]) if turns else ():
        at = _skip(text, several)
        if at and (rest := text[at:]).strip() and not (is_chat and _REPEATS.search(turns[-1])):
            label = _ANSWER_LABEL.match(rest)
            return rest[label.end() :] if label else rest
    return text


def _skip(text: str, turns: Sequence[str]) -> int:
    """Return where the turns end with which a text begins; 0 if it doesn't."""
    at = 0
    for turn in turns:
        said = turn.strip()
        label = _LABEL.match(text, at)
        starts = [label.end() if label else at, at + len(text[at:]) - len(text[at:].lstrip())]
        start = next((each for each in starts if text.startswith(said, each)), None)
        if start is None:
            return 0
        at = start + len(said)
    return at if len(turns[-1].strip()) >= _LEAST_PROMPT else 0


def drop_additions(text: str, prompt: str) -> str:
    """Return the answer to a prompt without what nobody asked for around it. Linear in its length."""
    alone = _drop_turns(text)
    if alone is not text and not _CONVERSATION.search(prompt):
        text = alone
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
    """Return the text itself where it is one turn."""
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
    """Return the one text in an object that a gateway put it in, alone or with the thought."""
    found = try_json(text)
    members = found.items() if isinstance(found, dict) else ()
    said = {name: each for name, each in members if not _THOUGHTS.fullmatch(name)}
    if len(said) != 1:
        return text
    [(name, value)] = said.items()
    return value if name in _WRAPPERS and isinstance(value, str) else text


def find_passed_on(text: str, prompt: str | None = None) -> dict[str, Any] | None:
    """Return the answer of another server that a gateway passes on as the text of its own: a chat's choices, or an
    error. None for any other text.

    With the `prompt` also a page or a line that names an error of HTTP's, if the prompt speaks of neither.
    """
    if page := _PAGE.match(text):
        return {"error": {"message": page[1]}}
    if prompt is not None and (said := _find_error_page(text)) and not _OF_PAGES.search(prompt):
        return {"error": {"message": said}}
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
    """Return the title of a page, or the line, that names an error by HTTP's own words; "" of other texts."""
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
