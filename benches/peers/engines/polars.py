"""Polars: a lazy frame, run by the streaming engine.

Sensors as categoricals and timestamps as text are faster than both as text. In Parquet the timestamps are
timestamps, as a reader would want them. `%+` parses them faster than a format that is written out, and than the
CSV reader does. Where nothing is written, Polars itself leaves out the column of times if it is not used.
"""

from __future__ import annotations

import polars as pl

from peers.jobs import HIGH, SINCE, WINDOW, Input, Job, Output, Steps, Summary, Task


def run(task: Task) -> Summary | None:
    """Does `task`."""
    job = task.job
    frame = _STEPS[job.steps](_scan(task), job)
    match job.output:
        case Output.NONE:
            return _totals(frame, job)
        case Output.CSV:
            frame.sink_csv(task.target(), engine="streaming")
        case Output.PARQUET:
            frame.sink_parquet(task.target(), compression="zstd", engine="streaming")
    return None


def _scan(task: Task) -> pl.LazyFrame:
    job, table = task.job, task.job.table
    if job.input is Input.PARQUET:
        return pl.scan_parquet(task.input).with_columns(pl.col(table.sensor).cast(pl.Categorical))
    schema = {table.time: pl.String, table.sensor: pl.Categorical} | dict.fromkeys(
        table.measurements, pl.Float64
    )
    if job.input is Input.JSONL:
        frame = pl.scan_ndjson(task.input, schema=schema)
    else:
        frame = pl.scan_csv(task.input, schema=schema)
    if job.output is Output.PARQUET or job.uses_time:
        frame = frame.with_columns(pl.col(table.time).str.to_datetime("%+", time_unit="ms"))
    return frame


def _within(frame: pl.LazyFrame, job: Job) -> pl.LazyFrame:
    values = pl.col(job.table.measurements)
    if job.uses_time:
        frame = frame.filter(pl.col(job.table.time) >= SINCE)
    if job.low is not None:
        frame = frame.filter(pl.all_horizontal(values >= job.low))
    if job.high is not None:
        frame = frame.filter(pl.all_horizontal(values <= job.high))
    return frame


def _smooth(frame: pl.LazyFrame, job: Job) -> pl.LazyFrame:
    values = pl.col(job.table.measurements)
    mean = values.rolling_mean(WINDOW, min_samples=1).over(job.table.sensor)
    return _within(frame, job).with_columns(values / HIGH).with_columns(mean.name.suffix("_avg"))


def _aggregate(frame: pl.LazyFrame, job: Job) -> pl.LazyFrame:
    (name,) = job.table.measurements
    value = pl.col(name)
    return frame.group_by(job.table.sensor).agg(
        value.count().alias("count"),
        value.min().alias("min"),
        value.mean().alias("mean"),
        value.max().alias("max"),
    )


def _fit(frame: pl.LazyFrame, job: Job) -> pl.LazyFrame:
    (name,) = job.table.measurements
    value = pl.col(name)
    low, high = value.min().over(job.table.sensor), value.max().over(job.table.sensor)
    return _within(frame, job).with_columns((value - low) / (high - low))


_STEPS = {Steps.SMOOTH: _smooth, Steps.AGGREGATE: _aggregate, Steps.FIT: _fit}


def _totals(frame: pl.LazyFrame, job: Job) -> Summary:
    names = [
        name for name in frame.collect_schema().names() if name not in (job.table.time, job.table.sensor)
    ]
    row = frame.select(pl.len(), pl.col(names).sum()).collect(engine="streaming").row(0, named=True)
    return Summary(row["len"], {name: row[name] for name in names})
