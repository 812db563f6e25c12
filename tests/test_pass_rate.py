"""The pass rate of a model: what is counted, what is stored, what is refused."""

import json

import pytest

from autoif.cli.evaluate import report
from autoif.errors import ConfigError, StoreError
from autoif.evaluation.benchmark import evaluate, take_recorded
from autoif.evaluation.pass_rate import judge_answers, load_benchmark, read_prompts
from autoif.evaluation.provenance import Seen
from autoif.evaluation.responses import SubjectResponse
from autoif.evaluation.results import Scores, claim_folder, read_prompt_results, read_scores
from autoif.models.requests import Completion
from support.pass_rate_data import (
    INSTRUCTIONS,
    SETTINGS,
    half,
    measure,
    measure_texts,
    reward_row,
    right,
    write_prompts,
    wrong,
)
from support.records import ACCEPT, RAISE, REFUSE, accepts
from support.training_data import write_rows


@pytest.fixture
def data(tmp_path):
    return write_prompts(tmp_path)


def rate(scores: Scores) -> float:
    return scores.scores["pass_rate"].value


def test_the_pass_rate_is_the_share_of_accepted_samples_in_percent(data, tmp_path, sandbox):
    scores = measure(data, tmp_path / "out", sandbox, half)
    assert rate(scores) == 50
    assert (scores.prompts, scores.scores["pass_rate"].clusters, scores.responses_per_prompt) == (6, 3, 4)
    assert rate(measure(data, tmp_path / "right", sandbox, right)) == 100
    assert rate(measure(data, tmp_path / "wrong", sandbox, wrong)) == 0


@pytest.mark.parametrize(
    ("functions", "accepted"),
    [([ACCEPT], True), ([ACCEPT, REFUSE], False), ([ACCEPT, REFUSE, ACCEPT], True), ([ACCEPT, RAISE], False)],
)
def test_a_sample_is_accepted_by_more_than_half_of_its_functions(functions, accepted, tmp_path, sandbox):
    prompts = read_prompts(write_rows(tmp_path / "rewards.jsonl", reward_row("tea", 1, functions)))
    [result] = judge_answers([(prompts.rows[0], [SubjectResponse("Some tea.", False)])], Seen(), sandbox, print).results
    assert result.scores["pass_rate"] == (100 * accepted,)
    assert len(result.details["verdicts"][0]) == len(functions)


def test_verdicts_belong_to_their_sample_though_functions_are_shared_among_prompts(tmp_path, sandbox):
    rows = [reward_row(word, 1, [accepts("a"), accepts("b"), accepts("a")]) for word in INSTRUCTIONS]
    prompts = read_prompts(write_rows(tmp_path / "rewards.jsonl", *rows))
    texts = [["a", "b"], ["ab", ""], ["b", "a"]]
    given = [
        (row, [SubjectResponse(text, None) for text in some]) for row, some in zip(prompts.rows, texts, strict=True)
    ]
    results = judge_answers(given, Seen(), sandbox, print).results
    said = [[[verdict == "pass" for verdict in some] for some in each.details["verdicts"]] for each in results]
    assert said == [[["a" in text, "b" in text, "a" in text] for text in some] for some in texts]


def test_an_accepted_answer_with_a_fault_counts_in_the_one_rate_and_not_in_the_other(tmp_path, sandbox):
    data = write_rows(tmp_path / "rewards.jsonl", reward_row("tea", 1, [ACCEPT]), reward_row("milk", 1, [ACCEPT]))
    scores = measure(data, tmp_path / "out", sandbox, lambda row: "" if row.index == 0 else right(row))
    assert rate(scores) == 100
    assert scores.scores["faultless_pass_rate"].value == 75
    assert scores.details["faults"]["empty"] == 2
    assert read_prompt_results(tmp_path / "out")[0].details["faults"] == ["empty", None, None, None]


