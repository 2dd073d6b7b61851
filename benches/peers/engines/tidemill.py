"""tidemill: the release binary on a pipeline file."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from peers.engines import Command
from peers.jobs import HIGH, SINCE, WINDOW, Input, Job, Output, Steps, Summary, Task


@dataclass(frozen=True)
class Tidemill:
    """The engine that this is about."""

    binary: Path
    folder: Path
    """Where pipeline files and reports go."""

    name: str = "tidemill"
    title: str = "tidemill"

    def version(self) -> str:
        return _said(self.binary, "--version").split()[-1]

    def refuses(self, job: Job) -> str | None:
        if job.steps is Steps.AGGREGATE and "aggregate" not in _said(self.binary, "list").split():
            return "this tidemill has no stage `aggregate`"
        return None

    def command(self, task: Task) -> Command:
        self.folder.mkdir(parents=True, exist_ok=True)
        pipeline = self.folder / f"{task.job.name}.toml"
        pipeline.write_text(pipeline_of(task))
        threads, report = str(task.threads), self._report(task)
        return Command([self.binary, "run", pipeline, "--threads", threads, "--quiet", "--report", report])

    def summary(self, task: Task, stdout: str) -> Summary | None:
        report = json.loads(self._report(task).read_text())["report"]
        return Summary(report["sinks"][0]["input"], {})

    def _report(self, task: Task) -> Path:
        return self.folder / f"{task.job.name}.json"


@cache
def _said(binary: Path, argument: str) -> str:
    return subprocess.run([binary, argument], check=True, capture_output=True, text=True).stdout


def pipeline_of(task: Task) -> str:
    """The pipeline file for `task`."""
    parts = [_source(task), *_stages(task.job), _sink(task)]
    return "\n".join(parts)


def _source(task: Task) -> str:
    job, table = task.job, task.job.table
    options = [
        f"type = {_text(_SOURCES[job.input])}",
        f"path = {_text(task.input)}",
        f"time = {_text(table.time)}",
        f"sensor = {_text(table.sensor)}",
    ]
    if job.uses_time:
        options.append(f"from = {_text(SINCE.isoformat())}")
    if job.input is Input.INFLUX:
        options.append('table = ""')
    return "\n".join(["[source]", *options, ""])


_SOURCES = {
    Input.CSV: "csv",
    Input.CSV_GZ: "csv",
    Input.JSONL: "jsonl",
    Input.PARQUET: "parquet",
    Input.INFLUX: "influx",
}


def _stages(job: Job) -> list[str]:
    match job.steps:
        case Steps.SMOOTH:
            scale = _stage("normalize", 'method = "min_max"', "min = 0.0", f"max = {HIGH}")
            return [_threshold(job), scale, _stage("moving_average", f"window = {WINDOW}")]
        case Steps.AGGREGATE:
            return [
                _stage("aggregate", 'statistics = ["count", "min", "mean", "max"]', 'into = "{statistic}"')
            ]
        case Steps.FIT:
            return [_threshold(job), _stage("normalize", 'method = "min_max"', "fit = true")]


def _threshold(job: Job) -> str:
    bounds = {"min": job.low, "max": job.high}
    return _stage("threshold", *(f"{name} = {value}" for name, value in bounds.items() if value is not None))


def _stage(kind: str, *options: str) -> str:
    return "\n".join(["[[stage]]", f"type = {_text(kind)}", *options, ""])


def _sink(task: Task) -> str:
    if task.job.output is Output.NONE:
        return '[[sink]]\ntype = "null"\n'
    return f"[[sink]]\ntype = {_text(task.job.output.value)}\npath = {_text(task.target())}\n"


def _text(value: object) -> str:
    """A string of TOML; `${` would be a variable."""
    return json.dumps(str(value)).replace("${", "$${")
