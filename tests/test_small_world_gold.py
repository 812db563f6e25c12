"""The hand-written checkers of the small world, on texts at their edges, and the gold that is made of them."""

import re
import sys
from pathlib import Path

import pytest

from autoif.datasets.rows import Constraint, RewardRow, Turn, list_functions
from autoif.judging import judge
from autoif.records import Verdict
from support.audited_run import WORD, write_run

WORLD = Path(__file__).parent.parent / "examples" / "small_world"
sys.path.insert(0, str(WORLD))

from checkers import KINDS, count_sentences, make_check  # noqa: E402
from gold import CASES, OTHERS, judge_by_gold, label  # noqa: E402

SEEDS = [line for line in (WORLD / "seeds.txt").read_text(encoding="utf-8").splitlines() if line and line[:2] != "# "]

EDGES = [
    (
        'Begin your response with the word "Indeed".',
        ["Indeed, yes.", "**Indeed**: so", '"indeed" it is'],
        ["Indeedy.", "Yes, indeed."],
    ),
    (
        'The first word of your response must be "First".',
        ["First, boil it.", "first"],
        ["Firstly, boil it.", "At first"],
    ),
    (
        'Start your answer with the label "Answer:".',
        ["Answer: tea", "**Answer:** tea"],
        ["Answer tea", "The Answer: tea"],
    ),
    ('The first word of your response must be "Yes" or "No".', ["No.", "Yes, tea"], ["Not so.", "Well, yes"]),
    (
        'End your response with the words "That is all."',
        ["Tea. That is all.", "so that is all!", '"That is all."'],
        ["That is all. Bye.", "That is almost all."],
    ),
    ('Finish your answer with the word "END".', ["Tea END.", "tea\nEND"], ["Tea end.", "LEGEND", "END of it"]),
    ('The last word of your response must be "friend".', ["Bye, friend!", "Friend"], ["My friends", "Bye, boyfriend."]),
    (
        'The last line of your response must be "The end".',
        ["Tea.\nThe end", "Tea.\n\n*The end.*\n"],
        ["Tea. The end", "The end\nof tea"],
    ),
    ("Your response must end with a question mark.", ["Tea?", "茶？ "], ["Tea?!", 'He said "tea?"']),
    ("Your response must end with three dots.", ["Tea...", "Tea…\n"], ["Tea..", "... tea"]),
    (
        "Put your whole response in double quotation marks.",
        ['"Tea."', "“Tea”", '"He said "tea" to me"'],
        ['"Tea" and "milk"', '""', "'Tea'", '"Tea".'],
    ),
    ("Put your whole response in round brackets.", ["(Tea (hot) now)"], ["(Tea) and (milk)", "()", "(Tea).", "[Tea]"]),
    (
        "Put your whole response between two asterisks, one at the start and one at the end.",
        ["*Tea.*"],
        ["**Tea**", "*Tea", "**"],
    ),
    ('Start and end your response with the symbol "~".', ["~tea~", "~ tea ~\n"], ["~", "~tea", "tea~"]),
    (
        "Enclose your answer in the tags <answer> and </answer>.",
        ["<answer>Tea</answer>", "<answer>\nTea\n</answer>\n"],
        ["<answer></answer>", "So: <answer>Tea</answer>", "<answer>Tea"],
    ),
    (
        "Put your answer in a code block that starts and ends with three backticks.",
        ["```\ntea\n```"],
        ["``````", "```a``` or ```b```", "Here:\n```\ntea\n```"],
    ),
    (
        'Use the word "simple" in your response.',
        ["Simple, isn't it?", "a simple-minded man"],
        ["simpler", "oversimple"],
    ),
    ('Include the phrase "as a rule" in your answer.', ["As a  rule, tea", "as a\nrule"], ["as a ruler", "a rule"]),
    ('Include the hashtag "#facts" in your response.', ["Tea #Facts!"], ["# facts", "#factsheet", "facts"]),
    ('Include the placeholder "[name]" in your response.', ["Dear [name],"], ["Dear name", "[names]"]),
    ('Do not use the word "the" in your response.', ["Then there was tea"], ["The tea", "tea in THE pot"]),
    ('Do not use the word "is" in your response.', ["It's tea. This one."], ["Tea is hot", "IS"]),
    ("Do not use any commas in your response.", ["Tea; milk"], ["Tea, milk", "1,000", "茶，水"]),
    ("Do not use any full stops in your response.", ["Tea!", "3.5 cups"], ["Tea.", "Tea...", "茶。"]),
    ('Do not use the letter "k" in your response.', ["Tea"], ["Milk", "Kettle"]),
    (
        "Answer in no more than 10 words.",
        ["one two - three, four five's six seven eight nine ten!", "Tea"],
        ["a b c d e f g h i j k", "", "—"],
    ),
    ("Answer in fewer than five words.", ["well-known hot black tea"], ["a b c d e", "?"]),
    ("Answer with a single word.", ["Tea.", " don't\n"], ["Hot tea", ""]),
    ("Write at least 40 words.", ["tea " * 40], ["tea " * 39, "x" * 500]),
    ("Keep your response under 60 characters.", ["x" * 59 + "\n"], ["x" * 60, ""]),
    (
        "Answer in exactly one sentence.",
        ["Dr. Who drinks 3.5 cups, e.g. of tea.", 'He asked "why?" and left.', "tea"],
        ["Tea. Milk.", "Tea!\n\nMilk", ""],
    ),
    (
        "Answer in exactly two sentences.",
        ["It costs 3.50. Buy it!", "Really?! Yes.", "1. Tea is hot.\n2. Milk is cold."],
        ["One. Two. Three.", "One"],
    ),
    ("Write exactly two lines.", ["a\nb", "a\n\nb\n"], ["a", "a\nb\nc"]),
    (
        "Write exactly two paragraphs, with a blank line between them.",
        ["a\nb\n\nc", "a\n \nb\n"],
        ["a\nb", "a\n\nb\n\nc"],
    ),
    (
        'Separate the two parts of your answer with a line that holds only "***".',
        ["a\n***\nb", "a\n\n *** \n\nb"],
        ["a *** b", "***\na", "a\n***\nb\n***\nc"],
    ),
    (
        'Answer with a list of exactly two items, each on a line that starts with "- ".',
        ["- a\n- b", "Two:\n- a\n  - b"],
        ["- a - b", "-a\n-b", "- a\n- b\n- c", "* a\n* b"],
    ),
    (
        'Answer with a numbered list of exactly two items, "1." and "2.".',
        ["1. a\n2. b", "So:\n1. a\n\n2. b 3.5"],
        ["1. a\n2. b\n3. c", "1. a\n1. b", "1) a\n2) b"],
    ),
    ('Start each line of your response with the symbol ">".', ["> a\n>b", ">a\n\n>b"], ["> a\nb", ""]),
    (
        'Give three options, on lines that start with "A)", "B)" and "C)".',
        ["A) a\nB) b\nC) c", "So:\n**A)** a\nB) b\nC) c"],
        ["A) a\nB) b", "A) a B) b C) c", "A) a\nB) b\nC) c\nD) d"],
    ),
    (
        'Give your response a title: its first line must start with "# ".',
        ["# Tea\nhot"],
        ["#Tea", "Tea\n# Tea", "## Tea"],
    ),
    (
        'Give your response a title: its first line must start with "Title:".',
        ["Title: Tea\nhot", "**title:** Tea"],
        ["Tea\nTitle: Tea"],
    ),
    (
        'Put a last line at the end that starts with "P.S.".',
        ["Tea.\nP.S. Milk.\n", "Tea.\n*P.S.* Milk"],
        ["P.S. Milk\nTea", "Tea. P.S. Milk", "Tea\np.s. milk"],
    ),
    ('Include a line that starts with "Tip:".', ["Tea\n**Tip:** hot\nMilk"], ["A Tip: hot", "Tips: hot"]),
    ("Write your whole response in lower case.", ["tea, 3 cups. straße"], ["Tea", "3", "éÉ"]),
    ("Write your whole response in capital letters.", ["TEA, 3 CUPS", "ÉTÉ"], ["TEa", "3"]),
    (
        "Include at least one word that is written entirely in capital letters.",
        ["Tea is HOT.", "ÉTÉ now"],
        ["I like A cup", "TeA", "4 cups"],
    ),
    ("Write the first word of your response in capital letters.", ["TEA is hot", '"TEA" is', "A cup"], ["Tea IS", "3"]),
    (
        "Highlight at least one word in bold, with ** on both sides of it.",
        ["**tea** is", "a **hot tea**."],
        ["*tea*", "** tea **", "****"],
    ),
    (
        "Highlight at least one word in italics, with * on both sides of it.",
        ["*tea* is", "so *hot tea*."],
        ["**tea**", "* tea\n* milk", "2 * 3 * 4"],
    ),
    ("Put at least one word in backticks.", ["`tea`", "```\ntea\n```"], ["``", "`tea", "'tea'"]),
    ("Put at least one word in double quotation marks.", ['Say "tea".', "“tea”"], ["'tea'", '""', '5" wide']),
    ("Put at least one remark in round brackets.", ["Tea (hot)"], ["Tea ()", "1) tea", "[hot]"]),
    (
        'Reply with a JSON object that has the keys "question" and "answer".',
        ['{"question": 1, "answer": 2, "x": 3}', '```json\n{"question": "", "answer": ""}\n```'],
        [
            '{"question": 1}',
            '["question", "answer"]',
            '{"question": 1, "answer": 2',
            'So: {"question": 1, "answer": 2}',
            "[" * 99_999,
        ],
    ),
    ("Reply with a JSON list of strings.", ['["a", "b"]'], ["[]", '["a", 1]', '{"a": "b"}', "['a']"]),
    ("Include at least one number written in digits.", ["3 cups", "٣"], ["three cups"]),
    ("Include at least three numbers written in digits.", ["1, 2 and 3.5"], ["1,000.5 and 2", "12 and 34"]),
    (
        "Include a percentage, such as 40%, in your answer.",
        ["40%", "3.5 %", "50 percent"],
        ["40", "% of tea", "forty percent"],
    ),
    ("Use at least one semicolon in your response.", ["a; b", "；"], ["a: b", "a, b"]),
    (
        "Use at least two dashes in your response.",
        ["a – b – c", "a - b -- c", "—tea—"],
        ["well-known hard-won", "a - b", "_ _"],
    ),
    ("Your response must end with an exclamation mark.", ["Tea!", "茶！\n"], ["Tea.", "!Tea"]),
    ('Mention the colour "blue" in your answer.', ["Blue tea", "a light-blue cup"], ["blueberry", "bluish"]),
    (
        'Give two points, on lines that start with "First:" and "Second:".',
        ["First: a\nSecond: b", "So\n**first:** a\n\nSecond: b"],
        ["Second: b\nFirst: a", "First: a Second: b", "First: a\nSecond: b\nFirst: c"],
    ),
    (
        'The first line of your response must start with "Topic:".',
        ["Topic: tea\nhot", "\nTOPIC: tea"],
        ["Tea\nTopic: hot"],
    ),
    ('Reply with a JSON object that has the key "answer".', ['{"answer": null}'], ['{"Answer": 1}', "answer", "{}"]),
    ("Use at least one exclamation mark in your response.", ["Tea! Hot."], ["Tea."]),
    ("Use at least one question mark in your response.", ["Tea? Hot."], ["Tea."]),
    ("Use at least one colon in your response.", ["Tea: hot"], ["Tea; hot"]),
    ("Put your whole response in square brackets.", ["[Tea [1]]"], ["[a] [b]", "(Tea)"]),
]


