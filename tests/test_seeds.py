"""Seeds: what a seeds file may hold, and what is refused in one line."""

import re
from pathlib import Path

import pytest
from rapidfuzz import fuzz

from autoif.errors import ConfigError
from autoif.instructions.seeds import MAX_CHARS, load_seeds

DATA = Path(__file__).parent / "data"


def write(folder: Path, content: bytes) -> Path:
    path = folder / "seeds.txt"
    path.write_bytes(content)
    return path


def test_the_package_brings_about_forty_different_atomic_seeds() -> None:
    seeds = load_seeds(None).kept
    assert 36 <= len(seeds) <= 45
    assert len({re.sub(r"\W", "", seed.text.lower()) for seed in seeds}) == len(seeds)
    assert all(seed.origin == "seed" and seed.text.endswith((".", '"', "**")) for seed in seeds)
    assert max(len(seed.text) for seed in seeds) < 120


def test_no_packaged_seed_is_a_sentence_of_the_released_seed_list() -> None:
    released = (DATA / "verifiers/autoif_qwen_sample_data/seed_instruction.txt").read_text("utf-8").splitlines()
    assert len(released) > 30
    for seed in load_seeds(None).kept:
        assert max(fuzz.ratio(seed.text.lower(), other.lower()) for other in released) < 75, seed.text


def test_a_seed_that_says_what_one_before_it_says_is_counted(tmp_path: Path) -> None:
    seeds = load_seeds(write(tmp_path, b"Use no commas.\n* Use no commas.\nUse no dots.\n"))
    assert [seed.text for seed in seeds.kept] == ["Use no commas.", "Use no dots."]
    assert [(each.reason, each.detail) for each in seeds.dropped] == [
        ("duplicate_exact", "line 2: a seed before it says the same")
    ]


def test_comments_blank_lines_byte_order_marks_and_carriage_returns_are_no_seeds(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfUse no commas.\r\n\r\n# a comment\r\n  Write in French caf\xc3\xa9s.  \r\n")
    assert [seed.text for seed in load_seeds(path).kept] == ["Use no commas.", "Write in French cafés."]


def test_a_repeated_line_is_one_seed_at_its_first_place(tmp_path: Path) -> None:
    path = write(tmp_path, b"Second rule.\nFirst rule.\nSecond rule.\n")
    assert [seed.text for seed in load_seeds(path).kept] == ["Second rule.", "First rule."]


def test_an_instruction_of_the_longest_length_is_taken_and_a_longer_one_refused(tmp_path: Path) -> None:
    assert len(load_seeds(write(tmp_path, b"x" * MAX_CHARS)).kept) == 1
    with pytest.raises(ConfigError, match=r"line 2: 301 characters.* at most 300$"):
        load_seeds(write(tmp_path, b"Use no commas.\n" + b"x" * (MAX_CHARS + 1)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no instruction in it; write one a line"),
        (b"\n# only a comment\n\n", "no instruction in it"),
        (b"Use no commas.\n\xff\xfe\n", "line 2: not UTF-8"),
        (b"Use no commas.\n" + b"y" * 1_048_576 + b"\n", "line 2: longer than 1,000,000 bytes"),
        (b"Use no commas.\nUse \x00 bytes.\n", "line 2: control or broken characters"),
    ],
)
def test_a_seeds_file_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as refusal:
        load_seeds(write(tmp_path, content))
    assert "\n" not in str(refusal.value)


def test_a_missing_seeds_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.txt: no such file"):
        load_seeds(tmp_path / "nowhere.txt")


def test_a_directory_is_no_seeds_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a directory; name a file in it"):
        load_seeds(tmp_path)


def test_a_file_that_the_system_does_not_give_is_refused_in_its_words(tmp_path: Path) -> None:
    loop = tmp_path / "loop.txt"
    loop.symlink_to(loop)
    with pytest.raises(ConfigError, match="symbolic links"):
        load_seeds(loop)


def test_the_constraints_of_a_data_set_are_seeds_and_not_its_queries() -> None:
    golden = Path(__file__).parent / "golden"
    asked = [seed.text for seed in load_seeds(golden / "sft.jsonl").kept]
    rewarded = [seed.text for seed in load_seeds(golden / "rewards.jsonl").kept]
    assert asked == [text for text in rewarded if text in asked]  # two have no response that passes
    assert set(rewarded) <= {seed.text for seed in load_seeds(golden / "instructions.jsonl").kept}
