"""A plant with a day of readings, whose pipeline an orchestrator runs."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples/orchestrators"
DAY = "2026-01-31"
RECORDS = 180_000


class Plant:
    """The pipeline of the examples, and a day of readings, in a folder."""

    day = DAY

    def __init__(self, folder):
        self.folder = folder
        self.pipeline = folder / "plant.toml"
        self.pipeline.write_text((EXAMPLES / "plant.toml").read_text())
        generator = random.Random(1)
        (folder / "readings").mkdir()
        with (folder / "readings" / f"{DAY}.csv").open("w") as file:
            print("time,sensor,value", file=file)
            for at in range(RECORDS):
                second = at // 3
                time = f"{DAY}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
                print(f"{time},pump-{at % 3},{generator.gauss(50, 30):.3f}", file=file)

    def kill_once(self):
        """Adds a stage that kills the first run after a checkpoint."""
        text = self.pipeline.read_text()
        self.pipeline.write_text(text.replace("[[sink]]", '[[stage]]\ntype = "python:once:Once"\n\n[[sink]]', 1))

    def break_pipeline(self):
        self.pipeline.write_text(self.pipeline.read_text().replace("window = 20", "window = -20"))

    def call(self, *command, folder=None, **environment):
        """Runs a program in the folder of the plant; gives its exit code and what it said."""
        paths = [str(Path(__file__).parent), str(EXAMPLES), os.environ.get("PYTHONPATH", "")]
        given = {"PIPELINE": str(self.pipeline), "PYTHONPATH": os.pathsep.join(paths), "NO_COLOR": "1", "COLUMNS": "200"}
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder or self.folder,
            env={**os.environ, **given, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        return done.returncode, done.stdout

    def program(self, name):
        """The program that the tool has installed beside the interpreter."""
        return Path(sys.executable).with_name(name)

    def attempts(self):
        """How many records the stage `Once` had seen before each run."""
        return [int(line) for line in (self.folder / "attempts").read_text().split()]

    def output(self):
        return (self.folder / "out" / f"{DAY}.csv").read_bytes()

    def uninterrupted(self):
        """What a run writes that is not killed."""
        folder = self.folder / "uninterrupted"
        folder.mkdir()
        shutil.copy(EXAMPLES / "plant.toml", folder)
        shutil.copytree(self.folder / "readings", folder / "readings")
        code, said = self.call(sys.executable, "-m", "tidemill", "run", folder / "plant.toml", DAY=DAY)
        assert code == 0, said
        return (folder / "out" / f"{DAY}.csv").read_bytes()

    def check_resumed(self):
        """One attempt was killed, and the next went on after its last checkpoint."""
        first, second = self.attempts()
        assert first == 0 and 0 < second < RECORDS
        assert self.output() == self.uninterrupted()


@pytest.fixture
def plant(tmp_path):
    return Plant(tmp_path)


@pytest.fixture
def examples():
    return EXAMPLES
