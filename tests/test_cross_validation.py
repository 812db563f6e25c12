"""Cross-validation (§3.2): the four conditions, each at its boundary, in both presets."""

import json

import pytest

from autoif.config import load_config
from autoif.errors import ConfigError
from autoif.instructions.cross_validation import cross_validate
from autoif.records import Dropped, Instruction, Reason, Verdict, VerifiedInstruction
from autoif.tools import Tools
from conftest import MakeTools
from support.records import ACCEPT, BROKEN, RAISE, REFUSE, accepts, draft


def variants(source: str, count: int) -> list[str]:
    """Return functions that do the same and are not the same text."""
    return [f"{source}  # {number}" for number in range(count)]


async def cross(tools: Tools, functions: list[str], cases: list[tuple[str, bool]]) -> VerifiedInstruction | Dropped:
    [result] = await cross_validate(draft(functions, cases), tools)
    return result


def texts(count: int, expected: bool = True) -> list[tuple[str, bool]]:
    return [(f"text {number} {expected}", expected) for number in range(count)]


async def test_what_agrees_is_kept_and_what_does_not_is_left_out(make_tools: MakeTools) -> None:
    functions = [accepts("tea"), accepts("te"), accepts("coffee")]
    cases = [("tea please", True), ("wine", False), ("coffee", True)]
    result = await cross(make_tools(), functions, cases)
    assert isinstance(result, VerifiedInstruction)
    assert [function.source for function in result.functions] == functions[:2]
    assert [case.input for case in result.cases] == ["tea please", "wine"]


async def test_the_whole_matrix_is_kept_with_the_first_detail_of_each_function(make_tools: MakeTools) -> None:
    functions = [accepts("tea"), RAISE, "def evaluate(response):\n    return 7", accepts("te"), accepts("t")]
    result = await cross(make_tools(), functions, [("tea", True), ("x", False)])
    assert isinstance(result, VerifiedInstruction)
    passed, failed, error = Verdict.PASS, Verdict.FAIL, Verdict.ERROR
    assert result.matrix.verdicts == (
        (passed, failed),
        (error, error),
        (error, error),
        (passed, failed),
        (passed, failed),
    )
    assert result.matrix.details == ("", "ValueError: no", "returned int: 7", "", "")
    assert result.matrix.agreement == ((True, True), (False, False), (False, False), (True, True), (True, True))


@pytest.mark.parametrize(
    ("preset", "agreeing", "functions", "kept"),
    [
        ("paper", 1, 2, False),
        ("paper", 2, 3, True),
        ("paper", 2, 4, False),
        ("paper", 3, 4, True),
        ("released", 0, 3, False),
        ("released", 1, 3, True),
        ("released", 2, 3, True),
    ],
)
async def test_a_case_is_kept_if_enough_functions_agree(
    make_tools: MakeTools, preset: str, agreeing: int, functions: int, kept: bool
) -> None:
    """One case is contested; the others, which all functions get right, keep the functions themselves."""
    sources = [*variants(accepts("t"), agreeing), *variants(accepts("text"), functions - agreeing)]
    agreed = texts(40)
    result = await cross(make_tools(preset=preset), sources, [*agreed, ("only t", True)])
    assert isinstance(result, VerifiedInstruction)
    assert len(result.cases) == len(agreed) + kept


@pytest.mark.parametrize(
    ("preset", "right", "cases", "kept"),
    [
        ("paper", 1, 2, False),
        ("paper", 2, 3, True),
        ("paper", 5, 10, False),
        ("paper", 6, 10, True),
        ("released", 7, 10, False),
        ("released", 8, 10, True),
        ("released", 11, 14, False),
    ],
)
async def test_a_function_is_kept_if_it_agrees_with_enough_kept_cases(
    make_tools: MakeTools, preset: str, right: int, cases: int, kept: bool
) -> None:
    """Four functions know all cases; the fifth is wrong about some."""
    know = variants(ACCEPT, 4)
    guesses = f"def evaluate(response):\n    return int(response.split()[1]) < {right}"
    result = await cross(make_tools(preset=preset), [*know, guesses], texts(cases))
    assert isinstance(result, VerifiedInstruction)
    assert len(result.cases) == cases
    assert (guesses in [function.source for function in result.functions]) is kept