def test_a_thought_is_not_judged_and_one_alone_or_a_refusal_is_not_accepted(tmp_path, sandbox, capsys):
    data = write_rows(tmp_path / "rewards.jsonl", reward_row("tea", 1, [ACCEPT]))

    def think(row):
        return [
            Completion(right(row), "stop", reasoning="Hm."),
            Completion("", "stop", reasoning="Hm."),
            Completion("", "length", reasoning="Hm"),
            Completion("", "refused", detail="Not that prompt."),
        ][row.index]

    scores = measure(data, tmp_path / "out", sandbox, think)
    assert rate(scores) == 25
    faults, counts = scores.details["faults"], scores.counts
    assert (faults["only_reasoning"], faults["unfinished_reasoning"]) == (1, 1)
    assert (counts["with_reasoning"].count, counts["refused"].count, scores.said) == (3, 1, ("Not that prompt.",))
    report(scores, tmp_path)
    assert "refused  1 by the server: Not that prompt.\n" in capsys.readouterr().out
    [row] = read_prompt_results(tmp_path / "out")
    assert [len(some) for some in row.details["verdicts"]] == [1, 0, 0, 0]
    assert row.flags["with_reasoning"] == (0, 1, 2)
    assert (row.flags["only_reasoning"], row.flags["unfinished_reasoning"], row.flags["refused"]) == ((1,), (2,), (3,))


def test_what_was_cut_and_what_gave_no_verdict_is_reported(tmp_path, sandbox):
    data = write_rows(tmp_path / "rewards.jsonl", reward_row("tea", 1, [ACCEPT, RAISE]))

    def cut(row):
        return Completion(right(row), "length" if row.index == 0 else "stop")

    scores = measure(data, tmp_path / "out", sandbox, cut)
    assert (scores.counts["truncated"].count, scores.details["undecided"]) == (1, 50)
    assert read_prompt_results(tmp_path / "out")[0].flags == {"truncated": (0,)}


def test_instructions_that_differ_make_the_score_less_sure_than_prompts_do(tmp_path, sandbox):
    words = [f"word{number}" for number in range(8)]
    data = write_prompts(tmp_path, words, queries=6)

    def knows_some(row):
        return right(row) if any(f"{word}." in row.prompt.messages[0]["content"] for word in words[:4]) else wrong(row)

    scores = measure(data, tmp_path / "out", sandbox, knows_some)
    both = [scores.scores[name] for name in ("pass_rate", "pass_rate_by_prompt")]
    widths = [each.high - each.low for each in both]
    assert [each.value for each in both] == [50, 50]
    assert widths[0] > 1.8 * widths[1]
    assert [each.clusters for each in both] == [8, 48]


def test_both_files_read_back_as_they_were_made(data, tmp_path, sandbox):
    scores = measure(data, tmp_path / "out", sandbox, half)
    assert read_scores(tmp_path / "out") == scores
    results = read_prompt_results(tmp_path / "out")
    assert [each.cluster for each in results] == [
        reward_row(w, 0)["constraints"][0]["instruction_id"] for w in INSTRUCTIONS for _ in "ab"
    ]
    assert [each.scores["pass_rate"] for each in results] == [(0, 100) * 2] * 6
    assert json.loads((tmp_path / "out" / "scores.json").read_text("utf-8"))["scores"]["pass_rate"]["value"] == 50


