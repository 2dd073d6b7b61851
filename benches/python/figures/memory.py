"""The peak of the memory of its own (`RssAnon`) of a process that reads `.stream()`: 50 samples a second."""

from __future__ import annotations

import threading
from argparse import Namespace
from collections.abc import Callable, Iterator

import pyarrow as pa
import tidemill
from tidemill import sources

from figures.data import readings
from figures.rounds import own_memory, peak_memory


class _Sampler:
    """Samples the memory in the background."""

    def __init__(self) -> None:
        self.most = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def _sample(self) -> None:
        while not self._is_over.wait(0.02):
            self.most = max(self.most, own_memory())

    def __enter__(self) -> _Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


class _Again:
    """A source in Python: the same record batch, over and over."""

    def __init__(self, rows: int) -> None:
        self.batch = readings(65_536).combine_chunks().to_batches()[0]
        self.rows = rows

    def stream(self) -> Iterator[pa.RecordBatch]:
        for _ in range(self.rows // len(self.batch)):
            yield self.batch


def _by_batch(stream: tidemill.Stream) -> int:
    return sum(len(batch) for batch in stream.batches())


def _by_record(stream: tidemill.Stream) -> int:
    return sum(1 for _ in stream)


def main(options: Namespace) -> None:
    rows = int(options.rows or 50_000_000)
    given: dict[str, Callable[[], object]] = {
        "synthetic": lambda: sources.Synthetic(records=rows, sensors=1000),
        "a source in Python": lambda: _Again(rows),
    }
    for name, source in given.items():
        for how, read in {"by batch": _by_batch, "by record": _by_record}.items():
            parts = [source(), tidemill.Threshold(min=-1e9), tidemill.MovingAverage(window=20)]
            before = own_memory()
            with _Sampler() as sampler:
                count = read(tidemill.Pipeline(parts).stream(threads=options.threads))
            print(
                f"{name}, {how}: {count:,} records, {sampler.most / 1e6:.0f} MB of its own at most"
                f" ({before / 1e6:.0f} before), {peak_memory() / 1e6:.0f} MB resident at most so far"
            )
