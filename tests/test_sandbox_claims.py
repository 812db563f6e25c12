"""Every test and class of attacks that SECURITY.md names as a proof is there, and every class proves a claim."""

import re
from pathlib import Path

from attacks import CLASSES, kernel

ROOT = Path(__file__).parent.parent
CLAIMS = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## Claims")[2].partition("## Not protected")[0]


def read_rows() -> list[tuple[set[str], set[str]]]:
    """Return, for each claim, the classes of attacks and the tests that it cites."""
    rows = [row.split(" | ", 1)[1] for row in CLAIMS.splitlines() if row.startswith("| ") and "---" not in row][1:]
    return [(set(re.findall(r"†\s*\*([^*]+)\*", row)), set(re.findall(r"`(test_\w+)`", row))) for row in rows]


def test_every_claim_names_proofs_that_exist() -> None:
    tests = set()
    for path in (ROOT / "tests").glob("test_*.py"):
        tests |= set(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    rows = read_rows()
    assert len(rows) >= 20
    for classes, names in rows:
        assert classes or names
        assert classes <= set(CLASSES), classes - set(CLASSES)
        assert names <= tests, names - tests


def test_every_class_of_attacks_proves_a_claim() -> None:
    assert set(CLASSES) == set().union(*(classes for classes, _ in read_rows()))


def test_the_documented_table_has_every_class_with_all_of_its_attacks() -> None:
    text = (
        (ROOT / "docs" / "sandbox.md")
        .read_text(encoding="utf-8")
        .partition("## Hostile suite")[2]
        .partition("\n## ")[0]
    )
    rows = dict(re.findall(r"^\| ([^|]+) \| (\d+) \|", text, re.MULTILINE))
    here = CLASSES | {"kernel interfaces": kernel.list_attacks("x86_64")}  # the machine that the table was made on
    assert rows.pop("**all**") == str(sum(map(len, here.values())))
    assert rows == {name: str(len(group)) for name, group in here.items()}
