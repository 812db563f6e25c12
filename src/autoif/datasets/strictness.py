"""The strict operating points of SFT and DPO: which stored verdicts suffice for a row.

    | data set                 | `strict = false` (the paper) | `strict = true` asks besides               |
    |--------------------------|------------------------------|--------------------------------------------|
    | SFT; chosen in a pair    | a pass rate                  | every behaviour cluster accepts            |
    | rejected in a pair       | a pass rate                  | every behaviour cluster of a constraint    |
    |                          |                              | refuses the text and its variants, which   |
    |                          |                              | say the same                               |

Clusters are those of an instruction's kept functions over its cases and all responses to it. One with the same verdict
for all of these has no say; an instruction with no other gives no row. An error is neither yes nor no.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial

from autoif.behaviour import cluster_functions
from autoif.faults.wording import Topic, find_quoted, speaks_of
from autoif.judging import Runner, judge_async, split_verdicts
from autoif.records import Response, Verdict, VerifiedInstruction, content_id

Clusters = Sequence[tuple[int, ...]]
"""Groups of an instruction's kept functions that behave alike, by their indices."""
_CURLED = str.maketrans({'"': "”", "'": "’"})
_MARKS = re.compile(r"\b(?:stops?|dots?|periods?|points?|colons?|questions?|exclamations?|sentences?)\b", re.I)
_ENDS = ".!?…。！？"
_STRAIGHT = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'"})


@dataclass(frozen=True, slots=True)
class Strictness:
    """The verdicts that strict rows need from the functions of a run's instructions."""

    clusters: Mapping[str, Clusters]
    """The clusters whose verdicts count, by the id of the verified instruction."""
    unsteady: AbstractSet[str] = frozenset()
    """Keys (`text_key`) of refused texts with a variant that isn't refused."""

    def accepts(self, constraints: Sequence[VerifiedInstruction], verdicts: Sequence[Verdict]) -> bool:
        """Tell whether every cluster of every constraint accepts a text; `verdicts` are those of all functions."""
        judged = split_verdicts(verdicts, constraints)
        return bool(judged) and all(map(partial(self.all_say, Verdict.PASS), constraints, judged))

    def refuses(self, constraints: Sequence[VerifiedInstruction], verdicts: Sequence[Verdict], text: str) -> bool:
        """Tell whether every cluster of some constraint refuses a text, however it is typed."""
        return any(
            self.all_say(Verdict.FAIL, verified, judged) and text_key(verified, text) not in self.unsteady
            for verified, judged in zip(constraints, split_verdicts(verdicts, constraints), strict=True)
        )

    def __or__(self, other: "Strictness") -> "Strictness":
        """Return the requirements of both, each for its own instructions."""
        return Strictness({**self.clusters, **other.clusters}, self.unsteady | other.unsteady)

    def all_say(self, wanted: Verdict, verified: VerifiedInstruction, verdicts: Sequence[Verdict]) -> bool:
        """Tell whether every cluster of an instruction gives the verdict `wanted`; False if none counts."""
        places = [place for cluster in self.clusters.get(verified.id, ()) for place in cluster]
        return bool(verdicts and places) and all(verdicts[place] is wanted for place in places)


def find_clusters(instructions: Iterable[VerifiedInstruction], responses: Iterable[Response]) -> dict[str, Clusters]:
    """Return the clusters of each instruction whose verdicts count."""
    columns: dict[str, list[tuple[Verdict, ...]]] = defaultdict(list)
    for response in responses:
        constraints = response.prompt.constraints if response.verdicts else ()
        for verified, verdicts in zip(constraints, split_verdicts(response.verdicts, constraints), strict=True):
            columns[verified.id].append(verdicts)
    found: dict[str, Clusters] = {}
    for verified in instructions:
        rows = [
            (*verified.matrix.verdicts[place], *(column[at] for column in columns[verified.id]))
            for at, place in enumerate(verified.kept_functions)
        ]
        found[verified.id] = [cluster.members for cluster in cluster_functions(rows) if not cluster.is_constant]
    return found


async def find_strictness(
    instructions: Sequence[VerifiedInstruction], responses: Sequence[Response], sandbox: Runner | None
) -> Strictness:
    """Return what strict rows of these instructions need. Without a sandbox variants of refused texts aren't tried."""
    strictness = Strictness(find_clusters(instructions, responses))
    if sandbox is None:
        return strictness
    cases = [
        (each, case.input, tuple(each.matrix.verdicts[place][column] for place in each.kept_functions))
        for each in instructions
        for column, case in enumerate(each.matrix.cases)
    ]
    sampled = [
        (verified, each.text, verdicts)
        for each in responses
        for verified, verdicts in zip(
            each.prompt.constraints, split_verdicts(each.verdicts, each.prompt.constraints), strict=True
        )
    ]
    refused = [
        (verified, text)
        for verified, text, verdicts in (*cases, *sampled)
        if strictness.all_say(Verdict.FAIL, verified, verdicts)
    ]
    return replace(strictness, unsteady=await _find_unsteady(refused, strictness.clusters, sandbox))


async def _find_unsteady(
    texts: Sequence[tuple[VerifiedInstruction, str]], clusters: Mapping[str, Clusters], sandbox: Runner
) -> set[str]:
    """Return the keys of the texts that have a variant which some function that counts doesn't refuse."""
    rows, keys = [], []
    for verified, text in texts:
        sources = [verified.functions[place].source for cluster in clusters[verified.id] for place in cluster]
        for variant in make_variants(text, verified.instruction.text):
            rows.append((sources, variant))
            keys.append(text_key(verified, text))
    judged = await judge_async(rows, sandbox)
    return {key for key, verdicts in zip(keys, judged, strict=True) if set(verdicts) - {Verdict.FAIL}}


def make_variants(text: str, instruction: str) -> tuple[str, ...]:
    """Return variants of a text that differ in what no rule is about: white space at the end, the form of quotes.

    Where the instruction speaks of neither, also the punctuation at its end, and the letter case of what they quote and
    the marks behind it: "We END.", "We end" and "we end" are not surely wrong for `Finish with the words "We END."`.
    """
    variants = [f"{text} ", f"{text}\n", text.rstrip(), text.translate(_CURLED), text.translate(_STRAIGHT)]
    free_end = not (speaks_of(instruction, Topic.PUNCTUATION) or _MARKS.search(instruction))
    if free_end:
        variants.append(text.rstrip().rstrip(_ENDS))
    if not speaks_of(instruction, Topic.CASE):
        for phrase in find_quoted(instruction):
            bare = phrase.rstrip(_ENDS) if free_end else ""
            found = f"{re.escape(bare)}[{_ENDS}]*" if bare and bare != phrase else re.escape(phrase)
            variants.append(re.sub(found, phrase.replace("\\", r"\\"), text, flags=re.IGNORECASE))
    return tuple(variant for variant in dict.fromkeys(variants) if variant != text)


def text_key(verified: VerifiedInstruction, text: str) -> str:
    """Return the key of a text under an instruction."""
    return content_id("text", verified.id, text)
