"""Stages that depend on other sensors, on a cluster that gives the watermark."""

from datetime import timedelta

import pyarrow as pa
import pytest
import tidemill.spark
from cluster import arrive, collect
from pyspark.sql import functions
from tidemill import Aggregate, Chain, MovingAverage, Silence, SpecError
from ways import COLUMNS, one_process, readings, rows


def end(at, *sensors):
    """A last record of each of `sensors`."""
    return pa.Table.from_pylist([{"sensor": sensor, "time": at, "value": 1.0, "count": 1, "note": "a"} for sensor in sensors], schema=COLUMNS)


def test_a_table_with_the_time_that_it_has_reached(shipped):
    table = readings(2000)
    reached = table["time"][-1].as_py()
    # Two sensors decide the watermark of one process.
    table = pa.concat_tables([table, end(reached, "end 1", "end 2")])
    stages = [Silence(after="10m"), MovingAverage(window=3, columns=["value"])]
    made = tidemill.spark.run(shipped.createDataFrame(table), stages, watermark=reached, partitions=4).toArrow()
    assert rows(made) == rows(one_process(table, stages))
    assert 1.0 in made["silent"].to_pylist()


@pytest.mark.parametrize("stages", [[Aggregate(every="1m")], [Silence(after="10m"), Aggregate(every="5m")]])
def test_a_stream_with_a_watermark_goes_on_from_its_checkpoint(shipped, tmp_path, stages):
    table = readings(900, sensors=5)
    (tmp_path / "in").mkdir()
    late = table["time"][-1].as_py() + timedelta(days=1)
    # When one sensor has been a day further, the intervals of all others have ended, and they are silent.
    pieces = [table.slice(0, 300), table.slice(300, 300), table.slice(600), end(late, "end")]

    def query():
        source = shipped.readStream.schema(shipped.createDataFrame(table).schema).option("maxFilesPerTrigger", 1).parquet(str(tmp_path / "in"))
        collect(tidemill.spark.stream(source.withWatermark("time", "1 minute"), stages), tmp_path)

    for at, piece in enumerate(pieces):
        arrive(piece, tmp_path / "in", at)
        if at % 2:
            query()
    made = shipped.read.parquet(str(tmp_path / "out")).toArrow()
    # One chain that has all sensors, and is given the last watermark.
    chain = Chain(stages, time="time", partitioned=True)
    parts = [chain.push(batch) for piece in pieces for batch in piece.combine_chunks().to_batches()]
    parts.append(chain.advance(int((late - timedelta(minutes=1)).timestamp()) * 10**9))
    assert rows(made) == rows(pa.Table.from_batches([pa.record_batch(part) for part in parts]))
    assert made.num_rows > 0


@pytest.mark.parametrize("stage", [Aggregate(every="1m"), Silence(after="1m")])
def test_the_watermark_of_another_column_does_not_count(shipped, stage):
    arrival = functions.col("timestamp")
    columns = [functions.lit("a").alias("sensor"), (arrival - functions.expr("INTERVAL 1 DAY")).alias("time"), arrival.alias("arrival"), "value"]
    records = shipped.readStream.format("rate").load().select(*columns)
    tidemill.spark.stream(records.withWatermark("time", "1 minute"), [stage])
    with pytest.raises(SpecError, match="depends on other sensors") as raised:
        tidemill.spark.stream(records.withWatermark("arrival", "1 minute"), [stage])
    assert '`withWatermark("time", …)`' in raised.value.help
