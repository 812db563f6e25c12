"""Each checker of IFEval and IFBench, with a response that passes and one that fails; and no verdict by chance."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from autoif.contamination.constraint_trials import load_examples
from autoif.errors import ConfigError
from autoif.evaluation.followbench.data import read_items
from autoif.evaluation.followbench.rules import find_rule
from autoif.evaluation.ifeval_ifbench.checkers import NEWEST, REVISIONS, Unjudgeable
from autoif.evaluation.ifeval_ifbench.corrections import CORRECTIONS
from autoif.evaluation.ifeval_ifbench.data import INSTRUCTIONS, read_questions
from autoif.evaluation.ifeval_ifbench.processes import CheckerProcess
from support.ifeval_data import TOKENIZERS, load_checkers
from support.packed_data import unpack
from support.processes import find_processes

EXAMPLES = {"ifeval": load_examples().ifeval, "ifbench": load_examples().ifbench}
CASES = [(benchmark, name) for benchmark, table in EXAMPLES.items() for name in table]
REVISED = [
    pytest.param(benchmark, revision, name, id=f"{name}, {revision}")
    for benchmark, name in CASES
    for revision in (REVISIONS if benchmark == "ifbench" else [NEWEST])
]


def test_the_table_has_every_checker_of_both_benchmarks():
    assert {benchmark: len(table) for benchmark, table in EXAMPLES.items()} == {"ifeval": 25, "ifbench": 58}
    for benchmark, names in INSTRUCTIONS.items():
        loaded = [load_checkers(benchmark, each)._checkers for each in REVISIONS]
        assert all(set(EXAMPLES[benchmark]) == names == each.keys() for each in loaded)


@pytest.mark.parametrize(("benchmark", "revision", "name"), REVISED)
def test_a_checker_passes_what_follows_and_fails_what_does_not(benchmark, revision, name):
    example = EXAMPLES[benchmark][name]
    arguments, follows, fails = example.arguments, example.follows, example.breaks
    checkers = load_checkers(benchmark, revision)
    passed = checkers.judge("A prompt.", [(name, arguments)], follows)
    assert (passed.strict, passed.loose, passed.corrected_strict) == ((True,), (True,), (True,))
    failed = checkers.judge("A prompt.", [(name, arguments)], fails)
    assert (failed.strict, failed.corrected_strict) == ((False,), (False,))
    assert not any((*passed.drawn, *passed.raised, *failed.drawn, *failed.raised))
    assert checkers.judge("A prompt.", [(name, arguments)], " \n").loose == (False,)


@pytest.mark.parametrize(("benchmark", "revision", "name"), REVISED)
def test_no_argument_that_lacks_is_drawn_at_random(benchmark, revision, name):
    arguments, follows = EXAMPLES[benchmark][name].arguments, EXAMPLES[benchmark][name].follows
    for key in arguments:
        rest = {other: value for other, value in arguments.items() if other != key}
        try:
            judged = load_checkers(benchmark, revision).judge("A prompt.", [(name, rest)], follows)
        except Unjudgeable as error:
            assert name in str(error)
        else:
            assert judged.drawn == (False,)


@pytest.mark.parametrize(
    ("benchmark", "name"),
    [("ifeval", "input_data.jsonl"), ("ifeval", "input_data_v1_2023-12.jsonl"), ("ifbench", "IFBench_test.jsonl")],
)
def test_of_the_official_prompts_only_two_are_decided_by_chance(benchmark, name):
    questions = read_questions(benchmark, unpack(benchmark) / name)
    checkers = load_checkers(benchmark)
    drawn = [row.key for row in questions.rows for each in row.instructions if checkers.build(*each, row.prompt)[1]]
    assert drawn == (["1122", "1129"] if benchmark == "ifeval" else [])
    assert questions.version.startswith("IFEval of" if benchmark == "ifeval" else "IFBench")


def test_verdicts_do_not_depend_on_the_state_of_chance_or_on_what_was_judged_before():
    row = [("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "at least"})]
    mixed = "Tee ist tea und le thé is hot oder chaud, nicht wahr, isn't it?"
    languages = [("language:response_language", {"language": code}) for code in ("de", "en", "fr")]
    checkers = load_checkers("ifeval")
    found = set()
    for seed in range(5):
        random.seed(seed)
        checkers.judge("", languages, f"Something else {seed}")
        found.add((checkers.judge("", row, "abcabc").strict, checkers.judge("", languages, mixed).strict))
    assert len(found) == 1
    assert checkers.judge("", row, "abcabc").drawn == (True,)


def test_an_argument_of_zero_is_zero():
    arguments = {"prompt_to_repeat": "one two three four", "n_start": 0, "n_end": 1}
    for revision, span in {"2026": "on", "2025": "one"}.items():
        judged = load_checkers("ifbench", revision).judge("", [("repeat:repeat_span", arguments)], span)
        assert (judged.strict, judged.drawn) == ((True,), (False,))
    wanted = {"num_words": 0, "relation": "less than"}
    assert load_checkers("ifeval").judge("", [("length_constraints:number_words", wanted)], "one").strict == (False,)


def test_a_checker_that_raises_is_told_and_counts_as_not_followed():
    judged = load_checkers("ifbench", "2025").judge("", [("format:quote_unquote", {})], "...")
    assert judged.raised == (True,)
    assert judged.strict == judged.loose == (False,)


SLOW = (" ", "\n", "[", "*", "1. ", "a.b. ", "<<", "“", "{")
"""What the official checkers take long for, in numbers: each checker gets a third of them, and each a third of them."""


@pytest.fixture
def checker_process(monkeypatch):
    """Return a maker of processes that give a checker a twentieth of a second: of those that take longer, all do."""
    monkeypatch.setattr("autoif.evaluation.ifeval_ifbench.processes.CHECK_S", 0.05)
    with ExitStack() as stack:

        def make(benchmark: str, revision: str = NEWEST) -> CheckerProcess:
            process = CheckerProcess(benchmark, revision, [str(TOKENIZERS)])
            stack.callback(process.close)
            return process

        yield make


@pytest.mark.parametrize(("benchmark", "revision"), [("ifeval", NEWEST), *(("ifbench", each) for each in REVISIONS)])
def test_no_response_keeps_a_checker_longer_than_its_time(checker_process, benchmark, revision):
    given = checker_process(benchmark, revision)
    for number, (name, example) in enumerate(EXAMPLES[benchmark].items()):
        for unit in SLOW[number % 3 :: 3]:
            text = (unit * 100_000)[:100_000] + "x"
            start = time.monotonic()
            judged = given.judge("A prompt.", [(name, example.arguments)], text)
            taken = time.monotonic() - start
            assert taken < 40.0, f"{name} took {taken:.1f} s for {unit!r}"
            assert len(judged.strict) == len(judged.raised) == 1


DEEP = ("[" * 100_000, '{"a":' * 40_000, "[" * 900 + "]" * 900, "1" * 5_000, f"```json\n{'[' * 5_000}\n```")
ARGUMENTS = (
    [],
    {},
    "x",
    json.loads("[" * 90 + "]" * 90),
    10**400,
    -1,
    1e308,
    float("inf"),
    True,
    "[" * 2_000,
    ["x"],
    "",
)


@pytest.mark.parametrize(("benchmark", "revision"), [("ifeval", NEWEST), *(("ifbench", each) for each in REVISIONS)])
def test_deep_json_and_arguments_of_any_kind_are_a_verdict_or_unjudgeable(checker_process, benchmark, revision):
    given = checker_process(benchmark, revision)
    for name, example in EXAMPLES[benchmark].items():
        arguments = example.arguments
        for text in DEEP:
            assert len(given.judge("A prompt.", [(name, arguments)], text).strict) == 1
        for changed in ({**arguments, key: value} for key in arguments for value in ARGUMENTS):
            judged = given.judge("A prompt.", [(name, changed)], example.follows)
            assert name in judged if isinstance(judged, str) else len(judged.strict) == 1


@pytest.mark.parametrize("text", [*DEEP, "{{" * 50_000], ids=range(6))
@pytest.mark.parametrize("kind", ["example", "content", "format"])
def test_deep_json_is_a_verdict_of_each_rule_of_followbench(kind, text):
    sources = ("E2E", "CONLL2003", "text_editing", "WIKIEVENTS", "BBH_logical", "gsm_8k", "xsum", "arxiv")
    for rule in filter(None, (find_rule(kind, source, 22, "en") for source in sources)):
        assert rule(text, "['a']", 5) in {True, False}


def test_a_target_of_followbench_that_nests_a_thousand_deep_is_refused(tmp_path):
    row = {"example_id": 1, "source": "CONLL2003", "instruction": "x", "target": "[" * 5_000}
    rows = [row | {"level": level} for level in range(6)]
    (tmp_path / "content_constraints.json").write_text(json.dumps(rows))
    with pytest.raises(ConfigError, match="has a target that its rule can't read"):
        read_items(tmp_path)


def test_a_check_that_takes_too_long_is_told_and_counts_as_not_followed(checker_process):
    given, slow = checker_process("ifeval"), ("detectable_content:number_placeholders", {"num_placeholders": 2})
    quick = ("punctuation:no_comma", {})
    judged = given.judge("Write.", [slow, quick], "[" * 100_000)
    assert (judged.strict, judged.loose, judged.raised) == ((False, True), (False, True), (True, False))
    judged = given.judge("Write.", [slow, quick], "[a] [b]")  # what was ended has a successor
    assert (judged.strict, judged.loose, judged.raised) == ((True, True), (True, True), (False, False))


def read_start(pid):
    """Return when a process was started, in ticks since the machine was: ids begin anew after the largest."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_a_checker_process_that_somebody_ends_is_said_to_be_ended(checker_process):
    given = checker_process("ifeval")
    given.judge("Write.", [("punctuation:no_comma", {})], "tea")
    newest = max(find_processes("import serve"), key=read_start)  # neither the server nor the keeper
    os.kill(newest, signal.SIGKILL)
    with pytest.raises(ConfigError, match="was ended from outside"):
        given.judge("Write.", [("punctuation:no_comma", {})], "tea")


