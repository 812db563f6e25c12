"""Cleans a model's text, when it is read, of what would harm files, trainers and terminals.

    | in the text                                   | becomes                                                        |
    |-----------------------------------------------|----------------------------------------------------------------|
    | a lone surrogate (legal in JSON, in no file)  | U+FFFD; a pair in two pieces becomes its character             |
    | NUL, control characters, noncharacters        | nothing; vertical tab and form feed a newline                  |
    | a byte order mark, invisible tags             | nothing; a space of no width within ASCII or at an end, too    |
    | terminal sequences (ESC [ … m)                | nothing                                                        |
    | a chat template's tokens (<|im_end|>)         | nothing; a turn that follows the end token goes with it        |
    | the head of its turn, another turn behind it  | nothing, with or without a token that ended the answer         |
    | "assistant" alone in the first line           | nothing: the head of its turn, its tokens lost in decoding     |
    | marks of citations in private characters      | nothing                                                        |

All other characters, of any script, stay as they are. A template's token is removed even where an answer talks about
it, as trainers would read it as the end of the turn.
"""

import json
import re
from itertools import islice

from autoif.language import count_non_text
from autoif.reading.json_text import try_json

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,100}[ -/]{0,100}[@-~]"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]{0,1000}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[@-Z\\-_ -/]?"
)
_BREAKS = re.compile(r"[\x0b\x0c]")
_INVISIBLE = re.compile(
    r"\ufeff|(?<=[\x09-\x7e])[\u200b\u2060\u180e]+(?=[\x09-\x7e])|\A[\u200b\u2060]+|[\u200b\u2060]+\Z"
    r"|(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0000-\U000e007f]+"
)
"""Invisible characters that watermark a text or are left over from a file. Tags in emoji of flags stay, and U+200B
between letters of other scripts, as in Khmer."""
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufffe\uffff]")
_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_:./-]{1,40}\|>|<(?:\|(?:turn|tool_call|tool_response|tool)|(?:turn|tool_call|tool_response|tool)\|)>|<｜[^｜<>\n]{1,40}｜>|</?(?:start|end)_of_turn>|<(?:eos|bos|pad|unk)>|\[/?INST\]|<</?SYS>>"
    r"|<(?:EOS|BOS|PAD|UNK)_TOKEN>|<(?:unused|extra_id_|reserved_|SPECIAL_)\d{1,5}>|\[gMASK\](?:<sop>|sop)?"
    r"|\[(?:UNUSED_TOKEN_|PAD|control_)\d{1,6}\]|\[\|(?:endofturn|assistant|user|system|tool)\|\]|<seed:[be]os>|<eo[ah]>"
    r"|</?longcat_s>|\]~!?b[\[\]]|\[e~\[|\[unused\d{1,3}\]|\[E[OD]S\](?=\s*\Z)|<role>(?:ASSISTANT|HUMAN|SYSTEM)</role>"
)
_END = re.compile(
    r"<\|(?:im_end|end|endoftext|end_of_text|eot_id|eom_id|return|eot|endofturn|turn_end|end_of_turn_token|endofassistant"
    r"|endofmessage|endofresponse|role_end|assistant_end|end_of_sentence)\|>|\[\|endofturn\|\]|<seed:eos>|<eoa>|</longcat_s>|\[e~\[|<｜end▁of▁sentence｜>|<end_of_turn>|<turn\|>|<eos>|</s>(?=\s*+(?:(?:<s>\s*+)?\[INST\]|<\|user\|>|USER:\s))",
    re.IGNORECASE,
)
_NEXT_TURN = re.compile(
    r"\s*(?:\Z|<\||<｜|<start_of_turn>|\[\||<role>|<seed:bos>|\]~b\]|<longcat_|(?:<s>\s*)?\[INST\]|<(?:eos|bos|pad)>|(?:USER|User):\s)"
)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_JSON = re.compile(r"\s*+(?:```\w{0,20}\s*+)?(\{.*\})", re.DOTALL)
_SENTENCE_ENDS = frozenset(".!?…。！？")
_OTHERS_TURN = re.compile(
    r"<\|im_start\|>\s{0,9}(?:user|system|tool|assistant)[ \t]{0,9}\n"
    r"|<\|start_header_id\|>\s{0,9}(?:user|system|ipython|assistant)\s{0,9}<\|end"
    r"|<(?:start_of_turn|\|turn)>\s{0,9}(?:user|model)[ \t]{0,9}\n|<\|(?:user|human|assistant)\|>[ \t]{0,9}\n"
    r"|<｜(?:hy_)?User｜>|<\|user_token\|>|<(?:extra_id_1|SPECIAL_11)>(?:User|Assistant)\n|<role>HUMAN</role>|\[\|user\|\]",
    re.IGNORECASE,
)
"""The beginning of another turn, where no token ended the answer."""
_MOST_TURNS = 3
"""Heads of turns that are looked at; some may stand before the answer, such as that of its own turn."""
_OWN_TURN = re.compile(
    r"\s*+(?:\[gMASK\](?:<sop>)?+\s*+)?+(?:(?:<\|(?:im_start|start|start_header_id|start_of_role|turn|header_start)(?:\|>|>)|<start_of_turn>|<seed:bos>|\]~b\]"
    r"|<role>|\[\|)\s*+(?:assistant|model|ai)\b(?:\s*+<\|(?:end_header_id|end_of_role|header_end|message)\|>|</role>|\|\])?+"
    r"|<\|assistant\|>|\[/INST\])\s*+",
    re.IGNORECASE,
)
_FIRST_TURN = re.compile(
    r"\s*+(?:(?:<s>|<bos>|<\|begin_of_text\|>|<｜begin▁of▁sentence｜>|\[gMASK\](?:<sop>)?)\s*+)?(?:((?:<\|im_start\|>|<\|start_header_id\|>|<\|start_of_role\|>"
    r"|<start_of_turn>)\s*+(?:system|user)\b|<｜User｜>|<\|(?:user|system)\|>|\[INST\])|(?:system|user)\n)"
)
"""The first turn of a conversation: with its tokens (group 1), or what is left of it without them."""
_OWN_HEAD = re.compile(
    r"(?:<\|im_start\|>|<\|start_header_id\|>|<\|start_of_role\|>|<start_of_turn>)\s{0,9}(?:assistant|model)\b"
    r"\s{0,9}(?:<\|end_(?:header_id|of_role)\|>)?\s{0,9}|<｜Assistant｜>|<\|assistant\|>\s{0,9}|\[/INST\]\s{0,9}"
)
_OWN_LINE = re.compile(r"(?<=\n)assistant[ \t]{0,9}\n{1,9}")
_LAST_END = re.compile(r"(?:</s>| ?<sep>(?: ?human:[^\n]{0,2000})?|<\|(?:im_|eot|eom|end|start_)[a-z_]{0,14}\|?)\s*\Z")
"""An end token at the end of a text: Reka's, with the next turn that it writes, or one that was cut."""
_FIRST_BEGIN = re.compile(r"\s*+<s>[ \t]*(?!.*</s>)", re.DOTALL)
_BARE_HEAD = re.compile(r"\s*+assistant[ \t]*+\n\s*+")
_CITED = re.compile("\ue200[^\ue200\ue201\n]{0,300}\ue201")
"""OpenAI's citations as its models write them: "cite", a separator, and where the search found it."""

