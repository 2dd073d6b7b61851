"""A pipeline as a task of Airflow 3: `airflow dags test plant 2026-01-31`."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import job
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

PIPELINE = Path(os.environ.get("PIPELINE", Path(__file__).with_name("plant.toml")))


@dag(schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)
def plant() -> None:
    @task(retries=3, retry_delay=timedelta(seconds=1))
    def run(ds: str) -> dict[str, Any]:
        try:
            return job.run(PIPELINE, ds)
        except job.Refused as error:
            # Not retried.
            raise AirflowFailException(str(error)) from error

    @task
    def check(report: dict[str, Any]) -> None:
        print("records:", report["sinks"][0]["input"])

    # Airflow gives the day.
    check(run(ds="{{ ds }}"))


plant()
