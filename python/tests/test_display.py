"""What people see of pipelines: the plan, the progress, the verdict, pictures."""

import math
import subprocess
import sys
import threading

import matplotlib
import numpy
import pyarrow as pa
import pytest
import tidemill
from tidemill import DataError, InternalError, MovingAverage, Normalize, Pipeline, SpecError, Threshold, progress, sinks
from tidemill.plotting import _sampled

matplotlib.use("Agg")


def readings(count):
    return [{"sensor": f"s{at % 2}", "time": f"2026-01-01T00:{at // 60 % 60:02}:{at % 60:02}Z", "value": float(at)} for at in range(count)]


@pytest.fixture
def file(tmp_path):
    (tmp_path / "in.csv").write_text("sensor,value\n" + "".join(f"a,{at}\n" for at in range(3000)))
    (tmp_path / "p.toml").write_text(
        '[source]\ntype = "csv"\npath = "in.csv"\nsensor = "sensor"\n'
        '[[stage]]\ntype = "threshold"\nmax = 2000\n[[stage]]\ntype = "normalize"\nfit = true\nsave = "fit.json"\n'
        '[[sink]]\ntype = "csv"\npath = "out.csv"\n'
    )
    return tmp_path / "p.toml"


# The plan


def test_a_plan_is_what_the_command_explains(file):
    plan = Pipeline.from_file(file).explain()
    command = subprocess.run([sys.executable, "-m", "tidemill", "explain", "p.toml"], cwd=file.parent, capture_output=True, text=True, timeout=60)
    # Paths are relative to the folder of the file.
    assert str(plan).replace(f"{file.parent}/", "") == command.stdout.replace(f"{file.parent}/", "")
    assert [part["name"] for part in (*plan.sources, *plan.stages, *plan.sinks)] == ["csv", "threshold", "normalize", "csv"]
    assert plan.stages[0]["options"]["max"] == 2000
    assert plan.stages[1]["facts"]["reach"].startswith("global")
    assert plan.facts["passes over the input"] == "2 or more, first for stage 1"
    assert plan.to_dict()["sink"] == plan.sinks
    assert repr(plan) == str(plan).rstrip()


def test_a_plan_is_shown_in_notebooks_with_all_text_escaped():
    table = pa.table({"sensor": ["a"], "<script>": [1.0]})
    html = Pipeline([table, Threshold(max=1), MovingAverage(window=2)]).explain()._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert "stage 1: moving_average" in html and "window = 2" in html


def test_no_record_is_lost_by_a_look():
    pipeline = Pipeline([iter(readings(100)), Threshold(min=50)])
    assert "value (measurement)" in pipeline.explain().sources[0]["facts"]["columns"]
    assert pipeline.explain().stages[0]["label"] == "stage 0: threshold"
    assert len(pipeline.to_table()) == 50


def test_mistakes_are_raised():
    with pytest.raises(SpecError, match="speed"):
        Pipeline([readings(1), Threshold(columns=["speed"], max=1)]).explain()


# Progress


class Gated:
    """Gives half of its records, and the rest when it is told."""

    def __init__(self):
        self.go_on = threading.Event()

    def stream(self):
        yield from readings(1000)
        self.go_on.wait(60)
        yield from readings(1000)


class Shown:
    """Looks at what is shown, and lets the source go on then."""

    def __init__(self, source):
        self.source, self.texts, self.is_finished = source, [], False

    def show(self, share, text):
        self.texts.append((share, text))
        if text.startswith("1,000 records"):
            self.source.go_on.set()

    def finish(self):
        self.is_finished = True


def test_progress_is_shown_while_it_runs(monkeypatch):
    source = Gated()
    shown = Shown(source)
    monkeypatch.setattr(progress, "_display", lambda: shown)
    report = Pipeline([source, sinks.Null()]).run(progress=True)
    assert report["sinks"][0]["input"] == 2000
    assert shown.is_finished and any(text.startswith("1,000 records") for _, text in shown.texts)
    assert all(share is None for share, _ in shown.texts)


def test_what_ends_a_run_is_raised_and_the_bar_is_taken_away(monkeypatch):
    def broken():
        yield from readings(10)
        raise ZeroDivisionError("broken")

    shown = Shown(Gated())
    monkeypatch.setattr(progress, "_display", lambda: shown)
    with pytest.raises(ZeroDivisionError):
        Pipeline([broken(), sinks.Null()]).run(progress=True)
    assert shown.is_finished

    def interrupted(share, text):
        raise KeyboardInterrupt

    shown = Shown(Gated())
    shown.show = interrupted

    def endless():
        while True:
            yield readings(1)[0]

    monkeypatch.setattr(progress, "_display", lambda: shown)
    with pytest.raises(KeyboardInterrupt):
        Pipeline([endless(), sinks.Null()]).run(progress=True)
    assert shown.is_finished


def test_a_terminal_has_one_line_and_a_file_has_lines(capsys):
    terminal = progress._Terminal()
    terminal.show(0.5, "50 %")
    terminal.finish()
    assert capsys.readouterr().err == f"\r\x1b[K[{'#' * 15}{' ' * 15}] 50 %\r\x1b[K"
    lines = progress._Lines()
    for share in (0.05, 0.15, 0.17, 0.5, 1.0):
        lines.show(share, f"{share}")
    lines.show(None, "soon")
    assert capsys.readouterr().err == "0.15\n0.5\n1.0\n"


