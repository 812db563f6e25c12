"""The audit of functions without gold: each runs on probes, on answers, on edges and twins, and as mutants.

In:  what a run left: instructions with all functions that were written, their cases and responses.
Out: an InstructionAudit each, in order: findings of its functions and of itself.

No model is asked. Two calls of the sandbox for some instructions at a time: their functions on all texts, and the
mutants of those that were kept and do run on cases and on texts that tell them apart.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from autoif.audit.findings import FunctionAudit, InstructionAudit
from autoif.audit.material import WrittenInstruction
from autoif.audit.mutation import Mutant, is_equivalent, is_killed, make_mutants
from autoif.faults.edges import make_edges
from autoif.faults.metamorphic import make_twins
from autoif.faults.probing import NEARLY_ALL, ProbingTexts, choose_shortest, find_faults, find_raising, measure_accepted
from autoif.faults.reasons import Finding, FindingReason
from autoif.judging import Row, judge
from autoif.probes import load_probes, make_near_misses
from autoif.records import Verdict
from autoif.sandbox import Sandbox

_AT_ONCE = 16
"""Instructions: enough for all workers, and progress is seen."""
_OTHERS = 100
"""Answers to other instructions that every function runs on; of more, every so many."""
_OWN = 24
"""Answers to the instruction itself."""
_BASES = 3
"""Answers, and as many cases, of which twins are made."""
_NEAR = 1
"""Answers of which near misses are made."""
_MUTANT_PROBES = 30
_SHORT_CHARS = 500
"""Beside cases and edges mutants run on texts no longer than that: some functions take quadratic time."""
_WEAK = 0.5
"""A smaller share of mutants killed is a finding."""

_HOPELESS = {FindingReason.DOES_NOT_LOAD, FindingReason.DEAD, FindingReason.TOO_SLOW}

Verdicts = dict[str, Verdict]
"""Of a function, by text."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """An instruction with the texts for its functions."""

    written: WrittenInstruction
    texts: ProbingTexts
    sources: tuple[str, ...]
    """Of its functions, each once."""

    @property
    def kept(self) -> frozenset[str]:
        """The sources of the functions that judge the run's responses."""
        return frozenset(self.written.sources[place] for place in self.written.back_translated)


@dataclass(frozen=True, slots=True)
class _Kills:
    """What became of a function's mutants."""

    mutants: int
    """That behave otherwise than it."""
    killed: int
    survivor: tuple[str, str] | None
    """The first that no case noticed: what was changed, and a text that it judges otherwise."""


def audit_functions(
    instructions: Sequence[WrittenInstruction], sandbox: Sandbox, watch: Callable[[int], None] = lambda done: None
) -> list[InstructionAudit]:
    """Try all functions on everything; return what was found, in the order of the instructions.

    Args:
        instructions: with their functions, cases and responses.
        sandbox: entered.
        watch: is told now and then how many instructions are done.

    Raises:
        SandboxError: functions can't be contained on this machine.
    """
    answers = _choose_others(instructions)
    audits: list[InstructionAudit] = []
    for start in range(0, len(instructions), _AT_ONCE):
        subjects = [_prepare(written, answers) for written in instructions[start : start + _AT_ONCE]]
        verdicts = _run_functions(subjects, answers, sandbox)
        faults = _find_faults(subjects, verdicts, sandbox)
        kills = _run_mutants(subjects, verdicts, faults, sandbox)
        audits += map(_conclude, subjects, verdicts, faults, kills)
        watch(len(audits))
    return audits


