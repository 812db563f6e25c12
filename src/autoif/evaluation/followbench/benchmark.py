"""FollowBench's scores: HSR, SSR and CSL, by level, by type and overall; types have equal weight.

HSR   percentage of responses that satisfy all of their constraints
SSR   percentage of constraints that are satisfied, averaged over responses; the HSR where a rule decides
CSL   levels satisfied in a row from the first one on, 0 to 5

A judgement that can't be read counts as -1 in HSR and SSR, as in the official program, but no score is below 0. The
scores without such judgements are reported as well.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from autoif.errors import ConfigError
from autoif.evaluation.benchmark import AskedPrompt, Benchmark, Given, Judged
from autoif.evaluation.followbench.data import LEVELS, SIZES, Item, Items
from autoif.evaluation.followbench.judging import (
    STAGE,
    Judgements,
    ResponseJudgement,
    find_files,
    read_answer,
    read_judgements,
    write_question,
)
from autoif.evaluation.judge import Judge, consult
from autoif.evaluation.responses import SubjectResponse, digest_files
from autoif.evaluation.results import Column, PromptResult, score
from autoif.evaluation.statistics import Interval, describe
from autoif.messages import Say, list_some

_TITLE = "FollowBench"
_UNREAD = -1
"""Value of a judgement that can't be read, as in the official program."""
_NAMED = 5
_COLUMNS = [
    *(
        Column(
            name=f"{kind}_{level}", heading=f"{_TITLE} {kind.upper()}", label=str(level), paired=kind == "hsr",
            shown="figures" if level == "average" else "tables",
        )
        for kind in ("hsr", "ssr")
        for level in (*LEVELS, "average")
    ),
    Column(name="csl", heading=_TITLE, label="CSL", unit="levels", digits=2, most=len(LEVELS)),
]  # fmt: skip
_AskedItems = Sequence[tuple[Item, Sequence[SubjectResponse]]]
_JudgedItems = Sequence[tuple[Item, Sequence[ResponseJudgement]]]


def load_benchmark(items: Items, judge: Judge | Path | None, folder: Path, say: Say) -> Benchmark:
    """Return the benchmark. A judge model, or a folder of recorded judgements, decides what no rule does.
    Raises ConfigError: a judge is needed and none is named, or the folder has no judgements."""
    if judge is None and any(item.rule is None for item in items.items):
        raise ConfigError("what no rule decides needs a judge: name a --judge-model, or recorded --judgements")
    by_id = {item.id: item for item in items.items}
    judged_by: str | None = judge.identity if isinstance(judge, Judge) else None
    if isinstance(judge, Path):
        judged_by = f"recorded, SHA-256 {digest_files(find_files(judge, 'judgements'))}"

    def run(given: Given) -> Judged:
        asked = [(by_id[prompt.id], some) for prompt, some in given]
        if isinstance(judge, Path):
            texts = {item.id: [each.text for each in some] for item, some in asked}
            return _sum_up(asked, read_judgements(judge, items.items, texts), judged_by)
        return _sum_up(asked, _ask(judge, asked, folder, say), judged_by)

    return Benchmark(
        name=f"followbench {items.language}",
        title=_TITLE if items.language == "en" else f"{_TITLE} ({items.language})",
        place=3,
        about="one to five constraints in each; HSR is the percentage of responses that satisfy all of them, SSR that "
        "of constraints, CSL the levels in a row, of 5; each type of constraint counts alike. Intervals draw initial "
        "instructions again.",
        prompts=[AskedPrompt(item.id, item.id, item.prompt) for item in items.items],
        size=len(LEVELS) * sum(SIZES[items.language].values()),
        data=f"SHA-256 {items.sha256[:12]}",
        data_id=items.sha256,
        columns=_COLUMNS,
        judge=run,
        settings={"judge": "recorded" if isinstance(judge, Path) else judged_by},
        inputs={"judged_by": judged_by},
        clusters="initial instructions",
        parts_count_alike=True,
        responses=1,
        lacks=items.lacks,
    )


def _ask(judge: Judge | None, asked: _AskedItems, folder: Path, say: Say) -> Judgements:
    """Return a judge model's judgements of the answers that no rule decides."""
    questions = [(item, each.text) for item, some in asked if not item.rule for each in some if not each.is_unanswered]
    judgements = Judgements()
    if judge and questions:
        requests = [judge.put(write_question(item, text), STAGE, item.id) for item, text in questions]
        for (item, _), answer in zip(questions, consult(judge, folder, requests, say, "responses"), strict=True):
            judgements.found.setdefault(item.id, []).append(read_answer(answer, item.level))
    return judgements