_BLANK = re.compile(
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\uffa0]*+"
)
"""Only characters that can't be seen."""


def is_blank(text: str) -> bool:
    """Tell whether a text shows nothing to a reader."""
    return _BLANK.fullmatch(text) is not None


def drop_echo(text: str) -> str:
    """Return the text without the conversation that some servers send back before the answer; unchanged without one.

    A conversation begins with the head of a system or user turn. The answer follows the first assistant head.
    """
    begins = _FIRST_TURN.match(text)
    own = (_OWN_HEAD if begins[1] else _OWN_LINE).search(text, begins.end()) if begins else None
    return text[own.end() :] if own and text[own.end() :].strip() else text


def clean_text(text: str) -> str:
    """Return the text without everything in the table above. Takes time in proportion to its length."""
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if not text.replace("\n", "").isprintable():
        text = _CITED.sub("", _CONTROLS.sub("", _BREAKS.sub("\n", _ESCAPES.sub("", text))))
        text = _INVISIBLE.sub("", text)
    if "<" in text or "[" in text:
        text = _strip_tokens(text)
    if head := _BARE_HEAD.match(text):
        text = text[head.end() :]
    return text


def _strip_tokens(text: str) -> str:
    if own := _OWN_TURN.match(text):
        text = text[own.end() :]
    if _END.search(text) and (found := _JSON.match(text)) and isinstance(try_json(found[1]), dict):
        text = text[: found.start(1)] + _STRING.sub(_end_string, found[1]) + text[found.end() :]
    if (ended := _cut_at_end(text)) is not None:
        text = ended
    elif "<s>" not in text:
        text = _LAST_END.sub("", text)
    elif begin := _FIRST_BEGIN.match(text):
        text = text[begin.end() :]
    for other in islice(_OTHERS_TURN.finditer(text), _MOST_TURNS):
        if not is_blank(_TOKEN.sub("", answer := text[: other.start()].rstrip())):
            text = answer
            break
    return _TOKEN.sub("", text)


def _cut_at_end(text: str) -> str | None:
    """Return a text up to the first token that ends its turn; None if it has none."""
    for end in _END.finditer(text):
        if _NEXT_TURN.match(text, end.end()) or _ends_sentence(text, end.start(), end.end()):
            return text[: end.start()].rstrip()
    return None


def _end_string(found: re.Match[str]) -> str:
    """Cut a string within a JSON answer at an end token, which ends that string and not the whole answer."""
    string = try_json(found[0])
    ended = _cut_at_end(string) if isinstance(string, str) else None
    return found[0] if ended is None else json.dumps(ended, ensure_ascii=False)


def _ends_sentence(text: str, start: int, end: int) -> bool:
    """Tell whether an end token really ends the answer, and is not mentioned in a sentence about it.

    It does if it directly follows the end of a sentence, or stands between that and the end of the line.
    """
    before = text[max(0, start - 9) : start]
    bare = before.rstrip(" ") if text.startswith("\n", end) else before
    return bare[-1:] in _SENTENCE_ENDS


def holds_token(text: str) -> bool:
    """Tell whether a text holds a chat template's token, which trainers read as the end or beginning of a turn."""
    return _TOKEN.search(text) is not None


def is_sound_text(text: str) -> bool:
    """Tell whether a text has no chat template's token, no control character, and no U+FFFD (a lost character)."""
    return not (count_non_text(text) or "\ufffd" in text or holds_token(text))
