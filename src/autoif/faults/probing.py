"""Finds functions that accept all texts, refuse all, raise, take too long, or get the edge wrong.

    | reason                | a function that                                                                       |
    |-----------------------|---------------------------------------------------------------------------------------|
    | does_not_load         | gives no `evaluate` to call                                                           |
    | vacuous               | accepts >= 95 % of the probes and of other answers, and all texts that were made for  |
    |                       | its instruction: cases, wrong sides of edges, near misses, the instruction itself     |
    | dead                  | refuses >= 95 % of the probes, all its own answers, all cases that should obey, and   |
    |                       | all near misses of cases                                                              |
    | raises                | raises on a text that isn't blank                                                     |
    | too_slow              | meets the sandbox's limit of time or memory, or crashes                               |
    | trailing_space, …     | gives twins (metamorphic.py) different verdicts                                       |
    | threshold, asked_text | gives both sides of an edge (edges.py) the same verdict, or each the wrong one        |

Why not by probes alone: "don't use the word education" rightly accepts nearly everything, "exactly 7 words" rightly
refuses it. So a function is vacuous only if it refuses no text that was made to break the instruction, and no case at
all, as cases are often wrong. Where fewer than `FEW` texts break it, it must also accept all probes and other answers,
and probes alone never suffice. A function is dead only if it accepts no text that was made to obey the instruction, and
only if there are enough of these: `MANY` answers, or `SOME` texts that should obey where there are no answers. Near
misses of cases help: where no case begins each word with a capital letter, its version in title case does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from autoif.faults.edges import Edge, make_edges
from autoif.faults.metamorphic import Twin, make_twins
from autoif.faults.reasons import Finding, FindingReason
from autoif.probes import load_probes, make_near_misses
from autoif.records import Case, Verdict
from autoif.sandbox import Outcome
from autoif.thresholds import share

NEARLY_ALL = 0.95
FEW, SOME, MANY = 2, 3, 8
_SHOWN = 3
_BASES = 3
"""How many cases, and how many answers, twins are made of."""
_VARIED = 6
"""How many cases near misses are made of, some thirty of each."""
_SENTENCE = 4
"""Words. Shorter near misses may be accepted only because they are short."""
_LIMITS = {Verdict.TIMEOUT, Verdict.MEMORY, Verdict.CRASH}


@dataclass(frozen=True)
class ProbingTexts:
    """The texts on which the functions of one instruction are tried."""

    probes: Sequence[str]
    others: Sequence[str]
    """Answers to other instructions."""
    own: Sequence[str]
    """Answers to this one, whether or not they obey."""
    cases: Sequence[Case]
    edges: Sequence[Edge]
    twins: Sequence[Twin]
    near: Sequence[str]
    """The instruction itself, and near misses of the first answer to it."""
    versions: Sequence[str]
    """Near misses of cases, of which some may obey by chance."""

    @cached_property
    def all(self) -> tuple[str, ...]:
        """All, each once."""
        return tuple(dict.fromkeys([*self.tailored, *self.probes, *self.others]))

    @cached_property
    def tailored(self) -> tuple[str, ...]:
        """Those that were made or written for this instruction, each once."""
        texts = [*(case.input for case in self.cases), *self.own, *self.near]
        texts += [text for edge in self.edges for text in edge.sides]
        texts += [text for twin in self.twins for text in (twin.one, twin.other)]
        texts += self.versions
        return tuple(dict.fromkeys(texts))

    @cached_property
    def breaking(self) -> tuple[str, ...]:
        """Texts of which some most likely break it, without scraps; among them all cases, as these are often wrong."""
        cases = [case.input for case in self.cases]
        return _leave_out_scraps([*cases, *(edge.breaks for edge in self.edges), *self.near])

    @property
    def is_tried(self) -> bool:
        """Whether both sides of an edge are tried."""
        return any(edge.obeys is not None for edge in self.edges)

    @cached_property
    def obeying(self) -> tuple[str, ...]:
        """Those that should obey it: cases and edges."""
        cases = [case.input for case in self.cases if case.expected]
        return tuple(dict.fromkeys([*cases, *(edge.obeys for edge in self.edges if edge.obeys is not None)]))

    @cached_property
    def reached(self) -> tuple[str, ...]:
        """Further texts of which a function that isn't dead may accept some; whether they obey isn't known."""
        return (*self.own, *(text for text in self.versions if len(text.split()) >= _SENTENCE))

    @cached_property
    def ordinary_probes(self) -> tuple[str, ...]:
        """The probes without scraps."""
        return _leave_out_scraps(self.probes)


def make_probing_texts(
    instruction: str, cases: Sequence[Case], own: Sequence[str] = (), others: Sequence[str] = ()
) -> ProbingTexts:
    """Return the texts on which the functions of an instruction show what is wrong with them.

    Args:
        instruction: its text.
        cases: of all its functions.
        own: answers to it, the better first if that is known.
        others: answers to other instructions.
    """
    edges = make_edges(instruction)
    bases = [case.input for case in cases if case.expected][:_BASES]
    bases += [*own[:_BASES], *own[-1:], *(edge.obeys for edge in edges if edge.obeys is not None)]
    return ProbingTexts(
        probes=load_probes(),
        others=others,
        own=own,
        cases=cases,
        edges=edges,
        twins=make_twins(instruction, bases),
        near=[instruction, *(version for answer in own[:1] for version in make_near_misses(answer))],
        versions=[version for case in cases[:_VARIED] for version in make_near_misses(case.input)],
    )


def find_faults(texts: ProbingTexts, verdicts: Mapping[str, Verdict], failure: Outcome | None = None) -> list[Finding]:
    """Return what is wrong with a function, in the order of the reasons; `failure` is its outcome on a text of
    `find_raising`.
    """
    if failure and not failure.loaded:
        return [Finding(reason=FindingReason.DOES_NOT_LOAD, detail=failure.detail)]
    found = [
        *_judge_sides(texts, verdicts),
        *_find_failures(texts, verdicts, failure),
        *_compare_twins(texts.twins, verdicts),
        *_compare_edges(texts.edges, verdicts),
    ]
    order = list(FindingReason)
    return sorted(found, key=lambda finding: order.index(finding.reason))


def find_raising(texts: ProbingTexts, verdicts: Mapping[str, Verdict]) -> list[str]:
    """Return the texts on which a function raises, without those that are blank; the shortest first."""
    raised = {text for text in texts.all if verdicts[text] is Verdict.ERROR and text.strip()}
    return sorted(raised, key=_by_length)


def measure_accepted(texts: Sequence[str], verdicts: Mapping[str, Verdict]) -> float:
    """Return the share of the texts that the function accepts, 0 to 1; 0 of none."""
    return float(share(sum(verdicts[text] is Verdict.PASS for text in texts), len(texts)))


def _judge_sides(texts: ProbingTexts, verdicts: Mapping[str, Verdict]) -> Iterator[Finding]:
    """Yield a finding if it accepts, or refuses, nearly everything."""
    probes = measure_accepted(texts.ordinary_probes, verdicts)
    others = measure_accepted(texts.others, verdicts) if texts.others else probes
    made = len(texts.edges) + sum(not case.expected for case in texts.cases)
    least = NEARLY_ALL if made >= FEW else 1
    known = made or texts.others  # all probes may miss what it asks, say of headings
    if known and min(probes, others) >= least and measure_accepted(texts.breaking, verdicts) == 1:
        answers = f", {others:.0%} of other answers" if texts.others else ""
        detail = f"accepts {probes:.0%} of the probes{answers}, and all that should break it"
        yield Finding(reason=FindingReason.VACUOUS, detail=detail, texts=choose_shortest(texts.breaking))
    enough = len(texts.own) >= MANY or (not texts.own and len(texts.obeying) >= SOME)
    reached = any(_accepts(text, verdicts) for text in (*texts.obeying, *texts.reached))
    if enough and probes <= 1 - NEARLY_ALL and not reached:
        kinds = {"answers to its instruction": texts.own, "texts that should obey": texts.obeying}
        none_of = "".join(f", none of {len(listed)} {name}" for name, listed in kinds.items() if listed)
        detail = f"accepts {probes:.0%} of the probes{none_of}"
        yield Finding(reason=FindingReason.DEAD, detail=detail, texts=choose_shortest([*texts.obeying, *texts.own]))


def _leave_out_scraps(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the texts of two or more words, each once: others are no answers, and many functions refuse them."""
    return tuple(text for text in dict.fromkeys(texts) if len(text.split()) > 1)