def test_a_script_without_a_guard_can_have_its_answers_judged(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from autoif.evaluation.ifeval_ifbench.processes import CheckerProcess\n"
        f"process = CheckerProcess('ifeval', '2026', [{str(TOKENIZERS)!r}])\n"
        "print(process.judge('Write.', [('punctuation:no_comma', {})], 'tea').strict)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("(True,)\n", "")


FAULTY = {
    "keywords:letter_frequency": ({"letter": "#", "let_frequency": 1, "let_relation": "at least"}, "1 2 3 #"),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "tea"}, "\n\nTea.\n\nMilk.",
    ),
    "language:response_language": ({"language": "de"}, "1 2 3"),
    "ratio:sentence_type": ({}, "Tea!"),
    "format:line_indent": ({}, "tea"),
    "format:sub-bullets": ({}, "tea"),
    "format:quote_unquote": ({}, "tea"),
    "repeat:repeat_span": ({"prompt_to_repeat": "hot tea, cold milk", "n_start": 1, "n_end": 2}, "tea, cold"),
}  # fmt: skip


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_known_fault_decides_the_official_verdict_and_not_the_corrected_one(name):
    arguments, response = FAULTY[name]
    benchmark = "ifeval" if name in EXAMPLES["ifeval"] else "ifbench"
    for revision in REVISIONS:
        judged = load_checkers(benchmark, revision).judge("A prompt.", [(name, arguments)], response)
        assert judged.strict != judged.corrected_strict, json.dumps(CORRECTIONS[name].fault)


