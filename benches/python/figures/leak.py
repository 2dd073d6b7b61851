"""Memory after many small runs of all kinds: to the end, dropped in the middle, and failed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import tidemill

from figures.data import readings
from figures.rounds import own_memory

_TABLE = readings(1000, sensors=10)


class _Source:
    def stream(self) -> Iterator[dict[str, Any]]:
        for at in range(1000):
            yield {"sensor": f"s{at % 10}", "value": float(at)}


class _Stage:
    def process(self, stream: tidemill.Stream) -> Iterator[tidemill.Record]:
        yield from stream


class _Sink:
    def consume(self, stream: tidemill.Stream) -> None:
        for _ in stream:
            pass


class _Failing:
    def process(self, stream: tidemill.Stream) -> Iterator[tidemill.Record]:
        for at, record in enumerate(stream):
            if at == 500:
                raise ValueError("in the middle")
            yield record


def _once() -> None:
    average = tidemill.MovingAverage(window=20)
    tidemill.Pipeline([_Source(), average, _Stage(), _Sink()]).run()
    tidemill.Pipeline([_TABLE, average]).to_arrow()
    stream = tidemill.Pipeline([_Source(), average]).stream()
    next(stream)
    del stream
    chain = tidemill.Chain([average], time="time")
    for batch in _TABLE.to_batches():
        chain.push(batch)
    chain.save()
    try:
        tidemill.Pipeline([_Source(), _Failing(), _Sink()]).run()
    except ValueError:
        return
    raise AssertionError("it did not fail")


def main(options: Namespace) -> None:
    runs = int(options.rows or 1000)
    seen = []
    for number in range(1, runs + 1):
        _once()
        if number in (1, runs // 10) or number % max(runs // 4, 1) == 0:
            seen.append(own_memory())
            print(f"after {number:5} rounds: {seen[-1] / 1e6:7.1f} MB of its own")
    print(f"from round {runs // 10} to {runs}: {(seen[-1] - seen[1]) / 1e6:+.1f} MB")
