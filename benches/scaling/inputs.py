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
            change = {"quoted": _quoted, "odd": _odd, "magnitudes": _magnitude}[case.shape]
            target.writelines(change(at, line) for at, line in enumerate(source))
        unfinished.rename(path)
    return path


def _quoted(_at: int, line: bytes) -> bytes:
    return b'"' + line.rstrip(b"\n").replace(b",", b'","') + b'"\n'


def _odd(at: int, line: bytes) -> bytes:
    """A number that only the reference decoder reads: with an exponent."""
    return line.rstrip(b"\n") + b"e+00000\n" if at % ODD_EVERY == ODD_EVERY - 1 else line


def _magnitude(at: int, line: bytes) -> bytes:
    """A number of either sign, from 1e-307 to 1e307."""
    mixed = at * 2654435761 >> 12
    sign = b"-" if mixed % 2 else b""
    return line[: line.rindex(b",") + 1] + sign + b"%d.5e%d\n" % (1 + mixed // 2 % 9, mixed // 18 % 615 - 307)


def pipeline(case: Case, file: Path) -> str:
    """The pipeline file of `case`."""
    order = 'order = "time"\ndisorder = "1m"\n' if case.job == "sorted" else ""
    stages = {"smooth": _smooth(case), "quantiles": QUANTILES, "sorted": ""}[case.job]
    return f"""\
[source]
type = "csv"
path = "{file}"
time = "{LONG.time}"
sensor = "{LONG.sensor}"
{order}{stages}[[sink]]
type = "null"
"""


QUANTILES = """\
[[stage]]
type = "aggregate"
quantiles = [0.5, 0.99]
"""


def _smooth(case: Case) -> str:
    return f"""\
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
"""
