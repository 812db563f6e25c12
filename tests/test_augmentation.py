"""Query augmentation (§3.3): which queries an instruction gets, and the message that query and instruction make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.queries.augmentation import augment, choose_queries, join_sentences
from autoif.records import Instruction, Prompt, Query
from conftest import MakeTools
from support.records import ACCEPT, REFUSE, verified

POOL = tuple(Query.of(f"How many legs do {number} spiders have?") for number in range(50))


@pytest.mark.parametrize(
    ("query", "instruction", "message"),
    [
        ("What is tea?", "Use no adjectives.", "What is tea? Use no adjectives."),
        ("What is tea?", "Use no adjectives", "What is tea? Use no adjectives."),
        ("What is tea?", "use no adjectives", "What is tea? Use no adjectives."),
        ("what is tea", "Use no adjectives.", "what is tea. Use no adjectives."),
        ("Tell me about tea.", "Is every word short?", "Tell me about tea. Is every word short?"),
        ("Tell me about tea!", "Shout!", "Tell me about tea! Shout!"),
        ("Tell me about 'tea.'", "Use 'tea.'", "Tell me about 'tea.' Use 'tea.'"),
        ("Tell me about 'tea'", "Use 'tea'", "Tell me about 'tea'. Use 'tea'."),
        ("Tell me about (tea)", "Use (tea)", "Tell me about (tea). Use (tea)."),
        ("Tell me more...", "Use tea…", "Tell me more... Use tea…"),
        ("Translate:", "Use tea", "Translate: Use tea."),
        ('Start with "In short,"', "Use tea", 'Start with "In short,". Use tea.'),
        ("What is an iPhone?", "iPhone must come first", "What is an iPhone? iPhone must come first."),
        ("What is tea?", "'e' is forbidden", "What is tea? 'e' is forbidden."),
        ("What is tea?", "e is forbidden", "What is tea? e is forbidden."),
        ("什么是茶？", "Use tea.", "什么是茶？ Use tea."),
        ("Sort this:\nb\na", "Use tea", "Sort this:\nb\na.\n\nUse tea."),
        ("Run this:\n```\nx = 1\n```", "Use tea", "Run this:\n```\nx = 1\n```\n\nUse tea."),
        ("  What is tea?  ", "  Use tea.\n", "What is tea? Use tea."),
    ],
)
def test_query_and_instruction_make_one_natural_message(query: str, instruction: str, message: str) -> None:
    assert join_sentences(query, instruction) == message


@given(st.text(), st.text())
def test_joining_never_raises_and_keeps_both_texts(query: str, instruction: str) -> None:
    message = join_sentences(query, instruction)
    assert message.startswith(query.strip())
    assert instruction.strip()[1:] in message


@given(st.text("aeiou", min_size=1), st.sampled_from([".", "!", "?", "…", '."', "!'", ".)"]))
def test_no_ending_is_doubled(word: str, ending: str) -> None:
    assert join_sentences(f"Say {word}{ending}", f"Use {word}{ending}") == f"Say {word}{ending} Use {word}{ending}"


async def test_an_instruction_is_joined_with_as_many_queries_as_asked_for(make_tools: MakeTools) -> None:
    record = verified([ACCEPT])
    results = await augment(record, make_tools(queries=[query.text for query in POOL]))
    prompts = [result for result in results if isinstance(result, Prompt)]
    assert len(results) == len(prompts) == 16
    assert len({prompt.query.id for prompt in prompts}) == 16
    assert len({prompt.id for prompt in prompts}) == 16
    for prompt in prompts:
        assert prompt.text == f"{prompt.query.text} Use the word 'tea'."
        assert prompt.constraints == (record,)


async def test_a_small_pool_is_used_whole(make_tools: MakeTools) -> None:
    results = await augment(verified([ACCEPT]), make_tools(queries=["What is tea?", "What is milk?"]))
    assert len(results) == 2


def test_the_same_instruction_gets_the_same_queries_and_a_longer_draw_begins_with_the_shorter() -> None:
    record = verified([ACCEPT])
    draw = choose_queries(record, POOL, 10, seed=0)
    assert choose_queries(record, POOL, 10, seed=0) == draw
    assert choose_queries(record, POOL, 4, seed=0) == draw[:4]
    assert choose_queries(record, POOL, 10, seed=1) != draw


def test_another_instruction_gets_other_queries() -> None:
    record = verified([ACCEPT])
    others = [record.model_copy(update={"instruction": Instruction.of(f"Use {n} words.", "seed")}) for n in range(9)]
    draws = {tuple(query.id for query in choose_queries(each, POOL, 8, 0)) for each in others}
    assert len(draws) == 9
    assert len(set().union(*draws)) > 30


def test_the_functions_of_an_instruction_do_not_shape_its_queries() -> None:
    assert choose_queries(verified([ACCEPT]), POOL, 8, 0) == choose_queries(verified([REFUSE]), POOL, 8, 0)


def test_an_empty_pool_gives_no_prompts() -> None:
    assert choose_queries(verified([ACCEPT]), (), 4, 0) == []
