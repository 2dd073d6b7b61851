"""Asynchronous components: each has an event loop of its own, on its own thread."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

_of_thread = threading.local()


def _runner() -> asyncio.Runner:
    runner: asyncio.Runner | None = getattr(_of_thread, "runner", None)
    if runner is None:
        runner = _of_thread.runner = asyncio.Runner()
    return runner


def wait(awaitable: Any) -> Any:
    """Runs a coroutine to its end, in the event loop of this thread."""
    return _runner().run(_awaited(awaitable))


def close() -> None:
    """Ends the event loop of this thread, if there is one."""
    runner = _of_thread.__dict__.pop("runner", None)
    if runner is not None:
        runner.close()


def iterate(source: Any) -> Iterator[Any]:
    """The items of an asynchronous iterable, or of a coroutine that returns an iterable."""
    if inspect.isawaitable(source):
        source = wait(source)
    if not hasattr(source, "__aiter__"):
        yield from source
        return
    items = source.__aiter__()
    try:
        while True:
            try:
                yield wait(items.__anext__())
            except StopAsyncIteration:
                return
    finally:
        end = getattr(items, "aclose", None)
        if end is not None:
            wait(end())


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


class Records(AsyncIterator[Any]):
    """A stream for `async for`: waits for records without holding up other tasks. A wait that is cancelled loses no record."""

    _END = object()

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._waiting: asyncio.Future[Any] | None = None

    async def __anext__(self) -> Any:
        if self._waiting is None:
            record = self._stream.at_hand()
            if record is not None:
                return record
            self._waiting = asyncio.get_running_loop().run_in_executor(None, next, self._stream, self._END)
        # If this is cancelled, the next call goes on waiting for the same record.
        await asyncio.wait([self._waiting])
        record, self._waiting = self._waiting.result(), None
        if record is self._END:
            raise StopAsyncIteration
        return record


__all__ = ["Records", "close", "iterate", "wait"]
