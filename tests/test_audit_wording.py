"""What the words of an instruction allow to conclude, and that nothing is concluded where they say more."""

import re

import pytest

from autoif.faults.counts import UNITS, Count, read_count
from autoif.faults.edges import make_edges
from autoif.faults.metamorphic import make_twins
from autoif.faults.parts import Marked, Place, Sized, read_part
from autoif.faults.reasons import FindingReason
from autoif.faults.texts import make_text
from autoif.faults.things import THINGS
from autoif.faults.variants import say_counted
from autoif.faults.wording import Term, TermRole, read_terms
from autoif.vocabulary import count_word, get_sentences, has_word, is_json, read_json
from support.edges import check_sides

SPACE, NEWLINE, QUOTES = FindingReason.TRAILING_SPACE, FindingReason.FINAL_NEWLINE, FindingReason.CURLY_QUOTES
COMMA, CASE = FindingReason.WORD_PUNCTUATION, FindingReason.LETTER_CASE
ENDS = {SPACE, NEWLINE}


@pytest.mark.parametrize(
    ("instruction", "count"),
    [
        ("Write at least 40 words.", Count(40, None, "words")),
        ("Your response should contain at least three hundred words", Count(300, None, "words")),
        ("Use no more than twenty-five words.", Count(None, 25, "words")),
        ("Write under a hundred and ten words.", Count(None, 109, "words")),
        ("Write a text of at least 1,000 characters.", Count(1000, None, "characters")),
        ("Your text must not be longer than 60 words.", Count(None, 60, "words")),
        ("Limit your response to 2 paragraphs.", Count(None, 2, "paragraphs")),
        ("Keep your answer between 25 and 35 words long.", Count(25, 35, "words")),
        ("Your answer should be 3 to 5 sentences long.", Count(3, 5, "sentences")),
        ("Use 3-4 bullet points.", Count(3, 4, "bullet points")),
        ("Write at least 40 words, but no more than 80 words.", Count(40, 80, "words")),
        ("Write over 10 but under 20 lines.", Count(11, 19, "lines")),
        ("Answer in a single sentence.", Count(1, 1, "sentences")),
        ("Answer with one word.", Count(1, 1, "words")),
        ("Do not ask any questions.", Count(None, 0, "questions")),
        ("In your response, refrain from the use of any commas.", Count(None, 0, "commas")),
        ("Your response must not contain parentheses.", Count(None, 0, "parentheses")),
        ("Use at least two parentheses.", None),
        ("Use three hashtags.", Count(3, None, "hashtags", usual=3)),
        ('Use the word "tea" three times.', Count(3, None, "word", "tea", usual=3)),
        ("Include four numbered steps, at least.", Count(4, None, "numbered items")),
        ('Do not use the word "tea" three times.', None),
        ('Mention the word "garden" at least twice.', Count(2, None, "word", "garden")),
        ("Use the letter z between 2 and 4 times.", Count(2, 4, "letter", "z")),
        ('Do not use the word "the" more than twice.', Count(None, 2, "word", "the")),
        ("In your response, the word singles should appear at least 3 times.", Count(3, None, "word", "singles")),
        ('Use the word "tea" at least twice in each line.', None),
        ('Use the word "tea" at least twice and the word "milk" once.', None),
        ('Do not use the word "tea" exactly twice.', None),
        ("Write at least 40 words in one paragraph.", None),
        ("Use at least 3 or 4 commas.", None),
        ("Write one sentence of exactly 12 words.", None),
        ("Answer in no more than ten words.", Count(None, 10, "words")),
        ("Answer in fewer than five words.", Count(None, 4, "words")),
        ("Use more than two exclamation marks.", Count(3, None, "exclamation marks")),
        ("Do not use more than 3 commas.", Count(None, 3, "commas")),
        ("Do not use any commas in your response.", Count(None, 0, "commas")),
        ("Your answer must be 5 sentences or less in total.", Count(None, 5, "sentences")),
        ("Write exactly two paragraphs, with a blank line between them.", Count(2, 2, "paragraphs")),
        ("Keep your response under 60 characters.", Count(None, 59, "characters")),
        ("There should be exactly 4 bullet points.", Count(4, 4, "bullet points")),
        ('Answer with a numbered list of exactly five items, from "1." to "5.".', Count(5, 5, "numbered items")),
        ("Give a numbered list of at least 3 points.", Count(3, None, "numbered items")),
        ("Give a numbered list of at least 3 points in two sentences each.", None),
        ("Each paragraph must have exactly 2 sentences.", None),
        ("Write in sentences with exactly 10 words.", None),
        ("Write a poem of at least 5 lines.", None),
        ("Use at least 3 lines and 5 words.", None),
        ("Answer in 3 sentences.", None),
        ("The response can include more than one question mark.", None),
        ("Start with a title of at most 5 words.", None),
        ("Write at least 40 words that begin with the letter s.", None),
        ("Schreibe mindestens 40 Wörter.", None),
    ],
)
def test_a_number_is_read_only_if_it_is_all_that_is_asked(instruction: str, count: Count | None) -> None:
    assert read_count(instruction) == count


