"""General abilities: data as it is, a few questions by seed, HumanEval in the sandbox, lm-eval's own verdicts."""

import csv
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stderr
from io import StringIO
from pathlib import Path

import pytest

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.benchmark import evaluate
from autoif.evaluation.general.answering import FolderModel
from autoif.evaluation.general.benchmark import prepare, read_task
from autoif.evaluation.general.data import (
    GeneralQuestion,
    GeneralQuestions,
    GeneralSettings,
    choose_questions,
    read_questions,
)
from autoif.evaluation.general.definitions import build_requests, build_task, load_definitions
from autoif.evaluation.general.files import PUBLISHED, TASKS, HumanEval
from autoif.evaluation.general.programs import LIMITS, join_completion, read_program, run_programs
from autoif.evaluation.results import read_scores
from autoif.sandbox import Sandbox
from support.tiny_model import write_tiny_model

DATA = Path(__file__).parent / "data/general"
PART = {"gsm8k": 100, "mmlu": 2 * 57 + 9, "humaneval": PUBLISHED["humaneval"].size, "ceval": 2 * 52 + 9}
"""Questions of the files in tests/data; its cut.py makes sure that the whole ones have as many as `PUBLISHED` says."""
ADD = HumanEval(
    task_id="x/0", prompt="def add(a, b):\n", entry_point="add", canonical_solution="    return a + b\n",
    test="def check(candidate):\n    assert all(candidate(n, 2) == n + 2 for n in (1, 2))\n",
)  # fmt: skip


@pytest.fixture(scope="module")
def programs() -> Iterator[Sandbox]:
    with Sandbox(LIMITS, backend="cpython") as sandbox:
        yield sandbox


def read(task: str, path: Path | None = None) -> GeneralQuestions:
    return read_questions(task, path or DATA / task, load_definitions(task, chat=False))


def run(sandbox: Sandbox, completion: str) -> str:
    question = GeneralQuestion("add", "", ADD.model_dump())
    [reason] = run_programs([(question, join_completion(question, completion, chat=False))], sandbox)
    return reason


@pytest.mark.parametrize("task", TASKS)
def test_the_authors_files_are_read_as_they_are(task):
    questions = read(task)
    assert len(questions.rows) == len({row.id for row in questions.rows}) == PART[task]
    assert questions.id == read(task).id
    again = {"gsm8k": DATA / "gsm8k", "humaneval": DATA / "humaneval/HumanEval.jsonl.gz"}
    assert read(task, again.get(task, DATA / f"{task}/{task}.zip")).id == questions.id


def test_tables_are_read_from_a_folder_as_from_a_zip_and_every_subject_has_questions_and_examples(tmp_path):
    for task, subjects in (("mmlu", 57), ("ceval", 52)):
        with zipfile.ZipFile(DATA / task / f"{task}.zip") as archive:
            archive.extractall(tmp_path / task)
        assert read(task, tmp_path / task).id == read(task).id
        assert len(Counter(row.subject for row in read(task).rows)) == subjects
        assert {len(rows) for rows in read(task).examples.values()} == {5}


def test_a_few_questions_are_chosen_by_seed_and_spread_over_the_subjects():
    questions = read("mmlu")
    few, more, other = (choose_questions(questions, limit, seed) for limit, seed in ((20, 0), (114, 0), (20, 1)))
    assert len({row.subject for row in few.rows}) == 20
    assert set(Counter(row.subject for row in more.rows).values()) == {2}
    assert {row.id for row in few.rows} < {row.id for row in more.rows}
    assert {row.id for row in few.rows} != {row.id for row in other.rows}
    places = {row.id: place for place, row in enumerate(questions.rows)}
    assert sorted(places[row.id] for row in few.rows) == [places[row.id] for row in few.rows]
    reversed_data = GeneralQuestions("mmlu", questions.rows[::-1], questions.examples, questions.source)
    assert {row.id for row in choose_questions(reversed_data, 20, 0).rows} == {row.id for row in few.rows}
    assert choose_questions(questions, None, 0) is questions


def test_the_very_same_question_asked_twice_has_two_ids(tmp_path):
    line = json.dumps({"question": "1 + 1?", "answer": "#### 2"}) + "\n"
    for name in ("test", "train"):
        (tmp_path / f"{name}.jsonl").write_text(line * 2)
    first, second = read("gsm8k", tmp_path).rows
    assert (first.row, first.id == second.id) == (second.row, False)


