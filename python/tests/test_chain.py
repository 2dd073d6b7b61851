"""Chains and first passes: what they load, and what is left of them after a failure."""

import json
from datetime import UTC, datetime

import numpy
import pyarrow as pa
import pytest
from tidemill import (
    Aggregate,
    Chain,
    DataError,
    Fit,
    InternalError,
    MovingAverage,
    MovingMin,
    Normalize,
    Pipeline,
    SpecError,
    Threshold,
    UnavailableError,
)
from tidemill._partitions import Kernel
from tidemill._passes import Pass, fitted

COLUMNS = pa.schema([("time", pa.timestamp("us", "UTC")), ("sensor", pa.string()), ("value", pa.float64())])


def batch(*values, sensor="a", **others):
    return pa.record_batch({"sensor": [sensor] * len(values), "value": pa.array(values, pa.float64()), **others})


def timed(*values):
    times = [datetime(2026, 1, 1, 0, 0, at, tzinfo=UTC) for at in range(len(values))]
    return pa.RecordBatch.from_pydict({"time": times, "sensor": ["a"] * len(values), "value": list(values)}, schema=COLUMNS)


def values(given, column="value"):
    return pa.record_batch(given)[column].to_pylist()


@pytest.fixture
def constants(tmp_path):
    """A file with the constants of 10 to 30, and another current folder."""
    fit = Fit([Normalize(fit=True)])
    fit.observe(batch(10.0, 30.0))
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub/c.json"
    file.write_text(fit.finish())
    return file


def test_a_stage_in_a_chain_loads_its_constants(constants, monkeypatch):
    assert values(Chain([Normalize(load=constants)]).push(batch(20.0))) == [0.5]
    monkeypatch.chdir(constants.parents[1])
    stage = Normalize(load="sub/c.json")
    chain = Chain([stage])
    constants.unlink()
    assert values(chain.push(batch(20.0))) == [0.5], "read when the chain is made"
    with pytest.raises(UnavailableError, match=r"stage 1 \(normalize\): .*sub/c.json"):
        Chain([Threshold(min=0), stage])
    constants.write_text("{}")
    with pytest.raises(SpecError, match=r"stage 0 \(normalize\): .*is not a file of constants"):
        Chain([stage])


def test_what_goes_before_a_fitted_stage_loads_its_constants(constants):
    fit = Fit([Normalize(load=constants), Normalize(fit=True)])
    fit.observe(batch(15.0, 25.0))
    assert values(Chain([Normalize(fit=True)], constants=[fit.finish()]).push(batch(0.25, 0.5, 0.75))) == [0.0, 0.5, 1.0]


def test_workers_need_not_have_the_files(constants):
    kernel = Kernel.of([Normalize(load=constants)], COLUMNS, time="time", sensor="sensor", measurements=None, constants=(), has_end=True)
    constants.unlink()
    assert [value for made in kernel.run([timed(10.0, 15.0, 20.0)]) for value in values(made)] == [0.0, 0.25, 0.5]


def test_workers_of_a_first_pass_need_not_have_the_files(constants):
    roles = {"time": "time", "sensor": "sensor", "measurements": None, "constants": ()}
    given, text = timed(10.0, 15.0, 20.0), constants.read_text()

    def observe(one: Pass):
        constants.unlink()
        summary = one.observe([given])
        constants.write_text(text)
        return [summary]

    kernel = fitted([Normalize(load=constants), Normalize(fit=True)], COLUMNS, observe, **roles, watermark=None)
    constants.unlink()
    assert [value for made in kernel.run([given]) for value in values(made)] == [0.0, 0.5, 1.0]


def test_the_stages_of_a_file_find_the_files_beside_it(constants, monkeypatch):
    source = '[source]\ntype = "synthetic"\n[[sink]]\ntype = "null"\n[[stage]]\ntype = "normalize"\n'
    file = constants.with_name("p.toml")
    file.write_text(source + 'load = "c.json"\n')
    monkeypatch.chdir(constants.parents[1])
    for path in (file, "sub/p.toml"):
        assert values(Chain(Pipeline.from_file(path).stages).push(batch(20.0))) == [0.5]
    file.write_text(source + 'fit = true\nsave = "d.json"\n')
    (stage,) = Pipeline.from_file(file).stages
    assert stage.options["save"] == str(file.with_name("d.json"))
    monkeypatch.chdir(constants.parent)
    file.write_text(source + 'load = "c.json"\n')
    assert Pipeline.from_file("p.toml").stages[0].options["load"] == "c.json"


