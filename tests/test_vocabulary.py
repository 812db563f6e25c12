"""The helpers that functions may call: a table of texts and values each, what holds for any text, both sandboxes."""

import itertools
import re
import time
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoif import Sandbox, vocabulary
from autoif.records import Verdict
from autoif.vocabulary import carry, describe_vocabulary
from autoif.vocabulary.words import _plain
from support.sandbox_checks import PASS

HELPERS: dict[str, Callable[..., Any]] = {
    name: getattr(vocabulary, name)
    for name in vocabulary.__all__
    if name not in ("carry", "describe_vocabulary", "fold", "uncarry")
}
DOCUMENTED = dict(line.split("(", 1) for line in describe_vocabulary().splitlines())
DIRT = "\u200b\ufeff"
LIST = (
    "Buy:\n- tea\n  * hot **milk**\n+ jam\n• 面包\n\n1. wash\n2) dry\n(3) fold\n**4.** iron\n"
    "---\n* * *\n- \n-5 degrees\n*no* item"
)

TABLE: dict[str, list[tuple[tuple[Any, ...], Any]]] = {
    "get_words": [
        (("",), []),
        ((" \n— … 🙂 *** - ",), []),
        (("Hello, (big) world!",), ["Hello", "big", "world"]),
        (("Don't stop: it’s rock 'n' roll, dogs' bones.",),
         ["Don't", "stop", "it's", "rock", "n", "roll", "dogs", "bones"]),
        (("a well-known e-mail, twenty‑one--or so—yes",),
         ["a", "well-known", "e-mail", "twenty-one", "or", "so", "yes"]),
        (("It cost $1,000.50 at 10:30, i.e. 3.5% more; see example.com.",),
         ["It", "cost", "1,000.50", "at", "10:30", "i.e", "3.5", "more", "see", "example.com"]),
        (("**Bold** _word_ `code` #tag and/or snake_case",),
         ["Bold", "word", "code", "tag", "and", "or", "snake", "case"]),
        (("one\r\ntwo\rthree\u2028four\u00a0five\u3000six",), ["one", "two", "three", "four", "five", "six"]),
        ((f"{DIRT}Hel\u00adlo wor\u200bld",), ["Hello", "world"]),
        (("Cafe\u0301 nai\u0308ve Straße Łódź",), ["Café", "naïve", "Straße", "Łódź"]),
        (("L'été, c’est l'eau d'aujourd'hui.",), ["L'été", "c'est", "l'eau", "d'aujourd'hui"]),
        (("Привет, мир! Кое-что",), ["Привет", "мир", "Кое-что"]),
        (("Γειά σου Κόσμε;",), ["Γειά", "σου", "Κόσμε"]),
        (("مرحبا، كيف حالك؟ ١٢٣",), ["مرحبا", "كيف", "حالك", "١٢٣"]),
        (("می\u200cخواهم بروم",), ["میخواهم", "بروم"]),
        (("שָׁלוֹם עולם",), [unicodedata.normalize("NFC", "שָׁלוֹם"), "עולם"]),
        (("नमस्ते दुनिया। क्षि",), ["नमस्ते", "दुनिया", "क्षि"]),
        (("צה״ל i col·lega",), ["צה״ל", "i", "col·lega"]),
        (("안녕하세요, 세계!",), ["안녕하세요", "세계"]),
        (("我喜欢猫，a lot。",), ["我", "喜", "欢", "猫", "a", "lot"]),
        (("ラーメン3杯",), ["ラ", "ー", "メ", "ン", "3", "杯"]),
        (("ที่นี่ดี",), ["ที่", "นี่", "ดี"]),
        (("Ask AT&T at ann.ray@example.com.",), ["Ask", "AT&T", "at", "ann.ray@example.com"]),
        (("See [it](https://a.com/b?c=d#e), 看https://b.org。",),
         ["See", "it", "https://a.com/b?c=d#e", "看", "https://b.org"]),
        (("don´t",), ["don't"]),
    ],
    "get_first_word": [
        (("",), ""), (("…",), ""), (('"To answer, yes."',), "to"), (("**Élan** vital",), "élan"), (("你好",), "你"),
    ],
    "get_last_word": [
        (("",), ""), (("Say *Please*!!",), "please"), (("the end.\n\n🙂",), "end"), (("dogs'",), "dogs"),
    ],
    "get_capital_words": [
        (("I saw NASA's TV, the U.S.A and COVID-19.",), ["I", "TV", "U.S.A", "COVID-19"]),
        (("ÉTÉ été ПРИВЕТ 123 你好",), ["ÉTÉ", "ПРИВЕТ"]),
    ],
    "count_word": [
        (("The cat, the other. THE END", "the"), 3),
        (("The cat, the other. THE END", "the", True), 1),
        (("the the the", "the"), 3),
        (("concatenate cat's Cat-like cats", "cat"), 2),
        (("*the* _the_ (the) “the”", "the"), 4),
        (("to  answer,\nTo answer", "To answer"), 2),
        (("It’s it's", "it's"), 2),
        (("cafe\u0301 cafe", "café"), 1),
        (("cafe\u0301 cafe", "cafe"), 1),
        (("STRASSE Straße", "straße"), 2),
        (("İstanbul istanbul", "Istanbul"), 2),
        (("ΟΔΟΣ οδός οδος", "οδος"), 2),
        (("我喜欢猫，猫也喜欢我", "喜欢"), 2),
        (("कि क", "क"), 1),
        (("a7 7 17 7th", "7"), 1),
        (("Wow! Really!!", "!"), 3),
        (("P.S. hi; p.s. ho", "P.S."), 2),
        (("a" * 10, "aa"), 0),
        (("any", ""), 0), (("any", "  "), 0), (("", "a"), 0),
        (("New\u00a0York and new york", "New York"), 2),
        (("C++ and C# and C", "C"), 3),
        (("wor\u200bd", "word"), 1),
        (("I can't, can I? Can’t you?", "can"), 1),
        (("3.5, 1,3, 13 and 3.", "3"), 1),
    ],
    "has_word": [
        (("The,", "the"), True), (("the,", "The", True), False), (("other", "the"), False), (("", ""), False),
        (("Is it “done”?", "done"), True), (("don’t", "don't"), True),
    ],
    "starts_with": [
        (("To answer, yes", "To answer, "), True),
        (("to answer, yes", "To answer,"), True),
        (("to answer, yes", "To answer,", True), False),
        (("To answer yes", "To answer,"), False),
        (("Today", "To"), False),
        (("To-day", "To"), True),
        (("\n  “Dear” Ann", "dear"), True),
        (("# **Dear** Ann", "dear"), True),
        (("- > Yes", "yes"), True),
        (("1. Yes", "yes"), False),
        (("> Yes", ">"), True),
        (('"> Yes', ">"), True),
        (("***", "*"), True),
        (("Yes", "*"), False),
        (("你好吗", "你好"), True),
        (("Cafés", "cafe"), False),
        (("cafe\u0301", "cafe"), False),
        (("क\u093f", "क"), False),
        (("", "a"), False), (("a", ""), False), (("ab", "abc"), False),
        (("«Да», сказал он", "да"), True),
        (("¿Qué tal?", "qué"), True),
    ],
    "ends_with": [
        (("Any questions?", "any questions"), True),
        (("Any questions", "any questions?"), False),
        (("Any questions?**  \n", "questions?"), True),
        (("“Any questions?”", "questions?"), True),
        (("the END.", "the end", True), False),
        (("weekend", "end"), False),
        (("week-end", "end"), True),
        (("the end 🙂", "the end"), True),
        (("the end 🙂", "🙂"), True),
        (("再见。", "再见"), True),
        (("a कि", "कि"), True),
        (("a कि", "क"), False),
        (("cafe\u0301", "cafe"), False),
        (("cafe\u0301", "café"), True),
        (("", "a"), False), (("a", ""), False), (("c", "bc"), False),
        (('He said "no."', "no."), True),
    ],
    "starts_with_capital": [
        (("Yes",), True), (("yes",), False), (("",), False), (("…",), False), (("“Élan”",), True), (("élan",), False),
        (("1. Wash",), True), (("2) wash",), False), (("3 apples",), False), (("iPhone",), False), (("**Да**",), True),
        (("ǅ",), True), (("你好",), True), (("(ñ)",), False),
    ],
    "get_letters": [
        (("",), []), (("a1 B-é!\n",), ["a", "B", "é"]), (("e\u0301",), ["é"]),
        (("你好 жд ½²",), ["你", "好", "ж", "д"]),
    ],
    "count_letter": [
        (("Banana", "A"), 3), (("Banana", "b"), 1), (("e\u0301é e", "é"), 2), (("éE", "e"), 1), (("Straße", "s"), 1),
        (("ΣΑΣ σας", "σ"), 4), (("İi", "i"), 2), (("a, b; c,", ","), 2), (("a", ""), 0), (("", "a"), 0),
        (("Яя", "я"), 2),
        (("it’s", "'"), 1),
    ],
    "get_digits": [(("10 ٣ x²",), ["1", "0", "٣"]), (("ten",), [])],
    "get_numbers": [
        (("In 2024, 3.5 of 1,000.50. 7!",), ["2024", "3.5", "1,000.50", "7"]), (("ten ½",), []),
        (("٣٫ 10-12",), ["٣", "10", "12"]),
        (("2nd of 3",), ["2", "3"]),
    ],
    "get_emojis": [
        (("Hi 🙂🙂!",), ["🙂", "🙂"]), (("👩‍👩‍👧 👍🏽 🇩🇪🇫🇷 1️⃣ ❤️ ✅",), ["👩‍👩‍👧", "👍🏽", "🇩🇪", "🇫🇷", "1️⃣", "❤️", "✅"]),
        ((":-) 1 # * © ™ → ½ 你",), []), (("🏴󠁧󠁢󠁥󠁮󠁧󠁿",), ["🏴󠁧󠁢󠁥󠁮󠁧󠁿"]),
    ],
    "get_lines": [
        (("",), []), (("a\r\n\r\n b \n\u200b\n\tc\u2028d",), ["a", "b", "c", "d"]), (("a\x85b\rc",), ["a", "b", "c"]),
    ],
    "get_paragraphs": [
        (("",), []), (("One.\nTwo.\n \n\nThree.",), ["One.\nTwo.", "Three."]),
        (("a\r\n\r\nb\n***\nc\n\n---\n\nd",), ["a", "b", "c", "d"]),
        (("第一段。\n\u3000\n第二段。",), ["第一段。", "第二段。"]), (("a\n\u200b\nb",), ["a", "b"]),
    ],
    "get_sentences": [
        (("",), []), (("...",), []),
        (("One. Two! Three? Four",), ["One.", "Two!", "Three?", "Four"]),
        (("Dr. Smith met J. K. Rowling in the U.S. Army at 5 p.m. They paid $3.50.",),
         ["Dr. Smith met J. K. Rowling in the U.S. Army at 5 p.m.", "They paid $3.50."]),
        (("I like tea, e.g. green tea, etc. and milk. So do I. You?",),
         ["I like tea, e.g. green tea, etc. and milk.", "So do I.", "You?"]),
        (("all small. no capitals here! none?",), ["all small.", "no capitals here!", "none?"]),
        (("“Really?” he asked. “Yes!” She left.",), ['"Really?" he asked.', '"Yes!"', "She left."]),
        (("Well... maybe. Wait... What?!",), ["Well... maybe.", "Wait...", "What?!"]),
        (("One. 🙂 Two. 🙂",), ["One. 🙂", "Two. 🙂"]),
        (("See No. 5 on p. 3. No. I won't.",), ["See No. 5 on p. 3.", "No.", "I won't."]),
        (("Ça va ? Oui ! Bien.",), ["Ça va ?", "Oui !", "Bien."]),
        (("?! — Well - yes. 1",), ["Well - yes.", "1"]),
        (("A line\nbroken in two. Next.",), ["A line broken in two.", "Next."]),
        (("No stop\n\nAnother",), ["No stop", "Another"]),
        (("# Title\nText here.\n1. Wash it.\n2. Dry it\n- Fold. Iron.",),
         ["Text here.", "Wash it.", "Dry it", "Fold.", "Iron."]),
        (("Run this:\n```\nx = 1. y\n```\nDone.",), ["Run this: Done."]),
        (("你好。你是谁？我很好！",), ["你好。", "你是谁？", "我很好！"]),
        (("「はい。」と言った。",), ["「はい。」", "と言った。"]),
        (("कैसे हो? मैं ठीक हूँ। धन्यवाद।",), ["कैसे हो?", "मैं ठीक हूँ।", "धन्यवाद।"]),
        (("كيف حالك؟ بخير.",), ["كيف حالك؟", "بخير."]),
        (("¿Qué tal? ¡Bien!",), ["¿Qué tal?", "¡Bien!"]),
        (("**Bold one.** Two.",), ["**Bold one.**", "Two."]),
        (("Visit example.com. It's 3.14.",), ["Visit example.com.", "It's 3.14."]),
        (("On Jan. 5 we left. See eq. 4 and fig. 3. It was Dec. We came back.",),
         ["On Jan. 5 we left.", "See eq. 4 and fig. 3.", "It was Dec.", "We came back."]),
        (("It fell. eBay grew. He is Ann Jr. She isn't.",), ["It fell.", "eBay grew.", "He is Ann Jr.", "She isn't."]),
        (("It is so.[1] It was.[2][3] And more.² End.",), ["It is so.[1]", "It was.[2][3]", "And more.²", "End."]),
        (("Das ist z. B. gut. Oder?",), ["Das ist z. B. gut.", "Oder?"]),
        (("Τι κάνεις; Καλά· εσύ;",), ["Τι κάνεις;", "Καλά· εσύ;"]),
    ],
    "get_bullets": [
        ((LIST,), ["tea", "hot **milk**", "jam", "面包"]), (("",), []), (("```\n- no\n```\n- yes",), ["yes"]),
        (("> - a\n> - b\n► c\n✔️ d\n> e",), ["a", "b", "c", "d"]),
    ],
    "get_numbered": [
        ((LIST,), ["wash", "dry", "fold", "iron"]), (("1、苹果\n２．梨",), ["苹果", "梨"]),
        (("3.5 apples\n2024. gada\n1.\n1.2 no",), []), (("1. a\n  1.1. b\n> 2. c",), ["a", "b", "c"]),
    ],
    "get_list_items": [((LIST,), ["tea", "hot **milk**", "jam", "面包", "wash", "dry", "fold", "iron"])],
    "get_headings": [
        (("# Tea #\n#tag\n####### no\n  ## Über C#\ntext # no",), ["Tea", "Über C#"]), (("```\n# no\n```",), []),
        (("```markdown\n# Yes\n```",), ["Yes"]),
        (("# C#\n# F# ##",), ["C#", "F#"]),
    ],
    "get_bold": [
        (("**Tea** is *hot* and ***both*** and ** no ** and **a *b* c**",), ["Tea", "both", "a *b* c"]),
        (("**open\nclosed**",), []),
        (("****",), []),
    ],
    "get_highlighted": [
        (("**Tea** is *hot*\n* item\n* next *",), ["Tea", "hot"]),
        (("***both*** **a *b* c** 2 * 3 * 4",), ["both", "a *b* c"]),
        (("*热* *é*",), ["热", "é"]),
    ],
    "get_quotes": [
        (('He said "Go" and "" and “Stay” or «oui» „ja“ ”nej” »nein« 「はい」 it\'s',),
         ["Go", "Stay", "oui", "ja", "nej", "nein", "はい"]),
        (("“open",), []),
    ],
    "get_bracketed": [
        (("[name] [] [ x ] (a) <<t>> {b} [open",), ["name", "x"]),
        (("(a (b) c) （丙）", "("), ["b"]), (("（丙）", "（"), ["丙"]), (("<<t>> <u>", "<<"), ["t"]),
        (("{{x}} {y}", "{{"), ["x"]),
        (("(a) [b]", "()"), ["a"]), (("<<t>>", "<<>>"), ["t"]), (("|a|b|", "|"), ["a"]), (("any", ""), []),
        (("[a\nb]",), ["a\nb"]),
    ],
    "split_by": [
        (("a *** b***", "***"), ["a", "b"]), (("one\r\n---\r\ntwo", "\n---\n"), ["one", "two"]),
        (("a\n\nb", "\n\n"), ["a", "b"]),
        (("a", "x"), ["a"]), (("", "x"), []), ((" a ", ""), ["a"]), (("a,b,,c", ","), ["a", "b", "c"]),
        (("猫、狗", "、"), ["猫", "狗"]),
    ],
    "get_code_blocks": [
        (("a\n```python\nx = 1\n\ny\n```\nb\n~~~\n```\n~~~\n```",), ["x = 1\n\ny", "```"]),
        (("```py\nx\n```\n```JS\ny", "js"), ["y"]),
        (("`x` ```y```",), []),
    ],
    "read_json": [
        (('{"a": [1, "é"]}',), {"a": [1, "é"]}), (("```json\n[1]\n```",), [1]), (("\ufeff {} \n",), {}), (("3",), None),
        (("{'a': 1}",), None), (('Here: {"a": 1}',), None), (("",), None), (('{"a": "“x”"}',), {"a": "“x”"}),
    ],
    "is_json": [(("[1, 2]",), True), (("[1, 2",), False), (("true",), False), (("```\n{}\n```",), True)],
}  # fmt: skip
SECOND = ("count_word", "has_word", "starts_with", "ends_with", "count_letter", "split_by", "get_bracketed")
"""Those that are asked about a text with another one."""
ROWS = [(name, args, value) for name, rows in TABLE.items() for args, value in rows]
PARTS = [
    "The", "cat", "é", "e\u0301", "’", "- ", "1. ", "\n", "\r\n", "\n\n", " ", "\u00a0", ".", "?", "。", "**", "*", '"',
    "“", "[", "]", "<<", "```\n", "猫", "ที่", "क\u093f",
    "İ", "ß", "\u200b", "🙂", "\ufe0f", "3.5", "# ", "---", "Dr.", "_",
]  # fmt: skip
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(PARTS), max_size=25).map("".join)


