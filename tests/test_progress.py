"""The live view: what it counts, how it extrapolates, and what it looks like with and without a terminal."""

import io
import sys
import time
import types

from rich.console import Console

from autoif.models.answer_rows import list_rows
from autoif.models.cache import CompletionCache, Usage
from autoif.models.requests import Completion
from autoif.records import Dropped, Instruction, Reason
from autoif.report import progress as module
from autoif.report.progress import Progress
from support import records

RECORD = Instruction.of("Use three words.", "seed")
DROPPED = Dropped(stage="scoring", reason=Reason.LOW_QUALITY, record_id="x", detail="")


def test_the_fraction_done_extrapolates_later_stages_from_what_earlier_ones_keep():
    progress = Progress(Console(file=io.StringIO()))
    progress.begin(("05", "06"), total=10)
    assert progress.fraction() == 0
    for _ in range(5):
        progress.watch(
            "05", [RECORD] * 4, [DROPPED] * 0
        )  # each of 5 records gave 4: 40 are to be expected at the next stage
    assert progress.fraction() == 5 / 50
    for _ in range(20):
        progress.watch("06", [RECORD] * 1, [DROPPED] * 0)
    assert progress.fraction() == 25 / 50


def test_no_time_is_told_while_it_is_unknown_how_many_records_reach_the_last_stage(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = Progress(Console(file=io.StringIO()))
    progress.begin(("03", "05"), total=40)
    now[0] += 30
    progress.watch("03", [RECORD] * 20, [DROPPED] * 0, 20)
    progress.watch("05", [RECORD] * 19, [], 19)
    assert progress.seconds_left() is None
    progress.watch("05", [RECORD], [])
    assert progress.seconds_left() == 30


def test_time_left_is_told_once_there_is_something_to_tell(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = Progress(Console(file=io.StringIO()))
    progress.begin(("05",), total=4)
    assert progress.seconds_left() is None
    now[0] += 30
    progress.watch("05", [RECORD] * 1, [DROPPED] * 0)
    assert progress.seconds_left() == 90
    assert "25%, 1 min 30 s left" in progress.summary(Usage(), 0)


def test_speeds_are_those_of_the_last_minute(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = Progress(Console(file=io.StringIO()))
    progress.summary(Usage(completion_tokens=0), 0)
    now[0] = 10.0
    line = progress.summary(Usage(completion_tokens=200, usd=1.5), 50)
    assert "20.0 tokens/s" in line
    assert "5 verdicts/s" in line
    assert "$1.50" in line


def test_without_a_terminal_lines_are_printed_only_when_something_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LINE_S", 0.02)
    out = io.StringIO()
    progress = Progress(Console(file=out, width=200))
    with progress.watching(tmp_path / "completions.sqlite", lambda: 0):
        progress.begin(("05_augmentation",), total=1)
        progress.watch("05_augmentation", [RECORD] * 4, [DROPPED] * 1)
        wait_for(out, "05_augmentation")
        time.sleep(0.2)
    lines = out.getvalue().splitlines()
    assert len(lines) == 1
    assert "05_augmentation 4+1" in lines[0]
    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_a_table_is_redrawn_with_tokens_from_the_completions(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_REDRAW_S", 0.02)
    path = tmp_path / "completions.sqlite"
    with CompletionCache(path) as cache:
        cache.insert(list_rows("6b" * 16, {0: Completion("y", "stop", 1000, 234)}, stage="scoring", usd=0.0))
    out = io.StringIO()
    progress = Progress(Console(file=out, width=120, force_terminal=True))
    with progress.watching(path, lambda: 7):
        progress.begin(("07_scoring",), total=1)
        progress.watch("07_scoring", [RECORD] * 3, [DROPPED] * 2)
        wait_for(out, "07_scoring")
    assert "07_scoring" in out.getvalue()
    assert "1,234 tokens" in out.getvalue()


def test_quiet_shows_nothing(tmp_path):
    out = io.StringIO()
    progress = Progress(Console(file=out), quiet=True)
    with progress.watching(tmp_path / "completions.sqlite", lambda: 0):
        progress.watch("05", [RECORD] * 1, [DROPPED] * 1)
    assert out.getvalue() == ""


def test_the_newest_instruction_its_function_and_an_answer_that_passes_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LINE_S", 0.02)
    out = io.StringIO()
    progress = Progress(Console(file=out, width=200))
    with progress.watching(tmp_path / "completions.sqlite", lambda: 0):
        progress.watch("04_back_translation", [records.verified([records.accepts("tea")])], [])
        wait_for(out, "return 'tea' in response")
        assert "passes" not in out.getvalue()
        progress.watch("07_scoring", [records.response("A cup of [tea], please.", quality=9)], [])
        wait_for(out, "passes       A cup of [tea], please.")
    assert "instruction  Use the word 'tea'." in out.getvalue()
    assert "first verified row after 0 s" in out.getvalue()


def test_rows_of_an_earlier_session_are_counted_and_not_announced(tmp_path):
    out = io.StringIO()
    progress = Progress(Console(file=out, width=200))
    with progress.watching(tmp_path / "completions.sqlite", lambda: 0):
        progress.count("07_scoring", 1, 0)
    assert "first verified row" not in out.getvalue()


def test_in_a_notebook_one_display_is_updated(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_REDRAW_S", 0.02)
    shown = []

    class Handle:
        def update(self, view):
            shown.append(view)

    def display(view, *, display_id):
        assert display_id
        return Handle()

    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    progress = Progress(Console(force_jupyter=True, width=100))
    with progress.watching(tmp_path / "completions.sqlite", lambda: 0):
        progress.watch("07_scoring", [RECORD], [])
    assert "07_scoring" in "".join(str(segment.text) for segment in Console(width=100).render(shown[-1]))


def wait_for(out: io.StringIO, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in out.getvalue():
        assert time.monotonic() < deadline, f"{text} is not shown"
        time.sleep(0.01)
