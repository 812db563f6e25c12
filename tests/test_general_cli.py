"""`autoif eval general` as it is typed: a tiny model on a few real questions, an endpoint, going on, refusals."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from aiohttp import web
from transformers import AutoConfig, AutoTokenizer, LlamaForSequenceClassification

from autoif.evaluation.results import read_scores
from support.command import autoif_here, fails_here
from support.stub_server import Body, Reply, StubServer, answer, status
from support.tiny_model import write_tiny_model

DATA = Path(__file__).parent / "data/general"
FEW = ["--data", DATA, "--limit", 3, "--max-tokens", 8, "--dtype", "float32"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("general") / "model", context=4096)


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_few_questions_of_each_benchmark_and_what_is_finished_is_not_measured_again(
    model, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    autoif_here("eval", "general", model, "-o", out, *FEW)
    said = capsys.readouterr()
    assert "gsm8k: 3 of 3 responses sampled" in said.err
    assert "%" not in said.err  # no bars of other programs
    assert "exact_match, strict-match  " in said.out
    assert "PARTIAL  3 of 1,319 prompts are scored" in said.out
    assert "PARTIAL  3 of 14,042 prompts are scored" in said.out
    found = {name: read_scores(out / name) for name in ("gsm8k", "mmlu", "humaneval", "ceval")}
    assert all(scores.policy.endswith(", transformers") for scores in found.values())
    assert [scores.prompts for scores in found.values()] == [3, 3, 3, 3]
    assert found["gsm8k"].settings["shots"] == 5
    assert len(found["mmlu"].parts) == 3
    assert found["mmlu"].versions["lm-eval"].startswith("0.4.")
    rows = [row for name in found for row in rows_of(out / name / "per_prompt.jsonl")]
    assert len({row["id"] for row in rows}) == len(rows) == 12
    assert all(row["details"]["programs"] for row in rows_of(out / "humaneval/per_prompt.jsonl"))
    first = {name: (out / name / "scores.json").read_bytes() for name in found}
    monkeypatch.setattr("lm_eval.models.huggingface.HFLM.__init__", None)  # it would not load again
    autoif_here("eval", "general", model, "-o", out, *FEW, "--quiet")
    assert capsys.readouterr().err == ""
    assert {name: (out / name / "scores.json").read_bytes() for name in found} == first
    for name in ("mmlu", "humaneval"):
        (out / name / "scores.json").unlink()  # as if it had been stopped in the middle of them
    autoif_here("eval", "general", model, "-o", out, *FEW, "--tasks", "mmlu, humaneval")
    assert {name: (out / name / "scores.json").read_bytes() for name in found} == first


def test_a_folder_that_holds_another_evaluation_is_refused(model, tmp_path):
    out = tmp_path / "out"
    ceval = [model, "-o", out, *FEW, "--tasks", "ceval", "--quiet"]
    autoif_here("eval", "general", *ceval)
    before = (out / "ceval/scores.json").read_bytes()
    assert "holds another evaluation: limit (3 there, 4 now)" in fails_here("eval", "general", *ceval, "--limit", 4)
    assert "seed (0 there, 1 now)" in fails_here("eval", "general", *ceval, "--seed", 1)
    other_task = [*ceval, "--tasks", "gsm8k", "--limit", 4]
    assert "holds another evaluation: limit (3 there, 4 now)" in fails_here("eval", "general", *other_task)
    assert not (out / "gsm8k").exists()
    line = fails_here("eval", "general", *ceval, "--chat-template")
    assert "chat_template (False there, True now); choose another --output" in line
    assert (out / "ceval/scores.json").read_bytes() == before
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/scores.json").write_text("{}")
    line = fails_here("eval", "general", model, "-o", tmp_path / "taken", *FEW)
    assert line.endswith("taken holds another evaluation, or one of another version: choose another --output")
    (out / "ceval/evaluation.json").write_text("[]")
    assert "evaluation.json is damaged: delete it with what stands beside it" in fails_here("eval", "general", *ceval)


def test_questions_that_do_not_fit_into_the_context_are_counted_and_named(tmp_path, capsys):
    small = write_tiny_model(tmp_path / "small", context=900)
    autoif_here("eval", "general", small, "-o", tmp_path / "out", *FEW, "--tasks", "gsm8k,mmlu")
    assert read_scores(tmp_path / "out/gsm8k").counts["truncated"].count == 3
    assert "responses  3 x 1, cut: 3\n" in capsys.readouterr().out
    line = fails_here(
        "eval", "general", small, "-o", tmp_path / "no", "--data", DATA, "--limit", 1, "--tasks", "humaneval"
    )
    assert line.endswith("900 tokens, leaves no room for answers of 1024: lower --max-tokens")


def test_several_programs_to_a_question_are_drawn_and_give_pass_at_k(model, tmp_path, capsys):
    autoif_here(
        "eval",
        "general",
        model,
        "-o",
        tmp_path / "out",
        *FEW,
        "--tasks",
        "humaneval",
        "--samples",
        2,
        "--temperature",
        1,
    )
    assert "pass@2" in capsys.readouterr().out
    rows = rows_of(tmp_path / "out/humaneval/samples.jsonl")
    assert len({row["text"] for row in rows}) > 3
    rows = rows_of(tmp_path / "out/humaneval/per_prompt.jsonl")
    assert [len(row["scores"]["pass@1"]) for row in rows] == [2, 2, 2]


def test_a_chat_model_is_asked_by_its_template(model, tmp_path):
    autoif_here(
        "eval", "general", model, "-o", tmp_path / "out", *FEW, "--tasks", "humaneval", "--chat-template", "--limit", 1
    )
    assert read_scores(tmp_path / "out/humaneval").settings["definition"].startswith("humaneval_instruct")
    plain = write_tiny_model(tmp_path / "plain", chat_template=None, context=4096)
    line = fails_here("eval", "general", plain, "-o", tmp_path / "no", *FEW, "--tasks", "gsm8k", "--chat-template")
    assert line.endswith("has no chat template: leave out --chat-template")


def solve() -> Reply:
    """Answer arithmetic and programs rightly, as one who has the data; refuse what has the word `prime`."""
    numbers = {row["question"]: row["answer"] for row in rows_of(DATA / "gsm8k/test.jsonl")}

    async def reply(request: web.Request, body: Body) -> web.StreamResponse:
        asked = body["messages"][-1]["content"]
        if "=== refuse" in asked:
            return await status(400, "no")(request, body)
        if question := re.match(r"Question: (.*)\nAnswer:\Z", asked, re.DOTALL):
            said = f"{numbers[question.group(1)]}\n\nQuestion: and what is\n#### 17"
        else:
            said = "It is:\n```python\ndef add(a, b):\n    return a + b\n```\nIt adds."
        return web.json_response(answer(body, message={"role": "assistant", "content": said}))

    return reply


def program(name: str, prompt: str) -> dict[str, str]:
    test = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
    return {"task_id": name, "prompt": prompt, "entry_point": "add", "canonical_solution": "", "test": test}


def test_an_embedded_model_writes_programs_and_says_that_it_cannot_compare_choices(one_core, tmp_path):
    out = tmp_path / "out"
    programs = [program(name, f"def add(a, b):  # {name}\n") for name in "abc"]  # real ones take seconds to read
    (tmp_path / "HumanEval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in programs))
    given = ["--tasks", "humaneval", "--data", f"humaneval={tmp_path}", "--max-tokens", 8]
    autoif_here("eval", "general", "smollm2-135m", "-o", out, *given)
    scores = read_scores(out / "humaneval")
    assert (scores.policy, scores.settings["chat_template"]) == ("b179c9523d0e, llama", True)
    assert scores.prompts == 3
    assert scores.counts["truncated"].count == 3  # at 8 tokens
    said = fails_here("eval", "general", "smollm2-135m", "-o", tmp_path / "other", *FEW)
    assert "mmlu and ceval: choices are compared by log-likelihood, which no text tells" in said


def test_recorded_answers_are_scored_and_what_is_left_aside_is_named(tmp_path, capsys):
    first, second, third = rows_of(DATA / "gsm8k/test.jsonl")[:3]
    programs = [program("a", "def add(a, b):\n    '''Add.'''\n"), program("b", "def add(a, b):\n    '''B.'''\n")]
    (tmp_path / "HumanEval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in programs))
    rows = [
        {"prompt": first["question"], "response": first["answer"]},
        {"prompt": f"Question: 1+1?\nAnswer: 2\n\nQuestion: {second['question']}\nAnswer:", "response": "#### 17"},
        {"prompt": third["question"], "response": None},
        {"prompt": first["question"], "response": "another"},
        {"prompt": "What is a prime?", "response": "7"},
        {"prompt": f"Complete:\n{programs[0]['prompt']}", "response": "```python\ndef add(a, b): return a + b\n```"},
        {"prompt": programs[0]["prompt"], "response": "    return a - b"},
    ]
    file = tmp_path / "r.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = ["--data", f"gsm8k={DATA / 'gsm8k'}", "--data", f"humaneval={tmp_path}"]
    out = tmp_path / "out"
    autoif_here("eval", "general", "--responses", file, "-o", out, *data, "--quiet")
    said = capsys.readouterr().out
    gsm8k, humaneval = read_scores(out / "gsm8k"), read_scores(out / "humaneval")
    assert (gsm8k.prompts, gsm8k.counts["missing"].count) == (3, 97)
    assert gsm8k.partial == ("3 of 1,319 prompts are scored", "97 prompts have no response")
    right = [row["scores"]["exact_match, strict-match"] for row in rows_of(out / "gsm8k/per_prompt.jsonl")]
    assert right == [[100], [0], [0]]
    assert (humaneval.scores["pass@1"].value, humaneval.prompts, humaneval.counts["missing"].count) == (100, 1, 1)
    assert said.count("unknown  1: r.jsonl, row 5: 'What is a prime?'\n") == 2
    assert [counted.count for counted in (gsm8k.counts["duplicates"], humaneval.counts["duplicates"])] == [1, 1]
    assert gsm8k.counts["duplicates"].named[0].startswith("r.jsonl, row 4: ")
    assert humaneval.counts["duplicates"].named[0].startswith("r.jsonl, row 7: ")
    assert gsm8k.counts["empty"].count == 1
    autoif_here("eval", "general", "--responses", file, "-o", out, *data, "--quiet")
    assert read_scores(out / "gsm8k") == gsm8k
    autoif_here("eval", "general", "--responses", file, "-o", tmp_path / "two", *data, "--quiet", "--samples", 2)
    two = read_scores(tmp_path / "two/gsm8k")
    assert (two.prompts, two.counts["duplicates"].count) == (3, 1)
    [row] = rows_of(tmp_path / "two/humaneval/per_prompt.jsonl")
    assert row["scores"] == {"pass@1": [100, 0], "pass@2": [100]}


def test_pass_at_k_is_the_chance_of_every_k_programs_and_not_of_the_first_k(tmp_path):
    asked = program("a", "def add(a, b):\n    '''Add.'''\n")
    (tmp_path / "HumanEval.jsonl").write_text(json.dumps(asked) + "\n")
    bodies = [*["    return a - b"] * 10, "    return a + b", "    return 0"]  # the eleventh of twelve is right
    rows = [{"prompt": asked["prompt"], "response": body} for body in bodies]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--data", f"humaneval={tmp_path}", "--samples", len(rows), "-o", tmp_path / "out", "--quiet"]
    autoif_here("eval", "general", "--responses", tmp_path / "r.jsonl", "--tasks", "humaneval", *options)
    [row] = rows_of(tmp_path / "out/humaneval/per_prompt.jsonl")
    assert row["scores"]["pass@10"] == [pytest.approx(100 * 10 / 12)]
    assert row["scores"]["pass@12"] == [100]


def test_a_thought_is_left_out_unless_it_is_kept_and_an_answer_that_is_nothing_else_is_wrong(tmp_path, capsys):
    first, second = rows_of(DATA / "gsm8k/test.jsonl")[:2]
    rows = [
        {"prompt": first["question"], "response": f"<think>#### 17</think>{first['answer']}"},
        {"prompt": second["question"], "response": f"<think>{second['answer']}", "finish_reason": "length"},
    ]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recorded = ["--responses", tmp_path / "r.jsonl", "--data", DATA, "--tasks", "gsm8k", "--quiet"]
    right = {}
    for name, options in (("whole", ["--keep-thinking"]), ("answer", [])):
        autoif_here("eval", "general", *recorded, "-o", tmp_path / name, *options)
        rows = rows_of(tmp_path / name / "gsm8k/per_prompt.jsonl")
        right[name] = [row["scores"]["exact_match, strict-match"] for row in rows]
    assert right == {"whole": [[0], [100]], "answer": [[100], [0]]}
    counts = read_scores(tmp_path / "answer/gsm8k").counts
    assert (counts["with_reasoning"].count, counts["unfinished_reasoning"].count) == (2, 1)
    assert (
        "2 of 2 responses had one, and are judged without it; 0 were only a thought, 1 never" in capsys.readouterr().out
    )


def test_recorded_answers_that_cannot_be_scored_are_refused_in_one_line(model, tmp_path):
    file, out = tmp_path / "r.jsonl", tmp_path / "out"
    file.write_text('{"prompt": "What is a prime?", "response": "7"}\n')
    recorded = ["--responses", file, "-o", out, "--data", DATA]
    assert "name a MODEL, or recorded --responses" in fails_here("eval", "general", model, *recorded)
    assert "name a MODEL, or recorded --responses" in fails_here("eval", "general", "-o", out)
    assert "has no response to any of the 100 prompts of GSM8K: leave gsm8k out of --tasks" in fails_here(
        "eval", "general", *recorded
    )
    assert "log-likelihood, which no text tells" in fails_here("eval", "general", *recorded, "--tasks", "mmlu")
    file.write_text('{"question": "What?"}\n')
    assert "line 1: no RecordedRow row (it has neither response nor choices: write" in fails_here(
        "eval", "general", *recorded
    )
    assert not out.exists()


async def test_an_endpoint_is_asked_in_chats_and_what_it_refuses_is_not_scored(tmp_path, capsys):
    programs = [program("a", "def add(a, b):\n    '''Add.'''\n"), program("b", "# === refuse\ndef add(a, b):\n")]
    (tmp_path / "HumanEval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in programs))
    out = tmp_path / "out"
    async with StubServer(default=solve()) as server:
        options = ["m", "-o", out, "--base-url", server.url, "--tasks", "gsm8k,humaneval"]
        options += ["--data", f"gsm8k={DATA / 'gsm8k'}", "--data", f"humaneval={tmp_path}", "--limit", 5]
        await asyncio.to_thread(autoif_here, "eval", "general", *options)
        asked = len(server.bodies)
        (out / "gsm8k/scores.json").unlink()
        await asyncio.to_thread(autoif_here, "eval", "general", *options)
        # What is refused first of all is tried without what few servers know.
        assert asked == len(server.bodies) == 5 + 1 + 3
    gsm8k, humaneval = read_scores(out / "gsm8k"), read_scores(out / "humaneval")
    assert (gsm8k.policy, gsm8k.settings["chat_template"]) == ("m, endpoint", True)
    assert [each.value for each in gsm8k.scores.values()] == [100, 100]
    assert (humaneval.scores["pass@1"].value, humaneval.prompts, humaneval.counts["unanswered"].count) == (100, 1, 1)
    assert f"unanswered  1: {humaneval.counts['unanswered'].named[0]}" in capsys.readouterr().out
    turns = [[turn["role"] for turn in body["messages"]] for body in server.bodies]
    assert turns == [["user", "assistant"] * 5 + ["user"]] * 5 + [["user"]] * 4
    assert [body["max_tokens"] for body in server.bodies] == [256] * 5 + [1024] * 4


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["m", "--base-url", "http://127.0.0.1:1/v1"], "mmlu and ceval: choices are compared by log-likelihood, which "
         "no text tells: name a model folder, or --tasks gsm8k,humaneval"),
        (["m", "--base-url", "http://127.0.0.1:1/v1", "--no-chat-template"], "a GGUF file is asked in chats"),
        (["m", "--tasks", "gsm8k,arc"], "there is no benchmark 'arc': choose from gsm8k, mmlu, humaneval, ceval"),
        (["m", "--tasks", ","], "--tasks names no benchmark"),
        (["m", "--data", "arc=x"], "write NAME=PATH with a name of gsm8k, mmlu, humaneval, ceval, or name a folder"),
        (["m", "--samples", "2"], "--temperature 0 gives the same program each time"),
        (["m", "--shots", "mmlu=many"], "--shots mmlu=many: write NAME=N"),
        (["m", "--shots", "mmlu=²"], "--shots mmlu=²: write NAME=N"),
        (["m", "--shots", "humaneval=3"], "it has no examples"),
        (["no/such/model", "--tasks", "gsm8k"], "there is no model folder no/such/model"),
    ],
)  # fmt: skip
def test_what_is_typed_wrongly_is_refused_in_one_line(tmp_path, arguments, error):
    assert error in fails_here("eval", "general", *arguments, "-o", tmp_path / "out")
    assert not [*tmp_path.glob("out/*/scores.json")]


def test_data_that_is_not_there_and_a_folder_that_is_no_model_are_named(model, tmp_path):
    out = ["-o", tmp_path / "out", "--limit", 1]
    line = fails_here("eval", "general", model, *out, "--data", f"gsm8k={tmp_path / 'none'}", "--tasks", "gsm8k")
    assert "there is no such file or folder" in line
    line = fails_here("eval", "general", model, *out, "--data", tmp_path, "--tasks", "gsm8k")
    assert line.endswith("it has no folder gsm8k; name its files by --data gsm8k=PATH")
    line = fails_here("eval", "general", model, *out, "--data", DATA, "--tasks", "mmlu", "--shots", "mmlu=6")
    assert line.endswith("has 5 examples of abstract_algebra: 6 are asked for")
    line = fails_here("eval", "general", tmp_path, *out, "--data", DATA, "--tasks", "mmlu")
    assert "is not a model folder: it has no config.json" in line
    (model.parent / "broken").mkdir()
    (model.parent / "broken/config.json").write_text("{}")
    line = fails_here("eval", "general", model.parent / "broken", *out, "--data", DATA, "--tasks", "ceval")
    assert "broken can't be loaded: " in line


def test_a_model_that_would_answer_by_chance_or_crash_is_refused_in_one_line(tmp_path):
    def fails(name: str) -> str:
        return fails_here("eval", "general", tmp_path / name, "-o", tmp_path / "out" / name, *FEW, "--tasks", "mmlu")

    headless = write_tiny_model(tmp_path / "headless", context=4096)
    LlamaForSequenceClassification(AutoConfig.from_pretrained(headless)).save_pretrained(headless)
    assert "lack 1 tensors of a causal language model, as lm_head.weight" in fails("headless")
    tokenizer = AutoTokenizer.from_pretrained(write_tiny_model(tmp_path / "longer", context=4096))
    tokenizer.add_tokens(["the"])
    tokenizer.save_pretrained(tmp_path / "longer")
    assert "a question has the token 'the', number 61, and the model has weights for 61" in fails("longer")
    tokenizer = AutoTokenizer.from_pretrained(write_tiny_model(tmp_path / "endless", context=4096), eos_token=None)
    tokenizer.save_pretrained(tmp_path / "endless")
    assert "names no end: set eos_token in its tokenizer_config.json" in fails("endless")