def test_every_helper_has_a_table_and_a_line_in_the_prompt() -> None:
    assert set(TABLE) == set(HELPERS) == set(DOCUMENTED)


@pytest.mark.parametrize(("name", "args", "value"), ROWS)
def test_a_helper_gives_what_its_table_says(name: str, args: tuple[Any, ...], value: Any) -> None:
    assert HELPERS[name](*args) == value


@pytest.mark.parametrize("backend", ["cpython", "monty"])
async def test_helpers_give_the_same_in_each_sandbox(backend: str) -> None:
    """Each on all its texts in one function, as an exported row would hold it."""
    sources = {}
    for name, rows in TABLE.items():
        wanted = ", ".join(f"({args!r}, {value!r})" for args, value in rows)
        sources[name] = carry(
            f"ROWS = [{wanted}]\n\ndef evaluate(response):\n"
            f"    wrong = [(args, {name}(*args)) for args, value in ROWS if {name}(*args) != value]\n"
            "    return True if not wrong else str(wrong)\n"
        )
    async with Sandbox(backend=backend) as sandbox:
        outcomes = await sandbox.run_many([(source, [""]) for source in sources.values()])
    assert {name: each.detail for name, [each] in zip(sources, outcomes, strict=True) if each.verdict is not PASS} == {}


