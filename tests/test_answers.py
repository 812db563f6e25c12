"""Reading what the writer wrote: what is mended, what is lost, and that nothing raises."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoif.instructions.answers import MAX_ANSWER_CHARS, FormatLoss, read_function_answer
from autoif.instructions.json_reading import FormatRepair
from autoif.records import Case
from support.records import answer

SOURCE = "def evaluate(response):\n    return 'a' in response.split('\\n')[0]"
CASES = (Case(input="a\nb", expected=True), Case(input="b", expected=False))
JSON = answer(SOURCE, ("a\nb", True), ("b", False))
CASES_JSON = JSON[JSON.index('"cases"') : -1]

REPAIRED = {
    "fence": (f"```json\n{JSON}\n```", ["surrounding_text"]),
    "capital fence": (f"```JSON\n{JSON}\n```", ["surrounding_text"]),
    "tilde fence": (f"~~~\n{JSON}\n~~~", ["surrounding_text"]),
    "fence on one line": (f"```json {JSON} ```", ["surrounding_text"]),
    "unclosed fence": (f"```json\n{JSON}", ["surrounding_text"]),
    "prose before and after": (f"Here it is:\n{JSON}\nI hope that it helps.", ["surrounding_text"]),
    "braces in the prose": (f"The set {{a, b}}: {JSON} Done {{}}.", ["surrounding_text"]),
    "inside another object": (f'{{"answer": {JSON}}}', ["surrounding_text"]),
    "inside a list": (f"[{JSON}]", ["surrounding_text"]),
    "the text of a JSON string": (json.dumps(JSON), ["surrounding_text"]),
    "newlines in strings": (
        JSON.replace("):\\n", "):\n").replace("\\\\n", "\\\\n"),
        ["raw_control_characters"],
    ),
    "single quotes and True": (str(json.loads(JSON)), ["json_syntax"]),
    "trailing commas": (JSON.replace("}]}", "},],}"), ["json_syntax"]),
    "triple quotes": (f'{{"func": """{SOURCE}""", {CASES_JSON}}}', ["json_syntax"]),
    "code as a list of lines": (
        f'{{"func": {json.dumps(SOURCE.splitlines())}, {CASES_JSON}}}',
        [],
    ),
    "other keys": (
        JSON.replace('"func"', '"code"').replace('"cases"', '"tests"').replace('"output"', '"expected"'),
        ["other_keys"],
    ),
    "the keys of the Llama data": (
        JSON.replace('"input"', '"response"').replace('"output"', '"result"'),
        ["other_keys"],
    ),
    "two functions": (f'{{"func": "def evaluate(response): return 1", {JSON[1:]}', ["repeated_key"]),
    "two functions in a fence": (
        f'```json\n{{"func": "def evaluate(response): return 1", {JSON[1:]}\n```',
        ["surrounding_text", "repeated_key"],
    ),
    "the same function twice": (f"{JSON[:-1]}, {JSON[1 : JSON.index(CASES_JSON) - 2]}}}", []),
    "two cases in one object": (
        f'{{"func": {json.dumps(SOURCE)}, "cases": [{{"input": "a\\nb", "output": true}}, '
        '{"input": "c", "output": true, "input": "b", "output": false}]}',
        ["repeated_key"],
    ),
    "cases as pairs": (
        f'{{"func": {json.dumps(SOURCE)}, "cases": [["a\\nb", true], ["b", false]]}}',
        ["other_keys"],
    ),
    "cases as one object": (
        f'{{"func": {json.dumps(SOURCE)}, "cases": {{"a\\nb": true, "b": "False"}}}}',
        ["other_keys", "string_verdict"],
    ),
    "cases as text": (
        f'{{"func": {json.dumps(SOURCE)}, "cases": {json.dumps(CASES_JSON.split(": ", 1)[1])}}}',
        [],
    ),
    "newlines escaped twice": (
        answer(SOURCE.replace("\\", "\\\\").replace("\n", "\\n"), ("a\nb", True), ("b", False)),
        ["escaped_newlines"],
    ),
    "all newlines alike": (
        answer(SOURCE.replace("\n", "\\n"), ("a\nb", True), ("b", False)),
        ["escaped_newlines", "broken_literal"],
    ),
    "fenced source": (answer(f"```python\n{SOURCE}\n```", ("a\nb", True), ("b", False)), ["fenced_source"]),
    "special tokens": (answer(SOURCE + "\n<|eot_id|><|eot_id|>", ("a\nb", True), ("b", False)), ["special_tokens"]),
    "verdicts as text": (JSON.replace("true", '"True"').replace("false", '"False"'), ["string_verdict"]),
    "verdicts as lower-case text": (JSON.replace("true", '"true"').replace("false", '"false "'), ["string_verdict"]),
    "verdicts as numbers": (JSON.replace("true", "1").replace("false", "0"), ["string_verdict"]),
    "verdicts as decimals": (JSON.replace("true", "1.0").replace("false", "0.0"), ["string_verdict"]),
    "verdicts in words": (JSON.replace("true", '"PASS"').replace("false", '"FAIL"'), ["string_verdict"]),
    "keys in capitals": (JSON.replace('"func"', '"Func"').replace('"cases"', '"CASES"'), ["other_keys"]),
    "keys in camel case": (JSON.replace('"cases"', '"testCases"'), ["other_keys"]),
    "keys with blanks": (JSON.replace('"func"', '" func "').replace('"output"', '"Expected Output"'), ["other_keys"]),
    "a longer key": (JSON.replace('"func"', '"evaluation_function"'), ["other_keys"]),
    "code in an object": (JSON.replace(json.dumps(SOURCE), json.dumps({"name": "evaluate", "code": SOURCE})), []),
    "inputs by the name of the argument": (
        JSON.replace('"input": "a\\nb"', '"input": {"response": "a\\nb"}').replace('"b"', '{"response": "b"}'),
        ["other_keys"],
    ),
    "inputs as lists": (JSON.replace('"a\\nb"', '["a\\nb"]').replace('"b"', '["b"]'), []),
    "cases by number": (
        f'{{"func": {json.dumps(SOURCE)}, "cases": {{"1": {{"input": "a\\nb", "output": true}}, '
        '"2": {"input": "b", "output": false}}}',
        [],
    ),
    "two objects": (f'{{"func": {json.dumps(SOURCE)}}}\n{{{CASES_JSON}}}', ["surrounding_text"]),
    "the form before it": (f'As {{"func": "...", "cases": []}}:\n{JSON}', ["surrounding_text"]),
    "backticks": (f'{{"func": `{SOURCE}`, {CASES_JSON}}}', ["json_syntax"]),
    "a fence as a value": (f'{{"func": ```python\n{SOURCE}\n```, {CASES_JSON}}}', ["json_syntax"]),
}


def test_a_well_formed_answer_needs_no_repair() -> None:
    read = read_function_answer(JSON)
    assert read.function is not None
    assert (read.function.source, read.cases, read.repairs, read.loss) == (SOURCE, CASES, (), None)


@pytest.mark.parametrize(("text", "repairs"), REPAIRED.values(), ids=REPAIRED)
def test_a_mended_answer_gives_the_same_function_and_cases(text: str, repairs: list[str]) -> None:
    read = read_function_answer(text)
    assert read.function is not None
    assert read.function.source.strip() == SOURCE
    assert read.cases == CASES
    assert list(read.repairs) == repairs
    assert (read.loss, read.cases_lost) == (None, 0)


@pytest.mark.parametrize(
    ("written", "source"),
    [
        (r"return bool(re.search(r'\d+\.', response))", r"return bool(re.search(r'\d+\.', response))"),
        (r"return '\'' in response", r"return '\'' in response"),
        (r"return \'a\' in response", "return 'a' in response"),
    ],
)
def test_a_backslash_that_json_does_not_know_stays_in_the_source(written: str, source: str) -> None:
    read = read_function_answer(f'{{"func": "def evaluate(response):\\n    {written}", {CASES_JSON}}}')
    assert read.function is not None
    assert read.function.source == f"def evaluate(response):\n    {source}"
    assert read.repairs[0] is FormatRepair.INVALID_ESCAPE
    assert read.cases == CASES


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{SOURCE}\n```",
        f"Here you go:\n\n```py\n{SOURCE}\n```\nIt looks at the first line.",
        SOURCE,
        f"Sure, here it is:\n{SOURCE}\n\nIt looks at the first line.",
        f"{SOURCE}\n<|im_end|>",
    ],
)
def test_python_without_json_is_a_function_without_cases(text: str) -> None:
    read = read_function_answer(text)
    assert read.function is not None
    assert read.function.source.strip() == SOURCE
    assert read.repairs[0] is FormatRepair.BARE_CODE
    assert read.cases == ()


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{{{CASES_JSON}}}\n```\n\n```python\n{SOURCE}\n```",
        f"```python\n{SOURCE}\n\ntest_cases = {json.loads(JSON)['cases']}\n```",
    ],
)
def test_cases_before_the_code_and_in_it_belong_to_it(text: str) -> None:
    read = read_function_answer(text)
    assert read.function is not None
    assert read.function.source.startswith(SOURCE)
    assert read.cases == CASES


def test_the_only_function_is_called_evaluate_too() -> None:
    read = read_function_answer(JSON.replace("def evaluate", "def check_letters"))
    assert read.function is not None
    assert read.function.source.endswith("\n\n\nevaluate = check_letters\n")
    assert read.repairs == (FormatRepair.OTHER_NAME,)


@pytest.mark.parametrize(
    "source",
    [
        "def first(response):\n    return True\n\ndef second(response):\n    return False",
        "class Check:\n    def run(self, response):\n        return True",
        "evaluate = lambda response: True",
    ],
)
def test_what_is_no_only_function_keeps_its_name(source: str) -> None:
    read = read_function_answer(answer(source, ("a", True), ("b", False)))
    assert read.function is not None
    assert (read.function.source, read.repairs) == (source, ())


def test_imports_and_helpers_around_bare_code_stay_with_it() -> None:
    code = f"import re\nVOWELS = 'aeiou'\n\ndef helper(word):\n    return word\n\n{SOURCE}"
    read = read_function_answer(f"Of course.\n{code}\n\nThe helper does nothing.")
    assert read.function is not None
    assert read.function.source.strip() == code


@pytest.mark.parametrize("cases", ['[{"input": "a\\nb", "output": true}, {"input": "b", "output": false}]', JSON])
def test_cases_in_a_fence_of_their_own_belong_to_the_code_before_them(cases: str) -> None:
    read = read_function_answer(
        f"```python\n{SOURCE}\n```\n\nTest cases:\n\n```json\n{cases.replace('func', 'name')}\n```"
    )
    assert read.function is not None
    assert read.cases == CASES


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("", FormatLoss.EMPTY),
        (" \n\t ", FormatLoss.EMPTY),
        ("x" * (MAX_ANSWER_CHARS + 1), FormatLoss.TOO_LONG),
        (JSON + " " * 100_000, FormatLoss.TOO_LONG),
        ("\x00\x01\x02" * 50, FormatLoss.NOT_TEXT),
        ("I can't do that.", FormatLoss.NO_JSON),
        ("我不能写这样的函数。", FormatLoss.NO_JSON),
        ("a, b = None, 1", FormatLoss.NO_JSON),
        ("42", FormatLoss.NO_JSON),
        ("[1, 2]", FormatLoss.NO_JSON),
        ("{}", FormatLoss.NO_JSON),
        (f"{{{CASES_JSON}}}", FormatLoss.NO_JSON),
        ('{"func": "", "cases": []}', FormatLoss.NO_FUNCTION),
        ('{"func": null}', FormatLoss.NO_FUNCTION),
        ('{"func": ["def evaluate(r):", 1]}', FormatLoss.NO_FUNCTION),
        ('{"func": {"name": "evaluate"}}', FormatLoss.NO_FUNCTION),
        ("{" * 3_000, FormatLoss.NO_JSON),
        ('{"```json\n{"func": "```', FormatLoss.TRUNCATED),
        ('{"func": [' * 3_000, FormatLoss.NO_JSON),
    ],
)
def test_what_cannot_be_read_is_a_named_loss(text: str, loss: FormatLoss) -> None:
    read = read_function_answer(text)
    assert (read.function, read.cases, read.loss) == (None, (), loss)


@pytest.mark.parametrize("complete", [True, False])
def test_half_a_function_is_lost_even_if_it_would_load(complete: bool) -> None:
    half = '{"func": "def evaluate(response):\\n    return len(response) > 1'
    assert read_function_answer(half, complete=complete).loss is FormatLoss.TRUNCATED


@pytest.mark.parametrize("text", ["It is", "```json\n{", '{"func": "', SOURCE, f"```python\n{SOURCE}"])
def test_an_answer_cut_off_before_its_function_ends_is_truncated(text: str) -> None:
    assert read_function_answer(text, complete=False).loss is FormatLoss.TRUNCATED


def test_an_answer_cut_off_in_its_cases_keeps_its_function_and_the_whole_cases() -> None:
    read = read_function_answer(JSON[:-25], complete=False)
    assert read.function is not None
    assert read.function.source == SOURCE
    assert (read.cases, read.cases_lost) == (CASES[:1], 1)


def test_cases_that_cannot_be_read_are_counted() -> None:
    cases = [
        {"input": "a", "output": True},
        {"input": "a", "output": True},
        {"input": 5, "output": True},
        {"input": "b", "output": "perhaps"},
        {"input": "c", "output": None},
        {"output": True},
        ["d"],
        "e",
    ]
    read = read_function_answer(json.dumps({"func": SOURCE, "cases": cases}))
    assert read.cases == (Case(input="a", expected=True),)
    assert read.cases_lost == 6


@pytest.mark.parametrize(("cases", "count"), [({"input": "a", "output": True}, 1), (None, 0), (7, 0), ("none", 0)])
def test_cases_that_are_no_list_are_read_if_they_are_one_case(cases: object, count: int) -> None:
    read = read_function_answer(json.dumps({"func": SOURCE, "cases": cases}))
    assert len(read.cases) == count


def test_garbage_that_is_long_and_full_of_brackets_is_given_up_on_at_once() -> None:
    for text in ('{"' * 20_000, '{"func": ' + "[" * 40_000, '{"func": "\\\'' * 3_000):
        assert read_function_answer(text).function is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    read = read_function_answer(text)
    assert (read.function is None) == (read.loss is not None)


PARTS = [
    *'{"func": "|def evaluate(response):|"cases": [|{"input": "a", "output": true}|True'.split("|"),
    *"\"'\\{}[],:# \n\x08",
    *["```", "```json\n", "<|eot_id|>", '"""', "\\n", "import re"],
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PARTS), max_size=40), st.booleans())
def test_no_mixture_of_the_parts_of_answers_raises(parts: list[str], complete: bool) -> None:
    read = read_function_answer("".join(parts), complete=complete)
    assert (read.function is None) == (read.loss is not None)


