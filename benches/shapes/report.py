"""The figures of all shapes as a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from peers.machine import Machine
from peers.process import Usage
from shapes.shapes import Shape

COMMON = 10.0
RARE = 5.0
"""How many times as fast as Polars a shape must be."""

CLIFF = 4.0
"""How many times as long as the fastest shape a byte may take."""


@dataclass(frozen=True)
class Result:
    """The runs of one shape."""

    shape: Shape
    rows: int
    bytes: int
    own: Sequence[Usage]
    start: Sequence[Usage]
    """Runs on the same file without rows."""
    polars: Sequence[float]
    """Seconds, without the start of the process."""

    @property
    def seconds(self) -> float:
        """Wall time without the start of the process."""
        whole = statistics.median(usage.seconds for usage in self.own)
        return whole - statistics.median(usage.seconds for usage in self.start)

    @property
    def core_nanoseconds(self) -> float:
        """CPU time of all threads for a row, without the start of the process."""
        whole = statistics.median(usage.cpu_seconds for usage in self.own)
        return (whole - statistics.median(usage.cpu_seconds for usage in self.start)) * 1e9 / self.rows

    @property
    def gigabytes_per_second(self) -> float:
        return self.bytes / self.seconds / 1e9

    @property
    def ratio(self) -> float:
        return statistics.median(self.polars) / self.seconds

    @property
    def wanted(self) -> float:
        return COMMON if self.shape.is_common else RARE

    def record(self) -> dict[str, object]:
        """Every run, for JSON."""
        figures = {"runs": _figures(self.own), "starts": _figures(self.start), "polars": [*self.polars]}
        return {"name": self.shape.name, "rows": self.rows, "bytes": self.bytes} | figures


def _figures(usages: Sequence[Usage]) -> list[dict[str, float]]:
    kept = ("seconds", "cpu_seconds", "peak_anonymous")
    return [{name: getattr(usage, name) for name in kept} for usage in usages]


def table(results: Sequence[Result], repeats: int, threads: int, here: Machine, commit: str) -> str:
    """All shapes; what is missed is marked."""
    fastest = max(result.gigabytes_per_second for result in results)
    starts = statistics.median(usage.seconds for result in results for usage in result.start)
    lines = [
        "# Decoding by shape",
        "",
        f"Nothing is written; every time is parsed and checked by both, every column used. {threads} threads, page cache warm, medians of {repeats} "
        f"runs in turn. Both without the start of the process: Polars is timed from within; from the time of tidemill, that of a run on a file without "
        f"rows is subtracted ({starts * 1000:.1f} ms).",
        "",
        "| shape | bytes a row | core-ns a row | GB/s | slower per byte than the fastest | over Polars | wanted |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        slower = fastest / result.gigabytes_per_second
        cliff = "" if slower <= CLIFF else " (missed)"
        missed = "" if result.ratio >= result.wanted else " (missed)"
        lines.append(
            f"| {result.shape.title} | {result.bytes / result.rows:.1f} | {result.core_nanoseconds:.1f} | {result.gigabytes_per_second:.2f} "
            f"| {slower:.1f} ×{cliff} | {result.ratio:.1f} ×{missed} | {result.wanted:.0f} × |"
        )
    return "\n".join([*lines, "", f"Measured on: {here}; commit {commit}.", ""])
