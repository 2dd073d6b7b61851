"""Asynchronous components: each has an event loop of its own, on its own thread."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any


def iterate(source: Any) -> Iterator[Any]:
    """The items of an asynchronous iterable, or of a coroutine that returns an iterable."""
    with asyncio.Runner() as runner:
        if inspect.isawaitable(source):
            source = runner.run(_awaited(source))
        if not hasattr(source, "__aiter__"):
            yield from source
            return
        items = source.__aiter__()
        try:
            while True:
                try:
                    yield runner.run(_awaited(items.__anext__()))
                except StopAsyncIteration:
                    return
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                runner.run(_awaited(close()))


def wait(awaitable: Any) -> Any:
    """Runs a coroutine to its end."""
    return asyncio.run(_awaited(awaitable))


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


async def records_of(stream: Iterator[Any]) -> AsyncIterator[Any]:
    """A stream for `async for`: waits for records without holding up other tasks."""
    loop, end = asyncio.get_running_loop(), object()
    while (record := await loop.run_in_executor(None, next, stream, end)) is not end:
        yield record


__all__ = ["iterate", "records_of", "wait"]
