"""Folding instructions that say the same, and only those."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from autoif.instructions.deduplication import _demand, fold_duplicates, normalise
from autoif.instructions.seeds import load_seeds
from autoif.records import Instruction, Reason


def fold(*texts: str, similarity: float = 90.0) -> tuple[list[str], list[tuple[str, Reason]]]:
    """Return the texts that are kept, and those that are not with the reason."""
    kept, dropped = fold_duplicates([Instruction.of(text, "self_instruct") for text in texts], similarity)
    return [one.text for one in kept], [(one.record.text, one.reason) for one in dropped]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("Use three words.", "Use three words.", Reason.DUPLICATE_EXACT),
        ("Use three words.", "use THREE  words", Reason.DUPLICATE_NORMALISED),
        ("Use three words.", "Please use three words!", Reason.DUPLICATE_NORMALISED),
        ("Use three words.", "You must use three words.", Reason.DUPLICATE_NORMALISED),
        ("Begin with 'Dear'.", "Begin with ‘Dear’", Reason.DUPLICATE_NORMALISED),
        ('Begin with "Dear".', "Begin with “Dear”.", Reason.DUPLICATE_NORMALISED),
        ("Use a dash - once.", "Use a dash – once.", Reason.DUPLICATE_NORMALISED),
        ("Ｕｓｅ three words.", "Use three words.", Reason.DUPLICATE_NORMALISED),
        (
            "Begin every sentence with the same word.",
            "Begin every sentence with that same word.",
            Reason.DUPLICATE_NEAR,
        ),
        ("Write each answer as one long question.", "Write each answer as one longer question.", Reason.DUPLICATE_NEAR),
        (
            "Place the emphasis on verbs in the reply.",
            "In the reply, place the emphasis on verbs.",
            Reason.DUPLICATE_NEAR,
        ),
    ],
)
def test_the_second_of_two_that_say_the_same_is_folded(first: str, second: str, reason: Reason) -> None:
    assert fold(first, second) == ([first], [(second, reason)])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Use exactly three bullets.", "Use exactly four bullets."),
        ("Use exactly 3 bullets.", "Use exactly 4 bullets."),
        ("Use at least three commas.", "Use at most three commas."),
        ("Use a comma in every sentence.", "Use no comma in every sentence."),
        ("Begin every sentence with the word 'tea'.", "Begin every sentence with the word 'ten'."),
        ("Begin every sentence with the word 'tea'.", "Begin every sentence with the word 'Tea'."),
        ("Begin every word with the letter b.", "Begin every word with the letter d."),
        ("Write everything in uppercase letters.", "Write everything in lowercase letters."),
        ("Begin the response with a question.", "End the response with a question."),
        ("Avoid the letter e.", "Use the letter e."),
        ("Separate the parts by ***.", "Separate the parts by ---."),
        ("Write each word twice.", "Write each word once."),
        ("Use brackets around every noun.", "Use quotes around every noun."),
    ],
)
def test_words_that_carry_the_meaning_are_never_folded(first: str, second: str) -> None:
    assert fold(first, second, similarity=50) == ([first, second], [])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Mention an ocean somewhere in your long response.", "Mention a pizza somewhere in your long response."),
        ("Write the whole response in the present tense.", "Write the whole response in the past tense."),
        ("Describe in one sentence what happens.", "Describe in one sentence what happened."),
        ("Say in one sentence where the hero is.", "Say in one sentence where the hero was."),
        ("Write the answer from the view of a cat.", "Write the answer from the view of a bat."),
        ("Put the ocean before the pizza in each line.", "Put the pizza before the ocean in each line."),
        ("Write two paragraphs of three sentences.", "Write three paragraphs of two sentences."),
        ("Begin with 'tea' and end with 'jam'.", "Begin with 'jam' and end with 'tea'."),
        ("Don't use commas anywhere in your response.", "Use commas anywhere in your response."),
        ("Address the reader as a friend in the answer.", "Address the reader as a fiend in the answer."),
        ("You may use commas.", "You must use commas."),
        ("Use both yes and no in the response.", "Use both yes or no in the response."),
        ("Use only words with less than 5 letters.", "Use only words with 5 letters or less."),
        ("Count to ten in the response.", "Count by ten in the response."),
        ("End with a list of two animals.", "End with a list of two minerals."),
        ("Write for a child of ten.", "Write as a child of ten."),
        ("Avoid the letter a.", "Avoid the letter e."),
        ("Avoid the letters a and e.", "Avoid the letters u and e."),
        ("Use no word that contains a.", "Use no word that contains o."),
        ("Separate the items by , and nothing else.", "Separate the items by . and nothing else."),
        ("End every line with ;", "End every line with :"),
        ("End every line with .", "End every line with ..."),
        ("Translate the title from French to English.", "Translate the title from English to French."),
        ("Schreibe die ganze Antwort über das Meer.", "Schreibe die ganze Antwort über das Mehr."),
    ],
)
def test_instructions_that_ask_for_something_else_are_never_folded(first: str, second: str) -> None:
    assert fold(first, second, similarity=50) == ([first, second], [])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Use the word 'tea' in your response.", "Use the word 'tea' in the response."),
        ("Your response must have a title.", "The response should have a title."),
        ("After each sentence, put a dash.", "Put a dash after each sentence."),
        ("In every sentence, use three commas.", "Use three commas in every sentence."),
        ("Do not use commas.", "Don't use commas."),
        ("Use a comma in each line of the list.", "Use a comma in each line of your list."),
        ("Begin with 'tea' and end with 'jam'.", "You must begin with 'tea', and end with 'jam'!"),
        ("Include a number in your answer.", "Please include a number in the answer"),
        (
            "Write in the form of a dialogue between two people.",
            "Write in the format of a dialogue between two people.",
        ),
        ("Answer in code only.", "Answer using code only."),
        ("Write about this in one long line.", "Write about it in one longer line."),
    ],
)
def test_instructions_that_differ_in_small_words_or_in_what_comes_first_are_folded(first: str, second: str) -> None:
    kept, dropped = fold(first, second, similarity=60)
    assert (kept, [text for text, _ in dropped]) == ([first], [second])


def test_what_was_folded_names_what_it_was_folded_into() -> None:
    kept, dropped = fold_duplicates(
        [Instruction.of("Use tea.", "seed"), Instruction.of("use tea", "self_instruct")], 90
    )
    assert dropped[0].stage == "self_instruct"
    assert dropped[0].record_id == Instruction.of("use tea", "self_instruct").id
    assert dropped[0].detail == f"folded into {kept[0].id}: Use tea."


def test_the_first_is_kept_so_that_seeds_win() -> None:
    kept, _ = fold_duplicates([Instruction.of("Use tea.", "seed"), Instruction.of("Use tea.", "self_instruct")], 90)
    assert [one.origin for one in kept] == ["seed"]


def test_a_third_copy_is_folded_into_the_first_too() -> None:
    kept, dropped = fold("Use tea.", "use tea", "Use tea.", "USE TEA")
    assert kept == ["Use tea."]
    assert [reason for _, reason in dropped] == [
        Reason.DUPLICATE_NORMALISED,
        Reason.DUPLICATE_EXACT,
        Reason.DUPLICATE_NORMALISED,
    ]


def test_similarity_is_a_setting_with_its_boundary_included() -> None:
    first, second = "Mention the weather somewhere in it.", "Mention the weather anywhere in it."
    alike = fuzz.token_sort_ratio(normalise(first), normalise(second))
    assert fold(first, second, similarity=alike + 0.01) == ([first, second], [])
    assert fold(first, second, similarity=alike) == ([first], [(second, Reason.DUPLICATE_NEAR)])


def test_no_seed_of_ours_is_folded_into_another() -> None:
    seeds = load_seeds(None).kept
    assert fold_duplicates(seeds, 90.0) == (seeds, [])


def test_case_inside_quotes_is_kept_and_an_apostrophe_opens_no_quote() -> None:
    assert normalise("Don't write 'Tea' or \"COFFEE\", It's BAD.") == "don't write 'Tea' or \"COFFEE\", it's bad"


@given(st.lists(st.text(max_size=30), max_size=12))
def test_every_instruction_is_kept_or_folded_and_folding_again_changes_nothing(texts: list[str]) -> None:
    instructions = [Instruction.of(text, "self_instruct") for text in texts]
    kept, dropped = fold_duplicates(instructions, 90.0)
    assert len(kept) + len(dropped) == len(instructions)
    assert fold_duplicates(kept, 90.0) == (kept, [])
    assert normalise("") == ""


def test_in_another_script_only_what_is_the_same_is_folded() -> None:
    texts = [
        "回答中必须恰好出现三个逗号。",
        "回答中必须恰好出现四个逗号。",
        "回答中必须恰好出现四个逗号",
        "Ответ должен состоять ровно из четырёх коротких предложений.",
        "Ответ должен состоять ровно из четырёх длинных предложений.",
    ]
    kept, dropped = fold_duplicates([Instruction.of(text, "seed") for text in texts], 80)
    assert [one.text for one in kept] == [texts[0], texts[1], texts[3], texts[4]]
    assert [one.reason for one in dropped] == [Reason.DUPLICATE_NORMALISED]


@given(
    st.lists(
        st.sampled_from(["the tea", "a tea of it", "tea", "use it in your tea", "of tea the use", "tea must be it"])
    )
)
def test_folding_a_block_at_a_time_is_folding_in_a_plain_loop(texts: list[str]) -> None:
    instructions = [Instruction.of(text, "seed") for text in texts]
    kept, dropped = fold_duplicates(instructions, 70.0)
    assert ([one.text for one in kept], [one.detail for one in dropped]) == fold_plainly(instructions, 70.0)


def fold_plainly(instructions: list[Instruction], similarity: float) -> tuple[list[str], list[str]]:
    """Compare each with all that were kept before it."""
    kept: list[Instruction] = []
    folded = []
    for one in instructions:
        form = normalise(one.text)
        same = next((each for each in kept if each.text == one.text), None)
        same = same or next((each for each in kept if normalise(each.text) == form), None)
        near = same or next((each for each in kept if is_near(normalise(each.text), form, similarity)), None)
        if near:
            folded.append(f"folded into {near.id}: {near.text}")
        else:
            kept.append(one)
    return [one.text for one in kept], folded


def is_near(form: str, other: str, similarity: float) -> bool:
    return _demand(form) == _demand(other) and fuzz.token_sort_ratio(form, other) >= similarity
