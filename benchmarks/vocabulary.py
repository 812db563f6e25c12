"""How far the helpers for functions agree with IFEval's checkers, on the recorded responses of nine models.

    AUTOIF_DATA=FOLDER python benchmarks/vocabulary.py

For each kind of instruction that a helper can answer, a function of one line is compared with the recorded official
verdicts. The two don't define everything alike (docs/vocabulary.md says what is what), so the table tells how much that
matters on answers of models. Last, what it costs to carry helpers: functions a second in the sandbox, with and without.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from autoif import Sandbox
from autoif.vocabulary import (
    carry,
    count_letter,
    count_word,
    ends_with,
    get_bracketed,
    get_bullets,
    get_capital_words,
    get_highlighted,
    get_sentences,
    get_words,
    has_word,
    is_json,
    split_by,
    starts_with,
)
from ifeval import read_nine
from recordings import find_recordings

Check = Callable[[str, dict[str, Any]], bool]
FUNCTIONS = 200


def main() -> None:
    counts: dict[str, Counter[tuple[bool, bool]]] = {kind: Counter() for kind in CHECKS}
    for kind, arguments, response, official in read_verdicts():
        counts[kind][official, CHECKS[kind](response, arguments)] += 1
    print(
        "| instruction | responses | both follow | both refuse | only the official check refuses | only ours refuses |"
    )
    print("|---|---|---|---|---|---|")
    for kind, count in sorted(counts.items()):
        cells = (count.total(), count[True, True], count[False, False], count[False, True], count[True, False])
        print(f"| `{kind}` | " + " | ".join(f"{cell:,}" for cell in cells) + " |")
    whole: Counter[tuple[bool, bool]] = sum(counts.values(), Counter())
    agreed = whole[True, True] + whole[False, False]
    print(f"\nthe same verdict on {agreed:,} of {whole.total():,} ({agreed / whole.total():.1%})")
    time_carrying()


def reach(count: int, relation: str, number: int) -> bool:
    return count >= number if relation == "at least" else count < number


CHECKS: dict[str, Check] = {
    "length_constraints:number_words": lambda text, k: reach(len(get_words(text)), k["relation"], k["num_words"]),
    "length_constraints:number_sentences": lambda text, k: reach(
        len(get_sentences(text)), k["relation"], k["num_sentences"]
    ),
    "length_constraints:number_paragraphs": lambda text, k: len(split_by(text, "***")) == k["num_paragraphs"],
    "keywords:existence": lambda text, k: all(has_word(text, word) for word in k["keywords"]),
    "keywords:forbidden_words": lambda text, k: not any(has_word(text, word) for word in k["forbidden_words"]),
    "keywords:frequency": lambda text, k: reach(count_word(text, k["keyword"]), k["relation"], k["frequency"]),
    "keywords:letter_frequency": lambda text, k: reach(
        count_letter(text, k["letter"]), k["let_relation"], k["let_frequency"]
    ),
    "detectable_format:number_bullet_lists": lambda text, k: len(get_bullets(text)) == k["num_bullets"],
    "detectable_format:number_highlighted_sections": lambda text, k: len(get_highlighted(text)) >= k["num_highlights"],
    "detectable_format:title": lambda text, k: len(get_bracketed(text, "<<")) > 0,
    "detectable_format:json_format": lambda text, k: is_json(text),
    "detectable_content:number_placeholders": lambda text, k: len(get_bracketed(text)) >= k["num_placeholders"],
    "detectable_content:postscript": lambda text, k: has_word(text, k["postscript_marker"]),
    "change_case:capital_word_frequency": lambda text, k: reach(
        len(get_capital_words(text)), k["capital_relation"], k["capital_frequency"]
    ),
    "startend:end_checker": lambda text, k: ends_with(text, k["end_phrase"]),
    "startend:quotation": lambda text, k: starts_with(text, '"') and ends_with(text, '"'),
    "combination:two_responses": lambda text, k: len(split_by(text, "******")) == 2,
}


def read_verdicts() -> Iterator[tuple[str, dict[str, Any], str, bool]]:
    """Yield (kind, arguments, response, strict official verdict) for each instruction that a check here is for."""
    questions, models = read_nine(find_recordings())
    for row in (row for rows in models.values() for row in rows if row["response"]):
        question = questions[str(row["key"])]
        for kind, arguments, official in zip(question.instruction_id_list, question.kwargs, row["strict"], strict=True):
            if kind in CHECKS:
                yield (
                    kind,
                    {key: value for key, value in arguments.items() if value is not None},
                    row["response"],
                    official,
                )


def time_carrying() -> None:
    """Print how many functions a second are run on one text, without helpers and with those that they call."""
    plain = [f"def evaluate(response):\n    return len(response.split()) >= {number}\n" for number in range(FUNCTIONS)]
    helped = [carry(source.replace("response.split()", "get_words(response)")) for source in plain]
    sentences = [carry(source.replace("response.split()", "get_sentences(response)")) for source in plain]
    with Sandbox() as sandbox:
        for name, sources in (("response.split()", plain), ("get_words", helped), ("get_sentences", sentences)):
            sandbox.run_many_sync([(sources[0], ["A text."])] * 20)
            began = time.monotonic()
            sandbox.run_many_sync([(source, ["A text."]) for source in sources])
            speed = len(sources) / (time.monotonic() - began)
            print(f"{name}: {speed:,.0f} functions a second, {len(sources[0]):,} characters each")


if __name__ == "__main__":
    main()
