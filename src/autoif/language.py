"""Scripts, for telling that a model answered in another language where no language detector can: in a line or two."""

import unicodedata


def has_foreign_script(text: str) -> bool:
    """Tell whether most letters of a text are not Latin ones. Text without letters (emoji, Morse) has no script."""
    letters = [char for char in text if char.isalpha()]
    foreign = sum(
        not (char.isascii() or unicodedata.name(char, "").startswith(("LATIN", "FULLWIDTH LATIN"))) for char in letters
    )
    return foreign * 2 > len(letters)
