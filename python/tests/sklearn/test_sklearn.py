"""Estimators, judged by the engine's pipelines (equal bits), by numpy, pandas and scikit-learn (to a tolerance)."""

import pickle
import random
import re
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
import tidemill
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.parallel import Parallel, delayed
from tidemill import Chain, DataError, Pipeline, SpecError, sinks, sources
from tidemill.sklearn import (
    MovingAverage,
    MovingMax,
    MovingMedian,
    MovingMin,
    MovingStd,
    Normalize,
    Rate,
    Threshold,
    ZScoreOutlier,
    export,
    stages,
)

FEATURES = ["pressure", "flow"]
METHODS = ["min_max", "z_score", "robust"]
MOVING = {MovingAverage: "mean", MovingMin: "min", MovingMax: "max", MovingStd: "std", MovingMedian: "median"}


def readings(count, seed=1):
    """Records of three sensors in the order of time; some values are missing."""
    generator = random.Random(seed)
    frame = pd.DataFrame(
        {
            "sensor": [generator.choice(["pump-1", "pump-2", "press"]) for _ in range(count)],
            "time": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta([at * 700 + generator.randrange(300) for at in range(count)], unit="ms"),
            "pressure": [generator.choice([None, *[generator.gauss(50, 20) for _ in range(8)]]) for _ in range(count)],
            "flow": [generator.choice([None, *[generator.uniform(-3, 9) for _ in range(8)]]) for _ in range(count)],
        }
    )
    return frame.astype({"pressure": float, "flow": float})


def bits(array):
    return np.ascontiguousarray(array, dtype=np.float64).view(np.uint64)


