"""Components that are used alone: measured, tried again, audited."""

import asyncio
import logging
import math
import random
import threading
import time

import numpy
import pandas
import pyarrow as pa
import pytest
import tidemill
from tidemill import DataError, Pipeline, SpecError, Threshold, _async, audited, describe, measured, retry


def readings(count):
    return [{"sensor": "a", "value": float(at)} for at in range(count)]


class Doubled:
    def __init__(self, factor=2.0):
        self.factor = factor

    def process(self, stream):
        for record in stream:
            yield {**record, "value": record["value"] * self.factor}


@pytest.fixture
def pauses(monkeypatch):
    """The pauses before attempts, which are not waited for."""
    seen = []
    monkeypatch.setattr(time, "sleep", seen.append)
    return seen


# measured


def test_a_stage_is_measured_without_its_neighbours(monkeypatch):
    clock = iter(range(10**6))
    # Each look at the clock is a second after the one before.
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    stage = measured(Doubled())
    assert [record["value"] for record in stage.process(readings(3))] == [0, 2, 4]
    measurement = stage.measurement
    assert (measurement.input, measurement.output) == (3, 3)
    # Of every four looks, one second is the input's: while it makes three records and ends, and one for `process` itself.
    assert measurement.seconds == 4 * (3 - 1) + 1
    assert measurement.seconds_per_record == 3
    assert str(measurement).startswith("`Doubled`: 3 records in, 3 out, 9.000 s, 3000000.00 µs a record")


def test_sources_sinks_and_batches_are_measured():
    class Source:
        def stream(self):
            yield pa.record_batch({"value": [1.0, 2.0, 3.0]})
            yield None
            yield {"value": 4.0}

    class Sink:
        async def consume(self, stream):
            async for _ in stream:
                pass

    source, sink = measured(Source()), measured(Sink())
    assert len(list(source.stream())) == 3
    sink.consume(readings(5))
    assert (source.measurement.output, source.measurement.input, sink.measurement.input) == (4, 0, 5)
    assert measured(Sink()).measurement.seconds_per_record is None


def test_what_is_measured_works_in_a_pipeline_and_reads_record_batches():
    class ByBatch:
        fields = {"ok": bool}

        def process(self, stream):
            for batch in stream.batches():
                batch = pa.record_batch(batch)
                yield batch.append_column("ok", pa.array([True] * len(batch)))

    class Table:
        def consume(self, stream):
            self.table = pa.table(stream)

    stage, sink = measured(ByBatch()), measured(Table())
    Pipeline([readings(1000), stage, sink]).run()
    assert sink.table["ok"].to_pylist() == [True] * 1000
    assert (stage.measurement.input, stage.measurement.output, sink.measurement.input) == (1000, 1000, 1000)


def test_decorators_take_classes_and_keep_attributes():
    @measured
    class Scaled(Doubled):
        pass

    scaled = Scaled(factor=3.0)
    assert [record["value"] for record in scaled.process(readings(2))] == [0, 3]
    scaled.factor = 5.0
    assert scaled.__wrapped__.factor == scaled.factor == 5.0
    assert describe(scaled)["factor"].value == 5.0
    with pytest.raises(SpecError, match="in a pipeline only"):
        measured(Threshold(max=1))
    with pytest.raises(SpecError, match="is no source, stage or sink"):
        measured(5)


def test_wrappers_enter_and_leave_and_end_generators():
    calls = []

    class Source:
        def __enter__(self):
            calls.append("enter")

        def __exit__(self, *error):
            calls.append("exit")

        def stream(self):
            try:
                yield from readings(10)
            finally:
                calls.append("end")

    for wrap in (measured, retry, audited):
        with wrap(Source()) as source:
            items = source.stream()
            next(items)
            items.close()
        assert calls == ["enter", "end", "exit"]
        calls.clear()


class Opened:
    """What belongs to the event loop in which it was entered."""

    def __init__(self, calls=None):
        self.calls = [] if calls is None else calls

    async def __aenter__(self):
        self.loop = asyncio.get_running_loop()
        self.calls.append("enter")

    async def __aexit__(self, *error):
        assert asyncio.get_running_loop() is self.loop
        self.calls.append("exit")


