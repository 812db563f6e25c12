"""Writes what the official checkers say of the texts that functions of training data are tried on (contamination):
`python tests/write_constraint_verdicts.py`.
"""

import json
import logging
from collections.abc import Mapping

from pydantic import JsonValue

from autoif.benchmark_wordings import TITLES, Suite
from autoif.contamination.constraint_trials import PARAMETERISED, VERDICTS, list_pool, load_examples
from autoif.evaluation.ifeval_ifbench.checkers import Checkers, Unjudgeable
from autoif.evaluation.ifeval_ifbench.corrections import CORRECTIONS
from support.ifeval_data import load_checkers

ENOUGH = 3
"""Texts of each side, fewer of which would tell nothing."""
CASES = {"change_case:english_capital": str.isupper, "change_case:english_lowercase": str.islower}


def make_verdicts() -> str:
    """Return the file's content: by type a mark for each text of the pool, of the types that have enough of both."""
    found = {suite: {name: marks for name, marks in _mark_pool(suite).items() if _tells(marks)} for suite in TITLES}
    return json.dumps(found, indent=1) + "\n"


def _tells(marks: str) -> bool:
    return min(marks.count("+"), marks.count("-")) >= ENOUGH


def _mark_pool(benchmark: Suite) -> dict[str, str]:
    checkers, examples = load_checkers(benchmark), load_examples().of(benchmark)
    marks = {True: "+", False: "-", None: "."}
    return {
        name: "".join(marks[_check(checkers, name, examples[name].arguments, text)] for text in list_pool())
        for name in sorted(examples.keys() - PARAMETERISED)
    }


def _check(checkers: Checkers, name: str, arguments: Mapping[str, JsonValue], text: str) -> bool | None:
    """Return the verdict without the checkers' known faults; None where there is none."""
    logging.disable(logging.ERROR)  # the checkers log each text whose language they can't tell
    try:
        verdict = bool(checkers.build(name, arguments, "")[0].check_following(text))
    except Unjudgeable:
        return None
    except Exception:  # noqa: BLE001  # of the package's code
        return None
    finally:
        logging.disable(logging.NOTSET)
    if not verdict and name in CASES and CASES[name](text):
        return None  # in another language, as far as so short a text tells: no function looks at that
    correction = CORRECTIONS.get(name)
    return correction.check(arguments, text, verdict) if correction else verdict


if __name__ == "__main__":
    VERDICTS.write_text(make_verdicts(), encoding="ascii")