def assert_same_bits(made, expected):
    made, expected = np.asarray(made, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    # A missing value is NaN, whose bits mean nothing.
    assert np.array_equal(np.isnan(made), np.isnan(expected))
    there = ~np.isnan(made)
    assert np.array_equal(bits(made[there]), bits(expected[there]))


def of_pipeline(frame, model, keys=("sensor", "time")):
    """What the engine makes of the same records with the stages of `model`, in the order of the records."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    made, constants = stages(model, sensors=() if "sensor" in keys else ["batch"])
    roles = {role: role if role in keys else None for role in ("sensor", "time")}
    batch = table.combine_chunks().to_batches()[0]
    return pa.record_batch(Chain(made, constants=constants, measurements=FEATURES, **roles).push(batch)).to_pandas()


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


ESTIMATORS = [
    Threshold(min=0, max=70),
    Threshold(min=[None, -1], max={"pressure": 60}, action="flag", missing="keep", sensors={"press": {"max": 40.0}}),
    *(Normalize(method) for method in METHODS),
    Normalize(range=(-1, 1), clip=True),
    Normalize("z_score", running=True),
    *(moving(window) for moving in MOVING for window in (1, 20, "20s")),
    MovingStd(window="1m", ddof=1, min_samples=5),
    Rate(),
    Rate("derivative", per="1m", counter=True),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_every_estimator_has_the_bits_of_a_pipeline_by_sensor(estimator):
    frame = readings(2000)
    keys = {"sensor": frame["sensor"], "time": frame["time"]}
    model = clone(estimator).fit(frame[FEATURES], **keys)
    made = model.transform(frame[FEATURES], **keys)
    assert made.shape == (2000, len(model.get_feature_names_out()))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    options = [{**stage.options} for stage in model._stages(FEATURES)]
    if options[0].get("fit"):
        options[0].pop("unknown")
    assert_same_bits(made, of_pipeline(frame, model)[list(model.get_feature_names_out())])
    # In a run of its own, which learns its own constants.
    kind = getattr(tidemill, type(model._stages(FEATURES)[0]).__name__)
    run = Pipeline([table, kind(**options[0])]).to_pandas()
    assert_same_bits(made, run[list(model.get_feature_names_out())])


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_every_estimator_has_the_bits_of_a_chain_without_sensors(estimator):
    frame = readings(500)
    if getattr(estimator, "sensors", None):
        estimator = clone(estimator).set_params(sensors=None)
    made = clone(estimator).fit_transform(frame[FEATURES], time=frame["time"])
    model = clone(estimator).fit(frame[FEATURES], time=frame["time"])
    assert_same_bits(made, model.transform(frame[FEATURES], time=list(frame["time"].dt.to_pydatetime())))
    assert_same_bits(made, of_pipeline(frame[["time", *FEATURES]], model, ["time"])[list(model.get_feature_names_out())])


@pytest.mark.parametrize(("moving", "name"), MOVING.items(), ids=MOVING.values())
@pytest.mark.parametrize("window", [1, 7, 50, "20s"])
def test_windows_are_those_of_pandas(moving, name, window):
    frame = readings(1000).set_index("time")
    rolling = frame[FEATURES].rolling(window, min_periods=1)
    expected = rolling.std(ddof=0) if name == "std" else getattr(rolling, name)()
    made = moving(window).fit_transform(frame[FEATURES])
    np.testing.assert_allclose(made, expected, rtol=1e-9, atol=1e-6)
    least = 1 if window == 1 else 3
    by_sensor = moving(window, min_samples=least).fit_transform(frame[FEATURES], sensor=frame["sensor"])
    for sensor in frame["sensor"].unique():
        rolling = frame.loc[frame["sensor"] == sensor, FEATURES].rolling(window, min_periods=least)
        expected = rolling.std(ddof=0) if name == "std" else getattr(rolling, name)()
        np.testing.assert_allclose(by_sensor[frame["sensor"] == sensor], expected, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize(("method", "scaler"), list(zip(METHODS, [MinMaxScaler(), StandardScaler(), RobustScaler()], strict=True)), ids=METHODS)
def test_normalisers_are_those_of_scikit_learn(method, scaler):
    # More different values than one pass over them can count.
    X = readings(20_000)[FEATURES].to_numpy()
    np.testing.assert_allclose(Normalize(method).fit_transform(X), scaler.fit_transform(X), rtol=1e-9, atol=1e-12)


def test_rates_and_bounds_are_those_of_numpy():
    X = readings(300)[FEATURES].dropna().to_numpy()
    assert_same_bits(Rate().fit_transform(X)[1:], np.diff(X, axis=0))
    assert_same_bits(Threshold(0, 60).fit_transform(X), np.where((X >= 0) & (X <= 60), X, np.nan))
    flagged = Threshold(0, 60, action="flag").fit(X)
    assert list(flagged.get_feature_names_out()) == ["x0", "x1", "x0_ok", "x1_ok"]
    assert_same_bits(flagged.transform(X), np.hstack([X, (X >= 0) & (X <= 60)]))


def test_missing_and_infinite_values():
    X = np.array([[1.0], [np.nan], [np.inf], [3.0]])
    assert_same_bits(Threshold(max=10).fit_transform(X), [[1.0], [np.nan], [np.nan], [3.0]])
    assert_same_bits(Normalize().fit_transform(X), [[0.0], [np.nan], [np.inf], [1.0]])
    assert_same_bits(MovingAverage(4).fit_transform(X), [[1.0], [1.0], [1.0], [2.0]])
    assert_same_bits(MovingMax(4, non_finite="propagate").fit_transform(X), [[1.0], [1.0], [np.inf], [np.inf]])
    with pytest.raises(DataError):
        MovingMax(4, non_finite="error").fit_transform(X)
    assert ZScoreOutlier().fit(X).predict(X).tolist() == [1, 1, -1, 1]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("parts", [1, 2, 9])
@pytest.mark.parametrize("by_sensor", [False, True])
def test_parts_are_learnt_as_the_whole(method, parts, by_sensor):
    frame = readings(12_000)
    whole = Normalize(method).fit(frame[FEATURES], sensor=frame["sensor"] if by_sensor else None)
    model = Normalize(method)
    shuffled = frame.sample(frac=1, random_state=1)
    for at in range(parts):
        part = shuffled.iloc[at::parts]
        # State goes from process to process.
        model = pickle.loads(pickle.dumps(model)).partial_fit(part[FEATURES], sensor=part["sensor"] if by_sensor else None)
    assert model.constants_ == whole.constants_
    assert set(whole.constants_) == ({"pump-1", "pump-2", "press"} if by_sensor else {None})
    assert sum(series["flow"]["count"] for series in whole.constants_.values()) == frame["flow"].count()


def test_learning_goes_on_from_fit():
    X = readings(1000)[FEATURES]
    model = Normalize("z_score").fit(X[:500]).partial_fit(X[500:])
    assert model.constants_ == Normalize("z_score").fit(X).constants_
    assert model.fit(X[:500]).constants_ == Normalize("z_score").fit(X[:500]).constants_
    model = Normalize("robust").fit(X[:500]).partial_fit(X[500:])
    assert model.constants_ == Normalize("robust").fit(X).constants_
    with pytest.raises(SpecError, match="exact quantiles"):
        model.partial_fit(readings(20_000)[FEATURES])
    with pytest.raises(SpecError, match="exact quantiles"):
        Normalize("robust").fit(readings(20_000)[FEATURES]).partial_fit(X)
    # What was refused changed nothing.
    assert model.constants_ == Normalize("robust").fit(X).constants_
    assert Normalize("z_score", running=True).partial_fit(X).constants_ == {}


def test_frames_in_and_out():
    frame = readings(100).set_index("time")
    model = MovingAverage("20s").set_output(transform="pandas").fit(frame[FEATURES])
    made = model.transform(frame[FEATURES])
    assert list(made.columns) == ["pressure_avg", "flow_avg"]
    assert made.index.equals(frame.index)
    assert list(model.get_feature_names_out(FEATURES)) == list(made.columns)
    polar = pl.from_pandas(frame.reset_index())
    other = MovingAverage("20s").set_output(transform="polars")
    other = other.fit_transform(polar[FEATURES], time=polar["time"], sensor=None)
    assert other.columns == ["pressure_avg", "flow_avg"]
    assert_same_bits(other.to_numpy(), made.to_numpy())
    for column in (polar["sensor"], frame["sensor"].astype("category"), frame["sensor"].to_numpy(), list(frame["sensor"]), pa.array(frame["sensor"])):
        by_sensor = MovingAverage(3).fit_transform(polar[FEATURES], sensor=column)
        assert_same_bits(by_sensor, MovingAverage(3).fit_transform(frame[FEATURES], sensor=frame["sensor"]))


@pytest.mark.parametrize("name", ["time", "batch", "T[1]", "T*", "tidemill"])
def test_any_name_of_a_feature(name):
    frame = pd.DataFrame({name: [1.0, 2.0, 6.0], "T1": [7.0, 8.0, 10.0]})
    model = make_pipeline(Threshold(min={name: 1.5}), Normalize(), MovingAverage(2)).set_output(transform="pandas")
    made = model.fit_transform(frame)
    assert list(made.columns) == [f"{name}_avg", "T1_avg"]
    assert_same_bits(made, [[np.nan, 0.0], [0.0, 1 / 6], [0.5, (8.0 - 7.0) / 3.0 / 2 + 0.5]])


def test_models_of_scikit_learn(routing, tmp_path):
    frame = readings(600)
    target = frame["flow"].fillna(0.0)
    keys = {"sensor": frame["sensor"], "time": frame["time"]}
    model = make_pipeline(Threshold(max=90), Normalize("z_score"), MovingAverage("20s", min_samples=1), Threshold(max=1e300), memory=str(tmp_path))
    made = model.fit_transform(frame[FEATURES], **keys)
    by_hand = frame[FEATURES]
    for _, step in clone(model).steps:
        by_hand = step.fit_transform(by_hand, **keys)
    assert_same_bits(made, by_hand)
    assert_same_bits(pickle.loads(pickle.dumps(model)).transform(frame[FEATURES], **keys), made)
    assert_same_bits(Parallel(2)([delayed(model.transform)(frame[FEATURES], **keys)])[0], made)
    filled = frame[FEATURES].ffill().bfill()
    whole = make_pipeline(Normalize("z_score"), MovingAverage(5), Ridge())
    scores = cross_validate(whole, filled, target, params=keys, cv=TimeSeriesSplit(3))
    assert len(scores["test_score"]) == 3 and np.isfinite(scores["test_score"]).all()
    search = GridSearchCV(whole, {"normalize__method": METHODS, "movingaverage__window": [1, 5]}, cv=TimeSeriesSplit(2))
    assert search.fit(filled, target, **keys).best_params_["movingaverage__window"] == 1
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    forest = make_pipeline(MovingStd(5), IsolationForest(n_estimators=5, random_state=1)).fit(filled, sensor=frame["sensor"])
    assert set(forest.predict(filled, sensor=frame["sensor"])) == {1, -1}


def test_columns_by_column():
    frame = readings(200)
    model = ColumnTransformer([("p", Threshold(max=60), ["pressure"]), ("f", MovingAverage(5), ["flow"])], verbose_feature_names_out=False)
    made = model.set_output(transform="pandas").fit_transform(frame[FEATURES])
    assert_same_bits(made["flow_avg"], MovingAverage(5).fit_transform(frame[["flow"]])[:, 0])
    assert (made["pressure"].dropna() <= 60).all()


@pytest.mark.parametrize(("method", "threshold"), [("z_score", 2.0), ("robust", 1.2)])
def test_outliers_are_far_from_the_centre(method, threshold):
    frame = readings(5000)
    model = ZScoreOutlier(method, threshold=threshold)
    found = model.fit_predict(frame[FEATURES], sensor=frame["sensor"])
    distances = Normalize(method).fit_transform(frame[FEATURES], sensor=frame["sensor"])
    greatest = np.nanmax(np.abs(np.hstack([distances, np.zeros((5000, 1))])), axis=1)
    assert np.array_equal(found == -1, greatest > threshold)
    assert 0 < (found == -1).sum() < 1000
    assert_same_bits(model.score_samples(frame[FEATURES], sensor=frame["sensor"]), -greatest)
    assert np.array_equal(model.decision_function(frame[FEATURES], sensor=frame["sensor"]) < 0, found == -1)
    parts = ZScoreOutlier(method, threshold=threshold)
    for at in range(3):
        parts.partial_fit(frame[FEATURES].iloc[at::3], sensor=frame["sensor"].iloc[at::3])
    assert np.array_equal(parts.predict(frame[FEATURES], sensor=frame["sensor"]), found)


def live_csv(frame):
    return frame.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ")


MODEL = make_pipeline(
    Threshold(min=[0, None], max=80),
    Normalize("z_score"),
    MovingAverage("20s"),
    make_pipeline(MovingMedian(5), "passthrough"),
    Normalize("robust", unknown="keep"),
    Rate(),
)


def step_by_step(model, method, frame, by_sensor):
    """Calls `method` of one step after the other."""
    made = frame[FEATURES].to_numpy()
    for _, step in model.steps:
        for one in [step.steps[0][1]] if hasattr(step, "steps") else [step]:
            made = getattr(one, method)(made, time=frame["time"], sensor=frame["sensor"] if by_sensor else None)
    return made


@pytest.mark.parametrize("by_sensor", [True, False])
def test_a_fitted_model_runs_live(tmp_path, by_sensor):
    frame = readings(3000)
    history, fresh = frame[:2000], frame[2000:]
    model = clone(MODEL)
    step_by_step(model, "fit_transform", history, by_sensor)
    expected = step_by_step(model, "transform", fresh, by_sensor)
    names = [f"{name}_avg_median_rate" for name in FEATURES]
    sensor = {"sensor": "sensor"} if by_sensor else {"sensor_name": "pump"}
    columns = {"time": "time", "measurements": FEATURES, **sensor}
    chosen = {"features": FEATURES, "sensors": [] if by_sensor else "pump"}
    text = live_csv(fresh if by_sensor else fresh.drop(columns="sensor"))

    # As a file.
    (tmp_path / "in.csv").write_text(text)
    export(model, tmp_path / "file.toml", source=sources.Csv(path="in.csv", **columns), sink=sinks.Parquet(path="out.parquet"), **chosen)
    Pipeline.from_file(tmp_path / "file.toml").run()
    assert_same_bits(pd.read_parquet(tmp_path / "out.parquet")[names], expected)
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["file-1.json", "file-4.json"]

    # As it comes.
    address = tmp_path / "feed"
    header, text = text.split("\n", 1)
    columns |= {"header": False, "names": header.split(",")}
    export(model, tmp_path / "live.toml", source=sources.Csv(path=f"unix-listen://{address}", **columns), sink=sinks.Csv(path="live.csv"), **chosen)
    with Pipeline.from_file(tmp_path / "live.toml").start() as running, socket.socket(socket.AF_UNIX) as feed:
        while feed.connect_ex(str(address)):
            assert not running.status()["is_over"]
        feed.sendall(text.encode())
        while running.status()["records"] < len(fresh):
            assert not running.status()["is_over"]
    assert_same_bits(pd.read_csv(tmp_path / "live.csv", dtype=str)[names].astype(float), expected)


def test_a_detector_runs_live(tmp_path):
    frame = readings(2000)
    model = ZScoreOutlier(threshold=2.0).fit(frame[FEATURES], sensor=frame["sensor"])
    (tmp_path / "in.csv").write_text(live_csv(frame))
    source = sources.Csv(path="in.csv", time="time", sensor="sensor", measurements=FEATURES)
    export(model, tmp_path / "p.toml", source=source, sink=sinks.Parquet(path="out.parquet"))
    Pipeline.from_file(tmp_path / "p.toml").run()
    made = pd.read_parquet(tmp_path / "out.parquet")
    assert np.array_equal(made[["pressure_z_ok", "flow_z_ok"]].all(axis=1), model.predict(frame[FEATURES], sensor=frame["sensor"]) == 1)


def test_what_cannot_be_exported_is_refused(tmp_path):
    X = readings(100)[FEATURES].ffill().bfill()
    source, sink = sources.Csv(path="in.csv"), sinks.Csv(path="out.csv")
    with pytest.raises(SpecError, match="step 'pca' .* is not of"):
        stages(make_pipeline(Threshold(max=100), PCA()).fit(X))
    with pytest.raises(SpecError, match="learnt without sensors"):
        stages(Normalize().fit(X))
    with pytest.raises(SpecError, match="learnt by sensor"):
        stages(Normalize().fit(X, sensor=["a"] * 100), sensors="a")
    with pytest.raises(SpecError, match="1 names for 2 features"):
        stages(Rate().fit(X), features=["x"])
    with pytest.raises(SpecError, match="two features have one name"):
        stages(Rate().fit(X), features=["x", "x"])
    with pytest.raises(sklearn.exceptions.NotFittedError):
        stages(Rate())
    with pytest.raises(SpecError, match="is no source"):
        export(Rate().fit(X), tmp_path / "p.toml", source=[X], sink=sink)
    with pytest.raises(SpecError, match="is no sink"):
        export(Rate().fit(X), tmp_path / "p.toml", source=source, sink=source)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("estimator", "keys", "error", "message"),
    [
        (MovingAverage("5s"), {}, SpecError, "needs the time"),
        (Rate("derivative"), {}, SpecError, "needs the time"),
        (MovingAverage("5s"), {"time": pd.to_datetime([3, 2, 1], unit="s")}, DataError, "2 of 3 rows come after a later one"),
        (MovingAverage("5s"), {"time": pd.to_datetime([1, None, 3], unit="s")}, DataError, "1 of 3 rows have no time"),
        (MovingAverage(2), {"sensor": ["a", None, "b"]}, DataError, "1 of 3 rows have no sensor"),
        (Normalize(), {"sensor": np.array(["a", np.nan, "b"], dtype=object)}, DataError, "1 of 3 rows have no sensor"),
        (MovingAverage(2), {"sensor": ["a", "b"]}, ValueError, "inconsistent numbers of samples"),
        (MovingAverage(0), {}, SpecError, "window"),
        (MovingAverage("soon"), {"time": pd.to_datetime([1, 2, 3], unit="s")}, SpecError, "soon"),
        (Threshold(), {}, SpecError, "no feature has a bound"),
        (Threshold(5, 1), {}, SpecError, "above `max`"),
        (Threshold(min={"y": 1.0}), {}, SpecError, "names no feature: y"),
        (Threshold(min=[1.0, 2.0]), {}, SpecError, "2 bounds for 1 features"),
        (Threshold(min=1, action="drop"), {}, SpecError, "neither 'mask' nor 'flag'"),
        (Normalize("mean"), {}, SpecError, "mean"),
        (Normalize("z_score", clip=True), {}, SpecError, "min_max"),
        (Normalize("robust", running=True), {}, SpecError, "running"),
        (Normalize(range=(1, 0)), {}, SpecError, "not ascending"),
    ],
    ids=str,
)
def test_mistakes_are_named(estimator, keys, error, message):
    with pytest.raises(error, match=message):
        estimator.fit_transform([[1.0], [2.0], [3.0]], **keys)


def test_rows_that_do_not_fit_what_was_learnt_are_refused():
    model = Normalize().fit([[1.0], [2.0]], sensor=["a", "b"])
    with pytest.raises(SpecError, match="by sensor"):
        model.transform([[1.0]])
    with pytest.raises(SpecError, match="without sensors"):
        Normalize().fit([[1.0]]).transform([[1.0]], sensor=["a"])
    with pytest.raises(ValueError, match="2 features"):
        model.transform([[1.0, 2.0]], sensor=["a"])
    with pytest.raises(SpecError, match="X has a column `sensor`"):
        Rate().fit(pd.DataFrame({"sensor": [1, 2], "value": [1.0, 2.0]}))


def test_sensors_and_features_that_were_not_seen():
    X, sensor = [[1.0], [3.0], [np.nan]], ["a", "a", "b"]
    new = ([[2.0], [7.0], [7.0]], ["a", "b", "c"])
    assert_same_bits(Normalize().fit(X, sensor=sensor).transform(new[0], sensor=new[1]), [[0.5], [np.nan], [np.nan]])
    assert_same_bits(Normalize(unknown="keep").fit(X, sensor=sensor).transform(new[0], sensor=new[1]), [[0.5], [7.0], [7.0]])
    with pytest.raises(DataError, match="no constants for `x0` of sensor `b`"):
        Normalize(unknown="error").fit(X, sensor=sensor).transform(new[0], sensor=new[1])


def test_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = Path(__file__).parents[2] / "README.md"
    programs = [text for text in re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL) if "tidemill.sklearn" in text]
    assert programs
    for program in programs:
        exec(compile(program, "README.md", "exec"), {"__name__": "readme"})
    pipeline = Pipeline.from_file("live.toml", set=["source.0.path=unix-listen://feed", "sink.0.path=out.csv"])
    with pipeline.start() as running:
        assert not running.status()["is_over"]
    assert (tmp_path / "out.csv").read_text() == "time,sensor,pressure,pressure_avg\n"
