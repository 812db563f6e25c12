"""IFEval and IFBench: prompts with instructions that code can check, judged by the official checkers.

What is scored, strictly and loosely, is the share of prompts that are followed whole, and that of instructions.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from itertools import chain
from operator import ne

from pydantic import JsonValue

from autoif.evaluation.benchmark import AskedPrompt, Benchmark, Given, Judged
from autoif.evaluation.ifeval_ifbench.checkers import NEWEST, REVISIONS, Revision, Verdicts
from autoif.evaluation.ifeval_ifbench.corrections import CORRECTIONS
from autoif.evaluation.ifeval_ifbench.data import SIZES, TITLES, Question, Questions
from autoif.evaluation.ifeval_ifbench.fork_server import CHECKER_PACKAGES
from autoif.evaluation.ifeval_ifbench.processes import check_installed, open_checkers
from autoif.evaluation.results import Column, PromptResult

_VERDICTS = {
    "prompt_strict": "Pr(S)", "prompt_loose": "Pr(L)", "instruction_strict": "In(S)", "instruction_loose": "In(L)",
}  # fmt: skip


def load_benchmark(
    questions: Questions, *, corrected: bool = False, revision: Revision = NEWEST, workers: int | None = None
) -> Benchmark:
    """Return the benchmark, ready to judge; `corrected` scores without the known faults of the checkers, and `revision`
    is that of IFBench's.

    Raises:
        ConfigError: the checkers or their data are not installed.
    """
    check_installed(questions)
    suite, title = questions.suite, TITLES[questions.suite]
    checkers = REVISIONS[revision if suite == "ifbench" else NEWEST]
    rows = {row.id: row for row in questions.rows}

    def judge(given: Given) -> Judged:
        jobs = [(rows[prompt.id], each.text) for prompt, some in given for each in some]
        with open_checkers(questions, len(jobs), workers, revision=revision) as run:
            verdicts = iter(run(jobs))
        found = [(rows[prompt.id], [next(verdicts) for _ in some]) for prompt, some in given]
        return _sum_up(found, corrected, [("checkers", checkers), ("data", questions.version)])

    without = "without the known faults of the checkers, " if corrected else ""
    return Benchmark(
        name=suite,
        title=title,
        place=1 if suite == "ifeval" else 2,
        about=f"{without}Pr is the percentage of prompts that are followed whole, In that of instructions, (S) "
        "strictly, (L) loosely. Intervals draw prompts again.",
        prompts=[AskedPrompt(row.id, row.key, row.prompt) for row in questions.rows],
        size=SIZES[suite],
        data=questions.version,
        data_id=questions.id,
        columns=[
            Column(name=name, heading=title, label=label, paired=name.startswith("prompt"))
            for name, label in _VERDICTS.items()
        ],
        judge=judge,
        settings={**({"checkers": checkers} if suite == "ifbench" else {}), "corrected": corrected},
        versions={name: version(name) for name in CHECKER_PACKAGES},
    )


_JudgedRows = Sequence[tuple[Question, Sequence[Verdicts]]]
_Flags = Callable[[Verdicts], Iterable[bool]]


def _sum_up(
    found: Sequence[tuple[Question, Sequence[Verdicts | str]]], corrected: bool, about: Sequence[tuple[str, str]]
) -> Judged:
    """Return what the checkers found; text in place of a verdict says why a response can't be judged."""
    judged, unjudgeable = [], []
    for row, some in found:
        known = [each for each in some if not isinstance(each, str)]
        if len(known) == len(some):
            judged.append((row, known))
        else:
            unjudgeable.append(f"{row.key}: {next(each for each in some if isinstance(each, str))}")
    return Judged(
        [_make_result(row, some, corrected=corrected) for row, some in judged],
        unscored={"unjudgeable": unjudgeable},
        noted={
            "drawn": [f"{key}: {name}" for key, name in _list_flagged(judged, lambda each: each.drawn)],
            "raised": [f"{key}: {name}" for key, name in _list_flagged(judged, lambda each: each.raised)],
        },
        report=[*about, *_report_faults(judged, corrected)],
        details={"instruction_types": _score_types(judged, corrected), "faults": _count_faults(judged)},
    )