@pytest.mark.parametrize("backend", ["cpython", "monty"])
async def test_the_examples_that_the_writer_reads_are_true(backend: str) -> None:
    examples = [line.split("): ", 1)[1] for line in describe_vocabulary().splitlines()]
    found = [re.search(r"\b(?:get_|has_|count_|is_|read_|split_|starts_|ends_).*(?=\.$)", each) for each in examples]
    sources = [carry(f"def evaluate(response):\n    return {match[0]}\n") for match in found if match]
    assert len(sources) == len(HELPERS)
    async with Sandbox(backend=backend) as sandbox:
        outcomes = await sandbox.run_many([(source, [""]) for source in sources])
    assert [source for source, [each] in zip(sources, outcomes, strict=True) if each.verdict is not Verdict.PASS] == []


@pytest.mark.parametrize("backend", ["cpython", "monty"])
async def test_json_of_any_depth_is_refused_or_read(backend: str) -> None:
    source = carry("def evaluate(response):\n    return is_json(response)\n")
    async with Sandbox(backend=backend) as sandbox:
        outcomes = await sandbox.run(source, ["[" * 100_000, "[" * 90 + "]" * 90])
    assert [each.verdict for each in outcomes] == [Verdict.FAIL, Verdict.PASS]


# What holds for any text


