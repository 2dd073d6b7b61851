"""Stages of the engine, by name. Written by `generate.py` from their schemas: docs/reference.md has the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from .component import Component

__all__ = [
    "Aggregate",
    "Alerts",
    "Dedupe",
    "MovingAverage",
    "MovingMax",
    "MovingMedian",
    "MovingMin",
    "MovingStd",
    "Normalize",
    "Pivot",
    "Rate",
    "Silence",
    "Threshold",
]


class Aggregate(Component):
    """One record per sensor, or per sensor and interval: count, mean, extremes, quantiles.

    Args:
        every: The length of an interval such as "1h", counted from 1970-01-01 UTC; the whole input
            if not given.
        statistics: The statistics of each measurement, in this order.
        quantiles: The quantiles of each measurement, 0 to 1, after the statistics: 0.5 becomes
            "p50", 0.999 "p99.9". They are approximate: each order statistic has a relative error of
            at most 0.4 %.
        columns: The measurements to aggregate, by name or glob; all if not given.
        into: The names of the new columns; {column} is replaced by the measurement's name,
            {statistic} by the statistic's.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "aggregate"

    def __init__(
        self,
        *,
        every: str | None = None,
        statistics: Sequence[Literal["count", "sum", "mean", "min", "max", "std"]] | None = None,
        quantiles: Sequence[float] | None = None,
        columns: Sequence[str] | None = None,
        into: str | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            every=every,
            statistics=statistics,
            quantiles=quantiles,
            columns=columns,
            into=into,
            name=name,
            **{"from": from_},
        )


class Alerts(Component):
    """A record when a measurement becomes too high or too low, and when that is over.

    Args:
        column: The measurement to watch. A glob watches every measurement that it matches, each
            separately.
        rule: The name of the rule in the records; defaults to the name of the measurement.
        above: An incident begins when a value is above this.
        below: An incident begins when a value is below this.
        clear_above: An incident above ends when a value is at or below this; defaults to `above`.
        clear_below: An incident below ends when a value is at or above this; defaults to `below`.
        rules: Thresholds for particular sensors, by name or glob; the last match wins. A threshold
            that is not given here is taken from the stage.
        hold: How long, in event time, values must stay beyond the threshold before the alert is
            raised, such as "30s".
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "alerts"

    def __init__(
        self,
        *,
        column: str | None = None,
        rule: str | None = None,
        above: float | None = None,
        below: float | None = None,
        clear_above: float | None = None,
        clear_below: float | None = None,
        rules: Mapping[str, Mapping[str, Any]] | None = None,
        hold: str | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            column=column,
            rule=rule,
            above=above,
            below=below,
            clear_above=clear_above,
            clear_below=clear_below,
            rules=rules,
            hold=hold,
            name=name,
            **{"from": from_},
        )


class Dedupe(Component):
    """Filters records that repeat the values of their sensor's last one.

    Args:
        columns: The measurements to compare, by name or glob; all if not given. A record is
            filtered if all of them are unchanged.
        tolerance: The maximum difference of an unchanged value from the last kept one.
        heartbeat: The maximum time, in event time, between kept records, such as "10m": after it, a
            record is kept even if it is unchanged, which distinguishes a constant sensor from a
            silent one.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "dedupe"

    def __init__(
        self,
        *,
        columns: Sequence[str] | None = None,
        tolerance: float | None = None,
        heartbeat: str | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            columns=columns,
            tolerance=tolerance,
            heartbeat=heartbeat,
            name=name,
            **{"from": from_},
        )


class MovingAverage(Component):
    """The exact mean over the last records, or over a duration.

    Args:
        window: The window: a number of records (20), or a duration ("5m"), which is the half-open
            interval (t − 5 min, t].
        columns: The measurements to process, by name or glob; all if not given.
        into: The name of the new column; {column} is replaced by the measurement's name.
        min_samples: The minimum number of samples in the window; with fewer, the result is null.
        count: Whether to add the number of samples, as a column named like the new one with the
            suffix _count.
        non_finite: What to do with NaN and infinities: `skip` ignores them, `propagate` includes
            them, `error` ends the run.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "moving_average"

    def __init__(
        self,
        *,
        window: int | str | None = None,
        columns: Sequence[str] | None = None,
        into: str | None = None,
        min_samples: int | None = None,
        count: bool | None = None,
        non_finite: Literal["skip", "propagate", "error"] | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            window=window,
            columns=columns,
            into=into,
            min_samples=min_samples,
            count=count,
            non_finite=non_finite,
            name=name,
            **{"from": from_},
        )


class MovingMax(Component):
    """The greatest value of the last records, or of a duration.

    Args:
        window: The window: a number of records (20), or a duration ("5m"), which is the half-open
            interval (t − 5 min, t].
        columns: The measurements to process, by name or glob; all if not given.
        into: The name of the new column; {column} is replaced by the measurement's name.
        min_samples: The minimum number of samples in the window; with fewer, the result is null.
        count: Whether to add the number of samples, as a column named like the new one with the
            suffix _count.
        non_finite: What to do with NaN and infinities: `skip` ignores them, `propagate` includes
            them, `error` ends the run.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "moving_max"

    def __init__(
        self,
        *,
        window: int | str | None = None,
        columns: Sequence[str] | None = None,
        into: str | None = None,
        min_samples: int | None = None,
        count: bool | None = None,
        non_finite: Literal["skip", "propagate", "error"] | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            window=window,
            columns=columns,
            into=into,
            min_samples=min_samples,
            count=count,
            non_finite=non_finite,
            name=name,
            **{"from": from_},
        )


