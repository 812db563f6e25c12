"""A run's page as a file: whose numbers it has, what it says of a bad folder, and what may run in it."""

import asyncio
import base64
import gzip
import hashlib
import json
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rapidfuzz import fuzz

from autoif.audit.material import read_material
from autoif.cli.report import report
from autoif.datasets.reviewing import list_items
from autoif.decisions import Decision, Review, add_decisions
from autoif.errors import ConfigError, StoreError
from autoif.instructions.deduplication import normalise
from autoif.page.data import read_data
from autoif.page.distributions import draw_distributions, measure_learnability, measure_similarity
from autoif.page.overview import make_settings
from autoif.page.report import write_report
from autoif.page.sweeps import show_sweeps
from autoif.records import content_id
from autoif.report.funnel import read_funnel
from autoif.report.show import read_samples
from autoif.runs.orchestration import remake_data
from autoif.runs.store import (
    DIGESTS,
    MANIFEST,
    PREFERENCES,
    REJECTION_SAMPLING,
    REVIEWED,
    SCORING,
    SELF_INSTRUCT,
    read_manifest,
    read_stage,
)
from autoif.sweep.points import sweep_run
from autoif.sweep.stored import read_stored
from autoif.view.pages import make_view_page
from autoif.view.queue import make_queue, read_functions
from page_run import MadeRun, make_run
from support.processes import fork_autoif, model_server

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "made"
    make_run(folder, MadeRun(instructions=9))
    return folder


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    output = run.parent / "report.html"
    write_report(run, output)
    return output.read_text(encoding="utf-8")


def read_piece(html: str, name: str) -> Any:
    [packed] = re.findall(rf'id="data-{name}">([^<]*)<', html)
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_the_page_has_the_numbers_that_show_prints(run: Path, html: str) -> None:
    for row in read_funnel(run):
        assert f">{row.kept:,}</a>" in html
        assert f"{row.folder}: {row.kept:,} kept, {row.dropped:,} dropped" in html
        for reason, count in row.reasons.items():
            assert f"{reason.replace('_', ' ')} {count:,}</a>" in html


def test_each_response_is_in_the_page_once_as_its_last_stage_left_it(run: Path, html: str) -> None:
    index = read_piece(html, "index")
    kept = {
        response["id"]
        for place, response in enumerate(read_piece(html, "responses-0"))
        if index["responses"]["stage"][place] == 6 and not index["reasons"][index["responses"]["reason"][place]]
    }
    assert kept == {sample.id for sample in read_samples(run)}
    assert index["counts"]["responses"] == len(read_piece(html, "responses-0")) == 6 * 2 * 4


def test_thresholds_have_the_figures_of_replay(run: Path, html: str) -> None:
    part = html[html.index('id="thresholds"') :]
    for sweep in ("rejection_sampling.pass_rate=0.5:1:0.1", "scoring.mean=5:10:1"):
        found = sweep_run(run, [sweep])
        for point in found.points:
            cells = (point.settings[found.keys[0]], point.instructions, point.sft, point.preferences)
            first, *rest = (str(cell).replace(">", "&gt;") for cell in cells)
            assert f'<th scope="row">{first}</th>' + "".join(f'<td class="number">{cell}</td>' for cell in rest) in part
    assert len({point.sft for point in found.points}) > 1
    assert part.count("<polyline") == 2 * 3
    assert "--sweep cross_validation.sure_score=0.5:0.9:0.1" in part


def test_each_distribution_counts_all_that_it_is_of(replayed: Path) -> None:
    data, columns = read_data(replayed), read_data(replayed).columns
    counted = {
        table.findtext("caption"): [int((cell.text or "").replace(",", "")) for cell in table.iter("td")]
        for part in draw_distributions(data)
        for table in part.iter("table")
    }
    judged = [rate for rate in columns.pass_rate if rate is not None]
    quality = Counter(min(9, int(value)) for value in columns.quality if value is not None)
    kept = [line for line in data.instructions if line.stage == 3 and not line.reason]
    assert counted.pop("Quality of responses") == [quality[place] for place in range(10)]
    assert {title: sum(counts) for title, counts in counted.items()} == {
        "Pass rate of responses": len(judged),
        "Learnability: prompts by how many of their responses pass": len(measure_learnability(data)),
        "Length of responses, characters": len(data.responses),
        "Agreement of functions with cases": sum(line.agreement is not None for line in data.instructions),
        "Similarity of instructions to the nearest other one": len([*read_stage(replayed, SELF_INSTRUCT, "kept")]),
        "Verified instructions by kind of constraint (told by their words)": len(kept),
    }


