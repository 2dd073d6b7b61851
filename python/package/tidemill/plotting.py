"""Pictures of what a pipeline does to its input: see `Pipeline.plot`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ._display import is_notebook
from .errors import DataError, SpecError

if TYPE_CHECKING:
    import numpy
    import pyarrow
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Values = NDArray[numpy.float64]
    Mask = NDArray[numpy.bool_]

__all__ = ["plot"]

_SENSORS = 8
"""Sensors that are shown if none are named."""
_ROW = (11.0, 2.4)
"""Width and height of one sensor's axes, in inches."""


@dataclass
class _Columns:
    """The roles of a table's columns."""

    sensor: str | None
    time: str | None
    numbers: list[str]
    booleans: list[str]

    @classmethod
    def of(cls, schema: pyarrow.Schema) -> _Columns:
        from pyarrow import types

        def named(*tests: Any) -> list[str]:
            return [field.name for field in schema if any(test(field.type) for test in tests)]

        sensor, time = named(types.is_dictionary), named(types.is_timestamp)
        return cls(
            sensor=sensor[0] if sensor else None,
            time=time[0] if time else None,
            numbers=named(types.is_floating, types.is_integer),
            booleans=named(types.is_boolean),
        )


def plot(
    before: pyarrow.Table,
    after: pyarrow.Table,
    *,
    column: str | None,
    sensors: Sequence[str] | None,
    anomalies: str | None,
    max_points: int,
) -> Figure:
    """Draws tables of the engine: see `Pipeline.plot`."""
    own, made = _Columns.of(before.schema), _Columns.of(after.schema)
    column = column or next(iter(own.numbers), None)
    if column not in own.numbers:
        raise SpecError(f"the input has no measurement `{column}`", help=f"its measurements are {', '.join(own.numbers) or 'none'}")
    chosen = _chosen(before, own, sensors)
    shown = _shown(column, made.numbers)
    pair = [_by_sensor(table, columns, chosen) for table, columns in ((before, own), (after, made))]
    figure = _figure(len(chosen))
    axes = figure.subplots(len(chosen), 2, sharex="row", squeeze=False)
    for (left, right), name in zip(axes, chosen, strict=True):
        _draw(left, right, _Series.of(pair[0].get(name), own, [column]), _Series.of(pair[1].get(name), made, shown), anomalies, max_points)
        left.set_ylabel(name)
    axes[0][0].set_title(f"before: {_titled(column, before.schema)}")
    axes[0][1].set_title("after")
    return figure


def _figure(rows: int) -> Figure:
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(_ROW[0], _ROW[1] * rows + 0.5), layout="constrained")
    if is_notebook():
        # It is shown because it is returned: not once more at the end of the cell.
        pyplot.close(figure)
    return figure


def _chosen(table: pyarrow.Table, columns: _Columns, patterns: Sequence[str] | None) -> list[str]:
    """The names of the sensors to show."""
    names = sorted({str(name) for name in table[columns.sensor].unique().to_pylist()}) if columns.sensor else [""]
    if patterns is None:
        chosen = names[:_SENSORS]
    else:
        chosen = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not chosen:
        known = ", ".join(names[:20]) or "none"
        raise DataError("there is nothing to plot: no record has come from these sensors", help=f"sensors of the input: {known}")
    return chosen


def _shown(column: str, numbers: list[str]) -> list[str]:
    """The columns of the output to show: those that were made of `column` in its scale, or else all."""
    made = [name for name in numbers if name == column or name.startswith(f"{column}_") and not name.endswith(("_count", "_std"))]
    return made or numbers


def _titled(column: str, schema: pyarrow.Schema) -> str:
    unit = (schema.field(column).metadata or {}).get(b"unit")
    return f"{column} in {unit.decode()}" if unit else column


def _by_sensor(table: pyarrow.Table, columns: _Columns, names: list[str]) -> dict[str, pyarrow.Table]:
    import pyarrow
    from pyarrow import compute

    if columns.sensor is None:
        return dict.fromkeys(names, table)
    own: Any = table[columns.sensor].cast(pyarrow.string())
    return {name: table.filter(compute.equal(own, pyarrow.scalar(name))) for name in names}


@dataclass
class _Series:
    """The records of one sensor, by time."""

    x: Any
    """Times, or the numbers of the records."""
    has_time: bool
    numbers: dict[str, Values]
    booleans: dict[str, Values]
    """1 for true, 0 for false."""

    @classmethod
    def of(cls, table: pyarrow.Table | None, columns: _Columns, shown: list[str]) -> _Series:
        import numpy
        import pyarrow

        if table is None:
            return cls(numpy.arange(0), False, {}, {})
        x = numpy.arange(len(table))
        if columns.time:
            x = table[columns.time].to_numpy()
        order = numpy.argsort(x, kind="stable")
        values = {name: table[name].cast(pyarrow.float64(), safe=False).to_numpy()[order] for name in (*shown, *columns.booleans)}
        numbers, booleans = ({name: values[name] for name in names} for names in (shown, columns.booleans))
        return cls(x[order], columns.time is not None, numbers, booleans)


