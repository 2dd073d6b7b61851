"""The flow of the example, with a server that it starts and stops itself."""

import sys

import pytest


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder of Prefect, with its database."""
    return str(tmp_path_factory.mktemp("prefect"))


@pytest.fixture
def run_day(plant, examples, home):
    """Runs the flow of the day."""
    environment = {
        "PREFECT_HOME": home,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # A busy machine needs more than the usual 20 seconds.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "240",
    }
    return lambda: plant.call(sys.executable, examples / "prefect_flow.py", plant.day, **environment)


def test_a_task_that_is_killed_is_retried_and_resumes(run_day, plant):
    plant.kill_once()
    code, said = run_day()
    assert code == 0, said
    assert "exit code -9" in said and "Retry 1/3" in said and "records: " in said
    plant.check_resumed()


def test_a_wrong_pipeline_is_not_retried(run_day, plant):
    plant.break_pipeline()
    code, said = run_day()
    assert code == 1, said
    assert "window" in said and "Retry" not in said
