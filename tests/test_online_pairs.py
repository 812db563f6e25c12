"""Which prompts of a round of online DPO give a pair, and why the others don't."""

import re
from pathlib import Path

import pytest

from autoif.errors import ConfigError
from autoif.gate import Fault
from autoif.sampling import Sample
from autoif.training.online_pairs import (
    JudgedSample,
    OnlineSettings,
    RoundCounts,
    draw_prompts,
    judge_samples,
    make_prompts,
    pair_samples,
    resolve_online,
)
from support.online_dpo import reward_row

TEA = "def evaluate(response): return 'tea' in response"
SHORT = "def evaluate(response): return len(response) < 40"
HOT = "def evaluate(response): return 'hot' in response"
GOOD, BAD = "A cup of tea, please.", "A cup of coffee, please."


def prompts_of(*functions: list[str]):
    return make_prompts([reward_row(f"word{number}", each) for number, each in enumerate(functions)])


def round_of(sandbox, prompts, *texts: list[str | tuple[str, str]], **settings: object):
    """Return the rows and counts of a round in which the policy said these; a pair is a text with a finish reason."""
    samples = []
    for prompt, said in zip(prompts, texts, strict=True):
        for index, text in enumerate(said):
            content, reason = (text, "stop") if isinstance(text, str) else text
            samples.append(Sample(prompt_id=prompt.id, index=index, text=content, finish_reason=reason))
    judged = judge_samples(prompts, samples, sandbox)
    return *pair_samples(prompts, samples, judged, OnlineSettings(**settings)), judged


def test_a_response_that_more_than_half_of_the_functions_accept_is_chosen_over_one_that_none_accepts(sandbox):
    prompts = prompts_of([TEA, HOT, SHORT])
    half, most, none = "A very long sentence on a cup of hot cocoa that ends nowhere.", GOOD, "x " * 30
    rows, counts, judged = round_of(sandbox, prompts, [half, none, most])
    [row] = rows
    assert (row.chosen[0].content, row.rejected[0].content) == (most, none)
    assert (row.chosen_pass_rate, row.rejected_pass_rate) == (0.6667, 0.0)
    assert (row.constraints[0].instruction_id, row.query_id, row.level) == ("i-word0", "q-word0", "query")
    assert row.columns()["prompt"] == [{"role": "user", "content": "Say word0."}]
    assert [[str(verdict) for verdict in found.verdicts] for found in judged] == [
        ["fail", "pass", "fail"], ["fail", "fail", "fail"], ["pass", "fail", "pass"],
    ]  # fmt: skip
    assert counts == RoundCounts(prompts=1, paired=1, responses=3, gated=1, pairs=1)


def test_prompts_whose_responses_all_pass_or_all_fail_give_no_pair_and_are_counted(sandbox):
    prompts = prompts_of([TEA], [TEA], [TEA])
    rows, counts, _ = round_of(sandbox, prompts, [GOOD, GOOD + " Now."], [BAD, BAD + " Now."], [GOOD, BAD])
    assert len(rows) == 1
    assert counts == RoundCounts(prompts=3, paired=1, all_pass=1, all_fail=1, responses=6, pairs=1)


def test_a_prompt_with_responses_between_the_thresholds_is_neither(sandbox):
    rows, counts, _ = round_of(sandbox, prompts_of([TEA, HOT]), [GOOD, BAD])
    assert (rows, counts.neither) == ([], 1)


def test_a_response_that_was_cut_is_in_no_pair_and_no_function_sees_it(sandbox):
    cut = ("A cup of tea and", "length")
    rows, counts, judged = round_of(sandbox, prompts_of([TEA], [TEA]), [cut, BAD], [cut, cut])
    assert rows == []
    assert (counts.truncated, counts.all_fail, counts.unfinished) == (3, 1, 1)
    assert [len(found.verdicts) for found in judged] == [0, 1, 0, 0]


def test_pairs_are_of_answers_without_their_thoughts_and_a_thought_alone_is_in_none(sandbox):
    prompts = prompts_of([TEA])
    said = [
        (GOOD, "stop", "Tea?"),
        (BAD, "stop", "Coffee?"),
        ("", "stop", "Hm."),
        ("", "length", "Hm"),
        ("", "refused", ""),
    ]
    samples = [
        Sample(prompt_id=prompts[0].id, index=index, text=text, finish_reason=reason, reasoning=thought)
        for index, (text, reason, thought) in enumerate(said)
    ]
    judged = judge_samples(prompts, samples, sandbox)
    [row], counts = pair_samples(prompts, samples, judged, OnlineSettings())
    assert (row.chosen[0].content, row.rejected[0].content) == (GOOD, BAD)
    assert (counts.reasoned, counts.truncated, counts.only_reasoning, counts.refused, counts.gated) == (4, 1, 1, 1, 0)
    assert [each.fault for each in judged[2:4]] == [Fault.ONLY_REASONING, Fault.UNFINISHED_REASONING]


