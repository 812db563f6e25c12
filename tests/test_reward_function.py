"""The reward function: what TRL's trainers hand over, what they get, and in which processes and threads."""

import asyncio
import contextlib
import copy
import json
import os
import pickle
import runpy
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import numpy
import pyarrow
import pytest

from autoif import ConfigError, Fault, Limits, RewardMode, Sandbox, SandboxError, VerificationReward, compute_reward
from autoif.models.wire import read_text
from autoif.reward_inputs import read_completion
from support.process_tree import list_descendants, wait_until_gone

ROOT = Path(__file__).parent.parent
HAS_A = "def evaluate(response):\n    return 'a' in response"
LONG = "def evaluate(response):\n    return len(response) > 3"
RAISES = "def evaluate(response):\n    raise ValueError"
HANGS = "import time\ndef evaluate(response):\n    return response != 'hang' or time.sleep(60)"
COPIED = "Name a small animal that lives in a tree."
COUNTS = "count = 0\ndef evaluate(response):\n    global count\n    count += 1\n    return str(count) == response"


def answer(text: object) -> list[dict[str, object]]:
    return [{"role": "assistant", "content": text}]


@pytest.fixture(scope="module")
def reward() -> Iterator[VerificationReward]:
    with VerificationReward("fraction", limits=Limits(timeout_s=0.5), workers=1) as made:
        yield made


def test_a_completion_gets_the_share_of_its_functions_that_accept_it(reward):
    functions = [[HAS_A, LONG], [HAS_A, LONG], [HAS_A, LONG, RAISES], [HANGS]]
    assert reward(["a", "tall", "tall", "hang"], functions=functions) == [0.5, 1, 2 / 3, 0]


def test_binary_wants_more_than_half():
    with VerificationReward(workers=1) as reward:
        assert reward.mode is RewardMode.BINARY
        assert reward(["a", "tall", "x"], functions=[[HAS_A, LONG], [HAS_A, LONG, RAISES], [LONG]]) == [0, 1, 0]


@pytest.mark.parametrize("mode", RewardMode)
async def test_it_is_compute_reward_of_the_sandbox_s_verdicts(mode):
    rows, kept = (
        [json.loads(line) for line in (ROOT / "tests/golden" / name).read_text("utf-8").splitlines()]
        for name in ("rewards.jsonl", "sft.jsonl")
    )
    texts = [row["messages"][-1]["content"] for row in kept]
    pairs = [(row["constraints"], text) for row in rows for text in texts[:4]]
    async with Sandbox(workers=1) as sandbox:
        judged = [
            [(await sandbox.run(source, [text]))[0].verdict for each in asked for source in each["functions"]]
            for asked, text in pairs
        ]
    expected = [compute_reward(verdicts, mode) for verdicts in judged]
    assert {0, 1} <= set(expected)
    with VerificationReward(mode, workers=1) as reward:
        completions = [answer(text) for _, text in pairs]
        assert reward(completions, constraints=[asked for asked, _ in pairs]) == expected


def test_each_distinct_function_runs_once_over_all_its_completions(reward):
    assert reward(["1", "x", "2"], functions=[[COUNTS], [LONG], [COUNTS]]) == [1, 0, 1]
    assert reward(["1"], functions=[[COUNTS]]) == [1]
    assert reward([], functions=[]) == []


def test_a_completion_without_functions_has_no_reward(reward):
    assert reward(["a", "a", "a"], functions=[None, [HAS_A], []]) == [None, 1, None]


def test_a_constraint_whose_functions_a_data_set_filled_up_with_null_has_none(reward):
    rows = [[{"functions": [HAS_A]}, {"functions": None}], [{"instruction": "Be kind.", "functions": None}]]
    assert reward(["a", "a"], constraints=rows) == [1, None]


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("a text", "a text"),
        (answer("a text"), "a text"),
        ([*answer("first"), {"role": "tool", "content": "4"}, *answer("last")], "last"),
        ([*answer("calls"), {"role": "tool", "content": "cut off"}], "calls"),
        (answer([{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}, {"type": "image"}]), "in parts"),
        (answer(None), ""),
        ([], ""),
    ],
)
def test_of_a_conversation_the_last_answer_is_judged(completion, text):
    assert read_completion(completion).text == text


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, "needs the column 'constraints'"),
        ({"functions": [[HAS_A]]}, "2 completions came with 1 rows of 'functions'"),
        (
            {"functions": [HAS_A, HAS_A]},
            'or of sources, in each row, not "def',
        ),
        ({"functions": [[HAS_A], [7]]}, r"or of sources, in each row, not \[7\]"),
    ],
)
def test_a_data_set_that_does_not_fit_is_refused(reward, columns, said):
    with pytest.raises(ConfigError, match=said):
        reward(["a", "b"], prompts=["", ""], **columns)


