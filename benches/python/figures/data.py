"""The input: readings of many sensors in turn, one of a sensor each second."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

SENSORS = 1000
SECOND = 1_000_000_000


def readings(rows: int, seed: int = 1, sensors: int = SENSORS) -> pa.Table:
    """`sensor` (dictionary), `time` (ns, UTC), `value` (some out of bounds), in batches of 65,536 records."""
    generator = np.random.default_rng(seed)
    at = np.arange(rows)
    names = pa.array([f"sensor-{number:04}" for number in range(sensors)])
    columns = {
        "sensor": pa.DictionaryArray.from_arrays(pa.array((at % sensors).astype(np.int32)), names),
        "time": pa.array(at // sensors * SECOND + 1_767_225_600 * SECOND, pa.timestamp("ns", "UTC")),
        "value": pa.array(generator.normal(60, 30, rows)),
    }
    whole = pa.table(columns)
    return pa.Table.from_batches(whole.to_batches(max_chunksize=65_536))
