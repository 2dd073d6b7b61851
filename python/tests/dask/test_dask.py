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
from dask import dataframe
from distributed import Client, LocalCluster
from tidemill import Aggregate, Chain, MovingAverage, MovingMedian, Normalize, Silence, SpecError, Threshold

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


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([Threshold(min=0), Normalize(method="z_score", fit=True)], r"stage 1 \(normalize\) needs a first pass"),
        ([Threshold(min=0), Silence(after="1m")], r"stage 1 \(silence\) depends on other sensors"),
        ([Threshold(columns=["valve"], min=0)], "valve"),
    ],
)
def test_what_cannot_run_is_refused_by_name(stages, message):
    with pytest.raises(SpecError, match=message):
        tidemill.dask.run(dataframe.from_pandas(readings(1), npartitions=1), stages)