@pytest.mark.parametrize("name", HELPERS)
@given(text=TEXTS, more=TEXTS)
@settings(max_examples=30, deadline=None)
def test_a_helper_takes_any_text_and_doesnt_mind_what_nobody_sees(name: str, text: str, more: str) -> None:
    args = (more,) if name in SECOND else ()
    value = HELPERS[name](text, *args)
    assert isinstance(value, bool | int | str | list | dict | None)
    if name not in ("get_quotes", "read_json", "is_json", "get_emojis", "get_digits"):
        assert HELPERS[name](_plain(text), *args) == value
        assert HELPERS[name](unicodedata.normalize("NFD", text), *args) == value
    if name.startswith("get_") and isinstance(value, list):
        assert all(isinstance(each, str) for each in value)
        if name != "get_code_blocks":
            assert all(each == each.strip() and each for each in value)


@given(words=st.lists(st.sampled_from(["tea", "don't", "well-known", "3.5", "Ünïcode", "猫", "мир", "नमस्ते"])),
       between=st.sampled_from([" ", ", ", "\n", "! ", "\r\n", "\u00a0", " — ", '" "']))  # fmt: skip
def test_words_come_back_whatever_stands_between_them(words: list[str], between: str) -> None:
    text = f"«{between.join(words)}»."
    assert vocabulary.get_words(text) == words
    assert [vocabulary.count_word(text, word) for word in set(words)] == [words.count(word) for word in set(words)]
    assert all(vocabulary.starts_with(text, word) and vocabulary.ends_with(text, last)
               for word, last in zip(words[:1], words[-1:], strict=True))  # fmt: skip


