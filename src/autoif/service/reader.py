"""Reads large bodies in a process of its own: `json` can't be interrupted, and a body of 16 MB can keep it for seconds.

Small ones are read on the spot. The other side of the pipe is this module as a program.
"""

import asyncio
import gc
import os
import pickle
import struct
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import Any, BinaryIO, Final

from autoif.service.bodies import AnyRequest, Ask, read_ask
from autoif.service.schemas import Refusal, RewardRequest, VerifyRequest
from autoif.service.settings import TOKEN_VARIABLE

SMALL_BYTES: Final = 1 << 16
"""Read on the spot: at most some milliseconds."""
_HEAD: Final = struct.Struct("<?Q")
"""Is it a reward request; bytes of the body. And back: was it read; bytes of the pickle."""
_PIPE_BYTES: Final = 1 << 22


class Reader:
    """Reads bodies for all requests, large ones one at a time. Started by the first of these, ended by `end`."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._one_at_a_time = asyncio.Lock()

    async def read(self, body: bytes, model: type[AnyRequest]) -> Ask[AnyRequest]:
        """Return what a body asks. Raises Refusal: `bad_json` or `invalid`."""
        if len(body) <= SMALL_BYTES:
            return read_ask(body, model)
        async with self._one_at_a_time:
            try:
                was_read, payload = await self._call(body, model)
            except BaseException:  # it may be in the middle of a body: the next one gets a fresh process
                await self.end()
                raise
        found: Any = pickle.loads(payload)
        if not was_read:
            raise Refusal(*found)
        ask: Ask[AnyRequest] = found
        return ask

    async def _call(self, body: bytes, model: type[AnyRequest]) -> tuple[bool, bytes]:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", __name__),
                stdin=PIPE,
                stdout=PIPE,
                limit=_PIPE_BYTES,
                env={name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE},
                start_new_session=True,
            )
        requests, answers = self._process.stdin, self._process.stdout
        assert requests and answers
        requests.write(_HEAD.pack(model is RewardRequest, len(body)))
        requests.write(body)
        await requests.drain()
        was_read, size = _HEAD.unpack(await answers.readexactly(_HEAD.size))
        return was_read, await answers.readexactly(size)

    async def end(self) -> None:
        """End its process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            assert process.stdout
            await asyncio.shield(process.stdout.read())  # to its end, so that the pipe is closed
            await asyncio.shield(process.wait())


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Read bodies from one file, write what they ask to another, until the first ends."""
    while head := requests.read(_HEAD.size):
        of_rewards, size = _HEAD.unpack(head)
        try:
            found: Any = read_ask(requests.read(size), RewardRequest if of_rewards else VerifyRequest)
        except Refusal as refusal:
            found = (refusal.code, refusal.message)
        payload = pickle.dumps(found, pickle.HIGHEST_PROTOCOL)
        answers.write(_HEAD.pack(isinstance(found, Ask), len(payload)) + payload)
        answers.flush()
        del found, payload


if __name__ == "__main__":
    # JSON has no cycles, and to look for them in millions of values takes longer than to read them.
    gc.disable()
    os.nice(10)
    serve(sys.stdin.buffer, sys.stdout.buffer)
