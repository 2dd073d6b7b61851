"""Pipelines with parts in Python, judged by plain loops."""

import gc
import math
import random
import signal
import subprocess
import sys
import threading

import pyarrow as pa
import pytest
import tidemill
from tidemill import Chain, Fit, MovingAverage, Normalize, Pipeline, Reading, SpecError, Threshold, sinks, sources


def readings(count: int, seed: int = 1) -> list[dict[str, object]]:
    generator = random.Random(seed)
    return [
        {"sensor": f"s{generator.randrange(7)}", "time": f"2026-01-01T00:{at // 60 % 60:02}:{at % 60:02}Z", "value": generator.gauss(50, 30)}
        for at in range(count)
    ]


def means(records: list[dict[str, object]], low: float, high: float, window: int) -> list[float]:
    """Exact means of the last values of each sensor, after a threshold."""
    kept: dict[object, list[float]] = {}
    result = []
    for record in records:
        value = record["value"]
        if low <= value <= high:
            ring = kept.setdefault(record["sensor"], [])
            ring.append(value)
            del ring[:-window]
            result.append(math.fsum(ring) / len(ring))
    return result


class Same:
    def process(self, stream):
        yield from stream


class SameByBatch:
    def process(self, stream):
        yield from stream.batches()


class SameByValue:
    def process(self, stream):
        for record in stream:
            record.value = record.value
            yield record


@pytest.mark.parametrize("stages", [[], [Same()], [SameByBatch()], [SameByValue()], [Same(), SameByBatch(), SameByValue()]])
def test_stages_that_do_nothing_change_no_bit(stages):
    records = readings(5000)
    stream = Pipeline([records, Threshold(min=0, max=100), *stages, MovingAverage(window=5)]).stream()
    assert [record.value_avg for record in stream] == means(records, 0, 100, 5)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_table_gives_what_the_records_give(threads):
    records = readings(40_000)
    table = pa.Table.from_pylist(records)
    pipeline = Pipeline([table, Threshold(min=0, max=100), MovingAverage(window=9)])
    assert pipeline.to_arrow(threads=threads)["value_avg"].to_pylist() == means(records, 0, 100, 9)
    assert pipeline.to_polars()["value_avg"].to_list() == means(records, 0, 100, 9)
    assert pipeline.to_pandas()["value_avg"].to_list() == means(records, 0, 100, 9)


def test_a_sink_consumes_and_is_entered_and_left():
    class Sink:
        calls: list[str] = []

        def __enter__(self):
            self.calls.append("enter")
            return self

        def __exit__(self, *error):
            self.calls.append("exit")

        def consume(self, stream):
            self.records = [dict(record) for record in stream]

    sink = Sink()
    report = Pipeline([readings(100), sink]).run()
    assert sink.calls == ["enter", "exit"]
    assert [record["value"] for record in sink.records] == [record["value"] for record in readings(100)]
    assert report["sinks"][0]["input"] == 100


def test_a_sink_that_reads_a_table():
    class Sink:
        def consume(self, stream):
            self.table = pa.table(stream)

    sink = Sink()
    Pipeline([readings(1000), sink]).run()
    assert sink.table["value"].to_pylist() == [record["value"] for record in readings(1000)]


class Broken(Exception):
    pass


def test_what_a_component_raises_is_raised_with_a_note():
    class Source:
        def stream(self):
            yield from readings(10)
            raise Broken("half-way")

    class Stage:
        def process(self, stream):
            for at, record in enumerate(stream):
                if at == 5:
                    raise Broken("at five")
                yield record

    class Sink:
        def consume(self, stream):
            next(stream)
            raise Broken("no more")

    for parts, message in [
        ([Source()], "half-way"),
        ([readings(10), Stage()], "at five"),
        ([readings(10), Stage(), MovingAverage(window=2)], "at five"),
    ]:
        with pytest.raises(Broken, match=message) as raised:
            Pipeline(parts).to_table()
        assert any("raised by" in note for note in raised.value.__notes__)
        with pytest.raises(Broken, match=message):
            list(Pipeline(parts).stream())
    with pytest.raises(Broken, match="no more"):
        Pipeline([readings(100_000), Sink()]).run()


