"""Scripts: which text is in another one than Latin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.language import LATIN, count_non_text, has_foreign_script, main_scripts


@pytest.mark.parametrize(
    "text", ["Use three words.", "Übung für Œuvre", "déjà vu", "Ｕｓｅ", "", "🙂🙂", "...---...", "42 = 6 × 7"]
)
def test_latin_letters_and_no_letters_are_no_foreign_script(text: str) -> None:
    assert not has_foreign_script(text)


@pytest.mark.parametrize(
    "text", ["请用三个单词回答", "Используйте три слова", "ثلاث كلمات", "三つの単語 ok", "שלוש מילים"]
)
def test_other_letters_are(text: str) -> None:
    assert has_foreign_script(text)


def test_half_of_the_letters_is_not_most() -> None:
    assert not has_foreign_script("ab 请用")
    assert has_foreign_script("a 请用")


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert has_foreign_script(text) in {True, False}


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_never_foreign(text: str) -> None:
    assert not has_foreign_script(text)


@pytest.mark.parametrize(
    "text",
    [
        "50\u00a0% of it",
        "a\u202fb",
        "👩\u200d👩\u200d👧",
        "می\u200cخواهم",
        "\u200fשלום",
        "a\u00adb",
        "\t\r\n",
        "\ue000",
        "🫩",
    ],
)
def test_spaces_joiners_and_any_script_are_text(text):
    assert count_non_text(text) == 0


@pytest.mark.parametrize(
    "char", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\ud800", "\udfff", "\ufffe", "\U0010ffff", "\ufdd0"]
)
def test_controls_surrogates_and_noncharacters_are_no_text(char):
    assert count_non_text(f"a{char}b{char}") == 2


@pytest.mark.parametrize(
    ("texts", "scripts"),
    [
        (["Use the letter 'λ' once."], {"LATIN"}),
        (["Используйте слово JSON."], {"CYRILLIC"}),
        (["三つの単語で答えてください。", "用三个词回答。", "ﾊﾝｶｸ"], {"CJK"}),
        (["Use three words.", "세 단어로 답하세요."], {"LATIN", "HANGUL"}),
        (["...", "🙂", ""], set()),
        (["𝐔𝐬𝐞 tea", "Ｕｓｅ"], {"LATIN"}),
    ],
)
def test_texts_are_in_the_script_of_most_of_their_letters(texts: list[str], scripts: set[str]) -> None:
    assert main_scripts(texts) == scripts


@pytest.mark.parametrize(
    ("text", "known", "foreign"),
    [
        ("Ответьте тремя словами.", {"CYRILLIC"}, False),
        ("Напишите JavaScript, TypeScript и Python.", {"CYRILLIC"}, False),
        ("Use three words.", {"CYRILLIC"}, True),
        ("Use three words.", {"CYRILLIC", "LATIN"}, False),
        ("用三个词回答。", {"CYRILLIC"}, True),
        ("用 supercalifragilistic 回答", {"CJK"}, False),
        ("三つの単語", {"CJK"}, False),
        ("42!", {"CJK"}, False),
    ],
)
def test_what_is_foreign_depends_on_what_is_known(text: str, known: set[str], foreign: bool) -> None:
    assert has_foreign_script(text, frozenset(known)) is foreign
    assert has_foreign_script(text, LATIN | known) is (foreign and not text.isascii())
