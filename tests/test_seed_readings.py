"""What the seeds that come with the package ask is read, so that a misreading in a function is found."""

import re

import pytest

from autoif.faults.edges import make_edges
from autoif.instructions.seeds import load_seeds
from autoif.vocabulary import get_bullets, get_first_word, get_lines, get_paragraphs, get_quotes, get_sentences
from support.edges import check_sides

UNREAD = {
    'List at least three points, each on its own line and each beginning with the symbol ">".',
}


def test_each_packaged_seed_is_read_but_for_one() -> None:
    assert {seed.text for seed in load_seeds(None).kept if not make_edges(seed.text)} == UNREAD


def is_cold(text: str) -> bool:
    """Tell whether only full stops end sentences."""
    return not re.search(r"[?!]", text)


@pytest.mark.parametrize(
    ("instruction", "obeys"),
    [
        ("End every sentence with a full stop, never with a question mark or an exclamation mark.", is_cold),
        ("Make the first sentence of your answer a question.", lambda text: get_sentences(text)[0].endswith("?")),
        ("Divide the answer into two paragraphs with one blank line between them.", lambda t: t.count("\n\n") == 1),
        ("Write exactly 3 paragraphs with a blank line between them.", lambda text: len(get_paragraphs(text)) == 3),
        ("Put the whole response on a single line.", lambda text: "\n" not in text),
        ("Your answer must be on one line only.", lambda text: "\n" not in text),
        ('Use a bulleted list in which each item starts with "- ".',
         lambda text: all(line.startswith("- ") for line in get_lines(text))),
        ('Give a bullet list in which every point begins with "*".',
         lambda text: all(line.startswith("* ") for line in get_lines(text))),
        ('Label the steps of your answer "Step 1:", "Step 2:" and "Step 3:".',
         lambda text: all(text.count(f"Step {number}: ") == 1 for number in (1, 2, 3))),
        ("The last character of your response must be a semicolon.", lambda text: text.endswith(";")),
        ('Use either "however" or "although" somewhere in your answer.',
         lambda text: bool(re.search("however|although", text, re.IGNORECASE))),
        ("Write every word of the first line in capital letters.", lambda text: text.split("\n")[0].isupper()),
        ("Put the first line of your answer in upper case.", lambda text: text.split("\n")[0].isupper()),
        ("Do not use any hyphens or dashes.", lambda text: not re.search("[-–—]", text)),
        ("Place at least one pair of words between double quotation marks.",
         lambda text: any(len(quote.split()) == 2 for quote in get_quotes(text)) and '"' in text),
        ("Write all numbers as words and use no digits at all.", lambda text: not re.search(r"\d", text)),
        ("Mention a four-digit year in your answer.", lambda text: bool(re.search(r"\b\d{4}\b", text))),
        ("Include at least one year with 4 digits.", lambda text: bool(re.search(r"\b\d{4}\b", text))),
        ('Give your response a heading: its first line must start with "# ".', lambda text: text.startswith("# ")),
        ("Highlight at least two words in bold by putting ** on both sides of each.",
         lambda text: len(re.findall(r"\*\*\w+\*\*", text)) >= 2),
        ('Put your conclusion on the last line, after the label "Conclusion:".',
         lambda text: text.split("\n")[-1].startswith("Conclusion:")),
        ("Separate the parts of your answer with a line that consists of three hyphens.",
         lambda text: "---" in text.split("\n")),
        ("Write at least four lines, and leave none of them empty.",
         lambda text: len(text.split("\n")) >= 4 and "" not in text.split("\n")),
    ],
)  # fmt: skip
def test_one_side_obeys_and_the_other_breaks(instruction: str, obeys) -> None:
    check_sides(make_edges(instruction), obeys)


@pytest.mark.parametrize(
    ("instruction", "misread"),
    [
        ("Write every word of the first line in capital letters.", lambda text: text[0].isupper()),
        ("Write every word of the first line in capital letters.", lambda text: get_first_word(text).isupper()),
        ('Use a bulleted list in which each item starts with "- ".',
         lambda text: bool(get_bullets(text)) and text.startswith("- ")),
        ('Label the steps of your answer "Step 1:", "Step 2:" and "Step 3:".',
         lambda text: len(text.split("\n")) == 3 and all(line[:5] == "Step " for line in text.split("\n"))),
        ('Label the steps of your answer "Step 1:", "Step 2:" and "Step 3:".',
         lambda text: all(line[:5] == "Step " for line in text.split("\n")) and "Step 1" in text and "Step 3" in text),
        ('Label the steps of your answer "Step 1:", "Step 2:" and "Step 3:".',
         lambda text: [line[:5] for line in get_lines(text)] == ["Step "] * 3),
        ("Mention a four-digit year in your answer.", lambda text: "2023" in text),
        ("Place at least one pair of words between double quotation marks.", lambda text: bool(get_quotes(text))),
        ("Put the whole response on a single line.", lambda text: text.count("\n") == 1),
        ("Write at least four lines, and leave none of them empty.", lambda text: len(get_lines(text)) >= 4),
        ('Use either "however" or "although" somewhere in your answer.',
         lambda text: "however" in text.lower() and "although" in text.lower()),
        ("Write all numbers as words and use no digits at all.", lambda text: "seven" in text.lower()),
        ("Do not use any hyphens or dashes.", lambda text: "-" not in text),
        ("Separate the parts of your answer with a line that consists of three hyphens.", lambda text: "---" in text),
    ],
)  # fmt: skip
def test_a_misreading_is_told_from_what_is_asked(instruction: str, misread) -> None:
    edges = make_edges(instruction)
    assert any(misread(edge.breaks) for edge in edges) or any(edge.obeys and not misread(edge.obeys) for edge in edges)


@pytest.mark.parametrize(
    "instruction",
    [
        "Write at least two paragraphs with a blank line between them and a title.",
        "Put the whole response on a single line, or on two if it is long.",
        "Mention a four-digit year in each paragraph.",
        'Use either "however" or "although" in every sentence.',
        "Use no digits in the first line.",
        "Write the first line in capital letters and the second in small ones.",
    ],
)
def test_nothing_is_concluded_where_more_is_said(instruction: str) -> None:
    assert all(edge.obeys is None for edge in make_edges(instruction))
