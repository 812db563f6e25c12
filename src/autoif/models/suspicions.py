"""What many answers of a server show together and none of them alone: said at the end of a run, not decided.

| what is seen                                                  | what it may be                          |
|---------------------------------------------------------------|-----------------------------------------|
| one text for several prompts                                  | a cache, or words of the server's own   |
| all samples of a prompt are one text, for most prompts        | a cache, or a server that ignores seeds |
| most answers have one first or last line that no prompt names | a line that a gateway adds              |
| far fewer tokens are counted for a prompt than it has         | a window that cuts what is asked        |
| many answers have exactly as many tokens, and none more       | a limit of the server's own             |
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from autoif.models.requests import Completion, Request

_FREE = frozenset({"self_instruct", "verification", "rejection_sampling"})
"""Stages in which two prompts hardly ever have one answer."""
_MOST_LOOKED_AT = 2_000
"""Requests of a stage: what a server does, it does to these."""
_FEW = 3
"""Prompts of which nothing is said yet."""
_MANY = 20
_LEAST_TEXT = 20
"""Characters that two answers don't have in common by chance."""
_LEAST_TOKENS = 20
"""Fewer may be all that an answer needs."""
_SHOWN = 80


@dataclass(slots=True)
class _Stage:
    keys: set[str] = field(default_factory=set)
    """Prompts that were looked at."""
    texts: Counter[str] = field(default_factory=Counter)
    """How many prompts have this text as an answer."""
    sampled: int = 0
    alike: int = 0
    """Prompts of several samples; and those whose samples are all one text."""
    long: int = 0
    lines: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Prompts with an answer of several lines; and their (place, line)."""
    counts: Counter[int] = field(default_factory=Counter)
    """Answers by their number of tokens."""


class Suspicions:
    """Looks at the answers of one endpoint; each look may yield sentences about the server, which begin with a verb."""

    def __init__(self) -> None:
        self._stages: defaultdict[str, _Stage] = defaultdict(_Stage)
        self._prompts = _PromptCounts()

    def look_at_samples(self, key: str, request: Request, completions: Sequence[Completion]) -> Iterator[str]:
        """Look at samples of a prompt, which has this key, if it was not looked at before."""
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
        asked = request.text.lower()
        split = [lines for text in texts if len(lines := [line for line in text.split("\n") if line.strip()]) > 1]
        if not split:
            return
        stage.long += 1
        ends = {(place, lines[at].strip()) for lines in split for place, at in (("begins", 0), ("ends", -1))}
        for place, line in ends:
            if len(line) < _LEAST_TEXT or line.lower().strip(" *_#>-\"'.:") in asked:
                continue
            stage.lines[place, line] += 1
            if stage.lines[place, line] > _FEW and stage.lines[place, line] * 2 > stage.long:
                yield (
                    f"{place} most of its answers with the line {line[:_SHOWN]!r}, which no prompt asks for: a gateway "
                    "may add it"
                )

    def look_at_counts(self, request: Request, completions: Sequence[Completion], most_tokens: int) -> Iterator[str]:
        """Look at the tokens that a server counted for one of its answers."""
        if cut := next((each.detail for each in completions if each.finish_reason == "length" and each.detail), ""):
            yield f"cuts answers of stage {request.stage}: {cut}"
        if any(each.estimated for each in completions):
            return
        if told := self._prompts.look(len(request.text.encode("utf-8", "replace")), completions[0].prompt_tokens):
            yield told
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
"""Of a prompt whose tokens tell something."""
_DENSE = 6.0
"""Bytes a token, and fewer, are usual in any language."""
_THIN = 2.5
"""So many times the bytes that a token has in other prompts are of no text."""
_WINDOW = 256
"""Context windows are multiples of it."""


class _PromptCounts:
    """Compares what a server counts for prompts with how long they are."""

    def __init__(self) -> None:
        self._usual: dict[int, float] = {}
        """Bytes a token of prompts of a usual count, by that count; a few of them."""
        self._full: defaultdict[int, set[int]] = defaultdict(set)
        """Lengths of prompts for which the same number was counted, as many as a window has."""
        self._thinnest = (0, 1)
        """(length, count) of the prompt with the most bytes a token."""

    def look(self, size: int, tokens: int) -> str:
        """Return what all counts so far tell, "" if nothing."""
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
