"""Runs `autoif` in two processes of one training; COUNTS.RANK is how often each has rendered the chat template.

They are what torch's launcher starts, but forked of one process, which has loaded what trains.
"""

import os
import socket
import sys
from multiprocessing import get_context
from pathlib import Path

from transformers import PreTrainedTokenizerBase

import autoif.training.train  # noqa: F401 - loaded once
from autoif.cli.main import main

render, rendered = PreTrainedTokenizerBase.apply_chat_template, [0]


def count(self, *args, **kwargs):
    rendered[0] += 1
    return render(self, *args, **kwargs)


def be(rank: str) -> None:
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank}
    PreTrainedTokenizerBase.apply_chat_template = count
    try:
        main()
    finally:
        Path(f"{os.environ['COUNTS']}.{rank}").write_text(str(rendered[0]))


with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
processes = [get_context("fork").Process(target=be, args=(rank,)) for rank in ("0", "1")]
for process in processes:
    process.start()
for process in processes:
    process.join()
sys.exit(any(process.exitcode for process in processes))
