"""IFEval and IFBench: prompts with instructions that code can check, judged by the official checkers.

The scores are the shares of prompts that are followed completely and of instructions that are followed, each strict and
loose.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import chain, compress

from pydantic import JsonValue

from autoif.benchmark_wordings import TITLES
from autoif.evaluation.benchmark import AskedPrompt, Benchmark, Given, Judged
from autoif.evaluation.ifeval_ifbench.checkers import NEWEST, REVISIONS, Revision, Verdicts
from autoif.evaluation.ifeval_ifbench.corrections import CORRECTIONS
from autoif.evaluation.ifeval_ifbench.data import SIZES, Question, Questions
from autoif.evaluation.ifeval_ifbench.processes import CHECKER_PACKAGES, check_installed, open_checkers
from autoif.evaluation.results import Column, PromptResult

_VERDICTS = {
    "prompt_strict": "Pr(S)", "prompt_loose": "Pr(L)", "instruction_strict": "In(S)", "instruction_loose": "In(L)",
}  # fmt: skip
_NOTED = ("drawn", "raised", "faulty_strict", "faulty_loose")
"""Fields of `Verdicts` that are recorded for single verdicts."""
_JudgedRows = Sequence[tuple[Question, Sequence[Verdicts]]]


def load_benchmark(
    questions: Questions, *, corrected: bool = False, revision: Revision = NEWEST, workers: int | None = None
) -> Benchmark:
    """Return the benchmark, ready to judge.

    Args:
        questions: the prompts.
        corrected: score without the known faults of the checkers.
        revision: which of IFBench's checkers to use.
        workers: how many processes judge; by default up to one a core.

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


def _sum_up(
    found: Sequence[tuple[Question, Sequence[Verdicts | str]]], corrected: bool, about: Sequence[tuple[str, str]]
) -> Judged:
    """Return the results; a text in place of a verdict says why a response can't be judged."""
    judged, unjudgeable = [], []
    for row, some in found:
        known = [each for each in some if not isinstance(each, str)]
        if len(known) == len(some):
            judged.append((row, known))
        else:
            unjudgeable.append(f"{row.key}: {next(each for each in some if isinstance(each, str))}")
    faults = _count_faults(judged)
    return Judged(
        [_make_result(row, some, "corrected_" if corrected else "") for row, some in judged],
        unscored={"unjudgeable": unjudgeable},
        noted={
            kind: [f"{row.key}: {name}" for row, some in judged for name in chain(*_list_flagged(row, some, kind))]
            for kind in ("drawn", "raised")
        },
        report=[*about, *_report_faults(faults, corrected)],
        details={
            "instruction_types": _score_types(judged, "corrected_" if corrected else ""),
            "faults": {name: {**fault} for name, fault in faults.items()},
        },
    )


def _make_result(row: Question, judged: Sequence[Verdicts], prefix: str) -> PromptResult:
    """Return a prompt's result, scored by the verdicts `{prefix}strict` and `{prefix}loose`."""
    strict, loose = ([getattr(each, f"{prefix}{mode}") for each in judged] for mode in ("strict", "loose"))
    named = {kind: _list_flagged(row, judged, kind) for kind in _NOTED}
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
            **{kind: [list[JsonValue](each) for each in some] for kind, some in named.items() if any(some)},
        },
    )


def _list_flagged(row: Question, judged: Sequence[Verdicts], kind: str) -> list[list[str]]:
    """Return for each response the instructions for which a field of `Verdicts`, such as `raised`, is true."""
    return [[*compress(row.instruction_id_list, getattr(each, kind))] for each in judged]


def _tally(judged: _JudgedRows, kind: str) -> Counter[str]:
    """Return for how many verdicts on each type of instruction a field of `Verdicts` is true."""
    return Counter(name for row, some in judged for name in chain(*_list_flagged(row, some, kind)))


def _score_types(judged: _JudgedRows, prefix: str) -> dict[str, JsonValue]:
    """Return the accuracy of each type of instruction in percent, with each response counted."""
    asked = Counter(name for row, some in judged for name in row.instruction_id_list * len(some))
    strict, loose = (_tally(judged, f"{prefix}{mode}") for mode in ("strict", "loose"))
    return {
        name: {"instructions": number, "strict": 100 * strict[name] / number, "loose": 100 * loose[name] / number}
        for name, number in sorted(asked.items())
    }


def _count_faults(judged: _JudgedRows) -> dict[str, dict[str, JsonValue]]:
    """Return the known faults of the checkers in use, and how many verdicts each decides."""
    asked = {name for row, _ in judged for name in row.instruction_id_list}
    strict, loose = (_tally(judged, f"faulty_{mode}") for mode in ("strict", "loose"))
    return {
        name: {"fault": correction.fault, "strict": strict[name], "loose": loose[name]}
        for name, correction in CORRECTIONS.items()
        if name in asked
    }


def _report_faults(faults: Mapping[str, Mapping[str, JsonValue]], corrected: bool) -> list[tuple[str, str]]:
    decided = "would have decided" if corrected else "decided"
    return [
        ("fault", f"{name}: {each['fault']}; {decided} {each['strict']} strict, {each['loose']} loose verdicts")
        for name, each in faults.items()
        if each["strict"] or each["loose"]
    ]
