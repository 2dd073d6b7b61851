"""chDB: ClickHouse in the process, SQL over `file`, output by `INSERT INTO FUNCTION file`.

Sensors as strings are faster than as `LowCardinality`. In Parquet the timestamps are timestamps, as a reader
would want them, which costs nothing that could be measured; elsewhere they stay text.
"""

from __future__ import annotations

import json
from typing import Any

import chdb

from peers import sql
from peers.jobs import Job, Output, Summary, Task


def run(task: Task) -> Summary | None:
    """Does `task`."""
    job, source = task.job, _source(task)
    settings: dict[str, Any] = {"max_threads": task.threads, "prefer_column_name_to_alias": 1}
    match job.output:
        case Output.NONE:
            return _totals(job, source, settings)
        case Output.CSV:
            kind = "CSVWithNames"
        case Output.PARQUET:
            kind = "Parquet"
            settings |= {
                "output_format_parquet_compression_method": "'zstd'",
                "date_time_input_format": "'best_effort'",
            }
    target = f"file({sql.text(task.target())}, {kind})"
    _ask(f"INSERT INTO FUNCTION {target} {sql.query(job, source)}", settings)
    return None


def _source(task: Task) -> str:
    table = task.job.table
    time = "DateTime64(3, 'UTC')" if task.job.output is Output.PARQUET else "String"
    columns = {table.time: time, table.sensor: "String"} | dict.fromkeys(table.measurements, "Float64")
    listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    return f"file({sql.text(task.input)}, CSVWithNames, {sql.text(listed)})"


def _ask(query: str, settings: dict[str, Any]) -> str:
    listed = ", ".join(f"{name} = {value}" for name, value in settings.items())
    return str(chdb.query(f"{query} SETTINGS {listed}", "JSONCompactEachRow"))


def _totals(job: Job, source: str, settings: dict[str, Any]) -> Summary:
    row = json.loads(_ask(sql.totals(job, source), settings))
    return Summary(
        int(row[0]), {name: float(value) for name, value in zip(sql.columns(job), row[1:], strict=True)}
    )
