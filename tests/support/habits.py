"""Habits of servers in the text of answers, and beside it: what each does, and what becomes of its answers.

`tests/test_answers_of_habits.py` reads an answer of each, and `benchmarks/server_habits.py` plays each as a whole run.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from autoif.records import Reason
from support.habit_server import Answer, Asked, Body, Edit, Habit, edited, honest, put, put_message, say

RESPONSES = ("responses",)


class Known(NamedTuple):
    """A habit, in the responses alone."""

    does: str
    habit: Habit
    fault: Reason | None = None
    """Why its answers are none; None if they are what an honest server says."""


def _says(does: str, template: str, fault: Reason | None = None) -> Known:
    return Known(does, edited(say(template), RESPONSES), fault)


def _edits(does: str, edit: Edit, fault: Reason | None = None) -> Known:
    return Known(does, edited(edit, RESPONSES), fault)


def _rewrites(does: str, write: Callable[[str, str], str]) -> Known:
    """Say what `write` makes of the last turn and the answer."""

    def habit(asked: Asked) -> Answer:
        answer = honest(asked)
        if asked.stage == "responses":
            for choice in answer["choices"]:
                message = choice["message"]
                message["content"] = write(asked.body["messages"][-1]["content"], message["content"])
        return answer

    return Known(does, habit)


def _beside(does: str, fault: Reason | None = None, **fields: Any) -> Known:
    """Set fields of the whole answer, with hyphens for two underscores."""

    def habit(asked: Asked) -> Answer:
        answer = honest(asked)
        named = {name.replace("__", "-"): value for name, value in fields.items()}
        return answer | named if asked.stage == "responses" else answer

    return Known(does, habit, fault)


def _think_beside(template: str) -> Edit:
    thought = "The user wants to know what the keeper does, so I say it."
    return put_message(reasoning_content=thought, content=template.replace("THOUGHT", thought))


PASSED_ON = {
    "id": "c",
    "object": "chat.completion",
    "choices": [{"message": {"content": "ANSWER"}, "finish_reason": "stop"}],
}
UPSTREAM = {"error": {"message": "Upstream request failed", "type": "upstream_error", "code": 502}}
SEARCH = {"type": "function", "function": {"name": "search", "arguments": "{}"}}
PAGE = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
    "<body>\r\n<center><h1>502 Bad Gateway</h1></center></body>\r\n</html>"
)
CITED = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 20, "url": "https://a.example"}}


def _call(choice: Body) -> None:
    choice["finish_reason"] = "tool_calls"
    choice["message"] |= {"content": "I will look that up.", "tool_calls": [SEARCH]}


def _pieces(_: str, text: str) -> str:
    return text.replace(" ", "Ġ")


HABITS: dict[str, Known] = {
    # The text, damaged on its way
    "byte_order_mark": _says("a byte order mark before the text", "\ufeffANSWER"),
    "pieces_gpt2": _rewrites("pieces of a vocabulary, not decoded", _pieces),
    "pieces_sentencepiece": _rewrites("the same of SentencePiece", lambda _, text: "▁" + text.replace(" ", "▁")),
    "begin_token": _says("`<s>` before the answer", "<s> ANSWER"),
    "unused_tokens": _says("Gemma's unused tokens", "ANSWER<unused12><unused12>"),
    "cohere_token": _says("Cohere's end token", "ANSWER<EOS_TOKEN>"),
    "half_a_token": _says("half of the end token", "ANSWER<|im_end"),
    "watermark": _rewrites("spaces without width between words", lambda _, text: text.replace(" ", " \u200b")),
    "tag_characters": _says("invisible characters at the end", "ANSWER\U000e0067\U000e0070\U000e0074"),
    # Around the text
    "echo": _rewrites("the prompt before the answer", lambda turn, text: f"{turn}\n{text}"),
    "echo_roles": _rewrites("the same as a conversation", lambda turn, text: f"User: {turn}\nAssistant: {text}"),
    "assistant_label": _says('"Assistant:" before the answer', "Assistant: ANSWER"),
    "alpaca_heading": _says('"### Response:" before the answer', "### Response:\nANSWER"),
    "next_turn": _says(
        "goes on with the user's next turn", "ANSWER\nuser\nWhat does he eat in the evening?\nassistant\nHe eats bread."
    ),
    "llama3_turns": _says(
        "Llama 3 without its end token", "ANSWERassistant\n\nAnother answer.assistant\n\nAnd another."
    ),
    "human_turn": _says("goes on with a conversation", "ANSWER\n\nHuman: And what else?\n\nAssistant: Nothing."),
    "twice": _says("the whole answer twice", "ANSWERANSWER"),
    "markdown_fence": _says("a fence around each answer", "```markdown\nANSWER\n```"),
    "json_around": _says("an object around each answer", '{"response": "ANSWER"}'),
    "thought_in_json": _says("an object with the thought and the answer", '{"thinking": "PONDER", "answer": "ANSWER"}'),
    "json_text": _rewrites("the answer as a JSON string", lambda _, text: json.dumps(f"{text}\n")),
    "sse_as_text": _says(
        "a whole stream as the text", 'data: {"choices":[{"delta":{"content":"ANSWER"}}]}\n\ndata: [DONE]'
    ),
    "answer_as_text": _says("another server's answer as the text", json.dumps(PASSED_ON)),
    "error_as_text": _says("another server's error as the text", json.dumps(UPSTREAM), Reason.REFUSED_BY_MODEL),
    "page_as_text": _says("a gateway's page as the text", PAGE, Reason.REFUSED_BY_MODEL),
    "object_object": _says("an object written as text", "[object Object]", Reason.EMPTY),
    "says_truncated": _says("a note that the text is cut", "ANSWER And then he [truncated]", Reason.TRUNCATED),
    # Thoughts
    "think_again": _says("thinks again", "<think>PONDER.</think>\nANSWER\n<think>\nPONDER.\n</think>"),
    "html_think": _says("escaped for a page", "&lt;think&gt;PONDER.&lt;/think&gt;ANSWER"),
    "fenced_thought": _says("the thought in a fence", "```thinking\nPONDER.\n```\n\nANSWER"),
    "quoted_thought": _says("the thought as a quotation", "> 💭 PONDER.\n\nANSWER"),
    "headed_thought": _says("thought and answer under headings", "**Thinking:** PONDER.\n\n**Answer:** ANSWER"),
    "thought_behind": _says(
        "the thought behind it", "ANSWER\n\n<details><summary>Reasoning</summary>\nPONDER\n</details>"
    ),
    "thought_for": _says("how long it thought", "Thought for 12 seconds\n\nANSWER"),
    "analysis_tag": _says("other tags of a thought", "<analysis>PONDER.</analysis>\n<answer>ANSWER</answer>"),
    "thought_twice": _edits("the thought beside the text and in it", _think_beside("THOUGHT\n\nANSWER")),
    "thought_as_text": _edits("the thought instead of the text", _think_beside("THOUGHT"), Reason.ONLY_REASONING),
    # Tools and searches
    "call_at_end": _says(
        "announces a call", 'I will look.\n<tool_call>\n{"name": "find", "arguments": {}}\n</tool_call>', Reason.EMPTY
    ),
    "call_beside": _edits("announces a call beside the text", _call, Reason.EMPTY),
    "bare_call": _says("a call as JSON", '{"name": "find", "arguments": {"of": "keeper"}}', Reason.EMPTY),
    "react_call": _says("a call in words", "Thought: I look.\nAction: find\nAction Input: keeper", Reason.EMPTY),
    "tool_code": _says("Gemini's call", "```tool_code\nfind('keeper')\n```", Reason.EMPTY),
    "cite_marks": _says("Gemini's marks of a source", "[cite_start]ANSWER[cite: 1, 2]"),
    "citation_marks": _says("DeepSeek's and OpenAI's", "ANSWER [citation:3]【12†L3-L5】"),
    "grounded": _edits("says which sentence has a source", put_message(annotations=[CITED])),
    "found_page": _edits(
        "what a search found beside the text",
        put_message(content=[{"type": "tool_result", "content": "PAGE"}, {"type": "text", "text": "ANSWER"}]),
    ),
    # Beside the text
    "default_stop": _edits("stops at a text by its own setting", put(stop_reason="###"), Reason.TRUNCATED),
    "matched_stop": _edits("the same, as SGLang says it", put(matched_stop="\nUser:"), Reason.TRUNCATED),
    "is_truncated": _edits("Baidu: `is_truncated`", put(is_truncated=True), Reason.TRUNCATED),
    "incomplete": _beside("`status: incomplete`", Reason.TRUNCATED, status="incomplete"),
    "azure_annotated": _edits(
        "Azure: a filter struck, and the end is a stop",
        put(content_filter_results={"hate": {"filtered": False}, "violence": {"filtered": True}}),
        Reason.REFUSED_BY_MODEL,
    ),
    "output_sensitive": _beside("MiniMax: `output_sensitive`", Reason.REFUSED_BY_MODEL, output_sensitive=True),
    "guardrail": _beside(
        "Bedrock: its guardrail's words", Reason.REFUSED_BY_MODEL, amazon__bedrock__guardrailAction="INTERVENED"
    ),
    "moderation_hit": _edits("Volcengine's", put_message(moderation_hit_type="violence"), Reason.REFUSED_BY_MODEL),
    "safety_rating": _edits("Gemini's", put(safety_ratings=[{"blocked": True}]), Reason.REFUSED_BY_MODEL),
    "preempted": _edits("the end is a failure", put(finish_reason="preempted"), Reason.REFUSED_BY_MODEL),
    "pause_turn": _edits("the end is a pause", put(finish_reason="pause_turn"), Reason.TRUNCATED),
}
