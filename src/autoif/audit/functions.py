"""The audit of functions without gold: findings from what each function does, and from its mutants.

In:  instructions with the verdicts of all their functions on probes, answers, edges and twins (`observed.py`).
Out: an InstructionAudit for each, in order: findings about its functions and about itself.

No model is asked. The sandbox is called twice for each batch of instructions: functions that raised run again for the
message, and mutants of kept functions run on cases and on texts that tell them apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autoif.audit.findings import FunctionAudit, InstructionAudit
from autoif.audit.mutation import Mutant, is_equivalent, is_killed, make_mutants
from autoif.audit.observed import Observed
from autoif.faults.probing import NEARLY_ALL, ProbingTexts, choose_shortest, find_faults, find_raising, measure_accepted
from autoif.faults.reasons import Finding, FindingReason
from autoif.judging import Row, judge
from autoif.records import Verdict
from autoif.sandbox import Sandbox

_AT_ONCE = 16
"""Instructions in a batch: enough to keep all workers busy."""
_BASES = 3
"""How many answers to the instruction mutants run on."""
_MUTANT_PROBES = 30
"""How many probes mutants run on, and how many near texts and answers together."""
_SHORT_CHARS = 500
"""Apart from cases and edges, mutants run on texts no longer than this: some functions take quadratic time."""
_WEAK = 0.5
"""Cases that kill a smaller share of mutants are a finding."""

_HOPELESS = {FindingReason.DOES_NOT_LOAD, FindingReason.DEAD, FindingReason.TOO_SLOW}


@dataclass(frozen=True, slots=True)
class _Kills:
    """How many of a function's mutants its cases kill."""

    mutants: int
    """Mutants that behave differently from the function."""
    killed: int
    survivor: tuple[str, str] | None
    """The first mutant that no case kills: its change, and a text that it judges differently."""


def audit_functions(observed: Sequence[Observed], sandbox: Sandbox) -> list[InstructionAudit]:
    """Return the findings about functions and instructions, in the order of the instructions.

    Raises:
        SandboxError: functions can't be contained on this machine.
    """
    audits: list[InstructionAudit] = []
    for start in range(0, len(observed), _AT_ONCE):
        part = observed[start : start + _AT_ONCE]
        jobs = [
            (source, find_raising(one.texts, verdicts)[:1])
            for one in part
            for source, verdicts in zip(one.written.sources, one.by_text, strict=True)
        ]
        failures = iter(sandbox.run_many_sync(jobs))
        faults = [[find_faults(one.texts, verdicts, *next(failures)) for verdicts in one.by_text] for one in part]
        audits += map(_conclude, part, faults, _run_mutants(part, faults, sandbox))
    return audits


def _run_mutants(
    part: Sequence[Observed], faults: Sequence[Sequence[list[Finding]]], sandbox: Sandbox
) -> list[list[_Kills]]:
    """Return the kills of each function, by instruction."""
    mutants = [
        [
            make_mutants(source) if place in one.written.back_translated and not _is_hopeless(found) else []
            for place, (source, found) in enumerate(zip(one.written.sources, faults_by_function, strict=True))
        ]
        for one, faults_by_function in zip(part, faults, strict=True)
    ]
    texts = [_choose_texts(one.texts) for one in part]
    rows: list[Row] = []
    for by_function, chosen in zip(mutants, texts, strict=True):
        sources = _list_sources(by_function)
        rows += [(sources, text) for text in chosen]
    judged = iter(judge(rows, sandbox, until_timeout=True))
    kills = []
    for one, by_function, chosen in zip(part, mutants, texts, strict=True):
        by_text = [next(judged) for _ in chosen]
        by_source = dict(zip(_list_sources(by_function), zip(*by_text, strict=True), strict=True))
        kills.append(
            [
                _count_kills(one.texts, chosen, [verdicts[text] for text in chosen], each, by_source)
                for verdicts, each in zip(one.by_text, by_function, strict=True)
            ]
        )
    return kills


def _is_hopeless(found: Sequence[Finding]) -> bool:
    """Tell whether a function refuses everything or can't run, so that its mutants say nothing about its cases."""
    return any(each.reason in _HOPELESS for each in found)


