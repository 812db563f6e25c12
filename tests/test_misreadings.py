"""Instructions that look like what the audit reads and ask for something else: nothing is concluded from them."""

import re
from itertools import combinations

import pytest

from autoif.faults.edges import make_edges
from autoif.vocabulary import get_emojis, get_headings, get_lines, get_sentences


@pytest.mark.parametrize(
    "instruction",
    [
        pytest.param('Avoid repeating "very".', id="a verb that isn't use"),
        pytest.param('Do not use lowercase "internet".', id="how it is written"),
        pytest.param('The first line must contain only "Tea".', id="only"),
        pytest.param('Each paragraph must start with a bold "Note".', id="bold"),
        pytest.param('The first word of your answer must be unlike "Hello".', id="unlike"),
        pytest.param('Use the title "My Day".', id="a title stands alone"),
        pytest.param('The heading "Tea" must appear.', id="so does a heading"),
        pytest.param('Include the line "Have a nice day".', id="so does a line"),
        pytest.param('Include the sentence "Tea is hot."', id="so does a sentence"),
        pytest.param('Include the question "Who came?".', id="so does a question"),
        pytest.param('Use the format "Name: ..., Age: ...".', id="a format"),
        pytest.param('Start with the line "Hello".', id="a first line"),
        pytest.param('Leave the placeholder "[NAME]".', id="to leave is to keep"),
        pytest.param('Don\'t start every sentence with "I".', id="not every"),
        pytest.param("Don't end each line with a comma.", id="not each"),
        pytest.param("All sentences must have at most 50 words in total.", id="together"),
        pytest.param("All paragraphs must have at most 50 words altogether.", id="altogether"),
        pytest.param("Write 3 or 5 sentences.", id="one or the other"),
        pytest.param("Write your answer over three lines.", id="spread over lines"),
        pytest.param("Go over 5 questions.", id="go over"),
        pytest.param("Answer at least two questions.", id="asked by others"),
        pytest.param("Write exactly three questions.", id="and nothing beside them"),
        pytest.param("Include at least two characters.", id="of a story"),
        pytest.param("Include a message of at most 10 words.", id="a message within"),
        pytest.param("Include text in Russian.", id="a text within"),
        pytest.param("List exactly 5 words.", id="a list of words"),
        pytest.param("Use at least 3 dashes.", id="which dashes"),
        pytest.param("Use capital letters.", id="some of them"),
        pytest.param("Put your final answer in square brackets.", id="the final answer"),
        pytest.param("Put your answer in square brackets.", id="the answer alone"),
        pytest.param("Your final answer must have at most 5 words.", id="a final answer's length"),
        pytest.param("Write at least 3 sections separated by ***.", id="a limit beside a form"),
        pytest.param("Write up to 3 paragraphs separated by ***.", id="up to"),
        pytest.param('Start and end with the same word, "tea".', id="a text beside a form"),
        pytest.param('Answer in French with "Oui".', id="a text beside a language"),
        pytest.param("Start with a question mark.", id="a mark"),
        pytest.param("Write a title and use at most 5 words.", id="a title that may not count"),
        pytest.param("You should not use commas and end with a period.", id="how far a not reaches"),
        pytest.param("Write at most 10 words, no capital letters.", id="a second thing at the end"),
        pytest.param('Start with "Yes"; no other words are allowed.', id="nothing else"),
        pytest.param("Answer in German format.", id="a format of a country"),
        pytest.param("Do not use punctuation in the list.", id="somewhere only"),
        pytest.param("Do not use line breaks inside paragraphs.", id="line breaks of paragraphs"),
        pytest.param("Use only capital letters for headings.", id="letters of headings"),
        pytest.param("Use only letters and emojis.", id="a kind that isn't known"),
        pytest.param("Write a number between 1 and 10.", id="a number that is the answer"),
        pytest.param("Write exactly five numbers.", id="numbers and nothing beside them"),
        pytest.param("Include a number of examples.", id="a number of"),
        pytest.param("Include the numbers 1 through 5.", id="a range of numbers"),
        pytest.param("Use the number 5 times.", id="no number that is named"),
        pytest.param("Do not use numbers for the steps.", id="numbers of steps"),
        pytest.param("Answer on one line, then explain.", id="one line first"),
        pytest.param("Use bullet points for the main ideas.", id="bullet points for some of it"),
        pytest.param("Start each line with a number followed by a period.", id="a number in a form"),
        pytest.param("Begin every sentence with a capital letter except the last.", id="an exception"),
        pytest.param("Write the title in bold and the rest in italics.", id="the rest"),
        pytest.param("Include a heading for each section.", id="a heading for each"),
        pytest.param('Answer "yes" or "no" and explain why.', id="an explanation as well"),
        pytest.param('The second word of each line must be "is".', id="a word of each line"),
        pytest.param('Write the word "tea" in bold twice.', id="how often it is bold"),
        pytest.param("Use exactly one question mark per paragraph.", id="per paragraph"),
        pytest.param("Your answer must be a question about tea.", id="about what"),
        pytest.param("Use a dash of humour.", id="a dash of"),
        pytest.param("Include a slash command.", id="a slash command"),
        pytest.param("Use a colon after each name.", id="a colon after each"),
        pytest.param("Do not use bold claims.", id="bold claims"),
        pytest.param("Start with a capital city.", id="a capital that is a city"),
        pytest.param("Do not leave any questions unanswered.", id="to leave unanswered"),
        pytest.param("Do not use lists of more than five items.", id="long lists"),
        pytest.param("Each line must contain a number and a word.", id="a number and more"),
        pytest.param("Put one line between the answers.", id="a line between"),
        pytest.param("Keep one line between answers.", id="a line kept between"),
        pytest.param("Write all numbers as words in the list.", id="numbers of a list"),
        pytest.param("Use a year in the answer format.", id="a year in a format"),
        pytest.param("Do not be bold.", id="to be bold"),
        pytest.param("Do not leave questions.", id="to leave questions"),
        pytest.param("Each line must have a number.", id="to have a number is to be numbered"),
        pytest.param("Use only capital letters or lowercase letters.", id="of one kind or of both"),
        pytest.param("Use only capital letters or digits.", id="all of one kind"),
        pytest.param("Use the number 12 in full.", id="a number written out"),
        pytest.param("Use the name 'USA' in long form.", id="a name written out"),
        pytest.param("Do not use a single quotation mark.", id="single quotation marks"),
        pytest.param("Do not use a single line break.", id="double line breaks"),
        pytest.param("List at least ten characters.", id="a list of those of a story"),
        pytest.param("Mention at least two periods.", id="periods of history"),
        pytest.param("Put the total in one line.", id="one line of more"),
        pytest.param("Put the answer in one sentence.", id="one sentence of more"),
        pytest.param("Include the message in one sentence.", id="a sentence with a message"),
        pytest.param("Use one word of the text.", id="a word of more"),
        pytest.param("Each word must be unique to you.", id="unique to somebody"),
        pytest.param("End with an exclamation mark and then add an emoji.", id="what follows the end"),
        pytest.param("No line breaks, but use blank lines between paragraphs.", id="but: line breaks"),
        pytest.param("Do not leave blank lines, but leave a blank line between paragraphs.", id="but: blank lines"),
        pytest.param("Do not use any punctuation, but end with a full stop.", id="but: a full stop"),
        pytest.param('Do not use special characters but include the symbol "@".', id="but: a symbol"),
        pytest.param("Use no headings but start with a heading.", id="but: a heading"),
        pytest.param("Do not use question marks but end with a question.", id="but: a question"),
        pytest.param("Use one sentence to explain.", id="one of more sentences"),
        pytest.param("Use one word from the list.", id="a word of a list"),
        pytest.param("Limit it to one line per item.", id="one line an item"),
        pytest.param("There should be no commas after names.", id="commas after names"),
        pytest.param("Every word must be in lowercase except names.", id="names may have capitals"),
        pytest.param("Do not capitalize any words except names.", id="likewise"),
        pytest.param("The first letter of each word must be bold.", id="bold letters"),
        pytest.param("Use plain text for the table.", id="plain text of a table"),
        pytest.param("Put a comma between paragraphs.", id="no divider"),
        pytest.param('Include the word "sun" in bold at the top.', id="a place as well"),
        pytest.param("Use a question mark at least once per paragraph.", id="once per paragraph"),
        pytest.param("Make every line rhyme.", id="rhyme"),
        pytest.param("Don't repeat words from the question.", id="words of the question"),
        pytest.param("Do not use any word twice in a sentence.", id="twice in a sentence"),
        pytest.param("Start each bullet point with a number.", id="a numbered list, perhaps"),
        pytest.param("Include a word of thanks.", id="a word of"),
        pytest.param("Put a line break after each sentence of the quote.", id="sentences of a quote"),
        pytest.param("Keep all names lowercase.", id="names"),
        pytest.param("Limit the number of commas to three per line.", id="commas a line"),
    ],
)
def test_nothing_is_concluded_from_what_only_looks_plain(instruction: str) -> None:
    assert make_edges(instruction) == []


