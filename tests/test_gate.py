"""The gate: what earns no reward whatever functions say, and what it must leave alone."""

import pytest

from autoif import Fault, find_fault

INSTRUCTION = "Mention the words fishing rod at least twice in your answer, and write no comma."
QUERY = "Could you tell me what people take along when they spend a weekend at a lake in the mountains?"
PROMPT = f"{QUERY} {INSTRUCTION}"
ASKED = (PROMPT, INSTRUCTION, QUERY)

POEM = "\n\n".join(
    f"{verse}\nRow, row, my little boat,\nthe lake is wide and blue,\nrow, row, as long as you float,\nI come to you."
    for verse in (
        "The morning lies upon the shore,\nthe reeds are bending low.",
        "A heron stands beside the door\nwhere no one else will go.",
        "At night the stars are in the lake,\nthe fish among them sleep.",
        "And if the ice should ever break,\nthe water there is deep.",
    )
)
CODE = """```python
def count(words):
    found = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found


def most(words):
    found = count(words)
    return max(found, key=found.get)
```"""
TABLE = "\n".join(
    f"| lake {number} | {number * 37 % 91} m | {'yes' if number % 2 else 'no'} |" for number in range(1, 15)
)


@pytest.mark.parametrize(
    "text",
    [
        "Paris",
        "7",
        "C",
        "NO",
        "是",
        "Yes, yes, yes!",
        "- tent\n- stove\n- map",
        '{"tent": 1, "stove": true}',
        "A TENT AND A FISHING ROD. NOTHING BEATS A FISHING ROD.",
        "人们通常带上帐篷、鱼竿和暖和的衣服，去山里的湖边度过周末。早上钓鱼，晚上在湖边看星星。",
        "لوگ عام طور پر خیمہ اور مچھلی پکڑنے کی چھڑی لے جاتے ہیں۔",
        "लोग आमतौर पर तंबू और मछली पकड़ने की छड़ी ले जाते हैं।",
        "Люди обычно берут с собой палатку и удочку.",
        POEM,
        CODE,
        TABLE,
        "🎣⛺🔥",
        "- . -. - / .- -. -.. / .-. --- -..",
        "love " * 10,
        "Aaaaaargh! I forgot the fishing rod.",
        f"{QUERY} A tent and a fishing rod and warm clothes and one more fishing rod for the friend who forgot it.",
        "You asked to mention the words fishing rod at least twice: fishing rod fishing rod. People take tents.",
        "Take a fishing rod, and then mention the words fishing rod at least twice in your diary of the lake.",
        "aHR0cHM6Ly9leGFtcGxlLm9yZy9hL2xha2UvaW4vdGhlL21vdW50YWlucy93aXRoL2Zpc2g=",
        "Donaudampfschifffahrtsgesellschaftskapitänswitwenrente",
    ],
)
def test_answers_that_say_something_pass(text):
    assert find_fault(text, *ASKED) is None


@pytest.mark.parametrize(
    "text", ["", " \n\t", "!!!!!", "...", "**\n\n- \n- ", "```\n\n```", "{}", "<<>>", "\u200b", "。！"]
)
def test_a_text_without_a_word_is_empty(text):
    assert find_fault(text, *ASKED) is Fault.EMPTY
    assert find_fault(text) is Fault.EMPTY


@pytest.mark.parametrize(
    "text",
    [
        PROMPT,
        PROMPT.upper(),
        f"Sure! {PROMPT}",
        f"{PROMPT}\n\n{PROMPT}",
        f"**{QUERY}**",
        INSTRUCTION,
        f"{INSTRUCTION} Okay.",
        PROMPT[: len(PROMPT) // 2],
    ],
)
def test_the_prompt_a_part_of_it_or_its_beginning_is_copied(text):
    assert find_fault(text, *ASKED) is Fault.COPIED


def test_a_part_that_is_not_known_is_found_by_its_beginning_only():
    assert find_fault(INSTRUCTION, PROMPT) is None
    assert find_fault(QUERY, PROMPT) is Fault.COPIED


def test_without_a_prompt_nothing_is_a_copy():
    assert find_fault(PROMPT) is None


def test_a_short_prompt_is_copied_only_whole():
    assert find_fault("Use exclamation marks!", "Greet me", "Use exclamation marks") is Fault.COPIED
    assert find_fault("Use exclamation marks, they said!", "Greet me", "Use exclamation marks") is None
    assert find_fault("Hello!", "Hello.") is None


def test_what_answers_from_a_text_of_the_prompt_is_no_copy():
    context = "The lake lies high. It was dammed in 1931 by the company that built the road. Trout live in it."
    assert find_fault("It was dammed in 1931 by the company that built the road.", f"Who made it? {context}") is None


def test_where_a_repetition_is_asked_for_only_an_answer_that_adds_nothing_is_a_copy():
    prompt = f"{QUERY} First repeat this question word for word, then answer."
    assert find_fault(f"{QUERY}\n\nTents.", prompt) is None
    assert find_fault(QUERY, prompt) is Fault.COPIED
    forbidden = f"{QUERY} Do not repeat any word."
    assert find_fault(f"{QUERY}\n\nTents.", forbidden) is Fault.COPIED


def test_copies_are_found_in_scripts_without_spaces():
    prompt = "请告诉我周末去山里的湖边要带什么东西，并且至少两次提到鱼竿。"
    assert find_fault(prompt, prompt) is Fault.COPIED
    assert find_fault("帐篷、鱼竿、炉子，还有备用的鱼竿。", prompt) is None


@pytest.mark.parametrize(
    "text",
    [
        "word " * 40,
        "I love fishing. " * 12,
        "no\n" * 30,
        "鱼竿" * 30,
        "a" * 60,
        "Ha" * 40,
        f"{POEM}\n{'very ' * 120}",
        f"{CODE}\n{'I hope this helps! ' * 40}",
        "sdkfjh qwlkrjt xcvbmn plkjhg wrtpsd mnbvcx zxcvbn qwrtps lkjhgf dfghjk sdfghj vbnmlk",
    ],
)
def test_loops_and_gibberish_are_degenerate(text):
    assert find_fault(text, *ASKED) is Fault.DEGENERATE


def test_a_long_text_takes_time_in_proportion_only():
    assert find_fault("lorem ipsum " * 200_000, *ASKED) is Fault.DEGENERATE
    assert find_fault("a" * 2_000_000, *ASKED) is Fault.DEGENERATE
    assert find_fault("\ud800 a lone surrogate", *ASKED) is None


@pytest.mark.parametrize(
    "given", [(None,), (b"tea",), ("Tea is hot.", [{"role": "user"}]), ("Tea.", "", None)], ids=repr
)
def test_what_is_no_text_is_refused(given):
    with pytest.raises(TypeError, match="find_fault takes texts"):
        find_fault(*given)