async def test_functions_are_judged_by_kept_cases_only(make_tools: MakeTools) -> None:
    """The case that nobody agrees with would pull every function down to a half."""
    result = await cross(make_tools(), [accepts("tea")], [("tea", True), ("no t", True)])
    assert isinstance(result, VerifiedInstruction)
    assert len(result.cases) == 1


async def test_functions_that_do_not_load_have_no_say_about_cases(make_tools: MakeTools) -> None:
    broken = [BROKEN, "import no_such_module\ndef evaluate(response):\n    return True", "def other():\n    pass"]
    result = await cross(make_tools(), [accepts("tea"), *broken], [("tea", True), ("x", False)])
    assert isinstance(result, VerifiedInstruction)
    assert len(result.cases) == 2
    assert [function.source for function in result.functions] == [accepts("tea")]


@pytest.mark.parametrize(
    ("functions", "cases", "reason", "detail"),
    [
        ([BROKEN, "evaluate = 3"], texts(2), Reason.NO_FUNCTION_LOADS, "2 functions"),
        ([BROKEN], [], Reason.NO_FUNCTION_LOADS, "1 functions"),
        ([ACCEPT], [], Reason.TOO_FEW_CASES, "0 of 1"),
        ([ACCEPT, REFUSE], texts(2), Reason.NO_CASE_AGREED, "2 cases, 2 functions"),
    ],
)
async def test_each_condition_of_the_paper_trips_by_itself(
    make_tools: MakeTools, functions: list[str], cases: list[tuple[str, bool]], reason: Reason, detail: str
) -> None:
    result = await cross(make_tools(), functions, cases)
    assert isinstance(result, Dropped)
    assert (result.reason, result.detail) == (reason, detail)
    assert (result.stage, result.record_id) == ("cross_validation", draft(functions, cases).instruction.id)


async def test_no_function_may_agree_with_enough_of_the_cases(make_tools: MakeTools) -> None:
    """Each of five cases has three of five functions behind it, and each function three of the five cases."""
    functions = [f"def evaluate(response):\n    return '{number}' in response" for number in range(5)]
    cases = [("0 1 2", True), ("1 2 3", True), ("2 3 4", True), ("3 4 0", True), ("4 0 1", True)]
    result = await cross(make_tools("cross_validation.function_agreement=>= 0.8"), functions, cases)
    assert isinstance(result, Dropped)
    assert (result.reason, result.detail) == (Reason.NO_FUNCTION_AGREED, "5 functions, 5 cases")


@pytest.mark.parametrize(
    ("functions", "cases", "reason"),
    [(2, 10, Reason.TOO_FEW_FUNCTIONS), (3, 9, Reason.TOO_FEW_CASES), (3, 10, None)],
)
async def test_the_released_code_wants_three_functions_and_ten_cases_before_filtering(
    make_tools: MakeTools, functions: int, cases: int, reason: Reason | None
) -> None:
    sources = [*variants(ACCEPT, functions), BROKEN]
    result = await cross(make_tools(preset="released"), sources, texts(cases))
    assert (result.reason if isinstance(result, Dropped) else None) is reason
    kept = await cross(make_tools(), sources, texts(cases))
    assert isinstance(kept, VerifiedInstruction)


@pytest.mark.parametrize(
    ("setting", "cases", "reason"),
    [
        ("false", texts(2), None),
        ("true", texts(2), Reason.ONE_SIDED_CASES),
        ("true", texts(2, expected=False), Reason.NO_CASE_AGREED),
        ("true", [*texts(2), ("none", False)], Reason.ONE_SIDED_CASES),
        ("true", [*texts(2), ("", False)], None),
    ],
)
async def test_with_both_outcomes_the_kept_cases_must_hold_one_of_each_kind(
    make_tools: MakeTools, setting: str, cases: list[tuple[str, bool]], reason: Reason | None
) -> None:
    """The functions accept all but the empty text; a case that they don't agree with is not kept."""
    tools = make_tools(f"cross_validation.both_outcomes={setting}")
    result = await cross(tools, ["def evaluate(response):\n    return bool(response)"], cases)
    assert (result.reason if isinstance(result, Dropped) else None) is reason


