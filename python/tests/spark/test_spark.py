"""Spark with executors of its own, judged by one chain."""

import os
import random
import re
import signal
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tidemill.spark
from cluster import arrive, collect, executors
from tidemill import Aggregate, Chain, Fit, MovingAverage, MovingMedian, Normalize, Pipeline, Pivot, Rate, Silence, SpecError, Threshold

STAGES = [Threshold(columns=["value"], min=-150, max=150), MovingAverage(window=20, columns=["value"]), MovingMedian(window="20s", columns=["value"])]
# In Berlin, the time zone of the session, the clocks are put back a minute later: local times are ambiguous.
START = datetime(2025, 10, 26, 0, 59, tzinfo=UTC)
COLUMNS = pa.schema(
    [
        ("sensor", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("value", pa.float64()),
        ("count", pa.int64()),
        ("is_open", pa.bool_()),
        ("note", pa.string()),
    ]
)


def readings(count, first=0):
    """Records in any order; some values are null, NaN, or integers that are no floating-point numbers."""
    generator = random.Random(first)
    records = [
        {
            "sensor": f"s{generator.randrange(13)}",
            "time": START + timedelta(milliseconds=at * 37),
            "value": generator.choice([None, float("nan"), *[generator.gauss(0, 100) for _ in range(8)]]),
            "count": generator.choice([None, 2**53 + 1, -at]),
            "is_open": generator.choice([None, True, False]),
            "note": generator.choice([None, "", "ü"]),
        }
        for at in range(first, first + count)
    ]
    generator.shuffle(records)
    return pa.Table.from_pylist(records, schema=COLUMNS)


def bits(value):
    return struct.pack("<d", value).hex() if isinstance(value, float) else value


def rows(table, *order):
    """The rows of a table, with numbers as bits, sorted."""
    order = order or ("sensor", "time")
    records = table.to_pylist()
    assert len({tuple(record[name] for name in order) for record in records}) == len(records)
    return sorted(({name: bits(value) for name, value in record.items()} for record in records), key=lambda record: [record[name] for name in order])


def one_chain(table, stages, **options):
    """What one chain gives for all records, sorted by time."""
    chain = Chain(stages, time="time", **options)
    made = [chain.push(batch) for batch in table.sort_by("time").combine_chunks().to_batches()]
    return pa.Table.from_batches([pa.record_batch(batch) for batch in [*made, chain.finish()]])


@pytest.mark.parametrize("partitions", [1, 2, 4])
def test_a_table_gives_what_one_chain_gives(shipped, partitions):
    table = readings(10_000)
    made = tidemill.spark.run(shipped.createDataFrame(table), STAGES, partitions=partitions)
    assert made.rdd.getNumPartitions() == partitions
    assert rows(made.toArrow()) == rows(one_chain(table, STAGES))


@pytest.mark.parametrize("stages", [[], [Aggregate(every="10s")], [Aggregate()], [Rate(per="1s")], [Normalize(method="z_score", running=True)]])
def test_other_stages_give_the_same(shipped, stages):
    table = readings(3000)
    made = tidemill.spark.run(shipped.createDataFrame(table), stages, measurements=["value", "count"]).toArrow()
    order = ("sensor", "time") if "time" in made.column_names else ("sensor",)
    assert rows(made, *order) == rows(one_chain(table, stages, measurements=["value", "count"]), *order)


@pytest.mark.parametrize("first", [Threshold(columns=["value"], max=50), MovingAverage(window=3, columns=["value"])])
def test_stages_are_fitted_where_the_records_are(shipped, first, tmp_path):
    table, saved = readings(3000), tmp_path / "constants.json"
    stages = [first, Normalize(columns=["value"], fit=True), Normalize(method="robust", columns=["value"], fit=True, save=str(saved))]
    frame = shipped.createDataFrame(table).repartition(5)
    made = tidemill.spark.run(frame, stages)
    expected = rows(Pipeline([table.sort_by("time"), *stages]).to_arrow())
    assert rows(made.toArrow()) == expected
    constants = tidemill.spark.fit(frame, stages)
    assert constants[0] is None and constants[2] == saved.read_text()
    assert rows(tidemill.spark.run(frame, stages, constants=constants).toArrow()) == expected


def test_constants_are_learnt_from_other_records(shipped):
    table, stages = readings(3000), [Threshold(columns=["value"], max=50), Normalize(columns=["value"], fit=True)]
    fit = Fit(stages, time="time")
    for batch in table.to_batches():
        fit.observe(batch)
    constants = [None, fit.finish()]
    made = tidemill.spark.run(shipped.createDataFrame(table.slice(0, 1000)), stages, constants=constants)
    assert rows(made.toArrow()) == rows(one_chain(table.slice(0, 1000), stages, constants=constants))


def test_names_and_types_of_columns(shipped):
    at = "TIMESTAMP_NTZ '2026-01-01 00:00:00.000001'"
    frame = shipped.sql(f"SELECT 7 AS `pump no.`, {at} AS `.in situ`, CAST(1 AS FLOAT) AS `a.v`, array(1) AS list")
    made = tidemill.spark.run(frame, [Normalize(fit=True), MovingAverage(window=2, count=True)], time=".in situ", sensor="pump no.")
    assert dict(made.dtypes) == {
        "pump no.": "string",
        ".in situ": "timestamp_ntz",
        "a.v": "double",
        "a.v_avg": "double",
        "a.v_avg_count": "bigint",
    }
    assert [tuple(row) for row in made.collect()] == [("7", datetime(2026, 1, 1, microsecond=1), 0.0, 0.0, 1)]


def test_records_of_one_time_have_an_order(shipped):
    values = [*map(float, range(98)), float("nan"), None]
    sorted_table = pa.Table.from_pylist([{"sensor": "a", "time": START, "value": value, "note": str(at)} for at, value in enumerate(values)])
    expected = one_chain(sorted_table, [MovingAverage(window=3)]).drop_columns(["sensor", "time"]).to_pylist()
    for partitions in (1, 7):
        frame = shipped.createDataFrame(sorted_table.take(random.Random(1).sample(range(100), 100))).repartition(partitions)
        made = tidemill.spark.run(frame, [MovingAverage(window=3)]).drop("sensor", "time").toArrow().to_pylist()
        assert [bits(value) for row in made for value in row.values()] == [bits(value) for row in expected for value in row.values()]


def test_an_executor_that_is_killed_changes_nothing(shipped):
    table = readings(10_000)

    def slowly(batches):
        for batch in batches:
            time.sleep(0.3)
            yield batch

    made = tidemill.spark.run(shipped.createDataFrame(table), STAGES, partitions=4)
    made = made.mapInArrow(slowly, made.schema)
    killed = []

    def kill():
        killed.append(executors(shipped)[0])
        os.kill(killed[0], signal.SIGKILL)

    timer = threading.Timer(2, kill)
    timer.start()
    result = made.toArrow()
    assert killed, "the run ended before the executor was killed"
    assert rows(result) == rows(one_chain(table, STAGES))


def test_a_stream_goes_on_from_its_checkpoint(shipped, tmp_path):
    arrived = [readings(2000, 2000 * at) for at in range(3)]
    (tmp_path / "in").mkdir()

    def query():
        source = shipped.readStream.schema(shipped.createDataFrame(arrived[0]).schema).option("maxFilesPerTrigger", 1).parquet(str(tmp_path / "in"))
        made = tidemill.spark.stream(source, STAGES)
        collect(made, tmp_path)

    for at in (0, 1):
        arrive(arrived[at], tmp_path / "in", at)
    query()
    arrive(arrived[2], tmp_path / "in", 2)
    query()
    made = shipped.read.parquet(str(tmp_path / "out")).toArrow()
    assert rows(made) == rows(one_chain(pa.concat_tables(arrived), STAGES))


def test_a_stream_whose_columns_have_dots(shipped, tmp_path):
    names = {"sensor": "pump.no", "time": "the.time", "value": "a.v", "count": "a.n", "is_open": "is.open", "note": "`note`"}
    table = readings(500).rename_columns(list(names.values()))
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "0.parquet")
    source = shipped.readStream.schema(shipped.createDataFrame(table).schema).parquet(str(tmp_path / "in"))
    roles = {"time": "the.time", "sensor": "pump.no"}
    made = tidemill.spark.stream(source, [MovingAverage(window=3)], **roles)
    collect(made, tmp_path)
    chain = Chain([MovingAverage(window=3)], **roles)
    expected = pa.table(pa.record_batch(chain.push(table.sort_by("the.time").combine_chunks().to_batches()[0])))
    order = ("pump.no", "the.time")
    assert rows(shipped.read.parquet(str(tmp_path / "out")).toArrow(), *order) == rows(expected, *order)