SPANS = {
    "284": "code and theory behind",
    "285": "screenplay of a fish being pulled out of the water by",
    "286": "The walls are solid but the stones are",
    "287": "on a certain",
}


@pytest.mark.parametrize(("key", "span"), SPANS.items())
def test_the_words_that_a_prompt_asks_for_pass_once_corrected_and_no_others_do(key, span):
    [row] = [
        each for each in read_questions("ifbench", unpack("ifbench") / "IFBench_test.jsonl").rows if each.key == key
    ]
    words = span.split()
    for revision in REVISIONS:
        checkers = load_checkers("ifbench", revision)
        found = {
            text: checkers.judge(row.prompt, row.instructions, text).corrected_loose[0]
            for text in (span, " ".join(words[:-1]), " ".join(words[1:]), f"{span} and", " ".join(words[::-1]))
        }
        assert [text for text, right in found.items() if right] == [span]


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ("He said “tea” and meant it.", True), ("He said “tea”", False), ("“Tea” “milk” are words.", False),
        ('He said "tea" and meant it.', True), ('He said "tea".', False), ("It is ' and no quotation.", False),
    ],
)  # fmt: skip
def test_quotations_in_typographic_marks_need_an_explanation_as_well_once_corrected(response, right):
    for revision in REVISIONS:
        judged = load_checkers("ifbench", revision).judge("", [("format:quote_unquote", {})], response)
        assert judged.corrected_strict == (right,)


PRONOUNS = "Everyone who knows anything about this says that those which matter to somebody are these. " * 10
FIXED = [
    ("words:words_position", {"keyword": "despite"}, "Americans despite Europe built museums despite criticism.", True),
    ("count:pronouns", {"N": 22}, PRONOUNS, True),
    ("sentence:keyword", {"word": "tea", "N": 2}, "He drank. Their team won.", False),
    ("words:keywords_specific_position", {"keyword": "tea", "n": 1, "m": 2}, "Hot, Tea is here.", True),
    ("format:title_case", {}, "Tea Is a Drink", False),
    ("count:person_names", {"N": 1}, "Emmanuel", False),
    ("format:quote_unquote", {}, "1. 2. 3.", True),
]


@pytest.mark.parametrize(("name", "arguments", "response", "now"), FIXED, ids=[name for name, *_ in FIXED])
def test_what_the_authors_fixed_in_2026_is_judged_otherwise_by_the_newest_checkers_alone(
    name, arguments, response, now
):
    found = {each: load_checkers("ifbench", each).judge("", [(name, arguments)], response).strict for each in REVISIONS}
    assert found == {"2026": (now,), "2025": (not now,)}
