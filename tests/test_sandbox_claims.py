"""Every test and attack that SECURITY.md names as a proof is there."""

import re
from pathlib import Path

from test_sandbox_attacks import ATTACKS

ROOT = Path(__file__).parent.parent
CLAIMS = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## Claims")[2].partition("## Not protected")[0]


def test_every_claim_names_proofs_that_exist() -> None:
    tests = set()
    for path in (ROOT / "tests").glob("test_sandbox*.py"):
        tests |= set(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    attacks = {attack.name for attack in ATTACKS} | {"call_through_the_32_bit_gate"}  # there on one machine only
    rows = [row for row in CLAIMS.splitlines() if row.startswith("| ") and "`" in row]
    assert len(rows) >= 18
    for row in rows:
        proofs = re.findall(r"`(\w+)`", row.split(" | ")[1])
        assert proofs, row
        assert set(proofs) <= tests | attacks, row


def test_every_attack_proves_a_claim() -> None:
    named = set(re.findall(r"`(\w+)`", CLAIMS))
    assert {attack.name for attack in ATTACKS} <= named
