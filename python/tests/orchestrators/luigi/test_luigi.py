"""The tasks of the example, with the local scheduler."""

import shutil

import pytest


@pytest.fixture
def run_day(plant, examples):
    """Runs the task of the day."""
    shutil.copy(examples / "luigi.cfg", plant.folder)
    arguments = ["--module", "luigi_tasks", "Plant", "--day", plant.day, "--local-scheduler"]
    return lambda: plant.call(plant.program("luigi"), *arguments)


def test_a_task_that_is_killed_is_retried_and_resumes(run_day, plant):
    plant.kill_once()
    code, said = run_day()
    assert code == 0, said
    assert "exit code -9" in said and "records: " in said
    plant.check_resumed()


def test_a_complete_task_is_not_run_again(run_day, plant):
    for count in (1, 0):
        code, said = run_day()
        assert code == 0, said
        assert said.count("running   Run") == count and "records: " in said


def test_a_wrong_pipeline_has_an_exit_code(run_day, plant):
    plant.break_pipeline()
    code, said = run_day()
    assert code == 30, said
    assert "window" in said