def test_the_settings_have_all_that_run_json_knows(replayed: Path) -> None:
    manifest = read_manifest(replayed)
    text = "\n".join("".join(part.itertext()) for part in make_settings(manifest))
    elsewhere = {"status", "seconds", "times", "usage", "notes", "endings"}
    missing = [leaf for name in {*manifest} - elsewhere for leaf in list_leaves(manifest[name]) if leaf not in text]
    assert missing == []


def list_leaves(value: Any) -> list[str]:
    if isinstance(value, dict) and value:
        return [leaf for each in value.values() for leaf in list_leaves(each)]
    return [value if isinstance(value, str) else "" if value is None else json.dumps(value)]


@pytest.mark.parametrize(("responses", "status"), [(5_001, "complete"), (1, "running")])
def test_of_a_large_run_or_one_that_goes_on_the_page_says_how_to_get_the_thresholds(
    run: Path, responses: int, status: str
) -> None:
    [said] = show_sweeps(run, responses, status)
    assert ("autoif replay" in "".join(said.itertext())) == (status == "complete")
    assert "when the run has ended" in "".join(said.itertext()) or status == "complete"


def test_time_tokens_and_cost_of_each_stage_stand_beside_each_other(tmp_path: Path) -> None:
    make_run(tmp_path, MadeRun(instructions=2))
    _edit_manifest(tmp_path, times={"verification": 150.0, "scoring": 3.25}, seconds=160.0)
    [page] = write_report(tmp_path, tmp_path / "report.html")
    text = re.sub(r"<[^>]*>", " ", page.read_text(encoding="utf-8"))
    assert re.search(r"verification\s+2\s+8\s+0\s+0\s+0\.00\s+2 min", text)
    assert re.search(r"scoring\s+0\s+0\s+0\s+0\s+0\.00\s+3\.2 s", text)
    assert re.search(r"start and data sets[\s–]+6\.8 s", text)
    data = read_data(tmp_path)
    kept = sum(line.passed for line in data.instructions)
    assert f"Of 1,000 model calls: 500.0 verified instructions; {1000 * kept / 2:,.1f} kept responses" in text


def test_only_scripts_and_styles_that_the_policy_names_are_in_the_page(html: str) -> None:
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    for kind, found in (("script", re.findall(r"<script>(.*?)</script>", html, re.DOTALL)),
                        ("style", re.findall(r"<style>(.*?)</style>", html, re.DOTALL))):  # fmt: skip
        [sources] = re.findall(rf"{kind}-src ([^;]*)", policy)
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found]
        assert sources.split() == [f"'sha256-{each}'" for each in hashes]
    assert not re.search(r"<[^>]* (?:style|on\w+)=", re.sub(r"<(script|style)>.*?</\1>", "", html, flags=re.DOTALL))


def test_beyond_the_limit_data_lies_in_files_beside_the_page_and_it_says_so(run: Path, tmp_path: Path) -> None:
    page, folder = write_report(run, tmp_path / "large.html", limit=10)
    html = page.read_text(encoding="utf-8")
    assert "rows are too many for one file: they lie in the folder large-data" in html
    assert "data-responses-0" not in html
    assert sorted(path.name for path in folder.iterdir()) == ["instructions-0.js", "pairs-0.js", "responses-0.js"]


def test_the_command_names_what_it_wrote_and_a_run_folder_has_its_page_inside(run: Path) -> None:
    result = CliRunner().invoke(report, [str(run)])
    assert result.output.splitlines()[-1].endswith("made/report.html")
    assert (run / "report.html").exists()


def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no run folder"):
        write_report(tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def _edit_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **changes}))


def test_a_folder_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    make_run(tmp_path, MadeRun(instructions=2))
    _edit_manifest(tmp_path, format=1)
    with pytest.raises(StoreError, match="another version of autoif"):
        write_report(tmp_path, tmp_path / "report.html")


def test_a_run_without_a_finished_stage_has_a_page_that_says_so(tmp_path: Path) -> None:
    make_run(tmp_path, MadeRun(instructions=0))
    _edit_manifest(tmp_path, status="running", usage={})
    [page] = write_report(tmp_path, tmp_path / "report.html")
    assert "not finished: this is what it has so far" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("instructions", [1, 2])
