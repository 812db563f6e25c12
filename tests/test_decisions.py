"""What reviewers decide: how it is stored and joined, and that runs, exports and trainings honour it."""

import asyncio
import itertools
import json
import multiprocessing
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from pyarrow import parquet

import autoif
from autoif.cli.main import cli
from autoif.datasets.exports import EXPORTERS
from autoif.datasets.reviewed_rows import RowReview, read_row_review, read_rows, review_row
from autoif.datasets.reviewing import STAGE, iterate_instructions, name_pair
from autoif.datasets.rows import PreferenceRow, SftRow
from autoif.decisions import (
    Decision,
    add_decisions,
    find_pair_id,
    merge_decisions,
    read_decisions,
    read_review,
    settle_decisions,
)
from autoif.errors import ConfigError, StoreError
from autoif.instructions.seeds import load_seeds
from autoif.reading.jsonl import read_jsonl
from autoif.records import Dropped, Reason, content_id
from autoif.runs.orchestration import remake_data
from autoif.runs.store import DATA_SETS, DECISIONS, INSTRUCTIONS, PREFERENCES, REVIEWED, SFT, read_digests, read_stage
from autoif.training.data import read_data
from support.exported_run import export

START = datetime(2026, 5, 1, tzinfo=UTC)
ITEM = "0123456789abcdef"


def decide(decision: str, item: str = ITEM, target: str = "function", author: str = "ada", **rest) -> Decision:
    fields = {"target": target, "id": item, "decision": decision, "author": author, "time": START, **rest}
    return Decision.model_validate(fields)


def in_order(*decisions: Decision) -> list[Decision]:
    return [each.model_copy(update={"time": START + timedelta(minutes=at)}) for at, each in enumerate(decisions)]


@pytest.fixture
def run(replayed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(replayed, tmp_path / "run"))


def reject(run: Path, target: str, item: str, decision: str = "reject", comment: str = "") -> None:
    add_decisions(run, [decide(decision, item, target, comment=comment)])


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def remake(run: Path) -> list[str]:
    return asyncio.run(remake_data(run))


def reviewed(run: Path) -> list[Dropped]:
    known = {row["id"]: row for row in rows_of(run / INSTRUCTIONS)}
    assert known
    rows = [{**row, "record": None} for row in rows_of(run / REVIEWED)]
    return [Dropped.model_validate(row) for row in rows]


def test_the_latest_decision_of_an_author_counts() -> None:
    review = settle_decisions(in_order(decide("reject"), decide("accept")))
    assert review.accepts("function", ITEM)
    assert not review.rejects("function", ITEM)
    assert not review.accepts("response", ITEM)


def test_one_who_rejects_outweighs_those_who_accept_and_the_dispute_is_known() -> None:
    review = settle_decisions(in_order(decide("reject", comment="wrong"), *(decide("accept", author=n) for n in "bcd")))
    assert review.rejects("function", ITEM)
    standing = review.standings["function", ITEM]
    assert standing.is_disputed
    assert standing.describe() == "ada: wrong"


def test_a_revocation_takes_back_all_that_its_author_said_and_nothing_of_others() -> None:
    said = in_order(decide("reject"), decide("comment", comment="hm"), decide("accept", author="bo"), decide("revoke"))
    standing = settle_decisions(said).standings["function", ITEM]
    assert (standing.verdict, standing.rejected, standing.comments) == ("accept", (), ())
    assert not settle_decisions(in_order(decide("reject"), decide("revoke")))
    assert settle_decisions(in_order(decide("reject"), decide("revoke"), decide("reject"))).rejects("function", ITEM)


def test_a_comment_decides_nothing() -> None:
    standing = settle_decisions([decide("comment", comment="odd")]).standings["function", ITEM]
    assert standing.verdict is None
    assert [each.comment for each in standing.comments] == ["odd"]


def test_why_somebody_rejects_is_said_with_the_decision_or_in_comments_of_their_own() -> None:
    said = in_order(
        decide("comment", comment="no commas?"),
        decide("reject", comment="wrong"),
        decide("comment", comment="fine with me", author="bo"),
        decide("accept", author="bo"),
        decide("reject", author="cy"),
    )
    assert settle_decisions(said).standings["function", ITEM].describe() == "ada: wrong / no commas?; cy"


