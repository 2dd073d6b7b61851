"""Windows as tensors, judged by slices of lists."""

import math
import random
import re
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from tidemill import DataError, MovingAverage, Pipeline, SpecError, Threshold
from tidemill.torch import Windows
from torch.utils.data import DataLoader


def readings(count, sensors=5, seed=1):
    generator = random.Random(seed)
    records = [{"sensor": f"s{generator.randrange(sensors)}", "value": generator.gauss(50, 30), "at": at} for at in range(count)]
    return pa.Table.from_pylist(records)


def sliced(records, window, stride, sensor="sensor"):
    """All windows, each as the name of its sensor and its values, sorted."""
    series = {}
    for record in records:
        series.setdefault(record.get(sensor, ""), []).append(record["value"])
    starts = {name: range(0, len(values) - window + 1, stride) for name, values in series.items()}
    return sorted((name, series[name][start : start + window]) for name in series for start in starts[name])


def listed(windows, sensor="sensor"):
    return sorted((one.get(sensor, ""), one["value"].tolist()) for one in windows)


def plain(one):
    return {"sensor": one["sensor"], "value": one["value"].numpy().copy()}


def loaded(windows, workers, start):
    """What the workers of a loader give; `fork` or `spawn` is how they start."""
    # Without batches, and without the shared memory in which each tensor would go from worker to loader.
    return listed(DataLoader(windows, batch_size=None, collate_fn=plain, num_workers=workers, multiprocessing_context=start))


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (4, 1), (4, 4), (7, 3), (3, 10)])
@pytest.mark.parametrize("rows", [1, 10, 1000])
@pytest.mark.parametrize("sensor", ["sensor", None])
def test_windows_of_a_pipeline_are_slices_of_each_sensor(window, stride, rows, sensor):
    records = readings(500)
    table = pa.Table.from_batches(records.to_batches(max_chunksize=rows))
    windows = Windows(Pipeline([table, Threshold(columns=["value"], min=0)]), window=window, stride=stride, sensor=sensor)
    kept = [record for record in records.to_pylist() if record["value"] >= 0]
    assert listed(windows, sensor) == sliced(kept, window, stride, sensor)
    assert listed(windows, sensor) == listed(windows, sensor)


def test_of_a_sensor_windows_are_in_order():
    ends = {}
    for one in Windows(Pipeline([readings(1000)]), window=3):
        assert one["at"].tolist() == sorted(one["at"].tolist())
        assert one["at"][0] > ends.get(one["sensor"], -1)
        ends[one["sensor"]] = one["at"][0]


def test_random_files_and_pipelines_are_divided_into_any_number_of_parts(tmp_path):
    generator = random.Random(2)
    for trial in range(50):
        records = readings(generator.randrange(1, 300), sensors=generator.randrange(1, 6), seed=trial)
        if generator.random() < 0.3:
            records = records.sort_by("sensor")
        rows, cut = generator.randrange(1, 60), generator.randrange(len(records))
        files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
        for file, part in zip(files, [records.slice(0, cut), records.slice(cut)], strict=True):
            parquet.write_table(part, file, row_group_size=rows)
        sensor = generator.choice(["sensor", "sensor", None])
        options = {"window": generator.randrange(1, 9), "stride": generator.randrange(1, 12), "sensor": sensor}
        expected = sliced(records.to_pylist(), **options)
        for source in (Pipeline([records]), files):
            for parts in (1, 2, 3, 5):
                own = [listed(Windows(source, **options, part=(at, parts)), sensor) for at in range(parts)]
                assert sorted(one for windows in own for one in windows) == expected, (trial, options, rows, parts)


@pytest.mark.parametrize(("start", "workers"), [("fork", 1), ("fork", 2), ("spawn", 2)])
def test_the_windows_of_all_workers_are_those_of_one_process(tmp_path, start, workers):
    records = readings(2000)
    file = tmp_path / "readings.parquet"
    parquet.write_table(records, file, row_group_size=150)
    stages = [Threshold(columns=["value"], min=0), MovingAverage(window=5, columns=["value"])]
    for source in (file, Pipeline([records, *stages])):
        windows = Windows(source, window=8, stride=3)
        expected = listed(windows)
        assert len(expected) > 100
        assert loaded(windows, workers, start) == expected


