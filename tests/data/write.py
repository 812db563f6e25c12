"""Writes the files here that are our own, in the form of data that may not be passed on: `python tests/data/write.py`.

    general/ceval/ceval.zip         C-Eval's tables, with sums instead of its questions
    nltk/corpora/stopwords          English words that carry little meaning
    nltk/taggers/…                  a tagger that knows a few dozen verbs, and takes all else for a noun

`queries/sharegpt.json` is written by hand.
"""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from autoif.evaluation.general.definitions import load_definitions
from support.packed_data import pack_zip

HERE: Final = Path(__file__).parent
LETTERS: Final = "ABCD"

STOP_WORDS: Final = """
a about above after again against all also am an and any are as at be because been before being below between both but
by can cannot could did do does doing down during each either else few for from further had has have having he her here
hers herself him himself his how i if in into is it its itself just may me might more most must my myself neither no
nor not now of off on once only or other our ours ourselves out over own same shall she should so some such than that
the their theirs them themselves then there these they this those though through to too under until up upon very was
we were what when where whether which while who whom whose why will with would yet you your yours yourself yourselves
"""

VERBS: Final = """
add ask be begin bring build buy call carry change choose come compare cook create cut describe do draw drink eat
explain fill find fold follow get give go grow have help hold imagine keep know learn leave let list listen look make
meet mix move open place plan play pour prepare put read remember run save say see sell send serve set show sing sit
sleep speak stand start stir stop take talk teach tell think travel try turn use visit wait walk want wash watch wear
work write
"""


def write_choices() -> None:
    tables = {}
    for place, subject in enumerate(definition.subject for definition in load_definitions("ceval", chat=False)):
        count = 11 if subject == "law" else 2
        tables[f"val/{subject}_val.csv"] = write_table(place, count, explained=False)
        tables[f"dev/{subject}_dev.csv"] = write_table(place + 100, 5, explained=True)
    pack_zip(HERE / "general/ceval/ceval.zip", tables)


def write_table(place: int, count: int, *, explained: bool) -> bytes:
    """Return questions with four answers each; `place` tells those of one table from those of another."""
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow(["id", "question", *LETTERS, "answer", *(["explanation"] if explained else [])])
    for number in range(count):
        one, two, right = place + 3, 7 * number + 2, (3 * place + 5 * number) % 4
        answers = [one + two + choice - right for choice in range(4)]
        why = [f"1. {one}加{two}等于{one + two}。\n2. 所以选{LETTERS[right]}。"] if explained else []
        table.writerow([number, f"{one}加{two}等于____。", *answers, LETTERS[right], *why])
    return out.getvalue().encode()


def write_words() -> None:
    path = HERE / "nltk/corpora/stopwords/english"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(STOP_WORDS.split()) + "\n", encoding="utf-8")


def write_tagger() -> None:
    name = "averaged_perceptron_tagger_eng"
    folder = HERE / "nltk/taggers" / name
    folder.mkdir(parents=True, exist_ok=True)
    verbs = [form for verb in VERBS.split() for form in (verb, verb.capitalize())]
    parts = {"classes": ["NN", "VB"], "tagdict": dict.fromkeys(verbs, "VB"), "weights": {"bias": {"NN": 1.0}}}
    for part, content in parts.items():
        (folder / f"{name}.{part}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_choices()
    write_words()
    write_tagger()