@pytest.mark.parametrize(
    "settings", [{"gate": "false"}, {"column": None}, {"limits": {"timeout_s": 1}}, {"workers": "2"}]
)
def test_settings_of_another_type_are_refused_by_name(settings):
    with pytest.raises(ConfigError, match=f"^{next(iter(settings))} is .*: Input should be "):
        VerificationReward(**settings)


def test_settings_that_do_not_exist_are_refused_before_training():
    with pytest.raises(ConfigError, match="no reward is called 'average': choose binary or fraction"):
        VerificationReward("average")
    with pytest.raises(SandboxError, match="no sandbox is called 'docker'"):
        VerificationReward(backend="docker")


def test_another_column_can_hold_the_functions():
    with VerificationReward(column="checks", workers=1) as reward:
        assert reward(["a"], checks=[(HAS_A,)], functions=[[LONG]]) == [1]


async def test_it_can_be_awaited_and_gives_the_same(reward):
    columns: dict[str, Any] = {"functions": [[HAS_A, LONG]] * 2, "prompts": ["", ""]}
    first, second = await asyncio.gather(reward.verify(["a", "tall"], **columns), reward.verify(["", "b"], **columns))
    assert [first, second] == [[0.5, 1], [0, 0]] == [reward(["a", "tall"], **columns), reward(["", "b"], **columns)]


def test_many_threads_share_one_sandbox():
    with VerificationReward(workers=1) as reward, ThreadPoolExecutor(8) as threads:

        def ask(text: str) -> tuple[list[float | None], int]:
            return reward([text], functions=[[HAS_A]]), id(reward._sandbox.enter())

        found, sandboxes = zip(*threads.map(ask, ["a", "b"] * 20), strict=True)
    assert found == ([1], [0]) * 20
    assert len(set(sandboxes)) == 1


def test_closed_it_starts_anew_at_the_next_call():
    reward = VerificationReward(workers=1)
    reward.close()
    for _ in range(2):
        assert reward(["a"], functions=[[HAS_A]]) == [1]
        reward.close()


SLOW = "import time\ndef evaluate(response):\n    time.sleep(0.2)\n    return True"


@pytest.mark.parametrize("limits", [None, Limits(timeout_s=0.5), Limits(timeout_s=0.5, total_s=0.5)])
def test_a_function_has_limited_time_for_all_completions_of_a_batch(limits, monkeypatch):
    monkeypatch.setattr("autoif.reward.LONGEST_CALL_S", 0.5)
    with VerificationReward(limits=limits, workers=1) as reward:
        began = time.monotonic()
        assert reward(["a"] * 80, functions=[[SLOW]] * 80) in ([1] * number + [0] * (80 - number) for number in (1, 2))
        assert time.monotonic() - began < 10  # sixteen, if it had all the time


def test_pickled_it_is_its_settings(reward):
    copied = pickle.loads(pickle.dumps(reward))
    assert (copied.mode, copied.column, copied.__name__) == ("fraction", "constraints", "verification_fraction")
    with copied:
        assert copied(["a", "tall"], functions=[[HAS_A, LONG]] * 2) == [0.5, 1]
        assert copied._sandbox.enter() is not reward._sandbox.enter()


def test_a_copy_that_nobody_closes_ends_its_sandbox_when_it_is_dropped(reward):
    others = list_descendants(os.getpid())
    for _ in range(3):  # as pools hand a copy to each task
        copied = copy.deepcopy(reward)
        assert copied(["tall"], functions=[[LONG]]) == [1]
        started = list_descendants(os.getpid()) - others
        assert started
        del copied
        wait_until_gone(started)
    assert reward(["tall"], functions=[[LONG]]) == [1]


# The gate

NO_E = "def evaluate(response):\n    return 'e' not in response"
EXCLAIMS = "def evaluate(response):\n    return '!' in response"
FORTY_WORDS = "def evaluate(response):\n    return len(response.split()) >= 40"
FISHING_ROD = "def evaluate(response):\n    return response.count('fishing rod') >= 1"
ANSWER = "Sure! You will want warm things, a tent, and a map. A fishing rod is fun too!"