PLAIN_TEXT = st.text(st.characters(exclude_categories=["C"]) | st.just("\n"))
STATEMENTS = st.lists(
    st.builds(lambda text: f"    x = {text!r}", st.text(st.characters(exclude_categories=["C"]))), max_size=4
)


@given(STATEMENTS, st.lists(st.tuples(PLAIN_TEXT, st.booleans()), max_size=4))
def test_a_well_formed_answer_comes_back_exactly(statements: list[str], cases: list[tuple[str, bool]]) -> None:
    source = "\n".join(["def evaluate(response):", *statements, "    return bool(response)"])
    read = read_function_answer(answer(source, *cases))
    assert read.function is not None
    assert read.function.source == source
    assert read.cases == tuple(dict.fromkeys(Case(input=text, expected=expected) for text, expected in cases))
    assert (read.repairs, read.loss, read.cases_lost) == ((), None, 0)


def test_every_recorded_generation_is_read() -> None:
    recorded = Path(__file__).parent / "data/verifiers/autoif_qwen_sample_data/eval_func_rft.jsonl"
    rows = [json.loads(line) for line in recorded.read_text(encoding="utf-8").splitlines()]
    answers = [text for row in rows for text in row["gpt-answer"]]
    read = [read_function_answer(text) for text in answers]
    assert len(read) == 40
    assert [each.loss for each in read] == [None] * 40
    assert all(each.cases_lost == 0 and len(each.cases) > 1 for each in read)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "```" + " " * 49_000 + "x",
        '{"func": ' + '("x" ' * 1_900,
        "def evaluate(response):\n    return True\n\n" + ('{"input": ' + '("x" ' * 1_500 + "\n") * 6,
        '{"func": "def evaluate(response):\\n    return 1", "cases": ' + "[" * 49_000,
        '{"func": "def evaluate(response):\\n    return 1", "cases": [' + "9" * 5_000 + "]}",
    ],
    ids=["blanks after a fence", "brackets", "brackets in each line", "deep", "digits"],
)
def test_an_answer_made_to_hang_its_reader_is_read_or_lost_in_seconds(text: str) -> None:
    begin = time.process_time()
    read_function_answer(text)
    assert time.process_time() - begin < 30
