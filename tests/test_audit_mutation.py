"""Mutants of functions, and which of them cases notice."""

import ast

import pytest

from autoif.audit.mutation import MOST, is_equivalent, is_killed, make_mutants
from autoif.records import Case, Verdict
from autoif.vocabulary import carry
from support.proportion import assert_proportional

PASS, FAIL, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.ERROR


def mutate(line: str) -> set[str]:
    source = f"def evaluate(response):\n    {line}\n"
    return {mutant.source.split("\n")[1].strip() for mutant in make_mutants(source, 100)}


@pytest.mark.parametrize(
    ("line", "mutants"),
    [
        ("if a <= b: pass", {"if a < b: pass"}),
        ("if a < b: pass", {"if a <= b: pass"}),
        (
            "if n == 3: pass",
            {f"if n {sign} 3: pass" for sign in ("!=", ">=", "<=")} | {"if n == 2: pass", "if n == 4: pass"},
        ),
        ("if x not in y: pass", {"if x in y: pass"}),
        ("z = [x for x in y if x in w]", {"z = [x for x in y if x not in w]"}),
        ("if a and not b: pass", {"if a or not b: pass", "if a and b: pass"}),
        ("z = all(y)", {"z = any(y)"}),
        ("z = 'tea < 3'", {"z = 'xtea < 3'"}),
        ("z = 1  # if a < b and 'c'", {"z = 0  # if a < b and 'c'", "z = 2  # if a < b and 'c'"}),
        ("return a", {"return not a", "return True", "return False"}),
        ("return True", {"return False"}),
        ("z = x.all + order", set()),
        ("z += a >> b", set()),
        ("def f(x: int = a) -> bool: pass", set()),
    ],
)
def test_one_thing_is_changed(line: str, mutants: set[str]) -> None:
    assert mutate(line) == mutants


def test_mutants_say_what_was_changed_and_load() -> None:
    source = "def evaluate(response):\n    words = response.split()\n    return 'a' in words and len(words) >= 40"
    mutants = make_mutants(source, 100)
    assert "40 → 41, line 3" in {mutant.change for mutant in mutants}
    assert len({mutant.source for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        ast.parse(mutant.source)


def test_helpers_that_a_source_carries_are_not_changed() -> None:
    source = "def evaluate(response):\n    return len(get_words(response)) >= 40"
    plain, carried = make_mutants(source, 100), make_mutants(carry(source), 100)
    assert [mutant.change for mutant in carried] == [mutant.change for mutant in plain]
    assert all(mutant.source.startswith(carry(source).removesuffix(source)) for mutant in carried)


def test_of_many_mutants_some_are_taken_from_everywhere() -> None:
    source = "def evaluate(response):\n" + "    if len(response) > 5: return True\n" * 50
    mutants = make_mutants(source)
    assert len(mutants) == MOST
    assert {int(mutant.change.rsplit(" ", 1)[1]) // 10 for mutant in mutants} == {0, 1, 2, 3, 4}


def test_a_loop_is_not_changed_into_one_that_never_ends() -> None:
    source = "def evaluate(response):\n    n = 0\n    while n < 5: n += 1\n    return n == 5"
    assert {mutant.change.split(" ")[0] for mutant in make_mutants(source)} == {"not", "n"}


@pytest.mark.parametrize("part", ['"', "'''", "return (", "< ", "in for ", "\\", "# \n", "not in ", "== 1"])
def test_any_source_is_mutated_in_linear_time(part: str) -> None:
    assert_proportional(lambda size: make_mutants(part * (size // len(part))), 20_000)
    assert make_mutants(part * 100_000) == []


def test_a_mutant_is_killed_by_a_case_with_which_the_function_agrees() -> None:
    cases = [Case(input="a", expected=True), Case(input="b", expected=False)]
    assert is_killed([PASS, FAIL], [FAIL, FAIL], cases)
    assert is_killed([PASS, FAIL], [PASS, ERROR], cases)
    assert not is_killed([PASS, FAIL], [PASS, FAIL], cases)
    assert not is_killed([FAIL, FAIL], [PASS, FAIL], cases)


def test_what_behaves_alike_or_does_not_run_is_no_mutant() -> None:
    assert is_equivalent([PASS, FAIL], (PASS, FAIL))
    assert is_equivalent([PASS, FAIL], (ERROR, ERROR))
    assert not is_equivalent([PASS, FAIL], (PASS, ERROR))
