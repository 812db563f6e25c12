"""`autoif` and `python -m autoif`."""

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, even while it is being imported."""
    if sys.stderr is not None:
        sys.stderr = _LenientStderr.replacing(sys.stderr)
    try:
        from autoif.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


class _LenientStderr(io.FileIO):
    """Standard error that ignores failed writes: a closed terminal or a full disk of the log ends no run."""

    def write(self, data: Any, /) -> int:
        with suppress(OSError):
            super().write(data)
        return len(data)

    @classmethod
    def replacing(cls, stream: TextIO) -> TextIO:
        """Return a stream to use in place of the given one, or that one if it is no file."""
        try:
            file = cls(os.dup(stream.fileno()), "w")
        except OSError:
            return stream
        return io.TextIOWrapper(
            io.BufferedWriter(file), encoding=stream.encoding, errors="backslashreplace", line_buffering=True
        )


if __name__ == "__main__":
    main()
