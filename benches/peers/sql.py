"""The jobs in the SQL that DuckDB, ClickHouse and DataFusion share."""

from __future__ import annotations

from peers.jobs import HIGH, WINDOW, Job, Steps


def query(job: Job, source: str) -> str:
    """The rows that `job` makes of the table expression `source`."""
    return _STEPS[job.steps](job, source)


def totals(job: Job, source: str) -> str:
    """One row instead: their count, then the sums of `columns(job)`."""
    sums = ", ".join(f"sum({_quoted(name)})" for name in columns(job))
    return f"SELECT count(*), {sums} FROM ({query(job, source)}) AS made"


def columns(job: Job) -> list[str]:
    """The columns of values that `job` makes, in no particular order."""
    match job.steps:
        case Steps.SMOOTH:
            return [*job.table.measurements, *(f"{name}_avg" for name in job.table.measurements)]
        case Steps.AGGREGATE:
            return ["count", "min", "mean", "max"]
        case Steps.FIT:
            return [*job.table.measurements]


def text(literal: object) -> str:
    """`literal` as a text of SQL."""
    return "'" + str(literal).replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return f'"{name}"'


def _keys(job: Job) -> str:
    return f"{_quoted(job.table.time)}, {_quoted(job.table.sensor)}"


def _within(job: Job) -> str:
    values = [_quoted(name) for name in job.table.measurements]
    lows = [f"{value} >= {job.low}" for value in values if job.low is not None]
    highs = [f"{value} <= {job.high}" for value in values if job.high is not None]
    return " AND ".join(lows + highs)


def _smooth(job: Job, source: str) -> str:
    values = [_quoted(name) for name in job.table.measurements]
    scaled = ", ".join(f"{value} / {HIGH} AS {value}" for value in values)
    means = ", ".join(
        f"avg({_quoted(name)}) OVER recent AS {_quoted(name + '_avg')}" for name in job.table.measurements
    )
    return (
        f"SELECT {_keys(job)}, {', '.join(values)}, {means} "
        f"FROM (SELECT {_keys(job)}, {scaled} FROM {source} WHERE {_within(job)}) AS scaled "
        f"WINDOW recent AS (PARTITION BY {_quoted(job.table.sensor)} ORDER BY {_quoted(job.table.time)} "
        f"ROWS BETWEEN {WINDOW - 1} PRECEDING AND CURRENT ROW)"
    )


def _aggregate(job: Job, source: str) -> str:
    sensor, (value,) = _quoted(job.table.sensor), [_quoted(name) for name in job.table.measurements]
    return (
        f'SELECT {sensor}, count({value}) AS "count", min({value}) AS "min", avg({value}) AS "mean", '
        f'max({value}) AS "max" FROM {source} GROUP BY {sensor}'
    )


def _fit(job: Job, source: str) -> str:
    sensor, (value,) = _quoted(job.table.sensor), [_quoted(name) for name in job.table.measurements]
    within = f"{source} WHERE {_within(job)}"
    learnt = f"SELECT {sensor}, min({value}) AS low, max({value}) AS high FROM {within} GROUP BY {sensor}"
    return (
        f"SELECT {_keys(job)}, ({value} - low) / (high - low) AS {value} "
        f"FROM (SELECT {_keys(job)}, {value} FROM {within}) AS kept "
        f"JOIN ({learnt}) AS learnt USING ({sensor})"
    )


_STEPS = {Steps.SMOOTH: _smooth, Steps.AGGREGATE: _aggregate, Steps.FIT: _fit}
