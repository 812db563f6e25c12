"""Makes a slow server read the common beginning of several prompts only once.

llama.cpp keeps what each of its slots has read. On two cores it reads a prompt for verification functions in half a
minute; the next one, which differs only in its rule, takes a second. But two such prompts sent at the same time are
both read from the start. So the first request with a new long beginning goes alone, and others with the same beginning
wait until it is answered.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autoif.models.requests import Request

_LONG = 1000
"""Characters of a long beginning: some 250 tokens, which take longer to read than an answer takes to write."""


class Beginnings:
    """The beginnings that one server has read, and those that it is reading."""

    def __init__(self) -> None:
        self._read = set[int]()
        self._locks = dict[int, asyncio.Lock]()

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[None]:
        """Wait until the request may be sent; send it within the block."""
        beginning = "\n".join(content for _, content in request.messages[:-1])
        key = hash(beginning)
        if len(beginning) > _LONG and key not in self._read:
            async with self._locks.setdefault(key, asyncio.Lock()):
                if key not in self._read:
                    yield
                    self._read.add(key)
                    del self._locks[key]
                    return
        yield
