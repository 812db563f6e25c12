"""Makes texts whose lines, sentences or paragraphs are as asked (parts.py), and texts in which one of them isn't."""

from collections.abc import Iterator

from autoif.faults.counts import UNITS
from autoif.faults.form_texts import Pair
from autoif.faults.parts import JOINTS, Marked, Place, Sized
from autoif.faults.texts import choose_sentences, join_parts, make_within
from autoif.faults.variants import find_steps, say_counted


def make_part_pairs(part: Marked | Sized) -> Iterator[Pair]:
    """Yield texts whose parts are as asked, each beside one in which a part isn't."""
    return _size_parts(part) if isinstance(part, Sized) else _mark_parts(part)


def _mark_parts(part: Marked) -> Iterator[Pair]:
    """Yield a text in which each part, or the right one, has the named text, beside one where another part has it."""
    size = 2 if part.number < 2 else part.number + 1
    plain = choose_sentences(part.text, size)
    marked = [_mark(sentence, part) for sentence in plain]
    other = [_misplace(sentence, part) for sentence in plain]
    named = f'"{part.text}"'
    if part.number:
        place = part.number - 1 if part.number > 0 else size - 1
        right, wrong = (
            join_parts(part.unit, [marked[at] if at == chosen else other[at] for at in range(size)])
            for chosen in (place, (place + 1) % size)
        )
        yield Pair(right, wrong, f"a text with {named} at the right {part.unit}", "one with it at another")
        return
    if part.some:
        right = join_parts(part.unit, [other[0], marked[1]])
        yield Pair(right, join_parts(part.unit, other), f"a {part.unit} with {named} there", "none with it there")
        return
    good, bad = (other, marked) if part.never else (marked, other)
    if part.never and part.place is Place.START and part.text == "I":
        longer = join_parts(part.unit, ["It is cold.", "In all, dogs slept."])
        yield Pair(longer, join_parts(part.unit, bad), "words that start with I", "the word")
    for texts in ([good[0], bad[1]], [bad[0], good[1]]):
        labels = f"two {part.unit}s that are as they must be", f"two of which one is not, for {named}"
        yield Pair(join_parts(part.unit, good), join_parts(part.unit, texts), *labels)


def _mark(sentence: str, part: Marked) -> str:
    """Return a sentence with the named text in its place; in the middle twice, unless it is a punctuation mark."""
    bare, text = sentence[:-1], part.text.strip()
    match part.place:
        case Place.START:
            start = f"{text[0].upper()}{text[1:]}" if part.unit == "sentence" else text
            return f"{start} {bare.lower()}."
        case Place.END:
            return f"{bare} {text}" if text[0].isalnum() else f"{bare}{text}"
        case Place.INSIDE:
            once = _put_inside(sentence, text)
            return once if text in JOINTS else _put_inside(once, text)


def _misplace(sentence: str, part: Marked) -> str:
    """Return a sentence with the named text where it doesn't belong, or without it."""
    text = part.text.strip()
    if part.place is Place.INSIDE or text[-1] in ".!?":
        return f"{sentence[:-1]}{'!' if text.endswith('.') else '.'}"
    return _put_inside(sentence, text)


def _put_inside(sentence: str, text: str) -> str:
    first, rest = sentence.split(" ", 1)
    return f"{first}{' ' if text[0].isalnum() else ''}{text} {rest}"


def _size_parts(part: Sized) -> Iterator[Pair]:
    """Yield parts of an allowed size, beside parts of which one is too large or too small by one."""
    for wrong, right in find_steps(part.count):
        if wrong > 0 or (wrong == 0 and part.count.unit not in UNITS):
            good, bad = make_within(part.count.unit, right), make_within(part.count.unit, wrong)
            if part.number:
                size = max(2, part.number + 1)
                at = part.number - 1 if part.number > 0 else size - 1
                right_ones, others = (
                    [one] * at + [it] + [one] * (size - at - 1) for it, one in ((good, bad), (bad, good))
                )
            else:
                right_ones, others = [good, good], [good, bad]
            yield Pair(
                join_parts(part.unit, right_ones),
                join_parts(part.unit, others),
                f"{part.unit}s of {say_counted(right, part.count)}",
                f"one that has {say_counted(wrong, part.count)}",
            )
