"""How a run ends: no data, lost data and refusals have a sentence that says why and what to do."""

import json

import pytest

from autoif.errors import NoData
from autoif.models.answer_rows import list_rows
from autoif.models.cache import CompletionCache
from autoif.models.requests import Completion
from autoif.records import Dropped, Instruction, Reason
from autoif.report.ending import check_ending, describe_ending
from autoif.report.funnel import read_funnel
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import FORMAT

SAID = "Your account is restricted to models of tier 1."


@pytest.fixture
def make_run(tmp_path):
    """Return a function that makes a complete run in which one stage kept and dropped so many."""

    def make(stage, kept, reason, dropped, *, detail="", sft=1, completions=()):
        path = tmp_path / "run"
        records = [Instruction.of(f"Use {number} words.", "seed") for number in range(kept)]
        drops = [Dropped(stage=stage, reason=reason, record_id=str(number), detail=detail) for number in range(dropped)]
        with RunFolder(path) as folder, CompletionCache(folder.completions) as cache:
            folder.write_shard(stage, 0, records, drops)
            folder.write_rows("sft.jsonl", records[:sft])
            config = {"scoring": {"max_tokens": 77}, "rejection_sampling": {"max_tokens": 88}}
            made = {"identity": {}, "format": FORMAT, "status": "complete", "config": config}
            folder.write_manifest({**made, "notes": ["seed: left out"]})
            for number, completion in enumerate(completions):
                cache.insert(list_rows(f"{number:032x}", {0: completion}, stage="verification", usd=0.0))
        return path

    return make


@pytest.mark.parametrize(
    ("stage", "reason", "told"),
    [
        ("06_rejection_sampling", Reason.TRUNCATED, "raise rejection_sampling.max_tokens (now 88)"),
        ("07_scoring", Reason.ONLY_REASONING, "models.judge.extra_body"),
        ("06_rejection_sampling", Reason.FAILED_FUNCTIONS, "the functions are wrong"),
        ("07_scoring", Reason.LOW_QUALITY, "scoring.mean"),
        ("03_cross_validation", Reason.ONE_SIDED_CASES, "a stronger writer"),
        ("03_cross_validation", Reason.TRUNCATED, "raise rejection_sampling.max_tokens (now 88)"),
        ("03_cross_validation", Reason.NO_LIFT, "contrast.role"),
        ("01_self_instruct", Reason.NOT_TEXT, "autoif show"),
    ],
)
def test_a_stage_that_loses_more_than_half_to_one_cause_says_what_to_do(make_run, stage, reason, told):
    ending = describe_ending(make_run(stage, 2, reason, 3))
    [line] = [line for line in ending.lines if line.startswith(stage)]
    assert f"lost 3 of 5 to {reason.value.replace('_', ' ')}" in line
    assert told in line
    assert ending.fault == ""


@pytest.mark.parametrize(
    ("reason", "dropped"), [(Reason.TRUNCATED, 2), (Reason.OVER_LIMIT, 9), (Reason.DUPLICATE_NEAR, 9)]
)
def test_half_or_what_was_asked_for_is_no_loss(make_run, reason, dropped):
    assert describe_ending(make_run("01_self_instruct", 2, reason, dropped)).lines == ("seed: left out",)


def test_a_stage_of_which_the_server_refused_most_ends_the_run_with_the_servers_sentence(make_run):
    run = make_run("07_scoring", 2, Reason.REFUSED_BY_MODEL, 3, detail=SAID)
    with pytest.raises(NoData, match=r"tier 1.*--retry-refused"):
        check_ending(run)
    assert SAID in read_funnel(run)[0].why


def test_refusals_of_less_than_half_leave_the_run_whole_and_are_in_the_funnel(make_run):
    run = make_run("07_scoring", 4, Reason.REFUSED_BY_MODEL, 2, detail=SAID)
    check_ending(run)
    assert read_funnel(run)[0].why == f"refused by model 2 ({SAID!r})"


def test_a_run_without_a_row_says_which_stage_lost_them(make_run):
    run = make_run("07_scoring", 0, Reason.NO_SCORE, 3, sft=0)
    with pytest.raises(NoData, match=r"no data: 07_scoring lost 3 of 3 to no score: the judge .* \(now 77\)"):
        check_ending(run)
    assert describe_ending(run).lines == ("seed: left out",), "what the error says is said once"


def test_a_run_without_a_row_and_several_causes_names_them(make_run):
    run = make_run("07_scoring", 0, Reason.NO_SCORE, 1, sft=0)
    with RunFolder(run) as folder:
        drops = [
            Dropped(stage="scoring", reason=reason, record_id="x", detail="")
            for reason in (Reason.NO_SCORE, Reason.LOW_QUALITY)
        ]
        folder.write_shard("07_scoring", 0, [], drops)
    with pytest.raises(NoData, match="no data: 07_scoring kept nothing: no score 1, low quality 1"):
        check_ending(run)


def test_a_run_that_was_interrupted_is_not_judged(make_run):
    run = make_run("07_scoring", 0, Reason.NO_SCORE, 3, sft=0)
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**manifest, "status": "interrupted"}))
    check_ending(run)


def test_odd_answers_are_counted_in_a_line_each(make_run):
    completions = [
        Completion("x", "unknown", 1, 10, detail="finish_reason null"),
        Completion("y", "stop", 1, 10, estimated=True),
        Completion("z", "stop", 1, 20, reasoning="hm", reasoning_tokens=10),
    ]
    lines = describe_ending(make_run("07_scoring", 2, Reason.NO_SCORE, 0, completions=completions)).lines
    assert any("answers ended with finish_reason null" in line and "(verification 1)" in line for line in lines)
    assert any("no tokens for 1 of 3 answers" in line for line in lines)
    assert any("thoughts took 25% of 40 completion tokens" in line for line in lines)


def test_an_early_stop_is_explained_by_what_became_of_the_responses_that_were_asked_for(make_run):
    run = make_run("06_rejection_sampling", 0, Reason.NO_RESPONSE_PASSES, 14, sft=0)
    extra = [Dropped(stage="x", reason=Reason.TRUNCATED, record_id=f"cut {at}", detail="") for at in range(2)]
    with RunFolder(run) as folder:
        folder.write_shard("06_rejection_sampling", 1, [], extra)
    fault = describe_ending(run).fault
    assert "lost 14 of 16 to no response passes, as 2 of the 2 that were asked for went to truncated: raise " in fault
    assert "functions are wrong" not in fault
