"""Records: closed, frozen, and named by their content."""

import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from autoif.models.requests import sampling_seed
from autoif.records import (
    Case,
    Draft,
    Dropped,
    Function,
    Instruction,
    Prompt,
    Query,
    Reason,
    Response,
    VerifiedInstruction,
    content_id,
)
from support.records import draft, prompt, response, verified


def test_the_same_content_has_the_same_id() -> None:
    assert Instruction.of("Use tea.", "seed").id == Instruction.of("Use tea.", "self_instruct").id
    assert Instruction.of("Use tea.", "seed").id != Instruction.of("Use tea", "seed").id
    assert Function.of("x").id != Query.of("x").id


@pytest.mark.parametrize(
    "parts", [(), ("a",), ("a", "b"), ("ab",), (["a", "b"],), ("a", ["b"]), (1,), ("1",), (None,), (True,)]
)
def test_an_id_is_sixteen_hexadecimal_digits(parts: tuple[object, ...]) -> None:
    digits = content_id(*parts)  # type: ignore[arg-type]
    assert len(digits) == 16
    int(digits, 16)


def test_parts_that_differ_have_ids_that_differ() -> None:
    parts: list[tuple[object, ...]] = [("a", "b"), ("ab",), (["a", "b"],), ("a", ["b"]), (1,), ("1",), (None,), (True,)]
    assert len({content_id(*each) for each in parts}) == len(parts)  # type: ignore[arg-type]


def test_the_order_of_keys_does_not_shape_an_id_and_lone_surrogates_have_one() -> None:
    assert content_id({"a": 1, "b": 2}) == content_id({"b": 2, "a": 1})
    assert content_id("\ud800") != content_id("\udfff")


def test_ids_and_seeds_are_the_same_in_every_process() -> None:
    code = (
        "from autoif.records import content_id; from autoif.models.requests import sampling_seed;"
        "print(content_id('é', {'b': 1, 'a': [2]}), sampling_seed(0, 'verification', 'x'))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    here = f"{content_id('é', {'b': 1, 'a': [2]})} {sampling_seed(0, 'verification', 'x')}\n"
    assert seen == {here.encode()}
    assert 0 <= sampling_seed("anything") < 2**31


def test_records_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Query.of("x").text = "y"  # type: ignore[misc]


def test_records_refuse_fields_they_do_not_know() -> None:
    with pytest.raises(ValidationError, match="forbidden"):
        Case.model_validate({"input": "a", "expected": True, "output": True})


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (draft(["x"], [("a", True)]), Draft),
        (verified(["x"]), VerifiedInstruction),
        (prompt(), Prompt),
        (response("a", quality=8), Response),
    ],
)
def test_records_survive_json_with_those_that_they_name(record: Draft, kind: type[Draft]) -> None:
    named = record.prompt if isinstance(record, Response) else record
    known = {each.id: each for each in (named, *getattr(named, "constraints", ()))}
    assert kind.model_validate(record.model_dump(mode="json"), context=known) == record
    assert kind.model_validate_json(record.model_dump_json(), context=known) == record
    whole = Dropped(
        stage="s", reason=Reason.EMPTY, record_id="x", detail="", record=None if named is record else record
    )
    assert Dropped.model_validate(whole.model_dump(mode="json"), context=known) == whole


def test_a_record_that_names_one_which_is_not_there_is_refused() -> None:
    row = response("a").model_dump(mode="json")
    assert row["prompt"] == response("a").prompt.id
    with pytest.raises(ValidationError, match=f"there is no record {row['prompt']}"):
        Response.model_validate(row)