def test_a_stage_that_drops_adds_and_renames():
    class Stage:
        fields = {"score": float, "grade": str}

        def process(self, stream):
            for at, record in enumerate(stream):
                if at % 2:
                    continue
                yield record.replace(score=at / 2, grade="even")

    records = readings(100)
    table = Pipeline([records, Stage(), Threshold(columns=["score"], max=20)]).to_arrow()
    assert table["score"].to_pylist() == [float(at) for at in range(21)]
    assert set(table["grade"].to_pylist()) == {"even"}
    assert table["value"].to_pylist() == [record["value"] for record in records][::2][:21]


def test_a_stage_that_sorts_gives_everything_at_the_end():
    class Sorted:
        def process(self, stream):
            return sorted(stream, key=lambda record: record.value)

    records = readings(20_000)
    values = Pipeline([records, Sorted()]).to_arrow()["value"].to_pylist()
    assert values == sorted(record["value"] for record in records)


def test_asynchronous_sources_and_sinks():
    import asyncio

    class Source:
        async def stream(self):
            for record in readings(50):
                await asyncio.sleep(0)
                yield record

    class Sink:
        async def consume(self, stream):
            self.values = [record.value async for record in stream]

    sink = Sink()
    Pipeline([Source(), sink]).run()
    assert sink.values == [record["value"] for record in readings(50)]


def test_a_source_that_never_ends_is_stopped():
    class Endless:
        bounded = False

        def stream(self):
            while True:
                yield Reading(sensor="a", value=1.0)

    class Count:
        records = 0

        def consume(self, stream):
            for _ in stream:
                self.records += 1

    count = Count()
    with Pipeline([Endless(), count]).start() as running:
        while running.status()["records"] < 1000:
            pass
    assert count.records >= 1000


def test_a_stream_that_is_dropped_ends_its_run():
    def endless():
        while True:
            yield Reading(sensor="a", value=1.0)

    stream = Pipeline([endless()]).stream()
    assert next(stream).value == 1.0
    before = threading.active_count()
    del stream
    gc.collect()
    assert threading.active_count() <= before


def test_mistakes_are_named():
    with pytest.raises(SpecError, match="did you mean"):
        Pipeline([readings(1), Threshold(min=1), type("X", (tidemill.Component,), {"kind": "stage", "type": "treshold"})()])
    with pytest.raises(SpecError, match="is no source, stage or sink"):
        Pipeline([readings(1), 5])
    with pytest.raises(SpecError, match="is the class Same"):
        Pipeline([readings(1), Same])
    with pytest.raises(SpecError, match="no sink"):
        Pipeline([readings(1)]).run()
    with pytest.raises(tidemill.UnavailableError, match="no such file"):
        Pipeline.from_file("nowhere.toml")
    with pytest.raises(tidemill.DataError, match="gave no record"):
        Pipeline([[]]).to_table()


def test_a_file_runs_as_on_the_command_line(tmp_path):
    (tmp_path / "in.csv").write_text("sensor,value\na,1\na,500\nb,3\n")
    source = '[source]\ntype = "csv"\npath = "in.csv"\nsensor = "sensor"\n'
    stage = '[[stage]]\ntype = "threshold"\nmax = 100\n'
    (tmp_path / "p.toml").write_text(f'{source}{stage}[[sink]]\ntype = "csv"\npath = "out.csv"\n')
    pipeline = Pipeline.from_file(tmp_path / "p.toml")
    report = pipeline.run()
    assert report["sinks"][0]["input"] == 2
    assert (tmp_path / "out.csv").read_text() == "sensor,value\na,1\nb,3\n"
    assert Pipeline.from_file(tmp_path / "p.toml", set=["stage.0.max=2"]).to_table().__len__() == 1
    own = Pipeline([sources.Csv(path=str(tmp_path / "in.csv"), sensor="sensor"), sinks.Csv(path=str(tmp_path / "own.csv"))])
    own.run()
    assert (tmp_path / "own.csv").read_text() == "sensor,value\na,1\na,500\nb,3\n"


