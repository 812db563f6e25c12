"""Which verdicts suffice for a row: the strict operating points of SFT and DPO, from the verdicts that a run stored.

    | data set                 | `strict = false` (the paper) | `strict = true` asks besides               |
    |--------------------------|------------------------------|--------------------------------------------|
    | SFT; chosen in a pair    | a pass rate                  | every behaviour cluster accepts            |
    | rejected in a pair       | a pass rate                  | every behaviour cluster refuses the text   |
    |                          |                              | and its variants, which say the same       |

Clusters are those of an instruction's kept functions over its cases and all responses to it. One with the same verdict
for all of these has no say; an instruction with no other gives no row. An error is neither yes nor no.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from autoif.behaviour import cluster_functions
from autoif.datasets.rows import split_verdicts
from autoif.faults.wording import Topic, find_quoted, speaks_of
from autoif.judging import Runner, judge_async
from autoif.records import Response, Verdict, VerifiedInstruction, content_id

Clusters = Sequence[tuple[int, ...]]
"""The places of functions that behave alike, among an instruction's kept ones."""
_CURLED = str.maketrans({'"': "”", "'": "’"})
_MARKS = re.compile(r"\b(?:stops?|dots?|periods?|points?|colons?|questions?|exclamations?|sentences?)\b", re.I)
_ENDS = ".!?…。！？"
_STRAIGHT = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'"})


@dataclass(frozen=True, slots=True)
class Strictness:
    """What the functions of a run's instructions must say of a row."""

    clusters: Mapping[str, Clusters]
    """By the id of the verified instruction; those with a say."""
    unsteady: AbstractSet[str] = frozenset()
    """Keys (`text_key`) of refused texts of which a variant isn't refused."""

    def accepts(self, constraints: Sequence[VerifiedInstruction], verdicts: Sequence[Verdict]) -> bool:
        """Tell whether every cluster of every constraint accepts a text; `verdicts` are those of all functions."""
        return self._all_say(Verdict.PASS, constraints, verdicts)

    def refuses(self, constraints: Sequence[VerifiedInstruction], verdicts: Sequence[Verdict], text: str) -> bool:
        """Tell whether every cluster of every constraint refuses a text, however it is typed."""
        return self._all_say(Verdict.FAIL, constraints, verdicts) and text_key(constraints, text) not in self.unsteady

    def __or__(self, other: "Strictness") -> "Strictness":
        """Return what both ask, of their own instructions each."""
        return Strictness({**self.clusters, **other.clusters}, self.unsteady | other.unsteady)

    def _all_say(
        self, wanted: Verdict, constraints: Sequence[VerifiedInstruction], verdicts: Sequence[Verdict]
    ) -> bool:
        return bool(verdicts) and all(
            (clusters := self.clusters.get(verified.id, ()))
            and all(of_functions[place] is wanted for cluster in clusters for place in cluster)
            for verified, of_functions in zip(constraints, split_verdicts(verdicts, constraints), strict=True)
        )


def find_clusters(instructions: Iterable[VerifiedInstruction], responses: Iterable[Response]) -> dict[str, Clusters]:
    """Return the clusters with a say of each instruction."""
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
    """Return what is asked of the rows of these instructions; without a sandbox only of what is to be accepted."""
    strictness = Strictness(find_clusters(instructions, responses))
    if sandbox is None:
        return strictness
    cases = [
        ((each,), case.input, tuple(each.matrix.verdicts[place][column] for place in each.kept_functions))
        for each in instructions
        for column, case in enumerate(each.matrix.cases)
    ]
    sampled = [(each.prompt.constraints, each.text, each.verdicts) for each in responses]
    refused = [
        (constraints, text)
        for constraints, text, verdicts in (*cases, *sampled)
        if strictness.refuses(constraints, verdicts, text)
    ]
    return replace(strictness, unsteady=await _find_unsteady(refused, strictness.clusters, sandbox))


async def _find_unsteady(
    texts: Sequence[tuple[Sequence[VerifiedInstruction], str]], clusters: Mapping[str, Clusters], sandbox: Runner
) -> set[str]:
    """Return the keys of the texts of which a function with a say doesn't refuse some variant."""
    rows, keys = [], []
    for constraints, text in texts:
        sources = [
            verified.functions[place].source
            for verified in constraints
            for cluster in clusters[verified.id]
            for place in cluster
        ]
        for variant in make_variants(text, [verified.instruction.text for verified in constraints]):
            rows.append((sources, variant))
            keys.append(text_key(constraints, text))
    judged = await judge_async(rows, sandbox)
    return {key for key, verdicts in zip(keys, judged, strict=True) if set(verdicts) - {Verdict.FAIL}}


def make_variants(text: str, instructions: Sequence[str]) -> tuple[str, ...]:
    """Return the text with what no rule is about changed: white space at its end, the form of its quotes.

    Where the instructions speak of neither, also the punctuation at its end, and the letter case of what they quote and
    the marks behind it: "We END.", "We end" and "we end" are not surely wrong for `Finish with the words "We END."`.
    """
    variants = [f"{text} ", f"{text}\n", text.rstrip(), text.translate(_CURLED), text.translate(_STRAIGHT)]
    free_end = not any(speaks_of(each, Topic.PUNCTUATION) or _MARKS.search(each) for each in instructions)
    if instructions and free_end:
        variants.append(text.rstrip().rstrip(_ENDS))
    if not any(speaks_of(each, Topic.CASE) for each in instructions):
        quoted = [phrase for each in instructions for phrase in find_quoted(each)]
        for phrase in quoted:
            bare = phrase.rstrip(_ENDS) if free_end else ""
            found = f"{re.escape(bare)}[{_ENDS}]*" if bare and bare != phrase else re.escape(phrase)
            variants.append(re.sub(found, phrase.replace("\\", r"\\"), text, flags=re.IGNORECASE))
    return tuple(variant for variant in dict.fromkeys(variants) if variant != text)


def text_key(constraints: Sequence[VerifiedInstruction], text: str) -> str:
    """Return what identifies a text under these constraints."""
    return content_id("text", *(verified.id for verified in constraints), text)
