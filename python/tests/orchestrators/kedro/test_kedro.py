"""`kedro run` in the project of the example."""

import json
import shutil

import pytest


@pytest.fixture
def run_day(plant, examples):
    """Runs the project for the day."""
    project = plant.folder / "project"
    shutil.copytree(examples / "kedro", project, ignore=shutil.ignore_patterns("__pycache__"))
    parameters = f"day={plant.day},folder={plant.folder}"
    environment = {"KEDRO_DISABLE_TELEMETRY": "1"}
    return lambda: plant.call(plant.program("kedro"), "run", "--params", parameters, folder=project, **environment)


def test_a_node_that_was_killed_resumes_when_it_is_run_again(run_day, plant):
    plant.kill_once()
    code, said = run_day()
    assert code == 1 and "exit code -9" in said, said
    code, said = run_day()
    assert code == 0, said
    assert "records: " in said
    report = json.loads((plant.folder / "complete" / f"{plant.day}.json").read_text())
    assert report["sinks"][0]["input"] > 0
    plant.check_resumed()


def test_a_wrong_pipeline_is_an_error(run_day, plant):
    plant.break_pipeline()
    code, said = run_day()
    assert code == 1 and "window" in said, said
