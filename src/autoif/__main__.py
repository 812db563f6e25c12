"""`autoif` and `python -m autoif`."""

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, even while it is being imported."""
    if sys.stderr is not None:
        sys.stderr = _Said.instead_of(sys.stderr)
    try:
        from autoif.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


class _Said(io.FileIO):
    """Standard error, which takes what it can: no run ends because its terminal is closed or its log's disk is full."""

    def write(self, said: Any, /) -> int:
        with suppress(OSError):
            super().write(said)
        return len(said)

    @classmethod
    def instead_of(cls, stream: TextIO) -> TextIO:
        """Return what takes a stream's place; the stream itself where it is no file."""
        try:
            file = cls(os.dup(stream.fileno()), "w")
        except OSError:
            return stream
        return io.TextIOWrapper(
            io.BufferedWriter(file), encoding=stream.encoding, errors="backslashreplace", line_buffering=True
        )


if __name__ == "__main__":
    main()
