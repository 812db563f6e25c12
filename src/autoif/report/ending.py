"""How a run ended: whether it made any data, and what a user should know.

| what happened                                                    | what the user gets                          |
|------------------------------------------------------------------|---------------------------------------------|
| no row                                                           | `NoData`: the stage that lost them, and why |
| servers refused more than half of a stage                        | `NoData`: the server's own sentence         |
| a stage lost more than half to one cause                         | a line: the cause, and what to do           |
| answers with an unknown end, or whose tokens no server counted   | a line each                                 |
| parameters that a server doesn't support, so they were left out  | a line each                                 |
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoif.errors import NoData
from autoif.models.cache import CompletionCache, Usage
from autoif.records import Reason
from autoif.report.funnel import FunnelRow, read_funnel
from autoif.runs.store import COMPLETIONS, SFT, read_manifest

_BY_DESIGN = {
    Reason.OVER_LIMIT, Reason.DUPLICATE_EXACT, Reason.DUPLICATE_NORMALISED, Reason.DUPLICATE_NEAR,
    Reason.DUPLICATE_BEHAVIOUR, Reason.REJECTED_BY_REVIEWER,
}  # fmt: skip
"""Drops that a setting, a reviewer or de-duplication asked for: no loss to report."""

_ROLES = {"rejection_sampling": "responder", "scoring": "judge"}
"""Which role answers in a stage; in all others it is the writer."""

_ASKING_AS = {"cross_validation": "rejection_sampling"}
"""Stages that ask with the settings of another: contrast, in cross-validation, asks for responses."""

_ADVICE = {
    Reason.TRUNCATED: "raise {stage}.max_tokens (now {max_tokens}); a model that thinks needs more, or its thinking "
    "switched off by models.{role}.extra_body (docs/models.md)",
    Reason.ONLY_REASONING: "the model thought and gave no answer: raise {stage}.max_tokens (now {max_tokens}), or "
    "switch its thinking off by models.{role}.extra_body (docs/models.md)",
    Reason.EMPTY: "the model answers nothing: look at its server's log and chat template",
    Reason.NO_READABLE_ANSWER: "the writer gives no function: take a stronger one (models.writer.model), or raise "
    "verification.max_tokens (now {max_tokens})",
    Reason.NO_FUNCTION_LOADS: "the writer's functions don't load: take a stronger one (models.writer.model)",
    Reason.NO_CASE_AGREED: "functions and cases disagree: take a stronger writer, or raise "
    "verification.functions_per_instruction",
    Reason.NO_FUNCTION_AGREED: "functions and cases disagree: take a stronger writer, or raise "
    "verification.functions_per_instruction",
    Reason.ONE_SIDED_CASES: "the cases that functions agree on are all of one kind: take a stronger writer, or raise "
    "verification.functions_per_instruction",
    Reason.ONE_SIDED_FUNCTIONS: "functions say the same of every text: take a stronger writer (models.writer.model)",
    Reason.NO_LIFT: "functions accept answers to their instruction no more often than others: take a stronger writer, "
    "or a stronger model for contrast.role",
    Reason.NO_MAJORITY: "the writer means something else in each answer: take a stronger one (models.writer.model), or "
    "raise verification.functions_per_instruction",
    Reason.LOW_SCORE: "functions look wrong by what they do: take a stronger writer, raise "
    "verification.functions_per_instruction, or lower cross_validation.min_score",
    Reason.FAULTY_FUNCTIONS: "functions show faults in what they do: take a stronger writer, raise "
    "verification.functions_per_instruction, or name fewer cross_validation.findings",
    Reason.CONTRADICTION: "functions do something else than their instruction says: take a stronger writer or judge",
    Reason.WRONG_LANGUAGE: "the model answers in another script than it was asked in",
    Reason.DUPLICATE_RESPONSE: "the server gives one answer again and again, whatever the seed: raise "
    "rejection_sampling.temperature, or lower responses_per_prompt",
    Reason.FAILED_FUNCTIONS: "the responder doesn't follow the instructions, or the functions are wrong: "
    "`autoif show {run} ID` shows both",
    Reason.NO_RESPONSE_PASSES: "the responder doesn't follow these instructions, or their functions are wrong, so that "
    "no more was asked: `autoif show {run} ID` shows both",
    Reason.NO_SCORE: "the judge writes no score that can be read: take a stronger one (models.judge.model), or raise "
    "scoring.max_tokens (now {max_tokens})",
    Reason.NEVER_ASKED: "the replay asks no model: make a run with these settings",
    Reason.LOW_QUALITY: "the judge thinks little of the answers: take a better responder, or another scoring.mean",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """What to tell the user when a run has ended."""

    lines: tuple[str, ...]
    fault: str = ""
    """Why the run counts as failed; "" if it has made data."""


def check_ending(run: Path) -> None:
    """Raise `NoData` if a complete run has no data, or servers refused most of what a stage asked."""
    if fault := describe_ending(run).fault:
        raise NoData(fault)


def describe_ending(run: Path) -> Ending:
    """Return what to tell the user about a run."""
    manifest: dict[str, Any] = read_manifest(run)
    rows = read_funnel(run)
    losses = {row.folder: _describe_loss(row, run, manifest) for row in rows}
    failed = _find_failed_stage(rows, run, manifest)
    lines = [*_describe_answers(run, manifest), *map(str, manifest.get("notes", ()))]
    lines += [loss for folder, loss in losses.items() if loss and (failed is None or folder != failed.folder)]
    if failed is None:
        return Ending(tuple(lines))
    why = failed.why or "; ".join(map(str, manifest.get("notes", ()))) or "no stage says why"
    fault = losses.get(failed.folder) or f"{failed.folder} kept nothing: {why}"
    return Ending(tuple(lines), fault if _is_refused(failed) else f"no data: {fault}")


def _find_failed_stage(rows: Sequence[FunnelRow], run: Path, manifest: dict[str, Any]) -> FunnelRow | None:
    """Return the first stage that servers mostly refused; in a complete run without data, the first to keep nothing."""
    refused = next(filter(_is_refused, rows), None)
    made = (run / SFT).stat().st_size if (run / SFT).exists() else (rows[-1].kept if rows else 0)
    if refused or made or manifest.get("status") != "complete":
        return refused
    return next((row for row in rows if not row.kept), FunnelRow("the run"))


def _is_refused(row: FunnelRow) -> bool:
    """Tell whether servers refused more than half of a stage."""
    return row.reasons[Reason.REFUSED_BY_MODEL] * 2 > row.kept + row.dropped


def _describe_loss(row: FunnelRow, run: Path, manifest: dict[str, Any]) -> str:
    """Return the reason to which a stage lost more than half, with advice; "" if there is no such reason."""
    total = row.kept + row.dropped
    listed = [(Reason(name), count) for name, count in row.reasons.most_common() if Reason(name) not in _BY_DESIGN]
    if not listed or listed[0][1] * 2 <= total:
        return ""
    reason, count = listed[0]
    lost = f"{row.folder} lost {count:,} of {total:,} to {reason.value.replace('_', ' ')}"
    if reason == Reason.NO_RESPONSE_PASSES and len(listed) > 1:
        asked, tried = listed[1]
        if asked != Reason.FAILED_FUNCTIONS and tried * 2 > total - count:  # the cause is no function's verdict
            reason = asked
            lost += (
                f", as {tried:,} of the {total - count:,} that were asked for went to {asked.value.replace('_', ' ')}"
            )
    if reason == Reason.REFUSED_BY_MODEL:
        [(refusal, _)] = row.refusals.most_common(1)
        return f'{lost}; the server says: "{refusal}"; when that is mended, --retry-refused asks again'
    stage = row.folder.partition("_")[2]
    stage = _ASKING_AS.get(stage, stage)
    settings = manifest.get("config", {}).get(stage, {})
    advice = _ADVICE.get(reason, "`autoif show {run}` shows what is left").format(
        stage=stage, run=run, role=_ROLES.get(stage, "writer"), max_tokens=settings.get("max_tokens", "?")
    )
    cut = ""
    if reason == Reason.TRUNCATED:
        noted = f"cuts answers of stage {stage}:"
        cut = next((f"{note}; " for note in map(str, manifest.get("notes", ())) if noted in note), "")
    return f"{lost}: {cut}{advice}"


def _describe_answers(run: Path, manifest: dict[str, Any]) -> Iterator[str]:
    """Yield notes on the answers: unknown ends, estimated tokens, thoughts. From run.json, or else the database."""
    if "endings" in manifest:
        fields = ("completions", "completion_tokens", "reasoning_tokens", "estimated")
        total = Usage(**{name: sum(stage[name] for stage in manifest["usage"].values()) for name in fields})
        unknown = manifest["endings"]
    elif os.access(run, os.W_OK):  # SQLite writes files beside a database even to read it
        with CompletionCache(run / COMPLETIONS) as cache:
            total, unknown = cache.total(), describe_unknown(cache)
    else:
        yield f"{run} can't be written to, so that the answers in {COMPLETIONS} can't be looked through"
        return
    for detail, stages in unknown.items():
        listed = ", ".join(f"{stage} {count:,}" for stage, count in stages.items())
        yield f"answers ended with {detail}, which says nothing: they count as whole answers ({listed})"
    if total.estimated:
        yield (
            f"the server counted no tokens for {total.estimated:,} of {total.completions:,} answers: "
            "theirs, and their cost, are estimates"
        )
    if total.reasoning_tokens:
        share = total.reasoning_tokens / max(total.completion_tokens, 1)
        yield f"thoughts took {share:.0%} of {total.completion_tokens:,} completion tokens; no row holds any"


def describe_unknown(cache: CompletionCache) -> dict[str, Any]:
    """Return how many answers ended for an unknown reason: by the server's word for it, then by stage."""
    unknown = dict[str, Any]()
    for stage, reason, detail, count in cache.endings():
        if reason == "unknown":
            unknown.setdefault(detail, {})[stage] = count
    return unknown