def test_decisions_in_any_order_come_to_the_same() -> None:
    said = in_order(decide("reject"), decide("accept"), decide("reject", author="bo"), decide("revoke", author="bo"))
    found = [settle_decisions(order) for order in itertools.permutations(said)]
    assert all(each == found[0] for each in found)


def test_what_is_added_is_read_back_and_nothing_is_deleted(tmp_path: Path) -> None:
    first = add_decisions(tmp_path, [decide("reject", comment="half: \ud83d, line\nbreak")])
    before = (tmp_path / DECISIONS).read_bytes()
    second = add_decisions(tmp_path, [decide("revoke")])
    assert (tmp_path / DECISIONS).read_bytes().startswith(before)
    assert read_decisions(tmp_path).decisions == (*first, *second)
    assert settle_decisions(first).rejects("function", ITEM)


def test_a_clock_that_goes_back_keeps_no_decision_from_being_the_latest(tmp_path: Path) -> None:
    add_decisions(tmp_path, [decide("reject")])
    add_decisions(tmp_path, [decide("accept", time=START - timedelta(days=2))])
    assert read_review(tmp_path).accepts("function", ITEM)


def test_damaged_lines_are_reported_in_one_line_with_their_numbers(tmp_path: Path) -> None:
    good = decide("reject").model_dump_json()
    lines = [good, "{", "", good.replace("reject", "burn"), '{"target": 1}', good.replace("ada", "a\\nb")]
    (tmp_path / DECISIONS).write_bytes("\n".join(lines).encode() + b"\n\xff\n" + good.replace("ada", "bo").encode())
    found = read_decisions(tmp_path)
    assert [each.author for each in found.decisions] == ["ada", "bo"]
    assert found.damaged == (2, 4, 5, 6, 7)
    with pytest.raises(StoreError, match=r"decisions.jsonl, lines 2, 4, 5, 6, 7: no decision can be read there; mend"):
        read_review(tmp_path)


def test_a_line_that_a_crash_cut_harms_no_later_one(tmp_path: Path) -> None:
    (tmp_path / DECISIONS).write_text('{"target": "func', encoding="utf-8")
    add_decisions(tmp_path, [decide("reject")])
    found = read_decisions(tmp_path)
    assert (len(found.decisions), found.damaged) == (1, (1,))


def test_files_of_several_people_are_joined_in_any_order_and_once(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("ada", "bo", "first", "second")]
    for folder in folders:
        folder.mkdir()
    add_decisions(folders[0], [decide("accept")])
    add_decisions(folders[1], [decide("reject", author="bo"), decide("comment", author="bo", comment="see")])
    assert merge_decisions(folders[2], folders[:2]) == 3
    assert merge_decisions(folders[3], [folders[1] / DECISIONS, folders[0]]) == 3
    assert merge_decisions(folders[3], folders[:3]) == 0
    assert read_review(folders[2]) == read_review(folders[3])
    with pytest.raises(ConfigError, match=r"has no decisions: name a decisions\.jsonl"):
        merge_decisions(folders[2], [tmp_path])


def decide_often(folder: Path, author: str, times: int) -> None:
    for number in range(times):
        add_decisions(folder, [decide("accept", f"{number:016x}", author=author)])


