"""Responses through the checkers, on several processes. Each loads the checkers once; the order of results is kept."""

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, repeat
from multiprocessing import get_context
from threading import current_thread, main_thread
from typing import TYPE_CHECKING

from pydantic import JsonValue

from autoif.errors import ConfigError
from autoif.evaluation.ifeval_ifbench.checkers import NEWEST, Checkers, Revision, Suite, Unjudgeable, Verdicts
from autoif.evaluation.ifeval_ifbench.tokenizer_data import PUNKT, STOPWORDS, find_data

if TYPE_CHECKING:
    from autoif.evaluation.ifeval_ifbench.benchmark import Question, Questions

Job = tuple["Question", str]
Run = Callable[[Sequence[Job]], list[Verdicts | str]]
"""Returns verdicts in order; a text where the data lacks what they need."""
CHECKER_PACKAGES = ("emoji", "langdetect", "nltk", "syllapy")
_WORTH_A_PROCESS = 1_000
"""Responses: they take some 1.6 s, and a process about 1 s to start and to end."""
_CHUNK = 16
_Plain = tuple[str, Sequence[tuple[str, dict[str, JsonValue]]], str]

_Which = tuple[Suite, Revision]
_loaded: dict[_Which, Checkers] = {}


@contextmanager
def open_checkers(
    questions: "Questions", responses: int, workers: int | None = None, *, revision: Revision = NEWEST
) -> Iterator[Run]:
    """Start what judges.

    Args:
        questions: what is asked; it decides which tokenizer data is needed.
        responses: about how many there will be.
        workers: processes; None is as many as there are cores, if there is enough for them to do.
        revision: of IFBench's checkers.

    Raises:
        ConfigError: the checkers or their data are not installed.
    """
    folders = check_installed(questions)
    count = workers or min(len(os.sched_getaffinity(0)), max(1, responses // _WORTH_A_PROCESS))
    which = questions.suite, revision
    if count == 1 and current_thread() is main_thread():  # elsewhere no check can be ended
        _load(which, folders)
        yield lambda jobs: [_judge(which, row.prompt, row.instructions, text) for row, text in jobs]
        return
    # Spawned, as the parent may hold the threads of torch, which a fork would copy in any state.
    with ProcessPoolExecutor(count, get_context("spawn"), initializer=_load, initargs=(which, folders)) as pool:

        def judge(jobs: Sequence[Job]) -> list[Verdicts | str]:
            try:
                parts = [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)]
                # Plain values: the parent needs one of the cores itself to write them.
                sent = ([(row.prompt, row.instructions, text) for row, text in part] for part in parts)
                return list(chain.from_iterable(pool.map(_judge_part, repeat(which), sent)))
            except BrokenProcessPool:
                raise ConfigError("a process that scores was ended from outside, perhaps for memory") from None

        yield judge


def check_installed(questions: "Questions") -> list[str]:
    """Return the folders of tokenizer data, if all that judges is there. Raises ConfigError."""
    for package in CHECKER_PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"the checkers need {package}: pip install 'autoif[eval]'")
    return find_data(_list_needed(questions))


def _list_needed(questions: "Questions") -> list[str]:
    asked = {name for row in questions.rows for name in row.instruction_id_list}
    needed = [PUNKT]
    if "ratio:stop_words" in asked:
        needed.append(STOPWORDS)
    return needed


def _load(which: _Which, folders: Sequence[str]) -> None:
    if which not in _loaded:
        suite, revision = which
        _loaded[which] = Checkers(suite, folders, revision)


def _judge_part(which: _Which, part: Sequence[_Plain]) -> list[Verdicts | str]:
    return [_judge(which, *each) for each in part]


def _judge(
    which: _Which, prompt: str, instructions: Sequence[tuple[str, dict[str, JsonValue]]], response: str
) -> Verdicts | str:
    logging.disable(logging.ERROR)  # the checkers log each text whose language they can't tell
    try:
        return _loaded[which].judge(prompt, instructions, response)
    except Unjudgeable as error:
        return str(error)
    finally:
        logging.disable(logging.NOTSET)
