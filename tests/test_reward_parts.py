"""Rewards of several parts: what each is, that a batch is judged once, and the form that TRL takes."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator

import pytest

from autoif.errors import ConfigError
from autoif.reward_parts import RewardParts
from autoif.sandbox import Limits

HAS_A = "def evaluate(response):\n    return 'a' in response"
LONG = "def evaluate(response):\n    return len(response) > 3"
NEVER = "def evaluate(response):\n    return False"
ALL = {"verification": 1.0, "fraction": 0.5, "constraints": 0.25, "gate": 0.125}


@pytest.fixture(scope="module")
def parts() -> Iterator[RewardParts]:
    with RewardParts(ALL, limits=Limits(timeout_s=1.0), workers=1) as made:
        yield made


def values(parts: RewardParts, completions, **columns) -> dict[str, list]:
    return {part.__name__: part(completions, **columns) for part in parts.functions}


def test_each_part_is_a_reward_function_with_a_weight(parts):
    constraints = [[{"functions": [HAS_A]}, {"functions": [LONG, NEVER]}, {"functions": [LONG]}]] * 3
    found = values(parts, ["tall", "a", "!!!!"], constraints=constraints)
    assert found == {
        "verification": [0, 0, 0],
        "fraction": [3 / 4, 1 / 4, 0],
        "constraints": [2 / 3, 1 / 3, 0],
        "gate": [1, 1, 0],
    }
    assert parts.weights == [1.0, 0.5, 0.25, 0.125]
    sums = parts(["tall", "a", "!!!!"], constraints=constraints)
    assert sums == pytest.approx([3 / 8 + 1 / 6 + 0.125, 1 / 8 + 1 / 12 + 0.125, 0])


def test_a_row_without_constraints_has_one_and_a_row_without_functions_no_reward(parts):
    found = values(parts, ["tall", "x", "tall"], functions=[[HAS_A, LONG], [HAS_A, LONG], []])
    assert found["constraints"] == [1, 0, None]
    assert found["gate"] == [1, 1, None]
    assert parts(["tall"], functions=[[]]) == [None]
    mixed = values(parts, ["tall", "x"], constraints=[None, [{"functions": [HAS_A]}]], functions=[[HAS_A], None])
    assert mixed["constraints"] == [1, 0]


def test_a_batch_is_judged_once_however_many_parts_there_are(parts, monkeypatch):
    asked, judge = [], parts._reward.judge
    monkeypatch.setattr(parts._reward, "judge", lambda texts, **columns: asked.append(texts) or judge(texts, **columns))
    values(parts, ["mall"], functions=[[HAS_A]])
    assert len(asked) == 1
    values(parts, ["mall"], functions=[[LONG]])
    assert len(asked) == 2, "other functions are another batch"


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"verify": 1.0}, "no part of a reward is called 'verify': choose of verification"),
        ({}, "of no part"),
        ({"gate": float("nan")}, "the weight of gate is no number: nan"),
        ({"gate": float("inf")}, "the weight of gate is no number: inf"),
        ({"gate": "1"}, "the weight of gate is no number"),
    ],
)
def test_what_is_no_part_is_an_error(weights, message):
    with pytest.raises(ConfigError, match=message):
        RewardParts(weights)


@pytest.mark.parametrize(
    "constraints", [[{"functions": NEVER}], ["x", {}], [{}], {"functions": [[NEVER]]}, 3, [{"functions": [3]}]]
)
def test_constraints_of_another_form_are_an_error(parts, constraints):
    with pytest.raises(ConfigError, match="'constraints' must hold a list of"):
        parts(["tall"], functions=[[HAS_A]], constraints=[constraints])


def test_a_batch_of_the_same_texts_with_another_query_is_judged_anew(parts):
    text = "name a small animal that lives in a tall tree"
    assert values(parts, [text], functions=[[HAS_A]], query=["what?"])["gate"] == [1]
    assert values(parts, [text], functions=[[HAS_A]], query=[text])["gate"] == [0]
    functions = [[HAS_A]]
    assert values(parts, ["tall"], functions=functions)["fraction"] == [1]
    functions[0][0] = NEVER
    assert values(parts, ["tall"], functions=functions)["fraction"] == [0], "a list that was changed in place"


def test_pickled_or_copied_it_is_its_settings_and_so_is_each_part(parts):
    columns = {"functions": [[HAS_A, LONG]] * 2}
    for copied in (pickle.loads(pickle.dumps(parts)), copy.deepcopy(parts)):
        with copied:
            assert (copied.names, copied.weights) == (parts.names, parts.weights)
            assert values(copied, ["tall", "a"], **columns) == values(parts, ["tall", "a"], **columns)
    functions = pickle.loads(pickle.dumps(parts.functions))
    assert [each.__name__ for each in functions] == parts.names
    assert functions[1](["tall", "a"], **columns) == [1, 0.5]


FORKED = f"""
import os, threading, time
from autoif.reward_parts import RewardParts

parts = RewardParts({{"gate": 1.0}}, workers=1)
slow = "import time\\ndef evaluate(response): return time.sleep(1.5) is None"
judging = threading.Thread(target=parts, args=(["tall"],), kwargs={{"functions": [[slow]]}})
judging.start()
time.sleep(1)
if (child := os.fork()) == 0:
    print(parts(["tall"], functions=[[{HAS_A!r}]]), flush=True)
    parts.close()
    os._exit(0)
os.waitpid(child, 0)
judging.join()
"""


def test_a_process_that_was_forked_while_another_thread_judged_can_judge():
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[1.0]\n", done.stderr