@pytest.mark.parametrize(
    ("instruction", "terms"),
    [
        ('Use the word "perhaps" in your response.', (Term("perhaps", TermRole.USE, "word"),)),
        ("Include the phrase 'for example' in your answer.", (Term("for example", TermRole.USE, "phrase"),)),
        ('Do not use the word "the".', (Term("the", TermRole.AVOID, "word"),)),
        ("Avoid using the letter “k” in your response.", (Term("k", TermRole.AVOID, "letter"),)),
        ('Start your answer with the label "Reply:".', (Term("Reply:", TermRole.START, "label"),)),
        ('Begin with the phrase "In short,".', (Term("In short,", TermRole.START, "phrase"),)),
        ("End with three dots.", (Term("...", TermRole.END, "mark"),)),
        ('The first word of your response must be "First".', (Term("First", TermRole.START, "word"),)),
        ('Finish your answer with the word "Done."', (Term("Done.", TermRole.END, "word"),)),
        ("Your response must end with a question mark.", (Term("?", TermRole.END, "mark"),)),
        ('Include a line that starts with "Tip:".', (Term("Tip:", TermRole.ANY_LINE, ""),)),
        ('The first line of your response must start with "Topic:".', (Term("Topic:", TermRole.FIRST_LINE, ""),)),
        ('Put a last line at the end that starts with "P.S.".', (Term("P.S.", TermRole.LAST_LINE, ""),)),
        (
            'The last line of your response must be "Over and out".',
            (Term("Over and out", TermRole.WHOLE_LAST_LINE, ""),),
        ),
        ('Use the word "cat" exactly twice.', ()),
        ('Use the word "cat" in every sentence.', ()),
        ('Do not use the word "the" more than twice.', ()),
        ("Don't use the word 'can't'.", (Term("can't", TermRole.AVOID, "word"),)),
        ("Do not use the letter e.", (Term("e", TermRole.AVOID, "letter"),)),
        ('The word "tea" must not appear.', (Term("tea", TermRole.AVOID, "word"),)),
        ('Include all of the following words: "a", "b", and "c".', tuple(Term(x, TermRole.USE, "word") for x in "abc")),
        ('Never mention "Rome" or "Paris".', tuple(Term(x, TermRole.AVOID, "") for x in ("Rome", "Paris"))),
        ('Begin with "Yes" or "No".', tuple(Term(x, TermRole.START, "") for x in ("Yes", "No"))),
        ('Use the word "cat" or "dog".', ()),
        ('Do not use both "cat" and "dog".', ()),
        ('Start with "cat" and "dog".', ()),
        ('Start each line with "Tip:".', ()),
        ('Explain what the word "love" means.', ()),
    ],
)
def test_a_named_text_is_read_only_if_it_is_all_that_is_asked(instruction: str, terms: tuple[Term, ...]) -> None:
    assert read_terms(instruction) == terms


