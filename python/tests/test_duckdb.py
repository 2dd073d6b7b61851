"""DuckDB before, within and after a pipeline."""

import math

import duckdb
import pyarrow as pa
import pytest
from tidemill import Aggregate, MovingAverage, Normalize, Pipeline, Threshold

READINGS = """
    SELECT 's' || (nr % 7) AS sensor,
        TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds(nr) AS time,
        CASE WHEN nr % 11 = 0 THEN NULL ELSE nr % 100 END::DOUBLE AS value,
        CASE WHEN nr % 5 = 0 THEN 'note' END AS note
    FROM range({count}) numbers(nr)
    ORDER BY nr
"""


@pytest.fixture
def database():
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        yield database


@pytest.mark.parametrize("count", [0, 10, 200_000])
def test_a_relation_is_a_source_like_its_table(database, count):
    relation = database.sql(READINGS.format(count=count))
    stages = [Threshold(max=90, nulls="keep"), MovingAverage(window=3)]
    made = Pipeline([relation, *stages]).to_arrow()
    assert made.column_names == ["sensor", "time", "value", "note", "value_avg"]
    assert made.equals(Pipeline([relation.to_arrow_table(), *stages]).to_arrow())
    assert len(made) == sum(at % 11 == 0 or at % 100 <= 90 for at in range(count))


def test_a_relation_can_be_read_twice(database):
    relation = database.sql(READINGS.format(count=1000))
    values = [value for value in Pipeline([relation, Normalize(fit=True)]).to_arrow()["value"].to_pylist() if value is not None]
    assert (min(values), max(values)) == (0.0, 1.0)


SUMS = "SELECT sensor, count(*), sum(value), epoch_us(min(time)::TIMESTAMPTZ), count(note) FROM ({table}) GROUP BY sensor"


@pytest.mark.parametrize("result", ["to_table", "to_arrow", "to_polars", "to_pandas", "stream"])
def test_results_are_tables_of_duckdb(database, result):
    # A stream reads the source while the query runs, and a connection runs one query at a time.
    readings = database.cursor().sql(READINGS.format(count=100_000))
    clean = getattr(Pipeline([readings, Threshold(max=49)]), result)()  # noqa: F841
    found = database.sql(SUMS.format(table="FROM clean")).fetchall()
    wanted = database.sql(SUMS.format(table=f"FROM ({READINGS.format(count=100_000)}) WHERE value <= 49")).fetchall()
    # Names are of an enumeration in pandas, with an order of its own.
    assert sorted(found) == sorted(wanted)


def test_intervals_are_those_of_duckdb(database):
    readings = database.sql(READINGS.format(count=10_000))
    intervals = Pipeline([readings, Aggregate(every="10m", statistics=["count", "mean"])]).to_table()  # noqa: F841
    found = database.sql("SELECT sensor, epoch_us(time::TIMESTAMPTZ), value_count, value_mean FROM intervals ORDER BY ALL").fetchall()
    start = "epoch_us(time_bucket(INTERVAL '10 minutes', time))"
    wanted = database.sql(f"SELECT sensor, {start} AS start, count(value), avg(value) FROM readings GROUP BY ALL ORDER BY ALL").fetchall()
    assert [row[:3] for row in found] == [row[:3] for row in wanted]
    assert all(math.isclose(mean, other) for (*_, mean), (*_, other) in zip(found, wanted, strict=True))


def test_a_stage_queries_its_record_batches():
    class Doubled:
        """Has a connection of its own, on its own thread."""

        fields = {"double": float}

        def __enter__(self):
            self.database = duckdb.connect()

        def __exit__(self, *error):
            self.database.close()

        def process(self, stream):
            for batch in stream.batches():
                batch = pa.table(batch)  # noqa: F841
                yield self.database.sql("SELECT *, 2 * value AS double FROM batch").to_arrow_table()

    readings = [{"sensor": "a", "value": float(at)} for at in range(100_000)]
    assert Pipeline([readings, Doubled()]).to_arrow()["double"].to_pylist() == [2.0 * at for at in range(100_000)]