def _draw(left: Axes, right: Axes, before: _Series, after: _Series, anomalies: str | None, max_points: int) -> None:
    [(column, values)] = before.numbers.items()
    _line(left, before.x, values, column, max_points, color="tab:gray")
    for name, made in after.numbers.items():
        _line(right, after.x, made, name, max_points)
    kept = _kept(before, after, column)
    if kept is not None:
        _marks(left, before.x, values, ~kept, max_points, label="filtered", marker="x", color="tab:red")
    flagged = _flagged(after, column, anomalies)
    if flagged is not None and after.numbers:
        made = next(iter(after.numbers.values()))
        _marks(right, after.x, made, flagged, max_points, label="anomaly", marker="o", color="tab:red")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.margins(x=0.01)
        axes.legend(loc="best", fontsize="small")
        if before.has_time:
            _dates(axes)


def _dates(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    # Their stubs have no types.
    locator: Any = AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _line(axes: Axes, x: Any, y: Values, label: str, max_points: int, **style: Any) -> None:
    at = _sampled(y, max_points)
    # Few points are seen as such.
    marker = "." if len(at) <= 200 else None
    axes.plot(x[at], y[at], label=label, linewidth=0.9, marker=marker, markersize=4, **style)


def _marks(axes: Axes, x: Any, y: Values, mask: Mask, max_points: int, *, label: str, marker: str, color: str) -> None:
    import numpy

    places = numpy.flatnonzero(mask & ~numpy.isnan(y))
    if len(places):
        at = places[_sampled(y[places], max_points)]
        label = f"{label} ({len(places):,})"
        axes.plot(x[at], y[at], linestyle="", marker=marker, color=color, markersize=5, markerfacecolor="none", zorder=3, label=label)


def _sampled(values: Values, max_points: int) -> NDArray[numpy.intp]:
    """Which of them to draw: all, or the least and the greatest of each of `max_points` / 2 runs of equal length, so that extremes are kept.

    >>> import numpy
    >>> _sampled(numpy.array([0.0, 5.0, 1.0, 1.0, -9.0, 1.0, 0.0, 0.0]), 4).tolist()
    [0, 1, 4, 5]
    """
    import numpy

    if len(values) <= max_points:
        return numpy.arange(len(values))
    bounds = numpy.linspace(0, len(values), max(1, max_points // 2) + 1).astype(numpy.intp)
    low, high = numpy.where(numpy.isnan(values), math.inf, values), numpy.where(numpy.isnan(values), -math.inf, values)
    extremes = ((start + low[start:end].argmin(), start + high[start:end].argmax()) for start, end in zip(bounds[:-1], bounds[1:], strict=True))
    return numpy.unique(numpy.fromiter((at for pair in extremes for at in pair), dtype=numpy.intp))


def _kept(before: _Series, after: _Series, column: str) -> Mask | None:
    """Which records of the input are in the output, with a value; None if the output has other records, such as means of intervals."""
    import numpy

    values, made = before.numbers[column], after.numbers.get(column)
    if made is None or before.has_time != after.has_time:
        return None
    keys, others = (before.x, after.x) if before.has_time else (values, made)
    found = _subsequence(keys.tolist(), others.tolist())
    if found is None:
        return None
    kept = numpy.zeros(len(values), dtype=bool)
    places = numpy.fromiter(found, dtype=numpy.intp, count=len(others))
    kept[places] = ~numpy.isnan(made)
    return kept


def _subsequence(all_keys: list[Any], keys: list[Any]) -> list[int] | None:
    """Where `keys` are in `all_keys`, in order; None if they are not.

    >>> _subsequence([1, 2, 2, 3], [2, 3])
    [1, 3]
    """
    found: list[int] = []
    remaining: Iterator[tuple[int, Any]] = enumerate(all_keys)
    for key in keys:
        place = next((at for at, other in remaining if other == key), None)
        if place is None:
            return None
        found.append(place)
    return found


def _flagged(after: _Series, column: str, anomalies: str | None) -> Mask | None:
    """The anomalies of the output: where the column `anomalies` is true, or what a threshold has flagged is false."""
    import numpy

    if anomalies is not None and anomalies not in after.booleans:
        raise SpecError(f"the output has no boolean column `{anomalies}`", help=f"its boolean columns are {', '.join(after.booleans) or 'none'}")
    flags = after.booleans.get(anomalies or f"{column}_ok")
    return None if flags is None else numpy.equal(flags, 0.0 if anomalies is None else 1.0)
