"""What a model wrote, made fit for files, trainers and terminals, once, where it is read.

    | in the text                                   | becomes                                                        |
    |-----------------------------------------------|----------------------------------------------------------------|
    | a lone surrogate (legal in JSON, in no file)  | U+FFFD; a pair in two pieces becomes its character             |
    | NUL, control characters, noncharacters        | nothing; vertical tab and form feed a newline                  |
    | terminal sequences (ESC [ … m)                | nothing                                                        |
    | a chat template's tokens (<|im_end|>)         | nothing; a turn that follows the end token goes with it        |

Any other character, of any script, stays as it is. A template's token can't stay even where an answer talks about it:
trainers read it as the end of the turn.
"""

import re

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,100}[ -/]{0,100}[@-~]"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]{0,1000}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[@-Z\\-_ -/]?"
)
_BREAKS = re.compile(r"[\x0b\x0c]")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufffe\uffff]")
_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_:./-]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|</?(?:start|end)_of_turn>|<(?:eos|bos|pad|unk)>|\[/?INST\]|<</?SYS>>"
)
_END = re.compile(
    r"<\|(?:im_end|end|endoftext|end_of_text|eot_id|eom_id|return|eot|endofturn|turn_end)\|>|<｜end▁of▁sentence｜>"
    r"|<end_of_turn>|<eos>",
    re.IGNORECASE,
)
_NEXT_TURN = re.compile(r"\s*(?:\Z|<\||<｜|<start_of_turn>|\[INST\]|<(?:eos|bos|pad)>)")
_LAST_END = re.compile(r"</s>\s*\Z")


def clean_text(text: str) -> str:
    """Return the text without what no file, trainer or terminal should meet. Linear in its length."""
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if not text.isprintable():
        text = _CONTROLS.sub("", _BREAKS.sub("\n", _ESCAPES.sub("", text)))
    if "<" in text or "[" in text:
        text = _strip_tokens(text)
    return text.removeprefix("\ufeff")


def _strip_tokens(text: str) -> str:
    for end in _END.finditer(text):
        if _NEXT_TURN.match(text, end.end()):
            text = text[: end.start()].rstrip()
            break
    else:
        if "<s>" not in text:
            text = _LAST_END.sub("", text)
    return _TOKEN.sub("", text)
