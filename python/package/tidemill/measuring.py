"""How many records a component takes and gives, and how long it takes: see `measured`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, overload

from . import _async
from ._wrapped import Inlet, Wrapper, close, items_of, label, size_of, wrapping
from .protocols import AsyncSink, AsyncSource, AsyncStage, BatchSource, BatchStage, Sink, Source, Stage

__all__ = ["Measured", "MeasuredSink", "MeasuredSource", "MeasuredStage", "Measurement", "measured"]


@dataclass
class Measurement:
    """What was measured so far, over all runs."""

    name: str
    input: int = 0
    """Records that it took."""
    output: int = 0
    """Records that it gave."""
    seconds: float = 0.0
    """Spent in it, without waiting for its input or for whoever takes its output."""

    @property
    def seconds_per_record(self) -> float | None:
        """By record of the input; of the output for a source. None before the first record."""
        records = self.input or self.output
        return self.seconds / records if records else None

    def __str__(self) -> str:
        each = self.seconds_per_record
        rate = "" if each is None else f", {each * 1e6:.2f} µs a record"
        return f"{self.name}: {self.input:,} records in, {self.output:,} out, {self.seconds:.3f} s{rate}"


class Measured(Wrapper):
    """A component that is measured."""

    measurement: Measurement
    _own = frozenset({"measurement", "_waited"})

    def __init__(self, component: Any) -> None:
        super().__init__(component)
        self.measurement = Measurement(label(component))
        # Spent in waiting for the input.
        self._waited = 0.0

    def _pull(self, iterator: Iterator[Any]) -> Any:
        begun = time.perf_counter()
        try:
            item = next(iterator)
        finally:
            self._waited += time.perf_counter() - begun
        self.measurement.input += size_of(item)
        return item

    def _given(self, items: Iterator[Any]) -> Iterator[Any]:
        """Its items: the time it takes to make each is counted."""
        end = object()
        try:
            while (item := self._timed(lambda: next(items, end))) is not end:
                self.measurement.output += size_of(item)
                yield item
        finally:
            close(items)

    def _timed(self, act: Any) -> Any:
        begun, waited = time.perf_counter(), self._waited
        try:
            return act()
        finally:
            self.measurement.seconds += time.perf_counter() - begun - (self._waited - waited)


class MeasuredSource(Measured):
    """A source that is measured."""

    def stream(self) -> Iterator[Any]:
        return self._given(self._timed(lambda: items_of(self.__wrapped__.stream())))


class MeasuredStage(Measured):
    """A stage that is measured."""

    def process(self, stream: Any, /) -> Iterator[Any]:
        inlet = Inlet(stream, self._pull)
        return self._given(self._timed(lambda: items_of(self.__wrapped__.process(inlet))))


class MeasuredSink(Measured):
    """A sink that is measured."""

    def consume(self, stream: Any, /) -> Any:
        inlet = Inlet(stream, self._pull)
        return self._timed(lambda: _async.settled(self.__wrapped__.consume(inlet)))


_WRAPPERS: dict[str, type[Measured]] = {"stream": MeasuredSource, "process": MeasuredStage, "consume": MeasuredSink}


@overload
def measured(component: Source | BatchSource | AsyncSource) -> MeasuredSource: ...
@overload
def measured(component: Stage | BatchStage | AsyncStage) -> MeasuredStage: ...
@overload
def measured(component: Sink | AsyncSink) -> MeasuredSink: ...
@overload
def measured(component: Any) -> Any: ...
def measured(component: Any) -> Any:
    """The same component, measured: for one that is used alone. In a pipeline the engine measures every part: see its report.

    >>> import tidemill
    >>> class Kelvin:
    ...     def process(self, stream):
    ...         for record in stream:
    ...             yield {**record, "value": record["value"] + 273.15}
    >>> kelvin = tidemill.measured(Kelvin())
    >>> [round(record["value"], 2) for record in kelvin.process([{"value": 1.0}, {"value": 2.0}])]
    [274.15, 275.15]
    >>> kelvin.measurement.input, kelvin.measurement.output
    (2, 2)

    It costs some microseconds for each record or record batch. Time is that of a clock on the wall, without waiting for the input. An asynchronous
    component runs in an event loop of its own, and gives its records as others do.

    Args:
        component: An object with `stream()`, `process(stream)` or `consume(stream)`; or its class, as a decorator: then all its objects are
            measured, each by itself.

    Returns:
        The same with `measurement`: see `Measurement`.

    Raises:
        SpecError: It is no component.
    """
    return wrapping(component, _WRAPPERS, lambda wrapper, own: wrapper(own))
