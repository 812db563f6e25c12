"""What a reviewer should look at first, and how many decisions settle how many functions are right."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoif.decisions import Decision, Review, settle_decisions
from autoif.errors import StoreError
from autoif.records import Verdict, content_id
from autoif.store import AUDIT, BACK_TRANSLATION
from autoif.view.queue import Band, Queue, QueuedFunction, count_needed, divide, make_queue, read_functions
from support.records import accepts, verified

PASS, FAIL = Verdict.PASS, Verdict.FAIL


def function(name: str, score: float | None = 0.5, agreement: float = 1.0) -> QueuedFunction:
    fields = {"source": name, "instruction_id": "0" * 16, "instruction": "i", "score": score, "agreement": agreement}
    return QueuedFunction(function_id=content_id(name), **fields)


def decide(decision: str, *functions: QueuedFunction) -> Review:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return settle_decisions(
        Decision(target="function", id=each.function_id, decision=decision, author="ada", time=at) for each in functions
    )


def names(queue: Queue) -> list[str]:
    return [each.source for each in queue.functions]


def test_what_the_audit_is_least_sure_of_comes_first() -> None:
    listed = divide([function(f"{score}", score) for score in (0.99, 0.02, 0.5, 0.45, 0.8, 0.9)])
    first = names(make_queue(listed, Review(), half_width=0.001))
    assert set(first[:2]) == {"0.5", "0.45"}
    assert set(first[-2:]) == {"0.99", "0.02"}


def test_without_an_audit_agreement_with_cases_says_and_is_named() -> None:
    listed = divide([function(f"{share}", None, share) for share in (1.0, 0.5, 0.75)])
    queue = make_queue(listed, Review())
    assert names(queue) == ["0.5", "0.75", "1.0"]
    assert "no audit.json" in queue.by


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


def test_doubtful_functions_that_are_wrong_count_by_the_size_of_their_band() -> None:
    whole = [(place, number) for place in range(3) for number in range(100)]
    listed = [function(f"{at}").model_copy(update={"band": at[0]}) for at in whole]
    decided = [[each for each in listed if each.band == place][:20] for place in range(3)]
    review = settle_decisions(
        Decision(
            target="function", id=one.function_id, decision=word, author="a", time=datetime(2026, 5, 1, tzinfo=UTC)
        )
        for several, word in zip(decided, ("reject", "accept", "accept"), strict=True)
        for one in several
    )
    found = make_queue(listed, review).precision
    assert found
    assert found.low < 2 / 3 < found.high
    assert abs(found.value - 2 / 3) < 0.03


def test_as_many_decisions_as_are_said_narrow_the_interval() -> None:
    bands = [Band(200, 3, 3), Band(200, 5, 1), Band(200, 6, 0)]
    needed = count_needed(bands, 0.05)
    assert 0 < sum(needed) < 582
    assert count_needed(bands, 0.1) < needed
    rights = [round(count * band.rate) for band, count in zip(bands, needed, strict=True)]
    later = [
        Band(band.size, band.accepted + right, band.rejected + count - right)
        for band, count, right in zip(bands, needed, rights, strict=True)
    ]
    half = 1.96 * sum(band.find_variance() for band in later) ** 0.5 / 600
    assert half == pytest.approx(0.05, abs=0.005)
    assert sum(count_needed([Band(5), Band(0), Band(5)], 0.001)) <= 10


def test_the_first_of_the_queue_are_those_that_settle_the_precision() -> None:
    listed = divide([function(str(number), number / 299) for number in range(300)])
    queue = make_queue(listed, Review(), half_width=0.1, most=300)
    assert queue.precision
    first = queue.functions[: sum(queue.precision.needed)]
    assert [sum(each.band == place for each in first) for place in range(3)] == list(queue.precision.needed)
    assert [each.band for each in first] == sorted(each.band for each in first)


def test_a_run_gives_its_kept_functions_once_with_the_scores_of_its_audit(tmp_path: Path) -> None:
    made = verified([accepts("a"), accepts("b")], [[PASS, FAIL], [PASS, PASS]], [("a", True), ("b", False)])
    (tmp_path / BACK_TRANSLATION).mkdir()
    row = json.dumps(made.model_dump(mode="json"))
    (tmp_path / BACK_TRANSLATION / "kept-0000.jsonl").write_text(f"{row}\n{row}\n", encoding="utf-8")
    assert [(each.score, each.agreement) for each in read_functions(tmp_path)] == [(None, 0.5), (None, 1)]
    scored = [{"function_id": each.id, "score": score} for each, score in zip(made.functions, (0.9, 0.5), strict=True)]
    (tmp_path / AUDIT).write_text(json.dumps({"scores": {"instructions": [{"functions": scored}]}}), encoding="utf-8")
    assert [(each.score, each.band) for each in read_functions(tmp_path)] == [(0.5, 0), (0.9, 1)]
    (tmp_path / AUDIT).write_text("{}", encoding="utf-8")
    with pytest.raises(StoreError, match=r"audit\.json is damaged"):
        read_functions(tmp_path)


def test_a_run_that_kept_nothing_has_an_empty_queue() -> None:
    assert make_queue([], Review()) == Queue(by=make_queue([], Review()).by, precision=None, functions=())
