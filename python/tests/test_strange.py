"""What no component should do, and what no input should be: an error that says so, and nothing lost or changed silently."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

import numpy as np
import pandas as pd
import parallel_stages
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tidemill
from tidemill import DataError, MovingAverage, Pipeline, SpecError, StoppedError, Threshold, sinks, sources

RECORDS = [{"sensor": "a", "value": 1.0}, {"sensor": "b", "value": 2.0}]


class Gives:
    """A stage that yields these items."""

    def __init__(self, *items):
        self.items = items

    def process(self, stream):
        for _ in stream:
            pass
        yield from self.items


def test_a_stage_in_processes_sees_the_roles_that_the_run_has(tmp_path):
    table = pa.table({"sensor": ["a", "b", "a"], "ok": [False, True, False], "n": [1.0, 2.0, 3.0], "time": ["x", "y", "z"]})
    pq.write_table(table, tmp_path / "in.parquet")
    source = sources.Parquet(path=str(tmp_path / "in.parquet"), sensor="sensor", measurements=["ok", "n"])
    plain = Pipeline([source, parallel_stages.Not()]).to_arrow()
    assert plain["ok"].to_pylist() == [True, False, True]
    assert Pipeline([source, tidemill.parallel(parallel_stages.Not(), workers=1)]).to_arrow().equals(plain)


@pytest.mark.parametrize("time", ["3000-01-01", "-1000-01-01", "2262-04-12", "1677-09-21", "1677-09-21T00:12:43"])
def test_times_of_numpy_that_do_not_fit_are_refused(time):
    with pytest.raises(ValueError, match="outside 1677 to 2262"):
        Pipeline([[{"sensor": "a", "time": np.datetime64(time), "value": 1.0}]]).to_arrow()


def test_times_of_numpy_that_fit():
    times = [
        np.datetime64("2026-01-01"),
        np.datetime64("2026-01-01T00:00:00.000000001"),
        np.datetime64("1677-09-22"),
        np.datetime64("1677-09-21T00:12:43.5"),
        np.datetime64("2262-04-11T23:47:16.8"),
        np.datetime64("1969-12-31T23:59:59.5"),
    ]
    made = Pipeline([[{"sensor": "a", "time": time, "value": 1.0} for time in times]]).to_arrow()
    assert made["time"].cast(pa.int64()).to_pylist() == [int(time.astype("datetime64[ns]").astype("int64")) for time in times]


@pytest.mark.parametrize("item", [[5], b"x", ("q", 2), {1}, np.array([1.0]), object(), lambda: 1], ids=repr)
def test_what_is_no_record_is_refused(item):
    for records in ([item], [*RECORDS, item]):
        with pytest.raises(TypeError, match=r"record|attributes|columns"):
            Pipeline([records]).to_arrow()


def test_a_record_without_columns_is_refused():
    with pytest.raises(TypeError, match="no columns"):
        Pipeline([[{}]]).to_arrow()


def test_a_record_of_a_stage_needs_a_sensor():
    with pytest.raises(ValueError, match="every record needs") as caught:
        Pipeline([RECORDS, Gives({"value": 1.0})]).to_arrow()
    assert any("column `sensor`" in note for note in caught.value.__notes__)


def test_a_record_that_reads_the_stream_itself_is_refused():
    class Reads(Mapping):
        def __init__(self, stream):
            self.stream = stream

        def __getitem__(self, name):
            return next(self.stream)[name]

        def __iter__(self):
            return iter(["sensor", "value"])

        def __len__(self):
            return 2

    class Stage:
        def process(self, stream):
            next(stream)
            while True:
                yield Reads(stream)

    with pytest.raises(DataError, match="reads the stream when its values are read"):
        Pipeline([sources.Synthetic(records=100_000, sensors=2), Stage()]).to_arrow()


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", None])
def test_dictionaries_of_times(zone):
    times = pa.array([1, 2, 1, None], pa.timestamp("ms", zone))
    plain = pa.table({"sensor": ["a", "b", "a", "b"], "value": [1.0] * 4, "noted": times, "time": pa.array([1, 2, 3, 4], pa.timestamp("ns", "UTC"))})
    folded = plain.set_column(2, "noted", times.dictionary_encode())
    assert Pipeline([folded]).to_arrow().equals(Pipeline([plain]).to_arrow())
    whole = plain.set_column(3, "time", times).drop(["noted"])
    with pytest.warns(tidemill.errors.RejectedWarning):
        expected = Pipeline([whole]).to_arrow()
    with pytest.warns(tidemill.errors.RejectedWarning):
        assert Pipeline([whole.set_column(2, "time", times.dictionary_encode())]).to_arrow().equals(expected)


@pytest.mark.parametrize("values", [pd.period_range("2026-01", periods=2, freq="M"), pd.interval_range(0, 2)], ids=["periods", "intervals"])
def test_columns_of_pandas_that_are_no_numbers(values):
    frame = pd.DataFrame({"sensor": ["a", "b"], "value": values})
    with pytest.raises(TypeError, match="`value` has values of pandas"):
        Pipeline([frame]).to_arrow()


def test_no_machine_has_a_million_cores():
    with pytest.raises(SpecError, match="more than 1024"):
        Pipeline([RECORDS, sinks.Null()]).run(threads=10**6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_pipeline_that_was_explained_runs_in_a_child():
    program = """
