"""Components in Python in runs with checkpoints: each record counts once, whatever happens to the process.

| variable | meaning |
|---|---|
| `TIDEMILL_KILLS` | how many kills by test; 6 if not given |
| `TIDEMILL_SEED` | replays the delays of an earlier run; the moment of a kill depends on the machine too |
"""

import csv
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest
import tidemill
from tidemill import MovingAverage, Pipeline, SpecError, sinks

RECORDS = 20_000

PROGRAM = """
import sqlite3, sys, time
import pyarrow as pa
from tidemill import MovingAverage, Pipeline, sinks

RECORDS, BY_BATCH = int(sys.argv[1]), sys.argv[2] == "batch"

class Plant:
    def __init__(self):
        self.place = {"next": 0}

    def position(self):
        return self.place

    def resume(self, position):
        self.place = position

    def records(self, count):
        first = self.place["next"]
        self.place["next"] = min(first + count, RECORDS)
        return [{"sensor": f"s{at % 7}", "number": float(at)} for at in range(first, self.place["next"])]

    def stream(self):
        while self.place["next"] < RECORDS:
            if self.place["next"] % 500 == 0:
                time.sleep(0.01)
            if BY_BATCH:
                yield pa.RecordBatch.from_pylist(self.records(250))
            else:
                yield self.records(1)[0]

class Numbered:
    fields = {"of_sensor": int}

    def __init__(self):
        self.counts = {}

    def save(self):
        return self.counts

    def restore(self, state):
        self.counts = state

    def process(self, stream):
        for record in stream:
            count = self.counts[record.sensor] = self.counts.get(record.sensor, -1) + 1
            yield record.replace(of_sensor=count)

class Table:
    def __enter__(self):
        # Used on the thread of the sink alone: sqlite3 checks that.
        self.database = sqlite3.connect("out.db", timeout=60)
        self.database.execute("CREATE TABLE IF NOT EXISTS readings (number REAL, of_sensor INTEGER)")
        self.database.execute("CREATE TABLE IF NOT EXISTS epochs (writer TEXT PRIMARY KEY, epoch INTEGER)")

    def __exit__(self, *error):
        self.database.close()

    def deliver(self, epoch, stream, writer):
        with self.database:
            last = self.database.execute("SELECT epoch FROM epochs WHERE writer = ?", [writer]).fetchone()
            if last is not None and last[0] >= epoch:
                return
            rows = self.rows(stream)
            self.database.executemany("INSERT INTO readings VALUES (?, ?)", rows)
            self.database.execute("INSERT OR REPLACE INTO epochs VALUES (?, ?)", [writer, epoch])

    def rows(self, stream):
        if BY_BATCH:
            return [(row["number"], row["of_sensor"]) for row in pa.table(stream).to_pylist()]
        return [(record.number, record.of_sensor) for record in stream]

print("begins", flush=True)
parts = [Plant(), Numbered(), MovingAverage(window=3, columns=["number"]), sinks.Csv(path="out.csv"), Table()]
Pipeline(parts).run(state="state", state_every=0.001, threads=2)
"""


def program(folder: Path, how: str) -> list[str]:
    (folder / "program.py").write_text(PROGRAM)
    return [sys.executable, "program.py", str(RECORDS), how]


