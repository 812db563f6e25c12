"""What the words of an instruction allow to conclude, and that nothing is concluded where they say more."""

import pytest

from autoif.faults.edges import make_edges, make_text
from autoif.faults.metamorphic import make_twins
from autoif.faults.reasons import FindingReason
from autoif.faults.wording import UNITS, Bound, Count, Term, TermRole, read_count, read_term

LEAST, MOST, EXACTLY = Bound.AT_LEAST, Bound.AT_MOST, Bound.EXACTLY
SPACE, NEWLINE, QUOTES = FindingReason.TRAILING_SPACE, FindingReason.FINAL_NEWLINE, FindingReason.CURLY_QUOTES
COMMA, CASE = FindingReason.WORD_PUNCTUATION, FindingReason.LETTER_CASE
ENDS = {SPACE, NEWLINE}


@pytest.mark.parametrize(
    ("instruction", "count"),
    [
        ("Write at least 40 words.", Count(LEAST, 40, "words")),
        ("Your response should contain at least three hundred words", None),
        ("Answer in no more than ten words.", Count(MOST, 10, "words")),
        ("Answer in fewer than five words.", Count(MOST, 4, "words")),
        ("Use more than two exclamation marks.", Count(LEAST, 3, "exclamation marks")),
        ("Do not use more than 3 commas.", Count(MOST, 3, "commas")),
        ("Do not use any commas in your response.", Count(MOST, 0, "commas")),
        ("Your answer must be 5 sentences or less in total.", Count(MOST, 5, "sentences")),
        ("Write exactly two paragraphs, with a blank line between them.", Count(EXACTLY, 2, "paragraphs")),
        ("Keep your response under 60 characters.", Count(MOST, 59, "characters")),
        ("There should be exactly 4 bullet points.", Count(EXACTLY, 4, "bullet points")),
        ('Answer with a numbered list of exactly five items, from "1." to "5.".', Count(EXACTLY, 5, "numbered items")),
        ("Give a numbered list of at least 3 points.", Count(LEAST, 3, "numbered items")),
        ("Give a numbered list of at least 3 points in two sentences each.", None),
        ("Each paragraph must have exactly 2 sentences.", None),
        ("Write in sentences with exactly 10 words.", None),
        ("Write a poem of at least 5 lines.", None),
        ("Use at least 3 lines and 5 words.", None),
        ("Answer in 3 sentences.", None),
        ("Write at least 40 words, but no more than 80 words.", None),
        ("The response can include more than one question mark.", None),
        ("Start with a title of at most 5 words.", None),
        ("Write at least 40 words that begin with the letter s.", None),
        ("Schreibe mindestens 40 Wörter.", None),
    ],
)
def test_a_number_is_read_only_if_it_is_all_that_is_asked(instruction: str, count: Count | None) -> None:
    assert read_count(instruction) == count


@pytest.mark.parametrize(
    ("instruction", "term"),
    [
        ('Use the word "perhaps" in your response.', Term("perhaps", TermRole.USE, "word")),
        ("Include the phrase 'for example' in your answer.", Term("for example", TermRole.USE, "phrase")),
        ('Do not use the word "the".', Term("the", TermRole.AVOID, "word")),
        ("Avoid using the letter “k” in your response.", Term("k", TermRole.AVOID, "letter")),
        ('Start your answer with the label "Reply:".', Term("Reply:", TermRole.START, "label")),
        ('Begin with the phrase "In short,".', Term("In short,", TermRole.START, "phrase")),
        ("End with three dots.", Term("...", TermRole.END, "mark")),
        ('The first word of your response must be "First".', Term("First", TermRole.START, "word")),
        ('Finish your answer with the word "Done."', Term("Done.", TermRole.END, "word")),
        ("Your response must end with a question mark.", Term("?", TermRole.END, "mark")),
        ('Include a line that starts with "Tip:".', Term("Tip:", TermRole.ANY_LINE, "")),
        ('The first line of your response must start with "Topic:".', Term("Topic:", TermRole.FIRST_LINE, "")),
        ('Put a last line at the end that starts with "P.S.".', Term("P.S.", TermRole.LAST_LINE, "")),
        ('The last line of your response must be "Over and out".', Term("Over and out", TermRole.WHOLE_LAST_LINE, "")),
        ('Use the word "cat" exactly twice.', None),
        ('Use the word "cat" in every sentence.', None),
        ('Use the words "cat" and "dog".', None),
        ('Do not use the word "the" more than twice.', None),
        ('Start each line with "Tip:".', None),
        ('Explain what the word "love" means.', None),
    ],
)
def test_a_named_text_is_read_only_if_it_is_all_that_is_asked(instruction: str, term: Term | None) -> None:
    assert read_term(instruction) == term


