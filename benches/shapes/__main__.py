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
from shapes.inputs import empty_file_of, file_of
from shapes.own import pipeline, run
from shapes.report import Result, table
from shapes.shapes import SHAPES, Shape, shape_named


@dataclass
class Measured:
    """The runs of one shape."""

    shape: Shape
    file: Path
    spec: Path
    empty: Path
    """The pipeline file over a file without rows."""
    own: list[Usage] = field(default_factory=list)
    start: list[Usage] = field(default_factory=list)
    polars: list[float] = field(default_factory=list)

    def result(self, rows: int) -> Result:
        return Result(self.shape, self.shape.rows(rows), self.file.stat().st_size, self.own, self.start, self.polars)


def main(arguments: Sequence[str]) -> int:
    """Compares, measures in turn, writes down; gives the exit status."""
    options = _parser().parse_args(arguments)
    chosen = [shape_named(name) for name in options.shapes.split(",")] if options.shapes else list(SHAPES)
    results = []
    for shape in chosen:
        of = _prepared(shape, options)
        if dispute := _dispute(of, options):
            print(f"{shape.name}: nothing was measured: {dispute}", file=sys.stderr)
            return 1
        results.append(_measured(of, options))
        if not options.keep:
            of.file.unlink()
            empty_file_of(shape, options.data).unlink()
    here, state = machine.this(), machine.commit(ROOT)
    folder = options.record or ROOT / "benches" / "record" / f"{date.today().isoformat()}-{here.slug()}"
    folder.mkdir(parents=True, exist_ok=True)
    text = table(results, options.repeats, options.threads, here, state)
    (folder / "shapes.md").write_text(text)
    record = {"machine": asdict(here), "commit": state, "shapes": [result.record() for result in results]}
    (folder / "shapes.json").write_text(json.dumps(record, indent=1) + "\n")
    print(text)
    return 0


def _prepared(shape: Shape, options: argparse.Namespace) -> Measured:
    file, empty = file_of(shape, options.rows, options.data), empty_file_of(shape, options.data)
    return Measured(shape, file, _spec(shape, shape.name, file, options), _spec(shape, "empty", empty, options))


def _spec(shape: Shape, name: str, file: Path, options: argparse.Namespace, totals: Path | None = None) -> Path:
    """A pipeline file over `file`."""
    spec = options.data / "pipelines" / f"shape-{name}.toml"
    spec.parent.mkdir(parents=True, exist_ok=True)
    spec.write_text(pipeline(shape, file, totals))
    return spec


def _measured(of: Measured, options: argparse.Namespace) -> Result:
    """All runs, in turn."""
    warm(of.file)
    for turn in range(options.repeats):
        of.own.append(_once(of.shape, of.spec, options))
        of.start.append(_once(of.shape, of.empty, options))
        of.polars.append(_polars(of, options)["seconds"])
        print(f"{turn + 1}: {of.shape.name}: {of.own[-1].seconds:.2f} s, Polars {of.polars[-1]:.2f} s", file=sys.stderr)
    return of.result(options.rows)


def _once(shape: Shape, spec: Path, options: argparse.Namespace) -> Usage:
    usage = run(options.tidemill, spec, options.threads)
    if failure := usage.failure():
        raise RuntimeError(f"tidemill at {shape.name}: {failure}")
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
    spec = _spec(of.shape, f"{of.shape.name}-totals", of.file, options, totals)
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
    add("--rows", type=int, default=20_000_000, help="readings in each file")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads")
    add("--repeats", type=int, default=5, help="runs of each shape")
    add("--shapes", default="", help="names of shapes, with commas between them; all if not given")
    add("--data", type=Path, default=CACHE, help="folder of the input files")
    add("--keep", action="store_true", help="keep each file for the next run; by default, it is deleted after its runs")
    add("--record", type=Path, default=None, help="folder of the figures; benches/record/DATE-MACHINE if not given")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