@pytest.mark.parametrize(
    ("instruction", "part"),
    [
        ('Each line must start with the symbol ">".', Marked(">", Place.START, "line")),
        ('Begin each paragraph with the word "Once".', Marked("Once", Place.START, "paragraph")),
        ("Every sentence must end with an exclamation mark.", Marked("!", Place.END, "sentence")),
        ('Use the word "ocean" in every sentence.', Marked("ocean", Place.INSIDE, "sentence")),
        ('The second paragraph must start with "But".', Marked("But", Place.START, "paragraph", 2)),
        ('Do not start any sentence with "I".', Marked("I", Place.START, "sentence", never=True)),
        ("Each sentence must have fewer than six words.", Sized("sentence", Count(None, 5, "words"))),
        ("Write no sentence longer than ten words.", Sized("sentence", Count(None, 10, "words"))),
        ("Every paragraph must contain exactly two sentences.", Sized("paragraph", Count(2, 2, "sentences"))),
        ('At least one line must start with "Tip:".', Marked("Tip:", Place.START, "line", some=True)),
        ('The word "tea" must appear in the last line.', Marked("tea", Place.INSIDE, "line", -1)),
        ("The first paragraph must have exactly two sentences.", Sized("paragraph", Count(2, 2, "sentences"), 1)),
        ("Each line must be at most 50 characters.", Sized("line", Count(None, 50, "characters"))),
        ("Each sentence must contain at least one hashtag.", Sized("sentence", Count(1, None, "hashtags"))),
        ("Each sentence must contain at least one link.", None),
        ("Each paragraph must contain at least one code block.", None),
        ('Every sentence must end with the word "so".', None),
        ("Every sentence must contain an exclamation mark.", None),
        ("Every sentence must contain exactly two paragraphs.", None),
        ('Each line must start with ">" or "-".', None),
        ('Each line must start with ">", the last with "-".', None),
        ("Each line must rhyme with the next.", None),
    ],
)
def test_what_each_part_must_be_is_read_only_if_it_is_all_that_is_asked(
    instruction: str, part: Marked | Sized | None
) -> None:
    assert read_part(instruction) == part


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


def test_one_of_a_kind_is_told_in_the_singular() -> None:
    said = {say_counted(1, Count(1, 1, unit)) for unit in [*UNITS, *THINGS]}
    assert said >= {
        "1 line",
        "1 e-mail address",
        "1 https link",
        "1 number in digits",
        "1 time of day",
        "1 parenthesis",
    }
    nouns = {re.split(" (?:in|of|with) ", each)[0] for each in said}
    assert {noun for noun in nouns if noun.endswith("s")} == {"1 e-mail address", "1 parenthesis"}


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
        "dash signs": text.count("—"),
        "periods": text.count("."),
        "ellipsis signs": text.count("..."),
        "apostrophes": text.count("'"),
        "asterisks": text.count("*"),
        "ampersands": text.count("&"),
        "percent signs": text.count("%"),
        "dollar signs": text.count("$"),
        "slash signs": text.count("/"),
        "numbered items": sum(line.split(".")[0].isdigit() for line in text.split("\n")),
        "list items": sum(line.startswith("- ") for line in text.split("\n")),
        "questions": text.count("?"),
        "emojis": text.count("\U0001f642"),
        "digits": sum(map(str.isdigit, text)),
        "parentheses": text.count("("),
        "quotation marks": text.count('"') // 2,
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
        ('The last line must be "Over and out".', lambda text: text.splitlines()[-1] == "Over and out"),
        ("Your response must end with three dots.", lambda text: text.endswith("...")),
        ("Put your whole response in round brackets.", lambda text: (text[0], text[-1]) == ("(", ")")),
        ("Write your whole response in lower case.", str.islower),
        ("Answer in all caps.", str.isupper),
        ("Do not use any capital letters.", str.islower),
        ("Answer with a JSON object.", is_json),
        ("Write two or three sentences.", lambda text: 2 <= len(re.split(r"[.!?]+", text)) - 1 <= 3),
        ('Use the word "tea" exactly twice.', lambda text: count_word(text, "tea") == 2),
        ("Use the letter o at most twice.", lambda text: text.count("o") <= 2),
        ('Do not use the words "is" and "are".', lambda text: not has_word(text, "is") and not has_word(text, "are")),
        ('Use the letters "q" and "z".', lambda text: "q" in text and "z" in text),
        ('Start with "Well" or "So".', lambda text: text.startswith(("Well", "So"))),
        ("End with a period.", lambda text: text.endswith(".")),
        ('Start each line with ">".', lambda text: all(line.startswith(">") for line in text.splitlines())),
        ("Every line must end with a comma.", lambda text: all(line.endswith(",") for line in text.splitlines())),
        ("Every sentence must contain a comma.", lambda text: all("," in each for each in get_sentences(text))),
        ('No sentence may start with "we".', lambda text: "We" not in text),
        ('The last paragraph must start with "So".', lambda text: text.split("\n\n")[-1].startswith("So")),
        ("No line may have more than 4 words.", lambda text: all(len(x.split()) <= 4 for x in text.splitlines())),
    ],
)
def test_one_side_of_an_edge_obeys_and_the_other_breaks(instruction: str, obeys) -> None:
    edges = make_edges(instruction)
    assert edges
    assert all(obeys(edge.obeys) and not obeys(edge.breaks) for edge in edges)


