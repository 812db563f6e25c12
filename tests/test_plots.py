"""Curves of trainings, read back from the figure."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from autoif.errors import ConfigError, StoreError
from autoif.figures.curves import read_steps
from autoif.figures.plots import plot_training
from autoif.training.card import write_record
from support.training_data import write_rows

SVG = "{http://www.w3.org/2000/svg}"


def trained(folder: Path, *rows: dict) -> Path:
    folder.mkdir()
    write_rows(folder / "metrics.jsonl", *({"step": step, **row} for step, row in enumerate(rows, 1)))
    return folder


def read_svg(path: Path) -> tuple[dict[str, ET.Element], set[str]]:
    """Return the elements with an id, and the texts."""
    root = ET.fromstring(path.read_text("utf-8"))
    texts = {"".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")}
    return {element.get("id", ""): element for element in root.iter()}, texts


def points(element: ET.Element) -> list[tuple[float, float]]:
    """Return the corners of a drawn line."""
    [path] = [each for each in element.iter(f"{SVG}path") if each.get("d", "").startswith("M")][:1]
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path.get("d", ""))]


def test_each_metric_that_was_logged_has_a_panel_and_each_training_a_line(tmp_path):
    sft = trained(tmp_path / "sft", *({"loss": value, "mean_token_accuracy": 0.5} for value in (3.0, 2.0, 2.5)))
    dpo = trained(tmp_path / "dpo", *({"loss": 0.7, "rewards/margins": value} for value in (0.0, 1.0)))
    drawn = plot_training([sft, dpo], tmp_path / "out.svg")
    assert drawn == ["loss", "token accuracy", "DPO margin"]
    elements, texts = read_svg(tmp_path / "out.svg")
    assert {"loss sft", "loss dpo", "mean_token_accuracy sft", "rewards/margins dpo"} <= elements.keys()
    assert "rewards/margins sft" not in elements
    assert {"loss", "token accuracy", "DPO margin", "optimiser step", "sft", "dpo"} <= texts


def test_a_line_goes_through_the_values(tmp_path):
    folder = trained(tmp_path / "sft", *({"loss": value} for value in (3.0, 1.0, 2.0)))
    plot_training([folder], tmp_path / "out.svg")
    (x1, y1), (x2, y2), (x3, y3) = points(read_svg(tmp_path / "out.svg")[0]["loss sft"])
    assert x2 - x1 == pytest.approx(x3 - x2)
    assert (y3 - y1) == pytest.approx((y2 - y1) / 2)  # 2.0 lies half way between 3.0 and 1.0
    assert y2 > y1  # down is less


def test_values_on_evaluation_data_are_drawn_beside_and_missing_ones_left_out(tmp_path):
    folder = trained(tmp_path / "sft", {"loss": 3.0}, {"loss": None}, {"loss": 2.0}, {"eval_loss": 2.5})
    plot_training([folder], tmp_path / "out.svg")
    elements, texts = read_svg(tmp_path / "out.svg")
    assert len(points(elements["loss sft"])) == 2
    assert "eval_loss sft" in elements
    assert "sft, evaluation data" in texts


def test_losses_of_different_methods_have_panels_of_their_own(tmp_path):
    kinds = ("sft", "dpo", "online-dpo")
    folders = [trained(tmp_path / kind, {"loss": 1.0}) for kind in kinds]
    for folder in folders:
        write_record(folder, {"identity": {}, "kind": folder.name})
    assert plot_training(folders, tmp_path / "out.svg") == ["SFT loss", "DPO loss"]
    assert {f"loss {kind}" for kind in kinds} <= read_svg(tmp_path / "out.svg")[0].keys()


def test_the_steps_of_rounds_are_counted_on(tmp_path):
    folder = trained(tmp_path / "online")
    rounds = [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]
    write_rows(folder / "metrics.jsonl", *({"round": number, "step": step, "loss": 1.0} for number, step in rounds))
    assert [row["step"] for row in read_steps(folder)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_same_trainings_give_the_same_bytes(tmp_path, kind):
    folder = trained(tmp_path / "sft", *({"loss": value} for value in (3.0, 2.0)))
    for name in ("one", "two"):
        plot_training([folder], tmp_path / f"{name}.{kind}")
    made = (tmp_path / f"one.{kind}").read_bytes()
    assert made == (tmp_path / f"two.{kind}").read_bytes()
    assert len(made) > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"one.{kind}", "sft", f"two.{kind}"]


def test_a_line_that_a_kill_cut_is_left_out_and_a_damaged_one_refused(tmp_path):
    folder = trained(tmp_path / "sft", {"loss": 3.0})
    path = folder / "metrics.jsonl"
    path.write_text(path.read_text("utf-8") + '{"step": 2, "lo', encoding="utf-8")
    assert plot_training([folder], tmp_path / "out.svg") == ["loss"]
    path.write_text('{"step": 2, "lo\n' + json.dumps({"step": 1, "loss": 1}) + "\n", encoding="utf-8")
    with pytest.raises(StoreError, match=r"metrics.jsonl, line 1: no row of metrics"):
        plot_training([folder], tmp_path / "out.svg")


def test_a_folder_without_metrics_or_steps_and_a_file_of_another_kind_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"has no metrics.jsonl: name a folder"):
        plot_training([tmp_path], tmp_path / "out.svg")
    folder = trained(tmp_path / "sft")
    with pytest.raises(ConfigError, match="nothing to draw"):
        plot_training([folder], tmp_path / "out.svg")
    with pytest.raises(ConfigError, match=r"name a figure with .svg, .png, .pdf"):
        plot_training([folder], tmp_path / "out.gif")
    assert not (tmp_path / "out.svg").exists()