def test_classes_in_a_file(tmp_path, monkeypatch):
    (tmp_path / "plant.py").write_text(
        "class Plant:\n"
        "    def __init__(self, count):\n"
        "        self.count = count\n"
        "    def stream(self):\n"
        "        for at in range(self.count):\n"
        "            yield {'sensor': 'a', 'value': float(at)}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "p.toml").write_text('[source]\ntype = "python:plant:Plant"\ncount = 5\n[[sink]]\ntype = "null"\n')
    assert Pipeline.from_file(tmp_path / "p.toml").to_arrow()["value"].to_pylist() == [0, 1, 2, 3, 4]
    with pytest.raises(SpecError, match="No module named"):
        (tmp_path / "q.toml").write_text('[source]\ntype = "python:nothing:Plant"\n[[sink]]\ntype = "null"\n')
        Pipeline.from_file(tmp_path / "q.toml")


def test_a_chain_moves_between_processes():
    records = readings(1000)
    table = pa.Table.from_pylist(records)
    stages = [Threshold(min=0, max=100), MovingAverage(window=5)]
    first, second = Chain(stages, time="time"), Chain(stages, time="time")
    batches = table.to_batches(max_chunksize=100)
    values = [pa.record_batch(first.push(batch)) for batch in batches[:5]]
    second.push(batches[0].slice(0, 0))
    second.restore(first.save_groups(3))
    values += [pa.record_batch(second.push(batch)) for batch in batches[5:]]
    assert [value for batch in values for value in batch["value_avg"].to_pylist()] == means(records, 0, 100, 5)


@pytest.mark.parametrize("method", ["min_max", "z_score", "robust"])
def test_fits_of_several_processes_are_merged_exactly(method):
    table = pa.Table.from_pylist(readings(3000))
    stages = [Threshold(min=0, max=100), Normalize(fit=True, method=method), MovingAverage(window=5)]
    whole = Fit(stages[:2], time="time")
    whole.observe(pa.RecordBatch.from_pylist([], schema=table.schema))
    for part in (table.slice(0, 100), table.slice(100, 1900), table.slice(2000)):
        fit = Fit(stages[:2], time="time")
        fit.observe(part.combine_chunks().to_batches()[0])
        whole.merge(fit.save())
    constants = whole.finish()
    assert constants is not None, "so few values need one pass"
    chain = Chain(stages, time="time", constants=[None, constants, None])
    got = pa.record_batch(chain.push(table.combine_chunks().to_batches()[0]))
    assert got["value_avg"].to_pylist() == Pipeline([table, *stages]).to_arrow()["value_avg"].to_pylist()


def test_the_command_runs_files_with_classes_in_python(tmp_path):
    (tmp_path / "plant.py").write_text(
        "class Plant:\n"
        "    def __init__(self, count, fails=False):\n"
        "        self.count, self.fails = count, fails\n"
        "    def stream(self):\n"
        "        for at in range(self.count):\n"
        "            yield {'sensor': 'a', 'value': float(at)}\n"
        "        if self.fails:\n"
        "            raise ValueError('at the end')\n"
    )
    pipeline = '[source]\ntype = "python:plant:Plant"\ncount = 3\n[[sink]]\ntype = "csv"\npath = "out.csv"\n'
    (tmp_path / "p.toml").write_text(pipeline)

    def run(*arguments):
        command = [sys.executable, "-m", "tidemill", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert run("run", "p.toml").returncode == 0
    assert (tmp_path / "out.csv").read_text() == "sensor,value\na,0\na,1\na,2\n"
    failed = run("run", "p.toml", "--set", "source.fails=true")
    assert failed.returncode == 65
    assert "Traceback" in failed.stderr and "raised ValueError: at the end" in failed.stderr
    assert run("--version").stdout.startswith("tidemill ")
    assert run("run", "nowhere.toml").returncode == 69


def test_what_a_stage_does_not_change_keeps_its_exact_value():
    class Double:
        def process(self, stream):
            for record in stream:
                record.value *= 2
                yield record

    nanos = 1_700_000_000_123_456_789
    table = pa.table({"sensor": ["a"], "time": pa.array([nanos], pa.timestamp("ns", "UTC")), "value": [1.5]})
    result = Pipeline([table, Double()]).to_arrow()
    assert result["time"].cast(pa.int64()).to_pylist() == [nanos]
    assert result["value"].to_pylist() == [3.0]


def test_no_value_is_lost_or_guessed():
    class Renames:
        def process(self, stream):
            for record in stream:
                yield {"sensor": record.sensor, "valeu": record.value}

    with pytest.raises(ValueError, match="valeu"):
        Pipeline([[{"sensor": "a", "value": 1.0}], Renames()]).to_table()
    with pytest.raises(TypeError, match="is no bool"):
        Pipeline([[{"sensor": "a", "ok": True}, {"sensor": "a", "ok": "False"}]]).to_table()
    with pytest.raises(ValueError, match="to the last digit"):
        Pipeline([[{"sensor": "a", "value": 2**53 + 1}]]).to_table()

    class Mixed:
        def stream(self):
            yield {"sensor": "a", "value": 1.0}
            yield pa.record_batch({"sensor": pa.array(["a"]).dictionary_encode(), "value": [2.0]})
            yield {"sensor": "a", "value": 3.0}

    assert Pipeline([Mixed()]).to_arrow()["value"].to_pylist() == [1.0, 2.0, 3.0]


def test_a_stage_that_fails_is_not_asked_again():
    class Failing:
        def process(self, stream):
            for _ in stream:
                raise ValueError("at once")
                yield

    # Other workers come with the batches behind the first one.
    table = pa.table({"sensor": ["a"] * 100, "value": [1.0] * 100})
    for _ in range(50):
        source = pa.Table.from_batches(table.to_batches() * 20)
        with pytest.raises(ValueError, match="at once"):
            Pipeline([source, Failing()]).to_table(threads=4)


def test_a_failure_is_told_as_it_is_whatever_components_in_python_do_meanwhile():
    readings = [{"sensor": "a", "value": float(at)} for at in range(1000)]

    class Broken:
        def stream(self):
            yield from readings
            raise ValueError("the first cause")

    for _ in range(5):
        with pytest.raises(ValueError, match="the first cause"):
            Pipeline([Broken(), Same(), Same()]).to_table()
    pipeline = Pipeline([readings, Same()])
    assert len(pipeline.to_table()) == len(pipeline.to_table()) == 1000


def test_records_compare_and_become_rows():
    import pandas

    records = list(Pipeline([[{"sensor": "a", "value": 1.0}]]).stream())
    assert records[0] == {"sensor": "a", "value": 1.0} and records[0] != 5
    assert pandas.DataFrame(records)["value"].tolist() == [1.0]


@pytest.mark.parametrize("waits", ["in a source", "in a sink", "for a stream"])
def test_ctrl_c_ends_a_run(tmp_path, waits):
    (tmp_path / "p.py").write_text(
        "import sys, time\n"
        "from tidemill import Pipeline\n"
        "def endless():\n"
        "    while True:\n"
        "        yield {'sensor': 'a', 'value': 1.0}\n"
        "def asleep():\n"
        "    yield {'sensor': 'a', 'value': 1.0}\n"
        "    print('waits', flush=True)\n"
        "    time.sleep(3600)\n"
        "class Sink:\n"
        "    def consume(self, stream):\n"
        "        print('waits', flush=True)\n"
        "        time.sleep(3600)\n"
        "class Reads:\n"
        "    def consume(self, stream):\n"
        "        for record in stream: pass\n"
        "try:\n"
        "    if 'source' in sys.argv[1]: Pipeline([asleep(), Reads()]).run()\n"
        "    elif 'sink' in sys.argv[1]: Pipeline([endless(), Sink()]).run()\n"
        "    else: list(Pipeline([asleep()]).stream())\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped', flush=True)\n"
        "    import os; os._exit(3)\n"
    )
    run = subprocess.Popen([sys.executable, "p.py", waits], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "waits\n"
    run.send_signal(signal.SIGINT)
    assert run.communicate(timeout=60)[0] == "stopped\n"
    assert run.returncode == 3


@pytest.mark.parametrize(
    "program",
    [
        "for record in Pipeline([endless()]).stream(): break",
        "stream = Pipeline([endless()]).stream(); next(stream)",
        "running = Pipeline([Endless(), Reads()]).start(); time.sleep(0.1)",
        "running = Pipeline([Endless(), Same(), Reads()]).start(); time.sleep(0.1)",
        "pipeline = Pipeline([Endless(), Same(), Reads()]); pipeline.explain()",
    ],
)
def test_the_interpreter_ends_while_a_run_goes_on(program):
    parts = """
import time
from tidemill import Pipeline
def endless():
    while True:
        yield {'sensor': 'a', 'value': 1.0}
class Endless:
    bounded = False
    def stream(self): return endless()
class Same:
    def process(self, stream): yield from stream
class Reads:
    def consume(self, stream):
        for record in stream: pass
"""
    run = subprocess.run([sys.executable, "-c", parts + program], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


def test_a_chain_takes_record_batches_only():
    for wrong in (5, None, "text"):
        with pytest.raises(TypeError, match="expected a record batch"):
            Chain([Threshold(min=0)]).push(wrong)


EVERY_STAGE = [
    tidemill.Aggregate(every="1h", statistics=["mean", "max"], quantiles=[0.5]),
    tidemill.Dedupe(),
    MovingAverage(window=5, min_samples=2, into="mean_of_{column}"),
    tidemill.MovingMax(window="5m"),
    tidemill.MovingMedian(window=5),
    tidemill.MovingMin(window=5),
    tidemill.MovingStd(window=5),
    Normalize(method="z_score", fit=True),
    Normalize(min=0.0, max=100.0, into="{column}_scaled"),
    tidemill.Rate(),
    tidemill.Silence(after="1m"),
    Threshold(min=0, max=100, action="flag", sensors={"s1": {"max": 50.0}}),
]


@pytest.mark.parametrize("stage", EVERY_STAGE, ids=repr)
def test_the_stages_of_a_pipeline_make_the_same_pipeline(stage):
    table = pa.Table.from_pylist(readings(500))
    given = Pipeline([table, stage])
    (told,) = given.stages
    assert type(told) is type(stage)
    again = Pipeline([table, told])
    assert again.stages == given.stages
    assert again.to_arrow() == given.to_arrow()


def test_the_stages_of_a_file_and_those_that_are_none(tmp_path):
    source = '[source]\ntype = "synthetic"\nrecords = 10\nsensors = 2\n'
    file = tmp_path / "p.toml"
    file.write_text(source + '[[stage]]\ntype = "threshold"\nmax = 90\n[[sink]]\ntype = "null"\n')
    assert [stage.options["max"] for stage in Pipeline.from_file(file, set="stage.0.max=80").stages] == [80.0]
    with pytest.raises(SpecError, match="stage 1 .*none of the engine's own"):
        _ = Pipeline([readings(3), Threshold(max=1), Same()]).stages
    stages = '[[stage]]\ntype = "dedupe"\nname = "a"\nfrom = "source"\n[[stage]]\ntype = "threshold"\nmax = 1\nfrom = {}\n[[sink]]\ntype = "null"\n'
    for fed in ('"a"', '["a"]'):
        file.write_text(source + stages.format(fed))
        assert [stage.type for stage in Pipeline.from_file(file).stages] == ["dedupe", "threshold"], "as without `from`"
    for fed in ('"source"', '["a", "source"]'):
        file.write_text(source + stages.format(fed))
        with pytest.raises(SpecError, match="stage 1 has `from`"):
            _ = Pipeline.from_file(file).stages


def test_a_stage_in_python_is_not_taken_for_one_of_the_engine():
    class dedupe(Same):
        pass

    dedupe.__qualname__ = "dedupe"
    with pytest.raises(SpecError, match="stage 1 .*none of the engine's own"):
        _ = Pipeline([readings(3), tidemill.Dedupe(), dedupe()]).stages
