"""What is to be done: the jobs, and the tables that they read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

LOW = 0.0
"""Values below are dropped."""

HIGH = 120.0
"""Values above are dropped, and this is what becomes 1."""

WINDOW = 20
"""Records that a moving mean looks back on, the newest included."""


@dataclass(frozen=True)
class Table:
    """The columns of an input file."""

    name: str
    time: str
    sensor: str
    measurements: tuple[str, ...]


LONG = Table("long", "timestamp", "sensor", ("value",))
"""One reading a row."""

WIDE = Table(
    "wide",
    "datetime",
    "unit",
    (
        "temperature",
        "pressure",
        "flow",
        "temperature_2",
        "pressure_2",
        "flow_2",
        "temperature_3",
        "pressure_3",
    ),
)
"""Eight readings a row."""


class Steps(Enum):
    """What happens to the rows."""

    SMOOTH = "smooth"
    """Drop rows with a value outside the bounds; divide by `HIGH`; add the moving mean as `{column}_avg`."""
    AGGREGATE = "aggregate"
    """Count, least, mean and greatest value of each sensor: a row a sensor, ordered or not."""
    FIT = "fit"
    """Drop rows outside the bounds; bring each sensor's least value to 0 and its greatest to 1."""


class Output(Enum):
    """Where the rows go."""

    NONE = "none"
    """Nowhere: they are counted, and their columns summed where an engine would skip the work otherwise."""
    CSV = "csv"
    PARQUET = "parquet"
    """Compressed with zstd."""


@dataclass(frozen=True)
class Job:
    """One line of the table of results."""

    name: str
    title: str
    table: Table
    steps: Steps
    output: Output
    low: float | None = LOW
    high: float | None = HIGH

    def writing(self, output: Output) -> Job:
        """The same with its rows written, so that they can be compared."""
        return replace(self, output=output)


JOBS = (
    Job("nothing", "nothing written", LONG, Steps.SMOOTH, Output.NONE),
    Job("csv", "to CSV", LONG, Steps.SMOOTH, Output.CSV),
    Job("parquet", "to Parquet (zstd)", LONG, Steps.SMOOTH, Output.PARQUET),
    Job("aggregate", "min, mean, max per sensor", LONG, Steps.AGGREGATE, Output.CSV),
    Job("wide", "wide, 8 measurements, nothing written", WIDE, Steps.SMOOTH, Output.NONE),
    Job("wide-csv", "wide, 8 measurements, to CSV", WIDE, Steps.SMOOTH, Output.CSV),
    Job("fit", "fit and apply, two passes", LONG, Steps.FIT, Output.NONE),
)

ODD = Job("odd", "NaN and nulls, lower bound only", LONG, Steps.SMOOTH, Output.CSV, high=None)
"""Never timed: shows how the engines differ on values that are none."""


@dataclass(frozen=True)
class Task:
    """A job with its files: what one process does."""

    job: Job
    input: Path
    output: Path | None
    threads: int

    def target(self) -> Path:
        """The file to write."""
        if self.output is None:
            raise ValueError(f"the job {self.job.name} writes nothing")
        return self.output


@dataclass(frozen=True)
class Summary:
    """What an engine says about its rows, where it writes none."""

    rows: int
    sums: dict[str, float]
    """The sum of each column of values; empty if the engine does not tell."""


def job_named(name: str) -> Job:
    """The job of this name; raises `KeyError` if there is none."""
    return {job.name: job for job in (*JOBS, ODD)}[name]
