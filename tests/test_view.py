"""`autoif view` as its callers meet it: pages, events, decisions, and people who mean it well or not."""

import asyncio
import base64
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from click.testing import CliRunner

from autoif.cli.main import cli
from autoif.decisions import read_decisions, read_review
from autoif.runs.store import DECISIONS, INSTRUCTIONS, MANIFEST
from autoif.service.listening import listening
from autoif.service.settings import ServiceSettings
from autoif.view.server import Viewer

TOKEN = "0123456789abcdef0123"
STRANGER = {"target": "function", "id": "0123456789abcdef", "decision": "reject"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def runs(replayed: Path, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("viewed")
    for name in ("first", "second"):
        shutil.copytree(replayed, folder / name)
    return [folder / "first", folder / "second"]


@pytest.fixture(scope="module")
def reject(runs) -> dict[str, str]:
    first = json.loads((runs[0] / INSTRUCTIONS).read_text(encoding="utf-8").splitlines()[0])
    return {**STRANGER, "id": first["matrix"]["functions"][first["kept_functions"][0]]["id"]}


async def serve(runs: list[Path], token: str = "") -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    settings = ServiceSettings(port=0, body_mb=1, queue=64, token=token)
    viewer = Viewer(runs, settings, "ada")
    async with listening(viewer, settings) as url, aiohttp.ClientSession() as session:
        yield url, session
        await viewer.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(runs):
    async for each in serve(runs):
        yield each


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(runs):
    async for each in serve(runs, TOKEN):
        yield each


@pytest.fixture(autouse=True)
def nobody_decided(runs):
    for run in runs:
        (run / DECISIONS).unlink(missing_ok=True)


async def test_the_page_is_that_of_the_report_with_a_part_for_reviewers(server):
    url, session = server
    async with session.get(f"{url}/") as answer:
        assert answer.status == 200
        assert str(answer.url) == f"{url}/0/"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"
        text = await answer.text()
    assert "connect-src 'self'" in text
    for part in ('id="funnel"', 'id="instructions"', 'id="review"', "07_scoring"):
        assert part in text


async def test_a_decision_is_written_with_its_author_shown_and_taken_back(server, runs, reject):
    url, session = server
    async with session.post(f"{url}/1/decisions", json={**reject, "comment": "counts the title"}) as answer:
        assert answer.status == 201
        assert (await answer.json())["verdict"] == "reject"
    async with session.get(f"{url}/1/decisions") as answer:
        said = await answer.json()
    assert (said["author"], said["damage"]) == ("ada", "")
    [item] = said["items"]
    assert (item["target"], item["id"], item["rejected"][0]["comment"]) == (
        "function",
        reject["id"],
        "counts the title",
    )
    assert read_review(runs[1]).rejects("function", reject["id"])
    async with session.post(f"{url}/1/decisions", json={**reject, "decision": "revoke"}) as answer:
        assert (await answer.json())["verdict"] is None
    assert len(read_decisions(runs[1]).decisions) == 2
    assert not (runs[0] / DECISIONS).exists()


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"data": json.dumps(STRANGER), "headers": {"Content-Type": "text/plain"}}, 415, "not_json"),
        ({"data": {"target": "function"}}, 415, "not_json"),
        ({"data": "{", "headers": {"Content-Type": "application/json"}}, 400, "bad_json"),
        ({"data": b"\xff", "headers": {"Content-Type": "application/json"}}, 400, "bad_json"),
        ({"json": STRANGER}, 404, "not_found"),
        ({"json": {**STRANGER, "target": "pair"}}, 404, "not_found"),
        ({"json": {**STRANGER, "id": "../x"}}, 422, "invalid"),
        ({"json": {**STRANGER, "decision": "burn"}}, 422, "invalid"),
        ({"json": {**STRANGER, "author": "eve"}}, 422, "invalid"),
        ({"json": {**STRANGER, "comment": "x" * 4001}}, 422, "invalid"),
        ({"data": BytesIO(bytes(2 << 20)), "headers": {"Content-Type": "application/json"}}, 413, "body_too_large"),
        ({"json": STRANGER, "headers": {"Origin": "http://evil.example"}}, 403, "wrong_origin"),
        ({"json": STRANGER, "headers": {"Origin": "null"}}, 403, "wrong_origin"),
        ({"json": STRANGER, "headers": {"Sec-Fetch-Site": "cross-site"}}, 403, "wrong_origin"),
        ({"json": STRANGER, "headers": {"Host": "evil.example"}}, 421, "wrong_host"),
    ],
)
async def test_what_another_origin_sends_or_is_no_decision_is_refused_and_not_written(server, runs, sent, status, code):
    url, session = server
    async with session.post(f"{url}/0/decisions", **sent) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (status, code)
    assert not (runs[0] / DECISIONS).exists()


