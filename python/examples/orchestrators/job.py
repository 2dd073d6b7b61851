"""A run of a pipeline as a task: the examples beside this file give it to an orchestrator."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PERMANENT = {64: "usage", 65: "data", 70: "bug", 78: "pipeline"}
"""Exit codes of `tidemill run` after which the same command fails again."""


class Refused(Exception):
    """The pipeline or its input is wrong: someone has to look at it before it is run again."""


class Failed(Exception):
    """The run failed or was killed, and may be run again: it resumes from its last checkpoint."""


def run(pipeline: Path, day: str) -> dict[str, Any]:
    """Runs a pipeline for a day, and gives the report of the run.

    Run again, it resumes if it was killed, and does nothing but report if it is complete. Its output, its state and its report are
    of this day alone.

    Args:
        pipeline: The pipeline file, which has `${DAY}` in the paths of its source and its sinks.
        day: Such as 2026-01-31.

    Raises:
        Refused, Failed: With what the command said.
    """
    folder = pipeline.parent
    report = folder / "reports" / f"{day}.json"
    report.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tidemill", "run", str(pipeline), "--quiet", "--report", str(report)]
    # If the machine of the task was lost, but not the process that it had started, that run is ended.
    command += ["--state", str(folder / "state" / day), "--take-over"]
    done = subprocess.run(command, env={**os.environ, "DAY": day}, stderr=subprocess.PIPE, text=True)
    if done.returncode in PERMANENT:
        raise Refused(f"{PERMANENT[done.returncode]}: {done.stderr}")
    if done.returncode != 0:
        # A negative code is the signal that killed it.
        raise Failed(f"exit code {done.returncode}: {done.stderr}")
    result: dict[str, Any] = json.loads(report.read_text())["report"]
    return result
