"""tidemill on a shape: every time is parsed and checked, every value read; nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

from peers.engines import Command
from peers.process import Usage, measure
from shapes.shapes import Shape

LIMIT = 600.0
"""Seconds after which a run is given up."""


def pipeline(shape: Shape, file: Path, totals: Path | None = None) -> str:
    """The pipeline file; `totals` gets the number of values and their sum, where they are compared."""
    time_format = "" if shape.time_format == "rfc3339" else f'time_format = "{shape.time_format}"\n'
    source = f'[source]\ntype = "csv"\npath = {json.dumps(str(file))}\ntime = "time"\nsensor = "sensor"\n{time_format}'
    if totals is None:
        return f'{source}[[sink]]\ntype = "null"\n'
    names = json.dumps(list(shape.measurements))
    stage = f'[[stage]]\ntype = "aggregate"\ncolumns = {names}\nstatistics = ["count", "sum"]\n'
    return f'{source}{stage}[[sink]]\ntype = "csv"\npath = {json.dumps(str(totals))}\n'


def run(binary: Path, spec: Path, threads: int) -> Usage:
    """One run of the pipeline file `spec`."""
    return measure(Command([binary, "run", spec, "--quiet", "--threads", str(threads)]), LIMIT)