async def test_its_own_origin_may_decide(server, runs, reject):
    url, session = server
    headers = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
    async with session.post(f"{url}/0/decisions", json=reject, headers=headers) as answer:
        assert answer.status == 201


@pytest.mark.parametrize("path", ["/nowhere", "/7/", "/0/data/index.js", "/0/data/..%2frun.json", "/0/queue?within=x"])
async def test_what_is_not_there_is_said_in_one_line(server, path):
    url, session = server
    async with session.get(f"{url}{path}") as answer:
        assert answer.status in {404, 422}
        assert "\n" not in (await answer.json())["error"]["message"]


async def test_with_a_token_a_browser_is_asked_for_it_and_gives_the_reviewers_name(guarded, runs, reject):
    url, session = guarded
    async with session.get(f"{url}/0/queue") as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    wrong = {"Authorization": "Basic " + base64.b64encode(b"bo:wrong").decode()}
    async with session.get(f"{url}/0/queue", headers=wrong) as answer:
        assert answer.status == 401
    right = {"Authorization": "Basic " + base64.b64encode(f"bo:{TOKEN}".encode()).decode()}
    async with session.post(f"{url}/0/decisions", json=reject, headers=right) as answer:
        assert answer.status == 201
    async with session.post(f"{url}/0/decisions", json=reject, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
        assert answer.status == 201
    assert [each.author for each in read_decisions(runs[0]).decisions] == ["bo", "ada"]
    async with session.post(
        f"{url}/0/decisions", json=reject, headers={**right, "Origin": "http://evil.example"}
    ) as answer:
        assert answer.status == 403


async def test_an_event_comes_at_once_and_when_somebody_decides(server, runs, reject):
    url, session = server
    async with session.get(f"{url}/0/events") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        first = await asyncio.wait_for(_read_event(stream), 30)
        async with session.post(f"{url}/0/decisions", json=reject):
            pass
        second = await asyncio.wait_for(_read_event(stream), 30)
    assert first["status"] == "complete"
    assert first["decisions"] != second["decisions"]
    assert first["page"] == second["page"]


async def _read_event(stream) -> dict:
    lines = []
    async for line in stream.content:
        if line == b"\n":
            return json.loads(dict(each.split(b": ", 1) for each in lines)[b"data"])
        lines.append(line.rstrip(b"\n"))
    raise AssertionError("the stream ended")


async def test_the_queue_says_what_to_look_at_and_how_many_decisions_settle_it(server, reject):
    url, session = server
    async with session.get(f"{url}/0/queue?within=0.2") as answer:
        queue = await answer.json()
    first = queue["functions"][0]
    assert queue["precision"]["decided"] == 0
    async with session.post(f"{url}/0/decisions", json={**reject, "id": first["function_id"], "queued": True}):
        pass
    async with session.get(f"{url}/0/queue?within=0.2") as answer:
        after = await answer.json()
    assert (after["precision"]["decided"], after["precision"]["queued"]) == (1, 1)
    assert first["function_id"] not in {each["function_id"] for each in after["functions"]}


async def test_two_runs_stand_side_by_side(server):
    url, session = server
    async with session.get(f"{url}/compare") as answer:
        text = await answer.text()
    assert answer.status == 200
    for part in ("Settings that differ: none.", "Only in first: none.", "Verdicts that differ: none.", "07_scoring"):
        assert part in text


async def test_a_damaged_line_is_shown_and_hides_no_other_decision(server, runs, reject):
    url, session = server
    async with session.post(f"{url}/0/decisions", json=reject):
        pass
    with (runs[0] / DECISIONS).open("a", encoding="utf-8") as file:
        file.write("nonsense\n")
    async with session.get(f"{url}/0/decisions") as answer:
        said = await answer.json()
    assert "line 2: no decision can be read there" in said["damage"]
    assert len(said["items"]) == 1


async def test_a_run_json_that_is_damaged_now_ends_the_stream_and_refuses_another(server, runs):
    url, session = server
    manifest = runs[1] / MANIFEST
    whole = manifest.read_bytes()
    try:
        async with session.get(f"{url}/1/events") as stream:
            await asyncio.wait_for(_read_event(stream), 30)
            manifest.write_bytes(b"{")
            assert await asyncio.wait_for(stream.content.read(), 30) == b""
        async with session.get(f"{url}/1/events") as answer:
            assert answer.status == 409
            assert "run.json is damaged" in (await answer.json())["error"]["message"]
    finally:
        manifest.write_bytes(whole)


async def test_a_folder_that_is_damaged_now_is_said_in_one_line(server, runs):
    url, session = server
    stage = runs[1] / "04_back_translation" / "kept-0000.jsonl"
    whole = stage.read_bytes()
    try:
        stage.write_bytes(b"{\n")
        async with session.get(f"{url}/1/queue") as answer:
            assert answer.status == 409
            assert (await answer.json())["error"]["code"] == "run_unreadable"
        visit = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
        async with session.get(f"{url}/1/", headers=visit) as answer:
            assert (answer.status, answer.content_type) == (409, "text/plain")
            said = await answer.text()
        assert "kept-0000.jsonl" in said
        assert said.count("\n") == 1
    finally:
        stage.write_bytes(whole)


async def test_the_command_refuses_what_is_no_run_and_listening_to_others_without_a_token(runs, tmp_path):
    run = await asyncio.to_thread(CliRunner().invoke, cli, ["view", str(tmp_path)])
    assert "is no run folder" in str(run.exception)
    run = await asyncio.to_thread(CliRunner().invoke, cli, ["view", str(runs[0]), str(runs[1] / ".." / runs[0].name)])
    assert "is there twice: name each input once" in str(run.exception)
    run = await asyncio.to_thread(CliRunner().invoke, cli, ["view", str(runs[0]), "--host", "0.0.0.0"])
    assert "can be reached from other machines" in str(run.exception)


@pytest.fixture
def read_only(runs) -> Iterator[Path]:
    """A run in a folder that everybody may enter, and nobody but root write to."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        run = Path(shutil.copytree(runs[0], Path(folder) / "run"))
        places = [run, *run.rglob("*")]
        for path in places:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield run
        for path in places:
            path.chmod(0o755)


async def test_an_ordinary_user_is_shown_a_run_that_only_others_may_write_and_told_so(read_only, reject):
    # Root may write anywhere: without its powers, but for reading Python's own files.
    reading = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    demoted = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *reading] if os.getuid() == 0 else []
    command = [*demoted, sys.executable, "-m", "autoif", "view", read_only, "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        url = (await process.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/0/") as answer:
                assert answer.status == 200
            async with session.post(f"{url}/0/decisions", json=reject) as answer:
                assert answer.status == 409
                said = (await answer.json())["error"]["message"]
    finally:
        process.terminate()
    _, errors = await process.communicate()
    assert said == (
        f"{read_only / DECISIONS} can't be written or read: Permission denied: it is not yours to use; "
        "give your user the right to it, or choose another path"
    )
    assert errors.decode() == f"note: {read_only} can't be written to: it is shown, but to decide on it view a copy\n"


async def test_it_needs_no_extra():
    blocked = "import sys\nsys.modules['prometheus_client'] = None\nimport autoif.view.server"
    done = await asyncio.create_subprocess_exec(sys.executable, "-c", blocked)
    assert await done.wait() == 0
