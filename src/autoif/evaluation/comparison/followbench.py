"""FollowBench, to be compared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from autoif.errors import StoreError
from autoif.evaluation.bootstrap import Stratum
from autoif.evaluation.comparison.evaluated import Evaluated, Score, describe_sampling, find_backend
from autoif.evaluation.followbench.data import LEVELS, TYPES
from autoif.evaluation.followbench.measure import Scores
from autoif.evaluation.followbench.scoring import AVERAGE, PromptResult, Table, collect_rates, count_levels
from autoif.evaluation.results import PER_PROMPT, SCORES
from autoif.store import read_jsonl

TITLE = "FollowBench"
_RECORDED = "recorded"


def read_followbench(folder: Path) -> list[Evaluated]:
    """Return a folder that `autoif eval followbench` wrote. Raises StoreError."""
    try:
        scores = Scores.model_validate_json((folder / SCORES).read_bytes())
    except (OSError, ValidationError):
        raise StoreError(f"{folder / SCORES} is no FollowBench result of this version") from None
    results = sorted(read_jsonl(folder / PER_PROMPT, PromptResult), key=lambda result: result.id)
    types = [[result for result in results if result.type == kind] for kind in TYPES]
    types = [some for some in types if some]
    overall = scores.scores.overall
    csl = Score(TITLE, "CSL", overall.csl, _keep([count_levels(some, True) for some in types]), unit="levels", digits=2)
    evaluated = Evaluated(
        folder=folder,
        benchmark=f"{scores.metric} {scores.language}",
        title=TITLE if scores.language == "en" else f"{TITLE} ({scores.language})",
        about=f"{TITLE}: {scores.prompts} prompts of {overall.groups} initial instructions, with one to five "
        "constraints; HSR is the percentage of responses that satisfy all of them, SSR that of constraints, CSL the "
        "levels in a row, of 5; each type of constraint counts alike. Intervals draw initial instructions again.",
        prompts=frozenset(result.id for result in results),
        data=f"SHA-256 {scores.data_sha256[:12]}",
        settings={
            **describe_sampling(scores.sampling, len(results[0].samples)),
            "judge": _RECORDED if _is_recorded(scores) else scores.judge,
            "keep_thinking": scores.keep_thinking,
        },
        backend=find_backend(scores.policy, sampled=scores.sampling is not None),
        versions=scores.versions,
        scores=(*_score_levels(types, "hard", overall), *_score_levels(types, "soft", overall), csl),
        remarks=tuple(_remark(scores)),
    )
    return [evaluated]


def _score_levels(
    types: Sequence[Sequence[PromptResult]], kind: Literal["hard", "soft"], overall: Table
) -> list[Score]:
    """Return the scores of level 1 to 5, and their average."""
    group, intervals = (f"{TITLE} HSR", overall.hsr) if kind == "hard" else (f"{TITLE} SSR", overall.ssr)
    scores = []
    for level in (*LEVELS, None):
        results = [result for some in types for result in some if level in {None, result.level}]
        scores.append(
            Score(
                group,
                "average" if level is None else str(level),
                intervals[AVERAGE if level is None else str(level)],
                _keep([collect_rates(some, kind, level, True) for some in types]),
                passed=tuple(result.samples[0].hard == 1 for result in results) if kind == "hard" else None,
                main=level is None,
            )
        )
    return scores


def _keep(strata: Sequence[Stratum]) -> tuple[Stratum, ...]:
    """Return the strata that have values, as the scores do."""
    return tuple(stratum for stratum in strata if stratum[0])


def _is_recorded(scores: Scores) -> bool:
    return scores.judge is not None and scores.judge.startswith(f"{_RECORDED}, SHA-256 ")


def _remark(scores: Scores) -> list[str]:
    remarks = [f"PARTIAL, {reason}" for reason in scores.partial]
    if _is_recorded(scores):
        remarks.append("the judgements are recorded, and who judged isn't: make sure that it was the same judge")
    if scores.unread:
        remarks.append(f"{len(scores.unread)} judgements can't be read and count -1, as officially")
    if scores.truncated:
        remarks.append(f"responses to {len(scores.truncated)} prompts were cut")
    if scores.empty:
        remarks.append(f"blank responses to {len(scores.empty)} prompts")
    return remarks