async def test_a_dropped_draft_keeps_its_matrix(make_tools: MakeTools) -> None:
    result = await cross(make_tools(), [ACCEPT, REFUSE], texts(1))
    assert isinstance(result, Dropped)
    matrix = result.record.model_dump(mode="json")["matrix"]
    assert isinstance(matrix, dict)
    assert matrix["verdicts"] == [["pass"], ["fail"]]


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def evaluate(response):\n    while True:\n        pass", Verdict.TIMEOUT),
        ("import os\ndef evaluate(response):\n    os._exit(0)", Verdict.CRASH),
        ("def evaluate(response):\n    return len('x' * (1 << 40))", Verdict.MEMORY),
    ],
)
async def test_a_function_that_hangs_ends_or_eats_the_machine_agrees_with_nothing(
    make_tools: MakeTools, source: str, verdict: Verdict
) -> None:
    result = await cross(make_tools(), [ACCEPT, *variants(ACCEPT, 1), source], texts(1))
    assert isinstance(result, VerifiedInstruction)
    assert result.matrix.verdicts[2] == (verdict,)
    assert len(result.functions) == 2


async def test_thresholds_of_nought_leave_all_functions_that_load_and_all_cases(make_tools: MakeTools) -> None:
    tools = make_tools("cross_validation.case_agreement=>= 0", "cross_validation.function_agreement=>= 0")
    functions = [accepts("tea"), accepts("coffee"), "def evaluate(response"]
    result = await cross(tools, functions, [("wine", True), ("tea", False)])
    assert isinstance(result, VerifiedInstruction)
    assert [function.source for function in result.functions] == functions[:2]
    assert [case.input for case in result.cases] == ["wine", "tea"]


LOWER = "def evaluate(response):\n    return 'tea' in response.lower()"


@pytest.mark.parametrize(("least", "kept"), [("0", [LOWER, ACCEPT]), ("0.4", [LOWER]), ("0.99", [])])
async def test_a_least_score_leaves_out_functions_that_agree_with_cases_and_tell_nothing(
    make_tools: MakeTools, least: str, kept: list[str]
) -> None:
    cases = [("tea please", True), ("Tea!", True), ("no wine", False), ("teapot", True)]
    result = await cross(make_tools(f"cross_validation.min_score={least}"), [LOWER, ACCEPT], cases)
    if kept:
        assert isinstance(result, VerifiedInstruction)
        assert [function.source for function in result.functions] == kept
    else:
        assert isinstance(result, Dropped)
        assert (result.reason, result.detail) == (Reason.LOW_SCORE, "no function has a score of 0.99")


@pytest.mark.parametrize(
    ("findings", "kept"),
    [
        ([], [0, 1, 2]),
        (["threshold"], [0, 2]),
        (["threshold", "final_newline"], [0]),
        (["vacuous", "dead", "raises", "too_slow"], [0, 1, 2]),
    ],
)
async def test_functions_with_a_finding_that_is_named_do_not_count(
    make_tools: MakeTools, findings: list[str], kept: list[int]
) -> None:
    """One is right, one is off by one, and one counts the line break at the end."""
    five = "len(response.split()) >= 5"
    bodies = [five, "len(response.split()) > 5", f"{five} and not response.endswith('\\n')"]
    written = draft(
        [f"def evaluate(response):\n    return {body}" for body in bodies], [("a b c d e f", True), ("a", False)]
    )
    named = Instruction.of("Write at least 5 words.", "seed")
    tools = make_tools(f"cross_validation.findings={json.dumps(findings)}")
    [result] = await cross_validate(written.model_copy(update={"instruction": named}), tools)
    assert isinstance(result, VerifiedInstruction)
    assert list(result.kept_functions) == kept


async def test_an_instruction_all_of_whose_functions_have_a_fault_says_which(make_tools: MakeTools) -> None:
    result = await cross(
        make_tools('cross_validation.findings=["vacuous", "asked_text"]'), [ACCEPT, REFUSE], [("tea", True)]
    )
    assert isinstance(result, Dropped)
    assert (result.stage, result.reason) == ("cross_validation", Reason.FAULTY_FUNCTIONS)
    assert result.detail == "each of 2 functions has a fault: vacuous 1, asked_text 2"


@pytest.mark.parametrize("name", ["weak_cases", "does_not_load", "no_function_sound"])
def test_what_only_an_audit_finds_is_no_filter(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not found before there are answers: choose among vacuous, dead"):
        load_config("paper", [f'cross_validation.findings=["{name}"]'])
