"""`airflow dags test` with the example."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

AIRFLOW = Path(sys.executable).with_name("airflow")
SETTINGS = {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder of Airflow, with its database."""
    folder = str(tmp_path_factory.mktemp("airflow"))
    subprocess.run([AIRFLOW, "db", "migrate"], env={**os.environ, **SETTINGS, "AIRFLOW_HOME": folder}, check=True, timeout=300)
    return folder


@pytest.fixture
def run_day(plant, examples, home):
    """Runs the tasks of the day."""
    dags = plant.folder / "dags"
    dags.mkdir()
    for name in ("airflow_dag.py", "job.py"):
        shutil.copy(examples / name, dags)
    environment = {**SETTINGS, "AIRFLOW_HOME": home, "AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
    return lambda: plant.call(AIRFLOW, "dags", "test", "plant", plant.day, **environment)


def test_a_task_that_is_killed_is_retried_and_resumes(run_day, plant):
    plant.kill_once()
    code, said = run_day()
    assert code == 0, said
    assert "exit code -9" in said and "records: " in said
    plant.check_resumed()


def test_a_wrong_pipeline_is_not_retried(run_day, plant):
    plant.break_pipeline()
    code, said = run_day()
    assert code == 1, said
    assert "window" in said and said.count("starting task_id=run") == 1