def test_an_evaluation_that_is_interrupted_goes_on_and_ends_the_same(data, tmp_path, sandbox):
    def half_until_killed(row):
        if half_until_killed.left == 0:
            raise KeyboardInterrupt
        half_until_killed.left -= 1
        return half(row)

    half_until_killed.left, half_until_killed.__name__ = 12, "half"
    with pytest.raises(KeyboardInterrupt):
        measure(data, tmp_path / "out", sandbox, half_until_killed)
    assert not (tmp_path / "out" / "scores.json").exists()
    half_until_killed.left = 14  # of 24: the first ten are there
    scores = measure(data, tmp_path / "out", sandbox, half_until_killed)
    assert half_until_killed.left == 0
    assert scores == measure(data, tmp_path / "whole", sandbox, half)
    for name in ("samples.jsonl", "per_prompt.jsonl", "scores.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_finished_evaluation_is_made_again_without_the_model(data, tmp_path, sandbox):
    scores = measure(data, tmp_path / "out", sandbox, half)

    def never(row):
        raise AssertionError("it was asked")

    never.__name__ = "half"
    assert measure(data, tmp_path / "out", sandbox, never) == scores


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_of_another_model_other_prompts_or_settings_is_refused(data, tmp_path, sandbox, finished):
    measure(data, tmp_path / "out", sandbox, half)
    if not finished:
        (tmp_path / "out" / "scores.json").unlink()
    others = write_rows(tmp_path / "others.jsonl", reward_row("beer", 1))
    with pytest.raises(StoreError, match=r"policy .*choose another"):
        measure(data, tmp_path / "out", sandbox, right)
    with pytest.raises(StoreError, match=r"temperature.*choose another"):
        measure(data, tmp_path / "out", sandbox, half, SETTINGS.model_copy(update={"temperature": 0.1}))
    with pytest.raises(StoreError, match=r"data_id .*choose another"):
        measure(others, tmp_path / "out", sandbox, half)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no prompts"),
        ([reward_row("tea", 1), reward_row("tea", 1)], "has the prompt 'What is question 1 about.* 2 times"),
        ([reward_row("tea", 1), {**reward_row("milk", 1), "constraints": []}], "line 2: no RewardRow row .constraints"),
        ([{**reward_row("tea", 1), "prompt": []}], "line 1: no RewardRow row .prompt"),
        ([{"messages": []}], "line 1: no RewardRow row"),
    ],
)
def test_data_that_cant_be_measured_on_is_refused(rows, message, tmp_path):
    with pytest.raises((ConfigError, StoreError), match=message):
        read_prompts(write_rows(tmp_path / "rewards.jsonl", *rows))


def test_a_run_folder_stands_for_its_rewards_and_one_without_is_refused(data, tmp_path):
    assert read_prompts(tmp_path) == read_prompts(data)
    with pytest.raises(StoreError, match=r"nothing has no rewards.jsonl"):
        (tmp_path / "nothing").mkdir()
        read_prompts(tmp_path / "nothing")


def answers(data, *texts: str) -> list[dict]:
    return [{"prompt": row.prompt[0].content, "response": text} for row in read_prompts(data).rows for text in texts]


def test_recorded_responses_are_judged_in_any_order_of_prompts(data, tmp_path, sandbox):
    rows = answers(data, "tea, milk and water it is", "nothing at all")
    scores = measure_texts(data, tmp_path / "out", sandbox, *rows[::-1])
    assert rate(scores) == 50
    assert (scores.settings["answers"], scores.responses_per_prompt) == ("recorded", 2)
    assert (scores.counts["end_not_recorded"].count, scores.counts["missing"].count, scores.partial) == (12, 0, ())
    assert read_prompt_results(tmp_path / "out")[0].scores["pass_rate"] == (0, 100)


def test_recorded_responses_that_lack_prompts_make_a_partial_score(data, tmp_path, sandbox):
    scores = measure_texts(data, tmp_path / "out", sandbox, *answers(data, "milk")[:4])
    assert (scores.prompts, scores.counts["missing"].count, scores.scores["pass_rate"].clusters) == (4, 2, 2)
    assert scores.partial == ("4 of 6 prompts are scored", "2 prompts have no response")
    assert rate(scores) == 50


def test_recorded_responses_that_tell_why_they_ended_tell_what_was_cut(data, tmp_path, sandbox):
    rows = [{**row, "finish_reason": "length" if n == 0 else "stop"} for n, row in enumerate(answers(data, "tea"))]
    counts = measure_texts(data, tmp_path / "out", sandbox, *rows).counts
    assert (counts["truncated"].count, counts["end_not_recorded"].count) == (1, 0)


