"""Plans: what a run will ask and make, by published yields and by pilots."""

import contextlib
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest
from rich.console import Console

import autoif
from autoif import api
from autoif.config import Config, load_config
from autoif.models.cache import Usage
from autoif.planning.plan import PlannedInput, RunPlan, make_plan
from autoif.planning.yields import OneYield, TokensEach, Yields, load_published, read_published
from autoif.records import Dropped, Instruction, Reason
from autoif.report.plan import print_plan
from autoif.report.progress import Progress
from autoif.student import find_student
from support.command import autoif_here, fails_here
from support.habit_runs import Ended, Runner
from support.habit_server import HabitServer, honest

PAGE = (Path(__file__).parent.parent / "docs" / "planning.md").read_text(encoding="utf-8")
TOKENS = {stage: TokensEach(100, 10) for stage in load_published()[1].tokens}
EACH = tuple(
    OneYield({"verification": 8.0, "rejection_sampling": 40.0 * kept, "scoring": 10.0 * kept}, kept, sft=6.0 * kept)
    for kept in (1.0, 0.0) * 6
)
PILOT = Yields("pilot", EACH, TOKENS, rewrites=0.5, tokens_per_second=100.0)
GIVEN = PlannedInput(seeds=100, queries=50)
SEEDS_ALONE = load_config("paper", ["self_instruct.rewrites_per_seed=0", "cross_validation.two_sided=false"])


@pytest.fixture(scope="module")
def server() -> Iterator[HabitServer]:
    with HabitServer() as server:
        yield server