@pytest.mark.parametrize(
    ("instruction", "ways"),
    [
        ('Use "tea" but never "coffee".', [lambda text: "tea" in text and "coffee" not in text]),
        ('Use "e" at most 3 times.', [lambda text: text.lower().count("e") <= 3,
                                      lambda text: text.split().count("e") <= 3]),
        ('Every sentence must contain the word "on".', [lambda text: all(" on " in each for each in text.split(". "))]),
        ('Every sentence must contain the letter "e".', [lambda text: all("e" in each for each in text.split(". "))]),
        ('No sentence may start with "Rain".', [lambda text: "Rain" not in [each[:4] for each in text.split(". ")]]),
        ('The first line must start with "Rain".', [lambda text: text.startswith("Rain")]),
        ('Include the word "in".', [lambda text: "in" in text, lambda text: " in " in text]),
        ("Do not use dashes.", [lambda text: "-" not in text, lambda text: "—" not in text]),
        ("Use at least two hyphens.", [lambda text: text.count("-") > 1, lambda text: text.count("l-o") > 1]),
        ("Use bold for exactly three words.", [lambda text: text.count("**") == 6,
                                               lambda text: " ".join(text.split("**")[1::2]).count(" ") == 2]),
        ("Write in title case.", [str.istitle, lambda text: " On " not in text and text.istitle()]),
        ("Begin every sentence with a capital letter.", [
            lambda text: all(each[0].isupper() for each in get_sentences(text)),
            lambda text: all(each[0].isupper() for each in text.split(". "))]),
        ("Use only lowercase letters.", [str.islower, lambda text: text.isalpha() and text == text.lower()]),
        ("Do not use any numbers.", [lambda text: not re.search(r"\d|\b(?:one|two|seven)\b", text),
                                     lambda text: not re.search(r"\d", text)]),
        ("Your response must contain a number.", [lambda text: bool(re.search(r"\d|\bseven\b", text)),
                                                  lambda text: bool(re.search(r"\b\d+\b", text))]),
        ("Start every line with a number.", [lambda text: all(each[0].isdigit() for each in text.split("\n")),
                                             lambda text: all(each.split()[0].isdigit() for each in get_lines(text))]),
        ("Do not use any punctuation.", [lambda text: not re.search(r"[^\w\s'-]", text), lambda text: not re.search(
            r"[^\w\s]", text)]),
        ("Use a dash.", [lambda text: "-" in text, lambda text: "—" in text, lambda text: " – " in text]),
        ("Write all numbers as words.", [lambda text: not re.search(r"\d", text),
                                         lambda text: not re.search(r"\d", text) and "seven" in text.lower()]),
        ("Use a heading.", [lambda text: len(get_headings(text)) == 1, lambda text: len(get_headings(text)) > 0]),
        ("Use some headings.", [lambda text: len(get_headings(text)) > 1]),
        ("Use a comma.", [lambda text: text.count(",") == 1, lambda text: "," in text]),
        ("Include an emoji.", [lambda text: len(get_emojis(text)) == 1, lambda text: len(get_emojis(text)) > 0]),
        ("Use some commas.", [lambda text: text.count(",") > 0, lambda text: text.count(",") > 2]),
        ("Include some links.", [lambda text: "http" in text, lambda text: text.count("http") > 2]),
        ("Use a comma in every sentence.", [lambda text: all(each.count(",") == 1 for each in get_sentences(text)),
                                            lambda text: all(", " in each for each in get_sentences(text))]),
        ("Capitalize the first word of every line.", [
            lambda text: all(each.split()[0].isupper() for each in get_lines(text)),
            lambda text: all(each.split()[0].istitle() for each in get_lines(text))]),
        ("Each line must contain a digit.", [
            lambda text: all(len(re.findall(r"\d", each)) == 1 for each in get_lines(text))]),
        ('Do not end with "Thanks!".', [lambda text: not text.endswith("Thanks!"),
                                       lambda text: not re.search(r"\bThanks!$", text)]),
        ('Use at most 5 words and end with "Bye."', [lambda text: text.count(" ") < 5 and text.endswith(" Bye.")]),
    ],
)  # fmt: skip
def test_both_sides_hold_however_one_counts(instruction: str, ways) -> None:
    edges = [edge for edge in make_edges(instruction) if edge.obeys is not None]
    assert edges
    for way in ways:
        assert [edge for edge in edges if not way(edge.obeys) or way(edge.breaks)] == []


