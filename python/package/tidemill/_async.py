"""Asynchronous components: each has an event loop of its own, on its own thread."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

_of_thread = threading.local()


@contextlib.contextmanager
def _loop(keep: bool) -> Iterator[asyncio.Runner]:
    """The event loop of this thread, if one is kept for it; otherwise a new one, which is kept, or ends after its use."""
    runner: asyncio.Runner | None = getattr(_of_thread, "runner", None)
    if runner is None and keep:
        runner = _of_thread.runner = asyncio.Runner()
    with contextlib.nullcontext(runner) if runner is not None else asyncio.Runner() as used:
        yield used


def wait(awaitable: Any, keep: bool = False) -> Any:
    """Runs a coroutine to its end."""
    with _loop(keep) as loop:
        return loop.run(_awaited(awaitable))


def settled(result: Any) -> Any:
    """What a method returned, or what its coroutine returns."""
    return wait(result) if inspect.isawaitable(result) else result


def keep() -> bool:
    """Keeps an event loop for this thread until `close`; false if there is one already."""
    if getattr(_of_thread, "runner", None) is not None:
        return False
    _of_thread.runner = asyncio.Runner()
    return True


def close() -> None:
    """Ends the event loop that is kept for this thread, if there is one."""
    runner = _of_thread.__dict__.pop("runner", None)
    if runner is not None:
        runner.close()


def iterate(source: Any, keep: bool = False) -> Iterator[Any]:
    """The items of an asynchronous iterable, or of a coroutine that returns an iterable."""
    with _loop(keep) as loop:
        if inspect.isawaitable(source):
            source = loop.run(_awaited(source))
        if not hasattr(source, "__aiter__"):
            yield from source
            return
        items = source.__aiter__()
        try:
            while True:
                try:
                    yield loop.run(_awaited(items.__anext__()))
                except StopAsyncIteration:
                    return
        finally:
            end = getattr(items, "aclose", None)
            if end is not None:
                loop.run(_awaited(end()))


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _in_thread(call: Callable[[], Any]) -> asyncio.Future[Any]:
    """What `call` gives, in a thread of its own. Nobody waits for that thread when the loop ends, unlike for those of the loop's executor."""
    loop = asyncio.get_running_loop()
    result = loop.create_future()

    def settle(act: Callable[[Any], None], value: Any) -> None:
        if not result.done():
            act(value)

    def run() -> None:
        act: Callable[[Any], None] = result.set_result
        try:
            value = call()
        except BaseException as error:
            act, value = result.set_exception, error
        # A loop that has ended takes nothing any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, act, value)

    threading.Thread(target=run, name="tidemill stream", daemon=True).start()
    return result


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
            self._waiting = _in_thread(lambda: next(self._stream, self._END))
        # If this is cancelled, the next call goes on waiting for the same record.
        await asyncio.wait([self._waiting])
        record, self._waiting = self._waiting.result(), None
        if record is self._END:
            raise StopAsyncIteration
        return record


__all__ = ["Records", "close", "iterate", "keep", "settled", "wait"]
