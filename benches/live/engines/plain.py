"""The pipeline as generators of plain Python: one a step, each record a tuple."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator

from peers.jobs import HIGH, LOW, WINDOW

Record = tuple[str, str, float]


def parse(lines: Iterable[str]) -> Iterator[Record]:
    for line in lines:
        time, sensor, value = line.split(",")
        yield time, sensor, float(value)


def threshold(records: Iterable[Record]) -> Iterator[Record]:
    for record in records:
        if LOW <= record[2] <= HIGH:
            yield record


def normalize(records: Iterable[Record]) -> Iterator[Record]:
    for time, sensor, value in records:
        yield time, sensor, value / HIGH


def moving_average(records: Iterable[Record]) -> Iterator[tuple[str, str, float, float]]:
    """A running sum a sensor: a sum over the window for every record would be slower."""
    windows: dict[str, deque[float]] = {}
    sums: dict[str, float] = {}
    for time, sensor, value in records:
        window = windows.get(sensor)
        if window is None:
            window = windows[sensor] = deque()
            sums[sensor] = 0.0
        total = sums[sensor] + value
        window.append(value)
        if len(window) > WINDOW:
            total -= window.popleft()
        sums[sensor] = total
        yield time, sensor, value, total / len(window)


def encode(records: Iterable[tuple[str, str, float, float]]) -> Iterator[str]:
    for time, sensor, value, mean in records:
        yield f"{time},{sensor},{value!r},{mean!r}\n"


def main() -> None:
    next(sys.stdin)
    sys.stdout.write("timestamp,sensor,value,value_avg\n")
    sys.stdout.writelines(encode(moving_average(normalize(threshold(parse(sys.stdin))))))


if __name__ == "__main__":
    main()