def test_a_gated_response_is_never_chosen_though_it_passes_and_may_be_rejected(sandbox):
    prompts = prompts_of([SHORT], [TEA])
    texts = ["!!!", "x " * 30 + "and more of it"], [GOOD, "!!!"]
    rows, counts, judged = round_of(sandbox, prompts, *texts)
    assert [(row.chosen[0].content, row.rejected[0].content) for row in rows] == [(GOOD, "!!!")]
    assert (judged[0].fault, judged[3].fault) == (Fault.EMPTY, Fault.EMPTY)
    assert (counts.gated, counts.neither) == (3, 1)
    ungated, counts, _ = round_of(sandbox, prompts, *texts, gate=False)
    assert [row.chosen[0].content for row in ungated] == ["!!!", GOOD]
    assert counts.gated == 0


def test_more_pairs_of_a_prompt_come_from_more_positives_and_negatives(sandbox):
    texts = [GOOD, BAD, GOOD + " Now.", BAD + " Now."]
    rows, counts, _ = round_of(sandbox, prompts_of([TEA]), texts, positives_per_prompt=2, negatives_per_prompt=2)
    assert len({(row.chosen[0].content, row.rejected[0].content) for row in rows}) == counts.pairs == 4


def test_a_function_that_two_prompts_share_judges_each_ones_own_responses(sandbox):
    prompts = prompts_of([TEA, SHORT], [SHORT, TEA])
    _, _, judged = round_of(sandbox, prompts, [GOOD, BAD], ["x " * 30, GOOD])
    assert [[str(verdict) for verdict in found.verdicts] for found in judged] == [
        ["pass", "pass"], ["fail", "pass"], ["fail", "fail"], ["pass", "pass"],
    ]  # fmt: skip


def test_prompts_of_a_round_are_drawn_by_seed_and_round_and_none_twice():
    prompts = make_prompts([reward_row(f"word{number}", [TEA]) for number in range(20)])
    settings = OnlineSettings(prompts_per_round=5)
    drawn = [draw_prompts(prompts, settings, number) for number in (1, 2)]
    assert [len({prompt.id for prompt in some}) for some in drawn] == [5, 5]
    assert drawn[0] != drawn[1]
    assert drawn[0] == draw_prompts(prompts, settings, 1)
    assert drawn[0] != draw_prompts(prompts, settings.model_copy(update={"seed": 1}), 1)
    assert draw_prompts(prompts, OnlineSettings(), 1) == prompts
    assert settings.sampling(1).seed != settings.sampling(2).seed


def test_a_record_of_verdicts_can_be_read_back():
    found = JudgedSample(prompt_id="a", index=0, verdicts=("pass",), fault="copied")
    assert JudgedSample.model_validate_json(found.model_dump_json()) == found


def test_settings_of_the_rounds_come_from_the_table_online_and_all_others_go_to_dpo(tmp_path):
    file = tmp_path / "online.toml"
    file.write_text('beta = 0.1\n[online]\nrounds = 2\npositive = ">= 0.5"\n[lora]\nr = 4\n', encoding="utf-8")
    online, dpo = resolve_online(file, ["online.rounds=4", "learning_rate=1e-6"], lora=True)
    assert (online.rounds, online.positive, online.temperature, online.responses_per_prompt) == (4, ">= 0.5", 0.8, 8)
    assert (dpo.arguments["beta"], dpo.arguments["learning_rate"], dpo.lora["r"]) == (0.1, 1e-6, 4)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("online.round=2", 'unknown setting "online.round"; did you mean "online.rounds"?'),
        ("online.rounds=0", 'setting "online.rounds": Input should be greater than or equal to 1'),
        ("online.positive=0.5", 'setting "online.positive": "0.5" is no threshold'),
        ("online=3", "online is a table of settings"),
        ("betta=1", 'unknown setting "betta"; did you mean "beta"'),
    ],
)
def test_a_setting_that_is_wrong_is_named(setting, said):
    with pytest.raises(ConfigError) as error:
        resolve_online(None, [setting], lora=False)
    assert said in str(error.value)


def test_the_page_on_training_names_every_setting_of_the_rounds_with_its_default():
    page = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    named = {}
    for keys, values in re.findall(r"^\| (`online\.[^|]+) \| ([^|]+) \|", page, re.MULTILINE):
        names = re.findall(r"`online\.(\w+)`", keys)
        named.update(zip(names, re.findall(r"`([^`]*)`", values), strict=True))
    assert named == {name: str(value) for name, value in OnlineSettings(dtype="bfloat16")}


@pytest.mark.parametrize(
    ("name", "value"),
    [("rounds", 9), ("temperature", 0.1), ("top_p", 0.5), ("max_tokens", 9), ("seed", 9), ("batch_size", 9),
     ("gate", False),
     ("max_model_len", 99), ("positive", ">= 0.9"), ("chat_template_kwargs", {"enable_thinking": False}),
     ("packages", ("regex",))],
)  # fmt: skip
def test_what_shapes_the_rounds_belongs_to_their_identity(name: str, value: object) -> None:
    assert OnlineSettings(**{name: value}).identity() != OnlineSettings().identity()


@pytest.mark.parametrize("name", ["workers", "tensor_parallel_size", "gpu_memory_utilization"])
def test_how_the_work_is_laid_out_is_recorded_and_belongs_to_no_identity(name: str) -> None:
    settings = OnlineSettings(**{name: 1})
    assert settings.identity() == OnlineSettings().identity()
    assert settings.record()[name] == 1
