"""Reads recorded answers of any API as choices in the form of an OpenAI-compatible server's answer (wire.py).

| recorded                                                | whose format                             |
|---------------------------------------------------------|------------------------------------------|
| a text; a list of texts, null for an empty one          | anybody; as many samples                 |
| {"choices": […]}; {"status_code": 200, "body": {…}}     | OpenAI; its batches                      |
| {"output": [{"type": "message", …}, …]}                 | OpenAI's Responses                       |
| {"output": {"message": {…}}}; {"output": {"choices"}}   | Bedrock; DashScope                       |
| {"content": […], "stop_reason"}; {"role", "content"}    | Anthropic; a message                     |
| a list of turns                                         | TRL: what the assistant says last        |
| {"error": {…}}                                          | a request that failed: a refusal         |
| {"candidates": [{"content": {"parts": […]}}]}           | Gemini                                   |
| {"message": {…}, "done_reason"}; {"response": text}     | Ollama, Cohere                           |
| {"generated_text"}; {"outputs": [{"text"}]}             | TGI, transformers; vLLM in process       |
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from autoif.models.ends import ENDS
from autoif.models.wire import REASONING_FIELDS

Choice = dict[str, Any]

_LISTS = ("choices", "candidates", "outputs", "generated_text", "body")
_TEXTS = ("text", "generated_text", "response", "completion", "output_text")
_MAX_DEPTH = 4


def find_choices(answer: object, depth: int = 0) -> list[Choice]:
    """Return the choices in a recorded answer; an empty list if its format is unknown."""
    if isinstance(answer, str):
        return [{"message": {"content": answer}}]
    if depth == _MAX_DEPTH:
        return []
    if isinstance(answer, list):
        return _find_in_list(answer, depth + 1)
    return _find_in_object(answer, depth + 1) if isinstance(answer, dict) else []


def _find_in_list(answers: list[Any], depth: int) -> list[Choice]:
    objects = [each for each in answers if isinstance(each, dict)]
    turns = [each for each in objects if each.get("role") in ("assistant", "model") and "finish_reason" not in each]
    if turns:
        return [{"message": turns[-1]}]
    if objects and all("type" in each and "content" not in each for each in objects):
        return [{"message": {"content": answers}}]  # the parts of one message
    found = [[{"message": {}}] if each is None else find_choices(each, depth) for each in answers]
    # If one answer has an unknown format, the whole list has: no answer is dropped silently.
    return [*chain.from_iterable(found)] if all(found) else []


def _find_in_object(answer: Mapping[str, Any], depth: int) -> list[Choice]:
    output = answer.get("output")
    if isinstance(output, list) and any(isinstance(each, dict) and "type" in each for each in output):
        return [_read_output(answer, output)]
    if isinstance(output, dict) and (found := find_choices(output, depth)):  # Bedrock's, DashScope's
        return [{**_pick(answer, ENDS), **choice} for choice in found]
    for name in _LISTS:
        inner = answer.get(name)
        if isinstance(inner, list | dict) and (found := find_choices(inner, depth)):
            return found
        if inner == []:
            return [{"message": {}}]
    if isinstance(answer.get("message"), str | dict):
        return [dict(answer)]
    ends = _pick(answer, ENDS)
    if isinstance(answer.get("content"), str | list | dict) or "role" in answer:
        return [{"message": dict(answer), **ends}]
    text = next((answer[name] for name in _TEXTS if isinstance(answer.get(name), str)), None)
    if text is not None:
        return [{"message": {"content": text, **_pick(answer, REASONING_FIELDS)}, **ends}]
    if error := answer.get("error"):
        reason = error.get("message") if isinstance(error, dict) else error
        return [{"message": {"refusal": str(reason or "error")}}]
    return [{"message": {}, **ends}] if "message" in answer or "text" in answer else []


def _pick(answer: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: answer[name] for name in names if name in answer}


def _read_output(answer: Mapping[str, Any], output: list[Any]) -> Choice:
    parts: list[Any] = []
    final = [item for item in output if isinstance(item, dict) and item.get("phase") == "final_answer"]
    for item in final or output:  # messages of earlier phases only report progress
        inner = item.get("content") if isinstance(item, dict) and item.get("type") == "message" else None
        parts += inner if isinstance(inner, list) else [item]
    details = answer.get("incomplete_details")
    end = details.get("reason") if isinstance(details, dict) else answer.get("status")
    return {"message": {"content": parts}, "finish_reason": end}