def _choose_others(instructions: Sequence[WrittenInstruction]) -> list[tuple[str, str]]:
    """Return the ids of instructions with answers to them, each text once, spread evenly over all there are."""
    answers: dict[str, str] = {}
    for written in instructions:
        for response in written.responses:
            answers.setdefault(response.text, written.instruction.id)
    found = [(instruction, text) for text, instruction in answers.items()]
    return [found[place * len(found) // _OTHERS] for place in range(_OTHERS)] if len(found) > _OTHERS else found


def _prepare(written: WrittenInstruction, answers: Sequence[tuple[str, str]]) -> _Subject:
    """Make the texts for an instruction."""
    text = written.instruction.text
    own = list(dict.fromkeys(response.text for response in written.responses))
    best = sorted(written.responses, key=lambda response: (-response.pass_rate, response.id))
    cases = written.matrix.cases
    bases = [case.input for case in cases if case.expected][:_BASES]
    bases += [response.text for response in [*best[:_BASES], *best[-1:]]]
    near = [version for response in best[:_NEAR] for version in make_near_misses(response.text)]
    edges = make_edges(text)
    texts = ProbingTexts(
        probes=load_probes(),
        others=[answer for instruction, answer in answers if instruction != written.instruction.id],
        own=own[:_OWN],
        cases=cases,
        edges=edges,
        twins=make_twins(text, [*bases, *(edge.obeys for edge in edges)]),
        near=[text, *near],
    )
    return _Subject(written, texts, tuple(dict.fromkeys(written.sources)))


def _run_functions(
    subjects: Sequence[_Subject], answers: Sequence[tuple[str, str]], sandbox: Sandbox
) -> list[list[Verdicts]]:
    """Return for each subject and each of its sources the verdicts by text."""
    shared = list(dict.fromkeys([*load_probes(), *(text for _, text in answers)]))
    every = tuple(dict.fromkeys(chain.from_iterable(subject.sources for subject in subjects)))
    rows: list[Row] = [(every, text) for text in shared]
    rows += [(subject.sources, text) for subject in subjects for text in subject.texts.tailored]
    judged = iter(judge(rows, sandbox, until_timeout=True))
    of_all = dict(zip(every, zip(*(next(judged) for _ in shared), strict=True), strict=True))
    found = []
    for subject in subjects:
        of_own = list(zip(*(next(judged) for _ in subject.texts.tailored), strict=True))
        found.append(
            [
                dict(zip(shared, of_all[source], strict=True)) | dict(zip(subject.texts.tailored, own, strict=True))
                for source, own in zip(subject.sources, of_own, strict=True)
            ]
        )
    return found


def _run_mutants(
    subjects: Sequence[_Subject],
    verdicts: Sequence[Sequence[Verdicts]],
    faults: Sequence[Sequence[list[Finding]]],
    sandbox: Sandbox,
) -> list[list[_Kills]]:
    """Return for each subject and each of its sources what became of its mutants."""
    mutants = [
        [
            make_mutants(source) if source in subject.kept and not _is_hopeless(found) else []
            for source, found in zip(subject.sources, of_sources, strict=True)
        ]
        for subject, of_sources in zip(subjects, faults, strict=True)
    ]
    texts = [_choose_telling(subject.texts) for subject in subjects]
    rows: list[Row] = []
    for of_sources, telling in zip(mutants, texts, strict=True):
        sources = _list_sources(of_sources)
        rows += [(sources, text) for text in telling]
    judged = iter(judge(rows, sandbox, until_timeout=True))
    found = []
    for subject, of_sources, telling, seen in zip(subjects, mutants, texts, verdicts, strict=True):
        by_text = [next(judged) for _ in telling]
        of_mutant = dict(zip(_list_sources(of_sources), zip(*by_text, strict=True), strict=True))
        found.append(
            [
                _count_kills(subject, telling, [function[text] for text in telling], each, of_mutant)
                for function, each in zip(seen, of_sources, strict=True)
            ]
        )
    return found


def _is_hopeless(found: Sequence[Finding]) -> bool:
    """Tell whether a function refuses all or can't be run, so that its mutants say nothing of its cases."""
    return any(each.reason in _HOPELESS for each in found)


def _list_sources(mutants: Sequence[Sequence[Mutant]]) -> tuple[str, ...]:
    """Return the sources of the mutants of some functions, each once."""
    return tuple(dict.fromkeys(mutant.source for each in mutants for mutant in each))


def _choose_telling(texts: ProbingTexts) -> list[str]:
    """Return the texts that mutants run on: the cases first, then short ones that are likely to tell them apart."""
    edges = [text for edge in texts.edges for text in (edge.obeys, edge.breaks)]
    short = [text for text in [*texts.near, *texts.own[:_BASES]] if len(text) <= _SHORT_CHARS]
    probes = [text for text in texts.probes if len(text) <= _SHORT_CHARS]
    step = max(1, len(probes) // _MUTANT_PROBES)
    inputs = [case.input for case in texts.cases]
    return list(dict.fromkeys([*inputs, *edges, *short[:_MUTANT_PROBES], *probes[::step]]))


def _count_kills(
    subject: _Subject,
    telling: Sequence[str],
    function: Sequence[Verdict],
    mutants: Sequence[Mutant],
    of_mutant: dict[str, tuple[Verdict, ...]],
) -> _Kills:
    """Return what became of a function's mutants.

    Args:
        subject: its instruction.
        telling: the texts that all ran on.
        function: its verdicts on them.
        mutants: of it.
        of_mutant: their verdicts on the texts, by source.
    """
    cases = subject.texts.cases
    inputs = {text: place for place, text in enumerate(telling)}
    places = [inputs[case.input] for case in cases]
    counted = killed = 0
    survivor = None
    for mutant in mutants:
        verdicts = of_mutant[mutant.source]
        if is_equivalent(function, verdicts):
            continue
        counted += 1
        if is_killed([function[place] for place in places], [verdicts[place] for place in places], cases):
            killed += 1
        elif survivor is None:
            apart = [text for text, one, other in zip(telling, function, verdicts, strict=True) if one != other]
            survivor = mutant.change, choose_shortest(apart)[0]
    return _Kills(counted, killed, survivor)


def _find_faults(
    subjects: Sequence[_Subject], verdicts: Sequence[Sequence[Verdicts]], sandbox: Sandbox
) -> list[list[list[Finding]]]:
    """Return for each subject and each of its sources what is wrong; what raised runs once more, for what it says."""
    jobs: dict[tuple[int, str], tuple[str, list[str]]] = {}
    for number, (subject, seen) in enumerate(zip(subjects, verdicts, strict=True)):
        for source, function in zip(subject.sources, seen, strict=True):
            if raising := find_raising(subject.texts, function):
                jobs[number, source] = source, raising[:1]
    outcomes = dict(zip(jobs, sandbox.run_many_sync(list(jobs.values())), strict=True))
    failures = {key: each[0] for key, each in outcomes.items()}
    return [
        [
            find_faults(subject.texts, function, failures.get((number, source)))
            for source, function in zip(subject.sources, seen, strict=True)
        ]
        for number, (subject, seen) in enumerate(zip(subjects, verdicts, strict=True))
    ]


def _conclude(
    subject: _Subject, verdicts: Sequence[Verdicts], faults: Sequence[list[Finding]], kills: Sequence[_Kills]
) -> InstructionAudit:
    """Put together what was found of an instruction."""
    written, texts = subject.written, subject.texts
    of_source = {
        source: _conclude_function(texts, seen, found, each)
        for source, seen, found, each in zip(subject.sources, verdicts, faults, kills, strict=True)
    }
    functions = tuple(
        of_source[function.source].model_copy(
            update={"function_id": function.id, "kept": place in written.back_translated}
        )
        for place, function in enumerate(written.functions)
    )
    return InstructionAudit(
        instruction_id=written.instruction.id,
        instruction=written.instruction.text,
        functions=functions,
        findings=tuple(_judge_instruction([each for each in functions if each.kept])),
    )


def _conclude_function(texts: ProbingTexts, verdicts: Verdicts, faults: list[Finding], kills: _Kills) -> FunctionAudit:
    """Return what was found of a function, but for which one it is."""
    findings = list(faults)
    if kills.survivor and kills.killed < _WEAK * kills.mutants:
        change, text = kills.survivor
        detail = f"cases notice {kills.killed} of {kills.mutants} changes; not: {change}"
        findings.append(Finding(reason=FindingReason.WEAK_CASES, detail=detail, texts=(text,)))
    return FunctionAudit(
        function_id="",
        kept=False,
        accepted_probes=measure_accepted(texts.probes, verdicts),
        accepted_others=measure_accepted(texts.others, verdicts) if texts.others else None,
        accepted_own=measure_accepted(texts.own, verdicts) if texts.own else None,
        mutants=kills.mutants,
        killed=kills.killed,
        findings=tuple(findings),
    )


def _judge_instruction(kept: Sequence[FunctionAudit]) -> Iterator[Finding]:
    """Yield what is to be said of an instruction by its functions that were kept."""
    if not kept:
        return
    others = [each.accepted_others for each in kept if each.accepted_others is not None]
    if others and min(others) >= NEARLY_ALL:
        detail = f"{min(others):.0%} of the answers to other instructions obey it"
        yield Finding(reason=FindingReason.OBEYED_UNASKED, detail=detail)
    if not any(each.is_sound for each in kept):
        detail = "its only function has a fault" if len(kept) == 1 else f"all of its {len(kept)} functions have faults"
        yield Finding(reason=FindingReason.NO_FUNCTION_SOUND, detail=detail)
