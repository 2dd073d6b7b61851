"""Pipelines on Spark (two executors of one core each), beside the same in Spark's own functions.

The input is in the memory of the executors; results are discarded (`noop`). Each is measured with several
numbers of partitions, ours also with several sizes of record batches; the fastest are compared, warm.
Results are compared on a small input before.
"""

from __future__ import annotations

import math
import statistics
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import tidemill.spark
from pyspark.sql import DataFrame, SparkSession, Window, functions
from tidemill import Aggregate, Component, MovingAverage, MovingStd, Normalize, Threshold

from figures.rounds import measured, table
from figures.session import session

HIGH = 120.0
SENSORS = 1000
_BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"
_PARTITIONS = "spark.sql.shuffle.partitions"


@dataclass(frozen=True)
class Job:
    """The same in both."""

    name: str
    stages: Sequence[Component]
    own: Callable[[DataFrame], DataFrame]


def _rows(count: int) -> Window:
    return Window.partitionBy("sensor").orderBy("time").rowsBetween(1 - count, 0)


def _mean_of(count: int) -> Callable[[DataFrame], DataFrame]:
    return lambda df: df.withColumn("value_avg", functions.avg("value").over(_rows(count)))


def _whole(df: DataFrame) -> DataFrame:
    """Every step as a window over the same partitions: one shuffle for all but the last step."""
    kept = df.filter(functions.col("value").between(0.0, HIGH))
    all_ = Window.partitionBy("sensor")
    low, high = functions.min("value").over(all_), functions.max("value").over(all_)
    scaled = kept.withColumn("low", low).withColumn("high", high)
    scaled = scaled.withColumn(
        "value",
        (functions.col("value") - functions.col("low")) / (functions.col("high") - functions.col("low")),
    )
    moving = scaled.withColumn("value_avg", functions.avg("value").over(_rows(20)))
    moving = moving.withColumn("value_std", functions.stddev_pop("value").over(_rows(1000)))
    names = ("value", "value_avg", "value_std")
    means = [functions.avg(name).alias(f"{name}_mean") for name in names]
    return moving.groupBy("sensor", functions.window("time", "1 hour").start.alias("time")).agg(*means)


JOBS = [
    Job(
        "five stages",
        [
            Threshold(min=0.0, max=HIGH),
            Normalize(fit=True),
            MovingAverage(window=20, columns=["value"]),
            MovingStd(window=1000, columns=["value"]),
            Aggregate(every="1h", statistics=["mean"]),
        ],
        _whole,
    ),
    Job("mean of 20", [MovingAverage(window=20)], _mean_of(20)),
    Job("mean of 1,000", [MovingAverage(window=1000)], _mean_of(1000)),
]


def _given(spark: SparkSession, rows: int) -> DataFrame:
    """Readings in the memory of the executors, by time, a second apart for each sensor."""
    at = functions.col("id")
    noise = (functions.xxhash64(at) % 1_000_000) / 1_000_000.0
    df = spark.range(0, rows, numPartitions=4).select(
        functions.concat(functions.lit("sensor-"), (at % SENSORS).cast("string")).alias("sensor"),
        functions.timestamp_micros(1_767_225_600_000_000 + functions.floor(at / SENSORS) * 1_000_000).alias(
            "time"
        ),
        (60 + 40 * functions.sin(at / 997.0) + 30 * noise).alias("value"),
    )
    df = df.persist()
    df.count()
    return df


def _discard(df: DataFrame) -> None:
    df.write.format("noop").mode("overwrite").save()


def _idle(df: DataFrame) -> DataFrame:
    """What the way of the records costs alone: shuffled, sorted, to Python and back."""
    return (
        df.repartition("sensor").sortWithinPartitions("time").mapInArrow(lambda batches: batches, df.schema)
    )


def _ways(
    spark: SparkSession, made: Callable[[], DataFrame], batches: Sequence[int]
) -> dict[str, Callable[[], None]]:
    """The same with several settings."""

    def way(partitions: int, batch: int) -> Callable[[], None]:
        def run() -> None:
            spark.conf.set(_PARTITIONS, partitions)
            spark.conf.set(_BATCH, batch)
            _discard(made())

        return run

    return {
        f"{parts} partitions, {batch:,} a batch": way(parts, batch) for parts in (2, 4) for batch in batches
    }


def _fastest(title: str, ways: Mapping[str, Callable[[], None]]) -> Callable[[], None]:
    seconds = measured(ways, repeats=1)
    table(title, seconds)
    return ways[min(seconds, key=lambda name: statistics.median(seconds[name]))]


def _check(spark: SparkSession) -> None:
    df = _given(spark, 200_000)
    for job in JOBS:
        ours, own = _sums(tidemill.spark.run(df, job.stages)), _sums(job.own(df))
        assert ours.keys() == own.keys(), (ours, own)
        for name, value in own.items():
            assert math.isclose(value, ours[name], rel_tol=1e-6, abs_tol=1e-6), (
                job.name,
                name,
                value,
                ours[name],
            )
    df.unpersist()


def _sums(df: DataFrame) -> dict[str, float]:
    names = [name for name, kind in df.dtypes if kind == "double" and name not in ("low", "high")]
    row = df.agg(
        functions.count("*").alias("rows"),
        *(functions.sum(functions.coalesce(name, functions.lit(0.0))).alias(name) for name in names),
    ).first()
    return {name: float(value) for name, value in row.asDict().items()}


def main(options: Namespace) -> None:
    rows = int(options.rows or 5_000_000)
    with session() as spark:
        _check(spark)
        df = _given(spark, rows)
        idle = _fastest("idle mapInArrow", _ways(spark, lambda: _idle(df), (10_000, 100_000)))
        for job in JOBS:
            ours = _ways(spark, lambda job=job: tidemill.spark.run(df, job.stages), (10_000, 100_000))
            own = _ways(spark, lambda job=job: job.own(df), (10_000,))
            ways = {
                "tidemill": _fastest(f"{job.name}: tidemill", ours),
                "Spark's own functions": _fastest(f"{job.name}: Spark's own functions", own),
                "idle mapInArrow": idle,
            }
            table(f"{job.name}, {rows:,} rows", measured(ways, options.repeats), rows)
