"""A large input on Spark with 1, 2 and 4 partitions an executor, and with one killed: one digest."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from argparse import Namespace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import tidemill.spark
from pyspark.sql import DataFrame, SparkSession

from figures.bits import STAGES
from figures.same import digest, readings
from figures.session import session


def _executors(spark: SparkSession) -> list[int]:
    application = spark.sparkContext.applicationId.encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if application in words and b"CoarseGrainedExecutorBackend" in words:
            found.append(int(path.parent.name))
    return found


def _written(df: DataFrame, path: Path) -> pa.Table:
    df.write.parquet(str(path))
    return pq.read_table(path)


def main(options: Namespace) -> None:
    import ways

    rows = int(options.rows or 5_000_000)
    given = readings(rows)
    expected = digest(ways.one_process(given, STAGES))
    print(f"one process: {expected}")
    with tempfile.TemporaryDirectory() as name, session() as spark:
        folder = Path(name)
        pq.write_table(given, folder / "given.parquet")
        df = spark.read.parquet(str(folder / "given.parquet"))
        for partitions, is_killed in ((1, False), (2, False), (4, False), (2, True)):
            start = time.perf_counter()
            what = f"{partitions} partitions an executor" + (", one executor killed" if is_killed else "")
            killed: list[int] = []
            killer = threading.Thread(target=_kill, args=(spark, killed), daemon=True)
            if is_killed:
                killer.start()
            made = tidemill.spark.run(df, STAGES, partitions=2 * partitions)
            found = digest(_written(made, folder / f"made-{partitions}-{is_killed}"))
            if is_killed:
                killer.join()
            print(f"{what}: {found}, {time.perf_counter() - start:.0f} s", flush=True)
            assert found == expected, what
            assert len(killed) == is_killed
    print("all the same")


def _kill(spark: SparkSession, killed: list[int]) -> None:
    """Kills an executor as soon as there are tasks."""
    tracker = spark.sparkContext.statusTracker()
    while not any(tracker.getStageInfo(stage).numActiveTasks for stage in tracker.getActiveStageIds()):
        time.sleep(0.05)
    killed.append(_executors(spark)[0])
    os.kill(killed[0], signal.SIGKILL)
