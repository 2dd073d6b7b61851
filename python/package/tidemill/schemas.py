"""What the dictionaries of this package contain, for type checkers.

>>> from tidemill import Pipeline, sinks
>>> from tidemill.schemas import Report
>>> report: Report = Pipeline([[{"sensor": "a", "value": 1.0}], sinks.Null()]).run()
>>> report["sinks"][0]["input"]
1
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NotRequired, TypedDict

__all__ = [
    "FirstPass",
    "Latency",
    "PartReport",
    "PlanDict",
    "PlanPart",
    "RecordDict",
    "Rejection",
    "Rejects",
    "Report",
    "Status",
]


class RecordDict(TypedDict):
    """A record as a dict. Inherit from it to name further columns."""

    sensor: str
    time: NotRequired[datetime | str | None]
    value: NotRequired[float | None]


class PartReport(TypedDict):
    """What happened to the records of a source, stage or sink. input + made = output + folded + filtered + rejected + late + dropped + held."""

    name: str
    input: int
    output: int
    made: int
    folded: int
    filtered: int
    rejected: int
    late: int
    dropped: int
    held: int
    seconds: float
    """Spent in it, summed over all threads."""
    waiting_seconds: float
    """Spent by threads waiting for their turn, in addition."""


class Rejection(TypedDict):
    """A record that was rejected."""

    file: str
    line: int
    """From 1."""
    offset: int
    """In bytes, from 0."""
    column: str | None
    reason: str
    raw: str


class Rejects(TypedDict):
    """The records that were rejected."""

    malformed: int
    late: int
    ahead: int
    first: list[Rejection]
    """The first five."""


class FirstPass(TypedDict):
    """A pass over the input for a stage that is fitted to it."""

    source: PartReport | list[PartReport]
    stages: list[PartReport]
    fit: PartReport
    seconds: float


class Latency(TypedDict):
    """Latencies of live input up to the end of a stage or the output of a sink."""

    part: str
    records: int
    p50_seconds: float
    p99_seconds: float
    p999_seconds: float
    longest_seconds: float
    histogram: list[tuple[int, int]]
    """Upper bound in nanoseconds, and number of records."""


class Report(TypedDict):
    """The report of a run, as in `tidemill run --report`."""

    source: PartReport | list[PartReport]
    """A list if there are several sources."""
    stages: list[PartReport]
    sinks: list[PartReport]
    rejects: Rejects
    sensors: int
    sensors_given_up: NotRequired[int]
    records_before: int
    """Counted before this run resumed."""
    bytes: int
    passes: int
    first_passes: list[FirstPass]
    threads: int
    handing_over_seconds: float
    is_paused: bool
    latencies: list[Latency]
    missing: str | None
    """Input that could not be read."""
    remarks: list[str]
    seconds: float


class PlanPart(TypedDict):
    """What a source, stage or sink would do."""

    name: str
    """Its type, as in a pipeline file."""
    label: str
    """What messages call it."""
    options: dict[str, Any] | None
    """All of them, with defaults."""
    facts: dict[str, str]
    """By topic: `columns`, `reach`, `keeps`, `delivery` and others."""


class PlanDict(TypedDict):
    """What a pipeline would do."""

    source: list[PlanPart]
    stage: list[PlanPart]
    sink: list[PlanPart]
    facts: dict[str, str]


class Status(TypedDict):
    """How far a run in the background has come."""

    records: int | None
    done: int | None
    """Bytes or records that were read."""
    total: int | None
    """Of those; None if unknown."""
    is_over: bool
