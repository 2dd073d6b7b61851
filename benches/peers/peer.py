"""The engines that are packages of Python, and how they are started."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from importlib.metadata import version

from peers.engines import Command
from peers.jobs import Input, Job, Summary, Task


@dataclass(frozen=True)
class Peer:
    """An engine that works in a process of `peers.worker`."""

    name: str
    """The module in `peers.engines`."""
    title: str
    package: str
    """The package, as pip knows it."""
    threads_by: str | None = None
    """The environment variable with the number of threads, where the package reads one."""
    is_closest: bool = False
    """Whether it also does the jobs that are measured beside one peer only."""

    def version(self) -> str:
        return version(self.package)

    def refuses(self, job: Job) -> str | None:
        if job.input is Input.INFLUX:
            return "does not read line protocol"
        if not self.is_closest and (job.uses_time or job.input is not Input.CSV):
            return "not measured at this job"
        return None

    def command(self, task: Task) -> Command:
        what = {
            "engine": self.name,
            "job": task.job.name,
            "writes": task.job.output.value,
            "input": str(task.input),
            "output": str(task.output) if task.output else None,
            "threads": task.threads,
        }
        environment = {self.threads_by: str(task.threads)} if self.threads_by else {}
        return Command([sys.executable, "-m", "peers.worker", json.dumps(what)], environment)

    def summary(self, task: Task, stdout: str) -> Summary | None:
        said = json.loads(stdout.splitlines()[-1])
        return None if said is None else Summary(said["rows"], said["sums"])


PEERS = (
    Peer("polars", "Polars", "polars", "POLARS_MAX_THREADS", is_closest=True),
    Peer("duckdb", "DuckDB", "duckdb"),
    Peer("chdb", "chDB (ClickHouse)", "chdb"),
    Peer("datafusion", "DataFusion", "datafusion", "TOKIO_WORKER_THREADS"),
)
