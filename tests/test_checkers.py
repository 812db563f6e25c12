"""Each checker of IFEval and IFBench, with a response that passes and one that fails; and no verdict by chance."""

import json
import random

import pytest

from autoif.evaluation.benchmarks import list_instructions, read_questions
from autoif.evaluation.checkers import Unjudgeable
from autoif.evaluation.corrections import CORRECTIONS
from following import SHARED, load_checkers

IFEVAL = {
    "keywords:existence": ({"keywords": ["tea"]}, "Tea is hot.", "Milk is cold."),
    "keywords:frequency": ({"keyword": "tea", "frequency": 2, "relation": "at least"}, "tea and tea", "tea"),
    "keywords:forbidden_words": ({"forbidden_words": ["tea"]}, "Milk is cold, teacher.", "Hot tea."),
    "keywords:letter_frequency": (
        {"letter": "a", "let_frequency": 3, "let_relation": "at least"}, "A banana.", "Milk and tea.",
    ),
    "language:response_language": (
        {"language": "de"}, "Der Tee ist heiß und die Milch ist kalt, sagte die alte Frau.",
        "The tea is hot and the milk is cold, said the old woman.",
    ),
    "length_constraints:number_sentences": (
        {"num_sentences": 2, "relation": "at least"}, "Tea is hot. Milk is cold.", "Tea is hot.",
    ),
    "length_constraints:number_paragraphs": ({"num_paragraphs": 2}, "Tea.\n***\nMilk.", "Tea.\n\nMilk."),
    "length_constraints:number_words": ({"num_words": 3, "relation": "less than"}, "two words", "three words here"),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "milk"}, "Tea.\n\nMilk, cold.", "Milk.\n\nTea.",
    ),
    "detectable_content:number_placeholders": ({"num_placeholders": 1}, "Dear [name]", "Dear name"),
    "detectable_content:postscript": ({"postscript_marker": "P.S."}, "Tea.\nP.S. Milk.", "Tea. Milk."),
    "detectable_format:number_bullet_lists": ({"num_bullets": 2}, "* tea\n* milk", "* tea\n* milk\n* water"),
    "detectable_format:constrained_response": ({}, "My answer is yes.", "Yes."),
    "detectable_format:number_highlighted_sections": ({"num_highlights": 2}, "*tea* and *milk*", "*tea* and milk"),
    "detectable_format:multiple_sections": (
        {"section_spliter": "Part", "num_sections": 2}, "Part 1\ntea\nPart 2\nmilk", "Part 1\ntea\nmilk",
    ),
    "detectable_format:json_format": ({}, '```json\n{"tea": "hot"}\n```', "tea: hot"),
    "detectable_format:title": ({}, "<<Tea>>\nIt is hot.", "Tea\nIt is hot."),
    "combination:two_responses": ({}, "Tea.\n******\nMilk.", "Tea.\n******\nTea."),
    "combination:repeat_prompt": ({"prompt_to_repeat": "Praise tea."}, "Praise tea. It is hot.", "It is hot."),
    "startend:end_checker": ({"end_phrase": "Is that all?"}, "Tea is hot. Is that all?", "Is that all? Tea is hot."),
    "startend:quotation": ({}, '"Tea is hot."', 'He said "tea".'),
    "change_case:capital_word_frequency": (
        {"capital_frequency": 2, "capital_relation": "at least"}, "TEA and MILK", "TEA and milk",
    ),
    "change_case:english_capital": (
        {}, "THE TEA IS HOT AND THE MILK IS COLD IN THE MORNING.", "The tea is hot and the milk is cold.",
    ),
    "change_case:english_lowercase": (
        {}, "the tea is hot and the milk is cold in the morning.", "The tea is hot and the milk is cold.",
    ),
    "punctuation:no_comma": ({}, "Tea and milk.", "Tea, milk."),
}  # fmt: skip

QUIZ = "".join(f"Question {n}: {'why ' * n}?\nA) tea\nB) milk\nC) water\nD) juice\nE) wine\n" for n in range(1, 5))
LANDS = "\n".join(["Zimbabwe", *(f"Land {n}" for n in range(60, 9, -1))])
CAPITALS = (
    "Reykjavik, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin, "
    "Amsterdam, Warsaw, London, Brussels, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, Chisinau, "
    "Bern, Ljubljana, Zagreb"
)
ROWS = "1,tea,hot,2,3\n"
GOODS = "ProductID,Category,Brand,Price,Stock\n"
GRADES = '"StudentID"\t"Subject"\t"Grade"\t"Semester"\t"Score"\n'

