"""What a worker of a cluster does, without a cluster."""

from datetime import datetime

import pyarrow as pa
import pytest
from tidemill import Aggregate, DataError, MovingAverage, SpecError
from tidemill._partitions import Kernel, ordered

COLUMNS = pa.schema([("at", pa.timestamp("us")), ("pump", pa.int32()), ("value", pa.float64()), ("parts", pa.list_(pa.int8()))])


ROLES = {"time": "at", "sensor": "pump", "measurements": None, "constants": ()}


def kernel(*stages, has_end=True, **options):
    return Kernel.of(stages, COLUMNS, **{**ROLES, **options}, has_end=has_end)


def records(*times):
    return pa.Table.from_pylist([{"at": time and datetime(2026, 1, 1, 0, 0, time), "pump": 7, "value": 1.0} for time in times], schema=COLUMNS)


def test_what_leaves_it_has_types_that_clusters_know():
    assert kernel(MovingAverage(window=2, count=True)).output == pa.schema(
        [("at", pa.timestamp("us")), ("pump", pa.string()), ("value", pa.float64()), ("value_avg", pa.float64()), ("value_avg_count", pa.int64())]
    )


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(("s",), ("us",)), (("ms", "UTC"), ("us", "UTC")), (("us", "CET"), ("us", "UTC")), (("ns",), ("ns",)), (("ns", "CET"), ("ns", "UTC"))],
)
def test_times_have_microseconds_unless_they_were_given_in_nanoseconds(given, wanted):
    columns = COLUMNS.set(0, pa.field("at", pa.timestamp(*given)))
    assert Kernel.of([], columns, **ROLES, has_end=True).output.field("at").type == pa.timestamp(*wanted)


def test_a_value_that_clusters_cannot_hold_is_told_with_its_column():
    columns = pa.schema([*COLUMNS, ("count", pa.uint64())])
    batch = pa.RecordBatch.from_pylist([{"at": datetime(2026, 1, 1), "pump": 7, "value": 1.0, "count": 2**64 - 1}], schema=columns)
    with pytest.raises(DataError, match="column `count`: .*18446744073709551615"):
        list(Kernel.of([], columns, **ROLES, has_end=True).run([batch]))


def test_state_goes_from_batch_to_batch_and_the_end_is_seen():
    made = kernel(Aggregate(every="10s", statistics=["count"])).run(records(1, 2, 12, 13, 14).to_batches(max_chunksize=2))
    assert [count for batch in made for count in batch["value_count"].to_pylist()] == [2, 3]
    assert list(kernel().run([])) == []


def test_records_are_sorted_by_time_and_then_by_value():
    table = pa.Table.from_pylist(
        [{"at": datetime(2026, 1, 1, 0, 0, time), "pump": 7, "value": value} for time, value in [(2, 1.0), (1, 3.0), (1, None), (1, 2.0)]],
        schema=COLUMNS,
    )
    assert ordered(table, "at", "pump")["value"].to_pylist() == [2.0, 3.0, None, 1.0]


def test_rejected_records_are_in_the_log(caplog):
    assert sum(len(batch) for batch in kernel().run(records(1, None, None).to_batches())) == 1
    assert "2 records were rejected" in caplog.text


def test_what_does_not_fit_the_columns_is_refused():
    with pytest.raises(SpecError, match="time"):
        kernel(time="time")
    with pytest.raises(SpecError, match="stage 1"):
        kernel(MovingAverage(window=2), Aggregate(every="1m"), has_end=False)
