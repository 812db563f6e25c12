"""Signs of trouble with a server that only many answers together show. They are reported; nothing is decided by them.

| sign                                                          | possible cause                          |
|---------------------------------------------------------------|-----------------------------------------|
| one text for several prompts                                  | a cache, or a message of the server     |
| all samples of a prompt are one text, for most prompts        | a cache, or a server that ignores seeds |
| most answers share a first or last line that no prompt names  | a line that a gateway adds              |
| far fewer tokens are counted for a prompt than it has         | a context window that cuts prompts      |
| many answers have the same number of tokens, and none more    | a limit of the server's own             |
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from autoif.models.requests import Completion, Request

_FREE = frozenset({"self_instruct", "verification", "rejection_sampling"})
"""Stages in which two prompts hardly ever have the same answer."""
_MOST_LOOKED_AT = 2_000
"""Requests of a stage that are looked at: they are enough to show a server's habits."""
_FEW = 3
"""So few prompts prove nothing."""
_MANY = 20
"""So many prompts with the same answer are suspicious, whatever their share."""
_LEAST_TEXT = 20
"""Characters from which on two answers aren't the same by chance."""
_LEAST_TOKENS = 20
"""Answers may well have no more tokens than this."""
_SHOWN = 80


@dataclass(slots=True)
class _Stage:
    keys: set[str] = field(default_factory=set)
    """Prompts that were looked at."""
    texts: Counter[str] = field(default_factory=Counter)
    """How many prompts have this text as an answer."""
    sampled: int = 0
    """Prompts with several samples."""
    alike: int = 0
    """Those of them whose samples are all the same text."""
    long: int = 0
    """Prompts with an answer of several lines."""
    lines: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many prompts have an answer with this line at this place: (place, line)."""
    counts: Counter[int] = field(default_factory=Counter)
    """How many answers have this number of tokens."""


class Suspicions:
    """Looks at the answers of one endpoint. Each look may yield sentences about the server, which begin with a verb."""

    def __init__(self) -> None:
        self._stages: defaultdict[str, _Stage] = defaultdict(_Stage)
        self._prompts = _PromptCounts()

    def look_at_samples(self, key: str, request: Request, completions: Sequence[Completion]) -> Iterator[str]:
        """Look at the samples of a prompt, whose key this is, unless that was done before."""
        stage = self._stages[request.stage]
        texts = [text for each in completions if not each.fault and len(text := each.text.strip()) >= _LEAST_TEXT]
        if request.stage not in _FREE or not request.temperature or not texts or key in stage.keys:
            return
        if len(stage.keys) == _MOST_LOOKED_AT:
            return
        stage.keys.add(key)
        stage.texts.update(set(texts))
        most = max(set(texts), key=lambda text: stage.texts[text])
        if _is_much(stage.texts[most], len(stage.keys)):
            yield (
                f"gave {most[:_SHOWN]!r} as an answer to several prompts (stage {request.stage}): it may be from a "
                "cache, or the server's own"
            )
        if len(completions) > 1:
            stage.sampled += 1
            stage.alike += len(texts) == len(completions) and len(set(texts)) == 1
            if stage.alike > _FEW and stage.alike * 2 > stage.sampled:
                yield (
                    f"gives all samples of a prompt one text, whatever the seed (stage {request.stage}): switch off "
                    "its cache, or raise the temperature"
                )
        if request.stage == "rejection_sampling":
            yield from self._look_at_lines(stage, request, texts)

    def _look_at_lines(self, stage: _Stage, request: Request, texts: Sequence[str]) -> Iterator[str]:
        prompt = request.text.lower()
        split = [lines for text in texts if len(lines := [line for line in text.split("\n") if line.strip()]) > 1]
        if not split:
            return
        stage.long += 1
        ends = {(place, lines[at].strip()) for lines in split for place, at in (("begins", 0), ("ends", -1))}
        for place, line in ends:
            if len(line) < _LEAST_TEXT or line.lower().strip(" *_#>-\"'.:") in prompt:
                continue
            stage.lines[place, line] += 1
            if stage.lines[place, line] > _FEW and stage.lines[place, line] * 2 > stage.long:
                yield (
                    f"{place} most of its answers with the line {line[:_SHOWN]!r}, which no prompt asks for: a gateway "
                    "may add it"
                )

    def look_at_counts(self, request: Request, completions: Sequence[Completion], most_tokens: int) -> Iterator[str]:
        """Look at the numbers of tokens that a server counted for one of its answers."""
        if cut := next((each.detail for each in completions if each.finish_reason == "length" and each.detail), ""):
            yield f"cuts answers of stage {request.stage}: {cut}"
        if any(each.estimated for each in completions):
            return
        if sentence := self._prompts.look(len(request.text.encode("utf-8", "replace")), completions[0].prompt_tokens):
            yield sentence
        stage = self._stages[request.stage]
        used, rest = divmod(sum(each.completion_tokens for each in completions), len(completions))
        if rest or used >= most_tokens or stage.counts.total() == _MOST_LOOKED_AT:
            return
        stage.counts[used] += 1
        most, total = max(stage.counts), stage.counts.total()
        often = stage.counts[most] > _FEW and stage.counts[most] * 4 >= total
        if often and most > _LEAST_TOKENS and len(stage.counts) > _FEW:
            yield (
                f"counts exactly {most:,} tokens for many answers of stage {request.stage} and more for none, though "
                f"{most_tokens:,} were allowed: it may cut them there"
            )


def _is_much(count: int, total: int) -> bool:
    return count >= _FEW and (count >= _MANY or count * 4 >= total)


_LEAST_BYTES = 400
"""Bytes that a prompt must have for its token count to tell anything."""
_DENSE = 6.0
"""Up to so many bytes a token are usual in any language."""
_THIN = 2.5
"""So many times the bytes a token of other prompts can't be right."""
_WINDOW = 256
"""Context windows are multiples of this."""


class _PromptCounts:
    """Compares the tokens that a server counts for prompts with the prompts' lengths."""

    def __init__(self) -> None:
        self._usual: dict[int, float] = {}
        """Bytes a token of a few prompts with a usual count, by that count."""
        self._full: defaultdict[int, set[int]] = defaultdict(set)
        """Lengths of prompts with too low a count that may be the size of a context window, by that count."""
        self._thinnest = (0, 1)
        """(length, count) of the prompt with the most bytes a token."""

    def look(self, size: int, tokens: int) -> str:
        """Add a prompt's length and count; return what all counts so far show, "" if nothing."""
        if size < _LEAST_BYTES or tokens <= 0:
            return ""
        if size / tokens <= _DENSE:
            if len(self._usual) <= _FEW:
                self._usual[tokens] = size / tokens
        elif tokens % _WINDOW == 0 and (tokens in self._full or len(self._full) <= _FEW):
            self._full[tokens].add(size)
        self._thinnest = max(self._thinnest, (size, tokens), key=lambda pair: pair[0] / pair[1])
        size, tokens = self._thinnest
        each = size / tokens
        if each <= _DENSE:
            return ""
        thin = len(self._usual) > 1 and each > _THIN * min(self._usual.values())
        full = next((count for count, sizes in self._full.items() if len(sizes) >= _FEW), 0)
        if not thin and not full:
            return ""
        return (
            f"counted {tokens:,} tokens for a prompt of {size:,} bytes: it may have cut it (raise its context "
            "window), or counts no tokens that it has read before"
        )
