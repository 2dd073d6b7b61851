"""Stages on Apache Spark: the records of each sensor by the same kernels, with the same bits, on the executors.

| you want to | see |
|---|---|
| run stages over a DataFrame | `run` |
| run them over a stream, with their state in Spark's checkpoint | `stream` |
| learn the constants of `Normalize(fit=True)` from past records | `fit` |
| work with executors that do not have the package | `ship` |

Needs Spark 4.2 or newer (not through Spark Connect) and pyarrow; `stream` also needs pandas and protobuf: the extra `tidemill[spark]`.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _passes
from ._partitions import Kernel, empty, order_of, ordered, stages_of, warn_of_rejected
from ._passes import Pass, fitted
from .chain import Chain
from .component import Component

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession  # type: ignore[import-not-found, unused-ignore]

    from .pipeline import Pipeline

    _Run: TypeAlias = Callable[[Iterator[pyarrow.RecordBatch]], Iterator[pyarrow.RecordBatch]]

__all__ = ["fit", "run", "ship", "stream"]

_PACKAGE = Path(__file__).parent
_WATERMARK = "spark.watermarkDelayMs"
"""The key that Spark has in the metadata of a column with a watermark."""
_MILLISECOND = 1_000_000
"""In nanoseconds."""


def run(
    df: DataFrame,
    stages: Iterable[Component] | Pipeline,
    *,
    time: str = "time",
    sensor: str = "sensor",
    measurements: Sequence[str] | None = None,
    constants: Sequence[str | None] = (),
    watermark: datetime | None = None,
    partitions: int | None = None,
) -> DataFrame:
    """Runs `stages` over all records of `df`: each sensor gets what one chain over all its records, sorted by time, gives it, bit for bit.

    All records of a sensor go to one partition; there they are sorted by time, and those of one time by their other columns. State is kept
    from one record batch to the next. Nothing is computed until Spark needs the result, and a task that is repeated gives the same. Only for
    stages with `fit=True`, the first pass is run at once: then `df` is computed again for the result, so cache one that is expensive.

    Args:
        df: The records: one row for each sensor and time.
        stages: The engine's own stages; or a pipeline, of which they are: its sources and sinks are not used. Files that their options name must
            be on every executor.
        time: The column of the event time.
        sensor: The column of the sensor's name: text in the result.
        measurements: The columns of numbers; by default, all that have numbers. Nested columns are left out.
        constants: By stage, what `fit` gave for those with `fit=True` that are not to be fitted to `df`; None for all others.
        watermark: The time that the whole input has reached, for `Silence`: sensors that were silent by then are reported. Without a time
            zone, it is in UTC.
        partitions: The number of partitions; by default, `spark.sql.shuffle.partitions`.

    Returns:
        What leaves the last stage. Sensors are text, times have microseconds, counts are signed.

    Raises:
        SpecError: The stages do not fit the columns; or one depends on other sensors, and there is no `watermark`.
    """
    records = _Records(df, _arrow(df), time, sensor, partitions)
    roles: Any = {"time": time, "sensor": sensor, "measurements": measurements}
    kernel = fitted(stages_of(stages), records.columns, records.observe, **roles, constants=constants, watermark=watermark)
    return records.map(records.ordered(), kernel.run, _spark(kernel.output))


def fit(
    df: DataFrame,
    stages: Iterable[Component] | Pipeline,
    *,
    time: str = "time",
    sensor: str = "sensor",
    measurements: Sequence[str] | None = None,
    constants: Sequence[str | None] = (),
    partitions: int | None = None,
) -> list[str | None]:
    """Learns the constants of stages with `fit=True`: every partition is summarised where it is, and the summaries are merged exactly.

    The records are shuffled only if a stage before depends on earlier records. With `method="robust"`, there may be several passes. A file
    that `save` names is written on the driver.

    Args: as for `run`.

    Returns:
        The constants by stage, as `run` and `stream` take them; None for stages that are not fitted.

    Raises:
        SpecError: The stages do not fit the columns.
    """
    records = _Records(df, _arrow(df), time, sensor, partitions)
    stages = stages_of(stages)
    roles: Any = {"time": time, "sensor": sensor, "measurements": measurements}
    learnt = _passes.fit(stages, records.columns, records.observe, **roles, constants=constants)
    _passes.save(stages, learnt)
    return learnt


def stream(
    df: DataFrame,
    stages: Iterable[Component] | Pipeline,
    *,
    time: str = "time",
    sensor: str = "sensor",
    measurements: Sequence[str] | None = None,
    constants: Sequence[str | None] = (),
) -> DataFrame:
    """The same for a streaming DataFrame, in output mode `append`: the state of each sensor is in Spark's state store, and in its checkpoint.

    The rows of a sensor in a micro-batch are in memory, sorted by time; a row that is older than those of an earlier micro-batch is processed
    when it comes. A query that is restarted from its checkpoint goes on as if it had not stopped. Changed stages are refused: they need a new
    checkpoint.

    `Silence`, and `Aggregate` with `every`, need the watermark of Spark, by `df.withWatermark(time, "10 minutes")`: a sensor that reports no more
    is silent, and its interval ends, once the watermark has passed it. A watermark of another column than `time` does not count. Rows before the
    watermark are not dropped by Spark: the stages decide what is late.

    The state store must be RocksDB: `spark.sql.streaming.stateStore.providerClass` is
    `org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider`.

    Args: as for `run`.

    Raises:
        SpecError: The stages do not fit the columns, need a first pass over the whole input or its end; or one depends on other sensors, and
            there is no watermark.
    """
    from pyspark.sql import functions  # type: ignore[import-not-found, unused-ignore]

    columns, has_watermark = _arrow(df), _has_watermark(df, time)
    roles: Any = {"time": time, "sensor": sensor, "measurements": measurements}
    kernel = Kernel.of(stages_of(stages), columns, **roles, constants=constants, has_end=False, has_watermark=has_watermark)
    # As a whole, since pandas knows a column of numbers with nulls only as floating-point numbers, in which null and NaN are one.
    row = functions.struct(*(_carried(field.name, field.type) for field in columns))
    rows = df.select(_column(sensor).alias("sensor"), row.alias("row"))
    processor: Any = SensorState(kernel, columns)
    time_mode = "EventTime" if has_watermark else "None"
    return rows.groupBy("sensor").transformWithStateInPandas(processor, _spark(kernel.output), "Append", time_mode)


def ship(spark: SparkSession) -> None:
    """Gives the executors of a session this package, so that they need nothing but Python and pyarrow.

    It holds for tasks that start later, also on executors that start later. They must have the operating system and the processor of the
    driver, since the package has a native part; otherwise install the package on them.

    Args:
        spark: A session with a driver of its own, not one of Spark Connect.
    """
    # Unpacked in the folder of Spark's files, from which workers import modules: under the name of the package, it is the package.
    spark.sparkContext.addArchive(f"{_archive()}#{_PACKAGE.name}")


@dataclass(frozen=True)
class _Records:
    """The records of a DataFrame, and how they are divided."""

    df: DataFrame
    columns: pyarrow.Schema
    time: str
    sensor: str
    partitions: int | None

    def ordered(self) -> DataFrame:
        """All records of a sensor in one partition, in the order of their times."""
        key = _column(self.sensor)
        parts = self.df.repartition(key) if self.partitions is None else self.df.repartition(self.partitions, key)
        # As Arrow sorts.
        return parts.sortWithinPartitions(*(_column(name).asc_nulls_last() for name in order_of(self.columns, self.time, self.sensor)))

    def observe(self, one: Pass) -> list[bytes]:
        """The summaries of all partitions for a first pass."""
        df = self.ordered() if one.is_ordered else self.df
        return [bytes(row.summary) for row in self.map(df, one.run, "summary binary").collect()]

    def map(self, df: DataFrame, run: _Run, output: Any) -> DataFrame:
        """What `run` gives for the record batches of each partition."""
        # `mapInArrow` takes a dot in the name of a column for a path.
        numbered = df.toDF(*(f"_{at}" for at in range(len(self.columns))))
        return numbered.mapInArrow(functools.partial(_renamed, self.columns.names, run), output)


class SensorState:
    """The stages of one sensor, by the protocol of Spark's `StatefulProcessor`: its state is what `Chain.save` gives, and its timer."""

    def __init__(self, kernel: Kernel, columns: pyarrow.Schema) -> None:
        self.kernel = kernel
        self.columns = columns

    def init(self, handle: Any) -> None:
        """Spark's call before the first row."""
        self.handle = handle
        self.saved = handle.getValueState("chain", "state binary, timer bigint")

    def handleInputRows(self, key: Any, rows: Iterator[pandas.DataFrame], timerValues: Any) -> Iterator[pandas.DataFrame]:
        """Spark's call with the rows of one sensor in one micro-batch."""
        import pyarrow

        values = [row for frame in rows for row in frame["row"]]
        carried = pyarrow.schema([field.with_type(pyarrow.int64()) if _is_instant(field.type) else field for field in self.columns])
        given = ordered(pyarrow.Table.from_pylist(values, schema=carried).cast(self.columns), self.kernel.time, self.kernel.sensor)
        chain, timer = self._restored()
        before = chain.rejected
        for batch in given.combine_chunks().to_batches():
            yield self._frame(chain.push(batch))
        yield from self._advanced(chain, timerValues)
        self._save(chain, timer)
        warn_of_rejected(chain.rejected - before)

    def handleExpiredTimer(self, key: Any, timerValues: Any, expiredTimerInfo: Any) -> Iterator[pandas.DataFrame]:
        """Spark's call when the watermark has reached a timer of a sensor."""
        chain, _ = self._restored()
        yield from self._advanced(chain, timerValues)
        self._save(chain, None)

    def handleInitialState(self, key: Any, initialState: Any, timerValues: Any) -> None:
        """Spark's call with the state of another query: there is none."""

    def close(self) -> None:
        """Spark's call after the last row."""

    def _restored(self) -> tuple[Chain, int | None]:
        """The chain in its saved state, and when its timer expires, in milliseconds since 1970."""
        chain = self.kernel.chain()
        chain.push(empty(self.columns))
        if not self.saved.exists():
            return chain, None
        state, timer = self.saved.get()
        chain.restore([state])
        return chain, timer

    def _advanced(self, chain: Chain, timerValues: Any) -> Iterator[pandas.DataFrame]:
        """What is due by the watermark."""
        watermark = timerValues.getCurrentWatermarkInMs() if self.kernel.has_watermark else 0
        # Before the first rows that have a time, it is 0.
        if watermark > 0:
            yield self._frame(chain.advance(watermark * _MILLISECOND))

    def _save(self, chain: Chain, timer: int | None) -> None:
        """Keeps the state, and sets a timer for what will be due, unless there is one that expires before."""
        due = chain.due() if self.kernel.has_watermark else None
        expiry = timer if due is None else -(-due // _MILLISECOND)
        if expiry is not None and (timer is None or expiry < timer):
            self.handle.registerTimer(expiry)
            timer = expiry
        self.saved.update((chain.save(), timer))

    def _frame(self, batch: object) -> pandas.DataFrame:
        import pandas

        return self.kernel.plain(batch).to_pandas(types_mapper=pandas.ArrowDtype)


def _renamed(names: list[str], run: _Run, batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
    return run(batch.rename_columns(names) for batch in batches)


@functools.cache
def _archive() -> str:
    """The path of an archive of this package, for all sessions of the process."""
    folder = Path(tempfile.mkdtemp(prefix="tidemill-"))
    # Executors may ask for it as long as there is a session.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return shutil.make_archive(str(folder / _PACKAGE.name), "zip", _PACKAGE)


def _column(name: str) -> Any:
    """The column called `name`, whatever signs are in its name."""
    from pyspark.sql import functions  # type: ignore[import-not-found, unused-ignore]

    return functions.col(f"`{name.replace('`', '``')}`")


def _carried(name: str, kind: pyarrow.DataType) -> Any:
    """A column as pandas can have it. Times become microseconds since 1970: Spark would give local ones, of which an hour in autumn is ambiguous."""
    from pyspark.sql import functions  # type: ignore[import-not-found, unused-ignore]

    return functions.unix_micros(_column(name)).alias(name) if _is_instant(kind) else _column(name)


def _is_instant(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return types.is_timestamp(kind) and kind.tz is not None


def _has_watermark(df: DataFrame, time: str) -> bool:
    """Whether the column of the event time has a watermark: that of another column, such as the time of arrival, says nothing of it."""
    return any(field.name == time and _WATERMARK in field.metadata for field in df.schema)


def _arrow(df: DataFrame) -> pyarrow.Schema:
    from pyspark.sql.pandas.types import to_arrow_schema  # type: ignore[import-not-found, unused-ignore]

    schema: pyarrow.Schema = to_arrow_schema(df.schema, timezone="UTC")
    return schema


def _spark(schema: pyarrow.Schema) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema  # type: ignore[import-not-found, unused-ignore]

    return from_arrow_schema(schema)
