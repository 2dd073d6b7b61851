"""Dask with workers of its own, judged by one chain."""

import os
import random
import signal
import struct
import time
from datetime import UTC, datetime, timedelta

import dask
import pandas as pd
import pyarrow as pa
import pytest
import tidemill.dask
import ways
from dask import dataframe
from distributed import Client, LocalCluster
from hypothesis import given
from hypothesis import strategies as st
from tidemill import Aggregate, Chain, MovingAverage, MovingMedian, Normalize, Pipeline, Silence, SpecError, Threshold

STAGES = [Threshold(columns=["value"], min=-150, max=150), MovingAverage(window=20, columns=["value"]), MovingMedian(window="20s", columns=["value"])]
START = datetime(2026, 1, 1, tzinfo=UTC)


def readings(count):
    """Records in any order; some values are missing."""
    generator = random.Random(1)
    records = [
        {
            "sensor": f"s{generator.randrange(13)}",
            "time": START + timedelta(milliseconds=at * 37),
            "value": generator.choice([None, *[generator.gauss(0, 100) for _ in range(8)]]),
            "note": generator.choice([None, "", "ü"]),
        }
        for at in range(count)
    ]
    generator.shuffle(records)
    return pd.DataFrame(records)


def bits(value):
    return struct.pack("<d", value).hex() if isinstance(value, float) else value


def rows(table, *order):
    """The rows of a table, with numbers as bits, sorted."""
    order = order or ("sensor", "time")
    records = table.to_pylist()
    assert len({tuple(record[name] for name in order) for record in records}) == len(records)
    return sorted(({name: bits(value) for name, value in record.items()} for record in records), key=lambda record: [record[name] for name in order])


def one_chain(frame, stages):
    """What one chain gives for all records, sorted by time."""
    chain, table = Chain(stages, time="time"), pa.Table.from_pandas(frame, preserve_index=False).sort_by("time")
    made = [chain.push(batch) for batch in table.combine_chunks().to_batches()]
    return pa.Table.from_batches([pa.record_batch(batch) for batch in [*made, chain.finish()]])


def computed(made):
    result = made.compute()
    assert list(result.dtypes) == list(made.dtypes)
    return pa.Table.from_pandas(result, preserve_index=False)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "host": "127.0.0.1", "dashboard_address": None}
    # Workers import the package from where this process has it.
    with LocalCluster(**options, local_directory=str(tmp_path_factory.mktemp("dask"))) as cluster, Client(cluster):
        yield cluster


@pytest.mark.parametrize("partitions", [1, 2, 4, None])
def test_a_frame_gives_what_one_chain_gives(cluster, partitions):
    assert len({worker.pid for worker in cluster.workers.values()} | {os.getpid()}) == 3
    frame = readings(10_000)
    made = tidemill.dask.run(dataframe.from_pandas(frame, npartitions=3), STAGES, partitions=partitions)
    assert made.npartitions == (partitions or 3)
    assert rows(computed(made)) == rows(one_chain(frame, STAGES))


def test_delayed_frames_and_intervals(cluster):
    frame = readings(3000)
    parts = [dask.delayed(frame.iloc[at : at + 1000]) for at in range(0, 3000, 1000)]
    made = tidemill.dask.run(parts, [Aggregate(every="10s")], measurements=["value"])
    assert rows(computed(made)) == rows(one_chain(frame, [Aggregate(every="10s")]))


def test_a_worker_that_is_killed_changes_nothing(cluster):
    frame = readings(10_000)

    def slowly(part):
        time.sleep(1)
        return part

    made = tidemill.dask.run(dataframe.from_pandas(frame, npartitions=4), STAGES)
    made = made.map_partitions(slowly, meta=made._meta).persist()
    time.sleep(1)
    os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
    assert rows(computed(made)) == rows(one_chain(frame, STAGES))