def test_what_is_forbidden_is_no_part_of_a_longer_word() -> None:
    assert any("unisly" in edge.obeys for edge in make_edges('Do not use the word "is".'))


@pytest.mark.parametrize(
    "instruction",
    [
        "",
        '"' * 100_000,
        "at least " * 10_000,
        "use the word " * 10_000,
        "a" * 100_000,
        "words: " + "a, " * 300,
        "use " * 249,
    ],
)
def test_any_instruction_is_read_in_linear_time(instruction: str) -> None:
    assert make_edges(instruction) == []
    make_twins(instruction, ["text"])


@pytest.mark.parametrize(
    ("instruction", "obeys"),
    [
        ("I'd like this kept short: no more than 60 words, please.", lambda text: len(text.split()) <= 60),
        ("Stay somewhere between 3 and 5 words.", lambda text: 3 <= len(text.split()) <= 5),
        ("Don't go past four sentences.", lambda text: len(get_sentences(text)) <= 4),
        ('The terms "cheap" and "costly" are off limits.', lambda text: not re.search(r"\b(cheap|costly)\b", text)),
        ("Include keywords ['tea', 'milk'] in the response.", lambda text: "tea" in text and "milk" in text),
        ('The word "river" should come up exactly twice.', lambda text: count_word(text, "river") == 2),
        ('Leave the word "very" out of it.', lambda text: not has_word(text, "very")),
        ("No exclamation marks anywhere.", lambda text: "!" not in text),
        ("The final line must read 'The End'.", lambda text: text.endswith("\nThe End")),
        ("Start every line with a dash and a space.", lambda text: all(x.startswith("- ") for x in text.split("\n"))),
        ("Your entire response should be in English, and in all capital letters.", str.isupper),
        (
            "Give exactly 2 bullet points in markdown format, such as: * This is one.",
            lambda text: text.count("* ") == 2,
        ),
        ("Include at least three hashtags.", lambda text: len(re.findall(r"#\w", text)) >= 3),
        ("Include an email address.", lambda text: "@example" in text or "@mail" in text),
        (
            "The response must contain at least 3 placeholders represented by square brackets, such as [address].",
            lambda text: len(re.findall(r"\[\w+\]", text)) >= 3,
        ),
        ("Your answer must contain a title, wrapped in double angular brackets, such as <<joy>>.", lambda t: "<<" in t),
        ("Put at least one remark in round brackets.", lambda text: bool(re.search(r"\(.+\)", text))),
        ("Put at least one word in backticks.", lambda text: bool(re.search(r"`\w+`", text))),
        (
            "Highlight at least one word in italics, with * on both sides of it.",
            lambda text: bool(re.search(r"(?<!\*)\*\w+\*(?!\*)", text)),
        ),
        (
            "Include at least one word that is written entirely in capital letters.",
            lambda text: bool(re.search(r"\b[A-Z]{2,}\b", text)),
        ),
        (
            'Separate the two parts of your answer with a line that holds only "***".',
            lambda text: text.splitlines().count("***") == 1,
        ),
        (
            'Reply with a JSON object that has the keys "a" and "b".',
            lambda text: set(read_json(text) or ()) >= {"a", "b"},
        ),
        ("Mention a date in the format YYYY-MM-DD.", lambda text: bool(re.search(r"\d{4}-\d\d-\d\d", text))),
        ("Put your answer inside <a> and </a> tags.", lambda text: text.startswith("<a>") and text.endswith("</a>")),
        ("Give two responses, separated by ******.", lambda text: len(text.split("******")) == 2),
        (
            'Write a JSON object with exactly the keys "a" and "b".',
            lambda text: set(read_json(text) or ()) == {"a", "b"},
        ),
        ("No word should be longer than seven letters.", lambda text: max(map(len, re.findall(r"\w+", text))) <= 7),
        ("Respond entirely in Russian.", lambda text: not re.search("[a-z]", text)),
        (
            "Use at least 20 words and end with a question mark.",
            lambda text: len(text.split()) >= 20 and text.endswith("?"),
        ),
        (
            "Include the word 'coffee' but never the word 'tea'.",
            lambda t: has_word(t, "coffee") and not has_word(t, "tea"),
        ),
        ("Write in lowercase and use no more than 30 words.", lambda t: t == t.lower() and len(t.split()) <= 30),
        (
            "Use exactly 4 bullet points; each must end with a period.",
            lambda text: text.count("- ") == 4 and all(line.endswith(".") for line in text.split("\n")),
        ),
        ("Write in the first person, and use at least 3 commas.", lambda text: text.count(",") >= 3),
    ],
)
def test_other_wordings_forms_and_several_things_have_both_sides(instruction: str, obeys) -> None:
    check_sides(make_edges(instruction), obeys)


