"""What tests do with a session of Spark."""

import os
from pathlib import Path

import pyarrow.parquet as pq


def executors(spark):
    """The processes of the executors of this session."""
    application = spark.sparkContext.applicationId.encode()
    commands = {int(path.parent.name): command(path) for path in Path("/proc").glob("[0-9]*/cmdline")}
    return [process for process, words in commands.items() if application in words and b"CoarseGrainedExecutorBackend" in words]


def command(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def arrive(table, folder, number):
    """Writes a table as the file `number` of a stream: Spark reads files in the order of their times, which are milliseconds."""
    file = folder / f"{number}.parquet"
    pq.write_table(table, file)
    at = 1_767_225_600 + number
    os.utime(file, (at, at))


def collect(made, folder):
    """Runs a query over all that has arrived, with its output and its checkpoint in `folder`."""
    sink = made.writeStream.format("parquet").option("path", str(folder / "out")).option("checkpointLocation", str(folder / "state"))
    sink.trigger(availableNow=True).start().awaitTermination()
