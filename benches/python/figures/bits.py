"""A large input in every way that one process has: by threads, by record, live, resumed, moved, divided.

All digests must be one.
"""

from __future__ import annotations

import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
from tidemill import Component, MovingAverage, MovingMedian, MovingStd, Normalize, Threshold

from figures.same import digest, readings

# The tests have the ways.
sys.path.insert(0, str(Path(__file__).parents[3] / "python/tests"))

STAGES: list[Component] = [
    Threshold(columns=["value"], min=-250.0, max=250.0),
    Normalize(columns=["value"], method="z_score", fit=True),
    MovingAverage(window=20, columns=["value", "count"]),
    MovingStd(window=1000, columns=["value"]),
    MovingMedian(window="1m", columns=["value"]),
]


def _read(path: Path, like: pa.Table) -> pa.Table:
    """A CSV file as the table that was written."""
    kinds = {field.name: field.type for field in like.schema}
    for name, kind in kinds.items():
        if pa.types.is_dictionary(kind):
            kinds[name] = pa.string()
    return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=kinds, null_values=[""]))


def main(options: Namespace) -> None:
    import ways

    rows = int(options.rows or 5_000_000)
    given = readings(rows)
    expected = ways.one_process(given, STAGES)
    print(f"one process, one thread: {digest(expected)}, {len(expected):,} of {rows:,} records")
    constants = ways.constants_of(given, STAGES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        learnt = ways.loading(STAGES, constants, folder)

        def resumed() -> pa.Table:
            return _read(ways.live_and_resumed(given, learnt, folder, [rows // 3, rows // 2]), expected)

        all_: dict[str, Callable[[], pa.Table]] = {
            "by batch, 2 threads": lambda: ways.by_batch(given, STAGES, 2),
            "by batch, 4 threads": lambda: ways.by_batch(given, STAGES, 4),
            "by record": lambda: ways.by_record(given, learnt),
            "live, by record": lambda: ways.live(given, learnt),
            "live, resumed twice": resumed,
            "moved between processes": lambda: ways.moved(given, STAGES, constants, rows // 20),
            **{
                f"divided into {count} partitions": lambda count=count: ways.divided(
                    given, STAGES, count, 10_000, 1
                )
                for count in (1, 2, 4)
            },
        }
        for name, way in all_.items():
            start = time.perf_counter()
            found = digest(way())
            print(f"{name}: {found}, {time.perf_counter() - start:.0f} s", flush=True)
            assert found == digest(expected), name
    print("all the same")
