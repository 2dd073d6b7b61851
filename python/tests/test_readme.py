"""The programs of the README run."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
# These are run by the tests of what they import.
ELSEWHERE = ["tidemill.sklearn", "tidemill.spark", "tidemill.torch"]
PROGRAMS = [text for text in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if not any(name in text for name in ELSEWHERE)]


@pytest.mark.parametrize("at", range(len(PROGRAMS)))
def test_the_readme(at, capsys, tmp_path, monkeypatch):
    # Programs write files.
    monkeypatch.chdir(tmp_path)
    # Later programs go on with what earlier ones have imported.
    names = {"__name__": "readme"}
    for program in PROGRAMS[: at + 1]:
        exec(compile(program, "README.md", "exec"), names)
    if at == 0:
        assert re.search(r"[0-9]+ records, the hottest of pump-[0-3]", capsys.readouterr().out)
