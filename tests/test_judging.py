"""The one way to run functions on texts, and the one form of a sandbox's settings."""

import asyncio
import json
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner

from autoif.cli.main import cli
from autoif.config import load_config
from autoif.judging import compute_pass_rate, judge, judge_async
from autoif.records import Verdict
from autoif.reward import VerificationReward
from autoif.sandbox import Limits, Sandbox, SandboxSettings
from autoif.training.online_pairs import OnlineSettings
from autoif.training.settings import RewardSettings

PASS, FAIL, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.ERROR
TEA = "def evaluate(response): return 'tea' in response"
RAISES = "def evaluate(response): raise ValueError(response)"
COUNTS = "texts = []\ndef evaluate(response):\n    texts.append(response)\n    return len(texts) == 3"


def test_each_row_gets_the_verdicts_of_its_own_functions_in_order(sandbox: Sandbox) -> None:
    rows = [([TEA, RAISES], "tea"), ([RAISES], "milk"), ((), "water"), ([RAISES, TEA], "milk")]
    assert judge(rows, sandbox) == [(PASS, ERROR), (ERROR,), (), (ERROR, FAIL)]
    assert asyncio.run(judge_async(rows, sandbox)) == judge(rows, sandbox)
    assert judge([], sandbox) == []


def test_a_function_runs_once_over_the_texts_of_all_rows_that_name_it(sandbox: Sandbox) -> None:
    assert judge([([TEA, COUNTS], "tea")] * 4, sandbox) == [(PASS, FAIL), (PASS, FAIL), (PASS, PASS), (PASS, FAIL)]


def test_a_function_that_a_row_names_twice_gives_two_verdicts(sandbox: Sandbox) -> None:
    assert judge([([TEA, TEA], "tea"), ([TEA], "milk")], sandbox) == [(PASS, PASS), (FAIL,)]


def test_more_functions_than_run_at_once_give_their_verdicts(sandbox: Sandbox) -> None:
    rows = [([f"{TEA}  # {number}"], "tea" if number % 2 else "milk") for number in range(300)]
    assert judge(rows, sandbox) == [(PASS,) if number % 2 else (FAIL,) for number in range(300)]


@pytest.mark.parametrize(
    ("verdicts", "rate"),
    [((PASS, FAIL, FAIL), Fraction(1, 3)), ((PASS, Verdict.TIMEOUT), Fraction(1, 2)), ((), Fraction(0))],
)
def test_pass_rates_are_exact(verdicts: tuple[Verdict, ...], rate: Fraction) -> None:
    assert compute_pass_rate(verdicts) == rate


# ---- settings

CHOSEN = "import autoif_chosen\ndef evaluate(response): return response in autoif_chosen.words"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package that a function wants."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/autoif_chosen.py").write_text("words = ('yes',)\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return "autoif_chosen"


def test_settings_make_a_sandbox_with_all_that_they_say() -> None:
    settings = SandboxSettings(timeout_s=3, memory_mb=64, packages=("regex",), workers=2)
    assert settings.make_limits(total_s=9) == Limits(3.0, 64, total_s=9, packages=("regex",))
    assert (settings.count_workers(), SandboxSettings().count_workers() >= 1) == (2, True)


@pytest.mark.parametrize(
    "settings",
    [
        load_config("paper", ['sandbox.packages=["autoif_chosen"]', "sandbox.workers=1"]).sandbox,
        OnlineSettings(packages=("autoif_chosen",), workers=1),
        RewardSettings(packages=("autoif_chosen",), workers=1),
    ],
    ids=lambda settings: type(settings).__name__,
)
def test_runs_rewards_and_online_training_allow_packages(settings: SandboxSettings, package: str) -> None:
    with settings.make_sandbox() as sandbox:
        assert judge([([CHOSEN], "yes"), ([CHOSEN], "no")], sandbox) == [(PASS,), (FAIL,)]
        assert sandbox.describe().endswith(f"packages {package}")


def test_the_reward_allows_packages(package: str) -> None:
    with VerificationReward(limits=Limits(packages=(package,)), workers=1, gate=False) as reward:
        assert reward(["yes", "no"], functions=[[CHOSEN]] * 2) == [1.0, 0.0]
    with (
        VerificationReward(workers=1, gate=False) as reward,
        pytest.warns(RuntimeWarning, match=f"missing module: {package}.*packages="),
    ):
        assert reward(["yes", "no"], functions=[[CHOSEN]] * 2) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("options", "code", "said"), [(["--package", "autoif_chosen"], 0, "1 of 1 rows hold"), ([], 1, "pass rate 0")]
)
def test_verify_allows_the_packages_that_are_named(
    options: list[str], code: int, said: str, package: str, tmp_path: Path
) -> None:
    row = {
        "messages": [{"role": "user", "content": "Well?"}, {"role": "assistant", "content": "yes"}],
        "constraints": [{"functions": [CHOSEN], "verdicts": ["pass"]}],
        "pass_rate": 1.0,
    }
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    done = CliRunner().invoke(cli, ["verify", "--dataset", str(tmp_path / "rows.jsonl"), "--workers", "1", *options])
    assert (done.exit_code, said in done.output) == (code, True), done.output


@pytest.mark.parametrize(
    ("option", "value"),
    [("--timeout", "nan"), ("--timeout", "0"), ("--memory-mb", "8"), ("--workers", "0"), ("--workers", "100000")],
)
@pytest.mark.parametrize("command", [["verify"], ["serve"], ["eval", "pass-rate"]], ids=" ".join)
def test_a_setting_that_no_sandbox_can_have_is_refused_in_one_line(
    command: list[str], option: str, value: str, tmp_path: Path
) -> None:
    needed = ["--data", "x", "-o", str(tmp_path), "model"] if command[0] == "eval" else []
    done = CliRunner().invoke(cli, [*command, *needed, option, value])
    assert done.exit_code == 2
    assert option in done.output.splitlines()[-1]


def test_an_output_beside_a_data_set_is_refused_as_nothing_would_be_written(tmp_path: Path) -> None:
    arguments = ["verify", "--dataset", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "verdicts.jsonl")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert "--output goes with FUNCTIONS.jsonl and RESPONSES.jsonl" in done.output.splitlines()[-1]


def test_trainings_without_packages_go_on_where_they_were_begun_before_there_were_any() -> None:
    assert "packages" not in RewardSettings().identity()
    assert "online.packages" not in OnlineSettings().identity()
    assert RewardSettings(packages=("regex",)).identity()["packages"] == ["regex"]
    assert OnlineSettings(packages=("regex",)).identity()["online.packages"] == ["regex"]


def test_a_recorded_pass_rate_may_have_more_digits_than_ours(tmp_path: Path) -> None:
    functions = [f"def evaluate(response):\n    return len(response) > {least}" for least in (1, 2, 100)]
    turns = [{"role": "user", "content": "Say tea."}, {"role": "assistant", "content": "Tea."}]
    row = {"messages": turns, "constraints": [{"functions": functions}], "pass_rate": 2 / 3}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    done = CliRunner().invoke(cli, ["verify", "--dataset", str(tmp_path / "rows.jsonl"), "--workers", "1"])
    assert (done.exit_code, done.stdout) == (0, "1 of 1 rows hold\n")
