"""Why a request gets no verdicts: one class, and a row for every way.

400 bad_json            the body is no JSON text, or has a key twice
401 no_token            the token is missing or wrong
408 slow_body           the body did not arrive before the deadline
413 body_too_large      the body is longer than the server takes
415 not_json            the body is not announced as application/json, or is compressed
421 wrong_host          a server without a token was called by a name that is not this machine's own
422 invalid             the body is JSON, but not what this route takes
429 queue_full          the server has taken on as much as it may
503 draining            the server is stopping
503 sandbox             functions can't be run in isolation now
504 deadline            the verdicts were not all there in time
"""

from collections.abc import Mapping
from typing import Final

STATUS: Final = {
    "bad_json": 400,
    "no_token": 401,
    "not_found": 404,
    "method_not_allowed": 405,
    "slow_body": 408,
    "body_too_large": 413,
    "not_json": 415,
    "wrong_host": 421,
    "invalid": 422,
    "queue_full": 429,
    "internal": 500,
    "draining": 503,
    "sandbox": 503,
    "deadline": 504,
}
"""Code → HTTP status."""


class Refusal(Exception):
    """A request that is answered with an error; `message` is one line for the person who sent it."""

    def __init__(self, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = STATUS[code]
        self.message = " ".join(message.split())
        self.headers = dict(headers or {})
