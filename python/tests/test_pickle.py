"""Pipelines go to other processes."""

import pickle

from tidemill import MovingAverage, Pipeline, Threshold


def test_a_pipeline_of_parts_is_made_anew():
    readings = ({"sensor": "a", "value": value} for value in (1.0, 3.0, 500.0))
    pipeline = Pipeline(part for part in [list(readings), Threshold(max=100), MovingAverage(window=2)])
    copied = pickle.loads(pickle.dumps(pipeline))
    assert copied.explain() == pipeline.explain()
    assert [record.value_avg for record in copied.stream()] == [1.0, 2.0]


def test_a_pipeline_of_a_file_is_read_anew(tmp_path):
    (tmp_path / "in.csv").write_text("sensor,value\na,1\na,500\n")
    stage = '[[stage]]\ntype = "threshold"\nmax = 100\n'
    (tmp_path / "p.toml").write_text(f'[source]\ntype = "csv"\npath = "in.csv"\nsensor = "sensor"\n{stage}[[sink]]\ntype = "csv"\npath = "out.csv"\n')
    pipeline = Pipeline.from_file(tmp_path / "p.toml", set=["stage.0.max=1000"])
    copied = pickle.loads(pickle.dumps(pipeline))
    assert len(copied.to_table()) == 2
    assert copied.run()["sinks"][0]["input"] == 2
