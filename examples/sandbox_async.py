"""Verdicts on an event loop, of many functions at once."""

import asyncio

from autoif import Limits, Sandbox

FUNCTIONS = ["def evaluate(response):\n    return 'e' not in response", "def evaluate(response):\n    while True: pass"]


async def main() -> None:
    async with Sandbox(Limits(timeout_s=0.5)) as sandbox:
        for outcomes in await asyncio.gather(*(sandbox.run(source, ["owl", "eel"]) for source in FUNCTIONS)):
            print([str(outcome.verdict) for outcome in outcomes])


asyncio.run(main())
