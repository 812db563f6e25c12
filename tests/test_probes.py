"""The probes: what they hold, and that they stay the same."""

import hashlib
import json

import pytest

from autoif.probes import load_probes, make_near_misses

DIGEST = "d93953ebd1920ed90f7d7b2d2eef743b8df4f6523a7eb32d86d359ae7fd40b8f"
COUNT = 547


def test_the_probes_are_the_same_in_every_version_of_python() -> None:
    probes = load_probes()
    assert hashlib.sha256(json.dumps(probes).encode()).hexdigest() == DIGEST
    assert len(probes) == COUNT == len(set(probes))
    assert sum(map(len, probes)) < 150_000


@pytest.mark.parametrize("count", [1, 2, 7, 10, 50, 100, 500])
def test_there_is_a_probe_of_exactly_so_many_words(count: int) -> None:
    assert any(len(probe.split()) == count for probe in load_probes())


@pytest.mark.parametrize("count", [10, 50, 100, 500, 2000])
def test_there_is_a_probe_of_exactly_so_many_characters(count: int) -> None:
    assert any(len(probe) == count for probe in load_probes())


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(lambda text: text == "", id="empty"),
        pytest.param(lambda text: text.isspace(), id="only spaces"),
        pytest.param(str.isupper, id="all caps"),
        pytest.param(str.islower, id="all small"),
        pytest.param(str.istitle, id="title case"),
        pytest.param(lambda text: "\r\n" in text, id="CRLF"),
        pytest.param(lambda text: "\u00a0" in text, id="no-break space"),
        pytest.param(lambda text: text.startswith("{") and isinstance(json.loads(text), dict), id="JSON"),
        pytest.param(lambda text: "```" in text, id="code"),
        pytest.param(lambda text: text.count("\n\n") == 2, id="three paragraphs"),
        pytest.param(lambda text: any("\u4e00" <= letter <= "\u9fff" for letter in text), id="Chinese"),
        pytest.param(lambda text: any("\u0600" <= letter <= "\u06ff" for letter in text), id="Arabic script"),
        pytest.param(lambda text: any("\U0001f600" <= letter <= "\U0001f64f" for letter in text), id="emoji"),
    ],
)
def test_there_are_probes_of_every_kind(kind) -> None:
    def holds(text: str) -> bool:
        try:
            return bool(kind(text))
        except ValueError:
            return False

    assert any(map(holds, load_probes()))


def test_a_near_miss_differs_in_one_thing() -> None:
    near = make_near_misses("Tea is warm, I say.")
    assert "Tea is warm, I say.\n" in near
    assert "Tea is warm, I say!" in near
    assert "Tea is warm, I say" in near
    assert "is warm, I say." in near
    assert "Tea is warm, I say again." in near
    assert "tea is warm, i say." in near
    assert "Tea\u00a0is\u00a0warm,\u00a0I\u00a0say." in near
    assert "Tea is warm, I say." not in near
    assert len(set(near)) == len(near)


@pytest.mark.parametrize("text", ["", " ", "\n", ".", "\u200b", "a" * 100_000, ". " * 50_000])
def test_any_text_has_near_misses(text: str) -> None:
    assert text not in make_near_misses(text)