class OpenedSource(Opened):
    async def stream(self):
        assert asyncio.get_running_loop() is self.loop
        for record in readings(3):
            yield record


class OpenedStage(Opened):
    async def process(self, stream):
        assert asyncio.get_running_loop() is self.loop
        async for record in stream:
            yield record


class OpenedSink(Opened):
    async def consume(self, stream):
        assert asyncio.get_running_loop() is self.loop
        self.count = len([record async for record in stream])


@pytest.mark.parametrize("wrap", [measured, retry, audited, lambda part: measured(retry(audited(part)))])
def test_wrappers_enter_and_leave_asynchronous_ones(wrap):
    source, stage, sink = OpenedSource(), OpenedStage(), OpenedSink()
    Pipeline([wrap(source), wrap(stage), wrap(sink)]).run()
    assert source.calls == stage.calls == sink.calls == ["enter", "exit"]
    assert sink.count == 3
    calls = []
    with wrap(OpenedSource(calls)) as outer, wrap(OpenedSource(calls)) as inner:
        assert list(inner.stream()) == list(outer.stream()) == readings(3)
    assert calls == ["enter", "enter", "exit", "exit"]


def test_one_that_cannot_be_entered_leaves_no_event_loop():
    class Closed(OpenedSource):
        async def __aenter__(self):
            raise ConnectionError("closed")

    with pytest.raises(ConnectionError, match="closed"), measured(Closed()):
        raise AssertionError
    assert _async.keep(), "there was none"
    _async.close()


# retry


def test_pauses_grow_up_to_the_longest(pauses):
    class Down:
        def stream(self):
            raise ConnectionError("down")
            yield

    with pytest.raises(ConnectionError, match="down") as raised:
        list(retry(Down(), attempts=6, delay=1.0, max_delay=5.0, jitter=False).stream())
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert raised.value.__notes__ == ["`Down` failed 6 times in a row"]
    pauses.clear()
    with pytest.raises(ConnectionError):
        list(retry(Down(), attempts=50, delay=1.0, max_delay=8.0).stream())
    assert all(0 <= pause <= min(8.0, 2.0**at) for at, pause in enumerate(pauses))
    assert len(set(pauses)) > 40, "they are random"


def test_other_exceptions_are_not_tried_again(pauses):
    class Wrong:
        def stream(self):
            raise KeyError("a bug")
            yield

    with pytest.raises(KeyError):
        list(retry(Wrong()).stream())
    with pytest.raises(SpecError, match="at least"):
        retry(Wrong(), attempts=0)
    assert pauses == []


class Flaky:
    """Fails at random."""

    def __init__(self, seed, share=0.3):
        self.random, self.share = random.Random(seed), share

    def try_it(self):
        if self.random.random() < self.share:
            raise OSError("flaky")


@pytest.mark.parametrize("seed", range(5))
def test_a_source_that_can_resume_neither_repeats_nor_loses(pauses, seed):
    class Source(Flaky):
        at = 0

        def position(self):
            return self.at

        def resume(self, position):
            self.at = position

        def stream(self):
            while self.at < 200:
                self.try_it()
                self.at += 1
                yield self.at

    assert list(retry(Source(seed), attempts=100).stream()) == list(range(1, 201))
    assert len(pauses) > 20


@pytest.mark.parametrize("seed", range(5))
def test_a_source_goes_on_as_it_says(pauses, seed):
    class File(Flaky):
        def stream(self):
            for at in range(50):
                self.try_it()
                yield None
                yield at

    class Queue(Flaky):
        waiting = list(range(50))

        def stream(self):
            waiting = self.waiting
            while waiting:
                self.try_it()
                yield waiting.pop(0)

    Queue.waiting = list(range(50))
    given = list(retry(File(seed, 0.03), attempts=100, restart="beginning").stream())
    assert [item for item in given if item is not None] == list(range(50)) and None in given
    assert list(retry(Queue(seed), attempts=100, restart="next").stream()) == list(range(50))
    with pytest.raises(OSError) as raised:
        list(retry(File(seed, 0.2), attempts=100).stream())
    assert any("it is not known where it would go on" in note for note in raised.value.__notes__)