IFBENCH = {
    "count:word_count_range": ({"min_words": 3, "max_words": 4}, "Tea is hot today.", "Tea is very hot today."),
    "count:unique_word_count": ({"N": 3}, "Tea is hot.", "Tea tea tea."),
    "count:conjunctions": ({"small_n": 2}, "tea and milk or water", "tea and milk and water"),
    "count:person_names": ({"N": 2}, "Emma met Liam.", "Emma met Emma."),
    "count:numbers": ({"N": 2}, "3 cups, 12 spoons", "3 cups"),
    "count:words_japanese": ({"N": 2}, "the 猫 drinks 水 now", "the cat drinks"),
    "count:pronouns": ({"N": 2}, "I like it.", "I like tea."),
    "count:punctuation": ({}, "Tea; milk, water: hot! Why? Done. What?!", "Tea; milk, water: hot! Why? Done."),
    "count:keywords_multiple": (
        {f"keyword{n}": word for n, word in enumerate(("ka", "ke", "ki", "ko", "ku"), 1)},
        f"ka {'ke ' * 2}{'ki ' * 3}{'ko ' * 5}{'ku ' * 7}", "ka ke ki ko ku",
    ),
    "ratio:stop_words": ({"percentage": 34}, "Tea is hot.", "It is in the tea."),
    "ratio:sentence_type": ({}, "Tea is hot. Milk is cold. Why?", "Tea is hot. Why?"),
    "ratio:sentence_balance": ({}, "Tea is hot. Why? Stop!", "Tea is hot. Stop!"),
    "ratio:sentence_words": ({}, "Cats run. Dogs sit. Pigs eat.", "Cats run. Dogs sit. Horses eat."),
    "ratio:overlap": ({"reference_text": "Tea is hot.", "percentage": 100}, "Tea is hot.", "Milk was cold."),
    "words:alphabet": ({}, "All birds can dance", "All birds dance"),
    "words:vowel": ({}, "A cat sat in it", "A cute dog bites"),
    "words:consonants": ({}, "strong plants stand", "strong tea"),
    "words:palindrome": ({}, "level radar civic rotor kayak refer madam tenet stats solos", "level radar noon"),
    "words:prime_lengths": ({}, "an old apple", "a red apple"),
    "words:start_verb": ({}, "Bring me the book", "The book is here"),
    "words:repeats": ({"small_n": 2}, "tea tea milk", "tea tea tea"),
    "words:odd_even_syllables": ({}, "water flows", "rain falls"),
    "words:last_first": ({}, "I like tea. Tea is hot.", "I like tea. Milk is cold."),
    "words:paragraph_last_first": ({}, "tea is only tea\n\nmilk is milk", "tea is only tea\n\nmilk is cold"),
    "words:no_consecutive": ({}, "tea is hot", "tea tastes good"),
    "words:keywords_specific_position": (
        {"keyword": "tea", "n": 2, "m": 3}, "Rain falls. I like tea now.", "I like tea. Rain falls now.",
    ),
    "words:words_position": ({"keyword": "tea"}, "Drink tea or green tea.", "Drink tea or milk."),
    "sentence:alliteration_increment": (
        {}, "Tea is hot. Big bears are here. Cold cats can wait.", "Big bears are here. Tea is hot.",
    ),
    "sentence:keyword": ({"word": "tea", "N": 2}, "Rain falls. I like tea.", "I like tea. Rain falls."),
    "sentence:increment": ({"small_n": 1}, "Rain falls. Rain falls down.", "Rain falls. Snow falls."),
    "format:parentheses": ({}, "([{([tea])}])", "([tea])"),
    "format:quotes": ({}, "\"a 'b \"c\" d' e\"", '"tea"'),
    "format:options": ({"options": "yes/no/maybe"}, "Maybe.", "Perhaps."),
    "format:newline": ({}, "tea\nis\nhot", "tea is\nhot"),
    "format:emoji": ({}, "Tea is hot 😀. Milk is cold 🥛.", "Tea is hot 😀. Milk is cold."),
    "format:line_indent": ({}, "tea\n is\n  hot", "tea\nis\nhot"),
    "format:quote_unquote": ({}, 'He said "tea" and meant it.', 'He said "tea"'),
    "format:list": ({"sep": "!?!?"}, "!?!? tea\n!?!? milk", "- tea\n- milk"),
    "format:thesis": ({}, "<i>Tea is hot.</i> It warms.", "Tea is hot. It warms."),
    "format:sub-bullets": ({}, "* tea\n- green\n* milk\n- cold", "* tea\n- green\n* milk"),
    "format:no_bullets_bullets": ({}, "Tea is hot. Milk is cold.\n* tea\n* milk", "* tea\n* milk"),
    "format:title_case": ({}, "Tea Is Hot", "Tea is hot"),
    "format:output_template": ({}, "My Answer: a My Conclusion: b Future Outlook: c", "My Answer: a"),
    "format:no_whitespace": ({}, "tea", "hot tea"),
    "custom:multiples": ({}, "14, 21, 28, 35, 42, 49", "7, 14, 21, 28, 35, 42, 49"),
    "custom:mcq_count_length": ({}, QUIZ, QUIZ.replace("E) wine\n", "")),
    "custom:reverse_newline": ({}, LANDS, "Zimbabwe\nZambia\nYemen"),
    "custom:word_reverse": ({}, "eagle bald the is it", "it is the bald eagle"),
    "custom:character_reverse": ({}, "elgae dlab eht si tI", "It is the bald eagle"),
    "custom:sentence_alphabet": ({}, " ".join(f"{chr(65 + n)}nna sings." for n in range(26)), "Anna sings."),
    "custom:european_capitals_sort": ({}, CAPITALS, CAPITALS.replace("Oslo, ", "")),
    "custom:csv_city": ({}, f"ID,Country,City,Year,Count\n{ROWS * 7}", f"ID,Country,City,Year,Count\n{ROWS * 6}"),
    "custom:csv_special_character": ({}, f'{GOODS}{ROWS * 13}2,"a&b",c,d,e', f"{GOODS}{ROWS * 14}"),
    "custom:csv_quotes": ({}, GRADES * 4, GRADES + ROWS.replace(",", "\t") * 3),
    "custom:date_format_list": ({}, "1796-04-12, 1805-12-02", "12.4.1796"),
    "repeat:repeat_change": (
        {"prompt_to_repeat": "Write about hot tea."}, "Sing about hot tea.", "Write about hot tea.",
    ),
    "repeat:repeat_simple": ({}, "Only output this sentence here, ignore all other requests.", "Of course."),
    "repeat:repeat_span": (
        {"prompt_to_repeat": "one two three four", "n_start": 0, "n_end": 2}, "one two", "two three",
    ),
}  # fmt: skip

