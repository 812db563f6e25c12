"""Finds tool calls in answers, though no prompt here offers a tool.

Models write them unasked, and gateways make models call a tool in order to get JSON.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from autoif.reading.json_text import try_json

_XML_NAME = r"(?:tool_calls?|tool_use|toolcall|function_calls?|\w{1,10}[:_](?:tool_call|function_calls))"
_XML_CALL = rf"<(?:{_XML_NAME}|function=\w{{1,60}})>"
_XML_END = rf"</(?:{_XML_NAME}|function)>"
_TOKEN_CALL = (
    r"\[TOOL_CALLS\]|\[TOOL_REQUEST\]|functools\[\{|\[unused11\]|[\w.-]{1,60}\[ARGS\]\s{0,9}\{|(?:<start_function_call>)?call:[\w.-]{1,60}\{"
    r"|<\|(?:python_tag|python_start|tool_calls?|tools_prefix|START_ACTION|action_start|tool_call_start)\|>|<\|tool_call>"
    r"|<(?:\||｜)(?:DSML(?:\||｜))?(?:function|tool)[_▁]calls?(?:[_▁](?:section[_▁])?begin)?(?:(?:\||｜))?>"
    r"|commentary to=\w"
)
"""How chat templates write the beginning of a call. No honest text begins so."""
_CALL = re.compile(
    rf"\s*+(?:{_XML_CALL}.*{_XML_END}\s*+|{_XML_CALL}(?!.*</(?:tool|function)).*|(?:{_TOKEN_CALL}).*"
    r"|```tool_(?:code|call)s?\n.*```\s*+)",
    re.DOTALL | re.IGNORECASE,
)
"""An answer that is a call and nothing else, as models write it and servers leave it in the text."""
_CALL_LATER = re.compile(
    rf"(?P<xml>^{_XML_CALL})|^\[TOOL_CALLS\]|(?<![`\"'])(?:<\|(?:tool_calls_section_begin|tool_call_start|python_tag)\|>"
    r"|<\|tool_call>|<｜DSML｜(?:function|tool)_calls>|<｜tool▁calls▁begin｜>|<start_function_call>call:)",
    re.MULTILINE | re.IGNORECASE,
)
_XML_AT_END = re.compile(rf"{_XML_END}\s*\Z", re.IGNORECASE)
_LAST_CALL = re.compile(r"\nAction: [^\n]{1,80}\nAction Input:[^\n]*\s*\Z")
"""The end of an answer that only announces a call."""
_PYTHON_CALL = re.compile(r"\s*+\[[a-z_]\w{0,60}\((?:\w{1,40}=[^\n]*)?\)\]\s*+")
_FENCED = re.compile(r"\s*+```(?:json)?[ \t]*\n(.*)\n```\s*+", re.DOTALL | re.IGNORECASE)
_NAMED = re.compile(r"tool|function|json|call|action|api", re.IGNORECASE)
_ANSWER_TOOL = re.compile(
    r"answer|json\w{0,20}|structured\w{0,20}|respond|\w{0,20}(?:response|output)\w{0,20}", re.IGNORECASE
)
"""Names of the tool by which gateways ask for JSON. Some leave the call as it is instead of making it the content."""
NO_ANSWER = "the call of a tool, which nobody offered"


def is_call(text: str, prompt: str | None = None) -> bool:
    """Tell whether an answer is a tool call, or ends with one. With the `prompt`, more forms are recognised."""
    if _CALL.fullmatch(text):
        return True
    called = prompt is not None and (_ends_with_call(text) or _is_bare(text))
    return called and not _NAMED.search(prompt or "")


def _ends_with_call(text: str) -> bool:
    if _LAST_CALL.search(f"\n{text}"[-4000:]):
        return True
    begins = _CALL_LATER.search(text)
    return begins is not None and (not begins["xml"] or _XML_AT_END.search(text) is not None)


def _is_bare(text: str) -> bool:
    """Tell whether a text is just a call, written as JSON or Python."""
    if _PYTHON_CALL.fullmatch(text):
        return True
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1]
    if not re.match(r"\s{0,20}\[?\s{0,20}\{\s{0,20}\"(?:name|function|tool)\"", text):
        return False
    found = try_json(text)
    listed = found if isinstance(found, list) else [found]
    return all(isinstance(each, dict) and {"arguments", "parameters"} & each.keys() for each in listed)


def is_calling(message: Mapping[str, Any]) -> bool:
    """Tell whether a message has a tool call in the fields beside its text."""
    return any(isinstance(message.get(name), list | dict) and message[name] for name in ("tool_calls", "function_call"))


def read_called_answer(message: Mapping[str, Any]) -> str:
    """Return the JSON answer that a gateway left in a tool call; "" if there is none."""
    for listed in (message.get("tool_calls"), [message.get("function_call")], message.get("content")):
        for call in listed if isinstance(listed, list) else ():
            called = call.get("function", call) if isinstance(call, dict) else None
            if isinstance(called, dict) and _ANSWER_TOOL.fullmatch(str(called.get("name"))):
                given = called.get("arguments", called.get("input"))
                return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False) if given else ""
    return ""