def test_a_source_that_shrinks_is_told(pauses):
    class Shrinks:
        length = 10

        def stream(self):
            yield from range(self.length)
            if self.length == 10:
                self.length = 5
                raise OSError("gone")

    with pytest.raises(DataError, match="ended after 5 records where it had given 10"):
        list(retry(Shrinks(), restart="beginning").stream())


@pytest.mark.parametrize("seed", range(5))
def test_a_stage_neither_repeats_nor_loses(pauses, seed):
    class Stage(Flaky):
        def process(self, stream):
            for record in stream:
                # It may fail before, between and after what it gives for a record, and has changed the record by then.
                record["value"] += 1
                self.try_it()
                yield record["value"]
                self.try_it()
                yield -record["value"]
                self.try_it()

    given = readings(100)
    expected = [sign * (record["value"] + 1) for record in given for sign in (1, -1)]
    assert list(retry(Stage(seed), attempts=1000).process(given)) == expected
    assert given == readings(100), "its input is as it was"


@pytest.mark.parametrize("seed", range(5))
def test_a_stage_with_state_is_restored(pauses, seed):
    class Sums(Flaky):
        kept = {"total": 0.0}

        def save(self):
            # It goes on with what it gives.
            return self.kept

        def restore(self, state):
            self.kept = state

        def process(self, stream):
            for record in stream:
                self.kept["total"] += record["value"]
                self.try_it()
                yield self.kept["total"]
            self.try_it()
            yield "end"

    Sums.kept = {"total": 0.0}
    assert list(retry(Sums(seed), attempts=1000).process(readings(4))) == [0, 1, 3, 6, "end"]


def test_a_stage_by_batch_neither_repeats_nor_loses(pauses):
    class Stage(Flaky):
        def process(self, stream):
            for batch in stream.batches():
                self.try_it()
                yield batch
                self.try_it()

    assert Pipeline([readings(5000), retry(Stage(1), attempts=1000)]).to_arrow()["value"].to_pylist() == [float(at) for at in range(5000)]


def test_records_of_the_engine_are_not_changed_twice(pauses):
    class Stage(Flaky):
        def process(self, stream):
            for record in stream:
                record.value += 1
                self.try_it()
                yield record

    values = [record.value for record in Pipeline([readings(200), retry(Stage(1), attempts=1000)]).stream()]
    assert values == [float(at + 1) for at in range(200)]


def test_failures_of_the_input_are_not_tried_again(pauses):
    def broken():
        yield {"value": 1.0}
        raise OSError("the input")

    class Hides:
        def process(self, stream):
            try:
                yield from stream
            except OSError as error:
                raise ConnectionError("hidden") from error

    with pytest.raises(OSError, match="the input"):
        list(retry(Doubled()).process(broken()))
    with pytest.raises(ConnectionError, match="hidden"):
        list(retry(Hides()).process(broken()))
    assert pauses == []


def test_a_sink_loses_nothing(pauses):
    class Sink(Flaky):
        written = []

        def consume(self, stream):
            for record in stream:
                self.try_it()
                self.written.append(record["value"])
            self.try_it()

    sink = Sink(3)
    retry(sink, attempts=1000).consume(readings(100))
    assert sink.written == [float(at) for at in range(100)]
    assert len(pauses) > 20


# audited


def test_settings_and_their_changes_are_logged(caplog):
    class Scaled:
        def __init__(self, factor, limits, token="x"):
            self.factor, self.limits, self.token, self.seen = factor, limits, token, 0

        def process(self, stream):
            for record in stream:
                self.seen += 1
                if self.seen == 3:
                    self.factor = 7.0
                yield record["value"] * self.factor

    caplog.set_level(logging.INFO, "tidemill.audit")
    stage = audited(Scaled(2.0, limits={"a": 1}))
    results = stage.process(readings(6))
    assert next(results) == 0.0
    stage.token = "s3cret"
    stage.limits["a"] = 5
    assert list(results) == [2.0, 14.0, 21.0, 28.0, 35.0]
    assert [(change.name, change.before, change.after, change.records) for change in stage.changes] == [
        ("token", "***", "***", 1),
        ("limits", {"a": 1}, {"a": 5}, 1),
        ("factor", 2.0, 7.0, 3),
    ]
    assert caplog.messages == [
        "`Scaled` starts: factor=2.0, limits={'a': 1}, token=***",
        "`Scaled`: token changed from *** to *** after 1 record",
        "`Scaled`: limits changed from {'a': 1} to {'a': 5} after 1 record",
        "`Scaled`: factor changed from 2.0 to 7.0 after 3 records",
    ]