def test_every_seed_has_a_checker_and_every_checker_a_seed():
    assert len(SEEDS) == 129
    assert all(callable(make_check(seed)) for seed in SEEDS)
    unused = [pattern for pattern, _ in KINDS if not any(re.fullmatch(pattern, seed) for seed in SEEDS)]
    assert not unused


def test_every_kind_is_tried_at_its_edges():
    tried = {next(p for p, _ in KINDS if re.fullmatch(p, instruction)) for instruction, _, _ in EDGES}
    assert {pattern for pattern, _ in KINDS} == tried


@pytest.mark.parametrize(("instruction", "follow", "fail"), EDGES, ids=[each[0] for each in EDGES])
def test_a_checker_knows_what_follows_and_what_does_not(instruction, follow, fail):
    check = make_check(instruction)
    assert [text for text in follow if not check(text)] == []
    assert [text for text in fail if check(text)] == []


def test_an_instruction_of_another_world_has_no_checker():
    with pytest.raises(LookupError, match=r"no checker for 'Sing\.'"):
        make_check("Sing.")


def test_a_long_text_takes_no_time():
    text = "Dr. A. b! " * 10_000
    assert count_sentences(text) > 0
    for seed in SEEDS:
        make_check(seed)("`*[( \"'.-" * 10_000)