def test_of_reviewers_who_decide_at_the_same_time_in_several_processes_nothing_is_lost(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    reviewers = [fork.Process(target=decide_often, args=(tmp_path, name, 60)) for name in ("ada", "bo", "cy")]
    for each in reviewers:
        each.start()
    for each in reviewers:
        each.join(60)
    found = read_decisions(tmp_path)
    assert found.damaged == ()
    assert Counter(each.author for each in found.decisions) == {"ada": 60, "bo": 60, "cy": 60}


HEAD = f'{{"target": "pair", "id": "{ITEM}", "author": "a", "decision": '


@pytest.mark.parametrize(
    "written",
    [
        f'{HEAD}"reject",\0 "time": "2026-05-01T00:00:00Z"}}',
        f'\udcff{HEAD}"reject", "time": "2026-05-01T00:00:00Z"}}',
        f'{HEAD}"burn", "time": "2026-05-01T00:00:00Z"}}',
        f'{HEAD}"reject", "time": "2026-05-01T00:00:00Z", "x": 1}}',
        f'{HEAD}"reject", "time": "2026-05-01T00:00:00"}}',
        f'{HEAD}"rej',
        "[" * 5000 + "]" * 5000,
        "9" * 10_000,
    ],
    ids=["NUL", "no text", "unknown decision", "unknown field", "no time zone", "half", "too deep", "huge number"],
)
def test_whatever_a_hand_wrote_that_is_no_decision_is_named_by_its_line(tmp_path: Path, written: str) -> None:
    good = decide("reject", comment="half: \ud83d and NUL: \0", author="bo")
    add_decisions(tmp_path, [good])
    with (tmp_path / DECISIONS).open("ab") as file:
        file.write(written.encode("utf-8", "surrogateescape") + b"\r\n")
    add_decisions(tmp_path, [decide("revoke", author="bo")])
    found = read_decisions(tmp_path)
    assert (found.damaged, [each.decision for each in found.decisions]) == ((2,), ["reject", "revoke"])
    assert found.decisions[0].comment == good.comment
    assert "line 2: no decision can be read there; mend or delete" in found.describe_damage()


def test_a_run_without_decisions_writes_the_same_bytes_and_no_further_file(run: Path) -> None:
    before = read_digests(run)
    remake(run)
    assert read_digests(run) == before
    assert not (run / REVIEWED).exists()


def test_the_same_command_honours_a_rejected_instruction_and_the_funnel_says_so(run: Path) -> None:
    rejected = rows_of(run / INSTRUCTIONS)[0]["instruction"]
    reject(run, "instruction", rejected["id"], comment="too easy")
    again = autoif.run("quickstart", recorded=True, output=run, progress=False)
    for name in DATA_SETS:
        left = {each["instruction_id"] for row in rows_of(run / name) for each in row["constraints"]}
        assert left
        assert rejected["id"] not in left
    [dropped] = reviewed(run)
    assert (dropped.stage, dropped.reason, dropped.record_id) == (STAGE, Reason.REJECTED_BY_REVIEWER, rejected["id"])
    assert dropped.detail == "ada: too easy"
    assert again.funnel[-1].folder == STAGE
    assert again.funnel[-1].why == "rejected by reviewer 1"
    assert again.funnel[-1].kept == len(again.sft)
    assert "reviewed.jsonl" in read_digests(run)


def test_a_revoked_rejection_gives_the_first_bytes_again(run: Path) -> None:
    before = read_digests(run)
    reject(run, "instruction", rows_of(run / INSTRUCTIONS)[0]["instruction"]["id"])
    remake(run)
    assert read_digests(run)[SFT] != before[SFT]
    reject(run, "instruction", rows_of(run / INSTRUCTIONS)[0]["instruction"]["id"], "revoke")
    remake(run)
    assert {**before, REVIEWED: read_digests(run)[REVIEWED]} == read_digests(run)
    assert reviewed(run) == []
    assert autoif.load_run(run).funnel[-1].folder == "07_scoring"


def test_a_rejected_function_judges_nothing_and_what_then_fails_is_left_out(small_world: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(small_world / "run", tmp_path / "run"))
    row = next(row for row in rows_of(run / SFT) if row["pass_rate"] < 1)
    [constraint] = row["constraints"]
    passing = [
        source
        for source, verdict in zip(constraint["functions"], constraint["verdicts"], strict=True)
        if verdict == "pass"
    ]
    for source in passing:
        reject(run, "function", content_id("function", source))
    exported = read_rows([run])
    remake(run)
    constraints = [one for name in DATA_SETS for row in rows_of(run / name) for one in row["constraints"]]
    sources = {source for one in constraints for source in one["functions"]}
    assert not sources & set(passing)
    assert row["response_id"] not in {each["response_id"] for each in rows_of(run / SFT)}
    reasons = {each.reason for each in reviewed(run)}
    assert reasons == {Reason.REJECTED_BY_REVIEWER, Reason.FAILED_FUNCTIONS}
    again = read_rows([run])
    assert again.left_out == 0
    assert again.sft == exported.sft
    assert again.rewards == exported.rewards


def test_an_instruction_of_which_all_functions_are_rejected_goes_with_them(run: Path) -> None:
    verified = rows_of(run / INSTRUCTIONS)[0]
    for place in verified["kept_functions"]:
        reject(run, "function", verified["matrix"]["functions"][place]["id"])
    remake(run)
    assert "all its functions are rejected" in {each.detail for each in reviewed(run)}
    assert verified["instruction"]["id"] not in {each.instruction.id for each in iterate_instructions(run)}


def test_a_rejected_response_is_no_row_and_neither_side_of_a_pair(run: Path) -> None:
    pair = next(row for row in rows_of(run / PREFERENCES) if row["level"] == "query")
    sides = {pair["chosen"][0]["content"], pair["rejected"][0]["content"]}
    prompt = next(
        row for row in read_stage(run, "05_augmentation", "kept") if row["text"] == pair["prompt"][0]["content"]
    )
    dropped = [each["record"] for each in read_stage(run, "06_rejection_sampling", "dropped") if each["record"]]
    answers = [*read_stage(run, "06_rejection_sampling", "kept"), *dropped]
    names = {each["id"] for each in answers if each["prompt"] == prompt["id"] and each["text"] in sides}
    assert len(names) >= 2
    for name in names:
        reject(run, "response", name)
    for _ in range(2):  # as the data sets are read before and after the run honours it
        rows = read_rows([run])
        assert not names & {row.response_id for row in rows.sft}
        mine = [row for row in rows.preferences if row.prompt[0].content == prompt["text"]]
        assert not sides & {side[0].content for row in mine for side in (row.chosen, row.rejected)}
        remake(run)


def test_a_rejected_pair_is_missing_and_its_answers_may_be_in_others(run: Path) -> None:
    first, *_ = read_jsonl(run / PREFERENCES, PreferenceRow)
    assert name_pair(first) == find_pair_id(
        *(each[-1].content for each in (first.prompt, first.chosen, first.rejected))
    )
    reject(run, "pair", name_pair(first))
    before = len(rows_of(run / PREFERENCES))
    assert len(read_rows([run]).preferences) == before - 1
    remake(run)
    assert len(rows_of(run / PREFERENCES)) == before - 1
    assert [each.detail for each in reviewed(run)] == ["pair: ada"]


def test_an_accepted_response_is_a_row_however_low_its_quality(run: Path) -> None:
    low = next(each["record"] for each in read_stage(run, "07_scoring", "dropped"))
    refused = next(
        each["record"]
        for each in read_stage(run, "06_rejection_sampling", "dropped")
        if each["reason"] == "failed_functions"
    )
    before = [row["response_id"] for row in rows_of(run / SFT)]
    for each in (low, refused):
        reject(run, "response", each["id"], "accept")
    remake(run)
    after = [row["response_id"] for row in rows_of(run / SFT)]
    assert sorted([*before, low["id"]]) == sorted(after)  # no acceptance outweighs code that ran


def test_exports_leave_out_what_is_rejected_at_once_and_say_so(run: Path, tmp_path: Path) -> None:
    rejected = rows_of(run / SFT)[0]["response_id"]
    reject(run, "response", rejected)
    done = CliRunner().invoke(cli, ["export", str(run), "--to", "trl", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "rows left out that reviewers rejected" in done.output
    exported = rows_of(tmp_path / "out" / "sft.jsonl")
    assert len(exported) == len(rows_of(run / SFT)) - 1


@pytest.mark.parametrize("trainer", EXPORTERS)
def test_no_export_has_an_instruction_that_is_rejected(run: Path, tmp_path: Path, trainer: str) -> None:
    rejected = rows_of(run / INSTRUCTIONS)[0]["instruction"]
    before = read_exported(export(trainer, tmp_path / "before", run))
    reject(run, "instruction", rejected["id"])
    after = read_exported(export(trainer, tmp_path / "after", run))
    assert rejected["text"] in before
    assert rejected["text"] not in after


def read_exported(folder: Path) -> str:
    """Return all rows of an export, also of Parquet, as one text."""
    tables = [row for path in folder.rglob("*.parquet") for row in parquet.read_table(path).to_pylist()]
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*.json*")]
    return "\n".join([*texts, *map(str, tables)])


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo"])
def test_trainings_leave_out_what_is_rejected_and_know_that_their_data_is_another(run: Path, kind: str) -> None:
    before = read_data(run, kind)
    reject(run, "instruction", rows_of(run / INSTRUCTIONS)[0]["instruction"]["id"])
    after = read_data(run, kind)
    assert after.rejected > 0
    assert len(after.rows) == len(before.rows) - after.rejected
    assert after.sha256 != before.sha256
    assert after.record()["rejected_by_reviewers"] == after.rejected
    assert "rejected_by_reviewers" not in before.record()


def test_another_run_begins_with_what_reviewers_left(run: Path, tmp_path: Path) -> None:
    first, *others = rows_of(run / INSTRUCTIONS)
    second = next(row for row in others if len(row["kept_functions"]) > 1)
    reject(run, "instruction", first["instruction"]["id"])
    gone = second["matrix"]["functions"][second["kept_functions"][0]]["id"]
    reject(run, "function", gone)
    found = {each.instruction.id: each for each in iterate_instructions(run)}
    assert first["instruction"]["id"] not in found
    left = found[second["instruction"]["id"]]
    assert gone not in {function.id for function in left.functions}
    assert left.id != second["id"]


def test_an_instruction_that_is_rejected_is_no_seed_of_another_run(run: Path) -> None:
    before = load_seeds(run)
    rejected = rows_of(run / INSTRUCTIONS)[0]["instruction"]
    reject(run, "instruction", rejected["id"], comment="too easy")
    after = load_seeds(run)
    assert len(after.kept) == len(before.kept) - 1
    assert rejected["text"] not in {each.text for each in after.kept}
    assert [(each.reason, each.detail) for each in after.dropped] == [(Reason.REJECTED_BY_REVIEWER, "ada: too easy")]


def test_a_damaged_line_ends_runs_exports_and_trainings_in_one_line(run: Path, tmp_path: Path) -> None:
    (run / DECISIONS).write_text("nonsense\n", encoding="utf-8")
    for refused in (
        lambda: autoif.run("quickstart", recorded=True, output=run, progress=False),
        lambda: read_rows([run]),
        lambda: read_data(run, "sft"),
        lambda: remake(run),
        lambda: CliRunner().invoke(cli, ["decisions", str(run)], catch_exceptions=False),
    ):
        with pytest.raises(StoreError, match="line 1: no decision can be read there"):
            refused()


def test_the_command_counts_decisions_joins_files_names_disputes_and_honours_them(run: Path, tmp_path: Path) -> None:
    item = rows_of(run / INSTRUCTIONS)[0]["instruction"]["id"]
    reject(run, "instruction", item, "accept")
    other = tmp_path / "other.jsonl"
    other.write_text(decide("reject", item, "instruction", author="bo").model_dump_json() + "\n", encoding="utf-8")
    done = CliRunner().invoke(cli, ["decisions", str(run), "--merge", str(other), "--apply"])
    assert done.exit_code == 0, done.output
    assert f"1 decisions added to {run}" in done.output
    assert f"instruction {item}: accepted by ada, rejected by bo, and so rejected" in done.output
    assert item not in {each["instruction_id"] for row in rows_of(run / SFT) for each in row["constraints"]}


def test_decisions_on_what_the_run_does_not_have_are_named_and_not_counted(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    stage = next(read_stage(run, "06_rejection_sampling", "dropped"))
    pair = name_pair(next(iter(read_jsonl(run / PREFERENCES, PreferenceRow))))
    there = [("response", stage["record_id"]), ("pair", pair)]
    strangers = [("instruction", ITEM), ("function", rows_of(run / INSTRUCTIONS)[0]["instruction"]["id"])]
    given = [decide("reject", item, kind).model_dump_json() for kind, item in (*there, *strangers)]
    other.write_text("\n".join(given), encoding="utf-8")
    for _ in range(2):  # a pair that is left out is known all the same
        done = CliRunner().invoke(cli, ["decisions", str(run), "--merge", str(other), "--apply"])
        [said] = [line for line in done.output.splitlines() if "changes nothing here" in line]
        assert all(f"{kind} {item}" in said for kind, item in strangers)
        assert not any(item in said for _, item in there)
        assert "responses         0 accepted      1 rejected" in done.output
        assert "pairs             0 accepted      1 rejected" in done.output
        assert "functions" not in done.output


def test_a_row_without_functions_left_or_of_nobody_is_told_apart() -> None:
    row = SftRow.model_validate(
        {
            "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
            "constraints": [{"instruction_id": ITEM, "functions": ["f"], "verdicts": ["pass"]}],
        }
    )
    assert read_row_review(Path("nowhere/sft.jsonl")) is None
    rejected = settle_decisions([decide("reject", content_id("function", "f"))])
    assert review_row(row, RowReview(rejected)) is None
    assert review_row(row, RowReview(settle_decisions([decide("reject", ITEM, "response")]))) is row
    assert review_row(row, RowReview(settle_decisions([decide("reject", ITEM, "instruction")]))) is None