def test_a_run_of_hardly_any_instruction_has_a_page_and_a_queue(tmp_path: Path, instructions: int) -> None:
    make_run(tmp_path, MadeRun(instructions=instructions, prompts_each=1, responses_each=1))
    page = make_view_page(tmp_path, [tmp_path])
    assert len(read_piece(page.html, "index")["instructions"]) == instructions
    queue = make_queue(read_functions(tmp_path), Review())
    assert len(queue.functions) == 2 * (instructions == 2)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("", "is damaged"),
        ('{"id": "0"}\n', "record of another form"),
        ('["list"]\n', "record of another form"),
    ],
)
def test_a_damaged_stage_file_is_named_in_one_line(tmp_path: Path, damage: str, said: str) -> None:
    make_run(tmp_path, MadeRun(instructions=3))
    shard = tmp_path / SCORING / "kept-0000.jsonl"
    (tmp_path / DIGESTS).unlink()
    shard.write_text(damage or shard.read_text()[:-40])
    with pytest.raises(StoreError, match=said) as failure:
        write_report(tmp_path, tmp_path / "report.html")
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (REVIEWED, '{"reason": "rejected_by_reviewer"}', "reviewed.jsonl holds a record of another form"),
        (PREFERENCES, "{}", "record of another form"),
        (PREFERENCES, "[", "preferences.jsonl, line 2: broken JSON"),
        (MANIFEST, '{"format": 2, "identity": {}, "config": []}', "run.json is damaged"),
    ],
)
def test_any_other_damaged_file_is_named_in_one_line(tmp_path: Path, name: str, content: str, said: str) -> None:
    make_run(tmp_path, MadeRun(instructions=3))
    (tmp_path / name).write_text(content + "\n")
    with pytest.raises(StoreError, match=said) as failure:
        write_report(tmp_path, tmp_path / "report.html")
    assert "\n" not in str(failure.value)


def test_pairs_have_the_ids_that_decisions_name_them_by(replayed: Path) -> None:
    ids = [json.loads(pair)["id"] for pair in read_data(replayed).pairs]
    assert len(ids) == len(set(ids))
    assert set(ids) == list_items(replayed)["pair"]


