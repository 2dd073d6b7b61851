"""Type checkers accept good components, and reject bad ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tidemill

SAMPLES = Path(__file__).parent / "samples"
INSTALLED = str(Path(tidemill.__file__).parents[1])


def mypy(*arguments: str) -> str:
    # Typed as installed packages are: its own code is not checked again.
    environment = {**os.environ, "MYPYPATH": INSTALLED}
    command = [sys.executable, "-m", "mypy", "--strict", "--output=json", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300).stdout


def errors_of_mypy(files: list[Path], cache: Path) -> set[tuple[str, int]]:
    found = [json.loads(line) for line in mypy(f"--cache-dir={cache}", *map(str, files)).splitlines() if line.startswith("{")]
    return {(Path(error["file"]).name, error["line"]) for error in found if error["severity"] == "error"}


def errors_of_pyright(files: list[Path], cache: Path) -> set[tuple[str, int]]:
    # Its own settings, from a folder that has none of this repository's.
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *map(str, files)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=cache, timeout=300)
    found = json.loads(run.stdout)["generalDiagnostics"]
    return {(Path(error["file"]).name, error["range"]["start"]["line"] + 1) for error in found if error["severity"] == "error"}


@pytest.mark.parametrize("errors_of", [errors_of_mypy, errors_of_pyright])
def test_checkers_reject_what_is_wrong_and_nothing_else(errors_of, tmp_path):
    files = sorted(SAMPLES.glob("*.py"))
    wrong = {(file.name, at) for file in files for at, line in enumerate(file.read_text().splitlines(), 1) if line.endswith("# wrong")}
    assert len(wrong) > 10
    assert errors_of(files, tmp_path) == wrong