# Verification


def test_all_ways_of_running_give_the_same(file):
    verdict = Pipeline.from_file(file).verify(rounds=2, seed=5)
    assert (verdict.records, verdict.seed) == (3000, 5) and verdict.ways > 4
    assert any("out.csv" in name for name in verdict.files)
    assert sorted(path.name for path in file.parent.iterdir()) == ["in.csv", "p.toml"], "its own outputs are not touched"
    table = pa.Table.from_pylist(readings(3000))

    class Same:
        def process(self, stream):
            yield from stream

    assert Pipeline([table, Normalize(fit=True), Same(), MovingAverage(window=5), sinks.Csv(path="out.csv")]).verify(rounds=1).records == 3000


def test_a_stage_that_depends_on_more_than_its_input_is_found():
    class Batches:
        """Counts the batches, whose sizes are nobody's business."""

        def process(self, stream):
            for at, batch in enumerate(stream.batches()):
                batch = pa.record_batch(batch)
                values = pa.array([float(at)] * len(batch))
                yield batch.set_column(batch.schema.get_field_index("value"), "value", values)

    table = pa.Table.from_pylist(readings(50_000))
    with pytest.raises(InternalError, match="not all ways of running give the same output") as raised:
        Pipeline([table, Batches()]).verify(seed=1)
    assert "seed=1" in raised.value.help


def test_failures_and_sources_that_are_gone_are_told():
    class Broken:
        def process(self, stream):
            raise ZeroDivisionError("always")
            yield

    with pytest.raises(DataError, match="ways of running failed in the same way.*always"):
        Pipeline([pa.Table.from_pylist(readings(10)), Broken()]).verify(rounds=1)
    with pytest.raises(SpecError, match="cannot be read twice"):
        Pipeline([iter(readings(10))]).verify()


# Pictures


def drawn(axes):
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in axes.get_lines()}


def test_before_and_after_are_drawn_for_each_sensor():
    figure = Pipeline([readings(100), Threshold(max=89), MovingAverage(window=2)]).plot()
    axes = figure.get_axes()
    assert [one.get_ylabel() for one in axes] == ["s0", "", "s1", ""]
    left, right = drawn(axes[0]), drawn(axes[1])
    assert left["value"][1].tolist() == [float(at) for at in range(0, 100, 2)]
    assert left["filtered (5)"][1].tolist() == [90, 92, 94, 96, 98]
    assert set(right) == {"value", "value_avg"}
    assert right["value_avg"][1].tolist() == [0, *(float(at) for at in range(1, 88, 2))]
    assert left["value"][0][0] == numpy.datetime64("2026-01-01T00:00:00")


def test_what_is_flagged_or_masked_is_marked():
    flagged = Pipeline([readings(100), Threshold(max=89, action="flag")]).plot(sensors=["s1"])
    assert drawn(flagged.get_axes()[1])["anomaly (5)"][1].tolist() == [91, 93, 95, 97, 99]
    masked = Pipeline([readings(100), Threshold(max=89, action="mask")]).plot(sensors=["s1"])
    assert drawn(masked.get_axes()[0])["filtered (5)"][1].tolist() == [91, 93, 95, 97, 99]

    class Odd:
        fields = {"is_odd": bool}

        def process(self, stream):
            for record in stream:
                yield record.replace(is_odd=record.value % 4 == 3)

    own = Pipeline([readings(100), Odd()]).plot(sensors=["s1"], anomalies="is_odd")
    assert drawn(own.get_axes()[1])["anomaly (25)"][1].tolist() == [float(at) for at in range(3, 100, 4)]


def test_records_without_time_and_aggregates_are_drawn():
    plain = [{"sensor": "a", "value": float(at)} for at in range(10)]
    axes = Pipeline([plain, Threshold(max=7)]).plot().get_axes()
    assert drawn(axes[0])["filtered (2)"][0].tolist() == [8, 9]
    axes = Pipeline([readings(100), tidemill.Aggregate(every="10s", statistics=["mean"])]).plot().get_axes()
    assert set(drawn(axes[0])) == {"value"} and set(drawn(axes[1])) == {"value_mean"}


def test_extremes_are_kept_in_few_points():
    values = numpy.sin(numpy.arange(1_000_000) / 1e5)
    values[[123_456, 777_777]] = 50.0, -50.0
    values[500_000:500_100] = math.nan
    table = pa.table({"sensor": ["a"] * len(values), "value": values})
    _, ys = drawn(Pipeline([table]).plot(max_points=500).get_axes()[0])["value"]
    assert len(ys) <= 500 and numpy.nanmax(ys) == 50.0 and numpy.nanmin(ys) == -50.0
    assert _sampled(numpy.full(100, math.nan), 10).size == 5


def test_what_cannot_be_drawn_is_told():
    pipeline = Pipeline([readings(10)])
    with pytest.raises(SpecError, match="has no measurement `speed`"):
        pipeline.plot("speed")
    with pytest.raises(DataError, match="nothing to plot"):
        pipeline.plot(sensors=["x*"])
    with pytest.raises(SpecError, match="has no boolean column `odd`"):
        pipeline.plot(anomalies="odd")
