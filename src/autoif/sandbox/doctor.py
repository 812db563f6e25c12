"""What `autoif doctor` shows of the sandbox: each layer, tried and proved."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

from autoif.errors import SandboxError
from autoif.sandbox.layers import Layer
from autoif.sandbox.monty import MontyBackend
from autoif.sandbox.outcomes import Limits
from autoif.sandbox.worker import Worker


def inspect_layers() -> list[Layer]:
    """Start a worker, let it try each forbidden act, and return what held. Never raises SandboxError."""
    if not sys.platform.startswith("linux"):
        return [Layer("linux", False, True, f"the cpython sandbox needs Linux, this is {sys.platform}")]
    # A thread of its own, so that it can be called with or without a running event loop.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _inspect()).result()


def inspect_monty() -> Layer:
    """Start monty, let it try what it must refuse, and return what held. Never raises SandboxError."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _inspect_monty()).result()


async def _inspect_monty() -> Layer:
    try:
        async with MontyBackend(Limits(), workers=1) as backend:
            return Layer("monty", True, False, backend.describe().partition(": ")[2])
    except SandboxError as error:
        return Layer("monty", False, False, str(error))


async def _inspect() -> list[Layer]:
    try:
        worker = await Worker.start(Limits())
    except SandboxError as error:
        return [Layer("worker", False, True, str(error))]
    await worker.end()
    return worker.layers
