"""Separates a model's thought from its answer. No other module does so.

Reasoning models write a thought before they answer. Where the server doesn't split it off, it stands in the text, with
the marks of its model family:

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
    | <|channel>thought…<channel|>, <unused94>thought…<unused95>   | Gemma 4, MedGemma; <ctrl94>: Gemini         |
    | thought, a newline and all the rest                          | Gemma 4, its tokens lost: no end is told    |
    | [unused16]…[unused17]                                        | openPangu                                   |
    | <|channel|>analysis<|message|>…<|channel|>final<|message|>…  | gpt-oss (harmony)                           |
    | analysis…assistantfinal…                                     | gpt-oss, its tokens lost in decoding        |
    | to=self<|message|>…<|eom|>…to=user<|message|>…               | Muse Glimmer, also with its tokens lost     |
    | "Here is my thought process: … Here is my response: …"       | Granite 3.2                                 |
    | <|think|>…<|/think|>, <|begin_of_thinking|>… and others      | tokens of other families                    |
    | ## Thinking … ## Final Response …                            | HuatuoGPT-o1                                |
    | Thinking... … ...done thinking.                              | Ollama's command line                       |
    | <details type="reasoning" …>…</details>, or with a summary   | Open WebUI, other front ends                |
    | *Thinking...* or 💭, and quoted lines                         | Poe, other front ends                       |
    | ```thinking … ```, **Thinking:** … **Answer:** …             | front ends                                  |
    | <analysis>…</analysis> before <answer>…</answer>             | models with a prompt of their server's      |

A thought stands at the beginning. A tag that comes later, or in quotes or code, belongs to the answer and stays. There
are two exceptions (`split_later`): a later thought of a model that has shown one before, and a block on lines of its
own that the prompt doesn't ask for.
"""

import re
from itertools import islice
from typing import NamedTuple


class Thought(NamedTuple):
    """A model's text, split into answer and thought."""

    answer: str
    """The unchanged text if there is no thought; "" if the thought never ends."""
    reasoning: str
    closed: bool
    """False if the thought never ends, so that there is no answer."""


