"""Instructions that are one constraint in other words: their functions behave alike, whatever the wording.

    candidates   instructions whose functions, by majority, say much the same of the probes
    alike        on these and each other's answers and cases, both accept the share `deduplication.alike` of the texts
                 that either accepts, and refuse that share of those that either refuses
    kept         of instructions that are alike, the one with the best score (`autoif.reliability`)

Rules that hardly any text obeys say the same of all probes; only texts that obey one of them tell them apart. An
instruction that accepts everything, or nothing, is not folded.

In:      verified instructions, with their responses.
Dropped: an instruction that is alike a better one (`duplicate_behaviour`, with what it was folded into).
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
"""Texts of each instruction that others are run on."""


@dataclass(frozen=True, slots=True)
class _Read:
    """An instruction as its functions act it out."""

    verified: VerifiedInstruction
    score: float
    probes: int
    """A bit for each probe: whether most of its functions accept it."""
    texts: tuple[str, ...]
    """Of its own."""

    @property
    def rank(self) -> tuple[float, int, str]:
        """Sorts the better one first."""
        return -self.score, -len(self.verified.kept_functions), self.verified.instruction.id


async def fold_alike(
    instructions: Sequence[VerifiedInstruction], responses: Iterable[Response], sandbox: Runner, alike: Threshold
) -> list[Dropped]:
    """Return the instructions that are alike a better one; `responses` have verdicts and one constraint each."""
    texts = _choose_texts(instructions, responses)
    read = [await _read(verified, texts[verified.id], sandbox) for verified in instructions]
    folded: dict[str, VerifiedInstruction] = {}
    for group in _group_candidates(sorted(read, key=lambda each: each.rank), alike):
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


def _group_candidates(read: Sequence[_Read], alike: Threshold) -> list[list[_Read]]:
    """Return those that are linked by alike verdicts on the probes, the better first in each group."""
    group_of: dict[int, list[_Read]] = {}
    for place, each in enumerate(read):
        linked = {
            id(group_of[other]): group_of[other]
            for other in range(place)
            if _is_alike(_count(each.probes, read[other].probes), alike, one_sided=True)
        }
        joined = [one for group in linked.values() for one in group] + [each]
        places = [other for other, group in group_of.items() if id(group) in linked]
        group_of |= dict.fromkeys([*places, place], sorted(joined, key=lambda one: one.rank))
    return list({id(group): group for group in group_of.values() if len(group) > 1}.values())


async def _fold_group(group: Sequence[_Read], sandbox: Runner, alike: Threshold) -> dict[str, VerifiedInstruction]:
    """Return what each instruction that is folded is folded into, by its id; the best come first."""
    texts = list(dict.fromkeys(text for each in group for text in each.texts))
    place_of = {text: place for place, text in enumerate(texts)}
    votes = {each.verified.id: await _vote(each.verified, texts, sandbox) for each in group}
    kept: list[_Read] = []
    folded = {}
    for each in group:
        for better in kept:
            own = [place_of[text] for text in {*each.texts, *better.texts}]
            said, other = votes[each.verified.id], votes[better.verified.id]
            on_own = Counter((said[place], other[place]) for place in own)
            if _is_alike(_count(each.probes, better.probes) + on_own, alike):
                folded[each.verified.id] = better.verified
                break
        else:
            kept.append(each)
    return folded


def _count(first: int, second: int) -> Counter[tuple[bool, bool]]:
    whole = len(load_probes())
    both, either = (first & second).bit_count(), (first | second).bit_count()
    return Counter({(True, True): both, (True, False): either - both, (False, False): whole - either})


def _is_alike(counts: Counter[tuple[bool, bool]], alike: Threshold, *, one_sided: bool = False) -> bool:
    """Tell whether two agree on what either accepts, and on what either refuses.

    `one_sided` takes it for agreement if neither accepts any text, or refuses any.
    """
    differ = counts[True, False] + counts[False, True]
    return all(
        meets(share(counts[said, said], counts[said, said] + differ), alike)
        or (one_sided and not counts[said, said] + differ)
        for said in (True, False)
    )


def _choose_texts(
    instructions: Sequence[VerifiedInstruction], responses: Iterable[Response]
) -> dict[str, tuple[str, ...]]:
    """Return texts of each instruction that most of its functions accept, and some that they refuse."""
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


async def _read(verified: VerifiedInstruction, texts: tuple[str, ...], sandbox: Runner) -> _Read:
    matrix = verified.matrix
    tried = make_probing_texts(verified.instruction.text, matrix.cases)
    rows = await run_patiently([function.source for function in matrix.functions], tried.all, sandbox)
    scores = score_functions(tried, rows)
    places = {text: place for place, text in enumerate(tried.all)}
    kept = [[rows[function][places[text]] for text in load_probes()] for function in verified.kept_functions]
    return _Read(
        verified=verified,
        score=round(fmean(scores[place] for place in verified.kept_functions), 4),
        probes=sum(_is_majority(column) << place for place, column in enumerate(zip(*kept, strict=True))),
        texts=texts,
    )


async def _vote(verified: VerifiedInstruction, texts: Sequence[str], sandbox: Runner) -> list[bool]:
    verdicts = await run_patiently([function.source for function in verified.functions], texts, sandbox)
    return [_is_majority(column) for column in zip(*verdicts, strict=True)]


def _is_majority(verdicts: Sequence[Verdict]) -> bool:
    return 2 * list(verdicts).count(Verdict.PASS) > len(verdicts)