def test_every_canonical_solution_of_humaneval_passes_and_none_without_its_body(programs):
    questions = read("humaneval").rows
    whole = [(row, join_completion(row, str(row.row["canonical_solution"]), chat=False)) for row in questions]
    reasons = run_programs(whole, programs)
    assert [row.row["task_id"] for (row, _), reason in zip(whole, reasons, strict=True) if reason] == []
    empty = run_programs([(row, join_completion(row, "    return None\n", chat=False)) for row in questions], programs)
    assert all(empty)
    talk = "Here it is:\n```python\n{}{}```\nIt adds."
    chats = [
        (row, read_program(row, talk.format(row.row["prompt"], row.row["canonical_solution"]))) for row in questions
    ]
    assert not any(run_programs(chats, programs))


@pytest.mark.parametrize(
    ("completion", "detail"),
    [
        ("    return a - b\n", "error: AssertionError"),
        ("    return 3\n", "error: AssertionError"),
        ("    return a +\n", "error: SyntaxError"),
        ("    raise ValueError('no')\n", "error: ValueError: no"),
        ("    import sys\n    sys.exit(0)\n", "error: SystemExit: 0"),
        ("    return a + b\nraise SystemExit\n", "error: SystemExit"),
        ("    import os\n    os._exit(0)\n", "crash: exited with status 0"),
        ("    print(True)\n    return True\n", "error: AssertionError"),
        ("    while True: pass\n", "timeout: did not return in time"),
        ("    return [0] * 10 ** 9 and 3\n", "memory"),
        ("    pass\ndef check(candidate): pass\n", "error: AssertionError"),
        ("    pass\nimport builtins\nbuiltins.exec = builtins.compile = print\n__builtins__ = {}\n", "error: Asser"),
        ("    pass\n__builtins__ = {'all': lambda verdicts: True}\n", "error: AssertionError"),
        ("    pass\ndel add\n", "error: KeyError"),
    ],
)
def test_what_does_not_return_from_all_tests_does_not_pass(programs, completion, detail):
    assert run(programs, "    return a + b\n") == ""
    assert run(programs, completion).startswith(detail)


def test_one_program_leaves_nothing_behind_for_the_next(programs):
    question = GeneralQuestion("add", "", ADD.model_dump())
    vandal = "    return a + b\nimport builtins\nbuiltins.marked = 1\n"
    witness = "    import builtins\n    return 0 if hasattr(builtins, 'marked') else a + b\n"
    both = [(question, join_completion(question, text, chat=False)) for text in (vandal, witness)]
    assert run_programs(both, programs) == ["", ""]


def test_an_answer_may_be_a_code_block_the_whole_function_or_its_body(programs):
    question = GeneralQuestion("add", "", {**ADD.model_dump(), "prompt": "def add(a, b):\n    '''Add.'''\n"})
    answers = (
        "```python\ndef add(a, b):\n    return a + b\n```\nDone.", "```\ndef add(a, b):\n    return a + b",
        "    return a + b", "def add(a, b): return a + b", "I can't.",
    )  # fmt: skip
    reasons = run_programs([(question, read_program(question, answer)) for answer in answers], programs)
    assert [not each for each in reasons] == [True, True, True, True, False]
    assert join_completion(question, "    return 1\n```\ntalk", chat=True).endswith("return 1\n")


@pytest.mark.parametrize(
    ("task", "name", "content", "error"),
    [
        ("gsm8k", "test.jsonl", '{"prompt": "x"}\n', r"test.jsonl, line 1: no GSM8K row \(question: Field required"),
        ("gsm8k", "test.jsonl", "", "test.jsonl has no rows"),
        ("gsm8k", "test.jsonl", '{"question": "x", "answer": "2"}', r"line 1: no GSM8K row \(answer: "),
        ("gsm8k", "other.jsonl", "{}", "test.jsonl can't be read: No such file"),
        ("humaneval", "HumanEval.jsonl", "[1]\n", "line 1: no HumanEval row"),
        ("humaneval", "HumanEval.jsonl.gz", "not gzip", "HumanEval.jsonl.gz, line 1: broken JSON"),
        ("humaneval", "mbpp.jsonl", "{}", "has no HumanEval.jsonl.gz"),
        ("mmlu", "abstract_algebra_test.csv", "a,b,c\n", "abstract_algebra_test.csv, row 1: no MMLU row"),
        ("mmlu", "abstract_algebra_test.csv", "q,1,2,3,4,E\n", r"row 1: no MMLU row \(answer: "),
        ("mmlu", "anatomy_test.csv", "q,1,2,3,4,A\n", "lacks the subject abstract_algebra of MMLU: there is no abst"),
        ("mmlu", "mmlu.zip", "no zip", "is no zip file"),
        ("ceval", "accountant_val.csv", "id,question\n1,x\n", r"accountant_val.csv, row 1: no CEval row \(A: "),
    ],
)
def test_files_of_another_form_are_refused_with_the_place(tmp_path, task, name, content, error):
    (tmp_path / name).write_text(content)
    with pytest.raises((ConfigError, StoreError), match=error):
        read(task, tmp_path)


