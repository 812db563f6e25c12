"""Recorded generations (§3.2 on old data): reading them, filtering them, and `autoif cross-validate`."""

import asyncio
import gzip
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from autoif.cli.main import main
from autoif.config import load_config
from autoif.errors import ConfigError
from autoif.instructions.recorded import Generations, filter_generations, read_generations
from autoif.models.requests import Request
from autoif.records import Dropped, Instruction, Reason, VerifiedInstruction
from autoif.tools import NoModel
from conftest import MakeTools
from support.packed_data import DATA
from support.records import ACCEPT, BROKEN, REFUSE, accepts, answer

ROOT = Path(__file__).parent.parent
SAMPLE = DATA / "verifiers/autoif_qwen_sample_data/eval_func_rft.jsonl"

GOOD = [
    answer(accepts("tea"), ("green tea", True), ("milk", False)),
    f"```json\n{answer(accepts('te'), ('tea', True), ('coffee', False))}\n```",
    "I can't.",
]
BAD = [answer(ACCEPT, ("a", True)), answer(REFUSE, ("a", False))]


@pytest.fixture(scope="session")
def benchmark() -> ModuleType:
    """Return benchmarks/recorded_generations.py as a module."""
    return importlib.import_module("recorded_generations")


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run `autoif cross-validate`; return the exit code."""
    monkeypatch.setattr(sys, "argv", ["autoif", "cross-validate", *map(str, arguments)])
    try:
        main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


@pytest.mark.parametrize("key", ["generations", "gpt-answer"])
def test_both_keys_are_read(tmp_path: Path, key: str) -> None:
    path = write(tmp_path / "g.jsonl", {"instruction": " Use tea. ", key: GOOD, "prompt": "whatever else"})
    assert read_generations(path) == [Generations(Instruction.of("Use tea.", "seed"), tuple(GOOD))]


def test_one_answer_may_stand_alone_and_a_parsed_one_is_its_json(tmp_path: Path) -> None:
    parsed = json.loads(GOOD[0])
    path = write(
        tmp_path / "g.jsonl",
        {"instruction": "Use tea.", "generations": GOOD[0]},
        {"instruction": "Use milk.", "generations": [parsed]},
        {"instruction": "Use rum.", "generations": parsed},
        {"instruction": "Use ice.", "generations": [{"role": "assistant", "content": GOOD[0]}]},
        {"instruction": "Use jam.", "generations": [{"index": 0, "message": {"content": GOOD[0]}}]},
    )
    assert [row.answers for row in read_generations(path)] == [(GOOD[0],)] * 5


def test_answers_are_read_as_servers_and_tables_have_them(tmp_path: Path) -> None:
    said = [
        json.dumps(GOOD[:2]),
        [{"choices": [{"message": {"content": each}} for each in GOOD[:2]]}],
        [
            {"message": {"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": GOOD[0]}]}},
            GOOD[1],
        ],
        [{"text": GOOD[0]}, {"generated_text": GOOD[1]}],
        [{"content": GOOD[0], "reasoning_content": "Hm."}, {"delta": {"content": GOOD[1]}, "text": GOOD[1]}],
    ]
    rows = [{"instruction": f"Use tea {number}.", "generations": each} for number, each in enumerate(said)]
    assert [row.answers for row in read_generations(write(tmp_path / "g.jsonl", *rows))] == [tuple(GOOD[:2])] * 5


def test_rows_of_one_instruction_become_one_at_the_place_of_the_first(tmp_path: Path) -> None:
    path = write(
        tmp_path / "g.jsonl",
        {"instruction": "Use tea.", "generations": GOOD[:1]},
        {"instruction": "Be odd.", "generations": BAD},
        {"instruction": " Use tea.\n", "generations": GOOD[1:]},
    )
    assert read_generations(path) == [
        Generations(Instruction.of("Use tea.", "seed"), tuple(GOOD), rows=2),
        Generations(Instruction.of("Be odd.", "seed"), tuple(BAD)),
    ]


@pytest.mark.parametrize("name", ["g.json", "g.jsonl.gz"])
def test_a_list_and_a_packed_file_are_read(tmp_path: Path, name: str) -> None:
    rows = json.dumps([{"instruction": "Use tea.", "generations": GOOD}] * 2).encode()
    (tmp_path / name).write_bytes(gzip.compress(rows) if name.endswith(".gz") else rows)
    [found] = read_generations(tmp_path / name)
    assert found.rows == 2


async def test_an_empty_instruction_is_dropped_with_that_reason() -> None:
    rows = [Generations(Instruction.of("", "seed"), tuple(GOOD)), Generations(Instruction.of("", "seed"), ())]
    result = await filter_generations(rows, load_config("paper", ["sandbox.workers=1"]))
    assert result.kept == []
    assert [dropped.reason for dropped in result.dropped] == [Reason.EMPTY] * 2


async def test_by_majority_an_answer_that_says_what_another_says_is_a_vote_of_its_own() -> None:
    answers = (GOOD[0], GOOD[0], GOOD[0], answer(accepts("rum"), ("rum", True)), answer(accepts("ale"), ("ale", True)))
    rows = [Generations(Instruction.of("Use tea.", "seed"), answers)]
    settings = ["sandbox.workers=1", "cross_validation.choose_by=majority"]
    [kept] = (await filter_generations(rows, load_config("paper", settings))).kept
    assert [function.source for function in kept.functions] == [accepts("tea")]


CODE = "```python\ndef evaluate(response):\n    return 'tea' in response\n```"
CASE_FORMS = {
    "a list": '[{"response": "tea", "result": true}, {"response": "milk", "result": false}]',
    "a fenced list": '```json\n[{"text": "tea", "expected": "True"}, {"text": "milk", "expected": "False"}]\n```',
    "an object": '{"test_cases": [{"response": "tea", "label": true}, {"response": "milk", "label": false}]}',
    "a case a line": '{"response": "tea", "result": true}\n{"response": "milk", "result": false}',
    "a bulleted case a line": '- {"response": "tea", "result": true}\n- {"response": "milk", "result": false}',
}


@pytest.mark.parametrize("form", CASE_FORMS)
async def test_bare_code_is_read_with_its_cases_in_other_keys_and_forms(form: str) -> None:
    rows = [Generations(Instruction.of("Use tea.", "seed"), (f"{CODE}\n\nCases:\n{CASE_FORMS[form]}",))]
    [kept] = (await filter_generations(rows, load_config("paper", ["sandbox.workers=1"]))).kept
    assert [(case.input, case.expected) for case in kept.cases] == [("tea", True), ("milk", False)]


@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "{}<|eot_id|><|eot_id|>"])
async def test_tokens_within_an_answer_in_json_end_its_function_and_not_the_answer(form: str) -> None:
    leaked = "<|eom_id|><|start_header_id|>assistant<|end_header_id|>\n\nIt looks for tea.<|eot_id|><|eot_id|>"
    source = accepts("tea") + leaked
    whole = answer(source if "eot_id" not in form else accepts("tea"), ("tea", True), ("milk", False))
    rows = [Generations(Instruction.of("Use tea.", "seed"), (form.format(whole),))]
    [kept] = (await filter_generations(rows, load_config("paper", ["sandbox.workers=1"]))).kept
    assert [function.source for function in kept.functions] == [accepts("tea")]
    assert [(case.input, case.expected) for case in kept.cases] == [("tea", True), ("milk", False)]


def test_blank_lines_a_byte_order_mark_and_line_separators_in_texts_do_no_harm(tmp_path: Path) -> None:
    row = {"instruction": "Use tea.", "generations": ["a\u2028b\x0cc"]}
    path = tmp_path / "g.jsonl"
    path.write_text("\ufeff\n" + json.dumps(row, ensure_ascii=False) + "\r\n\n", encoding="utf-8")
    assert [row.answers for row in read_generations(path)] == [("a\u2028b\x0cc",)]


async def test_what_agrees_is_kept_and_the_rest_is_dropped_with_its_reason() -> None:
    rows = [
        Generations(Instruction.of("Use tea.", "seed"), tuple(GOOD)),
        Generations(Instruction.of("Be odd.", "seed"), tuple(BAD)),
        Generations(Instruction.of("Be silent.", "seed"), ("", "no")),
        Generations(Instruction.of("Be broken.", "seed"), (answer(BROKEN, ("a", True)),)),
    ]
    result = await filter_generations(rows, load_config("paper", ["sandbox.workers=1"]))
    assert [verified.instruction.text for verified in result.kept] == ["Use tea."]
    assert [dropped.reason for dropped in result.dropped] == [
        Reason.NO_CASE_AGREED,
        Reason.NO_READABLE_ANSWER,
        Reason.NO_FUNCTION_LOADS,
    ]
    assert [draft.instruction.text for draft in result.drafts] == ["Use tea.", "Be odd.", "Be silent.", "Be broken."]
    assert result.describe() == [
        "rows: 4, of 4 instructions",
        "instructions: 1 of 4 kept, with 2 functions and 4 cases",
        "dropped: no case agreed 1, no readable answer 1, no function loads 1",
        "answers: 8, 5 of them read, 1 only after a repair (surrounding text 1)",
        "lost to format: 3 answers (no json 2, empty 1)",
        "functions: 5 read, 0 of them the same as another, 2 kept, 3 not",
        "cases: 7 different ones read, 4 kept, 3 not; 0 could not be read",
    ]


async def test_no_model_can_be_asked() -> None:
    with pytest.raises(LookupError, match="stage scoring asked a model"):
        await NoModel().sample(Request("judge", "scoring", prompt="?"))
    with pytest.raises(LookupError, match="1 pairs"):
        await NoModel().judge([("a", "b")])


async def test_contrast_needs_answers_and_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"none is asked here: --set contrast.enabled=false"):
        await filter_generations([], load_config("recommended"))


def test_the_command_writes_what_it_keeps_and_what_it_drops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        tmp_path / "g.jsonl",
        {"instruction": "Use tea.", "gpt-answer": GOOD},
        {"instruction": "Be odd.", "gpt-answer": BAD},
    )
    output = tmp_path / "verified.jsonl"
    assert run(monkeypatch, path, "-o", output) == 0
    [kept] = [VerifiedInstruction.model_validate_json(line) for line in output.read_text().splitlines()]
    [dropped] = [
        Dropped.model_validate_json(line) for line in (tmp_path / "verified.dropped.jsonl").read_text().splitlines()
    ]
    assert kept.instruction.text == "Use tea."
    assert dropped.reason is Reason.NO_CASE_AGREED
    printed = capsys.readouterr().out
    assert "instructions: 1 of 2 kept, with 2 functions and 4 cases" in printed
    assert "1 only after a repair (surrounding text 1)" in printed


@pytest.mark.parametrize(("preset", "kept", "functions"), [("paper", 5, 38), ("released", 4, 19)])
def test_the_command_filters_the_released_codes_own_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str, kept: int, functions: int
) -> None:
    output = tmp_path / "verified.jsonl"
    assert run(monkeypatch, SAMPLE, "-o", output, "--preset", preset) == 0
    rows = [VerifiedInstruction.model_validate_json(line) for line in output.read_text().splitlines()]
    assert (len(rows), sum(len(row.functions) for row in rows)) == (kept, functions)


def test_a_threshold_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "verified.jsonl"
    path = write(tmp_path / "g.jsonl", {"instruction": "Be odd.", "generations": BAD})
    assert run(monkeypatch, path, "-o", output, "--set", "cross_validation.case_agreement=>= 0.5") == 2  # none is kept
    assert len(output.read_text().splitlines()) == 0
    settings = ("cross_validation.case_agreement=>= 0.5", "cross_validation.function_agreement=>= 0.5")
    assert run(monkeypatch, path, "-o", output, "--set", settings[0], "--set", settings[1]) == 0
    assert len(output.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "no rows in it"),
        (b"\n \n", "no rows in it"),
        (b"\xff\xfa{}", "line 1: not UTF-8"),
        (b"not json\n", "line 1: broken JSON"),
        (b"{}\n", "line 1: no row"),
        (b"[1]\n", "line 1: no row"),
        (b"7\n", "line 1: no row"),
        (b'{"instruction": "a", "generations": ["b"]}\n{"instruction": "a"}\n', "line 2: no row"),
        (b'{"instruction": null, "generations": ["b"]}\n', "line 1: no row"),
        (b'{"generations": ["b"]}\n', "line 1: no row"),
        (b"[" * 100_000, "line 1: broken JSON (nested more than 100 deep)"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    message: str,
) -> None:
    path = tmp_path / "g.jsonl"
    if content is not None:
        path.write_bytes(content)
    output = tmp_path / "verified.jsonl"
    assert run(monkeypatch, path, "-o", output) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "g.jsonl" in error
    assert message in error
    assert not output.exists()


@pytest.mark.parametrize("setting", ["cross_validation.case_agreement=half", "cross_validation.cases=1"])
def test_a_bad_setting_is_one_line_and_exit_code_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    path = write(tmp_path / "g.jsonl", {"instruction": "Use tea.", "generations": GOOD})
    assert run(monkeypatch, path, "-o", tmp_path / "v.jsonl", "--set", setting) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert setting.partition("=")[0] in error


def test_a_line_of_many_megabytes_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoif.instructions.recorded._MAX_LINE_BYTES", 1_000)
    path = write(tmp_path / "g.jsonl", {"instruction": "Use tea.", "generations": ["x" * 1_000]})
    with pytest.raises(ConfigError, match="line 1: longer than 1,000 bytes"):
        read_generations(path)


async def test_an_answer_of_100_kb_is_a_counted_loss(make_tools: MakeTools) -> None:
    rows = [Generations(Instruction.of("Use tea.", "seed"), ("x" * 100_000, "\x00\x01" * 99, "对不起", GOOD[0]))]
    result = await filter_generations(rows, load_config("paper", ["sandbox.workers=1"]))
    assert [entry.loss for entry in result.drafts[0].answers] == ["too_long", "empty", "no_json", None]
    assert len(result.kept) == 1


def test_the_page_holds_what_the_small_recorded_sets_give_today(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOIF_DATA", str(DATA))
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    assert benchmark.KEPT_HEAD in page
    assert benchmark.FORM_HEAD in page
    for name in ("released sample (GPT-4)", "DeepSeek-R1"):
        read = benchmark.SMALL[name]
        measured = asyncio.run(benchmark.measure(name, read()))
        for line in [*benchmark.kept_rows(measured), benchmark.form_row(measured)]:
            assert line in page, "run benchmarks/recorded_generations.py and put its tables into docs/method.md"
    for name in benchmark.SETS:
        assert page.count(f"\n| {name} |") == 2 + len(benchmark.WAYS)


def test_a_recorded_answer_may_begin_with_a_thought(tmp_path: Path) -> None:
    row = {
        "instruction": "Use the word 'tea'.",
        "generations": [f'<think>Maybe {{"func": 1}}?</think>\n{answer(ACCEPT, ("a", True))}'],
    }
    (tmp_path / "rows.jsonl").write_text(json.dumps(row), encoding="utf-8")
    [generations] = read_generations(tmp_path / "rows.jsonl")
    filtered = asyncio.run(filter_generations([generations], load_config("paper")))
    assert [entry.loss for draft in filtered.drafts for entry in draft.answers] == [None]
