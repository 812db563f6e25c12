"""Runs a model's server, and ends it with all its processes when the actor that holds its GPUs is gone.

    python -m autoif.engines.ray.server_process COMMAND …

Ray kills the children of an actor, but not their children, which would keep the GPUs' memory. So this process detaches
itself from the actor and watches its standard input, which the actor holds open. Its standard output is closed when the
server has ended.
"""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

_GRACE_S = 5.0
"""Seconds between asking the server to end and killing it."""


def main() -> None:
    if os.fork():
        os._exit(0)
    server = subprocess.Popen(
        sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, start_new_session=True
    )
    while server.poll() is None and not select.select([sys.stdin], [], [], 0.5)[0]:
        pass
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline:
            server.poll()
            os.killpg(server.pid, 0)  # raises when all of them are gone
            time.sleep(0.1)
        os.killpg(server.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