def test_gold_of_runs_has_each_text_once_in_its_group(tmp_path):
    asked = 'Mention the word "apple" in your answer.'
    runs = [write_run(tmp_path / name, instruction=asked) for name in ("first", "second")]
    rows = list(label(runs))
    assert len({(row["instruction"], row["response"]) for row in rows}) == len(rows)
    of_word = {
        row["group"]: row["followed"] for row in rows if (row["instruction"], row["response"]) == (WORD, "coffee")
    }
    assert of_word == {OTHERS: True}
    assert {row["group"] for row in rows if row["instruction"] == asked} == {"responses", CASES}
    assert not any(row["followed"] for row in rows if row["instruction"] == asked)


def test_a_prompt_is_judged_by_the_checkers_of_its_instructions_in_the_sandbox(sandbox):
    instructions = ["Use at least one colon in your response.", "Answer in no more than 10 words."]
    row = RewardRow(
        prompt=(Turn(role="user", content="Why is tea hot?"),),
        constraints=tuple(Constraint(instruction=each, functions=("evaluate = None",)) for each in instructions),
    )
    sources = list_functions(judge_by_gold(row))
    texts = ["Tea: hot", "Tea is hot", "Tea: " + "hot " * 10]
    assert [list(each) for each in judge([(sources, text) for text in texts], sandbox)] == [
        [Verdict.PASS, Verdict.PASS],
        [Verdict.FAIL, Verdict.PASS],
        [Verdict.PASS, Verdict.FAIL],
    ]


def test_a_prompt_of_another_world_gets_no_checker():
    row = RewardRow(
        prompt=(Turn(role="user", content="Why?"),),
        constraints=(Constraint(instruction="Sing.", functions=("evaluate = None",)),),
    )
    with pytest.raises(LookupError, match=r"no checker for 'Sing\.'"):
        judge_by_gold(row)
