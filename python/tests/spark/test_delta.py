"""Delta Lake: tables read and written, at rest and as streams, and looked at by its other implementation, `deltalake`."""

import os

import pytest
import tidemill.spark
from deltalake import DeltaTable, write_deltalake
from tidemill import MovingAverage, Normalize, Threshold
from ways import one_process, readings, rows

pytestmark = pytest.mark.skipif("TIDEMILL_JARS" not in os.environ, reason="`cargo xtask python` brings the jars of Delta Lake")

STAGES = [Threshold(columns=["value"], min=-150), MovingAverage(window=20, columns=["value"])]


def table_of(path):
    return DeltaTable(str(path)).to_pyarrow_table()


def test_a_table_to_a_table(shipped, tmp_path):
    table, stages = readings(3000), [*STAGES, Normalize(columns=["value"], fit=True)]
    given, made = str(tmp_path / "given"), str(tmp_path / "made")
    write_deltalake(given, table)
    result = tidemill.spark.run(shipped.read.format("delta").load(given), stages)
    result.write.format("delta").save(made)
    expected = rows(one_process(table, stages))
    assert rows(table_of(made)) == expected
    assert rows(shipped.read.format("delta").load(made).toArrow()) == expected


def test_a_stream_of_a_table_to_a_table(shipped, tmp_path):
    given, made = str(tmp_path / "given"), str(tmp_path / "made")
    table = readings(3000)

    def query():
        source = shipped.readStream.format("delta").load(given)
        sink = tidemill.spark.stream(source, STAGES).writeStream.format("delta").option("checkpointLocation", str(tmp_path / "state"))
        sink.trigger(availableNow=True).start(made).awaitTermination()

    # Each piece is a version of the table; the query stops in between.
    for at in range(3):
        write_deltalake(given, table.slice(1000 * at, 1000), mode="append")
        query()
    assert rows(table_of(made)) == rows(one_process(table, STAGES))
    assert DeltaTable(made).version() == 2
