"""The results of a stage that hands them on part by part."""

from collections.abc import AsyncIterable
from typing import TypeVar

T = TypeVar("T")


async def collect(parts: AsyncIterable[list[T]]) -> list[T]:
    """Return the results of all parts, in order."""
    return [result async for part in parts for result in part]
