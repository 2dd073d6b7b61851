"""A pipeline as a task of Prefect 3: `python prefect_flow.py 2026-01-31`."""

import os
import sys
from pathlib import Path
from typing import Any

import job
from prefect import flow, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

PIPELINE = Path(os.environ.get("PIPELINE", Path(__file__).with_name("plant.toml")))


def may_retry(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether running it again may help."""
    return not isinstance(state.result(raise_on_failure=False), job.Refused)


run = task(job.run, retries=3, retry_delay_seconds=1, retry_condition_fn=may_retry)


@flow
def plant(day: str) -> dict[str, Any]:
    """The report of a day."""
    report = run(PIPELINE, day)
    print("records:", report["sinks"][0]["input"])
    return report


if __name__ == "__main__":
    plant(sys.argv[1])
