"""A vocabulary for functions: what they may ask about a text, in words that mean one thing (`words`, `layout`), and
sources that carry what they use (`carrying`)."""

from autoif.vocabulary.carrying import carry, describe_vocabulary, fold, uncarry
from autoif.vocabulary.layout import (
    get_bold,
    get_bracketed,
    get_bullets,
    get_code_blocks,
    get_headings,
    get_highlighted,
    get_lines,
    get_list_items,
    get_numbered,
    get_paragraphs,
    get_quotes,
    get_sentences,
    is_json,
    read_json,
    split_by,
)
from autoif.vocabulary.words import (
    count_letter,
    count_word,
    ends_with,
    get_capital_words,
    get_digits,
    get_emojis,
    get_first_word,
    get_last_word,
    get_letters,
    get_numbers,
    get_words,
    has_word,
    starts_with,
    starts_with_capital,
)

__all__ = [
    "carry", "count_letter", "count_word", "describe_vocabulary", "ends_with", "fold", "get_bold", "get_bracketed",
    "get_bullets", "get_capital_words", "get_code_blocks", "get_digits", "get_emojis", "get_first_word",
    "get_headings", "get_highlighted", "get_last_word", "get_letters", "get_lines", "get_list_items", "get_numbered",
    "get_numbers", "get_paragraphs", "get_quotes", "get_sentences", "get_words", "has_word", "is_json", "read_json",
    "split_by", "starts_with", "starts_with_capital", "uncarry",
]  # fmt: skip