def _parts(text: str, joint: str = "\n") -> list[str]:
    return text.removeprefix("- ").split(joint)


@pytest.mark.parametrize(
    ("instruction", "obeys"),
    [
        ("Write everything on one line without line breaks.", lambda text: "\n" not in text),
        ("Put each sentence on its own line.", lambda text: all(x.count(".") == 1 for x in _parts(text))),
        ("Leave a blank line between paragraphs.", lambda text: "\n\n" in text),
        ("Begin every sentence with a capital letter.", lambda text: all(x[0].isupper() for x in get_sentences(text))),
        ("Each line must begin with a number.", lambda text: all(x[0].isdigit() for x in _parts(text))),
        ("All bullet points must start with a vowel.", lambda text: all(x[0] in "AEO" for x in _parts(text, "\n- "))),
        ("Every word must begin with a lowercase letter.", str.islower),
        ("Every line must contain a number.", lambda text: all(re.search(r"\d", x) for x in _parts(text))),
        ("The first character must be a digit.", lambda text: text[0].isdigit()),
        ("Your response must start with the letter B.", lambda text: text[0] == "B"),
        ("The last sentence must end with an exclamation mark.", lambda text: text[-1] == "!"),
        ("End your response with a question.", lambda text: text[-1] == "?"),
        ("Write only questions.", lambda text: not re.search(r"[.!]", text)),
        ("Include at least three lowercase words.", lambda text: len(re.findall(r"\b[a-z]+\b", text)) >= 3),
        ("Use exactly two capital letters.", lambda text: len(re.findall("[A-Z]", text)) == 2),
        ("Use only uppercase letters and numbers.", lambda text: text.isupper() and text.isalnum()),
        ("Use only lowercase letters and spaces.", lambda text: bool(re.fullmatch("[a-z ]+", text))),
        ("Answer with digits only.", str.isdigit),
        ("The first word must be in all caps.", lambda text: text.split()[0].isupper()),
        ("Avoid all punctuation.", lambda text: not re.search(r"[^\w\s]", text)),
        ("Use no punctuation other than periods.", lambda text: not re.search(r"[^\w\s.]", text)),
        ("Do not end with a period.", lambda text: text[-1] != "."),
        ('Do not begin with the word "The".', lambda text: not text.startswith("The")),
        ('Start and end with "tea".', lambda text: text.split()[0] == text.split()[-1] == "tea"),
        ("Use exactly one question mark.", lambda text: text.count("?") == 1),
        ("Use an ellipsis at most twice.", lambda text: text.count("...") <= 2),
        ("Your answer must contain a colon.", lambda text: ":" in text),
        ("Include the number 7 at least twice.", lambda text: text.count("7") >= 2),
        ("Do not use the number 4.", lambda text: "4" not in text),
        ("Include exactly two numbers.", lambda text: len(re.findall(r"\d+", text)) == 2),
        ('Do not use the "&" symbol.', lambda text: "&" not in text),
        ('The second word must be "is".', lambda text: text.split()[1] == "is"),
        ('Write the word "tea" in bold.', lambda text: "**tea**" in text),
        ("Separate the paragraphs with ***", lambda text: "***" in text),
        ("Write the title in bold.", lambda text: text.startswith("**")),
        ("Use bullet points.", lambda text: all(x.startswith("- ") for x in text.split("\n"))),
        ("Separate the items with semicolons.", lambda text: ";" in text),
        ("Do not use words longer than six letters.", lambda t: max(map(len, re.findall(r"\w+", t))) <= 6),
        ('Answer only "yes" or "no".', lambda text: text in {"yes", "no"}),
        ("Your answer should fit on one line.", lambda text: "\n" not in text),
        ("Make every new line end with a semicolon.", lambda text: all(x.endswith(";") for x in _parts(text))),
        ("Make sure the first letter is capitalized.", lambda text: text[0].isupper()),
        ("All letters must be uppercase.", str.isupper),
        ("There should be no numbers in your response.", lambda text: not re.search(r"\d", text)),
        ("Use commas at least three times.", lambda text: text.count(",") >= 3),
        ('Make "green" the second word.', lambda text: text.split()[1] == "green"),
        ("Put three asterisks between paragraphs.", lambda text: "\n***\n" in text),
        ("Keep your response to a single paragraph.", lambda text: "\n\n" not in text),
        ("Respond with a number only.", str.isdigit),
        ("Each sentence must start with a different word.", lambda text: text.count("Rain") < 2),
    ],
)
def test_the_commonest_wordings_have_both_sides(instruction: str, obeys) -> None:
    check_sides(make_edges(instruction), obeys)