@pytest.mark.parametrize(
    ("instruction", "function", "cheat", "fault"),
    [
        ("Do not use the letter e.", NO_E, "", "empty"),
        ("Use an exclamation mark.", EXCLAIMS, "!!!!!", "empty"),
        ("Answer with at least forty words.", FORTY_WORDS, "word " * 40, "degenerate"),
        (
            "Mention the word fishing rod.",
            FISHING_ROD,
            "What do I take to a lake? Mention the word fishing rod.",
            "copied",
        ),
        ("Mention the word fishing rod.", FISHING_ROD, "Mention the word fishing rod.", "copied"),
    ],
)
def test_what_passes_without_answering_earns_nothing(reward, instruction, function, cheat, fault):
    prompt = f"What do I take to a lake? {instruction}"
    columns: dict[str, Any] = {
        "prompts": [[{"role": "user", "content": prompt}]] * 2,
        "instruction": [instruction] * 2,
        "query": ["What do I take to a lake?"] * 2,
        "functions": [[function]] * 2,
    }
    logged: dict[str, float] = {}
    honest = ANSWER * 3 if function == FORTY_WORDS else ANSWER.replace("e", "") if function == NO_E else ANSWER
    found = reward([answer(cheat), answer(honest)], log_metric=logged.__setitem__, **columns)
    assert found == [0, 1]
    shares = {f"gate/{each}": 0.5 * (each == fault) for each in Fault}
    assert logged == shares | {f"verdicts/{each}": 0 for each in ("error", "timeout", "memory", "crash")}
    with VerificationReward(gate=False, workers=1) as verdicts:
        assert verdicts([answer(cheat), answer(honest)], log_metric=logged.__setitem__, **columns) == [1, 1]


@pytest.mark.parametrize(
    ("completion", "expected", "fault"),
    [
        ("<think>Every letter is e here.</think>So it is not.", 1, None),
        ([{"role": "assistant", "content": "So it is not.", "reasoning_content": "Eee."}], 1, None),
        (answer([{"type": "thinking", "thinking": "Eee."}, {"type": "text", "text": "So it is not."}]), 1, None),
        ("analysisE is bad.assistantfinalSo it is not.", 1, None),
        ("Use <think> and </think> as words.", 0, None),
        ("<think>No.</think>", 0, "only_reasoning"),
        ([{"role": "assistant", "content": "", "reasoning_content": "No."}], 0, "only_reasoning"),
        ("<think>No, no", 0, "unfinished_reasoning"),
    ],
)
def test_the_answer_after_the_thought_is_judged_and_a_thought_alone_earns_nothing(completion, expected, fault):
    source = "def evaluate(response):\n    return 'e' not in response.casefold()"
    for gate in (True, False):
        logged: dict[str, float] = {}
        with VerificationReward(gate=gate, workers=1) as reward:
            assert reward([completion], functions=[[source]], log_metric=logged.__setitem__) == [expected]
        assert [name for name, share in logged.items() if share] == ([f"gate/{fault}"] if fault else [])


def test_a_trainer_s_log_tells_functions_that_decide_nothing_from_those_that_reject(reward):
    logged: dict[str, float] = {}
    functions = [[HAS_A, RAISES], [HAS_A], [HANGS]]
    assert reward(["a", "x", "hang"], functions=functions, log_metric=logged.__setitem__) == [0.5, 0, 0]
    shares = {name: share for name, share in logged.items() if name.startswith("verdicts/")}
    assert shares == {"verdicts/error": 0.25, "verdicts/timeout": 0.25, "verdicts/memory": 0, "verdicts/crash": 0}


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (
            "import pytest\ndef evaluate(response):\n    return True",
            "'missing module: pytest'; name what .* in limits=",
        ),
        ("def check(response):\n    return True", "'has no evaluate'$"),
    ],
)
async def test_functions_that_do_not_load_are_warned_of_once(lost, said):
    with VerificationReward(workers=1) as reward:
        assert reward(["a"], functions=[[HAS_A]]) == [1]
        with pytest.warns(RuntimeWarning, match=f"don't load, so they accept nothing: the first {said}"):
            assert reward(["a", "b"], functions=[[lost], [HAS_A]]) == [0, 0]
        assert reward(["a"], functions=[[lost]]) == [0]  # a second warning would be an error
    with VerificationReward(workers=1) as reward, pytest.warns(RuntimeWarning, match="accept nothing"):
        assert await reward.verify(["a"], functions=[[lost]]) == [0]


async def test_the_awaited_form_is_gated_too(reward):
    assert await reward.verify(["!!!", "hi!"], prompts=["", ""], functions=[[EXCLAIMS]] * 2) == [0, 1]


def test_no_function_runs_on_a_gated_completion(reward):
    assert reward(["!!", "1"], functions=[[COUNTS], [COUNTS]]) == [0, 1]


def test_a_gated_completion_without_functions_has_no_reward_either(reward):
    assert reward(["", ""], functions=[None, [HAS_A]]) == [None, 0]


