"""An S3 server on loopback (moto's), which counts what is got from it and fails one call in so many on request."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote
from urllib.request import Request, urlopen

import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "trials"
SECRET = "a-secret-that-nobody-may-see"


class _Silent(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Print nothing."""


class S3Server:
    """Passes calls on to moto. May be used from several threads."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._calls = 0
        self.fails_each = 0
        """Every so many calls one fails; 0 for none."""
        self.failed = 0
        self.away = False
        """Nobody gets anything."""
        self.got = dict[str, int]()
        """Bytes of each object that were sent to somebody since this was last cleared."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._lock:
            self._calls += 1
            way = self._calls // self.fails_each % 3 if self.fails_each and not self._calls % self.fails_each else None
        if self.away or way == 0:  # before it is done
            return self._fail(start_response)
        content = b"".join(self._moto(environ, start_response if way != 1 else lambda *given: None))
        if way == 1:  # after it was done
            return self._fail(start_response)
        if environ["REQUEST_METHOD"] == "GET":
            with self._lock:
                name = unquote(environ["PATH_INFO"]).removeprefix(f"/{BUCKET}/")
                self.got[name] = self.got.get(name, 0) + len(content)
        if way == 2:  # in the middle of the answer
            self.failed += 1
            return [content[: len(content) // 2]]
        return [content]

    def _fail(self, start_response: Any) -> Iterable[bytes]:
        self.failed += 1
        start_response("503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", "0")])
        return [b""]


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server with an empty bucket; the environment says where it is and with which key."""
    app = S3Server()
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            patch.setenv(name, value)
        import s3fs

        # Moto's buckets are those of this process: an earlier server's are there as well.
        urlopen(Request(f"http://127.0.0.1:{server.port}/moto-api/reset", method="POST")).close()
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir(BUCKET)
        try:
            yield app
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