@pytest.fixture(scope="module")
def pilot(server: HabitServer, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    ended = Runner(server, tmp_path_factory.mktemp("pilot"))(honest)
    assert ended.code == 0, ended.output
    return ended


def test_a_pilot_s_range_is_students_prediction_interval_for_so_many_instructions() -> None:
    plan = make_plan(SEEDS_ALONE, GIVEN, [PILOT])
    rows = [each.sft for each in EACH]
    half = find_student(11) * stdev(rows) * math.sqrt(100 + 100**2 / 12)
    assert (plan.entering, plan.sft.expected) == (100, pytest.approx(300))
    assert (plan.sft.low, plan.sft.high) == (pytest.approx(300 - half), pytest.approx(300 + half))
    assert plan.instructions.expected == pytest.approx(50)
    assert plan.instructions.high is not None
    assert plan.instructions.high <= 100


def test_tokens_hours_and_dollars_come_from_answers() -> None:
    priced = load_config("paper", [
        "self_instruct.rewrites_per_seed=0", "models.all.base_url=http://127.0.0.1:1/v1",
        "models.all.usd_per_million_prompt_tokens=1", "models.all.usd_per_million_completion_tokens=10",
    ])  # fmt: skip
    stages = {each.stage: each for each in make_plan(priced, GIVEN, [PILOT]).stages}
    written = stages["verification"]
    assert (written.answers.expected, written.prompt_tokens.expected, written.completion_tokens.expected) == (
        800, 80_000, 8_000,
    )  # fmt: skip
    assert written.hours and written.usd
    assert written.hours.expected == pytest.approx(8_000 / 100 / 3600)
    assert written.usd.expected == pytest.approx(0.08 + 0.08)
    free = make_plan(load_config("paper", ["models.all.base_url=http://127.0.0.1:1/v1"]), GIVEN, [PILOT])
    assert free.total.usd is None
    assert any("dollars need" in note for note in free.notes)


def test_of_what_is_done_nothing_is_guessed() -> None:
    done = Yields("run", EACH, TOKENS, done=True)
    whole = make_plan(SEEDS_ALONE, PlannedInput(seeds=12, queries=50), [done])
    assert (whole.sft.low, whole.sft.expected, whole.sft.high) == (36, 36, 36)
    more = make_plan(SEEDS_ALONE, PlannedInput(seeds=24, queries=50), [done])
    assert more.sft.low is not None
    assert 36 <= more.sft.low < more.sft.expected == 72
    fewer = make_plan(SEEDS_ALONE, PlannedInput(seeds=5, queries=50), [done])
    assert (fewer.instructions.low, fewer.instructions.expected, fewer.instructions.high) == (3, 3, 3)


def test_published_yields_range_from_the_lowest_to_the_highest() -> None:
    sources = [read_published(name, Config(), 2000) for name in load_published()[0]]
    plan = make_plan(Config(), PlannedInput(seeds=36, queries=2000), sources)
    # 36 seeds and half of 3,600 rewrites, of which 86.1 % and 89.7 % are left at best.
    assert plan.entering == 1836
    assert plan.instructions.high == pytest.approx(1836 * 0.861 * 0.897)
    assert plan.instructions.low == pytest.approx(1836 * 0.567 * 0.868)
    assert plan.sft.low and plan.sft.high
    assert plan.sft.low < plan.sft.expected < plan.sft.high
    assert any("other models" in note for note in plan.notes)


@pytest.mark.parametrize(("answer", "tokens"), [("text", 46), ("json", 46), ("yes_no", 2)])
def test_a_judge_that_says_one_word_writes_few_tokens(answer: str, tokens: int) -> None:
    config = load_config("paper", [f"scoring.answer={answer}"])
    plan = make_plan(config, GIVEN, [read_published("small-world", config, GIVEN.queries)])
    [scoring] = [each for each in plan.stages if each.stage == "scoring"]
    assert scoring.completion_tokens.expected == pytest.approx(tokens * scoring.answers.expected)


def test_a_run_that_begins_with_verified_instructions_asks_nothing_about_functions() -> None:
    plan = make_plan(Config(), PlannedInput(seeds=0, queries=50, given=10), [PILOT])
    assert [each.stage for each in plan.stages] == ["rejection_sampling", "scoring"]
    assert (plan.instructions.expected, plan.sft.expected) == (10, pytest.approx(60))


def test_contrast_counts_its_answers_and_saves_those_of_rejection_sampling() -> None:
    settings = ["self_instruct.rewrites_per_seed=0", "contrast.queries=4"]
    stages = {each.stage: each for each in make_plan(load_config("recommended", settings), GIVEN, [PILOT]).stages}
    assert stages["rejection_sampling"].answers.expected == pytest.approx(50 * (40 - 4))
    assert 400 < stages["contrast"].answers.expected <= 450


@pytest.mark.parametrize(
    ("budget", "said"), [(50_000, "exceeds budget.tokens of 50,000"), (500_000, "may exceed"), (5_000_000, "")]
)
def test_a_budget_that_the_plan_exceeds_is_said(budget: int, said: str) -> None:
    config = load_config("paper", ["self_instruct.rewrites_per_seed=0", f"budget.tokens={budget}"])
    lines = make_plan(config, GIVEN, [PILOT]).over_budget
    assert said in " ".join(lines)
    assert bool(said) == bool(lines)


def test_a_run_by_its_own_yields_is_that_run(pilot: Ended) -> None:
    plan = plan_like(pilot)
    assert (plan.sft.expected, plan.preferences.expected, plan.rewards.expected, plan.instructions.expected) == (
        len(pilot.rows()), len(pilot.rows("preferences.jsonl")), len(pilot.rows("rewards.jsonl")),
        len(pilot.rows("instructions.jsonl")),
    )  # fmt: skip
    usage = pilot.manifest["usage"]
    for stage in plan.stages:
        if stage.stage != "back_translation":  # both instructions have the same functions, which are described once
            assert stage.answers.expected == usage[stage.stage]["completions"], stage.stage


def plan_like(pilot: Ended, *settings: str, **options: Any) -> RunPlan:
    """Plan the run that the pilot is, with some settings otherwise."""
    from support.habit_runs import SMALL

    queries = pilot.folder.parent / "queries.txt"
    given = [*SMALL, "models.all.base_url=http://127.0.0.1:1/v1", "models.all.model=m", *settings]
    return api.plan("quickstart", output=options.pop("output", pilot.folder), queries=queries, set=given, **options)


def test_a_pilot_is_scaled_to_the_planned_samples_and_judged_by_the_planned_thresholds(
    pilot: Ended, tmp_path: Path
) -> None:
    twice = plan_like(pilot, "rejection_sampling.responses_per_prompt=8", yields=pilot.folder, output=tmp_path / "new")
    assert twice.sft.expected == 2 * len(pilot.rows())
    none = plan_like(pilot, "scoring.mean=> 9", yields=pilot.folder, output=tmp_path / "new")
    assert (none.sft.expected, none.rewards.expected) == (0, len(pilot.rows("rewards.jsonl")))
    assert any("rough" in note for note in none.notes)
    assert not (tmp_path / "new").exists()


def test_the_command_prints_a_plan_asks_no_model_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    autoif_here("run", "quickstart", "--plan", "--base-url", "http://127.0.0.1:1/v1", "-o", tmp_path / "run")
    printed = capsys.readouterr().out
    assert re.search(r"verification +24 ", printed)
    assert "SFT rows" in printed
    assert not (tmp_path / "run").exists()
    for name, found in load_published()[0].items():
        assert f"{name} ({found.source})" in printed
    assert "are estimates" in printed
    autoif_here("run", "quickstart", "--plan", "--json", "-o", tmp_path / "run")
    read = RunPlan.model_validate_json(capsys.readouterr().out)
    assert read.stages[0].answers.expected > 0
    said = fails_here("run", "quickstart", "--plan", "--yields", tmp_path / "none", "-o", tmp_path / "run")
    assert "no run folder" in said
    for options in (("--tokens-per-second", "9"), ("--json",)):
        assert "go with --plan" in fails_here("run", "quickstart", *options, "-o", tmp_path / "run")


def test_a_run_says_before_its_first_call_that_the_plan_exceeds_its_budget(server: HabitServer, tmp_path: Path) -> None:
    server.take_up(honest)
    errors = io.StringIO()
    asked = ("--base-url", server.url, "--model", "m", "--budget-tokens", "100", "-o", tmp_path / "run")
    with contextlib.redirect_stderr(errors), pytest.raises(SystemExit):
        autoif_here("run", "quickstart", *asked)
    said = errors.getvalue()
    assert 0 <= said.find("the plan exceeds budget.tokens of 100") < said.index("budget of 100 tokens is spent")
    out = io.StringIO()
    print_plan(autoif.api.plan("quickstart", output=tmp_path / "other", set=["budget.tokens=100"]), Console(file=out))
    assert "the plan exceeds budget.tokens of 100" in out.getvalue()


def test_the_live_view_forecasts_rows_and_says_what_holds_it_back(tmp_path: Path) -> None:
    progress = Progress(Console(file=io.StringIO()), quiet=True)
    progress.begin(("07_scoring",), total=100)
    dropped = Dropped(stage="scoring", reason=Reason.LOW_QUALITY, record_id="x", detail="")
    with progress.watching(tmp_path / "c.sqlite", lambda: 0, lambda: "bound by 8 requests in flight"):
        assert "in the end" not in progress.summary(Usage(prompt_tokens=100), 0)
        for place in range(25):
            progress.watch("07_scoring", *(([Instruction.of("a", "seed")], []) if place % 2 else ([], [dropped])))
        line = progress.summary(Usage(prompt_tokens=100, usd=1.0, requests=25), 0)
    assert "about 48 rows, 400 tokens, $4.00 in the end" in line
    assert line.endswith("bound by 8 requests in flight")
    assert "requests/min" in line
    progress.begin(("04_back_translation",), total=50)
    progress.count("04_back_translation", kept=20, dropped=5, entered=25)
    assert progress.forecast(Usage(prompt_tokens=100)) == "about 40 instructions, 200 tokens in the end"


def test_the_page_lists_the_published_yields() -> None:
    for name, found in load_published()[0].items():
        shares = (found.cross_validated, found.consistent, found.passed, found.scored)
        listed = " | ".join(f"{100 * share:.1f}" for share in shares)
        assert f"| `{name}` | {found.instructions:,} | {listed} |" in PAGE
