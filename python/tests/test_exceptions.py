"""What is raised where several things go wrong, or where nobody but a library of Arrow's hears it."""

import signal
import subprocess
import sys
import threading
import time

import pandas
import polars
import pyarrow as pa
import pytest
import tidemill
from tidemill import Pipeline, SpecError, Threshold, sinks

READINGS = [{"sensor": "a", "value": float(at)} for at in range(10)]


class Discards:
    def consume(self, stream):
        for _ in stream:
            pass


@pytest.mark.parametrize("reads", ["pyarrow.table(stream)", "polars.DataFrame(stream)", "pyarrow.RecordBatchReader.from_stream(stream).read_all()"])
def test_ctrl_c_ends_what_reads_a_stream_that_never_pauses(reads):
    program = f"""
import os, polars, pyarrow
from tidemill import Pipeline
def endless():
    print("reads", flush=True)
    while True:
        yield {{"sensor": "a", "value": 1.0}}
stream = Pipeline([endless()]).stream()
try:
    try:
        {reads}
    except Exception as error:
        for _ in range(1000):
            pass
except KeyboardInterrupt:
    print("stopped", flush=True)
    os._exit(3)
"""
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "reads\n"
    time.sleep(0.5)
    run.send_signal(signal.SIGINT)
    assert run.communicate(timeout=60)[0] == "stopped\n"
    assert run.returncode == 3


def test_a_library_that_reads_a_stream_tells_the_text_of_what_was_raised():
    def source():
        yield READINGS[0]
        raise KeyError("mine")

    with pytest.raises(pa.ArrowException, match="KeyError: 'mine'"):
        pa.table(Pipeline([source()]).stream())


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_context_manager_raises_has_what_the_component_raised_as_its_context(is_async):
    class Leaves(Discards):
        def consume(self, stream):
            raise KeyError("first")

    if is_async:

        async def enter(self):
            return self

        async def leave(self, *error):
            raise OSError("second")

        Leaves.__aenter__, Leaves.__aexit__ = enter, leave
    else:

        def leave(self, *error):
            try:
                raise ValueError("third")
            except ValueError:
                raise OSError("second") from None

        Leaves.__enter__, Leaves.__exit__ = lambda self: self, leave

    with pytest.raises(OSError, match="second") as raised:
        Pipeline([READINGS, Leaves()]).run()
    context = raised.value.__context__
    if not is_async:
        assert isinstance(context, ValueError)
        context = context.__context__
    assert isinstance(context, KeyError)


def test_a_context_manager_suppresses_nothing():
    class Suppresses:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return True

        def consume(self, stream):
            raise KeyError("all the same")

    with pytest.raises(KeyError, match="all the same"):
        Pipeline([READINGS, Suppresses()]).run()


def test_a_block_and_its_run_that_fail_are_both_told():
    class Fails(Discards):
        def consume(self, stream):
            raise ValueError("of the run")

    with pytest.raises(ValueError, match="of the run") as raised, Pipeline([READINGS, Fails()]).start() as running:
        while not running.status()["is_over"]:
            time.sleep(0.01)
        raise KeyError("of the block")
    assert isinstance(raised.value.__context__, KeyError)
    with pytest.raises(ValueError, match="of the run") as raised, Pipeline([READINGS, Fails()]).start() as running:
        while not running.status()["is_over"]:
            time.sleep(0.01)
    assert raised.value.__context__ is None
    with pytest.raises(KeyError, match="of the block"), Pipeline([READINGS, Discards()]).start():
        raise KeyError("of the block")


class Waits:
    """A source that gives one record, and the next when it may."""

    bounded = False

    def __init__(self):
        self.may_go_on = threading.Event()

    def stream(self):
        yield READINGS[0]
        self.may_go_on.wait(60)
        yield READINGS[1]


def test_one_thread_waits_for_a_run_and_others_are_told():
    source = Waits()
    running = Pipeline([source, Discards()]).start()
    reports = []
    first = threading.Thread(target=lambda: reports.append(running.join()))
    first.start()
    time.sleep(0.3)
    with pytest.raises(RuntimeError, match="another thread waits"):
        running.join()
    source.may_go_on.set()
    first.join(60)
    assert reports[0]["source"]["output"] == 2
    with pytest.raises(RuntimeError, match="already"):
        running.join()


def test_a_block_ends_with_its_run_whoever_waits_for_it():
    source, reports = Waits(), []
    with Pipeline([source, Discards()]).start() as running:
        first = threading.Thread(target=lambda: reports.append(running.join()))
        first.start()
        time.sleep(0.3)
        threading.Timer(0.3, source.may_go_on.set).start()
    first.join(60)
    assert len(reports) == 1


