"""Whole runs with models that say more, or something else, than the answer. Each is a small run in this process."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from autoif.sandbox import cpython
from support.habit_runs import DATA, HALF, ROWS, Runner
from support.habit_server import (
    QUERIES,
    Answer,
    Asked,
    Edit,
    Habit,
    HabitServer,
    edited,
    honest,
    in_stage,
    put,
    put_message,
    say,
    strings,
    with_fields,
)
from support.habits import HABITS


@pytest.fixture(scope="module")
def server() -> Iterator[HabitServer]:
    with HabitServer() as server:
        yield server


@pytest.fixture
def run(server: HabitServer, tmp_path: Path) -> Runner:
    return Runner(server, tmp_path)


def test_an_honest_server_fills_every_file(run: Runner) -> None:
    ended = run(honest)
    assert ended.code == 0
    assert [len(ended.rows(name)) > 0 for name in DATA] == [True] * 4
    assert len(ended.rows()) == ROWS


def test_all_steps_of_a_run_use_one_sandbox(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    started, start = [], cpython._start_contained
    monkeypatch.setattr(cpython, "_start_contained", lambda limits: started.append(limits) or start(limits))
    assert run(honest, "--set", "preferences.strict=true").code == 0
    assert len(started) == 1


# Thoughts. What they say would do harm wherever it is taken for an answer.

THOUGHT = 'PONDER.\nScore: 2 at most {maybe a brace}\n"Use the word PONDER at least once."\n'
THOUGHTS = {
    "think": edited(say(f"<think>\n{THOUGHT}</think>\n\nANSWER")),
    "empty": edited(say("<think>\n\n</think>\n\nANSWER")),
    "end tag alone": edited(say(f"{THOUGHT}</think>\n\nANSWER")),
    "thinking": edited(say(f"<thinking>{THOUGHT}</thinking>\nANSWER")),
    "THINK": edited(say(f"[THINK]{THOUGHT}[/THINK]ANSWER")),
    "seed:think": edited(say(f"<seed:think>{THOUGHT}</seed:think>ANSWER")),
    "triangles": edited(say(f"◁think▷{THOUGHT}◁/think▷ANSWER")),
    "harmony": edited(
        say(
            f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>ANSWER<|return|>"
        )
    ),
    "cohere": edited(say(f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>ANSWER<|END_RESPONSE|>")),
    "reasoning_content": edited(put_message(reasoning_content=THOUGHT)),
    "reasoning": edited(
        put_message(reasoning=THOUGHT, reasoning_details=[{"type": "reasoning.text", "text": THOUGHT}])
    ),
    "list of parts": edited(
        put_message(
            content=[
                {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
                {"type": "text", "text": "ANSWER"},
            ]
        )
    ),
}


@pytest.mark.parametrize("habit", THOUGHTS.values(), ids=THOUGHTS)
def test_a_thought_is_in_no_file(run: Runner, habit: Habit) -> None:
    ended = run(habit)
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    for name in DATA:
        text = (ended.folder / name).read_text()
        assert not re.search(r"PONDER|think|THINK|RESPONSE\||<\|", text), name
    assert {row["quality"] for row in ended.rows()} == {9}


@pytest.mark.parametrize(
    "edit",
    [
        say(f"<think>{THOUGHT}ANSWER"),
        put_message(reasoning_content=THOUGHT, content=None),
        say(f"<think>{THOUGHT}</think>\n"),
    ],
    ids=["never ends", "content null", "only thought"],
)
def test_half_an_answer_of_thoughts_is_dropped_with_its_reason(run: Runner, edit: Edit) -> None:
    ended = run(edited(edit, ["responses"], HALF))
    assert (ended.code, len(ended.rows())) == (0, ROWS // 2)
    assert ended.dropped("rejection_sampling").keys() <= {"truncated", "only_reasoning"}
    assert "PONDER" not in (ended.folder / "sft.jsonl").read_text()


def test_a_model_that_only_thinks_ends_the_run_with_what_to_do(run: Runner) -> None:
    ended = run(edited(put(finish_reason="length", message={"reasoning_content": THOUGHT, "content": None})))
    assert ended.code == 2
    assert re.search("thought|thinking|reasoning", ended.error)
    assert "max_tokens" in ended.error or "extra_body" in ended.error


def test_an_answer_may_mention_a_tag(run: Runner) -> None:
    ended = run(edited(say("ANSWER In HTML one writes `<think>` for it."), ["responses"]))
    assert len(ended.rows()) == ROWS
    assert all("`<think>`" in each for each in ended.responses)


# How answers end


@pytest.mark.parametrize("reason", ["end_turn", "eos_token", "stop_sequence", "COMPLETE", "STOP"])
def test_an_end_is_an_end_by_any_name(run: Runner, reason: str) -> None:
    ended = run(edited(put(finish_reason=reason)))
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    assert reason not in ended.output


@pytest.mark.parametrize("reason", ["length", "model_length", "MAX_TOKENS", "model_context_window_exceeded"])
def test_a_cut_answer_is_truncated_by_any_name(run: Runner, reason: str) -> None:
    ended = run(edited(put(finish_reason=reason), ["responses"], HALF))
    assert (ended.code, len(ended.rows())) == (0, ROWS // 2)
    assert ended.dropped("rejection_sampling") == {"truncated": ROWS // 2}


def test_an_answer_that_used_all_its_tokens_is_truncated_even_if_the_server_says_that_it_stopped(run: Runner) -> None:
    def habit(asked: Asked) -> Answer:
        answer = honest(asked)
        if in_stage("responses", query=QUERIES[0])(asked):
            answer["usage"]["completion_tokens"] = asked.body["max_tokens"] * asked.body["n"]
        return answer

    ended = run(habit)
    assert (ended.code, len(ended.rows())) == (0, ROWS // 2)
    assert ended.dropped("rejection_sampling") == {"truncated": ROWS // 2}


@pytest.mark.parametrize("reason", ["content_filter", "sensitive", "SAFETY", "refusal"])
def test_a_filtered_answer_is_a_refusal_by_any_name(run: Runner, reason: str) -> None:
    ended = run(edited(put(finish_reason=reason), ["responses"], HALF))
    assert (ended.code, len(ended.rows())) == (0, ROWS // 2)
    assert ended.dropped("rejection_sampling") == {"refused_by_model": ROWS // 2}
    assert reason in ended.output


@pytest.mark.parametrize("reason", [None, "vendor_special"])
def test_an_unknown_end_is_counted_and_shown(run: Runner, reason: str | None) -> None:
    ended = run(edited(put(finish_reason=reason), ["responses"], HALF))
    assert ended.code == 0
    assert len(ended.rows()) in (ROWS // 2, ROWS)
    assert (reason or "null") in ended.output or "no finish reason" in ended.output


def test_a_refusal_in_the_message_keeps_its_words(run: Runner) -> None:
    words = "I can't help with lighthouses"
    ended = run(edited(put_message(refusal=words, content=None), ["responses"], HALF))
    assert (ended.code, len(ended.rows())) == (0, ROWS // 2)
    assert words in ended.output


def test_json_that_a_gateway_left_in_the_call_of_a_tool_is_read(run: Runner) -> None:
    call = {"type": "function", "function": {"name": "json_tool_call", "arguments": "ANSWER"}}
    ended = run(edited(put_message(content=None, tool_calls=[call]), ["verification", "scoring"]))
    assert (ended.code, len(ended.rows())) == (0, ROWS)


@pytest.mark.parametrize("call", ['<tool_call>\n{"name": "search"}\n</tool_call>', '[TOOL_CALLS] [{"name": "search"}]'])
def test_the_call_of_a_tool_is_no_response(run: Runner, call: str) -> None:
    ended = run(edited(say(call), ["responses"], HALF))
    assert (ended.code, len(ended.rows())) == (0, ROWS // 2)
    assert ended.dropped("rejection_sampling") == {"empty": ROWS // 2}


def test_another_model_than_was_asked_is_named(run: Runner) -> None:
    ended = run(with_fields(model="fallback-0.5b"))
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    assert ended.output.count("the model fallback-0.5b answered, and not m") == 1


def test_another_version_of_a_model_than_before_is_named(run: Runner) -> None:
    versions = itertools.chain(["m-2026-08-01"] * 6, itertools.repeat("m-2026-11-01"))
    ended = run(lambda asked: {**honest(asked), "model": next(versions)})
    assert ended.code == 0
    assert ended.output.count("the model m-2026-11-01 answered, and m-2026-08-01 before") == 1
    assert "and not m" not in ended.output


# Text

DIRT = {
    "half a character": "\ud83d",
    "NUL": "\x00",
    "escape": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "control": "\x08\x0b\x0c\x7f\x9b31m",
    "ChatML": "<|im_end|>\n<|im_start|>user\nThanks!<|im_end|>",
    "Llama": "<|eot_id|><|start_header_id|>user<|end_header_id|>",
    "Gemma": "<end_of_turn>",
    "Llama 2": "</s>",
}


@pytest.mark.parametrize("dirt", DIRT.values(), ids=DIRT)
def test_what_no_file_should_hold_is_taken_out(run: Runner, dirt: str) -> None:
    ended = run(edited(say(f"ANSWER{dirt}")))
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    for name in DATA:
        text = "".join(strings(ended.rows(name)))
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]|<\||</s>|_of_turn", text), name
    assert not re.search(r"[\x00\x07\x08\x1b\x9b]", ended.output)
    assert "Thanks!" not in "".join(ended.responses)


def test_every_file_loads_with_datasets(run: Runner, tmp_path: Path) -> None:
    import datasets  # here, as it takes seconds

    ended = run(edited(say(f"ANSWER {''.join(DIRT.values())}")))
    for path in [ended.folder / name for name in DATA] + sorted(ended.folder.glob("0*/kept-*.jsonl")):
        loaded = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
        assert len(loaded) == len(ended.rows(path.relative_to(ended.folder)))


# Habits that many answers show together, and those beside the text


@pytest.mark.parametrize("name", ["echo_roles", "default_stop", "azure_annotated", "call_at_end", "answer_as_text"])
def test_a_known_habit_leaves_no_trace_in_the_rows(run: Runner, name: str) -> None:
    known = HABITS[name]
    ended = run(known.habit)
    if known.fault:
        assert ended.code == 2
        assert ended.dropped("rejection_sampling") == {known.fault: ROWS}
    else:
        assert (ended.code, len(ended.rows())) == (0, ROWS)
        assert all(
            re.fullmatch(r"The keeper trims the lamp \d+ times and writes it down\.", each) for each in ended.responses
        )


def test_a_cut_that_is_not_at_max_tokens_is_told_with_its_cause(run: Runner) -> None:
    ended = run(HABITS["default_stop"].habit)
    assert 'it stopped at "###", which nobody asked for' in ended.error


def test_a_line_that_a_gateway_adds_is_told(run: Runner) -> None:
    ended = run(edited(say("ANSWER\n\n*Made by a free gateway, 12 tokens.*"), ["responses"]))
    assert ended.code == 0
    assert "ends most of its answers with the line '*Made by a free gateway, 12 tokens.*'" in ended.output


def test_functions_that_are_one_are_told(run: Runner) -> None:
    one = json.dumps({"func": "def evaluate(response):\n    return len(response) > 4", "cases": [
        {"input": "The lamp burns.", "output": True}, {"input": "a", "output": False}]})  # fmt: skip
    several = ("--set", "self_instruct.max_instructions=4")
    ended = run(edited(put(message={"content": one}), ["verification"]), *several)
    assert "stage verification): it may be from a cache, or the server's own" in ended.output


def test_answers_from_a_cache_and_warnings_are_told(run: Runner) -> None:
    warned = with_fields(warnings=["seed is ignored"])
    ended = run(lambda asked: web.json_response(warned(asked), headers={"cf-aig-cache-status": "HIT"}))
    assert ended.code == 0
    assert ended.output.count("gives answers from a cache (cf-aig-cache-status: HIT)") == 1
    assert ended.output.count("says: seed is ignored") == 1


def test_probabilities_that_are_no_logarithms_lower_no_score(run: Runner) -> None:
    entries = [{"token": "Yes", "logprob": 0.97}, {"token": "No", "logprob": 0.03}]
    edit = put(message={"content": "Yes"}, logprobs={"content": [{"token": "Yes", "top_logprobs": entries}]})
    ended = run(edited(edit, ["scoring"]))
    assert (ended.code, len(ended.rows())) == (0, ROWS)


# What is counted

USAGES: dict[str, tuple[Any, bool]] = {
    "null": (None, True),
    "nulls": ({"prompt_tokens": None, "completion_tokens": None}, True),
    "a word": ("many", True),
    "zeros": ({"prompt_tokens": 0, "completion_tokens": 0}, True),
    "floats": ({"prompt_tokens": 40.0, "completion_tokens": 48.0}, False),
    "strings": ({"prompt_tokens": "40", "completion_tokens": "48"}, False),
}


@pytest.mark.parametrize(("usage", "estimated"), USAGES.values(), ids=USAGES)
def test_tokens_are_counted_or_estimated_and_said_to_be(run: Runner, usage: Any, estimated: bool) -> None:
    ended = run(with_fields(usage=usage))
    assert (ended.code, len(ended.rows())) == (0, ROWS)
    assert all(each["prompt_tokens"] > 0 for each in ended.manifest["usage"].values())
    assert ("estimate" in ended.output) == estimated
    assert ("estimated" in json.dumps(ended.manifest["usage"])) == estimated or not estimated


def test_a_budget_holds_at_a_server_that_counts_nothing(run: Runner) -> None:
    ended = run(with_fields(usage=None), "--budget-tokens", "600")
    assert ended.code == 2
    assert "budget" in ended.error


# Runs without data


def test_a_run_without_rows_says_why_and_fails(run: Runner) -> None:
    ended = run(edited(say("{}"), ["scoring"]))
    assert ended.code == 2
    assert ended.rows() == []
    assert re.search("scor", ended.error)


def test_a_stage_that_loses_most_to_one_cause_is_told(run: Runner) -> None:
    ended = run(edited(put(finish_reason="length"), ["responses"], (1, 2, 3)))
    assert (ended.code, len(ended.rows())) == (0, ROWS // 4)
    assert "max_tokens" in ended.output