_FAULTY: dict[str, _Flags] = {
    "strict": lambda each: map(ne, each.strict, each.corrected_strict),
    "loose": lambda each: map(ne, each.loose, each.corrected_loose),
}
"""Verdicts that a known fault of a checker decided."""


def _make_result(row: Question, judged: Sequence[Verdicts], *, corrected: bool) -> PromptResult:
    strict = [each.corrected_strict if corrected else each.strict for each in judged]
    loose = [each.corrected_loose if corrected else each.loose for each in judged]
    noted: dict[str, _Flags] = {
        "drawn": lambda each: each.drawn,
        "raised": lambda each: each.raised,
        **{f"faulty_{mode}": flags for mode, flags in _FAULTY.items()},
    }
    named: dict[str, list[list[JsonValue]]] = {
        kind: [[name for _, name in _list_flagged([(row, [each])], flags)] for each in judged]
        for kind, flags in noted.items()
    }
    return PromptResult(
        id=row.id,
        key=row.key,
        cluster=row.id,
        scores={
            "prompt_strict": tuple(100.0 * all(each) for each in strict),
            "prompt_loose": tuple(100.0 * all(each) for each in loose),
            "instruction_strict": tuple(100.0 * each for each in chain(*strict)),
            "instruction_loose": tuple(100.0 * each for each in chain(*loose)),
        },
        details={
            "instructions": [*row.instruction_id_list],
            **{kind: list[JsonValue](some) for kind, some in named.items() if any(some)},
        },
    )


def _list_flagged(judged: _JudgedRows, flags: _Flags) -> list[tuple[str, str]]:
    """Return the key of the prompt and the instruction of each verdict that is flagged."""
    return [
        (row.key, name)
        for row, some in judged
        for each in some
        for name, flag in zip(row.instruction_id_list, flags(each), strict=True)
        if flag
    ]


def _score_types(judged: _JudgedRows, corrected: bool) -> dict[str, JsonValue]:
    """Return the accuracy of each type of instruction in percent, with each response counted."""

    def tally(flags: _Flags) -> Counter[str]:
        return Counter(name for _, name in _list_flagged(judged, flags))

    asked = tally(lambda each: [True] * len(each.strict))
    strict = tally(lambda each: each.corrected_strict if corrected else each.strict)
    loose = tally(lambda each: each.corrected_loose if corrected else each.loose)
    return {
        name: {"instructions": number, "strict": 100 * strict[name] / number, "loose": 100 * loose[name] / number}
        for name, number in sorted(asked.items())
    }


def _count_faults(judged: _JudgedRows) -> dict[str, JsonValue]:
    """Return the known faults of the checkers that were asked, and how many verdicts each decides."""
    asked = {name for row, _ in judged for name in row.instruction_id_list}
    decided = {mode: Counter(name for _, name in _list_flagged(judged, flags)) for mode, flags in _FAULTY.items()}
    return {
        name: {"fault": correction.fault, **{mode: found[name] for mode, found in decided.items()}}
        for name, correction in CORRECTIONS.items()
        if name in asked
    }


def _report_faults(judged: _JudgedRows, corrected: bool) -> list[tuple[str, str]]:
    decided = "would have decided" if corrected else "decided"
    strict, loose = (Counter(name for _, name in _list_flagged(judged, flags)) for flags in _FAULTY.values())
    return [
        ("fault", f"{name}: {correction.fault}; {decided} {strict[name]} strict, {loose[name]} loose verdicts")
        for name, correction in CORRECTIONS.items()
        if strict[name] or loose[name]
    ]