@pytest.mark.parametrize("first", [Threshold(columns=["value"], max=50), MovingAverage(window=3, columns=["value"])])
def test_stages_are_fitted_where_the_records_are(cluster, first, tmp_path):
    frame, saved = readings(3000), tmp_path / "constants.json"
    stages = [first, Normalize(columns=["value"], fit=True), Normalize(method="robust", columns=["value"], fit=True, save=str(saved))]
    parts = dataframe.from_pandas(frame, npartitions=3)
    table = pa.Table.from_pandas(frame, preserve_index=False).sort_by("time")
    expected = rows(Pipeline([table, *stages]).to_arrow())
    assert rows(computed(tidemill.dask.run(parts, stages))) == expected
    constants = tidemill.dask.fit(parts, stages)
    assert constants[0] is None and constants[2] == saved.read_text()
    assert rows(computed(tidemill.dask.run(parts, stages, constants=constants))) == expected


@given(table=ways.inputs(), stages=ways.pipelines(), partitions=st.sampled_from([1, 2, 4]), pieces=st.sampled_from([1, 3]))
@ways.examples(8)
def test_random_pipelines(cluster, table, stages, partitions, pieces):
    frame = dataframe.from_pandas(ways.shuffled(table).to_pandas(types_mapper=pd.ArrowDtype), npartitions=pieces)
    made = computed(tidemill.dask.run(frame, stages, partitions=partitions))
    assert ways.rows(made) == ways.rows(ways.one_process(table, stages))


def test_silence_by_the_time_that_the_input_has_reached(cluster):
    table = ways.readings(500)
    reached = table["time"][-1].as_py() + timedelta(days=1)
    frame = dataframe.from_pandas(table.to_pandas(types_mapper=pd.ArrowDtype), npartitions=2)
    chain = Chain([Silence(after="10m")], time="time", partitioned=True)
    parts = [chain.push(table.combine_chunks().to_batches()[0]), chain.advance(int(reached.timestamp()) * 10**9)]
    expected = pa.Table.from_batches([pa.record_batch(part) for part in parts])
    assert ways.rows(computed(tidemill.dask.run(frame, [Silence(after="10m")], watermark=reached))) == ways.rows(expected)


def test_categories_differ_between_partitions(cluster):
    frame = readings(3000)
    # More than a byte can number.
    frame["sensor"] = [f"s{at // 4 % 300}" for at in range(3000)]
    frame["note"] = frame["note"].astype("category")
    parts = dataframe.from_pandas(frame, npartitions=3).astype({"sensor": "category"})
    assert not parts["sensor"].cat.known
    made = computed(tidemill.dask.run(parts, STAGES))
    assert rows(made) == rows(one_chain(frame.astype({"note": object}), STAGES))
    constants = tidemill.dask.fit(parts, [Normalize(columns=["value"], fit=True)])
    assert constants == tidemill.dask.fit(dataframe.from_pandas(frame, npartitions=1), [Normalize(columns=["value"], fit=True)])


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_times_of_nanoseconds_keep_them(cluster, zone):
    times = pd.to_datetime([1, 1_000_000_002, 2_000_000_003], unit="ns", utc=True)
    times = times.tz_localize(None) if zone is None else times.tz_convert(zone)
    frame = pd.DataFrame({"sensor": "a", "time": times.as_unit("ns"), "value": [1.0, 2.0, 3.0]})
    made = tidemill.dask.run(dataframe.from_pandas(frame, npartitions=1), [MovingAverage(window=2)])
    given = computed(made)["time"]
    assert given.type == pa.timestamp("ns", zone and "UTC")
    assert given.cast(pa.int64()).to_pylist() == [1, 1_000_000_002, 2_000_000_003]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([Threshold(min=0), Silence(after="1m")], r"stage 1 \(silence\) depends on other sensors"),
        ([Threshold(columns=["valve"], min=0)], "valve"),
    ],
)
def test_what_cannot_run_is_refused_by_name(stages, message):
    with pytest.raises(SpecError, match=message):
        tidemill.dask.run(dataframe.from_pandas(readings(1), npartitions=1), stages)
