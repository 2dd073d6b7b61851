"""Random pipelines, run in every way: by threads, by record, live, resumed, moved, divided."""

import tempfile
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidemill import Aggregate, Chain, MovingAverage, MovingMedian, Normalize, Pipeline, Silence, SpecError
from tidemill._partitions import Kernel, nanoseconds
from tidemill._passes import fitted
from ways import (
    COLUMNS,
    ROLES,
    START,
    by_batch,
    by_record,
    constants_of,
    divided,
    examples,
    inputs,
    live,
    live_and_resumed,
    loading,
    moved,
    nan_as_null,
    one_process,
    pipelines,
    readings,
    rows,
    written,
)

sizes = st.sampled_from([1, 7, 100, 10_000])


@given(table=inputs(), stages=pipelines(), threads=st.sampled_from([2, 3]))
@examples(25)
def test_by_batch_on_several_threads(table, stages, threads):
    assert rows(by_batch(table, stages, threads)) == rows(one_process(table, stages))


@given(table=inputs(), stages=pipelines())
@examples(25)
def test_by_record_and_live(table, stages):
    table = nan_as_null(table)
    expected = rows(one_process(table, stages))
    with tempfile.TemporaryDirectory() as folder:
        # Records that come once have no first pass.
        learnt = loading(stages, constants_of(table, stages), Path(folder))
        assert rows(by_record(table, learnt)) == expected
        assert rows(live(table, learnt)) == expected


@given(table=inputs(), stages=pipelines(), cuts=st.lists(st.integers(0, 1000), max_size=2))
@examples(6)
def test_live_and_resumed(table, stages, cuts):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        learnt = loading(stages, constants_of(table, stages), folder)
        made = live_and_resumed(table, learnt, folder, cuts)
        expected = written(one_process(table, stages), folder)
        assert sorted(made.read_text().splitlines()) == sorted(expected.read_text().splitlines())


@given(table=inputs(), stages=pipelines(), size=sizes)
@examples(25)
def test_a_chain_that_moves_between_processes(table, stages, size):
    size = max(size, len(table) // 50)
    assert rows(moved(table, stages, constants_of(table, stages), size)) == rows(one_process(table, stages))


@given(table=inputs(), stages=pipelines(), partitions=st.sampled_from([1, 2, 4]), size=sizes, seed=st.integers(0, 99))
@examples(40)
def test_a_cluster(table, stages, partitions, size, seed):
    size = max(size, len(table) // 50)
    assert rows(divided(table, stages, partitions, size, seed)) == rows(one_process(table, stages))


@pytest.mark.parametrize("method", ["min_max", "z_score", "robust"])
def test_constants_are_those_of_a_run_of_one_process(tmp_path, method):
    # More distinct values than one pass of `robust` can tell apart.
    table, here, there = readings(60_000, sensors=2), tmp_path / "here.json", tmp_path / "there.json"
    stages = [MovingAverage(window=3, columns=["value"]), Normalize(method=method, fit=True, save=str(here))]
    one_process(table, stages)
    passes = []

    def observe(one):
        passes.append(one)
        return [one.observe([batch]) for batch in table.to_batches(max_chunksize=60_000)]

    fitted([stages[0], Normalize(method=method, fit=True, save=str(there))], COLUMNS, observe, **ROLES, constants=(), watermark=None)
    assert there.read_text() == here.read_text()
    assert len(passes) > 1 if method == "robust" else len(passes) == 1


def test_a_series_without_values_becomes_null():
    table = pa.Table.from_pylist(
        [{"sensor": sensor, "time": START, "value": value} for sensor, value in [("a", 1.0), ("b", None), ("c", float("nan"))]], schema=COLUMNS
    )
    stages = [Normalize(fit=True), Normalize(method="z_score", fit=True, columns=["value"])]
    assert rows(divided(table, stages, 2, 1, 1)) == rows(one_process(table, stages))


def test_what_the_watermark_makes_is_not_fitted():
    for stages in ([Silence(after="1m"), Normalize(fit=True)], [Silence(after="1m"), MovingAverage(window=2), Normalize(fit=True)]):
        with pytest.raises(SpecError, match=r"stage [12] \(normalize\) cannot be fitted to records that stage 0 \(silence\) makes"):
            divided(readings(10), stages, 2, 5, 1, watermark=START)


def test_mistakes_are_found_before_the_first_pass():
    def observe(one):
        raise AssertionError("observed")

    for last in (Silence(after="1m"), MovingMedian(window=3, columns=["valve"])):
        with pytest.raises(SpecError, match="stage 1"):
            fitted([Normalize(fit=True), last], COLUMNS, observe, **ROLES, constants=(), watermark=None)


@given(seed=st.integers(0, 2**32), partitions=st.sampled_from([1, 2, 4]))
@examples(10)
def test_silence_by_a_watermark_that_is_given(seed, partitions):
    table = readings(300, seed)
    reached = table["time"][-1].as_py()
    # Two sensors that have reached it: so that it is the watermark of a run of one process, too.
    ends = [{"sensor": sensor, "time": reached, "value": 0.0, "count": 0, "note": "a"} for sensor in ("end 1", "end 2")]
    table = pa.concat_tables([table, pa.Table.from_pylist(ends, schema=COLUMNS)])
    stages = [Silence(after="5m"), MovingAverage(window=3, columns=["value"])]
    made = divided(table, stages, partitions, 50, seed, watermark=reached)
    assert rows(made) == rows(one_process(table, stages))
    assert 1.0 in made["silent"].to_pylist()


def test_a_chain_tells_when_something_is_due():
    batch = readings(1).to_batches()[0]
    chain = Chain([Aggregate(every="1m")], time="time", partitioned=True)
    chain.push(batch)
    due = chain.due()
    assert due is not None and due <= nanoseconds(START + timedelta(minutes=2))
    assert len(chain.advance(due - 1)) == 0
    assert len(chain.advance(nanoseconds(START + timedelta(minutes=2)))) == 1
    assert chain.due() is None
    assert Kernel.of([Aggregate(every="1m")], COLUMNS, **ROLES, constants=(), has_end=False, has_watermark=True).has_watermark


def test_an_empty_piece_of_a_table():
    batch = readings(20).to_batches()[0]
    chain = Chain([MovingAverage(window=3)], time="time")
    for piece in (batch.slice(9, 0), batch, batch.slice(20, 0)):
        assert len(chain.push(piece)) == piece.num_rows
    pieces = pa.Table.from_batches([batch.slice(9, 0), batch])
    assert rows(by_batch(pieces, [], 2)) == rows(pa.Table.from_batches([batch]))


def test_an_input_without_records():
    table = COLUMNS.empty_table()
    for stages in ([Normalize(fit=True)], [Aggregate()], [MovingAverage(window=3)]):
        assert divided(table, stages, 2, 1, 1).num_rows == 0
        assert Pipeline([table, *stages]).to_arrow().num_rows == 0
