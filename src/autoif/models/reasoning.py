"""A thought and the answer after it, told apart: the only place that does so.

Reasoning models write before they answer. Where the server doesn't split that off, the thought is in the text, marked
as its model family marks it:

    | marks                                                        | models                                      |
    |--------------------------------------------------------------|---------------------------------------------|
    | <think>…</think>, and thinking, thought, reasoning alike     | DeepSeek R1, Qwen3, GLM, MiniMax, Nemotron  |
    | …</think> alone: the chat template opens it                  | DeepSeek R1, Qwen3-Thinking                 |
    | <seed:think>…</seed:think>, <longcat_think>, other prefixes  | Seed-OSS, LongCat                           |
    | [THINK]…[/THINK]                                             | Magistral                                   |
    | ◁think▷…◁/think▷                                             | Kimi-VL                                     |
    | <|START_THINKING|>…<|END_THINKING|>                          | Command A Reasoning                         |
    | <|begin_of_thought|>…<|end_of_thought|>                      | OpenThinker, Sky-T1                         |
    | <|inner_prefix|>…<|inner_suffix|>                            | Apertus                                     |
    | <|channel>thought…<channel|>, <unused94>thought…<unused95>   | Gemma 4, MedGemma                           |
    | <|channel|>analysis<|message|>…<|channel|>final<|message|>…  | gpt-oss (harmony)                           |
    | analysis…assistantfinal…                                     | gpt-oss, its tokens lost in decoding        |
    | "Here is my thought process: … Here is my response: …"       | Granite 3.2                                 |

A thought stands at the beginning. A tag that comes later, or in quotes or code, is what the answer is about, and stays.
"""

import re
from itertools import islice
from typing import NamedTuple


class Thought(NamedTuple):
    """What a model wrote, told apart."""

    answer: str
    """The text itself, unchanged, where there is no thought; "" where the thought never ends."""
    reasoning: str
    closed: bool
    """False if the thought never ends, so that there is no answer."""