import os, tidemill, pyarrow as pa
tables = [pa.table({"sensor": ["a"] * 200_000, "value": [1.0] * 200_000})] * 3
class Source:
    def stream(self):
        yield from tables
pipeline = tidemill.Pipeline([Source(), tidemill.Threshold(max=2)])
pipeline.explain()
once = tidemill.Pipeline([(record for record in [{"sensor": "a", "value": 1.0}]), tidemill.Threshold(max=2)])
once.explain()
child = os.fork()
if child == 0:
    rows = len(pipeline.to_table())
    try:
        once.to_table()
    except tidemill.SpecError as error:
        assert "another process" in str(error)
        os._exit(0 if rows == 600_000 else 1)
    os._exit(2)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    ("busy", "code"),
    [
        ("while True: pass", 0),
        ("time.sleep(4)", 0),
        ("time.sleep(0.01)", 0),
        # It cannot be interrupted.
        ("time.sleep(60)", 70),
    ],
)
def test_a_program_ends_while_a_source_is_busy(busy, code):
    program = f"""
import time, tidemill
class Source:
    def stream(self):
        yield {{"sensor": "a", "value": 1.0}}
        while True:
            {busy}
running = tidemill.Pipeline([Source(), tidemill.sinks.Null()]).start()
time.sleep(0.3)
print("done", flush=True)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.stdout == "done\n"
    assert ended.returncode == code, ended
    assert ("still runs at the end of the program" in ended.stderr) == (code == 70)


def test_ctrl_c_ends_an_asynchronous_loop():
    program = """
import asyncio, time, tidemill
class Source:
    def stream(self):
        yield {"sensor": "a", "value": 1.0}
        time.sleep(60)
async def main():
    async for record in tidemill.Pipeline([Source()]).stream():
        print("one", flush=True)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "one\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=40)
    assert "KeyboardInterrupt" in errors


def test_a_source_is_left_before_the_run_has_ended():
    class Source:
        left = False

        def __enter__(self):
            return self

        def __exit__(self, *_):
            time.sleep(0.2)
            self.left = True

        def stream(self):
            while True:
                yield {"sensor": "a", "value": 1.0}

    source = Source()
    running = Pipeline([source, sinks.Null()]).start()
    time.sleep(0.2)
    running.stop()
    with pytest.raises(StoppedError):
        running.join()
    assert source.left


def test_what_is_dropped_is_gone():
    import gc
    import weakref

    class Source:
        def stream(self):
            for _ in range(100_000):
                yield {"sensor": "a", "value": 1.0}

    source = Source()
    alive = weakref.ref(source)
    stream = Pipeline([source, MovingAverage(window=2), Threshold(max=9)]).stream()
    next(stream)
    del stream, source
    for _ in range(50):
        gc.collect()
        if alive() is None:
            return
        time.sleep(0.1)
    raise AssertionError("it is still there")