def test_without_files_the_hub_is_asked_and_where_there_is_none_files_are_to_be_named(monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(ConfigError, match=r"openai/gsm8k can't be fetched .*: name files by --data gsm8k=PATH"):
        read_questions("gsm8k", None, load_definitions("gsm8k", chat=False))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A part of each benchmark in the form of the whole, and a tiny model."""
    folder = tmp_path_factory.mktemp("general")
    write_tiny_model(folder / "model", context=4096)
    (folder / "gsm8k").mkdir()
    for name, count in (("test", 4), ("train", 30)):
        lines = (DATA / f"gsm8k/{name}.jsonl").read_text("utf-8").splitlines(keepends=True)
        (folder / f"gsm8k/{name}.jsonl").write_text("".join(lines[:count]), "utf-8")
    return folder


def measure(small: Path, out: Path, task: str, files: Path, **settings: object) -> Path:
    """Measure the tiny model on one benchmark."""
    given = GeneralSettings(max_tokens=8, dtype="float32", batch_size=4, **settings)
    who = "tiny", "tiny, transformers", FolderModel(str(small / "model"), given)
    with Sandbox(LIMITS, backend="cpython") if task == "humaneval" else nullcontext() as sandbox:
        benchmark, subject = prepare(read_task(task, files, given), who, sandbox)
        evaluate(benchmark, subject, out / task, print)
    return out / task


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def evaluate_by_lm_eval(small: Path, place: Path, config: dict, parts: dict[str, list[dict]], *, chat: bool) -> list:
    """Return the samples of lm-eval's own evaluation, its data read from files by `datasets`."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    for name, rows in parts.items():
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {name: str(place / f"{name}.jsonl") for name in parts}
    local = {"dataset_path": "json", "dataset_name": None, "tag": None}
    local |= {"dataset_kwargs": {"data_files": files, "cache_dir": str(place / "cache")}}
    # lm-eval adds a report of the machine, for which it asks pip what is installed: most of a second.
    with redirect_stderr(StringIO()), pytest.MonkeyPatch.context() as patch:
        patch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
        lm = HFLM(pretrained=str(small / "model"), device="cpu", dtype="float32", batch_size=4)
        results = simple_evaluate(
            lm,
            tasks=[{**config, **local}],
            apply_chat_template=chat,
            bootstrap_iters=0,
            task_manager=TaskManager(include_defaults=False),
        )
    return results["samples"][config["task"]]


def write_tables(task: str, folder: Path, subject: str, count: int) -> Path:
    """Write some questions of a subject with its examples, and a sum for each other subject."""
    header = task == "ceval"
    other = ["1 + 1?", "1", "2", "3", "4", "B"]
    folder.mkdir()
    with zipfile.ZipFile(DATA / task / f"{task}.zip") as archive:
        for name in archive.namelist():
            part = name.rsplit("/", 1)[-1]
            if part.endswith(("_test.csv", "_val.csv", "_dev.csv")):
                rows = list(csv.reader(StringIO(archive.read(name).decode("utf-8"), newline="")))
                examples = part.endswith("_dev.csv")
                if not part.startswith(f"{subject}_"):
                    row = ["0", *other, "2"][: len(rows[0])] if header else other
                    rows = rows[:header] + [row] * (5 if examples else 1)
                with (folder / part).open("w", newline="", encoding="utf-8") as out:
                    csv.writer(out).writerows(rows if examples else rows[: count + header])
    return folder


@pytest.mark.parametrize(("task", "subject", "chat"), [
    ("mmlu", "anatomy", False), ("mmlu", "anatomy", True), ("ceval", "law", False),
])  # fmt: skip
def test_choices_have_the_likelihoods_and_verdicts_of_lm_evals_own_evaluation(small, tmp_path, task, subject, chat):
    files = write_tables(task, tmp_path / "tables", subject, 11)
    questions = read(task, files)
    rows = [row for row in questions.rows if row.subject == subject]
    [definition] = [each for each in load_definitions(task, chat=False) if each.subject == subject]
    parts = {definition.split: [row.row for row in rows], "dev": questions.examples[subject]}
    theirs = evaluate_by_lm_eval(small, tmp_path, definition.config, parts, chat=chat)
    out = measure(small, tmp_path / "out", task, files, chat_template=chat)
    ours = [row for row in rows_of(out / "per_prompt.jsonl") if row["part"] == subject]
    assert [row["id"] for row in ours] == [row.id for row in rows]
    assert [row["scores"]["acc"] == [100] for row in ours] == [sample["acc"] == 1 for sample in theirs]
    assert 0 < sum(row["scores"]["acc"] == [100] for row in ours) < len(ours) == 11
    asked = {row.id for row in rows}
    said = [json.loads(row["text"]) for row in rows_of(out / "samples.jsonl") if row["prompt_id"] in asked]
    for found, sample in zip(said, theirs, strict=True):
        assert [value for value, _ in found] == pytest.approx([resp[0][0] for resp in sample["resps"]], abs=1e-4)


@pytest.mark.parametrize("chat", [False, True])
def test_gsm8k_has_the_answers_and_verdicts_of_lm_evals_own_evaluation(small, tmp_path, chat):
    questions = read("gsm8k", small / "gsm8k")
    parts = {"test": [row.row for row in questions.rows], "train": questions.examples[""]}
    [definition] = load_definitions("gsm8k", chat=False)
    kwargs = {**definition.config["generation_kwargs"], "max_gen_toks": 8}
    theirs = evaluate_by_lm_eval(small, tmp_path, {**definition.config, "generation_kwargs": kwargs}, parts, chat=chat)
    out = measure(small, tmp_path / "out", "gsm8k", small / "gsm8k", chat_template=chat)
    said = [row["text"] for row in rows_of(out / "samples.jsonl")]
    assert said == [sample["resps"][0][0] for sample in theirs if sample["filter"] == "strict-match"]
    lm_task = build_task(definition, parts["test"], parts["train"], {})
    given = GeneralSettings(batch_size=1, dtype="float32", chat_template=chat)
    template = FolderModel(str(small / "model"), given).read_template()
    asked = [instance.args[0] for [instance] in build_requests(lm_task, template)]
    assert asked == [sample["arguments"][0][0] for sample in theirs if sample["filter"] == "strict-match"]
    assert ("<assistant>" in asked[0]) is chat
    for metric in ("strict-match", "flexible-extract"):
        verdicts = [row["scores"][f"exact_match, {metric}"][0] == 100 for row in rows_of(out / "per_prompt.jsonl")]
        assert verdicts == [sample["exact_match"] == 1 for sample in theirs if sample["filter"] == metric]


def test_the_right_number_is_taken_from_an_answer_as_lm_eval_takes_it(small, tmp_path, monkeypatch):
    questions = read("gsm8k", small / "gsm8k").rows
    numbers = [str(row.row["answer"]).split("#### ")[1] for row in questions]
    told = [f"So it is\n#### {numbers[0]}\n\nQuestion: #### 1", f"It is {numbers[1]}.", "#### 1", ""]
    answers = iter(told)
    monkeypatch.setattr(
        "lm_eval.models.huggingface.HFLM.generate_until", lambda self, some, **_: [next(answers) for _ in some]
    )
    out = measure(small, tmp_path / "out", "gsm8k", small / "gsm8k")
    rows = rows_of(out / "per_prompt.jsonl")
    assert [row["scores"]["exact_match, strict-match"] for row in rows] == [[100], [0], [0], [0]]
    assert [row["scores"]["exact_match, flexible-extract"] for row in rows] == [[100], [100], [0], [0]]
    scores = read_scores(out)
    assert {name: each.value for name, each in scores.scores.items()} == {
        "exact_match, strict-match": 25, "exact_match, flexible-extract": 50,
    }  # fmt: skip
    assert scores.partial == ("4 of 1,319 prompts are scored",)
