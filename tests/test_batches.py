"""A provider's batches: gathered, uploaded once, collected, found again after a kill, asked again where they failed."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from autoif.errors import ModelError, StoreError
from autoif.models import batch_provider, batches
from autoif.models.answer_rows import CompletionRow
from autoif.models.bodies import MAX_BODY_BYTES
from autoif.models.client import ChatClient
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Completion, Request
from autoif.models.stored_answers import StoredAnswers
from autoif.runs.manifest import mark_batches
from support.stub_server import answer

Judge = Callable[[dict[str, Any], int], dict[str, Any] | None]
"""What becomes of a request in batch number …: a line of a file; None: nothing."""


def wrapped(line: dict[str, Any], number: int) -> dict[str, Any] | None:
    """Answer with a body in a text, and a status that is one."""
    return {
        "custom_id": line["custom_id"],
        "response": {"status_code": "200", "body": json.dumps(answer(line["body"]))},
    }


def fine(line: dict[str, Any], number: int) -> dict[str, Any] | None:
    return {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": answer(line["body"])}}


class Provider:
    """Has /files and /batches as OpenAI describes them; a batch ends with its third look, unless it is held."""

    def __init__(self, judge: Judge = fine, *, ends: str = "completed", held: bool = False) -> None:
        self.judge, self.ends, self.held = judge, ends, held
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.url = ""
        self.made = asyncio.Event()
        self.fetched: list[str] = []
        """Files that somebody has read."""

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["purpose"] == "batch"
        file = form["file"]
        assert isinstance(file, web.FileField)
        return web.json_response({"id": self._keep(file.file.read()), "object": "file"})

    def _keep(self, content: bytes) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return name

    async def create(self, request: web.Request) -> web.Response:
        order = await request.json()
        assert order["completion_window"] == "24h"
        number = len(self.batches)
        batch = {**order, "id": f"batch-{number}", "status": "validating", "number": number}
        self.batches[batch["id"]] = batch
        self.made.set()
        return web.json_response(batch)

    async def look(self, request: web.Request) -> web.Response:
        batch = self.batches[request.match_info["id"]]
        if batch["status"] == "in_progress" and not self.held:
            lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
            assert all(line["url"] == batch["endpoint"] and line["method"] == "POST" for line in lines)
            judged = [each for each in (self.judge(line, batch["number"]) for line in lines) if each]
            good = [each for each in judged if each["response"]["status_code"] == 200]
            for name, some in (("output_file_id", good), ("error_file_id", [e for e in judged if e not in good])):
                batch[name] = self._keep("".join(json.dumps(each) + "\n" for each in some).encode()) if some else None
            batch["status"] = self.ends if batch["number"] == 0 else "completed"
            batch["errors"] = {"data": [{"message": "Invalid line 1"}]} if batch["status"] == "failed" else None
        elif batch["status"] == "validating":
            batch["status"] = "in_progress"
        return web.json_response(batch)

    async def find(self, request: web.Request) -> web.Response:
        newest = [*reversed(self.batches.values())]
        most, after = int(request.query["limit"]), request.query.get("after")
        begin = 1 + [each["id"] for each in newest].index(after) if after else 0
        page = newest[begin : begin + most]
        return web.json_response({"data": page, "has_more": begin + most < len(newest)})

    async def read(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        self.fetched.append(name)
        if name not in self.files:
            return web.json_response({"error": {"message": f"No such File object: {name}"}}, status=404)
        return web.Response(body=self.files[name])

    def sent(self) -> list[int]:
        """Return how many requests each batch has."""
        return [len(self.files[each["input_file_id"]].splitlines()) for each in self.batches.values()]


@asynccontextmanager
async def serving(provider: Provider) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/v1/files", provider.upload)
    app.router.add_get("/v1/files/{id}/content", provider.read)
    app.router.add_post("/v1/batches", provider.create)
    app.router.add_get("/v1/batches", provider.find)
    app.router.add_get("/v1/batches/{id}", provider.look)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield
    finally:
        await runner.cleanup()


def at(provider: Provider, **fields: Any) -> Endpoint:
    quick = {"batch": True, "batch_wait_s": 0.1, "batch_poll_s": 0.01, "retry_wait_s": 0.01, "api_key_env": ""}
    return Endpoint(base_url=provider.url, **{"model": "m", **quick, **fields})


def ask(client: ChatClient, count: int) -> list[Any]:
    return [
        client.sample(Request("writer", "verification", messages=(("user", f"q{number}"),), seed=number))
        for number in range(count)
    ]


def check(answers: list[list[Completion]]) -> None:
    assert [each[0].text for each in answers] == [f"q{number} s{number} c0" for number in range(len(answers))]


async def run(
    provider: Provider, path: Path, count: int = 8, marks: Sequence[str] = (), **fields: Any
) -> list[list[Completion]]:
    async with (
        StoredAnswers(path / "completions.sqlite") as answers,
        ChatClient({"writer": at(provider, **fields)}, answers, marks=marks) as client,
    ):
        return await asyncio.wait_for(asyncio.gather(*ask(client, count)), 30)


async def test_requests_go_out_in_one_batch_and_its_answers_are_kept(tmp_path: Path) -> None:
    provider = Provider()
    async with serving(provider):
        check(await run(provider, tmp_path))
        check(await run(provider, tmp_path))
    assert provider.sent() == [8]


async def test_an_answer_in_a_text_with_a_status_in_words_is_one(tmp_path: Path) -> None:
    provider = Provider(wrapped)
    async with serving(provider):
        check(await run(provider, tmp_path))
    assert provider.sent() == [8]


@pytest.mark.parametrize("word", ["COMPLETED", "succeeded", "JOB_STATE_SUCCEEDED"])
async def test_a_batch_that_ends_in_other_words_is_collected(tmp_path: Path, word: str) -> None:
    provider = Provider(ends=word)
    async with serving(provider):
        check(await run(provider, tmp_path))
    assert provider.sent() == [8]


async def test_a_batch_that_never_says_how_it_stands_is_not_waited_for(tmp_path: Path) -> None:
    provider = Provider(ends=None)  # type: ignore[arg-type]
    async with serving(provider):
        with pytest.raises(ModelError, match="doesn't say how its batch stands"):
            await run(provider, tmp_path)


async def test_a_file_holds_no_more_than_the_provider_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider()
    async with serving(provider):
        monkeypatch.setattr(batches, "_MOST_REQUESTS", 3)
        check(await run(provider, tmp_path))
        assert max(provider.sent()) == 3
        assert sum(provider.sent()) == 8
        monkeypatch.setattr(batches, "_MOST_REQUESTS", 50_000)
        monkeypatch.setattr(batches, "_MOST_BYTES", 900)
        check(await run(provider, tmp_path / "other", model="n"))
    assert all(len(provider.files[each["input_file_id"]]) <= 900 for each in [*provider.batches.values()][3:])


async def test_a_run_that_was_killed_finds_its_batch_and_uploads_nothing_again(tmp_path: Path) -> None:
    provider = Provider(held=True)
    async with serving(provider):
        async with StoredAnswers(tmp_path / "completions.sqlite") as answers:
            client = await ChatClient({"writer": at(provider)}, answers).__aenter__()
            waiting = [asyncio.ensure_future(each) for each in ask(client, 8)]
            await asyncio.wait_for(provider.made.wait(), 20)
            await client.__aexit__(asyncio.CancelledError, asyncio.CancelledError(), None)
            await asyncio.gather(*waiting, return_exceptions=True)
        provider.held = False
        check(await run(provider, tmp_path, count=10))
    assert provider.sent() == [8, 2]


async def test_a_start_reads_the_requests_of_its_own_runs_batches_and_no_others(tmp_path: Path) -> None:
    provider = Provider()
    async with serving(provider):
        check(await run(provider, tmp_path / "other", marks=["other"]))
        check(await run(provider, tmp_path / "mine", marks=["mine"]))
        provider.fetched.clear()
        check(await run(provider, tmp_path / "lost", marks=["mine"]))
        check(await run(provider, tmp_path / "changed", marks=["mine", "changed"]))
        assert provider.sent() == [8, 8]
        assert provider.batches["batch-0"]["input_file_id"] not in provider.fetched
        check(await run(provider, tmp_path / "changed", count=9, marks=["mine", "changed"]))
        check(await run(provider, tmp_path / "anybody's", count=9))
        assert provider.sent() == [8, 8, 1]
        assert [each["metadata"]["autoif_run"] for each in provider.batches.values()] == ["other", "mine", "changed"]


async def test_a_batch_of_which_all_answers_are_stored_is_not_read_again(tmp_path: Path) -> None:
    provider = Provider()
    async with serving(provider):
        check(await run(provider, tmp_path, marks=["mine"]))
        provider.fetched.clear()
        check(await run(provider, tmp_path, count=9, marks=["mine"]))
        assert provider.batches["batch-0"]["input_file_id"] not in provider.fetched
    assert provider.sent() == [8, 1]


async def test_a_batch_of_which_an_answer_could_not_be_stored_is_read_again(tmp_path: Path) -> None:
    def lose(rows: list[CompletionRow]) -> None:
        if any(row.text.startswith("q7") for row in rows):
            raise StoreError("no space left")

    provider = Provider()
    async with serving(provider):
        with pytest.raises(StoreError, match="no space left"):
            async with (
                StoredAnswers(tmp_path / "completions.sqlite", lose) as answers,
                ChatClient({"writer": at(provider)}, answers) as client,
            ):
                await asyncio.wait_for(asyncio.gather(*ask(client, 8)), 30)
        check(await run(provider, tmp_path))
    assert provider.sent() == [8]


async def test_a_batch_of_no_run_may_hold_requests_of_each(tmp_path: Path) -> None:
    provider = Provider()
    async with serving(provider):
        check(await run(provider, tmp_path / "before"))  # as earlier versions made them
        check(await run(provider, tmp_path / "mine", marks=["mine"]))
    assert provider.sent() == [8]


async def test_what_was_answered_of_a_batch_that_was_cancelled_is_not_asked_again(tmp_path: Path) -> None:
    def half(line: dict[str, Any], number: int) -> dict[str, Any] | None:
        return None if number == 0 and line["body"]["seed"] % 2 else fine(line, number)

    provider = Provider(half, ends="cancelled")
    async with serving(provider):
        check(await run(provider, tmp_path / "first"))
        assert provider.sent() == [8, 4]
        del provider.batches["batch-1"]
        check(await run(provider, tmp_path / "second"))
    assert provider.sent() == [8, 4]


async def test_a_model_whose_name_is_longer_than_metadata_may_be_has_batches_that_are_found_again(
    tmp_path: Path,
) -> None:
    provider = Provider()
    async with serving(provider):
        for name in ("first", "second"):
            check(await run(provider, tmp_path / name, extra_body={"guided_choice": "x" * 600}))
    assert provider.sent() == [8]
    assert len(provider.batches["batch-0"]["metadata"]["autoif"]) <= 512


def test_a_run_knows_its_batches_by_what_it_is_and_was_made_with() -> None:
    made, changed = {"seeds": 1, "sandbox.backend": "cpython"}, {"seeds": 2, "sandbox.backend": "cpython"}
    [first] = mark_batches({}, made, lost=False)
    assert mark_batches({}, {**made, "sandbox.backend": "monty"}, lost=False) == [first]  # what machines decide
    assert mark_batches({"batches": [first]}, made, lost=False) == [first]
    [_, second] = both = mark_batches({"batches": [first]}, changed, lost=False)
    assert mark_batches({"batches": both}, made, lost=False) == [second, first]
    assert mark_batches({}, made, lost=True) == mark_batches({"batches": []}, made, lost=False) == []


async def test_what_a_batch_leaves_unanswered_is_asked_again(tmp_path: Path) -> None:
    def half(line: dict[str, Any], number: int) -> dict[str, Any] | None:
        if number or line["body"]["seed"] % 2:
            return fine(line, number)
        if line["body"]["seed"] % 4:
            return None
        failed = {"status_code": 500, "body": {"error": {"message": "oops"}}}
        return {"custom_id": line["custom_id"], "response": failed}

    for ends in ("completed", "expired", "cancelled"):
        provider = Provider(half, ends=ends)
        async with serving(provider):
            check(await run(provider, tmp_path / ends))
        assert provider.sent() == [8, 4]


async def test_lines_of_answers_that_are_none_are_asked_again(tmp_path: Path) -> None:
    provider = Provider()
    read = provider.read

    async def mangle(request: web.Request) -> web.Response:
        lines = bytes((await read(request)).body).splitlines()  # type: ignore[arg-type]
        if len(lines) < 8:
            return web.Response(body=b"\n".join(lines))
        strange = [b'{"custom_id": ["a"], "response": [1]}', b'["list"]', b"[" * 5_000, b"\xff", lines[0][:40]]
        return web.Response(body=b"\n".join([*strange, *lines[1:]]))

    provider.read = mangle  # type: ignore[method-assign]
    async with serving(provider):
        check(await run(provider, tmp_path))
    assert provider.sent() == [8, 1]


async def test_a_refused_request_is_data(tmp_path: Path) -> None:
    def refuse(line: dict[str, Any], number: int) -> dict[str, Any] | None:
        if line["body"]["seed"] != 3:
            return fine(line, number)
        error = {"error": {"message": "Your input was flagged by moderation"}}
        return {"custom_id": line["custom_id"], "response": {"status_code": 400, "body": error}}

    provider = Provider(refuse)
    async with serving(provider):
        found = await run(provider, tmp_path)
    assert [each[0].finish_reason for each in found].count("refused") == 1
    assert found[3][0].detail == "Your input was flagged by moderation"


async def test_a_batch_that_the_provider_refuses_ends_the_run_in_one_line(tmp_path: Path) -> None:
    provider = Provider(ends="failed")
    async with serving(provider):
        with pytest.raises(ModelError, match=r"refuses a batch: .*Invalid line 1"):
            await run(provider, tmp_path)


@pytest.mark.parametrize("gone", ["all files", "answers"])
async def test_batches_of_which_the_provider_has_deleted_files_stop_no_run(tmp_path: Path, gone: str) -> None:
    provider = Provider()
    async with serving(provider):
        check(await run(provider, tmp_path / "first"))
        given = {each["input_file_id"] for each in provider.batches.values()}
        provider.files = {} if gone == "all files" else {name: provider.files[name] for name in given}
        check(await run(provider, tmp_path / "second"))
    assert len(provider.batches) == 2


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "Your project has no access to the model m"), (404, "no model m"), (429, "You have insufficient funds")],
)
async def test_what_somebody_has_to_mend_ends_the_run_with_the_providers_words(
    tmp_path: Path, status: int, said: str
) -> None:
    def refuse(line: dict[str, Any], number: int) -> dict[str, Any]:
        failed = {"status_code": status, "body": {"error": {"message": said}}}
        return {"custom_id": line["custom_id"], "response": failed}

    provider = Provider(refuse)
    async with serving(provider):
        with pytest.raises(ModelError, match=rf"can't answer a batch \(HTTP {status}\): {said}: mend it"):
            await run(provider, tmp_path)
    assert len(provider.batches) == 1


async def test_what_fails_in_each_batch_is_given_up_with_the_providers_words(tmp_path: Path) -> None:
    def fail(line: dict[str, Any], number: int) -> dict[str, Any]:
        failed = {"status_code": 500, "body": {"error": {"message": "The engine is on fire"}}}
        return {"custom_id": line["custom_id"], "response": failed}

    provider = Provider(fail)
    async with serving(provider):
        with pytest.raises(
            ModelError, match="failed 2 times in a row, last with: HTTP 500: The engine is on fire; run"
        ):
            await run(provider, tmp_path, retries=1)


@pytest.mark.parametrize("count", [1, 8])
async def test_a_request_that_fails_in_each_batch_is_refused_where_others_are_answered(
    tmp_path: Path, count: int
) -> None:
    def fail(line: dict[str, Any], number: int) -> dict[str, Any] | None:
        if line["body"]["messages"][-1]["content"] != "q0":
            return fine(line, number)
        failed = {"status_code": 500, "body": {"error": {"message": "The engine is on fire"}}}
        return {"custom_id": line["custom_id"], "response": failed}

    provider = Provider(fail)
    async with serving(provider):
        [[refused], *others] = await run(provider, tmp_path, count, retries=1)
    assert refused.detail == "it failed again and again, last with: HTTP 500: The engine is on fire"
    assert [each[0].finish_reason for each in others] == ["stop"] * (count - 1)


async def test_samples_have_answers_of_their_own_where_a_provider_takes_neither_n_nor_seed(tmp_path: Path) -> None:
    numbers = itertools.count()

    def refuse(line: dict[str, Any], number: int) -> dict[str, Any]:
        given = fine(line, number)
        assert given
        for name in {"n", "seed"} & set(line["body"]):
            error = {"error": {"message": f"Unsupported parameter: '{name}'"}}
            given["response"] = {"status_code": 400, "body": error}
        if given["response"]["status_code"] == 200:
            given["response"]["body"]["choices"][0]["message"]["content"] = f"story {next(numbers)}"
        return given

    request = Request("writer", "verification", messages=(("user", "Tell a story."),), samples=4, temperature=1.0)
    provider = Provider(refuse)
    async with (
        serving(provider),
        StoredAnswers(tmp_path / "completions.sqlite") as answers,
        ChatClient({"writer": at(provider)}, answers) as client,
    ):
        found = await asyncio.wait_for(client.sample(request), 30)
    assert sorted(each.text for each in found) == [f"story {number}" for number in range(4)]


async def test_what_is_asked_later_is_found_in_batches_of_an_earlier_start_on_whatever_page_they_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_MOST_REQUESTS", 2)
    monkeypatch.setattr(batch_provider, "_LISTED", 1)
    provider = Provider()
    async with serving(provider):
        check(await run(provider, tmp_path / "first"))
        assert len(provider.batches) == 4
        async with (
            StoredAnswers(tmp_path / "second.sqlite") as answers,
            ChatClient({"writer": at(provider)}, answers) as client,
        ):
            for each in ask(client, 8):  # when the one before is answered
                await asyncio.wait_for(each, 30)
    assert provider.sent() == [2, 2, 2, 2]


async def test_a_batch_is_made_once_though_the_answer_to_that_gets_lost(tmp_path: Path) -> None:
    provider = Provider()
    create = provider.create

    async def lose(request: web.Request) -> web.Response:
        made = await create(request)
        return web.Response(status=502) if len(provider.batches) == 1 else made

    provider.create = lose  # type: ignore[method-assign]
    async with serving(provider):
        check(await run(provider, tmp_path))
    assert provider.sent() == [8]


async def test_a_file_of_answers_may_be_larger_than_any_single_answer(tmp_path: Path) -> None:
    def pad(line: dict[str, Any], number: int) -> dict[str, Any]:
        return {**(fine(line, number) or {}), "padding": "x" * (MAX_BODY_BYTES // 8)}

    provider = Provider(pad)
    async with serving(provider):
        check(await run(provider, tmp_path))
    assert provider.sent() == [8]


async def test_a_batch_is_waited_for_though_its_provider_is_away_for_longer_than_all_retries(tmp_path: Path) -> None:
    provider = Provider()
    look, away = provider.look, iter(range(5))

    async def be_away(request: web.Request) -> web.Response:
        return web.Response(status=502) if next(away, None) is not None else await look(request)

    provider.look = be_away  # type: ignore[method-assign]
    async with serving(provider):
        check(await run(provider, tmp_path, retries=1))
    assert provider.sent() == [8]
