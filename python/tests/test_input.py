"""Input, options and components that are not as they should be: what pandas users expect, or a clear exception."""

import asyncio
import gc
import json
import math
import subprocess
import sys
import threading
import warnings
import weakref
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum

import numpy
import pandas
import polars
import pyarrow as pa
import pytest
import tidemill
from tidemill import MovingAverage, Normalize, Pipeline, Reading, RejectedWarning, Silence, SpecError, Threshold, sinks, sources


def numbers(count=3):
    return [{"sensor": "a", "value": float(at)} for at in range(count)]


@pytest.mark.parametrize("missing", [None, math.nan, numpy.nan, numpy.float32("nan"), pandas.NA, pandas.NaT])
def test_what_pandas_has_for_missing_values_is_missing(missing):
    records = [
        {"sensor": "a", "value": 1.0, "text": "x", "whole": 1, "flag": True},
        {"sensor": "a", "value": missing, "text": missing, "whole": missing, "flag": missing},
    ]

    class Source:
        fields = {"whole": int}

        def stream(self):
            return records

    table = Pipeline([Source()]).to_arrow()
    for name in ("value", "text", "whole", "flag"):
        assert table[name].to_pylist()[1] is None, name


def test_a_time_that_is_missing_rejects_its_record():
    times = [pandas.Timestamp("2026-01-01", tz="UTC"), pandas.NaT, None, pandas.Timestamp("2026-01-02", tz="UTC")]
    records = [{"sensor": "a", "time": time, "value": 1.0} for time in times]
    local = [{"sensor": "a", "time": numpy.datetime64(text), "value": 1.0} for text in ("2026-01-01", "NaT", "2026-01-02")]
    for given in (records, pandas.DataFrame(records), local):
        with pytest.warns(RejectedWarning, match="rejected, such as record 2: "):
            assert len(Pipeline([given]).to_arrow()) == 2


def test_rejected_records_are_told_where_no_report_is_given():
    records = [*numbers(), {"sensor": None, "value": 1.0}]
    pipeline = Pipeline([records])
    for ask in (pipeline.to_table, pipeline.to_arrow, pipeline.to_polars, pipeline.to_pandas, lambda: list(pipeline.stream())):
        with pytest.warns(RejectedWarning, match="1 record was rejected, such as record 4") as told:
            assert len(ask()) == 3
        assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(Pipeline([numbers()]).to_arrow()) == 3
        with pytest.raises(RejectedWarning):
            pipeline.to_arrow()


def test_nan_that_a_stage_computes_is_a_number():
    class Stage:
        def process(self, stream):
            for record in stream:
                record.value = math.nan
                yield record

    assert math.isnan(Pipeline([numbers(1), Stage()]).to_arrow()["value"][0].as_py())


def test_columns_may_have_the_names_of_methods():
    names = ("stream", "position", "bounded", "fields", "at_most_once", "durable")
    frame = pandas.DataFrame({"sensor": ["a"], "value": [1.0], **{name: [2.0] for name in names}})
    assert Pipeline([frame]).to_arrow()["position"].to_pylist() == [2.0]


@pytest.mark.parametrize("make", [pa.table, polars.DataFrame, pandas.DataFrame])
def test_a_column_of_nulls_is_carried(make):
    table = make({"sensor": ["a", "b"], "value": [1.0, 2.0], "nothing": [None, None]})
    assert Pipeline([table]).to_arrow()["nothing"].to_pylist() == [None, None]


def test_runs_of_equal_numbers_are_numbers():
    columns = {"value": pa.array([1.5, 1.5, None]), "whole": pa.array([7, 7, 8])}
    columns = {name: pa.RunEndEncodedArray.from_arrays([2, 3], array.take(pa.array([0, 2]))) for name, array in columns.items()}
    names = pa.RunEndEncodedArray.from_arrays([1, 3], pa.array(["a", "b"]))
    times = pa.RunEndEncodedArray.from_arrays([3], pa.array([1], pa.timestamp("s", "UTC")))
    table = Pipeline([pa.table({"sensor": names, "time": times, **columns})]).to_arrow()
    assert table["value"].to_pylist() == [1.5, 1.5, None]
    assert table["whole"].to_pylist() == [7, 7, 8]
    assert table["sensor"].to_pylist() == ["a", "b", "b"]


def test_a_list_can_be_read_twice_and_a_generator_cannot():
    assert Pipeline([numbers(), Normalize(fit=True)]).to_arrow()["value"].to_pylist() == [0.0, 0.5, 1.0]
    with pytest.raises(SpecError, match="cannot be read twice") as raised:
        Pipeline([iter(numbers()), Normalize(fit=True)]).to_arrow()
    assert "file or a table" in raised.value.help


def test_sources_without_records_say_what_to_do():
    consumed = iter(numbers())
    assert len(list(consumed)) == 3
    for source, message in [(consumed, "gives its records once"), ([], "pyarrow.table"), (map(str, []), "once")]:
        with pytest.raises(tidemill.DataError, match="gave no record") as raised:
            Pipeline([source]).to_arrow()
        assert message in raised.value.help

    class Declares:
        fields = {"sensor": str, "value": float}

        def stream(self):
            return []

    table = Pipeline([Declares(), MovingAverage(window=2)]).to_arrow()
    assert (len(table), table.column_names) == (0, ["sensor", "value", "value_avg"])


def test_a_sink_that_yields_is_told():
    class Consumes:
        def consume(self, stream):
            yield from stream

    class Delivers:
        async def deliver(self, epoch, stream, writer):
            yield 1

    for sink in (Consumes(), Delivers()):
        with pytest.raises(TypeError, match="has a `yield`"):
            Pipeline([numbers(), sink]).run()