def test_without_prompts_copies_cannot_be_told(reward):
    text = "Write down what you would take along to a lake."
    assert reward([text], functions=[[HAS_A]]) == [1]
    assert reward([text], functions=[[HAS_A]], prompts=[text]) == [0]
    assert reward([text], functions=[[HAS_A]], prompts=[[{"role": "system", "content": text}]]) == [0]
    assert reward([text], functions=[[HAS_A]], prompts=[[{"role": "assistant", "content": text}]]) == [1]


@pytest.mark.parametrize("part", ["instruction", "query"])
def test_either_part_of_a_prompt_given_back_earns_nothing(reward, part):
    text = "Write down what you would take along to a lake."
    prompt = f"Please be brief. {text} Thank you."
    columns = {"functions": [[HAS_A]], "prompts": [prompt]}
    assert reward([text], **columns) == [1]
    assert reward([text], **columns, **{part: [text]}) == [0]


def test_columns_of_other_data_sets_do_not_disturb_the_gate(reward):
    assert reward(["a"], functions=[[HAS_A]], instruction=[7], query="q", prompts=None) == [1]


FORKED = f"""
import os, sys
from autoif import VerificationReward

reward = VerificationReward("fraction", workers=1)
ask = lambda: reward(["a", "b"], functions=[[{HAS_A!r}]] * 2)
print(ask(), flush=True)
if (pid := os.fork()) == 0:
    print(ask(), flush=True)
    reward.close()
    os._exit(0)
os.waitpid(pid, 0)
print(ask())
"""


