"""Where the large recordings lie that benchmarks read: in the folder that the variable AUTOIF_DATA names.

`make bench DATA=FOLDER` sets it. tests/data holds small parts of them; its README says where each set comes from.
"""

import os
import sys
from pathlib import Path


def find_recordings(name: str = "") -> Path:
    """Return the folder of all recordings, or what is called `name` in it; end with one line if it isn't there."""
    folder = os.environ.get("AUTOIF_DATA")
    if not folder:
        sys.exit(
            "set AUTOIF_DATA to the folder of the recordings (make bench DATA=FOLDER); tests/data/README.md names them"
        )
    path = Path(folder, name)
    if not path.exists():
        sys.exit(
            f"AUTOIF_DATA={folder} has no {name or 'such folder'}; tests/data/README.md says where each set comes from"
        )
    return path