def _find_failures(texts: ProbingTexts, verdicts: Mapping[str, Verdict], failure: Outcome | None) -> Iterator[Finding]:
    """Yield findings if it raises on ordinary texts, or meets a limit."""
    tried = texts.all
    if raised := find_raising(texts, verdicts):
        cause = f": {failure.detail}" if failure and failure.detail else ""
        detail = f"raises on {len(raised)} of {len(tried)} texts{cause}"
        yield Finding(reason=FindingReason.RAISES, detail=detail, texts=tuple(raised[:_SHOWN]))
    if limited := [text for text in tried if verdicts[text] in _LIMITS]:
        kinds = ", ".join(sorted({verdicts[text].value for text in limited}))
        detail = f"{kinds} on {len(limited)} of {len(tried)} texts"
        yield Finding(reason=FindingReason.TOO_SLOW, detail=detail, texts=choose_shortest(limited)[:1])


def _compare_twins(twins: Iterable[Twin], verdicts: Mapping[str, Verdict]) -> Iterator[Finding]:
    """Yield a finding per relation, with the first twins that get different verdicts."""
    shown: dict[FindingReason, Twin] = {}
    for twin in twins:
        if _accepts(twin.one, verdicts) != _accepts(twin.other, verdicts):
            shown.setdefault(twin.reason, twin)
    for reason, twin in shown.items():
        verb, other = ("accepts", "refuses") if _accepts(twin.one, verdicts) else ("refuses", "accepts")
        detail = f"{verb} a text and {other} it {twin.change}"
        yield Finding(reason=reason, detail=detail, texts=(twin.one, twin.other))


def _compare_edges(edges: Iterable[Edge], verdicts: Mapping[str, Verdict]) -> Iterator[Finding]:
    """Yield a finding per reason, with the first edge of which it gets a side wrong."""
    seen: set[FindingReason] = set()
    for edge in edges:
        obeys, breaks = edge.obeys is None or _accepts(edge.obeys, verdicts), _accepts(edge.breaks, verdicts)
        if (obeys and not breaks) or edge.reason in seen:
            continue
        seen.add(edge.reason)
        if edge.obeys is None:
            detail = f"accepts {edge.wrong}"
        elif obeys:
            detail = f"accepts {edge.right}, and {edge.wrong} as well"
        else:
            verb = "accepts" if breaks else "refuses"
            detail = f"refuses {edge.right}, and {verb} {edge.wrong}"
        yield Finding(reason=edge.reason, detail=detail, texts=edge.sides)


def _accepts(text: str, verdicts: Mapping[str, Verdict]) -> bool:
    return verdicts[text] is Verdict.PASS


def choose_shortest(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the shortest texts to show, at most three, each once."""
    return tuple(sorted(set(texts), key=_by_length)[:_SHOWN])


def _by_length(text: str) -> tuple[int, str]:
    return len(text), text
