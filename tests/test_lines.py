"""Lines of lists: what is taken off around an instruction, and what belongs to it."""

import pytest

from autoif.reading.lines import clean_line

MARKERS = (
    *(
        "1. ",
        "1) ",
        "(1) ",
        "[1] ",
        "12. ",
        "1.) ",
        "1: ",
        "1 - ",
        "#1 ",
        "#1: ",
        "1️⃣ ",
        "① ",
        "１．",
        "1、",
        "（1）",
        "一、",
    ),
    *(
        "a) ",
        "(b) ",
        "iv) ",
        "A. ",
        "II. ",
        "- ",
        "* ",
        "+ ",
        "• ",
        "•",
        "– ",
        "— ",
        "> ",
        "## ",
        "- [ ] ",
        "- [x] ",
        "● ",
    ),
    *(
        "Rule 1: ",
        "rule 2. ",
        "Rule #3: ",
        "Instruction: ",
        "New rule 4 - ",
        "Constraint 5) ",
        "规则1：",
        "Правило 1: ",
    ),
    *(
        "**1.** ",
        "**1**. ",
        "**Rule 1:** ",
        "**Rule 1**: ",
        "*1.* ",
        "__2)__ ",
        "- 1. ",
        "1. - ",
        "\t 3.  ",
        "\ufeff1. ",
    ),
)
WRAPPINGS = ('""', "''", "“”", "‘’", "„“", "«»", "»«", "‹›", "「」", "『』", "``")
WHOLE = (
    '"Sure" must be the first word, and the last one must be "Bye".',
    "'Sure' must be the first word, and the last one must be 'Bye'.",
    "“Sure” must be the first word, and the last one must be “Bye”.",
    "«Sure» must be the first word, and the last one must be «Bye»",
    "「はい」で始め、最後は「以上」",
    "**Sure** must be the first word, and the last one **Bye**",
    "*Sure* must be the first word, and the last one *Bye*",
    "`Sure` must be the first word, and the last one `Bye`.",
    '"a" and "b"',
    '"a" "b"',
    "Don't use the word 'don't'.",
    "The dogs' owners' names",
    "3.5 percent must be named.",
    "5 words or fewer in each sentence.",
    "E. coli must be named once.",
    "J. K. Rowling must be named once.",
    "A comma must be the second character.",
    "2024. is the year to name.",
    "#hashtags must end the answer.",
    "-5 must be named.",
    "**Length:** use at most 50 words.",
    "**5** words make each sentence.",
    "Rules of grammar are broken twice.",
    "No commas.",
    "Q is a letter to avoid.",
    "Use the words “one” and “two”",
)


@pytest.mark.parametrize("marker", MARKERS)
def test_numbering_and_bullets_are_taken_off(marker: str) -> None:
    assert clean_line(f"{marker}Use three commas.") == "Use three commas."


@pytest.mark.parametrize("marks", [*((pair[0], pair[1]) for pair in WRAPPINGS), ("**", "**"), ("*", "*"), ("__", "__")])
@pytest.mark.parametrize("before", ["", "- ", "1. "])
def test_marks_around_the_whole_are_taken_off(marks: tuple[str, str], before: str) -> None:
    opening, closing = marks
    assert clean_line(f"{before}{opening}Use three commas.{closing}") == "Use three commas."
    assert clean_line(f"{before}{opening}Use three commas{closing}.") == "Use three commas."
    assert clean_line(f"{before}{opening}Don't use three commas{closing}") == "Don't use three commas"


@pytest.mark.parametrize("text", WHOLE)
@pytest.mark.parametrize("before", ["", "1. ", "• "])
def test_what_belongs_to_the_instruction_stays(text: str, before: str) -> None:
    assert clean_line(before + text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('"Begin with "Dear" and end with "Bye"."', 'Begin with "Dear" and end with "Bye".'),
        ('""Sure" must be the first word."', '"Sure" must be the first word.'),
        ("'Don't use commas.'", "Don't use commas."),
        ('"Use three commas.",', "Use three commas."),
        ('"Use three commas.".', "Use three commas."),
        ('"Use three commas"!', "Use three commas!"),
        ('- **1. "Use three commas."**', "Use three commas."),
        ("“Use the words “one” and “two”.”", "Use the words “one” and “two”."),
        ("**", "**"),
        ('""', '""'),
        ("", ""),
        ("  - ", "-"),
    ],
)
def test_nested_and_bare_marks(text: str, clean: str) -> None:
    assert clean_line(text) == clean


@pytest.mark.parametrize("text", ['"' * 100_000, "*" * 100_000, "1" * 100_000, "a" + "'" * 100_000, "(" * 100_000])
def test_a_hostile_line_takes_no_time(text: str) -> None:
    assert len(clean_line(text)) <= len(text)
