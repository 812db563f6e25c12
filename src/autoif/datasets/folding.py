"""Finds instructions that are the same constraint in other words: their functions behave alike.

    candidates   instructions whose functions, by majority, give nearly the same verdicts on the probes
    alike        on these and each other's answers and cases, both accept the share `deduplication.alike` of the texts
                 that either accepts, and refuse that share of those that either refuses
    kept         of several instructions that are alike, the one with the best score (`autoif.reliability`)

Rules that hardly any text obeys give the same verdicts on all probes; only texts that obey one of them tell them apart.
An instruction that accepts everything, or nothing, is not folded.

In:      verified instructions, with their responses.
Dropped: an instruction that behaves as a better one does (`duplicate_behaviour`, with the one it was folded into).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

from autoif.faults.probing import make_probing_texts
from autoif.judging import Runner
from autoif.probes import load_probes
from autoif.records import Dropped, Reason, Response, Verdict, VerifiedInstruction, content_id
from autoif.reliability import run_patiently, score_functions
from autoif.thresholds import Threshold, meets, share

STAGE = "folding"
_ACCEPTED, _REFUSED = 8, 4
"""How many of its accepted and refused texts each instruction contributes to the comparison with others."""


@dataclass(frozen=True, slots=True)
class _Behaviour:
    """How the functions of an instruction behave."""

    verified: VerifiedInstruction
    score: float
    probes: int
    """A bit for each probe: whether most of its functions accept it."""
    texts: tuple[str, ...]
    """Its own accepted and refused texts."""

    @property
    def rank(self) -> tuple[float, int, str]:
        """Sort key that puts better instructions first."""
        return -self.score, -len(self.verified.kept_functions), self.verified.instruction.id


async def fold_alike(
    instructions: Sequence[VerifiedInstruction], responses: Iterable[Response], sandbox: Runner, alike: Threshold
) -> list[Dropped]:
    """Return the instructions that behave as a better one does; `responses` have verdicts and one constraint each."""
    texts = _choose_texts(instructions, responses)
    behaviours = [await _observe(verified, texts[verified.id], sandbox) for verified in instructions]
    folded: dict[str, VerifiedInstruction] = {}
    for group in _group_candidates(sorted(behaviours, key=lambda each: each.rank), alike):
        folded |= await _fold_group(group, sandbox, alike)
    return [
        Dropped.of(
            STAGE,
            Reason.DUPLICATE_BEHAVIOUR,
            verified,
            f"behaves as {folded[verified.id].instruction.id}: {folded[verified.id].instruction.text}",
        )
        for verified in instructions
        if verified.id in folded
    ]


def _group_candidates(behaviours: Sequence[_Behaviour], alike: Threshold) -> list[list[_Behaviour]]:
    """Return groups of instructions that are linked by similar verdicts on the probes, the best first in each group."""
    group_of: dict[int, list[_Behaviour]] = {}
    for place, each in enumerate(behaviours):
        linked = {
            id(group_of[other]): group_of[other]
            for other in range(place)
            if _is_alike(_count(each.probes, behaviours[other].probes), alike, one_sided=True)
        }
        joined = [one for group in linked.values() for one in group] + [each]
        places = [other for other, group in group_of.items() if id(group) in linked]
        group_of |= dict.fromkeys([*places, place], sorted(joined, key=lambda one: one.rank))
    return list({id(group): group for group in group_of.values() if len(group) > 1}.values())


async def _fold_group(group: Sequence[_Behaviour], sandbox: Runner, alike: Threshold) -> dict[str, VerifiedInstruction]:
    """Return, by the id of each folded instruction, the one it is folded into; `group` has the best first."""
    texts = list(dict.fromkeys(text for each in group for text in each.texts))
    place_of = {text: place for place, text in enumerate(texts)}
    votes = {each.verified.id: await _vote(each.verified, texts, sandbox) for each in group}
    kept: list[_Behaviour] = []
    folded = {}
    for each in group:
        for better in kept:
            own = [place_of[text] for text in {*each.texts, *better.texts}]
            its_votes, better_votes = votes[each.verified.id], votes[better.verified.id]
            on_own = Counter((its_votes[place], better_votes[place]) for place in own)
            if _is_alike(_count(each.probes, better.probes) + on_own, alike):
                folded[each.verified.id] = better.verified
                break
        else:
            kept.append(each)
    return folded


def _count(first: int, second: int) -> Counter[tuple[bool, bool]]:
    """Count the probes that both accept, that one of them accepts, and that neither accepts."""
    whole = len(load_probes())
    both, either = (first & second).bit_count(), (first | second).bit_count()
    return Counter({(True, True): both, (True, False): either - both, (False, False): whole - either})


def _is_alike(counts: Counter[tuple[bool, bool]], alike: Threshold, *, one_sided: bool = False) -> bool:
    """Tell whether two agree on the texts that either accepts, and on the texts that either refuses.

    With `one_sided`, they also agree if there are no such texts: neither accepts any, or neither refuses any.
    """
    differ = counts[True, False] + counts[False, True]
    return all(
        meets(share(counts[verdict, verdict], counts[verdict, verdict] + differ), alike)
        or (one_sided and not counts[verdict, verdict] + differ)
        for verdict in (True, False)
    )


def _choose_texts(
    instructions: Sequence[VerifiedInstruction], responses: Iterable[Response]
) -> dict[str, tuple[str, ...]]:
    """Return, by instruction, some texts that most of its functions accept, and some that they refuse."""
    found: dict[str, dict[str, bool]] = {verified.id: dict(_list_cases(verified)) for verified in instructions}
    for response in responses:
        [verified] = response.prompt.constraints
        if verified.id in found:
            found[verified.id][response.text] = _is_majority(response.verdicts)
    return {name: _choose(verdicts) for name, verdicts in found.items()}


def _choose(verdicts: Mapping[str, bool]) -> tuple[str, ...]:
    order = sorted(verdicts, key=lambda text: content_id("folding", text))
    accepted = islice((text for text in order if verdicts[text]), _ACCEPTED)
    return (*accepted, *islice((text for text in order if not verdicts[text]), _REFUSED))


def _list_cases(verified: VerifiedInstruction) -> Iterable[tuple[str, bool]]:
    rows = [verified.matrix.verdicts[place] for place in verified.kept_functions]
    for case, column in zip(verified.matrix.cases, zip(*rows, strict=True), strict=False):
        yield case.input, _is_majority(column)


async def _observe(verified: VerifiedInstruction, texts: tuple[str, ...], sandbox: Runner) -> _Behaviour:
    """Run an instruction's functions on the probes and its cases, to score them and record their verdicts."""
    matrix = verified.matrix
    tried = make_probing_texts(verified.instruction.text, matrix.cases)
    rows = await run_patiently([function.source for function in matrix.functions], tried.all, sandbox)
    scores = score_functions(tried, rows)
    places = {text: place for place, text in enumerate(tried.all)}
    kept = [[rows[function][places[text]] for text in load_probes()] for function in verified.kept_functions]
    return _Behaviour(
        verified=verified,
        score=round(fmean(scores[place] for place in verified.kept_functions), 4),
        probes=sum(_is_majority(column) << place for place, column in enumerate(zip(*kept, strict=True))),
        texts=texts,
    )


async def _vote(verified: VerifiedInstruction, texts: Sequence[str], sandbox: Runner) -> list[bool]:
    """Return for each text whether most of the instruction's functions accept it."""
    verdicts = await run_patiently([function.source for function in verified.functions], texts, sandbox)
    return [_is_majority(column) for column in zip(*verdicts, strict=True)]


def _is_majority(verdicts: Sequence[Verdict]) -> bool:
    return 2 * list(verdicts).count(Verdict.PASS) > len(verdicts)
