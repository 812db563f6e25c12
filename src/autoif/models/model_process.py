"""The main loop of a process that serves the embedded model (`llama_process`, `openvino_process`).

`embedded` starts it. It reads its settings as one line of JSON, answers with one line (`{"url": …}` or
`{"error": …}`), and lives until its standard input ends or its parent is gone. It is a separate process because a
runtime that crashes would take the command down with it, and one that is stopped while a request is open would freeze
the command for ever.
"""

import json
import os
import select
import sys
from collections.abc import Callable
from typing import Any


def serve_while_wanted(serve: Callable[[dict[str, Any]], tuple[str, object]]) -> None:
    """Run the process.

    `serve` starts a server with the settings and returns its URL and itself, or raises RuntimeError.
    """
    # Libraries print to standard output, too: send that to standard error, so that our one line stands alone.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    parent = os.getppid()
    settings = json.loads(sys.stdin.readline())
    try:
        served = serve(settings)
        answer, status = {"url": served[0]}, 0
    except RuntimeError as error:
        answer, status = {"error": str(error).strip()}, 1
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
    # A process forked from the parent may keep the input open, so an open input doesn't prove that the parent lives.
    while not status and os.getppid() == parent and not select.select([sys.stdin], [], [], 1.0)[0]:
        pass
    os._exit(status)  # without running the server's destructors, which would wait for open requests