class MovingMedian(Component):
    """The median of the last records, or of a duration.

    Args:
        window: The window: a number of records (20), or a duration ("5m"), which is the half-open
            interval (t − 5 min, t].
        columns: The measurements to process, by name or glob; all if not given.
        into: The name of the new column; {column} is replaced by the measurement's name.
        min_samples: The minimum number of samples in the window; with fewer, the result is null.
        count: Whether to add the number of samples, as a column named like the new one with the
            suffix _count.
        non_finite: What to do with NaN and infinities: `skip` ignores them, `propagate` includes
            them, `error` ends the run.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "moving_median"

    def __init__(
        self,
        *,
        window: int | str | None = None,
        columns: Sequence[str] | None = None,
        into: str | None = None,
        min_samples: int | None = None,
        count: bool | None = None,
        non_finite: Literal["skip", "propagate", "error"] | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            window=window,
            columns=columns,
            into=into,
            min_samples=min_samples,
            count=count,
            non_finite=non_finite,
            name=name,
            **{"from": from_},
        )


class MovingMin(Component):
    """The least value of the last records, or of a duration.

    Args:
        window: The window: a number of records (20), or a duration ("5m"), which is the half-open
            interval (t − 5 min, t].
        columns: The measurements to process, by name or glob; all if not given.
        into: The name of the new column; {column} is replaced by the measurement's name.
        min_samples: The minimum number of samples in the window; with fewer, the result is null.
        count: Whether to add the number of samples, as a column named like the new one with the
            suffix _count.
        non_finite: What to do with NaN and infinities: `skip` ignores them, `propagate` includes
            them, `error` ends the run.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "moving_min"

    def __init__(
        self,
        *,
        window: int | str | None = None,
        columns: Sequence[str] | None = None,
        into: str | None = None,
        min_samples: int | None = None,
        count: bool | None = None,
        non_finite: Literal["skip", "propagate", "error"] | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            window=window,
            columns=columns,
            into=into,
            min_samples=min_samples,
            count=count,
            non_finite=non_finite,
            name=name,
            **{"from": from_},
        )


class MovingStd(Component):
    """The standard deviation of the last records, or of a duration.

    Args:
        window: The window: a number of records (20), or a duration ("5m"), which is the half-open
            interval (t − 5 min, t].
        columns: The measurements to process, by name or glob; all if not given.
        into: The name of the new column; {column} is replaced by the measurement's name.
        min_samples: The minimum number of samples in the window; with fewer, the result is null.
        count: Whether to add the number of samples, as a column named like the new one with the
            suffix _count.
        non_finite: What to do with NaN and infinities: `skip` ignores them, `propagate` includes
            them, `error` ends the run.
        ddof: Degrees of freedom subtracted from the number of samples in the divisor: 0 for the
            deviation of a population, 1 for that of a sample. With no more samples than this, the
            result is null.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "moving_std"

    def __init__(
        self,
        *,
        window: int | str | None = None,
        columns: Sequence[str] | None = None,
        into: str | None = None,
        min_samples: int | None = None,
        count: bool | None = None,
        non_finite: Literal["skip", "propagate", "error"] | None = None,
        ddof: int | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            window=window,
            columns=columns,
            into=into,
            min_samples=min_samples,
            count=count,
            non_finite=non_finite,
            ddof=ddof,
            name=name,
            **{"from": from_},
        )


class Normalize(Component):
    """Brings every series to a common scale.

    Args:
        method: `min_max`: low + (v − min) / (max − min) · (high − low); `z_score`: (v − mean) /
            population deviation; `robust`: (v − median) / (upper quartile − lower quartile),
            quartiles by linear interpolation.
        range: The target range of min_max: [low, high].
        clip: Whether min_max clamps values to the target range.
        min: The value that becomes the low end (min_max).
        max: The value that becomes the high end (min_max).
        mean: The value that becomes 0 (z_score).
        deviation: The distance from the mean that becomes 1 (z_score).
        median: The value that becomes 0 (robust).
        iqr: The distance from the median that becomes 1 (robust).
        sensors: Other constants for some sensors, by name or glob; the last match wins. A constant
            that is missing here is that of the column, or of the stage.
        fit: Whether to learn the constants of every series in a first pass over the input.
        save: With `fit`: the file to which the learnt constants are saved.
        load: The file with constants learnt by another run.
        running: Whether to use only preceding values of the series: the first value becomes null.
        unknown: What to do with a series without constants: `error` ends the run, `null` makes its
            values null, `keep` leaves them unchanged.
        columns: The measurements to normalise, by name or glob; all if not given. As a table, such
            as "TI*" = { min = -40.0, max = 150.0 }, with their own constants: the last match wins,
            and a constant that is missing there is that of the stage.
        into: The name of the new column, where {column} is replaced by the measurement's name; if
            not given, the measurement is overwritten.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "normalize"

    def __init__(
        self,
        *,
        method: Literal["min_max", "z_score", "robust"] | None = None,
        range: Sequence[float] | None = None,
        clip: bool | None = None,
        min: float | None = None,
        max: float | None = None,
        mean: float | None = None,
        deviation: float | None = None,
        median: float | None = None,
        iqr: float | None = None,
        sensors: Mapping[str, Mapping[str, Any]] | None = None,
        fit: bool | None = None,
        save: str | None = None,
        load: str | None = None,
        running: bool | None = None,
        unknown: Literal["error", "null", "keep"] | None = None,
        columns: Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
        into: str | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            method=method,
            range=range,
            clip=clip,
            min=min,
            max=max,
            mean=mean,
            deviation=deviation,
            median=median,
            iqr=iqr,
            sensors=sensors,
            fit=fit,
            save=save,
            load=load,
            running=running,
            unknown=unknown,
            columns=columns,
            into=into,
            name=name,
            **{"from": from_},
        )


