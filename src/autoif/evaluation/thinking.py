"""Responses without the thinking that they begin with."""

import re

_TAGS = "think|thinking|thought|reasoning"
_THOUGHT = re.compile(rf"\A\s*(?:<({_TAGS})>)?.*?</({_TAGS})>", re.DOTALL | re.IGNORECASE)
_OPEN = re.compile(rf"\A\s*<({_TAGS})>", re.IGNORECASE)


def strip_thinking(text: str) -> str:
    """Return what follows the thinking that a response begins with; nothing where it doesn't end.

    A tag that closes without one that opens counts too: some chat templates open it in the prompt.
    """
    if match := _THOUGHT.match(text):
        return text[match.end() :].strip()
    return "" if _OPEN.match(text) else text
