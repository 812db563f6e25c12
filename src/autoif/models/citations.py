"""Removes the citation marks of web-search models, which mean nothing outside the server's answer.

| in the text                                | recognised by                                                    |
|--------------------------------------------|------------------------------------------------------------------|
| ([title](address)), any other range        | `annotations` of the message: `url_citation` with its two ends   |
| 【4:0†source】                              | `annotations` with that very text                                |
| [1][2], [[1]](address)                     | `citations`, `search_results`, … beside the choices              |
| [cite_start], [cite: 1], [citation:3]      | nothing: Gemini, DeepSeek; also 【4:0†source】, [^1^], <co: 0>     |

A range may also be the sentence that a source supports, rather than the reference; such a range stays.
"""

import re
from collections.abc import Mapping
from typing import Any

_MOST_CITED = 200
_NUMBERED = re.compile(r" ?(?:\[\[(\d{1,2})\]\]\([^()\s]{1,500}\)|\[(\d{1,2})\])")
_LISTS = ("citations", "search_results", "web_search", "references", "search_info")
_REFERENCE = re.compile(r"\s{0,9}(?:\(?\[|【|\(?https?://|\ue200)")
_MARKS = re.compile(
    r" ?【\d{1,3}(?::\d{1,3})?†[^【】\n]{0,80}】"
    r"| ?(?<![`\"'])(?:\[cite: ?\d{1,3}(?:, ?\d{1,3}){0,20}\]|\[citation: ?\d{1,3}\]|\[\^\d{1,3}\^\])(?![`\"'(])"
    r"| ?\bcite(?:turn\d{1,3}(?:search|news|view|fetch|image)\d{1,3}){1,9}\b"
    r"|(?<![`\"'])(?:\[cite\\?_start\]|</?co: ?\d{1,3}(?:,\d{1,3}){0,20}>)(?![`\"'])"
)


_BEGINS = ("[", "【", "<co", "</co", "citeturn")


def drop_annotated(text: str, annotations: object) -> str:
    """Return the text without the citations that its annotations mark."""
    cited = (
        [each for each in annotations[:_MOST_CITED] if isinstance(each, dict)] if isinstance(annotations, list) else []
    )
    for start, end in sorted(filter(None, map(_find_range, cited)), reverse=True):
        if 0 <= start < end <= len(text) and _REFERENCE.match(text, start, end):
            text = f"{text[:start].rstrip(' ')}{text[end:]}"
    for each in cited:
        if isinstance(marked := each.get("text"), str) and "citation" in str(each.get("type")):
            text = text.replace(marked, "")
    return text


def _find_range(annotation: Mapping[str, Any]) -> tuple[int, int] | None:
    place = annotation.get("url_citation", annotation)
    match place:
        case {"start_index": int(start), "end_index": int(end)} if "text" not in annotation:
            return start, end
    return None


def drop_numbered(text: str, answer: Mapping[str, Any]) -> str:
    """Return the text without the numbers of the sources that a server lists beside it."""
    lists = [answer.get(name) for name in _LISTS]
    lists = [each.get("search_results") if isinstance(each, dict) else each for each in lists]
    count = max((len(each) for each in lists if isinstance(each, list)), default=0)
    if not count:
        return text
    return _NUMBERED.sub(lambda found: "" if 0 < int(found[1] or found[2]) <= count else found[0], text)


def drop_marks(text: str) -> str:
    """Return the text without the reference marks that only models with web search write."""
    return _MARKS.sub("", text) if any(mark in text for mark in _BEGINS) else text
