"""DataFrames of pandas, with any index."""

import pandas
import pytest
from tidemill import Pipeline, Threshold

TIMES = pandas.date_range("2026-01-01", periods=3, freq="1h", tz="UTC")
FRAME = pandas.DataFrame({"sensor": "a", "value": [1.0, 2.0, 3.0]})


@pytest.mark.parametrize("index", [[1000, 2000, 3000], ["x", "y", "z"], pandas.MultiIndex.from_product([["x"], [1, 2, 3]])])
def test_an_index_without_a_name_is_no_column(index):
    result = Pipeline([FRAME.set_axis(index), Threshold(max=2)]).to_arrow()
    assert result.column_names == ["sensor", "value"]
    assert result["value"].to_pylist() == [1.0, 2.0]


def test_times_as_index_are_the_time():
    for frame in (FRAME.set_axis(TIMES), FRAME.set_axis(TIMES.rename("time"))):
        result = Pipeline([frame]).to_pandas()
        assert list(result["time"]) == list(TIMES)
    # A column of that name is.
    both = Pipeline([FRAME.assign(time=TIMES).set_axis(TIMES + pandas.Timedelta(days=1))]).to_pandas()
    assert list(both["time"]) == list(TIMES) and list(both.columns) == ["sensor", "value", "time"]


def test_other_indexes_with_a_name_are_columns():
    result = Pipeline([FRAME.rename_axis("run").set_axis(pandas.Index([7, 8, 9], name="run"))]).to_arrow()
    assert result["run"].to_pylist() == [7, 8, 9]