def test_sources_and_sinks_are_audited(caplog):
    class Source:
        def __init__(self, count):
            self.count = count

        def stream(self):
            yield from readings(self.count)
            self.count = 0

    class Sink:
        rate = 1

        def consume(self, stream):
            self.values = [record["value"] for record in stream]
            self.rate = 2

    caplog.set_level(logging.INFO, "tidemill.audit")
    source, sink = audited(Source(3)), audited(Sink(), settings=["rate"])
    sink.consume(source.stream())
    assert sink.values == [0.0, 1.0, 2.0]
    assert [(change.name, change.after, change.records) for change in [*source.changes, *sink.changes]] == [("count", 0, 3), ("rate", 2, 3)]


class Model:
    """Has no `__eq__`."""

    def __init__(self):
        self.calls = 0

    def __repr__(self):
        return "Model()"


class Kept:
    """A stage with one setting, which it sets again for each record."""

    def __init__(self, setting, other=0):
        self.setting, self.other = setting, other

    def process(self, stream):
        for record in stream:
            self.setting, self.other = again(self.setting), self.other + 1
            yield record


def again(value):
    """The same value, in another object where that is the same."""
    if isinstance(value, Model):
        value.calls += 1
    if isinstance(value, float):
        return value + 0.0
    return value.copy() if hasattr(value, "copy") else value


@pytest.mark.parametrize(
    "setting",
    [
        numpy.array([1.0, math.nan, 3.0]),
        numpy.array([1.0]),
        pandas.DataFrame({"a": [1.0, None], "b": ["x", "y"]}),
        pandas.NA,
        math.nan,
        Model(),
        threading.Lock(),
        {"model": Model(), "weights": [numpy.array([1, 2]), math.nan]},
        [threading.Lock(), {"model": (Model(), 1)}],
    ],
)
def test_a_setting_that_stays_is_no_change(setting):
    stage = audited(Kept(setting))
    assert len(list(stage.process(readings(3)))) == 3
    assert [change.name for change in stage.changes] == ["other"] * 3


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda: numpy.array([1.0, math.nan]), lambda array: array.__setitem__(0, 2.0)),
        (lambda: pandas.DataFrame({"a": [1.0]}), lambda frame: frame.insert(0, "b", 1)),
        (lambda: {"weights": [numpy.array([1, 2])]}, lambda settings: settings["weights"][0].__setitem__(0, 5)),
        (lambda: [Model()], lambda models: models.append(Model())),
        (lambda: [Model()], lambda models: models.__setitem__(0, Model())),
    ],
)
def test_a_change_inside_of_a_setting_is_seen(make, change):
    stage = audited(Kept(make()), settings=["setting"])
    results = stage.process(readings(4))
    next(results)
    before = repr(stage.setting)
    change(stage.setting)
    assert len(list(results)) == 3
    (seen,) = stage.changes
    assert (repr(seen.before), repr(seen.after), seen.records) == (before, repr(stage.setting), 1)


@pytest.mark.parametrize(
    ("before", "after"), [(math.nan, 1.0), (1.0, math.nan), (None, 1), (1, None), (numpy.array([1, 2]), 5), (Model(), 1), ([1], (1,))]
)
def test_a_setting_of_another_kind_is_a_change(before, after):
    stage = audited(Kept(before), settings=["setting"])
    stage.setting = after
    assert len(stage.changes) == 1


def test_wrappers_can_be_stacked():
    stage = measured(retry(audited(Doubled())))
    assert [record["value"] for record in stage.process(readings(2))] == [0, 2]
    assert stage.measurement.output == 2
    assert tidemill.describe(stage).name == "Doubled"