def test_recorded_responses_to_unknown_prompts_or_of_unequal_number_are_refused(data, tmp_path, sandbox):
    unknown = {"prompt": "Who are you?", "response": "Nobody."}
    with pytest.raises(ConfigError, match=r"out.jsonl, row 7: 'Who are you\?' is no prompt of the data"):
        measure_texts(data, tmp_path / "out", sandbox, *answers(data, "tea"), unknown)
    with pytest.raises(
        ConfigError, match=r"has 1 responses to 'What is question 1 about.* and 2 to 'What is question 0"
    ):
        measure_texts(data, tmp_path / "out", sandbox, *answers(data, "tea"), answers(data, "milk")[0])
    with pytest.raises(ConfigError, match="has no response to any of the 6 prompts of Pass rate"):
        measure_texts(data, tmp_path / "out", sandbox)
    with pytest.raises(StoreError, match="line 1: no RecordedRow row"):
        measure_texts(data, tmp_path / "out", sandbox, {"prompt": "Who?"})
    assert not (tmp_path / "out").exists()


def test_samples_are_judged_again_by_other_functions_without_the_model(data, tmp_path, sandbox):
    measure(data, tmp_path / "sampled", sandbox, half)
    rows = [
        reward_row(word, query, [accepts("nothing"), RAISE, accepts("There")])
        for word in INSTRUCTIONS
        for query in range(2)
    ]
    others = write_rows(tmp_path / "others.jsonl", *rows[::-1])
    samples = take_recorded(tmp_path / "sampled" / "samples.jsonl")
    again = evaluate(load_benchmark(read_prompts(others), Seen(), sandbox, print), samples, tmp_path / "again", print)
    assert (rate(again), again.responses_per_prompt, again.partial) == (50, 4, ())
    assert again.counts["end_not_recorded"].count == 0
    first, second = (read_prompt_results(tmp_path / name)[0] for name in ("sampled", "again"))
    assert (first.scores["pass_rate"], second.scores["pass_rate"]) == ((0, 100, 0, 100), (100, 0, 100, 0))
    named = {each.id for each in read_prompt_results(tmp_path / "sampled")}
    assert {each.id for each in read_prompt_results(tmp_path / "again")} == named, "so they compare prompt by prompt"


def test_recorded_responses_do_not_go_into_a_folder_of_samples(data, tmp_path, sandbox):
    measure(data, tmp_path / "out", sandbox, half)
    with pytest.raises(StoreError, match="holds samples of a model"):
        measure_texts(data, tmp_path / "out", sandbox, *answers(data, "tea"))


def test_a_claim_that_nothing_came_of_is_given_up_and_any_other_is_held(tmp_path):
    claim_folder(tmp_path / "out", {"policy": "one"}, sampled=True)
    claim_folder(tmp_path / "out", {"policy": "two"}, sampled=True)
    (tmp_path / "out" / "samples.jsonl").touch()
    claim_folder(tmp_path / "out", {"policy": "two"}, sampled=True)
    with pytest.raises(StoreError, match=r"holds another evaluation: policy \(two there, one now\)"):
        claim_folder(tmp_path / "out", {"policy": "one"}, sampled=True)
    (tmp_path / "out" / "evaluation.json").unlink()
    with pytest.raises(StoreError, match="holds another evaluation, or one of another version"):
        claim_folder(tmp_path / "out", {"policy": "two"}, sampled=True)


def test_a_damaged_scores_file_is_refused_by_name(data, tmp_path, sandbox):
    measure(data, tmp_path / "out", sandbox, half)
    path = tmp_path / "out" / "scores.json"
    path.write_text(path.read_text("utf-8").replace('"prompts"', '"Prompts"'), encoding="utf-8")
    with pytest.raises(StoreError, match=r"scores.json is no scores file of this version"):
        read_scores(tmp_path / "out")
    with pytest.raises(StoreError, match="holds no finished evaluation"):
        read_scores(tmp_path)