@pytest.mark.parametrize(
    ("instruction", "obeys"),
    [
        ("Explain it in exactly three sentences.", lambda text: len(get_sentences(text)) == 3),
        ("Answer in two paragraphs.", lambda text: len(text.split("\n\n")) == 2),
        ("Aim for 20-30 words.", lambda text: 20 <= len(text.split()) <= 30),
        ("The word count must be between 20 and 30, inclusive.", lambda text: 20 <= len(text.split()) <= 30),
        ("Your letter has to be 25+ words.", lambda text: len(text.split()) >= 25),
        ("Give a two-sentence answer.", lambda text: len(get_sentences(text)) == 2),
        ("YOUR REPLY SHOULD BE IN ALL CAPS.", str.isupper),
        ("Make sure your response is in lower case.", str.islower),
        ("Ensure each paragraph starts with 'Well'.", lambda t: all(x.startswith("Well") for x in t.split("\n\n"))),
        (
            "Use the following words: tea, milk and jam.",
            lambda text: all(has_word(text, x) for x in ("tea", "milk", "jam")),
        ),
        ("Pick one of these options: tea, milk, jam.", lambda text: text in {"tea", "milk", "jam"}),
        ("Use either 'tea' or 'milk'.", lambda text: has_word(text, "tea") or has_word(text, "milk")),
        ("Use the words 'tea', 'jam' and 'milk' in this order.", lambda text: bool(re.search("tea.*jam.*milk", text))),
        ("None of the lines may be longer than 30 characters.", lambda t: all(len(x) <= 30 for x in t.split("\n"))),
        ("All list items must end with a comma.", lambda text: all(x.endswith(",") for x in _parts(text))),
        ("Make the first line a single word.", lambda text: len(text.split("\n")[0].split()) == 1),
        (
            "Every sentence must include at least two hashtags.",
            lambda t: all(x.count("#") > 1 for x in get_sentences(t)),
        ),
        (
            "The first letters of your lines must spell 'MOON'.",
            lambda t: "".join(x[0] for x in t.split("\n")) == "MOON",
        ),
        ("Use at least six different words.", lambda text: len({*text.lower().strip(".").split()}) >= 6),
        ("Include a SQL code block.", lambda text: "```sql\nx" in text),
        ("End with two hashtags.", lambda text: bool(re.search(r"#\w+ #\w+$", text))),
        ("Bold at least one phrase.", lambda text: bool(re.search(r"\*\*\w[\w ]*\*\*", text))),
        (
            "Write three lines, each ending with a comma.",
            lambda t: t.count("\n") == 2 and all(x[-1:] == "," for x in _parts(t)),
        ),
        ("Write at least 9 words without using commas.", lambda text: len(text.split()) >= 9 and "," not in text),
        ("Use two bullet points and end with a question.", lambda text: text.count("- ") == 2 and text.endswith("?")),
        ("Avoid colons and commas.", lambda text: not re.search("[:,]", text)),
        ("Say 'tea' at least twice.", lambda text: count_word(text, "tea") >= 2),
        (
            "Your answer must contain neither 'tea' nor 'jam'.",
            lambda t: not has_word(t, "tea") and not has_word(t, "jam"),
        ),
        ("Keep each paragraph to three sentences or fewer.", lambda t: all(x.count(".") < 4 for x in t.split("\n\n"))),
        ("Your response cannot contain the word 'tea'.", lambda text: not has_word(text, "tea")),
        ("Your response must include a question.", lambda text: "?" in text),
        ("Only use words that have fewer than 8 letters.", lambda t: max(map(len, re.findall(r"\w+", t))) < 8),
        ("Write your answer in Dutch.", lambda text: " de " in text and " the " not in text),
    ],
)
def test_what_people_write_for_the_same_has_both_sides(instruction: str, obeys) -> None:
    check_sides(make_edges(instruction), obeys)


