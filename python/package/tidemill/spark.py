"""Stages on Apache Spark: the records of each sensor by the same kernels, with the same bits, on the executors.

| you want to | see |
|---|---|
| run stages over a DataFrame | `run` |
| run them over a stream, with their state in Spark's checkpoint | `stream` |
| work with executors that do not have the package | `ship` |

Needs Spark 4.2 or newer (not through Spark Connect) and pyarrow; `stream` also needs pandas and protobuf: the extra `tidemill[spark]`.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._partitions import Kernel, empty, warn_of_rejected
from .component import Component

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession  # type: ignore[import-not-found, unused-ignore]

__all__ = ["run", "ship", "stream"]

_PACKAGE = Path(__file__).parent


def run(
    df: DataFrame,
    stages: Iterable[Component],
    *,
    time: str = "time",
    sensor: str = "sensor",
    measurements: Sequence[str] | None = None,
    constants: Sequence[str | None] = (),
    partitions: int | None = None,
) -> DataFrame:
    """Runs `stages` over all records of `df`: each sensor gets what one chain over all its records, sorted by time, gives it, bit for bit.

    All records of a sensor go to one partition; there they are sorted by time, and those of one time by their other columns. State is kept
    from one record batch to the next. Nothing is computed until Spark needs the result, and a task that is repeated gives the same.

    Args:
        df: The records: one row for each sensor and time.
        stages: The engine's own stages. Files that their options name must be on every executor.
        time: The column of the event time.
        sensor: The column of the sensor's name: text in the result.
        measurements: The columns of numbers; by default, all that have numbers. Nested columns are left out.
        constants: By stage, what `tidemill.Fit` gave for those with `fit=True`; None for all others.
        partitions: The number of partitions; by default, `spark.sql.shuffle.partitions`.

    Returns:
        What leaves the last stage. Sensors are text, times have microseconds, counts are signed.

    Raises:
        SpecError: The stages do not fit the columns; or one needs a first pass over the whole input, which `constants` lacks, or
            the records of other sensors.
    """
    columns = _arrow(df)
    kernel = Kernel.of(stages, columns, time=time, sensor=sensor, measurements=measurements, constants=constants, has_end=True)
    parts = df.repartition(_column(sensor)) if partitions is None else df.repartition(partitions, _column(sensor))
    # As Arrow sorts.
    ordered = parts.sortWithinPartitions(*(_column(name).asc_nulls_last() for name in kernel.order_of(columns)))
    return ordered.mapInArrow(kernel.run, _spark(kernel.output))


def stream(
    df: DataFrame,
    stages: Iterable[Component],
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

    The state store must be RocksDB: `spark.sql.streaming.stateStore.providerClass` is
    `org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider`.

    Args: as for `run`.

    Raises:
        SpecError: As for `run`; a stage whose results wait for the end of the input is refused, too.
    """
    from pyspark.sql import functions  # type: ignore[import-not-found, unused-ignore]

    columns = _arrow(df)
    kernel = Kernel.of(stages, columns, time=time, sensor=sensor, measurements=measurements, constants=constants, has_end=False)
    # As a whole, since pandas knows a column of numbers with nulls only as floating-point numbers, in which null and NaN are one.
    row = functions.struct(*(_carried(field.name, field.type) for field in columns))
    rows = df.select(_column(sensor).alias("sensor"), row.alias("row"))
    processor: Any = SensorState(kernel, columns)
    return rows.groupBy("sensor").transformWithStateInPandas(processor, _spark(kernel.output), "Append", "None")


def ship(spark: SparkSession) -> None:
    """Gives the executors of a session this package, so that they need nothing but Python and pyarrow.

    It holds for tasks that start later, also on executors that start later. They must have the operating system and the processor of the
    driver, since the package has a native part; otherwise install the package on them.

    Args:
        spark: A session with a driver of its own, not one of Spark Connect.
    """
    # Unpacked in the folder of Spark's files, from which workers import modules: under the name of the package, it is the package.
    spark.sparkContext.addArchive(f"{_archive()}#{_PACKAGE.name}")


class SensorState:
    """The stages of one sensor, by the protocol of Spark's `StatefulProcessor`: its state is what `Chain.save` gives."""

    def __init__(self, kernel: Kernel, columns: pyarrow.Schema) -> None:
        self.kernel = kernel
        self.columns = columns

    def init(self, handle: Any) -> None:
        """Spark's call before the first row."""
        self.saved = handle.getValueState("chain", "state binary")

    def handleInputRows(self, key: Any, rows: Iterator[pandas.DataFrame], timerValues: Any) -> Iterator[pandas.DataFrame]:
        """Spark's call with the rows of one sensor in one micro-batch."""
        import pandas
        import pyarrow

        values = [row for frame in rows for row in frame["row"]]
        carried = pyarrow.schema([field.with_type(pyarrow.int64()) if _is_instant(field.type) else field for field in self.columns])
        given = pyarrow.Table.from_pylist(values, schema=carried).cast(self.columns)
        chain = self.kernel.chain()
        chain.push(empty(self.columns))
        if self.saved.exists():
            chain.restore([self.saved.get()[0]])
        before = chain.rejected
        for batch in self.kernel.ordered(given).combine_chunks().to_batches():
            yield self.kernel.plain(chain.push(batch)).to_pandas(types_mapper=pandas.ArrowDtype)
        self.saved.update((chain.save(),))
        warn_of_rejected(chain.rejected - before)

    def handleExpiredTimer(self, key: Any, timerValues: Any, expiredTimerInfo: Any) -> Iterator[pandas.DataFrame]:
        """Spark's call for a timer: there are none."""
        return iter(())

    def handleInitialState(self, key: Any, initialState: Any, timerValues: Any) -> None:
        """Spark's call with the state of another query: there is none."""

    def close(self) -> None:
        """Spark's call after the last row."""


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


def _arrow(df: DataFrame) -> pyarrow.Schema:
    from pyspark.sql.pandas.types import to_arrow_schema  # type: ignore[import-not-found, unused-ignore]

    schema: pyarrow.Schema = to_arrow_schema(df.schema, timezone="UTC")
    return schema


def _spark(schema: pyarrow.Schema) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema  # type: ignore[import-not-found, unused-ignore]

    return from_arrow_schema(schema)