_WORDS = r"(?:think|thinking|thoughts?|reasoning)"
_NAMES = (
    rf"(?:[\w.-]{{1,20}}[:_])?(?:{_WORDS}(?:_?(?:process|steps|trace|content|fast|faster|block|summary))?|scratchpad|cot|(?:inner|internal)_monologue|antThinking"
    r"|chain_of_thought)"
)
_OPEN_TAG = re.compile(rf"<\s?({_NAMES})(?:\s|\s[^<>=]{{0,40}}=[^<>]{{0,80}})?>", re.IGNORECASE)
_END_TAG = re.compile(rf"<\s?(?:\\?/|//)\s?({_NAMES})\s?>", re.IGNORECASE)
_TOKENS = tuple(
    (re.compile(opening), re.compile(ending))
    for opening, ending in (
        (r"\[(?:THINK|THINKING|REASONING|THOUGHTS?)\]", r"\[/(?:THINK|THINKING|REASONING|THOUGHTS?)\]"),
        ("◁think▷", "◁/think▷"),
        (
            rf"(?i:<[|｜](?:(?:begin|start)[_▁](?:of[_▁])?)?{_WORDS}(?:[_▁](?:begin|start))?[|｜]>)",
            rf"(?i:<[|｜](?:(?:/|end[_▁](?:of[_▁])?){_WORDS}|{_WORDS}[_▁]end)[|｜]>)"
            r"|<\|end\|>\s{0,9}<\|begin\|>assistant<\|content\|>",
        ),
        (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
        (r"<\|channel>", r"<channel\|>"),
        ("<(?:unused|ctrl)94>", "<(?:unused|ctrl)95>"),
        (r"\[unused16\]", r"\[unused17\]"),
    )
)
_OPENED_AT_END = re.compile(
    rf"(<{_NAMES}>|{'|'.join(opening.pattern for opening, _ in _TOKENS)}|<\|channel\|>analysis<\|message\|>)"
    r"(?:thought)?\s*\Z"
)
_ENDS_BEGIN = ("<", "[/", "◁/", "[u")
"""Every end mark begins with one of these. Most texts hold none, and need no further search."""
_LABELLED = ("<|channel>", "<unused94>", "<ctrl94>")
"""Opening marks that the label "thought" follows."""
_LABEL = re.compile(r"(?:<\|channel>|<(?:unused|ctrl)94>)thought\b")
_LABEL_END = re.compile(r"<channel\|>|<(?:unused|ctrl)95>")
_LABEL_ALONE = "thought\n"
"""What is left of such an opening where a server decodes without special tokens; of the end nothing is left."""
_EMPTY_TAG = re.compile(rf"\s*+<{_NAMES}\s?/>", re.IGNORECASE)
_ANSWER_NAME = r"(?:[\w.-]{1,20}[:_])?(?:answer|response|output|final|assistant)"
_DELIBERATION = "(?:analysis|reflection|plan|planning|rationale|reason|deliberation)"
_PHRASES = tuple(
    (re.compile(opening), re.compile(ending))
    for opening, ending in (
        (r"Here(?: is|'s) my thought process:", r"Here(?: is|'s) my response:"),
        (r"Here are my reasoning steps:", r"\[BEGIN FINAL RESPONSE\]"),
        (r"#{1,3} (?:Thinking|Thought Process)\s", r"#{1,3} (?:Final (?:Response|Answer)|Response)\s"),
        (r"(?i)\[(?:think|thinking|reasoning|thoughts?)\]", r"(?i)\[/(?:think|thinking|reasoning|thoughts?)\]"),
        (r"Thinking\.\.\.\s", r"\.\.\.done thinking\."),
        (
            r"(?i)<details type=\"reasoning\"[^<>]{0,200}>"
            r"|<details[^<>]{0,80}>\s{0,9}<summary>[^<>]{0,80}(?:think|thought|reasoning|reasoned)[^<>]{0,80}"
            r"</summary>",
            r"</details>",
        ),
        (r"\*?Thinking\.\.\.\*?\s{1,9}(?=>)", r"\n{2}(?![\n>])"),
        (r"> ?(?:[💭🤔🧠]|\*{1,2}(?:Thinking|Thought)\b)", r"\n{2}(?![\n>])"),
        (r"```(?:think|thinking|thoughts?|reasoning)[ \t]*\n", r"\n```[ \t]*(?:\n|\Z)"),
        (
            r"(?i)\*\*(?:Thinking(?:\.\.\.)?|Thought(?:s| process)):?\*\*:?\s",
            r"(?i)\n\s{0,9}\*\*(?:Final )?(?:Answer|Response):?\*\*:?[ \t]*",
        ),
        (
            rf"(?i)<{_DELIBERATION}>",
            rf"(?i)</{_DELIBERATION}>\s{{0,9}}(?=<{_ANSWER_NAME}>)",
        ),
        (r"(?=\*{0,2}(?:Thought|Reasoned) for \d)", r"\A[^\n]{0,40}\b(?:seconds?|minutes?|s)\*{0,2}\n+"),
    )
)
_ANSWER_OPEN = re.compile(rf"<(?:({_ANSWER_NAME})|\|(?:begin|start)_((?:of_)?(?:solution|box|response))\|)>")
_FINAL = re.compile(r"<\|channel\|>\s{0,9}(?:final|assistant)[^<>]{0,40}(?:<\|constrain\|>[^<>]{0,40})?<\|message\|>")
_CALLED = re.compile(r"(?:<\|channel\|>|assistant)(?=commentary to=\w)")
"""The beginning of a tool call by gpt-oss, which is not a thought."""
_ADDRESSED = re.compile(r"(?:<\|start\|>)?(?:assistant)?\s{0,9}to=(self|user)(?:<\|message\|>|(?=[A-Z]))")
_ADDRESSED_END = re.compile(r"<\|eo[mt]\|>|(?=(?:<\|start\|>)?assistant\s{1,9}to=(?:self|user))")
_MARK = re.compile(r"<\|[a-z_]{1,20}\|>")
_HEADER = re.compile(
    r"(?:\s*+(?:<\|(?:im_start|im_end|im_middle|im_sep|im_assistant|start_header_id|end_header_id|start_of_role|end_of_role"
    r"|begin_of_text|startoftext|start_of_turn_token|chatbot_token|assistant)\|>|\[gmask\](?:<sop>)?|<｜(?:assistant|begin▁of▁sentence)｜>|</?s>|<bos>"
    r"|<start_of_turn>|<\|turn>|\[/INST\]|[\ufeff\u200b\u2060])(?:\s*+(?:assistant|model)(?![\w.,]))?+)++",
    re.IGNORECASE,
)
"""The head of the assistant's turn, where a server leaves it in the text, with invisible characters."""
_MOST_THOUGHTS = 20
_MOST_TAGS = 50
"""Tags of each kind that one text is searched for, as each costs time. No model writes more."""
_QUOTES = frozenset("`'\"“”‘’«»")
_SENTENCE_ENDS = frozenset(".!?…。！？)]}*")


def split_reasoning(text: str) -> Thought:
    """Split a text into the answer and the thought before it. Takes time in proportion to the length of the text."""
    thoughts: list[str] = []
    header = _HEADER.match(text)
    rest = text[header.end() :] if header else text
    while len(thoughts) < _MOST_THOUGHTS and (part := _split_first(rest)) is not None:
        thoughts.append(part.reasoning)
        rest = part.answer
        if not part.closed:
            return Thought("", "\n\n".join(filter(None, thoughts)), closed=False)
        if part.answer == "":
            break
    if not thoughts:
        return Thought(text, "", closed=True)
    return Thought(unwrap_answer(rest.strip()), "\n\n".join(filter(None, thoughts)), closed=True)


_LATER_OPEN = re.compile(rf"<({_WORDS})>", re.IGNORECASE)
_LATER_DETAILS = re.compile(
    r"\n<details(?: type=\"reasoning\"[^<>\n]{0,200}>|[^<>\n]{0,80}>\s{0,9}<summary>[^<>\n]{0,40}"
    r"(?:think|thought|reasoning)[^<>\n]{0,40}</summary>)(?:(?!<details).)*</details>\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_MENTIONED = re.compile(rf"</?{_WORDS}>", re.IGNORECASE)
_ASKED = re.compile(r"<|tags?\b|xml|think|thought|reason|details", re.IGNORECASE)


def split_later(answer: str, prompt: str | None, *, is_sure: bool) -> tuple[str, str]:
    """Return (answer, thoughts): split off thoughts that a model writes within or after its answer.

    `is_sure` says that the model wrote a thought before this answer, so that later tags are its own. Otherwise only a
    block on lines of its own counts as a thought, and only if the `prompt` mentions nothing of the kind.
    """
    if prompt is None or "<" not in answer or (_MENTIONED if is_sure else _ASKED).search(prompt):
        return answer, ""
    thoughts: list[str] = []
    if details := _LATER_DETAILS.search(answer):
        thoughts.append(details[0])
        answer = answer[: details.start()]
    at = 0
    for _ in range(_MOST_TAGS):
        if not (opened := _LATER_OPEN.search(answer, at)):
            break
        start, at = opened.span()
        ended = re.compile(re.escape(f"</{opened[1]}>"), re.IGNORECASE).search(answer, at)
        end = ended.end() if ended else len(answer)
        own_lines = answer[start - 1 : start] in ("", "\n") and answer[end : end + 1] in ("", "\n")
        if not own_lines and not (is_sure and ended):
            continue
        if not (is_sure or ended) or _is_quoted(answer, start, at) or answer.count("```", 0, start) % 2:
            continue
        thoughts.append(answer[at : ended.start() if ended else end])
        before, after = answer[:start], answer[end:]
        if own_lines and before.strip():
            before, after = f"{before.rstrip()}\n\n", after.lstrip("\n")
        answer, at = before + after, len(before)
    return answer.strip() if thoughts else answer, "\n\n".join(each.strip() for each in thoughts)


def find_opening(prompt: str) -> str:
    """Return the mark with which the chat template opened a thought at the end of a prompt; "" if it didn't."""
    opened = _OPENED_AT_END.search(prompt)
    return opened[1] if opened else ""


def _split_first(text: str) -> Thought | None:
    """Split off the thought at the beginning of a text; return None if there is none."""
    if empty := _EMPTY_TAG.match(text):
        return Thought(text[empty.end() :], "", closed=True)
    return (
        _split_addressed(text)
        or _split_harmony(text)
        or _split_opened(text)
        or _split_phrases(text)
        or _split_lone_end(text)
    )


def _split_addressed(text: str) -> Thought | None:
    """Split off what Muse Glimmer addresses to itself, or the header of what it addresses to the user."""
    header = _ADDRESSED.match(text)
    if not header:
        return None
    end = _ADDRESSED_END.search(text, header.end())
    content = text[header.end() : end.start() if end else None]
    if header[1] == "user":
        return Thought(content, "", closed=True)
    return Thought(text[end.end() :] if end else "", content.strip(), closed=end is not None)


def _split_harmony(text: str) -> Thought | None:
    """Split the channels of gpt-oss: everything outside of "final" is a thought."""
    if final := _FINAL.search(text):
        answer = text[final.end() :]
        end = _MARK.search(answer)
        return Thought(answer[: end.start()] if end else answer, _MARK.sub(" ", text[: final.start()]).strip(), True)
    start = text.lstrip()
    begins = ("<|channel|>", "<|start|>assistant<|channel|>", "analysis", "assistantcommentary", "assistantanalysis")
    if start.startswith(begins) and "assistantfinal" not in start and (called := _CALLED.search(start)):
        return Thought(start[called.end() :], _MARK.sub(" ", start[: called.start()]).strip(), closed=True)
    if start.startswith("<|channel|>") or start.startswith("<|start|>assistant<|channel|>"):
        return Thought("", _MARK.sub(" ", start).strip(), closed=False)
    for channel in ("analysis", "commentary", "assistantanalysis", "assistantcommentary", "assistantfinal"):
        if start.startswith(channel):
            thought, found, answer = start.partition("assistantfinal")
            if found:
                return Thought(answer, thought.removeprefix(channel).strip(), closed=True)
            # A channel's name is joined to a sentence only where the token between them was lost.
            if start[len(channel) : len(channel) + 1].isupper():
                return Thought("", start.removeprefix(channel).strip(), closed=False)
    if start.startswith("final") and start[len("final") : len("final") + 1].isupper():
        return Thought(start.removeprefix("final"), "", closed=True)
    return None


def _split_opened(text: str) -> Thought | None:
    start = text.lstrip()
    opened, ending, again = _OPEN_TAG.match(start), _END_TAG, None
    if opened:
        ending = re.compile(rf"<\s?\\?/\s?{re.escape(opened[1])}\s?>", re.IGNORECASE)
        again = re.compile(rf"<{re.escape(opened[1])}>", re.IGNORECASE)
    else:
        for opening, its_end in _TOKENS:
            if opened := opening.match(start):
                ending = its_end
                break
    if not opened:
        return _split_labelled(start)
    inside = start[opened.end() :]
    if opened[0] in _LABELLED:
        inside = inside.removeprefix("thought")
    # If a tag's own end is missing, the end of any thought counts: models mix up <think> and </thinking>.
    end = _find_end(inside, ending, again) or (opened.re is _OPEN_TAG and _find_end(inside, _END_TAG))
    if not end:
        return Thought("", inside.strip(), closed=False)
    return Thought(inside[end.end() :], inside[: end.start()].strip(), closed=True)


def _split_labelled(text: str) -> Thought | None:
    """Split off Gemma's thought where words stand before it, or where its tokens, and so its end, are lost."""
    if text.startswith(_LABEL_ALONE):
        return Thought("", text.removeprefix(_LABEL_ALONE).strip(), closed=False)
    opened = _LABEL.search(text)
    end = _LABEL_END.search(text, opened.end()) if opened else None
    if not opened or not end or _is_quoted(text, opened.start(), end.end()):
        return None
    return Thought(
        text[end.end() :], f"{text[: opened.start()]}{text[opened.end() : end.start()]}".strip(), closed=True
    )


def lost_marks(text: str) -> bool:
    """Tell whether a text begins with a thought whose end can't be found, as its marks were lost."""
    return text.lstrip().startswith(_LABEL_ALONE)


def _find_end(text: str, ending: re.Pattern[str], again: re.Pattern[str] | None = None) -> re.Match[str] | None:
    """Return the tag that ends a thought: the first that isn't quoted, or else the first; None if there is none.

    `again` opens a thought within the thought. Its end is skipped, if there are enough end tags.
    """
    tags = list(islice(ending.finditer(text), _MOST_TAGS))
    ends = [tag for tag in tags if not _is_quoted(text, tag.start(), tag.end())]
    begun = [each.start() for each in islice(again.finditer(text), _MOST_TAGS)
             if not _is_quoted(text, each.start(), each.end())] if again and len(ends) > 1 else []  # fmt: skip
    outer = (tag for number, tag in enumerate(ends) if sum(start < tag.start() for start in begun) <= number)
    return next(outer, (ends or tags)[0]) if tags else None


def _split_phrases(text: str) -> Thought | None:
    start = text.lstrip()
    for opening, ending in _PHRASES:
        if (begins := opening.match(start)) and (ends := ending.search(start)):
            answer = start[ends.end() :].partition("[END FINAL RESPONSE]")[0]
            return Thought(answer, start[begins.end() : ends.start()].strip(), closed=True)
    return None


def _split_lone_end(text: str) -> Thought | None:
    """Split off a thought that the prompt opened, so that only its end is in the text."""
    if not any(begun in text for begun in _ENDS_BEGIN):
        return None
    for opening, ending in _TOKENS:
        end = ending.search(text)
        if end and not opening.search(text, 0, end.start()) and not _is_quoted(text, end.start(), end.end()):
            return Thought(text[end.end() :], text[: end.start()].strip(), closed=True)
    opened = next((tag for tag in islice(_OPEN_TAG.finditer(text), _MOST_TAGS)
                   if not _is_quoted(text, tag.start(), tag.end())), None)  # fmt: skip
    for tag in islice(_END_TAG.finditer(text), _MOST_TAGS):
        if opened and opened.start() < tag.start() and not _is_mentioned_before(text, opened, tag):
            return None
        if _ends_a_thought(text, tag.start(), tag.end()):
            return Thought(text[tag.end() :], text[: tag.start()].strip(), closed=True)
    return None


def _is_mentioned_before(text: str, opened: re.Match[str], end: re.Match[str]) -> bool:
    """Tell whether an opening tag is only mentioned: it stands within a line, and the end tag on a line of its own."""
    alone = text[end.start() - 1 : end.start()] == "\n" and text[end.end() : end.end() + 1] in ("", "\n")
    around = text[max(0, opened.start() - 1) : opened.start()], text[opened.end() : opened.end() + 1]
    return alone and not {"", "\n"} & {*around}


def _ends_a_thought(text: str, start: int, end: int) -> bool:
    """Tell whether a tag ends a thought, and is not just mentioned.

    It does if it begins or ends a line, or follows a whole sentence, and is not in quotes or code.
    """
    if _is_quoted(text, start, end) or text.count("```", 0, start) % 2:
        return False
    before, after = text[max(0, start - 80) : start].rstrip(" \t")[-1:], text[end : end + 80].lstrip(" \t")[:1]
    return before in ("", "\n") or after in ("", "\n") or before in _SENTENCE_ENDS


def _is_quoted(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start] in _QUOTES and text[end : end + 1] in _QUOTES if start else False


def unwrap_answer(answer: str) -> str:
    """Remove the tags that some model families put around the answer after a thought."""
    lowered = answer.lower() if answer.startswith("<") else ""
    if opened := _ANSWER_OPEN.match(lowered):
        ending = f"</{opened[1]}>" if opened[1] else f"<|end_{opened[2]}|>"
        if lowered.endswith(ending) or ending not in lowered:
            end = len(answer) - len(ending) if lowered.endswith(ending) else len(answer)
            return answer[opened.end() : end].strip()
    return answer