def test_a_forked_trainer_process_starts_a_sandbox_of_its_own():
    done = subprocess.run([sys.executable, "-W", "error", "-c", FORKED], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["[1.0, 0.0]"] * 3, done.stderr
    assert not done.stderr


# With the real trainer

LETTERS = "abcdefghij "


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model of some thousand random weights that writes the letters a to j, the same whatever ran before."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {"<pad>": 0, "<eos>": 1, "<unk>": 2, **{letter: 3 + index for index, letter in enumerate(LETTERS)}}
    characters = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    characters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    characters.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=characters, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_rewards(path: Path) -> Path:
    """Write prompts with functions, as rewards.jsonl has them, that about half of the model's texts pass."""
    rows = [
        {"prompt": [{"role": "user", "content": "Use an a, please."}], "functions": [HAS_A, LONG, RAISES]},
        {"prompt": [{"role": "user", "content": "No a, please."}], "functions": [HAS_A.replace("in", "not in")]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def trained(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any], list[Any]]:
    """Train with a watched reward and by the example; return the folder, the reward's calls, and what was logged."""
    from datasets import load_dataset
    from trl import GRPOConfig, GRPOTrainer

    calls: list[Any] = []

    class Watched(VerificationReward):
        def __call__(self, completions, **columns):
            found = super().__call__(completions, **columns)
            calls.append([completions, columns["functions"], found])
            return found

    home = tmp_path_factory.mktemp("home")
    rewards = write_rewards(home / "rewards.jsonl")
    with warnings.catch_warnings(action="ignore"), pytest.MonkeyPatch.context() as patch, contextlib.chdir(home):
        patch.setattr("datasets.config.HF_DATASETS_CACHE", home / "cache")
        with Watched("fraction", limits=Limits(timeout_s=20), workers=1) as reward:
            trainer = GRPOTrainer(
                str(model),
                reward_funcs=[reward, reward.verify],
                train_dataset=load_dataset("json", data_files=str(rewards), split="train"),
                args=GRPOConfig(
                    str(home / "watched"), num_generations=4, per_device_train_batch_size=4, max_steps=2,
                    max_completion_length=12, logging_steps=1, save_strategy="no", use_cpu=True,
                ),
            )  # fmt: skip
            trainer.train()
        patch.setattr(sys, "argv", ["grpo.py", str(model), str(rewards), str(home / "example")])
        runpy.run_path(str(ROOT / "examples/grpo.py"), run_name="__main__")
    return home, calls, [entry for entry in trainer.state.log_history if "reward" in entry]


def test_the_real_trainer_trains_on_it_in_both_forms(trained):
    _, calls, logged = trained
    assert len(calls) == len(logged) == 2
    with Sandbox(Limits(timeout_s=20), workers=1) as sandbox:
        for (completions, functions, found), entry in zip(calls, logged, strict=True):
            expected = [
                compute_reward(
                    [sandbox.run_sync(source, [read_text(message["content"]).text])[0].verdict for source in sources],
                    "fraction",
                )
                for [message], sources in zip(completions, functions, strict=True)
            ]
            assert found == expected
            mean = sum(expected) / len(expected)
            assert entry["rewards/verification_fraction/mean"] == pytest.approx(mean)
            assert entry["rewards/verify/mean"] == pytest.approx(mean)
            assert entry["reward"] == pytest.approx(2 * mean)
            assert {entry[f"gate/{fault}"] for fault in Fault} == {0}


def test_the_example_trains_a_model_on_a_rewards_file(trained):
    assert (trained[0] / "example" / "model.safetensors").stat().st_size


@pytest.mark.parametrize("outer", [True, False])
def test_columns_may_be_arrays_as_tables_that_pandas_read_have_them(reward, outer):
    def as_array(*values):
        found = numpy.empty(len(values), dtype=object)
        found[:] = values
        return found

    constraints = [as_array({"functions": as_array(HAS_A, LONG), "instruction": COPIED})] * 2
    columns = {
        "constraints": as_array(*constraints) if outer else constraints,
        "prompts": as_array("Please do.", "Please do."),
    }
    assert reward(as_array("tall", COPIED), **columns) == [1, 0], "and what copies the instruction earns nothing"


def test_a_constraint_alone_has_an_instruction_that_an_answer_may_copy(reward):
    assert reward(["tall", COPIED], constraints=[{"functions": [HAS_A], "instruction": COPIED}] * 2) == [1, 0]


def test_prompts_of_another_number_are_an_error(reward):
    with pytest.raises(ConfigError, match="2 completions came with 1 rows of 'prompts'"):
        reward(["a", "a"], functions=[[HAS_A]] * 2, prompts=["a"])


def test_prompts_that_are_tokens_and_a_message_alone_are_read(reward):
    assert reward(["a", *answer("tall")], functions=[[HAS_A]] * 2, prompts=[[1, 2], [1, 2]]) == [1, 1]


def test_a_prompt_of_any_form_is_read_as_far_as_it_is_text(reward):
    asked = "Tell me a tall tale of a whale that sails by night."
    contents = [{"a": 1}, [asked[:9], {"text": 3}, {"type": "text", "text": asked[9:]}], None, 3]
    prompts = [[{"role": "user", "content": content}] for content in contents]
    texts = ["a", asked, "a", "a"]
    assert reward(texts, functions=[[HAS_A]] * 4, prompts=prompts) == [1, 0, 1, 1], "the second is a copy"


@pytest.mark.parametrize("given", ["aaa", None, (text for text in "aaa"), {"role": "assistant", "content": "a"}, b"a"])
def test_what_is_no_list_of_completions_is_an_error(reward, given):
    with pytest.raises(ConfigError, match=r"completions is a list of completions, and not (one text|[a-zA-Z]*)$"):
        reward(given, functions=[[HAS_A]] * 3)


def test_completions_may_be_arrays_and_columns_of_tables_too(reward):
    texts, functions = ["tall", "x"], [[HAS_A]] * 2
    messages = numpy.empty(2, dtype=object)
    messages[:] = [numpy.array(answer(text), dtype=object) for text in texts]
    table = pyarrow.table({"completions": [answer(text) for text in texts], "functions": functions})
    rows = datasets.Dataset(table)
    assert reward(messages, functions=functions) == [1, 0]
    assert reward(table["completions"], functions=table["functions"]) == [1, 0]
    assert reward(list(table["completions"]), functions=list(table["functions"])) == [1, 0]
    assert reward(rows["completions"], functions=rows["functions"]) == [1, 0]
    assert reward(rows.to_pandas()["completions"], functions=rows.to_pandas()["functions"]) == [1, 0]


@pytest.mark.parametrize("role", ["model", "gpt", "user"])
def test_a_conversation_in_which_nobody_is_the_assistant_is_an_error_and_no_empty_answer(reward, role):
    with pytest.raises(ConfigError, match=f"no message of the role \"assistant\": its roles are '{role}'"):
        reward([[{"role": role, "content": "tall"}]], functions=[[HAS_A]])


def test_a_content_that_is_no_text_is_an_error_and_no_empty_answer(reward):
    with pytest.raises(ConfigError, match="the content of a message is a text or a list of parts, not b'tall'"):
        reward([answer(b"tall")], functions=[[HAS_A]])


@pytest.mark.parametrize("completion", [None, 3, ["a"], [["a"]], [None], [{"content": "a"}]])
def test_what_is_no_completion_is_an_error(reward, completion):
    with pytest.raises(ConfigError, match="a completion is a text or a list of messages, not"):
        reward(["a", completion], functions=[[HAS_A]] * 2)