@pytest.mark.parametrize(("raises", "code"), [("ConnectionError('away')", 74), ("KeyError('wrong')", 65)])
def test_what_may_pass_has_another_exit_code(tmp_path, raises, code):
    (tmp_path / "part.py").write_text(
        f"class Source:\n    def stream(self):\n        yield {{'sensor': 'a', 'value': 1.0}}\n        raise {raises}\n"
    )
    (tmp_path / "p.toml").write_text('[source]\ntype = "python:part:Source"\n[[sink]]\ntype = "null"\n')
    run = subprocess.run([sys.executable, "-m", "tidemill", "run", "p.toml"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == code, run.stderr


def test_a_slow_stage_is_not_endless():
    class Slow:
        def __init__(self):
            self.begun = threading.Event()

        def process(self, stream):
            for record in stream:
                self.begun.set()
                time.sleep(0.001)
                yield record

    stage = Slow()
    table = pa.table({"sensor": ["a"] * 7000, "value": [1.0] * 7000})
    running = Pipeline([table, stage, sinks.Null()]).start()
    assert stage.begun.wait(60)
    running.stop()
    assert running.join()["stages"][0]["output"] == 7000


def test_what_was_raised_when_a_pipeline_was_made_again_is_raised_by_verify(tmp_path, monkeypatch):
    (tmp_path / "two.py").write_text(
        "made = []\n"
        "class Once(Exception): pass\n"
        "class Stage:\n"
        "    stateless = True\n"
        "    def __init__(self):\n"
        "        made.append(self)\n"
        "        if len(made) > 1: raise Once('made already')\n"
        "    def process(self, stream): yield from stream\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "p.toml"
    file.write_text('[source]\ntype = "synthetic"\nrecords = 10\n[[stage]]\ntype = "python:two:Stage"\n[[sink]]\ntype = "csv"\npath = "out.csv"\n')
    with pytest.raises(SpecError, match="made already") as raised:
        Pipeline.from_file(file).verify(rounds=1)
    assert type(raised.value.__cause__).__name__ == "Once"


BRANCHES = """
[source]
type = "synthetic"
records = 100
[[stage]]
type = "threshold"
name = "x"
max = 10
[[stage]]
type = "threshold"
name = "y"
from = "source"
max = 1000
[[sink]]
type = "csv"
path = "x.csv"
from = "x"
[[sink]]
type = "csv"
path = "y.csv"
from = "y"
"""


def test_pipelines_with_branches_give_what_leaves_their_last_stage(tmp_path):
    file = tmp_path / "p.toml"
    file.write_text(BRANCHES)
    pipeline = Pipeline.from_file(file)
    assert len(pipeline.to_table()) == len(list(pipeline.stream())) == 100
    before, after = pipeline._pipeline.tables({"threads": None, "state": None, "state_every": None, "accept_changes": False, "take_over": False})
    assert len(before) == len(after) == 100
    assert not list(tmp_path.glob("*.csv"))


def test_a_part_may_be_called_as_a_source_would_be(tmp_path):
    file = tmp_path / "p.toml"
    source = '[[source]]\ntype = "synthetic"\nrecords = 100\n'
    file.write_text(source + source + '[[stage]]\ntype = "threshold"\nname = "source"\nmax = 1000\n[[sink]]\ntype = "null"\n')
    pytest.importorskip("matplotlib").use("agg")
    assert Pipeline.from_file(file).plot() is not None


@pytest.mark.parametrize("series", [pandas.Series([1.0]), polars.Series([1.0]), pa.chunked_array([[1.0]])], ids=["pandas", "polars", "pyarrow"])
def test_a_series_is_no_table(series):
    with pytest.raises(TypeError, match="expected a table, not one column"):
        Pipeline([series, Threshold(min=0)]).to_table()
    with pytest.raises(TypeError, match="expected a"):
        tidemill.Chain([Threshold(min=0)]).push(series)


def test_a_nested_column_is_not_left_out_without_a_word():
    table = pa.table({"sensor": ["a"], "value": [1.0], "parts": [[1, 2]]})
    pipeline = Pipeline([table, Threshold(min=0)])
    with pytest.warns(tidemill.RemarkWarning, match="`parts` is left out") as told:
        assert list(pipeline.to_pandas()) == ["sensor", "value"]
    assert len(told) == 1 and told[0].filename == __file__
    with pytest.warns(tidemill.RemarkWarning, match="`parts` is left out"):
        list(pipeline.stream())
