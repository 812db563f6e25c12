"""`autoif audit` without gold: what is found of functions that are wrong, and nothing of those that are right."""

import json

import pytest

from autoif.audit.findings import FaultsAgainstGold, FunctionAudit, InstructionAudit
from autoif.audit.functions import audit_functions
from autoif.audit.material import WrittenInstruction
from autoif.audit.observed import observe
from autoif.audit.run import Audit
from autoif.faults.reasons import FindingReason
from autoif.probes import load_probes
from autoif.records import Case, Function, Instruction, Matrix, Prompt, Query, Response
from autoif.runs.store import AUDIT
from autoif.sandbox import Sandbox
from autoif.sandbox.outcomes import Limits
from support.audited_run import TEA, write_run
from support.command import autoif_here
from support.records import ACCEPT, BROKEN, REFUSE
from support.training_data import write_rows

R = FindingReason
WORDS_40 = "Write at least 40 words."
QUESTION = "Your response must end with a question mark."
NO_THE = 'Do not use the word "the".'


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(Limits(timeout_s=0.5, total_s=1.0), workers=2) as entered:
        yield entered


def write(body: str) -> str:
    return f"import re\ndef evaluate(response):\n    {body}"


def write_about(
    instruction: str, *sources: str, cases: dict[str, bool] | None = None, answers: tuple = ()
) -> WrittenInstruction:
    functions = tuple(map(Function.of, sources))
    pairs = tuple(Case(input=text, expected=expected) for text, expected in (cases or {}).items())
    prompt = Prompt(id="prompt", constraints=(), query=Query.of("Why?"), text="Why?")
    responses = [Response(id=f"{n} {text}", prompt=prompt, index=n, text=text) for n, text in enumerate(answers)]
    places = tuple(range(len(functions)))
    matrix = Matrix(functions=functions, cases=pairs)
    return WrittenInstruction(Instruction.of(instruction, "seed"), matrix, places, places, responses=responses)


def audit(sandbox: Sandbox, *instructions: WrittenInstruction) -> list[InstructionAudit]:
    return audit_functions(observe(instructions, sandbox), sandbox)


def audit_one(sandbox: Sandbox, *args, **more) -> FunctionAudit:
    return audit(sandbox, write_about(*args, **more))[0].functions[0]


@pytest.mark.parametrize(
    ("instruction", "body", "reasons"),
    [
        (WORDS_40, "return len(response.split()) >= 40", set()),
        (WORDS_40, "return len(response) >= 40", {R.THRESHOLD}),
        (WORDS_40, "return len(response.split()) > 40", {R.THRESHOLD}),
        (WORDS_40, "return sum(w.islower() for w in response.split()) >= 40", {R.THRESHOLD, R.LETTER_CASE}),
        (NO_THE, r"return not re.search(r'\bthe\b', response.lower())", set()),
        (NO_THE, "return 'the' not in response.lower().split()", {R.WORD_PUNCTUATION}),
        (NO_THE, r"return not re.search(r'\bthe\b', response)", {R.LETTER_CASE}),
        (NO_THE, "return 'the' not in response.lower()", {R.ASKED_TEXT}),
        (NO_THE, "return 'the' in response.lower().split()", {R.ASKED_TEXT, R.WORD_PUNCTUATION}),
        (QUESTION, "return response.strip().endswith('?')", set()),
        (QUESTION, "return response.strip(' ').endswith('?')", {R.FINAL_NEWLINE}),
        (QUESTION, "return response.strip('\\n')[-1:] == '?'", {R.TRAILING_SPACE}),
        (QUESTION, "return '?' in response", {R.ASKED_TEXT}),
        ("Use no contractions.", "return \"n't\" not in response", set()),
        ("Write with kindness.", "return \"'\" not in response", {R.CURLY_QUOTES}),
        ("Be kind.", "return response[40].isalpha() or True", {R.RAISES}),
        ("Be kind.", "return not response or len(response) > 0 or 1 / 0", {R.VACUOUS}),
    ],
)  # fmt: skip
def test_a_fault_is_found_and_only_that(sandbox, instruction, body, reasons):
    cases = {"Is it late, isn't it?": True, "It's late.": False}
    found = audit_one(sandbox, instruction, write(body), cases=cases)
    assert found.reasons - {R.WEAK_CASES} == reasons


def test_what_accepts_nearly_all_is_vacuous_unless_it_refuses_what_breaks_the_rule(sandbox):
    no_zebra, never_refuses = write(r"return not re.search(r'\bzebras\b', response.lower())"), ACCEPT
    rule = 'Do not use the word "zebras".'
    assert audit_one(sandbox, rule, no_zebra).is_sound
    [*_, vacuous] = [f for f in audit_one(sandbox, rule, never_refuses).findings if f.reason is R.VACUOUS]
    assert vacuous.texts
    assert vacuous.detail == "accepts 100% of the probes, and all that should break it"