@pytest.mark.parametrize(
    ("instruction", "relations"),
    [
        ("Write at least 40 words.", {*ENDS, QUOTES, CASE}),
        ("Answer in exactly two sentences.", {*ENDS, QUOTES}),
        ("Write exactly three lines.", {*ENDS, QUOTES, CASE}),
        ("Use at most 100 characters.", set()),
        ("Do not use any spaces.", {NEWLINE, QUOTES}),
        ("Put a blank line after each sentence.", {SPACE, QUOTES}),
        ("End with a period.", {*ENDS, QUOTES}),
        ("End your response with a line break.", {SPACE, QUOTES}),
        ("Use no punctuation.", ENDS),
        ("Use no contractions.", ENDS),
        ("Put your whole answer in double quotation marks.", ENDS),
        ("Write the answer as a JSON object.", ENDS),
        ("Write a dialogue between two people.", ENDS),
        ('Use the word "perhaps" in your response.', {*ENDS, QUOTES, COMMA, CASE}),
        ('Use the word "Perhaps" in your response.', {*ENDS, QUOTES, COMMA}),
        ('Use the word "perhaps" in upper case.', {*ENDS, QUOTES, COMMA}),
        ('Use the word "perhaps", followed by a comma.', {*ENDS, QUOTES, CASE}),
        ("Mention the phrase 'it's late' in your answer.", ENDS),
        ('Include the hashtag "#tea".', {*ENDS, QUOTES}),
        ('Enclose it in the tags "<answer>" and "</answer>".', {*ENDS, QUOTES}),
        ('Do not use the word "the".', {*ENDS, QUOTES, COMMA, CASE}),
        ('Do not use the letter "k".', ENDS),
        ('The first word of your response must be "First".', {*ENDS, QUOTES, COMMA}),
        ("Write your whole response in lower case.", {*ENDS, QUOTES}),
        ("Write in the style of a pirate.", {*ENDS, QUOTES}),
        ("Antworte auf höchstens 40 Wörter beschränkt.", ENDS),
        ("请用不超过四十个字回答。", ENDS),
        ("Answer with a palindrome.", ENDS),
        ("Use ASCII only.", {NEWLINE}),
    ],
)
def test_a_relation_is_applied_unless_the_instruction_speaks_of_it(
    instruction: str, relations: set[FindingReason]
) -> None:
    texts = ["Tea isn't hot, she said.", "It's late."]
    assert {twin.reason for twin in make_twins(instruction, texts)} == relations


@pytest.mark.parametrize("unit", list(UNITS))
@pytest.mark.parametrize("count", [1, 2, 7, 40, 500])
def test_a_made_text_has_exactly_so_many(unit: str, count: int) -> None:
    text = make_text(unit, count)
    found = {
        "words": len(text.split()),
        "sentences": text.count("."),
        "paragraphs": len(text.split("\n\n")),
        "lines": len(text.split("\n")),
        "characters": len(text),
        "bullet points": sum(line.startswith("- ") for line in text.split("\n")),
        "question marks": text.count("?"),
        "exclamation marks": text.count("!"),
        "commas": text.count(","),
        "colons": text.count(":"),
        "semicolons": text.count(";"),
        "hyphens": text.count("-"),
        "numbered items": sum(line.split(".")[0].isdigit() for line in text.split("\n")),
    }
    assert found[unit] == count


@pytest.mark.parametrize(
    ("instruction", "obeys"),
    [
        ("Write at least 40 words.", lambda text: len(text.split()) >= 40),
        ("Write exactly three lines.", lambda text: len(text.splitlines()) == 3),
        ("Do not use any commas.", lambda text: "," not in text),
        ('Do not use the word "is".', lambda text: "is" not in text.split()),
        ('Use the letter "q".', lambda text: "q" in text),
        ('Start your answer with "Well".', lambda text: text.startswith("Well")),
        ('End your answer with "Bye!"', lambda text: text.endswith("Bye!")),
        ('Include a line that starts with "Tip:".', lambda text: "\nTip:" in text),
        ('The first line must start with "# ".', lambda text: text.startswith("# ")),
        ('Add a last line that starts with "P.S.".', lambda text: text.splitlines()[-1].startswith("P.S.")),
        ('The last line must be "Over and out".', lambda text: text.endswith("\nOver and out")),
        ("Your response must end with three dots.", lambda text: text.endswith("...")),
        ("Put your whole response in round brackets.", lambda text: (text[0], text[-1]) == ("(", ")")),
        ("Write your whole response in lower case.", str.islower),
        ("Answer in all caps.", str.isupper),
    ],
)
def test_one_side_of_an_edge_obeys_and_the_other_breaks(instruction: str, obeys) -> None:
    edges = make_edges(instruction)
    assert edges
    assert all(obeys(edge.obeys) and not obeys(edge.breaks) for edge in edges)


def test_what_is_forbidden_is_no_part_of_a_longer_word() -> None:
    assert any("unisly" in edge.obeys for edge in make_edges('Do not use the word "is".'))


@pytest.mark.parametrize(
    "instruction", ["", '"' * 100_000, "at least " * 10_000, "use the word " * 10_000, "a" * 100_000]
)
def test_any_instruction_is_read_in_linear_time(instruction: str) -> None:
    assert make_edges(instruction) == []
    make_twins(instruction, ["text"])
