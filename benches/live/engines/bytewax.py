"""The pipeline as a dataflow of Bytewax, on one worker: standard input is one partition, and a second
worker's Python waits for the same lock.

Steps without state take batches, not records, and the moving mean takes all new records of a sensor at once.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main

from peers.jobs import HIGH, LOW, WINDOW

BATCH = 20_000
"""Lines at once: with 1,000 sensors, larger ones are no faster."""

Reading = tuple[str, float]
Smoothed = tuple[str, float, float]


class Lines(StatelessSourcePartition[str]):
    """Standard input, so many lines at once."""

    def __init__(self) -> None:
        next(sys.stdin)

    def next_batch(self) -> list[str]:
        lines = list(islice(sys.stdin, BATCH))
        if not lines:
            raise StopIteration
        return lines


class Input(DynamicSource[str]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> Lines:
        return Lines()


def clean(lines: Iterable[str]) -> Iterator[tuple[str, Reading]]:
    """Decodes, drops what is out of bounds, brings to scale."""
    for line in lines:
        time, sensor, text = line.split(",")
        value = float(text)
        if LOW <= value <= HIGH:
            yield sensor, (time, value / HIGH)


State = tuple[deque[float], float]


class MovingAverage(StatefulBatchLogic[Reading, Smoothed, State]):
    def __init__(self, state: State | None) -> None:
        self.window, self.total = state or (deque(), 0.0)

    def on_batch(self, values: list[Reading]) -> tuple[list[Smoothed], bool]:
        window, total, smoothed = self.window, self.total, []
        for time, value in values:
            window.append(value)
            total += value
            if len(window) > WINDOW:
                total -= window.popleft()
            smoothed.append((time, value, total / len(window)))
        self.total = total
        return smoothed, StatefulBatchLogic.RETAIN

    def snapshot(self) -> State:
        return self.window.copy(), self.total


class Written(StatelessSinkPartition[tuple[str, Smoothed]]):
    def __init__(self) -> None:
        sys.stdout.write("timestamp,sensor,value,value_avg\n")

    def write_batch(self, items: list[tuple[str, Smoothed]]) -> None:
        sys.stdout.writelines(
            f"{time},{sensor},{value!r},{mean!r}\n" for sensor, (time, value, mean) in items
        )


class Output(DynamicSink[tuple[str, Smoothed]]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> Written:
        return Written()


flow = Dataflow("smooth")
lines = op.input("lines", flow, Input())
readings = op.flat_map_batch("clean", lines, clean)
smoothed = op.stateful_batch("moving_average", readings, MovingAverage)
op.output("written", smoothed, Output())

if __name__ == "__main__":
    cli_main(flow)
