"""What `measured`, `retry` and `audited` have in common: an object that stands in for a component, and sees what goes in and out."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar, Self, TypeVar

from . import _async
from ._native import Record
from .component import Component
from .errors import SpecError

__all__ = ["Inlet", "Wrapper", "close", "items_of", "label", "size_of", "wrapping"]

Pull = Callable[[Iterator[Any]], Any]
"""Takes the next item from an iterator."""
W = TypeVar("W", bound="Wrapper")


class Wrapper:
    """Stands in for the component `__wrapped__`, whose other attributes and methods it has as well; to set one sets that of the component."""

    __wrapped__: Any
    _own: ClassVar[frozenset[str]] = frozenset()
    """The attributes that it has itself."""

    def __init__(self, component: Any) -> None:
        # Not by `setattr`, which is for the component.
        self.__dict__.update(__wrapped__=component, _keeps_loop=False)

    def __getattr__(self, name: str) -> Any:
        # Not while it is being made or unpickled.
        if name.startswith("__") and "__wrapped__" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._own:
            self.__dict__[name] = value
        else:
            setattr(self.__wrapped__, name, value)

    def __enter__(self) -> Self:
        entered = self._managed("enter")
        if inspect.isawaitable(entered):
            # One for all of its methods: what it opens belongs to a loop.
            self.__dict__["_keeps_loop"] = _async.keep()
            try:
                _async.wait(entered)
            except BaseException:
                self._close_loop()
                raise
        return self

    def __exit__(self, *error: Any) -> Any:
        try:
            return _async.settled(self._managed("exit", *error))
        finally:
            self._close_loop()

    def _managed(self, step: str, *error: Any) -> Any:
        """Calls the component's method to `enter` or `exit`, the asynchronous one if it has no other."""
        for prefix in ("__", "__a"):
            if all(callable(getattr(self.__wrapped__, f"{prefix}{name}__", None)) for name in ("enter", "exit")):
                return getattr(self.__wrapped__, f"{prefix}{step}__")(*error)
        return None

    def _close_loop(self) -> None:
        if self._keeps_loop:
            self.__dict__["_keeps_loop"] = False
            _async.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.__wrapped__!r})"


class Inlet:
    """The stream that a wrapped component reads: `pull` takes each item, a record or a record batch."""

    def __init__(self, stream: Any, pull: Pull) -> None:
        self._stream, self._pull = stream, pull
        self._records: Iterator[Any] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._records is None:
            self._records = iter(self._stream)
        return self._pull(self._records)

    async def __aiter__(self) -> AsyncIterator[Any]:
        loop, end = asyncio.get_running_loop(), object()
        # Other tasks go on meanwhile.
        while (item := await loop.run_in_executor(None, next, self, end)) is not end:
            yield item

    def batches(self) -> Iterator[Any]:
        return self._pulled(self._stream.batches())

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        import pyarrow

        reader = pyarrow.RecordBatchReader.from_stream(self._stream)
        watched: Any = pyarrow.RecordBatchReader.from_batches(reader.schema, self._pulled(reader))
        return watched.__arrow_c_stream__(requested_schema)

    def _pulled(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            try:
                batch = self._pull(batches)
            except StopIteration:
                return
            yield batch


def items_of(result: Any) -> Iterator[Any]:
    """The items of what `stream` or `process` returned: records, or record batches."""
    if result is None:
        raise TypeError("it returned None: return or yield records")
    if hasattr(result, "__aiter__") or hasattr(result, "__await__"):
        return _async.iterate(result)
    is_table = hasattr(result, "__arrow_c_stream__") or hasattr(result, "__arrow_c_array__")
    return iter([result] if is_table and not hasattr(result, "__next__") else result)


def close(items: Iterator[Any] | None) -> None:
    """Ends a generator that is not read any further."""
    end = getattr(items, "close", None)
    if end is not None:
        end()


def size_of(item: Any) -> int:
    """The number of records of an item; a source that waits gives None."""
    if item is None:
        return 0
    is_batch = not isinstance(item, Record) and (hasattr(item, "__arrow_c_array__") or hasattr(item, "__arrow_c_stream__"))
    return len(item) if is_batch else 1


def label(component: Any) -> str:
    """What messages call it: its class."""
    return f"`{type(inspect.unwrap(component)).__name__}`"


def wrapping(component: Any, wrappers: dict[str, type[W]], make: Callable[[type[W], Any], W]) -> Any:
    """The wrapper of a component, by its method; for a class, what makes its objects and wraps them."""
    if isinstance(component, type):
        cls: type[Any] = component

        @functools.wraps(cls, updated=())
        def made(*arguments: Any, **keywords: Any) -> Any:
            return wrapping(cls(*arguments, **keywords), wrappers, make)

        return made
    if isinstance(component, Component):
        raise SpecError(f"{component!r} is a description, which runs in a pipeline only", help="the report of the pipeline has its measurements")
    for method, wrapper in wrappers.items():
        if callable(getattr(component, method, None)):
            return make(wrapper, component)
    raise SpecError(
        f"{component!r:.80} is no source, stage or sink",
        help="a source has `stream()`, a stage `process(stream)`, a sink `consume(stream)`",
    )
