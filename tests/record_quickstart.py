"""Make the recording and the golden outputs from a finished run: `python tests/record_quickstart.py RUN`."""

import shutil
import sys
import tempfile
from pathlib import Path

from autoif.models.recording import export_recording
from support.command import autoif
from support.processes import DATA_FILES

ROOT = Path(__file__).parent.parent
RECORDING = ROOT / "src" / "autoif" / "presets" / "quickstart.recording.jsonl.xz"
GOLDEN = ROOT / "tests" / "golden"


def main() -> None:
    recorded = export_recording([Path(sys.argv[1]) / "completions.sqlite"], RECORDING, overwrite=True)
    with tempfile.TemporaryDirectory() as folder:
        done = autoif("run", "quickstart", "--recorded", "--quiet", "-o", "run", cwd=Path(folder))
        assert done.returncode == 0, done.stderr
        GOLDEN.mkdir(exist_ok=True)
        for name in DATA_FILES:
            made, replayed = Path(sys.argv[1]) / name, Path(folder) / "run" / name
            assert made.read_bytes() == replayed.read_bytes(), f"the replay makes another {name}"
            shutil.copy(replayed, GOLDEN / name)
    print(f"{recorded.completions} completions, {RECORDING.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
