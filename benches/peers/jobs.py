"""What is to be done: the jobs, and the tables that they read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
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

PLANT = Table("plant", LONG.time, LONG.sensor, LONG.measurements)
"""As a plant writes it: a new time every row, sensors not in strict turn, one odd row in a thousand."""

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


class Input(Enum):
    """How the rows are stored; the value is the file's extension."""

    CSV = "csv"
    CSV_GZ = "csv.gz"
    JSONL = "jsonl"
    PARQUET = "parquet"
    """In `ROW_GROUPS` row groups, with zstd."""
    INFLUX = "lp"
    """Line protocol."""


ROW_GROUPS = 100

SINCE = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
"""Where the time is used, rows before this one are dropped: those of the first second."""


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
    input: Input = Input.CSV
    uses_time: bool = False
    """Whether rows before `SINCE` are dropped, so that the time of each row is parsed."""
    low: float | None = LOW
    high: float | None = HIGH
    wanted: float | None = None
    """How many times as fast as the fastest peer tidemill must be."""
    wanted_rate: float | None = None
    """How many rows a second tidemill must process, where there is no peer."""

    def writing(self, output: Output) -> Job:
        """The same with its rows written, so that they can be compared."""
        return replace(self, output=output)

    def reading(self, kind: Input) -> Job:
        """The same on the same rows, stored in another way."""
        return replace(self, input=kind)


JOBS = (
    Job("nothing", "nothing written", LONG, Steps.SMOOTH, Output.NONE),
    Job("csv", "to CSV", LONG, Steps.SMOOTH, Output.CSV),
    Job("parquet", "to Parquet (zstd)", LONG, Steps.SMOOTH, Output.PARQUET),
    Job("aggregate", "min, mean, max per sensor", LONG, Steps.AGGREGATE, Output.CSV, wanted=5),
    Job("fit", "fit and apply, two passes", LONG, Steps.FIT, Output.NONE, wanted=4),
    Job("wide", "wide, 8 measurements, nothing written", WIDE, Steps.SMOOTH, Output.NONE, wanted=8),
    Job("wide-csv", "wide, 8 measurements, to CSV", WIDE, Steps.SMOOTH, Output.CSV),
    Job("plant", "a new time every row, nothing written", PLANT, Steps.SMOOTH, Output.NONE, wanted=5.5),
    Job("plant-csv", "a new time every row, to CSV", PLANT, Steps.SMOOTH, Output.CSV, wanted=4.5),
    Job(
        "plant-parquet",
        "a new time every row, to Parquet (zstd)",
        PLANT,
        Steps.SMOOTH,
        Output.PARQUET,
        wanted=7,
    ),
    Job(
        "plant-time",
        "a new time every row, parsed and used, nothing written",
        PLANT,
        Steps.SMOOTH,
        Output.NONE,
        uses_time=True,
        wanted=15,
    ),
    Job(
        "gz", "gzip-compressed CSV, nothing written", PLANT, Steps.SMOOTH, Output.NONE, Input.CSV_GZ, wanted=6
    ),
    Job("jsonl", "JSON Lines, nothing written", PLANT, Steps.SMOOTH, Output.NONE, Input.JSONL, wanted=10),
    Job(
        "influx",
        "line protocol, nothing written",
        PLANT,
        Steps.SMOOTH,
        Output.NONE,
        Input.INFLUX,
        wanted_rate=45e6,
    ),
    Job(
        "parquet-parquet",
        f"Parquet in {ROW_GROUPS} row groups to Parquet (zstd)",
        PLANT,
        Steps.SMOOTH,
        Output.PARQUET,
        Input.PARQUET,
        wanted=4,
    ),
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