def test_what_refuses_nearly_all_is_dead_unless_it_accepts_what_obeys(sandbox):
    rule = "Answer with a list of five animals, each after '>'."
    right = write("return len(lines := response.split('\\n')) == 5 and all(x.startswith('>') for x in lines)")
    obeys = "\n".join(["> ox"] * 5)
    answers = tuple(f"The {n}. animal is an ox." for n in range(9))
    assert audit_one(sandbox, rule, right, cases={obeys: True}, answers=answers).is_sound
    dead = audit_one(sandbox, rule, REFUSE, cases={obeys: True}, answers=answers)
    assert dead.reasons - {R.WEAK_CASES} == {R.DEAD}
    assert dead.accepted_own == 0
    # Two cases that the writer got wrong, and no answer, are too little to say so.
    assert audit_one(sandbox, rule, right, cases={"ox": True, "> ox": True}).is_sound


CAPITALS = "Each word must start with a capital letter."
SHOUTED = {"Write a poem.": True, "Hello world.": True, "It is a cold day.": True, "it is late.": False}


@pytest.mark.parametrize(
    ("condition", "is_dead"),
    [
        ("all(word[0].isupper() for word in response.split())", False),
        ("response.endswith('TEA')", True),
        ("len(response) == 1", True),
        ("len(response) < 9", True),
    ],
)
def test_a_rule_that_no_case_obeys_is_not_dead_if_a_near_miss_of_a_case_does(sandbox, condition, is_dead):
    found = audit_one(sandbox, CAPITALS, write(f"return {condition}"), cases=SHOUTED)
    assert (R.DEAD in found.reasons) is is_dead


def test_a_function_that_accepts_an_answer_to_its_instruction_is_not_dead(sandbox):
    answers = tuple(f"It is {n} degrees." for n in range(40))
    kelvin, never = (audit_one(sandbox, "Say it in Kelvin.", write(f"return {n} in response"), answers=answers)
                     for n in ("'It is 39 '", "'It is 40 '"))  # fmt: skip
    assert (R.DEAD in kelvin.reasons, R.DEAD in never.reasons) == (False, True)


def test_what_does_not_load_or_hangs_is_said_to(sandbox):
    audits = audit(
        sandbox, write_about("Be kind.", BROKEN, write("while len(response) > 3: pass"), write("return 1/0"))
    )
    [broken], slow, raises = (function.findings for function in audits[0].functions)
    assert broken.reason is R.DOES_NOT_LOAD
    assert "SyntaxError" in broken.detail
    assert R.TOO_SLOW in {finding.reason for finding in slow}
    assert any("ZeroDivisionError" in finding.detail for finding in raises)


def test_cases_that_notice_few_changes_are_weak(sandbox):
    body = write("return len(response.split()) >= 40")
    weak = audit_one(sandbox, WORDS_40, body, cases={"no": False})
    strong = audit_one(
        sandbox, WORDS_40, body, cases={"tea " * 39: False, "tea " * 40: True, "tea " * 41: True, "no": False}
    )
    assert weak.reasons == {R.WEAK_CASES}
    assert (strong.killed, strong.findings) == (strong.mutants, ())
    assert 0 < weak.killed < weak.mutants / 2


def test_an_instruction_that_others_obey_unasked_or_without_a_sound_function_is_named(sandbox):
    kind = write_about(
        "Use at least 3 different letters.", write("return len(set(response)) >= 3"), cases={"hi": False}
    )
    other = write_about(NO_THE, write("return 'the' not in response.lower()"), answers=("Tea is hot.", "It is late."))
    first, second = audit(sandbox, kind, other)
    assert R.OBEYED_UNASKED in {finding.reason for finding in first.findings}
    assert {finding.reason for finding in second.findings} == {R.NO_FUNCTION_SOUND}


def test_findings_do_not_depend_on_what_else_is_audited_or_on_workers(sandbox):
    many = [write_about(f"Write at least {n} words.", write(f"return len(response) >= {n}")) for n in range(10, 30)]
    together = audit(sandbox, *many)
    assert [each.instruction for each in together] == [each.instruction.text for each in many]
    assert audit(sandbox, many[7]) == [together[7]]
    with Sandbox(workers=1) as one:
        assert audit(one, *many[:3]) == together[:3]


def test_the_command_counts_findings_and_writes_them_whole(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    autoif_here("audit", run)
    said = capsys.readouterr().out
    found = Audit.model_validate_json((run / AUDIT).read_bytes()).findings
    assert found
    assert found.probes == len(load_probes())
    assert "asked_text" in said
    assert json.loads((run / AUDIT).read_text())["gold"] is None
    assert found.tallies[R.DEAD].written == sum(
        R.DEAD in function.reasons for audit in found.instructions for function in audit.functions
    )


def test_faults_are_counted_beside_the_mistakes_on_gold(tmp_path):
    run = write_run(tmp_path / "run")
    rows = [{"instruction": TEA, "response": text, "followed": "tea" in text.split()} for text in ("hot tea", "teapot")]
    autoif_here("audit", run, "--gold", write_rows(tmp_path / "gold.jsonl", *rows))
    found = Audit.model_validate_json((run / AUDIT).read_bytes()).findings
    assert found.against_gold == FaultsAgainstGold(wrong=2, wrong_with_fault=1, right=0, right_with_fault=0)
