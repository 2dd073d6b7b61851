"""A stage in Python that does nothing, by batch and by record: the time of a run with and without it."""

from __future__ import annotations

import statistics
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import tidemill
from tidemill import sinks

from figures.data import readings
from figures.rounds import measured, table


class ByBatch:
    """Passes record batches on."""

    def process(self, stream: tidemill.Stream) -> Iterator[Any]:
        yield from stream.batches()


class ByRecord:
    """Passes records on."""

    def process(self, stream: tidemill.Stream) -> Iterator[Any]:
        yield from stream


def main(options: Namespace) -> None:
    rows = int(options.rows or 10_000_000)
    given = readings(rows)

    def run(*stages: object) -> object:
        parts = [given, tidemill.Threshold(min=0.0), *stages, tidemill.MovingAverage(window=20), sinks.Null()]
        return tidemill.Pipeline(parts).run(threads=options.threads)

    ways = {"without": run, "by batch": lambda: run(ByBatch()), "by record": lambda: run(ByRecord())}
    seconds = measured(ways, options.repeats)
    table(f"{rows:,} rows", seconds, rows)
    base = statistics.median(seconds["without"])
    passed = int(run()["stages"][0]["output"])  # type: ignore[index]
    for name in ("by batch", "by record"):
        extra = statistics.median(seconds[name]) - base
        print(f"{name}: {extra / passed * 1e6:.3f} µs for each of the {passed:,} records that pass it")