def test_what_a_constructor_raised_is_the_cause(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text("class Plant:\n    def __init__(self):\n        raise OSError('no such device')\n")
    (tmp_path / "p.toml").write_text('[source]\ntype = "python:own:Plant"\n[[sink]]\ntype = "null"\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SpecError, match="no such device") as raised:
        Pipeline.from_file(tmp_path / "p.toml")
    assert isinstance(raised.value.__cause__, OSError)


def test_one_override_may_be_a_text(tmp_path):
    (tmp_path / "in.csv").write_text("value\n1\n5\n9\n")
    stage = '[[stage]]\ntype = "threshold"\nmax = 100\n'
    (tmp_path / "p.toml").write_text(f'[source]\ntype = "csv"\npath = "in.csv"\n{stage}[[sink]]\ntype = "null"\n')
    assert len(Pipeline.from_file(tmp_path / "p.toml", set="stage.0.max=5").to_table()) == 2


class Limit(Enum):
    HIGH = 5.0


def options(part):
    reading = {"sensor": "a", "time": datetime(2026, 1, 1, tzinfo=UTC), "value": 1.0}
    return json.loads(json.dumps(Pipeline([[reading], part]).explain().to_dict()))["stage"][0]["options"]


def test_options_are_what_python_has(tmp_path):
    for value in (5, 5.0, Decimal(5), Decimal("5.0"), Limit.HIGH, numpy.float32(5), numpy.int64(5)):
        assert options(Threshold(max=value))["max"] == 5
    assert options(Threshold(max=Decimal("0.1")))["max"] == 0.1
    for value in (timedelta(seconds=90), numpy.timedelta64(90, "s"), "90s"):
        assert options(Silence(after=value))["after"] == ("90000000000ns" if isinstance(value, numpy.timedelta64) else "90s")
    assert options(Threshold(columns=numpy.array(["value"]), max=1)) == options(Threshold(columns=("value",), max=1))
    (tmp_path / "in.csv").write_text("time,value\n" + "".join(f"2026-01-0{day}T00:00:00Z,{day}\n" for day in (1, 2, 3)))
    source = sources.Csv(path=tmp_path / "in.csv", time="time", from_=datetime(2026, 1, 2, tzinfo=UTC))
    assert Pipeline([source]).to_arrow()["value"].to_pylist() == [2.0, 3.0]


@pytest.mark.parametrize(
    "part, message",
    [
        (lambda: Threshold(max=math.inf), "`max` of Threshold is inf, which is not finite"),
        (lambda: Threshold(max=Decimal("NaN")), "`max` of Threshold is NaN, which is not finite"),
        (lambda: Threshold(max=object()), "`max` of Threshold is <object"),
        (lambda: Threshold(max=b"5"), "`max` of Threshold is b'5'"),
        (lambda: Normalize(range=[0, math.nan]), "`range` of Normalize is nan"),
    ],
)
def test_other_options_are_refused_by_name(part, message):
    with pytest.raises(SpecError, match=message):
        Pipeline([numbers(), part()])


def test_settings_are_checked():
    pipeline = Pipeline([numbers(), sinks.Null()])
    with pytest.raises(TypeError, match="stat"):
        pipeline.run(stat="x")
    for wrong in (-1.0, math.nan):
        with pytest.raises(ValueError, match="state_every"):
            pipeline.run(state_every=wrong)


class Endless:
    """A stage that never comes to an end of one record."""

    def __init__(self):
        self.begun = threading.Event()

    def process(self, stream):
        for record in stream:
            while True:
                self.begun.set()
                yield record


def test_a_stage_that_yields_without_an_end_is_stopped():
    stage = Endless()
    running = Pipeline([numbers(), stage, sinks.Null()]).start()
    assert stage.begun.wait(60)
    running.stop()
    with pytest.raises(tidemill.StoppedError):
        running.join()


def test_a_child_says_that_it_cannot_read_the_stream_of_its_parent():
    program = """
import os
from tidemill import Pipeline
def endless():
    while True:
        yield {"sensor": "a", "value": 1.0}
class Sink:
    def consume(self, stream):
        for _ in stream: pass
stream = Pipeline([endless()]).stream()
running = Pipeline([endless(), Sink()]).start()
next(stream)
child = os.fork()
if child == 0:
    told = 0
    try:
        for _ in stream: pass
    except RuntimeError as error:
        told += "forked" in str(error)
    try:
        running.join()
    except RuntimeError as error:
        told += "forked" in str(error)
    told += len(Pipeline([[{"sensor": "a", "value": 1.0}]]).to_table())
    os._exit(told)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), next(stream).value)
"""
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.returncode) == ("3 1.0\n", 0), run.stderr


def test_pipelines_and_parts_that_refer_to_each_other_are_freed():
    class Sink:
        def consume(self, stream):
            self.count = sum(1 for _ in stream)

    sink = Sink()
    sink.pipeline = Pipeline([numbers(), sink])
    sink.pipeline.run()
    assert sink.count == 3
    known = weakref.ref(sink)
    gc.collect()
    assert known() is sink, "while it is used, it stays"
    del sink
    gc.collect()
    assert known() is None


def test_a_wait_for_a_record_that_times_out_loses_nothing():
    go_on = threading.Event()

    def slow():
        yield Reading(sensor="a", value=1.0)
        go_on.wait(60)
        yield Reading(sensor="a", value=2.0)

    async def read():
        records = aiter(Pipeline([slow()]).stream())
        values = [(await anext(records)).value]
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(records), 0.05)
        go_on.set()
        values += [record.value async for record in records]
        return values

    assert asyncio.run(read()) == [1.0, 2.0]
