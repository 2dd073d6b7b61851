"""A pipeline file over a CSV file: `run()` in Python, the same with the start of Python, and the command."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

import tidemill
from tidemill import sinks, sources

from figures.rounds import measured, table

_PIPELINE = """
[source]
type = "csv"
path = "in.csv"
time = "timestamp"
sensor = "sensor"

[[stage]]
type = "threshold"
min = 0.0
max = 120.0

[[stage]]
type = "moving_average"
window = 20

[[sink]]
type = "{sink}"
{path}
"""


def main(options: Namespace) -> None:
    rows = int(options.rows or 10_000_000)
    command = options.command or shutil.which("tidemill")
    if command is None:
        sys.exit("no command `tidemill`: give it by --command")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = sources.Synthetic(records=rows, sensors=1000)
        tidemill.Pipeline([source, sinks.Csv(path=str(folder / "in.csv"))]).run()
        for sink, path in (("null", ""), ("csv", 'path = "out.csv"')):
            file = folder / f"{sink}.toml"
            file.write_text(_PIPELINE.format(sink=sink, path=path))
            _measure(f"{rows:,} rows to {sink}", str(file), command, options)


def _measure(title: str, file: str, command: str, options: Namespace) -> None:
    threads = options.threads
    program = f"from tidemill import Pipeline; Pipeline.from_file({file!r}).run(threads={threads})"
    words = [command, "run", file, "--threads", str(threads), "--quiet"]
    ways = {
        "the command": lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL),
        "run() in Python": lambda: tidemill.Pipeline.from_file(file).run(threads=threads),
        "python -c …": lambda: subprocess.run([sys.executable, "-c", program], check=True),
    }
    table(title, measured(ways, options.repeats))
