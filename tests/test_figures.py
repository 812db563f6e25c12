"""What figures look like, read back from the drawn SVG: titles, axes, values, order, and colours that hold in grey."""

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from autoif.evaluation.comparison import Compared, ComparedBenchmark, Comparison
from autoif.evaluation.results import Column
from autoif.evaluation.statistics import Interval
from autoif.figures.plots import plot_calibration, plot_comparison, plot_training
from autoif.figures.style import COLOURS, MARKERS, choose_look
from support.training_data import write_rows

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
MODELS = ("zebra", "base", "middle", "apple", "last")
ACCEPTED = Column(name="pass_rate", heading="Pass rate", label="accepted", averaged=True, paired=True)
LEVELS = Column(name="csl", heading="FollowBench", label="CSL", unit="levels", digits=2, most=5)

SEEN_BY = {
    "as it is": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "without red": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "without green": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    "without blue": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}
"""How light of red, green and blue is seen with all cones, and with one kind of them lacking (Machado et al., 2009)."""


def compared(columns: tuple[Column, ...] = (ACCEPTED, LEVELS)) -> Comparison:
    """Return five models, each 10 better than the one before; only from the third on are they surely so."""
    models = {}
    for place, model in enumerate(MODELS):
        value = 40.0 + 10 * place
        interval = Interval(value=value, low=value - 15, high=value + 15, clusters=20)
        change = Interval(value=10.0 * place, low=10.0 * place - 15, high=10.0 * place + 15, clusters=20)
        models[model] = tuple(Compared(column, interval, change if place else None) for column in columns)
    return Comparison(MODELS, (ComparedBenchmark("Pass rate", "", models),), ())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> dict[str, ET.Element]:
    """Return every figure that autoif draws, by what it shows."""
    folder = tmp_path_factory.mktemp("figures")
    for place, name in enumerate(MODELS):
        rows = [{"step": step, "loss": 3.0 - 0.02 * step - 0.1 * place, "learning_rate": 1e-5} for step in range(40)]
        (folder / name).mkdir()
        write_rows(folder / name / "metrics.jsonl", *rows, {"step": 40, "eval_loss": 2.0})
    plot_training([folder / name for name in MODELS], folder / "training.svg")
    plot_comparison(compared(), folder / "comparison.svg")
    plot_calibration([(0.1, 0.25, 4), (0.9, 0.75, 1200)], folder / "calibration.svg")
    return {name: read(folder / f"{name}.svg") for name in ("training", "comparison", "calibration")}


def read(path: Path) -> ET.Element:
    return ET.fromstring(path.read_text("utf-8"))


def list_texts(root: ET.Element) -> dict[str, list[tuple[float, float]]]:
    """Return the places of each text."""
    found: dict[str, list[tuple[float, float]]] = {}
    for text in root.iter(f"{SVG}text"):
        moved = re.search(r"translate\((\S+) (\S+)\)", text.get("transform", ""))
        x, y = moved.groups() if moved else (text.get("x", "0"), text.get("y", "0"))
        found.setdefault("".join(text.itertext()).strip(), []).append((float(x), float(y)))
    return found


def find(root: ET.Element, name: str) -> ET.Element:
    return next(each for each in root.iter() if each.get("id") == name)


def read_markers(root: ET.Element, name: str) -> tuple[str, str, list[tuple[float, float]]]:
    """Return a series' marker: its outline, its style, and its places."""
    uses = list(find(root, name).iter(f"{SVG}use"))
    outline = find(root, uses[0].get(LINK, "").removeprefix("#")).get("d", "")
    return outline, uses[0].get("style", ""), [(float(use.get("x", 0)), float(use.get("y", 0))) for use in uses]


