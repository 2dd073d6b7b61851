"""Drop values outside 0 … 120, scale to 0 … 1, mean of the last 20 of each sensor: from table to table.

Polars and pandas are each measured in several forms; the fastest of each is compared. Their results are
compared with ours before.
"""

from __future__ import annotations

import statistics
from argparse import Namespace
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import tidemill

from figures.data import readings
from figures.rounds import measured, table

WINDOW = 20
HIGH = 120.0


def ours(given: pa.Table, threads: int) -> tidemill.Table:
    stages = [
        tidemill.Threshold(min=0.0, max=HIGH),
        tidemill.Normalize(min=0.0, max=HIGH),
        tidemill.MovingAverage(window=WINDOW),
    ]
    return tidemill.Pipeline([given, *stages]).to_table(threads=threads)


def _steps(frame: pl.LazyFrame) -> pl.LazyFrame:
    value = pl.col("value")
    return frame.filter((value >= 0.0) & (value <= HIGH)).with_columns(value / HIGH)


def _over(frame: pl.LazyFrame) -> pl.LazyFrame:
    mean = pl.col("value").rolling_mean(WINDOW, min_samples=1).over("sensor")
    return _steps(frame).with_columns(mean.alias("value_avg"))


def _exploded(frame: pl.LazyFrame) -> pl.LazyFrame:
    mean = pl.col("value").rolling_mean(WINDOW, min_samples=1).alias("value_avg")
    groups = _steps(frame).group_by("sensor").agg("time", "value", mean)
    return groups.explode("time", "value", "value_avg")


def polars_forms(frame: pl.DataFrame) -> dict[str, Callable[[], object]]:
    lazy = frame.lazy()
    return {
        "polars, over": lambda: _over(lazy).collect(),
        "polars, over, streaming": lambda: _over(lazy).collect(engine="streaming"),
        "polars, group by": lambda: _exploded(lazy).collect(),
        "polars, group by, streaming": lambda: _exploded(lazy).collect(engine="streaming"),
    }


def _within(frame: pd.DataFrame) -> pd.DataFrame:
    kept = frame[(frame["value"] >= 0.0) & (frame["value"] <= HIGH)]
    return kept.assign(value=kept["value"] / HIGH)


def _rolling(frame: pd.DataFrame) -> pd.DataFrame:
    kept = _within(frame)
    groups = kept.groupby("sensor", sort=False, observed=True)["value"]
    return kept.assign(value_avg=groups.rolling(WINDOW, min_periods=1).mean().droplevel(0))


def _sorted_rolling(frame: pd.DataFrame) -> pd.DataFrame:
    """The same without the index of each group."""
    kept = _within(frame).sort_values("sensor", kind="stable")
    groups = kept.groupby("sensor", sort=False, observed=True)["value"]
    return kept.assign(value_avg=groups.rolling(WINDOW, min_periods=1).mean().to_numpy())


def pandas_forms(frame: pd.DataFrame) -> dict[str, Callable[[], object]]:
    return {
        "pandas, rolling": lambda: _rolling(frame),
        "pandas, sorted, rolling": lambda: _sorted_rolling(frame),
    }


def _fastest(forms: Mapping[str, Callable[[], object]]) -> tuple[str, Callable[[], object]]:
    seconds = measured(forms, repeats=1)
    table("forms", seconds)
    name = min(seconds, key=lambda name: statistics.median(seconds[name]))
    return name, forms[name]


def _check(given: pa.Table) -> None:
    """All give the same, on a small input."""
    expected = pa.table(ours(given, 1)).to_pandas().astype({"sensor": str}).sort_values(["sensor", "time"])
    for form in polars_forms(pl.DataFrame(given)).values():
        _compare(form().to_pandas(), expected)  # type: ignore[attr-defined]
    for form in pandas_forms(given.to_pandas()).values():
        _compare(form(), expected)  # type: ignore[arg-type]


def _compare(made: pd.DataFrame, expected: pd.DataFrame) -> None:
    made = made.astype({"sensor": str}).sort_values(["sensor", "time"])
    for name in ("value", "value_avg"):
        np.testing.assert_allclose(made[name].to_numpy(), expected[name].to_numpy(), rtol=1e-9)


def main(options: Namespace) -> None:
    _check(readings(20_000, sensors=100))
    rows = int(options.rows or 10_000_000)
    given = readings(rows)
    polars_frame, pandas_frame = pl.DataFrame(given), given.to_pandas()
    others = dict([_fastest(polars_forms(polars_frame)), _fastest(pandas_forms(pandas_frame))])
    ways = {"tidemill": lambda: ours(given, options.threads), **others}
    table(f"{rows:,} rows", measured(ways, options.repeats), rows)