def check(folder: Path) -> None:
    expected = [(float(at), at // 7) for at in range(RECORDS)]
    with open(folder / "out.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(float(row["number"]), int(row["of_sensor"])) for row in rows] == expected
    assert [float(row["number_avg"]) for row in rows[14:]] == [at - 7.0 for at in range(14, RECORDS)]
    database = sqlite3.connect(folder / "out.db")
    assert database.execute("SELECT number, of_sensor FROM readings ORDER BY rowid").fetchall() == expected
    database.close()


@pytest.mark.parametrize("how", ["record", "batch"])
def test_a_process_killed_at_any_moments_has_each_record_once(tmp_path, how):
    wanted = int(os.environ.get("TIDEMILL_KILLS", "6"))
    seed = int(os.environ.get("TIDEMILL_SEED", random.randrange(1 << 32)))
    print(f"TIDEMILL_SEED={seed}, {wanted} kills")
    chance = random.Random(seed)
    kills = rounds = 0
    while kills < wanted:
        rounds += 1
        folder = tmp_path / str(rounds)
        folder.mkdir()
        command = program(folder, how)
        # After so many kills of one run, it may come to its end.
        for _ in range(3):
            run = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
            assert run.stdout is not None and run.stdout.readline() == "begins\n"
            time.sleep(chance.uniform(0, 0.6))
            if run.poll() is not None:
                break
            run.send_signal(signal.SIGKILL)
            run.wait()
            run.stdout.close()
            kills += 1
        subprocess.run(command, cwd=folder, check=True, timeout=120)
        check(folder)


class Counter:
    """A source that goes on where it was."""

    def __init__(self, count=1000):
        self.count, self.at, self.resumed = count, 0, []

    def position(self):
        return self.at

    def resume(self, position):
        self.resumed.append(position)
        self.at = position

    def stream(self):
        while self.at < self.count:
            self.at += 1
            yield {"sensor": "a", "value": float(self.at)}


class Kept:
    """A sink that keeps what is delivered."""

    def __init__(self, refuses=False):
        self.values, self.epochs, self.writers = [], [], set()
        self.refuses = refuses

    def deliver(self, epoch, stream, writer):
        if self.refuses:
            raise ValueError("not now")
        if epoch in self.epochs:
            return
        self.values += [record.value for record in stream]
        self.epochs.append(epoch)
        self.writers.add(writer)


class Same:
    stateless = True

    def process(self, stream):
        yield from stream


def test_parts_that_cannot_go_on_are_refused_before_the_run(tmp_path):
    class Source:
        def stream(self):
            raise AssertionError("never read")

    class Stage:
        def process(self, stream):
            yield from stream

    class Sink:
        def consume(self, stream):
            for _ in stream:
                pass

    for parts, message in [
        ([Source(), Kept()], r"source \(.*Source\): it has no `position` and `resume`"),
        ([(record for record in []), Kept()], r"generator\): it has no `position` and `resume`"),
        ([Counter(), Stage(), Kept()], r"stage 0 \(.*Stage\): it has no `save` and `restore`"),
        ([Counter(), Sink()], r"sink 0 \(.*Sink\): it has no `deliver`"),
    ]:
        with pytest.raises(SpecError, match=message) as raised:
            Pipeline(parts).run(state=tmp_path / "state")
        assert raised.value.help is not None and "= True" in raised.value.help
        assert not (tmp_path / "state").exists()


def test_parts_may_say_that_they_need_not_go_on(tmp_path):
    class Source:
        at_most_once = True

        def stream(self):
            yield {"sensor": "a", "value": 1.0}

    class Sink:
        at_least_once = True

        def consume(self, stream):
            self.values = [record.value for record in stream]

    sink = Sink()
    Pipeline([Source(), Same(), sink]).run(state=tmp_path / "state")
    assert sink.values == [1.0]


def test_half_a_protocol_is_refused():
    class Half:
        def stream(self):
            yield {"sensor": "a", "value": 1.0}

        def position(self):
            return 0

    with pytest.raises(SpecError, match="has `position` and no `resume`"):
        Pipeline([Half()])


class Holds:
    """A stage that holds its run up at one record, once."""

    stateless = True

    def __init__(self):
        self.reached, self.go_on = threading.Event(), threading.Event()

    def process(self, stream):
        for record in stream:
            if record.value == 50_000 and not self.go_on.is_set():
                self.reached.set()
                self.go_on.wait(60)
            yield record


# Fewer are under way at once.
MANY = 120_000


def run_half(parts, holds, state):
    """A run that is stopped in the middle."""
    running = Pipeline(parts).start(state=state, threads=1)
    assert holds.reached.wait(60)
    running.stop()
    holds.go_on.set()
    assert running.join()["is_paused"]


def records(count):
    return list(Counter(count).stream())


@pytest.mark.parametrize("make", [Counter, records, lambda count: pa.Table.from_pylist(records(count))])
def test_sources_go_on_where_they_were(tmp_path, make):
    state, holds, sink = tmp_path / "state", Holds(), sinks.Csv(path=str(tmp_path / "out.csv"))
    run_half([make(MANY), holds, sink], holds, state)
    source = make(MANY)
    report = Pipeline([source, holds, sink]).run(state=state)
    assert 50_000 <= report["records_before"] < MANY
    if isinstance(source, Counter):
        assert source.resumed == [report["records_before"]]
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[1:] == [f"a,{at}" for at in range(1, MANY + 1)]
    assert any("had already ended" in remark for remark in Pipeline([make(MANY), holds, sink]).run(state=state)["remarks"])


def test_a_table_that_has_become_shorter_is_refused(tmp_path):
    state, holds, sink = tmp_path / "state", Holds(), sinks.Csv(path=str(tmp_path / "out.csv"))
    run_half([records(MANY), holds, sink], holds, state)
    with pytest.raises(tidemill.DataError, match="has 10 records, fewer than when the checkpoint was made"):
        Pipeline([records(10), holds, sink]).run(state=state)


def test_a_source_at_its_end_knows_its_columns(tmp_path):
    with pytest.raises(ValueError, match="not now"):
        Pipeline([Counter(), Kept(refuses=True)]).run(state=tmp_path / "state")
    source, sink = Counter(), Kept()
    Pipeline([source, sink]).run(state=tmp_path / "state")
    assert sink.values == [float(at) for at in range(1, 1001)]
    assert len(sink.writers) == 1


def test_a_source_is_told_what_is_durable_on_its_thread_until_the_run_is_over(tmp_path):
    class Broker(Counter):
        def __enter__(self):
            self.calls, self.threads = [], {threading.get_ident()}

        def __exit__(self, *error):
            self.calls.append("exit")

        def durable(self, position):
            self.calls.append(position)
            self.threads.add(threading.get_ident())

        def stream(self):
            for record in super().stream():
                yield record
                yield None

    source, sink = Broker(), Kept()
    Pipeline([source, sink]).run(state=tmp_path / "state", state_every=0.0001)
    assert source.calls[-2:] == [1000, "exit"]
    assert source.calls[:-1] == sorted(source.calls[:-1])
    assert len(source.threads) == 1
    assert sink.values == [float(at) for at in range(1, 1001)]
    assert sink.epochs == sorted(set(sink.epochs))


def test_a_delivery_that_fails_for_a_while_is_repeated(tmp_path):
    class Away(Kept):
        failures = 0

        def deliver(self, epoch, stream, writer):
            if self.failures < 2:
                self.failures += 1
                raise ConnectionError("away")
            super().deliver(epoch, stream, writer)

    sink = Away()
    report = Pipeline([Counter(), sink]).run(state=tmp_path / "state")
    assert sink.values == [float(at) for at in range(1, 1001)]
    assert any("failed 2 times and was retried" in remark for remark in report["remarks"])


def test_a_sink_that_delivers_without_checkpoints_gets_everything():
    class Asynchronous(Kept):
        async def __aenter__(self):
            self.entered = True

        async def __aexit__(self, *error):
            self.entered = False

        async def deliver(self, epoch, stream, writer):
            assert self.entered
            async for record in stream:
                self.values.append(record.value)

    sink = Asynchronous()
    Pipeline([Counter(100_000), sink]).run()
    assert sink.values == [float(at) for at in range(1, 100_001)]
    assert not sink.entered


class Live(Counter):
    """A source that never ends."""

    bounded = False

    def stream(self):
        while True:
            self.at += 1
            yield {"sensor": "a", "value": float(self.at)}


class Saves:
    """A stage with a state of the test's."""

    def __init__(self, state):
        self.state, self.restored, self.reads = state, [], threading.Event()

    def save(self):
        return self.state

    def restore(self, state):
        self.restored.append(state)

    def process(self, stream):
        for record in stream:
            self.reads.set()
            yield record


def run_for_a_while(stage, state):
    """A run that is stopped when the stage has read records: then it is saved."""
    stage.reads.clear()
    running = Pipeline([Live(), stage, Kept()]).start(state=state, state_every=3600)
    assert stage.reads.wait(60)
    running.stop()
    return running.join()


@pytest.mark.parametrize("state", [b"\x00\xff", {"a": [1, 2.5, None, "x"]}, [float("inf")], "text", 7, None])
def test_states_are_bytes_or_json(tmp_path, state):
    stage = Saves(state)
    assert run_for_a_while(stage, tmp_path / "state")["is_paused"]
    run_for_a_while(stage, tmp_path / "state")
    assert stage.restored == [state]


@pytest.mark.parametrize("state, message", [({1: 2}, "has the key 1"), (object(), "is bytes, or what JSON can hold"), ([{(1,): 2}], "has the key")])
def test_other_states_are_refused(tmp_path, state, message):
    with pytest.raises(TypeError, match=message):
        run_for_a_while(Saves(state), tmp_path / "state")


def test_a_stage_that_has_returned_takes_nothing_after_a_restart(tmp_path):
    class First:
        stateless = True

        def process(self, stream):
            for _ in range(10):
                yield next(stream)

    state, holds, sink = tmp_path / "state", Holds(), sinks.Csv(path=str(tmp_path / "out.csv"))
    run_half([Counter(MANY), holds, First(), sink], holds, state)
    Pipeline([Counter(MANY), holds, First(), sink]).run(state=state)
    assert (tmp_path / "out.csv").read_text() == "sensor,value\n" + "".join(f"a,{at}\n" for at in range(1, 11))


def test_native_stages_between_keep_their_state(tmp_path):
    state, holds, sink = tmp_path / "state", Holds(), sinks.Csv(path=str(tmp_path / "out.csv"))
    stages = [MovingAverage(window=3), holds]
    run_half([Counter(MANY), *stages, sink], holds, state)
    Pipeline([Counter(MANY), *stages, sink]).run(state=state)
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[3:] == [f"a,{at},{at - 1}" for at in range(3, MANY + 1)]