def measure_lightness(colour: str, seen: str = "as it is") -> float:
    """Return the lightness L* of a colour, 0 to 100, as someone sees it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    red, green, blue = (min(1, max(0, sum(a * b for a, b in zip(row, linear, strict=True)))) for row in SEEN_BY[seen])
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return 116 * light ** (1 / 3) - 16 if light > 0.008856 else 903.3 * light


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ("training", {"Training of zebra, base, middle, …", "loss", "optimiser step", "learning rate"}),
        ("comparison", {"Scores and their differences to zebra, with 95 % intervals", "model", "accepted answers (%)",
                        "difference (percentage points)", "levels satisfied in a row, of five", "difference (levels)",
                        "Pass rate accepted", "Difference to zebra", "hollow: no difference shown"}),
        ("calibration", {"Right functions by their score without gold", "score (0 to 1)",
                         "share that is right (0 to 1)", "if scores held exactly"}),
    ],
)  # fmt: skip
def test_every_figure_has_a_title_and_plain_names_of_its_axes(drawn, figure, said):
    assert said <= list_texts(drawn[figure]).keys()


def test_a_value_stands_above_its_point(drawn):
    root = drawn["comparison"]
    texts = list_texts(root)
    for place, model in enumerate(MODELS):
        [(x, y)] = read_markers(root, f"Pass rate accepted {model}")[2]
        [(text_x, text_y)] = texts[f"{40 + 10 * place:.1f}"]
        assert abs(text_x - x) < 15
        assert 0 < y - text_y < 15
        assert f"+{10 * place:.1f}" in texts or not place
    assert {"40.00", "+10.00"} <= texts.keys()
    assert {"0.25 (4)", "0.75 (1,200)"} <= list_texts(drawn["calibration"]).keys()


def test_a_curve_ends_in_its_last_value_and_values_cover_no_other(drawn):
    texts = list_texts(drawn["training"])
    ends = sorted(texts[f"{3.0 - 0.02 * 39 - 0.1 * place:.3g}"][0][1] for place in range(5))
    assert all(below - above > 7 for above, below in itertools.pairwise(ends))


def test_models_stand_in_the_order_given(drawn):
    heights = [list_texts(drawn["comparison"])[model][0][1] for model in MODELS]
    assert heights == sorted(heights)
    legend = [list_texts(drawn["training"])[model][0][1] for model in MODELS]
    assert legend == sorted(legend)


def test_models_differ_in_colour_and_in_marker(drawn):
    outlines, colours = set(), []
    for model in MODELS:
        outline, style, _ = read_markers(drawn["comparison"], f"Pass rate accepted {model}")
        outlines.add(outline)
        colours += re.findall(r"fill: (#\w+)", style)
        curve = read_markers(drawn["training"], f"loss {model}")
        assert colours[-1] in curve[1]
    assert len(outlines) == len(MODELS)
    assert colours == [*COLOURS]


@pytest.mark.parametrize("seen", SEEN_BY)
def test_colours_hold_on_a_grey_print_and_without_one_kind_of_cones(seen):
    light = sorted(measure_lightness(colour, seen) for colour in COLOURS)
    assert all(more - less > 10 for less, more in itertools.pairwise(light))
    assert light[-1] < 66  # what is lighter is lost on white paper


def test_thirty_five_series_differ_and_neighbours_differ_most():
    looks = [choose_look(place) for place in range(len(COLOURS) * len(MARKERS))]
    assert len(set(looks)) == 35
    light = [measure_lightness(look.colour) for look in looks[:5]]
    assert min(abs(one - two) for one, two in itertools.pairwise(light)) > 20


def test_a_difference_that_is_not_shown_is_hollow(drawn):
    filled = {
        model: "#ffffff" not in read_markers(drawn["comparison"], f"difference Pass rate accepted {model}")[1]
        for model in MODELS[1:]
    }
    assert filled == {"base": False, "middle": True, "apple": True, "last": True}


def test_evaluation_data_is_hollow_and_dashed(drawn):
    assert "fill: #ffffff" in read_markers(drawn["training"], "eval_loss zebra")[1]


def test_a_long_name_is_cut_in_its_middle(tmp_path):
    long = "a" * 60 + "b" * 60
    models = {long: (Compared(ACCEPTED, None),), "two": (Compared(ACCEPTED, None),)}
    shown = Comparison((long, "two"), (ComparedBenchmark("Pass rate", "", models),), ())
    plot_comparison(shown, tmp_path / "out.svg")
    assert "a" * 17 + "…" + "b" * 18 in list_texts(read(tmp_path / "out.svg"))
