"""Stages on Dask: the records of each sensor by the same kernels, with the same bits, on the workers.

Needs `dask[dataframe]`, which brings pandas and pyarrow: the extra `tidemill[dask]`, also on the workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import _passes
from ._partitions import Kernel, ordered, stages_of
from ._passes import Pass, fitted
from .component import Component

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from dask.dataframe import DataFrame  # type: ignore[import-not-found, unused-ignore]
    from dask.delayed import Delayed  # type: ignore[import-not-found, unused-ignore]

    from .pipeline import Pipeline

__all__ = ["fit", "run"]


def run(
    frame: DataFrame | Sequence[Delayed],
    stages: Iterable[Component] | Pipeline,
    *,
    time: str = "time",
    sensor: str = "sensor",
    measurements: Sequence[str] | None = None,
    constants: Sequence[str | None] = (),
    watermark: datetime | None = None,
    partitions: int | None = None,
) -> DataFrame:
    """Runs `stages` over all records of `frame`: each sensor gets what one chain over all its records, sorted by time, gives it, bit for bit.

    All records of a sensor go to one partition; there they are sorted by time, and those of one time by their other columns. The index is left
    out. Nothing is computed until the result is, and a task that is repeated gives the same. Only for stages with `fit=True`, the first pass is
    run at once: then `frame` is computed again for the result, so persist one that is expensive.

    Args:
        frame: The records, one row for each sensor and time: a DataFrame of Dask, or delayed ones of pandas.
        stages: The engine's own stages; or a pipeline, of which they are: its sources and sinks are not used. Files that their options name must
            be on every worker.
        time: The column of the event time.
        sensor: The column of the sensor's name: text in the result.
        measurements: The columns of numbers; by default, all that have numbers.
        constants: By stage, what `fit` gave for those with `fit=True` that are not to be fitted to `frame`; None for all others.
        watermark: The time that the whole input has reached, for `Silence`: sensors that were silent by then are reported. Without a time
            zone, it is in UTC.
        partitions: The number of partitions; by default, as many as `frame` has.

    Returns:
        What leaves the last stage, in columns of Arrow types (`pandas.ArrowDtype`). Sensors are text, times have microseconds, or
        nanoseconds if those of `frame` do, counts are signed.

    Raises:
        SpecError: The stages do not fit the columns; or one depends on other sensors, and there is no `watermark`.
    """
    records = _Records.of(frame, time, sensor, partitions)
    roles: Any = {"time": time, "sensor": sensor, "measurements": measurements}
    kernel = fitted(stages_of(stages), records.columns, records.observe, **roles, constants=constants, watermark=watermark)
    meta = _frame(kernel.output.empty_table())
    return records.together().map_partitions(_partition, kernel, records.columns, meta=meta)


def fit(
    frame: DataFrame | Sequence[Delayed],
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
    that `save` names is written where this is called.

    Args: as for `run`.

    Returns:
        The constants by stage, as `run` takes them; None for stages that are not fitted.

    Raises:
        SpecError: The stages do not fit the columns.
    """
    records = _Records.of(frame, time, sensor, partitions)
    stages = stages_of(stages)
    roles: Any = {"time": time, "sensor": sensor, "measurements": measurements}
    learnt = _passes.fit(stages, records.columns, records.observe, **roles, constants=constants)
    _passes.save(stages, learnt)
    return learnt


@dataclass(frozen=True)
class _Records:
    """The records of a DataFrame, and how they are divided."""

    frame: DataFrame
    columns: pyarrow.Schema
    time: str
    sensor: str
    partitions: int

    @classmethod
    def of(cls, frame: DataFrame | Sequence[Delayed], time: str, sensor: str, partitions: int | None) -> _Records:
        from dask.dataframe import from_delayed  # type: ignore[import-not-found, unused-ignore]

        whole: Any = frame if hasattr(frame, "map_partitions") else from_delayed(list(frame))
        return cls(whole, _columns(whole._meta), time, sensor, partitions or whole.npartitions)

    def together(self) -> DataFrame:
        """All records of a sensor in one partition."""
        return self.frame.shuffle(self.sensor, npartitions=self.partitions)

    def observe(self, one: Pass) -> list[bytes]:
        """The summaries of all partitions for a first pass."""
        from dask.base import compute  # type: ignore[import-not-found, unused-ignore]
        from dask.delayed import delayed  # type: ignore[import-not-found, unused-ignore]

        frame = self.together() if one.is_ordered else self.frame
        summary = delayed(_summary)
        return list(compute(*(summary(part, one) for part in frame.to_delayed())))


def _partition(frame: pandas.DataFrame, kernel: Kernel, columns: pyarrow.Schema) -> pandas.DataFrame:
    import pyarrow

    made = kernel.run(_batches(frame, columns, kernel.time, kernel.sensor))
    return _frame(pyarrow.Table.from_batches(list(made), kernel.output))


def _summary(frame: pandas.DataFrame, one: Pass) -> bytes:
    return one.observe(_batches(frame, one.columns, one.time, one.sensor))


def _batches(frame: pandas.DataFrame, columns: pyarrow.Schema, time: str, sensor: str) -> list[pyarrow.RecordBatch]:
    """The records of a partition, sorted."""
    import pyarrow

    records = pyarrow.Table.from_pandas(frame, schema=columns, preserve_index=False)
    return ordered(records, time, sensor).combine_chunks().to_batches()


def _columns(frame: pandas.DataFrame) -> pyarrow.Schema:
    """The columns of a DataFrame; those of objects have text, and categories what they are: each partition has its own."""
    import pyarrow
    from pyarrow import types

    found = pyarrow.Schema.from_pandas(frame, preserve_index=False).remove_metadata()

    def plain(kind: pyarrow.DataType) -> pyarrow.DataType:
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return pyarrow.string() if types.is_null(kind) else kind

    return pyarrow.schema([field.with_type(plain(field.type)) for field in found])


def _frame(records: pyarrow.Table) -> pandas.DataFrame:
    """As pandas knows it, in Arrow's types: with those of NumPy, the type of a column would depend on whether it has a null."""
    import pandas

    return records.to_pandas(types_mapper=pandas.ArrowDtype)