@given(text=TEXTS, word=st.sampled_from(["the", "cat", "猫", "é", "?"]))
def test_letter_case_and_edges_change_no_count(text: str, word: str) -> None:
    count = vocabulary.count_word(text, word)
    assert vocabulary.has_word(text, word) == (count > 0)
    assert vocabulary.count_word(text, word, match_case=True) <= count
    assert vocabulary.count_word(f"{text}\n{word.upper()}.", word) == count + 1


@given(
    sentences=st.lists(
        st.sampled_from(["Tea is hot.", "Is it?", "Yes, Dr. Ray!", "3.5 cats… 🙂", "Она там."]), min_size=1
    )
)
def test_sentences_and_paragraphs_and_items_come_back(sentences: list[str]) -> None:
    assert vocabulary.get_sentences(" ".join(sentences)) == sentences
    assert vocabulary.get_paragraphs("\r\n\r\n".join(sentences)) == sentences
    assert vocabulary.get_bullets("\n".join(f"- {each}" for each in sentences)) == sentences
    numbered = "\n".join(f"{number}. {each}" for number, each in enumerate(sentences, 1))
    assert vocabulary.get_numbered(numbered) == vocabulary.get_list_items(numbered) == sentences
    assert (
        vocabulary.split_by(" *** ".join(sentences), "***") == vocabulary.get_lines("\n\n".join(sentences)) == sentences
    )


