"""The time of a process that imports the package, less that of one that imports nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys
from argparse import Namespace

from figures.rounds import measured, table


def main(options: Namespace) -> None:
    def run(program: str) -> object:
        return subprocess.run([sys.executable, "-c", program], check=True)

    ways = {"nothing": lambda: run("pass"), "import tidemill": lambda: run("import tidemill")}
    seconds = measured(ways, 4 * options.repeats)
    table("starting Python", seconds)
    extra = statistics.median(seconds["import tidemill"]) - statistics.median(seconds["nothing"])
    print(f"import: {extra * 1e3:.0f} ms")
