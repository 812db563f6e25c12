"""Cuts the recorded data in this folder out of the whole recordings: `AUTOIF_DATA=FOLDER python tests/data/cut.py`.

The same recordings give the same bytes. README.md says where each part comes from; write.py makes what is our own.
"""

import csv
import gzip
import io
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from autoif.evaluation.general.data import read_questions
from autoif.evaluation.general.definitions import load_definitions
from autoif.evaluation.general.files import PUBLISHED
from support.packed_data import pack_folder, pack_zip

HERE: Final = Path(__file__).parent

WHOLE_MODELS: Final = ("Qwen2.5-3B", "Qwen2.5-7B", "Qwen2.5-32B")
"""Of the nine models on IFEval, those that tests of comparisons need whole."""
EVERY: Final = 4
"""Of the other models, each fourth row, and the rows that our verdicts and the recorded ones differ on."""

FREE: Final = ("CC BY-SA 3.0", "Apache-2.0 (repo)", "MIT", "CC BY-SA 3.0 (data; repo Apache-2.0)")
"""Licences of queries that may be passed on."""


def read_lines(path: Path) -> list[Any]:
    open_text: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with open_text(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def as_lines(rows: Iterable[object]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def cut_ifeval(whole: Path) -> None:
    from test_official_verdicts import DIFFERING

    kept: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for row in read_lines(whole / "recorded/nine_models_responses_and_verdicts.jsonl.gz"):
        number = seen[row["model"]] = seen.get(row["model"], 0) + 1
        differs = str(row["key"]) in {key for key, _, _ in DIFFERING[row["model"]]}
        if differs or number % EVERY == 1 or any(part in row["model"] for part in WHOLE_MODELS):
            kept.append(row)
    names = ("input_data.jsonl", "input_data_v0_2023-11.jsonl", "input_data_v1_2023-12.jsonl")
    files = {name: (whole / name).read_bytes() for name in names}
    files["text_bison.jsonl"] = (whole / "input_response_data_text_bison.jsonl").read_bytes()
    files["nine_models.jsonl"] = as_lines(kept)
    files["nine_models_prompts.jsonl"] = (whole / "recorded/en_input_data.jsonl").read_bytes()
    pack_folder(HERE / "ifeval.tar.xz", files)


def cut_ifbench(whole: Path) -> None:
    recorded = {
        mode: {
            row["prompt"]: row["follow_instruction_list"] for row in read_lines(whole / f"eval_results_{mode}.jsonl")
        }
        for mode in ("strict", "loose")
    }
    rows = [
        {**row, **{mode: verdicts[row["prompt"]] for mode, verdicts in recorded.items()}}
        for row in read_lines(whole / "sample_output.jsonl")
    ]
    files = {"IFBench_test.jsonl": (whole / "IFBench_test.jsonl").read_bytes(), "recorded.jsonl": as_lines(rows)}
    pack_folder(HERE / "ifbench.tar.xz", files)


def cut_followbench(whole: Path) -> None:
    files = {
        str(path.relative_to(whole)): path.read_bytes()
        for name in ("data", "data_zh", "recorded_llama3-8b")
        for path in (whole / name).rglob("*")
        if path.is_file()
    }
    pack_folder(HERE / "followbench.tar.xz", files)


def cut_general(whole: Path) -> None:
    for task, fixed in PUBLISHED.items():
        found = read_questions(task, whole / task, load_definitions(task, chat=False)).rows
        assert len(found) == len({row.id for row in found}) == fixed.size, f"{task} is not whole"
    for name, count in (("test", 100), ("train", 30)):
        lines = (whole / f"gsm8k/{name}.jsonl").read_bytes().splitlines(keepends=True)
        write(HERE / f"general/gsm8k/{name}.jsonl", b"".join(lines[:count]))
    write(HERE / "general/humaneval/HumanEval.jsonl.gz", (whole / "humaneval/HumanEval.jsonl.gz").read_bytes())
    tables = {}
    with zipfile.ZipFile(whole / "mmlu/mmlu.zip") as archive:
        for name in archive.namelist():
            if name.endswith(("_dev.csv", "_test.csv")):
                count = 5 if name.endswith("_dev.csv") else 11 if name.endswith("/anatomy_test.csv") else 2
                tables[name] = cut_table(archive.read(name), count)
    pack_zip(HERE / "general/mmlu/mmlu.zip", tables)


def cut_table(content: bytes, count: int) -> bytes:
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows[:count])
    return out.getvalue().encode()


def cut_tokenizer(whole: Path) -> None:
    with zipfile.ZipFile(whole / "tokenizers/punkt_tab.zip") as archive:
        names = [name for name in archive.namelist() if name.startswith("punkt_tab/english/") and name[-1] != "/"]
        files = {name: archive.read(name) for name in ["punkt_tab/README", *names]}
    pack_zip(HERE / "nltk/tokenizers/punkt_tab.zip", files)


def cut_queries(whole: Path) -> None:
    rows = [row for row in read_lines(whole / "queries_en_20_300.jsonl") if row["licence"] in FREE]
    fields = ("query", "source", "licence")
    write(HERE / "queries/english.jsonl", as_lines({field: row[field] for field in fields} for row in rows[::30]))


def cut_verifiers(whole: Path) -> None:
    for name in (
        "autoif_qwen_sample_data/eval_func_rft.jsonl",
        "autoif_qwen_sample_data/seed_instruction.txt",
        "autoif_wheresmyhair/output/single_generated.json",
    ):
        write(HERE / "verifiers" / name, (whole / name).read_bytes())
    functions: dict[str, None] = {}
    for row in read_lines(whole / "autoif_llama3_jwrobins94/completions.jsonl.gz"):
        functions |= dict.fromkeys(row["verifiers"])
    write(HERE / "verifiers/autoif_llama3_jwrobins94/functions.jsonl", as_lines(list(functions)[:200]))


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


CUTS: Final[Mapping[str, Callable[[Path], None]]] = {
    "ifeval": cut_ifeval, "ifbench": cut_ifbench, "followbench": cut_followbench, "general": cut_general,
    "nltk": cut_tokenizer, "queries": cut_queries, "verifiers": cut_verifiers,
}  # fmt: skip


def main() -> int:
    folder = os.environ.get("AUTOIF_DATA", "")
    if not Path(folder, "ifeval").is_dir():
        print("set AUTOIF_DATA to the folder of the whole recordings: it has ifeval/, followbench/, …", file=sys.stderr)
        return 2
    for name, cut in CUTS.items():
        cut(Path(folder, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