@given(letters=st.text(alphabet="aAbBéÉжЖ猫 1.", max_size=30))
def test_letters_add_up(letters: str) -> None:
    found = vocabulary.get_letters(letters)
    assert len(found) == sum(each.isalpha() for each in letters)
    assert sum(vocabulary.count_letter(letters, each) for each in "abéж猫") == len(found)


# Time

PIECES = [
    " ", "\n", "a", "a.", ". ", ".", "。", "**a ", "*", "```", "``` ", "- ", "1. ", "#", "# ", "[", "<<", '"', "“a",
    "'", "a-", "e\u0301", "क\u093f", "猫", "\U0001f44d\u200d", "🇩", "1,", "{", "\r", "_",
    "> ", "•", "\u00a0", "Dr. ", "---\n",
]  # fmt: skip
SLOW_S = 6.0  # a garbage collection of a process that has loaded much may fall into it
"""CPU time for 20,000 characters, which take a few milliseconds: what is quadratic takes seconds."""


@pytest.mark.parametrize("name", HELPERS)
def test_a_helper_takes_time_in_proportion_to_the_text(name: str) -> None:
    second = ("x",) if name in SECOND else ()
    for piece, size in itertools.product(PIECES, (400, 20_000)):
        began = time.thread_time()
        HELPERS[name]((piece * size)[:size] + "x", *second)
        took = time.thread_time() - began
        assert took < SLOW_S, f"{size:,} characters of {piece!r}: {took:.1f} s"


@pytest.mark.parametrize("name", ["count_word", "starts_with", "ends_with"])
def test_a_phrase_as_long_as_the_text_takes_no_longer(name: str) -> None:
    for piece in PIECES[::2]:
        text = (piece * 10_000)[:10_000]
        began = time.thread_time()
        HELPERS[name](f"{text}x", text)
        HELPERS[name](f"x{text}", text[:5_000])
        assert time.thread_time() - began < SLOW_S, piece