class Pivot(Component):
    """Joins records of one sensor and time, each with one value, into one.

    Args:
        key: The text column that names the measurement of a record.
        names: The measurements to make: exact values of `key`. Records with other values are
            filtered; names that never occur are reported at the end.
        value: The measurement with the values: a single name.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "pivot"

    def __init__(
        self,
        *,
        key: str | None = None,
        names: Sequence[str] | None = None,
        value: str | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            key=key,
            names=names,
            value=value,
            name=name,
            **{"from": from_},
        )


class Rate(Component):
    """How fast a measurement changes, in time or between records; also for counters.

    Args:
        method: `derivative`: the difference, divided by the time between the two records;
            `difference`: new − old.
        per: The time unit of a derivative, such as "1h": with it, a meter in kWh gives kW.
        counter: Whether the measurement is a counter: a value below the last one means that it
            restarted at 0, as after the exchange of a meter or the restart of a device.
        columns: The measurements to process, by name or glob; all if not given.
        into: The name of the new column; {column} is replaced by the measurement's name.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "rate"

    def __init__(
        self,
        *,
        method: Literal["derivative", "difference"] | None = None,
        per: str | None = None,
        counter: bool | None = None,
        columns: Sequence[str] | None = None,
        into: str | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            method=method,
            per=per,
            counter=counter,
            columns=columns,
            into=into,
            name=name,
            **{"from": from_},
        )


class Silence(Component):
    """Reports when a sensor stops reporting, and when it resumes.

    Args:
        after: How long, in event time, a sensor may be silent, such as "10m", while others report.
        by: What measures the silence: the `watermark` (the default), which advances as other
            sensors report, or the `clock` of the machine that receives live input, which is
            recorded with it.
        into: The name of the new column.
        keep: Which records are emitted: `all`, or only `changes`: those that report a silence, and
            the first one after each.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "silence"

    def __init__(
        self,
        *,
        after: str | None = None,
        by: Literal["watermark", "clock"] | None = None,
        into: str | None = None,
        keep: Literal["all", "changes"] | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            after=after,
            by=by,
            into=into,
            keep=keep,
            name=name,
            **{"from": from_},
        )


class Threshold(Component):
    """Drops, masks or flags values outside the bounds.

    Args:
        min: The lowest value that passes; no lower bound if not given.
        max: The highest value that passes; no upper bound if not given.
        action: What to do with a value that fails: `drop` removes the record if any of its values
            fails, `mask` makes the value null, `flag` adds a boolean column that is true if it
            passes.
        nulls: How nulls are treated: `drop` as failing, `keep` as passing.
        columns: The measurements to check, by name or glob; all if not given. As a table, such as
            "TI*" = { min = -40.0, max = 150.0 }, with their own bounds: the last match wins, and a
            bound that is missing there is that of the stage.
        into: With `action = "flag"`: the name of the new column, where {column} is replaced by the
            measurement's name; "{column}_ok" if not given.
        sensors: Other bounds for some sensors, by name or glob; the last match wins. A bound that
            is missing here is that of the column, or of the stage.
        name: Its name in `from_` of later parts.
        from_: The parts that feed it; by default, the one before it.
    """

    kind: ClassVar[str] = "stage"
    type: ClassVar[str] = "threshold"

    def __init__(
        self,
        *,
        min: float | None = None,
        max: float | None = None,
        action: Literal["drop", "mask", "flag"] | None = None,
        nulls: Literal["drop", "keep"] | None = None,
        columns: Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
        into: str | None = None,
        sensors: Mapping[str, Mapping[str, Any]] | None = None,
        name: str | None = None,
        from_: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            min=min,
            max=max,
            action=action,
            nulls=nulls,
            columns=columns,
            into=into,
            sensors=sensors,
            name=name,
            **{"from": from_},
        )