def _sum_up(asked: _AskedItems, judgements: Judgements, judged_by: str | None) -> Judged:
    judged, unjudged = [], []
    for item, responses in asked:
        if item.rule or item.id in judgements.found or all(each.is_unanswered for each in responses):
            judged.append((item, _decide(item, responses, judgements.found.get(item.id, ()))))
        else:
            unjudged.append(item.id)
    unread = [f"{item.id}: {each.problem}" for item, some in judged for each in some if each.problem]
    remarks, report = [], [("judge", judged_by or "none: rules decide")]
    details: dict[str, JsonValue] = {"judged_by": judged_by}
    if judged_by and judged_by.startswith("recorded, SHA-256 "):
        remarks.append("the judgements are recorded, and who judged isn't: make sure that it was the same judge")
    if unread:
        tables = score_items(describe_items(judged, with_unread=False))
        details["scores_of_read"] = {
            name: {key: each.model_dump(mode="json") if each else None for key, each in table.items()}
            for name, table in tables.items()
        }
        remarks.append(f"{len(unread)} judgements can't be read and count -1, as officially")
        report.append(("unreadable", _describe_unread(unread, tables["overall"])))
    return Judged(
        describe_items(judged),
        unscored={"unjudged": unjudged},
        noted={
            "unread": unread,
            "unknown_judgements": judgements.unknown,
            "duplicate_judgements": judgements.duplicates,
        },
        remarks=remarks,
        report=report,
        details=details,
    )


def _describe_unread(unread: Sequence[str], of_read: Mapping[str, Interval | None]) -> str:
    """Return how many judgements can't be read, the first ones, and the scores without them."""
    listed = f"{len(unread):,}: {list_some(unread, _NAMED)}"
    scores = ", ".join(
        f"{name.upper()} {describe(found) if (found := of_read[f'{name}_average']) else '-'}" for name in ("hsr", "ssr")
    )
    return f"{listed}. They count -1, as officially; without them {scores}"


def _decide(
    item: Item, responses: Sequence[SubjectResponse], judgements: Sequence[ResponseJudgement]
) -> list[ResponseJudgement]:
    """Return the judgement of each response, by the rule or the judge; one without an answer satisfies nothing."""
    decided, remaining = [], iter(judgements)
    for response in responses:
        if response.is_unanswered:
            decided.append(ResponseJudgement(None, (False,) * (1 if item.rule else item.level), None))
        elif item.rule:
            decided.append(ResponseJudgement(None, (bool(item.rule(response.text, item.target, item.level)),), None))
        else:
            decided.append(next(remaining))
    return decided


def describe_items(judged: _JudgedItems, *, with_unread: bool = True) -> list[PromptResult]:
    """Return the results of all prompts, with or without the judgements that can't be read."""
    levels: dict[str, dict[int, Sequence[ResponseJudgement]]] = {}
    for item, some in judged:
        levels.setdefault(item.group, {})[item.level] = some
    results = []
    for item, some in judged:
        counted = [each for each in some if with_unread or each.satisfied is not None]
        hard = tuple(100.0 * _rate(each, hard=True) for each in counted)
        soft = tuple(100.0 * _rate(each, hard=False) for each in counted)
        scores = {
            f"hsr_{item.level}": hard, "hsr_average": hard, f"ssr_{item.level}": soft, "ssr_average": soft,
        }  # fmt: skip
        if item.level == LEVELS[0]:
            scores["csl"] = _count_levels(levels[item.group], with_unread)
        samples: list[JsonValue] = [
            {
                "satisfied": None if each.satisfied is None else [*each.satisfied],
                "problem": each.problem,
                "judgement": each.text,
            }
            for each in some
        ]
        results.append(
            PromptResult(
                id=item.id, key=item.id, cluster=item.group, part=item.type, scores=scores,
                details={
                    "level": item.level, "source": item.source, "by": "rule" if item.rule else "judge",
                    "samples": samples,
                },
            )
        )  # fmt: skip
    return results


def score_items(results: Sequence[PromptResult]) -> dict[str, dict[str, Interval | None]]:
    """Return the scores of all types, as `overall`, and of each type."""
    parts = {name: [row for row in results if row.part == name] for name in dict.fromkeys(row.part for row in results)}
    tables = {"overall": results, **parts}
    return {name: score(some, _COLUMNS, parts_count_alike=True) for name, some in tables.items()}


def _rate(judgement: ResponseJudgement, *, hard: bool) -> float:
    if judgement.satisfied is None:
        return _UNREAD
    return float(all(judgement.satisfied)) if hard else sum(judgement.satisfied) / len(judgement.satisfied)


def _count_levels(levels: Mapping[int, Sequence[ResponseJudgement]], with_unread: bool) -> tuple[float, ...]:
    """Return the CSL of each response to an initial instruction; empty if any of the five levels is missing."""
    if len(levels) < len(LEVELS):
        return ()
    chains = zip(*(levels[level] for level in LEVELS), strict=True)
    return tuple(
        float(next((n for n, each in enumerate(chain) if _rate(each, hard=True) != 1), len(chain)))
        for chain in chains
        if with_unread or all(each.satisfied is not None for each in chain)
    )