_NAMES = r"(?:[\w.-]{1,20}[:_])?(?:think|thinking|thoughts?|reasoning)"
_OPEN_TAG = re.compile(rf"<({_NAMES})>", re.IGNORECASE)
_END_TAG = re.compile(rf"</({_NAMES})>", re.IGNORECASE)
_TOKENS = (
    ("[THINK]", "[/THINK]"),
    ("[THINKING]", "[/THINKING]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>", "<channel|>"),
    ("<unused94>", "<unused95>"),
)
_OPENED_AT_END = re.compile(
    rf"(<{_NAMES}>|{'|'.join(re.escape(opening) for opening, _ in _TOKENS)}|<\|channel\|>analysis<\|message\|>)"
    r"(?:thought)?\s*\Z"
)
_LABELLED = ("<|channel>", "<unused94>")
"""Their thoughts begin with the word "thought"."""
_PHRASES = (
    (re.compile(r"Here(?: is|'s) my thought process:"), re.compile(r"Here(?: is|'s) my response:")),
    (re.compile(r"Here are my reasoning steps:"), re.compile(r"\[BEGIN FINAL RESPONSE\]")),
)
_ANSWER_TAGS = (
    ("<answer>", "</answer>"),
    ("<response>", "</response>"),
    ("<output>", "</output>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ("<|begin_of_box|>", "<|end_of_box|>"),
)
_FINAL = re.compile(r"<\|channel\|>\s{0,9}final[^<>]{0,40}(?:<\|constrain\|>[^<>]{0,40})?<\|message\|>")
_MARK = re.compile(r"<\|[a-z_]{1,20}\|>")
_MOST_THOUGHTS = 20
_MOST_TAGS = 50
"""Of each kind that one text is searched for: no model writes more, and each costs a look around it."""
_QUOTES = frozenset("`'\"“”‘’«»")
_SENTENCE_ENDS = frozenset(".!?…。！？)]}*")


def split_reasoning(text: str) -> Thought:
    """Return the answer and the thought before it. Takes time in proportion to the length of the text."""
    thoughts: list[str] = []
    rest = text
    while len(thoughts) < _MOST_THOUGHTS and (part := _split_first(rest)) is not None:
        thoughts.append(part.reasoning)
        rest = part.answer
        if not part.closed:
            return Thought("", "\n\n".join(filter(None, thoughts)), closed=False)
        if part.answer == "":
            break
    if not thoughts:
        return Thought(text, "", closed=True)
    return Thought(_unwrap(rest.strip()), "\n\n".join(filter(None, thoughts)), closed=True)


def find_opening(prompt: str) -> str:
    """Return the mark by which a prompt, under its chat template, opens the model's thought; "" if it opens none."""
    opened = _OPENED_AT_END.search(prompt)
    return opened[1] if opened else ""


def _split_first(text: str) -> Thought | None:
    """Split off the thought that a text begins with; None if it begins with none."""
    return _split_harmony(text) or _split_opened(text) or _split_phrases(text) or _split_lone_end(text)


def _split_harmony(text: str) -> Thought | None:
    """Split the channels of gpt-oss: what is not said in "final" is thought."""
    if final := _FINAL.search(text):
        answer = text[final.end() :]
        end = _MARK.search(answer)
        return Thought(answer[: end.start()] if end else answer, _MARK.sub(" ", text[: final.start()]).strip(), True)
    start = text.lstrip()
    if start.startswith("<|channel|>") or start.startswith("<|start|>assistant<|channel|>"):
        return Thought("", _MARK.sub(" ", start).strip(), closed=False)
    for channel in ("analysis", "commentary", "assistantfinal"):
        if start.startswith(channel):
            thought, found, answer = start.partition("assistantfinal")
            if found:
                return Thought(answer, thought.removeprefix(channel).strip(), closed=True)
            # Only a lost token glues the channel to a sentence.
            if start[len(channel) : len(channel) + 1].isupper():
                return Thought("", start.removeprefix(channel).strip(), closed=False)
    return None


def _split_opened(text: str) -> Thought | None:
    """Split a thought whose beginning is marked."""
    start = text.lstrip()
    if tag := _OPEN_TAG.match(start):
        opening, ending = tag[0], f"</{tag[1]}>"
    else:
        found = next((pair for pair in _TOKENS if start.startswith(pair[0])), None)
        if found is None:
            return None
        opening, ending = found
    inside = start[len(opening) :]
    if opening in _LABELLED:
        inside = inside.removeprefix("thought")
    end = _find_end(inside, ending)
    if end < 0:
        return Thought("", inside.strip(), closed=False)
    return Thought(inside[end + len(ending) :], inside[:end].strip(), closed=True)


def _find_end(text: str, ending: str) -> int:
    """Return where a thought ends: at the first end tag that it doesn't quote, else at the first; -1 without any."""
    tags = list(islice(re.finditer(re.escape(ending), text, re.IGNORECASE), _MOST_TAGS))
    unquoted = (tag for tag in tags if not _is_quoted(text, tag.start(), tag.end()))
    return next(unquoted, tags[0]).start() if tags else -1


def _split_phrases(text: str) -> Thought | None:
    start = text.lstrip()
    for opening, ending in _PHRASES:
        begins, ends = opening.match(start), ending.search(start)
        if begins and ends:
            answer = start[ends.end() :].removesuffix("[END FINAL RESPONSE]")
            return Thought(answer, start[begins.end() : ends.start()].strip(), closed=True)
    return None


def _split_lone_end(text: str) -> Thought | None:
    """Split a thought that the prompt opened, so that only its end is in the text."""
    for opening, ending in _TOKENS:
        place = text.find(ending)
        if place >= 0 and opening not in text[:place] and not _is_quoted(text, place, place + len(ending)):
            return Thought(text[place + len(ending) :], text[:place].strip(), closed=True)
    opened = next((tag.start() for tag in islice(_OPEN_TAG.finditer(text), _MOST_TAGS)
                   if not _is_quoted(text, tag.start(), tag.end())), len(text))  # fmt: skip
    for tag in islice(_END_TAG.finditer(text), _MOST_TAGS):
        if opened < tag.start():
            return None
        if _ends_a_thought(text, tag.start(), tag.end()):
            return Thought(text[tag.end() :], text[: tag.start()].strip(), closed=True)
    return None


def _ends_a_thought(text: str, start: int, end: int) -> bool:
    """Tell a tag that ends a thought from one that a sentence mentions: it ends a line or begins one, or follows a
    whole sentence, and is not in quotes or code."""
    if _is_quoted(text, start, end) or text.count("```", 0, start) % 2:
        return False
    before, after = text[max(0, start - 80) : start].rstrip(" \t")[-1:], text[end : end + 80].lstrip(" \t")[:1]
    return before in ("", "\n") or after in ("", "\n") or before in _SENTENCE_ENDS


def _is_quoted(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start] in _QUOTES and text[end : end + 1] in _QUOTES if start else False


def _unwrap(answer: str) -> str:
    """Take off the tags that some families put around the answer after a thought."""
    for opening, ending in _ANSWER_TAGS:
        if answer.startswith(opening) and (answer.endswith(ending) or ending not in answer):
            return answer.removeprefix(opening).removesuffix(ending).strip()
    return answer
