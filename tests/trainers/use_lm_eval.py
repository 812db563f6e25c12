"""Judge responses by lm-evaluation-harness's own program: use_lm_eval.py DATA RESPONSES FOUND.

Writes {prompt: [strict verdicts, loose verdicts]}; a prompt at which the program raises is left out.
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import langdetect


def read(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def main(data: str, responses: str, found: str) -> None:
    for name in ("lm_eval", "lm_eval.tasks"):  # without what they import, which judging does not need
        folder = next(path for path in sys.path if (Path(path) / "lm_eval").is_dir())
        package = ModuleType(name)
        package.__path__ = [str(Path(folder, *name.split(".")))]
        sys.modules[name] = package
    langdetect.DetectorFactory.seed = 0
    program = importlib.import_module("lm_eval.tasks.ifeval.utils")
    answers = {row["prompt"]: row["response"] for row in read(responses)}
    verdicts = {}
    for row in read(data):
        asked = program.InputExample(row["key"], row["instruction_id_list"], row["prompt"], row["kwargs"])
        try:
            judges = (program.test_instruction_following_strict, program.test_instruction_following_loose)
            judged = [judge(asked, answers[row["prompt"]]).follow_instruction_list for judge in judges]
        except ValueError:
            continue
        verdicts[row["prompt"]] = judged
    Path(found).write_text(json.dumps(verdicts), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
