"""Whole runs of the preset `recommended` with scripted models: what it makes, and what it asks of a server."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.command import run_here
from support.habit_runs import DATA, Runner
from support.habit_server import Answer, Asked, HabitServer, honest
from support.processes import Served, data_of, model_server

SMALL = (
    "--set", "self_instruct.seed_limit=2", "--set", "self_instruct.rewrites_per_seed=6",
    "--set", "self_instruct.rewrites_per_call=6", "--set", "self_instruct.max_instructions=5",
    "--set", "verification.functions_per_instruction=3", "--set", "augmentation.queries_per_instruction=4",
    "--set", "contrast.queries=3", "--set", "rejection_sampling.stop_after_prompts=3",
    "--set", "rejection_sampling.responses_per_prompt=4", "--set", "back_translation.nli=chat",
    "--model", "test", "--quiet",
)  # fmt: skip
PROMPTS = (
    "--set", "prompts.self_instruct=quickstart", "--set", "prompts.verification=quickstart_vocabulary",
    "--set", "prompts.back_translation=quickstart", "--set", "prompts.scoring=quickstart",
)  # fmt: skip
"""The model in the process knows these prompts."""


def run(server: Served, folder: Path, *more: str) -> Path:
    done = run_here("run", "recommended", *SMALL, *PROMPTS, *more, "--base-url", server.url, "-o", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def read(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Served]]:
    folder = tmp_path_factory.mktemp("recommended")
    with model_server(folder) as server:
        yield run(server, folder), server


def test_it_fills_every_file_with_at_most_two_rows_a_prompt(made: tuple[Path, Served]) -> None:
    folder, _ = made
    for name in DATA:
        assert read(folder, name), name
    prompts = Counter(row["messages"][0]["content"] for row in read(folder, "sft.jsonl"))
    assert max(prompts.values()) == 2
    notes = json.loads((folder / "run.json").read_text())["notes"]
    assert any(note.startswith("sft.rows_per_prompt left out") for note in notes)


def test_functions_were_chosen_by_contrast(made: tuple[Path, Served]) -> None:
    folder, _ = made
    chosen = [row["contrast"] for row in read(folder, "instructions.jsonl")]
    assert {each["chosen_by"] for each in chosen} >= {"lift"}
    assert all(len(each["asked"]) <= 3 for each in chosen)


def test_no_answer_is_asked_for_twice(made: tuple[Path, Served]) -> None:
    """The answers that functions were chosen by are the first responses; those without an instruction are shared."""
    folder, server = made
    asked = Counter(key for event, key, _ in server.events() if event == "asked")
    assert set(asked.values()) == {1}
    usage = json.loads((folder / "run.json").read_text())["usage"]
    dropped = [row["record"] for row in read(folder, "03_cross_validation/dropped-0000.jsonl")]
    contrasted = [*read(folder, "03_cross_validation/kept-0000.jsonl"), *dropped]
    contrasted = [row for row in contrasted if "contrast" in row]  # others had no function to choose
    pairs = {(row["instruction"]["id"], each["query_id"]) for row in contrasted for each in row["contrast"]["asked"]}
    plain = {each["query_id"] for row in contrasted for each in row["contrast"]["plain"]}
    assert usage["contrast"]["completions"] == len(pairs) + len(plain)
    prompts = len(read(folder, "05_augmentation/kept-0000.jsonl"))
    kept = {row["instruction"]["id"] for row in read(folder, "instructions.jsonl")}
    shared = len([pair for pair in pairs if pair[0] in kept])
    assert usage["rejection_sampling"]["completions"] == prompts * 4 - shared


def test_shards_and_workers_do_not_change_a_byte(made: tuple[Path, Served], tmp_path: Path) -> None:
    """Instructions of several shards ask for the same answers without an instruction."""
    folder, server = made
    other = run(server, tmp_path, "--workers", "7", "--set", "execution.shard_size=1")
    assert data_of(other) == data_of(folder)


def test_the_first_step_alone_asks_for_answers_too_and_the_run_goes_on_from_it(
    made: tuple[Path, Served], tmp_path: Path
) -> None:
    folder, server = made
    run(server, tmp_path, "--until", "instructions")
    assert (tmp_path / "run/instructions.jsonl").read_bytes() == (folder / "instructions.jsonl").read_bytes()
    assert data_of(run(server, tmp_path)) == data_of(folder)


# Servers of every kind


@pytest.fixture(scope="module")
def habits() -> Iterator[HabitServer]:
    with HabitServer() as server:
        yield server


def one_sample(asked: Asked) -> Answer:
    """Take no more than one sample, no seed, no schema and no plain completion, as many a vendor does."""
    unknown = {"n", "seed", "response_format"} & asked.body.keys()
    if asked.stage == "nli":
        return web.json_response({"error": {"message": "Not found"}}, status=404)
    if unknown and not (unknown == {"n"} and asked.body["n"] == 1):
        message = f"Unrecognized request argument supplied: {sorted(unknown)[0]}"
        return web.json_response({"error": {"message": message}}, status=400)
    return honest(asked)


@pytest.mark.parametrize("habit", [honest, one_sample])
def test_any_server_will_do(habits: HabitServer, tmp_path: Path, habit: Any) -> None:
    """All answers obey these rules, asked or not: cases speak for the functions where there is no lift."""
    ended = Runner(habits, tmp_path, "recommended")(
        habit, "--set", "back_translation.nli=chat", "--set", "rejection_sampling.responses_per_prompt=3"
    )
    assert ended.code == 0, ended.output
    assert len(ended.rows()) == 2 * 2 * 2
    assert {row["contrast"]["chosen_by"] for row in ended.rows("instructions.jsonl")} == {"cases"}
