"""Undoes damage that servers and gateways do to a text on its way.

| in the text                                         | done by                                        |
|-----------------------------------------------------|------------------------------------------------|
| `itâ€™s`, `Ã©`: UTF-8 read as another encoding      | gateways that guess the encoding of an answer  |
| `TheĠkeeper`, `▁The▁keeper`: pieces of a vocabulary | servers that join tokens without decoding them |
| `<0x0A>`, `<0xE2><0x80><0x99>`: bytes               | the same                                       |
| `"It is \\"late\\".\\nYes."`: a text in JSON        | gateways that write JSON within JSON           |
| `It&#39;s &quot;late&quot;`                         | front ends that write for a page               |
| `Yes.\\n\\nNo.`: a backslash and an n               | the same as JSON                               |

A text is repaired only if it shows such a form from end to end, as no honest text does; one that merely mentions a form
stays as it is.
"""

import html
import re

from autoif.reading.json_text import try_json

_MARKED = "ĠĊĉ"
_PIECES = 3
"""From so many marks on, and with hardly any spaces, a text counts as pieces of a vocabulary."""
_TOKENS_WITH_PIECES = re.compile(r"<｜[^｜<>\n]{1,40}｜>")
"""DeepSeek's special tokens, which contain the mark."""
_BYTES = re.compile(r"(?<![`\"'“‘])(?:<0x[0-9A-Fa-f]{2}>)+(?![`\"'”’])")
_MISREAD = re.compile(r"[ÂÃâãåæçèéäïðÐÑÎÏØÙàáëìí][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")
_USUAL = re.compile(
    r"[\x00-\x7f\xa0-\u017f\u0370-\u1fff\u2000-\u2e7f\u3000-\ud7a3\uf900-\uffef\U0001f000-\U0001faff\U00020000-\U0003ffff]*"
)
_ESCAPED_WORD = re.compile(r"\w&(?:#0?39|#x27|apos|rsquo);\w|&(?:quot|#34);[^&]{1,400}&(?:quot|#34);|\A\s*&lt;\w+&gt;")
_RAW = re.compile(r"[<>\"]|&(?!#?\w{1,8};)")
_MARKUP = re.compile(r"html|xml|markup|entit|escape|web ?page|code|snippet", re.IGNORECASE)
_QUOTED = re.compile(r"quot|json|escape|\"", re.IGNORECASE)
_NEWLINES = re.compile(r"\\n(?:\\n)?(?=[A-Z0-9*#\-•\"“])")
_LITERAL = re.compile(r"\\n(?![a-z])|\\t(?![a-z])|\\(?=\")")
_CODE = re.compile(r"\\n|new ?line|line break|escape|regex|regular expression|code|json|function|string", re.IGNORECASE)


def repair_text(text: str, prompt: str | None = None) -> str:
    """Return the text as the model wrote it. Takes time in proportion to its length.

    With the `prompt` that it answers, HTML entities and escapes are decoded, too, unless the prompt may have asked for
    them.
    """
    text = _join_pieces(text.replace("\r\n", "\n").replace("\r", "\n"))
    if "<0x" in text:
        text = _BYTES.sub(lambda found: bytes.fromhex(re.sub("<0x|>", "", found[0])).decode("utf-8", "replace"), text)
    if not text.isascii() and _MISREAD.search(text):
        text = _read_anew(text)
    if prompt is None:
        return _read_json_text(text)
    escaped = "\\" in text  # few texts have one, and searching each prompt takes as long as everything else here
    if escaped and not _QUOTED.search(prompt):
        text = _read_json_text(text)
    if "&" in text and _ESCAPED_WORD.search(text) and not _RAW.search(text) and not _MARKUP.search(prompt):
        text = html.unescape(text)
    if escaped and len(_NEWLINES.findall(text)) > 1 and not set("\n`{") & {*text} and not _CODE.search(prompt):
        text = _LITERAL.sub(lambda found: {"\\n": "\n", "\\t": "\t"}.get(found[0], ""), text)
    return text


def _list_bytes() -> dict[int, int]:
    """Return the byte for each character, as GPT-2's vocabulary and those like it write bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {**{byte: byte for byte in plain}, **{256 + place: byte for place, byte in enumerate(others)}}


_BYTE_OF = _list_bytes()


def _join_pieces(text: str) -> str:
    """Decode the pieces of a vocabulary that a server joined without decoding them."""
    spaces = text.count(" ")
    if (
        text.count("▁") - sum(token.count("▁") for token in _TOKENS_WITH_PIECES.findall(text))
        >= max(_PIECES, 4 * spaces)
        and "▁▁▁" not in text
    ):
        return text.replace("▁", " ").removeprefix(" ")
    if sum(map(text.count, _MARKED)) < max(_PIECES, 4 * spaces) or any(ord(char) not in _BYTE_OF for char in text):
        return text
    return bytes(_BYTE_OF[ord(char)] for char in text).decode("utf-8", "replace").removeprefix(" ")


def _read_anew(text: str) -> str:
    """Read UTF-8 that was decoded as Latin-1 or Windows-1252; return the text itself if it can't be that."""
    try:
        anew = b"".join(_encode(char) for char in text).decode("utf-8")
    except UnicodeError:
        return text
    return anew if _USUAL.fullmatch(anew) else text


def _encode(char: str) -> bytes:
    return bytes((ord(char),)) if ord(char) < 256 else char.encode("cp1252")


def _read_json_text(text: str) -> str:
    """Decode a text that is one JSON string. It must have escapes: an answer in mere quotation marks has none."""
    quoted = text.strip()
    if len(quoted) < 4 or quoted[0] != '"' or quoted[-1] != '"' or not re.search(r'\\[n"]', quoted):
        return text
    found = try_json(quoted)
    return found if isinstance(found, str) else text
