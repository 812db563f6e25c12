"""Has a slow server read once what prompts begin with: of two that come together it reads both from the first word.

llama.cpp keeps what each of its slots has read. On two cores a prompt for verification functions is read in half a
minute, the next one, of which all but the rule is known by then, in a second. So a request with a long beginning that
is new goes alone, and those with the same wait until it is answered.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autoif.models.requests import Request

_LONG = 1000
"""Characters that take longer to read than an answer to write: some 250 tokens."""


class Beginnings:
    """What one server has read, and whose turn it is to read more."""

    def __init__(self) -> None:
        self._known = set[int]()
        self._turns = dict[int, asyncio.Lock]()

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[None]:
        """Wait until a request may be made; make it within the block."""
        beginning = "\n".join(content for _, content in request.messages[:-1])
        key = hash(beginning)
        if len(beginning) > _LONG and key not in self._known:
            async with self._turns.setdefault(key, asyncio.Lock()):
                if key not in self._known:
                    yield
                    self._known.add(key)
                    del self._turns[key]
                    return
        yield
