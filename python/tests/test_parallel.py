"""Stages in several processes."""

import csv
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from parallel_stages import ByBatch, Entered, EnteredAsynchronously, Even, Fails, Refused, Squared
from tidemill import InternalError, MovingAverage, Pipeline, SpecError, Threshold, parallel, sinks


def readings(count):
    return [
        {"sensor": f"s{at % 3}", "time": f"2026-01-01T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}Z", "value": float(at)} for at in range(count)
    ]


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The processes import the stages by their module."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def test_the_order_is_kept_in_several_processes():
    count = 100_000
    table = pa.table({"sensor": pa.array(["a"] * count), "value": pa.array(range(count), pa.float64())})
    result = Pipeline([table, Threshold(min=10), parallel(Squared(), workers=2), MovingAverage(window=2)]).to_arrow()
    assert result["value"].to_pylist() == [float(at) ** 2 for at in range(10, count)]
    assert result["value_avg"].to_pylist()[1:3] == [(100 + 121) / 2, (121 + 144) / 2]
    assert len(set(result["process"].to_pylist())) == 2
    assert os.getpid() not in result["process"].to_pylist()


def test_it_gives_what_the_stage_gives_here():
    for stage in (Even(), ByBatch()):
        here = Pipeline([readings(30_000), stage]).to_arrow()
        there = Pipeline([readings(30_000), parallel(stage, workers=2)]).to_arrow()
        assert there.to_pydict() == here.to_pydict() and len(there) >= 15_000


def test_a_class_is_named_in_a_program_and_in_a_file(tmp_path):
    named = parallel("parallel_stages:Squared", workers=1, options={"offset": 0.5})
    assert Pipeline([readings(10), named]).to_arrow()["value"].to_pylist() == [float(at) ** 2 + 0.5 for at in range(10)]
    (tmp_path / "in.csv").write_text("sensor,value\na,1\na,2\n")
    (tmp_path / "p.toml").write_text(
        '[source]\ntype = "csv"\npath = "in.csv"\nsensor = "sensor"\n'
        '[[stage]]\ntype = "python:tidemill:parallel"\nstage = "parallel_stages:Even"\nworkers = 1\n[[sink]]\ntype = "null"\n'
    )
    assert Pipeline.from_file(tmp_path / "p.toml").to_arrow()["value"].to_pylist() == [2.0]


def test_it_is_used_alone_with_any_records():
    stage = parallel(Even(), workers=2)
    assert [record["value"] for record in stage.process(readings(5000))] == [float(at) for at in range(0, 5000, 2)]


@pytest.mark.parametrize("make", [Entered, EnteredAsynchronously])
def test_a_context_manager_is_entered_and_left_in_each_process(tmp_path, make):
    # Several record batches.
    assert len(Pipeline([readings(80_000), parallel(make(str(tmp_path)), workers=2)]).to_table()) == 80_000
    entered, left = ({path.name.split("-")[1] for path in tmp_path.glob(f"{what}-*")} for what in ("entered", "left"))
    assert len(entered) == 2 and entered == left


def test_exceptions_are_raised_as_they_are():
    with pytest.raises(ZeroDivisionError, match="as it is"):
        Pipeline([readings(10_000), parallel(Fails("raises"), workers=2)]).to_table()
    with pytest.raises(ZeroDivisionError, match="as it is"):
        list(parallel(Fails("raises"), workers=2).process(readings(10_000)))
    # One that cannot be sent is told by its text.
    with pytest.raises(RuntimeError, match="Refused: s2 has 5000") as raised:
        Pipeline([readings(10_000), parallel(Fails("refuses"), workers=2)]).to_table()
    assert any("in fail" in note for note in raised.value.__notes__)
    assert Refused("a", 1).args == ("a has 1",)


@pytest.mark.parametrize(("how", "said"), [("is killed", "SIGKILL"), ("exits", "exit code 7")])
def test_the_death_of_a_process_is_told(how, said):
    with pytest.raises(InternalError, match=rf"a process that ran `Fails` died \({said}\)"):
        Pipeline([readings(10_000), parallel(Fails(how), workers=2)]).to_table()


def test_what_cannot_run_in_processes_is_refused():
    class Local:
        def process(self, stream): ...

    with pytest.raises(SpecError, match="cannot be sent to a process"):
        parallel(Local())
    with pytest.raises(SpecError, match="is no stage"):
        parallel([1])
    with pytest.raises(SpecError, match="runs on all cores already"):
        parallel(Threshold(min=0))
    with pytest.raises(SpecError, match="at least 1"):
        parallel(Even(), workers=0)
    with pytest.raises(SpecError, match="names no class"):
        parallel("parallel_stages")


def test_records_under_way_are_in_the_state():
    """What one was given and has not given back, another one goes on with."""
    count, gate = 40_000, threading.Event()
    table = pa.table({"sensor": pa.array(["a"] * count).dictionary_encode(), "value": pa.array(range(count), pa.float64())})

    class Stream:
        """Four batches; it waits before it says that they are all."""

        def batches(self):
            yield from table.to_batches(max_chunksize=count // 4)
            state.append(first.save())
            gate.set()

    state = []
    first, second = parallel(Squared(), workers=3), parallel(Squared(), workers=1)
    given = [value for batch in first.process(Stream()) for value in batch["value"].to_pylist()]
    assert gate.is_set() and given == [float(at) ** 2 for at in range(count)]

    class Empty:
        def batches(self):
            return iter(())

    second.restore(state[0])
    assert second.save() == state[0]
    rest = [value for batch in second.process(Empty()) for value in batch["value"].to_pylist()]
    # Those that had been given before the state was saved are not in it.
    assert rest == given[count - len(rest) :]
    assert second.save() == b""


def test_a_run_that_was_stopped_goes_on(tmp_path):
    count = 60_000
    table = pa.table({"sensor": pa.array(["a"] * count), "value": pa.array(range(count), pa.float64())})
    pipeline = Pipeline([table, parallel(Squared(), workers=2), sinks.Csv(path=str(tmp_path / "out.csv"))])
    with pipeline.start(state=tmp_path / "state", state_every=0.001) as running:
        # Some batches have come back by then, others have not.
        while not running.status()["is_over"] and not list(tmp_path.glob("state/checkpoint-*")):
            pass
    pipeline.run(state=tmp_path / "state")
    with open(tmp_path / "out.csv") as file:
        assert [float(row["value"]) for row in csv.DictReader(file)] == [float(at) ** 2 for at in range(count)]


@pytest.mark.parametrize("to", ["all", "one"])
def test_ctrl_c_ends_the_processes(tmp_path, to):
    (tmp_path / "p.py").write_text(
        "import tidemill\n"
        "from parallel_stages import Fails\n"
        "if __name__ == '__main__':\n"
        "    readings = [{'sensor': 'a', 'value': float(at)} for at in range(10_000)]\n"
        "    try:\n"
        "        tidemill.Pipeline([readings, tidemill.parallel(Fails('sleeps'), workers=2)]).to_table()\n"
        "    except KeyboardInterrupt:\n"
        "        print('stopped', flush=True)\n"
    )
    run = subprocess.Popen([sys.executable, "p.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stdout.readline() == "asleep\n"
    if to == "all":
        # As a terminal does.
        os.killpg(run.pid, signal.SIGINT)
    else:
        run.send_signal(signal.SIGINT)
    said, errors = run.communicate(timeout=120)
    assert said == "stopped\n", errors
    assert errors == ""
