"""Whether engines agree: every value of every row of their outputs, on a small file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from peers.jobs import Job, Output, Steps, Summary

TOLERANCE = 1e-9
"""How far two values may be apart, relative to the greater of 1 and the greater one's magnitude. Sums that are
updated as a window moves carry errors along; values here are of the order of 1 to 100, errors below 1e-12."""

Key = tuple[object, ...]
Row = Sequence[float | None]


@dataclass(frozen=True)
class Outcome:
    """The rows of an output, by sensor and, where it is kept, time."""

    columns: tuple[str, ...]
    rows: Mapping[Key, Row]


@dataclass(frozen=True)
class Comparison:
    """How an outcome differs from the one it is judged by."""

    missing: int
    """Rows that are only in the reference."""
    surplus: int
    """Rows that are only here."""
    unlike: int
    """Rows of both with a value further away than the tolerance, or with a number on one side only."""
    deviation: float
    """The greatest distance of two values, relative as `TOLERANCE` is."""

    def agrees(self) -> bool:
        return self.missing == self.surplus == self.unlike == 0

    def __str__(self) -> str:
        if self.agrees():
            return f"{self.deviation:.0e}" if self.deviation else "equal"
        parts = [(self.missing, "missing"), (self.surplus, "surplus"), (self.unlike, "different")]
        return "rows: " + ", ".join(f"{count:,} {what}" for count, what in parts if count)


def compare(reference: Outcome, other: Outcome) -> Comparison:
    """Judges `other` by `reference`."""
    if set(reference.columns) != set(other.columns):
        raise ValueError(f"columns {sorted(other.columns)}, not {sorted(reference.columns)}")
    order = [other.columns.index(name) for name in reference.columns]
    shared = reference.rows.keys() & other.rows.keys()
    unlike, worst = 0, 0.0
    for key in shared:
        values = other.rows[key]
        distances = [distance(a, values[at]) for a, at in zip(reference.rows[key], order, strict=True)]
        greatest = max(distances)
        if greatest > TOLERANCE:
            unlike += 1
        else:
            worst = max(worst, greatest)
    return Comparison(len(reference.rows) - len(shared), len(other.rows) - len(shared), unlike, worst)


def distance(a: float | None, b: float | None) -> float:
    """How far apart two values are, relative as `TOLERANCE` is; infinite if only one is a number."""
    if a is None or b is None:
        return 0.0 if a is b else math.inf
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(1.0, abs(a), abs(b))


def same_totals(a: Summary, b: Summary) -> bool:
    """Whether two engines counted the same rows, and sums agree where both tell."""
    shared = a.sums.keys() & b.sums.keys()
    # Sums over millions of values that are each within the tolerance.
    return a.rows == b.rows and all(math.isclose(a.sums[name], b.sums[name], rel_tol=1e-6) for name in shared)


def read(path: Path, job: Job) -> Outcome:
    """The output of `job` at `path`."""
    # Here, not above: all else needs the standard library only.
    from pyarrow import csv, parquet

    table = (
        parquet.read_table(path)
        if job.output is Output.PARQUET
        else csv.read_csv(path, convert_options=_as_text(job))
    )
    keys = [job.table.sensor] if job.steps is Steps.AGGREGATE else [job.table.sensor, job.table.time]
    names = [name for name in table.column_names if name not in keys]
    if missing := set(keys) - set(table.column_names):
        raise ValueError(f"{path} has no column {', '.join(sorted(missing))}")
    sensors = [str(name) for name in table.column(keys[0]).to_pylist()]
    times = [_instant(time) for time in table.column(keys[1]).to_pylist()] if len(keys) > 1 else None
    index: list[Key] = list(zip(sensors, times, strict=True)) if times else [(sensor,) for sensor in sensors]
    columns = [table.column(name).cast("float64").to_pylist() for name in names]
    rows = dict(zip(index, zip(*columns, strict=True), strict=True))
    if len(rows) != len(index):
        raise ValueError(f"{path} has several rows of the same sensor and time")
    return Outcome(tuple(names), rows)


def _as_text(job: Job) -> Any:
    from pyarrow import csv, string

    # Times are read as text: what they look like is the engine's choice.
    return csv.ConvertOptions(column_types={job.table.time: string(), job.table.sensor: string()})


@cache
def _instant(time: str | datetime) -> datetime:
    """A point in time, whichever way it was written: in UTC if it does not say, nanoseconds since 1970 if in digits."""
    if isinstance(time, str) and time.isdigit():
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(time) // 1000)
    when = datetime.fromisoformat(time) if isinstance(time, str) else time
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
