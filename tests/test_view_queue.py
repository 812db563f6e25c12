"""What a reviewer should look at first, and how many decisions settle how many functions are right."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoif.decisions import Decision, Review, settle_decisions
from autoif.errors import StoreError
from autoif.records import Verdict, VerifiedInstruction, content_id
from autoif.runs.store import (
    AUDIT,
    AUGMENTATION,
    BACK_TRANSLATION,
    CROSS_VALIDATION,
    MANIFEST,
    REJECTION_SAMPLING,
    VERIFICATION,
)
from autoif.view.queue import Queue, QueuedFunction, divide, make_queue, measure_precision, read_functions
from support.records import accepts, verified

PASS, FAIL = Verdict.PASS, Verdict.FAIL


def function(name: str, score: float | None = 0.5, **signs: float) -> QueuedFunction:
    fields = {"source": name, "instruction_id": "0" * 16, "instruction": "i", "score": score, **signs}
    return QueuedFunction(function_id=content_id(name), **fields)


def decide(decision: str, *functions: QueuedFunction) -> Review:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return settle_decisions(
        Decision(target="function", id=each.function_id, decision=decision, author="ada", time=at, queued=True)
        for each in functions
    )


def names(queue: Queue) -> list[str]:
    return [each.source for each in queue.functions]


def test_what_the_audit_is_least_sure_of_comes_first() -> None:
    listed = divide([function(f"{score}", score) for score in (0.99, 0.02, 0.5, 0.45, 0.8, 0.9)])
    first = names(make_queue(listed, Review(), half_width=0.001))
    assert set(first[:2]) == {"0.5", "0.45"}
    assert set(first[-2:]) == {"0.99", "0.02"}


def test_without_an_audit_what_the_run_knows_decides_and_is_named() -> None:
    listed = divide([
        function("sure", None, votes=1, cases=1, unanimity=1), function("few votes", None, votes=0.6, cases=1),
        function("odd one out", None, votes=1, cases=1, unanimity=0.5), function("unknown", None),
    ])  # fmt: skip
    queue = make_queue(listed, Review())
    assert names(queue)[:2] == ["odd one out", "few votes"]
    assert "answers gave functions that behave like it, and how many of the cases it gets as expected, and" in queue.by
    assert "no audit.json" in queue.by
    assert make_queue(divide([function("a", None)]), Review()).by.startswith("nothing that the run knows")


def test_what_was_decided_is_not_asked_again_until_it_is_taken_back() -> None:
    listed = divide([function("a"), function("b")])
    assert names(make_queue(listed, decide("accept", listed[0]))) == [listed[1].source]
    assert len(names(make_queue(listed, decide("revoke", listed[0])))) == 2


def test_the_interval_holds_what_can_still_be_and_is_a_point_when_all_is_decided() -> None:
    listed = divide([function(str(number)) for number in range(30)])
    nothing = make_queue(listed, Review()).precision
    assert nothing
    assert (nothing.low, nothing.high) == (0, 1)
    some = make_queue(listed, decide("reject", *listed[:3])).precision
    assert some
    assert some.high <= 0.9
    everything = make_queue(listed, decide("accept", *listed)).precision
    assert everything
    assert (everything.value, everything.low, everything.high, everything.needed) == (1, 1, 1, (0, 0, 0))


def test_what_is_decided_outside_the_queue_is_no_sample_of_its_band() -> None:
    listed = divide([function(str(number)) for number in range(30)])
    at = datetime(2026, 5, 1, tzinfo=UTC)
    picked = settle_decisions(
        Decision(target="function", id=each.function_id, decision="reject", author="ada", time=at)
        for each in listed[:9]
    )
    found = measure_precision(listed, picked)
    assert (found.decided, found.queued, found.low, found.high) == (9, 0, 0, 0.7)
    again = settle_decisions(
        Decision(target="function", id=listed[0].function_id, decision=word, author="ada", time=at, queued=queued)
        for word, queued in (("accept", True), ("reject", False))
    )
    assert measure_precision(listed, again).queued == 1


def test_the_first_of_the_queue_are_those_that_settle_the_precision() -> None:
    listed = divide([function(str(number), number / 299) for number in range(300)])
    queue = make_queue(listed, Review(), half_width=0.1, most=300)
    assert queue.precision
    first = queue.functions[: sum(queue.precision.needed)]
    assert [sum(each.band == place for each in first) for place in range(3)] == list(queue.precision.needed)
    assert [each.band for each in first] == sorted(each.band for each in first)


def write_run(folder: Path, made: VerifiedInstruction, config: dict[str, object]) -> None:
    """Write what the queue reads of a run: an instruction, two answers to it, and what was asked of its writer."""
    manifest = {"identity": {}, "config": {"cross_validation": config}}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    row = made.model_dump(mode="json")
    answers = [{"index": at, "function": made.functions[at == 3].id} for at in range(4)]
    draft = {**{key: row[key] for key in ("id", "instruction", "matrix")}, "answers": answers}
    response = {"id": "r", "prompt": "p", "verdicts": ["pass", "fail"]}
    dropped = {"record_id": "r", "reason": "failed_functions", "detail": ""}
    rows = {
        f"{VERIFICATION}/kept": [draft],
        f"{CROSS_VALIDATION}/kept": [row],
        f"{BACK_TRANSLATION}/kept": [row, row],
        f"{AUGMENTATION}/kept": [{"id": "p", "constraints": [made.id]}],
        f"{REJECTION_SAMPLING}/kept": [{**response, "verdicts": ["pass", "pass"]}],
        f"{REJECTION_SAMPLING}/dropped": [{"record": response, **dropped}, {"record": None, **dropped}],
    }
    for name, several in rows.items():
        path = folder / f"{name}-0000.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{json.dumps(each)}\n" for each in several), encoding="utf-8")


@pytest.fixture
def made() -> VerifiedInstruction:
    return verified([accepts("a"), accepts("b")], [[PASS, FAIL], [PASS, PASS]], [("a", True), ("b", False)])


def test_a_run_gives_its_kept_functions_once_by_its_audit_where_it_has_one(
    tmp_path: Path, made: VerifiedInstruction
) -> None:
    write_run(tmp_path, made, {})
    scored = [{"function_id": made.functions[1].id, "score": 0.9}]
    instructions = [{"instruction_id": made.instruction.id, "functions": scored}]
    (tmp_path / AUDIT).write_text(json.dumps({"scores": {"instructions": instructions}}), encoding="utf-8")
    # The audit has not seen the first one, which is as unsure as can be.
    assert [(each.score, each.band) for each in read_functions(tmp_path)] == [
        (0.5, 0), (0.9, 1)
    ]  # fmt: skip
    (tmp_path / AUDIT).write_text("{}", encoding="utf-8")
    with pytest.raises(StoreError, match=r"audit\.json holds a record of another form"):
        read_functions(tmp_path)


@pytest.mark.parametrize(
    ("config", "votes", "likely"),
    [({}, {None}, None), ({"choose_by": "majority"}, {1.0}, None), ({"choose_by": "score"}, {1.0}, 0.7)],
)
def test_without_an_audit_a_run_is_asked_for_its_score_votes_cases_and_what_functions_say_of_responses(
    tmp_path: Path, made: VerifiedInstruction, config: dict[str, object], votes: set[float | None], likely: float | None
) -> None:
    write_run(tmp_path, made.model_copy(update={"score": likely}), config)
    found = read_functions(tmp_path)
    assert {each.votes for each in found} == votes
    assert {each.likely for each in found} == {likely}
    assert [each.cases for each in found] == [0.5, 1.0]
    # Of one of two responses the two functions disagree: then each is as good as the other.
    assert {each.unanimity for each in found} == {0.75}


def test_a_run_that_kept_nothing_has_an_empty_queue() -> None:
    assert make_queue([], Review()) == Queue(by=make_queue([], Review()).by, precision=None, functions=())
