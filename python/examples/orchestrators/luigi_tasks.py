"""A pipeline as a task of Luigi: `luigi --module luigi_tasks Plant --day 2026-01-31 --local-scheduler`."""

import json
import os
from datetime import date
from pathlib import Path

import job
import luigi

PIPELINE = Path(os.environ.get("PIPELINE", Path(__file__).with_name("plant.toml")))


class Run(luigi.Task):
    """A day. It is complete when its report is there, which is written after the output."""

    day: date = luigi.DateParameter()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(PIPELINE.parent / "complete" / f"{self.day}.json")

    def run(self) -> None:
        report = job.run(PIPELINE, str(self.day))
        with self.output().open("w") as file:
            json.dump(report, file)


class Plant(luigi.Task):
    """What needs the day: here, a look at its report."""

    day: date = luigi.DateParameter()

    def requires(self) -> Run:
        return Run(day=self.day)

    def complete(self) -> bool:
        return False

    def run(self) -> None:
        with self.input().open() as file:
            print("records:", json.load(file)["sinks"][0]["input"])
