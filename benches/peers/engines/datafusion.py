"""DataFusion: SQL over a registered CSV file, output by `COPY`.

Timestamps as timestamps are faster than as text, because the windows sort by them; sensors as string views are
faster than as strings or as a dictionary.
"""

from __future__ import annotations

import pyarrow as pa
from datafusion import SessionConfig, SessionContext

from peers import sql
from peers.jobs import Job, Output, Summary, Task

_SOURCE = "readings"


def run(task: Task) -> Summary | None:
    """Does `task`."""
    job, context = task.job, _context(task)
    match job.output:
        case Output.NONE:
            return _totals(context, job)
        case Output.CSV:
            options = "STORED AS CSV OPTIONS ('format.has_header' 'true')"
        case Output.PARQUET:
            options = "STORED AS PARQUET OPTIONS ('format.compression' 'zstd(3)')"
    context.sql(f"COPY ({sql.query(job, _SOURCE)}) TO {sql.text(task.target())} {options}").collect()
    return None


def _context(task: Task) -> SessionContext:
    context = SessionContext(SessionConfig().with_target_partitions(task.threads))
    table = task.job.table
    fields = [(table.time, pa.timestamp("ms")), (table.sensor, pa.string_view())]
    fields += [(name, pa.float64()) for name in table.measurements]
    context.register_csv(_SOURCE, str(task.input), schema=pa.schema(fields), has_header=True)
    return context


def _totals(context: SessionContext, job: Job) -> Summary:
    (row,) = context.sql(sql.totals(job, _SOURCE)).to_pylist()
    count, *sums = row.values()
    return Summary(count, dict(zip(sql.columns(job), sums, strict=True)))
