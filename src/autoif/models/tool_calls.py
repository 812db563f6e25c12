"""Calls of tools in answers to prompts that offer none: what models write of their own, and gateways to get JSON."""

import json
import re
from collections.abc import Mapping
from typing import Any

from autoif.reading.json_text import parse_json

_XML_CALL = (
    r"<(?:tool_call|tool_use|toolcall|function_calls?|function=\w{1,60}|\w{1,10}[:_](?:tool_call|function_calls))>"
)
_XML_END = r"</(?:tool_call|tool_use|toolcall|function_calls?|function|\w{1,10}[:_](?:tool_call|function_calls))>"
_CALL = re.compile(
    rf"\s*+(?:{_XML_CALL}.*{_XML_END}\s*+"
    rf"|{_XML_CALL}(?!.*</(?:tool|function)).*|\[TOOL_CALLS\].*|\[TOOL_REQUEST\].*|functools\[\{{.*"
    r"|```tool_(?:code|call)s?\n.*```\s*+"
    r"|<\|(?:python_tag|tool_calls?|START_ACTION|tool_call_start)\|>.*"
    r"|<(?:\||｜)(?:DSML(?:\||｜)function|tool)[_▁]calls?(?:[_▁](?:section[_▁])?begin(?:\||｜))?>.*)",
    re.DOTALL | re.IGNORECASE,
)
"""An answer that is nothing else, as models write it and servers leave it in the text."""
_LAST_CALL = re.compile(
    r"\n(?:<tool_call>\s*\{\s*\"name\"[^\n]*\}\s*</tool_call>|\[TOOL_CALLS\] ?\[?\{[^\n]*|<\|python_tag\|>\{[^\n]*"
    r"|Action: [^\n]{1,80}\nAction Input:[^\n]*)\s*\Z"
)
"""What comes last of an answer that only says what is going to be called."""
_NAMED = re.compile(r"tool|function|json|call|action|api", re.IGNORECASE)
_ANSWER_TOOL = re.compile(
    r"answer|json\w{0,20}|structured\w{0,20}|respond|\w{0,20}(?:response|output)\w{0,20}", re.IGNORECASE
)
"""The tool by whose call gateways ask for JSON, where they don't turn the call into content."""
NO_ANSWER = "the call of a tool, which nobody offered"


def is_call(text: str, prompt: str | None = None) -> bool:
    """Tell whether an answer to a prompt is the call of a tool, or ends with one that it is to wait for."""
    if _CALL.fullmatch(text):
        return True
    called = prompt is not None and (_LAST_CALL.search(f"\n{text}"[-4000:]) is not None or _is_bare(text))
    return called and not _NAMED.search(prompt or "")


def _is_bare(text: str) -> bool:
    """Tell a call as JSON alone."""
    if not re.match(r"\s{0,20}\[?\s{0,20}\{\s{0,20}\"(?:name|function|tool)\"", text):
        return False
    try:
        found = parse_json(text)
    except ValueError:
        return False
    listed = found if isinstance(found, list) else [found]
    return all(isinstance(each, dict) and {"arguments", "parameters"} & each.keys() for each in listed)


def is_calling(message: Mapping[str, Any]) -> bool:
    """Tell whether a message holds the call of a tool beside its text."""
    return any(isinstance(message.get(name), list | dict) and message[name] for name in ("tool_calls", "function_call"))


def read_called_answer(message: Mapping[str, Any]) -> str:
    """Return the answer in JSON that a gateway left in the call of a tool; "" if there is none."""
    for listed in (message.get("tool_calls"), [message.get("function_call")], message.get("content")):
        for call in listed if isinstance(listed, list) else ():
            called = call.get("function", call) if isinstance(call, dict) else None
            if isinstance(called, dict) and _ANSWER_TOOL.fullmatch(str(called.get("name"))):
                given = called.get("arguments", called.get("input"))
                return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False) if given else ""
    return ""
