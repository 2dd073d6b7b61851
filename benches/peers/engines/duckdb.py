"""DuckDB: SQL over `read_csv`, columns given, order not preserved.

Timestamps as timestamps are faster than as text, because the windows sort by them.
"""

from __future__ import annotations

import duckdb

from peers import sql
from peers.jobs import Job, Output, Summary, Task


def run(task: Task) -> Summary | None:
    """Does `task`."""
    job, source = task.job, _source(task)
    with duckdb.connect() as connection:
        connection.execute(f"SET threads = {task.threads}")
        connection.execute("SET preserve_insertion_order = false")
        match job.output:
            case Output.NONE:
                return _totals(connection, job, source)
            case Output.CSV:
                options = "FORMAT csv, HEADER"
            case Output.PARQUET:
                options = "FORMAT parquet, COMPRESSION zstd"
        connection.execute(f"COPY ({sql.query(job, source)}) TO {sql.text(task.target())} ({options})")
    return None


def _source(task: Task) -> str:
    table = task.job.table
    columns = {table.time: "TIMESTAMP", table.sensor: "VARCHAR"} | dict.fromkeys(table.measurements, "DOUBLE")
    listed = ", ".join(f"{sql.text(name)}: {sql.text(kind)}" for name, kind in columns.items())
    dialect = "header = true, auto_detect = false, delim = ','"
    return f"read_csv({sql.text(task.input)}, {dialect}, columns = {{{listed}}})"


def _totals(connection: duckdb.DuckDBPyConnection, job: Job, source: str) -> Summary:
    row = connection.execute(sql.totals(job, source)).fetchone()
    if row is None:
        raise RuntimeError("a query for totals gave no row")
    return Summary(row[0], dict(zip(sql.columns(job), row[1:], strict=True)))
