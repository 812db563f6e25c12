"""Reads large bodies in a separate process: `json` can't be interrupted, and may take seconds for a body of 16 MB.

Small bodies are read in this process. The separate process runs this same module as a program.
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
"""Bodies up to this size are read in this process, which takes a few milliseconds at most."""
_HEAD: Final = struct.Struct("<?Q")
"""The head of a message. To the process: whether it is a reward request, and the length of the body. From it: whether
the body could be read, and the length of the pickle."""
_PIPE_BYTES: Final = 1 << 22


class Reader:
    """Reads the bodies of all requests, large ones one at a time.

    The process starts at the first large body, and ends with `end`.
    """

    def __init__(self) -> None:
        self._process: Process | None = None
        self._one_at_a_time = asyncio.Lock()

    async def read(self, body: bytes, model: type[AnyRequest]) -> Ask[AnyRequest]:
        """Return what a body asks for. Raises Refusal: `bad_json` or `invalid`."""
        if len(body) <= SMALL_BYTES:
            return read_ask(body, model)
        async with self._one_at_a_time:
            try:
                was_read, payload = await self._call(body, model)
            except BaseException:  # the process may be in the middle of a body: the next body gets a new one
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
            await asyncio.shield(process.stdout.read())  # to the end, so that the pipe is closed
            await asyncio.shield(process.wait())


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Read bodies from `requests` until it ends, and write what each asks for to `answers`."""
    while head := requests.read(_HEAD.size):
        is_reward, size = _HEAD.unpack(head)
        try:
            found: Any = read_ask(requests.read(size), RewardRequest if is_reward else VerifyRequest)
        except Refusal as refusal:
            found = (refusal.code, refusal.message)
        payload = pickle.dumps(found, pickle.HIGHEST_PROTOCOL)
        answers.write(_HEAD.pack(isinstance(found, Ask), len(payload)) + payload)
        answers.flush()
        del found, payload


if __name__ == "__main__":
    # JSON has no cycles, and searching millions of values for them takes longer than reading them.
    gc.disable()
    os.nice(10)
    serve(sys.stdin.buffer, sys.stdout.buffer)