@pytest.mark.parametrize(
    ("instruction", "naive"),
    [
        ("Write exactly five lines.", lambda text: len(get_sentences(text)) == 5),
        ("Use exactly three bullet points.", lambda text: text.count("\n") == 2),
        ("Use exactly three bullet points.", lambda text: text.count("-") == 3),
        ("Use at least two bold phrases.", lambda text: text.count("**") >= 2),
        ('Use the word "tea" at least twice.', lambda text: text.count("tea") >= 2),
        ('Begin with the phrase "In short".', lambda text: text.startswith("In")),
        ('End with the phrase "That is all!"', lambda text: text.endswith("!")),
        ('The last word must be "bye".', lambda text: text.endswith("bye")),
        ("Begin and end with the same word.", lambda text: text.split()[0] == text.split()[-1]),
        ('Do not begin with the word "I".', lambda text: not text.startswith("I")),
        ('No sentence may start with "I".', lambda text: not any(x.startswith("I") for x in get_sentences(text))),
        ("Wrap your whole response in double quotation marks.", lambda text: text.startswith('"')),
        ('Answer only "yes" or "no".', lambda text: "yes" in text or "no" in text),
    ],
)
def test_what_is_nearly_asked_is_told_from_what_is(instruction: str, naive) -> None:
    assert not all(naive(edge.obeys) and not naive(edge.breaks) for edge in make_edges(instruction))


