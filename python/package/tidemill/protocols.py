"""What components in Python look like to a type checker. No class has to inherit from these: whatever has the methods fits.

| protocol | method | gives or takes |
|---|---|---|
| `Source`, `Stage`, `Sink` | `stream()`, `process(stream)`, `consume(stream)` | records |
| `BatchSource`, `BatchStage` | the same | Arrow record batches, or a table |
| `AsyncSource`, `AsyncStage`, `AsyncSink` | the same, as coroutines or asynchronous generators | both |
| `ResumableSource`, `ResumableStage`, `DeliveringSink` | besides: `position()` and `resume(…)`, `save()` and `restore(…)`; `deliver(…)` | both |

A sink reads records or, by `stream.batches()`, record batches: one protocol is enough for it. The last row is for runs with checkpoints.

>>> from collections.abc import Iterator
>>> from tidemill import Record, Stream
>>> from tidemill.protocols import Stage
>>> class Kelvin:
...     def process(self, stream: Stream) -> Iterator[Record]:
...         for record in stream:
...             record.value += 273.15
...             yield record
>>> stage: Stage = Kelvin()
>>> isinstance(stage, Stage)
True
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from ._native import Stream
from .component import Component

__all__ = [
    "ArrowArray",
    "ArrowStream",
    "AsyncSink",
    "AsyncSource",
    "AsyncStage",
    "BatchSource",
    "BatchStage",
    "DeliveringSink",
    "Part",
    "RecordBatches",
    "RecordLike",
    "ResumableSource",
    "ResumableStage",
    "Sink",
    "Source",
    "Stage",
    "State",
]


@runtime_checkable
class ArrowArray(Protocol):
    """One Arrow record batch, of any library: pyarrow's `RecordBatch`, `tidemill.Batch`."""

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any: ...


@runtime_checkable
class ArrowStream(Protocol):
    """Arrow record batches in turn, of any library: a `DataFrame` of Polars or pandas, a table or reader of pyarrow, a relation of DuckDB."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _HasSensor(Protocol):
    @property
    def sensor(self) -> Any: ...


RecordLike: TypeAlias = Mapping[str, Any] | _Dataclass | _HasSensor
"""What components give as a record: one of the stream, a mapping such as a dict, a dataclass, or another object with attributes."""

RecordBatches: TypeAlias = ArrowStream | Iterable[ArrowArray | ArrowStream | None]
"""What components give as record batches; a source that waits gives None."""


@runtime_checkable
class Source(Protocol):
    """Gives records, and None while it waits for more. `bounded = False` says that they never end; `fields`, which columns they have."""

    def stream(self) -> Iterable[RecordLike | None]: ...


@runtime_checkable
class BatchSource(Protocol):
    """Gives Arrow record batches."""

    def stream(self) -> RecordBatches: ...


@runtime_checkable
class AsyncSource(Protocol):
    """Gives records or record batches from an asynchronous generator, or from a coroutine."""

    def stream(self) -> AsyncIterable[RecordLike | ArrowArray | None] | Awaitable[Iterable[RecordLike | ArrowArray]]: ...


@runtime_checkable
class Stage(Protocol):
    """Gives records for those of the stream. `fields` are the columns that it adds, such as `{"score": float}`."""

    def process(self, stream: Stream, /) -> Iterable[RecordLike]: ...


@runtime_checkable
class BatchStage(Protocol):
    """Gives record batches for those of `stream.batches()`."""

    def process(self, stream: Stream, /) -> RecordBatches: ...


@runtime_checkable
class AsyncStage(Protocol):
    """Gives records or record batches from an asynchronous generator, or from a coroutine."""

    def process(self, stream: Stream, /) -> AsyncIterable[RecordLike | ArrowArray] | Awaitable[Iterable[RecordLike | ArrowArray]]: ...


@runtime_checkable
class Sink(Protocol):
    """Takes the records of the stream."""

    def consume(self, stream: Stream, /) -> object: ...


@runtime_checkable
class AsyncSink(Protocol):
    """Takes the records of the stream in a coroutine."""

    def consume(self, stream: Stream, /) -> Awaitable[None]: ...


State: TypeAlias = bytes | str | float | bool | None | Sequence[Any] | Mapping[str, Any]
"""Positions and states: bytes, or what JSON can hold."""


@runtime_checkable
class ResumableSource(Protocol):
    """A source that goes on where it was. `durable(position)`, if it has that too, is told what it need not give again."""

    def stream(self) -> Any: ...

    def position(self) -> State:
        """How far the items go that it has given so far."""

    def resume(self, position: Any, /) -> object:
        """Called before `stream`."""


@runtime_checkable
class ResumableStage(Protocol):
    """A stage that goes on with what it kept between records."""

    def process(self, stream: Stream, /) -> Any: ...

    def save(self) -> State:
        """Called while it waits for its next record."""

    def restore(self, state: Any, /) -> object:
        """Called before `process`."""


@runtime_checkable
class DeliveringSink(Protocol):
    """Takes the records of each epoch, those between two checkpoints, once the second one is durable.

    It may get the last epoch again after a restart: then `epoch` and `writer` are the same.
    """

    def deliver(self, epoch: int, stream: Stream, writer: str, /) -> object: ...


Part: TypeAlias = (
    Component
    | Source
    | BatchSource
    | AsyncSource
    | Stage
    | BatchStage
    | AsyncStage
    | Sink
    | AsyncSink
    | DeliveringSink
    | ArrowArray
    | ArrowStream
    | Iterable[RecordLike]
    | Iterable[ArrowArray]
    | AsyncIterable[RecordLike]
)
"""What `tidemill.Pipeline` is made of."""
