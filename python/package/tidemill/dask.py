"""Stages on Dask: the records of each sensor by the same kernels, with the same bits, on the workers.

Needs `dask[dataframe]`, which brings pandas and pyarrow: the extra `tidemill[dask]`, also on the workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ._partitions import Kernel
from .component import Component

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from dask.dataframe import DataFrame  # type: ignore[import-not-found, unused-ignore]
    from dask.delayed import Delayed  # type: ignore[import-not-found, unused-ignore]

__all__ = ["run"]


def run(
    frame: DataFrame | Sequence[Delayed],
    stages: Iterable[Component],
    *,
    time: str = "time",
    sensor: str = "sensor",
    measurements: Sequence[str] | None = None,
    constants: Sequence[str | None] = (),
    partitions: int | None = None,
) -> DataFrame:
    """Runs `stages` over all records of `frame`: each sensor gets what one chain over all its records, sorted by time, gives it, bit for bit.

    All records of a sensor go to one partition; there they are sorted by time, and those of one time by their other columns. The index is left
    out. Nothing is computed until the result is, and a task that is repeated gives the same.

    Args:
        frame: The records, one row for each sensor and time: a DataFrame of Dask, or delayed ones of pandas.
        stages: The engine's own stages. Files that their options name must be on every worker.
        time: The column of the event time.
        sensor: The column of the sensor's name: text in the result.
        measurements: The columns of numbers; by default, all that have numbers.
        constants: By stage, what `tidemill.Fit` gave for those with `fit=True`; None for all others.
        partitions: The number of partitions; by default, as many as `frame` has.

    Returns:
        What leaves the last stage, in columns of Arrow types (`pandas.ArrowDtype`). Sensors are text, times have microseconds, counts are
        signed.

    Raises:
        SpecError: The stages do not fit the columns; or one needs a first pass over the whole input, which `constants` lacks, or
            the records of other sensors.
    """
    from dask.dataframe import from_delayed  # type: ignore[import-not-found, unused-ignore]

    frames: Any = frame if hasattr(frame, "map_partitions") else from_delayed(list(frame))
    columns = _columns(frames._meta)
    kernel = Kernel.of(stages, columns, time=time, sensor=sensor, measurements=measurements, constants=constants, has_end=True)
    parts = frames.shuffle(sensor, npartitions=partitions or frames.npartitions)
    return parts.map_partitions(_partition, kernel, columns, meta=_frame(kernel.output.empty_table()))


def _partition(frame: pandas.DataFrame, kernel: Kernel, columns: pyarrow.Schema) -> pandas.DataFrame:
    import pyarrow

    records = kernel.ordered(pyarrow.Table.from_pandas(frame, schema=columns, preserve_index=False))
    made = kernel.run(records.combine_chunks().to_batches())
    return _frame(pyarrow.Table.from_batches(list(made), kernel.output))


def _columns(frame: pandas.DataFrame) -> pyarrow.Schema:
    """The columns of a DataFrame; those of objects have text."""
    import pyarrow
    from pyarrow import types

    found = pyarrow.Schema.from_pandas(frame, preserve_index=False).remove_metadata()
    return pyarrow.schema([field.with_type(pyarrow.string()) if types.is_null(field.type) else field for field in found])


def _frame(records: pyarrow.Table) -> pandas.DataFrame:
    """As pandas knows it, in Arrow's types: with those of NumPy, the type of a column would depend on whether it has a null."""
    import pandas

    return records.to_pandas(types_mapper=pandas.ArrowDtype)