@pytest.mark.parametrize("signed", ["Sincerely", "Yours truly,", "Kind regards"])
def test_a_name_may_follow_what_closes_a_letter(signed: str) -> None:
    def is_closed(text: str) -> bool:
        return any(line.startswith(signed) for line in text.split("\n")[-3:])

    for instruction in (f'Sign off with "{signed}".', f'Start with "Dear" and end with "{signed}".'):
        assert all(is_closed(edge.obeys) for edge in make_edges(instruction))
    assert all(not is_closed(edge.breaks) for edge in make_edges(f'Sign off with "{signed}".'))


@pytest.mark.parametrize(
    "instruction",
    [
        "Describe a world without numbers.",
        "Explain it so that two friends understand it.",
        "Write as if you had three minutes.",
        "Give five reasons.",
        "Your poem must rhyme.",
        "Use short sentences.",
        "Don't start with 'A' and end with 'B'.",
        "Use the word 'cat' or 'dog', and end with 'B'.",
        "In the first paragraph, use exactly two sentences and end with 'B'.",
        "Start each line with '>' and end with '!'.",
        "If it rains, use at least 20 words and end with 'B'.",
        "Do not use both the word 'cat' and the word 'dog'.",
        "Write no more than 20 words, unless you must.",
        "Write a poem about a title in double angular brackets.",
        "Write about JSON objects with the keys 'a' and 'b' in Python.",
    ],
)
def test_nothing_is_concluded_where_what_belongs_together_is_unsure(instruction: str) -> None:
    assert make_edges(instruction) == []


@pytest.mark.parametrize("name", list(THINGS))
@pytest.mark.parametrize("number", [0, 1, 2, 7])
def test_a_made_text_has_exactly_so_many_of_a_form_and_its_decoys_none(name: str, number: int) -> None:
    assert THINGS[name].count(THINGS[name].make(number)) == number
    assert not any(map(THINGS[name].count, THINGS[name].make_decoys()))


@pytest.mark.parametrize(
    ("instruction", "naive"),
    [
        ("Put at least one word in backticks.", lambda text: "`" in text),
        ("Highlight at least one word in italics, with * on both sides of it.", lambda text: "*" in text),
        ("Put at least one remark in round brackets.", lambda text: "(" in text),
        ("Use at least one bold phrase in markdown.", lambda text: "**" in text),
        ("Highlight at least one word in bold, with ** on both sides of it.", lambda text: "**" in text),
        ("Include at least one phrase in double quotes.", lambda text: '"' in text),
        ("Put at least one word in double quotation marks.", lambda text: '"' in text),
        ('The last line of your response must be "The end".', lambda text: text.endswith("The end")),
        (
            'Separate the two parts of your answer with a line that holds only "***".',
            lambda text: len(text.split("***")) == 2,
        ),
    ],
)
def test_half_of_what_is_asked_is_told_from_the_whole(instruction: str, naive) -> None:
    assert any(naive(edge.breaks) for edge in make_edges(instruction))


def test_a_json_object_may_have_other_keys_unless_only_these_are_asked_for() -> None:
    def breaking(instruction: str) -> set[str]:
        return {edge.breaks for edge in make_edges(instruction)}

    asked, alone = (
        breaking(f'Reply with a JSON object that has {which} "a".') for which in ("the key", "only the key")
    )
    assert alone - asked == {'{"a": "rain", "b7": "hills"}'}


def test_an_example_of_a_form_may_be_another_one() -> None:
    twins = make_twins("Use some placeholders, such as [address].", [])
    assert any("[address]" in twin.one and "[hay]" in twin.other for twin in twins)
