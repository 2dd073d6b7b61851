"""Tables that are the same to the bit have the same digest, in whatever order their records are."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from figures.data import SECOND


def digest(made: pa.Table) -> str:
    """Of the columns by name; records are sorted by sensor and time."""
    plain = {name: _plain(made[name].combine_chunks()) for name in sorted(made.column_names)}
    ordered = pa.table(plain).sort_by([("sensor", "ascending"), ("time", "ascending")])
    hashed = hashlib.sha256()
    for name in ordered.column_names:
        column = ordered[name].combine_chunks()
        hashed.update(f"{name} {column.type} {len(column)}".encode())
        for buffer in (column.is_valid().cast(pa.uint8()), pc.fill_null(column, _zero(column.type))):
            hashed.update(_bytes(buffer))
    return hashed.hexdigest()[:16]


def _plain(column: pa.Array) -> pa.Array:
    """In the types that a cluster gives."""
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.string())
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", "UTC"))
    return column.cast(pa.int64()) if pa.types.is_uint64(column.type) else column


def _zero(kind: pa.DataType) -> pa.Scalar:
    return pa.scalar("" if pa.types.is_string(kind) else 0, kind)


def _bytes(column: pa.Array) -> bytes:
    if pa.types.is_string(column.type):
        return "\n".join(column.to_pylist()).encode()
    return np.ascontiguousarray(column.to_numpy(zero_copy_only=False)).tobytes()


def readings(rows: int, sensors: int = 100) -> pa.Table:
    """Sorted by time; some values are null, NaN, or integers that are no floating-point numbers."""
    generator = np.random.default_rng(1)
    at = np.arange(rows)
    value = generator.normal(0, 100, rows)
    value[generator.random(rows) < 0.01] = np.nan
    count = generator.integers(-(2**60), 2**60, rows)
    return pa.table(
        {
            "sensor": pa.array(np.char.add("s", (at % sensors).astype(str))).cast(pa.string()),
            "time": pa.array(
                at * (SECOND // 1_000_000) + 1_767_225_600 * 1_000_000, pa.timestamp("us", "UTC")
            ),
            "value": pa.array(value, mask=generator.random(rows) < 0.02),
            "count": pa.array(count, mask=generator.random(rows) < 0.02),
            "note": pa.array(np.array(["a", "b", "ü"])[generator.integers(0, 3, rows)]).cast(pa.string()),
        }
    )