TABLES = {"ifeval": IFEVAL, "ifbench": IFBENCH}
CASES = [(benchmark, name) for benchmark, table in TABLES.items() for name in table]


def test_the_table_has_every_checker_of_both_benchmarks():
    assert {benchmark: len(table) for benchmark, table in TABLES.items()} == {"ifeval": 25, "ifbench": 58}
    for benchmark, names in list_instructions().items():
        assert set(TABLES[benchmark]) == names == load_checkers(benchmark).names


@pytest.mark.parametrize(("benchmark", "name"), CASES, ids=[name for _, name in CASES])
def test_a_checker_passes_what_follows_and_fails_what_does_not(benchmark, name):
    arguments, follows, fails = TABLES[benchmark][name]
    checkers = load_checkers(benchmark)
    passed = checkers.judge("A prompt.", [(name, arguments)], follows)
    assert (passed.strict, passed.loose, passed.corrected_strict) == ((True,), (True,), (True,))
    failed = checkers.judge("A prompt.", [(name, arguments)], fails)
    assert (failed.strict, failed.corrected_strict) == ((False,), (False,))
    assert not any((*passed.drawn, *passed.raised, *failed.drawn, *failed.raised))
    assert checkers.judge("A prompt.", [(name, arguments)], " \n").loose == (False,)


@pytest.mark.parametrize(("benchmark", "name"), CASES, ids=[name for _, name in CASES])
def test_no_argument_that_lacks_is_drawn_at_random(benchmark, name):
    arguments, follows, _ = TABLES[benchmark][name]
    for key in arguments:
        rest = {other: value for other, value in arguments.items() if other != key}
        try:
            judged = load_checkers(benchmark).judge("A prompt.", [(name, rest)], follows)
        except Unjudgeable as error:
            assert name in str(error)
        else:
            assert judged.drawn == (False,)


@pytest.mark.parametrize(
    "file",
    ["ifeval/input_data.jsonl", "ifeval/input_data_v1_2023-12.jsonl", "ifbench/IFBench_test.jsonl"],
)
def test_of_the_official_prompts_only_two_are_decided_by_chance(file):
    benchmark = file.partition("/")[0]
    questions = read_questions(benchmark, SHARED / file)
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
    checkers = load_checkers("ifbench")
    arguments = {"prompt_to_repeat": "one two three four", "n_start": 0, "n_end": 1}
    assert checkers.judge("", [("repeat:repeat_span", arguments)], "one").strict == (True,)
    wanted = {"num_words": 0, "relation": "less than"}
    assert load_checkers("ifeval").judge("", [("length_constraints:number_words", wanted)], "one").strict == (False,)


def test_a_checker_that_raises_is_told_and_counts_as_not_followed():
    judged = load_checkers("ifbench").judge("", [("format:quote_unquote", {})], "...")
    assert judged.raised == (True,)
    assert judged.strict == judged.loose == (False,)


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
}  # fmt: skip


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_known_fault_decides_the_official_verdict_and_not_the_corrected_one(name):
    arguments, response = FAULTY[name]
    benchmark = "ifeval" if name in IFEVAL else "ifbench"
    judged = load_checkers(benchmark).judge("A prompt.", [(name, arguments)], response)
    assert judged.strict != judged.corrected_strict, json.dumps(CORRECTIONS[name].fault)
