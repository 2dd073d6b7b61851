"""Windows of readings as tensors of PyTorch, for training and for inference.

Needs torch and pyarrow: the extra `tidemill[torch]`.
"""

# Without PyTorch, `import torch` finds this file.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch  # type: ignore[import-not-found, unused-ignore]
from torch.utils.data import IterableDataset, get_worker_info  # type: ignore[import-not-found, unused-ignore]

from .errors import DataError, SpecError
from .pipeline import Pipeline

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Windows"]

_ROWS = 65_536
"""Records that are read from a file at once."""

_Columns = dict[str, Any]
"""Tensors of one length, by the name of their column."""


class Windows(IterableDataset[dict[str, Any]]):  # type: ignore[misc, unused-ignore]
    """Windows over the records of each sensor, in the order of its records: `window` of them, then again after `stride` records.

    >>> from tidemill import Pipeline, Threshold
    >>> from tidemill.torch import Windows
    >>> readings = [{"sensor": "a", "value": value} for value in (1.0, 2.0, 500.0, 3.0, 4.0)]
    >>> pipeline = Pipeline([readings, Threshold(max=100)])
    >>> [one["value"].tolist() for one in Windows(pipeline, window=2)]
    [[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]

    A window is a dictionary: under the name of each column a tensor of shape `(window,)`, and under that of the sensor's column the sensor's
    name. A `DataLoader` makes of them tensors of shape `(batch, window)`. Records at the end that fill no window are left out.

    **Types** are those of the columns. A missing floating-point number is NaN. Times, where `columns` names them, are whole numbers in the unit
    of their column, since 1970.

    **Memory** is that of the Arrow columns, without a copy: windows that overlap share it, so `clone()` a tensor before changing it. Copied
    are a window over two record batches; a column with missing values, or of booleans; and the columns of a record batch in which the records
    of sensors alternate.

    **Workers.** The workers of a `DataLoader` divide the windows: each comes from one of them. Of Parquet files, a worker reads its share of
    the row groups; a window belongs to the worker that has its first record. A pipeline is run by every worker, on one thread, and each
    gives its share of the windows of every sensor; so its source must give the same records every time.

    Args:
        source: A pipeline, whose own sinks are not run; or Parquet files, whose records are read in this order.
        window: The number of records in a window, from 1.
        stride: The number of records from the beginning of a window to that of the next, from 1.
        columns: The columns to give; by default, all that have numbers.
        sensor: The column of the sensor's name; None: all records are one series.
        part: The number of this process, from 0, and of all processes that divide the windows, such as `(rank, world_size)`.

    Raises:
        SpecError: An option is wrong; or, while it is iterated, there is no such column, or it has no numbers.
        DataError: While it is iterated: a record has no sensor, or a column of whole numbers has a missing value.
    """

    def __init__(
        self,
        source: Pipeline | str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        window: int,
        stride: int = 1,
        columns: Sequence[str] | None = None,
        sensor: str | None = "sensor",
        part: tuple[int, int] = (0, 1),
    ) -> None:
        for name, value in {"window": window, "stride": stride}.items():
            if value < 1:
                raise SpecError(f"`{name}` is {value}", help="give a number of records, from 1")
        if not 0 <= part[0] < part[1]:
            raise SpecError(f"`part` is {part}", help="give a number from 0, and how many there are")
        self.source = [source] if isinstance(source, str | os.PathLike) else source
        self.window = window
        self.stride = stride
        self.columns = None if columns is None else list(columns)
        self.sensor = sensor
        self.part = part

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker: Any = get_worker_info()
        workers = worker.num_workers if worker else 1
        at, parts = self.part[0] * workers + (worker.id if worker else 0), self.part[1] * workers
        if isinstance(self.source, Pipeline):
            return self._of_pipeline(self.source, at, parts, threads=1 if worker else None)
        return self._of_files(self.source, at, parts)

    def _of_pipeline(self, pipeline: Pipeline, at: int, parts: int, threads: int | None) -> Iterator[dict[str, Any]]:
        import pyarrow

        series: dict[str, _Series] = {}
        for batch in pipeline.stream(threads=threads).batches():
            for name, rows in self._by_sensor(pyarrow.record_batch(batch)):
                one = series.setdefault(name, _Series(self.window, self.stride))
                for before, windows in one.push(rows):
                    # Which remainder is given depends on the sensor too: with few windows each, the first worker would have most.
                    first = (at - zlib.crc32(name.encode()) - before) % parts
                    yield from self._items(name, windows, first, parts)

    def _of_files(self, paths: Sequence[str | os.PathLike[str]], at: int, parts: int) -> Iterator[dict[str, Any]]:
        groups = _row_groups(paths)
        first, last = (len(groups) * n // parts for n in (at, at + 1))
        series: dict[str, _Series] = {}
        if self.stride > 1 and first < last:
            before = self._counts(groups[:first])
            series = {name: _Series(self.window, self.stride, -count % self.stride) for name, count in before.items()}
        for name, rows in self._read(groups[first:last]):
            for _, windows in series.setdefault(name, _Series(self.window, self.stride)).push(rows):
                yield from self._items(name, windows)
        yield from self._ends({name: one for name, one in series.items() if one.tail}, groups[last:])

    def _ends(self, series: dict[str, _Series], groups: Sequence[_RowGroup]) -> Iterator[dict[str, Any]]:
        """The windows of `series` that have begun in a part and end in the row groups after it."""
        for group in groups:
            if not series:
                break
            # It is read only if it has some of the sensors: in files that are sorted by sensor, few go on.
            if series.keys().isdisjoint(self._counts([group])):
                continue
            for name, rows in self._read([group]):
                if name in series:
                    for _, windows in series[name].push(rows, may_begin=False):
                        yield from self._items(name, windows)
                    if not series[name].tail:
                        del series[name]

    def _read(self, groups: Iterable[_RowGroup]) -> Iterator[tuple[str, _Columns]]:
        """The records of each sensor in row groups, piece by piece."""
        for group in groups:
            schema = group.schema()
            for batch in group.batches(self._sensor_of(schema) + self._chosen(schema)):
                yield from self._by_sensor(batch)

    def _counts(self, groups: Iterable[_RowGroup]) -> Counter[str]:
        """How many records each sensor has in row groups."""
        from pyarrow import compute

        counts: Counter[str] = Counter()
        for group in groups:
            if self.sensor is None:
                counts[""] += group.records
                continue
            for batch in group.batches(self._sensor_of(group.schema())):
                found: Any = compute.value_counts(batch.column(0))
                counts.update({str(one["values"]): one["counts"] for one in found.to_pylist()})
        return counts

    def _by_sensor(self, batch: pyarrow.RecordBatch) -> Iterator[tuple[str, _Columns]]:
        """The records of each sensor in a record batch, in their order."""
        rows = {name: _tensor(name, batch.column(name)) for name in self._chosen(batch.schema)}
        if self.sensor is None:
            yield "", rows
            return
        (sensor,) = self._sensor_of(batch.schema)
        names, codes = _coded(batch.column(sensor))
        found, counts = torch.unique_consecutive(codes, return_counts=True)
        if len(found) > len(torch.unique(found)):
            codes, order = torch.sort(codes, stable=True)
            rows = {name: values[order] for name, values in rows.items()}
            found, counts = torch.unique_consecutive(codes, return_counts=True)
        begin = 0
        for code, count in zip(found.tolist(), counts.tolist(), strict=True):
            yield names[code], {name: values[begin : begin + count] for name, values in rows.items()}
            begin += count

    def _sensor_of(self, schema: pyarrow.Schema) -> list[str]:
        return [] if self.sensor is None else _present(schema, [self.sensor])

    def _chosen(self, schema: pyarrow.Schema) -> list[str]:
        """The columns to give."""
        numbers = [field.name for field in schema if field.name != self.sensor and _is_number(field.type)]
        chosen = numbers if self.columns is None else _present(schema, self.columns)
        if not chosen:
            raise SpecError("no column has numbers", help=f"the columns are {', '.join(schema.names)}")
        return chosen

    def _items(self, name: str, windows: _Columns, first: int = 0, step: int = 1) -> Iterator[dict[str, Any]]:
        """The windows of a sensor one by one, from the one at `first` every `step`-th."""
        own = {} if self.sensor is None else {self.sensor: name}
        for at in range(first, _length(windows), step):
            yield {**own, **{column: values[at] for column, values in windows.items()}}


class _Series:
    """Cuts the records of a sensor into windows, and gives many at once: tensors of shape `(windows, window)`, with the number of those before."""

    def __init__(self, window: int, stride: int, skip: int = 0) -> None:
        self.window = window
        self.stride = stride
        self.tail: _Columns = {}
        """The last records, from the beginning of the next window."""
        self._beginnings = 0
        """The number of records of the tail in which windows may begin."""
        self._skip = skip
        """The records before the next window, if that begins after the last record."""
        self._windows = 0

    def push(self, rows: _Columns, *, may_begin: bool = True) -> Iterator[tuple[int, _Columns]]:
        """The windows that are complete with `rows`.

        Args:
            may_begin: Whether windows may begin in `rows`; otherwise they only end there.
        """
        begin = self._skip
        if self.tail:
            joined = {name: torch.cat((values, rows[name][: self.window - 1])) for name, values in self.tail.items()}
            begin = yield from self._cut(joined, 0, self._beginnings)
            if begin < self._beginnings:
                # `rows` are too few for the next window, and all of them are in `joined`.
                beginnings = self._beginnings - begin
                self._keep(joined, begin)
                self._beginnings = self._beginnings if may_begin else beginnings
                return
            begin -= _length(self.tail)
            self.tail = {}
        if may_begin:
            begin = yield from self._cut(rows, begin, _length(rows))
            self._keep(rows, begin)

    def _cut(self, rows: _Columns, begin: int, end: int) -> Generator[tuple[int, _Columns], None, int]:
        """The windows of `rows` that begin at `begin`, or later and before `end`; returns where the next one would begin."""
        last = min(end, _length(rows) - self.window + 1)
        count = len(range(begin, last, self.stride))
        if count:
            yield self._windows, {name: values[begin:].unfold(0, self.window, self.stride)[:count] for name, values in rows.items()}
        self._windows += count
        return begin + count * self.stride

    def _keep(self, rows: _Columns, begin: int) -> None:
        """Keeps the records from `begin` on. They are copied, since a slice keeps the memory of the whole record batch."""
        left = _length(rows) - begin
        self.tail = {name: values[begin:].clone() for name, values in rows.items()} if left > 0 else {}
        self._beginnings, self._skip = max(0, left), max(0, -left)


class _RowGroup(NamedTuple):
    """A row group of a Parquet file."""

    path: str
    at: int
    records: int

    def schema(self) -> pyarrow.Schema:
        from pyarrow import parquet

        return parquet.read_schema(self.path)

    def batches(self, columns: list[str]) -> Iterator[pyarrow.RecordBatch]:
        """Its records, piece by piece."""
        from pyarrow.parquet import ParquetFile

        with ParquetFile(self.path) as file:
            yield from file.iter_batches(_ROWS, row_groups=[self.at], columns=columns)


def _row_groups(paths: Iterable[str | os.PathLike[str]]) -> list[_RowGroup]:
    """The row groups of files, in order."""
    from pyarrow import parquet

    files = [(path, parquet.read_metadata(path)) for path in (os.fspath(path) for path in paths)]
    return [_RowGroup(path, at, file.row_group(at).num_rows) for path, file in files for at in range(file.num_row_groups)]


def _present(schema: pyarrow.Schema, names: list[str]) -> list[str]:
    """`names`, all of which are columns."""
    for name in names:
        if name not in schema.names:
            raise SpecError(f"there is no column `{name}`", help=f"the columns are {', '.join(schema.names)}")
    return names


def _is_number(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)


def _tensor(name: str, column: pyarrow.Array[Any]) -> torch.Tensor:
    """A column as a tensor of the same memory, if it has a value for every record."""
    import pyarrow
    from pyarrow import types

    kind = column.type
    if column.null_count and types.is_floating(kind):
        column = column.fill_null(float("nan"))
    elif column.null_count:
        raise DataError(f"a value of the column `{name}` is missing, and it has {kind}: only floating-point numbers have NaN")
    if types.is_boolean(kind):
        return torch.from_dlpack(column.cast(pyarrow.uint8())).view(torch.bool)
    if types.is_temporal(kind):
        column = column.view(pyarrow.int64() if kind.bit_width == 64 else pyarrow.int32())
    elif not types.is_floating(kind) and not types.is_integer(kind):
        raise SpecError(f"the column `{name}` has {kind}, and no numbers", help="leave it out of `columns`")
    return torch.from_dlpack(column)


def _coded(column: pyarrow.Array[Any]) -> tuple[list[str], torch.Tensor]:
    """The names of sensors, and for each record the number of its name."""
    import pyarrow

    if column.null_count:
        raise DataError("a record has no sensor")
    coded: Any = column if isinstance(column, pyarrow.DictionaryArray) else column.dictionary_encode()
    return [str(name) for name in coded.dictionary.to_pylist()], torch.from_dlpack(coded.indices.cast(pyarrow.int64()))


def _length(columns: _Columns) -> int:
    return len(next(iter(columns.values())))