def test_the_readme(shipped):
    programs = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[2] / "README.md").read_text(), re.DOTALL)
    (program,) = [program for program in programs if "tidemill.spark" in program]
    table = readings(1000).select(["sensor", "time", "value"])
    names = {"spark": shipped, "readings": shipped.createDataFrame(table)}
    exec(compile(program, "README.md", "exec"), names)
    assert rows(names["smooth"].toArrow()) == rows(one_chain(table, [Threshold(min=0, max=100), MovingAverage(window=20)]))


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([Threshold(min=0), Silence(after="1m")], r"stage 1 \(silence\) depends on other sensors"),
        ([Silence(after="1m", by="clock")], r"stage 0 \(silence\) goes by the clock"),
        ([Threshold(columns=["valve"], min=0)], "valve"),
        ([Pivot(key="note", names=["a"], value="valve")], "valve"),
        (["threshold"], "none of the engine's stages"),
    ],
)
def test_what_cannot_run_is_refused_by_name(spark, stages, message):
    frame = spark.createDataFrame(readings(1))
    with pytest.raises(SpecError, match=message):
        tidemill.spark.run(frame, stages)
    with pytest.raises(SpecError, match=message):
        tidemill.spark.stream(frame, stages)


@pytest.mark.parametrize(
    ("stage", "message", "help"),
    [
        (Normalize(method="z_score", fit=True), r"stage 1 \(normalize\) needs a first pass", "`fit`"),
        (Aggregate(), r"stage 1 \(aggregate\) waits for the end", "`every`"),
        (Aggregate(every="1m"), r"stage 1 \(aggregate\) depends on other sensors", '`withWatermark("time", …)`'),
        (Silence(after="1m"), r"stage 1 \(silence\) depends on other sensors", '`withWatermark("time", …)`'),
    ],
)
def test_a_stream_refuses_what_waits_for_its_end(spark, stage, message, help):
    with pytest.raises(SpecError, match=message) as raised:
        tidemill.spark.stream(spark.createDataFrame(readings(1)), [Threshold(min=0), stage])
    assert help in raised.value.help
