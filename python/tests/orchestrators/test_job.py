"""The task that all orchestrators are given."""

import sys

PROGRAM = """
import json, sys
from pathlib import Path
import job
try:
    print(json.dumps(job.run(Path(sys.argv[1]), sys.argv[2])))
except (job.Refused, job.Failed) as error:
    print(type(error).__name__, error)
"""


def run(plant, day=None):
    code, said = plant.call(sys.executable, "-c", PROGRAM, plant.pipeline, day or plant.day)
    assert code == 0, said
    return said


def test_a_task_that_is_run_again_changes_nothing(plant):
    assert '"input": ' in run(plant)
    before = {path: path.stat().st_mtime_ns for path in (plant.folder / "out").iterdir()}
    assert len(before) == 2
    assert '"input": ' in run(plant)
    assert {path: path.stat().st_mtime_ns for path in (plant.folder / "out").iterdir()} == before


def test_a_task_that_was_killed_may_be_run_again_and_resumes(plant):
    plant.kill_once()
    assert run(plant).startswith("Failed exit code -9")
    assert not (plant.folder / "out" / f"{plant.day}.csv").exists()
    assert '"input": ' in run(plant)
    plant.check_resumed()


def test_what_would_fail_again_is_told_apart(plant):
    assert run(plant, "2026-02-01").startswith("Failed exit code 69"), "the readings of this day may still come"
    plant.break_pipeline()
    said = run(plant)
    assert said.startswith("Refused pipeline") and "window" in said