FAILING = MovingMin(window=3, non_finite="error", columns=["value"])


def test_a_chain_that_has_failed_gives_nothing_more():
    chain = Chain([MovingAverage(window=3), FAILING])
    chain.push(batch(1.0))
    with pytest.raises(DataError):
        chain.push(batch(100.0, float("inf")))
    for use in (lambda: chain.push(batch(1.0)), chain.save, chain.finish, lambda: chain.save_groups(2), chain.due):
        with pytest.raises(DataError, match=r"have failed earlier: stage 1 \(moving_min\): sensor `a` has inf"):
            use()


def test_what_cannot_be_read_and_what_is_refused_leaves_a_chain_as_it_was():
    chain = Chain([MovingAverage(window=3)])
    with pytest.raises(SpecError, match="columns are not known yet"):
        chain.finish()
    chain.push(batch(1.0))
    saved = chain.save()
    with pytest.raises(DataError, match="different columns"):
        chain.push(batch(5.0, note=["x"]))
    with pytest.raises(SpecError, match="has been used"):
        chain.restore([saved])
    assert values(chain.push(batch(3.0)), "value_avg") == [2.0]
    chain = Chain([Aggregate(every="1m")], time="time")
    chain.push(timed(1.0))
    with pytest.raises(SpecError, match="watermark"):
        chain.advance(0)
    chain.push(timed(2.0))


def test_a_first_pass_that_has_failed_gives_nothing_more():
    fit = Fit([FAILING, Normalize(fit=True)])
    fit.observe(batch(1.0))
    with pytest.raises(DataError):
        fit.observe(batch(100.0, float("inf")))
    for use in (lambda: fit.observe(batch(1.0)), fit.save, fit.finish):
        with pytest.raises(DataError, match="have failed earlier"):
            use()


def test_nothing_is_observed_after_the_end():
    for end in (Fit.save, Fit.finish):
        fit = Fit([Aggregate(every="1s", statistics=["sum"]), Normalize(fit=True)], time="time")
        fit.observe(timed(1.0, 2.0))
        end(fit)
        with pytest.raises(SpecError, match="the pass has ended"):
            fit.observe(timed(3.0))
        (column,) = json.loads(fit.finish())["series"]["a"].values()
        assert column["count"] == 2, "what the stage before has kept back comes once"


def test_each_pass_begins_with_the_first_record():
    # More distinct values than one pass tells apart, and windows that would begin with those of the end.
    given = batch(*(float(at * at % 100_003) + at for at in range(20_000)))
    stages = [MovingAverage(window=10_000), Normalize(method="robust", fit=True, columns=["value_avg"])]
    fit, constants, passes = Fit(stages), None, 0
    while constants is None:
        fit.observe(given)
        constants, passes = fit.finish(), passes + 1
    assert passes > 1
    made = Chain(stages, constants=[None, constants]).push(given)
    assert values(made, "value_avg") == Pipeline([pa.Table.from_batches([given]), *stages]).to_arrow()["value_avg"].to_pylist()


def test_a_panic_is_told():
    # Offsets that run backwards.
    offsets = numpy.array([0, 1, 3], "int32")
    names = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(offsets), pa.py_buffer(b"abc")])
    records = pa.record_batch({"sensor": names, "value": [1.0, 2.0]})
    offsets[0] = 5
    chain = Chain([Threshold(min=0)])
    chain.push(batch(1.0))
    with pytest.raises(InternalError, match="the stages panicked: .*(range|index)"):
        chain.push(records)
    with pytest.raises(InternalError, match="panicked earlier"):
        chain.push(batch(1.0))


@pytest.mark.parametrize("keys", [[0, -1, 1], [0, 100, 1]])
def test_a_key_that_a_dictionary_does_not_have_is_no_name(keys):
    names = pa.DictionaryArray.from_arrays(pa.array(keys, pa.int8()), ["a", "b"], safe=False)
    chain = Chain([Threshold(min=0)])
    made = pa.record_batch(chain.push(pa.record_batch({"sensor": names, "value": [1.0, 2.0, 3.0]})))
    assert made.select(["sensor", "value"]).to_pylist() == [{"sensor": "a", "value": 1.0}, {"sensor": "b", "value": 3.0}]
    assert chain.rejected == 1
