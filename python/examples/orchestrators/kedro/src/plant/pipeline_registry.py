"""The pipelines of the project: one, whose first node is a run of tidemill."""

from pathlib import Path
from typing import Any

import job
from kedro.pipeline import Pipeline, node, pipeline


def run(path: str, day: str) -> dict[str, Any]:
    """The report of a day."""
    return job.run(Path(path), day)


def check(report: dict[str, Any]) -> None:
    """What comes after it."""
    print("records:", report["sinks"][0]["input"])


def register_pipelines() -> dict[str, Pipeline]:
    return {"__default__": pipeline([node(run, ["params:pipeline", "params:day"], "report"), node(check, "report", None)])}
