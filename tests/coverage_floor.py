"""Check that the packages everything rests on are covered by branch: `python tests/coverage_floor.py COVERAGE.json`."""

import json
import sys
from pathlib import Path

FLOORS = {
    "sandbox": 95.0,
    "instructions": 95.0,
    "queries": 95.0,
    "runs/store": 95.0,
    "records": 95.0,
}
"""Per cent of lines and branches together, by folder or module of src/autoif."""


def main() -> int:
    files = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["files"]
    failed = 0
    for name, floor in FLOORS.items():
        chosen = [
            entry["summary"]
            for path, entry in files.items()
            if f"/autoif/{name}/" in f"/{path}" or path.endswith(f"/autoif/{name}.py")
        ]
        assert chosen, f"nothing of {name} in the report"
        covered = sum(entry["covered_lines"] + entry["covered_branches"] for entry in chosen)
        total = sum(entry["num_statements"] + entry["num_branches"] for entry in chosen)
        percent = 100 * covered / total
        failed += percent < floor
        print(f"{name:<14}{percent:6.1f} %  (at least {floor:.0f}){'  TOO LOW' if percent < floor else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
