"""Tables that are not as they should be, and those that only look so."""

import pandas
import polars
import pyarrow as pa
import pytest
from tidemill import MovingAverage, Normalize, Pipeline, SpecError, Threshold

FRAME = pandas.DataFrame({"sensor": ["a"], "time": pandas.to_datetime(["2026-01-01"]), "value": [1.0]})


@pytest.mark.parametrize(
    "table",
    [
        FRAME.iloc[:0],
        polars.from_pandas(FRAME.iloc[:0]),
        pa.table(FRAME).slice(0, 0),
        pa.Table.from_batches([], pa.table(FRAME).schema),
    ],
    ids=["pandas", "polars", "no rows", "no batches"],
)
@pytest.mark.parametrize("stage", [MovingAverage(window=2), Normalize(fit=True, into="value_avg")])
def test_a_table_without_rows_gives_its_columns(table, stage):
    pipeline = Pipeline([table, stage])
    assert (len(pipeline.to_arrow()), pipeline.to_arrow().column_names) == (0, ["sensor", "time", "value", "value_avg"])
    assert len(pipeline.to_pandas()) == len(pipeline.to_polars()) == len(list(pipeline.stream())) == 0


def test_a_table_without_columns_is_refused():
    with pytest.raises(SpecError, match="there are no measurements"):
        Pipeline([pandas.DataFrame(), MovingAverage(window=2)]).to_arrow()


@pytest.mark.parametrize("values", [[1, "x"], [1.0, None, "x"], [True, "x"], [{"a": 1}, 2], [object(), 1]])
@pytest.mark.parametrize("name", ["value", "note"])
def test_a_column_of_mixed_values_is_named(values, name):
    frame = pandas.DataFrame({"sensor": "a", "value": range(len(values))})
    frame[name] = pandas.Series(values, dtype=object)
    with pytest.raises(pa.ArrowInvalid, match=f"Conversion failed for column {name} with type object") as raised:
        Pipeline([frame, Threshold(max=1)]).to_arrow()
    assert raised.value.__notes__ == ["raised by `DataFrame` of a tidemill pipeline"]


def test_objects_of_one_kind_are_no_mistake():
    for values, found in [([1, 2.5], [1.0, 2.5]), ([None, 1], [None, 1])]:
        frame = pandas.DataFrame({"sensor": "a", "value": pandas.Series(values, dtype=object)})
        assert Pipeline([frame]).to_arrow()["value"].to_pylist() == found


@pytest.mark.parametrize("kind", ["int8", "int64", "uint64", "Int64", "category"])
def test_sensors_may_be_whole_numbers(kind):
    frame = pandas.DataFrame({"sensor": pandas.Series([7, 8, 7]).astype(kind), "value": [1.0, 2.0, 3.0]})
    records = [{"sensor": sensor, "value": value} for sensor, value in zip([7, 8, 7], [1.0, 2.0, 3.0], strict=True)]
    for source in (frame, pa.table(frame), records):
        made = Pipeline([source, MovingAverage(window=2)]).to_arrow()
        assert made["sensor"].to_pylist() == ["7", "8", "7"]
        assert made["value_avg"].to_pylist() == [1.0, 2.0, 2.0]


def test_sensors_that_are_whole_numbers_keep_all_digits():
    names = [-7, 2**63 - 1, -(2**63)]
    for table in (pa.table({"sensor": names, "value": [1.0] * 3}), polars.DataFrame({"sensor": names, "value": [1.0] * 3})):
        assert Pipeline([table]).to_arrow()["sensor"].to_pylist() == [str(name) for name in names]
