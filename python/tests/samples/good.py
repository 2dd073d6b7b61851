"""What type checkers accept: see `test_typing.py`."""
# ruff: noqa: F841

import dataclasses
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, TypedDict

import pandas
import polars
import pyarrow
from tidemill import (
    Measurement,
    MovingAverage,
    Pipeline,
    Reading,
    Record,
    Stream,
    Threshold,
    audited,
    measured,
    parallel,
    retry,
    sinks,
    sources,
)
from tidemill.auditing import Change
from tidemill.protocols import (
    AsyncSink,
    AsyncSource,
    BatchStage,
    DeliveringSink,
    Part,
    RecordLike,
    ResumableSource,
    ResumableStage,
    Sink,
    Source,
    Stage,
)
from tidemill.schemas import RecordDict, Report


class Humid(RecordDict):
    humidity: float


@dataclasses.dataclass
class Pressure:
    pump: str
    value: float


class Humidity:
    def stream(self) -> Iterator[Humid]:
        yield {"sensor": "a", "value": 1.0, "humidity": 0.5}


class Pressures:
    bounded = False

    def stream(self) -> Iterator[Pressure]:
        yield Pressure("a", 1.0)


class Dicts:
    def stream(self) -> list[dict[str, object]]:
        return [{"sensor": "a", "value": 1.0}]


class Lasting:
    """All parts of a run with checkpoints."""

    def __init__(self) -> None:
        self.next, self.counts = 0, dict[str, int]()

    def position(self) -> int:
        return self.next

    def resume(self, position: int) -> None:
        self.next = position

    def stream(self) -> Iterator[dict[str, object] | None]:
        yield {"sensor": "a", "value": 1.0}
        yield None

    def save(self) -> dict[str, int]:
        return self.counts

    def restore(self, state: dict[str, int]) -> None:
        self.counts = state

    def process(self, stream: Stream) -> Iterator[Record]:
        yield from stream

    def deliver(self, epoch: int, stream: Stream, writer: str) -> None:
        pass


lasting_source: ResumableSource = Lasting()
lasting_source_too: Source = Lasting()
lasting_stage: ResumableStage = Lasting()
lasting_sink: DeliveringSink = Lasting()


class Table:
    def stream(self) -> pyarrow.Table:
        return pyarrow.table({"sensor": ["a"], "value": [1.0]})


class Live:
    async def stream(self) -> AsyncIterator[Reading]:
        yield Reading(sensor="a", value=1.0)


class Fetched:
    async def stream(self) -> list[dict[str, float]]:
        return [{"value": 1.0}]


class Kelvin:
    fields = {"score": float}

    def process(self, stream: Stream) -> Iterator[Record]:
        for record in stream:
            record.value += 273.15
            yield record.replace(score=record["value"])


class Generic:
    def process(self, records: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        yield from records


class Doubled:
    def process(self, stream: Stream) -> Iterator[pyarrow.RecordBatch]:
        for batch in stream.batches():
            yield pyarrow.record_batch(batch)


class Scored:
    async def process(self, stream: Stream) -> AsyncIterator[Record]:
        async for record in stream:
            yield record


class Counted:
    def consume(self, stream: Stream) -> int:
        return sum(1 for _ in stream)


class Sent:
    async def consume(self, stream: Stream) -> None:
        async for record in stream:
            print(record.sensor)


class Untyped:
    def process(self, stream):  # type: ignore[no-untyped-def]
        yield from stream


class Text(TypedDict):
    text: str


def checked() -> None:
    """Not called: read by type checkers only."""
    source: Source = Humidity()
    live: AsyncSource = Live()
    stage: Stage = Kelvin()
    by_batch: BatchStage = Doubled()
    sink: Sink = Counted()
    sent: AsyncSink = Sent()
    records: list[RecordLike] = [Reading(sensor="a"), {"sensor": "b"}, Pressure("c", 1.0)]
    texts: list[Text] = [{"text": "a"}]

    Pipeline([Humidity(), Pressures(), Dicts(), Kelvin(), Generic(), Doubled(), Scored(), Untyped(), Counted(), Sent()])
    Pipeline([Table(), Live(), Fetched(), MovingAverage(window=2), sinks.Null()])
    Pipeline([sources.Csv(path="in.csv"), Threshold(min=0), sinks.Parquet(path="out.parquet")])
    Pipeline([pandas.DataFrame(), polars.DataFrame(), pyarrow.table({"a": [1]}), [{"sensor": "a", "value": 1.0}], texts, records])
    Pipeline([({"sensor": "a", "value": float(at)} for at in range(3)), Kelvin()])
    measurement: Measurement = measured(Kelvin()).measurement
    tried: Kelvin = retry(Kelvin(), attempts=3)
    changes: list[Change] = audited(Humidity()).changes
    Pipeline([measured(Humidity()), retry(Kelvin()), audited(Kelvin()), parallel(Kelvin(), workers=2), measured(Counted())])

    @retry(attempts=3)
    class Weather:
        def stream(self) -> Iterator[Reading]:
            yield Reading(sensor="roof", value=12.5)

    Pipeline([Weather()])
    parts: list[Part] = [Humidity(), Kelvin()]
    report: Report = Pipeline([*parts, Counted()]).run()
    assert report["sinks"][0]["input"] + report["rejects"]["late"] == 1
