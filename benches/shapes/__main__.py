"""`python -m shapes`: see `--help`."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from peers import machine
from peers.data import warm
from peers.options import CACHE, ROOT
from peers.process import Usage
from shapes.inputs import file_of
from shapes.own import pipeline, run
from shapes.report import Result, table
from shapes.shapes import SHAPES, Shape, shape_named


@dataclass
class Measured:
    """The runs of one shape."""

    shape: Shape
    file: Path
    spec: Path
    own: list[Usage] = field(default_factory=list)
    polars: list[float] = field(default_factory=list)

    def result(self, rows: int) -> Result:
        return Result(self.shape, self.shape.rows(rows), self.file.stat().st_size, self.own, self.polars)


def main(arguments: Sequence[str]) -> int:
    """Compares, measures in turn, writes down; gives the exit status."""
    options = _parser().parse_args(arguments)
    chosen = [shape_named(name) for name in options.shapes.split(",")] if options.shapes else list(SHAPES)
    measured = [_prepared(shape, options) for shape in chosen]
    for of in measured:
        if dispute := _dispute(of, options):
            print(f"{of.shape.name}: nothing was measured: {dispute}", file=sys.stderr)
            return 1
    for turn in range(options.repeats):
        for of in measured:
            warm(of.file)
            of.own.append(_once(of, options))
            of.polars.append(_polars(of, options)["seconds"])
            print(f"{turn + 1}: {of.shape.name}: {of.own[-1].seconds:.2f} s, Polars {of.polars[-1]:.2f} s", file=sys.stderr)
    here, state = machine.this(), machine.commit(ROOT)
    results = [of.result(options.rows) for of in measured]
    folder = options.record or ROOT / "benches" / "record" / f"{date.today().isoformat()}-{here.slug()}"
    folder.mkdir(parents=True, exist_ok=True)
    text = table(results, options.repeats, options.threads, here, state)
    (folder / "shapes.md").write_text(text)
    record = {"machine": asdict(here), "commit": state, "shapes": [result.record() for result in results]}
    (folder / "shapes.json").write_text(json.dumps(record, indent=1) + "\n")
    print(text)
    return 0


def _prepared(shape: Shape, options: argparse.Namespace) -> Measured:
    file = file_of(shape, options.rows, options.data)
    spec = options.data / "pipelines" / f"shape-{shape.name}.toml"
    spec.parent.mkdir(parents=True, exist_ok=True)
    spec.write_text(pipeline(shape, file))
    return Measured(shape, file, spec)


def _once(of: Measured, options: argparse.Namespace) -> Usage:
    usage = run(options.tidemill, of.spec, options.threads)
    if failure := usage.failure():
        raise RuntimeError(f"tidemill at {of.shape.name}: {failure}")
    return usage


def _polars(of: Measured, options: argparse.Namespace) -> dict[str, object]:
    """One run of Polars: its seconds, the rows and the sums."""
    names = ",".join(of.shape.measurements)
    command = [sys.executable, "-m", "shapes.polars_worker", of.file, names, of.shape.time_format]
    environment = os.environ | {"POLARS_MAX_THREADS": str(options.threads)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _dispute(of: Measured, options: argparse.Namespace) -> str | None:
    """What the two do not agree on: the number of rows, or the sums."""
    totals = options.data / f"totals-{of.shape.name}.csv"
    spec = of.spec.with_suffix(".totals.toml")
    spec.write_text(pipeline(of.shape, of.file, totals))
    usage = run(options.tidemill, spec, options.threads)
    if failure := usage.failure():
        return failure
    with totals.open(newline="") as file:
        sensors = list(csv.DictReader(file))
    totals.unlink()
    theirs = _polars(of, options)
    for name, other in zip(of.shape.measurements, theirs["sums"], strict=True):
        own = math.fsum(float(row[f"{name}_sum"]) for row in sensors if row[f"{name}_sum"])
        if not math.isclose(own, other, rel_tol=1e-9):
            return f"the sum of `{name}` is {own!r}, of Polars {other!r}"
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cargo xtask shapes",
        description="Reads files of several shapes, in turn with Polars; nothing is written.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--tidemill", type=Path, required=True, help=argparse.SUPPRESS)
    add("--rows", type=int, default=3_000_000, help="readings in each file")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads")
    add("--repeats", type=int, default=5, help="runs of each shape")
    add("--shapes", default="", help="names of shapes, with commas between them; all if not given")
    add("--data", type=Path, default=CACHE, help="folder of the input files, which are kept")
    add("--record", type=Path, default=None, help="folder of the figures; benches/record/DATE-MACHINE if not given")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
