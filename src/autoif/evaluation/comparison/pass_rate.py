"""A pass rate, to be compared."""

from pathlib import Path

from autoif.evaluation.comparison.evaluated import Evaluated, Score, describe_sampling, find_backend
from autoif.evaluation.results import Scores, read_prompt_results, read_scores

TITLE = "Pass rate"


def read_pass_rate(folder: Path) -> list[Evaluated]:
    """Return a folder that `autoif eval pass-rate` wrote. Raises StoreError."""
    scores = read_scores(folder)
    results = sorted(read_prompt_results(folder), key=lambda result: result.id)
    clusters = [result.instruction_id for result in results]
    accepted, faultless = [each.pass_rate for each in results], [each.faultless_pass_rate for each in results]
    firsts = [each.samples[0] for each in results]
    evaluated = Evaluated(
        folder=folder,
        benchmark=scores.metric,
        title=TITLE,
        about=f"{TITLE}: {scores.prompts} prompts of {scores.instructions} instructions, "
        f"{scores.responses_per_prompt} samples each; the percentage that the prompts' functions accept. Intervals "
        "draw instructions again.",
        prompts=frozenset(result.id for result in results),
        data=f"SHA-256 {scores.data_sha256[:12]}",
        settings={
            **describe_sampling(scores.sampling, scores.responses_per_prompt),
            "sandbox": scores.sandbox.partition(":")[0],
            "keep_thinking": scores.keep_thinking,
        },
        backend=find_backend(scores.policy, sampled=scores.sampling is not None),
        versions=scores.versions,
        scores=(
            Score(
                TITLE, "accepted", scores.pass_rate, ((accepted, clusters),),
                passed=tuple(each.accepted for each in firsts),
            ),
            Score(
                TITLE, "without faults", scores.faultless_pass_rate, ((faultless, clusters),),
                passed=tuple(each.accepted and not each.fault for each in firsts),
            ),
        ),
        remarks=tuple(_remark(scores)),
    )  # fmt: skip
    return [evaluated]


def _remark(scores: Scores) -> list[str]:
    remarks = []
    if scores.prompts_missing:
        asked = scores.prompts + scores.prompts_missing
        remarks.append(f"PARTIAL, {scores.prompts} of {asked} prompts have responses")
    if scores.seen.instructions or scores.seen.queries or scores.seen.functions:
        remarks.append(scores.seen.describe())
    if scores.truncated:
        remarks.append(f"{scores.truncated:.1f} % of the responses were cut")
    return remarks