def _list_sources(mutants: Sequence[Sequence[Mutant]]) -> tuple[str, ...]:
    """Return the sources of the mutants of some functions, each once."""
    return tuple(dict.fromkeys(mutant.source for each in mutants for mutant in each))


def _choose_texts(texts: ProbingTexts) -> list[str]:
    """Return the texts that mutants run on: the cases first, then others that are likely to tell them apart."""
    edges = [text for edge in texts.edges for text in edge.sides]
    short = [text for text in [*texts.near, *texts.own[:_BASES]] if len(text) <= _SHORT_CHARS]
    probes = [text for text in texts.probes if len(text) <= _SHORT_CHARS]
    step = max(1, len(probes) // _MUTANT_PROBES)
    inputs = [case.input for case in texts.cases]
    return list(dict.fromkeys([*inputs, *edges, *short[:_MUTANT_PROBES], *probes[::step]]))


def _count_kills(
    texts: ProbingTexts,
    chosen: Sequence[str],
    function: Sequence[Verdict],
    mutants: Sequence[Mutant],
    by_source: dict[str, tuple[Verdict, ...]],
) -> _Kills:
    """Return the kills of a function, from its verdicts and those of its mutants on the chosen texts."""
    cases = texts.cases
    inputs = {text: place for place, text in enumerate(chosen)}
    places = [inputs[case.input] for case in cases]
    counted = killed = 0
    survivor = None
    for mutant in mutants:
        verdicts = by_source[mutant.source]
        if is_equivalent(function, verdicts):
            continue
        counted += 1
        if is_killed([function[place] for place in places], [verdicts[place] for place in places], cases):
            killed += 1
        elif survivor is None:
            differing = [text for text, one, other in zip(chosen, function, verdicts, strict=True) if one != other]
            survivor = mutant.change, choose_shortest(differing)[0]
    return _Kills(counted, killed, survivor)


def _conclude(observed: Observed, faults: Sequence[list[Finding]], kills: Sequence[_Kills]) -> InstructionAudit:
    """Combine what was found about an instruction and its functions."""
    written = observed.written
    functions = tuple(
        _conclude_function(observed, place, *found) for place, found in enumerate(zip(faults, kills, strict=True))
    )
    return InstructionAudit(
        instruction_id=written.instruction.id,
        instruction=written.instruction.text,
        functions=functions,
        findings=tuple(_judge_instruction([each for each in functions if each.kept])),
    )


def _conclude_function(observed: Observed, place: int, faults: Sequence[Finding], kills: _Kills) -> FunctionAudit:
    """Combine what was found about a function."""
    texts, verdicts = observed.texts, observed.by_text[place]
    findings = list(faults)
    if kills.survivor and kills.killed < _WEAK * kills.mutants:
        change, text = kills.survivor
        detail = f"cases notice {kills.killed} of {kills.mutants} changes; not: {change}"
        findings.append(Finding(reason=FindingReason.WEAK_CASES, detail=detail, texts=(text,)))
    return FunctionAudit(
        function_id=observed.written.functions[place].id,
        kept=place in observed.written.back_translated,
        accepted_probes=measure_accepted(texts.probes, verdicts),
        accepted_others=measure_accepted(texts.others, verdicts) if texts.others else None,
        accepted_own=measure_accepted(texts.own, verdicts) if texts.own else None,
        mutants=kills.mutants,
        killed=kills.killed,
        findings=tuple(findings),
    )


def _judge_instruction(kept: Sequence[FunctionAudit]) -> Iterator[Finding]:
    """Yield the findings about an instruction, from its kept functions."""
    if not kept:
        return
    others = [each.accepted_others for each in kept if each.accepted_others is not None]
    if others and min(others) >= NEARLY_ALL:
        detail = f"{min(others):.0%} of the answers to other instructions obey it"
        yield Finding(reason=FindingReason.OBEYED_UNASKED, detail=detail)
    if not any(each.is_sound for each in kept):
        detail = "its only function has a fault" if len(kept) == 1 else f"all of its {len(kept)} functions have faults"
        yield Finding(reason=FindingReason.NO_FUNCTION_SOUND, detail=detail)