def test_the_demo_ends_with_the_path_of_the_recorded_run_s_report() -> None:
    printed = subprocess.run(
        ["make", "--no-print-directory", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert printed.splitlines()[-1] == ".venv/bin/autoif report runs/quickstart-recorded"


def test_texts_of_a_model_reach_the_page_as_text_never_as_markup(tmp_path: Path) -> None:
    hostile = "</script><script>window.hit=1</script></pre>{{data}}\ud800\x00"
    make_run(tmp_path, MadeRun(instructions=3, spoil=lambda text: text + hostile))
    [page] = write_report(tmp_path, tmp_path / "report.html")
    html = page.read_text(encoding="utf-8")
    assert "<script>window.hit" not in html
    assert "&lt;script&gt;window.hit=1" in html
    assert read_piece(html, "index")["instructions"][0]["text"].endswith(hostile)


def test_the_same_run_gives_the_same_bytes(run: Path, html: str, tmp_path: Path) -> None:
    [page] = write_report(run, tmp_path / "again.html")
    assert page.read_text(encoding="utf-8") == html


@pytest.mark.parametrize(("name", "said"), [("run.json", "belongs to a run"), ("page.txt", "name a page with .html")])
def test_a_slip_in_the_page_s_name_replaces_no_data(run: Path, name: str, said: str) -> None:
    before = (run / MANIFEST).read_bytes()
    found = CliRunner().invoke(report, [str(run), "-o", str(run / name)])
    assert isinstance(found.exception, ConfigError)
    assert said in str(found.exception)
    assert (run / MANIFEST).read_bytes() == before
    assert not (run / "page.txt").exists()


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (["*"], "is missing: run the same command again"),
        (["07_scoring"], "07_scoring/dropped-0000.jsonl is missing"),
        (["02_verification/kept-0000.jsonl"], "02_verification/kept-0000.jsonl is missing"),
        (["*", DIGESTS], "is marked complete and holds no stage"),
    ],
)
def test_of_a_run_whose_stages_were_deleted_no_page_is_made(
    run: Path, tmp_path: Path, gone: list[str], said: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("*.html"))
    for path in (path for name in gone for path in folder.glob(name if name != "*" else "0*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = CliRunner().invoke(report, [str(folder)])
    assert isinstance(found.exception, StoreError)
    assert said in str(found.exception)
    assert "\n" not in str(found.exception)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize("read", [read_material, read_stored])
def test_nor_is_it_audited_or_swept(run: Path, tmp_path: Path, read: Callable[[Path], object]) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    read(folder)
    shutil.rmtree(folder / "06_rejection_sampling")
    with pytest.raises(StoreError, match=r"06_rejection_sampling.* is missing"):
        read(folder)


def test_a_run_that_goes_on_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    with model_server(tmp_path) as served:
        wanted = ["run", "quickstart", "--base-url", served.url, "--model", "test", "-o", "run"]
        going = fork_autoif(*wanted, "--set", "execution.shard_size=1", cwd=tmp_path)
        try:
            while not list(tmp_path.glob("run/0[67]_*/kept-*.jsonl")):
                assert going.poll() is None
                time.sleep(0.05)
            going.send_signal(signal.SIGSTOP)  # the page and what it is compared with are of one moment
            [page] = write_report(tmp_path / "run", tmp_path / "report.html")
            html = page.read_text(encoding="utf-8")
            assert "not finished: this is what it has so far" in html
            assert "shown when the run has ended" in html
            for row in read_funnel(tmp_path / "run"):
                assert f"{row.folder}: {row.kept:,} kept, {row.dropped:,} dropped" in html
        finally:
            going.kill()
            going.communicate()


def test_what_reviewers_left_out_stands_in_the_page_with_their_words(replayed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(replayed, folder)
    rows = [json.loads(line) for line in (folder / "sft.jsonl").read_text(encoding="utf-8").splitlines()]
    row, response = rows[0]["constraints"][0], rows[-1]["response_id"]
    other = next(one for each in rows for one in each["constraints"] if one["instruction_id"] != row["instruction_id"])
    function = content_id("function", other["functions"][0])
    said = {"author": "ada", "time": datetime.now(UTC), "comment": "<b>too vague</b>", "decision": "reject"}
    rejected = {"instruction": row["instruction_id"], "function": function, "response": response}
    add_decisions(
        folder, [Decision.model_validate({"target": kind, "id": name, **said}) for kind, name in rejected.items()]
    )
    asyncio.run(remake_data(folder))
    [page] = write_report(folder, tmp_path / "report.html")
    html = page.read_text(encoding="utf-8")
    assert '<a class="reason" href="#reviewed">rejected by reviewer' in html
    part = html[html.index('id="reviewed"') : html.index("Model calls, tokens")]
    assert row["instruction"] in unescape(part)
    assert f"a function of: {other['instruction']}" in unescape(part)
    assert re.search(rf'href="#instruction/\d+/{function}"', part)
    assert f'href="#response/0/{response}"' in part
    assert "&lt;b&gt;too vague&lt;/b&gt;" in part


def test_learnability_counts_prompts_by_how_many_of_their_judged_responses_pass(replayed: Path) -> None:
    rates: dict[str, list[float]] = {}
    for kind in ("kept", "dropped"):
        for row in read_stage(replayed, REJECTION_SAMPLING, kind):
            response = row["record"] if kind == "dropped" else row
            if response and response["verdicts"]:  # early stop leaves no record of what it didn't ask for
                rates.setdefault(response["prompt"], []).append(response["pass_rate"])
    wanted = sorted(sum(rate > 0.5 for rate in each) / len(each) for each in rates.values())
    assert sorted(measure_learnability(read_data(replayed))) == wanted
    assert 0 < sum(0 < each < 1 for each in wanted) < len(wanted)


def test_similarity_is_that_of_the_nearest_other_instruction_in_bounded_time() -> None:
    texts = [
        "Use exactly three bullets.",
        "Use exactly four bullets.",
        "please use three bullets, exactly",
        "No commas",
    ]
    near = [max(fuzz.token_sort_ratio(normalise(a), normalise(b)) for b in texts if b != a) for a in texts]
    assert measure_similarity(texts) == pytest.approx(near)
    assert measure_similarity(["alone"]) == measure_similarity([]) == []
    began = time.process_time()
    assert len(measure_similarity([f"{number} {'a ' * 50_000}" for number in range(1000)])) == 200
    assert time.process_time() - began < 10
