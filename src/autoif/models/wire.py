"""Reading answers in the OpenAI-compatible wire format: the only place that reads what a model or a server wrote.

Answers are read leniently: whatever a server leaves out is empty or 0, since a poor answer is data. What is asked, and
what servers refuse of it, is `models/dialect.py`.
"""

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any, NamedTuple

from autoif.models.citations import drop_annotated, drop_numbered
from autoif.models.reasoning import split_reasoning, unwrap_answer
from autoif.models.requests import Completion, FinishReason
from autoif.models.text import clean_text, drop_echo


class ServerAnswer(NamedTuple):
    """What one answer of a server holds."""

    completions: list[Completion]
    """In the order of its choices."""
    failures: tuple[str, ...] = ()
    """What it says of choices that failed on the way and should be asked for again."""
    model: str = ""
    """The model that it says has answered; "" if it doesn't."""


def read_server_answer(answer: Mapping[str, Any], prompt_bytes: int = 0, most_tokens: int = 0) -> ServerAnswer:
    """Return the completions in a server's answer; none if it has no choices.

    The first has the prompt's tokens, and the others are shared out by length of text, so that sums are what the server
    counted. What it doesn't count is estimated, the prompt from its length in UTF-8. Answers that used all of the
    `most_tokens` that each might have were cut there, even if the server says that they stopped, as some always do.
    """
    choices = answer.get("choices")
    listed = [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
    failed = [_find_failure(each) for each in listed]
    found = [read_choice(each) for each, failure in zip(listed, failed, strict=True) if not failure]
    found = [replace(each, text=drop_numbered(each.text, answer)) for each in found]
    counted = _count_tokens(found, answer, prompt_bytes)
    if _used_all(counted, most_tokens):
        counted = [replace(each, finish_reason="length", detail="") for each in counted]
    model = answer.get("model")
    named = " ".join(clean_text(model).split())[:200] if isinstance(model, str) else ""
    return ServerAnswer(counted, tuple(filter(None, failed)), named)


_SHORT_TOKENS = 16
"""Of an answer that may well be as long as it might be, as a label."""


def _used_all(completions: list[Completion], most_tokens: int) -> bool:
    """Tell whether a server counted exactly as many tokens as answers might have, which it says are whole.

    Of thoughts some servers count all and limit none.
    """
    return (
        most_tokens > _SHORT_TOKENS
        and sum(each.completion_tokens for each in completions) == most_tokens * len(completions) > 0
        and all(each.finish_reason in {"stop", "unknown"} for each in completions)
        and not any(each.reasoning or each.estimated for each in completions)
    )


def read_text(text: str, finish_reason: object = "stop", *, reasoning: str = "", clean: bool = True) -> Completion:
    """Read what a model wrote, from a server or from anybody's file: the answer, the thought, how it ended.

    `finish_reason` is as the server writes it; `reasoning` is what it gave apart from the text. Without `clean` the
    answer keeps every character, for others' answers that are only judged.
    """
    thought = split_reasoning(drop_echo(text) if clean else text)
    ended = _read_finish_reason(finish_reason)
    if not thought.closed and ended != "refused":
        ended = "length"
    told = f"finish_reason {json.dumps(finish_reason)[:100]}" if ended in {"unknown", "refused"} else ""
    answer = thought.answer
    if reasoning and not thought.reasoning:  # the server split the thought off, and left the tags of the answer
        answer = unwrap_answer(answer.strip())
    if clean and _TOOL_CALL.fullmatch(answer):
        answer, told = "", "the call of a tool, which nobody offered"
    return Completion(
        text=clean_text(answer) if clean else answer,
        finish_reason=ended,
        reasoning=clean_text("\n\n".join(filter(None, (reasoning.strip(), thought.reasoning)))),
        detail=told,
    )


_TOOL_CALL = re.compile(
    r"\s*+(?:<tool_call>.*</tool_call>\s*+|<tool_call>(?!.*</tool_call>).*|\[TOOL_CALLS\].*"
    r"|<\|(?:python_tag|tool_calls?)\|>.*"
    r"|<(?:\||｜)tool[_▁]calls?[_▁](?:section[_▁])?begin(?:\||｜)>.*)",
    re.DOTALL,
)
"""An answer that is nothing else, as models write it and servers leave it in the text."""
ENDS = (
    "finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason", "stop_type", "native_finish_reason"
)  # fmt: skip
"""Where an answer says how it ended: the first that holds something counts."""
_NOTHING = (None, "", "null", "none", "None")
_LONGEST_REASON = 100
_LABEL = re.compile(r"(?:finish_?reason|stop_?reason|alternative_status)[_.:]")
_STOPPED = frozenset(
    """
    stop stopped eos eos_token eos_found eot eot_id endoftext end_of_text end_of_turn end end_turn stop_sequence
    stop_token stop_word stop_string stop_str complete completed finish finished final normal done success
    """.split()
)
_CUT = re.compile(
    r"length|max\w{0,20}tokens?|tokens?_limit|(?<!rate_)limit|context_window|max_context|truncat|incomplete|not_finished"
    r"|unfinished|repetit|repeat"
)
_REFUSED = re.compile(
    r"filter|refus|safety|sensitive|recitation|block|blacklist|denylist|prohibited|spii|moderat|guardrail|policy|toxic"
)
_FAILED = re.compile(
    r"error|abort|cancel|insufficient_system_resource|timeout|timed_out|overload|unavailable|interrupt"
)


def find_end(choice: Mapping[str, Any]) -> object:
    """Return what a choice says of its end, None if nothing; the word itself where it stands within an object."""
    said = next((choice[name] for name in ENDS if choice.get(name) not in _NOTHING), None)
    if isinstance(said, dict):
        return next((said[name] for name in ("type", "reason", "name") if isinstance(said.get(name), str)), said)
    return said


def _name_end(reason: object) -> str:
    """Return a finish reason in one spelling; "" for what is no word."""
    if not isinstance(reason, str):
        return ""
    name = re.sub(r"[-\s]", "_", reason[:_LONGEST_REASON].strip().lower())
    return _LABEL.sub("", name, count=1)


def _read_finish_reason(reason: object) -> FinishReason:
    """Return what a finish reason means. The set is open: servers have some forty, and each version adds some."""
    name = _name_end(reason)
    if name in _STOPPED:
        return "stop"
    if _CUT.search(name):
        return "length"
    return "refused" if _REFUSED.search(name) else "unknown"


def _find_failure(choice: Mapping[str, Any]) -> str:
    """Return what a choice says of its failure, if it should be asked for again; else ""."""
    error = choice.get("error")
    if error:
        said = error.get("message") if isinstance(error, dict) else error
        return clean_text(str(said or "error"))[:300]
    reason = find_end(choice)
    if reason is None and not _says_anything(choice):
        return "nothing was written, and no end is told"
    failed = _read_finish_reason(reason) == "unknown" and _FAILED.search(_name_end(reason))
    return f"finish_reason {reason!r}" if failed else ""


def _says_anything(choice: Mapping[str, Any]) -> bool:
    """Tell whether there is anything in a choice, were it a thought or a refusal."""
    message = _find_message(choice)
    return bool(choice.get("text")) or any(value for name, value in message.items() if name != "role")


def read_choice(choice: Mapping[str, Any], *, clean: bool = True) -> Completion:
    """Read one choice of a server's answer; `clean` as of `read_text`."""
    message = _find_message(choice)
    given = (message.get("content"), message.get("text"), message.get("parts"), choice.get("text"))
    text, reasoning = _read_content(next((each for each in given if each not in (None, "", [])), None))
    end = find_end(choice)
    if called := "" if text.strip() else _read_tool_call(message):
        text, end = called, "stop" if _name_end(end) in _CALLS else end
    if clean:
        text = drop_annotated(text, message.get("annotations"))
    told = [_read_reasoning(message.get(name)) for name in REASONING_FIELDS]
    if refusal := _find_refusal(message):
        found = Completion(text="", finish_reason="refused", detail=clean_text(refusal).strip()[:400])
    else:
        thought = next(filter(None, told), "")
        found = read_text(text, end, reasoning="\n\n".join(filter(None, (thought, reasoning))), clean=clean)
    logprobs = _read_logprobs(choice.get("logprobs"))
    return replace(found, logprobs=logprobs) if logprobs else found


def _find_message(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message of a choice, which some gateways leave as the piece of a stream, or as a bare text."""
    for name in ("message", "delta"):
        found = choice.get(name)
        if isinstance(found, str):
            return {"content": found}
        if isinstance(found, dict) and found:
            return found
    return {"content": choice.get("content")}


def _find_refusal(message: Mapping[str, Any]) -> str:
    """Return the words by which a model's maker refuses: of the message, or of a part of its content."""
    content = message.get("content")
    parts = [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
    said = (each.get("refusal") for each in (message, *parts))
    return next((each for each in said if isinstance(each, str) and each.strip()), "")


REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks")
"""Where servers put the thought: the first that holds one is read, as some fill two with the same."""
_MAX_DEPTH = 5
_CALLS = frozenset({"tool_calls", "tool_use", "function_call"})
_ANSWER_TOOL = re.compile(
    r"answer|json\w{0,20}|structured\w{0,20}|respond|\w{0,20}(?:response|output)\w{0,20}", re.IGNORECASE
)
"""The tool by whose call gateways ask for JSON, where they don't turn the call into content."""


def _read_tool_call(message: Mapping[str, Any]) -> str:
    """Return the answer in JSON that a gateway left in the call of a tool; "" if there is none."""
    for listed in (message.get("tool_calls"), [message.get("function_call")], message.get("content")):
        for call in listed if isinstance(listed, list) else ():
            called = call.get("function", call) if isinstance(call, dict) else None
            if isinstance(called, dict) and _ANSWER_TOOL.fullmatch(str(called.get("name"))):
                given = called.get("arguments", called.get("input"))
                return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False) if given else ""
    return ""


def _read_content(content: object, depth: int = 0) -> tuple[str, str]:
    """Return (text, thought) of a message's content: a text, a list of parts, or JSON that a gateway has parsed."""
    if isinstance(content, str):
        return content, ""
    texts, thoughts = [], []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, int | float) and not isinstance(part, bool):
            texts.append(str(part))
        elif isinstance(part, dict) and depth < _MAX_DEPTH:
            text, thought = _read_part(part, depth + 1)
            texts.append(text)
            thoughts.append(thought)
    return "".join(texts), "\n".join(filter(None, thoughts))


def _read_part(part: Mapping[str, Any], depth: int) -> tuple[str, str]:
    kind = str(part.get("type", "")).lower()
    if any(word in kind for word in ("think", "thought", "reason")) or part.get("thought") is True:
        return "", _read_reasoning(part)
    for name in ("text", "content", "value"):
        if isinstance(part.get(name), str):
            return part[name], ""
    for name in ("text", "parts"):  # as of OpenAI's assistants, and of Gemini
        if isinstance(part.get(name), dict | list):
            return _read_content(part[name], depth)
    return ("", "") if "type" in part or not part else (json.dumps(part, ensure_ascii=False), "")


def _read_reasoning(value: object, depth: int = 0) -> str:
    """Return the text of a thought in whatever form: a text, parts, or an object that holds either."""
    if isinstance(value, str):
        return value
    if depth == _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return "\n".join(filter(None, (_read_reasoning(each, depth + 1) for each in value)))
    if isinstance(value, dict):
        named = (value.get(name) for name in ("thinking", "text", "content", "summary", "reasoning"))
        return next(filter(None, (_read_reasoning(each, depth + 1) for each in named)), "")
    return ""


_NO_LOGPROB = 1e9
"""A whole number of this size is none, and may be too large for a float."""
_SPACE_MARK = re.compile("^[▁Ġ]")
"""What stands for a space in a vocabulary: some servers give its pieces in place of their text."""


def _read_logprobs(logprobs: object) -> tuple[tuple[str, float], ...]:
    """Read the first token's alternatives in the form of the chat API, or of the old completions API."""
    if not isinstance(logprobs, dict):
        return ()
    pairs: list[tuple[object, object]] = []
    match logprobs:
        case {"content": [{"top_logprobs": [*entries]}, *_]}:
            pairs = [(each.get("token"), each.get("logprob")) for each in entries if isinstance(each, dict)]
        case {"top_logprobs": [{**alternatives}, *_]}:
            pairs = list(alternatives.items())
    found = [
        (clean_text(_SPACE_MARK.sub(" ", token)), float(value))
        for token, value in pairs
        if isinstance(token, str)
        and ((isinstance(value, float) and isfinite(value)) or (isinstance(value, int) and abs(value) < _NO_LOGPROB))
    ]
    return tuple(sorted(found, key=lambda pair: (-pair[1], pair[0])))


_NO_COUNT = 1_000_000_000
"""So many tokens no answer has; completions files hold sums below 2^63."""
_BYTES_PER_TOKEN = 4
"""Of the estimate: about right for English and, three bytes a character, for Chinese."""


def _count_tokens(found: list[Completion], answer: Mapping[str, Any], prompt_bytes: int) -> list[Completion]:
    """Return the completions with their shares of what the server counted, or with estimates."""
    if not found:
        return []
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    lengths = [len(each.text.encode()) + len(each.reasoning.encode()) for each in found]
    prompt = _count(usage.get("prompt_tokens", usage.get("input_tokens")))
    completion = _count(usage.get("completion_tokens", usage.get("output_tokens")))
    if prompt and completion:  # Gemini and xAI count the thought in the total alone
        completion = max(completion, _count(usage.get("total_tokens")) - prompt)
    estimated = not prompt or (not completion and any(lengths))
    if estimated:
        prompt = prompt or -(-prompt_bytes // _BYTES_PER_TOKEN)
        completion = completion or sum(-(-length // _BYTES_PER_TOKEN) for length in lengths)
    elif "timings" in answer and lengths[0]:
        # llama.cpp, which counts the first choice only: estimate the others by its tokens per byte.
        completion = min(_NO_COUNT, round(completion * sum(lengths) / lengths[0]))
    details = usage.get("completion_tokens_details")
    thought = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    counted = []
    for index, (each, share) in enumerate(zip(found, _share(completion, lengths), strict=True)):
        by_length = share * len(each.reasoning.encode()) // (lengths[index] or 1)
        counted.append(
            replace(
                each,
                prompt_tokens=0 if index else prompt,
                completion_tokens=share,
                reasoning_tokens=min(share, thought if thought and len(found) == 1 else by_length),
                estimated=estimated,
            )
        )
    return counted


def _count(value: object) -> int:
    """Return a count that a server gives as 20, 20.0 or "20"; 0 for anything else, and for what none can be."""
    try:
        number = float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return 0
    return int(number) if 0 < number < _NO_COUNT else 0


def _share(total: int, weights: list[int]) -> list[int]:
    """Split a whole number in proportion to the weights; the parts add up to it."""
    whole = sum(weights) or 1
    ends = [0]
    for weight in weights:
        ends.append(ends[-1] + weight)
    ends = [total * end // whole for end in ends[:-1]] + [total]
    return [end - start for start, end in itertools.pairwise(ends)]
