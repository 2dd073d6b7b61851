"""The files of the cases."""

from __future__ import annotations

from pathlib import Path

from peers.data import Files
from peers.jobs import LONG
from scaling.cases import Case

ODD_EVERY = 1000


def file_of(case: Case, folder: Path, binary: Path) -> Path:
    """The file of `case`, made if it is not there."""
    plain = Files(folder, binary, case.sensors).timed(LONG, case.rows)
    if case.shape == "plain":
        return plain
    path = plain.with_name(f"{plain.stem}-{case.shape}.csv")
    if not path.exists():
        unfinished = path.with_suffix(".part")
        with plain.open("rb") as source, unfinished.open("wb") as target:
            target.write(source.readline())
            change = _quoted if case.shape == "quoted" else _odd
            target.writelines(change(at, line) for at, line in enumerate(source))
        unfinished.rename(path)
    return path


def _quoted(_at: int, line: bytes) -> bytes:
    return b'"' + line.rstrip(b"\n").replace(b",", b'","') + b'"\n'


def _odd(at: int, line: bytes) -> bytes:
    """A number that only the reference decoder reads: with an exponent."""
    return line.rstrip(b"\n") + b"e+00000\n" if at % ODD_EVERY == ODD_EVERY - 1 else line


def pipeline(case: Case, file: Path) -> str:
    """The pipeline file of `case`."""
    return f"""\
[source]
type = "csv"
path = "{file}"
time = "{LONG.time}"
sensor = "{LONG.sensor}"
[[stage]]
type = "threshold"
min = 0.0
max = 120.0
[[stage]]
type = "normalize"
min = 0.0
max = 120.0
[[stage]]
type = "moving_average"
window = {case.window}
[[sink]]
type = "null"
"""