def test_each_worker_has_a_share():
    shares = [len(list(Windows(Pipeline([readings(1000, sensors=1)]), window=4, part=(at, 4)))) for at in range(4)]
    assert max(shares) - min(shares) <= 1 and sum(shares) == 997


def test_a_batch_has_a_row_for_each_window():
    loader = DataLoader(Windows(Pipeline([readings(100, sensors=1)]), window=10, stride=5, columns=["value"]), batch_size=4)
    batch = next(iter(loader))
    assert batch["value"].shape == (4, 10) and batch["value"].dtype == torch.float64
    assert batch["sensor"] == ["s0"] * 4


def test_the_memory_is_that_of_the_table():
    table = readings(1000, sensors=1).combine_chunks()
    buffer = table["value"].chunk(0).buffers()[1]
    windows = list(Windows(Pipeline([table]), window=20, columns=["value"]))
    assert [one["value"].data_ptr() for one in windows] == [buffer.address + 8 * at for at in range(981)]


def test_types_are_those_of_the_columns(tmp_path):
    table = pa.table(
        {
            "sensor": pa.array([7, 7], pa.int32()),
            "f": pa.array([1.5, None], pa.float32()),
            "i": pa.array([2**53 + 1, -1], pa.int64()),
            "u": pa.array([1, 2**32 - 1], pa.uint32()),
            "b": [True, False],
            "t": pa.array([1, 2], pa.timestamp("ms", "UTC")),
            "note": ["x", None],
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    (one,) = Windows(tmp_path / "a.parquet", window=2)
    kinds = {"f": torch.float32, "i": torch.int64, "u": torch.uint32, "b": torch.bool}
    assert {name: values.dtype for name, values in one.items() if name != "sensor"} == kinds
    assert one["sensor"] == "7" and one["i"].tolist() == [2**53 + 1, -1] and one["u"].tolist() == [1, 2**32 - 1]
    assert one["b"].tolist() == [True, False] and one["f"][0] == 1.5 and math.isnan(one["f"][1])
    (one,) = Windows(tmp_path / "a.parquet", window=2, columns=["t"])
    assert one["t"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("column", "options", "error", "message"),
    [
        (pa.array([1, None]), {}, DataError, "a value of the column `value` is missing"),
        (pa.array(["a", "b"]), {}, SpecError, "no column has numbers"),
        (pa.array(["a", "b"]), {"columns": ["value"]}, SpecError, "`value` has string"),
        (pa.array([1, 2]), {"columns": ["valeu"]}, SpecError, "no column `valeu`"),
        (pa.array([1, 2]), {"sensor": "pump"}, SpecError, "no column `pump`"),
        (pa.array([1, 2]), {"sensor": "who"}, DataError, "no sensor"),
    ],
)
def test_what_is_no_window_is_refused(tmp_path, column, options, error, message):
    parquet.write_table(pa.table({"sensor": ["a", "a"], "who": ["a", None], "value": column}), tmp_path / "a.parquet")
    with pytest.raises(error, match=message):
        list(Windows(tmp_path / "a.parquet", window=1, **options))


@pytest.mark.parametrize("options", [{"window": 0}, {"window": 1, "stride": 0}, {"window": 1, "part": (2, 2)}])
def test_wrong_options_are_named(options):
    with pytest.raises(SpecError, match=next(name for name, value in options.items() if value != 1)):
        Windows("a.parquet", **options)


def test_a_failure_in_a_worker_is_raised():
    class Broken:
        def stream(self):
            yield {"sensor": "a", "value": 1.0}
            raise ValueError("the cause")

    with pytest.raises(ValueError, match="the cause"):
        list(DataLoader(Windows(Pipeline([Broken()]), window=1), num_workers=2, multiprocessing_context="fork"))


def test_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "README.md").read_text()
    (program,) = (program for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "tidemill.torch" in program)
    exec(compile(program, "README.md", "exec"), {})
