"""What the shapes are, and what the table says of them."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import math
import random
import re
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from peers.machine import Machine
from peers.options import ROOT
from peers.process import Usage
from shapes.__main__ import Measured, main
from shapes.inputs import file_of
from shapes.report import Result, table
from shapes.shapes import SENSORS, SHAPES, VALUES_PER_ROW, shape_named


class Shapes(unittest.TestCase):
    def test_each_file_has_its_rows_and_columns_and_is_the_same_again(self) -> None:
        rows = 2 * SENSORS
        for shape in SHAPES:
            with self.subTest(shape.name), tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
                file = file_of(shape, rows, Path(first))
                self.assertEqual(file.read_bytes(), file_of(shape, rows, Path(second)).read_bytes())
                with file.open(newline="") as text:
                    found = list(csv.reader(text))
                self.assertEqual(found[0], shape.header.split(","))
                self.assertEqual(len(found), 1 + shape.rows(rows))
                self.assertEqual({len(row) for row in found}, {2 + len(shape.measurements)})

    def test_times_do_not_go_back_and_most_rows_have_their_own(self) -> None:
        lines = shape_named("times").lines(1000, random.Random(1))
        times = [line.split(",")[0] for line in lines]
        self.assertEqual(times, sorted(times))
        self.assertGreater(len(set(times)), 700)

    def test_a_wide_row_is_long(self) -> None:
        line = next(shape_named("wide-digits").lines(1, random.Random(1)))
        self.assertGreater(len(line), 16 * VALUES_PER_ROW)


TIDEMILL = f"""\
#!{sys.executable}
import csv, sys, tomllib
from collections import defaultdict

with open(sys.argv[2], "rb") as file:
    spec = tomllib.load(file)
with open(spec["source"]["path"], newline="") as file:
    rows = list(csv.DictReader(file))
sums = defaultdict(lambda: defaultdict(float))
for row in rows:
    for name in spec.get("stage", [dict(columns=[])])[0]["columns"]:
        sums[row["sensor"]][name + "_sum"] += float(row[name] or 0)
if spec["sink"][0]["type"] == "csv":
    with open(spec["sink"][0]["path"], "w", newline="") as file:
        writer = csv.DictWriter(file, next(iter(sums.values())))
        writer.writeheader()
        writer.writerows(sums.values())
"""
"""Sums up with the standard library what a pipeline file names."""


Peer = Callable[[Measured, argparse.Namespace], dict[str, object]]


def polars(of: Measured, _options: argparse.Namespace) -> dict[str, object]:
    """What Polars would find."""
    with of.file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = of.shape.measurements
    sums = [math.fsum(float(row[name] or 0) for row in rows) for name in names]
    return {"seconds": 1.0, "rows": len(rows), "sums": sums}


class Whole(unittest.TestCase):
    def run_all(self, *more: str, beside: Peer = polars) -> tuple[int, Path]:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        data = Path(folder.name)
        tidemill = data / "tidemill"
        tidemill.write_text(TIDEMILL)
        tidemill.chmod(0o755)
        options = ["--tidemill", tidemill, "--data", data, "--record", data / "record", "--rows", "2000"]
        with (
            mock.patch("shapes.__main__._polars", beside),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()) as self.said,
        ):
            return main([str(option) for option in (*options, "--repeats", 1, *more)]), data

    def files(self, data: Path) -> set[str]:
        """The shapes whose files are there."""
        return {path.name.rsplit("-", 2)[0] for path in data.glob("shape-*.csv")}

    def test_all_shapes_are_measured_and_their_files_deleted(self) -> None:
        status, data = self.run_all()
        self.assertEqual(status, 0, self.said.getvalue())
        record = json.loads((data / "record" / "shapes.json").read_text())
        self.assertEqual([shape["name"] for shape in record["shapes"]], [shape.name for shape in SHAPES])
        self.assertEqual(self.files(data), set())

    def test_files_can_be_kept(self) -> None:
        status, data = self.run_all("--shapes", "crlf,nulls", "--keep")
        self.assertEqual((status, self.files(data)), (0, {"shape-crlf", "shape-nulls"}))

    def test_engines_that_disagree_are_not_measured(self) -> None:
        status, data = self.run_all("--shapes", "times", beside=lambda *of: polars(*of) | {"sums": [1.0]})
        self.assertEqual(status, 1)
        self.assertIn("times: nothing was measured: the sum of `value`", self.said.getvalue())
        self.assertFalse((data / "record").exists())


class Instructions(unittest.TestCase):
    def test_each_shape_is_counted(self) -> None:
        """`cargo xtask instructions` counts the decoding of each shape."""
        benches = ROOT / "benches" / "instructions" / "benches" / "instructions.rs"
        counted = re.findall(r'#\[bench::(\w+)\(shape\("([a-z-]+)"\)\)\]', benches.read_text())
        self.assertEqual([shape for _, shape in counted], [shape.name for shape in SHAPES])
        self.assertEqual([name for name, _ in counted], [shape.name.replace("-", "_") for shape in SHAPES])


class Table(unittest.TestCase):
    def test_what_falls_short_is_marked(self) -> None:
        def result(name: str, seconds: float, polars: float) -> Result:
            whole, start = (
                Usage(took, 2 * took, 0, 0, 0, False, "", "") for took in (seconds + 0.01, 0.01)
            )
            return Result(shape_named(name), 1_000_000, 40_000_000, [whole], [start], [polars])

        here = Machine("a processor", 2, 1 << 30, "a system", "6.1")
        text = table([result("times", 0.1, 2.0), result("nulls", 0.5, 2.0)], 1, 2, here, "abc")
        times, nulls = (line for line in text.splitlines() if "×" in line and "row" in line or "empty" in line)
        self.assertIn("| 200.0 | 0.40 |", times)
        self.assertIn("20.0 ×", times)
        self.assertIn("(10.0 ms)", text)
        self.assertNotIn("missed", times)
        self.assertEqual(nulls.count("missed"), 2)
