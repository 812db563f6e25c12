"""Runs `autoif` in one of several processes, and writes into COUNTS.RANK how often the chat template was rendered."""

import os
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from autoif.cli.main import main

render, rendered = PreTrainedTokenizerBase.apply_chat_template, [0]


def count(self, *args, **kwargs):
    rendered[0] += 1
    return render(self, *args, **kwargs)


PreTrainedTokenizerBase.apply_chat_template = count
try:
    main()
finally:
    Path(os.environ["COUNTS"] + "." + os.environ["RANK"]).write_text(str(rendered[0]))