@pytest.mark.parametrize(
    ("instruction", "follows"),
    [
        ("Use no punctuation and end with a period.", "Rain fell."),
        ("Do not use any punctuation. End with a full stop.", "Rain fell on small farms while old dogs slept."),
        ("Do not use line breaks. Leave a blank line between paragraphs.", "Rain fell.\n\nOld dogs slept."),
        ('Do not use special characters. Use the symbol "@".', "Rain fell @ farms"),
    ],
)
def test_no_text_that_another_sentence_allows_is_said_to_break_what_is_forbidden(instruction: str, follows) -> None:
    marks = set(re.findall(r"[^\w\s]|\n+", follows))
    broken = [edge.breaks for edge in make_edges(instruction)]
    assert [text for text in broken if marks == set(re.findall(r"[^\w\s]|\n+", text)) and text[-1] == follows[-1]] == []


KINDS = ("capital letters", "lowercase letters", "letters", "numbers", "spaces", "punctuation")


@pytest.mark.parametrize("kinds", [each for size in (1, 2, 3, 6) for each in combinations(KINDS, size)])
def test_whatever_kinds_of_characters_are_allowed_can_be_read(kinds) -> None:
    instruction = f"Use only {' and '.join(kinds)}."
    assert all(edge.obeys != edge.breaks for edge in make_edges(instruction))
